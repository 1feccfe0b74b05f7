/* watch_ask.h - a daemon, which may hang, end, or be another one now, asked by the threads of a
 * watcher. */
#ifndef AGENT_WATCH_ASK_H
#define AGENT_WATCH_ASK_H

#include <pthread.h>
#include <stdbool.h>

#include "agent/cli_line.h"

/* A daemon that hangs must not hold up who asks. */
#define WATCH_ANSWER_MS 3000

/* One connection at a time: a daemon that stands still would collect them. A request that had
 * no answer in its time is waited for first, since its answer would be an old one. */
struct watch_question {
	pthread_mutex_t lock;
	struct agent_instance instance;
	struct cli_line line;
	bool is_open, is_asked;
};

void watch_question_init(struct watch_question *q, const struct agent_instance *instance);

/* The daemon's answer, which is the caller's, or NULL: there is none within WATCH_ANSWER_MS.
 * Takes the reference to `request`. `*pid` is the daemon's process, 0: not known; `pid` may be
 * NULL. */
json_t *watch_ask(struct watch_question *q, json_t *request, pid_t *pid);
/* Its status, likewise. */
json_t *watch_ask_status(struct watch_question *q, pid_t *pid);

/* Idempotent, once no thread asks any more. */
void watch_question_close(struct watch_question *q);

#endif
