/* watch_figures.c - see watch_figures.h. */
#include "agent/watch_figures.h"

#include <string.h>

enum watch_part watch_part(const json_t *status)
{
	if (json_is_true(json_object_get(status, "serving")))
		return WATCH_AT_PRODUCTION;
	return json_is_object(json_object_get(status, "log")) ? WATCH_AT_COPY :
								WATCH_NO_PART;
}

static void set(struct throttle_figures *f, enum throttle_test test, uint64_t value)
{
	f->known[test] = true;
	f->value[test] = value;
}

static void count_rates(const json_t *status, const struct watch_process *process,
			uint64_t now_ns, struct watch_counted *last,
			struct throttle_figures *f)
{
	const json_t *sent = json_object_get(json_object_get(status, "counters"),
					     "sent_bytes");
	const double seconds = (double)(now_ns - last->at_ns) / 1e9;
	struct watch_counted now = { .at_ns = now_ns };

	now.sent_bytes = (uint64_t)json_integer_value(sent);
	if (process != NULL) {
		now.cpu_seconds = process->cpu_seconds;
		now.started_seconds = process->started_seconds;
	}
	if (last->at_ns != 0 && seconds > 0 && json_is_integer(sent) &&
	    now.started_seconds == last->started_seconds &&
	    now.sent_bytes >= last->sent_bytes &&
	    watch_part(status) == WATCH_AT_PRODUCTION)
		set(f, THROTTLE_NETKBPS,
		    (uint64_t)((double)(now.sent_bytes - last->sent_bytes) / 1024 /
			       seconds));
	if (last->at_ns != 0 && seconds > 0 && process != NULL &&
	    now.started_seconds == last->started_seconds &&
	    now.cpu_seconds >= last->cpu_seconds)
		set(f, THROTTLE_PCTCPU,
		    (uint64_t)((now.cpu_seconds - last->cpu_seconds) * 100 / seconds +
			       0.5));
	*last = now;
}

static bool is_linked(const json_t *site)
{
	const char *link = json_string_value(json_object_get(site, "link"));

	return link != NULL &&
	       (strcmp(link, "connected") == 0 || strcmp(link, "catching-up") == 0 ||
		strcmp(link, "refreshing") == 0);
}

static void take_largest(const json_t *site, const char *key, enum throttle_test test,
			 struct throttle_figures *f)
{
	const json_t *lag = json_object_get(site, key);
	const uint64_t value = (uint64_t)json_integer_value(lag);

	if (json_is_integer(lag) && (!f->known[test] || value > f->value[test]))
		set(f, test, value);
}

void watch_figures(const json_t *status, const struct watch_process *process,
		   uint64_t now_ns, struct watch_counted *counted,
		   struct throttle_figures *figures)
{
	const json_t *used = json_object_get(json_object_get(status, "log"),
					     "used_percent");
	json_t *site;
	size_t i;

	*figures = (struct throttle_figures){ 0 };
	count_rates(status, process, now_ns, counted, figures);
	if (json_is_integer(used))
		set(figures, THROTTLE_PCTWL, (uint64_t)json_integer_value(used));
	if (watch_part(status) != WATCH_AT_PRODUCTION)
		return;
	json_array_foreach(json_object_get(status, "sites"), i, site)
	{
		const char *role = json_string_value(json_object_get(site, "role"));

		if (role == NULL || strcmp(role, "production") == 0)
			continue;
		set(figures, THROTTLE_LINK,
		    is_linked(site) && (!figures->known[THROTTLE_LINK] ||
					figures->value[THROTTLE_LINK] != 0));
		take_largest(site, "lag_ms", THROTTLE_LAG_MS, figures);
		take_largest(site, "lag_bytes", THROTTLE_LAG_BYTES, figures);
	}
}
