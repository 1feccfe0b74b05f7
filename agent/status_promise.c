/* status_promise.c - status and `why`: the promise that holds, the wanted one, and the file's. */
#include <stdio.h>

#include "agent/config.h"
#include "agent/status.h"
#include "agent/words.h"

/* The promises that hold and that are wanted; before the first view that of the file. */
static void promises(const struct status_input *in, struct promise *holds,
		     struct promise *wanted)
{
	*holds = *wanted = promise_of_config(in->config);
	if (in->cluster->history.count == 0)
		return;
	*holds = in->cluster->promise;
	*wanted = in->cluster->wanted;
}

static json_t *bound(const struct promise *p, uint32_t number)
{
	return p->mode == CONFIG_NEAR_SYNC && number != PROMISE_UNBOUNDED ?
		       json_integer(number) :
		       json_null();
}

static json_t *promise(const struct promise *p)
{
	const bool async = p->mode == CONFIG_ASYNC;

	return json_pack(
		"{s:s, s:s?, s:o, s:o, s:o, s:o}", "mode",
		agent_mode_text((enum config_mode)p->mode), "confirm",
		p->mode != CONFIG_SYNC ? NULL : config_confirm_words[p->home], "records",
		bound(p, p->records), "ms", bound(p, p->ms), "lag_bytes",
		async && promise_counts(p) ? json_integer((json_int_t)p->bytes) :
					     json_null(),
		"lag_ms",
		async && p->ms != PROMISE_UNBOUNDED ? json_integer(p->ms) : json_null());
}

void agent_status_promise(const struct status_input *in, json_t *o)
{
	const struct promise file = promise_of_config(in->config);
	struct promise holds, wanted;

	promises(in, &holds, &wanted);
	json_object_set_new(o, "mode",
			    json_string(agent_mode_text((enum config_mode)holds.mode)));
	json_object_set_new(o, "promise", promise(&holds));
	json_object_set_new(o, "promise_wanted", promise(&wanted));
	json_object_set_new(o, "promise_file", promise(&file));
}

void agent_status_promise_wanted(const struct status_input *in, json_t *list)
{
	char a[PROMISE_TEXT_BYTES], b[PROMISE_TEXT_BYTES], text[320];
	struct promise holds, wanted;

	promises(in, &holds, &wanted);
	if (promise_equal(&holds, &wanted))
		return;
	promise_text(&holds, a);
	promise_text(&wanted, b);
	snprintf(text, sizeof text,
		 "The mode is %s, and will be %s once every current copy has what was "
		 "answered before%s.",
		 a, b,
		 in->cluster->production_node < 0 ? " and a production serves" : "");
	json_array_append_new(list, agent_text_json(text));
}

void agent_status_promise_file(const struct status_input *in, json_t *list)
{
	const struct promise file = promise_of_config(in->config);
	char a[PROMISE_TEXT_BYTES], b[PROMISE_TEXT_BYTES], text[320];
	struct promise holds, wanted;

	promises(in, &holds, &wanted);
	if (promise_equal(&file, &wanted))
		return;
	promise_text(&wanted, a);
	promise_text(&file, b);
	snprintf(
		text, sizeof text,
		"The mode is %s by the last command, though the file says %s: the file counts "
		"for a new mirror only.",
		a, b);
	json_array_append_new(list, agent_text_json(text));
}

/* Production has every acknowledged write, too. */
bool agent_status_is_current(const struct status_input *in, uint32_t s)
{
	const struct cluster_status *c = in->cluster;

	return c->sites[s].current ||
	       (c->production_site == (int32_t)s && c->production_node >= 0);
}

bool agent_status_current_is_known(const struct status_input *in, uint32_t s)
{
	return in->config->cluster || in->cluster->serving_here ||
	       in->cluster->sites[s].current;
}
