/* test_wire.c - every frame there and back, and the refusal of bad ones. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/log/descriptor.h"
#include "mirror/line/history.h"
#include "mirror/line/wire.h"
#include "tests/unit/property.h"
#include "tests/unit/same.h"

static struct mirror_frame frame;
static struct mirror_wire_header header;
static uint8_t data[MIRROR_WIRE_DATA_MAX];
static const uint8_t *body;
static char text[256];

static void setup(void)
{
	memset(&frame, 0x5a, sizeof frame);
	memset(data, 0, sizeof data);
}

/* Decode the encoded frame, as the link driver does. */
static void receive(enum mirror_frame_type type)
{
	ck_assert_int_eq(mirror_wire_decode_header(frame.head, &header), 0);
	ck_assert_uint_eq(header.type, type);
	ck_assert_uint_eq(frame.head_bytes, MIRROR_WIRE_HEADER_BYTES + header.body_bytes);
	ck_assert_uint_eq(frame.data_bytes, header.data_bytes);
	body = frame.head + MIRROR_WIRE_HEADER_BYTES;
	ck_assert_int_eq(mirror_wire_check_body(&header, body), 0);
}

/* A body of another length is refused, and so is a flipped bit by the header's CRC. */
#define exact_length(decode, out)                                                      \
	do {                                                                           \
		ck_assert_int_eq(decode(body, header.body_bytes - 1, out), -EPROTO);   \
		ck_assert_int_eq(decode(body, header.body_bytes + 1, out), -EPROTO);   \
		ck_assert_int_eq(decode(body, 0, out), -EPROTO);                       \
		ck_assert_int_eq(decode(body, header.body_bytes, out), 0);             \
	} while (0)

/* ---- the header ---------------------------------------------------------- */

START_TEST(header_errors_are_told_apart)
{
	const struct mirror_roll_end end = { .sequence = 5 };
	uint8_t *head = frame.head;

	mirror_wire_roll_end(&frame, &end);
	receive(MIRROR_FRAME_ROLL_END);
	for (size_t i = 0; i < MIRROR_WIRE_HEADER_BYTES; i++) {
		head[i] ^= 1;
		ck_assert_int_eq(mirror_wire_decode_header(head, &header),
				 i < 4 ? -EPROTO : -EBADMSG);
		head[i] ^= 1;
	}
	head[MIRROR_WIRE_HEADER_BYTES] ^= 1;
	ck_assert_int_eq(mirror_wire_decode_header(head, &header), 0);
	ck_assert_int_eq(mirror_wire_check_body(&header, head + MIRROR_WIRE_HEADER_BYTES),
			 -EBADMSG);
}
END_TEST

START_TEST(types_have_names)
{
	ck_assert_str_eq(mirror_wire_type_name(MIRROR_FRAME_HELLO), "HELLO");
	ck_assert_str_eq(mirror_wire_type_name(MIRROR_FRAME_ROLL_END), "ROLL_END");
	ck_assert_str_eq(mirror_wire_type_name(MIRROR_FRAME_FLUSH), "FLUSH");
	ck_assert_str_eq(mirror_wire_type_name(0), "unknown");
	ck_assert_str_eq(mirror_wire_type_name(MIRROR_FRAME_HOME), "HOME");
	ck_assert_str_eq(mirror_wire_type_name(MIRROR_FRAME_NEWS), "NEWS");
	ck_assert_str_eq(mirror_wire_type_name(16), "unknown");
}
END_TEST

/* ---- hello --------------------------------------------------------------- */

static struct mirror_hello hello, back;

