/* run.h - one run of the simulator, many of them, and a failed one cut short. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "tests/sim/sim.h"

struct sim_result {
	bool failed;
	char guarantee[8]; /* "abort": an assertion of the cores, or a signal; "loop" */
	char text[400];
	uint64_t ns; /* simulated */
	struct sim_counts count;
};

/* Run the plan from its seed to its end. With `trace` a transcript goes to stdout. */
void sim_run_plan(uint64_t seed, const struct sim_plan *plan, bool trace,
		  struct sim_result *result);

/* The same in a process of its own, so that an abort is a result too. */
void sim_run_apart(uint64_t seed, const struct sim_plan *plan, struct sim_result *result);

struct sim_batch {
	uint64_t first;   /* seed */
	uint64_t runs;    /* at most; 0: as many as there is time for */
	uint64_t seconds; /* no run begins after so long; 0: no limit */
	uint32_t jobs;    /* at once */
	bool keep_going;  /* after a failure */
	enum sim_world world;
	/* filled: */
	uint64_t next; /* the first seed that was not begun */
	uint64_t done, failed, ns;
	double elapsed;
	struct sim_counts sum;
};

/* Run seeds on all cores; each failure is printed, and the schedule it needs. */
void sim_batch_run(struct sim_batch *b);

/* Cut the schedule of a failed run, so that the rest fails the same guarantee. Prints it. */
void sim_shrink(uint64_t seed, enum sim_world world, const struct sim_result *failure);

/* Only these faults of the seed's own ("3,7,12"; "": none). False: no such list. */
bool sim_plan_only(struct sim_plan *p, const char *list);

#endif
