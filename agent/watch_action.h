/* watch_action.h - commands of the page: POST /action, to a daemon, or to the file of a mirror.
 *
 * The body is a request of docs/control.md with `name`, the instance, beside it; the answer is
 * the daemon's, or has `answered` false and a `text`: it was not reached, or has not answered.
 * The command "config" changes a file instead: watch_config.h has its members and its answer.
 * A command that takes long is waited for by a thread of its own, so that the
 * library's thread goes on with figures and states.
 */
#ifndef AGENT_WATCH_ACTION_H
#define AGENT_WATCH_ACTION_H

#include <stddef.h>
#include <microhttpd.h>

#include "agent/watch_config.h"

/* Of the body: a file that was and one that is to be, as text of JSON. */
#define WATCH_ACTION_BYTES_MAX (5u << 20)

struct watch_actions;
struct watch_action;

/* `config` outlives it. NULL: no memory. */
struct watch_actions *watch_actions_open(const struct watch_config *config);

/* Begin: the connection is suspended until the answer is there. Returns NULL, and what it
 * refuses in `text`, of `text_size`. */
struct watch_action *watch_action_begin(struct watch_actions *all,
					struct MHD_Connection *connection,
					const char *body, size_t length, char *text,
					size_t text_size);

/* The answer, JSON, which lasts as long as the action; NULL: there is none yet. */
const char *watch_action_answer(struct watch_action *a);
/* Waits for its thread. NULL is fine. */
void watch_action_free(struct watch_action *a);

/* Give up what is under way (the daemon goes on with it), and resume every connection: to be
 * called before the library is stopped. */
void watch_actions_end(struct watch_actions *all);
/* ... and this after it. NULL is fine. */
void watch_actions_close(struct watch_actions *all);

#endif
