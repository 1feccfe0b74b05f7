/* engine/near.c - near copies: counted by a view in async, within a bound (M4).
 *
 * The view's current set holds them, so the rules of current copies are theirs too: the mark at
 * which one enters (D3), the view without it before anything goes on without it, the
 * incarnation. Only the wait is another one:
 *
 *   the copy                                  clients
 *   is within the bound after this answer     are answered
 *   would be beyond it                        wait while it leaves, for one round of the members
 *   fills the log, or the table of records    are answered while it leaves
 *   was within half the bound for ten         nothing: it is waited for from a mark on, and
 *     seconds                                   enters when all below that is durable there
 *
 * The bound counts from what a copy has confirmed durable, so it holds for one without a link
 * too. It stays near until more is answered than the bound allows.
 *
 * Source: docs/rules.md (M4).
 */
#include <stdio.h>

#include "mirror/engine/state.h"

#define ENTER_NS (10000 * NS_PER_MS)
#define FULL_PARTS 4u /* of a full log, or of a table that is half full, for one copy */

static bool has_bound(const struct mirror_engine *m)
{
	const struct promise *p = &m->open.requests.ack.promise;

	return p->mode == CONFIG_ASYNC && promise_counts(p);
}

void mirror_near_prove(struct mirror_engine *m)
{
	for (uint32_t s = 0; s < m->config->site_count; s++)
		mirror_ack_set_proven(&m->open.requests.ack, s,
				      m->open.peer[s].proven_durable);
}

/* ---- it enters ---------------------------------------------------------------- */

bool mirror_near_may_enter(struct mirror_engine *m, uint32_t site)
{
	struct engine_near *n = &m->open.peer[site].near;

	if (m->open.peer[site].candidate_from != 0)
		return has_bound(m); /* until it is beyond the bound itself */
	if (!mirror_ack_is_near(&m->open.requests.ack, site, m->open.marks.last,
				m->now_ns)) {
		n->since_ns = 0;
		return false;
	}
	if (n->since_ns == 0)
		n->since_ns = m->now_ns;
	if (m->now_ns >= n->since_ns + ENTER_NS)
		return true;
	mirror_engine_wake(m, n->since_ns + ENTER_NS);
	return false;
}

/* ---- it leaves ---------------------------------------------------------------- */

static void leave(struct mirror_engine *m, uint32_t site, const char *text)
{
	struct engine_peer *p = &m->open.peer[site];
	struct fact *f;

	p->near.since_ns = 0;
	if (!p->waited && p->candidate_count == 0) { /* nobody was told of it */
		p->candidate_from = 0;
		mirror_requests_wait(m, site, false);
		mirror_engine_changed(m);
		return;
	}
	if (p->near.leaves)
		return;
	p->near.leaves = true;
	f = mirror_engine_fact(m, FACT_COPY_LOST);
	f->site = site;
	f->ready_count = m->ready_count;
	snprintf(f->text, sizeof f->text, "%s", text);
}

/* Up to here all is logged, or durable where a flush waits, and not answered; 0: nothing
 * is. */
static uint64_t kept_back(const struct mirror_engine *m)
{
	const struct mirror_ack *ack = &m->open.requests.ack;
	const struct mirror_request *q = m->open.requests.flushes_pending.head;

	if (mirror_ack_acknowledged(ack) < m->open.marks.logged)
		return m->open.marks.logged;
	return q != NULL && q->stable_sequence > mirror_ack_flushed(ack) &&
			       q->stable_sequence <= m->open.marks.durable ?
		       q->stable_sequence :
		       0;
}

/* The log or the table of records is full, and holds much for this copy alone: what it lacks
 * does not go home. */
static bool fills_log(const struct mirror_engine *m, uint32_t site)
{
	const uint64_t lacks = m->open.marks.last - m->open.peer[site].proven_durable;
	const uint64_t not_home = m->open.marks.last - m->open.marks.home_flushed;
	struct mirror_ring_entry from;

	if (not_home >= RECORDS_MAX / 2 && lacks >= RECORDS_MAX / FULL_PARTS)
		return true;
	/* What is stamped and not in the log yet fills none. */
	return mirror_log_is_short(m) &&
	       m->open.peer[site].proven_durable < m->open.marks.logged &&
	       (mirror_ring_find(m->open.ring, m->open.peer[site].proven_durable + 1,
				 &from) != 0 ||
		mirror_ring_head_position(m->open.ring) - from.position >=
			mirror_ring_bytes(m->open.ring) / FULL_PARTS);
}

void mirror_near_promised(struct mirror_engine *m)
{
	const struct mirror_ack *ack = &m->open.requests.ack;

	if (ack->promise.mode == CONFIG_ASYNC)
		return;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (mirror_ack_waits_for(ack, s) &&
		    !mirror_ack_allows(ack, s, ack->before, m->now_ns))
			leave(m, s, "it lacks more than the mode allows from now on");
}

void mirror_near_pump(struct mirror_engine *m)
{
	struct mirror_ack *ack = &m->open.requests.ack;
	const uint64_t next = kept_back(m);
	char bound[PROMISE_TEXT_BYTES], text[FACT_TEXT_MAX];

	if (!has_bound(m))
		return;
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		if (!mirror_ack_waits_for(ack, s))
			continue;
		if (!mirror_ack_allows(ack, s, next, m->now_ns)) {
			promise_bound_text(&ack->promise, bound);
			mirror_text(text, sizeof text, "it lacks more than %s", bound);
			leave(m, s, text);
		} else if (fills_log(m, s)) {
			leave(m, s, "the writelog is full of what it lacks");
		}
	}
}
