/* nbd_piece.c - see nbd_piece.h. */
#include "mirror/front/nbd_piece.h"

#include <assert.h>

static uint64_t sector_down(uint64_t bytes)
{
	return bytes & ~(uint64_t)(MIRROR_SECTOR_BYTES - 1);
}

static uint64_t sector_up(uint64_t bytes)
{
	return sector_down(bytes + MIRROR_SECTOR_BYTES - 1);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void mirror_nbd_pieces_init(struct mirror_nbd_pieces *p, enum mirror_request_type type,
			    uint64_t offset_bytes, uint64_t length_bytes, bool shrink)
{
	p->type = type;
	p->at_bytes = offset_bytes;
	p->end_bytes = offset_bytes + length_bytes;
	if (shrink) {
		p->at_bytes = sector_up(p->at_bytes);
		p->end_bytes = sector_down(p->end_bytes);
		if (p->end_bytes < p->at_bytes)
			p->end_bytes = p->at_bytes;
	}
}

/* How far a partial piece may reach. A zeroing has no data to send along: only the
 * ragged sector itself is written. */
static uint64_t partial_max(const struct mirror_nbd_pieces *p)
{
	return p->type == MIRROR_REQUEST_ZERO ? MIRROR_SECTOR_BYTES :
						MIRROR_NBD_PARTIAL_MAX;
}

/* It begins inside a sector, or ends inside one so soon that one piece does. */
static bool next_is_partial(const struct mirror_nbd_pieces *p)
{
	if (p->type != MIRROR_REQUEST_WRITE && p->type != MIRROR_REQUEST_ZERO)
		return false;
	return p->at_bytes != sector_down(p->at_bytes) ||
	       (p->end_bytes != sector_down(p->end_bytes) &&
		p->end_bytes - p->at_bytes < partial_max(p));
}

uint32_t mirror_nbd_pieces_want_bytes(const struct mirror_nbd_pieces *p)
{
	if (next_is_partial(p))
		return MIRROR_NBD_PARTIAL_MAX;
	if (p->type == MIRROR_REQUEST_ZERO || p->type == MIRROR_REQUEST_FLUSH)
		return 0;
	return (uint32_t)least(sector_up(p->end_bytes) - sector_down(p->at_bytes),
			       MIRROR_RECORD_DATA_MAX);
}

void mirror_nbd_pieces_next(struct mirror_nbd_pieces *p, uint32_t room_bytes,
			    struct mirror_nbd_piece *piece)
{
	const uint64_t start = sector_down(p->at_bytes);
	uint64_t end = sector_up(p->end_bytes);

	assert(!mirror_nbd_pieces_end(p));
	assert(p->type == MIRROR_REQUEST_ZERO || room_bytes >= MIRROR_NBD_PARTIAL_MAX);

	piece->partial = next_is_partial(p);
	piece->zero = piece->partial && p->type == MIRROR_REQUEST_ZERO;
	piece->type = piece->partial ? MIRROR_REQUEST_WRITE : p->type;
	if (piece->partial)
		end = least(end, start + partial_max(p));
	else if (p->type == MIRROR_REQUEST_READ)
		end = least(end, start + sector_down(room_bytes));
	else if (p->type == MIRROR_REQUEST_WRITE)
		end = least(sector_down(p->end_bytes), start + sector_down(room_bytes));
	else
		end = least(sector_down(p->end_bytes), start + MIRROR_NBD_ZERO_MAX);
	piece->offset_bytes = start;
	piece->length_bytes = end - start;
	piece->from_bytes = p->at_bytes;
	piece->to_bytes = least(end, p->end_bytes);
	p->at_bytes = piece->to_bytes;
	assert(piece->to_bytes > piece->from_bytes);
}
