/* pool_steps.c - the steps of the pool that are ready, and those that are absent: see pool.h.
 *
 * An absent step is a row of largest buffers on no list, so nobody can take one of them. A
 * step can be taken out when all its largest buffers are free.
 */
#include "mirror/engine/pool_private.h"

#define BUFFER_BLOCKS (MIRROR_POOL_BUFFER_MAX / MIRROR_POOL_BUFFER_MIN)
#define STEP_BLOCKS (MIRROR_POOL_STEP_BYTES / MIRROR_POOL_BUFFER_MIN)

static uint32_t step_end(const struct mirror_pool *pool, uint32_t block)
{
	return pool->block_count - block < STEP_BLOCKS ? pool->block_count :
							 block + STEP_BLOCKS;
}

static bool is_absent(const struct mirror_pool *pool, uint32_t block)
{
	return pool->blocks[block].use == BLOCK_ABSENT;
}

/* Is the step that begins with `block` free, in largest buffers? */
static bool is_unused(const struct mirror_pool *pool, uint32_t block)
{
	const uint32_t end = step_end(pool, block);

	for (; block < end; block += BUFFER_BLOCKS)
		if (pool->blocks[block].use != BLOCK_FREE ||
		    pool->blocks[block].order != MIRROR_POOL_ORDER_COUNT - 1)
			return false;
	return true;
}

static void take_out(struct mirror_pool *pool, uint32_t first, uint32_t end)
{
	for (uint32_t block = first; block < end; block += BUFFER_BLOCKS) {
		mirror_pool_list_remove(pool, block);
		pool->blocks[block].use = BLOCK_ABSENT;
	}
	pool->free_count -= end - first;
	pool->ready_count -= end - first;
}

void mirror_pool_set_floor(struct mirror_pool *pool, uint64_t bytes)
{
	const uint64_t steps = (bytes + MIRROR_POOL_STEP_BYTES - 1) /
			       MIRROR_POOL_STEP_BYTES;

	assert(pool->free_count == pool->block_count);
	if (steps * STEP_BLOCKS >= pool->block_count)
		return;
	pool->floor_count = (uint32_t)steps * STEP_BLOCKS;
	mirror_pool_reset(pool);
	take_out(pool, pool->floor_count, pool->block_count);
}

/* The run of steps from `block` for which `is` holds, up to `end_max`. */
static uint32_t run_end(const struct mirror_pool *pool, uint32_t block, uint64_t end_max,
			bool (*is)(const struct mirror_pool *pool, uint32_t block))
{
	while (block < pool->block_count && step_end(pool, block) <= end_max &&
	       is(pool, block))
		block = step_end(pool, block);
	return block;
}

/* The first such run beyond the floor; its end, or its begin when there is none. */
static uint32_t find_run(const struct mirror_pool *pool, uint64_t blocks_max,
			 bool (*is)(const struct mirror_pool *pool, uint32_t block),
			 uint32_t *first)
{
	for (*first = pool->floor_count; *first < pool->block_count;
	     *first = step_end(pool, *first))
		if (is(pool, *first))
			return run_end(pool, *first, *first + blocks_max, is);
	return *first;
}

uint64_t mirror_pool_absent(const struct mirror_pool *pool, uint64_t bytes_max,
			    uint8_t **at)
{
	uint32_t first;
	const uint32_t end = find_run(pool, bytes_max / MIRROR_POOL_BUFFER_MIN, is_absent,
				      &first);

	*at = pool->region + (uint64_t)first * MIRROR_POOL_BUFFER_MIN;
	return (uint64_t)(end - first) * MIRROR_POOL_BUFFER_MIN;
}

void mirror_pool_add(struct mirror_pool *pool, uint8_t *at, uint64_t bytes)
{
	const uint32_t first = (uint32_t)((uint64_t)(at - pool->region) /
					  MIRROR_POOL_BUFFER_MIN);
	const uint32_t count = (uint32_t)(bytes / MIRROR_POOL_BUFFER_MIN);

	for (uint32_t block = first + count; block > first; block -= BUFFER_BLOCKS) {
		assert(is_absent(pool, block - BUFFER_BLOCKS));
		mirror_pool_list_add(pool, block - BUFFER_BLOCKS,
				     MIRROR_POOL_ORDER_COUNT - 1);
	}
	pool->free_count += count;
	pool->ready_count += count;
}

uint64_t mirror_pool_take_out(struct mirror_pool *pool, uint8_t **at)
{
	uint32_t first;
	const uint32_t end = find_run(pool, pool->block_count, is_unused, &first);

	*at = pool->region + (uint64_t)first * MIRROR_POOL_BUFFER_MIN;
	take_out(pool, first, end);
	return (uint64_t)(end - first) * MIRROR_POOL_BUFFER_MIN;
}

uint64_t mirror_pool_bytes_ready(const struct mirror_pool *pool)
{
	return (uint64_t)pool->ready_count * MIRROR_POOL_BUFFER_MIN;
}

uint64_t mirror_pool_bytes_floor(const struct mirror_pool *pool)
{
	return (uint64_t)pool->floor_count * MIRROR_POOL_BUFFER_MIN;
}
