/* test_descriptor.c - record headers and descriptors, and the refusal of bad ones. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "mirror/log/descriptor.h"
#include "tests/unit/same.h"

static const struct uuid mirror = { .byte = { 1, 2, 3 } };
static struct mirror_disk_table disks;
static struct mirror_header header, back;
static struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
static struct mirror_header found[MIRROR_DESCRIPTOR_RECORDS_MAX];
static struct mirror_descriptor d, got;
static uint8_t bytes[MIRROR_HEADER_BYTES];
static uint8_t block[MIRROR_BLOCK_BYTES];

static void setup(void)
{
	disks.count = 2;
	disks.entry[0].size_bytes = disks.entry[1].size_bytes = 1 << 20;
	header = (struct mirror_header){
		.type = MIRROR_RECORD_WRITE,
		.flags = MIRROR_RECORD_FUA,
		.disk = 1,
		.crc = 0x12345678,
		.sequence = 1000,
		.disk_sequence = 500,
		.generation = 3,
		.group = 77,
		.offset_bytes = 8192,
		.length_bytes = 1024,
		.data_bytes = 1024,
		.time_ns = 123456789,
	};
	for (uint32_t i = 0; i < MIRROR_DESCRIPTOR_RECORDS_MAX; i++) {
		headers[i] = header;
		headers[i].sequence = 1000 + i;
	}
	d = (struct mirror_descriptor){
		.type = MIRROR_DESCRIPTOR_RECORDS,
		.count = MIRROR_DESCRIPTOR_RECORDS_MAX,
		.log.byte = { 4 },
		.epoch = 5,
		.position = 40960,
		.previous_position = 4096,
		.generation = 3,
		.first_sequence = 1000,
		.durable = 999,
		.home = 900,
		.confirmed = { 1, 2, 3, 4, 5, 6, 7, 8 },
		.total_bytes = 49 * 4096,
	};
}

/* ---- headers ------------------------------------------------------------- */

static int decode(void)
{
	mirror_header_encode(&header, bytes);
	return mirror_header_decode(bytes, &disks, &back);
}

START_TEST(a_header_comes_back)
{
	ck_assert_int_eq(decode(), 0);
	ck_assert(same_header(&header, &back));
	header.type = MIRROR_RECORD_ZERO;
	header.flags = MIRROR_RECORD_MAY_DEALLOCATE | MIRROR_RECORD_REFRESH;
	header.length_bytes = 1 << 19;
	header.data_bytes = 0;
	ck_assert_int_eq(decode(), 0);
	ck_assert(same_header(&header, &back));
	header = (struct mirror_header){
		.type = MIRROR_RECORD_FLUSH,
		.sequence = 1,
		.generation = 1,
		.group = 1,
	};
	ck_assert_int_eq(decode(), 0);
	ck_assert(same_header(&header, &back));
}
END_TEST

#define refused(change)                          \
	do {                                     \
		setup();                         \
		change;                          \
		ck_assert_int_eq(decode(), -EPROTO); \
	} while (0)

START_TEST(a_header_that_cannot_be_is_refused)
{
	refused(header.type = 0);
	refused(header.type = 4);
	refused(header.flags = MIRROR_RECORD_INTENT);
	refused(header.flags = MIRROR_RECORD_COMMIT);
	refused(header.flags = 1 << 5);
	refused(header.flags = MIRROR_RECORD_MAY_DEALLOCATE);   /* of a write */
	refused(header.sequence = 0);
	refused(header.disk_sequence = 0);
	refused(header.generation = 0);
	refused(header.group = 0);
	refused(header.disk = 2);
	refused(header.disk = CONFIG_DISK_COUNT_MAX);
	refused(header.offset_bytes = 100);
	refused(header.offset_bytes = (1 << 20) - 512);         /* ends behind the disk */
	refused(header.offset_bytes = UINT64_MAX - 511);        /* would wrap */
	refused(header.length_bytes = header.data_bytes = 100);
	refused(header.length_bytes = header.data_bytes = 0);
	refused(header.data_bytes = 512);
	refused(header.length_bytes = header.data_bytes = MIRROR_RECORD_DATA_MAX + 512);
	refused(header.type = MIRROR_RECORD_ZERO);              /* with data */
	refused(header.type = MIRROR_RECORD_FLUSH);             /* with an extent */
	setup();
	mirror_header_encode(&header, bytes);
	bytes[60] = 1;                                          /* reserved */
	ck_assert_int_eq(mirror_header_decode(bytes, &disks, &back), -EPROTO);
}
END_TEST

/* Without a table the extent is checked by itself only. */
START_TEST(disks_need_not_be_known)
{
	header.disk = 200;
	header.offset_bytes = 1ull << 50;
	mirror_header_encode(&header, bytes);
	ck_assert_int_eq(mirror_header_decode(bytes, NULL, &back), 0);
	header.offset_bytes = UINT64_MAX - 511;
	mirror_header_encode(&header, bytes);
	ck_assert_int_eq(mirror_header_decode(bytes, NULL, &back), -EPROTO);
}
END_TEST

/* The CRC holds mirror, generation, sequence, disk, type and extent: data that is intact
 * but of another place or mirror does not pass. */
