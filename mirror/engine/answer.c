/* engine/answer.c - when a stamped request may be answered, and the answer.
 *
 * Pending requests are answered in the order of their stamps, since every mark is cumulative
 * (acknowledged.h), and only under the lease (D7). While a required copy is missing only reads
 * are (M8). Records are logged, go home and are freed as ever then: to keep these back too
 * would fill the log, which the refresh of that copy needs.
 *
 * Source: docs/sources.md (paper 000, Fig. 5); docs/rules.md (G1, D7); docs/write-path.md
 * (production, step 5).
 */
#include "common/fifo.h"
#include "mirror/engine/state.h"

static bool lease_holds(const struct mirror_engine *m)
{
	return m->now_ns < m->open.requests.lease_until_ns && !m->open.failed &&
	       (m->state == ENGINE_SERVING || m->state == ENGINE_DEMOTING);
}

static void answer(struct mirror_engine *m, struct mirror_request *r)
{
	if (r->result == 0)
		mirror_yield_answered(&m->open.yield, mirror_request_kind(r),
				      m->now_ns - r->came_ns, m->now_ns);
	fifo_push(&m->out->answer, r);
}

void mirror_request_answer(struct mirror_engine *m, struct mirror_request *r,
			   int32_t result)
{
	r->result = result;
	if (result == 0 && !lease_holds(m))
		fifo_push(&m->open.requests.answers_held, r);
	else
		answer(m, r);
}

static void acknowledge(struct mirror_engine *m, struct mirror_request *q)
{
	MIRROR_SET(m, requests.pending_count, m->open.requests.pending_count - 1);
	m->open.requests.answered_ns = m->now_ns;
	mirror_request_answer(m, q, 0);
}

/* Close the group of an answered write in the same step that queues the answer (Fig. 5,
 * 94). A record that is already home and flushed (while there was no lease) has lost its
 * group; to close the group in progress is always safe. */
static void close_group(struct mirror_engine *m, uint64_t sequence)
{
	mirror_stamp_acknowledge(&m->open.requests.stamp,
				 sequence <= m->open.marks.home_flushed ?
					 m->open.requests.stamp.group :
					 mirror_engine_record(m, sequence)->header.group);
}

static void close_acknowledged(struct mirror_engine *m)
{
	const uint64_t acknowledged = mirror_ack_acknowledged(&m->open.requests.ack);

	if (acknowledged == m->open.requests.closed)
		return;
	m->open.requests.closed = acknowledged;
	close_group(m, acknowledged);
}

/* Our own marks, the promise, or the set of sites that are waited for, have changed. */
static void see_answered(struct mirror_engine *m, const struct mirror_ack *before)
{
	const struct mirror_ack *ack = &m->open.requests.ack;

	if (mirror_ack_acknowledged(ack) != mirror_ack_acknowledged(before) ||
	    mirror_ack_flushed(ack) != mirror_ack_flushed(before) ||
	    mirror_ack_everywhere(ack)->logged != mirror_ack_everywhere(before)->logged)
		mirror_engine_changed(m);
}

void mirror_requests_promise(struct mirror_engine *m, const struct promise *promise,
			     uint64_t order_id)
{
	const bool async = m->open.requests.ack.promise.mode == CONFIG_ASYNC;

	if (promise_equal(&m->open.requests.ack.promise, promise))
		return;
	mirror_ack_promise(&m->open.requests.ack, promise);
	m->open.requests.promise_id = order_id;
	if (async)
		mirror_near_promised(m);
	mirror_engine_changed(m);
}

/* M3: the members may propose a view of that promise. */
static void tell_kept(struct mirror_engine *m)
{
	if (m->open.requests.promise_id == 0 ||
	    !mirror_ack_is_kept(&m->open.requests.ack, m->now_ns))
		return;
	mirror_engine_fact(m, FACT_PROMISE)->order_id = m->open.requests.promise_id;
	m->open.requests.promise_id = 0;
}

void mirror_requests_wait(struct mirror_engine *m, uint32_t site, bool wait)
{
	struct mirror_ack *ack = &m->open.requests.ack;
	const struct mirror_ack before = *ack;

	if (wait)
		mirror_ack_add(ack, site);
	else
		mirror_ack_remove(ack, site);
	see_answered(m, &before);
}

/* Writes that failed and have been acknowledged since are like any other. */
static void forget_failed(struct mirror_engine *m)
{
	const uint64_t acknowledged = mirror_ack_acknowledged(&m->open.requests.ack);

	for (uint32_t d = 0; d < m->open.disk_count; d++)
		if (m->open.requests.failed[d].sequence <= acknowledged)
			m->open.requests.failed[d].sequence = 0;
}

void mirror_requests_missing(struct mirror_engine *m, uint32_t sites)
{
	if (m->open.requests.missing == sites)
		return;
	if (m->open.requests.missing == 0)
		forget_failed(m);
	m->open.requests.missing = sites;
	mirror_engine_changed(m);
}

