/* status_past.c - status and `why`: how the run before this one ended (last_run.h). */
#include "agent/events.h"
#include "agent/last_run.h"
#include "agent/status.h"
#include "agent/words.h"

json_t *agent_status_last_run(const struct agent_last_run *last)
{
	char when[32];
	json_t *o;

	if (last == NULL || last->text[0] == '\0')
		return json_null();
	o = json_object();
	agent_event_time_format(last->wall_ns, when);
	json_object_set_new(o, "ended", json_string(agent_run_end_word(last->end)));
	json_object_set_new(o, "time",
			    last->wall_ns == 0 ? json_null() : json_string(when));
	json_object_set_new(o, "file",
			    last->path[0] == '\0' ? json_null() :
						    agent_text_json(last->path));
	json_object_set_new(o, "text", agent_text_json(last->text));
	return o;
}

json_t *agent_status_notes(const struct status_input *in)
{
	json_t *list = json_array();

	if (in->last_run != NULL && in->last_run->text[0] != '\0' &&
	    in->last_run->end != AGENT_RUN_ORDERLY)
		json_array_append_new(list, agent_text_json(in->last_run->text));
	agent_status_promise_file(in, list);
	return list;
}
