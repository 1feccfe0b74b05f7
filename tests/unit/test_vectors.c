/* test_vectors.c - the bytes of every format, both ways, against tests/vectors/; then the
 * same bytes, broken in many ways: no decoder may do more than refuse. (Build with
 * -fsanitize=address,undefined to see that it does not.) */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "mirror/log/map.h"
#include "tests/unit/property.h"
#include "tests/unit/same.h"
#include "tests/unit/vector_samples.h"

#define MUTATION_COUNT 3000

static uint8_t vector[MIRROR_SUPERBLOCK_BYTES];
static size_t vector_bytes;
static struct mirror_frame frame;
static uint8_t data[MIRROR_WIRE_DATA_MAX];
static uint8_t record_data[SAMPLE_DATA_BYTES];
static struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
static struct mirror_header found[MIRROR_DESCRIPTOR_RECORDS_MAX];
static struct mirror_superblock sb, sb_back;
static struct mirror_hello hello, hello_back;
static struct mirror_map *map;
static struct uuid mirror;

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Read a file of tests/vectors into `vector`; the format is told in `check` there. */
static void load(const char *name)
{
	const char *root = getenv("srcdir");
	char path[512], line[128], hex[40];
	unsigned long at;
	FILE *file;

	snprintf(path, sizeof path, "%s/tests/vectors/%s.hex", root != NULL ? root : ".",
		 name);
	file = fopen(path, "r");
	if (file == NULL)
		ck_abort_msg("%s: cannot be opened", path);
	memset(vector, 0, sizeof vector);
	vector_bytes = 0;
	while (fgets(line, sizeof line, file) != NULL) {
		hex[0] = 0;
		ck_assert_int_ge(sscanf(line, "%lx %39s", &at, hex), 1);
		ck_assert_uint_lt(at, sizeof vector);
		for (size_t i = 0; hex[2 * i] != 0; i++)
			vector[at + i] = (uint8_t)(nibble(hex[2 * i]) << 4 |
						   nibble(hex[2 * i + 1]));
		vector_bytes = at;
	}
	fclose(file);
}

static void is_vector(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	ck_assert_uint_eq(length, vector_bytes);
	for (size_t i = 0; i < length; i++)
		if (at[i] != vector[i])
			ck_abort_msg("offset %zu: %02x, not %02x", i, at[i], vector[i]);
}

static void setup(void)
{
	mirror = sample_uuid(0x10);
	sample_headers(headers, record_data);
	sample_superblock(&sb);
	sample_hello(&hello);
	map = mirror_map_create(&sb);
	ck_assert_ptr_nonnull(map);
}

static void teardown(void)
{
	mirror_map_destroy(map);
}

/* ---- both ways ----------------------------------------------------------- */

START_TEST(record_headers)
{
	static const char *const name[] = { "header_write", "header_zero",
					    "header_flush" };
	uint8_t bytes[MIRROR_HEADER_BYTES];

	load(name[_i]);
	mirror_header_encode(&headers[_i], bytes);
	is_vector(bytes, sizeof bytes);
	ck_assert_int_eq(mirror_header_decode(vector, NULL, &found[0]), 0);
	ck_assert(same_header(&found[0], &headers[_i]));
}
END_TEST

START_TEST(descriptors)
{
	static const char *const name[] = { "descriptor_records", "descriptor_mark",
					    "descriptor_pad" };
	const struct uuid log = sample_uuid(0x40);
	struct mirror_descriptor d, back;
	uint8_t block[MIRROR_BLOCK_BYTES];

	load(name[_i]);
	sample_descriptor((enum mirror_descriptor_type)(_i + 1), &d);
	mirror_descriptor_encode(&d, headers, block);
	is_vector(block, sizeof block);
	ck_assert_int_eq(mirror_descriptor_decode(vector, &log, NULL, &back, found), 0);
	ck_assert_int_eq(memcmp(&back, &d, sizeof d), 0);
	ck_assert(same_headers(found, headers, d.count));
}
END_TEST

START_TEST(superblock)
{
	static uint8_t slot[MIRROR_SUPERBLOCK_BYTES];
	char text[128];

	load("superblock");
	ck_assert_uint_eq(mirror_superblock_encode(&sb, slot), 4096);
	is_vector(slot, vector_bytes);
	ck_assert_int_eq(mirror_superblock_decode(vector, &sb_back, text, sizeof text),
			 0);
	mirror_superblock_encode(&sb_back, slot);
	is_vector(slot, vector_bytes);
}
END_TEST

