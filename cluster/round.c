/* round.c - the proposer: how the next view is chosen by the voters (D1).
 *
 *   state     event                          what happens               next
 *   idle      a round is called for, and     own promise, durable       persist
 *               this node may propose
 *   persist   the file is on stable storage  PREPARE                    promise
 *   promise   a majority promised, newest    propose it again under     accept
 *               view among them undecided      our ballot (adoption)
 *   promise   ... decided                    propose the view after it  accept
 *                                              (plan.c)
 *   promise   ... decided, a promotion       the site refuses older     engine
 *                                              links, rolls forward
 *   promise   by force, its devices are not  propose itself as host,    accept
 *               open (D2)                      of a new lineage
 *   engine    FACT_PREPARED                  propose the generation     accept
 *   accept    a majority accepted            in effect: COMMIT          idle
 *   any       a greater ballot is seen,      leave it to that one       idle
 *               REFUSE, quorum or time lost
 *
 * Ballots are unique: a proposer is a voter, and makes its own promise durable
 * before it tells anyone of a ballot, so that it never uses one twice. A proposer that
 * sees PREPARE or PROPOSE of another holds back a while, so that races end.
 *
 * A majority is one of the voters of the newest view found and, while that view is
 * undecided and changes the voters, of those before too. Each accepted view was
 * accepted so, hence two majorities of ballots that follow each other always share
 * a voter, and the later one has seen the earlier.
 *
 * Source: L. Lamport, "Paxos Made Simple" (2001), 2.2 P2c; L. Lamport, D. Malkhi,
 * L. Zhou, "Vertical Paxos" (2009) for voters that change.
 */
#include <assert.h>

#include "cluster/generation.h"

static bool state_change_is_legal(enum round_state from, enum round_state to)
{
	switch (to) {
	case ROUND_IDLE:
		return true;
	case ROUND_PERSIST:
		return from == ROUND_IDLE;
	case ROUND_PROMISE:
		return from == ROUND_PERSIST;
	case ROUND_ENGINE:
		return from == ROUND_PROMISE;
	case ROUND_ACCEPT:
		return from == ROUND_PROMISE || from == ROUND_ENGINE;
	}
	return false;
}

static void set_state(struct cluster_core *c, enum round_state state)
{
	assert(state_change_is_legal(c->round.state, state));
	c->round.state = state;
	c->round.begun_ns = c->now_ns;
	c->round.resend_at_ns = c->now_ns + RESEND_NS;
}

/* ---- the proposer ------------------------------------------------------------ */

static bool is_voter(const struct view *v, uint32_t node, uint64_t epoch)
{
	return epoch != 0 && (cluster_view_voters_epoch(&v->voters, node) == epoch ||
			      cluster_view_voters_epoch(&v->old, node) == epoch);
}

/* One member proposes the changes that concern all: the production host or, without it,
 * the lowest voter in backup order. Others step in when it sleeps. */
static int32_t coordinator(const struct cluster_core *c)
{
	const struct view *v = cluster_view_newest(c);

	if (v == NULL)
		return VIEW_NONE;
	for (int32_t i = VIEW_NONE; i < (int32_t)c->config->node_count; i++) {
		const int32_t n = i == VIEW_NONE ? v->production_node : i;

		/* A production that stops still proposes: the others that leave need its
		 * views. */
		if (n >= 0 && n < (int32_t)c->config->node_count && c->node[n].member &&
		    (i == VIEW_NONE ||
		     (c->node[n].said.flags & ANNOUNCE_STOPPING) == 0) &&
		    is_voter(v, (uint32_t)n, c->node[n].said.epoch))
			return n;
	}
	return VIEW_NONE;
}

static bool is_coordinator(const struct cluster_core *c)
{
	return coordinator(c) == (int32_t)c->self.node;
}

/* Those that are here could be a majority. */
bool cluster_round_can_decide(const struct cluster_core *c)
{
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };
	const struct view *v = cluster_view_newest(c);

	if (v == NULL || !c->quorate)
		return false;
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (c->node[n].member)
			epoch[n] = c->node[n].said.epoch;
	return cluster_is_majority(c, v, v != cluster_view_in_effect(c), epoch);
}

/* ---- messages out -------------------------------------------------------------- */

