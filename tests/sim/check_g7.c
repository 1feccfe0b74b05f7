/* check_g7.c - G7, bounded: both cores' own invariants, bounds included, all the time,
 * and every queue that the status shows within the bound that it shows; what is queued
 * on one line too. That nothing waits for ever, settle.c sees at the end of every run.
 */
#include "mirror/internal.h"
#include "mirror/parts.h"
#include "mirror/status.h"
#include "tests/sim/sim.h"

#define ONE_IN 64u

static void check_queues(struct sim *w, uint32_t node)
{
	static struct mirror_status status;
	const struct mirror_engine *m = w->node[node].engine;

	mirror_status_fill(m, &status);
	for (uint32_t i = 0; i < status.queue_count; i++) {
		const struct mirror_status_queue *q = &status.queue[i];

		if (q->count > q->count_max)
			sim_violate(w, "G7", "n%u: %llu %s, and the bound is %llu",
				    node + 1, (unsigned long long)q->count, q->name,
				    (unsigned long long)q->count_max);
	}
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (m->link[i].frame_count > LINK_FRAMES_MAX)
			sim_violate(w, "G7", "n%u: %u frames wait on one line", node + 1,
				    m->link[i].frame_count);
}

static void mirror(struct sim *w, uint32_t node)
{
	if (w->count.steps_mirror % ONE_IN != 0)
		return;
	mirror_engine_check(w->node[node].engine);
	check_queues(w, node);
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
			check_queues(w, n);
			cluster_check(w->node[n].core);
		}
}

const struct sim_checker sim_check_g7 = {
	.name = "G7",
	.mirror = mirror,
	.cluster = cluster,
	.look = look,
};
