/* test_scan.c - W3-W5: the end of a log is found, damage is told from it. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/log/descriptor.h"
#include "tests/unit/log_model.h"

static struct log_model m;

static void setup(void)
{
	log_model_create(&m, MODEL_LOG_BYTES);
}

static void teardown(void)
{
	log_model_destroy(&m);
}

static void ends_at(uint64_t first, uint64_t last)
{
	const enum mirror_scan_step step = log_model_scan(&m, 0);

	if (step != MIRROR_SCAN_END)
		ck_abort_msg("damaged: %s", m.scan.result.text);
	ck_assert_uint_eq(m.scan.result.last_sequence, last);
	ck_assert_uint_eq(m.found_count, last + 1 - first);
	if (last >= first)
		ck_assert_uint_eq(m.found_first, first);
}

static void is_damaged(uint64_t sequence)
{
	ck_assert_int_eq(log_model_scan(&m, 0), MIRROR_SCAN_DAMAGED);
	ck_assert_uint_eq(m.scan.result.damage_sequence, sequence);
	ck_assert_str_ne(m.scan.result.text, "");
	ck_assert_int_eq(mirror_scan_step(&m.scan), MIRROR_SCAN_DAMAGED);
}

/* Position of the descriptor that holds `sequence`. */
static uint64_t place_of(uint64_t sequence)
{
	struct mirror_ring_entry entry;

	ck_assert_int_eq(mirror_ring_find(m.ring, sequence, &entry), 0);
	return entry.position;
}

/* ---- the end ------------------------------------------------------------- */

START_TEST(an_empty_log_ends_where_it_begins)
{
	ends_at(1, 0);
	ck_assert_uint_eq(m.scan.result.head_position, 0);
	ck_assert_int_eq(mirror_scan_step(&m.scan), MIRROR_SCAN_END);
}
END_TEST

START_TEST(all_records_are_found_in_order_with_their_data)
{
	log_model_append_all(&m, 300, 60);
	log_model_flush(&m);
	log_model_mark(&m);
	ends_at(1, 300);
	ck_assert_uint_eq(m.scan.result.head_position, mirror_ring_head_position(m.ring));
	ck_assert_uint_eq(m.scan.result.durable, 300);
	ck_assert_uint_eq(m.scan.result.last_generation, 1);
	ck_assert_uint_eq(m.scan.result.last_time_ns, 300 * 1000);
	ck_assert_uint_eq(m.scan.result.confirmed[0], 300);
}
END_TEST

/* The record with the largest data there is goes through a buffer that ends within. */
START_TEST(data_may_be_larger_than_what_is_left_in_the_buffer)
{
	m.data_blocks_max = MIRROR_RECORD_DATA_MAX / MIRROR_BLOCK_BYTES;
	log_model_append_all(&m, 40, 10);
	ck_assert_uint_gt(mirror_ring_used_bytes(m.ring), MIRROR_SCAN_BUFFER_BYTES_MIN);
	ends_at(1, 40);
}
END_TEST

/* W4, first half: records that no mark covers may be torn. */
START_TEST(a_torn_tail_that_was_never_durable_is_the_end)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_append(&m, 5);
	log_model_append(&m, 5);
	log_model_damage(&m, place_of(11));
	ends_at(1, 10);
}
END_TEST

START_TEST(torn_data_ends_the_log_like_a_torn_descriptor)
{
	uint64_t sequence = 11;
	struct mirror_header h;

	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	do
		log_model_header(&m, 1, ++sequence, &h);
	while (h.data_bytes == 0);
	log_model_append(&m, (uint32_t)(sequence - 10));
	log_model_damage(&m, mirror_ring_head_position(m.ring) - MIRROR_BLOCK_BYTES);
	ends_at(1, 10);
}
END_TEST

/* W4, second half. */
START_TEST(a_stop_before_a_later_descriptors_mark_is_damage)
{
	uint64_t place;

	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_append(&m, 5);
	place = place_of(6);
	log_model_damage(&m, place);
	is_damaged(6);
	ck_assert_uint_eq(m.scan.result.damage_position, place);
}
END_TEST