static void send_prepare(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	struct message *m = cluster_message(c, MESSAGE_PREPARE);

	m->prepare.ballot = c->round.ballot;
	m->prepare.kind = c->round.kind;
	m->prepare.known = v != NULL ? v->ballot : 0;
	cluster_send(c);
	c->round.resend_at_ns = c->now_ns + RESEND_NS;
}

static void send_propose(struct cluster_core *c)
{
	cluster_message(c, MESSAGE_PROPOSE)->propose.view = c->round.next;
	cluster_send(c);
	c->round.resend_at_ns = c->now_ns + RESEND_NS;
}

static void propose(struct cluster_core *c)
{
	struct view *v = &c->round.next;

	v->ballot = c->round.ballot;
	v->proposer = c->self.incarnation;
	/* From the proposal on, writes wait for every copy that it names, and answers
	 * satisfy its promise. */
	if (uuid_equal(&cluster_view_generation(v)->id, &c->role.generation))
		cluster_copies_proposed(c, v);
	set_state(c, ROUND_ACCEPT);
	send_propose(c);
}

/* ---- promises -------------------------------------------------------------------- */

static void better(struct cluster_core *c, const struct view *v)
{
	struct round *r = &c->round;

	if (!cluster_voter_view_fits(c, v) ||
	    (r->has_best && v->ballot <= r->best.ballot))
		return;
	r->has_best = true;
	r->best = *v;
}

void cluster_round_promise(struct cluster_core *c, uint32_t node, const struct message *m)
{
	const struct message_promise *p = &m->promise;
	struct round *r = &c->round;

	if (r->state != ROUND_PROMISE || p->ballot != r->ballot)
		return;
	r->epoch[node] = p->epoch;
	r->accepted_ballot[node] = p->accepted_ballot;
	if (p->has_in_effect) {
		better(c, &p->in_effect);
		cluster_in_effect_take(c, &p->in_effect);
	}
	if (p->has_accepted) {
		better(c, &p->accepted);
		if (p->accepted_ballot == p->in_effect_ballot)
			cluster_in_effect_take(c, &p->accepted);
	}
}

/* A view is decided when it is known in effect, or when the promises show that a majority
 * had accepted it. */
static bool best_is_decided(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	struct round *r = &c->round;
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };

	if (v != NULL && v->ballot >= r->best.ballot) {
		r->best = *v;
		return true;
	}
	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (r->accepted_ballot[n] == r->best.ballot)
			epoch[n] = r->epoch[n];
	if (!cluster_is_majority(c, &r->best, true, epoch))
		return false;
	cluster_in_effect_take(c, &r->best);
	return true;
}

/* D2: by force, all voters that are here stand for all. */
static bool force_has_promises(const struct cluster_core *c)
{
	const struct round *r = &c->round;

	for (uint32_t n = 0; n < c->config->node_count; n++)
		if (c->node[n].member && is_voter(&r->best, n, c->node[n].said.epoch) &&
		    r->epoch[n] != c->node[n].said.epoch)
			return false;
	return r->epoch[c->self.node] != 0;
}

static void promised(struct cluster_core *c)
{
	struct round *r = &c->round;
	const bool decided = best_is_decided(c);

	if (r->state != ROUND_PROMISE)
		return; /* a view that was learned has ended this round */
	if (r->kind == ROUND_FORCE ?
		    !force_has_promises(c) :
		    !cluster_is_majority(c, &r->best, !decided, r->epoch))
		return;
	r->promised_ns = c->now_ns;
	r->adopting = !decided && r->kind != ROUND_FORCE;
	if (r->adopting) {
		r->next = r->best;
		cluster_tell(c, "view", "", "D1-adopt",
			     "an undecided view of ballot %llu is "
			     "proposed again",
			     (unsigned long long)r->best.ballot);
		propose(c);
	} else if (r->kind == ROUND_CONFIRM) {
		cluster_plan_next(c, &r->best, true, &r->next);
		propose(c);
	} else if (r->kind == ROUND_FORCE && c->promote.state == PROMOTE_DEVICES) {
		cluster_plan_next(c, &r->best, true, &r->next);
		cluster_generation_force(c, &r->next);
		r->next.old.count = 0;
		c->promote.parted = true;
		propose(c);
	} else {
		cluster_promote_promised(c);
		if (r->state == ROUND_PROMISE && c->promote.state == PROMOTE_ROUND)
			set_state(c, ROUND_ENGINE);
	}
}

