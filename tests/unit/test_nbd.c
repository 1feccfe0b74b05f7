/* test_nbd.c - NBD's negotiation, request and reply headers, and how commands are cut:
 * byte transcripts, after proto.md. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/front/nbd_wire.h"
#include "mirror/front/nbd_piece.h"

#define ACK 1u
#define SERVER 2u
#define INFO 3u
#define ERROR_UNSUP 0x80000001u
#define ERROR_POLICY 0x80000002u
#define ERROR_INVALID 0x80000003u
#define ERROR_UNKNOWN 0x80000006u
#define ERROR_TOO_BIG 0x80000009u

static struct mirror_nbd_exports exports;
static struct mirror_nbd_session session;
static uint8_t out[4096];
static size_t out_size, out_bytes, read_at;

static void setup(void)
{
	exports = (struct mirror_nbd_exports){ .mirror = "data", .count = 2 };
	exports.disk[0] = (struct mirror_nbd_export){ .name = "db",
						      .size_bytes = 1 << 20 };
	exports.disk[1] = (struct mirror_nbd_export){ .name = "wal", .size_bytes = 8192 };
	session = (struct mirror_nbd_session){ .owner = &session };
	out_size = sizeof out;
	out_bytes = read_at = 0;
}

/* Offer `in` as a whole until it is used up or the session is stuck. */
static size_t offer(struct mirror_nbd_session *s, const uint8_t *in, size_t in_bytes)
{
	size_t used = 0, step, wrote;

	out_bytes = read_at = 0;
	do {
		wrote = out_bytes;
		step = mirror_nbd_negotiate(s, &exports, in + used, in_bytes - used,
					    out + out_bytes, out_size - out_bytes,
					    &out_bytes);
		used += step;
	} while (step > 0 || out_bytes > wrote);
	return used;
}

static void greet(struct mirror_nbd_session *s, uint8_t flags)
{
	const uint8_t in[4] = { 0, 0, 0, flags };

	ck_assert_uint_eq(offer(s, in, sizeof in), 4);
	ck_assert_mem_eq(out, "NBDMAGICIHAVEOPT\0\3", 18);
	ck_assert_uint_eq(out_bytes, 18);
}

static size_t option(uint8_t *at, uint32_t option, const void *data, uint32_t bytes)
{
	memcpy(at, "IHAVEOPT", 8);
	mirror_nbd_put(at + 8, option, 4);
	mirror_nbd_put(at + 12, bytes, 4);
	memcpy(at + 16, data, bytes);
	return 16 + bytes;
}

static void say(struct mirror_nbd_session *s, uint32_t number, const void *data,
		uint32_t bytes)
{
	uint8_t in[16 + MIRROR_NBD_OPTION_MAX];
	const size_t length = option(in, number, data, bytes);

	ck_assert_uint_eq(offer(s, in, length), length);
}

/* The next answer is of this kind; returns where its data is. */
static const uint8_t *expect(uint32_t number, uint32_t type, uint32_t bytes)
{
	const uint8_t *at = out + read_at;

	ck_assert_uint_ge(out_bytes - read_at, 20);
	ck_assert_uint_eq(mirror_nbd_get(at, 8), 0x0003e889045565a9ull);
	ck_assert_uint_eq(mirror_nbd_get(at + 8, 4), number);
	ck_assert_uint_eq(mirror_nbd_get(at + 12, 4), type);
	if (bytes != UINT32_MAX)
		ck_assert_uint_eq(mirror_nbd_get(at + 16, 4), bytes);
	read_at += 20 + mirror_nbd_get(at + 16, 4);
	return at + 20;
}

static void expect_no_more(void)
{
	ck_assert_uint_eq(read_at, out_bytes);
}

