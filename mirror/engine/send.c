/* engine/send.c - records to a copy, and to a site that rolls forward.
 *
 * From memory while the record is there, else from the log, a large piece at a time: the
 * present content of a disk is never sent for an old write (P4-30). The line is never
 * waited for: each link has a bounded queue, and records that do not fit are read from
 * the log later.
 */
#include "mirror/engine/state.h"

static uint64_t send_limit(const struct mirror_engine *m, const struct engine_link *l)
{
	if (l->use == LINK_ROLL_OUT)
		return l->send_end < m->open.marks.logged ? l->send_end :
							    m->open.marks.logged;
	if (!l->sending)
		return 0;
	/* The END of a refresh follows its last record: a full log waits for it. */
	if (mirror_refresh_ends(m, l->site) &&
	    m->open.peer[l->site].refresh.end < m->open.marks.next_to_log)
		return m->open.peer[l->site].refresh.end;
	/* In a log write under way at least: so a copy is never ahead of this log
	 * by more than one batch, which a restart can take in (D5). */
	return m->open.marks.next_to_log - 1;
}

static bool in_memory(struct mirror_engine *m, uint64_t sequence)
{
	const struct mirror_record *r;

	if (sequence <= m->open.marks.home_flushed)
		return false;
	r = mirror_engine_record(m, sequence);
	return r->state != MIRROR_RECORD_HOME &&
	       (r->header.type != MIRROR_RECORD_WRITE || r->data != NULL);
}

/* Each disk's share, for the status. A flush is of no disk. */
static void count_sent(struct mirror_engine *m, uint32_t site,
		       const struct mirror_header *h, const struct mirror_frame *f)
{
	struct mirror_status_disk *disk = &m->open.counters.disk[h->disk];

	m->open.counters.records_sent++;
	if (h->disk_sequence == 0)
		return;
	disk->sent_records++;
	disk->sent_data_bytes += f->data_bytes;
	disk->sent_bytes += f->head_bytes + f->data_bytes;
	m->open.peer[site].sent[h->disk] = h->disk_sequence;
}

static bool send_record(struct mirror_engine *m, uint32_t number,
			const struct mirror_header *h, uint8_t *data, void *owner)
{
	struct mirror_frame *f = mirror_frame_get(m, number);
	struct mirror_header brought = *h;

	if (f == NULL)
		return false;
	f->refresh = mirror_refresh_brings(m, &m->link[number], &brought, &data);
	if (f->refresh)
		owner = m;
	mirror_wire_record(f, &brought, data);
	if (data != NULL) {
		f->owner = owner;
		if (owner == m)
			mirror_buffer_ref(m, data);
		else
			m->link[number].read_pin_count++;
	}
	if (f->refresh)
		mirror_refresh_brought(m, &m->link[number]);
	count_sent(m, m->link[number].site, h, f);
	mirror_throttle_sent(m, number, f->head_bytes + f->data_bytes);
	mirror_frame_send(m, f);
	m->link[number].next_send = h->sequence + 1;
	return true;
}

static bool send_from_memory(struct mirror_engine *m, uint32_t number)
{
	struct mirror_record *r = mirror_engine_record(m, m->link[number].next_send);

	return send_record(m, number, &r->header,
			   r->header.type == MIRROR_RECORD_WRITE ? r->data : NULL, m);
}

/* ---- from the log -------------------------------------------------------- */

/* Read the descriptor that holds next_send, and those behind it that fit. */
static void read_ahead(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	struct mirror_ring_entry entry, next;
	uint64_t bytes;

	if (l->read_pin_count > 0)
		return; /* the buffer is still being sent */
	if (mirror_ring_find(m->open.ring, l->next_send, &entry) != 0) {
		mirror_link_close(m, number,
				  "the log no longer holds what this copy misses");
		return;
	}
	bytes = (uint64_t)entry.block_count * MIRROR_BLOCK_BYTES;
	next = entry;
	while (mirror_ring_next(m->open.ring, &next) == 0 && next.count > 0 &&
	       next.first_sequence <= m->open.marks.logged &&
	       next.position == entry.position + bytes &&
	       mirror_ring_device_offset(m->open.ring, next.position) ==
		       mirror_ring_device_offset(m->open.ring, entry.position) + bytes &&
	       bytes + (uint64_t)next.block_count * MIRROR_BLOCK_BYTES <= LINK_READ_BYTES)
		bytes += (uint64_t)next.block_count * MIRROR_BLOCK_BYTES;
	l->reading = true;
	l->read_ready = false;
	l->read_from = entry.position;
	l->read_position = 0;
	l->read_bytes = (uint32_t)bytes;
	l->read_iov = (struct iovec){ l->read_buffer, bytes };
	mirror_engine_transfer(m, &l->read_io, MIRROR_IO_READ, MIRROR_IO_LOG,
			       mirror_ring_device_offset(m->open.ring, entry.position),
			       &l->read_iov, IO_LINK_READ, l);
}

