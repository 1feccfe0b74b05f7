/* move.h - a planned move of production to another site, as production's host decides it
 * (M5): `hamirror switch`.
 *
 *   state      event                                 then
 *   none       BEGIN                                 catch-up, or for MOVE_ONLY_FOLLOW
 *                                                      follow; and as at LOOK
 *   catch-up   LOOK: the site is near enough         DEMOTE, which names it: demote;
 *                                                      for MOVE_ONLY_CATCH_UP END: done
 *              LOOK: it may come to be, in time      look again
 *              LOOK: it cannot, or time is over      END: refused, nothing has changed
 *              LOOK: it is production                END: done
 *              GONE                                  called off
 *   demote,    DEMOTED                               no way back from now on: END
 *    follow                                            where else it is PROMOTE here
 *   demote     REPLY: refused                        END: this host serves on
 *              REPLY: done, it may be promoted       follow; and as at LOOK
 *              REPLY: done, and it may not           PROMOTE here: back
 *   follow     LOOK: the site serves                 END: done
 *              LOOK: not yet                         look again
 *              LOOK: time is over                    PROMOTE here: back;
 *                                                      for MOVE_ONLY_FOLLOW END: refused
 *              GONE, for MOVE_ONLY_FOLLOW            called off
 *   back       REPLY: done                           END: refused, this host serves again
 *              REPLY: refused, but the site serves   END: done
 *              REPLY: refused                        END: refused, this host does not serve
 *              LOOK: time is over                    GIVE_UP: the promotion ends, unless
 *                                                      it starts to serve
 *
 * Any other event changes nothing. Pure logic: the caller brings the time and the node's
 * state with each event, and does what the actions say.
 */
#ifndef CLUSTER_MOVE_H
#define CLUSTER_MOVE_H

#include "cluster/cluster.h"

#define MOVE_CATCH_UP_LOOK_MS 50
#define MOVE_FOLLOW_LOOK_MS 5
#define MOVE_FOLLOW_MS 10000 /* a site that has all is promoted within a second */
#define MOVE_BACK_MS 30000
#define MOVE_DEMOTE_MS 5000 /* then this host serves on */

enum cluster_move_state {
	MOVE_NONE,
	MOVE_CATCH_UP,
	MOVE_DEMOTE,
	MOVE_FOLLOW,
	MOVE_BACK,
};

enum cluster_move_part {
	MOVE_WHOLE,
	MOVE_ONLY_CATCH_UP, /* another demotes and promotes: Pacemaker ... */
	MOVE_ONLY_FOLLOW,   /* ... and then this, within `wait_ms` */
};

enum cluster_move_event_type {
	MOVE_EVENT_BEGIN, /* in MOVE_NONE only */
	MOVE_EVENT_LOOK,
	MOVE_EVENT_REPLY,   /* to the last command */
	MOVE_EVENT_GONE,    /* the client that asked for the move has gone */
	MOVE_EVENT_DEMOTED, /* another command demotes or stops this host */
};

struct cluster_move_event {
	enum cluster_move_event_type type;
	uint64_t now_ns; /* CLOCK_BOOTTIME */
	/* This node at that time. */
	int near; /* cluster_switch_check() for the site ... */
	const char *near_text;
	const struct cluster_status *status;
	uint64_t answered_ns; /* the last write before the demotion; 0: none */
	union {
		struct {
			uint64_t id; /* of its commands */
			uint32_t site, wait_ms;
			enum cluster_move_part part;
		} begin;
		struct {
			int32_t exit_status;
			const char *text;
		} reply;
	};
};

enum cluster_move_action_type {
	MOVE_ACTION_LOOK, /* LOOK is due at `look_at_ns` */
	MOVE_ACTION_COMMAND,
	MOVE_ACTION_GIVE_UP, /* the time of the last command is over */
	MOVE_ACTION_END,
	MOVE_ACTION_CALLED_OFF, /* the end that nobody is told of */
	MOVE_ACTION_NONE,
};

/* COMMAND: a LOOK may be due as well. */
struct cluster_move_action {
	enum cluster_move_action_type type;
	uint64_t look_at_ns; /* 0: none is due */
	struct cluster_command command;
	int32_t exit_status;
	int64_t stall_ms; /* from the last write that was answered here until the new
			     production was seen to serve; -1: there is none */
	char text[768];
};

struct cluster_move {
	const struct config *config;
	enum cluster_move_state state;
	uint64_t id;
	uint32_t site;
	enum cluster_move_part part;
	bool waited;       /* in the catch-up */
	bool demoted;      /* by another command, since our own demote */
	uint64_t until_ns; /* of the state */
	uint64_t begun_ns; /* the demotion */
	char text[512];    /* BACK: why */
};

/* `config` must outlive it. */
void cluster_move_init(struct cluster_move *m, const struct config *config);
/* Take one event; `a` is filled. */
void cluster_move_step(struct cluster_move *m, const struct cluster_move_event *event,
		       struct cluster_move_action *a);

#endif
