/* test_scan_laps.c - P4-14, P4-21: many laps of a small ring, with crashes that lose any
 * blocks not flushed, cuts, and hints that are good, old or absent: no record is lost or
 * invented, and the same head is found. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/log_model.h"

#define LAP_COUNT 1000u

static struct log_model m;
static struct random random_state;
static struct mirror_superblock old;
static uint32_t old_found_count, old_surveyed_count, old_refused_count;

static void setup(void)
{
	log_model_create(&m, MODEL_LOG_BYTES);
	old = m.sb;
}

static void teardown(void)
{
	log_model_destroy(&m);
}

static uint64_t below(uint64_t count)
{
	return random_below(&random_state, count);
}

/* A scan with this superblock ends where it should. */
static void finds_the_same(const struct mirror_superblock *sb, uint64_t head,
			   uint64_t last, uint64_t tail)
{
	const enum mirror_scan_step step = log_model_scan_with(&m, sb, 0);

	if (step != MIRROR_SCAN_END)
		ck_abort_msg("damaged: %s", m.scan.result.text);
	expect(m.scan.result.head_position == head);
	expect(m.scan.result.last_sequence == last);
	expect(m.found_count == 0 || (m.found_first <= tail && m.found_last == last));
	expect(m.found_count > 0 || tail > last);
}

/* The newest superblock is lost, and the one before is older than the engine would ever
 * leave it. The place of its hint may have been overwritten since, wholly or in part by a
 * write that the crash cut short, or passed over by a PAD: then the scan refuses. */
static void finds_the_same_or_refuses(const struct mirror_superblock *sb, uint64_t head,
				      uint64_t last, uint64_t tail)
{
	if (log_model_scan_with(&m, sb, 0) == MIRROR_SCAN_END) {
		finds_the_same(sb, head, last, tail);
		old_found_count++;
		old_surveyed_count += m.scan.result.surveyed;
	} else {
		old_refused_count++;
	}
}

static void crash_and_open(void)
{
	const uint64_t durable = m.durable, logged = m.logged, home = m.home;
	struct mirror_superblock without;
	uint64_t head, last;

	log_model_crash(&m, &random_state);
	if (log_model_scan(&m, 0) != MIRROR_SCAN_END)
		ck_abort_msg("damaged: %s", m.scan.result.text);
	head = m.scan.result.head_position;
	last = m.scan.result.last_sequence;
	expect(last >= durable && last <= logged);
	expect(m.scan.result.home <= home);
	expect(m.found_count == 0 || m.found_last == last);
	expect(m.sb.tail_sequence + m.found_count == last + 1);

	without = m.sb;
	without.tail_position = without.tail_sequence = without.head_position = 0;
	if (m.sb.tail_sequence <= last)
		finds_the_same(&without, head, last, m.sb.tail_sequence);
	else if (log_model_scan_with(&m, &without, 0) == MIRROR_SCAN_END)
		/* Nothing is needed: it may begin anew, further on. */
		expect(m.scan.result.last_sequence == last &&
		       m.scan.result.head_position >= head);
	expect(m.scan.result.surveyed);
	if (old.log_epoch == m.sb.log_epoch)
		finds_the_same_or_refuses(&old, head, last, m.sb.tail_sequence);

	expect(log_model_open(&m) == MIRROR_SCAN_END);
	old = m.sb;
}

static void step(void)
{
	switch (below(16)) {
	default:
		if (!log_model_append(&m, 1 + (uint32_t)below(below(8) == 0 ? 100 : 8)))
			log_model_free_to(&m, m.durable);
		break;
	case 0:
	case 1:
	case 2:
		log_model_flush(&m);
		break;
	case 3:
		log_model_mark(&m);
		break;
	case 4:
	case 5:
		log_model_free_to(&m, m.home + below(m.durable - m.home + 1));
		break;
	case 6:
		log_model_superblock(&m);
		break;
	case 7:
		if (below(8) == 0)
			crash_and_open();
		break;
	case 8:
		if (below(40) == 0 && m.sb.restart_count < MIRROR_RESTART_COUNT_MAX)
			log_model_restart(&m, m.home + below(m.logged - m.home + 1));
		break;
	}
}

START_TEST(no_record_is_lost_or_invented_in_many_laps)
{
	uint64_t laps = 0;

	random_state.state = 1000 + (uint64_t)_i;
	while (laps < LAP_COUNT / 4) {
		step();
		if (below(64) == 0)
			mirror_ring_check(m.ring);
		laps = mirror_ring_head_position(m.ring) / m.sb.ring_bytes;
	}
	ck_assert_uint_gt(m.generation, 100);
	ck_assert_uint_gt(old_surveyed_count, 10);
	ck_assert_uint_gt(old_found_count, 10 * old_refused_count);
}
END_TEST

START_TEST(a_ring_that_is_exactly_full_ends_at_its_tail)
{
	while (log_model_append(&m, 1))
		log_model_flush(&m);
	while (log_model_mark(&m))
		continue;
	ck_assert_uint_eq(mirror_ring_head_position(m.ring), m.sb.ring_bytes);
	finds_the_same(&m.sb, m.sb.ring_bytes, m.logged, 1);
	ck_assert_int_eq(log_model_open(&m), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.sb.restart_count, 1); /* in place of the MARK */
	finds_the_same(&m.sb, m.sb.ring_bytes, m.logged, 1);
}
END_TEST

