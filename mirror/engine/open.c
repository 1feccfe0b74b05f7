/* engine/open.c - open a site: devices, superblock, maps, scan, a new epoch.
 *
 *   step        what happens                                  on failure
 *   devices     the driver opens log and disks, exclusively   FACT_OPENED
 *   stable      the log flushed: all that is read next stays  close, FACT_OPENED
 *               after a power cut, before a slot is written
 *   superblock  both slots read, identity and sizes checked   close, FACT_OPENED
 *   maps        every block of every site's map read          (all dirty)
 *   scan        the ring walked for records not at home       close, FACT_OPENED
 *   disks       are they the site's disks? evidence.h         close, FACT_OPENED
 *   write       a superblock with a new epoch, durable        close, FACT_OPENED
 *   write both  ... in the other slot too: either may be lost close, FACT_OPENED
 *   mark        a MARK at the head, flushed (scan.h, rule 2)
 *   done        FACT_OPENED
 *
 * W3: records that the scan found are claimed only after the flush. W5: nothing goes home
 * here; that begins when this site serves, or a production's history says that
 * its tail stands.
 */
#include <stdio.h>

#include "mirror/engine/state.h"

static void read_log(struct mirror_engine *m, uint64_t offset_bytes,
		     uint64_t length_bytes, void *into)
{
	m->open.opening.iov = (struct iovec){ into, length_bytes };
	mirror_engine_transfer(m, &m->open.opening.io, MIRROR_IO_READ, MIRROR_IO_LOG,
			       offset_bytes, &m->open.opening.iov, IO_OPEN, NULL);
}

static void flush_log(struct mirror_engine *m)
{
	mirror_engine_flush(m, &m->open.opening.io, MIRROR_IO_LOG, IO_OPEN);
}

static struct fact *opened_fact(struct mirror_engine *m, int32_t error, const char *text)
{
	struct fact *f = mirror_engine_fact(m, FACT_OPENED);

	f->order_id = m->open.opening.order_id;
	f->error = error;
	snprintf(f->text, sizeof f->text, "%s", text);
	return f;
}

/* Give up: it is said once the devices are closed, since another host may open them
 * then (D6). */
static void refuse(struct mirror_engine *m, int32_t error, const char *text)
{
	m->open.opening.error = error;
	snprintf(m->open.opening.text, sizeof m->open.opening.text, "%s", text);
	mirror_engine_set_state(m, ENGINE_CLOSING);
	m->open.closing.order_id = 0;
}

void mirror_open_refused(struct mirror_engine *m)
{
	if (m->open.opening.error != 0)
		opened_fact(m, m->open.opening.error, m->open.opening.text);
}

void mirror_open_order(struct mirror_engine *m, const struct order *o)
{
	if (m->state != ENGINE_CLOSED) {
		opened_fact(m, -EBUSY, "this node has the site's devices open already")
			->order_id = o->id;
		return;
	}
	mirror_engine_reset(m);
	mirror_engine_set_state(m, ENGINE_OPENING);
	m->open.opening.order_id = o->id;
	m->open.site = o->site;
	m->open.incarnation = o->incarnation;
	MIRROR_SET(m, opening.step, OPEN_DEVICES);
	m->out->open_devices = true;
	m->open.opening.devices_asked = true;
	m->open.opening.devices_asked_ns = m->now_ns;
	m->open.watch.look_at_ns = m->now_ns + DEVICE_LOOK_NS;
}

void mirror_open_devices(struct mirror_engine *m, const struct mirror_devices *d)
{
	m->open.devices = *d;
	m->open.opening.devices_asked = false;
	if (d->error != 0 && m->state == ENGINE_CLOSING) {
		mirror_closed(m);
		return;
	}
	if (d->error != 0) {
		opened_fact(m, d->error, d->text);
		mirror_engine_set_state(m, ENGINE_CLOSED);
		return;
	}
	if (m->state == ENGINE_CLOSING)
		return; /* told to close meanwhile */
	MIRROR_SET(m, opening.step, OPEN_STABLE);
	flush_log(m);
}

