/* engine/request.c - a client's request: wait for room, stamp.
 *
 *   write, zero   (delayed; no room: wait unstamped) -> stamped -> pending -> engine/answer.c
 *   flush         pending -> engine/answer.c
 *   read          (overlaps an unacknowledged record: wait) -> engine/read.c
 *
 * Source: docs/sources.md (paper 000, Fig. 4); docs/write-path.md (production, steps 1
 * to 3).
 */
#include "common/fifo.h"
#include "mirror/engine/state.h"

#define FLUSH_HABIT_MAX 8u
#define FLUSH_HABIT_EXPECT 4u /* from here on the next flush is expected */
#define ROOM_MARGIN 64u       /* records kept for refreshes and a demotion */

static bool has_room(const struct mirror_engine *m)
{
	return m->open.marks.last - m->open.marks.home_flushed <
		       RECORDS_MAX - ROOM_MARGIN &&
	       m->open.requests.pending_count < RECORDS_MAX - ROOM_MARGIN &&
	       !mirror_pace_waits(m);
}

/* Give a record its place in every order, and put it where reads find it. The
 * data buffer passes to the record. */
struct mirror_record *mirror_record_stamp(struct mirror_engine *m,
					  const struct mirror_header *header,
					  uint8_t *data)
{
	struct mirror_record *r;

	assert(m->open.marks.last - m->open.marks.home_flushed < RECORDS_MAX);
	r = &m->memory.records[(m->open.marks.last + 1) % RECORDS_MAX];
	assert(r->state == MIRROR_RECORD_FREE && r->data == NULL);
	r->header = *header;
	mirror_stamp_next(&m->open.requests.stamp, &r->header);
	r->header.time_ns = m->wall_ns;
	r->header.crc = mirror_header_data_crc(&m->open.sb.mirror, &r->header, data);
	m->open.counters.groups = r->header.group;
	mirror_record_admit(m, r, data, MIRROR_RECORD_STAMPED);
	mirror_ack_note(&m->open.requests.ack, r->header.sequence,
			mirror_record_is_clients(&r->header), r->header.length_bytes,
			m->now_ns);
	return r;
}

/* M1, M4: do copies that lack it lack a client's write? */
bool mirror_record_is_clients(const struct mirror_header *h)
{
	return h->type != MIRROR_RECORD_FLUSH && (h->flags & MIRROR_RECORD_REFRESH) == 0;
}

/* Common to stamped, received and recovered records. */
void mirror_record_admit(struct mirror_engine *m, struct mirror_record *r, uint8_t *data,
			 enum mirror_record_state state)
{
	mirror_marks_append(m, &r->header);
	mirror_record_set_state(r, state);
	r->data = data;
	r->request = NULL;
	if (data != NULL)
		mirror_buffer_ref(m, data);
	if (mirror_header_changes(&r->header)) {
		mirror_index_insert(&m->open.index[r->header.disk], r);
		r->indexed = true;
	}
}

/* Does this client flush after each write? */
static void note_habit(struct engine_requests *all, const struct mirror_request *q)
{
	const bool flush = q->type == MIRROR_REQUEST_FLUSH;

	if (all->write_unflushed && flush && all->flush_habit < FLUSH_HABIT_MAX)
		all->flush_habit++;
	else if (all->write_unflushed && !flush && all->flush_habit > 0)
		all->flush_habit--;
	all->write_unflushed = !flush;
}

/* Then both sites flush a write the moment it is logged, and the flush that follows its
 * answer finds that under way. A write among others is left: one flush serves them all. */
static bool flush_is_expected(const struct engine_requests *all)
{
	return all->flush_habit >= FLUSH_HABIT_EXPECT && all->pending_count == 0;
}

