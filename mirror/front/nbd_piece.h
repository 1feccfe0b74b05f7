/* nbd_piece.h - cut one NBD command into pieces that the engine takes.
 *
 * A command has any offset and length; a request of the engine has whole sectors and
 * at most one buffer of data (io.h). Reads are widened to whole sectors. Writes that
 * cover a sector in part become partial pieces: the rest of the sector must be read
 * first (front/nbd_queue.h keeps others away meanwhile). Partial pieces are short, so that
 * reading them back takes one small buffer. A trim is a hint and shrinks to the whole
 * sectors inside; a zeroing is not, so its ragged edges are written.
 *
 * Pure logic.
 */
#ifndef MIRROR_FRONT_NBD_PIECE_H
#define MIRROR_FRONT_NBD_PIECE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"
#include "mirror/log/record.h"

#define MIRROR_NBD_PARTIAL_MAX MIRROR_BLOCK_BYTES   /* longest partial piece */
#define MIRROR_NBD_ZERO_MAX (1024ull * 1024 * 1024) /* longest zeroing (io.h) */

/* The rest of a command. */
struct mirror_nbd_pieces {
	enum mirror_request_type type;
	uint64_t at_bytes, end_bytes; /* client's bytes not yet in a piece */
};

struct mirror_nbd_piece {
	enum mirror_request_type type;       /* an edge of a zeroing is a write */
	uint64_t offset_bytes, length_bytes; /* whole sectors; 0: a flush */
	uint64_t from_bytes, to_bytes;       /* the client asked for this part of it */
	bool partial;                        /* a write with less than that */
	bool zero;                           /* a partial write of zeroes */
};

/* Start to cut. `type` of a trim is ZERO too, with `shrink`. */
void mirror_nbd_pieces_init(struct mirror_nbd_pieces *p, enum mirror_request_type type,
			    uint64_t offset_bytes, uint64_t length_bytes, bool shrink);

static inline bool mirror_nbd_pieces_end(const struct mirror_nbd_pieces *p)
{
	return p->at_bytes == p->end_bytes;
}

/* Cut the next piece, with at most `room_bytes` of data: at least
 * MIRROR_NBD_PARTIAL_MAX. Not at the end. */
void mirror_nbd_pieces_next(struct mirror_nbd_pieces *p, uint32_t room_bytes,
			    struct mirror_nbd_piece *piece);

/* How much data the next piece has at most: 0 when it has none. */
uint32_t mirror_nbd_pieces_want_bytes(const struct mirror_nbd_pieces *p);

#endif
