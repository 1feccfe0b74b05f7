/* test_map.c - tracking maps: a set bit stays set until its extent is proven clean (G5). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/log/map.h"
#include "tests/unit/property.h"

#define E MIRROR_EXTENT_BYTES
#define BLOCK_EXTENTS 32256u

static struct mirror_superblock sb;
static struct mirror_map *map, *other;
static uint8_t block[MIRROR_MAP_BLOCK_BYTES];

/* Disk 0: 3.5 extents. Disk 1: 40000 extents, over two blocks. Disk 2: one sector. */
static void setup(void)
{
	static const uint64_t size_bytes[] = { 3 * E + 512, 40000ull * E, 512 };

	memset(&sb, 0, sizeof sb);
	sb.log.byte[0] = 0x44;
	sb.site_count = 2;
	sb.disks.count = 3;
	for (uint32_t i = 0; i < 3; i++)
		sb.disks.entry[i].size_bytes = size_bytes[i];
	sb.sites[0].map_start_bytes = 128 * 1024;
	sb.sites[1].map_start_bytes = 256 * 1024;
	sb.sites[0].map_epoch = sb.sites[1].map_epoch = 7;
	map = mirror_map_create(&sb);
	other = mirror_map_create(&sb);
	ck_assert_ptr_nonnull(map);
	ck_assert_ptr_nonnull(other);
}

static void teardown(void)
{
	mirror_map_check(map);
	mirror_map_check(other);
	mirror_map_destroy(map);
	mirror_map_destroy(other);
}

static void next_is(uint64_t from, uint32_t disk, uint64_t offset, uint64_t length)
{
	struct mirror_map_run run;

	ck_assert(mirror_map_next(map, 1, from, 1024ull * E, &run));
	ck_assert_uint_eq(run.disk, disk);
	ck_assert_uint_eq(run.next_extent, run.first_extent + (length + E - 1) / E);
	ck_assert_uint_eq(run.offset_bytes, offset);
	ck_assert_uint_eq(run.length_bytes, length);
}

START_TEST(the_size_follows_from_the_disks)
{
	ck_assert_uint_eq(mirror_map_extent_count(map), 4 + 40000 + 1);
	ck_assert_uint_eq(mirror_map_block_count(map), 2);
	ck_assert_uint_eq(mirror_map_area_bytes(&sb.disks), 8192);
	ck_assert_uint_eq(mirror_map_block_offset(map, 1, 1), 256 * 1024 + 4096);
	/* 16 TiB: 2^28 extents. */
	sb.disks.count = 1;
	sb.disks.entry[0].size_bytes = 1ull << 44;
	ck_assert_uint_eq(mirror_map_area_bytes(&sb.disks),
			  ((1ull << 28) / BLOCK_EXTENTS + 1) * 4096);
}
END_TEST

START_TEST(a_write_sets_every_extent_that_it_touches)
{
	ck_assert_uint_eq(mirror_map_set(map, 1, 1, E - 512, 1024), 2);
	ck_assert_uint_eq(mirror_map_set(map, 1, 1, E, 512), 0);
	ck_assert_uint_eq(mirror_map_set(map, 1, 1, 0, 3 * E), 1);
	ck_assert_uint_eq(mirror_map_count(map, 1), 3);
	ck_assert_uint_eq(mirror_map_count(map, 0), 0);
	ck_assert(mirror_map_covers(map, 1, 1, 100 * 512, 2 * E));
	ck_assert(!mirror_map_covers(map, 1, 1, 0, 3 * E + 512));
	ck_assert(!mirror_map_covers(map, 0, 1, 0, 512));
}
END_TEST

START_TEST(runs_end_at_a_disks_end)
{
	struct mirror_map_run run;

	mirror_map_set(map, 1, 0, 2 * E, E + 512);
	mirror_map_set(map, 1, 1, 0, 2 * E);
	mirror_map_set(map, 1, 1, 39999ull * E, E);
	mirror_map_set(map, 1, 2, 0, 512);
	next_is(0, 0, 2 * E, E + 512);
	next_is(4, 1, 0, 2 * E);
	next_is(5, 1, E, E);
	next_is(6, 1, 39999ull * E, E);
	next_is(40004, 2, 0, 512);
	ck_assert(!mirror_map_next(map, 1, 40005, E, &run));
	ck_assert(!mirror_map_next(map, 0, 0, E, &run));
	ck_assert(mirror_map_next(map, 1, 4, E, &run));
	ck_assert_uint_eq(run.length_bytes, E);
	ck_assert_uint_eq(run.next_extent, 5);
}
END_TEST

