/* test_ring.c - the places of batches in the ring, freed room, the place of a sequence. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "mirror/log/record.h"
#include "mirror/log/ring.h"
#include "tests/unit/property.h"

#define B MIRROR_BLOCK_BYTES
#define START (192u * 1024)

static struct mirror_ring *ring;

static void setup(void)
{
	ring = mirror_ring_create(START, 16 * B);
	ck_assert_ptr_nonnull(ring);
}

static void teardown(void)
{
	mirror_ring_destroy(ring);
}

/* Append `count` records in `blocks` blocks where the ring says. */
static void append(uint32_t count, uint64_t blocks)
{
	const uint64_t next = mirror_ring_next_sequence(ring);
	uint64_t pad, position;

	ck_assert_int_eq(mirror_ring_reserve(ring, blocks * B, &pad, &position), 0);
	if (pad > 0)
		ck_assert_int_eq(
			mirror_ring_append_entry(ring, 1, next, 0, position - pad, pad),
			0);
	ck_assert_int_eq(
		mirror_ring_append_entry(ring, 1, next, count, position, blocks * B), 0);
	mirror_ring_check(ring);
}

static void no_room(uint64_t blocks)
{
	uint64_t pad, position;

	ck_assert_int_eq(mirror_ring_reserve(ring, blocks * B, &pad, &position), -ENOSPC);
}

static void release_all(void)
{
	uint64_t position, sequence, epoch;

	mirror_ring_tail(ring, &position, &sequence, &epoch);
	mirror_ring_release(ring, position);
}

static uint64_t place_of(uint64_t sequence)
{
	struct mirror_ring_entry entry = { .position = UINT64_MAX };

	mirror_ring_find(ring, sequence, &entry);
	return entry.position;
}

START_TEST(batches_follow_each_other)
{
	append(3, 4);
	append(2, 2);
	ck_assert_uint_eq(mirror_ring_head_position(ring), 6 * B);
	ck_assert_uint_eq(mirror_ring_previous_position(ring), 4 * B);
	ck_assert_uint_eq(mirror_ring_next_sequence(ring), 6);
	ck_assert_uint_eq(mirror_ring_device_offset(ring, 4 * B), START + 4 * B);
	ck_assert_uint_eq(mirror_ring_device_offset(ring, 20 * B), START + 4 * B);
	ck_assert_uint_eq(place_of(1), 0);
	ck_assert_uint_eq(place_of(3), 0);
	ck_assert_uint_eq(place_of(4), 4 * B);
	ck_assert_uint_eq(place_of(6), UINT64_MAX);
	ck_assert_uint_eq(place_of(0), UINT64_MAX);
}
END_TEST

/* A batch never straddles the end: the rest of the lap is reported, and costs room. */
START_TEST(what_does_not_fit_before_the_end_goes_to_the_next_lap)
{
	uint64_t pad, position;

	append(1, 12);
	mirror_ring_free_to(ring, 1);
	release_all();
	ck_assert_uint_eq(mirror_ring_room_bytes(ring), 12 * B);
	ck_assert_int_eq(mirror_ring_reserve(ring, 4 * B, &pad, &position), 0);
	ck_assert_uint_eq(pad, 0);
	ck_assert_uint_eq(position, 12 * B);
	ck_assert_int_eq(mirror_ring_reserve(ring, 5 * B, &pad, &position), 0);
	ck_assert_uint_eq(pad, 4 * B);
	ck_assert_uint_eq(position, 16 * B);
	ck_assert_int_eq(mirror_ring_reserve(ring, 12 * B, &pad, &position), 0);
	no_room(13);
	ck_assert_int_eq(mirror_ring_reserve(ring, 17 * B, &pad, &position), -EMSGSIZE);
	append(1, 12);
	ck_assert_uint_eq(mirror_ring_used_bytes(ring), 16 * B);
	ck_assert_uint_eq(mirror_ring_used_percent(ring), 100);
	ck_assert_uint_eq(mirror_ring_room_bytes(ring), 0);
}
END_TEST

/* P4-14: freed room may be used only once the superblock that says so is durable. */
START_TEST(room_comes_back_in_two_steps)
{
	append(2, 8);
	append(2, 8);
	no_room(1);
	ck_assert_uint_eq(mirror_ring_free_to(ring, 2), 8 * B);
	no_room(1);
	mirror_ring_release(ring, 8 * B);
	append(1, 8);
	no_room(1);
}
END_TEST

