/* nbd_places.h - how many NBD connections the pool has room for.
 *
 * Each connection may always hold MIRROR_NBD_RESERVE_BYTES of a piece size, and all of
 * them together stay within a quarter of the pool (nbd_client.h, "Bounds"). Places are
 * of two kinds, and none of one kind is given to the other: those of our own front-end,
 * which makes devices of the disks, and those of other clients. The pieces are as long
 * as they can be with all places that are wished for; with less memory they become
 * shorter first, and only then the places of other clients fewer.
 *
 * Pure logic: the front-end and the check of a configuration compute the same.
 */
#ifndef MIRROR_FRONT_NBD_PLACES_H
#define MIRROR_FRONT_NBD_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/front/nbd_piece.h"
#include "mirror/engine/pool.h"

/* Other clients: at most, and at least beside a front-end. */
#define MIRROR_NBD_CLIENTS_MAX 256u
#define MIRROR_NBD_CLIENTS_MIN 4u

/* A disk's device: the kernel's NBD client has two connections; nbdfuse has one, after
 * one that asked for the size has gone. */
#define MIRROR_NBD_OWN_PER_DISK 2u

/* A piece that is always allowed. */
#define MIRROR_NBD_RESERVE_PIECE_MAX (32u * 1024)
#define MIRROR_NBD_RESERVE_PIECE_MIN MIRROR_POOL_BUFFER_MIN

/* A connection may always hold so much. */
#define MIRROR_NBD_RESERVE_BYTES(piece_bytes)                                            \
	(3 * (piece_bytes) + 2 * MIRROR_NBD_PARTIAL_MAX + MIRROR_BLOCK_BYTES)

struct mirror_nbd_places {
	uint32_t own_count, client_count;
	uint32_t piece_bytes;
};

/* The connections that `attach` of this configuration needs. */
uint32_t mirror_nbd_own_count(const struct config *config);

/* Divide a pool of `pool_bytes`. Without room for `own_count` and MIRROR_NBD_CLIENTS_MIN
 * others there is one place for others, and as many of our own as fit. */
void mirror_nbd_places_divide(uint64_t pool_bytes, uint32_t own_count,
			      struct mirror_nbd_places *places);

/* The smallest pool with room for both; not rounded. */
uint64_t mirror_nbd_places_pool_bytes_min(uint32_t own_count);

#endif