static int check_sizes(const struct mirror_engine *m, char *text, size_t size)
{
	const struct config_site *site = &m->config->site[m->open.site];

	if (m->open.devices.log_bytes < m->open.sb.log_bytes) {
		snprintf(
			text, size,
			"writelog %s has been truncated: it is %llu bytes and "
			"was made with %llu; restore it, or create it anew for a full refresh",
			site->writelog, (unsigned long long)m->open.devices.log_bytes,
			(unsigned long long)m->open.sb.log_bytes);
		return -EFBIG;
	}
	for (uint32_t i = 0; i < m->open.sb.disks.count; i++)
		if (m->open.devices.disk_bytes[i] <
		    m->open.sb.disks.entry[i].size_bytes) {
			snprintf(
				text, size,
				"disk %s (%s) is %llu bytes, smaller than the "
				"%llu of the mirror: use a device at least as large",
				site->disk[i].name, site->disk[i].path,
				(unsigned long long)m->open.devices.disk_bytes[i],
				(unsigned long long)m->open.sb.disks.entry[i].size_bytes);
			return -EFBIG;
		}
	return 0;
}

static void divide_space(struct mirror_engine *m)
{
	uint64_t size[CONFIG_DISK_COUNT_MAX];

	for (uint32_t i = 0; i < m->open.disk_count; i++)
		size[i] = m->open.sb.disks.entry[i].size_bytes;
	mirror_tasks_set_space(m->memory.tasks, m->open.disk_count, size,
			       MIRROR_EXTENT_BYTES);
}

static void superblock_read(struct mirror_engine *m)
{
	char text[FACT_TEXT_MAX], full[FACT_TEXT_MAX];
	int error = mirror_store_take(m, m->memory.scan_buffer, text, sizeof text);

	if (error == 0)
		error = mirror_superblock_check_identity(&m->open.sb, m->config,
							 m->open.site, text, sizeof text);
	if (error != 0) {
		if (error == -ENODATA)
			mirror_text(text, sizeof text,
				    "not a hamirror log; `hamirror create %s%s` makes it "
				    "one",
				    m->config->instance,
				    m->open.site == 0 ? "" : " --copy-of HOST");
		mirror_text(full, sizeof full, "writelog %s: %s",
			    m->config->site[m->open.site].writelog, text);
		refuse(m, error, full);
		return;
	}
	error = check_sizes(m, text, sizeof text);
	if (error != 0) {
		refuse(m, error, text);
		return;
	}
	m->open.disk_count = m->open.sb.disks.count;
	m->open.map = mirror_map_create(&m->open.sb);
	m->open.ring = mirror_ring_create(m->open.sb.ring_start_bytes,
					  m->open.sb.ring_bytes);
	if (m->open.map == NULL || m->open.ring == NULL) {
		refuse(m, -ENOMEM,
		       "no memory for the maps and the index of this writelog");
		return;
	}
	divide_space(m);
	MIRROR_SET(m, opening.step, OPEN_MAPS);
	m->open.opening.map_site = 0;
	m->open.opening.map_block = 0;
}

/* ---- maps ---------------------------------------------------------------- */

static uint64_t map_blocks_now(const struct mirror_engine *m)
{
	const uint64_t left = mirror_map_block_count(m->open.map) -
			      m->open.opening.map_block;
	const uint64_t most = SCAN_BYTES / MIRROR_MAP_BLOCK_BYTES;

	return left < most ? left : most;
}

static void maps_loaded(struct mirror_engine *m, bool good)
{
	const uint64_t count = map_blocks_now(m);

	for (uint64_t i = 0; i < count; i++)
		mirror_maps_load(
			m, m->open.opening.map_site, m->open.opening.map_block + i,
			good ? m->memory.scan_buffer + i * MIRROR_MAP_BLOCK_BYTES : NULL);
	m->open.opening.map_block += count;
	if (m->open.opening.map_block < mirror_map_block_count(m->open.map))
		return;
	m->open.opening.map_block = 0;
	m->open.opening.map_site++;
}