START_TEST(greeting_waits_for_flags_byte_by_byte)
{
	const uint8_t in[4] = { 0, 0, 0, 3 };

	ck_assert_uint_eq(offer(&session, in, 3), 0);
	ck_assert_uint_eq(out_bytes, 18);
	ck_assert_int_eq(session.phase, MIRROR_NBD_FLAGS);
	ck_assert_uint_eq(offer(&session, in, 4), 4);
	ck_assert_int_eq(session.phase, MIRROR_NBD_OPTIONS);
	ck_assert(session.no_zeroes);
}
END_TEST

START_TEST(unknown_client_flag_ends_it)
{
	greet(&session, 4);
	ck_assert_int_eq(session.phase, MIRROR_NBD_ENDED);
}
END_TEST

START_TEST(export_name_of_old_clients)
{
	static const uint8_t zeroes[124];

	greet(&session, 1);
	say(&session, 1, "wal", 3);
	ck_assert_int_eq(session.phase, MIRROR_NBD_TRANSMISSION);
	ck_assert_uint_eq(session.disk, 1);
	ck_assert_uint_eq(out_bytes, 134);
	ck_assert_uint_eq(mirror_nbd_get(out, 8), 8192);
	ck_assert_uint_eq(mirror_nbd_get(out + 8, 2),
			  0x16d); /* flush fua trim zero multi */
	ck_assert_mem_eq(out + 10, zeroes, 124);
}
END_TEST

START_TEST(export_name_without_zeroes_and_by_default)
{
	greet(&session, 3);
	say(&session, 1, "", 0);
	ck_assert_uint_eq(session.disk, 0);
	ck_assert_uint_eq(out_bytes, 10);
}
END_TEST

START_TEST(export_name_of_no_disk_has_no_answer)
{
	greet(&session, 3);
	say(&session, 1, "dbx", 3);
	ck_assert_int_eq(session.phase, MIRROR_NBD_ENDED);
	ck_assert_uint_eq(out_bytes, 0);
}
END_TEST

START_TEST(go_tells_what_was_asked)
{
	/* name "wal", asked: name, description, one that nobody knows */
	static const uint8_t go[] = {
		0, 0, 0, 3, 'w', 'a', 'l', 0, 3, 0, 1, 0, 2, 0, 77
	};
	const uint8_t *at;

	greet(&session, 3);
	say(&session, 8, "", 0);
	expect(8, ACK, 0);
	say(&session, 7, go, sizeof go);
	at = expect(7, INFO, 12);
	ck_assert_uint_eq(mirror_nbd_get(at, 2), 0);
	ck_assert_uint_eq(mirror_nbd_get(at + 2, 8), 8192);
	ck_assert_uint_eq(mirror_nbd_get(at + 10, 2),
			  0x1ed); /* and DF, since structured */
	at = expect(7, INFO, 14);
	ck_assert_uint_eq(mirror_nbd_get(at, 2), 3);
	ck_assert_uint_eq(mirror_nbd_get(at + 2, 4), 1);
	ck_assert_uint_eq(mirror_nbd_get(at + 6, 4), 4096);
	ck_assert_uint_eq(mirror_nbd_get(at + 10, 4), 32 << 20);
	ck_assert_mem_eq(expect(7, INFO, 5), "\0\1wal", 5);
	ck_assert_mem_eq(expect(7, INFO, 25), "\0\2disk wal of mirror data", 25);
	expect(7, ACK, 0);
	expect_no_more();
	ck_assert_int_eq(session.phase, MIRROR_NBD_TRANSMISSION);
	ck_assert_uint_eq(session.disk, 1);
}
END_TEST

/* Larger sectors are named: a layout made here fits the devices under it. */
START_TEST(go_tells_the_sector)
{
	static const uint32_t sector[][3] = { { 512, 1, 4096 },
					      { 4096, 4096, 4096 },
					      { 16384, 16384, 16384 } };
	const uint8_t *at;

	exports.disk[0].sector_bytes = sector[_i][0];
	greet(&session, 3);
	say(&session, 7, "\0\0\0\2db\0\0", 8);
	expect(7, INFO, 12);
	at = expect(7, INFO, 14);
	ck_assert_uint_eq(mirror_nbd_get(at + 2, 4), sector[_i][1]);
	ck_assert_uint_eq(mirror_nbd_get(at + 6, 4), sector[_i][2]);
}
END_TEST