START_TEST(only_new_bits_make_a_block_dirty)
{
	uint64_t offset;
	uint32_t site;

	ck_assert(!mirror_map_take_dirty(map, &site, block, &offset));
	mirror_map_set(map, 1, 1, 39000ull * E, E);
	ck_assert_uint_eq(mirror_map_dirty_count(map), 1);
	ck_assert(mirror_map_take_dirty(map, &site, block, &offset));
	ck_assert_uint_eq(site, 1);
	ck_assert_uint_eq(offset, 256 * 1024 + 4096);
	mirror_map_set(map, 1, 1, 39000ull * E, E);
	ck_assert(!mirror_map_take_dirty(map, &site, block, &offset));
	mirror_map_set(map, 1, 1, 39001ull * E, E);
	ck_assert_uint_eq(mirror_map_dirty_count(map), 1);
}
END_TEST

/* Write every dirty block of `map` to where `other` then loads it. */
static void transfer(int wanted)
{
	uint64_t offset;
	uint32_t site;

	while (mirror_map_take_dirty(map, &site, block, &offset))
		ck_assert_int_eq(
			mirror_map_load(other, site,
					(offset - sb.sites[site].map_start_bytes) / 4096,
					block),
			wanted);
}

START_TEST(what_was_written_is_read_again)
{
	mirror_map_set_all(map, 0);
	mirror_map_set(map, 1, 0, 0, 512);
	mirror_map_set(map, 1, 1, 1000ull * E, 35000ull * E);
	transfer(0);
	ck_assert_uint_eq(mirror_map_count(other, 0), 40005);
	ck_assert_uint_eq(mirror_map_count(other, 1), 35001);
	ck_assert_uint_eq(mirror_map_dirty_count(other), 0);
}
END_TEST

/* ---- the table of map.h -------------------------------------------------- */

/* A block of the other epoch, or one broken, loaded as block 1 of site 1. */
static void take_block_one(void)
{
	uint64_t offset;
	uint32_t site;

	mirror_map_set(map, 1, 1, 39000ull * E, E);
	ck_assert(mirror_map_take_dirty(map, &site, block, &offset));
}

static void all_dirty(void)
{
	ck_assert_int_eq(mirror_map_load(other, 1, 1, block), -EBADMSG);
	ck_assert_uint_eq(mirror_map_count(other, 1), 40005 - BLOCK_EXTENTS);
	ck_assert_uint_eq(mirror_map_dirty_count(other), 1);
}

START_TEST(a_block_of_an_older_epoch_is_clean)
{
	take_block_one();
	mirror_map_clear_all(other, 1, 8);
	ck_assert_int_eq(mirror_map_load(other, 1, 1, block), 0);
	ck_assert_uint_eq(mirror_map_count(other, 1), 0);
}
END_TEST

START_TEST(a_block_of_a_later_epoch_is_all_dirty)
{
	mirror_map_clear_all(map, 1, 8);
	take_block_one();
	all_dirty();
}
END_TEST

START_TEST(a_damaged_block_is_all_dirty)
{
	take_block_one();
	block[_i] ^= 0x80;
	all_dirty();
}
END_TEST

START_TEST(a_block_that_cannot_be_read_is_all_dirty)
{
	ck_assert_int_eq(mirror_map_load(other, 1, 0, NULL), -EBADMSG);
	ck_assert_uint_eq(mirror_map_count(other, 1), BLOCK_EXTENTS);
}
END_TEST

START_TEST(a_misplaced_block_is_all_dirty)
{
	take_block_one();
	ck_assert_int_eq(mirror_map_load(other, 1, 0, block), -EBADMSG);
	ck_assert_int_eq(mirror_map_load(other, 0, 1, block), -EBADMSG);
	sb.log.byte[5]++;
	mirror_map_destroy(other);
	other = mirror_map_create(&sb);
	all_dirty();
}
END_TEST

START_TEST(a_new_map_writes_every_block)
{
	mirror_map_rewrite(map, 0);
	mirror_map_rewrite(map, 1);
	ck_assert_uint_eq(mirror_map_dirty_count(map), 4);
	transfer(0);
	ck_assert_uint_eq(mirror_map_count(other, 1), 0);
}
END_TEST

/* Clearing costs no block: the superblock's epoch does it. A bit set afterwards brings
 * its block, and only its block, into the new epoch. */
