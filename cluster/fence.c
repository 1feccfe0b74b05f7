/* fence.c - who counts as a majority, and who has ended for certain.
 *
 * D2: fencing only breaks a tie. Where exactly half of the voters answer, the
 * others are out of the way (fenced in the boot last seen, or back without their
 * voter file, so that their old promises are gone), and none that answers has
 * restarted since all last agreed in one ring (accepted one view there). For then the
 * other half can have decided nothing alone: it would have had to fence us.
 *
 * D6: a site's devices pass on after
 *
 *   what is known of the host's opening         they pass to
 *   still said by its process                   nobody
 *   released by its process                     anyone of the site
 *   its node fenced, in the boot that opened    anyone
 *   its node here again in another boot         anyone
 *   its node here, same boot, another process   that node: the kernel lets it
 *                                                 open only what is closed
 *   its node gone                               nobody
 */
#include "cluster/internal.h"

#define NOTICE_NS (10000 * NS_PER_MS) /* who was fenced leaves the ring within */
#define LATE_NS (60000 * NS_PER_MS)   /* a live notice is not so late */

/* ---- majorities ----------------------------------------------------------------- */

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
	/* Who came back since is neither the one that agreed nor the one that was fenced,
	 * and counts from its coming on, not from what it says (tests/model, `unsaid`). */
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

bool cluster_fence_is_majority(const struct cluster_core *c, const struct view *v,
			       bool joint, const uint64_t epoch[CONFIG_NODE_COUNT_MAX])
{
	return set_is_majority(c, &v->voters, epoch) &&
	       (!joint || v->old.count == 0 || set_is_majority(c, &v->old, epoch));
}

/* All voters were in this ring when the view in effect was proposed, and all have
 * accepted it: from here on none can know more than we do without a majority, or
 * without having fenced us. Being in one ring alone would not do: one that comes back
 * behind the others could meet them and lose them again before it has learned
 * anything. */
void cluster_fence_pump(struct cluster_core *c)
{
	const struct view *v = cluster_vote_in_effect(c);
	const struct tally *t = &c->tally;

	if (v == NULL || !t->has || t->view.ballot != v->ballot || t->ring != c->ring)
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

/* ---- fencings ---------------------------------------------------------------------- */

static void mark_fenced(struct cluster_core *c, uint32_t node, uint64_t boot)
{
	struct node *n = &c->node[node];

	if (boot == 0 || n->fenced_boot == boot)
		return;
	n->fenced_boot = boot;
	c->voter.fenced[node].boot = boot;
	c->voter_dirty = true;
	cluster_tell(c, "member", cluster_node_name(c, (int32_t)node), "fenced",
		     "a fencing was confirmed: what ran there has ended");
}

/* A process of it is in the ring, whether or not it has said who it is. */
static bool is_here(const struct cluster_core *c, uint32_t node)
{
	const struct node *n = &c->node[node];

	for (uint32_t i = 0; i < c->peer_count; i++)
		if (c->peer[i].node == (int32_t)node ||
		    (n->known && c->peer[i].nodeid == n->nodeid))
			return true;
	return false;
}

static void judged(struct cluster_core *c, uint32_t node, uint64_t wall_ns)
{
	c->node[node].notice_wall_ns = 0;
	if (wall_ns == UINT64_MAX)
		return;
	c->voter.fenced[node].wall_ns = wall_ns;
	c->voter_dirty = true;
}

/* The notice ends the boot that was seen last, provided that it had been seen before. */
static void judge(struct cluster_core *c, uint32_t node, uint64_t wall_ns, bool live)
{
	const struct view *v = cluster_vote_in_effect(c);
	struct node *n = &c->node[node];
	uint64_t boot = 0, seen_ns = 0;
	struct message *m;

	judged(c, node, wall_ns);
	if (n->known) {
		boot = n->said.boot;
		seen_ns = n->boot_wall_ns;
	} else if (v != NULL) {
		boot = v->member[node].boot;
		seen_ns = v->wall_ns;
	}
	if (live && n->known && c->now_ns - n->boot_ns >= LATE_NS)
		seen_ns = 0;
	if (boot == 0 || wall_ns < seen_ns)
		return;
	if (wall_ns >= n->came_wall_ns)
		n->unsaid = false;
	n->parted_boot = 0;
	if (n->fenced_boot == boot)
		return;
	mark_fenced(c, node, boot);
	m = cluster_message(c, MESSAGE_FENCED);
	m->fenced.node = node;
	m->fenced.boot = boot;
	cluster_send(c);
}

/* The fencer says that `name` was fenced at `wall_ns`: just now, or from its history,
 * which names older fencings too, of boots that are long over. When is compared as little
 * as can be, since clocks are apart and jump:
 *
 *   the notice is                            it says
 *   not newer than one that was judged       nothing (the voter file remembers)
 *   of a node that is here                   nothing: who was fenced is not here;
 *                                              but it may be about to go: if it does
 *                                              so soon, as of one that is not here
 *   of a node that is not here               its boot that was seen last has ended, if
 *                                              that was first seen before, or so long
 *                                              ago that a live notice is not older
 */
void cluster_fence_event(struct cluster_core *c, const char *name, uint64_t wall_ns,
			 bool live)
{
	uint32_t node = 0;

	while (node < c->config->node_count &&
	       strcmp(c->config->node[node].name, name) != 0)
		node++;
	if (node == c->config->node_count || node == c->self.node ||
	    wall_ns <= c->voter.fenced[node].wall_ns)
		return;
	if (!is_here(c, node)) {
		judge(c, node, wall_ns, live);
	} else if (wall_ns > c->node[node].notice_wall_ns) {
		c->node[node].notice_wall_ns = wall_ns;
		c->node[node].notice_until_ns = c->now_ns + NOTICE_NS;
		c->node[node].notice_live = live;
	}
}

void cluster_fence_left(struct cluster_core *c, uint32_t node)
{
	struct node *n = &c->node[node];

	if (n->notice_wall_ns == 0 || is_here(c, node))
		return;
	if (c->now_ns < n->notice_until_ns)
		judge(c, node, n->notice_wall_ns, n->notice_live);
	else
		judged(c, node, n->notice_wall_ns);
}

void cluster_fence_message(struct cluster_core *c, const struct message *m)
{
	const uint32_t node = m->fenced.node;

	if (node < c->config->node_count && node != c->self.node &&
	    !(c->node[node].member && c->node[node].said.boot == m->fenced.boot))
		mark_fenced(c, node, m->fenced.boot);
}

/* ---- releases ------------------------------------------------------------------------ */

bool cluster_fence_has_released(const struct cluster_core *c, int32_t node,
				uint64_t incarnation)
{
	for (uint32_t i = 0; i < RELEASED_COUNT_MAX; i++)
		if (c->voter.released[node][i] == incarnation)
			return true;
	return false;
}

/* A view that this voter knows names that opening: it is not forgotten. */
static bool is_named(const struct cluster_core *c, uint32_t node, uint64_t incarnation)
{
	const struct view *views[] = { cluster_vote_in_effect(c),
				       cluster_vote_newest(c) };

	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t s = 0; views[i] != NULL && s < views[i]->site_count; s++)
			if (views[i]->site[s].host.node == (int32_t)node &&
			    views[i]->site[s].host.incarnation == incarnation)
				return true;
	return false;
}