void mirror_send_io(struct mirror_engine *m, struct mirror_io *io)
{
	struct engine_link *l = io->owner;

	l->reading = false;
	if (io->result < 0)
		mirror_engine_fail(m, MIRROR_IO_LOG, io->result,
				   "reading records for a copy");
	else
		l->read_ready = l->use == LINK_STREAM_OUT || l->use == LINK_ROLL_OUT;
}

/* The record that a copy misses next is damaged in this log. Where it is at home here, the copy
 * is refreshed, and a site that rolls forward goes on without us. */
static void damaged_for_copy(struct mirror_engine *m, uint32_t number)
{
	static const char text[] = "a record that it misses is damaged in this log";

	if (m->link[number].next_send > m->open.marks.home_flushed) {
		mirror_engine_damage(m, "a record that was whole at the start is damaged "
					"now; use another site");
		return;
	}
	if (m->link[number].use != LINK_ROLL_OUT)
		mirror_free_damaged(m, m->link[number].site);
	mirror_link_close(m, number, text);
}

/* The descriptor at read_position of the buffer: send its records from next_send
 * on. False: the queue is full, come back. */
static bool send_descriptor(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct mirror_descriptor d;
	uint8_t *at = l->read_buffer + l->read_position;
	uint8_t *data = at + MIRROR_BLOCK_BYTES;

	if (mirror_descriptor_decode(at, &m->open.sb.log, &m->open.sb.disks, &d,
				     headers) != 0 ||
	    l->read_position + d.total_bytes > l->read_bytes ||
	    !mirror_headers_stand(m, l->next_send, l->read_from + l->read_position, &d)) {
		damaged_for_copy(m, number);
		return false;
	}
	for (uint32_t i = 0; i < d.count; i++) {
		const struct mirror_header *h = &headers[i];

		if (h->sequence == l->next_send && h->sequence <= send_limit(m, l)) {
			if (!mirror_throttle_sends(m, number))
				return false;
			if (mirror_header_data_crc(&m->open.sb.mirror, h, data) !=
			    h->crc) {
				damaged_for_copy(m, number);
				return false;
			}
			if (!send_record(m, number, h, h->data_bytes > 0 ? data : NULL,
					 l))
				return false;
		}
		data += mirror_data_padded_bytes(h->data_bytes);
	}
	l->read_position += (uint32_t)d.total_bytes;
	if (l->read_position >= l->read_bytes)
		l->read_ready = false;
	return true;
}

static bool send_from_log(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];

	if (l->reading || l->next_send > m->open.marks.logged)
		return false;
	if (l->read_ready)
		return send_descriptor(m, number);
	read_ahead(m, number);
	return false;
}

static void send_records(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];

	while (!m->open.failed && l->use != LINK_ENDING &&
	       l->next_send <= send_limit(m, l) && l->byte_count < LINK_BYTES_MAX &&
	       mirror_throttle_sends(m, number)) {
		bool sent;

		if (l->read_ready)
			sent = send_descriptor(m, number);
		else if (in_memory(m, l->next_send))
			sent = send_from_memory(m, number);
		else
			sent = send_from_log(m, number);
		if (!sent)
			return;
	}
}

/* ---- flushes ------------------------------------------------------------- */

/* The copy has been sent the records that a client's flush waits for, and is to make them
 * durable now. A record with FUA says so itself. An older hamirror flushes when it does, and so
 * does a copy that is refreshed, which no answer waits for. Only in sync a flush waits for copies
 * (M2). */
static void send_flush(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	const struct mirror_flush flush = { m->open.log.flush_wanted };
	struct mirror_frame *f;

	if (m->open.requests.ack.promise.mode != CONFIG_SYNC ||
	    flush.sequence <= l->flush_sent || flush.sequence >= l->next_send ||
	    flush.sequence <= m->open.peer[l->site].marks.durable ||
	    m->open.peer[l->site].refresh.phase != REFRESH_NONE ||
	    (l->hello.features & MIRROR_WIRE_FEATURE_FLUSH) == 0)
		return;
	if (flush.sequence <= m->open.marks.home_flushed ||
	    (mirror_engine_record(m, flush.sequence)->header.flags & MIRROR_RECORD_FUA) ==
		    0) {
		f = mirror_frame_get(m, number);
		if (f == NULL)
			return;
		mirror_wire_flush(f, &flush);
		mirror_frame_send(m, f);
	}
	l->flush_sent = flush.sequence;
}

