/* check_undo.c - D8: nothing that was acknowledged is undone unasked. A site drops records of
 * its log without which a later generation was opened. If clients had been told of them, that
 * is a force's doing, and an operator has given them up: by `connect --discard`, or by a force
 * here. The site that took over may have lost unflushed records to a power cut, and its
 * promotion says so (D4): then only flushed records count. Or it took over within the bound
 * of its mode (M4), which check_g4.c has judged.
 */
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

static bool power_failed(const struct sim *w, const struct sim_generation *g)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (w->site[s].power_cuts != g->power_cuts[s])
			return true;
	return false;
}

static bool any_tainted(const struct sim *w)
{
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (w->site[s].tainted)
			return true;
	return false;
}

/* M4: did a copy take over there within the bound of the mode? */
static bool is_within_bound(const struct sim *w, uint64_t keep)
{
	for (uint32_t i = 0; i < w->generation_count; i++)
		if ((w->generation[i].reason == GENERATION_NEAR_SYNC ||
		     w->generation[i].reason == GENERATION_ASYNC) &&
		    w->generation[i].cut == keep)
			return true;
	return false;
}

/* The site of `m` keeps its records up to `keep`. */
static void check_cut(struct sim *w, const struct mirror_view *m, uint64_t keep)
{
	static uint64_t limit[SIM_GENERATIONS_MAX];
	const struct sim_site *s = &w->site[m->site];

	if (s->given_up || any_tainted(w) || w->voter_file_lost ||
	    is_within_bound(w, keep))
		return;
	sim_limits(w, (uint32_t)s->tail_generation, limit);
	for (uint32_t i = 0; i < w->generation_count; i++) {
		const struct sim_generation *g = &w->generation[i];
		uint64_t said = power_failed(w, g) ? g->said_flushed : g->said;

		said = said < limit[i] ? said : limit[i];
		said = said < s->tail_last ? said : s->tail_last;
		if (said > keep && said > g->cut)
			sim_violate(w, "D8",
				    "site %u keeps records up to %llu, and %llu of "
				    "generation %llu was acknowledged: nobody gave it up",
				    m->site, (unsigned long long)keep,
				    (unsigned long long)said,
				    (unsigned long long)g->ordinal);
	}
}

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[w->node[node].site];
	uint64_t keep = m->marks->next_to_log -
			1; /* a record without a log write begun is not had */

	if (!w->node[node].open)
		return;
	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING || m->failed) {
		s->tail_generation = -1;
		return;
	}
	if (m->cutting)
		keep = m->cut_keep;
	/* A cut to a hold drops nothing that counts; one to nothing follows a history that no
	 * longer lists this site's. */
	if (s->tail_generation >= 0 && (m->cut_home || (keep == 0 && !m->sb->blank)) &&
	    !s->cut_seen && keep < s->tail_last)
		check_cut(w, m, keep);
	s->cut_seen = m->cutting;
	if (s->cut_seen)
		return;
	if (keep < s->tail_last)
		s->given_up = false;
	s->tail_generation = sim_generation_of(w, m);
	s->tail_last = keep;
}

static void order(struct sim *w, uint32_t node, const struct order *o)
{
	if ((o->type == ORDER_PREPARE && o->force) ||
	    (o->type == ORDER_MARK && o->discard != 0))
		w->site[w->node[node].site].given_up = true;
}

const struct sim_checker sim_check_undo = {
	.name = "undo",
	.order = order,
	.mirror = mirror,
};
