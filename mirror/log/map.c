/* map.c - see map.h. A site's bits are kept in words, those of block i being words
 * [i * MAP_BLOCK_WORDS, (i + 1) * MAP_BLOCK_WORDS). Blocks for the device and parts for
 * the line are in map_format.c. */
#include "mirror/log/map_private.h"

#include <assert.h>
#include <string.h>

uint64_t mirror_map_area_bytes(const struct mirror_disk_table *disks)
{
	uint64_t extents = 0;

	for (uint32_t i = 0; i < disks->count; i++)
		extents += mirror_map_extents_of(disks->entry[i].size_bytes);
	return (extents + MAP_BLOCK_EXTENTS - 1) / MAP_BLOCK_EXTENTS *
	       MIRROR_MAP_BLOCK_BYTES;
}

/* ---- setting and clearing ------------------------------------------------ */

void mirror_map_mark_dirty(struct mirror_map *map, uint32_t site, uint64_t block)
{
	struct map_site *s = &map->site[site];
	const uint64_t bit = 1ull << block % 64;

	assert(block < map->block_count);
	if ((s->dirty[block / 64] & bit) == 0) {
		s->dirty[block / 64] |= bit;
		s->dirty_count++;
	}
}

/* The bits of word `word` that belong to extents [first, end). */
static uint64_t word_mask(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t mask = ~0ull;

	if (first > word * 64)
		mask &= ~0ull << (first - word * 64);
	if (end < (word + 1) * 64)
		mask &= ~0ull >> ((word + 1) * 64 - end);
	return mask;
}

uint64_t mirror_map_load_word(struct mirror_map *map, uint32_t site, uint64_t word,
			      uint64_t mask)
{
	struct map_site *s = &map->site[site];
	const uint64_t added = mask & ~s->bits[word];

	s->bits[word] |= added;
	s->count += (uint64_t)__builtin_popcountll(added);
	return (uint64_t)__builtin_popcountll(added);
}

static uint64_t set_word(struct mirror_map *map, uint32_t site, uint64_t word,
			 uint64_t mask)
{
	const uint64_t added = mirror_map_load_word(map, site, word, mask);

	if (added > 0)
		mirror_map_mark_dirty(map, site, word / MAP_BLOCK_WORDS);
	return added;
}

uint64_t mirror_map_set_extents(struct mirror_map *map, uint32_t site, uint64_t first,
				uint64_t count)
{
	const uint64_t end = first + count;
	uint64_t added = 0;

	assert(site < map->site_count && end <= map->extent_count);
	for (uint64_t word = first / 64; count > 0 && word <= (end - 1) / 64; word++)
		added += set_word(map, site, word, word_mask(word, first, end));
	return added;
}

/* The extents that a range of bytes touches. */
static void touched(const struct mirror_map *map, uint32_t disk, uint64_t offset_bytes,
		    uint64_t length_bytes, uint64_t *first, uint64_t *count)
{
	assert(disk < map->disk_count && length_bytes > 0);
	assert(offset_bytes <= map->disk_bytes[disk] &&
	       length_bytes <= map->disk_bytes[disk] - offset_bytes);

	*first = map->first_extent[disk] + offset_bytes / MIRROR_EXTENT_BYTES;
	*count = map->first_extent[disk] +
		 mirror_map_extents_of(offset_bytes + length_bytes) - *first;
}

uint64_t mirror_map_set(struct mirror_map *map, uint32_t site, uint32_t disk,
			uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t first, count;

	touched(map, disk, offset_bytes, length_bytes, &first, &count);
	return mirror_map_set_extents(map, site, first, count);
}

void mirror_map_set_all(struct mirror_map *map, uint32_t site)
{
	mirror_map_set_extents(map, site, 0, map->extent_count);
}

void mirror_map_merge(struct mirror_map *map, uint32_t site, uint32_t from)
{
	assert(site < map->site_count && from < map->site_count);
	for (uint64_t w = 0; w < map->block_count * MAP_BLOCK_WORDS; w++)
		set_word(map, site, w, map->site[from].bits[w]);
}

bool mirror_map_covers(const struct mirror_map *map, uint32_t site, uint32_t disk,
		       uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t first, count, end;

	touched(map, disk, offset_bytes, length_bytes, &first, &count);
	end = first + count;
	for (uint64_t w = first / 64; w <= (end - 1) / 64; w++)
		if ((word_mask(w, first, end) & ~map->site[site].bits[w]) != 0)
			return false;
	return true;
}

