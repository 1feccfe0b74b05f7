/* check_g7.c - G7, bounded: both cores' own invariants, bounds included, all the time.
 * That nothing waits for ever, settle.c sees at the end of every run.
 */
#include "tests/sim/sim.h"

#define ONE_IN 64u

static void mirror(struct sim *w, uint32_t node)
{
	if (w->count.steps_mirror % ONE_IN == 0)
		mirror_engine_check(w->node[node].engine);
}

static void cluster(struct sim *w, uint32_t node)
{
	if (w->count.steps_cluster % ONE_IN == 0)
		cluster_check(w->node[node].core);
}

static void look(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running) {
			mirror_engine_check(w->node[n].engine);
			cluster_check(w->node[n].core);
		}
}

const struct sim_checker sim_check_g7 = {
	.name = "G7",
	.mirror = mirror,
	.cluster = cluster,
	.look = look,
};
