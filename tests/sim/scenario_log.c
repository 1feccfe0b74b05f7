/* scenario_log.c */
#include "tests/sim/scenario.h"

const struct sim_scenario sim_scenarios_log[] = {
	{ 0 },
};