static void stamp_request(struct mirror_engine *m, struct mirror_request *q)
{
	struct mirror_header h = {
		.disk = (uint16_t)q->disk,
		.offset_bytes = q->offset_bytes,
		.length_bytes = q->length_bytes,
		.flags = q->fua ? MIRROR_RECORD_FUA : 0,
	};
	uint8_t *data = q->data;

	switch (q->type) {
	case MIRROR_REQUEST_WRITE:
		if (flush_is_expected(&m->open.requests))
			h.flags |= MIRROR_RECORD_FUA;
		h.type = MIRROR_RECORD_WRITE;
		h.data_bytes = (uint32_t)q->length_bytes;
		m->open.counters.writes++;
		m->open.counters.write_bytes += q->length_bytes;
		break;
	case MIRROR_REQUEST_ZERO:
		h.type = MIRROR_RECORD_ZERO;
		if (q->may_deallocate)
			h.flags |= MIRROR_RECORD_MAY_DEALLOCATE;
		m->open.counters.writes++;
		break;
	case MIRROR_REQUEST_FLUSH:
	case MIRROR_REQUEST_READ:
		assert(!"only what changes a disk is stamped");
	}
	q->data = NULL;
	q->sequence = mirror_record_stamp(m, &h, data)->header.sequence;
	q->stable_sequence = q->sequence;
	mirror_pace_spend(m, &h);
	if (q->fua)
		fifo_push(&m->open.requests.flushes_pending, q);
	else
		fifo_push(&m->open.requests.writes_pending, q);
	MIRROR_SET(m, requests.pending_count, m->open.requests.pending_count + 1);
}

/* A flush has no record: it is answered when all records stamped before it are durable at all
 * sites that are waited for. These are asked to flush them. In near-sync and async
 * it is judged at its answer (M2). */
static void begin_flush(struct mirror_engine *m, struct mirror_request *q)
{
	q->stable_sequence = mirror_log_flush_target(m, m->open.marks.last + 1);
	if (m->open.requests.ack.promise.mode == CONFIG_SYNC &&
	    mirror_requests_answers_changes(m) &&
	    mirror_ack_flushed(&m->open.requests.ack) >= q->stable_sequence) {
		mirror_request_answer(m, q, 0);
		return;
	}
	m->open.counters.flushes++;
	mirror_log_want_durable(m, q->stable_sequence);
	fifo_push(&m->open.requests.flushes_pending, q);
	MIRROR_SET(m, requests.pending_count, m->open.requests.pending_count + 1);
}

static bool may_begin(struct mirror_engine *m, const struct mirror_request *q)
{
	return q->type == MIRROR_REQUEST_FLUSH ||
	       (has_room(m) &&
		!mirror_refresh_covers(m, q->disk, q->offset_bytes, q->length_bytes));
}

/* `q` is on no list. */
static void begin(struct mirror_engine *m, struct mirror_request *q)
{
	note_habit(&m->open.requests, q);
	if (q->type == MIRROR_REQUEST_FLUSH)
		begin_flush(m, q);
	else
		stamp_request(m, q);
}

enum mirror_yield_kind mirror_request_kind(const struct mirror_request *q)
{
	if (q->type == MIRROR_REQUEST_READ)
		return MIRROR_YIELD_READ;
	return q->type == MIRROR_REQUEST_FLUSH || q->fua ? MIRROR_YIELD_FLUSH :
							   MIRROR_YIELD_WRITE;
}

/* A refresh gives way to clients (engine/yield.h), but not to those that a missing copy holds
 * up: it may be the refresh of that copy that they wait for. */
void mirror_requests_oldest(const struct mirror_engine *m,
			    uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT])
{
	const bool held = !mirror_requests_answers_changes(m);

	const struct mirror_request *heads[] = {
		m->open.requests.waiting.head,
		held ? NULL : m->open.requests.writes_pending.head,
		held ? NULL : m->open.requests.flushes_pending.head,
		held ? NULL : m->open.requests.reads_waiting.head,
	};

	for (uint32_t i = 0; i < MIRROR_YIELD_KIND_COUNT; i++)
		oldest_ns[i] = 0;
	for (uint32_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		uint64_t *oldest;

		if (heads[i] == NULL)
			continue;
		oldest = &oldest_ns[mirror_request_kind(heads[i])];
		if (*oldest == 0 || heads[i]->came_ns < *oldest)
			*oldest = heads[i]->came_ns;
	}
}

static void take_in(struct mirror_engine *m, struct mirror_request *q)
{
	if (m->open.requests.waiting.head != NULL || !may_begin(m, q))
		fifo_push(&m->open.requests.waiting, q);
	else
		begin(m, q);
}

