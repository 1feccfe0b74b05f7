/* engine_superblock.c - the superblock written: one at a time, each flushed before it
 * counts. */
#include "mirror/engine_state.h"

uint64_t mirror_superblock_want(struct mirror_engine *m)
{
	if (m->open.writer.wanted == m->open.writer.writing)
		m->open.writer.wanted++;
	return m->open.writer.wanted;
}

bool mirror_superblock_has(const struct mirror_engine *m, uint64_t ticket)
{
	return m->open.writer.written >= ticket;
}

/* What the next superblock says of the moment. Called as it is encoded. */
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
	m->open.writer.io = (struct mirror_io){
		.op = MIRROR_IO_WRITE,
		.device = MIRROR_IO_LOG,
		.offset_bytes = m->open.sb.write_counter % 2 * MIRROR_SUPERBLOCK_BYTES,
		.length_bytes = length,
		.iov = &m->open.writer.iov,
		.iov_count = 1,
		.purpose = IO_SUPERBLOCK,
	};
	mirror_engine_submit(m, &m->open.writer.io);
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
		if (m->open.marks.proven < m->open.writer.proves)
			m->open.marks.proven = m->open.writer.proves;
	}
}