START_TEST(a_stop_before_the_superblocks_mark_is_damage)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_damage(&m, place_of(6));
	ends_at(1, 5);                  /* nothing says that 6 was durable ... */
	log_model_superblock(&m);
	is_damaged(6);                  /* ... and now something does */
}
END_TEST

START_TEST(a_stop_before_a_peers_mark_is_damage)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_damage(&m, place_of(6));
	ck_assert_int_eq(log_model_scan(&m, 5), MIRROR_SCAN_END);
	ck_assert_int_eq(log_model_scan(&m, 6), MIRROR_SCAN_DAMAGED);
}
END_TEST

/* An idle log's MARK proves its last records. */
START_TEST(a_mark_proves_the_last_records)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_mark(&m);
	log_model_damage(&m, place_of(6));
	is_damaged(6);
}
END_TEST

/* A flip of any bit anywhere in durable, needed data is found. */
START_TEST(no_damage_to_durable_records_goes_unnoticed)
{
	struct random random = { .state = (uint64_t)_i + 1 };
	uint64_t head, position;

	log_model_append_all(&m, 120, 1 + (uint32_t)_i % 60);
	head = mirror_ring_head_position(m.ring);
	log_model_flush(&m);
	log_model_mark(&m);
	position = random_below(&random, head / MIRROR_BLOCK_BYTES) * MIRROR_BLOCK_BYTES;
	/* No record is shorter: this is never one of the zeroes behind its data. */
	log_model_damage(&m, position + random_below(&random, 512));
	ck_assert_int_eq(log_model_scan(&m, 0), MIRROR_SCAN_DAMAGED);
}
END_TEST

/* ---- records at home ----------------------------------------------------- */

/* A ring full of records that are home and kept for another site, and some that are not.
 * The scan reads only a descriptor of each, the data of records not at home, and the bytes
 * behind the end. */
START_TEST(data_of_what_is_home_is_not_read)
{
	uint64_t used;

	log_model_destroy(&m);
	log_model_create(&m, 48u << 20);
	m.data_blocks_max = MIRROR_RECORD_DATA_MAX / MIRROR_BLOCK_BYTES;
	log_model_append_all(&m, 560, 8);
	log_model_flush(&m);
	m.home = 540;
	log_model_superblock(&m);
	log_model_mark(&m);
	used = mirror_ring_used_bytes(m.ring);
	ck_assert_uint_gt(used, 16u << 20);
	log_model_damage(&m, place_of(1) + MIRROR_BLOCK_BYTES);
	ends_at(1, 560);
	ck_assert_uint_gt(m.scan.result.skipped_bytes, used / 10 * 9);
	ck_assert_uint_lt(m.scan.result.read_bytes, MIRROR_SCAN_WINDOW_BYTES + used / 5);
}
END_TEST

/* Their descriptors are checked, and all of the records that no superblock says are home. */
START_TEST(damage_among_what_is_home_is_found_in_descriptors)
{
	log_model_append_all(&m, 120, 10);
	log_model_flush(&m);
	m.home = 60;
	log_model_superblock(&m);
	log_model_mark(&m);
	log_model_damage(&m, place_of(61) + MIRROR_BLOCK_BYTES);
	is_damaged(61);
	log_model_damage(&m, place_of(31));
	is_damaged(31);
}
END_TEST

/* Rewrite the descriptor at `position` after `change`. */
static void rewrite(uint64_t position, void (*change)(struct mirror_descriptor *))
{
	static struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct mirror_descriptor d;

	ck_assert_int_eq(mirror_descriptor_decode(log_model_at(&m, position), NULL, NULL,
						  &d, headers),
			 0);
	change(&d);
	mirror_descriptor_encode(&d, headers, log_model_at(&m, position));
}

/* ---- leftovers ----------------------------------------------------------- */

/* One log write of two descriptors, the first torn, the second whole. The log goes on at
 * the first one's place with a descriptor of the same size. The leftover second one then
 * fits in position, sequence and chain, and must not be taken. */
