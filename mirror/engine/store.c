/* engine/store.c - the superblock: its content, and its writes, one at a time, each
 * flushed before it counts. See engine/store.h. */
#include "mirror/engine/state.h"

uint64_t mirror_superblock_want(struct mirror_engine *m)
{
	if (m->open.writer.wanted == m->open.writer.writing)
		MIRROR_SET(m, writer.wanted, m->open.writer.wanted + 1);
	return m->open.writer.wanted;
}

bool mirror_superblock_has(const struct mirror_engine *m, uint64_t ticket)
{
	return m->open.writer.written >= ticket;
}

/* Note the state of the moment in the next superblock. Called as it is encoded. */
static void tell_moment(struct mirror_engine *m)
{
	struct mirror_superblock *sb = &m->open.sb;
	uint64_t position, sequence, epoch;

	mirror_ring_tail(m->open.ring, &position, &sequence, &epoch);
	mirror_superblock_set_tail(sb, position, sequence, epoch);
	m->open.writer.tail_position = position;
	sb->head_position = mirror_ring_head_position(m->open.ring);
	if (!sb->hold.active) {
		sb->durable = (struct mirror_mark){ m->open.marks.generation,
						    m->open.marks.durable };
		sb->home = (struct mirror_mark){ m->open.marks.generation,
						 m->open.marks.home_flushed };
		sb->next_sequence = m->open.marks.durable + 1;
	}
	sb->last_time_ns = m->open.marks.time_ns;
	for (uint32_t i = 0; i < m->open.disk_count; i++)
		sb->disks.entry[i].sequence = m->open.marks.disk[i];
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		const bool away = s != m->open.site &&
				  m->open.peer[s].link == MIRROR_LINK_NONE;

		if (!away)
			sb->sites[s].since_ns = 0;
		else if (sb->sites[s].since_ns == 0)
			sb->sites[s].since_ns = m->wall_ns;
	}
}

void mirror_superblock_pump(struct mirror_engine *m)
{
	uint32_t length;

	if (m->open.failed || m->open.writer.busy ||
	    m->open.writer.wanted == m->open.writer.written || m->open.closing.asked ||
	    m->state == ENGINE_CLOSED || m->open.opening.step < OPEN_WRITE)
		return;
	m->open.sb.write_counter++;
	tell_moment(m);
	m->open.writer.proves = m->open.sb.hold.active ? 0 : m->open.sb.durable.sequence;
	length = (uint32_t)mirror_superblock_encode(&m->open.sb, m->memory.sb_buffer);
	m->open.writer.writing = m->open.writer.wanted;
	m->open.writer.busy = true;
	m->open.writer.iov = (struct iovec){ m->memory.sb_buffer, length };
	mirror_engine_transfer(m, &m->open.writer.io, MIRROR_IO_WRITE, MIRROR_IO_LOG,
			       m->open.sb.write_counter % 2 * MIRROR_SUPERBLOCK_BYTES,
			       &m->open.writer.iov, IO_SUPERBLOCK, NULL);
}

void mirror_superblock_io(struct mirror_engine *m, struct mirror_io *io)
{
	if (io->result < 0) {
		m->open.writer.busy = false;
		mirror_engine_fail(m, MIRROR_IO_LOG, io->result,
				   "writing the superblock");
	} else if (io->purpose == IO_SUPERBLOCK) {
		io->op = MIRROR_IO_FLUSH;
		io->purpose = IO_SUPERBLOCK_FLUSH;
		io->iov_count = 0;
		io->length_bytes = 0;
		mirror_engine_submit(m, io);
	} else {
		m->open.writer.busy = false;
		m->open.writer.written = m->open.writer.writing;
		mirror_ring_release(m->open.ring, m->open.writer.tail_position);
		mirror_marks_proved(m, m->open.writer.proves);
	}
}

void mirror_superblock_proves(struct mirror_engine *m, uint64_t sequence)
{
	if (m->open.writer.proves > sequence)
		m->open.writer.proves = sequence;
}

/* ---- the superblock to be stored ------------------------------------------- */

int mirror_store_take(struct mirror_engine *m, const uint8_t *area, char *text,
		      size_t size)
{
	uint32_t slot;

	return mirror_superblock_choose(area, area + MIRROR_SUPERBLOCK_BYTES,
					&m->memory.sb_scratch, &m->open.sb, &slot, text,
					size);
}

