/* quorum_driver.h - corosync's quorum, and totem's times.
 *
 * Quorum and cpg reach us over two connections: there is no order between a
 * QUORUM event and a CONFCHG of the same membership. That is no loss: quorum only
 * allows a member to propose. The voters' answers decide (D1), and the lease rules the
 * answers to clients (D7).
 *
 * Source: quorum_overview(3), cmap_keys(7).
 */
#ifndef CLUSTER_QUORUM_DRIVER_H
#define CLUSTER_QUORUM_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"
#include "cluster/names.h"
#include "cluster/quorum.h"

struct qb_loop;
struct cluster_quorum;

struct cluster_quorum_owner {
	/* QUORUM, without the times: once soon after the open, then at each
	 * change. May not call cluster_quorum_close(). */
	void (*event)(void *owner, struct cluster_event *event);
	/* Corosync's members, before the event of the same change. */
	void (*members)(void *owner, const uint32_t *nodeid, size_t count);
	/* Corosync is gone: no event follows. `text` is a sentence. */
	void (*lost)(void *owner, const char *text);
	void *owner;
};

/* Connect and begin to follow the quorum. Returns 0 and `*quorum`, or
 * -ECONNREFUSED (corosync does not run), -ENOENT (it has no quorum provider),
 * -ENOMEM or -EIO, with a sentence in `text`. */
int cluster_quorum_open(struct qb_loop *loop, const struct cluster_quorum_owner *owner,
			struct cluster_quorum **quorum, char *text, size_t text_size);

/* NULL is fine. */
void cluster_quorum_close(struct cluster_quorum *quorum);

/* Totem's token and consensus timeouts as they run now. Returns 0, or
 * -ECONNREFUSED or -EIO with a sentence in `text`. */
int cluster_totem_times_get(uint32_t *token_ms, uint32_t *consensus_ms, char *text,
			    size_t text_size);

/* Corosync's nodelist as it is now. Returns as cluster_totem_times_get(). */
int cluster_names_get(struct cluster_names *names, char *text, size_t text_size);

/* Corosync's votes as they are configured now. Returns as cluster_totem_times_get(). */
int cluster_quorum_votes_get(struct cluster_quorum_votes *votes, char *text,
			     size_t text_size);

/* D7: the lease exceeds token plus consensus, so that a member that fell out is
 * known to have fallen out before its lease has ended, with a quarter and a
 * second to spare for the messages. */
static inline uint32_t cluster_lease_default_ms(uint32_t token_ms, uint32_t consensus_ms)
{
	return (token_ms + consensus_ms) * 5 / 4 + 1000;
}

/* How far two clocks may drift apart during one lease: 2 % and a timer's coarseness, far
 * above the drift of any working machine. */
static inline uint32_t cluster_drift_default_ms(uint32_t lease_ms)
{
	return lease_ms / 50 + 50;
}

#endif
