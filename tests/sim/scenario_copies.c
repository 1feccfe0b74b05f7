/* scenario_copies.c */
#include "tests/sim/scenario.h"

const struct sim_scenario sim_scenarios_copies[] = {
	{ 0 },
};