void mirror_request_take(struct mirror_engine *m, struct mirror_request *q)
{
	q->sequence = 0;
	q->came_ns = m->now_ns;
	mirror_yield_asked(&m->open.yield, m->now_ns);
	if (m->state != ENGINE_SERVING || m->open.failed) {
		mirror_request_answer(m, q, -ESHUTDOWN);
		return;
	}
	if (q->type == MIRROR_REQUEST_READ) {
		m->open.counters.reads++;
		m->open.counters.read_bytes += q->length_bytes;
		if (m->open.requests.reads_waiting.head != NULL ||
		    !mirror_read_start(m, q))
			fifo_push(&m->open.requests.reads_waiting, q);
	} else if (mirror_throttle_delays(m, q)) {
		fifo_push(&m->open.throttle.delayed, q);
	} else {
		take_in(m, q);
	}
}

/* To the others it has come only now. */
static void end_delays(struct mirror_engine *m)
{
	struct mirror_request *q;

	while (m->open.throttle.delayed.head != NULL && mirror_throttle_is_over(m)) {
		q = fifo_pop(&m->open.throttle.delayed);
		q->came_ns = m->now_ns;
		take_in(m, q);
	}
}

void mirror_requests_pump(struct mirror_engine *m)
{
	struct mirror_request_list again = { 0 };
	struct mirror_request *q;

	if (m->state != ENGINE_SERVING && m->state != ENGINE_DEMOTING)
		return;
	end_delays(m);
	while (m->open.requests.waiting.head != NULL &&
	       may_begin(m, m->open.requests.waiting.head))
		begin(m, fifo_pop(&m->open.requests.waiting));
	if (m->open.requests.reads_waiting.head == NULL)
		return;
	while ((q = fifo_pop(&m->open.requests.reads_waiting)) != NULL)
		if (!mirror_read_start(m, q))
			fifo_push(&again, q);
	m->open.requests.reads_waiting = again;
}

/* ---- giving up ----------------------------------------------------------- */

static void fail_list(struct mirror_engine *m, struct mirror_request_list *list,
		      int32_t result)
{
	struct mirror_request *q;

	while ((q = fifo_pop(list)) != NULL)
		mirror_request_answer(m, q, result);
}

/* Fail every request that is not yet answered. Stamped ones stay in the log: like any
 * write cut off by a crash they may be found there later. */
void mirror_requests_fail(struct mirror_engine *m, int32_t result)
{
	const struct mirror_request *heads[] = {
		m->open.requests.writes_pending.head,
		m->open.requests.flushes_pending.head,
	};

	fail_list(m, &m->open.throttle.delayed, result);
	fail_list(m, &m->open.requests.waiting, result);
	for (uint32_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
		for (const struct mirror_request *q = heads[i]; q != NULL; q = q->next)
			mirror_requests_note_failed(m, q);
	fail_list(m, &m->open.requests.writes_pending, result);
	fail_list(m, &m->open.requests.flushes_pending, result);
	fail_list(m, &m->open.requests.reads_waiting, result);
	fail_list(m, &m->open.requests.answers_held, result);
	MIRROR_SET(m, requests.pending_count, 0);
}

static void drop_client(struct mirror_engine *m, struct mirror_request_list *list,
			const void *client)
{
	struct mirror_request_list keep = { 0 };
	struct mirror_request *q;

	while ((q = fifo_pop(list)) != NULL) {
		if (q->client == client)
			mirror_request_answer(m, q, -ECONNABORTED);
		else
			fifo_push(&keep, q);
	}
	*list = keep;
}

/* A client that comes back may have sent a request twice. So a request of its old
 * connection that has no stamp yet is dropped (docs/rules.md). An answer that waits for a
 * lease, or for a missing copy, would hold up a demote for nobody. */
void mirror_client_gone(struct mirror_engine *m, const void *client)
{
	drop_client(m, &m->open.throttle.delayed, client);
	drop_client(m, &m->open.requests.waiting, client);
	drop_client(m, &m->open.requests.reads_waiting, client);
	drop_client(m, &m->open.requests.answers_held, client);
}
