/* test_superblock.c - the log's identity and state, and which of two slots counts. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "mirror/line/history.h"
#include "mirror/log/superblock.h"
#include "tests/unit/property.h"

static struct mirror_superblock sb, back, scratch;
static uint8_t slot[2][MIRROR_SUPERBLOCK_BYTES];
static struct config config;
static char text[256];

static void setup(void)
{
	struct generation first = { .ordinal = 1, .id.byte = { 9 }, .reason = 1 };

	memset(&sb, 0, sizeof sb);
	sb.mirror.byte[0] = 1;
	sb.lineage.byte[1] = 2;
	sb.site_id.byte[2] = 3;
	sb.log.byte[3] = 4;
	strcpy(sb.mirror_name, "data");
	sb.site = 1;
	sb.site_count = 2;
	strcpy(sb.sites[0].name, "paris");
	strcpy(sb.sites[1].name, "lyon");
	sb.disks.count = 2;
	strcpy(sb.disks.entry[0].name, "db");
	strcpy(sb.disks.entry[1].name, "wal");
	sb.disks.entry[0].size_bytes = 10ull << 30;
	sb.disks.entry[1].size_bytes = 1ull << 30;
	sb.disks.entry[0].sector_bytes = sb.disks.entry[1].sector_bytes = 512;
	ck_assert_int_eq(mirror_superblock_layout(&sb, 64 << 20, text, sizeof text), 0);
	sb.log_epoch = 5;
	sb.tail_epoch = 4;
	sb.tail_position = 4096;
	sb.tail_sequence = 10;
	sb.durable = (struct mirror_mark){ 1, 100 };
	sb.home = (struct mirror_mark){ 1, 90 };
	history_append(&sb.history, &first);

	memset(&config, 0, sizeof config);
	strcpy(config.mirror, "data");
	config.site_count = 2;
	strcpy(config.site[0].name, "paris");
	strcpy(config.site[1].name, "lyon");
	for (uint32_t i = 0; i < 2; i++) {
		config.site[i].disk_count = 2;
		strcpy(config.site[i].disk[0].name, "db");
		strcpy(config.site[i].disk[1].name, "wal");
	}
	memset(slot, 0, sizeof slot);
}

/* Write the next counter's slot. */
static void put(void)
{
	sb.write_counter++;
	mirror_superblock_encode(
		&sb, slot[mirror_superblock_slot_bytes(&sb) / MIRROR_SUPERBLOCK_BYTES]);
}

static int choose(void)
{
	uint32_t which = 99;
	const int error = mirror_superblock_choose(slot[0], slot[1], &scratch, &back,
						   &which, text, sizeof text);

	if (error == 0)
		ck_assert_uint_eq(which, back.write_counter % 2);
	return error;
}

/* The superblock that was read encodes to the bytes that were written. */
static void is_same(void)
{
	mirror_superblock_encode(&back, slot[1]);
	ck_assert_int_eq(memcmp(slot[0], slot[1], sizeof slot[0]), 0);
}

START_TEST(every_field_comes_back)
{
	struct mirror_sample sample;
	size_t length;

	sb.hold.active = sb.clean.set = sb.blank = true;
	sb.hold.generation = 7;
	sb.hold.sequence = 77;
	sb.hold.position = 8192;
	sb.refresh.kind = MIRROR_REFRESH_HELD;
	sb.refresh.source.byte[0] = 8;
	sb.refusal.generation.byte[7] = 6;
	sb.refusal.ballot = 1234;
	sb.clean.generation.byte[1] = 5;
	sb.clean.sequence = 99;
	sb.incarnation = 4321;
	sb.head_position = 40960;
	sb.next_sequence = 101;
	sb.last_time_ns = 5555;
	sb.disks.entry[1].sequence = 44;
	sb.sites[1].map_state = MIRROR_MAP_ALL_DIRTY;
	sb.sites[1].disconnected = true;
	sb.sites[1].bypass = true;
	sb.sites[1].map_due = true;
	sb.sites[0].map_position = 50;
	sb.sites[0].since_ns = 60;
	strcpy(sb.evidence.identity[0], "wwid:naa.5");
	sb.evidence.disk_count = 2;
	sample = (struct mirror_sample){ 88, 8192, 512, 0xabcd };
	*mirror_evidence_slot(&sb.evidence, 1, 3) = sample;
	ck_assert_int_eq(mirror_superblock_restart(&sb, 12288, 100), 0);
	length = mirror_superblock_encode(&sb, slot[0]);
	ck_assert_uint_eq(length, 4096);
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text), 0);
	ck_assert_str_eq(text, "");
	is_same();
	ck_assert_str_eq(back.evidence.identity[0], "wwid:naa.5");
	ck_assert_uint_eq(mirror_evidence_count(&back.evidence, 1), 1);
}
END_TEST

