/* scenario_refresh.c */
#include "tests/sim/scenario.h"

const struct sim_scenario sim_scenarios_refresh[] = {
	{ 0 },
};
