/* scenario_promotion.c */
#include "tests/sim/scenario.h"

const struct sim_scenario sim_scenarios_promotion[] = {
	{ 0 },
};