START_TEST(map_blocks)
{
	uint8_t block[MIRROR_MAP_BLOCK_BYTES];
	struct mirror_map *read = mirror_map_create(&sb);
	uint64_t offset;
	uint32_t site;

	load("map_block");
	mirror_map_set(map, 1, 0, 0, 512);
	mirror_map_set(map, 1, 0, 5 * 65536, 512);
	mirror_map_set(map, 1, 0, 64 * 65536, 7 * 65536);
	ck_assert(mirror_map_take_dirty(map, &site, block, &offset));
	is_vector(block, sizeof block);
	ck_assert_int_eq(mirror_map_load(read, 1, 0, vector), 0);
	ck_assert_uint_eq(mirror_map_count(read, 1), 9);
	ck_assert(mirror_map_covers(read, 1, 0, 64 * 65536, 7 * 65536));
	mirror_map_destroy(read);
}
END_TEST

/* The frame that was just encoded is the vector. */
static void frame_is(const char *name)
{
	static uint8_t bytes[sizeof frame.head + MIRROR_WIRE_DATA_MAX];

	load(name);
	memcpy(bytes, frame.head, frame.head_bytes);
	if (frame.data_bytes > 0)
		memcpy(bytes + frame.head_bytes, frame.data, frame.data_bytes);
	is_vector(bytes, (size_t)frame.head_bytes + frame.data_bytes);
}

static const uint8_t *body(void)
{
	return vector + MIRROR_WIRE_HEADER_BYTES;
}

START_TEST(hellos)
{
	const size_t length = mirror_wire_hello_data(&hello, data);

	mirror_wire_hello(&frame, MIRROR_FRAME_WELCOME, &hello, data, length);
	frame_is("frame_welcome");
	mirror_wire_hello(&frame, MIRROR_FRAME_HELLO, &hello, data, length);
	frame_is("frame_hello");
	ck_assert_int_eq(mirror_wire_decode_hello(body(), 448, body() + 448,
						  (uint32_t)length, &hello_back),
			 0);
	ck_assert_int_eq(memcmp(&hello_back, &hello, sizeof hello), 0);
}
END_TEST

START_TEST(records_and_marks)
{
	const struct mirror_confirm confirm = { { 1003, 1000, 900 }, 12, true };
	const struct mirror_marks marks = {
		{ 100, 200, 300, 400, 500, 600, 700, 800 },
		1002,
		1003,
		SAMPLE_TIME_NS,
	};
	struct mirror_confirm confirmed;
	struct mirror_marks marked;

	mirror_wire_record(&frame, &headers[0], record_data);
	frame_is("frame_record");
	ck_assert_int_eq(mirror_wire_decode_record(body(), 80, body() + 80,
						   SAMPLE_DATA_BYTES, &mirror, NULL,
						   &found[0]),
			 0);
	mirror_wire_confirm(&frame, &confirm);
	frame_is("frame_confirm");
	ck_assert_int_eq(mirror_wire_decode_confirm(body(), 32, &confirmed), 0);
	ck_assert(confirmed.held && confirmed.held_count == 12 &&
		  confirmed.marks.logged == 1003 && confirmed.marks.home == 900);
	mirror_wire_marks(&frame, &marks);
	frame_is("frame_marks");
	ck_assert_int_eq(mirror_wire_decode_marks(body(), 88, &marked), 0);
	ck_assert_int_eq(memcmp(&marked, &marks, sizeof marks), 0);
}
END_TEST