/* A sample that no disk of that size can have. */
START_TEST(an_impossible_sample_is_refused)
{
	struct mirror_sample *s;

	sb.evidence.disk_count = 2;
	s = mirror_evidence_slot(&sb.evidence, 1, 0);
	*s = (struct mirror_sample){ 88, (1ull << 30) - 4096, 4096, 1 };
	mirror_superblock_encode(&sb, slot[0]);
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text), 0);
	s->offset_bytes += 512;
	mirror_superblock_encode(&sb, slot[0]);
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text),
			 -EPROTO);
	*s = (struct mirror_sample){ 88, 0, 8192, 1 };
	mirror_superblock_encode(&sb, slot[0]);
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text),
			 -EPROTO);
}
END_TEST

START_TEST(the_largest_one_fits)
{
	struct generation g = { .ordinal = 1, .id.byte = { 9 }, .reason = 1 };

	sb.site_count = CONFIG_SITE_COUNT_MAX;
	sb.disks.count = CONFIG_DISK_COUNT_MAX;
	for (uint32_t i = 0; i < CONFIG_DISK_COUNT_MAX; i++) {
		memset(sb.disks.entry[i].name, 'd', CONFIG_NAME_MAX - 1);
		sb.disks.entry[i].size_bytes = 16ull << 40;
	}
	sb.evidence.disk_count = sb.disks.count;
	memset(sb.evidence.identity, 'i', sizeof sb.evidence.identity);
	for (uint32_t i = 0; i < CONFIG_DISK_COUNT_MAX; i++)
		sb.evidence.identity[i][MIRROR_IDENTITY_BYTES - 1] = 0;
	for (uint32_t i = 0; i < MIRROR_SAMPLE_COUNT_MAX; i++)
		sb.evidence.sample[i] = (struct mirror_sample){ i + 1, 4096, 4096, i };
	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		memset(sb.sites[i].name, 's', CONFIG_NAME_MAX - 1);
	ck_assert_int_eq(mirror_superblock_layout(&sb, 1ull << 44, text, sizeof text), 0);
	for (uint32_t i = 0; i < MIRROR_RESTART_COUNT_MAX; i++)
		ck_assert_int_eq(mirror_superblock_restart(&sb, 8192 * (i + 1), 100), 0);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 8192 * 100, 100), -ENOSPC);
	memset(&sb.history, 0, sizeof sb.history);
	for (uint32_t i = 0; i < HISTORY_COUNT_MAX + 3; i++) {
		history_append(&sb.history, &g);
		g.parent = g.id;
		g.ordinal++;
		g.reason = GENERATION_FORCED;
		g.id.byte[1]++;
	}
	ck_assert_uint_lt(mirror_superblock_encode(&sb, slot[0]),
			  MIRROR_SUPERBLOCK_BYTES);
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text), 0);
	is_same();
}
END_TEST

/* ---- the choice ---------------------------------------------------------- */

START_TEST(the_newest_slot_counts)
{
	put();
	ck_assert_int_eq(choose(), 0);
	ck_assert_uint_eq(back.write_counter, 1);
	for (uint64_t i = 2; i < 6; i++) {
		put();
		ck_assert_int_eq(choose(), 0);
		ck_assert_uint_eq(back.write_counter, i);
		ck_assert_str_eq(text, "");
	}
}
END_TEST

/* Every prefix of a slot's write: the other one counts, or the new one is whole. */
START_TEST(a_torn_slot_leaves_the_other)
{
	static uint8_t before[MIRROR_SUPERBLOCK_BYTES];
	uint8_t *last;

	put();
	put();
	memcpy(before, slot[1], sizeof before);
	sb.durable.sequence = 200;
	put();
	last = slot[1];
	for (size_t written = 0; written < 3000; written += 64) {
		memcpy(last + written, before + written, sizeof before - written);
		ck_assert_int_eq(choose(), 0);
		ck_assert_uint_ge(back.write_counter, 2);
		if (back.write_counter == 2)
			ck_assert(written == 0 || text[0] != 0);
		else
			ck_assert_uint_eq(back.durable.sequence, 200);
		sb.write_counter = 2;
		put();
	}
}
END_TEST