static void begin_scan(struct mirror_engine *m)
{
	const uint64_t first = m->open.sb.tail_sequence;
	const uint64_t home = m->open.sb.home.sequence;

	MIRROR_SET(m, opening.step, OPEN_SCAN);
	m->open.opening.scan_since_ns = m->now_ns;
	mirror_ring_reset(m->open.ring, m->open.sb.tail_position, first > 0 ? first : 1,
			  m->open.sb.tail_epoch);
	mirror_marks_begin(m, first > 0 && home < first - 1 ? first - 1 : home);
	mirror_scan_start(m->memory.scan, &m->open.sb, m->memory.scan_buffer, SCAN_BYTES,
			  0);
}

static void pump_maps(struct mirror_engine *m)
{
	if (m->open.opening.map_site == m->open.sb.site_count) {
		begin_scan(m);
		return;
	}
	read_log(m,
		 mirror_map_block_offset(m->open.map, m->open.opening.map_site,
					 m->open.opening.map_block),
		 map_blocks_now(m) * MIRROR_MAP_BLOCK_BYTES, m->memory.scan_buffer);
}

/* ---- scan ---------------------------------------------------------------- */

/* Records up to `sequence` are at home: the table need not hold them. */
static void forget_home(struct mirror_engine *m, uint64_t sequence)
{
	while (m->open.marks.home_flushed < sequence &&
	       m->open.marks.home_flushed < m->open.marks.last) {
		mirror_record_forget(
			m, mirror_engine_record(m, m->open.marks.home_flushed + 1));
		mirror_marks_home_flushed(m);
	}
}

static bool found_record(struct mirror_engine *m, const struct mirror_header *h,
			 uint64_t data_position)
{
	struct mirror_record *r;

	mirror_disks_found(m, h);
	mirror_marks_found(m, h);
	if (h->sequence > m->open.marks.last + 1) { /* a leap: all before is home */
		forget_home(m, m->open.marks.last);
		mirror_marks_begin(m, h->sequence - 1);
	}
	if (h->sequence <= m->open.marks.home_flushed)
		return true;
	if (m->open.marks.last - m->open.marks.home_flushed >= RECORDS_MAX)
		return false;
	r = &m->memory.records[h->sequence % RECORDS_MAX];
	r->header = *h;
	r->log_position = mirror_ring_device_offset(m->open.ring, data_position);
	mirror_record_admit(m, r, NULL, MIRROR_RECORD_LOGGED);
	return true;
}

static bool found(struct mirror_engine *m)
{
	const struct mirror_scan *scan = m->memory.scan;
	const struct mirror_descriptor *d = &scan->descriptor;

	if (!m->open.opening.found) {
		m->open.opening.found = true;
		mirror_ring_reset(m->open.ring, scan->result.tail_position,
				  scan->result.tail_sequence, scan->result.tail_epoch);
		if (m->open.marks.home_flushed < scan->result.tail_sequence - 1)
			mirror_marks_begin(m, scan->result.tail_sequence - 1);
	}
	forget_home(m, d->home);
	for (uint32_t i = 0; i < d->count; i++)
		if (!found_record(m, &scan->headers[i], scan->data_position[i]))
			return false;
	mirror_ring_append_entry(m->open.ring, d->epoch, d->first_sequence, d->count,
				 d->position, d->total_bytes);
	return true;
}

/* The log's knowledge of other sites' records. It is older than any generation that
 * begins at the log's end or later. */
static void take_proven(struct mirror_engine *m, const uint64_t *confirmed)
{
	const struct history *h = &m->open.sb.history;
	uint64_t lowest = UINT64_MAX;

	for (uint32_t i = 0; i < h->count; i++)
		if (h->entry[i].cut >= m->open.marks.last && h->entry[i].cut < lowest)
			lowest = h->entry[i].cut;
	for (uint32_t s = 0; s < m->open.sb.site_count; s++)
		m->open.peer[s].proven_durable = confirmed[s] < lowest ? confirmed[s] :
									 lowest;
	if (h->count > 0)
		m->open.proven_generation = history_newest(h)->id;
}

/* The descriptors that stand may be older than the other sites' last confirmations, but this
 * log gave up no record that a site lacks and its map does not stand for (W2). What it leapt
 * over under a hold is dropped again by now, or is in their maps since the hold was lifted. */