START_TEST(refresh_frames)
{
	const struct mirror_map_chunk chunk = { 1, 64, 20, true };
	const struct mirror_refresh_begin begin = {
		33,
		33 << 16,
		1004,
		MIRROR_REFRESH_BLANK_OK | MIRROR_REFRESH_INCONSISTENT_OK,
	};
	const struct mirror_refresh_ready ready = { -ENOSPC, 0, "no room in the log" };
	const struct mirror_refresh_end end = { 1037 };
	const uint8_t bits[] = { 0xff, 0x01, 0x08 };
	struct mirror_map_chunk chunk_back;
	struct mirror_refresh_ready ready_back;

	mirror_wire_map(&frame, &chunk, bits, sizeof bits);
	frame_is("frame_map");
	ck_assert_int_eq(mirror_wire_decode_map(body(), 24, body() + 24, 3, &chunk_back),
			 0);
	ck_assert_uint_eq(chunk_back.extent_count, 20);
	mirror_wire_refresh_begin(&frame, &begin);
	frame_is("frame_refresh_begin");
	mirror_wire_refresh_ready(&frame, &ready);
	frame_is("frame_refresh_ready");
	ck_assert_int_eq(mirror_wire_decode_refresh_ready(body(), 264, &ready_back), 0);
	ck_assert_int_eq(ready_back.error, -ENOSPC);
	mirror_wire_refresh_end(&frame, &end);
	frame_is("frame_refresh_end");
}
END_TEST

START_TEST(ends)
{
	const struct mirror_refuse refuse = { MIRROR_REFUSE_SPLIT_BRAIN,
					      "the histories have forked" };
	const struct mirror_demoted demoted = { sample_uuid(0x80), 1003,
						MIRROR_DEMOTED_PROMOTE };
	const struct mirror_roll_end end = { 1003 };
	const struct mirror_flush flush = { 1003 };
	const struct mirror_home_mark home = { 1003 };
	struct mirror_refuse refused;

	mirror_wire_refuse(&frame, &refuse);
	frame_is("frame_refuse");
	ck_assert_int_eq(mirror_wire_decode_refuse(body(), 264, &refused), 0);
	ck_assert_str_eq(refused.text, refuse.text);
	mirror_wire_demoted(&frame, &demoted);
	frame_is("frame_demoted");
	mirror_wire_roll_end(&frame, &end);
	frame_is("frame_roll_end");
	mirror_wire_flush(&frame, &flush);
	frame_is("frame_flush");
	mirror_wire_home(&frame, &home);
	frame_is("frame_home");
}
END_TEST

START_TEST(news_frame)
{
	const struct mirror_news news = { "devices", "hang", "disk db does not answer" };
	struct mirror_news heard;

	mirror_wire_news(&frame, &news);
	frame_is("frame_news");
	ck_assert_int_eq(mirror_wire_decode_news(body(), 384, &heard), 0);
	ck_assert_str_eq(heard.object, news.object);
	ck_assert_str_eq(heard.rule, news.rule);
	ck_assert_str_eq(heard.text, news.text);
}
END_TEST

/* ---- broken in many ways ------------------------------------------------- */

static struct random random_state;

/* A few bytes changed; sometimes to values that often break parsers. */
static void mutate(uint8_t *bytes, size_t length)
{
	static const uint8_t hurtful[] = { 0, 1, 0x7f, 0x80, 0xff };

	for (uint64_t i = random_below(&random_state, 6); i-- > 0;) {
		const size_t at = random_below(&random_state, length);

		if (random_below(&random_state, 2) == 0)
			bytes[at] = hurtful[random_below(&random_state, 5)];
		else
			bytes[at] = (uint8_t)random_next(&random_state);
	}
}

static void put_crc(uint8_t *to, const uint8_t *bytes, size_t length)
{
	const uint32_t crc = common_crc32c(0, bytes, length);

	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(crc >> 8 * i);
}

/* Make the CRC right again, so that the checks behind it are reached. */
static void seal(uint8_t *bytes, size_t length, size_t at)
{
	memset(bytes + at, 0, 4);
	put_crc(bytes + at, bytes, length);
}

START_TEST(broken_descriptors)
{
	/* Of its own length on the heap, so that reading beyond is seen. */
	uint8_t *block = malloc(MIRROR_BLOCK_BYTES);
	uint32_t valid_count = 0;
	struct mirror_descriptor d;

	load("descriptor_records");
	for (uint32_t i = 0; i < MUTATION_COUNT; i++) {
		memcpy(block, vector, MIRROR_BLOCK_BYTES);
		mutate(block, 192 + 3 * MIRROR_HEADER_BYTES);
		if (i % 8 != 0)
			seal(block, MIRROR_BLOCK_BYTES, 16);
		if (mirror_descriptor_decode(block, NULL, &sb.disks, &d, found) == 0) {
			expect(d.count <= MIRROR_DESCRIPTOR_RECORDS_MAX);
			mirror_descriptor_encode(&d, found, block);
			valid_count++;
		}
	}
	load("descriptor_mark");
	for (uint32_t i = 0; i < MUTATION_COUNT; i++) {
		memcpy(block, vector, MIRROR_BLOCK_BYTES);
		mutate(block, 192);
		seal(block, MIRROR_BLOCK_BYTES, 16);
		if (mirror_descriptor_decode(block, NULL, NULL, &d, found) == 0) {
			mirror_descriptor_encode(&d, found, block);
			valid_count++;
		}
	}
	ck_assert_uint_gt(valid_count, MUTATION_COUNT / 10);
	free(block);
}
END_TEST

