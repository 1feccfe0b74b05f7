/* nbd_places.c - see nbd_places.h. */
#include "mirror/front/nbd_places.h"

/* The part of the pool that reserves may take. */
#define POOL_PARTS 4u

uint32_t mirror_nbd_own_count(const struct config *config)
{
	if (config->attach == CONFIG_ATTACH_NONE)
		return 0;
	return config->site[0].disk_count * MIRROR_NBD_OWN_PER_DISK;
}

static uint64_t room(uint64_t pool_bytes, uint32_t piece_bytes)
{
	return pool_bytes / POOL_PARTS / MIRROR_NBD_RESERVE_BYTES(piece_bytes);
}

void mirror_nbd_places_divide(uint64_t pool_bytes, uint32_t own_count,
			      struct mirror_nbd_places *places)
{
	const uint64_t wish = (uint64_t)own_count + MIRROR_NBD_CLIENTS_MAX;
	uint32_t piece_bytes = MIRROR_NBD_RESERVE_PIECE_MAX;
	uint64_t count;

	while (piece_bytes > MIRROR_NBD_RESERVE_PIECE_MIN &&
	       room(pool_bytes, piece_bytes) < wish)
		piece_bytes /= 2;
	count = room(pool_bytes, piece_bytes);
	*places = (struct mirror_nbd_places){ own_count, 1, piece_bytes };
	if (count < (uint64_t)own_count + MIRROR_NBD_CLIENTS_MIN) {
		if (count <= own_count)
			places->own_count = count > 0 ? (uint32_t)count - 1 : 0;
		return;
	}
	places->client_count = count < wish ? (uint32_t)count - own_count :
					      MIRROR_NBD_CLIENTS_MAX;
}

uint64_t mirror_nbd_places_pool_bytes_min(uint32_t own_count)
{
	return ((uint64_t)own_count + MIRROR_NBD_CLIENTS_MIN) * POOL_PARTS *
	       MIRROR_NBD_RESERVE_BYTES(MIRROR_NBD_RESERVE_PIECE_MIN);
}
