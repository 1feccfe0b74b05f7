/* in_effect.c - a view takes effect (D1): a majority has accepted it, or a member says so. The
 * parts that it concerns act on it, and people are told of the changes.
 */
#include "cluster/block.h"

/* A member that follows a forced lineage leaves its own behind. Under its old epoch it
 * would vote in both. */
static void change_lineage(struct cluster_core *c, const struct view *v)
{
	cluster_tell(c, "view", "", "D2-lineage",
		     "a force made a new lineage; this node "
		     "follows it");
	if (cluster_view_voters_epoch(&v->voters, c->self.node) == c->voter.epoch)
		return;
	c->voter.epoch = cluster_random(c);
	c->voter.has_accepted = false;
	c->together.has = false;
}

static void tell_sites(struct cluster_core *c, const struct view *before,
		       const struct view *v)
{
	for (uint32_t s = 0; s < v->site_count && s < c->config->site_count; s++) {
		const struct view_site *a = &before->site[s], *b = &v->site[s];
		const char *name = cluster_site_name(c, (int32_t)s);

		if (b->host.node != a->host.node)
			cluster_tell(c, "site", name, "D6-host", "its host is %s",
				     b->host.node == VIEW_NONE ?
					     "none" :
					     cluster_node_name(c, b->host.node));
		if (b->current &&
		    (!a->current || a->current_incarnation != b->current_incarnation))
			cluster_tell(c, "site", name, "D3-enter",
				     "current from sequence %llu "
				     "on",
				     (unsigned long long)b->current_from);
		if (a->current && !b->current)
			cluster_tell(c, "site", name, "D3-leave", "no longer current%s%s",
				     c->role.copy[s].lost_text[0] != 0 ? ": " : "",
				     c->role.copy[s].lost_text);
	}
}

static void tell_production(struct cluster_core *c, const struct view *before,
			    const struct view *v)
{
	static const char *const words[] = {
		"",
		"created",
		"the same site again",
		"a current copy took over",
		"after a clean demote",
		"within the bound of near-sync",
		"forced",
		"within the bound of async",
	};
	static const char *const rules[] = {
		"",         "D5-created",   "D5-restarted", "D5-current",
		"D5-clean", "D5-near-sync", "D5-forced",    "D5-async",
	};
	const struct generation *g = cluster_view_generation(v);

	if (!uuid_equal(&g->id, &cluster_view_generation(before)->id))
		cluster_tell(c, "generation", "", rules[g->reason],
			     "generation %llu begins "
			     "after sequence %llu at %s: %s",
			     (unsigned long long)g->ordinal, (unsigned long long)g->cut,
			     cluster_site_name(c, (int32_t)g->site), words[g->reason]);
	if (v->production_node != before->production_node)
		cluster_tell(c, "mirror", c->config->mirror,
			     v->clean ? "D4-clean-end" : "", "production is %s",
			     v->production_node == VIEW_NONE ?
				     "none" :
				     cluster_node_name(c, v->production_node));
}

static void tell_promise(struct cluster_core *c, const struct view *before,
			 const struct view *v)
{
	char promise[PROMISE_TEXT_BYTES], wanted[PROMISE_TEXT_BYTES];

	promise_text(&v->promise, promise);
	promise_text(&v->wanted, wanted);
	if (!promise_equal(&v->promise, &before->promise))
		cluster_tell(c, "mirror", c->config->mirror, "M3-promise",
			     "the mode is %s", promise);
	else if (!promise_equal(&v->wanted, &before->wanted) &&
		 !promise_equal(&v->wanted, &v->promise))
		cluster_tell(c, "mirror", c->config->mirror, "M3-wanted",
			     "the mode will be %s, once every current copy has what was "
			     "answered before",
			     wanted);
}

/* For people. `before` is NULL: this node knew no view. */
static void tell_changes(struct cluster_core *c, const struct view *before)
{
	const struct view *v = cluster_view_in_effect(c);

	if (before == NULL) {
		cluster_tell(c, "view", "", "", "ballot %llu, generation %llu",
			     (unsigned long long)v->ballot,
			     (unsigned long long)cluster_view_generation(v)->ordinal);
		return;
	}
	tell_production(c, before, v);
	tell_promise(c, before, v);
	tell_sites(c, before, v);
	for (uint32_t i = 0; i < v->voters.count; i++)
		if (cluster_view_voters_epoch(&before->voters, v->voters.voter[i].node) !=
		    v->voters.voter[i].epoch)
			cluster_tell(c, "member",
				     cluster_node_name(c, v->voters.voter[i].node),
				     "D1-voter", "is a voter");
	for (uint32_t i = 0; i < before->voters.count; i++)
		if (cluster_view_voters_epoch(&v->voters, before->voters.voter[i].node) ==
		    0)
			cluster_tell(c, "member",
				     cluster_node_name(c, before->voters.voter[i].node),
				     "D1-voter", "is no voter any more: it has left");
}

void cluster_in_effect_take(struct cluster_core *c, const struct view *v)
{
	const struct view *mine = cluster_view_in_effect(c);
	const bool first = mine == NULL;

	if (!cluster_voter_view_fits(c, v) || (mine != NULL && v->ballot <= mine->ballot))
		return;
	c->before = first ? *v : *mine;
	if (!first && !uuid_equal(&mine->lineage, &v->lineage))
		change_lineage(c, v);
	c->voter.in_effect = *v;
	c->voter.has_in_effect = true;
	c->voter.mirror = v->mirror;
	c->voter_dirty = true;
	cluster_round_seen(c, v->ballot);
	if (c->role.undecided_ballot <= v->ballot) {
		c->role.undecided_sites = c->role.undecided_missing = 0;
		c->role.undecided = false;
	}
	if (c->yield.ballot <= v->ballot)
		c->yield.ballot = 0;
	c->work_since_ns = 0;
	c->confirm_own = false;
	if (c->role.mode_asked && promise_equal(&c->role.mode, &v->wanted))
		c->role.mode_asked = false;
	tell_changes(c, first ? NULL : &c->before);
	cluster_block_in_effect(c, first ? NULL : &c->before);
	if (v->production_node != (int32_t)c->self.node ||
	    v->production_incarnation != c->role.demoted_incarnation)
		c->role.demoted = false;
	cluster_join_in_effect(c, &c->before);
	cluster_round_finish(c, v->ballot);
}

/* Proposed in this ring, so everyone here has seen it. */
static void tally_in_effect(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);

	if (v != NULL && v->ballot >= c->tally.view.ballot)
		return;
	if (c->tally.ring == c->ring)
		c->confirm_due = false;
	cluster_in_effect_take(c, &c->tally.view);
}

void cluster_in_effect_accepted(struct cluster_core *c, uint32_t node,
				const struct message *m)
{
	struct tally *t = &c->tally;

	if (!t->has || t->view.ballot != m->vote.ballot)
		return;
	t->epoch[node] = m->vote.epoch;
	if (cluster_is_majority(c, &t->view, true, t->epoch))
		tally_in_effect(c);
}

void cluster_in_effect_commit(struct cluster_core *c, const struct message *m)
{
	if (c->tally.has && c->tally.view.ballot == m->vote.ballot) {
		tally_in_effect(c);
	} else if (c->voter.has_accepted && c->voter.accepted.ballot == m->vote.ballot) {
		cluster_in_effect_take(c, &c->voter.accepted);
	}
}
