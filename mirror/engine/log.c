/* engine/log.c - append to the writelog, flush it, write marks.
 *
 * One log write at a time takes all records that waited (group commit): up to
 * BATCH_DESCRIPTORS_MAX descriptors, each followed by its records' data, gathered
 * straight from the pool's buffers. Records are appended strictly in sequence, so
 * `logged` and `durable` are single marks. When a batch does not fit before the
 * end of the ring, a PAD descriptor skips the rest.
 *
 * The log is flushed at once for a client's flush or FUA, else lazily (bounds in
 * engine/bounds.h); a flush runs beside the next write and covers the records that were
 * logged when it began. A flush record, which a demotion leaves, stands for the records
 * before it and carries no data: the flush begins as soon as they are logged. W4: each
 * descriptor carries the durable mark, and when the log falls idle a MARK descriptor carries
 * it within MARK_IDLE_NS.
 *
 * W1: a record that goes home is durable, and a durable mark proves it (`proven`). While
 * records come, the next flush proves the mark of the flush before. When they cease, one
 * more flush covers the last mark, as lazily. In a ring without room for a mark the
 * superblock carries it.
 */
#include "mirror/engine/state.h"

/* A batch being gathered: descriptors and their data as iovecs. */
struct batch {
	uint32_t descriptor_count;
	uint32_t iov_count;
	uint64_t bytes;
	uint64_t next; /* sequence after the last one gathered */
};

static uint8_t *block(struct mirror_engine *m, uint32_t number)
{
	return m->memory.batch_blocks + (size_t)number * MIRROR_BLOCK_BYTES;
}

#define PAD_BLOCK BATCH_DESCRIPTORS_MAX
#define ZERO_BLOCK (BATCH_DESCRIPTORS_MAX + 1)

static void fill_descriptor(struct mirror_engine *m, struct mirror_descriptor *d)
{
	d->log = m->open.sb.log;
	d->epoch = m->open.sb.log_epoch;
	d->durable = m->open.marks.durable < d->first_sequence ? m->open.marks.durable :
								 d->first_sequence - 1;
	d->home = m->open.marks.home_flushed < d->durable ? m->open.marks.home_flushed :
							    d->durable;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		d->confirmed[s] = m->open.peer[s].proven_durable;
	d->confirmed[m->open.site] = d->durable;
}

static void add_iov(struct mirror_engine *m, struct batch *b, void *base, size_t length)
{
	assert(b->iov_count < MIRROR_IO_IOV_MAX);
	m->open.log.batch_iov[b->iov_count++] = (struct iovec){ base, length };
	b->bytes += length;
}

/* How many records, from b->next on, one descriptor takes. */
static uint32_t entry_count(struct mirror_engine *m, const struct batch *b,
			    uint64_t room_bytes)
{
	uint64_t bytes = MIRROR_BLOCK_BYTES;
	uint64_t generation = 0;
	uint32_t count = 0;

	while (b->next + count <= m->open.marks.last &&
	       count < MIRROR_DESCRIPTOR_RECORDS_MAX) {
		const struct mirror_header *h =
			&mirror_engine_record(m, b->next + count)->header;

		bytes += mirror_data_padded_bytes(h->data_bytes);
		if (bytes > ENTRY_BYTES_MAX || b->bytes + bytes > room_bytes ||
		    (count > 0 && h->generation != generation))
			break;
		generation = h->generation;
		count++;
	}
	return count;
}

/* Gather one descriptor's records; its positions follow from `position`, where
 * the batch begins. */
static void gather_entry(struct mirror_engine *m, struct batch *b, uint32_t count,
			 uint64_t position, uint64_t previous)
{
	struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct mirror_descriptor d = {
		.type = MIRROR_DESCRIPTOR_RECORDS,
		.count = count,
		.position = position + b->bytes,
		.previous_position = previous,
		.first_sequence = b->next,
	};
	uint8_t *at = block(m, b->descriptor_count++);

	add_iov(m, b, at, MIRROR_BLOCK_BYTES);
	for (uint32_t i = 0; i < count; i++) {
		struct mirror_record *r = mirror_engine_record(m, b->next + i);
		const uint32_t rest = (MIRROR_BLOCK_BYTES -
				       r->header.data_bytes % MIRROR_BLOCK_BYTES) %
				      MIRROR_BLOCK_BYTES;

		headers[i] = r->header;
		mirror_record_set_state(r, MIRROR_RECORD_LOGGING);
		if (r->header.data_bytes == 0)
			continue;
		r->log_position = mirror_ring_device_offset(m->open.ring,
							    position + b->bytes);
		mirror_buffer_ref(m, r->data);
		add_iov(m, b, r->data, r->header.data_bytes);
		if (rest > 0)
			add_iov(m, b, block(m, ZERO_BLOCK), rest);
	}
	d.generation = headers[0].generation;
	d.total_bytes = mirror_descriptor_total_bytes(headers, count);
	fill_descriptor(m, &d);
	mirror_descriptor_encode(&d, headers, at);
	mirror_ring_append_entry(m->open.ring, d.epoch, d.first_sequence, count,
				 d.position, d.total_bytes);
	m->open.log.mark_written = d.durable;
	b->next += count;
}

