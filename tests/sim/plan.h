/* plan.h - a run's mirror and its faults: drawn from its seed (plan.c) or set by a scenario.
 */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/promise.h"

#define SIM_SITES_MAX 4u
#define SIM_NODES_MAX 7u
#define SIM_FAULTS_MAX 64u

enum sim_fault_type {
	SIM_KILL,       /* process a */
	SIM_RESET,      /* machine a */
	SIM_SITE_POWER, /* all machines and devices of site a */
	SIM_ALL_POWER,
	SIM_STOP, /* process a for b ms */
	SIM_STOP_MACHINE,
	SIM_PART, /* members and lines by mask a for b ms */
	SIM_PART_MEMBERS,
	SIM_PART_LINES,
	SIM_RESET_LINES,
	SIM_STALL, /* nothing comes from node a to another for c ms */
	SIM_SLOW_DEVICE,
	SIM_STUCK_DEVICE,
	SIM_FAIL_DEVICE,
	SIM_LOSE_VOTER_FILE,
	SIM_ROT,
	SIM_LOST_WRITE,
	SIM_MISDIRECTED_WRITE,
	SIM_WALL_JUMP,
	SIM_PROMOTE,
	SIM_FORCE,
	SIM_DEMOTE,
	SIM_LEAVE,
	SIM_DISCONNECT,
	SIM_CONNECT,
	SIM_REFRESH,
	SIM_FAIL_FROZEN,
	SIM_CALL_OFF,     /* promotions at node a: their time is over */
	SIM_REPAIR,       /* and then nothing for a while */
	SIM_HUNG_DEVICE,  /* it answers nothing any more until all is repaired */
	SIM_HOLE,         /* like SIM_STALL, of records with data only */
	SIM_PROMOTE_BOTH, /* without a cluster: on both sides at once */
	SIM_MODE,         /* another promise is asked for (M3) */
	SIM_MOVE,         /* production of node a is to move to site b (M5) */
	SIM_FAULT_TYPES,
};

/* When a fault strikes: at once, or as soon as a node is seen in that state. */
enum sim_moment {
	SIM_AT_ONCE,
	SIM_IN_ROUND,
	SIM_IN_PREPARE,
	SIM_IN_REFRESH,
	SIM_IN_CUT,
	SIM_IN_GREETING,
	SIM_IN_START,
	SIM_IN_BYPASS,
	SIM_IN_REFUSAL, /* D4: it refuses older links, and nobody has taken over yet */
	SIM_IN_CLEAN,   /* production was demoted cleanly */
	SIM_IN_CHASE,   /* a copy follows production that is not waited for yet */
	SIM_IN_NEED,    /* nobody serves, and here only a force would help */
	/* without a cluster */
	SIM_IN_PROBE,    /* a promotion asks the other site, or prepares its own */
	SIM_IN_ROLL,     /* it takes the other site's records beyond its own log */
	SIM_IN_FROZEN,   /* writes wait for a copy that is gone */
	SIM_IN_CATCH_UP, /* a copy is sent its missed records, from the log */
	/* of a planned move, in both worlds */
	SIM_IN_MOVE,   /* production is demoted for it */
	SIM_IN_FOLLOW, /* ... and is to begin at the other site */
	SIM_MOMENTS,
};

struct sim_fault {
	uint64_t at_ns;
	enum sim_fault_type type;
	enum sim_moment moment;
	uint64_t a, b, c;
	bool armed, seen, done;
	bool here; /* it strikes node a, which was seen so, or its site */
};

/* Kinds of runs that are drawn apart, so that the seeds of one say nothing of another. */
enum sim_world {
	SIM_CLUSTER,
	SIM_ALONE,     /* pairs without a cluster */
	SIM_THROTTLES, /* clients and the line are slowed, by another measure each moment */
	SIM_MODES, /* near-sync and async too, changes of the promise, on-copy-loss: block */
};

/* The world of a run: drawn from its seed (swarm), or set by a scenario. */
struct sim_plan {
	bool alone; /* `cluster: none`: two sites of one host each, and an operator */
	uint32_t site_count, hosts[SIM_SITES_MAX], witnesses, disk_count;
	uint64_t disk_bytes, log_bytes, span_bytes; /* span: where clients write */
	uint64_t quiet_ns; /* between a client's requests, about */
	uint32_t burst;    /* one in so many pauses is none at all */
	uint64_t cpg_us, mail_us, line_us, io_us; /* delays, at most */
	bool fencing;
	uint64_t fence_ms;
	uint64_t sync_ms;      /* so late a fencer that starts is told of older ones */
	bool force;            /* operators may */
	uint32_t order;        /* enum config_order */
	uint32_t stale_one_in; /* records on the line; 0: none */
	uint32_t device_timeout_ms; /* 0: none */
	uint64_t ns;                /* how long, without the end */
	uint32_t slow;              /* dead processes come back so many times later */
	struct promise promise;     /* of the file; zero: sync */
	bool modes;                 /* SIM_MODES */
	bool throttles;             /* SIM_THROTTLES */
	uint32_t record_us;         /* of a line's time for each frame with data */
	bool block;                 /* on-copy-loss: block (M8) */
	const char *watch;          /* only violations of this one count; NULL: all */
	uint32_t fault_count;
	struct sim_fault fault[SIM_FAULTS_MAX];
};

/* Draw a run from its seed. */
void sim_plan_draw(struct sim_plan *p, uint64_t seed, enum sim_world world);
struct promise sim_promise_draw(uint64_t a, uint64_t b);
/* Is its promise async, or may it become so? */
bool sim_plan_is_async(const struct sim_plan *p);
const char *sim_fault_name(enum sim_fault_type type);
const char *sim_moment_name(enum sim_moment moment);
const char *sim_world_name(enum sim_world world); /* "": SIM_CLUSTER */

#endif
