/* operator.h - promotions are asked for by Pacemaker, or, without a cluster, by an operator;
 * and the two sites as he sees them. */
#ifndef TESTS_SIM_OPERATOR_H
#define TESTS_SIM_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/plan.h"

struct sim;

struct sim_pacemaker {
	uint64_t fence_at_ns[SIM_NODES_MAX];
	bool fenced[SIM_NODES_MAX];
	uint32_t fencing_count; /* of all nodes */
	/* the history of each machine's fencer: the last fencing of each node; 0: never */
	struct sim_fencing {
		uint32_t fencing; /* the same one has one number, and many stamps */
		uint64_t wall_ns;
		bool ahead; /* stamped by a clock that was */
	} history[SIM_NODES_MAX][SIM_NODES_MAX];
	uint64_t sync_at_ns[SIM_NODES_MAX]; /* the others send theirs; 0: they have */
	bool stopped[SIM_NODES_MAX];        /* that Pacemaker, for maintenance */
	/* [teller][node]: stopped then, it is to be told yet; 0: it is not */
	uint64_t owed_ns[SIM_NODES_MAX][SIM_NODES_MAX];
	uint32_t asked_process[SIM_NODES_MAX]; /* which has asked for all of them */
	uint64_t promote_id, promote_since_ns, idle_since_ns;
	uint32_t promote_node, promote_process;
	bool hasty; /* it will not wait for a fencing that is due */
	bool off;
};

struct sim_person {
	uint64_t id, since_ns; /* of the command under way; id 0: none */
	uint32_t node, process;
	uint64_t idle_since_ns;   /* nobody serves since */
	uint64_t patience_ns;     /* drawn for the state that he looks at now */
	uint64_t frozen_since_ns; /* writes wait for the copy; 0: they do not */
	uint64_t apart_since_ns;  /* a site is put out, and could come back; 0: none is */
	uint64_t told_ns;         /* his last command */
	uint32_t refused;         /* bit per site that has refused in a row */
	int32_t wanted;           /* the site that is to serve next; -1: any */
	bool off;
};

/* Look at both sites, and act on their state; again after a while. */
void sim_operate(struct sim *w);
/* Both sites' processes run, and hear each other. */
bool sim_pair_is_whole(const struct sim *w);
/* Neither site's history leads to the other's. */
bool sim_pair_is_forked(const struct sim *w);
/* One serves, and writes wait for the other, which has all. */
bool sim_pair_is_together(const struct sim *w);

#endif