static void submit_block(struct mirror_engine *m, struct mirror_io *io, struct iovec *iov,
			 uint8_t *at, uint64_t position, enum io_purpose purpose)
{
	*iov = (struct iovec){ at, MIRROR_BLOCK_BYTES };
	mirror_engine_transfer(m, io, MIRROR_IO_WRITE, MIRROR_IO_LOG,
			       mirror_ring_device_offset(m->open.ring, position), iov,
			       purpose, NULL);
	m->open.log.parts++;
}

/* A descriptor without records: MARK, or PAD of `bytes`. */
static void write_bare(struct mirror_engine *m, enum mirror_descriptor_type type,
		       uint64_t bytes)
{
	struct mirror_descriptor d = {
		.type = type,
		.position = mirror_ring_head_position(m->open.ring),
		.previous_position = mirror_ring_previous_position(m->open.ring),
		.generation = m->open.marks.generation,
		.first_sequence = m->open.marks.next_to_log,
		.total_bytes = bytes,
	};
	const bool pad = type == MIRROR_DESCRIPTOR_PAD;

	fill_descriptor(m, &d);
	mirror_descriptor_encode(&d, NULL, block(m, pad ? PAD_BLOCK : 0));
	mirror_ring_append_entry(m->open.ring, d.epoch, d.first_sequence, 0, d.position,
				 bytes);
	m->open.log.mark_written = d.durable;
	submit_block(m, pad ? &m->open.log.pad_io : &m->open.log.batch_io,
		     pad ? &m->open.log.pad_iov : m->open.log.batch_iov,
		     block(m, pad ? PAD_BLOCK : 0), d.position, IO_LOG_PAD);
}

/* A batch takes at least the largest record, and otherwise so little that small
 * logs keep several. */
static uint64_t batch_bound(const struct mirror_engine *m)
{
	const uint64_t bound = mirror_ring_bytes(m->open.ring) / 16;

	if (bound < MIRROR_RECORD_DATA_MAX + MIRROR_BLOCK_BYTES)
		return MIRROR_RECORD_DATA_MAX + MIRROR_BLOCK_BYTES;
	return bound < BATCH_BYTES_MAX ? bound : BATCH_BYTES_MAX;
}

/* Room that is kept free at all times: a batch, the pad before it, and the room that
 * batch_room() keeps. */
uint64_t mirror_log_kept_bytes(const struct mirror_engine *m)
{
	const uint64_t bytes = mirror_ring_bytes(m->open.ring);
	const uint64_t bound = batch_bound(m);

	return (bytes / 8 < 2 * bound ? 2 * bound : bytes / 8) + 2 * bound;
}

/* Bytes that the next batch may take. Room for one more, and for the pad before it,
 * is kept for a roll-forward (D5): a copy may be ahead of this log by the batch
 * under way, and a full log could not take it in before it may bring anything home. */
static uint64_t batch_room(const struct mirror_engine *m)
{
	const uint64_t bytes = mirror_ring_bytes(m->open.ring);
	const uint64_t bound = batch_bound(m);
	const uint64_t room = mirror_ring_room_bytes(m->open.ring);
	const uint64_t kept = bytes / 8 < 2 * bound ? 2 * bound : bytes / 8;

	if (m->state != ENGINE_PREPARING &&
	    bytes - mirror_ring_used_bytes(m->open.ring) < kept + bound)
		return 0;
	return room < bound ? room : bound;
}

/* Bytes of the batch that would be gathered now; 0 when not even one record has
 * room. Needed first, since a pad goes before the batch. */