START_TEST(what_a_torn_write_left_behind_is_not_taken_later)
{
	uint64_t second;

	log_model_append(&m, 10);
	log_model_flush(&m);
	log_model_append(&m, 96);
	second = place_of(59);
	ck_assert_uint_gt(second, place_of(11));
	log_model_damage(&m, place_of(11));
	ck_assert_int_eq(log_model_open(&m), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.logged, 10);

	/* The MARK took a block; the 48 that follow end where? Make it so that a
	 * descriptor ends exactly at the leftover. */
	while (mirror_ring_head_position(m.ring) < second)
		log_model_mark(&m);
	m.logged = 58;
	mirror_ring_leap(m.ring, 59);
	log_model_flush(&m);
	ck_assert_int_eq(log_model_scan(&m, 0), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.scan.result.last_sequence, 10);
	ck_assert_uint_eq(m.scan.result.head_position, second);
}
END_TEST

START_TEST(what_a_cut_dropped_is_not_taken_again)
{
	log_model_append_all(&m, 20, 5);
	log_model_restart(&m, 10);          /* at a descriptor's edge */
	ends_at(1, 10);
	ck_assert_int_eq(log_model_open(&m), MIRROR_SCAN_END);
	ends_at(1, 10);
}
END_TEST

START_TEST(a_cut_within_a_descriptor_keeps_its_first_records)
{
	log_model_append_all(&m, 20, 10);
	log_model_restart(&m, 13);
	ends_at(1, 13);
	log_model_append(&m, 4);
	log_model_flush(&m);
	log_model_mark(&m);
	ends_at(1, 17);
	ck_assert_uint_eq(m.scan.result.last_generation, 2);
}
END_TEST

static void confirm_ahead(struct mirror_descriptor *d)
{
	d->confirmed[1] = 20;
}

/* Another site's confirmation beyond the cut must not outlive it: its records of these
 * numbers are others. */
START_TEST(a_cut_lowers_what_was_confirmed)
{
	log_model_append_all(&m, 20, 10);
	rewrite(place_of(11), confirm_ahead);   /* it was faster than our own log */
	ends_at(1, 20);
	ck_assert_uint_eq(m.scan.result.confirmed[1], 20);
	log_model_restart(&m, 13);
	ends_at(1, 13);
	ck_assert_uint_eq(m.scan.result.confirmed[1], 13);
}
END_TEST

/* A later cut may go deeper than an earlier one, or not as deep. */
START_TEST(cuts_may_follow_cuts)
{
	log_model_append_all(&m, 30, 10);
	log_model_restart(&m, 25);
	log_model_append(&m, 10);           /* to 35 */
	log_model_restart(&m, 31);
	log_model_append(&m, 3);
	ends_at(1, 34);
	log_model_restart(&m, 22);
	ends_at(1, 22);
	ck_assert_uint_eq(m.sb.restart_count, 1);
	log_model_restart(&m, 0);
	ends_at(1, 0);
	log_model_append(&m, 5);
	ends_at(1, 5);
}
END_TEST

START_TEST(a_leap_is_followed)
{
	log_model_append_all(&m, 10, 5);
	log_model_restart(&m, 1000);
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_mark(&m);
	ck_assert_int_eq(log_model_scan(&m, 0), MIRROR_SCAN_END);
	ck_assert_uint_eq(m.found_count, 20);
	ck_assert_uint_eq(m.scan.result.last_sequence, 1010);
	log_model_damage(&m, place_of(1001));
	is_damaged(1001);
}
END_TEST

/* The superblock says where the log was cut: a scan that stops before is damage. */
START_TEST(a_stop_before_a_cut_is_damage)
{
	log_model_append_all(&m, 20, 5);
	log_model_restart(&m, 10);
	m.sb.durable.sequence = 0;
	log_model_damage(&m, place_of(6));
	is_damaged(6);
}
END_TEST

/* W6: a refresh cut short. */
START_TEST(a_hold_ends_the_log)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	m.sb.hold.active = true;
	m.sb.hold.sequence = 10;
	m.sb.hold.position = mirror_ring_head_position(m.ring);
	log_model_restart(&m, 1000);
	log_model_append_all(&m, 20, 5);
	log_model_flush(&m);
	log_model_mark(&m);
	ends_at(1, 10);
	ck_assert(m.scan.result.held);
	ck_assert_uint_eq(m.scan.result.head_position, m.sb.hold.position);
	ck_assert_uint_le(m.scan.result.durable, 10);

	log_model_damage(&m, m.sb.hold.position);
	ends_at(1, 10);
	log_model_damage(&m, place_of(6));
	is_damaged(6);
}
END_TEST

