/* promote_text.c - what a promotion may lose, in words: where it is refused, and where a force
 * or the mode (M4) accepts it.
 */
#include <stdio.h>

#include "cluster/generation.h"

/* The loss that a force may cause, as far as it is known, where it has `mine`, from the sites
 * `reached` too. */
static void name_loss(const struct cluster_core *c, const struct view *v, uint64_t mine,
		      uint32_t reached, char *text, size_t size)
{
	const struct node *n = v->production_node >= 0 ? &c->node[v->production_node] :
							 NULL;
	uint64_t last = v->clean ? v->clean_end : 0;

	if ((reached & cluster_site_bit(c, v->production_site)) != 0) {
		snprintf(text, size,
			 "all that the log of %s holds is kept; what it does not hold "
			 "after record %llu is lost",
			 cluster_site_name(c, v->production_site),
			 (unsigned long long)mine);
		return;
	}
	if (n != NULL && n->known && n->said.site == v->production_site &&
	    n->said.marks.logged > last)
		last = n->said.marks.logged;
	if (last > mine)
		snprintf(text, size,
			 "at least the records %llu to %llu of %s are lost; how many "
			 "bytes and groups, and what followed them, cannot be known",
			 (unsigned long long)mine + 1, (unsigned long long)last,
			 cluster_site_name(c, v->production_site));
	else
		snprintf(text, size,
			 "what %s wrote after record %llu is lost; how many groups "
			 "and bytes cannot be known",
			 cluster_site_name(c, v->production_site),
			 (unsigned long long)mine);
}

/* How far a roll-forward would come, as its sources say, and which these are. */
static uint64_t within_reach(const struct cluster_core *c, const struct view *v,
			     uint32_t *sites)
{
	uint64_t last = c->role.marks.logged;

	*sites = 0;
	for (uint32_t s = 0; s < v->site_count && s < c->config->site_count; s++) {
		const struct node *n;

		if (!cluster_generation_source(c, v, s, true))
			continue;
		*sites |= 1u << s;
		n = &c->node[v->site[s].host.node];
		if (n->said.marks.logged > last)
			last = n->said.marks.logged;
	}
	return last;
}

void cluster_promote_outdated(const struct cluster_core *c, const struct view *v,
			      char *text, size_t size)
{
	const char *own = cluster_site_name(c, (int32_t)cluster_own_site(c));
	const char *production = cluster_site_name(c, v->production_site);
	const bool counted = cluster_own_site(c) < v->site_count &&
			     v->site[cluster_own_site(c)].current;
	char mode[PROMISE_TEXT_BYTES];
	uint32_t sites;
	uint64_t last;

	promise_text(&v->promise, mode);
	if (!promise_counts(&v->promise) && !v->clean)
		snprintf(text, size,
			 "in async no copy is current: promote %s, or use --force: then ",
			 production);
	else if (v->promise.mode == CONFIG_ASYNC && !v->clean && !counted)
		snprintf(text, size,
			 "%s is not near, by %s: promote %s, or use --force: then ", own,
			 mode, production);
	else if (cluster_own_site(c) < v->site_count &&
		 (v->bypass >> cluster_own_site(c) & 1) != 0)
		snprintf(text, size,
			 "%s is in bypass, and misses what generation %llu of %s has "
			 "written since: promote %s or a current copy, or use --force: "
			 "then ",
			 own, (unsigned long long)cluster_view_generation(v)->ordinal,
			 production, production);
	else if (counted)
		snprintf(text, size,
			 "%s has restarted since it was counted as current, and may have "
			 "lost what it had then (%s): promote %s, or use --force: then ",
			 own, mode, production);
	else
		snprintf(text, size,
			 "%s is outdated: generation %llu of %s does not count it as "
			 "current%s; promote %s or a current copy, or use --force: then ",
			 own, (unsigned long long)cluster_view_generation(v)->ordinal,
			 production,
			 v->clean ? " and it does not hold all up to the clean end" : "",
			 production);
	last = within_reach(c, v, &sites);
	name_loss(c, v, last, sites, text + strlen(text), size - strlen(text));
}

/* This opening of the devices has all of the view's generation, however that ended: it was
 * its production, or a current copy, or the generation is empty. */
static bool has_all(const struct cluster_core *c, const struct view *best)
{
	const struct generation *g = cluster_view_generation(best);
	const struct view_site *own = &best->site[c->role.site];

	return best->clean ||
	       (uuid_equal(&c->role.whole, &g->id) &&
		c->role.whole_incarnation == c->role.incarnation) ||
	       (own->current && own->current_incarnation == c->role.incarnation) ||
	       (g->reason == GENERATION_CREATED && best->production_node == VIEW_NONE);
}

/* D4: name the promise if no current copy was reached that has not restarted. */
void cluster_promote_name_loss(struct cluster_core *c)
{
	const struct view *best = &c->round.best, *v = &c->round.next;
	const char *mode = best->promise.mode == CONFIG_ASYNC ? "async" : "near-sync";
	char loss[200];

	c->promote.done_text[0] = 0;
	if (c->round.kind == ROUND_FORCE || c->promote.parted) {
		snprintf(c->promote.done_text, sizeof c->promote.done_text,
			 "; without a "
			 "majority of the voters: if the others have gone on, that is a "
			 "SplitBrain, and what one side wrote is lost");
	} else if (c->promote.reason == PROMOTE_FORCED) {
		name_loss(c, best, history_newest(&v->history)->cut,
			  c->promote.reached_sites, loss, sizeof loss);
		snprintf(c->promote.done_text, sizeof c->promote.done_text, "; %s", loss);
	} else if (c->promote.reason == PROMOTE_CURRENT &&
		   best->promise.mode != CONFIG_SYNC) {
		promise_bound_text(&best->promise, loss);
		snprintf(c->promote.done_text, sizeof c->promote.done_text,
			 "; what %s had answered and this site lacks is lost: at most %s "
			 "(%s)",
			 cluster_site_name(c, best->production_site), loss, mode);
	} else if (has_all(c, best) || (cluster_view_current_sites(v) != 0 &&
					best->promise.mode == CONFIG_SYNC)) {
		return;
	} else if (cluster_view_current_sites(v) != 0) {
		promise_bound_text(&best->promise, loss);
		snprintf(c->promote.done_text, sizeof c->promote.done_text,
			 "; if this site has lost its power, up to %s that were not "
			 "flushed may be lost (%s)",
			 loss, mode);
	} else {
		snprintf(
			c->promote.done_text, sizeof c->promote.done_text,
			"; no current copy "
			"that has not restarted was reached: only what was flushed is promised");
	}
}
