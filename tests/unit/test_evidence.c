/* test_evidence.c - a disk is known again, or is not. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/evidence.h"

static struct mirror_evidence e;
static uint8_t data[MIRROR_RECORD_DATA_MAX];

static void setup(void)
{
	memset(&e, 0, sizeof e);
	e.disk_count = 3;
	strcpy(e.identity[0], "wwid:a");
	strcpy(e.identity[1], "wwid:b");
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 + 1);
}

static struct mirror_header write_of(uint64_t sequence, uint64_t offset, uint64_t length)
{
	return (struct mirror_header){
		.type = MIRROR_RECORD_WRITE,
		.disk = 1,
		.sequence = sequence,
		.disk_sequence = sequence,
		.offset_bytes = offset,
		.length_bytes = length,
		.data_bytes = (uint32_t)length,
	};
}

static void home(uint64_t sequence, uint64_t offset, uint64_t length)
{
	const struct mirror_header h = write_of(sequence, offset, length);

	mirror_evidence_home(&e, &h, mirror_evidence_crc(&h, data));
}

/* The sample of that record, or NULL. */
static const struct mirror_sample *sample_of(uint64_t sequence)
{
	for (uint32_t i = 0; i < mirror_evidence_slots(&e); i++)
		if (mirror_evidence_sample(&e, 1, i)->sequence == sequence)
			return mirror_evidence_sample(&e, 1, i);
	return NULL;
}

/* ---- samples ------------------------------------------------------------- */

START_TEST(a_whole_block_is_taken_where_there_is_one)
{
	home(1, 512, 512);
	ck_assert_uint_eq(sample_of(1)->offset_bytes, 512);
	ck_assert_uint_eq(sample_of(1)->length_bytes, 512);
	home(2, 8192 + 512, 16384);
	ck_assert_uint_eq(sample_of(2)->offset_bytes, 12288);
	ck_assert_uint_eq(sample_of(2)->length_bytes, 4096);
	home(3, 65536 + 512, 7168);
	ck_assert_uint_eq(sample_of(3)->offset_bytes, 65536 + 512);
	ck_assert_uint_eq(sample_of(3)->length_bytes, 4096);
	ck_assert_uint_eq(mirror_evidence_count(&e, 1), 3);
	ck_assert_uint_eq(mirror_evidence_count(&e, 0), 0);
}
END_TEST

START_TEST(zeroes_and_what_has_no_data_are_no_sample)
{
	struct mirror_header h = write_of(1, 0, 8192);
	static const uint8_t zero[8192];

	ck_assert_uint_eq(mirror_evidence_crc(&h, zero), 0);
	h.type = MIRROR_RECORD_ZERO;
	ck_assert_uint_eq(mirror_evidence_crc(&h, data), 0);
	h.type = MIRROR_RECORD_FLUSH;
	ck_assert_uint_eq(mirror_evidence_crc(&h, NULL), 0);
}
END_TEST

START_TEST(what_a_later_record_touches_does_not_count)
{
	struct mirror_header h = write_of(9, 4096 + 4095 / 512 * 512, 512);

	home(5, 4096, 4096);
	home(10, 65536, 4096);
	mirror_evidence_touch(&e, &h);
	ck_assert_ptr_null(sample_of(5));
	h = write_of(9, 65536, 4096); /* an older one, found in the log */
	mirror_evidence_touch(&e, &h);
	ck_assert_ptr_nonnull(sample_of(10));
	h = write_of(11, 65536 + 4096, 4096); /* beside it */
	mirror_evidence_touch(&e, &h);
	ck_assert_ptr_nonnull(sample_of(10));
	h.disk = 0;
	h.offset_bytes = 65536;
	mirror_evidence_touch(&e, &h);
	ck_assert_ptr_nonnull(sample_of(10));
	h.disk = 1;
	h.type = MIRROR_RECORD_ZERO;
	mirror_evidence_home(&e, &h, 0);
	ck_assert_ptr_null(sample_of(10));
}
END_TEST

START_TEST(old_ones_and_new_ones_are_kept)
{
	uint64_t newest = 0, oldest = UINT64_MAX;

	for (uint64_t s = 1; s <= 20000; s++)
		home(s, s * 4096, 4096);
	ck_assert_uint_eq(mirror_evidence_count(&e, 1), MIRROR_SAMPLE_OF_DISK_MAX);
	for (uint32_t i = 0; i < mirror_evidence_slots(&e); i++) {
		const uint64_t s = mirror_evidence_sample(&e, 1, i)->sequence;

		newest = s > newest ? s : newest;
		oldest = s < oldest ? s : oldest;
	}
	ck_assert_uint_eq(newest, 20000);
	ck_assert_uint_lt(oldest, 10000);
}
END_TEST