START_TEST(broken_superblocks)
{
	uint8_t *slot = malloc(MIRROR_SUPERBLOCK_BYTES);
	uint32_t valid_count = 0;
	char text[128];

	load("superblock");
	for (uint32_t i = 0; i < MUTATION_COUNT; i++) {
		memcpy(slot, vector, MIRROR_SUPERBLOCK_BYTES);
		mutate(slot, vector_bytes);
		if (i % 8 != 0) {
			memcpy(slot + 16, vector + 16, 4);
			if (i % 16 == 1)
				slot[16] = (uint8_t)random_next(&random_state);
			seal(slot, slot[16] | (size_t)slot[17] << 8, 20);
		}
		if (mirror_superblock_decode(slot, &sb_back, text, sizeof text) == 0) {
			mirror_superblock_encode(&sb_back, slot);
			valid_count++;
		} else {
			expect(text[0] != 0);
		}
	}
	ck_assert_uint_gt(valid_count, MUTATION_COUNT / 10);
	free(slot);
}
END_TEST

START_TEST(broken_map_blocks)
{
	uint8_t *block = malloc(MIRROR_MAP_BLOCK_BYTES);

	load("map_block");
	for (uint32_t i = 0; i < MUTATION_COUNT; i++) {
		memcpy(block, vector, MIRROR_MAP_BLOCK_BYTES);
		mutate(block, i % 2 == 0 ? 64 : MIRROR_MAP_BLOCK_BYTES);
		if (i % 8 != 0)
			seal(block, MIRROR_MAP_BLOCK_BYTES, 12);
		mirror_map_load(map, 1, 0, block);
	}
	mirror_map_check(map);
	free(block);
}
END_TEST

/* Hand body and data, each of its own length on the heap, to a frame's decoder. */
static int decode_any(uint16_t type, const uint8_t *b, uint32_t n, const uint8_t *d,
		      uint32_t m)
{
	static union {
		struct mirror_refuse refuse;
		struct mirror_confirm confirm;
		struct mirror_marks marks;
		struct mirror_refresh_begin begin;
		struct mirror_refresh_ready ready;
		struct mirror_refresh_end end;
		struct mirror_demoted demoted;
		struct mirror_roll_end roll_end;
		struct mirror_flush flush;
		struct mirror_home_mark home;
		struct mirror_news news;
	} to;
	struct mirror_map_chunk chunk;
	int error;

	switch ((enum mirror_frame_type)type) {
	case MIRROR_FRAME_HELLO:
	case MIRROR_FRAME_WELCOME:
		return mirror_wire_decode_hello(b, n, d, m, &hello_back);
	case MIRROR_FRAME_REFUSE:
		return mirror_wire_decode_refuse(b, n, &to.refuse);
	case MIRROR_FRAME_RECORD:
		return mirror_wire_decode_record(b, n, d, m, &mirror, &sb.disks,
						 &found[0]);
	case MIRROR_FRAME_CONFIRM:
		return mirror_wire_decode_confirm(b, n, &to.confirm);
	case MIRROR_FRAME_MARKS:
		return mirror_wire_decode_marks(b, n, &to.marks);
	case MIRROR_FRAME_MAP:
		error = mirror_wire_decode_map(b, n, d, m, &chunk);
		return error < 0 ? error : mirror_map_import(map, 0, &chunk, d, m);
	case MIRROR_FRAME_REFRESH_BEGIN:
		return mirror_wire_decode_refresh_begin(b, n, &to.begin);
	case MIRROR_FRAME_REFRESH_READY:
		return mirror_wire_decode_refresh_ready(b, n, &to.ready);
	case MIRROR_FRAME_REFRESH_END:
		return mirror_wire_decode_refresh_end(b, n, &to.end);
	case MIRROR_FRAME_DEMOTED:
		return mirror_wire_decode_demoted(b, n, &to.demoted);
	case MIRROR_FRAME_ROLL_END:
		return mirror_wire_decode_roll_end(b, n, &to.roll_end);
	case MIRROR_FRAME_FLUSH:
		return mirror_wire_decode_flush(b, n, &to.flush);
	case MIRROR_FRAME_HOME:
		return mirror_wire_decode_home(b, n, &to.home);
	case MIRROR_FRAME_NEWS:
		return mirror_wire_decode_news(b, n, &to.news);
	}
	return -EPROTO;
}

