/* members_play.h - a toy Pacemaker and a hand of bad luck over the toy members. */
#ifndef TESTS_UNIT_MEMBERS_PLAY_H
#define TESTS_UNIT_MEMBERS_PLAY_H

#include "tests/unit/members.h"

struct members_play {
	struct members *m;
	bool fencing;
	uint64_t fence_at_ns[MEMBERS_MAX];   /* 0: not to be fenced */
	bool fenced[MEMBERS_MAX];            /* dead, and that was confirmed */
	uint64_t promote_id;                 /* under way; 0: none */
	uint32_t promote_node;
	uint64_t promote_since_ns, idle_since_ns;
	int32_t lost_file;                   /* of at most one node at a time */
};

void members_play_init(struct members_play *p, struct members *m, bool fencing);
/* Run with the toy Pacemaker: it fences the nodes outside the part with quorum, and
 * promotes the node with the best score while no node serves. */
void members_play_run(struct members_play *p, uint64_t ms);
/* One bad thing, drawn from the seed; often in the middle of a round. */
void members_play_misfortune(struct members_play *p);
/* All is repaired: run until someone serves and all agree, at most `ms`. */
bool members_play_recover(struct members_play *p, uint64_t ms);

#endif