START_TEST(what_was_cut_off_does_not_count)
{
	home(5, 4096, 4096);
	home(6, 8192, 4096);
	mirror_evidence_cut(&e, 5);
	ck_assert_ptr_nonnull(sample_of(5));
	ck_assert_ptr_null(sample_of(6));
}
END_TEST

START_TEST(all_disks_together_have_a_bound)
{
	for (e.disk_count = 1; e.disk_count <= CONFIG_DISK_COUNT_MAX; e.disk_count++) {
		ck_assert_uint_ge(mirror_evidence_slots(&e), 2);
		ck_assert_uint_le(mirror_evidence_slots(&e) * e.disk_count,
				  MIRROR_SAMPLE_COUNT_MAX);
	}
}
END_TEST

/* ---- the verdict --------------------------------------------------------- */

static enum mirror_disk_verdict judge(const char *found, uint32_t same, uint32_t other)
{
	uint32_t exchanged = 99;
	const enum mirror_disk_verdict v = mirror_evidence_judge(&e, 0, found, same,
								 other, &exchanged);

	if (v == MIRROR_DISK_EXCHANGED)
		ck_assert_uint_eq(exchanged, 1);
	return v;
}

START_TEST(verdicts)
{
	ck_assert_int_eq(judge("wwid:a", 0, 0), MIRROR_DISK_SAME);
	ck_assert_int_eq(judge("wwid:a", 7, 0), MIRROR_DISK_SAME);
	ck_assert_int_eq(judge("wwid:a", 7, 1), MIRROR_DISK_CHANGED);
	ck_assert_int_eq(judge("wwid:b", 7, 0), MIRROR_DISK_EXCHANGED);
	ck_assert_int_eq(judge("wwid:b", 0, 7), MIRROR_DISK_EXCHANGED);
	ck_assert_int_eq(judge("wwid:c", 1, 0), MIRROR_DISK_MOVED);
	ck_assert_int_eq(judge("wwid:c", 7, 1), MIRROR_DISK_CHANGED);
	ck_assert_int_eq(judge("wwid:c", 0, 0), MIRROR_DISK_FOREIGN);
	ck_assert_int_eq(judge("", 0, 0), MIRROR_DISK_FOREIGN);
	ck_assert_int_eq(judge("", 1, 0), MIRROR_DISK_MOVED);
	ck_assert_int_eq(judge("", 0, 1), MIRROR_DISK_CHANGED);
	e.identity[0][0] = 0;
	ck_assert_int_eq(judge("", 0, 0), MIRROR_DISK_UNKNOWN);
	ck_assert_int_eq(judge("wwid:c", 0, 0), MIRROR_DISK_UNKNOWN);
	ck_assert_int_eq(judge("wwid:c", 3, 1), MIRROR_DISK_CHANGED);
	ck_assert_int_eq(judge("wwid:b", 0, 0), MIRROR_DISK_EXCHANGED);
}
END_TEST

/* Where all disks have the same identity, each is taken for itself. */
START_TEST(equal_names_tell_nothing_apart)
{
	strcpy(e.identity[1], "wwid:a");
	ck_assert_int_eq(judge("wwid:a", 0, 0), MIRROR_DISK_SAME);
	ck_assert_int_eq(judge("wwid:a", 0, 1), MIRROR_DISK_CHANGED);
}
END_TEST

START_TEST(an_accepted_disk_is_known_by_nothing)
{
	home(5, 4096, 4096);
	mirror_evidence_forget_disk(&e, 1);
	ck_assert_uint_eq(mirror_evidence_count(&e, 1), 0);
	ck_assert_str_eq(e.identity[1], "");
	ck_assert_str_eq(e.identity[0], "wwid:a");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("evidence");
	TCase *tc = tcase_create("evidence");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_whole_block_is_taken_where_there_is_one);
	tcase_add_test(tc, zeroes_and_what_has_no_data_are_no_sample);
	tcase_add_test(tc, what_a_later_record_touches_does_not_count);
	tcase_add_test(tc, old_ones_and_new_ones_are_kept);
	tcase_add_test(tc, what_was_cut_off_does_not_count);
	tcase_add_test(tc, all_disks_together_have_a_bound);
	tcase_add_test(tc, verdicts);
	tcase_add_test(tc, equal_names_tell_nothing_apart);
	tcase_add_test(tc, an_accepted_disk_is_known_by_nothing);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