static uint64_t measure(struct mirror_engine *m, uint64_t room)
{
	struct batch b = { .next = m->open.marks.next_to_log };
	uint32_t count;

	for (uint32_t n = 0; n < BATCH_DESCRIPTORS_MAX; n++) {
		count = entry_count(m, &b, room);
		if (count == 0)
			break;
		b.bytes += MIRROR_BLOCK_BYTES;
		for (uint32_t i = 0; i < count; i++)
			b.bytes += mirror_data_padded_bytes(
				mirror_engine_record(m, b.next + i)->header.data_bytes);
		b.next += count;
	}
	return b.bytes;
}

static void write_batch(struct mirror_engine *m)
{
	struct batch b = { .next = m->open.marks.next_to_log };
	const uint64_t bytes = measure(m, batch_room(m));
	uint64_t pad_bytes, position;

	m->open.log.full = bytes == 0 || mirror_ring_reserve(m->open.ring, bytes,
							     &pad_bytes, &position) != 0;
	if (m->open.log.full)
		return; /* engine/free.c makes room */
	if (pad_bytes > 0)
		write_bare(m, MIRROR_DESCRIPTOR_PAD, pad_bytes);
	while (b.bytes < bytes)
		gather_entry(m, &b, entry_count(m, &b, bytes), position,
			     mirror_ring_previous_position(m->open.ring));
	m->open.log.batch_first = m->open.marks.next_to_log;
	m->open.log.batch_last = b.next - 1;
	m->open.log.batch_bytes = b.bytes;
	mirror_marks_logging(m, b.next);
	m->open.log.batch_io = (struct mirror_io){
		.op = MIRROR_IO_WRITE,
		.device = MIRROR_IO_LOG,
		.offset_bytes = mirror_ring_device_offset(m->open.ring, position),
		.length_bytes = b.bytes,
		.iov = m->open.log.batch_iov,
		.iov_count = b.iov_count,
		.purpose = IO_LOG_WRITE,
	};
	mirror_engine_submit(m, &m->open.log.batch_io);
	/* M1: answers wait for this write, and for a copy only at the bound. In sync a copy's
	 * log write ends after ours, so its frame leaves first. */
	m->out->io_first = m->open.requests.ack.promise.mode != CONFIG_SYNC;
	m->open.log.parts++;
	m->open.counters.log_writes++;
}

/* The last record before the flush record `sequence` that is no flush record itself: when it
 * is durable, so are all records that the flush record stands for. */
uint64_t mirror_log_flush_target(struct mirror_engine *m, uint64_t sequence)
{
	do
		sequence--;
	while (sequence > m->open.marks.home_flushed &&
	       mirror_engine_record(m, sequence)->header.type == MIRROR_RECORD_FLUSH);
	return sequence;
}

/* Is `sequence` neither durable nor about to be? */
static bool is_unflushed(const struct mirror_engine *m, uint64_t sequence)
{
	return sequence >
	       (m->open.log.flushing ? m->open.log.flush_covers : m->open.marks.durable);
}

/* A client's flush waits for that: as soon as it is logged, it is flushed. A later one does
 * not put off an earlier one that has not been served. */
void mirror_log_want_durable(struct mirror_engine *m, uint64_t sequence)
{
	if (sequence <= m->open.log.flush_wanted)
		return;
	if (is_unflushed(m, m->open.log.flush_wanted))
		m->open.log.flush_wanted_next = sequence;
	else
		MIRROR_SET(m, log.flush_wanted, sequence);
}

/* Records beyond `last` are gone. */
void mirror_log_dropped(struct mirror_engine *m, uint64_t last)
{
	if (m->open.log.flush_wanted > last)
		m->open.log.flush_wanted = last;
	m->open.log.flush_wanted_next = 0;
}

/* Flush for a client as soon as the records that it waits for are logged. If the next record,
 * not yet in a log write, is a flush record, all records that it stands for are logged. */
static void flush_for_client(struct mirror_engine *m)
{
	if (m->open.log.flush_wanted_next > m->open.log.flush_wanted &&
	    !is_unflushed(m, m->open.log.flush_wanted))
		MIRROR_SET(m, log.flush_wanted, m->open.log.flush_wanted_next);
	if (m->open.log.flush_wanted <= m->open.marks.logged &&
	    is_unflushed(m, m->open.log.flush_wanted))
		m->open.log.flush_now = true;
	if (m->open.marks.logged < m->open.marks.last &&
	    mirror_engine_record(m, m->open.marks.logged + 1)->header.type ==
		    MIRROR_RECORD_FLUSH &&
	    is_unflushed(m, mirror_log_flush_target(m, m->open.marks.logged + 1)))
		m->open.log.flush_now = true;
}