bool mirror_requests_answers_changes(const struct mirror_engine *m)
{
	return m->open.requests.missing == 0;
}

static bool overlaps(const struct mirror_request *a, const struct mirror_request *b)
{
	return a->type != MIRROR_REQUEST_FLUSH && a->disk == b->disk &&
	       a->offset_bytes < b->offset_bytes + b->length_bytes &&
	       b->offset_bytes < a->offset_bytes + a->length_bytes;
}

/* With confirm: home, and where async has just replaced it, records go home that are not
 * answered. */
static bool homes_unanswered(const struct mirror_engine *m)
{
	const struct mirror_ack *ack = &m->open.requests.ack;

	return mirror_ack_everywhere(ack)->logged > mirror_ack_acknowledged(ack);
}

/* May the disk have some of it? */
static bool is_homing(const struct mirror_engine *m, const struct mirror_request *q)
{
	return q->sequence <= m->open.marks.home_flushed ||
	       m->memory.records[q->sequence % RECORDS_MAX].state >= MIRROR_RECORD_HOMING;
}

void mirror_requests_note_failed(struct mirror_engine *m, const struct mirror_request *q)
{
	struct engine_failed *f = &m->open.requests.failed[q->disk];
	const uint64_t end = q->offset_bytes + q->length_bytes;

	if (q->type == MIRROR_REQUEST_FLUSH)
		return;
	if (m->open.requests.missing == 0)
		forget_failed(m);
	if (f->sequence == 0)
		*f = (struct engine_failed){ .from_bytes = UINT64_MAX };
	f->from_bytes = q->offset_bytes < f->from_bytes ? q->offset_bytes : f->from_bytes;
	f->to_bytes = end > f->to_bytes ? end : f->to_bytes;
	f->sequence = q->sequence > f->sequence ? q->sequence : f->sequence;
}

bool mirror_requests_holds(const struct mirror_engine *m,
			   const struct mirror_request *read)
{
	const struct engine_failed *f = &m->open.requests.failed[read->disk];
	const bool missing = !mirror_requests_answers_changes(m);
	const struct mirror_request *heads[] = {
		m->open.requests.writes_pending.head,
		m->open.requests.flushes_pending.head,
	};

	if (!missing && !homes_unanswered(m))
		return false;
	if (f->sequence > 0 && read->offset_bytes < f->to_bytes &&
	    f->from_bytes < read->offset_bytes + read->length_bytes &&
	    (missing || mirror_ack_acknowledged(&m->open.requests.ack) < f->sequence))
		return true;
	for (uint32_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
		for (const struct mirror_request *q = heads[i]; q != NULL; q = q->next)
			if (overlaps(q, read) && (missing || is_homing(m, q)))
				return true;
	return false;
}

/* Those that waited for a lease. A copy may be missing since: then a flush among them waits
 * on, and what a read found may not be shown any more. */
static void answer_held(struct mirror_engine *m)
{
	struct mirror_request_list again = { 0 };
	struct mirror_request *q;

	while ((q = fifo_pop(&m->open.requests.answers_held)) != NULL)
		if (q->type == MIRROR_REQUEST_READ && mirror_requests_holds(m, q))
			fifo_push(&m->open.requests.reads_waiting, q);
		else if (q->type == MIRROR_REQUEST_READ ||
			 mirror_requests_answers_changes(m))
			mirror_request_answer(m, q, 0);
		else
			fifo_push(&again, q);
	m->open.requests.answers_held = again;
}

static void answer_changes(struct mirror_engine *m)
{
	struct mirror_request *q;

	while ((q = m->open.requests.writes_pending.head) != NULL &&
	       q->sequence <= mirror_ack_acknowledged(&m->open.requests.ack))
		acknowledge(m, fifo_pop(&m->open.requests.writes_pending));
	while ((q = m->open.requests.flushes_pending.head) != NULL &&
	       q->stable_sequence <= mirror_ack_flushed(&m->open.requests.ack)) {
		close_group(m, q->stable_sequence);
		acknowledge(m, fifo_pop(&m->open.requests.flushes_pending));
	}
}

void mirror_answer_pump(struct mirror_engine *m)
{
	struct mirror_ack *ack = &m->open.requests.ack;
	const struct mirror_ack before = *ack;

	if (m->state < ENGINE_STARTING || m->state > ENGINE_DEMOTING)
		return;
	mirror_near_prove(m);
	mirror_ack_set_own(ack, m->open.marks.logged, m->open.marks.durable);
	if (ack->promise.home)
		mirror_ack_set_own_home(ack, m->open.marks.home);
	tell_kept(m);
	if (lease_holds(m)) {
		/* The bound counts when answers are given: none is while a copy is missing. */
		if (mirror_requests_answers_changes(m))
			mirror_ack_answer(ack, m->now_ns);
		mirror_near_pump(m);
	}
	see_answered(m, &before);
	if (!lease_holds(m))
		return;
	close_acknowledged(m);
	if (mirror_requests_answers_changes(m))
		answer_changes(m);
	answer_held(m);
}
