/* check_d5.c - D5, the order in which a generation is opened: a site that was reached has
 * stored the refusal and has no record that was not rolled forward; a site that was not
 * reached is neither waited for nor current; M4: each copy that is here, follows and has more is
 * asked, counted or not. (journal.c sees that no identity stands for
 * two records; check_g1.c that recovered records are not shown too early.)
 */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "mirror/line/history.h"
#include "tests/sim/sim.h"

static const struct order_peer *source_of(const struct mirror_view *m, uint32_t site)
{
	for (uint32_t i = 0; i < m->prepare->source_count; i++)
		if (m->prepare->source[i].site == site)
			return &m->prepare->source[i];
	return NULL;
}

/* The host of `site` as it was asked: NULL: it is another one now, or busy. */
static const struct mirror_view *asked(const struct sim *w, const struct mirror_view *m,
				       uint32_t site)
{
	const struct order_peer *source = source_of(m, site);
	const int32_t host = w->site[site].open_node;
	const struct mirror_view *copy;

	if (source == NULL || host < 0 || w->site[site].tainted)
		return NULL;
	copy = sim_view(w, host);
	return (copy->incarnation == source->incarnation || w->plan.alone) &&
			       copy->state == ENGINE_IDLE && !copy->failed &&
			       !copy->cutting ?
		       copy :
		       NULL;
}

static void check_source(struct sim *w, uint32_t node, uint32_t site,
			 const struct mirror_view *copy)
{
	const struct mirror_view *m = sim_view(w, node);
	struct mirror_judgement j;

	if (copy->sb->refusal.ballot > m->prepare->ballot ||
	    copy->view_ballot > m->prepare->ballot)
		return; /* it has answered a later one since, or this one has lost */
	if (!uuid_equal(&copy->sb->refusal.generation, &m->prepare->generation)) {
		sim_violate(w, "D5",
			    "n%u has rolled forward from site %u, which has not stored "
			    "the refusal",
			    node + 1, site);
		return;
	}
	mirror_history_judge(&copy->sb->history, copy->marks->logged,
			     &m->prepare->history, &j);
	if (j.verdict == MIRROR_VERDICT_CONTINUES && j.keep_sequence > m->marks->last)
		sim_violate(w, "D5",
			    "n%u has prepared a generation that begins after %llu, and "
			    "site %u, which it reached, holds up to %llu",
			    node + 1, (unsigned long long)m->marks->last, site,
			    (unsigned long long)j.keep_sequence);
}

/* A source that was left out has nothing that would have been missed. */
static void check_left_out(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);

	for (uint32_t i = 0; i < m->prepare->source_count; i++) {
		const uint32_t site = m->prepare->source[i].site;
		const struct mirror_view *copy = asked(w, m, site);
		struct mirror_judgement j;

		if ((m->tried >> i & 1) != 0 || copy == NULL || copy->holds)
			continue;
		mirror_history_judge(&copy->sb->history, copy->marks->logged,
				     &m->prepare->history, &j);
		if (j.verdict == MIRROR_VERDICT_CONTINUES &&
		    j.keep_sequence > m->marks->last)
			sim_violate(w, "M4",
				    "n%u has prepared a generation that begins after "
				    "%llu, and has not asked site %u, which has %llu",
				    node + 1, (unsigned long long)m->marks->last, site,
				    (unsigned long long)j.keep_sequence);
	}
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	const struct mirror_view *m = sim_view(w, node);

	if (f->type != FACT_PREPARED || f->error != 0)
		return;
	w->node[node].reached_sites = f->reached_sites;
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		const struct mirror_view *copy = (f->reached_sites >> s & 1) != 0 ?
							 asked(w, m, s) :
							 NULL;

		if (copy != NULL)
			check_source(w, node, s, copy);
	}
	check_left_out(w, node);
}

static void order(struct sim *w, uint32_t node, const struct order *o)
{
	const uint32_t reached = w->node[node].reached_sites;

	if (o->type == ORDER_SERVE && (o->sites & ~reached) != 0)
		sim_violate(w, "D5",
			    "n%u begins generation %llu with the copies %x in its set, "
			    "and it has reached %x",
			    node + 1,
			    (unsigned long long)history_newest(&o->history)->ordinal,
			    o->sites, reached);
}

/* What the site's host has logged, if a promotion on that node can take it: its host is open,
 * follows, and is a member of whom this one has heard that. Else 0. */
static uint64_t within_reach(struct sim *w, const struct cluster_core *c, uint32_t site)
{
	const struct view_host *h = &c->round.best.site[site].host;
	const struct node *n = &c->node[h->node >= 0 ? h->node : 0];
	const struct uuid *g = &cluster_view_generation(&c->round.best)->id;
	const struct mirror_view *m;

	if (h->node < 0 || !n->member || w->site[site].open_node != h->node ||
	    n->said.incarnation_open != h->incarnation ||
	    (n->said.flags & ANNOUNCE_OPEN) == 0 ||
	    !uuid_equal(&n->said.log_newest.id, g))
		return 0;
	m = sim_view(w, h->node);
	return m->state == ENGINE_IDLE && m->incarnation == h->incarnation &&
			       !m->failed && !m->holds &&
			       uuid_equal(&history_newest(&m->sb->history)->id, g) ?
		       m->marks->logged :
		       0;
}

static void cluster(struct sim *w, uint32_t node)
{
	const struct cluster_core *c = w->node[node].core;
	const struct view *best = &c->round.best;

	if (w->plan.alone || c->role.serve != SERVE_PREPARING ||
	    c->role.prepare_id == w->node[node].prepare_seen)
		return; /* it was told in an earlier step */
	w->node[node].prepare_seen = c->role.prepare_id;
	if (best->promise.mode == CONFIG_SYNC && !c->promote.force)
		return; /* a copy that is counted has all */
	for (uint32_t s = 0; s < w->plan.site_count; s++)
		if (s != w->node[node].site && c->promote.sources[s] == 0 &&
		    within_reach(w, c, s) > sim_view(w, node)->marks->last)
			sim_violate(w, "M4",
				    "n%u is promoted, and does not ask site %u, which "
				    "follows and has up to %llu",
				    node + 1, s,
				    (unsigned long long)within_reach(w, c, s));
}

const struct sim_checker sim_check_d5 = {
	.name = "D5",
	.fact = fact,
	.order = order,
	.cluster = cluster,
};