/* Room freed after the hint was taken waits for the next one. */
START_TEST(only_what_the_superblock_says_is_released)
{
	uint64_t position, sequence, epoch;

	append(2, 4);
	append(2, 4);
	append(2, 8);
	mirror_ring_free_to(ring, 2);
	mirror_ring_tail(ring, &position, &sequence, &epoch);
	mirror_ring_free_to(ring, 4);
	mirror_ring_release(ring, position);
	ck_assert_uint_eq(mirror_ring_room_bytes(ring), 4 * B);
}
END_TEST

/* In a large ring the index may be full before the ring is. */
START_TEST(a_full_index_is_a_full_ring)
{
	mirror_ring_destroy(ring);
	ring = mirror_ring_create(START, (MIRROR_RING_ENTRY_COUNT_MAX + 100ull) * B);
	for (uint64_t i = 0; i < MIRROR_RING_ENTRY_COUNT_MAX - 2; i++)
		expect(mirror_ring_append_entry(ring, 1, i + 1, 1, i * B, B) == 0);
	ck_assert_uint_eq(mirror_ring_room_bytes(ring), 2 * B);
	no_room(3);
	append(1, 1);
	append(1, 1);
	no_room(1);
	ck_assert_uint_eq(mirror_ring_room_bytes(ring), 0);
	ck_assert_uint_eq(mirror_ring_used_percent(ring), 100);
	ck_assert_int_eq(mirror_ring_append_entry(ring, 1,
						  mirror_ring_next_sequence(ring), 1,
						  mirror_ring_head_position(ring), B),
			 -ENOSPC);
	mirror_ring_free_to(ring, 1);
	append(1, 1);
}
END_TEST

START_TEST(a_descriptor_is_freed_when_all_its_records_are)
{
	uint64_t position, sequence, epoch;

	append(3, 4);
	append(0, 1);               /* a MARK */
	append(3, 4);
	ck_assert_uint_eq(mirror_ring_free_to(ring, 2), 0);
	ck_assert_uint_eq(mirror_ring_oldest_sequence(ring), 1);
	ck_assert_uint_eq(mirror_ring_free_to(ring, 3), 5 * B);
	mirror_ring_tail(ring, &position, &sequence, &epoch);
	ck_assert_uint_eq(position, 5 * B);
	ck_assert_uint_eq(sequence, 4);
	ck_assert_uint_eq(place_of(3), UINT64_MAX);
	ck_assert_uint_eq(place_of(4), 5 * B);
	ck_assert_uint_eq(mirror_ring_free_to(ring, 100), 4 * B);
	ck_assert_uint_eq(mirror_ring_oldest_sequence(ring), 7);
	ck_assert_uint_eq(mirror_ring_previous_position(ring), 5 * B);
}
END_TEST

/* The tail's epoch is that of the oldest descriptor; of an empty ring, that of the next one:
 * nothing older counts there. */
START_TEST(the_tail_hint_carries_its_epoch)
{
	uint64_t position, sequence, epoch;

	append(1, 2);
	mirror_ring_set_epoch(ring, 5);
	mirror_ring_tail(ring, &position, &sequence, &epoch);
	ck_assert_uint_eq(epoch, 1);
	mirror_ring_free_to(ring, 1);
	mirror_ring_tail(ring, &position, &sequence, &epoch);
	ck_assert_uint_eq(epoch, 5);
	ck_assert_uint_eq(sequence, 2);
	ck_assert_uint_eq(position, 2 * B);
}
END_TEST

START_TEST(a_cut_steps_back_to_the_end_of_what_is_kept)
{
	struct mirror_ring_entry entry;

	append(3, 4);
	append(3, 4);
	append(0, 1);
	ck_assert_uint_eq(mirror_ring_truncate_after(ring, 6), 9 * B);   /* nothing */
	ck_assert_uint_eq(mirror_ring_truncate_after(ring, 5), 8 * B);   /* within */
	ck_assert_uint_eq(mirror_ring_next_sequence(ring), 6);
	ck_assert_int_eq(mirror_ring_find(ring, 5, &entry), 0);
	ck_assert_uint_eq(entry.count, 2);
	ck_assert_uint_eq(place_of(6), UINT64_MAX);
	ck_assert_uint_eq(mirror_ring_truncate_after(ring, 3), 4 * B);   /* an edge */
	ck_assert_uint_eq(mirror_ring_previous_position(ring), 0);
	append(1, 1);
	ck_assert_uint_eq(place_of(4), 4 * B);
	ck_assert_uint_eq(mirror_ring_truncate_after(ring, 0), 0);
	ck_assert_uint_eq(mirror_ring_oldest_sequence(ring), 1);
}
END_TEST