START_TEST(two_bad_slots_are_named)
{
	ck_assert_int_eq(choose(), -ENODATA);
	ck_assert_ptr_nonnull(strstr(text, "not a hamirror log"));
	put();
	put();
	slot[0][100] ^= 1;
	slot[1][100] ^= 1;
	ck_assert_int_eq(choose(), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(text, "slot 0: torn"));
	ck_assert_ptr_nonnull(strstr(text, "slot 1: torn"));
	memset(slot[0], 0, 8);
	ck_assert_int_eq(choose(), -EBADMSG);
}
END_TEST

/* Make the CRC right again. */
static void seal(uint8_t *buffer)
{
	const size_t length = buffer[16] | (size_t)buffer[17] << 8;
	uint32_t crc;

	memset(buffer + 20, 0, 4);
	crc = common_crc32c(0, buffer, length);
	for (int i = 0; i < 4; i++)
		buffer[20 + i] = (uint8_t)(crc >> 8 * i);
}

/* The older version does not know that reason. */
START_TEST(a_takeover_in_async_is_a_feature)
{
	struct generation g = { .reason = GENERATION_ASYNC };

	put();
	ck_assert_uint_eq(slot[0][12] | slot[1][12], 0);
	g.id = (struct uuid){ { 0x77 } };
	g.parent = history_newest(&sb.history)->id;
	g.ordinal = history_newest(&sb.history)->ordinal + 1;
	history_append(&sb.history, &g);
	put();
	ck_assert_uint_eq(slot[0][12] | slot[1][12], 1);
	ck_assert_int_eq(choose(), 0);
	ck_assert_uint_eq(history_newest(&back.history)->reason, GENERATION_ASYNC);
}
END_TEST

/* G8: a newer version's slot is not passed over for an older, readable one. */
START_TEST(a_newer_version_is_refused)
{
	put();
	put();
	slot[0][8] = 2;
	ck_assert_int_eq(choose(), 0); /* merely damaged */
	ck_assert_uint_eq(back.write_counter, 1);
	seal(slot[0]);
	ck_assert_int_eq(choose(), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(text, "newer version"));
	slot[0][8] = 1;
	slot[0][12] = 2;
	seal(slot[0]);
	ck_assert_int_eq(choose(), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(text, "feature"));
	slot[0][12] = 0;
	seal(slot[0]);
	ck_assert_int_eq(choose(), 0);
	ck_assert_uint_eq(back.write_counter, 2);
}
END_TEST

/* Offsets from docs/formats.md. */
START_TEST(what_contradicts_itself_is_refused)
{
	static const struct {
		size_t at;
		uint8_t value;
	} change[] = {
		{ 32, 0 },                              /* no mirror */
		{ 83, 0 },                              /* no log */
		{ 96, 0 },                              /* no name */
		{ 159, 1 },                             /* a name without end */
		{ 160, 16 },                            /* a flag */
		{ 164, 3 },                             /* kind of refresh */
		{ 171, 0 },                             /* log smaller than its ring */
		{ 184, 1 },                             /* ring not of blocks */
		{ 192, 1 },                             /* an extension */
		{ 200, 0 },                             /* epoch 0 */
		{ 200, 3 },                             /* epoch before the tail's */
		{ 205, 1 },                             /* epoch beyond 32 bits */
		{ 216, 1 },                             /* tail not a block */
		{ 223, 255 }, { 231, 255 }, { 384, 2 }, /* site */
		{ 388, 9 },                             /* sites */
		{ 392, 0 },                             /* a site without a name */
		{ 458, 0 },  /* map where the superblocks are */
		{ 465, 0 },  /* map too short */
		{ 472, 0 },  /* map's epoch 0 */
		{ 496, 2 },  /* map's state */
		{ 500, 16 }, /* site's flags */
		{ 500, 8 },  /* in bypass, and not put out */
		{ 617, 2 },  /* disks */
		{ 620, 17 }, /* restarts */
		{ 624, 1 },  /* index of disk 0 */
		{ 632, 0 },  /* disk without a name */
		{ 696, 1 },  /* size not of sectors */
	};

	put();
	put();
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text), 0);
	for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
		const uint8_t before = slot[0][change[i].at];

		slot[0][change[i].at] = change[i].value;
		seal(slot[0]);
		if (before == change[i].value ||
		    mirror_superblock_decode(slot[0], &back, text, sizeof text) !=
			    -EPROTO)
			ck_abort_msg("offset %zu", change[i].at);
		slot[0][change[i].at] = before;
	}
	seal(slot[0]);
	slot[0][16]--; /* shorter than its fields */
	seal(slot[0]);
	ck_assert_int_eq(mirror_superblock_decode(slot[0], &back, text, sizeof text),
			 -EPROTO);
}
END_TEST

