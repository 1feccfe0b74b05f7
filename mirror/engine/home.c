/* engine/home.c - records on their way home, on both sites.
 *
 * Production: records that are durable here and that no copy which is waited for lacks:
 * acknowledged ones, in sync. So a block changes at home only after the log here and every
 * copy that is waited for, or a durable record that stands for it, has it (W1, G5; the
 * forked write of docs/sources.md, paper 002). A copy:
 * records that are durable in its log, up to the hold of a refresh (W6), in the order of
 * the gate (engine/gate.h). On both sites durable is not enough: a durable mark has to say so.
 * Otherwise a record whose bits flip would pass for the torn end of the log, while the
 * disk already holds blocks from beyond that end. Both: overlapping writes one after the
 * other (task.h). A copy without a link brings nothing home, because production's history
 * says whether its tail stands (D8), unless an operator orders it (engine/recover.h). Nor
 * does a site that is being promoted, until its own tail is judged and the log, or the
 * table of records, has no room for those that it rolls forward.
 */
#include "mirror/engine/state.h"

#define OVERWRITTEN_LOOK 16u     /* records looked at for one that goes over another */
#define HOME_AWAITED_PERCENT 50u /* of the log in use: it is time to free some */

static bool is_copy(const struct mirror_engine *m)
{
	return m->state == ENGINE_IDLE || m->state == ENGINE_PREPARING;
}

bool mirror_home_at_once(const struct mirror_engine *m)
{
	if (is_copy(m))
		return m->open.copy.home_at_once && !mirror_hold_stands(m);
	return m->open.requests.ack.promise.home;
}

/* The mark that the log can prove (W1, W4). A blank copy has no image that a wrong end
 * could harm. */
static uint64_t proven(const struct mirror_engine *m)
{
	return m->open.sb.blank ? m->open.marks.durable : m->open.marks.proven;
}

/* A roll-forward brings more than the log or the table of records holds at a time. */
static bool rolls_much(const struct mirror_engine *m)
{
	return m->open.prepare.step >= PREPARE_ROLL &&
	       (m->open.log.full ||
		m->open.marks.last - m->open.marks.home_flushed > RECORDS_MAX / 2);
}

static uint64_t home_limit(const struct mirror_engine *m)
{
	if (m->open.failed || m->open.cut.step != CUT_NONE)
		return 0;
	if (m->state == ENGINE_SERVING || m->state == ENGINE_DEMOTING) {
		const uint64_t everywhere =
			mirror_ack_everywhere(&m->open.requests.ack)->logged;

		return proven(m) < everywhere ? proven(m) : everywhere;
	}
	if (m->state == ENGINE_PREPARING)
		return rolls_much(m) ? proven(m) : 0;
	if (mirror_recover_limit(m) > 0)
		return proven(m) < mirror_recover_limit(m) ? proven(m) :
							     mirror_recover_limit(m);
	if (!is_copy(m) || m->open.copy.stream_link == MIRROR_LINK_NONE)
		return 0;
	if (mirror_hold_stands(m) && !m->open.sb.blank &&
	    m->open.sb.hold.sequence < m->open.marks.proven)
		return m->open.sb.hold.sequence;
	return proven(m);
}

/* ---- replay: data that is only in the log -------------------------------- */

static bool start_replay(struct mirror_engine *m, struct mirror_record *r)
{
	for (uint32_t i = 0; i < REPLAYS_MAX; i++) {
		struct engine_replay *p = &m->memory.replays[i];
		uint32_t bytes = (uint32_t)mirror_data_padded_bytes(r->header.data_bytes);

		if (p->sequence != 0)
			continue;
		p->data = mirror_buffer_get(m, bytes);
		if (p->data == NULL)
			return false;
		p->sequence = r->header.sequence;
		p->iov = (struct iovec){ p->data, bytes };
		mirror_engine_transfer(m, &p->io, MIRROR_IO_READ, MIRROR_IO_LOG,
				       r->log_position, &p->iov, IO_REPLAY, p);
		return true;
	}
	return false;
}