static void fill_hello(uint32_t disk_count, uint32_t generation_count)
{
	struct generation g = { .ordinal = 1, .id.byte = { 3 }, .reason = 1 };

	memset(&hello, 0, sizeof hello);
	hello.version_min = hello.version_max = 1;
	hello.purpose = MIRROR_HELLO_ROLL;
	memset(hello.nonce, 0x77, sizeof hello.nonce);
	hello.mirror.byte[0] = 1;
	hello.lineage.byte[0] = 2;
	hello.site_id.byte[0] = 3;
	hello.log.byte[0] = 4;
	strcpy(hello.mirror_name, "data");
	strcpy(hello.site_name, "paris");
	strcpy(hello.host, "n1");
	hello.site = 7;
	hello.incarnation = 0x1122334455667788;
	hello.generation.byte[0] = 5;
	hello.generation_ordinal = 6;
	hello.ballot = 0x701;
	hello.config_hash = 0xdeadbeef;
	hello.marks = (struct site_marks){ 300, 200, 100 };
	hello.oldest_sequence = 50;
	hello.next_sequence = 301;
	hello.data = DATA_UP_TO_DATE;
	hello.serving = hello.clean = true;
	hello.own_map_extents = 12;
	hello.data_max_bytes = MIRROR_RECORD_DATA_MAX;
	hello.frames_max = 192;
	for (uint32_t i = 0; i < generation_count; i++) {
		history_append(&hello.history, &g);
		g.parent = g.id;
		g.id.byte[1]++;
		g.ordinal++;
		g.reason = GENERATION_CURRENT;
	}
	strcpy(hello.agreed, "mode: sync\n");
	hello.disks.count = disk_count;
	for (uint32_t i = 0; i < disk_count; i++) {
		hello.disks.entry[i].name[0] = (char)('a' + i % 26);
		hello.disks.entry[i].size_bytes = (i + 1ull) << 30;
		hello.disks.entry[i].sector_bytes = 512;
	}
}

static void send_hello(enum mirror_frame_type type)
{
	mirror_wire_hello(&frame, type, &hello, data,
			  mirror_wire_hello_data(&hello, data));
	receive(type);
}

static int decode_hello(void)
{
	return mirror_wire_decode_hello(body, header.body_bytes, data, header.data_bytes,
					&back);
}

START_TEST(a_hello_comes_back)
{
	fill_hello(2, 3);
	send_hello(MIRROR_FRAME_HELLO);
	ck_assert_int_eq(decode_hello(), 0);
	ck_assert_int_eq(memcmp(&hello, &back, sizeof hello), 0);
	fill_hello(CONFIG_DISK_COUNT_MAX, HISTORY_COUNT_MAX + 5);
	hello.blank = true;
	send_hello(MIRROR_FRAME_WELCOME);
	ck_assert_int_eq(decode_hello(), 0);
	ck_assert_int_eq(memcmp(&hello, &back, sizeof hello), 0);
	fill_hello(0, 0);
	send_hello(MIRROR_FRAME_WELCOME);
	ck_assert_int_eq(decode_hello(), 0);
}
END_TEST

/* The link driver looks at its beginning alone. */
START_TEST(a_hello_is_peeked_at)
{
	enum mirror_hello_purpose purpose;
	uint32_t features, site;

	fill_hello(2, 3);
	hello.features = MIRROR_WIRE_FEATURE_NEWS;
	send_hello(MIRROR_FRAME_HELLO);
	ck_assert(mirror_wire_peek_hello(body, 16, &features, &purpose, &site));
	ck_assert_uint_eq(features, MIRROR_WIRE_FEATURE_NEWS);
	ck_assert_int_eq(purpose, MIRROR_HELLO_ROLL);
	ck_assert_uint_eq(site, 7);
	ck_assert(!mirror_wire_peek_hello(body, 15, &features, &purpose, &site));
}
END_TEST

/* A later minor version may add fields at the end; every other frame is exact. */
START_TEST(a_longer_hello_is_understood)
{
	fill_hello(1, 1);
	send_hello(MIRROR_FRAME_HELLO);
	header.body_bytes += 100;
	ck_assert_int_eq(decode_hello(), 0);
	for (header.body_bytes = 0; header.body_bytes < 440; header.body_bytes++)
		ck_assert_int_eq(decode_hello(), -EPROTO);
}
END_TEST

