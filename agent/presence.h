/* presence.h - the files by which a running daemon is found: its lock, its pid file and
 * its control socket. Whoever clears /run, by hand or by tmpfiles, removes them below a
 * daemon that serves, and it must not be taken for dead: so it looks at them once a
 * second, and makes again what is gone. */
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
	void (*tell)(void *owner, const char *text); /* what was made, or cannot be */
	void *owner;
	int told[AGENT_PRESENCE_FILES]; /* the error that was told last, or 0 */
};

/* Look after them from now on, as long as the loop runs; `p` is filled, and outlives
 * it. Returns 0 or -ENOMEM. */
int agent_presence_keep(struct agent_presence *p);

#endif
