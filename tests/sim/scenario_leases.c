/* scenario_leases.c */
#include "tests/sim/scenario.h"

const struct sim_scenario sim_scenarios_leases[] = {
	{ 0 },
};
