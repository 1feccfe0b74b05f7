/* check_g3.c - G3, one production: nobody answers once another was promoted, and nobody
 * begins to serve while another still holds a lease. After a force two lineages may live.
 */
#include "mirror/internal.h"
#include "tests/sim/sim.h"

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;

	if (r->request.result != 0 || w->forced || mine == w->newest)
		return;
	sim_violate(w, "G3", "n%u answers in generation %llu, and generation %llu serves",
		    node + 1, (unsigned long long)w->generation[mine].ordinal,
		    (unsigned long long)w->generation[w->newest].ordinal);
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	if (f->type != FACT_SERVING || f->error != 0)
		return;
	w->newest = (uint32_t)w->node[node].served_generation - 1;
	w->generation[w->newest].served = true;
	w->generation[w->newest].served_ns = w->now_ns;
	w->count.serves++;
	for (uint32_t n = 0; n < w->node_count && !w->forced; n++)
		if (n != node && sim_node_serves(w, n) &&
		    sim_clock(w, n) < mirror_engine_lease_until_ns(w->node[n].engine))
			sim_violate(w, "G3", "n%u serves while n%u has a lease", node + 1,
				    n + 1);
}

const struct sim_checker sim_check_g3 = {
	.name = "G3",
	.answered = answered,
	.fact = fact,
};
