/* plan.c - the next view, computed from the view before and from the members'
 * announcements, so that every proposer comes to the same one.
 *
 *   change                  decided by        when
 *   host of a site          coordinator       it has none, or D6 lets it pass on
 *   one voter more          coordinator       a configured node is here whose epoch
 *                                               the view does not have (D1)
 *   one voter less          coordinator       a node is not configured any more, or
 *                                               leaves in order while production serves
 *   configuration           coordinator       its hash differs
 *   lease                   coordinator       ours is longer (never shorter: a
 *                                               renewal under the longer may stand)
 *   copy leaves the set     production        lost, host gone or put out (D3)
 *   copy enters the set     production        COPY_READY of the host that is here
 *   copy put out, let in,   production        by command
 *     in bypass, or not
 *   copy required, or not   production        it enters the set; it is put out (M8, block.c)
 *   promise                 production        by command; a stricter one when every copy
 *                                               satisfies it (M3)
 *   production none         the former one    demoted, or its generation ended
 *
 * The generation itself is promote.c's.
 */
#include "cluster/block.h"

/* ---- hosts (docs/sources.md, paper 003, Fig. 4, 76; D6) ---------------------------- */

static bool can_host(const struct cluster_core *c, const struct view *next, uint32_t site,
		     uint32_t node)
{
	const struct node *n = &c->node[node];

	if (!n->member || (n->said.reach >> site & 1) == 0 ||
	    (n->said.flags & ANNOUNCE_STOPPING) != 0 || n->said.site != VIEW_NONE ||
	    n->said.incarnation_next == 0)
		return false;
	for (uint32_t s = 0; s < next->site_count; s++)
		if (s != site && next->site[s].host.node == (int32_t)node &&
		    cluster_devices_pass(c, &next->site[s].host) != HOST_FREE)
			return false;
	return true;
}

/* A node of another site that also reaches these disks may stand in: only when no node of
 * the site can host, and its own site does not need it. */
static bool can_stand_in(const struct cluster_core *c, const struct view *next,
			 uint32_t node)
{
	const int32_t own = c->config->node[node].site;
	const struct view_host *h;

	if (own == VIEW_NONE || own >= (int32_t)next->site_count)
		return true;
	h = &next->site[own].host;
	return h->node != VIEW_NONE && h->node != (int32_t)node &&
	       cluster_devices_pass(c, h) == HOST_HELD;
}

/* First the node that is to be promoted, then the production host, then the lowest in
 * backup order. */
static int32_t choose_host(const struct cluster_core *c, const struct view *next,
			   uint32_t site)
{
	int32_t best = VIEW_NONE;
	uint32_t best_rank = UINT32_MAX;

	for (uint32_t n = 0; n < c->config->node_count; n++) {
		const uint32_t place = cluster_backup_place(c->config, n);
		const bool own = c->config->node[n].site == (int32_t)site;
		const bool wants = (c->node[n].said.flags & ANNOUNCE_WANTS) != 0;
		const bool production = next->production_site == (int32_t)site &&
					next->production_node == (int32_t)n;
		const uint32_t kind = !own ? 3 : wants ? 0 : production ? 1 : 2;
		const uint32_t rank = kind * CONFIG_NODE_COUNT_MAX + place;

		if (rank < best_rank && can_host(c, next, site, n) &&
		    (own || can_stand_in(c, next, n))) {
			best_rank = rank;
			best = (int32_t)n;
		}
	}
	return best;
}

static bool plan_host(const struct cluster_core *c, struct view *next, uint32_t site)
{
	struct view_host *h = &next->site[site].host;
	const enum devices_pass fence = cluster_devices_pass(c, h);
	int32_t node = VIEW_NONE;

	if (fence == HOST_HELD || cluster_devices_parted_mate(c, site))
		return false;
	if (fence == HOST_FREE)
		node = choose_host(c, next, site);
	else if (can_host(c, next, site, (uint32_t)h->node))
		node = h->node;
	else
		return false; /* only that node may have them, and it cannot host now */
	if (node == VIEW_NONE && h->node == VIEW_NONE)
		return false;
	*h = (struct view_host){ .node = node };
	if (node != VIEW_NONE) {
		h->incarnation = c->node[node].said.incarnation_next;
		h->boot = c->node[node].said.boot;
	}
	return true;
}

/* ---- voters (D1) --------------------------------------------------------------------- */

/* A node that does not follow this lineage yet will take another epoch when it does
 * (change_lineage()). Admitted under its old epoch, it would be awaited as a voter that no
 * longer exists. */