/* It may look around, but gets no disk. */
START_TEST(who_gets_no_place_is_told_so)
{
	session.full = "no place";
	greet(&session, 3);
	say(&session, 6, "\0\0\0\0\0\0", 6);
	expect(6, INFO, 12);
	expect(6, INFO, 14);
	expect(6, ACK, 0);
	say(&session, 7, "\0\0\0\2db\0\0", 8);
	ck_assert_mem_eq(expect(7, ERROR_POLICY, 8), "no place", 8);
	ck_assert_int_eq(session.phase, MIRROR_NBD_OPTIONS);
	say(&session, 1, "db", 2);
	expect_no_more();
	ck_assert_int_eq(session.phase, MIRROR_NBD_ENDED);
}
END_TEST

START_TEST(info_stays_in_negotiation)
{
	greet(&session, 3);
	say(&session, 6, "\0\0\0\0\0\0", 6);
	expect(6, INFO, 12);
	expect(6, INFO, 14);
	expect(6, ACK, 0);
	expect_no_more();
	ck_assert_int_eq(session.phase, MIRROR_NBD_OPTIONS);
}
END_TEST

START_TEST(go_with_lengths_that_lie_is_invalid)
{
	static const uint8_t beyond[] = { 0xff, 0xff, 0xff, 0xff, 'd', 'b', 0, 0 };
	static const uint8_t more[] = { 0, 0, 0, 2, 'd', 'b', 0, 2, 0, 1 };

	greet(&session, 3);
	say(&session, 7, beyond, sizeof beyond);
	expect(7, ERROR_INVALID, UINT32_MAX);
	say(&session, 7, more, sizeof more);
	expect(7, ERROR_INVALID, UINT32_MAX);
	say(&session, 7, more, 5);
	expect(7, ERROR_INVALID, UINT32_MAX);
	ck_assert_int_eq(session.phase, MIRROR_NBD_OPTIONS);
}
END_TEST

START_TEST(go_for_an_unknown_disk_can_be_tried_again)
{
	greet(&session, 3);
	say(&session, 7, "\0\0\0\1x\0\0", 7);
	expect(7, ERROR_UNKNOWN, UINT32_MAX);
	ck_assert_int_eq(session.refused, MIRROR_NBD_REFUSED_EXPORT);
	ck_assert_str_eq(session.refused_text,
			 "it asks for a disk \"x\", and there is none");
	say(&session, 7, "\0\0\0\2db\0\0", 8);
	ck_assert_int_eq(session.phase, MIRROR_NBD_TRANSMISSION);
}
END_TEST

/* However the pages fall. */
START_TEST(list_names_every_disk_over_many_pages)
{
	static char names[CONFIG_DISK_COUNT_MAX][CONFIG_NAME_MAX];
	uint8_t in[16];
	const size_t length = option(in, 3, "", 0);
	uint32_t listed = 0, pages = 0;

	out_size = MIRROR_NBD_ANSWER_MAX + 20 + (size_t)_i;
	exports.count = CONFIG_DISK_COUNT_MAX;
	for (uint32_t i = 0; i < exports.count; i++) {
		snprintf(names[i], sizeof names[i], "disk%058u", i);
		exports.disk[i].name = names[i];
	}
	greet(&session, 3);
	ck_assert_uint_eq(offer(&session, in, length), length);
	while (pages++ < 40) {
		while (listed < exports.count && read_at < out_bytes)
			ck_assert_mem_eq(expect(3, SERVER, 66) + 4, names[listed++], 62);
		if (session.phase != MIRROR_NBD_LISTING)
			break;
		offer(&session, NULL, 0);
	}
	expect(3, ACK, 0);
	expect_no_more();
	ck_assert_uint_gt(pages, 4);
	ck_assert_int_eq(session.phase, MIRROR_NBD_OPTIONS);
}
END_TEST

