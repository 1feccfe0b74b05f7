/* status_block.c - status and `why`: writes that stand still for a required copy (M8). */
#include <stdio.h>

#include "agent/config.h"
#include "agent/events.h"
#include "agent/status.h"
#include "agent/words.h"

#define TIME_BYTES 32 /* of agent_event_time_format() */

static bool is_missing(const struct status_input *in)
{
	return in->cluster->missing_text[0] != '\0';
}

void agent_status_block(const struct status_input *in, json_t *o)
{
	char since[TIME_BYTES];

	json_object_set_new(
		o, "on_copy_loss",
		json_string(config_copy_loss_words[in->config->on_copy_loss]));
	agent_event_time_format(in->cluster->missing_wall_ns, since);
	json_object_set_new(o, "missing_since",
			    is_missing(in) && in->cluster->missing_wall_ns != 0 ?
				    json_string(since) :
				    json_null());
}

void agent_status_block_why(const struct status_input *in, json_t *list)
{
	char since[TIME_BYTES] = "", text[640];

	if (!is_missing(in))
		return;
	if (in->cluster->missing_wall_ns != 0)
		agent_event_time_format(in->cluster->missing_wall_ns, since);
	snprintf(text, sizeof text, "Writes wait%s%s: %s.",
		 since[0] != '\0' ? " since " : "", since, in->cluster->missing_text);
	json_array_append_new(list, agent_text_json(text));
}
