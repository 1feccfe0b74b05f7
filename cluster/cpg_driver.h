/* cpg_driver.h - the members' group in corosync's cpg.
 *
 * Turns cpg's callbacks into events of the cluster core and its messages into
 * multicasts in agreed order. All calls come from, and go to, the thread that
 * runs the loop. Nothing here blocks: messages that corosync does not take now are kept in
 * a bounded queue and offered again.
 *
 * Source: cpg_overview(3), cpg_model_initialize(3); docs/join.md.
 */
#ifndef CLUSTER_CPG_DRIVER_H
#define CLUSTER_CPG_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"

struct qb_loop;
struct cluster_cpg;

struct cluster_cpg_owner {
	/* CONFCHG or MESSAGE, without the times; valid for the call. May call
	 * cluster_cpg_send(), not cluster_cpg_close(). */
	void (*event)(void *owner, struct cluster_event *event);
	/* Corosync is gone, or takes nothing any more: no event follows. The
	 * process cannot come back into the group under its old name, so it
	 * ends. `text` is a sentence. May not call cluster_cpg_close(). */
	void (*lost)(void *owner, const char *text);
	void *owner;
};

/* Connect to corosync and begin to join the group "hamirror-MIRROR"; the first
 * CONFCHG says that we are in. Returns 0 and `*cpg`, or
 *   -ECONNREFUSED  corosync does not run here
 *   -EACCES        corosync refuses us
 *   -ENOMEM, -EIO  else
 * with a sentence in `text`. */
int cluster_cpg_open(struct qb_loop *loop, const char *mirror,
		     const struct cluster_cpg_owner *owner, struct cluster_cpg **cpg,
		     char *text, size_t text_size);

/* Our node as corosync numbers it. */
uint32_t cluster_cpg_nodeid(const struct cluster_cpg *cpg);

/* Multicast `data` (at most CLUSTER_MESSAGE_MAX bytes, copied) in agreed order,
 * after all that was sent before. A queue that is full reports `lost`. */
void cluster_cpg_send(struct cluster_cpg *cpg, const uint8_t *data, size_t length);

/* Bytes that wait for corosync, and their bound (G7). */
size_t cluster_cpg_queued_bytes(const struct cluster_cpg *cpg);
size_t cluster_cpg_queue_bytes_max(void);

/* Leave the group: the others see a leave, not a crash. NULL is fine. */
void cluster_cpg_close(struct cluster_cpg *cpg);

#endif