static void take_given_up(struct mirror_engine *m)
{
	const uint64_t given_up = mirror_ring_oldest_sequence(m->open.ring) - 1;

	for (uint32_t s = 0; s < m->open.sb.site_count; s++) {
		const struct mirror_superblock_site *site = &m->open.sb.sites[s];
		uint64_t *proven = &m->open.peer[s].proven_durable;

		if (site->map_state == MIRROR_MAP_VALID &&
		    site->map_position < given_up && *proven < given_up)
			*proven = given_up;
	}
}

/* The scan is over: the log goes on here, under a new epoch. Records above the hold of a
 * refresh that was cut short are dropped (W6); a blank copy drops everything and starts
 * over. */
static void scan_ended(struct mirror_engine *m)
{
	const struct mirror_scan_result *r = &m->memory.scan->result;
	int error = 0;

	if (!m->open.opening.found) { /* nothing in the log is needed any more */
		mirror_ring_reset(m->open.ring, r->tail_position, r->tail_sequence,
				  r->tail_epoch);
		mirror_marks_begin(m, r->last_sequence);
	}
	forget_home(m, r->home);
	take_proven(m, r->confirmed);
	if (m->open.sb.hold.active) {
		const uint64_t position = mirror_ring_truncate_after(
			m->open.ring, m->open.sb.hold.sequence);

		while (m->open.marks.last > m->open.sb.hold.sequence &&
		       m->open.marks.last > m->open.marks.home_flushed) {
			mirror_record_forget(m,
					     mirror_engine_record(m, m->open.marks.last));
			mirror_marks_drop(m);
		}
		mirror_marks_restart(m, m->open.sb.hold.sequence);
		error = mirror_store_restart(m, position, m->open.marks.last);
		mirror_store_hold_ends(m);
	} else if (mirror_ring_room_bytes(m->open.ring) == 0) {
		/* No room for the MARK: scan.h, rule 2. */
		error = mirror_store_restart(m, mirror_ring_head_position(m->open.ring),
					     m->open.marks.last);
	} else {
		mirror_store_next_epoch(m);
	}
	if (error != 0) {
		refuse(m, error,
		       "too many cuts are alive in this writelog; create it anew "
		       "for a full refresh");
		return;
	}
	mirror_ring_leap(m->open.ring, m->open.marks.last + 1);
	mirror_ring_set_epoch(m->open.ring, m->open.sb.log_epoch);
	mirror_marks_recovered(m);
	mirror_store_maps_limit(m, m->open.marks.last);
	take_given_up(m);
	mirror_store_incarnation(m);
	MIRROR_SET(m, opening.step, OPEN_WRITE);
	m->open.opening.ticket = mirror_superblock_want(m);
}

static void disks_compared(struct mirror_engine *m)
{
	char text[FACT_TEXT_MAX];

	if (mirror_disks_judge(m, text, sizeof text))
		scan_ended(m);
	else
		refuse(m, -EMEDIUMTYPE, text);
}

static void pump_scan(struct mirror_engine *m)
{
	char text[FACT_TEXT_MAX];

	for (;;) {
		switch (mirror_scan_step(m->memory.scan)) {
		case MIRROR_SCAN_READ:
			read_log(m, m->memory.scan->device_offset_bytes,
				 m->memory.scan->length_bytes, m->memory.scan->into);
			return;
		case MIRROR_SCAN_FOUND:
			if (found(m))
				break;
			refuse(m, -EOVERFLOW,
			       "more records are not at home than this "
			       "version holds; use the version that wrote them");
			return;
		case MIRROR_SCAN_END:
			MIRROR_SET(m, opening.step, OPEN_DISKS);
			mirror_disks_begin(m);
			return;
		case MIRROR_SCAN_DAMAGED:
			mirror_text(text, sizeof text, "writelog %s: %s",
				    m->config->site[m->open.site].writelog,
				    m->memory.scan->result.text);
			refuse(m, -EBADMSG, text);
			return;
		}
	}
}

/* ---- done ---------------------------------------------------------------- */

