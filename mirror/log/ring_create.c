/* ring_create.c - the memory of a ring; see ring.h. */
#include "mirror/log/ring_private.h"

#include <assert.h>
#include <stdlib.h>

#include "mirror/log/record.h"

struct mirror_ring *mirror_ring_create(uint64_t ring_start_bytes, uint64_t ring_bytes)
{
	uint64_t count = ring_bytes / MIRROR_BLOCK_BYTES;
	struct mirror_ring *ring;

	assert(ring_bytes > 0 && ring_bytes % MIRROR_BLOCK_BYTES == 0);

	if (count > MIRROR_RING_ENTRY_COUNT_MAX)
		count = MIRROR_RING_ENTRY_COUNT_MAX;
	ring = calloc(1, sizeof *ring + count * sizeof ring->entry[0]);
	if (ring == NULL)
		return NULL;
	ring->start_bytes = ring_start_bytes;
	ring->bytes = ring_bytes;
	ring->entry_count_max = (uint32_t)count;
	mirror_ring_reset(ring, 0, 1, 1);
	return ring;
}

void mirror_ring_destroy(struct mirror_ring *ring)
{
	free(ring);
}
