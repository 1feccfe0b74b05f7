/* check_g4.c - G4, nothing stale: a site that is told to serve has all writes that were
 * acknowledged or shown, in any generation; and G1 through every crash of the same site: all
 * that were flushed. It may have less only after a force, or (D4) when power took unflushed
 * writes from the very site that serves now, and no current copy was there that had not
 * restarted; the promotion says so. M4: or within the bound of near-sync or async, when a copy
 * takes over that is counted; writes acknowledged in sync are never lost this way.
 */
#include "cluster/internal.h"
#include "tests/sim/check_m.h"
#include "tests/sim/sim.h"

static bool lost_power(const struct sim *w, const struct sim_generation *g, uint32_t site)
{
	return w->site[site].power_cuts != g->power_cuts[site];
}

static bool any_tainted(const struct sim *w)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (w->site[s].tainted)
			return true;
	return false;
}

/* A fault that no checksum finds may have taken the write: from the very site that serves, or
 * from one that would have made up for the loss by a power cut there. */
static bool is_excused(const struct sim *w, const struct sim_generation *g, uint32_t site,
		       uint64_t limit)
{
	return w->site[site].tainted ||
	       (any_tainted(w) && g->flushed <= limit && lost_power(w, g, site));
}

static void clamp(uint64_t *value, uint64_t limit)
{
	*value = *value < limit ? *value : limit;
}

/* M4: did a copy take over since, within the bound of the mode? */
static bool is_taken_over(const struct sim *w, uint32_t mine,
			  const struct sim_generation *g)
{
	for (int32_t i = (int32_t)mine; i >= 0 && &w->generation[i] != g;
	     i = w->generation[i].parent)
		if (w->generation[i].reason == GENERATION_NEAR_SYNC ||
		    w->generation[i].reason == GENERATION_ASYNC)
			return true;
	return false;
}

/* Then each copy that is reached has all that was acknowledged. */
static bool is_sync(const struct sim *w, uint32_t node)
{
	return cluster_view_in_effect(w->node[node].core)->promise.mode == CONFIG_SYNC;
}

static void check_bound(struct sim *w, uint32_t node, const struct sim_generation *g,
			uint64_t kept)
{
	static uint64_t all[SIM_GENERATIONS_MAX];
	const struct view *v = cluster_view_in_effect(w->node[node].core);
	const uint64_t last = g->acknowledged > g->seen ? g->acknowledged : g->seen;
	struct sim_lacked l;

	sim_limits(w, (uint32_t)(g - w->generation), all);
	l = sim_lacked(w, all, kept, last);
	if (g->sync_acknowledged > kept ||
	    sim_lacks_more(&l, &v->promise, g->decided_ns) ||
	    v->promise.mode == CONFIG_SYNC || !promise_counts(&v->promise))
		sim_violate(
			w, "M4",
			"n%u serves with %llu of generation %llu, and lacks %llu writes "
			"of those up to %llu; acknowledged in sync %llu",
			node + 1, (unsigned long long)kept,
			(unsigned long long)g->ordinal, (unsigned long long)l.count,
			(unsigned long long)last,
			(unsigned long long)g->sync_acknowledged);
	else if (w->node[node].core->promote.done_text[0] == 0)
		sim_violate(w, "M4", "n%u takes over, and does not name the bound",
			    node + 1);
}

static void check_generation(struct sim *w, uint32_t node, struct sim_generation *g,
			     uint64_t limit, bool alone)
{
	const uint32_t site = w->node[node].site;
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;

	if (g->acknowledged <= limit && g->seen <= limit)
		return;
	if (w->forced || is_excused(w, g, site, limit)) {
		;
	} else if (is_taken_over(w, mine, g)) {
		check_bound(w, node, g, limit);
	} else if (g->flushed > limit) {
		sim_violate(
			w, g->site == site ? "G1" : "G4",
			"n%u serves with %llu of generation %llu, and %llu was flushed",
			node + 1, (unsigned long long)limit,
			(unsigned long long)g->ordinal, (unsigned long long)g->flushed);
	} else if ((!alone && is_sync(w, node)) || !lost_power(w, g, site)) {
		sim_violate(w, "G4",
			    "n%u serves with %llu of generation %llu, and %llu was "
			    "acknowledged, %llu shown",
			    node + 1, (unsigned long long)limit,
			    (unsigned long long)g->ordinal,
			    (unsigned long long)g->acknowledged,
			    (unsigned long long)g->seen);
	} else if (w->node[node].core->promote.done_text[0] == 0) {
		sim_violate(w, "D4",
			    "n%u serves with %llu of generation %llu, %llu was "
			    "acknowledged, and the promotion does not say so",
			    node + 1, (unsigned long long)limit,
			    (unsigned long long)g->ordinal,
			    (unsigned long long)g->acknowledged);
	}
	clamp(&g->acknowledged, limit);
	clamp(&g->flushed, limit);
	clamp(&g->seen, limit);
	clamp(&g->sync_acknowledged, limit);
}

static void order(struct sim *w, uint32_t node, const struct order *o)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const uint32_t mine = (uint32_t)w->node[node].served_generation - 1;

	if (o->type != ORDER_SERVE || w->plan.alone) /* check_alone.c */
		return;
	w->forced |= w->generation[mine].reason == GENERATION_FORCED;
	sim_limits(w, mine, limit);
	for (uint32_t g = 0; g < w->generation_count; g++)
		check_generation(w, node, &w->generation[g], limit[g], o->sites == 0);
}

/* A force that went through: writes that only others have may be lost from here on. */
static void cluster(struct sim *w, uint32_t node)
{
	const struct view *v = cluster_view_in_effect(w->node[node].core);

	if (w->forced || v == NULL)
		return;
	w->forced = cluster_view_generation(v)->reason == GENERATION_FORCED ||
		    !uuid_is_zero(&v->fork.lineage);
	if (w->forced)
		sim_trace(w, "forced");
}

const struct sim_checker sim_check_g4 = {
	.name = "G4",
	.order = order,
	.cluster = cluster,
};
