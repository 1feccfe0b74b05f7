/* ring.c - see ring.h. The index is a circular array, oldest first; first_sequence
 * never decreases along it, so a sequence is found by bisection. */
#include "mirror/log/ring_private.h"

#include <assert.h>
#include <errno.h>

#include "mirror/log/record.h"

static uint64_t blocks_of(uint64_t bytes)
{
	return bytes / MIRROR_BLOCK_BYTES;
}

static struct mirror_ring_entry *entry_at(struct mirror_ring *ring, uint32_t i)
{
	assert(i < ring->entry_count_max);
	return &ring->entry[(ring->entry_first + i) % ring->entry_count_max];
}

static const struct mirror_ring_entry *entry_of(const struct mirror_ring *ring,
						uint32_t i)
{
	return &ring->entry[(ring->entry_first + i) % ring->entry_count_max];
}

/* Where entry i ends: where the next one begins. */
static uint64_t entry_end(const struct mirror_ring *ring, uint32_t i)
{
	return i + 1 < ring->entry_count ? entry_of(ring, i + 1)->position : ring->head;
}

void mirror_ring_reset(struct mirror_ring *ring, uint64_t position,
		       uint64_t next_sequence, uint64_t epoch)
{
	assert(position % MIRROR_BLOCK_BYTES == 0 && next_sequence > 0);

	ring->released = ring->tail = ring->head = ring->previous = position;
	ring->next_sequence = next_sequence;
	ring->entry_first = ring->entry_count = 0;
	ring->epoch = 0;
	mirror_ring_set_epoch(ring, epoch);
	mirror_ring_check(ring);
}

void mirror_ring_set_epoch(struct mirror_ring *ring, uint64_t epoch)
{
	assert(epoch >= ring->epoch && epoch <= UINT32_MAX);
	ring->epoch = epoch;
}

/* ---- room ---------------------------------------------------------------- */

static uint64_t free_bytes(const struct mirror_ring *ring)
{
	return ring->bytes - (ring->head - ring->released);
}

static uint64_t lap_rest_bytes(const struct mirror_ring *ring)
{
	return ring->bytes - ring->head % ring->bytes;
}

int mirror_ring_reserve(const struct mirror_ring *ring, uint64_t bytes,
			uint64_t *pad_bytes, uint64_t *position)
{
	uint64_t pad = 0, entries;

	assert(bytes > 0 && bytes % MIRROR_BLOCK_BYTES == 0);

	if (bytes > ring->bytes)
		return -EMSGSIZE;
	if (bytes > lap_rest_bytes(ring))
		pad = lap_rest_bytes(ring);
	/* A batch may be as many descriptors as it has blocks. */
	entries = blocks_of(bytes) + (pad > 0);
	if (pad + bytes > free_bytes(ring) ||
	    entries > ring->entry_count_max - ring->entry_count)
		return -ENOSPC;
	*pad_bytes = pad;
	*position = ring->head + pad;
	return 0;
}

uint64_t mirror_ring_room_bytes(const struct mirror_ring *ring)
{
	const uint64_t room = free_bytes(ring), rest = lap_rest_bytes(ring);
	const uint64_t entries = ring->entry_count_max - ring->entry_count;
	uint64_t here = room < rest ? room : rest;
	uint64_t next_lap = room > rest ? room - rest : 0;

	if (blocks_of(here) > entries)
		here = entries * MIRROR_BLOCK_BYTES;
	if (entries == 0)
		next_lap = 0;
	else if (blocks_of(next_lap) > entries - 1)
		next_lap = (entries - 1) * MIRROR_BLOCK_BYTES;
	return here > next_lap ? here : next_lap;
}

int mirror_ring_append_entry(struct mirror_ring *ring, uint64_t epoch,
			     uint64_t first_sequence, uint32_t count, uint64_t position,
			     uint64_t bytes)
{
	assert(position == ring->head && first_sequence >= ring->next_sequence);
	assert(bytes > 0 && bytes % MIRROR_BLOCK_BYTES == 0 && count <= UINT16_MAX);
	assert(bytes <= lap_rest_bytes(ring) && bytes <= free_bytes(ring));

	if (ring->entry_count == ring->entry_count_max)
		return -ENOSPC;
	if (epoch > ring->epoch)
		mirror_ring_set_epoch(ring, epoch);
	*entry_at(ring, ring->entry_count) = (struct mirror_ring_entry){
		.position = position,
		.first_sequence = first_sequence,
		.epoch = (uint32_t)epoch,
		.block_count = blocks_of(bytes) < UINT16_MAX ?
				       (uint16_t)blocks_of(bytes) :
				       UINT16_MAX,
		.count = (uint16_t)count,
	};
	ring->entry_count++;
	ring->previous = position;
	ring->head += bytes;
	ring->next_sequence = first_sequence + count;
	return 0;
}

uint64_t mirror_ring_free_to(struct mirror_ring *ring, uint64_t sequence)
{
	const uint64_t before = ring->tail;

	while (ring->entry_count > 0) {
		const struct mirror_ring_entry *e = entry_of(ring, 0);

		if (e->first_sequence + e->count - 1 > sequence)
			break;
		ring->tail = entry_end(ring, 0);
		ring->entry_first = (ring->entry_first + 1) % ring->entry_count_max;
		ring->entry_count--;
	}
	return ring->tail - before;
}