void mirror_store_incarnation(struct mirror_engine *m)
{
	m->open.sb.incarnation = m->open.incarnation;
}

void mirror_store_next_epoch(struct mirror_engine *m)
{
	m->open.sb.log_epoch++;
}

int mirror_store_restart(struct mirror_engine *m, uint64_t position, uint64_t sequence)
{
	return mirror_superblock_restart(&m->open.sb, position, sequence);
}

void mirror_store_history(struct mirror_engine *m, const struct history *history)
{
	m->open.sb.history = *history;
}

void mirror_store_refusal(struct mirror_engine *m, const struct uuid *generation,
			  uint64_t ballot)
{
	m->open.sb.refusal.generation = *generation;
	m->open.sb.refusal.ballot = ballot;
}

void mirror_store_no_refusal(struct mirror_engine *m)
{
	memset(&m->open.sb.refusal, 0, sizeof m->open.sb.refusal);
}

void mirror_store_clean(struct mirror_engine *m, const struct uuid *generation,
			uint64_t sequence)
{
	m->open.sb.clean.set = true;
	m->open.sb.clean.generation = *generation;
	m->open.sb.clean.sequence = sequence;
}

void mirror_store_not_clean(struct mirror_engine *m)
{
	m->open.sb.clean.set = false;
	m->open.sb.handed_over = false;
}

void mirror_store_handed_over(struct mirror_engine *m, bool handed_over)
{
	m->open.sb.handed_over = handed_over;
}

void mirror_store_hold(struct mirror_engine *m, uint64_t position, bool hold)
{
	struct mirror_superblock *sb = &m->open.sb;

	sb->hold.active = true;
	sb->hold.generation = m->open.marks.generation;
	sb->hold.sequence = m->open.marks.last;
	sb->hold.position = position;
	sb->refresh.kind = hold ? MIRROR_REFRESH_HELD : MIRROR_REFRESH_BLANK;
	sb->refresh.source = history_newest(&sb->history)->id;
	if (hold)
		return;
	sb->blank = true;
	mirror_disks_forget(m);
}

void mirror_store_hold_ends(struct mirror_engine *m)
{
	m->open.sb.hold.active = false;
	m->open.sb.refresh.kind = MIRROR_REFRESH_NONE;
}

void mirror_store_whole(struct mirror_engine *m)
{
	m->open.sb.blank = false;
}

void mirror_store_map_position(struct mirror_engine *m, uint32_t site, uint64_t sequence)
{
	if (m->open.sb.sites[site].map_position < sequence)
		m->open.sb.sites[site].map_position = sequence;
}

void mirror_store_maps_limit(struct mirror_engine *m, uint64_t sequence)
{
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.sb.sites[s].map_position > sequence)
			m->open.sb.sites[s].map_position = sequence;
}

uint64_t mirror_store_map_new(struct mirror_engine *m, uint32_t site)
{
	struct mirror_superblock_site *s = &m->open.sb.sites[site];

	s->map_epoch++;
	s->map_position = 0;
	s->map_due = false;
	s->map_state = MIRROR_MAP_VALID;
	return s->map_epoch;
}

void mirror_store_map_all(struct mirror_engine *m, uint32_t site)
{
	m->open.sb.sites[site].map_state = MIRROR_MAP_ALL_DIRTY;
	/* records that are only logged may be lost with the cache */
	m->open.sb.sites[site].map_position = m->open.marks.durable;
}

void mirror_store_map_filled(struct mirror_engine *m, uint32_t site)
{
	m->open.sb.sites[site].map_state = MIRROR_MAP_VALID;
	m->open.sb.sites[site].map_position = m->open.marks.home_flushed;
}

void mirror_store_map_due(struct mirror_engine *m, uint32_t site)
{
	m->open.sb.sites[site].map_due = true;
}

void mirror_store_current(struct mirror_engine *m, uint32_t site, bool current)
{
	m->open.sb.sites[site].current = current;
}

void mirror_store_disconnected(struct mirror_engine *m, uint32_t site, bool disconnected,
			       bool bypass)
{
	struct mirror_superblock_site *s = &m->open.sb.sites[site];

	s->disconnected = disconnected;
	s->bypass = bypass;
	s->current = s->current && !disconnected;
}

void mirror_store_sector(struct mirror_engine *m, uint32_t disk, uint32_t bytes)
{
	m->open.sb.disks.entry[disk].sector_bytes = bytes;
}
