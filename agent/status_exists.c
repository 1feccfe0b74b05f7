/* status_exists.c - the present state, as events: the beginning of `hamirror events`. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "agent/events.h"
#include "agent/status.h"
#include "agent/words.h"

struct sink {
	void (*add)(void *data, const struct agent_event *event);
	void *data;
	uint64_t wall_ns, event;
};

__attribute__((format(printf, 4, 5))) static void exists(const struct sink *sink,
							 const char *kind,
							 const char *name,
							 const char *format, ...)
{
	char object[2 * CONFIG_NAME_MAX], text[512];
	const struct agent_event event = {
		.number = sink->event,
		.wall_ns = sink->wall_ns,
		.verb = "exists",
		.object = object,
		.text = text,
		.rule = "",
	};
	va_list ap;

	snprintf(object, sizeof object, "%s%s%s", kind, name[0] != '\0' ? " " : "", name);
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	sink->add(sink->data, &event);
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void exists_disk(const struct sink *sink, const struct status_input *in,
			uint32_t disk)
{
	const struct status_device *v = in->devices == NULL ? NULL : &in->devices[disk];
	const bool stands = v != NULL && v->path[0] != '\0';

	exists(sink, "disk", in->config->site[0].disk[disk].name, "device:%s%s%s",
	       stands ? v->path : "none", stands ? " front-end:" : "",
	       stands ? v->front_end : "");
}

void agent_status_exists(const struct status_input *in,
			 void (*add)(void *data, const struct agent_event *event),
			 void *data)
{
	const struct sink sink = {
		.add = add, .data = data, .wall_ns = in->wall_ns, .event = in->event
	};
	const struct cluster_status *c = in->cluster;
	const struct generation *g = history_newest(&c->history);
	const struct config *config = in->config;

	exists(&sink, "mirror", config->mirror,
	       "mode:%s quorate:%s view:%s generation:%" PRIu64,
	       agent_mode_text(config->mode), yes_no(c->quorate),
	       yes_no(c->view_in_effect), g == NULL ? 0 : g->ordinal);
	for (uint32_t n = 0; n < config->node_count; n++)
		exists(&sink, "member", config->node[n].name, "member:%s voter:%s",
		       yes_no(c->nodes[n].member), yes_no(c->nodes[n].voter));
	for (uint32_t s = 0; s < config->site_count; s++)
		exists(&sink, "site", config->site[s].name,
		       "role:%s host:%s data:%s current:%s%s%s",
		       agent_role_text(c->sites[s].role),
		       c->sites[s].host < 0 ? "none" :
					      config->node[c->sites[s].host].name,
		       agent_data_text(c->sites[s].data),
		       !agent_status_current_is_known(in, s) ?
			       "unknown" :
			       yes_no(agent_status_is_current(in, s)),
		       c->sites[s].role == CLUSTER_SITE_COPY ? " link:" : "",
		       c->sites[s].role == CLUSTER_SITE_COPY ?
			       agent_link_text(c->sites[s].link) :
			       "");
	for (uint32_t d = 0; d < config->site[0].disk_count; d++)
		exists_disk(&sink, in, d);
	exists(&sink, "-", "", "%s", "");
}
