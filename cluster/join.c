/* join.c - the join protocol: the members, and the state that a joiner is sent.
 *
 *   event                      what happens                          paper 003
 *   configuration change,      everyone here announces itself;       Fig. 4: 72
 *     someone joined             the production host, else the
 *                                lowest in backup order that was
 *                                here, sends the group's state
 *   first one in the group     nobody sends: it has its own view     Fig. 4: 72
 *   ANNOUNCE delivered         the member is placed in the subgroup  Fig. 4: 74, 76
 *                                of each site that it reaches; the
 *                                host of such a site sends its disks Fig. 4: 80, 84
 *   ANNOUNCE of another        refused by name, takes no part
 *     configuration or mirror
 *   someone left               out of its subgroups; the same rules
 *                                run backwards
 *   NODEUP without a join      as a join: everyone announces itself
 *
 * A view decides which node gets a site's devices (plan.c); the start of mirroring follows
 * from that (mirroring.c).
 */
#include <stdio.h>

#include "cluster/internal.h"

/* corosync/cpg.h: CPG_REASON_JOIN .. PROCDOWN. */
static const char *const reasons[] = {
	"for no known reason", "it joined",          "it left the group",
	"its node went down",  "its node came back", "its process ended",
};

static const char *reason_text(uint32_t reason)
{
	return reasons[reason < sizeof reasons / sizeof reasons[0] ? reason : 0];
}

struct peer *cluster_peer_find(struct cluster_core *c, uint32_t nodeid, uint32_t pid)
{
	for (uint32_t i = 0; i < c->peer_count; i++)
		if (c->peer[i].nodeid == nodeid && c->peer[i].pid == pid)
			return &c->peer[i];
	return NULL;
}

/* ---- configuration changes --------------------------------------------------- */

void cluster_member_set(const struct cluster_core *c, struct node *n, bool member)
{
	n->member = member;
	n->since_ns = c->now_ns;
	n->since_wall_ns = c->wall_ns;
}

static void node_leaves(struct cluster_core *c, struct peer *p)
{
	struct node *n;

	if (p->node == VIEW_NONE || p->refused)
		return;
	n = &c->node[p->node];
	p->node = VIEW_NONE;
	cluster_member_set(c, n, false);
	c->voter_dirty = true; /* its last sign of life */
	if (cluster_view_ballot_node(c->yield.ballot) == (uint32_t)(n - c->node))
		c->yield.ballot = 0;
}

static void peer_leaves(struct cluster_core *c, const struct cluster_address *a)
{
	struct peer *p = cluster_peer_find(c, a->nodeid, a->pid);

	if (p == NULL)
		return;
	if (p->node != VIEW_NONE && !p->refused)
		cluster_tell(c, "member", cluster_node_name(c, p->node), "", "left: %s",
			     reason_text(a->reason));
	node_leaves(c, p);
	*p = c->peer[--c->peer_count];
	for (uint32_t n = 0; n < c->config->node_count; n++)
		cluster_fence_left(c, n);
}

/* D2: a process of a known node has come. An older fencing of the node says nothing about
 * it: it may agree to something here, and be gone before it has announced itself. */
static void node_comes(struct cluster_core *c, uint32_t nodeid)
{
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (c->node[n].known && c->node[n].nodeid == nodeid) {
			c->node[n].unsaid = true;
			c->node[n].came_ns = c->now_ns;
		}
}

/* A joiner, or a member that comes back from the other side of a partition: it has to
 * announce again all that we knew of it. */
static void peer_joins(struct cluster_core *c, const struct cluster_address *a)
{
	struct peer *p = cluster_peer_find(c, a->nodeid, a->pid);

	node_comes(c, a->nodeid);
	if (p == NULL) {
		if (c->peer_count == PEERS_MAX)
			return;
		p = &c->peer[c->peer_count++];
		*p = (struct peer){ .nodeid = a->nodeid,
				    .pid = a->pid,
				    .node = VIEW_NONE };
		return;
	}
	node_leaves(c, p);
	p->node = VIEW_NONE;
	p->refused = false;
}

void cluster_join_confchg(struct cluster_core *c, const struct cluster_event *e)
{
	bool self_joined = false;

	c->joined = true;
	c->ring++;
	c->ring_ns = c->now_ns;
	c->confirm_due = true;
	for (uint32_t i = 0; i < e->confchg.left_count; i++)
		peer_leaves(c, &e->confchg.left[i]);
	for (uint32_t i = 0; i < e->confchg.joined_count; i++) {
		const struct cluster_address *a = &e->confchg.joined[i];

		peer_joins(c, a);
		self_joined |= a->nodeid == c->self.nodeid && a->pid == c->self.pid;
	}
	for (uint32_t i = 0; i < e->confchg.member_count; i++)
		if (cluster_peer_find(c, e->confchg.members[i].nodeid,
				      e->confchg.members[i].pid) == NULL)
			peer_joins(c, &e->confchg.members[i]);
	if (e->confchg.joined_count > 0)
		c->announce_due = true;
	if (e->confchg.joined_count > 0 && !self_joined)
		c->state_due = true;
}

