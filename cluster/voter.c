/* voter.c - the voter: promises and accepts ballots, on stable storage first (D1).
 *
 *   message             ballot < promised   = promised          > promised
 *   PREPARE             REFUSE              PROMISE again       promise, persist,
 *                                                                 then PROMISE
 *   PROPOSE             REFUSE              accept, persist,    the same, and it is
 *                                             then ACCEPTED       promised too
 *
 * An answer leaves when the file that says it is on stable storage; one write is
 * under way at a time, and covers all that changed before it began.
 *
 * Source: L. Lamport, "Paxos Made Simple" (2001), 2.2 P1a, 2.3.
 */
#include <assert.h>

#include "cluster/internal.h"

const struct view *cluster_view_in_effect(const struct cluster_core *c)
{
	return c->voter.has_in_effect ? &c->voter.in_effect : NULL;
}

const struct view *cluster_view_newest(const struct cluster_core *c)
{
	const struct voter *v = &c->voter;

	if (!v->has_accepted ||
	    (v->has_in_effect && v->in_effect.ballot >= v->accepted.ballot))
		return cluster_view_in_effect(c);
	return &v->accepted;
}

/* The write that will cover all changes so far. */
static uint64_t covering_counter(const struct cluster_core *c)
{
	return c->voter.counter + (c->voter_dirty ? 1 : 0);
}

static void send_refuse(struct cluster_core *c, uint64_t ballot)
{
	struct message *m = cluster_message(c, MESSAGE_REFUSE);

	m->vote.ballot = ballot;
	m->vote.promised = c->voter.promised;
	cluster_send(c);
}

void cluster_voter_promise_own(struct cluster_core *c, uint64_t ballot)
{
	assert(ballot > c->voter.promised);
	c->voter.promised = ballot;
	c->voter_dirty = true;
	c->round.persist_counter = covering_counter(c);
}

/* A production that answers clients is asked to step aside first, by name. */
static bool objects(struct cluster_core *c, const struct message *m)
{
	const struct view *v = cluster_view_in_effect(c);
	const bool serves = c->role.serve == SERVE_STARTING ||
			    c->role.serve == SERVE_SERVING ||
			    c->role.serve == SERVE_DEMOTING;

	if (m->prepare.kind == ROUND_CONFIRM || m->node == c->self.node || !serves ||
	    !cluster_lease_is_valid(c) || v == NULL ||
	    !uuid_equal(&cluster_view_generation(v)->id, &c->role.generation))
		return false;
	cluster_message(c, MESSAGE_OBJECT)->vote.ballot = m->prepare.ballot;
	cluster_send(c);
	return true;
}

void cluster_voter_prepare(struct cluster_core *c, const struct message *m)
{
	const uint64_t ballot = m->prepare.ballot;

	if (cluster_view_ballot_node(ballot) != m->node)
		return;
	cluster_round_seen(c, ballot);
	if (ballot < c->voter.promised) {
		send_refuse(c, ballot);
		return;
	}
	if (objects(c, m))
		return;
	if (m->node != c->self.node)
		cluster_round_others(c, ballot);
	if (ballot > c->voter.promised) {
		c->voter.promised = ballot;
		c->voter_dirty = true;
	}
	c->promise_pending = ballot;
	c->promise_known = m->prepare.known;
	c->promise_counter = covering_counter(c);
}

/* A view may replace ours if it is of the same mirror and lineage, or of a lineage that
 * parted from ours after the newest view that we know in effect. */
static bool view_fits(const struct cluster_core *c, const struct view *v)
{
	const struct view *mine = cluster_view_in_effect(c);

	if (!uuid_is_zero(&c->voter.mirror) && !uuid_equal(&c->voter.mirror, &v->mirror))
		return false;
	return mine == NULL || uuid_equal(&mine->lineage, &v->lineage) ||
	       (uuid_equal(&mine->lineage, &v->fork.lineage) &&
		mine->ballot <= v->fork.ballot);
}

bool cluster_voter_view_fits(const struct cluster_core *c, const struct view *v)
{
	return view_fits(c, v);
}