static void done(struct mirror_engine *m)
{
	struct fact *f;

	MIRROR_SET(m, opening.step, OPEN_DONE);
	if (m->open.sb.blank)
		mirror_engine_set_data(m, DATA_INCONSISTENT,
				       "its first refresh has not ended yet");
	else if (mirror_map_count(m->open.map, m->open.site) > 0)
		mirror_engine_set_data(
			m, DATA_OUTDATED,
			"part of it belongs to a history that was given up");
	else
		mirror_engine_set_data(m, DATA_CONSISTENT,
				       "a usable image of the moment of its last record");
	mirror_engine_set_state(m, ENGINE_IDLE);
	mirror_refusal_review(m);
	MIRROR_SET(m, home.reset_due, true);
	f = opened_fact(m, 0, m->memory.scan->result.text);
	f->data = m->open.data;
	f->marks = (struct site_marks){ m->open.marks.logged, m->open.marks.durable,
					m->open.marks.home_flushed };
	f->log = m->open.sb.log;
	f->mirror = m->open.sb.mirror;
	f->lineage = m->open.sb.lineage;
	f->clean = mirror_is_clean(m);
	memcpy(f->disk_bytes, m->open.devices.disk_bytes, sizeof f->disk_bytes);
	f->history = m->open.sb.history;
	mirror_rights_put_out(m, f);
}

void mirror_open_pump(struct mirror_engine *m)
{
	if (m->state != ENGINE_OPENING || m->open.watch.count > 0)
		return;
	if (m->open.failed) {
		refuse(m, -EIO, m->open.failed_text);
		return;
	}
	if (m->open.opening.step == OPEN_MAPS)
		pump_maps(m);
	if (m->open.opening.step == OPEN_SCAN && m->open.watch.count == 0)
		pump_scan(m);
	if (m->open.opening.step == OPEN_DISKS && m->open.watch.count == 0)
		disks_compared(m);
	if (m->open.opening.step == OPEN_WRITE &&
	    mirror_superblock_has(m, m->open.opening.ticket)) {
		MIRROR_SET(m, opening.step, OPEN_WRITE_BOTH);
		m->open.opening.ticket = mirror_superblock_want(m);
	} else if (m->open.opening.step == OPEN_WRITE_BOTH &&
		   mirror_superblock_has(m, m->open.opening.ticket)) {
		MIRROR_SET(m, opening.step, OPEN_MARK);
		mirror_log_mark(m);
	} else if (m->open.opening.step == OPEN_MARK && m->open.log.parts == 0) {
		MIRROR_SET(m, opening.step, OPEN_FLUSH);
		flush_log(m);
	}
}

void mirror_open_io(struct mirror_engine *m, struct mirror_io *io)
{
	const bool good = io->result >= 0;

	if (m->state != ENGINE_OPENING)
		return;
	if (!good && m->open.opening.step != OPEN_SCAN &&
	    m->open.opening.step != OPEN_MAPS) {
		char text[FACT_TEXT_MAX];

		mirror_text(text, sizeof text, "writelog %s cannot be %s: %s",
			    m->config->site[m->open.site].writelog,
			    io->op == MIRROR_IO_FLUSH ? "flushed" : "read",
			    strerror(-io->result));
		refuse(m, io->result, text);
		return;
	}
	switch (m->open.opening.step) {
	case OPEN_STABLE:
		MIRROR_SET(m, opening.step, OPEN_SUPERBLOCK);
		read_log(m, 0, MIRROR_SUPERBLOCK_AREA_BYTES, m->memory.scan_buffer);
		break;
	case OPEN_SUPERBLOCK:
		superblock_read(m);
		break;
	case OPEN_MAPS:
		maps_loaded(m, good);
		break;
	case OPEN_SCAN:
		if (!good)
			mirror_scan_read_failed(m->memory.scan);
		break;
	case OPEN_FLUSH:
		done(m);
		break;
	case OPEN_DEVICES:
	case OPEN_DISKS:
	case OPEN_WRITE:
	case OPEN_WRITE_BOTH:
	case OPEN_MARK:
	case OPEN_DONE:
		break;
	}
}