START_TEST(what_is_not_supported_says_so)
{
	greet(&session, 3);
	say(&session, 5, "", 0); /* STARTTLS */
	expect(5, ERROR_UNSUP, 0);
	say(&session, 10, "\0\0\0\2db\0\0\0\0", 10); /* SET_META_CONTEXT */
	expect(10, ERROR_UNSUP, 0);
	say(&session, 0xfffffffe, "", 0);
	expect(0xfffffffe, ERROR_UNSUP, 0);
	say(&session, 3, "x", 1);
	expect(3, ERROR_INVALID, UINT32_MAX);
	say(&session, 8, "x", 1);
	expect(8, ERROR_INVALID, UINT32_MAX);
	ck_assert(!session.structured);
	say(&session, 2, "", 0);
	expect(2, ACK, 0);
	ck_assert_int_eq(session.phase, MIRROR_NBD_ENDED);
}
END_TEST

START_TEST(an_option_too_long_is_skipped_and_refused)
{
	uint8_t in[16];
	static const uint8_t junk[30000];

	greet(&session, 3);
	option(in, 7, "", 0);
	mirror_nbd_put(in + 12, 40000, 4);
	ck_assert_uint_eq(offer(&session, in, 16), 16);
	ck_assert_uint_eq(offer(&session, junk, 30000), 30000);
	ck_assert_uint_eq(out_bytes, 0);
	ck_assert_uint_eq(offer(&session, junk, 10000), 10000);
	expect(7, ERROR_TOO_BIG, UINT32_MAX);
	say(&session, 8, "", 0);
	expect(8, ACK, 0);
}
END_TEST

START_TEST(no_option_at_all_ends_it)
{
	greet(&session, 3);
	ck_assert_uint_eq(offer(&session, (const uint8_t *)"GET / HTTP/1.1\r\n", 16), 16);
	ck_assert_int_eq(session.phase, MIRROR_NBD_ENDED);
}
END_TEST

/* docs/rules.md, "Clients that come back": over TCP there is no multi-connection
 * export, and a new connection waits until the old one is done. */
START_TEST(a_network_export_has_one_connection)
{
	struct mirror_nbd_session old = { .network = true, .owner = &old };
	struct mirror_nbd_session new = { .network = true, .owner = &new };
	uint8_t in[32];
	size_t length = option(in, 7, "\0\0\0\2db\0\0", 8);

	greet(&old, 3);
	say(&old, 7, "\0\0\0\2db\0\0", 8);
	ck_assert_uint_eq(mirror_nbd_get(expect(7, INFO, 12) + 10, 2), 0x6d);
	greet(&new, 3);
	ck_assert_uint_eq(offer(&new, in, length), 0);
	ck_assert(new.waiting);
	ck_assert_uint_eq(out_bytes, 0);

	/* A local client has nothing to do with it. */
	greet(&session, 3);
	say(&session, 7, "\0\0\0\2db\0\0", 8);
	ck_assert_int_eq(session.phase, MIRROR_NBD_TRANSMISSION);
	mirror_nbd_release(&session, &exports);
	ck_assert_uint_eq(offer(&new, in, length), 0);

	mirror_nbd_release(&old, &exports);
	ck_assert_uint_eq(offer(&new, in, length), length);
	ck_assert(!new.waiting);
	ck_assert_int_eq(new.phase, MIRROR_NBD_TRANSMISSION);
}
END_TEST

/* ---- requests and replies --------------------------------------------------- */

