/* cli_feed.h - the states of mirrors, again and again, and their events.
 *
 * Each daemon is asked for its status at an interval, and at once when it tells of a change
 * (at most five times a second). A daemon that hangs holds nobody up: its state says so.
 */
#ifndef AGENT_CLI_FEED_H
#define AGENT_CLI_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "agent/cli_line.h"
#include "agent/cli_names.h"
#include "agent/cli_state.h"

#define CLI_FEED_EVENTS_MAX 64 /* the newest of each mirror are kept */

struct cli_feed_mirror {
	struct agent_instance instance;
	json_t *state;        /* the newest status; NULL: none came yet */
	uint32_t state_count; /* the number of states so far */
	uint32_t event_next;  /* the number of events so far; they lie at that, modulo */
	char *event[CLI_FEED_EVENTS_MAX];
	/* the feed's own */
	struct cli_line line, events;
	struct cli_state_file file;
	bool asked;
	bool is_silent; /* asked, and called so; the answer is waited for all the same */
	bool is_old;    /* `line` has carried an answer */
	uint64_t asked_ms, due_ms;
};

struct cli_feed {
	uint32_t interval_ms;
	size_t count;
	struct cli_feed_mirror *mirror;
};

/* Of these mirrors; nothing is asked yet. False: no memory. */
bool cli_feed_open(struct cli_feed *feed, const struct cli_names *names,
		   uint32_t interval_s);

/* Ask what is due, and wait for answers, for events or for input on `fd` until
 * something came or the next question is due. Returns true when a state or an event is new. */
bool cli_feed_turn(struct cli_feed *feed, int fd);

/* Ask this mirror, or each (NULL), at the next turn. */
void cli_feed_ask(struct cli_feed *feed, struct cli_feed_mirror *m);

void cli_feed_close(struct cli_feed *feed);

#endif