/* ---- announcements -------------------------------------------------------------- */

int32_t cluster_join_sender(struct cluster_core *c, uint32_t nodeid, uint32_t pid,
			    const struct message *m)
{
	const struct peer *p = cluster_peer_find(c, nodeid, pid);

	if (p == NULL || p->refused || p->node != (int32_t)m->node ||
	    c->node[p->node].incarnation != m->incarnation)
		return VIEW_NONE;
	return p->node;
}

/* As a voter, if that is on stable storage: a view that admits an epoch which no file holds
 * loses this vote for good when the node dies. */
static uint64_t announced_epoch(const struct cluster_core *c)
{
	return c->persist_failed || c->persisted_epoch != c->voter.epoch ? 0 :
									   c->voter.epoch;
}

static void announce_fill(const struct cluster_core *c, struct announce *a)
{
	const struct role *r = &c->role;
	const struct view *v = cluster_view_in_effect(c);
	const bool serves = r->serve == SERVE_SERVING || r->serve == SERVE_DEMOTING;

	memset(a, 0, sizeof *a);
	memcpy(a->name, c->config->node[c->self.node].name, sizeof a->name);
	a->boot = c->self.boot;
	a->flags = (r->devices == DEVICES_OPEN ? ANNOUNCE_OPEN : 0) |
		   (serves ? ANNOUNCE_SERVING : 0) | r->hangs | cluster_undo_flag(c) |
		   (c->stopping ? ANNOUNCE_STOPPING : 0) |
		   (c->promote.state != PROMOTE_NONE ? ANNOUNCE_WANTS : 0);
	a->reach = cluster_devices_reach(c);
	a->site = r->devices != DEVICES_CLOSED ? (int32_t)r->site : VIEW_NONE;
	a->incarnation_open = r->devices != DEVICES_CLOSED ? r->incarnation : 0;
	a->incarnation_next = r->incarnation_next;
	a->released = r->released;
	a->epoch = announced_epoch(c);
	a->promised = c->voter.promised;
	a->ballot = v != NULL ? v->ballot : 0;
	if (v != NULL) {
		a->lineage = v->lineage;
		a->fork_lineage = v->fork.lineage;
		a->fork_ballot = v->fork.ballot;
	}
	if (serves)
		a->serving = r->generation;
	a->data = r->data;
	if (r->devices == DEVICES_OPEN) {
		a->log = r->log;
		a->log_lineage = r->log_lineage;
		a->log_newest = r->log_newest;
		a->marks = r->marks;
	}
	for (uint32_t s = 0; s < c->config->site_count; s++)
		a->link[s] = serves ? (uint8_t)r->copy[s].link : (uint8_t)LINK_DOWN;
	snprintf(a->text, sizeof a->text, "%.127s", r->text);
}

/* True when the two differ in more than marks and ballots, which change all the time. */
static bool announce_differs(const struct announce *a, const struct announce *b)
{
	struct announce x = *a, y = *b;

	x.marks = y.marks = (struct site_marks){ 0 };
	x.promised = y.promised = x.ballot = y.ballot = 0;
	return memcmp(&x, &y, sizeof x) != 0;
}

static void announce_pump(struct cluster_core *c)
{
	struct announce a;
	struct message *m;
	uint64_t due_ns = c->announced_ns + ANNOUNCE_NS;

	if (!c->joined)
		return;
	announce_fill(c, &a);
	if (memcmp(&a.marks, &c->announced.marks, sizeof a.marks) != 0 ||
	    a.ballot != c->announced.ballot)
		due_ns = c->announced_ns + ANNOUNCE_MARKS_NS;
	if (!c->announce_due && c->now_ns < due_ns &&
	    !announce_differs(&a, &c->announced)) {
		cluster_wake(c, due_ns);
		return;
	}
	c->announce_due = false;
	c->announced_ns = c->now_ns;
	c->announced = a;
	m = cluster_message(c, MESSAGE_ANNOUNCE);
	m->announce = a;
	memcpy(m->agreed, c->config->agreed, sizeof m->agreed);
	cluster_send(c);
	cluster_wake(c, c->now_ns + ANNOUNCE_NS);
}

/* ---- the group's state, for a joiner ------------------------------------------------ */

/* Fig. 4, 72: the primary, else the lowest numbered backup; of those that say the newest
 * view, since any member may have been away when that took effect. */