static bool is_of_lineage(const struct announce *said, const struct view *base)
{
	return said->ballot == 0 || uuid_equal(&said->lineage, &base->lineage);
}

/* The node has announced that it stops, and hosts nothing. */
static bool has_left(const struct cluster_core *c, const struct view *next, uint32_t node)
{
	const struct node *n = &c->node[node];

	if (!n->known || (n->said.flags & ANNOUNCE_STOPPING) == 0 ||
	    next->production_node == (int32_t)node)
		return false;
	for (uint32_t s = 0; s < next->site_count; s++)
		if (next->site[s].host.node == (int32_t)node)
			return false;
	return true;
}

/* A whole one of the voters to be: half of them decide only until one of that half
 * restarts (D2). */
static bool has_majority_here(const struct cluster_core *c, const struct view *next)
{
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };

	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (c->node[n].member)
			epoch[n] = c->node[n].said.epoch;
	return 2 * cluster_view_voters_answered(&next->voters, epoch) >
		       next->voters.count &&
	       cluster_is_majority(c, next, true, epoch);
}

/* A node that leaves in order hands its vote back, so that the others do not miss it. It
 * does so only while a production serves, which would otherwise stand still. Without one a
 * missing vote costs only time, and any node that comes back first is as good as another. */
static bool plan_leave(const struct cluster_core *c, const struct view *base,
		       struct view *next)
{
	const int32_t p = next->production_node;

	if (p == VIEW_NONE || !c->node[p].member)
		return false;
	for (uint32_t i = 0; i < base->voters.count; i++) {
		const uint32_t n = base->voters.voter[i].node;

		if (!has_left(c, next, n))
			continue;
		next->old = base->voters;
		cluster_view_voters_drop(&next->voters, n);
		if (next->voters.count > 0 && has_majority_here(c, next))
			return true;
		next->voters = base->voters;
		next->old.count = 0;
	}
	return false;
}

bool cluster_plan_awaits_leave(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);

	return v != NULL && v->voters.count > 1 && v->production_node != VIEW_NONE &&
	       v->production_node != (int32_t)c->self.node &&
	       c->node[v->production_node].member &&
	       cluster_view_voters_epoch(&v->voters, c->self.node) == c->voter.epoch;
}

static bool plan_voters(const struct cluster_core *c, const struct view *base,
			struct view *next)
{
	for (uint32_t i = 0; i < base->voters.count; i++) {
		const uint32_t n = base->voters.voter[i].node;

		if (n < c->config->node_count || base->voters.count == 1)
			continue;
		next->old = base->voters;
		cluster_view_voters_drop(&next->voters, n);
		return true;
	}
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		const uint64_t epoch = c->node[n].said.epoch;

		if (!c->node[n].member || epoch == 0 ||
		    (c->node[n].said.flags & ANNOUNCE_STOPPING) != 0 ||
		    !is_of_lineage(&c->node[n].said, base) ||
		    cluster_view_voters_epoch(&base->voters, n) == epoch)
			continue;
		next->old = base->voters;
		cluster_view_voters_set(&next->voters, n, epoch);
		return true;
	}
	return plan_leave(c, base, next);
}

static bool plan_config(const struct cluster_core *c, struct view *next)
{
	bool changed = false;

	/* A majority that does without them: none of them is given disks any more. */
	for (uint32_t n = c->config->node_count; n < CONFIG_NODE_COUNT_MAX; n++)
		changed |= cluster_view_forget(next, n);
	if (next->config_hash != c->config->hash) {
		next->config_hash = c->config->hash;
		changed = true;
	}
	for (; next->site_count < c->config->site_count; next->site_count++) {
		next->site[next->site_count].host.node = VIEW_NONE;
		changed = true;
	}
	if (c->self.lease_ms > next->lease_ms) {
		next->lease_ms = c->self.lease_ms;
		next->drift_ms = c->self.drift_ms;
		changed = true;
	}
	return changed;
}

/* ---- production's affairs (D3) ---------------------------------------------------------- */

static bool plan_copy(const struct cluster_core *c, const struct view *base,
		      struct view *next, uint32_t s)
{
	const struct view_host *h = &base->site[s].host;
	const bool out = (cluster_view_out_sites(next) >> s & 1) != 0;
	struct view_site *site = &next->site[s];

