/* verb.h - the requests of the control socket (docs/control.md). */
#ifndef AGENT_VERB_H
#define AGENT_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "common/order.h"
#include "common/promise.h"

enum agent_verb {
	AGENT_VERB_PING,
	AGENT_VERB_STATUS,
	AGENT_VERB_WHY,
	AGENT_VERB_SCORE,
	AGENT_VERB_PROMOTE,
	AGENT_VERB_DEMOTE,
	AGENT_VERB_CONNECT,
	AGENT_VERB_DISCONNECT,
	AGENT_VERB_BYPASS,
	AGENT_VERB_REFRESH,
	AGENT_VERB_MODE,
	AGENT_VERB_FENCED,
	AGENT_VERB_EVENTS,
	AGENT_VERB_STOP,
	AGENT_VERB_SWITCH,
	AGENT_VERB_THROTTLE,
	AGENT_VERB_COUNT,
};

/* Which request it is, with members that it knows and values that they may have.
 * Returns 0, or -EINVAL and a sentence. */
int agent_verb_parse(json_t *request, enum agent_verb *verb, char *text,
		     size_t text_size);

/* The promise that a MODE asks for; for async without a bound, with that of the file. Returns
 * NULL, or a sentence that says what is wrong with it. */
const char *agent_verb_promise(const json_t *request, const struct config *config,
			       struct promise *promise);

/* The order that a THROTTLE asks for, at `now_ns` of CLOCK_BOOTTIME. */
struct order agent_verb_throttle(const json_t *request, uint64_t now_ns);

/* The cluster waits for the answer: it is asked for by the resource agent (`from`), or
 * changes roles, or ends the daemon. Also of an object that is no valid request. */
bool agent_verb_is_urgent(const json_t *request);

#endif
