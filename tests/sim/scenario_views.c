/* scenario_views.c */
#include "tests/sim/scenario.h"

const struct sim_scenario sim_scenarios_views[] = {
	{ 0 },
};
