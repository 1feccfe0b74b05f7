/* pool.c - see pool.h. */
#include "tests/sim/pool.h"

#include <errno.h>
#include <string.h>

#include "tests/sim/sim.h"

/* Memory is short one time in four: what is asked for does not come, or does not go. */
void sim_pool_order(struct sim *w, uint32_t node, const struct mirror_pool_order *o)
{
	uint64_t error;

	if (o->action == MIRROR_POOL_KEEP)
		return;
	error = sim_random(w, 4) == 0 ? ENOMEM : 0;
	w->node[node].pool = *o;
	sim_at(w, sim_soon(w, 200000), SIM_POOL, node, error, NULL);
}

/* No buffer is there: pages that have come, and those that are gone, hold nothing. */
void sim_pool_event(struct sim *w, const struct sim_event *e)
{
	const struct mirror_pool_order *o = &w->node[e->node].pool;
	struct mirror_event event = { .type = MIRROR_EVENT_POOL,
				      .error = -(int32_t)e->number };

	sim_trace(w, "n%u POOL %s by %llu KiB: %s", e->node + 1,
		  o->action == MIRROR_POOL_GROW ? "grows" : "shrinks",
		  (unsigned long long)o->bytes >> 10, strerror((int)e->number));
	if (e->number == 0)
		memset(o->at, 0x5a, o->bytes);
	sim_mirror_step(w, e->node, &event);
}