START_TEST(a_slot_in_the_wrong_place_does_not_count)
{
	put();
	put();
	memcpy(slot[0], slot[1], sizeof slot[0]);
	ck_assert_int_eq(choose(), 0);
	ck_assert_uint_eq(back.write_counter, 1);
	ck_assert_ptr_nonnull(strstr(text, "other slot"));
}
END_TEST

START_TEST(slots_of_two_logs_are_refused)
{
	put();
	sb.log.byte[0]++;
	put();
	ck_assert_int_eq(choose(), -EPROTO);
	ck_assert_ptr_nonnull(strstr(text, "different logs"));
}
END_TEST

START_TEST(any_flipped_bit_is_found)
{
	size_t length;

	put();
	put();
	length = slot[0][16] | (size_t)slot[0][17] << 8;
	ck_assert_uint_gt(length, 800);
	for (size_t i = 0; i < length; i++) {
		slot[0][i] ^= (uint8_t)(1 << i % 8);
		expect(mirror_superblock_decode(slot[0], &back, text, sizeof text) < 0);
		expect(text[0] != 0);
		slot[0][i] ^= (uint8_t)(1 << i % 8);
	}
}
END_TEST

/* ---- layout, identity ---------------------------------------------------- */

START_TEST(the_layout_does_not_overlap)
{
	ck_assert_uint_eq(sb.sites[0].map_start_bytes, 128 * 1024);
	ck_assert_uint_eq(sb.sites[1].map_start_bytes,
			  sb.sites[0].map_start_bytes + sb.sites[0].map_bytes);
	ck_assert_uint_eq(sb.ring_start_bytes,
			  sb.sites[1].map_start_bytes + sb.sites[1].map_bytes);
	ck_assert_uint_le(sb.ring_start_bytes + sb.ring_bytes, 64 << 20);
	/* 11 GiB are 180224 extents of 64 KiB: 6 blocks of 32256 bits. */
	ck_assert_uint_eq(sb.sites[0].map_bytes, 6 * 4096);
}
END_TEST

/* P4-18. */
START_TEST(a_log_that_is_too_small_is_refused_with_the_size_needed)
{
	ck_assert_int_eq(
		mirror_superblock_layout(&sb, (2 << 20) - 4096, text, sizeof text),
		-ENOSPC);
	ck_assert_ptr_nonnull(strstr(text, "2097152"));
	ck_assert_int_eq(mirror_superblock_layout(&sb, 2 << 20, text, sizeof text), 0);
	ck_assert_uint_ge(sb.ring_bytes, MIRROR_RING_BYTES_MIN);
	sb.disks.entry[0].size_bytes = 16ull << 40; /* 32 MiB of map, twice */
	ck_assert_int_eq(mirror_superblock_layout(&sb, 60 << 20, text, sizeof text),
			 -ENOSPC);
}
END_TEST

static void identity_is(int wanted, const char *word)
{
	text[0] = 0;
	ck_assert_int_eq(
		mirror_superblock_check_identity(&sb, &config, 1, text, sizeof text),
		wanted);
	ck_assert_ptr_nonnull(strstr(text, word));
	setup();
}

START_TEST(another_mirrors_log_is_refused_by_name)
{
	identity_is(0, "");
	strcpy(config.mirror, "mail");
	identity_is(-EMEDIUMTYPE, "mail");
	strcpy(config.site[1].name, "rome");
	identity_is(-EMEDIUMTYPE, "rome");
	strcpy(config.site[0].name, "rome");
	identity_is(-EMEDIUMTYPE, "paris");
	config.site_count = 3;
	identity_is(-EMEDIUMTYPE, "3");
	config.site[1].disk_count = 1;
	identity_is(-EMEDIUMTYPE, "1");
	strcpy(config.site[1].disk[1].name, "log");
	identity_is(-EMEDIUMTYPE, "wal");
}
END_TEST

/* ---- cuts ---------------------------------------------------------------- */

