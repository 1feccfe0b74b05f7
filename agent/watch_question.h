/* watch_question.h - a watcher asks its daemon, which may hang, end, or be another one now. */
#ifndef AGENT_WATCH_QUESTION_H
#define AGENT_WATCH_QUESTION_H

#include <stdbool.h>
#include <jansson.h>

#include "agent/cli_line.h"

/* A daemon that hangs must not hold up who asks. */
#define WATCH_ANSWER_MS 3000

/* One connection at a time: a daemon that stands still would collect them. A request that had
 * no answer in its time is waited for first, since its answer would be an old one. All zero
 * but `instance` at first; one thread at a time. */
struct watch_question {
	const struct agent_instance *instance;
	struct cli_line line;
	bool is_open, is_asked;
};

/* The daemon's answer, which is the caller's; NULL: there is none within WATCH_ANSWER_MS. Takes
 * the reference to `request`. */
json_t *watch_ask(struct watch_question *q, json_t *request);

/* Hang up. Idempotent. */
void watch_question_end(struct watch_question *q);

#endif