void mirror_replay_io(struct mirror_engine *m, struct mirror_io *io)
{
	struct engine_replay *p = io->owner;
	struct mirror_record *r = NULL;

	if (p->sequence > m->open.marks.home_flushed && p->sequence <= m->open.marks.last)
		r = mirror_engine_record(m, p->sequence);
	p->sequence = 0;
	if (io->result < 0) {
		mirror_engine_fail(m, MIRROR_IO_LOG, io->result, "reading a record");
	} else if (r != NULL && r->data == NULL) {
		if (mirror_header_data_crc(&m->open.sb.mirror, &r->header, p->data) !=
		    r->header.crc) {
			mirror_engine_damage(m, "a record that was whole at the start "
						"is damaged now; use another site");
		} else {
			r->data = p->data;
			mirror_buffer_ref(m, r->data);
			return;
		}
	}
	mirror_buffer_put(m, p->data);
}

static bool needs_replay(const struct mirror_record *r)
{
	return r->header.type == MIRROR_RECORD_WRITE && r->data == NULL &&
	       r->state == MIRROR_RECORD_LOGGED;
}

/* Read ahead of home.next, so that homes need not wait for each read. */
static void pump_replay(struct mirror_engine *m, uint64_t limit)
{
	if (m->open.home.replay_next < m->open.home.next)
		m->open.home.replay_next = m->open.home.next;
	while (m->open.home.replay_next <= limit &&
	       m->open.home.replay_next < m->open.home.next + 2 * REPLAYS_MAX) {
		struct mirror_record *r = mirror_engine_record(m,
							       m->open.home.replay_next);

		if (needs_replay(r) && !start_replay(m, r))
			return;
		m->open.home.replay_next++;
	}
}

/* ---- order: flush -------------------------------------------------------- */

static bool flushes_between_groups(const struct mirror_engine *m)
{
	return m->config->order == CONFIG_ORDER_FLUSH && !m->open.home.gate.together;
}

/* Flush every disk that was written since it last was. False: none was, and no
 * flush is under way. */
static bool gate_flush(struct mirror_engine *m)
{
	if (!flushes_between_groups(m))
		return false;
	if (m->open.home.gate_flushes_running > 0)
		return true;
	for (uint32_t i = 0; i < m->open.disk_count; i++) {
		if (!m->open.home.gate_dirty[i])
			continue;
		m->open.home.gate_dirty[i] = false;
		mirror_engine_flush(m, &m->open.home.gate_flush_io[i], i, IO_GATE_FLUSH);
		m->open.home.gate_flushes_running++;
		m->open.counters.disk_flushes++;
	}
	return m->open.home.gate_flushes_running > 0;
}

/* A record is at home. With `order: flush` the last one of a group is not done
 * before the disks that the group has written are flushed. */
static void gate_done(struct mirror_engine *m, struct mirror_record *r)
{
	if (m->open.home.gate.outstanding_count == 1 && gate_flush(m))
		m->open.home.gate_last = r->header;
	else
		mirror_gate_done(&m->open.home.gate, r, &m->open.home.gate_issue);
}

void mirror_gate_io(struct mirror_engine *m, struct mirror_io *io)
{
	struct mirror_record last = { .header = m->open.home.gate_last };

	m->open.home.gate_flushes_running--;
	if (io->result < 0)
		mirror_engine_fail(m, io->device, io->result, "flushing");
	if (m->open.failed || m->open.home.gate_flushes_running > 0 ||
	    m->open.home.gate_last.sequence == 0)
		return;
	/* Others of the group may have come home meanwhile, unflushed. */
	if (m->open.home.gate.outstanding_count == 1 && gate_flush(m))
		return;
	m->open.home.gate_last.sequence = 0;
	mirror_gate_done(&m->open.home.gate, &last, &m->open.home.gate_issue);
}

