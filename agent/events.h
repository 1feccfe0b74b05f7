/* events.h - the event log: one line per change.
 *
 *   exists|create|change|destroy OBJECT [KEY:VALUE ...] [TEXT] [rule=RULE]
 *
 * An event goes to the log file (with the time before it), to the system log, and
 * to everyone who follows (`hamirror events`). The log file is bounded: a full one
 * becomes FILE.1 in place of the one before.
 *
 * Source: docs/control.md; the events of DRBD (drbdsetup(8), events2).
 */
#ifndef AGENT_EVENTS_H
#define AGENT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#define AGENT_EVENT_LINE_MAX 1024
#define AGENT_EVENTS_FILE_BYTES_MAX (1024 * 1024)

/* An event. The strings are the caller's; "" where there is none. */
struct agent_event {
	uint64_t number; /* from 1 at the daemon's start; agent_events_add() gives it */
	uint64_t wall_ns;
	const char *verb;   /* exists, create, change, destroy */
	const char *object; /* "site lyon", "member n1", "mirror data", ... */
	const char *text;   /* "role:copy data:UpToDate", and a sentence */
	const char *rule;   /* the rule that decided */
	bool others_know;   /* the other members have this line too (news.h) */
};

/* The line without time, in `line` (AGENT_EVENT_LINE_MAX). A long line is cut; a line break
 * becomes a blank. */
void agent_event_format(const struct agent_event *event, char *line);

/* RFC 3339 in UTC with milliseconds in `text` (32 bytes). */
void agent_event_time_format(uint64_t wall_ns, char *text);

struct agent_events;

/* `path` of the log file, or NULL for none. A file that cannot be opened is told
 * once to the system log, and is no error: the mirror is worth more than its
 * log. Returns NULL when memory is short. */
struct agent_events *agent_events_open(const char *path);

/* The event gets the next number: clocks may jump, these do not. */
void agent_events_add(struct agent_events *e, const struct agent_event *event);
/* ... one of this moment. */
void agent_events_add_now(struct agent_events *e, const char *verb, const char *object,
			  const char *text, const char *rule);

/* The number of the newest event, 0 before the first. */
uint64_t agent_events_newest(const struct agent_events *e);

/* Be called at each new event. The struct is the caller's until it is unfollowed;
 * it may unfollow itself when called. */
struct agent_follower {
	void (*added)(struct agent_follower *f, const struct agent_event *event);
	struct agent_follower *next;
};
void agent_events_follow(struct agent_events *e, struct agent_follower *f);
void agent_events_unfollow(struct agent_events *e, struct agent_follower *f);

/* NULL is fine. */
void agent_events_close(struct agent_events *e);

#endif
