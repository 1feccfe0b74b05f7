/* run.h - one run of the simulator, and what came of it. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "tests/sim/sim.h"

struct sim_result {
	bool failed;
	char guarantee[8];
	char text[400];
	uint64_t ns; /* simulated */
	struct sim_counts count;
};

/* Run the plan from its seed to its end. With `trace` a transcript goes to stdout. */
void sim_run_plan(uint64_t seed, const struct sim_plan *plan, bool trace,
		  struct sim_result *result);

#endif