/* ---- home ---------------------------------------------------------------- */

/* At home: by a write of its own, or by that of the record that stands for it. */
static void set_home(struct mirror_engine *m, struct mirror_record *r, bool written)
{
	mirror_record_set_state(r, MIRROR_RECORD_HOME);
	r->partly_home = false;
	r->sample_crc = written ? mirror_evidence_crc(&r->header, r->data) : 0;
	if (r->indexed) {
		mirror_index_remove(&m->open.index[r->header.disk], r);
		r->indexed = false;
	}
	if (r->data != NULL) {
		mirror_buffer_unref(m, r->data);
		r->data = NULL;
	}
	m->open.counters.records_homed++;
}

/* A record up to here stays, whichever site is promoted: it may go home instead of an older
 * one. And it is answered: so with confirm: home (M9) all up to it is at home, and no client
 * waits for the older one. */
static uint64_t stays(const struct mirror_engine *m, uint64_t limit)
{
	const uint64_t answered = is_copy(m) ? m->open.copy.acknowledged :
					       mirror_ack_stays(&m->open.requests.ack);

	return answered < limit ? answered : limit;
}

/* Does `newer` go over all of `r`, and go home for sure? Where the disk alone keeps the
 * order, a later group must not come before this one. */
static bool stands_for(const struct mirror_engine *m, const struct mirror_record *newer,
		       const struct mirror_record *r, uint64_t limit)
{
	const struct mirror_header *n = &newer->header, *h = &r->header;

	return n->sequence > h->sequence && n->sequence <= limit &&
	       n->offset_bytes <= h->offset_bytes &&
	       mirror_record_end(newer) >= mirror_record_end(r) &&
	       (!is_copy(m) || m->config->order == CONFIG_ORDER_LOG ||
		(n->generation == h->generation && n->group == h->group));
}

/* The disk need not see a record that a newer one goes over. That one is in the log until
 * it is at home itself, so a restart brings it; and a cut that drops it sends its extent
 * again (D8), as if it had been at home. */
static bool is_overwritten(const struct mirror_engine *m, const struct mirror_record *r,
			   uint64_t limit)
{
	const struct mirror_header *h = &r->header;
	const struct mirror_record *at = mirror_index_first_overlap(
		&m->open.index[h->disk], h->offset_bytes, h->length_bytes);

	for (uint32_t i = 0; at != NULL && i < OVERWRITTEN_LOOK; i++) {
		if (stands_for(m, at, r, limit))
			return true;
		at = mirror_index_next_overlap(at, h->offset_bytes, h->length_bytes);
	}
	return false;
}

static void came_home(struct mirror_engine *m, struct mirror_record *r, bool written)
{
	m->open.home.homing_count--;
	set_home(m, r, written);
	if (m->open.home.gate.outstanding_count > 0)
		gate_done(m, r);
}

/* Hand records that the gate let start to the task groups, as far as they take them. */
static bool start_issued(struct mirror_engine *m, uint64_t limit)
{
	struct mirror_task_op_list issue = { 0 };
	struct mirror_record *r;
	bool all = true;

	while (all && (r = m->open.home.gate_issue.head) != NULL) {
		if (is_overwritten(m, r, stays(m, limit))) {
			mirror_record_pop(&m->open.home.gate_issue);
			m->open.counters.records_overwritten++;
			came_home(m, r, false);
		} else if (mirror_tasks_add(m->memory.tasks, r, &r->part_count,
					    r->header.disk, r->header.offset_bytes,
					    mirror_record_end(r), &issue) == 0) {
			mirror_record_pop(&m->open.home.gate_issue);
		} else {
			all = false;
		}
	}
	mirror_home_write(m, &issue);
	return all;
}

