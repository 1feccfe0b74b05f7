/* checker.h - the checkers of check_*.c watch a run. Each is called for the events that it
 * names, and calls sim_violate().
 */
#ifndef TESTS_SIM_CHECKER_H
#define TESTS_SIM_CHECKER_H

#include <stddef.h>
#include <stdint.h>

#include "mirror/engine.h"
#include "tests/sim/plan.h"

struct sim;
struct sim_op;
struct sim_request;
struct cluster_move_event;
struct cluster_move_action;

struct sim_checker {
	const char *name;
	void (*order)(struct sim *w, uint32_t node, const struct order *o);
	void (*fact)(struct sim *w, uint32_t node, const struct fact *f);
	void (*io)(struct sim *w, uint32_t node, const struct mirror_io *io);
	/* a device operation ended so, and its process has taken it in */
	void (*io_ended)(struct sim *w, uint32_t node, const struct sim_op *op,
			 int32_t result);
	/* a frame is about to be taken in */
	void (*received)(struct sim *w, uint32_t node, const struct mirror_received *r);
	/* a member multicasts */
	void (*sent)(struct sim *w, uint32_t node, const uint8_t *data, size_t length);
	void (*answered)(struct sim *w, uint32_t node, const struct sim_request *r);
	/* a planned move took this in, and does that next */
	void (*moved)(struct sim *w, uint32_t node, const struct cluster_move_event *e,
		      const struct cluster_move_action *a);
	void (*mirror)(struct sim *w, uint32_t node);  /* after each step */
	void (*cluster)(struct sim *w, uint32_t node); /* likewise */
	void (*look)(struct sim *w);
	void (*end)(struct sim *w);
};

/* check_block.c (M8): how far a site's log has ever come, and in which generation; when a
 * required copy was missing last at a node, as it knows. */
struct sim_block {
	uint64_t logged[SIM_SITES_MAX];
	int32_t generation[SIM_SITES_MAX];
	uint64_t seen_ns[SIM_NODES_MAX];
};

/* When a required copy was missing last, by the node's view or an undecided one. */
uint64_t sim_block_seen_ns(struct sim *w, uint32_t node);
/* The content of a write that the core has not answered. */
bool sim_is_unanswered(const struct sim *w, uint32_t node, uint64_t number);
/* Does the request wait for it: a change, or a read that overlaps one? */
bool sim_block_holds(const struct sim *w, uint32_t node, const struct sim_request *r);

extern const struct sim_checker sim_check_g1, sim_check_g2, sim_check_bare, sim_check_g3,
	sim_check_g4, sim_check_g5, sim_check_g6, sim_check_g7, sim_check_g8, sim_check_d,
	sim_check_d3, sim_check_d5, sim_check_m, sim_check_w, sim_check_alone,
	sim_check_undo, sim_check_async, sim_check_block, sim_check_move;
extern const struct sim_checker *const sim_checkers[];

#endif