START_TEST(the_datas_crc_is_seeded_with_identity_and_place)
{
	struct uuid other = mirror;
	uint8_t data[1024] = { 7 };
	const uint32_t crc = mirror_header_data_crc(&mirror, &header, data);

#define other_crc(change)                                                          \
	do {                                                                       \
		setup();                                                           \
		change;                                                            \
		ck_assert_uint_ne(mirror_header_data_crc(&mirror, &header, data), crc); \
	} while (0)
	other_crc(header.generation++);
	other_crc(header.sequence++);
	other_crc(header.disk++);
	other_crc(header.type++);
	other_crc(header.offset_bytes += 512);
	other_crc(header.length_bytes += 512);
	other_crc(data[1023]++);
#undef other_crc
	setup();
	data[1023]--;
	other.byte[15]++;
	ck_assert_uint_ne(mirror_header_data_crc(&other, &header, data), crc);
	ck_assert_uint_eq(mirror_header_data_crc(&mirror, &header, data), crc);
	/* It can be taken in pieces. */
	ck_assert_uint_eq(
		common_crc32c(common_crc32c(mirror_header_place_crc(&mirror, &header),
					    data, 300),
			      data + 300, 724),
		crc);
}
END_TEST

/* ---- descriptors --------------------------------------------------------- */

static int decode_block(void)
{
	return mirror_descriptor_decode(block, &d.log, &disks, &got, found);
}

START_TEST(a_descriptor_comes_back)
{
	ck_assert_uint_eq(mirror_descriptor_total_bytes(headers, d.count), d.total_bytes);
	mirror_descriptor_encode(&d, headers, block);
	ck_assert_int_eq(decode_block(), 0);
	ck_assert_int_eq(memcmp(&d, &got, sizeof d), 0);
	ck_assert(same_headers(headers, found, d.count));
}
END_TEST

START_TEST(marks_and_pads_come_back)
{
	d.count = 0;
	d.type = MIRROR_DESCRIPTOR_MARK;
	d.total_bytes = 4096;
	mirror_descriptor_encode(&d, NULL, block);
	ck_assert_int_eq(decode_block(), 0);
	ck_assert_int_eq(memcmp(&d, &got, sizeof d), 0);
	d.type = MIRROR_DESCRIPTOR_PAD;
	d.total_bytes = 100 * 4096;
	mirror_descriptor_encode(&d, NULL, block);
	ck_assert_int_eq(decode_block(), 0);
	ck_assert_int_eq(memcmp(&d, &got, sizeof d), 0);
}
END_TEST

START_TEST(errors_are_told_apart)
{
	struct uuid other = d.log;

	memset(block, 0, sizeof block);
	ck_assert_int_eq(decode_block(), -ENODATA);
	mirror_descriptor_encode(&d, headers, block);
	other.byte[15] = 1;
	ck_assert_int_eq(mirror_descriptor_decode(block, &other, &disks, &got, found),
			 -ENODATA);
	ck_assert_int_eq(mirror_descriptor_decode(block, NULL, NULL, &got, found), 0);
	block[4000] ^= 1;
	ck_assert_int_eq(decode_block(), -EBADMSG);
}
END_TEST

/* Change a field and make the CRC right again. */
static int decode_changed(size_t at, uint8_t value)
{
	uint32_t crc;

	mirror_descriptor_encode(&d, headers, block);
	block[at] = value;
	memset(block + 16, 0, 4);
	crc = common_crc32c(0, block, sizeof block);
	for (int i = 0; i < 4; i++)
		block[16 + i] = (uint8_t)(crc >> 8 * i);
	return decode_block();
}

START_TEST(what_contradicts_itself_is_refused)
{
	ck_assert_int_eq(decode_changed(0, 0x48), 0);
	ck_assert_int_eq(decode_changed(4, 2), -EPROTONOSUPPORT);
	ck_assert_uint_eq(got.position, d.position);
	ck_assert_uint_eq(got.epoch, d.epoch);
	ck_assert_int_eq(decode_changed(8, 1), -EPROTONOSUPPORT);
	ck_assert_int_eq(decode_changed(6, 9), -EPROTO);        /* type */
	ck_assert_int_eq(decode_changed(6, 2), -EPROTO);        /* a MARK with records */
	ck_assert_int_eq(decode_changed(12, 1), -EPROTO);       /* length */
	ck_assert_int_eq(decode_changed(20, 47), -EPROTO);      /* count */
	ck_assert_int_eq(decode_changed(20, 200), -EPROTO);
	ck_assert_int_eq(decode_changed(40, 0), -EPROTO);       /* epoch 0 */
	ck_assert_int_eq(decode_changed(48, 1), -EPROTO);       /* position */
	ck_assert_int_eq(decode_changed(55, 255), -EPROTO);
	ck_assert_int_eq(decode_changed(63, 1), -EPROTO);       /* previous behind it */
	ck_assert_int_eq(decode_changed(64, 4), -EPROTO);       /* generation */
	ck_assert_int_eq(decode_changed(72, 0), -EPROTO);       /* first sequence */
	ck_assert_int_eq(decode_changed(81, 4), -EPROTO);       /* durable beyond it */
	ck_assert_int_eq(decode_changed(161, 1), -EPROTO);      /* total */
	ck_assert_int_eq(decode_changed(192 + 80, 9), -EPROTO); /* type of record 1 */
	ck_assert_int_eq(decode_changed(192 + 88, 0), -EPROTO); /* sequence of record 1 */
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("descriptor");
	Suite *s = suite_create("descriptor");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_header_comes_back);
	tcase_add_test(tc, a_header_that_cannot_be_is_refused);
	tcase_add_test(tc, disks_need_not_be_known);
	tcase_add_test(tc, the_datas_crc_is_seeded_with_identity_and_place);
	tcase_add_test(tc, a_descriptor_comes_back);
	tcase_add_test(tc, marks_and_pads_come_back);
	tcase_add_test(tc, errors_are_told_apart);
	tcase_add_test(tc, what_contradicts_itself_is_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
