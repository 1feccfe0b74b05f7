/* pool.h - the one bounded pool of data buffers (G7).
 *
 * A buddy allocator over one region: buffers of 4 KiB to 128 KiB, powers of
 * two, each aligned to its size within the region. Constant time, no
 * allocation after create. The content of a buffer that is taken is undefined.
 *
 * Source: K. Knowlton, "A Fast Storage Allocator" (1965);
 * docs/rules.md ("Limits").
 */
#ifndef MIRROR_ENGINE_POOL_H
#define MIRROR_ENGINE_POOL_H

#include <stdint.h>

#include "mirror/log/record.h"

#define MIRROR_POOL_BUFFER_MIN MIRROR_BLOCK_BYTES
#define MIRROR_POOL_BUFFER_MAX MIRROR_RECORD_DATA_MAX

struct mirror_pool;

/* Make a pool of `bytes`, a multiple of MIRROR_POOL_BUFFER_MAX and not 0. The
 * region is aligned to 4096. Returns NULL when memory is short. */
struct mirror_pool *mirror_pool_create(uint64_t bytes);

/* Buffers that were not put back are gone with it. */
void mirror_pool_destroy(struct mirror_pool *pool);

/* A buffer of at least `bytes`, 1 to MIRROR_POOL_BUFFER_MAX, aligned to 4096,
 * or NULL when none is free. The caller owns it until it puts it back. */
uint8_t *mirror_pool_get(struct mirror_pool *pool, uint32_t bytes);
void mirror_pool_put(struct mirror_pool *pool, uint8_t *buffer);

/* The size that a buffer was taken with, rounded up: how much it really holds. */
uint32_t mirror_pool_buffer_bytes(const struct mirror_pool *pool, const uint8_t *buffer);

uint64_t mirror_pool_bytes_free(const struct mirror_pool *pool);
uint64_t mirror_pool_bytes_total(const struct mirror_pool *pool);

/* The region: for a driver that locks it or registers it with the kernel. */
uint8_t *mirror_pool_region(const struct mirror_pool *pool);

/* Abort if an invariant is broken. Walks everything: for sim and tests. */
void mirror_pool_check(const struct mirror_pool *pool);

#endif
