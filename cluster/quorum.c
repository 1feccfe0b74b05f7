/* quorum.c - see quorum.h. */
#include "cluster/quorum.h"

#include <stdio.h>

static uint32_t votes_of(const struct cluster_quorum_votes *votes, uint32_t nodeid)
{
	for (uint32_t i = 0; i < votes->count; i++)
		if (votes->entry[i].nodeid == nodeid)
			return votes->entry[i].votes;
	return 1;
}

bool cluster_quorum_judge(const struct cluster_quorum_votes *votes,
			  const uint32_t *members, size_t count, char *text, size_t size)
{
	const uint32_t quorum = votes->expected / 2 + 1;
	uint32_t here = 0, most = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const uint32_t of_one = votes_of(votes, members[i]);

		here += of_one;
		if (of_one > most)
			most = of_one;
	}
	if (votes->expected == 0 || here - most >= quorum)
		return true;
	if (count < 2 || here < quorum)
		return false;
	snprintf(
		text, size,
		"Corosync has %u of %u votes, and needs %u: when one node more leaves or is "
		"lost, the others are without quorum, and writes stand still. To stop the "
		"whole cluster, stop the services that write first.",
		here, votes->expected, quorum);
	return false;
}