START_TEST(a_leap_leaves_a_gap)
{
	append(2, 2);
	mirror_ring_leap(ring, 100);
	append(2, 2);
	ck_assert_uint_eq(place_of(2), 0);
	ck_assert_uint_eq(place_of(3), UINT64_MAX);
	ck_assert_uint_eq(place_of(99), UINT64_MAX);
	ck_assert_uint_eq(place_of(101), 2 * B);
	ck_assert_uint_eq(mirror_ring_next_sequence(ring), 102);
}
END_TEST

START_TEST(entries_can_be_walked)
{
	struct mirror_ring_entry entry;

	append(1, 2);
	append(0, 1);
	append(1, 2);
	ck_assert_int_eq(mirror_ring_find(ring, 1, &entry), 0);
	ck_assert_uint_eq(entry.block_count, 2);
	ck_assert_int_eq(mirror_ring_next(ring, &entry), 0);
	ck_assert_uint_eq(entry.count, 0);
	ck_assert_int_eq(mirror_ring_next(ring, &entry), 0);
	ck_assert_uint_eq(entry.first_sequence, 2);
	ck_assert_int_eq(mirror_ring_next(ring, &entry), -ENOENT);
}
END_TEST

/* ---- against a plain model ----------------------------------------------- */

struct model_entry {
	uint64_t position, first, count;
};

static struct model_entry model[100000];
static uint64_t model_first, model_count;

static uint64_t model_find(uint64_t sequence)
{
	for (uint64_t i = model_first; i < model_count; i++)
		if (sequence >= model[i].first &&
		    sequence - model[i].first < model[i].count)
			return model[i].position;
	return UINT64_MAX;
}

static void model_append(struct random *random)
{
	const uint64_t blocks = 1 + random_below(random, 6);
	const uint64_t count = random_below(random, 5);
	uint64_t pad, position;

	if (mirror_ring_reserve(ring, blocks * B, &pad, &position) != 0)
		return;
	expect(blocks * B <= mirror_ring_room_bytes(ring));
	append((uint32_t)count, blocks);
	model[model_count++] = (struct model_entry){
		.position = position,
		.first = mirror_ring_next_sequence(ring) - count,
		.count = count,
	};
}

static void model_cut(uint64_t sequence)
{
	mirror_ring_truncate_after(ring, sequence);
	while (model_count > model_first && model[model_count - 1].first > sequence)
		model_count--;
	if (model_count > model_first) {
		struct model_entry *last = &model[model_count - 1];

		if (last->count > sequence + 1 - last->first)
			last->count = sequence + 1 - last->first;
	}
}

START_TEST(it_agrees_with_a_plain_model)
{
	struct random random = { .state = (uint64_t)_i + 1 };

	model_first = model_count = 0;
	for (uint32_t i = 0; i < 3000; i++) {
		const uint64_t oldest = mirror_ring_oldest_sequence(ring);
		const uint64_t next = mirror_ring_next_sequence(ring);
		const uint64_t some = oldest + random_below(&random, next - oldest + 1);

		switch (random_below(&random, 8)) {
		case 0:
			mirror_ring_free_to(ring, some);
			while (model_first < model_count &&
			       model[model_first].first + model[model_first].count <=
				       some + 1)
				model_first++;
			break;
		case 1:
			release_all();
			break;
		case 2:
			if (random_below(&random, 20) == 0 && some < next)
				model_cut(some);
			break;
		default:
			model_append(&random);
			break;
		}
		mirror_ring_check(ring);
		for (uint64_t s = oldest; s < next; s++)
			expect(place_of(s) == model_find(s));
	}
	ck_assert_uint_gt(mirror_ring_head_position(ring), 100 * 16 * B);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ring");
	Suite *s = suite_create("ring");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, batches_follow_each_other);
	tcase_add_test(tc, what_does_not_fit_before_the_end_goes_to_the_next_lap);
	tcase_add_test(tc, room_comes_back_in_two_steps);
	tcase_add_test(tc, only_what_the_superblock_says_is_released);
	tcase_add_test(tc, a_full_index_is_a_full_ring);
	tcase_add_test(tc, a_descriptor_is_freed_when_all_its_records_are);
	tcase_add_test(tc, the_tail_hint_carries_its_epoch);
	tcase_add_test(tc, a_cut_steps_back_to_the_end_of_what_is_kept);
	tcase_add_test(tc, a_leap_leaves_a_gap);
	tcase_add_test(tc, entries_can_be_walked);
	tcase_add_loop_test(tc, it_agrees_with_a_plain_model, 0, 20);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