START_TEST(clearing_is_one_new_epoch)
{
	uint64_t offset;
	uint32_t site;

	mirror_map_set_all(map, 1);
	while (mirror_map_take_dirty(map, &site, block, &offset))
		continue;
	mirror_map_set(map, 1, 0, 0, 512);
	mirror_map_set(map, 0, 0, 0, 512);
	mirror_map_clear_all(map, 1, 8);
	ck_assert_uint_eq(mirror_map_count(map, 1), 0);
	ck_assert_uint_eq(mirror_map_dirty_count(map), 1);   /* site 0's */
	mirror_map_set(map, 1, 0, 0, 512);
	ck_assert_uint_eq(mirror_map_dirty_count(map), 2);
	mirror_map_clear_all(other, 1, 8);
	transfer(0);
	ck_assert_uint_eq(mirror_map_count(other, 1), 1);
}
END_TEST

/* ---- between hosts ------------------------------------------------------- */

static uint32_t send_all(size_t data_bytes)
{
	static uint8_t data[8192];
	struct mirror_map_chunk chunk;
	uint64_t cursor = 0;
	uint32_t count = 0;

	do {
		const size_t used = mirror_map_export(map, 1, &cursor, &chunk, data,
						      data_bytes);

		ck_assert_int_eq(mirror_map_import(other, 0, &chunk, data, used), 0);
		count++;
	} while (!chunk.last);
	return count;
}

START_TEST(a_map_travels_in_parts)
{
	struct random random = { .state = (uint64_t)_i + 1 };

	ck_assert_uint_eq(send_all(100), 1);            /* an empty one is said */
	for (uint32_t i = 0; i < 50; i++)
		mirror_map_set(map, 1, 1, random_below(&random, 40000) * E, 512);
	mirror_map_set(map, 1, 0, 3 * E, 512);
	mirror_map_set(map, 1, 2, 0, 512);
	mirror_map_set(other, 0, 1, 0, 512);            /* OR: bits that are set stay */
	send_all(1 + random_below(&random, 3000));
	mirror_map_set(map, 1, 1, 0, 512);
	ck_assert_uint_eq(mirror_map_count(other, 0), mirror_map_count(map, 1));
	mirror_map_merge(other, 1, 0);
	ck_assert_uint_eq(mirror_map_count(other, 1), mirror_map_count(map, 1));
	for (uint64_t e = 0; e < 40000; e++)
		expect(mirror_map_covers(map, 1, 1, e * E, E) ==
		       mirror_map_covers(other, 1, 1, e * E, E));
}
END_TEST

START_TEST(parts_that_cannot_be_are_refused)
{
	struct mirror_map_chunk chunk = { .disk = 0, .extent_count = 16 };
	uint8_t data[3] = { 0xff, 0xff, 0xff };

	ck_assert_int_eq(mirror_map_import(map, 0, &chunk, data, 3), -EPROTO);
	chunk.first_extent = 4;
	ck_assert_int_eq(mirror_map_import(map, 0, &chunk, data, 2), -EPROTO);
	chunk.first_extent = 0;
	chunk.disk = 3;
	ck_assert_int_eq(mirror_map_import(map, 0, &chunk, data, 2), -EPROTO);
	ck_assert_uint_eq(mirror_map_count(map, 0), 0);
	chunk.disk = 0;                                 /* the peer's disk is larger */
	ck_assert_int_eq(mirror_map_import(map, 0, &chunk, data, 2), 0);
	ck_assert_uint_eq(mirror_map_count(map, 0), 4);
	chunk.first_extent = UINT64_MAX - 7;
	ck_assert_int_eq(mirror_map_import(map, 0, &chunk, data, 2), 0);
	ck_assert_uint_eq(mirror_map_count(map, 0), 4);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("map");
	Suite *s = suite_create("map");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_size_follows_from_the_disks);
	tcase_add_test(tc, a_write_sets_every_extent_that_it_touches);
	tcase_add_test(tc, runs_end_at_a_disks_end);
	tcase_add_test(tc, only_new_bits_make_a_block_dirty);
	tcase_add_test(tc, what_was_written_is_read_again);
	tcase_add_test(tc, a_block_of_an_older_epoch_is_clean);
	tcase_add_test(tc, a_block_of_a_later_epoch_is_all_dirty);
	tcase_add_loop_test(tc, a_damaged_block_is_all_dirty, 0, 70);
	tcase_add_test(tc, a_block_that_cannot_be_read_is_all_dirty);
	tcase_add_test(tc, a_misplaced_block_is_all_dirty);
	tcase_add_test(tc, a_new_map_writes_every_block);
	tcase_add_test(tc, clearing_is_one_new_epoch);
	tcase_add_loop_test(tc, a_map_travels_in_parts, 0, 20);
	tcase_add_test(tc, parts_that_cannot_be_are_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