void mirror_map_clear_all(struct mirror_map *map, uint32_t site, uint64_t epoch)
{
	struct map_site *s = &map->site[site];

	assert(site < map->site_count && epoch > s->epoch);
	memset(s->bits, 0, map->block_count * MAP_BLOCK_WORDS * sizeof s->bits[0]);
	memset(s->dirty, 0, (map->block_count + 63) / 64 * sizeof s->dirty[0]);
	s->count = 0;
	s->dirty_count = 0;
	s->epoch = epoch;
}

void mirror_map_rewrite(struct mirror_map *map, uint32_t site)
{
	assert(site < map->site_count);
	for (uint64_t i = 0; i < map->block_count; i++)
		mirror_map_mark_dirty(map, site, i);
}

/* ---- looking ------------------------------------------------------------- */

uint64_t mirror_map_count(const struct mirror_map *map, uint32_t site)
{
	assert(site < map->site_count);
	return map->site[site].count;
}

uint64_t mirror_map_extent_count(const struct mirror_map *map)
{
	return map->extent_count;
}

uint64_t mirror_map_dirty_count(const struct mirror_map *map)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < map->site_count; i++)
		count += map->site[i].dirty_count;
	return count;
}

uint64_t mirror_map_block_count(const struct mirror_map *map)
{
	return map->block_count;
}

uint64_t mirror_map_block_offset(const struct mirror_map *map, uint32_t site,
				 uint64_t index)
{
	assert(site < map->site_count && index < map->block_count);
	return map->site[site].start_bytes + index * MIRROR_MAP_BLOCK_BYTES;
}

/* The first extent at or after `from`, below `end`, whose bit is `set`; else `end`. */
uint64_t mirror_map_find(const struct mirror_map *map, uint32_t site, bool set,
			 uint64_t from, uint64_t end)
{
	for (uint64_t w = from / 64; from < end && w <= (end - 1) / 64; w++) {
		uint64_t bits = map->site[site].bits[w];

		bits = (set ? bits : ~bits) & word_mask(w, from, end);
		if (bits != 0)
			return w * 64 + (uint64_t)__builtin_ctzll(bits);
	}
	return end;
}

uint32_t mirror_map_disk_of(const struct mirror_map *map, uint64_t extent)
{
	uint32_t low = 0, high = map->disk_count;

	assert(extent < map->extent_count);
	while (high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;

		if (map->first_extent[middle] <= extent)
			low = middle;
		else
			high = middle;
	}
	return low;
}

bool mirror_map_next(const struct mirror_map *map, uint32_t site, uint64_t from_extent,
		     uint64_t length_max, struct mirror_map_run *run)
{
	uint64_t first, end, rest;

	assert(site < map->site_count && length_max >= MIRROR_EXTENT_BYTES);

	first = mirror_map_find(map, site, true, from_extent, map->extent_count);
	if (first >= map->extent_count)
		return false;
	run->disk = mirror_map_disk_of(map, first);
	end = map->first_extent[run->disk + 1];
	if (end - first > length_max / MIRROR_EXTENT_BYTES)
		end = first + length_max / MIRROR_EXTENT_BYTES;
	end = mirror_map_find(map, site, false, first, end);
	run->first_extent = first;
	run->next_extent = end;
	run->offset_bytes = (first - map->first_extent[run->disk]) * MIRROR_EXTENT_BYTES;
	run->length_bytes = (end - first) * MIRROR_EXTENT_BYTES;
	rest = map->disk_bytes[run->disk] - run->offset_bytes;
	if (run->length_bytes > rest)
		run->length_bytes = rest;
	return true;
}

void mirror_map_check(const struct mirror_map *map)
{
	const uint64_t words = map->block_count * MAP_BLOCK_WORDS;

	for (uint32_t i = 0; i < map->site_count; i++) {
		const struct map_site *s = &map->site[i];
		uint64_t count = 0, dirty = 0;

		for (uint64_t w = 0; w < words; w++)
			count += (uint64_t)__builtin_popcountll(s->bits[w]);
		for (uint64_t w = 0; w < (map->block_count + 63) / 64; w++)
			dirty += (uint64_t)__builtin_popcountll(s->dirty[w]);
		assert(count == s->count && dirty == s->dirty_count);
		assert(mirror_map_find(map, i, true, map->extent_count, words * 64) ==
		       words * 64);
	}
}
