/* corosync_check.c - see corosync_check.h. */
#include "agent/corosync_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/quorum_driver.h"

int agent_corosync_check_name(struct agent_corosync *a, const struct config *config,
			      uint32_t node, uint32_t nodeid, char *text,
			      size_t text_size)
{
	const int error = cluster_names_get(&a->names, text, text_size);
	const char *name;

	if (error != 0)
		return error;
	name = cluster_names_of(&a->names, nodeid);
	if (name == NULL || cluster_names_find(&a->names, config, name) == (int32_t)node)
		return 0;
	snprintf(text, text_size,
		 "Corosync calls this node %s, and the mirror's file calls it %s: a "
		 "fencing of it would not be recognized; write \"%s\" in the file, on "
		 "all nodes",
		 name, config->node[node].name, name);
	return -EINVAL;
}

const char *agent_corosync_check_votes(struct agent_corosync *a, const uint32_t *nodeid,
				       size_t count)
{
	char text[sizeof a->votes_text];
	const bool spare = cluster_quorum_judge(&a->votes, nodeid, count, text,
						sizeof text);

	if (strcmp(text, a->votes_text) == 0)
		return NULL;
	strcpy(a->votes_text, text);
	if (spare)
		return "one node may leave or be lost again";
	return text[0] != '\0' ? a->votes_text : NULL;
}

void agent_corosync_check_lease(struct agent_corosync *a, uint32_t lease_ms,
				uint32_t token_ms, uint32_t consensus_ms)
{
	if (lease_ms <= token_ms + consensus_ms)
		snprintf(
			a->text, sizeof a->text,
			"The lease is %u ms, and Corosync's token and consensus are %u "
			"and %u ms: when a node is lost, writes freeze before its loss is "
			"known. Set lease above %u in the mirror's file, on all nodes, or "
			"lower token.",
			lease_ms, token_ms, consensus_ms, token_ms + consensus_ms);
}
