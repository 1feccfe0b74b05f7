/* map_format.c - a map's blocks on the device and its parts on the line; see map.h and
 * docs/formats.md. */
#include "mirror/log/map_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/crc.h"
#include "mirror/log/format.h"

#define MAGIC 0x504d4d48u      /* "HMMP" */
#define CRC_AT 12u

static void encode_block(const struct mirror_map *map, uint32_t site, uint64_t index,
			 uint8_t *block)
{
	const struct map_site *s = &map->site[site];
	struct bytes b = bytes_of(block, MIRROR_MAP_BLOCK_BYTES);

	memset(block, 0, MAP_BLOCK_HEADER_BYTES);
	bytes_put_u32(&b, MAGIC);
	bytes_put_u16(&b, MIRROR_MAP_VERSION);
	bytes_put_u16(&b, 0);
	bytes_put_u32(&b, 0);   /* features */
	bytes_put_u32(&b, 0);   /* CRC, below */
	mirror_format_put_uuid(&b, &map->log);
	bytes_put_u32(&b, site);
	bytes_put_u32(&b, 0);
	bytes_put_u64(&b, s->epoch);
	bytes_put_u64(&b, index);
	b.position = MAP_BLOCK_HEADER_BYTES;
	for (uint64_t i = 0; i < MAP_BLOCK_WORDS; i++)
		bytes_put_u64(&b, s->bits[index * MAP_BLOCK_WORDS + i]);
	assert(!b.bad && b.position == MIRROR_MAP_BLOCK_BYTES);
	b.position = CRC_AT;
	bytes_put_u32(&b, common_crc32c_without(block, MIRROR_MAP_BLOCK_BYTES, CRC_AT));
}

bool mirror_map_take_dirty(struct mirror_map *map, uint32_t *site, uint8_t *block,
			   uint64_t *device_offset_bytes)
{
	for (uint32_t i = 0; i < map->site_count; i++) {
		struct map_site *s = &map->site[i];
		uint64_t word = 0, index;

		if (s->dirty_count == 0)
			continue;
		while (s->dirty[word] == 0)
			word++;
		index = word * 64 + (uint64_t)__builtin_ctzll(s->dirty[word]);
		s->dirty[word] &= s->dirty[word] - 1;
		s->dirty_count--;
		encode_block(map, i, index, block);
		*site = i;
		*device_offset_bytes = mirror_map_block_offset(map, i, index);
		return true;
	}
	return false;
}

/* The extents of one block: [*first, *end). */
static void block_extents(const struct mirror_map *map, uint64_t index, uint64_t *first,
			  uint64_t *end)
{
	*first = index * MAP_BLOCK_EXTENTS;
	*end = *first + MAP_BLOCK_EXTENTS;
	if (*end > map->extent_count)
		*end = map->extent_count;
}

/* The block's epoch, or 0 when it is not an intact block of this place. */
static uint64_t block_epoch(const struct mirror_map *map, uint32_t site, uint64_t index,
			    const uint8_t *block)
{
	struct bytes b = mirror_format_reader(block, MAP_BLOCK_HEADER_BYTES);
	const uint32_t magic = bytes_get_u32(&b);
	const uint32_t version = bytes_get_u32(&b);
	const uint32_t features = bytes_get_u32(&b);
	const uint32_t crc = bytes_get_u32(&b);
	struct uuid log;
	uint64_t block_site, epoch;

	mirror_format_get_uuid(&b, &log);
	block_site = bytes_get_u64(&b);
	epoch = bytes_get_u64(&b);
	if (magic != MAGIC || version != MIRROR_MAP_VERSION || features != 0 ||
	    !uuid_equal(&log, &map->log) || block_site != site ||
	    bytes_get_u64(&b) != index || bytes_get_u64(&b) != 0 ||
	    crc != common_crc32c_without(block, MIRROR_MAP_BLOCK_BYTES, CRC_AT))
		return 0;
	return epoch;
}

int mirror_map_load(struct mirror_map *map, uint32_t site, uint64_t index,
		    const uint8_t *block)
{
	const uint64_t wanted = map->site[site].epoch;
	const uint64_t epoch = block != NULL ? block_epoch(map, site, index, block) : 0;
	uint64_t first, end;
	struct bytes b;

	assert(site < map->site_count && index < map->block_count);

	block_extents(map, index, &first, &end);
	if (epoch == 0 || epoch > wanted) {
		mirror_map_set_extents(map, site, first, end - first);
		mirror_map_mark_dirty(map, site, index);
		return -EBADMSG;
	}
	if (epoch < wanted)
		return 0;
	b = mirror_format_reader(block, MIRROR_MAP_BLOCK_BYTES);
	b.position = MAP_BLOCK_HEADER_BYTES;
	for (uint64_t w = first / 64; w < first / 64 + MAP_BLOCK_WORDS; w++) {
		uint64_t bits = bytes_get_u64(&b);

		if (w * 64 >= end)
			bits = 0;
		else if ((w + 1) * 64 > end)
			bits &= ~0ull >> ((w + 1) * 64 - end);
		mirror_map_load_word(map, site, w, bits);
	}
	return 0;
}

/* ---- parts for the line -------------------------------------------------- */

size_t mirror_map_export(const struct mirror_map *map, uint32_t site, uint64_t *cursor,
			 struct mirror_map_chunk *chunk, uint8_t *data, size_t data_bytes)
{
	const uint64_t at = mirror_map_find(map, site, true, *cursor, map->extent_count);
	uint64_t base, first, end;
	size_t used;

	assert(site < map->site_count && data_bytes > 0);

	*chunk = (struct mirror_map_chunk){ .last = true };
	if (at >= map->extent_count)
		return 0;
	chunk->disk = mirror_map_disk_of(map, at);
	base = map->first_extent[chunk->disk];
	first = base + (at - base) / 8 * 8;
	end = map->first_extent[chunk->disk + 1];
	if (end - first > (uint64_t)data_bytes * 8)
		end = first + (uint64_t)data_bytes * 8;
	used = (size_t)(end - first + 7) / 8;
	memset(data, 0, used);
	for (uint64_t e = at; e < end; e = mirror_map_find(map, site, true, e + 1, end))
		data[(e - first) / 8] |= (uint8_t)(1u << (e - first) % 8);
	chunk->first_extent = first - base;
	chunk->extent_count = (uint32_t)(end - first);
	chunk->last = mirror_map_find(map, site, true, end, map->extent_count) >=
		      map->extent_count;
	*cursor = end;
	return used;
}

int mirror_map_import(struct mirror_map *map, uint32_t site,
		      const struct mirror_map_chunk *chunk, const uint8_t *data,
		      size_t data_bytes)
{
	uint64_t base, count;

	assert(site < map->site_count);

	if (data_bytes != ((uint64_t)chunk->extent_count + 7) / 8 ||
	    chunk->first_extent % 8 != 0 || chunk->disk >= map->disk_count)
		return -EPROTO;
	base = map->first_extent[chunk->disk];
	count = map->first_extent[chunk->disk + 1] - base;
	for (uint64_t i = 0; i < chunk->extent_count; i++)
		if ((data[i / 8] >> i % 8 & 1) != 0 && chunk->first_extent < count &&
		    i < count - chunk->first_extent)
			mirror_map_set_extents(map, site, base + chunk->first_extent + i,
					       1);
	return 0;
}