/* All that counts is there, though the way to the hold is not. */
START_TEST(a_hold_ends_the_log_once_its_records_are_found)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	log_model_mark(&m);
	m.sb.hold.active = true;
	m.sb.hold.sequence = 10;
	m.sb.hold.position = mirror_ring_head_position(m.ring);
	log_model_restart(&m, 1000);
	log_model_damage(&m, m.sb.hold.position - MIRROR_BLOCK_BYTES);
	ends_at(1, 10);
	ck_assert(m.scan.result.held);
}
END_TEST

/* The first descriptor is damaged. That all it held is at home does not make it the end:
 * another site may need it still. */
START_TEST(damage_at_the_tail_is_damage)
{
	log_model_append_all(&m, 10, 5);
	log_model_flush(&m);
	m.home = 8;
	log_model_mark(&m);
	log_model_damage(&m, place_of(1));
	is_damaged(1);
	ck_assert(m.scan.result.surveyed);
}
END_TEST

/* ---- by name ------------------------------------------------------------- */

static void another_lap(struct mirror_descriptor *d)
{
	d->position += m.sb.ring_bytes;
}

static void another_chain(struct mirror_descriptor *d)
{
	d->previous_position -= MIRROR_BLOCK_BYTES;
}

static void pad_too_far(struct mirror_descriptor *d)
{
	d->type = MIRROR_DESCRIPTOR_PAD;
	d->total_bytes += MIRROR_BLOCK_BYTES;
}

static void foreign(struct mirror_descriptor *d)
{
	d->log.byte[0]++;
}

static void later_epoch(struct mirror_descriptor *d)
{
	d->epoch++;
}

START_TEST(another_logs_descriptor_is_not_taken)
{
	log_model_append_all(&m, 10, 5);
	rewrite(place_of(6), foreign);
	ends_at(1, 5);
}
END_TEST

START_TEST(another_laps_descriptor_is_not_taken)
{
	log_model_append_all(&m, 10, 5);
	rewrite(place_of(6), another_lap);
	ends_at(1, 5);
}
END_TEST

START_TEST(what_does_not_follow_is_not_taken)
{
	log_model_append_all(&m, 15, 5);
	rewrite(place_of(11), another_chain);
	ends_at(1, 10);
}
END_TEST

START_TEST(a_pad_skips_exactly_the_rest_of_its_lap)
{
	uint64_t place;

	log_model_append_all(&m, 10, 5);
	place = mirror_ring_head_position(m.ring);
	log_model_mark(&m);
	rewrite(place, pad_too_far);
	is_damaged(11);
	ck_assert_ptr_nonnull(strstr(m.scan.result.text, "does not fit the ring"));
}
END_TEST

START_TEST(a_cut_within_what_is_whole_is_damage)
{
	log_model_append_all(&m, 10, 5);
	log_model_restart(&m, 10);
	m.sb.restart[0].position -= MIRROR_BLOCK_BYTES;
	ck_assert_int_eq(log_model_scan_with(&m, &m.sb, 0), MIRROR_SCAN_DAMAGED);
}
END_TEST

START_TEST(a_lost_superblock_is_noticed)
{
	log_model_append_all(&m, 10, 5);
	rewrite(place_of(6), later_epoch);
	is_damaged(6);
	ck_assert_ptr_nonnull(strstr(m.scan.result.text, "superblock was lost"));
}
END_TEST

/* Data that is intact but not where it belongs: here, another record's. */
START_TEST(data_of_another_place_is_not_taken)
{
	uint64_t position;

	m.data_blocks_max = 1;
	log_model_append_all(&m, 48, 48);
	position = place_of(1) + MIRROR_BLOCK_BYTES;
	memcpy(log_model_at(&m, position),
	       log_model_at(&m, position + MIRROR_BLOCK_BYTES), MIRROR_BLOCK_BYTES);
	ends_at(1, 0);
}
END_TEST

/* ---- unreadable places --------------------------------------------------- */