START_TEST(request_header_is_taken_apart)
{
	static const uint8_t in[28] = { 0x25, 0x60, 0x95, 0x13, 0, 1, 0, 6, 1, 2,
					3,    4,    5,    6,    7, 8, 0, 0, 0, 1,
					0,    0,    0,    2,    0, 0, 2, 0 };
	struct mirror_nbd_request r;
	uint8_t bad[28];

	ck_assert_int_eq(mirror_nbd_request_decode(in, &r), 0);
	ck_assert_uint_eq(r.flags, MIRROR_NBD_FLAG_FUA);
	ck_assert_uint_eq(r.type, MIRROR_NBD_WRITE_ZEROES);
	ck_assert_uint_eq(r.cookie, 0x0102030405060708ull);
	ck_assert_uint_eq(r.offset_bytes, 0x100000002ull);
	ck_assert_uint_eq(r.length_bytes, 512);
	memcpy(bad, in, sizeof bad);
	bad[3] ^= 1;
	ck_assert_int_eq(mirror_nbd_request_decode(bad, &r), -EPROTO);
}
END_TEST

START_TEST(requests_are_checked)
{
	const struct {
		uint16_t type, flags;
		uint64_t offset_bytes;
		uint32_t length_bytes;
		bool structured;
		int result;
	} c[] = {
		{ MIRROR_NBD_READ, 0, 0, 8192, false, 0 },
		{ MIRROR_NBD_READ, 0, 1, 8192, false, -EINVAL },
		{ MIRROR_NBD_READ, 0, UINT64_MAX, 2, false, -EINVAL },
		{ MIRROR_NBD_READ, MIRROR_NBD_FLAG_DF, 0, 1, false, -EINVAL },
		{ MIRROR_NBD_READ, MIRROR_NBD_FLAG_DF, 0, 1, true, 0 },
		{ MIRROR_NBD_WRITE, MIRROR_NBD_FLAG_FUA, 8191, 1, false, 0 },
		{ MIRROR_NBD_WRITE, 0, 8192, 1, false, -ENOSPC },
		{ MIRROR_NBD_WRITE, 0, 0, (32 << 20) + 1, false, -EINVAL },
		{ MIRROR_NBD_WRITE, MIRROR_NBD_FLAG_NO_HOLE, 0, 1, false, -EINVAL },
		{ MIRROR_NBD_TRIM, 0, 0, 8193, false, -EINVAL },
		{ MIRROR_NBD_WRITE_ZEROES, 0, 0, 8193, false, -ENOSPC },
		{ MIRROR_NBD_WRITE_ZEROES, 1u << 4, 0, 1, false, -EINVAL },
		{ MIRROR_NBD_FLUSH, 0, 0, 0, false, 0 },
		{ 5, 0, 0, 1, false, -EINVAL }, /* CACHE: not announced */
		{ 7, 0, 0, 1, true, -EINVAL },  /* BLOCK_STATUS: nor this */
	};

	for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
		const struct mirror_nbd_request r = { c[i].flags, c[i].type, 1,
						      c[i].offset_bytes,
						      c[i].length_bytes };

		session.structured = c[i].structured;
		ck_assert_msg(mirror_nbd_request_check(&session, &r, 8192) == c[i].result,
			      "case %zu", i);
	}
}
END_TEST

START_TEST(heads_of_replies)
{
	uint8_t h[MIRROR_NBD_HEAD_MAX];

	ck_assert_uint_eq(mirror_nbd_simple_encode(h, 7, -ENOSPC), 16);
	ck_assert_mem_eq(h, "\x67\x44\x66\x98\0\0\0\x1c\0\0\0\0\0\0\0\7", 16);
	ck_assert_uint_eq(mirror_nbd_data_encode(h, 7, 512, 1024, false), 28);
	ck_assert_mem_eq(h,
			 "\x66\x8e\x33\xef\0\0\0\1\0\0\0\0\0\0\0\7\0\0\4\x08"
			 "\0\0\0\0\0\0\2\0",
			 28);
	ck_assert_uint_eq(mirror_nbd_end_encode(h, 7, 0), 20);
	ck_assert_mem_eq(h, "\x66\x8e\x33\xef\0\1\0\0\0\0\0\0\0\0\0\7\0\0\0\0", 20);
	ck_assert_uint_eq(mirror_nbd_end_encode(h, 7, -EIO), 26);
	ck_assert_mem_eq(h,
			 "\x66\x8e\x33\xef\0\1\x80\1\0\0\0\0\0\0\0\7\0\0\0\6"
			 "\0\0\0\5\0\0",
			 26);
}
END_TEST

