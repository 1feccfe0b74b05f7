/* test_index.c - the extent index against brute force. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "mirror/engine/index.h"
#include "tests/unit/property.h"

#define COUNT_MAX 200

static struct mirror_index disk;
static struct mirror_record record[COUNT_MAX];
static struct mirror_record *found[COUNT_MAX];

static void setup(void)
{
	mirror_index_init(&disk, 42);
	for (int i = 0; i < COUNT_MAX; i++)
		record[i] = (struct mirror_record){ 0 };
}

static struct mirror_record *put(int i, uint64_t sequence, uint64_t offset,
				 uint64_t length)
{
	record[i].header = (struct mirror_header){
		.type = MIRROR_RECORD_WRITE,
		.sequence = sequence,
		.offset_bytes = offset,
		.length_bytes = length,
	};
	mirror_index_insert(&disk, &record[i]);
	return &record[i];
}

START_TEST(an_empty_index_finds_nothing)
{
	ck_assert_ptr_null(mirror_index_first_overlap(&disk, 0, UINT64_MAX));
	ck_assert_int_eq(mirror_index_collect(&disk, 0, 4096, found, 0), 0);
	ck_assert_uint_eq(mirror_index_newest_overlap(&disk, 0, 4096), 0);
	mirror_index_check(&disk);
}
END_TEST

/* Extents that only touch do not overlap; nothing overlaps an empty one. */
START_TEST(borders_are_half_open)
{
	struct mirror_record *a = put(0, 1, 4096, 4096);

	ck_assert_ptr_null(mirror_index_first_overlap(&disk, 0, 4096));
	ck_assert_ptr_null(mirror_index_first_overlap(&disk, 8192, 512));
	ck_assert_ptr_null(mirror_index_first_overlap(&disk, 5120, 0));
	ck_assert_ptr_eq(mirror_index_first_overlap(&disk, 0, 4608), a);
	ck_assert_ptr_eq(mirror_index_first_overlap(&disk, 7680, 4096), a);
	ck_assert_ptr_null(mirror_index_next_overlap(a, 0, UINT64_MAX));
}
END_TEST

/* A read lays records over the disk's data, oldest first: three writes of the same place,
 * one of them twice at one offset, come in order of arrival, not of place. */
START_TEST(collect_is_in_order_of_sequence)
{
	struct mirror_record *c = put(0, 30, 0, 8192);
	struct mirror_record *a = put(1, 10, 4096, 512);
	struct mirror_record *b = put(2, 20, 2048, 4096);
	struct mirror_record *d = put(3, 40, 4096, 512);

	put(4, 50, 65536, 512);
	ck_assert_int_eq(mirror_index_collect(&disk, 4096, 512, found, COUNT_MAX), 4);
	ck_assert_ptr_eq(found[0], a);
	ck_assert_ptr_eq(found[1], b);
	ck_assert_ptr_eq(found[2], c);
	ck_assert_ptr_eq(found[3], d);
	ck_assert_uint_eq(mirror_index_newest_overlap(&disk, 4096, 512), 40);
	mirror_index_remove(&disk, d);
	ck_assert_uint_eq(mirror_index_newest_overlap(&disk, 4096, 512), 30);
	ck_assert(!d->indexed);
}
END_TEST

/* -ENOBUFS: the caller waits until some went home. */
START_TEST(collect_says_when_there_are_too_many)
{
	for (int i = 0; i < 4; i++)
		put(i, 1 + (uint64_t)i, 0, 512);
	ck_assert_int_eq(mirror_index_collect(&disk, 0, 512, found, 3), -ENOBUFS);
	ck_assert_int_eq(mirror_index_collect(&disk, 0, 512, found, 4), 4);
}
END_TEST

/* The end of the 64-bit space is not its beginning. */
START_TEST(extents_may_lie_at_the_end_of_the_space)
{
	struct mirror_record *a = put(0, 1, UINT64_MAX - 1023, 1023);

	ck_assert_ptr_null(mirror_index_first_overlap(&disk, 0, 4096));
	ck_assert_ptr_eq(mirror_index_first_overlap(&disk, UINT64_MAX - 512, 512), a);
	mirror_index_check(&disk);
}
END_TEST

/* Our own bugs abort: a record twice, another with its offset and sequence, a
 * flush. */
START_TEST(inserting_what_cannot_be_found_aborts)
{
	put(0, 1, 0, 512);
	switch (_i) {
	case 0:
		mirror_index_insert(&disk, &record[0]);
		break;
	case 1:
		put(1, 1, 0, 1024);
		break;
	case 2:
		put(1, 2, 0, 0);
		break;
	default:
		break;
	}
}
END_TEST

static bool overlaps(const struct mirror_record *r, uint64_t start, uint64_t end)
{
	return r->indexed && r->header.offset_bytes < end && start < mirror_record_end(r);
}