START_TEST(a_hello_that_cannot_be_is_refused)
{
#define refused(change)                                      \
	do {                                                 \
		fill_hello(2, 3);                            \
		change;                                      \
		send_hello(MIRROR_FRAME_HELLO);              \
		ck_assert_int_eq(decode_hello(), -EPROTO);   \
	} while (0)
	refused(hello.version_min = 0);
	refused(hello.version_min = 2);
	refused(hello.purpose = 0);
	refused(hello.purpose = 4);
	refused(hello.site = CONFIG_SITE_COUNT_MAX);
	refused(hello.data = DATA_UP_TO_DATE + 1);
	refused(hello.marks.durable = 301);
	refused(hello.history.entry[1].ordinal = 7);
#undef refused
	fill_hello(2, 3);
	send_hello(MIRROR_FRAME_HELLO);
	for (uint32_t i = 0; i < header.data_bytes; i++) {
		data[i] ^= 1;
		ck_assert_int_eq(decode_hello(), -EBADMSG);
		data[i] ^= 1;
	}
	header.data_bytes--;
	ck_assert_int_eq(decode_hello(), -EBADMSG);
	ck_assert_int_eq(
		mirror_wire_decode_hello(body, header.body_bytes, NULL, 0, &back),
		-EBADMSG);
}
END_TEST

/* P4-41: swapped disks, another size, a missing disk, each by name. */
START_TEST(disks_that_do_not_fit_are_named)
{
	struct mirror_disk_table copy;

	fill_hello(2, 1);
	strcpy(hello.disks.entry[0].name, "db");
	strcpy(hello.disks.entry[1].name, "wal");
	copy = hello.disks;
	ck_assert_int_eq(mirror_hello_check_disks(&hello.disks, &copy, text, sizeof text),
			 0);

#define refused(change, word)                                                            \
	do {                                                                             \
		copy = hello.disks;                                                      \
		change;                                                                  \
		ck_assert_int_eq(mirror_hello_check_disks(&hello.disks, &copy, text,     \
							  sizeof text),                  \
				 -EMEDIUMTYPE);                                          \
		ck_assert_ptr_nonnull(strstr(text, word));                               \
	} while (0)
	refused(copy.count = 1, "2 disks");
	refused((copy.entry[0] = hello.disks.entry[1],
		 copy.entry[1] = hello.disks.entry[0]),
		"'db' at production and 'wal'");
	refused(copy.entry[1].size_bytes -= 512, "'wal'");
	refused(copy.entry[0].sector_bytes = 4096, "'db' has sectors");
#undef refused
	copy = hello.disks;
	copy.entry[0].size_bytes += 512;        /* larger is fine */
	ck_assert_int_eq(mirror_hello_check_disks(&hello.disks, &copy, text, sizeof text),
			 0);
}
END_TEST

/* ---- records ------------------------------------------------------------- */

static const struct uuid mirror = { .byte = { 9 } };

static struct mirror_header record(void)
{
	struct mirror_header h = {
		.type = MIRROR_RECORD_WRITE,
		.sequence = 5,
		.disk_sequence = 4,
		.generation = 1,
		.group = 2,
		.offset_bytes = 512,
		.length_bytes = 1024,
		.data_bytes = 1024,
	};

	memset(data, 0x3c, 1024);
	h.crc = mirror_header_data_crc(&mirror, &h, data);
	return h;
}

static int decode_record(const struct uuid *from, struct mirror_header *h)
{
	return mirror_wire_decode_record(body, header.body_bytes, frame.data,
					 header.data_bytes, from, NULL, h);
}

START_TEST(a_record_comes_back)
{
	struct mirror_header h = record(), got;
	struct uuid other = { .byte = { 8 } };

	mirror_wire_record(&frame, &h, data);
	receive(MIRROR_FRAME_RECORD);
	ck_assert_ptr_eq(frame.data, data);
	ck_assert_int_eq(decode_record(&mirror, &got), 0);
	ck_assert(same_header(&h, &got));

	ck_assert_int_eq(decode_record(&other, &got), -EBADMSG);   /* P0-10 */
	data[1000] ^= 1;
	ck_assert_int_eq(decode_record(&mirror, &got), -EBADMSG);
	data[1000] ^= 1;
	header.data_bytes--;
	ck_assert_int_eq(decode_record(&mirror, &got), -EPROTO);
	header.data_bytes++;
	header.body_bytes--;
	ck_assert_int_eq(decode_record(&mirror, &got), -EPROTO);
}
END_TEST