START_TEST(errors_get_their_numbers)
{
	ck_assert_uint_eq(mirror_nbd_error(0), 0);
	ck_assert_uint_eq(mirror_nbd_error(-EIO), 5);
	ck_assert_uint_eq(mirror_nbd_error(-EINVAL), 22);
	ck_assert_uint_eq(mirror_nbd_error(-EFBIG), 28);
	ck_assert_uint_eq(mirror_nbd_error(-EOVERFLOW), 75);
	ck_assert_uint_eq(mirror_nbd_error(-ESHUTDOWN), 108);
	ck_assert_uint_eq(mirror_nbd_error(-ETIMEDOUT), 5);
	ck_assert_uint_eq(mirror_nbd_error(-EOPNOTSUPP), 5); /* only for fast zeroes */
}
END_TEST

/* ---- pieces ------------------------------------------------------------------- */

static struct mirror_nbd_pieces pieces;

static void expect_piece(uint32_t room, enum mirror_request_type type, uint64_t offset,
			 uint64_t length, uint64_t from, uint64_t to, bool partial)
{
	struct mirror_nbd_piece p;

	ck_assert(!mirror_nbd_pieces_end(&pieces));
	mirror_nbd_pieces_next(&pieces, room, &p);
	ck_assert_int_eq(p.type, type);
	ck_assert_uint_eq(p.offset_bytes, offset);
	ck_assert_uint_eq(p.length_bytes, length);
	ck_assert_uint_eq(p.from_bytes, from);
	ck_assert_uint_eq(p.to_bytes, to);
	ck_assert_int_eq(p.partial, partial);
}

START_TEST(reads_are_widened_and_split)
{
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_READ, 1000, 5000, false);
	ck_assert_uint_eq(mirror_nbd_pieces_want_bytes(&pieces), 5632);
	expect_piece(4096, MIRROR_REQUEST_READ, 512, 4096, 1000, 4608, false);
	expect_piece(4096, MIRROR_REQUEST_READ, 4608, 1536, 4608, 6000, false);
	ck_assert(mirror_nbd_pieces_end(&pieces));
}
END_TEST

START_TEST(aligned_writes_are_only_split)
{
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_WRITE, 512, 300 * 1024, false);
	ck_assert_uint_eq(mirror_nbd_pieces_want_bytes(&pieces), 128 * 1024);
	expect_piece(131072, MIRROR_REQUEST_WRITE, 512, 131072, 512, 131584, false);
	expect_piece(65536, MIRROR_REQUEST_WRITE, 131584, 65536, 131584, 197120, false);
	expect_piece(131072, MIRROR_REQUEST_WRITE, 197120, 110592, 197120, 307712, false);
	ck_assert(mirror_nbd_pieces_end(&pieces));
}
END_TEST

START_TEST(ragged_writes_have_short_partial_ends)
{
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_WRITE, 100, 20000, false);
	ck_assert_uint_eq(mirror_nbd_pieces_want_bytes(&pieces), 4096);
	expect_piece(4096, MIRROR_REQUEST_WRITE, 0, 4096, 100, 4096, true);
	expect_piece(32768, MIRROR_REQUEST_WRITE, 4096, 15872, 4096, 19968, false);
	expect_piece(4096, MIRROR_REQUEST_WRITE, 19968, 512, 19968, 20100, true);
	ck_assert(mirror_nbd_pieces_end(&pieces));

	/* A short one is one piece, even if it begins on a sector. */
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_WRITE, 1024, 1000, false);
	expect_piece(4096, MIRROR_REQUEST_WRITE, 1024, 1024, 1024, 2024, true);
	ck_assert(mirror_nbd_pieces_end(&pieces));
}
END_TEST