/* By brute force: which overlap, and the one that comes after `last`. */
static struct mirror_record *next_by_force(const struct mirror_record *last,
					   uint64_t start, uint64_t end)
{
	struct mirror_record *best = NULL;

	for (int i = 0; i < COUNT_MAX; i++) {
		struct mirror_record *r = &record[i];
		const struct mirror_header *h = &r->header;

		if (!overlaps(r, start, end))
			continue;
		if (last != NULL && (h->offset_bytes < last->header.offset_bytes ||
				     (h->offset_bytes == last->header.offset_bytes &&
				      h->sequence <= last->header.sequence)))
			continue;
		if (best == NULL || h->offset_bytes < best->header.offset_bytes ||
		    (h->offset_bytes == best->header.offset_bytes &&
		     h->sequence < best->header.sequence))
			best = r;
	}
	return best;
}

static void compare(uint64_t start, uint64_t length)
{
	const uint64_t end = start + length;
	struct mirror_record *r = mirror_index_first_overlap(&disk, start, length);
	struct mirror_record *expected = next_by_force(NULL, start, end);
	uint64_t newest = 0;
	int count = 0;

	for (; expected != NULL; expected = next_by_force(expected, start, end)) {
		expect(r == expected);
		if (r->header.sequence > newest)
			newest = r->header.sequence;
		count++;
		r = mirror_index_next_overlap(r, start, length);
	}
	expect(r == NULL);
	expect(mirror_index_newest_overlap(&disk, start, length) == newest);
	expect(mirror_index_collect(&disk, start, length, found, COUNT_MAX) == count);
	for (int i = 0; i < count; i++) {
		expect(overlaps(found[i], start, end));
		expect(i == 0 ||
		       found[i - 1]->header.sequence < found[i]->header.sequence);
	}
}

/* Random inserts and removes, dense and sparse, short extents and some long
 * ones, in and out of order of sequence. */
START_TEST(index_agrees_with_brute_force)
{
	struct random random = { (uint64_t)_i + 1 };
	const uint64_t space = _i % 2 == 0 ? 64 : 4096;

	mirror_index_init(&disk, (uint64_t)_i);
	for (uint64_t step = 1; step <= 3000; step++) {
		const int i = (int)random_below(&random, COUNT_MAX);
		const uint64_t length = random_below(&random, 20) == 0 ? space : 16;
		uint64_t sequence = step;

		if (random_below(&random, 4) == 0)      /* an old one: replay */
			sequence = step + 1000000 * (random_below(&random, 2) + 1);
		if (record[i].indexed)
			mirror_index_remove(&disk, &record[i]);
		else
			put(i, sequence, 512 * random_below(&random, space),
			    512 * (random_below(&random, length) + 1));
		mirror_index_check(&disk);
		compare(512 * random_below(&random, space),
			512 * (random_below(&random, length) + 1));
	}
	for (int i = 0; i < COUNT_MAX; i++)
		if (record[i].indexed)
			mirror_index_remove(&disk, &record[i]);
	expect(disk.count == 0);
	expect(disk.root == NULL);
}
END_TEST

/* A sequential stream, the worst case of a plain tree, gives no deep one: 30000 records
 * stay within the depth that chance allows (about 40). */
START_TEST(sequential_writes_give_a_shallow_tree)
{
	enum { LONG = 30000 };
	struct mirror_record *all = calloc(LONG, sizeof *all);
	uint32_t deepest = 0;

	ck_assert_ptr_nonnull(all);
	for (uint64_t i = 0; i < LONG; i++) {
		all[i].header.sequence = i + 1;
		all[i].header.offset_bytes = 512 * i;
		all[i].header.length_bytes = 512;
		mirror_index_insert(&disk, &all[i]);
	}
	mirror_index_check(&disk);
	for (uint32_t i = 0; i < LONG; i++) {
		uint32_t depth = 0;

		for (struct mirror_record *r = &all[i]; r != NULL; r = r->parent)
			depth++;
		if (depth > deepest)
			deepest = depth;
	}
	ck_assert_uint_le(deepest, 64);
	for (uint32_t i = 0; i < LONG; i++)
		mirror_index_remove(&disk, &all[i]);
	ck_assert_ptr_null(disk.root);
	free(all);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("index");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, an_empty_index_finds_nothing);
	tcase_add_test(tc, borders_are_half_open);
	tcase_add_test(tc, collect_is_in_order_of_sequence);
	tcase_add_test(tc, collect_says_when_there_are_too_many);
	tcase_add_test(tc, extents_may_lie_at_the_end_of_the_space);
	tcase_add_loop_test_raise_signal(tc, inserting_what_cannot_be_found_aborts,
					 SIGABRT, 0, 3);
	tcase_add_loop_test(tc, index_agrees_with_brute_force, 0, 20);
	tcase_add_test(tc, sequential_writes_give_a_shallow_tree);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