/* One record towards home. False: it has to wait, and so do all behind it. */
static bool advance(struct mirror_engine *m, struct mirror_record *r)
{
	const bool there = !mirror_header_changes(&r->header);
	int error;

	if (r->state == MIRROR_RECORD_HOME)
		return true; /* before a reset, see mirror_home_reset() */
	if (r->state != MIRROR_RECORD_LOGGED || needs_replay(r))
		return false;
	if (is_copy(m) && !mirror_gate_in_progress(&m->open.home.gate) && gate_flush(m))
		return false; /* writes of an earlier link or role */
	if (is_copy(m)) {
		error = mirror_gate_arrive(&m->open.home.gate, r,
					   &m->open.home.gate_issue);
		if (error == -ENOBUFS)
			return false;
		assert(error == 0); /* older ones were refused on receipt */
	} else if (!there) {
		mirror_record_push(&m->open.home.gate_issue, r);
	}
	mirror_record_set_state(r, MIRROR_RECORD_HOMING);
	if (there)
		set_home(m, r, true);
	else
		m->open.home.homing_count++;
	return true;
}

/* A role, a hold, a read, clients or want of room waits for records to be at home. */
static bool is_awaited(const struct mirror_engine *m)
{
	const struct engine_marks *marks = &m->open.marks;
	const struct mirror_pool *pool = m->buffers.pool;

	return (m->state != ENGINE_SERVING && m->state != ENGINE_IDLE) ||
	       mirror_home_at_once(m) || m->open.home.wanted > marks->home_flushed ||
	       (m->open.home.read_wanted > marks->home && marks->last > marks->home) ||
	       mirror_ring_used_percent(m->open.ring) > HOME_AWAITED_PERCENT ||
	       marks->last - marks->home > RECORDS_MAX / 4 ||
	       mirror_pool_bytes_free(pool) < mirror_pool_bytes_total(pool) / 2;
}

/* Records that may begin now. Few writes while nothing waits for them: the next log write
 * stands behind them in the device's queue, and clients wait for that. */
static uint32_t room(const struct mirror_engine *m, bool awaited)
{
	const uint32_t writes = awaited ? HOME_OPS_MAX : HOME_OPS_FEW;
	const uint32_t records = HOME_OPS_MAX - m->open.home.homing_count;

	if (m->open.home.write_count >= writes)
		return 0;
	return writes - m->open.home.write_count < records ?
		       writes - m->open.home.write_count :
		       records;
}

/* The newest records are put off while clients write: the device is theirs, and a block that
 * they write again goes home once. Returns the last record that need not wait. */
static uint64_t delayed(struct mirror_engine *m, uint64_t limit)
{
	struct engine_home_delay *d = &m->open.home.delay;
	const uint64_t last = m->open.marks.last;
	uint64_t due;

	if (d->last != last) {
		d->last = last;
		d->busy_ns = m->now_ns;
	}
	if (m->now_ns >= d->due_next_ns) {
		d->due = d->due_next;
		d->due_next = last;
		d->due_next_ns = m->now_ns + HOME_DELAY_NS;
	}
	if (m->now_ns >= d->busy_ns + HOME_IDLE_NS)
		return limit;
	due = last > HOME_DELAY_RECORDS ? last - HOME_DELAY_RECORDS : 0;
	if (due < d->due)
		due = d->due;
	if (due >= limit)
		return limit;
	mirror_engine_wake(m, d->busy_ns + HOME_IDLE_NS);
	return due;
}

void mirror_home_pump(struct mirror_engine *m)
{
	const uint64_t limit = home_limit(m);
	const bool awaited = is_awaited(m);
	uint64_t end;

	if (m->open.home.reset_due && m->open.cut.step == CUT_NONE &&
	    mirror_home_is_quiet(m)) {
		MIRROR_SET(m, home.reset_due, false);
		mirror_home_reset(m);
	}
	if (limit == 0 || m->open.home.reset_due)
		return;
	if (m->open.home.next <= m->open.marks.home_flushed)
		m->open.home.next = m->open.marks.home_flushed +
				    1; /* flushed since a reset */
	end = awaited ? limit : delayed(m, limit);
	pump_replay(m, end);
	while (start_issued(m, limit) && m->open.home.next <= end) {
		uint32_t count = room(m, awaited);

		if (count == 0)
			return;
		for (; count > 0 && m->open.home.next <= end; count--) {
			if (!advance(m, mirror_engine_record(m, m->open.home.next))) {
				start_issued(m, limit);
				return;
			}
			m->open.home.next++;
		}
	}
}