START_TEST(a_cut_lowers_what_it_drops)
{
	sb.clean.set = true;
	sb.clean.sequence = 96;
	ck_assert_int_eq(mirror_superblock_restart(&sb, 8192, 95), 0);
	ck_assert_uint_eq(sb.log_epoch, 6);
	ck_assert_uint_eq(sb.durable.sequence, 95);
	ck_assert_uint_eq(sb.home.sequence, 90);
	ck_assert(!sb.clean.set);
	ck_assert_uint_eq(sb.head_position, 8192);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 8192, 50), 0);
	ck_assert_uint_eq(sb.restart_count, 1);
	ck_assert_uint_eq(sb.home.sequence, 50);
	ck_assert_uint_eq(sb.log_epoch, 7);
}
END_TEST

START_TEST(a_cut_below_a_hold_lowers_it)
{
	sb.hold.active = true;
	sb.hold.sequence = 95;
	sb.hold.position = 16384;
	ck_assert_int_eq(mirror_superblock_restart(&sb, 16384, 1000), 0);
	ck_assert_uint_eq(sb.hold.sequence, 95);
	ck_assert_uint_eq(sb.hold.position, 16384);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 8192, 80), 0);
	ck_assert_uint_eq(sb.hold.sequence, 80);
	ck_assert_uint_eq(sb.hold.position, 8192);
}
END_TEST

START_TEST(a_deeper_cut_replaces_those_behind_it)
{
	ck_assert_int_eq(mirror_superblock_restart(&sb, 8192, 95), 0);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 16384, 99), 0);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 20480, 120), 0);
	ck_assert_uint_eq(sb.restart_count, 3);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 12288, 97), 0);
	ck_assert_uint_eq(sb.restart_count, 2);
	ck_assert_uint_eq(sb.restart[1].position, 12288);
	ck_assert_uint_eq(sb.restart[1].epoch, sb.log_epoch);
}
END_TEST

/* Cuts that the tail passes are forgotten, but not the epoch below which nothing counts. */
START_TEST(the_tail_forgets_cuts_but_not_their_epoch)
{
	ck_assert_int_eq(mirror_superblock_restart(&sb, 8192, 95), 0);
	ck_assert_int_eq(mirror_superblock_restart(&sb, 16384, 99), 0);
	mirror_superblock_set_tail(&sb, 12288, 97, 5);
	ck_assert_uint_eq(sb.restart_count, 1);
	ck_assert_uint_eq(sb.tail_epoch, 6);
	mirror_superblock_set_tail(&sb, 16384, 100, 5);
	ck_assert_uint_eq(sb.restart_count, 0);
	ck_assert_uint_eq(sb.tail_epoch, 7);
}
END_TEST

START_TEST(a_cut_at_the_tail_is_the_tail)
{
	ck_assert_int_eq(mirror_superblock_restart(&sb, 4096, 8), 0);
	ck_assert_uint_eq(sb.restart_count, 0);
	ck_assert_uint_eq(sb.tail_sequence, 9);
	ck_assert_uint_eq(sb.tail_epoch, 6);
	put();
	ck_assert_int_eq(choose(), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("superblock");
	Suite *s = suite_create("superblock");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, every_field_comes_back);
	tcase_add_test(tc, an_impossible_sample_is_refused);
	tcase_add_test(tc, the_largest_one_fits);
	tcase_add_test(tc, the_newest_slot_counts);
	tcase_add_test(tc, a_torn_slot_leaves_the_other);
	tcase_add_test(tc, two_bad_slots_are_named);
	tcase_add_test(tc, a_takeover_in_async_is_a_feature);
	tcase_add_test(tc, a_newer_version_is_refused);
	tcase_add_test(tc, what_contradicts_itself_is_refused);
	tcase_add_test(tc, a_slot_in_the_wrong_place_does_not_count);
	tcase_add_test(tc, slots_of_two_logs_are_refused);
	tcase_add_test(tc, any_flipped_bit_is_found);
	tcase_add_test(tc, the_layout_does_not_overlap);
	tcase_add_test(tc, a_log_that_is_too_small_is_refused_with_the_size_needed);
	tcase_add_test(tc, another_mirrors_log_is_refused_by_name);
	tcase_add_test(tc, a_cut_lowers_what_it_drops);
	tcase_add_test(tc, a_cut_below_a_hold_lowers_it);
	tcase_add_test(tc, a_deeper_cut_replaces_those_behind_it);
	tcase_add_test(tc, the_tail_forgets_cuts_but_not_their_epoch);
	tcase_add_test(tc, a_cut_at_the_tail_is_the_tail);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
