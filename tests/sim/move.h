/* move.h - a planned move (cluster/move.h) at a process of the simulator, and the work of
 * agent/switch.c around it. */
#ifndef TESTS_SIM_MOVE_H
#define TESTS_SIM_MOVE_H

#include "cluster/move.h"

struct sim;
struct fact;

/* What is due; else the time of its next look. */
enum sim_due { SIM_DUE_REPLY = 1, SIM_DUE_GONE };

struct sim_move {
	struct cluster_move core;
	uint64_t look_at_ns, answered_ns;
	int32_t exit_status; /* the reply that is on its way to it */
	char text[512];
	bool manages; /* Pacemaker leaves promotions to it */
	/* check_move.c: since it began */
	uint64_t begun_ns;
	uint32_t generation_count;
	bool demotes, demoted, back, away;
};

/* `hamirror switch` at the node; after `gone_ns`, unless 0, its client goes. The place of its
 * reply in w->reply; 0: there is nobody to be told, or another is under way. */
uint64_t sim_move_begin(struct sim *w, uint32_t node, uint32_t site, uint32_t wait_ms,
			uint64_t gone_ns);
void sim_move_due(struct sim *w, uint32_t node, uint64_t number);
/* The reply to a command: is it to one of the move? */
bool sim_move_reply(struct sim *w, uint32_t node, const struct cluster_action *a);
void sim_move_fact(struct sim *w, uint32_t node, const struct fact *f);
/* Is production of the node between two hosts, by a move that manages that alone? */
bool sim_move_manages(const struct sim *w, uint32_t node);

#endif