/* The promotion's part is done: `round.next` holds its view. */
void cluster_round_prepared(struct cluster_core *c)
{
	assert(c->round.state == ROUND_ENGINE);
	propose(c);
}

/* ---- ends ------------------------------------------------------------------------- */

void cluster_round_seen(struct cluster_core *c, uint64_t ballot)
{
	if (cluster_view_ballot_number(ballot) > c->seen_number)
		c->seen_number = cluster_view_ballot_number(ballot);
}

void cluster_round_give_up(struct cluster_core *c, uint64_t pause_ns)
{
	set_state(c, ROUND_IDLE);
	c->round_at_ns = c->now_ns + pause_ns;
	cluster_wake(c, c->round_at_ns);
}

/* Backup order tells racing proposers apart. */
static uint64_t backoff_ns(const struct cluster_core *c)
{
	return BACKOFF_NS * (1 + c->self.node);
}

void cluster_round_others(struct cluster_core *c, uint64_t ballot)
{
	if (c->round.state != ROUND_IDLE && c->round.ballot < ballot)
		cluster_round_give_up(c, backoff_ns(c));
	c->yield.ballot = ballot;
	c->yield.until_ns = c->now_ns + YIELD_NS;
}

void cluster_round_refuse(struct cluster_core *c, const struct message *m)
{
	cluster_round_seen(c, m->vote.promised);
	if (c->round.state != ROUND_IDLE && m->vote.ballot == c->round.ballot)
		cluster_round_give_up(c, backoff_ns(c));
}

/* Our round ended well, or was overtaken. */
void cluster_round_finish(struct cluster_core *c, uint64_t ballot)
{
	struct round *r = &c->round;
	struct message *m;

	if (r->state == ROUND_IDLE || r->ballot > ballot)
		return;
	if (r->ballot < ballot || r->state != ROUND_ACCEPT) {
		cluster_round_give_up(c, backoff_ns(c));
		return;
	}
	set_state(c, ROUND_IDLE);
	m = cluster_message(c, MESSAGE_COMMIT);
	m->vote.ballot = ballot;
	cluster_send(c);
	if (r->kind != ROUND_CONFIRM && !r->adopting)
		cluster_promote_in_effect(c);
}

/* ---- beginnings ---------------------------------------------------------------------- */

static void begin(struct cluster_core *c, enum round_kind kind)
{
	const struct view *v = cluster_view_in_effect(c);
	struct round *r = &c->round;
	uint64_t number = c->seen_number;

	if (cluster_view_ballot_number(c->voter.promised) > number)
		number = cluster_view_ballot_number(c->voter.promised);
	memset(r->epoch, 0, sizeof r->epoch);
	memset(r->accepted_ballot, 0, sizeof r->accepted_ballot);
	r->kind = kind;
	r->adopting = false;
	r->ballot = cluster_view_ballot_make(number + 1, c->self.node);
	r->has_best = v != NULL;
	if (v != NULL)
		r->best = *v;
	set_state(c, ROUND_PERSIST);
	cluster_round_seen(c, r->ballot);
	cluster_voter_promise_own(c, r->ballot);
}

/* D2: a node that is alone and has restarted needs a view to open its disks, and nobody is
 * left to agree to one. With a force it first names itself host, in a lineage of its own,
 * and is then promoted there as usual. D6 still holds: it may take only disks that no other
 * node can have open. Its own view cannot prove that, since the others may have gone on
 * (test_force). */
static bool force_opens(struct cluster_core *c)
{
	const int32_t site = c->config->node[c->self.node].site;
	const struct view *v = cluster_view_in_effect(c);

	if (c->promote.state != PROMOTE_DEVICES || !c->promote.force || v == NULL ||
	    site == VIEW_NONE || c->role.devices != DEVICES_CLOSED ||
	    cluster_devices_site(c) == site ||
	    cluster_devices_mate_held(c, (uint32_t)site) != VIEW_NONE)
		return false;
	if (c->now_ns < c->ring_ns + SETTLE_NS) {
		cluster_wake(c, c->ring_ns + SETTLE_NS);
		return false;
	}
	return cluster_plan_next(c, v, true, &c->plan) &&
	       c->plan.site[site].host.node == (int32_t)c->self.node &&
	       c->plan.site[site].host.incarnation == c->role.incarnation_next;
}

