/* scenario.h - traces that break weaker rules than ours, each by name: a quiet world is
 * driven step by step, by the cores' state, to the one situation that matters. Then it goes
 * on, is repaired and is judged by all checkers and by the promise of our rules there. A
 * scenario that does not reach its situation fails.
 */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "tests/sim/sim.h"

struct sim_scene;

struct sim_scenario {
	const char *name, *what;
	uint32_t hosts[SIM_SITES_MAX]; /* of each site; 0: no such site */
	uint32_t witnesses;
	uint32_t seeds; /* so many orders of simultaneous events */
	void (*play)(struct sim_scene *s);
	uint64_t disk_bytes, log_bytes; /* 0: as usual */
	uint32_t order;                 /* enum config_order */
	uint32_t disks;                 /* 0: one */
	bool alone;                     /* without a cluster */
	struct promise promise;         /* zero: sync */
	bool block;                     /* on-copy-loss: block */
};

/* By theme; each table ends with a nameless one. */
extern const struct sim_scenario sim_scenarios_views[], sim_scenarios_promotion[],
	sim_scenarios_leases[], sim_scenarios_hosts[], sim_scenarios_copies[],
	sim_scenarios_refresh[], sim_scenarios_log[], sim_scenarios_line[],
	sim_scenarios_clients[], sim_scenarios_disks[], sim_scenarios_alone[],
	sim_scenarios_forced[], sim_scenarios_modes[], sim_scenarios_async[],
	sim_scenarios_block[], sim_scenarios_near[], sim_scenarios_move[],
	sim_scenarios_forward[], sim_scenarios_home[];

/* Play the scenario of that name, or "all" of them, and say how each went. With `trace`
 * the first seed that fails, or the first, goes to stdout step by step. `seeds`: so many
 * instead of as many as usual, unless 0. `watch`: as in a plan. Returns how many failed, or
 * -1: there is none of that name. */
int sim_scenario_run(const char *name, bool trace, uint64_t seeds, const char *watch);
/* Their names and a line on each. */
void sim_scenario_list(void);

/* ---- for the plays: scenario_play.c ---- */

struct sim_scene {
	struct sim *w;
	const struct sim_scenario *scenario;
	/* operands of the conditions */
	uint32_t node, site;
	uint64_t ballot, sequence, count, id;
	struct uuid generation;
	struct sim_request *write, *read;
};

typedef bool sim_condition(struct sim_scene *s);

/* Go on, event by event, until it is so. False, and the scenario has failed: not within
 * that time. */
bool sim_scene_until(struct sim_scene *s, uint64_t ms, sim_condition *is,
		     const char *what);
/* Go on for that time. False, and the scenario has failed: it was not so all the time. */
bool sim_scene_while(struct sim_scene *s, uint64_t ms, sim_condition *is,
		     const char *what);
bool sim_scene_expect(struct sim_scene *s, bool is, const char *what);

#define UNTIL(s, ms, is, what)                                                           \
	do {                                                                             \
		if (!sim_scene_until(s, ms, is, what))                                   \
			return;                                                          \
	} while (0)
#define WHILE(s, ms, is, what)                                                           \
	do {                                                                             \
		if (!sim_scene_while(s, ms, is, what))                                   \
			return;                                                          \
	} while (0)
#define EXPECT(s, is, what)                                                              \
	do {                                                                             \
		if (!sim_scene_expect(s, is, what))                                      \
			return;                                                          \
	} while (0)

/* All start; s->node, the first of all, serves, all is current; clients have written,
 * and are quiet now. No Pacemaker and no operator from here on. False: it failed. */
bool sim_scene_begin(struct sim_scene *s);
/* Clients write for that time, then are quiet. */
bool sim_scene_clients(struct sim_scene *s, uint64_t ms);

/* One sector of disk 0, or a flush, asked of that node. */
struct sim_request *sim_scene_write(struct sim_scene *s, uint32_t node, uint64_t sector);
struct sim_request *sim_scene_read(struct sim_scene *s, uint32_t node, uint64_t sector);
struct sim_request *sim_scene_flush(struct sim_scene *s, uint32_t node);
/* So many writes, one after the other, each answered. */
bool sim_scene_writes(struct sim_scene *s, uint32_t node, uint32_t count);
/* s->write, of s->sequence, is durable at s->node, which is that node from here on, and
 * nowhere else: all that this node sends is held up. */
bool sim_scene_tail(struct sim_scene *s, uint32_t node, uint64_t sector);
/* Site 1 of two missed so much that it is refreshed, and keeps its older image meanwhile;
 * reads of production's disk do not end, so that the refresh takes its time. */
bool sim_scene_refresh(struct sim_scene *s);
/* That site asks before it undoes writes that only it has: `connect --discard` gives them
 * up. */
bool sim_scene_give_up(struct sim_scene *s, uint32_t node);
/* A promotion of s->node, which is that node from here on, is asked for; s->id is its
 * place in w->reply. */
void sim_scene_promote(struct sim_scene *s, uint32_t node);
/* The same once its part of the members agrees, until it serves. */
bool sim_scene_takeover(struct sim_scene *s, uint32_t node);

struct cluster_core *sim_scene_core(struct sim_scene *s, uint32_t node);
const struct mirror_view *sim_scene_engine(struct sim_scene *s, uint32_t node);
/* The view that a node has accepted, by its voter file; NULL: none. */
const struct view *sim_scene_filed(struct sim_scene *s, uint32_t node);
/* The view that the node knows in effect. */
const struct view *sim_scene_view(struct sim_scene *s, uint32_t node);
const struct uuid *sim_scene_generation(struct sim_scene *s, uint32_t node);
/* Its promotion score, INT32_MIN: none. */
int32_t sim_scene_score(struct sim_scene *s, uint32_t node);

/* Conditions: s->write has its answer; s->read has, or has none; s->id has its reply;
 * s->node has s->sequence durable, or has never heard of it;
 * s->node serves under a lease; it has its devices open and is no production; it has no
 * promotion score; every node in one ring with s->node knows the same view in effect, and no
 * round is under way. */
sim_condition sim_told, sim_read_told, sim_read_not_told, sim_replied, sim_durable,
	sim_lacks, sim_serves, sim_is_open, sim_is_uninvited, sim_agree;

#endif