static void break_frame(uint32_t round, struct mirror_wire_header h)
{
	const size_t data_crc_at = h.type == MIRROR_FRAME_MAP ? 20 : 432;
	uint8_t *b, *d;

	if (round % 4 == 0)
		h.body_bytes = (uint32_t)random_below(&random_state, h.body_bytes + 1);
	if (round % 5 == 0)
		h.data_bytes = (uint32_t)random_below(&random_state, h.data_bytes + 1);
	b = malloc(h.body_bytes + 1u);
	d = malloc(h.data_bytes + 1u);
	memcpy(b, body(), h.body_bytes);
	memcpy(d, vector + vector_bytes - h.data_bytes, h.data_bytes);
	if (h.body_bytes > 0)
		mutate(b, h.body_bytes);
	if (h.data_bytes > 0)
		mutate(d, h.data_bytes);
	if (round % 2 == 0 && h.body_bytes >= data_crc_at + 4)
		put_crc(b + data_crc_at, d, h.data_bytes);
	b = realloc(b, h.body_bytes > 0 ? h.body_bytes : 1);
	d = realloc(d, h.data_bytes > 0 ? h.data_bytes : 1);
	decode_any(h.type, b, h.body_bytes, h.data_bytes > 0 ? d : NULL, h.data_bytes);
	free(b);
	free(d);
}

START_TEST(broken_frames)
{
	static const char *const name[] = {
		"frame_hello",         "frame_refuse",        "frame_record",
		"frame_confirm",       "frame_marks",         "frame_map",
		"frame_refresh_begin", "frame_refresh_ready", "frame_refresh_end",
		"frame_demoted",       "frame_roll_end",      "frame_flush",
		"frame_home",          "frame_news",
	};
	struct mirror_wire_header h, other;
	uint8_t head[MIRROR_WIRE_HEADER_BYTES];
	uint32_t valid_count = 0;

	load(name[_i]);
	ck_assert_int_eq(mirror_wire_decode_header(vector, &h), 0);
	ck_assert_int_eq(mirror_wire_check_body(&h, body()), 0);
	for (uint32_t i = 0; i < MUTATION_COUNT; i++) {
		break_frame(i, h);
		memcpy(head, vector, sizeof head);
		mutate(head, 28);
		put_crc(head + 28, head, 28);
		if (mirror_wire_decode_header(head, &other) != 0)
			continue;
		expect(other.body_bytes <= MIRROR_FRAME_BODY_MAX &&
		       other.data_bytes <= MIRROR_WIRE_DATA_MAX);
		valid_count++;
	}
	ck_assert_uint_gt(valid_count, MUTATION_COUNT / 10);
	mirror_map_check(map);
}
END_TEST

int main(void)
{
	TCase *both = tcase_create("both ways"), *broken = tcase_create("broken");
	Suite *s = suite_create("vectors");
	SRunner *sr = srunner_create(s);
	int failed;

	random_state.state = 12345;
	tcase_add_checked_fixture(both, setup, teardown);
	tcase_add_checked_fixture(broken, setup, teardown);
	tcase_add_loop_test(both, record_headers, 0, 3);
	tcase_add_loop_test(both, descriptors, 0, 3);
	tcase_add_test(both, superblock);
	tcase_add_test(both, map_blocks);
	tcase_add_test(both, hellos);
	tcase_add_test(both, records_and_marks);
	tcase_add_test(both, refresh_frames);
	tcase_add_test(both, ends);
	tcase_add_test(both, news_frame);
	tcase_add_test(broken, broken_descriptors);
	tcase_add_test(broken, broken_superblocks);
	tcase_add_test(broken, broken_map_blocks);
	tcase_add_loop_test(broken, broken_frames, 0, 14);
	suite_add_tcase(s, both);
	suite_add_tcase(s, broken);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