void cluster_voter_propose(struct cluster_core *c, const struct message *m)
{
	const struct view *v = &m->propose.view;
	const uint64_t epoch = c->voter.epoch;

	if (cluster_view_ballot_node(v->ballot) != m->node || !view_fits(c, v))
		return;
	cluster_round_seen(c, v->ballot);
	if (!c->tally.has || v->ballot > c->tally.view.ballot) {
		c->tally.has = true;
		c->tally.view = *v;
		memset(c->tally.epoch, 0, sizeof c->tally.epoch);
	}
	if (c->tally.view.ballot == v->ballot)
		c->tally.ring = c->ring;
	if (v->ballot < c->voter.promised) {
		send_refuse(c, v->ballot);
		return;
	}
	if (m->node != c->self.node)
		cluster_round_others(c, v->ballot);
	if (cluster_view_voters_epoch(&v->voters, c->self.node) != epoch &&
	    cluster_view_voters_epoch(&v->old, c->self.node) != epoch)
		return;
	if (!c->voter.has_accepted || c->voter.accepted.ballot != v->ballot) {
		c->voter.promised = v->ballot;
		c->voter.accepted = *v;
		c->voter.has_accepted = true;
		c->voter.mirror = v->mirror;
		c->voter_dirty = true;
	}
	c->accept_pending = v->ballot;
	c->accept_counter = covering_counter(c);
}

/* ---- answers, once durable ---------------------------------------------------- */

static void send_promise(struct cluster_core *c)
{
	const struct voter *v = &c->voter;
	struct message_promise *p = &cluster_message(c, MESSAGE_PROMISE)->promise;

	p->ballot = c->promise_pending;
	p->epoch = v->epoch;
	if (v->has_accepted) {
		p->accepted_ballot = v->accepted.ballot;
		p->has_accepted = v->accepted.ballot > c->promise_known;
	}
	if (v->has_in_effect) {
		p->in_effect_ballot = v->in_effect.ballot;
		p->has_in_effect = v->in_effect.ballot > c->promise_known &&
				   v->in_effect.ballot != p->accepted_ballot;
	}
	if (p->has_accepted)
		p->accepted = v->accepted;
	if (p->has_in_effect)
		p->in_effect = v->in_effect;
	cluster_send(c);
}

static void answer(struct cluster_core *c)
{
	struct message *m;

	if (c->promise_pending != 0 && c->persisted_counter >= c->promise_counter) {
		/* A greater one was promised since: that proposer is answered. */
		if (c->promise_pending == c->voter.promised)
			send_promise(c);
		c->promise_pending = 0;
	}
	if (c->accept_pending != 0 && c->persisted_counter >= c->accept_counter) {
		m = cluster_message(c, MESSAGE_ACCEPTED);
		m->vote.ballot = c->accept_pending;
		m->vote.epoch = c->voter.epoch;
		cluster_send(c);
		c->accept_pending = 0;
	}
}

void cluster_voter_persisted(struct cluster_core *c, uint64_t counter, int32_t error)
{
	c->persisting = false;
	if (error == 0) {
		c->persisted_counter = counter;
		c->persisted_epoch = c->persisting_epoch;
		if (c->persist_failed) { /* all are to agree again */
			c->together.after = c->seen_number;
			c->confirm_due = true;
		}
		c->persist_failed = false;
		return;
	}
	if (!c->persist_failed)
		cluster_tell(c, "member", cluster_node_name(c, (int32_t)c->self.node),
			     "voter-file",
			     "the voter file cannot be written (error %d): this "
			     "node answers no ballot",
			     -error);
	c->persist_failed = true;
	c->together.after = UINT64_MAX;
	c->together.has = false; /* D2: the others may go on without this vote */
	c->voter_dirty = true;   /* all of it is written again, then synced */
	c->persist_retry_ns = c->now_ns + RESEND_NS;
}

void cluster_voter_pump(struct cluster_core *c)
{
	answer(c);
	if (!c->voter_dirty || c->persisting)
		return;
	if (c->now_ns < c->persist_retry_ns) {
		cluster_wake(c, c->persist_retry_ns);
		return;
	}
	c->voter_dirty = false;
	c->persisting = true;
	c->persisting_epoch = c->voter.epoch;
	c->voter.counter++;
	cluster_persist(c, c->voter.counter);
}
