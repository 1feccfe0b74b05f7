/* run.c - one run: made, driven to its end, judged. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/run.h"

/* Members come in any order, some late. */
static void start_all(struct sim *w)
{
	uint32_t started = 0;

	while (started < w->node_count && w->violation[0] == 0) {
		const uint32_t n = (uint32_t)sim_random(w, w->node_count);

		if (w->node[n].process > 0)
			continue;
		sim_node_start(w, n);
		started++;
		if (sim_random(w, 2) == 0)
			sim_run(w, w->now_ns + sim_random(w, 800 * SIM_MS));
	}
}

/* A watcher says what slows a node, and may not come to say it again. */
static void throttle(struct sim *w, uint32_t node)
{
	struct order o = { .type = ORDER_THROTTLE };

	if (!w->node[node].running || w->now_ns < w->node[node].frozen_until_ns ||
	    sim_random(w, 3) == 0)
		return;
	o.sleep_us = (uint32_t)(sim_random(w, 2) * sim_random(w, 30000));
	o.delay_us = (uint32_t)(sim_random(w, 2) * sim_random(w, 300000));
	o.bytes_per_s = sim_random(w, 2) * ((64 << 10) + sim_random(w, 4 << 20));
	o.until_ns = sim_clock(w, node) + sim_random(w, 3 * SIM_S);
	sim_trace(w, "n%u is throttled: sleep %u us, delay %u us, %llu bytes/s", node + 1,
		  o.sleep_us, o.delay_us, (unsigned long long)o.bytes_per_s);
	sim_node_order(w, node, &o);
}

/* Dead processes come back, sooner or later, and broken disks are replaced. */
static void live(struct sim *w, uint64_t until_ns)
{
	while (w->now_ns < until_ns && w->violation[0] == 0) {
		sim_run(w, w->now_ns + (100 + sim_random(w, 900)) * SIM_MS *
					       (1 + w->plan.slow));
		for (uint32_t n = 0; w->plan.throttles && n < w->node_count; n++)
			throttle(w, n);
		for (uint32_t n = 0; n < w->node_count; n++)
			if (!w->node[n].running && sim_random(w, 3) == 0 &&
			    !w->pacemaker.fence_at_ns[n])
				sim_node_start(w, n);
	}
}

void sim_run_plan(uint64_t seed, const struct sim_plan *plan, bool trace,
		  struct sim_result *result)
{
	struct sim *w = sim_create(seed, plan);

	w->trace = trace;
	start_all(w);
	live(w, SIM_S + plan->ns);
	if (w->violation[0] == 0)
		sim_settle(w);
	result->count = w->count;
	result->ns = w->now_ns;
	result->failed = w->violation[0] != 0;
	snprintf(result->guarantee, sizeof result->guarantee, "%s", w->guarantee);
	snprintf(result->text, sizeof result->text, "%s", w->violation);
	sim_destroy(w);
}
