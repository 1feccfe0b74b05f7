/* fence_driver.h - Pacemaker's confirmed fencings, from its fencer.
 *
 * Follows the fencer's notices, and reads its history at each connect, so that a
 * fencing that happened while nobody listened is learnt too; after each notice, for the
 * time of that fencing as the history has it; and when the history has changed without a
 * notice, for entries that another fencer has brought. Pacemaker may not run, or not yet:
 * the driver tries again every few seconds, and the status says so. It lives in a thread of
 * its own, because the fencer's library waits for answers: a fencer that hangs may not hold
 * up the lease.
 *
 * Source: Pacemaker's crm/stonith-ng.h; docs/rules.md (D2, D6).
 */
#ifndef CLUSTER_FENCE_DRIVER_H
#define CLUSTER_FENCE_DRIVER_H

#include <stdbool.h>

#include "cluster/cluster.h"

struct qb_loop;
struct cluster_fence;

struct cluster_fence_owner {
	/* FENCED, without `now`; on the loop's thread. A fencing may be told more
	 * than once. May not call cluster_fence_close(). */
	void (*event)(void *owner, struct cluster_event *event);
	void *owner;
};

/* Start to follow. Returns 0 and `*fence`, or -errno of pipe2(2) or
 * pthread_create(3). */
int cluster_fence_open(struct qb_loop *loop, const struct cluster_fence_owner *owner,
		       struct cluster_fence **fence);

/* Is the fencer connected? */
bool cluster_fence_connected(const struct cluster_fence *fence);

/* Ends the thread. If it hangs in the fencer's library for two seconds more, it is left
 * behind, with its memory and descriptors, to the end of the process. NULL is fine. */
void cluster_fence_close(struct cluster_fence *fence);

#endif
