/* ring.h - the log's circular area: the place of the next batch, freed room, and the place
 * of a sequence.
 *
 * Pure logic; all memory is taken in mirror_ring_create().
 *
 * Positions are 64 bits and never wrap; on the device a position stands at
 * ring_start + position % ring_bytes. Always
 *
 *     released <= tail <= head <= released + ring_bytes
 *
 * tail: oldest descriptor still needed. released: the tail as the last durable
 * superblock has it. The descriptors between them are not needed any more but not yet
 * free to be overwritten: a scan begins at the superblock's hint, and must find there
 * the descriptor that the superblock names (P4-14, P4-21). So to get room:
 * mirror_ring_free_to(), write and flush a superblock with mirror_ring_tail(),
 * mirror_ring_release().
 *
 * Source: docs/rules.md (W1-W6); docs/sources.md (P4-14, P4-21).
 */
#ifndef MIRROR_LOG_RING_H
#define MIRROR_LOG_RING_H

#include <stdbool.h>
#include <stdint.h>

#define MIRROR_RING_ENTRY_COUNT_MAX (1u << 20)

/* One descriptor in the ring. */
struct mirror_ring_entry {
	uint64_t position;
	uint64_t first_sequence;   /* MARK, PAD: the next sequence */
	uint32_t epoch;
	uint16_t block_count;      /* of 4096 bytes, descriptor included; a PAD's may
				      be more: then UINT16_MAX */
	uint16_t count;            /* records; MARK, PAD: 0 */
};

struct mirror_ring;

/* Make the index for a ring: one entry per possible descriptor, at most
 * MIRROR_RING_ENTRY_COUNT_MAX (24 bytes each). NULL when memory is short. */
struct mirror_ring *mirror_ring_create(uint64_t ring_start_bytes, uint64_t ring_bytes);
void mirror_ring_destroy(struct mirror_ring *ring);

/* Empty the ring: tail and head at `position`, the next record is next_sequence, and
 * descriptors written from now on carry `epoch`. After a scan: reset to where the scan
 * began (mirror_scan_result), then append the descriptors that it found. */
void mirror_ring_reset(struct mirror_ring *ring, uint64_t position,
		       uint64_t next_sequence, uint64_t epoch);

/* The log's epoch has grown (open, hold). */
void mirror_ring_set_epoch(struct mirror_ring *ring, uint64_t epoch);

/* Where a batch of `bytes` (multiple of 4096) would go. *position: of its first
 * descriptor; *pad_bytes: 0, or the rest of this lap, to be skipped by a PAD
 * descriptor at the head first (its total_bytes; only its block is written). Changes
 * nothing; append a batch once it is written. Returns 0, -ENOSPC: no room (or no free index
 * entry) until something is freed and released, or -EMSGSIZE: never fits. */
int mirror_ring_reserve(const struct mirror_ring *ring, uint64_t bytes,
			uint64_t *pad_bytes, uint64_t *position);

/* Room for one batch now, in bytes: the largest that mirror_ring_reserve() grants. */
uint64_t mirror_ring_room_bytes(const struct mirror_ring *ring);

/* A descriptor of `bytes` in all (PAD: its skip) goes to `position`, which must be the
 * head (asserted); count is 0 for MARK and PAD. The head moves on. Sequences may leap
 * ahead (a refresh), never back. Returns 0 or -ENOSPC: the index is full. */
int mirror_ring_append_entry(struct mirror_ring *ring, uint64_t epoch,
			     uint64_t first_sequence, uint32_t count, uint64_t position,
			     uint64_t bytes);

/* Drop whole descriptors from the tail whose records are all <= sequence. Returns the
 * bytes by which the tail moved. */
uint64_t mirror_ring_free_to(struct mirror_ring *ring, uint64_t sequence);

/* The tail hint for a superblock, for mirror_superblock_set_tail(). */
void mirror_ring_tail(const struct mirror_ring *ring, uint64_t *position,
		      uint64_t *sequence, uint64_t *epoch);

/* A superblock with this tail position is durable: room up to it is free. */
void mirror_ring_release(struct mirror_ring *ring, uint64_t tail_position);

/* The descriptor that holds `sequence`. Returns 0 or -ENOENT: freed or not there. */
int mirror_ring_find(const struct mirror_ring *ring, uint64_t sequence,
		     struct mirror_ring_entry *entry);

/* The descriptor after the one at entry->position; -ENOENT at the head. */
int mirror_ring_next(const struct mirror_ring *ring, struct mirror_ring_entry *entry);

/* Oldest sequence held; the next sequence when none is. */
uint64_t mirror_ring_oldest_sequence(const struct mirror_ring *ring);
uint64_t mirror_ring_next_sequence(const struct mirror_ring *ring);

/* Forget every record above `sequence`. The head steps back to the end of the last
 * descriptor kept (one that is cut within stays whole on the device). Returns the new
 * head: the position for mirror_superblock_restart(). Until that is durable and
 * mirror_ring_set_epoch() is called, nothing may be appended. */
uint64_t mirror_ring_truncate_after(struct mirror_ring *ring, uint64_t sequence);

/* The log goes on with `next_sequence` (a leap, never back). */
void mirror_ring_leap(struct mirror_ring *ring, uint64_t next_sequence);

uint64_t mirror_ring_head_position(const struct mirror_ring *ring);

/* The next descriptor's previous_position. */
uint64_t mirror_ring_previous_position(const struct mirror_ring *ring);

/* Byte offset on the log device. */
uint64_t mirror_ring_device_offset(const struct mirror_ring *ring, uint64_t position);

uint64_t mirror_ring_bytes(const struct mirror_ring *ring);
uint64_t mirror_ring_used_bytes(const struct mirror_ring *ring);    /* head - released */

/* Of the room, or of the index when that is fuller; rounded up. */
uint32_t mirror_ring_used_percent(const struct mirror_ring *ring);

/* Abort if an invariant is broken. */
void mirror_ring_check(const struct mirror_ring *ring);

#endif
