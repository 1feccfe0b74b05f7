/* presence.h - the files by which a running daemon is found: its lock, its pid file and
 * its control socket. When /run is cleared, by hand or by tmpfiles, a serving daemon loses
 * them, and must not be taken for dead. So it looks at them once a second, and makes those
 * again that are gone. */
#ifndef AGENT_PRESENCE_H
#define AGENT_PRESENCE_H

#include "agent/control.h"
#include "agent/paths.h"

#define AGENT_PRESENCE_FILES 3u

struct agent_presence {
	struct qb_loop *loop;
	const struct agent_instance *instance;
	int *lock_fd; /* replaced with the file */
	struct agent_control *control;
	void (*tell)(void *owner, const char *text); /* of a file made, or not */
	void *owner;
	int told[AGENT_PRESENCE_FILES]; /* the error that was told last, or 0 */
};

/* Look after them from now on, as long as the loop runs; `p` is filled, and outlives
 * it. Returns 0 or -ENOMEM. */
int agent_presence_keep(struct agent_presence *p);

#endif