START_TEST(a_record_without_data_has_its_crc_too)
{
	struct mirror_header h = record(), got;
	struct uuid other = { .byte = { 8 } };

	h.type = MIRROR_RECORD_ZERO;
	h.data_bytes = 0;
	h.crc = mirror_header_data_crc(&mirror, &h, NULL);
	mirror_wire_record(&frame, &h, NULL);
	receive(MIRROR_FRAME_RECORD);
	ck_assert_ptr_null(frame.data);
	ck_assert_int_eq(decode_record(&mirror, &got), 0);
	ck_assert_int_eq(decode_record(&other, &got), -EBADMSG);
}
END_TEST

/* ---- the others ---------------------------------------------------------- */

START_TEST(marks_come_back)
{
	struct mirror_confirm confirm = { { 30, 20, 10 }, 5, true }, confirmed;
	struct mirror_marks marks = { { 1, 2, 3, 4, 5, 6, 7, 8 }, 9, 10, 11 }, marked;

	mirror_wire_confirm(&frame, &confirm);
	receive(MIRROR_FRAME_CONFIRM);
	exact_length(mirror_wire_decode_confirm, &confirmed);
	ck_assert_uint_eq(confirmed.marks.logged, 30);
	ck_assert_uint_eq(confirmed.marks.durable, 20);
	ck_assert_uint_eq(confirmed.marks.home, 10);
	ck_assert_uint_eq(confirmed.held_count, 5);
	ck_assert(confirmed.held);
	confirm.marks.durable = 31;
	mirror_wire_confirm(&frame, &confirm);
	ck_assert_int_eq(mirror_wire_decode_confirm(body, 32, &confirmed), -EPROTO);

	mirror_wire_marks(&frame, &marks);
	receive(MIRROR_FRAME_MARKS);
	exact_length(mirror_wire_decode_marks, &marked);
	ck_assert_int_eq(memcmp(&marks, &marked, sizeof marks), 0);
}
END_TEST

START_TEST(refusals_come_back)
{
	struct mirror_refuse refuse = { MIRROR_REFUSE_SPLIT_BRAIN, "two histories" };
	struct mirror_refuse refused;
	struct mirror_refresh_ready ready = { -ENOSPC, 77, "no room" }, got;

	mirror_wire_refuse(&frame, &refuse);
	receive(MIRROR_FRAME_REFUSE);
	exact_length(mirror_wire_decode_refuse, &refused);
	ck_assert_int_eq(refused.code, MIRROR_REFUSE_SPLIT_BRAIN);
	ck_assert_str_eq(refused.text, "two histories");
	memset(frame.head + MIRROR_WIRE_HEADER_BYTES + 8, 'x', FACT_TEXT_MAX);
	ck_assert_int_eq(mirror_wire_decode_refuse(body, header.body_bytes, &refused),
			 -EPROTO);
	ck_assert_str_eq(refused.text, "");
	refuse.code = 0;
	mirror_wire_refuse(&frame, &refuse);
	ck_assert_int_eq(mirror_wire_decode_refuse(body, header.body_bytes, &refused),
			 -EPROTO);

	mirror_wire_refresh_ready(&frame, &ready);
	receive(MIRROR_FRAME_REFRESH_READY);
	exact_length(mirror_wire_decode_refresh_ready, &got);
	ck_assert_int_eq(got.error, -ENOSPC);
	ck_assert_uint_eq(got.room_blocks, 77);
	ck_assert_str_eq(got.text, "no room");
	frame.head[MIRROR_WIRE_HEADER_BYTES + 3] = 0x80;   /* no error number */
	ck_assert_int_eq(mirror_wire_decode_refresh_ready(body, header.body_bytes, &got),
			 -EPROTO);
}
END_TEST

