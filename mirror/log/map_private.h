/* map_private.h - shared by map.c and map_format.c. */
#ifndef MIRROR_LOG_MAP_PRIVATE_H
#define MIRROR_LOG_MAP_PRIVATE_H

#include "mirror/log/map.h"

#define MAP_BLOCK_HEADER_BYTES 64u
#define MAP_BLOCK_WORDS ((MIRROR_MAP_BLOCK_BYTES - MAP_BLOCK_HEADER_BYTES) / 8)
#define MAP_BLOCK_EXTENTS (MAP_BLOCK_WORDS * 64u)

struct map_site {
	uint64_t *bits;        /* block_count * MAP_BLOCK_WORDS words */
	uint64_t *dirty;       /* one bit per block */
	uint64_t count;        /* bits set */
	uint64_t dirty_count;
	uint64_t epoch;
	uint64_t start_bytes;  /* on the log device */
};

struct mirror_map {
	struct uuid log;
	uint32_t disk_count;
	uint64_t first_extent[CONFIG_DISK_COUNT_MAX + 1];
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];
	uint64_t extent_count;
	uint64_t block_count;
	uint32_t site_count;
	struct map_site site[CONFIG_SITE_COUNT_MAX];
};

/* Extents that so many bytes from a disk's beginning touch. */
static inline uint64_t mirror_map_extents_of(uint64_t bytes)
{
	return bytes / MIRROR_EXTENT_BYTES + (bytes % MIRROR_EXTENT_BYTES != 0);
}

void mirror_map_mark_dirty(struct mirror_map *map, uint32_t site, uint64_t block);

/* Set the bits of `mask` in one word, as read from the device: its block does not become
 * dirty by it. Returns how many were new. */
uint64_t mirror_map_load_word(struct mirror_map *map, uint32_t site, uint64_t word,
			      uint64_t mask);

/* Set a range of extents; returns how many were new. */
uint64_t mirror_map_set_extents(struct mirror_map *map, uint32_t site, uint64_t first,
				uint64_t count);

/* The first extent in [from, end) whose bit is `set`; else `end`. */
uint64_t mirror_map_find(const struct mirror_map *map, uint32_t site, bool set,
			 uint64_t from, uint64_t end);

/* The disk of an extent. */
uint32_t mirror_map_disk_of(const struct mirror_map *map, uint64_t extent);

#endif
