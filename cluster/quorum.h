/* quorum.h - does Corosync's quorum outlive the next node that leaves?
 *
 * Corosync counts a stopped node as lost: without quorum production freezes, and clients
 * with unwritten data then cannot be stopped. The vote that hamirror's members take back
 * from a node that leaves in order (plan.c) does not help there. So a message warns
 * beforehand.
 *
 * Source: votequorum(5).
 */
#ifndef CLUSTER_QUORUM_H
#define CLUSTER_QUORUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_QUORUM_VOTES_MAX 128u

/* Of Corosync's configuration. */
struct cluster_quorum_votes {
	uint32_t expected; /* 0: another option decides, as two_node does */
	uint32_t count;
	struct {
		uint32_t nodeid, votes;
	} entry[CLUSTER_QUORUM_VOTES_MAX];
};

/* A sentence in `text` if the members have the quorum, and the rest of them has it no more
 * when one of them has gone; else "". A member that is not in the nodelist has one vote.
 * Returns whether a node may go. */
bool cluster_quorum_judge(const struct cluster_quorum_votes *votes,
			  const uint32_t *members, size_t count, char *text, size_t size);

#endif
