/* in_effect.c - a view takes effect (D1): accepted by a majority, or said to be. The parts that
 * it concerns are told.
 */
#include "cluster/internal.h"

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

void cluster_in_effect_take(struct cluster_core *c, const struct view *v)
{
	const struct view *mine = cluster_vote_in_effect(c);
	const bool first = mine == NULL;

	if (!cluster_vote_view_fits(c, v) || (mine != NULL && v->ballot <= mine->ballot))
		return;
	c->before = first ? *v : *mine;
	if (!first && !uuid_equal(&mine->lineage, &v->lineage))
		change_lineage(c, v);
	c->voter.in_effect = *v;
	c->voter.has_in_effect = true;
	c->voter.mirror = v->mirror;
	c->voter_dirty = true;
	cluster_round_seen(c, v->ballot);
	if (c->role.undecided_ballot <= v->ballot)
		c->role.undecided_sites = 0;
	if (c->yield.ballot <= v->ballot)
		c->yield.ballot = 0;
	c->work_since_ns = 0;
	c->confirm_own = false;
	cluster_role_in_effect(c, first ? NULL : &c->before);
	cluster_join_in_effect(c, &c->before);
	cluster_round_finish(c, v->ballot);
}

/* Proposed in this ring, so everyone here has seen it. */
static void tally_in_effect(struct cluster_core *c)
{
	const struct view *v = cluster_vote_in_effect(c);

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