/* The ring is never written beyond the room that the durable superblock gives back. */
START_TEST(freed_room_is_not_reused_before_the_superblock_says_so)
{
	while (log_model_append(&m, 1))
		log_model_flush(&m);
	log_model_free_to(&m, m.durable);
	ck_assert(!log_model_append(&m, 40));
	log_model_superblock(&m);
	ck_assert(log_model_append(&m, 40));
}
END_TEST

/* The hint is absent, and so is the record that it would have named. */
START_TEST(a_gap_before_the_oldest_record_found_is_damage)
{
	struct mirror_superblock without;

	log_model_append_all(&m, 100, 10);
	log_model_flush(&m);
	log_model_mark(&m);
	without = m.sb;
	without.tail_sequence = 0;
	finds_the_same(&without, mirror_ring_head_position(m.ring), 100, 1);
	log_model_damage(&m, 0);
	ck_assert_int_eq(log_model_scan_with(&m, &without, 0), MIRROR_SCAN_DAMAGED);
	without.home.sequence = 10; /* ... unless it was at home */
	ck_assert_int_eq(log_model_scan_with(&m, &without, 0), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.found_first, 11);
}
END_TEST

/* The highest mark tells remains in free room from needed records ... */
START_TEST(damage_in_what_is_free_does_not_matter_without_a_hint)
{
	struct mirror_superblock without;

	log_model_append_all(&m, 200, 10);
	log_model_flush(&m);
	log_model_free_to(&m, 150);
	log_model_superblock(&m);
	log_model_damage(&m, 20 * MIRROR_BLOCK_BYTES);
	without = m.sb;
	without.tail_sequence = 0;
	finds_the_same(&without, mirror_ring_head_position(m.ring), 200, 151);
	ck_assert_uint_gt(m.found_first, 1);
}
END_TEST

/* ... and so does the latest epoch: a cut gave records up, and they are not overwritten yet.
 * They even begin before the needed ones. */
START_TEST(what_was_given_up_is_not_found_without_a_hint)
{
	struct mirror_superblock without;
	struct mirror_ring_entry given_up, freed;

	log_model_append_all(&m, 60, 1);
	ck_assert_int_eq(mirror_ring_find(m.ring, 50, &given_up), 0);
	log_model_restart(&m, 10);
	log_model_append_all(&m, 40, 40);
	ck_assert_int_eq(mirror_ring_find(m.ring, 11, &freed), 0);
	log_model_append_all(&m, 5, 5);
	log_model_flush(&m);
	log_model_mark(&m);
	ck_assert_uint_lt(mirror_ring_head_position(m.ring), given_up.position);
	log_model_free_to(&m, 50);
	log_model_superblock(&m);
	log_model_damage(&m, freed.position);
	without = m.sb;
	without.tail_sequence = without.tail_epoch = 0;
	finds_the_same(&without, mirror_ring_head_position(m.ring), 55, 51);
	ck_assert_uint_eq(m.found_first, 51);
}
END_TEST

START_TEST(a_log_cut_to_nothing_is_empty_without_a_hint)
{
	struct mirror_superblock without;
	uint64_t end;

	log_model_append_all(&m, 100, 50);
	end = mirror_ring_head_position(m.ring);
	log_model_restart(&m, 0);
	without = m.sb;
	without.tail_sequence = without.head_position = 0;
	ck_assert_int_eq(log_model_scan_with(&m, &without, 0), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.scan.result.last_sequence, 0);
	ck_assert_uint_ge(m.scan.result.head_position, end);
}
END_TEST

START_TEST(without_hint_an_empty_log_goes_on_behind_what_was_home)
{
	struct mirror_superblock without = m.sb;

	without.tail_sequence = 0;
	ck_assert_int_eq(log_model_scan_with(&m, &without, 0), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.scan.result.last_sequence, 0);
	without.durable.sequence = 69;
	ck_assert_int_eq(log_model_scan_with(&m, &without, 0), MIRROR_SCAN_DAMAGED);
	without.home.sequence = 69;
	ck_assert_int_eq(log_model_scan_with(&m, &without, 0), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.scan.result.last_sequence, 69);
	ck_assert_int_eq(log_model_scan_with(&m, &without, 70), MIRROR_SCAN_DAMAGED);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("laps");
	Suite *s = suite_create("scan");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, no_record_is_lost_or_invented_in_many_laps, 0, 4);
	tcase_add_test(tc, a_ring_that_is_exactly_full_ends_at_its_tail);
	tcase_add_test(tc, freed_room_is_not_reused_before_the_superblock_says_so);
	tcase_add_test(tc, a_gap_before_the_oldest_record_found_is_damage);
	tcase_add_test(tc, damage_in_what_is_free_does_not_matter_without_a_hint);
	tcase_add_test(tc, what_was_given_up_is_not_found_without_a_hint);
	tcase_add_test(tc, a_log_cut_to_nothing_is_empty_without_a_hint);
	tcase_add_test(tc, without_hint_an_empty_log_goes_on_behind_what_was_home);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
