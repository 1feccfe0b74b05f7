/* status_protect.c - status and `why`: is the daemon protected against a shortage of memory
 * (protect.h)? */
#include <stdio.h>
#include <string.h>

#include "agent/protect.h"
#include "agent/status.h"
#include "agent/words.h"

json_t *agent_status_protections(const struct status_input *in)
{
	json_t *list = json_array();

	for (uint32_t i = 0; in->protections != NULL && i < AGENT_PROTECTION_COUNT; i++) {
		const struct agent_protection_words *w = agent_protection_words(i);
		const struct agent_protection *p = &in->protections[i];
		json_t *o = json_object();

		json_object_set_new(o, "name", json_string(w->name));
		json_object_set_new(o, "asked", json_string(w->asked));
		json_object_set_new(o, "got",
				    p->tried ? json_string(p->got) : json_null());
		json_object_set_new(o, "error",
				    p->error != 0 ? json_string(strerror(p->error)) :
						    json_null());
		json_object_set_new(o, "need", json_string(w->need));
		json_array_append_new(list, o);
	}
	return list;
}

void agent_protection_format(const struct agent_protection *p, uint32_t id, char *text,
			     size_t text_size)
{
	const struct agent_protection_words *w = agent_protection_words(id);

	snprintf(text, text_size,
		 "%s was asked for and is %s (%s): when memory is short %s. It needs %s; "
		 "hamirrord(8), MEMORY, says more",
		 w->name, p->got, strerror(p->error), w->danger, w->need);
}

/* The front-end by which disks are devices of this machine, or NULL. */
static const char *front_end(const struct status_input *in)
{
	for (uint32_t d = 0; in->devices != NULL && d < in->config->site[0].disk_count;
	     d++)
		if (in->devices[d].path[0] != '\0')
			return in->devices[d].front_end;
	return NULL;
}

/* Dirty pages of this machine wait for us only if one of its devices is ours. */
void agent_status_memory(const struct status_input *in, json_t *list)
{
	const char *word = front_end(in);
	char what[512], text[640];

	if (word == NULL || !in->cluster->serving_here || in->protections == NULL)
		return;
	for (uint32_t i = 0; i < AGENT_PROTECTION_COUNT; i++) {
		if (!agent_protection_is_missing(&in->protections[i]))
			continue;
		agent_protection_format(&in->protections[i], i, what, sizeof what);
		snprintf(text, sizeof text, "The disks are devices here, by %s, and %s.",
			 word, what);
		json_array_append_new(list, agent_text_json(text));
	}
}