void mirror_home_io(struct mirror_engine *m, struct mirror_io *io)
{
	struct engine_home_op *h = io->owner;
	struct mirror_task_op_list issue = { 0 };

	m->open.home.write_count--;
	if (io->result < 0)
		mirror_engine_fail(m, io->device, io->result, "writing");
	if (m->open.failed)
		return; /* never reported as done: nothing that waits
					   for it may start */
	/* Now, not when it was submitted: a flush that began in between need not
	 * cover it. */
	m->open.free.disk_dirty[io->device] = true;
	if (m->open.free.dirty_since_ns == 0)
		m->open.free.dirty_since_ns = m->now_ns;
	m->open.home.gate_dirty[io->device] = true;
	for (uint32_t i = 0; i < h->op_count; i++) {
		struct mirror_record *r = h->op[i]->owner;

		r->partly_home = true;
		r = mirror_tasks_done(m->memory.tasks, h->op[i], &issue);
		if (r != NULL)
			came_home(m, r, true);
	}
	h->next = m->open.home.ops_free;
	m->open.home.ops_free = h;
	mirror_home_write(m, &issue);
}

/* ---- stopping and starting over ------------------------------------------ */

/* True when no home write is under way and none will start by itself. The
 * caller has seen to it that home_limit() is 0. */
bool mirror_home_is_quiet(const struct mirror_engine *m)
{
	for (uint32_t i = 0; i < REPLAYS_MAX; i++)
		if (m->memory.replays[i].sequence != 0)
			return false;
	return mirror_tasks_op_count(m->memory.tasks) == 0 &&
	       m->open.home.gate_flushes_running == 0;
}

/* Replays may have taken every buffer, those of the reserve too, and their records do not
 * go home now. But the next link's frames need buffers. Durable records are read from the
 * log again. */
static void give_back(struct mirror_engine *m)
{
	if (m->buffers.reserve_count == RESERVE_BUFFERS && !mirror_buffers_are_short(m))
		return;
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= m->open.marks.durable;
	     s++) {
		struct mirror_record *r = mirror_engine_record(m, s);

		if (r->state != MIRROR_RECORD_LOGGED || r->data == NULL)
			continue;
		mirror_buffer_unref(m, r->data);
		r->data = NULL;
	}
}

/* Forget held and queued records; they start again when they may. Only when quiet. Used
 * when the role changes, and with it the rule that lets records go. */
void mirror_home_reset(struct mirror_engine *m)
{
	struct mirror_record *r;

	assert(mirror_home_is_quiet(m));
	mirror_gate_drop(&m->open.home.gate, &m->open.home.gate_issue);
	while ((r = mirror_record_pop(&m->open.home.gate_issue)) != NULL)
		;
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= m->open.marks.last; s++) {
		r = mirror_engine_record(m, s);
		if (r->state == MIRROR_RECORD_HOMING)
			mirror_record_set_state(r, MIRROR_RECORD_LOGGED);
	}
	give_back(m);
	m->open.home.gate_last.sequence = 0;
	m->open.home.homing_count = 0;
	m->open.home.write_count = 0;
	m->open.home.next = m->open.marks.home_flushed + 1;
	m->open.home.replay_next = 0;
	mirror_gate_init(&m->open.home.gate, (struct mirror_group_number){ 0 },
			 RECORDS_MAX);
	mirror_gate_set_together(&m->open.home.gate, m->config->order == CONFIG_ORDER_LOG,
				 &m->open.home.gate_issue);
}