static void start_flush(struct mirror_engine *m)
{
	m->open.log.flush_now = false;
	m->open.log.flushing = true;
	m->open.log.flush_covers = m->open.marks.logged;
	m->open.log.flush_proves = m->open.log.mark_logged;
	m->open.log.mark_since_ns = m->now_ns;
	m->open.log.unflushed_bytes = 0;
	m->open.log.unflushed_since_ns = m->open.log.parts > 0 ? m->now_ns : 0;
	mirror_engine_flush(m, &m->open.log.flush_io, MIRROR_IO_LOG, IO_LOG_FLUSH);
	m->open.counters.log_flushes++;
}

static bool is_full(const struct mirror_engine *m)
{
	return m->open.log.full && m->open.marks.next_to_log <= m->open.marks.last;
}

/* Something waits for records to go home that are not proven. */
static bool home_is_awaited(const struct mirror_engine *m)
{
	return m->open.marks.proven < m->open.marks.logged &&
	       (is_full(m) || mirror_home_at_once(m) ||
		m->open.home.wanted > m->open.marks.proven ||
		m->open.home.read_wanted > m->open.marks.proven);
}

_Static_assert(UNFLUSHED_BYTES_MAX <= MIRROR_SCAN_WINDOW_BYTES / 4, "W4: scan.h, rule 3");

/* A flush stands in the way of the log writes beside it: few while records come, one soon
 * after the last of them, and for the mark that follows it. What is much waits half as long. */
static uint64_t lazy_flush_ns(const struct engine_log *log, bool records)
{
	const bool much = log->unflushed_bytes >= UNFLUSHED_BYTES_LEAST;
	const uint64_t lazy_ns = log->unflushed_since_ns +
				 (much ? FLUSH_LAZY_NS / 2 : FLUSH_LAZY_NS);
	const uint64_t quiet_ns = log->logged_ns + FLUSH_QUIET_NS;

	if (!records)
		return log->mark_since_ns + FLUSH_QUIET_NS;
	return lazy_ns < quiet_ns ? lazy_ns : quiet_ns;
}

/* ... nor after little: a device lets no write pass a flush. But what is not flushed cannot go
 * home, and keeps its part of the pool. */
static uint64_t lazy_bytes(const struct mirror_engine *m)
{
	const uint64_t part_bytes = mirror_pool_bytes_total(m->buffers.pool) / 8;

	if (part_bytes < UNFLUSHED_BYTES_LEAST)
		return UNFLUSHED_BYTES_LEAST;
	return part_bytes < UNFLUSHED_BYTES_LAZY ? part_bytes : UNFLUSHED_BYTES_LAZY;
}

static void pump_flush(struct mirror_engine *m)
{
	const bool records = m->open.marks.durable < m->open.marks.logged;
	const uint64_t due_ns = lazy_flush_ns(&m->open.log, records);

	if (m->open.log.flushing ||
	    (!records && m->open.marks.proven >= m->open.log.mark_logged))
		return;
	if ((records &&
	     (m->open.log.flush_now || m->open.log.unflushed_bytes >= lazy_bytes(m))) ||
	    home_is_awaited(m) || m->now_ns >= due_ns)
		start_flush(m);
	else
		mirror_engine_wake(m, due_ns);
}

/* W4: when nothing else will carry the durable mark, a descriptor of its own does. */
static void pump_mark(struct mirror_engine *m)
{
	uint64_t pad_bytes, position;

	/* Above a hold nothing counts that a mark could vouch for. */
	if (m->open.log.mark_written >= m->open.marks.durable ||
	    m->open.marks.durable < m->open.marks.logged ||
	    (m->open.sb.hold.active && !m->open.sb.blank)) {
		m->open.log.mark_due_ns = 0;
		return;
	}
	if (m->open.log.mark_due_ns == 0)
		m->open.log.mark_due_ns = m->now_ns + MARK_IDLE_NS / 2;
	if (m->now_ns < m->open.log.mark_due_ns && !home_is_awaited(m)) {
		mirror_engine_wake(m, m->open.log.mark_due_ns);
		return;
	}
	if (mirror_ring_reserve(m->open.ring, MIRROR_BLOCK_BYTES, &pad_bytes,
				&position) != 0) {
		if (m->open.marks.proven < m->open.marks.durable &&
		    !m->open.sb.hold.active && !m->open.writer.busy)
			mirror_superblock_want(m);
		return;
	}
	if (pad_bytes > 0)
		write_bare(m, MIRROR_DESCRIPTOR_PAD, pad_bytes);
	write_bare(m, MIRROR_DESCRIPTOR_MARK, MIRROR_BLOCK_BYTES);
	m->open.log.mark_due_ns = 0;
}

