/* map_create.c - the memory of the maps; see map.h. */
#include "mirror/log/map_private.h"

#include <stdlib.h>

static bool allocate_sites(struct mirror_map *map)
{
	const uint64_t words = map->block_count * MAP_BLOCK_WORDS;
	const uint64_t dirty_words = (map->block_count + 63) / 64;

	for (uint32_t i = 0; i < map->site_count; i++) {
		map->site[i].bits = calloc(words, sizeof(uint64_t));
		map->site[i].dirty = calloc(dirty_words, sizeof(uint64_t));
		if (map->site[i].bits == NULL || map->site[i].dirty == NULL)
			return false;
	}
	return true;
}

struct mirror_map *mirror_map_create(const struct mirror_superblock *sb)
{
	struct mirror_map *map = calloc(1, sizeof *map);

	if (map == NULL)
		return NULL;
	map->log = sb->log;
	map->disk_count = sb->disks.count;
	for (uint32_t i = 0; i < sb->disks.count; i++) {
		map->first_extent[i] = map->extent_count;
		map->disk_bytes[i] = sb->disks.entry[i].size_bytes;
		map->extent_count += mirror_map_extents_of(sb->disks.entry[i].size_bytes);
	}
	map->first_extent[sb->disks.count] = map->extent_count;
	map->block_count = mirror_map_area_bytes(&sb->disks) / MIRROR_MAP_BLOCK_BYTES;
	map->site_count = sb->site_count;
	for (uint32_t i = 0; i < sb->site_count; i++) {
		map->site[i].epoch = sb->sites[i].map_epoch;
		map->site[i].start_bytes = sb->sites[i].map_start_bytes;
	}
	if (!allocate_sites(map)) {
		mirror_map_destroy(map);
		return NULL;
	}
	return map;
}

void mirror_map_destroy(struct mirror_map *map)
{
	if (map == NULL)
		return;
	for (uint32_t i = 0; i < map->site_count; i++) {
		free(map->site[i].bits);
		free(map->site[i].dirty);
	}
	free(map);
}
