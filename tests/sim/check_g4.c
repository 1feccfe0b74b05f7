/* check_g4.c - G4, nothing stale: a site that is told to serve has all that was
 * acknowledged or shown, in any generation; and G1 through every crash of the same site:
 * all that was flushed. Less is right only after a force, or (D4) when power took unflushed
 * writes from the very site that serves now, and no current copy was there that had not
 * restarted; the promotion says so.
 */
#include "cluster/internal.h"
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

static void check_generation(struct sim *w, uint32_t node, struct sim_generation *g,
			     uint64_t limit, bool alone)
{
	const uint32_t site = w->node[node].site;

	if (g->acknowledged <= limit && g->seen <= limit)
		return;
	if (w->forced || is_excused(w, g, site, limit)) {
		;
	} else if (g->flushed > limit) {
		sim_violate(
			w, g->site == site ? "G1" : "G4",
			"n%u serves with %llu of generation %llu, and %llu was flushed",
			node + 1, (unsigned long long)limit,
			(unsigned long long)g->ordinal, (unsigned long long)g->flushed);
	} else if (!alone || !lost_power(w, g, site)) {
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
	const struct view *v = cluster_vote_in_effect(w->node[node].core);

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
