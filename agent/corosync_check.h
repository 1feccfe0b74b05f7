/* corosync_check.h - Corosync's configuration is checked against the mirror's: the names of
 * nodes by which Pacemaker fences, and totem's times against the lease (D7). Its votes are
 * counted whenever its members change.
 *
 * All three are read once, at the start, so that a Corosync that hangs cannot hold up the control
 * thread later. After a change of them the daemons of a mirror must be restarted, one by
 * one.
 */
#ifndef AGENT_COROSYNC_CHECK_H
#define AGENT_COROSYNC_CHECK_H

#include "cluster/names.h"
#include "cluster/quorum.h"

struct agent_corosync {
	struct cluster_names names;
	struct cluster_quorum_votes votes;
	char text[256];       /* the fault, for the status; "" */
	char votes_text[256]; /* cluster_quorum_judge() */
};

/* Does Corosync's name of `nodeid`, this node, mean `node` of `config`? A fencing that
 * nobody would recognize is refused by its own node. Returns 0, -EINVAL with a sentence, or
 * as cluster_names_get(). */
int agent_corosync_check_name(struct agent_corosync *a, const struct config *config,
			      uint32_t node, uint32_t nodeid, char *text,
			      size_t text_size);

/* Judge the votes of the `count` members `nodeid`. Returns a sentence that is new, or NULL. */
const char *agent_corosync_check_votes(struct agent_corosync *a, const uint32_t *nodeid,
				       size_t count);

/* Compare the lease with totem's times. */
void agent_corosync_check_lease(struct agent_corosync *a, uint32_t lease_ms,
				uint32_t token_ms, uint32_t consensus_ms);

#endif
