/* engine/maps.c - write tracking maps to the log device, and read descriptors back for
 * the parts that need their headers.
 *
 * A bit counts only when its block is written and flushed (G5): a part that sets bits
 * asks for a ticket and waits until the maps have it. Likewise a map's new epoch is
 * durable in the superblock before a block carries it (map.h).
 */
#include "mirror/engine/state.h"

/* A ticket for all bits set up to now. */
uint64_t mirror_maps_want(struct mirror_engine *m)
{
	return m->open.maps.changes;
}

bool mirror_maps_have(const struct mirror_engine *m, uint64_t ticket)
{
	return m->open.maps.durable >= ticket;
}

void mirror_maps_set(struct mirror_engine *m, uint32_t site, uint32_t disk,
		     uint64_t offset_bytes, uint64_t length_bytes)
{
	if (mirror_map_set(m->open.map, site, disk, offset_bytes, length_bytes) > 0)
		MIRROR_SET(m, maps.changes, m->open.maps.changes + 1);
}

void mirror_maps_set_all(struct mirror_engine *m, uint32_t site)
{
	mirror_map_set_all(m->open.map, site);
	MIRROR_SET(m, maps.changes, m->open.maps.changes + 1);
}

void mirror_maps_merge(struct mirror_engine *m, uint32_t site, uint32_t from)
{
	mirror_map_merge(m->open.map, site, from);
	MIRROR_SET(m, maps.changes, m->open.maps.changes + 1);
}

void mirror_maps_load(struct mirror_engine *m, uint32_t site, uint64_t block,
		      const uint8_t *data)
{
	if (mirror_map_load(m->open.map, site, block, data) != 0)
		MIRROR_SET(m, maps.changes, m->open.maps.changes + 1);
}

int mirror_maps_import(struct mirror_engine *m, uint32_t site,
		       const struct mirror_map_chunk *chunk, const uint8_t *data,
		       size_t data_bytes)
{
	MIRROR_SET(m, maps.changes, m->open.maps.changes + 1);
	return mirror_map_import(m->open.map, site, chunk, data, data_bytes);
}

/* All of it is proven to be at `site`: a new epoch, and an empty map under it. */
void mirror_maps_clear(struct mirror_engine *m, uint32_t site)
{
	m->open.bypass.sites &= ~(1u << site); /* a round under way began before */
	mirror_map_clear_all(m->open.map, site, mirror_store_map_new(m, site));
	m->open.maps.epoch_ticket = mirror_superblock_want(m);
}

static void flush(struct mirror_engine *m)
{
	m->open.maps.writing = true;
	m->open.maps.flush_needed = false;
	mirror_engine_flush(m, &m->open.maps.io, MIRROR_IO_LOG, IO_MAP_FLUSH);
}

void mirror_maps_pump(struct mirror_engine *m)
{
	uint64_t offset_bytes;
	uint32_t site;

	if (m->open.failed || m->open.map == NULL || m->open.maps.writing ||
	    m->state < ENGINE_IDLE || m->open.maps.durable == m->open.maps.changes ||
	    !mirror_superblock_has(m, m->open.maps.epoch_ticket))
		return;
	if (!m->open.maps.flush_needed)
		m->open.maps.covers = m->open.maps.changes;
	if (!mirror_map_take_dirty(m->open.map, &site, m->memory.map_block,
				   &offset_bytes)) {
		flush(m);
		return;
	}
	m->open.maps.writing = true;
	m->open.maps.flush_needed = true;
	m->open.maps.iov = (struct iovec){ m->memory.map_block, MIRROR_MAP_BLOCK_BYTES };
	mirror_engine_transfer(m, &m->open.maps.io, MIRROR_IO_WRITE, MIRROR_IO_LOG,
			       offset_bytes, &m->open.maps.iov, IO_MAP, NULL);
}

void mirror_maps_io(struct mirror_engine *m, struct mirror_io *io)
{
	m->open.maps.writing = false;
	if (io->result < 0)
		mirror_engine_fail(m, MIRROR_IO_LOG, io->result,
				   "writing the tracking map");
	else if (io->purpose == IO_MAP_FLUSH)
		m->open.maps.durable = m->open.maps.covers;
}

/* ---- headers of records that are in the log only ------------------------- */

/* Read the descriptor that holds `sequence`, for `user`. False: the log no longer has it.
 * One read at a time; the caller waits while headers.reading. */
bool mirror_headers_read(struct mirror_engine *m, uint64_t sequence,
			 enum headers_user user)
{
	struct mirror_ring_entry entry;

	assert(!m->open.headers.reading);
	if (mirror_ring_find(m->open.ring, sequence, &entry) != 0)
		return false;
	m->open.headers.user = user;
	m->open.headers.sequence = sequence;
	m->open.headers.position = entry.position;
	m->open.headers.reading = true;
	m->open.headers.iov = (struct iovec){ m->memory.headers_block,
					      MIRROR_BLOCK_BYTES };
	mirror_engine_transfer(m, &m->open.headers.io, MIRROR_IO_READ, MIRROR_IO_LOG,
			       mirror_ring_device_offset(m->open.ring, entry.position),
			       &m->open.headers.iov, IO_HEADERS, NULL);
	return true;
}

/* Is this descriptor, read back at `position` of the log, the one that holds `sequence`? A
 * write that the device has lost leaves an older one there, and that is as whole. Records that
 * a cut has dropped since do not count in `d` any more; all do of one that was freed since. */
bool mirror_headers_stand(const struct mirror_engine *m, uint64_t sequence,
			  uint64_t position, struct mirror_descriptor *d)
{
	struct mirror_ring_entry entry;

	if (d->position != position)
		return false;
	if (mirror_ring_find(m->open.ring, sequence, &entry) != 0 ||
	    entry.position != position)
		return true;
	if (entry.epoch != d->epoch || entry.first_sequence != d->first_sequence ||
	    entry.count > d->count)
		return false;
	d->count = entry.count;
	return true;
}

void mirror_headers_io(struct mirror_engine *m, struct mirror_io *io)
{
	struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct mirror_descriptor d;

	m->open.headers.reading = false;
	if (io->result < 0) {
		mirror_engine_fail(m, MIRROR_IO_LOG, io->result, "reading a descriptor");
		return;
	}
	if (mirror_descriptor_decode(m->memory.headers_block, &m->open.sb.log,
				     &m->open.sb.disks, &d, headers) != 0 ||
	    !mirror_headers_stand(m, m->open.headers.sequence, m->open.headers.position,
				  &d)) {
		if (m->open.headers.user == HEADERS_BYPASS)
			mirror_bypass_damaged(m);
		else
			mirror_engine_damage(m, "a descriptor that was whole at the "
						"start is damaged now; use another site");
		return;
	}
	switch (m->open.headers.user) {
	case HEADERS_BYPASS:
		mirror_bypass_headers(m, headers, d.count);
		break;
	case HEADERS_CUT:
		mirror_cut_headers(m, headers, d.count);
		break;
	}
}
