/* test_stamp.c - production's numbers (docs/sources.md, paper 000, Figs. 3-5). */
#include <check.h>
#include <stdlib.h>

#include "mirror/engine/gate.h"
#include "mirror/engine/stamp.h"
#include "tests/unit/property.h"

static struct mirror_stamp stamp;
static uint64_t disk_sequence[2];

static void setup(void)
{
	disk_sequence[0] = disk_sequence[1] = 0;
	mirror_stamp_init(&stamp, 1, 0, disk_sequence, 2);
}

static struct mirror_header write_to(uint16_t disk)
{
	struct mirror_header h = { .type = MIRROR_RECORD_WRITE,
				   .disk = disk,
				   .offset_bytes = 4096,
				   .length_bytes = 512 };

	mirror_stamp_next(&stamp, &h);
	return h;
}

/* P0-6 (Fig. 3): no group in progress, number 0; the first write is group 1. */
START_TEST(start_is_group_0_and_nothing_in_progress)
{
	ck_assert(!stamp.in_progress);
	ck_assert_uint_eq(stamp.group, 0);
	ck_assert_uint_eq(write_to(0).group, 1);
	ck_assert(stamp.in_progress);
}
END_TEST

/* P0-1: writes that are sent before any answer are one group, over all disks. */
START_TEST(writes_before_any_answer_share_a_number)
{
	for (uint64_t i = 1; i <= 10; i++) {
		struct mirror_header h = write_to(i % 2);

		ck_assert_uint_eq(h.group, 1);
		ck_assert_uint_eq(h.sequence, i);
		ck_assert_uint_eq(h.generation, 1);
	}
}
END_TEST

/* P0-2: queue depth 1 gives consecutive numbers; depth 16 one number until the
 * first answer, then exactly the next. */
START_TEST(first_answer_closes_the_group)
{
	for (uint64_t i = 1; i <= 1000; i++) {
		ck_assert_uint_eq(write_to(0).group, i);
		mirror_stamp_acknowledge(&stamp, i);
	}
	for (int i = 0; i < 16; i++)
		ck_assert_uint_eq(write_to(0).group, 1001);
	mirror_stamp_acknowledge(&stamp, 1001);
	ck_assert_uint_eq(write_to(0).group, 1002);
	for (int i = 1; i < 16; i++) {       /* the other answers to group 1001 */
		mirror_stamp_acknowledge(&stamp, 1001);
		ck_assert_uint_eq(write_to(0).group, 1002);
	}
}
END_TEST

/* P0-4: A and B are group 1; B is answered; C opens group 2; A's answer leaves
 * it open, so D joins C. */
START_TEST(answer_of_an_older_group_leaves_the_current_one_open)
{
	ck_assert_uint_eq(write_to(0).group, 1);           /* A */
	ck_assert_uint_eq(write_to(0).group, 1);           /* B */
	mirror_stamp_acknowledge(&stamp, 1);               /* B's */
	ck_assert_uint_eq(write_to(0).group, 2);           /* C */
	mirror_stamp_acknowledge(&stamp, 1);               /* A's */
	ck_assert(stamp.in_progress);
	ck_assert_uint_eq(write_to(0).group, 2);           /* D */
}
END_TEST

/* P0-5: the flag is no count: it falls at the first answer while nine others
 * of the group still run, and the next group opens beside them. */
START_TEST(a_group_opens_while_the_closed_one_still_runs)
{
	for (int i = 0; i < 10; i++)
		write_to(0);
	mirror_stamp_acknowledge(&stamp, 1);
	ck_assert(!stamp.in_progress);
	ck_assert_uint_eq(write_to(1).group, 2);
	ck_assert(stamp.in_progress);
}
END_TEST

/* P0-3: a million times, of up to 16 in flight: a write answered before another was
 * stamped has the smaller number, and only the answer to a write of a number uses that
 * number up. */
START_TEST(no_one_lands_in_a_group_it_saw_answered)
{
	struct random random = { 20240601 };
	uint64_t in_flight[16], newest_answered = 0, last = 0;
	uint32_t count = 0;

	for (int i = 0; i < 1000000; i++) {
		if (count == 16 || (count > 0 && random_below(&random, 2) == 0)) {
			const uint64_t k = random_below(&random, count);

			mirror_stamp_acknowledge(&stamp, in_flight[k]);
			if (in_flight[k] > newest_answered)
				newest_answered = in_flight[k];
			in_flight[k] = in_flight[--count];
		} else {
			const uint64_t group = write_to(0).group;

			expect(group > newest_answered);
			if (newest_answered == last)
				expect(group == last + 1);
			else
				expect(group == last);
			in_flight[count++] = last = group;
		}
	}
}
END_TEST

/* Sequences are gapless over the mirror and over each disk; a flush takes a
 * number and a group, and none of a disk's. */
START_TEST(sequences_are_gapless)
{
	struct mirror_header flush = { .type = MIRROR_RECORD_FLUSH };
	struct mirror_header h = write_to(0);

	ck_assert_uint_eq(h.disk_sequence, 1);
	h = write_to(1);
	ck_assert_uint_eq(h.disk_sequence, 1);
	mirror_stamp_next(&stamp, &flush);
	ck_assert_uint_eq(flush.sequence, 3);
	ck_assert_uint_eq(flush.disk_sequence, 0);
	ck_assert_uint_eq(flush.group, 1);
	h = write_to(1);
	ck_assert_uint_eq(h.sequence, 4);
	ck_assert_uint_eq(h.disk_sequence, 2);
}
END_TEST

/* P0-7: generation after generation, cut where the one before was answered, the
 * numbers restart together and no gate ever sees an older one. */
START_TEST(numbers_of_both_sides_stay_in_step_over_generations)
{
	struct random random = { 7 };
	struct mirror_record_queue issue = { 0 };
	struct mirror_gate gate;
	uint64_t cut = 0;

	mirror_gate_init(&gate, (struct mirror_group_number){ 0 }, 8);
	for (uint64_t generation = 1; generation <= 100; generation++) {
		const uint64_t length = random_below(&random, 50);

		mirror_stamp_init(&stamp, generation, cut, disk_sequence, 2);
		ck_assert_uint_eq(stamp.group, 0);
		ck_assert(!stamp.in_progress);
		for (uint64_t i = 1; i <= length; i++) {
			struct mirror_record r = { .header = write_to(0) };

			if (i == 1)
				ck_assert_uint_eq(r.header.group, 1);
			ck_assert_uint_eq(r.header.sequence, cut + i);
			ck_assert_int_eq(mirror_gate_arrive(&gate, &r, &issue), 0);
			ck_assert_ptr_eq(mirror_record_pop(&issue), &r);
			ck_assert_uint_eq(gate.current.group, stamp.group);
			mirror_gate_done(&gate, &r, &issue);
			if (random_below(&random, 3) == 0)
				mirror_stamp_acknowledge(&stamp, r.header.group);
		}
		cut = stamp.sequence;
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("stamp");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, start_is_group_0_and_nothing_in_progress);
	tcase_add_test(tc, writes_before_any_answer_share_a_number);
	tcase_add_test(tc, first_answer_closes_the_group);
	tcase_add_test(tc, answer_of_an_older_group_leaves_the_current_one_open);
	tcase_add_test(tc, a_group_opens_while_the_closed_one_still_runs);
	tcase_add_test(tc, no_one_lands_in_a_group_it_saw_answered);
	tcase_add_test(tc, sequences_are_gapless);
	tcase_add_test(tc, numbers_of_both_sides_stay_in_step_over_generations);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