	if (site->current) {
		if (!out && promise_counts(&next->promise) && !c->role.copy[s].lost &&
		    h->incarnation == site->current_incarnation &&
		    cluster_join_is_host(c, s, h->node, h->incarnation))
			return false;
		site->current = false;
		site->current_incarnation = 0;
		site->current_from = 0;
		return true;
	}
	if (out || !c->role.copy[s].ready || !promise_counts(&next->promise) ||
	    h->incarnation != c->role.copy[s].ready_incarnation ||
	    !cluster_join_is_host(c, s, h->node, h->incarnation))
		return false;
	site->current = true;
	site->current_incarnation = c->role.copy[s].ready_incarnation;
	site->current_from = c->role.copy[s].ready_from;
	return true;
}

/* M3: a promise that asks for no more than the one in effect can follow at once. */
static bool plan_promise(const struct cluster_core *c, const struct view *base,
			 struct view *next)
{
	const struct promise *wanted = c->role.mode_asked ? &c->role.mode : &base->wanted;
	bool changed = !promise_equal(wanted, &base->wanted);

	next->wanted = *wanted;
	if (promise_equal(wanted, &base->promise) ||
	    (!promise_covers(&base->promise, wanted) &&
	     (!c->role.promise_kept || !promise_covers(&c->role.promised, wanted))))
		return changed;
	next->promise = *wanted;
	return true;
}

static bool plan_production(const struct cluster_core *c, const struct view *base,
			    struct view *next)
{
	bool changed;

	next->disconnected = (base->disconnected | c->disconnect.on) & ~c->disconnect.off;
	next->bypass = (base->bypass | c->bypass.on) & ~c->bypass.off;
	changed = next->disconnected != base->disconnected ||
		  next->bypass != base->bypass;
	changed |= plan_promise(c, base, next);
	for (uint32_t s = 0; s < next->site_count; s++)
		if (s != c->role.site)
			changed |= plan_copy(c, base, next, s);
	changed |= cluster_block_plan(c, next);
	/* It serves: every older lease was waited out. */
	next->holder_many = false;
	next->holder_count = 1;
	next->holder[0].node = (int32_t)c->self.node;
	next->holder[0].incarnation = c->role.incarnation;
	next->holder[0].boot = c->self.boot;
	return changed;
}

/* The production that ended here answers nothing now. Nor does any earlier holder, if that
 * production had waited the older leases out. */
static void drop_holders(const struct cluster_core *c, struct view *next)
{
	uint32_t kept = 0;

	if (c->role.demoted_waited)
		next->holder_many = false;
	for (uint32_t i = 0; i < next->holder_count && !c->role.demoted_waited; i++)
		if (next->holder[i].node != (int32_t)c->self.node ||
		    next->holder[i].incarnation != c->role.demoted_incarnation)
			next->holder[kept++] = next->holder[i];
	next->holder_count = kept;
}

static bool plan_end(const struct cluster_core *c, struct view *next)
{
	const struct role *r = &c->role;

	if (!r->demoted || next->production_node != (int32_t)c->self.node ||
	    next->production_incarnation != r->demoted_incarnation ||
	    !uuid_equal(&cluster_view_generation(next)->id, &r->demoted_generation))
		return false;
	next->production_node = VIEW_NONE;
	next->production_incarnation = 0;
	next->clean = r->demoted_clean;
	next->clean_end = r->demoted_clean ? r->demoted_end : 0;
	drop_holders(c, next);
	return true;
}

void cluster_plan_members(const struct cluster_core *c, struct view *next)
{
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		if (!c->node[n].member)
			continue;
		next->member[n].incarnation = c->node[n].incarnation;
		next->member[n].boot = c->node[n].said.boot;
		for (uint32_t s = 0; s < next->site_count; s++)
			next->site[s].reach = (next->site[s].reach & ~(1u << n)) |
					      (c->node[n].said.reach >> s & 1) << n;
	}
}

bool cluster_plan_next(struct cluster_core *c, const struct view *base, bool coordinator,
		       struct view *next)
{
	bool changed = false;

	*next = *base;
	next->old.count = 0;
	cluster_plan_members(c, next);
	if (c->role.serve == SERVE_SERVING &&
	    base->production_node == (int32_t)c->self.node &&
	    uuid_equal(&cluster_view_generation(base)->id, &c->role.generation))
		changed |= plan_production(c, base, next);
	changed |= plan_end(c, next);
	if (!coordinator)
		return changed;
	changed |= plan_config(c, next);
	for (uint32_t s = 0; s < next->site_count; s++)
		changed |= plan_host(c, next, s);
	changed |= plan_voters(c, base, next);
	return changed;
}