void mirror_ring_tail(const struct mirror_ring *ring, uint64_t *position,
		      uint64_t *sequence, uint64_t *epoch)
{
	*position = ring->tail;
	*sequence = mirror_ring_oldest_sequence(ring);
	*epoch = ring->entry_count > 0 ? entry_of(ring, 0)->epoch : ring->epoch;
}

void mirror_ring_release(struct mirror_ring *ring, uint64_t tail_position)
{
	assert(tail_position >= ring->released && tail_position <= ring->tail);
	ring->released = tail_position;
}

/* ---- seeking ------------------------------------------------------------- */

/* The last entry that begins at or before `sequence`; entry_count when none does. */
static uint32_t entry_before(const struct mirror_ring *ring, uint64_t sequence)
{
	uint32_t low = 0, high = ring->entry_count;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (entry_of(ring, middle)->first_sequence <= sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? low - 1 : ring->entry_count;
}

int mirror_ring_find(const struct mirror_ring *ring, uint64_t sequence,
		     struct mirror_ring_entry *entry)
{
	const uint32_t i = entry_before(ring, sequence);

	if (i == ring->entry_count ||
	    sequence - entry_of(ring, i)->first_sequence >= entry_of(ring, i)->count)
		return -ENOENT;
	*entry = *entry_of(ring, i);
	return 0;
}

int mirror_ring_next(const struct mirror_ring *ring, struct mirror_ring_entry *entry)
{
	uint32_t low = 0, high = ring->entry_count;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (entry_of(ring, middle)->position <= entry->position)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == ring->entry_count)
		return -ENOENT;
	*entry = *entry_of(ring, low);
	return 0;
}

uint64_t mirror_ring_oldest_sequence(const struct mirror_ring *ring)
{
	return ring->entry_count > 0 ? entry_of(ring, 0)->first_sequence :
				       ring->next_sequence;
}

uint64_t mirror_ring_next_sequence(const struct mirror_ring *ring)
{
	return ring->next_sequence;
}

/* ---- cuts and leaps ------------------------------------------------------ */

uint64_t mirror_ring_truncate_after(struct mirror_ring *ring, uint64_t sequence)
{
	if (sequence + 1 >= ring->next_sequence)
		return ring->head;
	while (ring->entry_count > 0) {
		struct mirror_ring_entry *e = entry_at(ring, ring->entry_count - 1);

		if (e->first_sequence <= sequence) {
			const uint64_t kept = sequence - e->first_sequence + 1;

			if (kept < e->count)
				e->count = (uint16_t)kept;
			break;
		}
		ring->head = e->position;
		ring->entry_count--;
	}
	ring->previous = ring->entry_count > 0 ?
				 entry_of(ring, ring->entry_count - 1)->position :
				 ring->head;
	ring->next_sequence = sequence + 1;
	mirror_ring_check(ring);
	return ring->head;
}

void mirror_ring_leap(struct mirror_ring *ring, uint64_t next_sequence)
{
	assert(next_sequence >= ring->next_sequence);
	ring->next_sequence = next_sequence;
}

/* ---- state --------------------------------------------------------------- */

uint64_t mirror_ring_head_position(const struct mirror_ring *ring)
{
	return ring->head;
}

uint64_t mirror_ring_previous_position(const struct mirror_ring *ring)
{
	return ring->previous;
}

uint64_t mirror_ring_device_offset(const struct mirror_ring *ring, uint64_t position)
{
	return ring->start_bytes + position % ring->bytes;
}

uint64_t mirror_ring_bytes(const struct mirror_ring *ring)
{
	return ring->bytes;
}

uint64_t mirror_ring_used_bytes(const struct mirror_ring *ring)
{
	return ring->head - ring->released;
}

uint32_t mirror_ring_used_percent(const struct mirror_ring *ring)
{
	const uint64_t blocks = blocks_of(ring->bytes);
	const uint64_t used = blocks_of(mirror_ring_used_bytes(ring));
	const uint64_t by_bytes = (used * 100 + blocks - 1) / blocks;
	const uint64_t by_entries = ((uint64_t)ring->entry_count * 100 +
				     ring->entry_count_max - 1) /
				    ring->entry_count_max;

	return (uint32_t)(by_bytes > by_entries ? by_bytes : by_entries);
}

void mirror_ring_check(const struct mirror_ring *ring)
{
	assert(ring->released <= ring->tail && ring->tail <= ring->head);
	assert(ring->head - ring->released <= ring->bytes);
	assert(ring->entry_count <= ring->entry_count_max);
	assert((ring->tail == ring->head) == (ring->entry_count == 0));
	assert(ring->next_sequence > 0 && ring->previous <= ring->head);
	if (ring->entry_count > 0) {
		const struct mirror_ring_entry *newest = entry_of(ring,
								  ring->entry_count - 1);

		assert(entry_of(ring, 0)->position == ring->tail);
		assert(newest->position < ring->head);
		assert(newest->first_sequence + newest->count <= ring->next_sequence);
	}
}