/* At the end of an open (scan.h, rule 2): a MARK under the new epoch. The caller
 * has checked nothing; a log without room for it frees some first. */
void mirror_log_mark(struct mirror_engine *m)
{
	uint64_t pad_bytes, position;

	if (mirror_ring_reserve(m->open.ring, MIRROR_BLOCK_BYTES, &pad_bytes,
				&position) != 0)
		return;
	if (pad_bytes > 0)
		write_bare(m, MIRROR_DESCRIPTOR_PAD, pad_bytes);
	write_bare(m, MIRROR_DESCRIPTOR_MARK, MIRROR_BLOCK_BYTES);
}

bool mirror_log_is_idle(const struct mirror_engine *m)
{
	return m->open.log.parts == 0 && !m->open.log.flushing &&
	       m->open.marks.next_to_log > m->open.marks.last;
}

void mirror_log_pump(struct mirror_engine *m)
{
	if (m->open.failed || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING ||
	    m->open.cut.step > CUT_QUIET || m->open.leap.step == LEAP_SUPERBLOCK ||
	    !mirror_superblock_has(m, m->open.copy.lift_ticket))
		return;
	flush_for_client(m);
	pump_flush(m);
	if (m->open.log.parts > 0 || mirror_hold_lift_is_due(m))
		return;
	if (m->open.marks.next_to_log <= m->open.marks.last &&
	    m->open.log.unflushed_bytes < UNFLUSHED_BYTES_MAX)
		write_batch(m);
	if (m->open.log.parts == 0 &&
	    (m->open.marks.next_to_log > m->open.marks.last || m->open.log.full))
		pump_mark(m);
}

static void batch_done(struct mirror_engine *m)
{
	for (uint64_t s = m->open.log.batch_first; s <= m->open.log.batch_last; s++) {
		struct mirror_record *r = mirror_engine_record(m, s);

		if (r->header.data_bytes > 0)
			mirror_buffer_unref(m, r->data);
		if (m->open.failed)
			continue;
		mirror_record_set_state(r, MIRROR_RECORD_LOGGED);
		if ((r->header.flags & MIRROR_RECORD_FUA) != 0 ||
		    (r->header.type == MIRROR_RECORD_FLUSH &&
		     is_unflushed(m, mirror_log_flush_target(m, s))))
			m->open.log.flush_now = true;
		/* These are read from the log later: records above a hold, since none of
		 * them goes home now (W6) and memory could not keep them all; and any
		 * record when buffers run short, so that older ones can go home. */
		if (r->data != NULL && ((m->open.sb.hold.active && !m->open.sb.blank) ||
					mirror_buffers_are_short(m))) {
			mirror_buffer_unref(m, r->data);
			r->data = NULL;
		}
	}
	if (m->open.log.unflushed_bytes == 0)
		m->open.log.unflushed_since_ns = m->now_ns;
	m->open.log.unflushed_bytes += m->open.log.batch_bytes;
	m->open.log.logged_ns = m->now_ns;
	if (!m->open.failed)
		mirror_marks_logged(m, m->open.log.batch_last);
	m->open.log.batch_last = 0;
}

/* The mark that was put last into a descriptor is written. */
static void mark_done(struct mirror_engine *m)
{
	if (m->open.log.mark_logged == m->open.log.mark_written)
		return;
	if (m->open.log.mark_logged <= m->open.marks.proven)
		m->open.log.mark_since_ns = m->now_ns;
	m->open.log.mark_logged = m->open.log.mark_written;
}

void mirror_log_io(struct mirror_engine *m, struct mirror_io *io)
{
	if (io->purpose == IO_LOG_FLUSH) {
		m->open.log.flushing = false;
		if (io->result < 0)
			mirror_engine_fail(m, MIRROR_IO_LOG, io->result, "flushing");
		else
			mirror_marks_flushed(m, m->open.log.flush_covers,
					     m->open.log.flush_proves);
		return;
	}
	m->open.log.parts--;
	if (io->result < 0)
		mirror_engine_fail(m, MIRROR_IO_LOG, io->result, "writing");
	if (m->open.log.parts == 0 && !m->open.failed)
		mark_done(m);
	if (m->open.log.parts == 0 && m->open.log.batch_last != 0)
		batch_done(m);
}
