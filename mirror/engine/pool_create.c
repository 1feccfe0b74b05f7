/* pool_create.c - make and unmake the pool: see pool.h. */
#include <stdlib.h>

#include "mirror/engine/pool_private.h"

struct mirror_pool *mirror_pool_create(uint64_t bytes)
{
	struct mirror_pool *pool = calloc(1, sizeof *pool);

	assert(bytes > 0 && bytes % MIRROR_POOL_BUFFER_MAX == 0);
	assert(bytes / MIRROR_POOL_BUFFER_MIN < UINT32_MAX);

	if (pool == NULL)
		return NULL;
	pool->block_count = (uint32_t)(bytes / MIRROR_POOL_BUFFER_MIN);
	pool->region = aligned_alloc(MIRROR_POOL_BUFFER_MIN, bytes);
	pool->blocks = calloc(pool->block_count, sizeof *pool->blocks);
	if (pool->region == NULL || pool->blocks == NULL) {
		mirror_pool_destroy(pool);
		return NULL;
	}
	mirror_pool_reset(pool);
	return pool;
}

void mirror_pool_destroy(struct mirror_pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->blocks);
	free(pool->region);
	free(pool);
}