/* Does something need a new view, and may this node propose it? */
static bool is_called_for(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c),
			  *newest = cluster_view_newest(c);
	const bool leads = is_coordinator(c);
	const bool overdue = c->work_since_ns != 0 &&
			     c->now_ns >= c->work_since_ns + WORK_OVERDUE_NS +
						  c->self.node * 2 * RESEND_NS;
	bool work = c->confirm_due || v != newest;

	/* D7: promises to a proposal that came to nothing keep grants back. */
	if (c->role.serve >= SERVE_PREPARED && c->role.serve <= SERVE_SERVING &&
	    c->voter.promised > newest->ballot)
		work = true;
	/* A proposal of ours that asks more of answers may still stand, until a greater
	 * ballot has settled it. */
	if (v != NULL && cluster_copies_unsettled(c, v))
		return true;
	if (c->confirm_own || (v != NULL && cluster_plan_next(c, v, false, &c->plan)))
		return true;
	if (v != NULL && !work)
		work = cluster_plan_next(c, v, true, &c->plan);
	if (!work) {
		c->work_since_ns = 0;
		return false;
	}
	if (c->work_since_ns == 0)
		c->work_since_ns = c->now_ns;
	cluster_wake(c, c->now_ns + RESEND_NS);
	return leads || overdue;
}

static void idle_pump(struct cluster_core *c)
{
	const struct view *newest = cluster_view_newest(c);
	const bool promotes = c->promote.state == PROMOTE_ROUND;
	const int32_t rival = (int32_t)cluster_view_ballot_node(c->yield.ballot);
	bool can;

	if (newest == NULL || c->persist_failed)
		return;
	can = cluster_round_can_decide(c);
	/* A node that has handed its vote back can still be forced, while the voters that
	 * kept theirs are away. */
	if (can && !is_voter(newest, c->self.node, c->voter.epoch))
		return;
	if (!can && !(promotes && c->promote.force) && !force_opens(c))
		return;
	if (can && !promotes && !is_called_for(c))
		return;
	if (c->yield.ballot != 0 && c->node[rival].member &&
	    c->now_ns < c->yield.until_ns) {
		cluster_wake(c, c->yield.until_ns);
		return;
	}
	if (c->now_ns < c->round_at_ns) {
		cluster_wake(c, c->round_at_ns);
		return;
	}
	begin(c, !can ? ROUND_FORCE : promotes ? ROUND_PROMOTE : ROUND_CONFIRM);
}

/* A ring change may have lost messages: send again, then give up. */
static void waiting_pump(struct cluster_core *c, void (*send)(struct cluster_core *c))
{
	struct round *r = &c->round;

	if (r->state != ROUND_ENGINE && c->now_ns >= r->begun_ns + ROUND_NS) {
		cluster_round_give_up(c, backoff_ns(c));
		return;
	}
	if (c->now_ns >= r->resend_at_ns)
		send(c);
	cluster_wake(c, r->resend_at_ns);
}

void cluster_round_pump(struct cluster_core *c)
{
	struct round *r = &c->round;

	if (!c->quorate) {
		if (r->state != ROUND_IDLE)
			cluster_round_give_up(c, 0);
		return;
	}
	if (r->state == ROUND_IDLE)
		idle_pump(c);
	switch (r->state) {
	case ROUND_IDLE:
		break;
	case ROUND_PERSIST:
		if (c->persisted_counter >= r->persist_counter) {
			set_state(c, ROUND_PROMISE);
			send_prepare(c);
		}
		break;
	case ROUND_PROMISE:
		if (r->has_best)
			promised(c);
		if (r->state == ROUND_PROMISE)
			waiting_pump(c, send_prepare);
		break;
	case ROUND_ENGINE:
		waiting_pump(c, send_prepare);
		break;
	case ROUND_ACCEPT:
		waiting_pump(c, send_propose);
		break;
	}
}