static void break_block(uint64_t position)
{
	m.bad_block = (int64_t)(mirror_ring_device_offset(m.ring, position) /
				MIRROR_BLOCK_BYTES);
}

START_TEST(a_block_that_cannot_be_read_is_judged_like_a_torn_one)
{
	uint64_t place;

	log_model_append_all(&m, 20, 5);
	place = place_of(11);
	break_block(place);
	ends_at(1, 10);
	m.bad_block = -1;
	ends_at(1, 20);
	log_model_flush(&m);
	log_model_append(&m, 5);
	break_block(place);
	is_damaged(11);
	m.bad_block++;                      /* its data */
	ck_assert_int_eq(log_model_scan(&m, 0), MIRROR_SCAN_DAMAGED);
}
END_TEST

START_TEST(a_block_behind_the_end_that_cannot_be_read_does_not_matter)
{
	log_model_append_all(&m, 20, 5);
	break_block(mirror_ring_head_position(m.ring) + 10 * MIRROR_BLOCK_BYTES);
	ends_at(1, 20);
	break_block(mirror_ring_head_position(m.ring));
	ends_at(1, 20);
}
END_TEST

int main(void)
{
	TCase *end = tcase_create("end"), *leftovers = tcase_create("leftovers");
	TCase *names = tcase_create("by name"), *unreadable = tcase_create("unreadable");
	Suite *s = suite_create("scan");
	SRunner *sr = srunner_create(s);
	TCase *all[] = { end, leftovers, names, unreadable };
	int failed;

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		tcase_add_checked_fixture(all[i], setup, teardown);
		suite_add_tcase(s, all[i]);
	}
	tcase_add_test(end, an_empty_log_ends_where_it_begins);
	tcase_add_test(end, data_of_what_is_home_is_not_read);
	tcase_add_test(end, damage_among_what_is_home_is_found_in_descriptors);
	tcase_add_test(end, all_records_are_found_in_order_with_their_data);
	tcase_add_test(end, data_may_be_larger_than_what_is_left_in_the_buffer);
	tcase_add_test(end, a_torn_tail_that_was_never_durable_is_the_end);
	tcase_add_test(end, torn_data_ends_the_log_like_a_torn_descriptor);
	tcase_add_test(end, a_stop_before_a_later_descriptors_mark_is_damage);
	tcase_add_test(end, a_stop_before_the_superblocks_mark_is_damage);
	tcase_add_test(end, a_stop_before_a_peers_mark_is_damage);
	tcase_add_test(end, a_mark_proves_the_last_records);
	tcase_add_test(end, damage_at_the_tail_is_damage);
	tcase_add_loop_test(end, no_damage_to_durable_records_goes_unnoticed, 0, 200);
	tcase_add_test(leftovers, what_a_torn_write_left_behind_is_not_taken_later);
	tcase_add_test(leftovers, what_a_cut_dropped_is_not_taken_again);
	tcase_add_test(leftovers, a_cut_within_a_descriptor_keeps_its_first_records);
	tcase_add_test(leftovers, a_cut_lowers_what_was_confirmed);
	tcase_add_test(leftovers, cuts_may_follow_cuts);
	tcase_add_test(leftovers, a_leap_is_followed);
	tcase_add_test(leftovers, a_stop_before_a_cut_is_damage);
	tcase_add_test(leftovers, a_hold_ends_the_log);
	tcase_add_test(leftovers, a_hold_ends_the_log_once_its_records_are_found);
	tcase_add_test(names, another_logs_descriptor_is_not_taken);
	tcase_add_test(names, another_laps_descriptor_is_not_taken);
	tcase_add_test(names, what_does_not_follow_is_not_taken);
	tcase_add_test(names, a_pad_skips_exactly_the_rest_of_its_lap);
	tcase_add_test(names, a_cut_within_what_is_whole_is_damage);
	tcase_add_test(names, a_lost_superblock_is_noticed);
	tcase_add_test(names, data_of_another_place_is_not_taken);
	tcase_add_test(unreadable, a_block_that_cannot_be_read_is_judged_like_a_torn_one);
	tcase_add_test(unreadable,
		       a_block_behind_the_end_that_cannot_be_read_does_not_matter);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
