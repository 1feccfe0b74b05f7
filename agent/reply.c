/* reply.c - see reply.h. */
#include "agent/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/words.h"

static size_t add_lines(char *text, size_t text_size, size_t at, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list) && at < text_size; i++)
		at += (size_t)snprintf(text + at, text_size - at, "%s%s",
				       at > 0 ? "\n" : "",
				       json_string_value(json_array_get(list, i)));
	return at;
}

void agent_reply_why(struct agent_client *c, const struct status_input *status)
{
	json_t *reply = json_object(), *why = agent_status_why(status);
	json_t *notes = agent_status_notes(status);
	char text[8192] = "All is well.";
	size_t at = json_array_size(why) == 0 ? strlen(text) : 0;

	at = add_lines(text, sizeof text, at, why);
	add_lines(text, sizeof text, at, notes);
	json_object_set_new(reply, "why", why);
	json_object_set_new(reply, "notes", notes);
	json_object_set_new(reply, "config", agent_status_config(status));
	agent_client_reply(c, reply, 0, text);
}

void agent_reply_status(struct agent_client *c, const struct status_input *status)
{
	json_t *reply = json_object();

	json_object_set_new(reply, "status", agent_status_json(status));
	agent_client_reply(c, reply, 0, NULL);
}

json_t *agent_reply_demoted(const struct agent_node *node, const struct config *config)
{
	struct cluster_status *status = calloc(1, sizeof *status);
	json_t *names = json_array();

	if (status != NULL)
		agent_node_members_get(node, status);
	for (uint32_t s = 0; status != NULL && s < status->site_count; s++)
		if (status->sites[s].may_promote)
			json_array_append_new(names, json_string(config->site[s].name));
	free(status);
	return json_pack("{s:o}", "may_promote", names);
}

/* The sentence for a command that has run out of time: the cause that it still waits for. */
void agent_reply_late(const struct agent_node *node, char *text, size_t size)
{
	static const char *const begin = "not done in the time given; it goes on";
	struct cluster_status *s = calloc(1, sizeof *s);
	char hangs[512];

	if (s != NULL)
		agent_node_members_get(node, s);
	if (agent_node_hangs(node, hangs, sizeof hangs))
		snprintf(text, size, "not done in the time given: %s", hangs);
	else
		snprintf(text, size, "%s%s%s", begin,
			 s != NULL && s->text[0] ? ", and waits: " : "",
			 s != NULL ? s->text : "");
	free(s);
}

void agent_reply_event(void *client, const struct agent_event *event)
{
	json_t *line = json_object(), *o = json_object();
	char time[32];

	agent_event_time_format(event->wall_ns, time);
	json_object_set_new(o, "time", json_string(time));
	json_object_set_new(o, "number", json_integer((json_int_t)event->number));
	json_object_set_new(o, "verb", json_string(event->verb));
	json_object_set_new(o, "object", agent_text_json(event->object));
	json_object_set_new(o, "rule", agent_text_json(event->rule));
	json_object_set_new(o, "text", agent_text_json(event->text));
	json_object_set_new(line, "event", o);
	agent_client_send(client, line);
}