START_TEST(a_refresh_comes_back)
{
	struct mirror_refresh_begin begin = { 1, 2, 3, MIRROR_REFRESH_BLANK_OK }, began;
	struct mirror_refresh_end end = { 44 }, ended;
	struct mirror_map_chunk chunk = { 3, 64, 20, true }, got;

	mirror_wire_refresh_begin(&frame, &begin);
	receive(MIRROR_FRAME_REFRESH_BEGIN);
	exact_length(mirror_wire_decode_refresh_begin, &began);
	ck_assert_uint_eq(began.extents, 1);
	ck_assert_uint_eq(began.bytes, 2);
	ck_assert_uint_eq(began.first_sequence, 3);
	ck_assert_uint_eq(began.flags, MIRROR_REFRESH_BLANK_OK);
	begin.flags = 1u << 2;
	mirror_wire_refresh_begin(&frame, &begin);
	ck_assert_int_eq(mirror_wire_decode_refresh_begin(body, 32, &began), -EPROTO);
	begin.flags = begin.first_sequence = 0;
	mirror_wire_refresh_begin(&frame, &begin);
	ck_assert_int_eq(mirror_wire_decode_refresh_begin(body, 32, &began), -EPROTO);

	mirror_wire_refresh_end(&frame, &end);
	receive(MIRROR_FRAME_REFRESH_END);
	exact_length(mirror_wire_decode_refresh_end, &ended);
	ck_assert_uint_eq(ended.sequence, 44);

	data[2] = 0x0f;
	mirror_wire_map(&frame, &chunk, data, 3);
	receive(MIRROR_FRAME_MAP);
	ck_assert_int_eq(mirror_wire_decode_map(body, 24, data, 3, &got), 0);
	ck_assert_int_eq(got.disk == 3 && got.first_extent == 64 &&
				 got.extent_count == 20 && got.last,
			 1);
	ck_assert_int_eq(mirror_wire_decode_map(body, 24, data, 2, &got), -EPROTO);
	ck_assert_int_eq(mirror_wire_decode_map(body, 23, data, 3, &got), -EPROTO);
	data[0] = 1;
	ck_assert_int_eq(mirror_wire_decode_map(body, 24, data, 3, &got), -EBADMSG);
}
END_TEST

START_TEST(an_empty_map_is_said)
{
	struct mirror_map_chunk chunk = { .last = true }, got;

	mirror_wire_map(&frame, &chunk, data, 0);
	receive(MIRROR_FRAME_MAP);
	ck_assert_ptr_null(frame.data);
	ck_assert_int_eq(mirror_wire_decode_map(body, 24, NULL, 0, &got), 0);
	ck_assert(got.last && got.extent_count == 0);
}
END_TEST

START_TEST(ends_come_back)
{
	struct mirror_demoted demoted = { { { 1, 2, 3 } }, 55, 1 }, got;
	struct mirror_roll_end end = { 66 }, ended;
	struct mirror_flush flush = { 77 }, asked;
	struct mirror_home_mark home = { 88 }, told;

	mirror_wire_demoted(&frame, &demoted);
	receive(MIRROR_FRAME_DEMOTED);
	exact_length(mirror_wire_decode_demoted, &got);
	ck_assert(uuid_equal(&demoted.generation, &got.generation));
	ck_assert_uint_eq(got.sequence, 55);
	ck_assert_uint_eq(got.flags, 1);
	mirror_wire_roll_end(&frame, &end);
	receive(MIRROR_FRAME_ROLL_END);
	exact_length(mirror_wire_decode_roll_end, &ended);
	ck_assert_uint_eq(ended.sequence, 66);
	mirror_wire_flush(&frame, &flush);
	receive(MIRROR_FRAME_FLUSH);
	exact_length(mirror_wire_decode_flush, &asked);
	ck_assert_uint_eq(asked.sequence, 77);
	mirror_wire_home(&frame, &home);
	receive(MIRROR_FRAME_HOME);
	exact_length(mirror_wire_decode_home, &told);
	ck_assert_uint_eq(told.sequence, 88);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("wire");
	Suite *s = suite_create("wire");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, header_errors_are_told_apart);
	tcase_add_test(tc, types_have_names);
	tcase_add_test(tc, a_hello_comes_back);
	tcase_add_test(tc, a_hello_is_peeked_at);
	tcase_add_test(tc, a_longer_hello_is_understood);
	tcase_add_test(tc, a_hello_that_cannot_be_is_refused);
	tcase_add_test(tc, disks_that_do_not_fit_are_named);
	tcase_add_test(tc, a_record_comes_back);
	tcase_add_test(tc, a_record_without_data_has_its_crc_too);
	tcase_add_test(tc, marks_come_back);
	tcase_add_test(tc, refusals_come_back);
	tcase_add_test(tc, a_refresh_comes_back);
	tcase_add_test(tc, an_empty_map_is_said);
	tcase_add_test(tc, ends_come_back);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
