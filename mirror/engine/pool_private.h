/* pool_private.h - what pool.c and pool_create.c share. */
#ifndef MIRROR_ENGINE_POOL_PRIVATE_H
#define MIRROR_ENGINE_POOL_PRIVATE_H

#include "mirror/engine/pool.h"

#define MIRROR_POOL_ORDER_COUNT 6u     /* 4 KiB << 5 is 128 KiB */

_Static_assert(MIRROR_POOL_BUFFER_MIN << (MIRROR_POOL_ORDER_COUNT - 1) ==
		       MIRROR_POOL_BUFFER_MAX,
	       "orders span the smallest to the largest buffer");

enum block_use {
	BLOCK_INSIDE,                  /* not the first of its buffer */
	BLOCK_FREE,                    /* first of a free one, on a list */
	BLOCK_TAKEN,
};

/* The side table: facts about blocks that the region itself does not tell. */
struct block {
	enum block_use use : 8;
	uint8_t order;                 /* of FREE and TAKEN */
	uint32_t previous, next;       /* of FREE: in the list of its order */
};

struct mirror_pool {
	uint8_t *region;
	uint32_t block_count;
	uint32_t free_count;           /* blocks in free buffers */
	uint32_t first_free[MIRROR_POOL_ORDER_COUNT];
	struct block *blocks;
};

/* Make all of it free, in the largest buffers. */
void mirror_pool_reset(struct mirror_pool *pool);

#endif
