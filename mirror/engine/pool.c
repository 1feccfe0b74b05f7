/* pool.c - see pool.h.
 *
 * The region is a row of blocks of 4 KiB. A buffer of order k is 2^k blocks and
 * begins at a multiple of 2^k; its buddy is the other half of the buffer of
 * order k+1 that both make. Two buddies that are both free are joined at once,
 * so free memory is always in the largest buffers that it can make.
 */
#include "mirror/engine/pool_private.h"

#define ORDER_COUNT MIRROR_POOL_ORDER_COUNT
#define NONE UINT32_MAX

/* Put `block` first in its order's list: the buffer used last is used next. */
static void list_add(struct mirror_pool *pool, uint32_t block, uint32_t order)
{
	const uint32_t next = pool->first_free[order];

	pool->blocks[block] = (struct block){
		.use = BLOCK_FREE,
		.order = (uint8_t)order,
		.previous = NONE,
		.next = next,
	};
	if (next != NONE)
		pool->blocks[next].previous = block;
	pool->first_free[order] = block;
}

static void list_remove(struct mirror_pool *pool, uint32_t block)
{
	struct block *b = &pool->blocks[block];

	assert(b->use == BLOCK_FREE);
	if (b->previous != NONE)
		pool->blocks[b->previous].next = b->next;
	else
		pool->first_free[b->order] = b->next;
	if (b->next != NONE)
		pool->blocks[b->next].previous = b->previous;
	b->use = BLOCK_INSIDE;
}

/* True when a free buffer of exactly this order begins at `block`. */
static bool is_free(const struct mirror_pool *pool, uint32_t block, uint32_t order)
{
	return pool->blocks[block].use == BLOCK_FREE &&
	       pool->blocks[block].order == order;
}

void mirror_pool_reset(struct mirror_pool *pool)
{
	const uint32_t largest = 1u << (ORDER_COUNT - 1);

	for (uint32_t order = 0; order < ORDER_COUNT; order++)
		pool->first_free[order] = NONE;
	for (uint32_t block = pool->block_count; block > 0; block -= largest)
		list_add(pool, block - largest, ORDER_COUNT - 1);
	pool->free_count = pool->block_count;
}

static uint32_t order_of(uint32_t bytes)
{
	uint32_t order = 0;

	while (MIRROR_POOL_BUFFER_MIN << order < bytes)
		order++;
	return order;
}

uint8_t *mirror_pool_get(struct mirror_pool *pool, uint32_t bytes)
{
	const uint32_t order = order_of(bytes);
	uint32_t found = order, block;

	assert(bytes > 0 && bytes <= MIRROR_POOL_BUFFER_MAX);

	while (found < ORDER_COUNT && pool->first_free[found] == NONE)
		found++;
	if (found == ORDER_COUNT)
		return NULL;
	block = pool->first_free[found];
	list_remove(pool, block);
	while (found > order) {            /* give the upper half back */
		found--;
		list_add(pool, block + (1u << found), found);
	}
	pool->blocks[block].use = BLOCK_TAKEN;
	pool->blocks[block].order = (uint8_t)order;
	pool->free_count -= 1u << order;
	return pool->region + (uint64_t)block * MIRROR_POOL_BUFFER_MIN;
}

/* The block that a buffer begins with; aborts if nothing was taken there. */
static uint32_t block_of(const struct mirror_pool *pool, const uint8_t *buffer)
{
	const uint64_t offset = (uint64_t)(buffer - pool->region);
	const uint64_t block = offset / MIRROR_POOL_BUFFER_MIN;

	assert(buffer >= pool->region && block < pool->block_count);
	assert(offset % MIRROR_POOL_BUFFER_MIN == 0);
	assert(pool->blocks[block].use == BLOCK_TAKEN);
	return (uint32_t)block;
}

void mirror_pool_put(struct mirror_pool *pool, uint8_t *buffer)
{
	uint32_t block = block_of(pool, buffer);
	uint32_t order = pool->blocks[block].order;

	pool->blocks[block].use = BLOCK_INSIDE;
	pool->free_count += 1u << order;
	while (order < ORDER_COUNT - 1) {
		const uint32_t buddy = block ^ 1u << order;

		if (!is_free(pool, buddy, order))
			break;
		list_remove(pool, buddy);
		block &= ~(1u << order);
		order++;
	}
	list_add(pool, block, order);
}

uint32_t mirror_pool_buffer_bytes(const struct mirror_pool *pool, const uint8_t *buffer)
{
	return MIRROR_POOL_BUFFER_MIN << pool->blocks[block_of(pool, buffer)].order;
}

uint64_t mirror_pool_bytes_free(const struct mirror_pool *pool)
{
	return (uint64_t)pool->free_count * MIRROR_POOL_BUFFER_MIN;
}

uint64_t mirror_pool_bytes_total(const struct mirror_pool *pool)
{
	return (uint64_t)pool->block_count * MIRROR_POOL_BUFFER_MIN;
}

uint8_t *mirror_pool_region(const struct mirror_pool *pool)
{
	return pool->region;
}

/* Blocks on the list of `order`. */
static uint32_t check_list(const struct mirror_pool *pool, uint32_t order)
{
	uint32_t previous = NONE, count = 0;

	for (uint32_t block = pool->first_free[order]; block != NONE;
	     block = pool->blocks[block].next) {
		assert(pool->blocks[block].use == BLOCK_FREE);
		assert(pool->blocks[block].order == order);
		assert(pool->blocks[block].previous == previous);
		previous = block;
		count += 1u << order;
	}
	return count;
}

void mirror_pool_check(const struct mirror_pool *pool)
{
	uint32_t listed = 0, free_count = 0, block = 0;

	for (uint32_t order = 0; order < ORDER_COUNT; order++)
		listed += check_list(pool, order);
	while (block < pool->block_count) {    /* buffer by buffer, without a gap */
		const struct block *b = &pool->blocks[block];
		const uint32_t length = 1u << b->order;

		assert(b->use != BLOCK_INSIDE && block % length == 0);
		for (uint32_t i = 1; i < length; i++)
			assert(pool->blocks[block + i].use == BLOCK_INSIDE);
		if (b->use == BLOCK_FREE) {
			free_count += length;
			assert(b->order == ORDER_COUNT - 1 ||
			       !is_free(pool, block ^ length, b->order));
		}
		block += length;
	}
	assert(block == pool->block_count);
	assert(free_count == listed && free_count == pool->free_count);
}