static bool sends_state(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	int32_t best = VIEW_NONE;

	if (v == NULL)
		return false;
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		const struct announce *said = &c->node[n].said;
		const bool serves = (said->flags & ANNOUNCE_SERVING) != 0 &&
				    v->production_node == (int32_t)n;

		if (!c->node[n].member || said->ballot == 0)
			continue;
		if (best == VIEW_NONE || said->ballot > c->node[best].said.ballot ||
		    (said->ballot == c->node[best].said.ballot && serves))
			best = (int32_t)n;
	}
	return best == (int32_t)c->self.node;
}

/* A node that joins between a proposal and its view may miss both: it does not know the
 * proposer yet. A member whose announcement names an older view is sent the state. */
static void behind_pump(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	bool behind = false;

	for (uint32_t n = 0; v != NULL && n < c->config->node_count; n++)
		behind |= n != c->self.node && c->node[n].member &&
			  c->node[n].said.ballot < v->ballot;
	if (!behind)
		return;
	if (c->now_ns < c->behind_ns) {
		cluster_wake(c, c->behind_ns);
		return;
	}
	c->state_due = true;
	c->behind_ns = c->now_ns + BEHIND_NS;
}

static void state_pump(struct cluster_core *c)
{
	struct message *m;

	behind_pump(c);
	if (!(c->state_due && sends_state(c)) &&
	    !(c->ends_due && cluster_view_in_effect(c) != NULL))
		return;
	c->state_due = c->ends_due = false;
	c->state_ring = c->ring;
	m = cluster_message(c, MESSAGE_STATE);
	m->state.has_view = true;
	m->state.view = *cluster_view_in_effect(c);
	for (uint32_t n = 0; n < CONFIG_NODE_COUNT_MAX; n++) {
		memcpy(m->state.released[n], c->voter.released[n],
		       sizeof m->state.released[n]);
		m->state.fenced_boot[n] = c->node[n].fenced_boot;
	}
	cluster_send(c);
}

static bool has_ended(const struct cluster_core *c, const struct view_host *h)
{
	return h->node != VIEW_NONE &&
	       (cluster_devices_are_released(c, h->node, h->incarnation) ||
		(!c->node[h->node].member && c->node[h->node].fenced_boot == h->boot));
}

/* D6: do we know that a site's host has ended, and the state does not say it? A joiner may
 * know it from its voter file. */
static bool lacks_end(const struct cluster_core *c, const struct message_state *state,
		      const struct view_host *host)
{
	if (host->node == VIEW_NONE || state->fenced_boot[host->node] == host->boot)
		return false;
	for (uint32_t i = 0; i < RELEASED_COUNT_MAX; i++)
		if (state->released[host->node][i] == host->incarnation)
			return false;
	return has_ended(c, host);
}

/* An adopted view may name a host that had ended before; not all members here know that. */
void cluster_join_in_effect(struct cluster_core *c, const struct view *before)
{
	const struct view *v = cluster_view_in_effect(c);

	for (uint32_t s = 0; s < v->site_count; s++)
		c->ends_due |= v->site[s].host.incarnation !=
				       before->site[s].host.incarnation &&
			       has_ended(c, &v->site[s].host);
	c->behind_ns = c->now_ns + BEHIND_NS;
}

void cluster_join_state(struct cluster_core *c, const struct message *m)
{
	const struct view *v = &m->state.view;

	c->state_due = false;
	for (uint32_t s = 0; m->state.has_view && s < v->site_count; s++)
		c->ends_due |= lacks_end(c, &m->state, &v->site[s].host);
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		for (uint32_t i = RELEASED_COUNT_MAX; i-- > 0;)
			cluster_devices_released(c, n, m->state.released[n][i]);
		if (c->node[n].fenced_boot == 0 && !c->node[n].member)
			c->node[n].fenced_boot = m->state.fenced_boot[n];
	}
	if (m->state.has_view)
		cluster_in_effect_take(c, &m->state.view);
}

/* ---- for the other parts -------------------------------------------------------------------- */

bool cluster_join_is_host(const struct cluster_core *c, uint32_t site, int32_t node,
			  uint64_t incarnation)
{
	const struct node *n;

	if (node < 0 || incarnation == 0)
		return false;
	n = &c->node[node];
	return n->member && (n->said.flags & ANNOUNCE_OPEN) != 0 &&
	       n->said.site == (int32_t)site && n->said.incarnation_open == incarnation;
}

const struct node *cluster_join_host_of(const struct cluster_core *c, uint32_t site)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct view_host *h;

	if (v == NULL || site >= v->site_count)
		return NULL;
	h = &v->site[site].host;
	return cluster_join_is_host(c, site, h->node, h->incarnation) ?
		       &c->node[h->node] :
		       NULL;
}

void cluster_join_pump(struct cluster_core *c)
{
	announce_pump(c);
	state_pump(c);
	cluster_site_disks_pump(c);
}