START_TEST(zeroings_write_only_their_edges)
{
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_ZERO, 100, 0xffffff00u, false);
	expect_piece(4096, MIRROR_REQUEST_WRITE, 0, 512, 100, 512, true);
	ck_assert_uint_eq(mirror_nbd_pieces_want_bytes(&pieces), 0);
	expect_piece(0, MIRROR_REQUEST_ZERO, 512, 1ull << 30, 512, (1ull << 30) + 512,
		     false);
	expect_piece(0, MIRROR_REQUEST_ZERO, (1ull << 30) + 512, 1ull << 30,
		     (1ull << 30) + 512, (2ull << 30) + 512, false);
	expect_piece(0, MIRROR_REQUEST_ZERO, (2ull << 30) + 512, 1ull << 30,
		     (2ull << 30) + 512, (3ull << 30) + 512, false);
	expect_piece(0, MIRROR_REQUEST_ZERO, (3ull << 30) + 512, (1ull << 30) - 1024,
		     (3ull << 30) + 512, 0xfffffe00u, false);
	expect_piece(4096, MIRROR_REQUEST_WRITE, 0xfffffe00u, 512, 0xfffffe00u,
		     0xffffff64u, true);
	ck_assert(mirror_nbd_pieces_end(&pieces));
}
END_TEST

START_TEST(trims_shrink_to_whole_sectors)
{
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_ZERO, 100, 2000, true);
	expect_piece(0, MIRROR_REQUEST_ZERO, 512, 1536, 512, 2048, false);
	ck_assert(mirror_nbd_pieces_end(&pieces));
	mirror_nbd_pieces_init(&pieces, MIRROR_REQUEST_ZERO, 100, 300, true);
	ck_assert(mirror_nbd_pieces_end(&pieces));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nbd");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, greeting_waits_for_flags_byte_by_byte);
	tcase_add_test(tc, unknown_client_flag_ends_it);
	tcase_add_test(tc, export_name_of_old_clients);
	tcase_add_test(tc, export_name_without_zeroes_and_by_default);
	tcase_add_test(tc, export_name_of_no_disk_has_no_answer);
	tcase_add_test(tc, go_tells_what_was_asked);
	tcase_add_loop_test(tc, go_tells_the_sector, 0, 3);
	tcase_add_test(tc, who_gets_no_place_is_told_so);
	tcase_add_test(tc, info_stays_in_negotiation);
	tcase_add_test(tc, go_with_lengths_that_lie_is_invalid);
	tcase_add_test(tc, go_for_an_unknown_disk_can_be_tried_again);
	tcase_add_loop_test(tc, list_names_every_disk_over_many_pages, 0, 90);
	tcase_add_test(tc, what_is_not_supported_says_so);
	tcase_add_test(tc, an_option_too_long_is_skipped_and_refused);
	tcase_add_test(tc, no_option_at_all_ends_it);
	tcase_add_test(tc, a_network_export_has_one_connection);
	tcase_add_test(tc, request_header_is_taken_apart);
	tcase_add_test(tc, requests_are_checked);
	tcase_add_test(tc, heads_of_replies);
	tcase_add_test(tc, errors_get_their_numbers);
	tcase_add_test(tc, reads_are_widened_and_split);
	tcase_add_test(tc, aligned_writes_are_only_split);
	tcase_add_test(tc, ragged_writes_have_short_partial_ends);
	tcase_add_test(tc, zeroings_write_only_their_edges);
	tcase_add_test(tc, trims_shrink_to_whole_sectors);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