void cluster_fence_released(struct cluster_core *c, uint32_t node, uint64_t incarnation)
{
	uint64_t *released = c->voter.released[node];
	uint32_t last = RELEASED_COUNT_MAX - 1;

	if (incarnation == 0 || cluster_fence_has_released(c, (int32_t)node, incarnation))
		return;
	while (last > 0 && is_named(c, node, released[last]))
		last--;
	memmove(&released[1], &released[0], last * sizeof released[0]);
	released[0] = incarnation;
	c->voter_dirty = true;
}

enum fence_host cluster_fence_host(const struct cluster_core *c,
				   const struct view_host *host)
{
	const struct node *n;

	if (host->node == VIEW_NONE)
		return HOST_FREE;
	n = &c->node[host->node];
	if (cluster_fence_has_released(c, host->node, host->incarnation))
		return HOST_FREE;
	if (!n->member)
		return n->fenced_boot != 0 && n->fenced_boot == host->boot ? HOST_FREE :
									     HOST_HELD;
	if (n->said.boot != host->boot)
		return HOST_FREE;
	if (n->said.incarnation_open == host->incarnation ||
	    n->said.incarnation_next == host->incarnation)
		return HOST_HELD;
	return HOST_RESTARTED;
}

int32_t cluster_fence_mate_held(const struct cluster_core *c, uint32_t site)
{
	const struct view *v = cluster_vote_in_effect(c);

	for (uint32_t i = 0; v != NULL && i < c->config->node_count; i++) {
		const struct node *n = &c->node[i];
		const uint64_t boot = n->known ? n->said.boot : v->member[i].boot;

		if (i == c->self.node || (c->config->node[i].site != (int32_t)site &&
					  (v->site[site].reach >> i & 1) == 0))
			continue;
		/* One that is here may know more, and is about to say it. */
		if (n->member ?
			    n->said.site == (int32_t)site || n->said.ballot > v->ballot :
			    boot != 0 && n->fenced_boot != boot)
			return (int32_t)i;
	}
	return VIEW_NONE;
}

bool cluster_fence_has_parted_mate(const struct cluster_core *c, uint32_t site)
{
	const struct view *v = cluster_vote_in_effect(c);

	for (uint32_t i = 0; v != NULL && i < c->config->node_count; i++)
		if ((c->config->node[i].site == (int32_t)site ||
		     (v->site[site].reach >> i & 1) != 0) &&
		    c->node[i].parted_boot != 0)
			return true;
	return false;
}

/* A process that has the devices of its node open, exclusively, is the proof that
 * an older one of that node has ended (D6). */
bool cluster_fence_holder_is_gone(const struct cluster_core *c, int32_t node,
				  uint64_t incarnation, uint64_t boot)
{
	const struct node *n = &c->node[node];

	if (node == (int32_t)c->self.node)
		return cluster_role_is_open(c);
	if (cluster_fence_has_released(c, node, incarnation))
		return true;
	if (!n->member)
		return n->fenced_boot != 0 && n->fenced_boot == boot;
	return n->said.boot != boot || ((n->said.flags & ANNOUNCE_OPEN) != 0 &&
					n->said.incarnation_open != incarnation);
}
