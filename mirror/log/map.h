/* map.h - tracking maps: for each site, which extents of the mirror it misses. The
 * own site's map: extents whose home here is unproven.
 *
 * One bit per MIRROR_EXTENT_BYTES, over all disks in order, each disk starting with a
 * fresh bit. In memory whole; on the log device in blocks of 4 KiB, each with a header
 * {log, site, epoch, index, CRC}. A change marks its block dirty; the caller takes
 * dirty blocks, writes and flushes them; only then do their bits count (G5).
 *
 * The meaning of a block on the device, if the superblock has `epoch` for its site:
 *
 *   the block                      its extents are dirty
 *   intact, same epoch             where its bits are set
 *   intact, an older epoch         nowhere (below)
 *   intact, a later epoch          all: the superblock that knew it was lost
 *   damaged, foreign, unreadable   all
 *
 * Why an older epoch proves clean: a map is cleared as a whole, by a new epoch in the
 * superblock, and only once the site has confirmed everything in it durable. From then
 * on every bit that is set makes its block dirty, and the block is written, under the
 * new epoch, before anyone relies on the bit. So a block still under an older epoch has
 * had no bit relied on since the map was proven clean. This holds because
 * 1. the new epoch is durable in the superblock before a block is written under it
 *    (else, after a crash in between, the older bits of that block were lost while the
 *    superblock still counts on them: hence the third row);
 * 2. epochs of one site only grow, and a block's header names log, site and index;
 * 3. at create every block is written once (mirror_map_rewrite()).
 *
 * Pure logic; all memory is taken in mirror_map_create().
 *
 * Source: docs/rules.md (G5, W2, "Limits"); docs/sources.md (paper 002, bitmaps).
 */
#ifndef MIRROR_LOG_MAP_H
#define MIRROR_LOG_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/identity.h"
#include "mirror/disk_table.h"
#include "mirror/log/superblock.h"

#define MIRROR_EXTENT_BYTES (64u * 1024)
#define MIRROR_MAP_BLOCK_BYTES 4096u
#define MIRROR_MAP_VERSION 1u

struct mirror_map;

/* A run of set extents on one disk, cut at the disk's end. */
struct mirror_map_run {
	uint32_t disk;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint64_t first_extent;     /* number over all disks */
	uint64_t next_extent;      /* where to go on looking */
};

/* A part of a map on the line (MAP frame): extents of one disk. */
struct mirror_map_chunk {
	uint32_t disk;
	uint64_t first_extent;     /* within the disk, multiple of 8 */
	uint32_t extent_count;
	bool last;                 /* nothing set comes after it */
};

/* Bytes on the device of one site's map for these disks. */
uint64_t mirror_map_area_bytes(const struct mirror_disk_table *disks);

/* Make the maps of all sites of `sb`, all clear, under its epochs. `sb` is not kept.
 * NULL when memory is short. */
struct mirror_map *mirror_map_create(const struct mirror_superblock *sb);
void mirror_map_destroy(struct mirror_map *map);

/* Set the extents that [offset, offset + length) touches; bits that are new make their
 * blocks dirty. The range must be inside the disk (asserted). Returns how many bits
 * were new. */
uint64_t mirror_map_set(struct mirror_map *map, uint32_t site, uint32_t disk,
			uint64_t offset_bytes, uint64_t length_bytes);
void mirror_map_set_all(struct mirror_map *map, uint32_t site);

/* Set in `site`'s map all extents that are set in `from`'s. */
void mirror_map_merge(struct mirror_map *map, uint32_t site, uint32_t from);

/* True when every extent of the range is set already: nothing needs to be written. */
bool mirror_map_covers(const struct mirror_map *map, uint32_t site, uint32_t disk,
		       uint64_t offset_bytes, uint64_t length_bytes);

/* Clear a site's map: it has confirmed all of it durable. `epoch` must be greater than
 * the one before (asserted). Dirty blocks of the site become clean: the superblock with
 * the new epoch makes the clearing durable, before any block is taken again. */
void mirror_map_clear_all(struct mirror_map *map, uint32_t site, uint64_t epoch);

/* Make every block of the site dirty (create). */
void mirror_map_rewrite(struct mirror_map *map, uint32_t site);

uint64_t mirror_map_count(const struct mirror_map *map, uint32_t site);
uint64_t mirror_map_extent_count(const struct mirror_map *map);
uint64_t mirror_map_dirty_count(const struct mirror_map *map);   /* blocks, all sites */

/* The next run of set extents at or after `from_extent` (0 to begin, then
 * next_extent), at most length_max bytes (a multiple of MIRROR_EXTENT_BYTES) long.
 * False when there is none. */
bool mirror_map_next(const struct mirror_map *map, uint32_t site, uint64_t from_extent,
		     uint64_t length_max, struct mirror_map_run *run);

/* Take a dirty block: it is encoded into `block` and counts as clean; a bit set from
 * now on makes it dirty again. *device_offset_bytes is on the log device. False when
 * none is dirty. If the write fails the log has failed: nothing is put back. */
bool mirror_map_take_dirty(struct mirror_map *map, uint32_t *site, uint8_t *block,
			   uint64_t *device_offset_bytes);

/* Blocks of one site's map, and where one is on the device. */
uint64_t mirror_map_block_count(const struct mirror_map *map);
uint64_t mirror_map_block_offset(const struct mirror_map *map, uint32_t site,
				 uint64_t index);

/* Take in block `index` of the site as read from the device; `block` NULL: it could not
 * be read. The table at the head of this file says what it means. Returns 0, or
 * -EBADMSG: all its extents are set now, and the block is dirty. */
int mirror_map_load(struct mirror_map *map, uint32_t site, uint64_t index,
		    const uint8_t *block);

/* Fill `data` with the next part of a site's map that has a bit set, at or after
 * *cursor (begin with 0): bit i of byte i / 8 is extent first_extent + i. At most
 * data_bytes. Returns the bytes used; 0 when nothing is left, then chunk->last is set
 * and its extent_count is 0. *cursor moves on. */
size_t mirror_map_export(const struct mirror_map *map, uint32_t site, uint64_t *cursor,
			 struct mirror_map_chunk *chunk, uint8_t *data,
			 size_t data_bytes);

/* Set in the site's map all extents that are set in a part of another host's map. Extents
 * beyond the disk's end here are ignored. Returns 0, or -EPROTO: no such disk, first_extent
 * not a multiple of 8, or data_bytes does not fit extent_count; then nothing changed. */
int mirror_map_import(struct mirror_map *map, uint32_t site,
		      const struct mirror_map_chunk *chunk, const uint8_t *data,
		      size_t data_bytes);

/* Abort if an invariant is broken (recounts every bit: for tests). */
void mirror_map_check(const struct mirror_map *map);

#endif