/* ---- home ---------------------------------------------------------------- */

/* With confirm: home (M9) a copy that is no more refreshed brings records home at once. */
static void send_home(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	const bool home = m->open.requests.ack.promise.home;
	const bool ask = home && l->sending &&
			 m->open.peer[l->site].refresh.phase == REFRESH_NONE;
	const struct mirror_home_mark mark = { ask ? UINT64_MAX : 0 };
	struct mirror_frame *f;

	if (home && (l->hello.features & MIRROR_WIRE_FEATURE_HOME) == 0) {
		mirror_link_close(m, number, "its hamirror knows no confirm: home");
		return;
	}
	if (ask == l->home_asked)
		return;
	f = mirror_frame_get(m, number);
	if (f == NULL)
		return;
	mirror_wire_home(f, &mark);
	mirror_frame_send(m, f);
	l->home_asked = ask;
}

/* ---- marks --------------------------------------------------------------- */

static void send_marks(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	struct mirror_marks marks = {
		.acknowledged = mirror_ack_stays(&m->open.requests.ack),
		.sequence = m->open.marks.last,
		.time_ns = m->wall_ns,
	};
	struct mirror_frame *f;
	bool news = false;

	for (uint32_t s = 0; s < m->config->site_count; s++) {
		marks.durable[s] = s == m->open.site ? m->open.marks.durable :
						       m->open.peer[s].proven_durable;
		news |= marks.durable[s] != l->marks_sent.durable[s];
	}
	if (m->now_ns < l->marks_sent_ns + (news ? MARKS_NS : HEARTBEAT_NS)) {
		mirror_engine_wake(m,
				   l->marks_sent_ns + (news ? MARKS_NS : HEARTBEAT_NS));
		return;
	}
	f = mirror_frame_get(m, number);
	if (f == NULL)
		return;
	mirror_wire_marks(f, &marks);
	mirror_frame_send(m, f);
	l->marks_sent = marks;
	l->marks_sent_ns = m->now_ns;
}

static void end_roll(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	const struct mirror_roll_end end = { .sequence = l->next_send - 1 };
	struct mirror_frame *f;

	if (l->roll_end_sent || l->next_send <= l->send_end)
		return;
	f = mirror_frame_get(m, number);
	if (f == NULL)
		return;
	mirror_wire_roll_end(f, &end);
	mirror_frame_send(m, f);
	l->roll_end_sent = true; /* the other side closes */
}

void mirror_links_send_demoted(struct mirror_engine *m, uint32_t sites, uint32_t promote)
{
	struct mirror_demoted demoted = { m->open.sb.clean.generation,
					  m->open.sb.clean.sequence, 0 };

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct mirror_frame *f;

		if (m->link[i].use != LINK_STREAM_OUT ||
		    (sites >> m->link[i].site & 1) == 0)
			continue;
		f = mirror_frame_get(m, i);
		if (f == NULL)
			continue; /* its copy will not be marked clean */
		demoted.flags = (promote >> m->link[i].site & 1) != 0 ?
					MIRROR_DEMOTED_PROMOTE :
					0;
		mirror_wire_demoted(f, &demoted);
		mirror_frame_send(m, f);
	}
}

bool mirror_links_sent_all(const struct mirror_engine *m)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (m->link[i].use == LINK_STREAM_OUT && m->link[i].frame_count > 0)
			return false;
	return true;
}

void mirror_send_pump(struct mirror_engine *m)
{
	const uint32_t first = m->open.throttle.turn;

	for (uint32_t n = 0; n < MIRROR_LINK_COUNT_MAX; n++) {
		const uint32_t i = (first + n) % MIRROR_LINK_COUNT_MAX;

		if (m->link[i].use == LINK_STREAM_OUT) {
			send_records(m, i);
			send_flush(m, i);
			mirror_enter_pump(m, i);
			if (m->link[i].use == LINK_STREAM_OUT)
				send_home(m, i);
			if (m->link[i].use == LINK_STREAM_OUT)
				send_marks(m, i);
		} else if (m->link[i].use == LINK_ROLL_OUT) {
			send_records(m, i);
			end_roll(m, i);
		}
	}
}
