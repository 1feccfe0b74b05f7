/* watch_throttle.h - a watcher's throttles: each period the daemon's figures are tested, and
 * the actions of throttle.h are carried out. A thread of its own. */
#ifndef AGENT_WATCH_THROTTLE_H
#define AGENT_WATCH_THROTTLE_H

#include "agent/paths.h"
#include "common/config.h"

struct watch_throttle;

/* Begin with the configuration that was read from `path` (NULL: the usual place); when that
 * file changes, its throttles are taken up, as if the watcher began anew with them. All of the
 * four outlive it; `host` is this node's name. Returns 0 with `*w`, or -errno of eventfd(2) or
 * pthread_create(3), or -ENOMEM. */
int watch_throttle_open(const struct agent_instance *instance, const char *path,
			const struct config *config, const char *host,
			struct watch_throttle **w);

/* End the thread; commands that run are killed, and the daemon is slowed no longer. NULL is
 * fine. */
void watch_throttle_close(struct watch_throttle *w);

#endif
