/* majority.c - which voters are a majority.
 *
 * D2: fencing only breaks a tie. Exactly half of the voters may go on if all others are
 * out of the way (fenced in the boot last seen; back without their voter file, so that
 * their old promises are gone; or here and unable to write it, which ends their own right
 * to break a tie), and no voter that answers has restarted since all last
 * agreed in one ring (accepted one view there). Then the other half can have decided
 * nothing alone: it would have had to fence us.
 */
#include "cluster/internal.h"

/* D2 for one voter: it answered without a restart, or it is out of the way. */
static bool breaks_tie(const struct cluster_core *c, uint32_t node, uint64_t epoch,
		       bool answered)
{
	const struct node *n = &c->node[node];
	const struct together *t = &c->together;

	if (cluster_view_voters_epoch(&t->voters, node) != epoch)
		return false;
	if (answered)
		return n->incarnation == t->incarnation[node];
	if (n->member)
		return n->said.epoch != epoch;
	/* A process that came to that node since is neither the process that agreed nor the
	 * one that was fenced. It counts from its coming on, even before it announces
	 * itself (tests/model, `unsaid`); but not once it is refused for its lineage. */
	return n->fenced_boot != 0 && n->fenced_boot == t->boot[node] &&
	       n->said.boot == t->boot[node] && !n->unsaid;
}

static bool set_is_majority(const struct cluster_core *c, const struct view_voters *set,
			    const uint64_t epoch[CONFIG_NODE_COUNT_MAX])
{
	const uint32_t count = cluster_view_voters_answered(set, epoch);

	if (2 * count != set->count || count == 0)
		return 2 * count > set->count;
	if (!c->together.has)
		return false;
	for (uint32_t i = 0; i < set->count; i++) {
		const uint32_t node = set->voter[i].node;
		const uint64_t e = set->voter[i].epoch;

		if (!breaks_tie(c, node, e, epoch[node] == e))
			return false;
	}
	return true;
}

bool cluster_is_majority(const struct cluster_core *c, const struct view *v, bool joint,
			 const uint64_t epoch[CONFIG_NODE_COUNT_MAX])
{
	return set_is_majority(c, &v->voters, epoch) &&
	       (!joint || v->old.count == 0 || set_is_majority(c, &v->old, epoch));
}

/* All voters were in this ring when the view in effect was proposed, and all have
 * accepted it. From here on no voter can know more than we do without a majority, or
 * without having fenced us. To have been in one ring is not enough: a voter that comes
 * back behind the others could meet them and lose them again before it has learned
 * anything. */
void cluster_majority_pump(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct tally *t = &c->tally;

	if (v == NULL || !t->has || t->view.ballot != v->ballot || t->ring != c->ring ||
	    cluster_view_ballot_number(v->ballot) <= c->together.after)
		return;
	for (uint32_t i = 0; i < v->voters.count; i++) {
		const uint32_t node = v->voters.voter[i].node;

		if (!c->node[node].member || t->epoch[node] != v->voters.voter[i].epoch)
			return;
	}
	c->together.has = true;
	c->together.voters = v->voters;
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		c->together.incarnation[n] = c->node[n].incarnation;
		c->together.boot[n] = c->node[n].said.boot;
	}
}
