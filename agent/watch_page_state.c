/* watch_page_state.c - see watch_page_state.h. */
#include "agent/watch_page_state.h"

#include "common/clock_driver.h"

/* What the page shows of a status, without what fills the most and is not shown. */
static json_t *shown(const json_t *status)
{
	static const char *const keys[] = { "why",      "mode",   "production", "host",
					    "site",     "sites",  "serving",    "quorate",
					    "log",      "disks",  "nodes",      "queues",
					    "counters", "mirror", "instance" };
	json_t *out = json_object(), *nodes = json_array(), *node;
	size_t number;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (json_object_get(status, keys[i]) != NULL)
			json_object_set(out, keys[i], json_object_get(status, keys[i]));
	json_array_foreach(json_object_get(status, "nodes"), number, node)
	{
		json_t *copy = json_copy(node);

		json_object_del(copy, "needs"); /* one for each disk of each host */
		json_array_append_new(nodes, copy);
	}
	if (json_array_size(nodes) > 0)
		json_object_set(out, "nodes", nodes);
	json_decref(nodes);
	return out;
}

/* The events from number `first` on that are kept still. */
static json_t *events_since(const struct cli_feed_mirror *m, uint32_t first)
{
	json_t *events = json_array();

	if (m->event_next - first > CLI_FEED_EVENTS_MAX)
		first = m->event_next - CLI_FEED_EVENTS_MAX;
	for (; first != m->event_next; first++)
		json_array_append_new(events,
				      json_string(m->event[first % CLI_FEED_EVENTS_MAX]));
	return events;
}

json_t *watch_page_state(const struct cli_feed *feed, const struct watch_page_told *told)
{
	json_t *list = json_array();

	for (size_t i = 0; i < feed->count; i++) {
		const struct cli_feed_mirror *m = &feed->mirror[i];
		const json_int_t silent_ms =
			m->asked ? (json_int_t)(common_clock_ms(CLOCK_BOOTTIME) -
						m->asked_ms) :
				   0;
		json_t *mirror = json_pack("{s:s, s:I}", "name", m->instance.name,
					   "silent_ms", silent_ms);

		if (told == NULL || told[i].state_count != m->state_count)
			json_object_set_new(mirror, "status",
					    m->state != NULL ? shown(m->state) :
							       json_null());
		if (told == NULL || told[i].event_next != m->event_next)
			json_object_set_new(
				mirror, "events",
				events_since(m, told != NULL ? told[i].event_next : 0));
		json_array_append_new(list, mirror);
	}
	return list;
}
