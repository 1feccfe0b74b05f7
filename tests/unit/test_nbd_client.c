/* test_nbd_client.c - an NBD connection over a toy engine (nbd_toy.h): the bytes that
 * arrive, the engine's requests, the bytes that leave. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/nbd_toy.h"

#define READ MIRROR_NBD_READ
#define WRITE MIRROR_NBD_WRITE
#define NBD_EIO 5
#define NBD_EINVAL 22
#define NBD_ENOSPC 28

static struct toy t;
static uint8_t data[4 << 20];

static void setup(void)
{
	toy_create(&t, 16 << 20);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 + i / 4096 + 1);
}

static void teardown(void)
{
	toy_destroy(&t);
}

START_TEST(a_write_reaches_the_engine_and_is_answered)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, WRITE, MIRROR_NBD_FLAG_FUA, 1, 8192, 4096, data);
	ck_assert_uint_eq(t.waiting_count, 1);
	ck_assert_int_eq(t.waiting[0]->type, MIRROR_REQUEST_WRITE);
	ck_assert_uint_eq(t.waiting[0]->offset_bytes, 8192);
	ck_assert_uint_eq(t.waiting[0]->length_bytes, 4096);
	ck_assert(t.waiting[0]->fua);
	ck_assert_ptr_eq(t.waiting[0]->client, c->nbd);
	toy_expect_silence(&t, c);
	toy_do(&t, 0, 0);
	toy_expect_simple(&t, c, 1, 0);
	ck_assert_mem_eq(t.disk + 8192, data, 4096);
}
END_TEST

START_TEST(flush_trim_and_zero_are_told_apart)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, MIRROR_NBD_FLUSH, 0, 1, 0, 0, NULL);
	toy_command(&t, c, MIRROR_NBD_TRIM, 0, 2, 0, 4096, NULL);
	toy_command(&t, c, MIRROR_NBD_WRITE_ZEROES, 0, 3, 4096, 512, NULL);
	toy_command(&t, c, MIRROR_NBD_WRITE_ZEROES, MIRROR_NBD_FLAG_NO_HOLE, 4, 8192, 512,
		    NULL);
	ck_assert_uint_eq(t.waiting_count, 4);
	ck_assert_int_eq(t.waiting[0]->type, MIRROR_REQUEST_FLUSH);
	for (int i = 1; i < 4; i++)
		ck_assert_int_eq(t.waiting[i]->type, MIRROR_REQUEST_ZERO);
	ck_assert(t.waiting[1]->may_deallocate && t.waiting[2]->may_deallocate);
	ck_assert(!t.waiting[3]->may_deallocate);
	toy_do_all(&t);
	for (uint64_t i = 1; i <= 4; i++)
		toy_expect_simple(&t, c, i, 0);
}
END_TEST

/* One receive brings many small requests: this makes system calls rare. */
START_TEST(one_receive_takes_many_writes)
{
	struct toy_client *c = toy_connect(&t, false);
	static uint8_t in[32 * 4124];
	struct iovec iov[2];
	bool all;

	for (uint32_t i = 0; i < 32; i++) {
		uint8_t *at = in + i * 4124;

		memset(at, 0, 28);
		mirror_nbd_put(at, 0x25609513, 4);
		mirror_nbd_put(at + 6, WRITE, 2);
		mirror_nbd_put(at + 8, i, 8);
		mirror_nbd_put(at + 16, i * 4096, 8);
		mirror_nbd_put(at + 24, 4096, 4);
		memcpy(at + 28, data + i * 4096, 4096);
	}
	ck_assert_uint_eq(mirror_nbd_client_receive(c->nbd, iov, &all), 1);
	ck_assert_uint_ge(iov[0].iov_len, sizeof in);
	memcpy(iov[0].iov_base, in, sizeof in);
	mirror_nbd_client_received(c->nbd, sizeof in);
	toy_pump(&t);
	ck_assert_uint_eq(t.waiting_count, 32);
	toy_do_all(&t);
	toy_collect(&t, c);
	ck_assert_uint_eq(c->out_bytes - c->read_at, 32 * 16);
	ck_assert_mem_eq(t.disk, data, 32 * 4096);
	c->read_at = c->out_bytes;
}
END_TEST

/* A long payload goes straight to the buffers that the engine gets. */
START_TEST(a_long_write_is_received_in_place_and_answered_once)
{
	struct toy_client *c = toy_connect(&t, false);
	struct iovec iov[2];
	bool all;

	toy_command(&t, c, WRITE, 0, 9, 512, 1 << 20, NULL);
	ck_assert_uint_eq(mirror_nbd_client_receive(c->nbd, iov, &all), 1);
	ck_assert_uint_eq(iov[0].iov_len, 131072);
	ck_assert(all);
	ck_assert_uint_eq(toy_deliver(&t, c, data, 131072 * 7 + 1), 131072 * 7 + 1);
	ck_assert_uint_eq(mirror_nbd_client_receive(c->nbd, iov, &all), 2);
	ck_assert_uint_eq(iov[0].iov_len, 131071);
	ck_assert(!all);
	ck_assert_uint_eq(toy_deliver(&t, c, data + 131072 * 7 + 1, 131071), 131071);
	ck_assert_uint_eq(t.waiting_count, 8);
	toy_do(&t, 3, -EIO);
	toy_do(&t, 3, -ENOSPC);
	toy_expect_silence(&t, c);
	toy_do_all(&t);
	toy_expect_simple(&t, c, 9, NBD_EIO); /* the first error */
	toy_expect_silence(&t, c);
	ck_assert_mem_eq(t.disk + 512, data, 3 * 131072);
}
END_TEST

START_TEST(a_refused_write_does_not_derail_the_stream)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, WRITE, 0, 1, TOY_DISK_BYTES - 512, 1024, data);
	toy_expect_simple(&t, c, 1, NBD_ENOSPC);
	toy_command(&t, c, WRITE, 0x8000, 2, 0, 300000, data);
	toy_expect_simple(&t, c, 2, NBD_EINVAL);
	toy_command(&t, c, WRITE, 0, 3, 0, 512, data);
	ck_assert_uint_eq(t.waiting_count, 1);
	toy_do_all(&t);
	toy_expect_simple(&t, c, 3, 0);
	toy_command(&t, c, READ, 0, 4, 7, 0, NULL); /* no length: nothing to do */
	toy_expect_simple(&t, c, 4, 0);
	toy_expect_silence(&t, c);
}
END_TEST

START_TEST(garbage_breaks_the_connection)
{
	struct toy_client *c = toy_connect(&t, false);

	ck_assert(!mirror_nbd_client_is_over(c->nbd));
	toy_deliver(&t, c, data, 28);
	ck_assert(mirror_nbd_client_is_over(c->nbd));
}
END_TEST

/* ---- reads -------------------------------------------------------------------- */

START_TEST(an_unaligned_read_gets_exactly_its_bytes)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, READ, 0, 1, 1000, 5000, NULL);
	ck_assert_uint_eq(t.waiting[0]->offset_bytes, 512);
	ck_assert_uint_eq(t.waiting[0]->length_bytes, 5632);
	toy_do_all(&t);
	toy_expect_simple(&t, c, 1, 0);
	ck_assert_mem_eq(toy_expect_bytes(&t, c, 5000), t.disk + 1000, 5000);
	toy_expect_silence(&t, c);
}
END_TEST

/* A simple reply has one head: its data follows in order, nothing in between. */
START_TEST(a_long_simple_read_streams_in_order)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, READ, 0, 1, 100, 1 << 20, NULL);
	ck_assert_uint_ge(t.waiting_count, 2);
	toy_do(&t, 1, 0);
	toy_expect_silence(&t, c); /* the first piece is not here */
	toy_do(&t, 0, 0);
	toy_expect_simple(&t, c, 1, 0);
	toy_command(&t, c, READ, 0, 2, 0, 512, NULL);
	while (t.waiting_count > 0)
		toy_do(&t, t.waiting_count - 1, 0);
	toy_collect(&t, c);
	toy_do_all(&t);
	ck_assert_mem_eq(toy_expect_bytes(&t, c, 1 << 20), t.disk + 100, 1 << 20);
	toy_expect_simple(&t, c, 2, 0);
	toy_expect_bytes(&t, c, 512);
	toy_expect_silence(&t, c);
}
END_TEST

START_TEST(a_stream_that_fails_early_is_an_error_reply)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, READ, 0, 1, 0, 1 << 20, NULL);
	toy_do(&t, 1, -EIO);
	while (t.waiting_count > 0)
		toy_do(&t, 0, 0);
	toy_expect_simple(&t, c, 1, NBD_EIO);
	toy_expect_silence(&t, c);
	ck_assert(!mirror_nbd_client_is_over(c->nbd));
}
END_TEST

START_TEST(a_stream_that_fails_late_breaks_the_connection)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, READ, 0, 1, 0, 1 << 20, NULL);
	toy_do(&t, 0, 0);
	toy_expect_simple(&t, c, 1, 0);
	toy_do(&t, 0, -EIO);
	ck_assert(mirror_nbd_client_is_over(c->nbd));
	ck_assert(c->nbd->broken);
}
END_TEST

/* A chunk of a structured reply: returns its flags. */
static uint32_t expect_chunk(struct toy_client *c, uint32_t type, uint64_t cookie,
			     uint32_t length)
{
	const uint8_t *at = toy_expect_bytes(&t, c, 20);

	ck_assert_uint_eq(mirror_nbd_get(at, 4), 0x668e33efu);
	ck_assert_uint_eq(mirror_nbd_get(at + 6, 2), type);
	ck_assert_uint_eq(mirror_nbd_get(at + 8, 8), cookie);
	ck_assert_uint_eq(mirror_nbd_get(at + 16, 4), length);
	return (uint32_t)mirror_nbd_get(at + 4, 2);
}

static void expect_data(struct toy_client *c, uint64_t cookie, uint64_t offset,
			uint32_t length, bool done)
{
	ck_assert_uint_eq(expect_chunk(c, 1, cookie, 8 + length), done);
	ck_assert_uint_eq(mirror_nbd_get(toy_expect_bytes(&t, c, 8), 8), offset);
	ck_assert_mem_eq(toy_expect_bytes(&t, c, length), t.disk + offset, length);
}

START_TEST(chunks_leave_as_they_come)
{
	struct toy_client *c = toy_connect(&t, true);

	toy_command(&t, c, READ, 0, 1, 100, 300000, NULL);
	ck_assert_uint_eq(t.waiting_count, 3);
	toy_do(&t, 1, 0);
	expect_data(c, 1, 131072, 131072, false);
	toy_do(&t, 1, 0);
	expect_data(c, 1, 262144, 300100 - 262144, false);
	toy_do(&t, 0, 0);
	expect_data(c, 1, 100, 131072 - 100, true);
	toy_expect_silence(&t, c);

	toy_command(&t, c, READ, 0, 2, 0, 300000, NULL);
	toy_do(&t, 0, -EIO);
	toy_do(&t, 0, 0);
	toy_do(&t, 0, 0);
	expect_data(c, 2, 131072, 131072, false);
	expect_data(c, 2, 262144, 300000 - 262144, false);
	ck_assert_uint_eq(expect_chunk(c, 0x8001, 2, 6), 1);
	ck_assert_mem_eq(toy_expect_bytes(&t, c, 6), "\0\0\0\5\0\0", 6);
	toy_expect_silence(&t, c);
	toy_command(&t, c, READ, 0, 3, 0, 0, NULL);
	ck_assert_uint_eq(expect_chunk(c, 0, 3, 0), 1);
}
END_TEST

START_TEST(dont_fragment_is_one_chunk)
{
	struct toy_client *c = toy_connect(&t, true);

	toy_command(&t, c, READ, MIRROR_NBD_FLAG_DF, 1, 0, 1 << 20, NULL);
	while (t.waiting_count > 0) {
		toy_do(&t, t.waiting_count - 1, 0);
		toy_collect(&t, c);
	}
	expect_data(c, 1, 0, 1 << 20, true);
	toy_expect_silence(&t, c);
}
END_TEST

/* ---- bounds --------------------------------------------------------------------- */

/* A client that asks and does not read: it keeps its buffers, but other clients are free
 * to go on, and the pool is never used up. */
START_TEST(a_stalled_reader_starves_nobody)
{
	struct toy_client *stalled = toy_connect(&t, true),
			  *other = toy_connect(&t, false);
	uint64_t free_bytes;

	for (uint64_t i = 0; i < MIRROR_NBD_COMMANDS_MAX; i++) {
		toy_command(&t, stalled, READ, 0, i, 0, 131072, NULL);
		toy_do_all(&t);
		if (mirror_nbd_client_receive(stalled->nbd, (struct iovec[2]){},
					      &(bool){ 0 }) == 0)
			break;
	}
	ck_assert(!stalled->nbd->wants_input);
	free_bytes = mirror_pool_bytes_free(t.pool);
	ck_assert_uint_ge(free_bytes, mirror_pool_bytes_total(t.pool) / 2);
	for (uint64_t i = 0; i < 20; i++) {
		toy_command(&t, other, WRITE, 0, i, 0, 1 << 20, data);
		toy_do_all(&t);
		toy_expect_simple(&t, other, i, 0);
		toy_command(&t, other, READ, 0, i, 0, 1 << 20, NULL);
		while (t.waiting_count > 0) {
			toy_do(&t, 0, 0);
			toy_collect(&t, other);
		}
		toy_expect_simple(&t, other, i, 0);
		ck_assert_mem_eq(toy_expect_bytes(&t, other, 1 << 20), data, 1 << 20);
		other->out_bytes = other->read_at = 0;
	}
	ck_assert_uint_eq(mirror_pool_bytes_free(t.pool), free_bytes);
	toy_collect(&t, stalled);
	ck_assert(stalled->nbd->wants_input);
}
END_TEST

/* The share is used up by those that stall: a long simple read still goes on piece by
 * piece, also with replies of its own connection waiting behind it. */
START_TEST(a_stream_goes_on_without_the_share)
{
	struct toy_client *stalled[2] = { toy_connect(&t, true), toy_connect(&t, true) };
	struct toy_client *c = toy_connect(&t, false);
	uint32_t count = 0;

	for (int i = 0; i < 2; i++)
		while (stalled[i]->nbd->wants_input) {
			toy_command(&t, stalled[i], READ, 0, 0, 0, 131072, NULL);
			toy_do_all(&t);
		}
	t.server.share_bytes = t.server.held_bytes;
	toy_command(&t, c, READ, 0, 1, 0, 1 << 20, NULL);
	while (t.waiting_count > 0) {
		toy_do(&t, 0, 0);
		if (c->nbd->wants_input && count++ < 16)
			toy_command(&t, c, READ, 0, 2, 0, 4096, NULL);
		toy_collect(&t, c);
	}
	toy_expect_simple(&t, c, 1, 0);
	ck_assert_mem_eq(toy_expect_bytes(&t, c, 1 << 20), t.disk, 1 << 20);
}
END_TEST

/* A reply that waits behind a stream must not take the buffer that the stream needs. */
START_TEST(a_stream_goes_on_with_a_reply_behind_it)
{
	struct toy_client *c = toy_connect(&t, true);

	t.server.share_bytes = 131072 + 2 * 4096;
	toy_command(&t, c, READ, 0, 1, 0, 4096, NULL);
	toy_command(&t, c, READ, MIRROR_NBD_FLAG_DF, 2, 0, 262144, NULL);
	ck_assert_uint_eq(t.waiting_count, 2);
	t.server.share_bytes = 0;
	toy_do(&t, 1, 0);
	toy_collect(&t, c); /* begins, and makes room */
	toy_do(&t, 0, 0);
	while (t.waiting_count > 0) {
		ck_assert_uint_le(c->nbd->held_bytes, 4096 + t.server.places.piece_bytes);
		toy_do(&t, 0, 0);
		toy_collect(&t, c);
	}
	expect_data(c, 2, 0, 262144, true);
	expect_data(c, 1, 0, 4096, true);
	toy_expect_silence(&t, c);
}
END_TEST

START_TEST(commands_are_bounded_per_connection)
{
	struct toy_client *c = toy_connect(&t, false);
	uint32_t count = 0;

	while (c->nbd->wants_input) {
		toy_command(&t, c, MIRROR_NBD_FLUSH, 0, count, 0, 0, NULL);
		count++;
		ck_assert_uint_le(count, MIRROR_NBD_COMMANDS_MAX + 1);
	}
	ck_assert_uint_eq(t.waiting_count, MIRROR_NBD_COMMANDS_MAX);
	toy_do(&t, 0, 0);
	toy_collect(&t, c);
	ck_assert_uint_eq(t.waiting_count,
			  MIRROR_NBD_COMMANDS_MAX); /* the one held back */
	toy_do_all(&t);
}
END_TEST

/* The pool is empty, or in crumbs: wait, or go on in small pieces. */
START_TEST(an_empty_pool_is_waited_for)
{
	struct toy_client *c = toy_connect(&t, false);
	static uint8_t *taken[4096];
	uint32_t count = 0;

	while ((taken[count] = mirror_pool_get(t.pool, 4096)) != NULL)
		count++;
	toy_command(&t, c, WRITE, 0, 1, 0, 65536, NULL);
	ck_assert_uint_eq(
		mirror_nbd_client_receive(c->nbd, (struct iovec[2]){}, &(bool){ 0 }), 0);
	/* 16 blocks beyond the eighth that is left to the engine, no two together. */
	for (uint32_t i = 0; i < 512 + 16; i++) {
		toy_pump(&t);
		ck_assert_int_eq(c->nbd->wants_input, i > 512);
		mirror_pool_put(t.pool, taken[i * 2]);
		taken[i * 2] = NULL;
	}
	toy_pump(&t);
	ck_assert_uint_eq(toy_deliver(&t, c, data, 65536), 65536);
	ck_assert_uint_eq(t.waiting_count, 16);
	toy_do_all(&t);
	toy_expect_simple(&t, c, 1, 0);
	ck_assert_mem_eq(t.disk, data, 65536);
	for (uint32_t i = 0; i < count; i++)
		if (taken[i] != NULL)
			mirror_pool_put(t.pool, taken[i]);
}
END_TEST

START_TEST(an_engine_that_takes_nothing_stops_the_input)
{
	struct toy_client *c = toy_connect(&t, false);

	t.takes = false;
	toy_pump(&t);
	ck_assert_uint_eq(
		mirror_nbd_client_receive(c->nbd, (struct iovec[2]){}, &(bool){ 0 }), 0);
	t.takes = true;
	toy_pump(&t);
	toy_command(&t, c, WRITE, 0, 1, 0, 512, data);
	ck_assert_uint_eq(t.waiting_count, 1);
}
END_TEST

/* ---- the lease, the end ------------------------------------------------------------ */

/* D7: without a lease nothing leaves that acknowledges or shows data; errors do. */
START_TEST(without_a_lease_only_errors_leave)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, WRITE, 0, 1, 0, 512, data);
	toy_command(&t, c, WRITE, 0, 2, 512, 512, data);
	t.lease = false;
	toy_do_all(&t);
	toy_command(&t, c, WRITE, 0, 3, TOY_DISK_BYTES, 512, data);
	toy_expect_simple(&t, c, 3, NBD_ENOSPC);
	toy_expect_silence(&t, c);
	t.lease = true;
	toy_expect_simple(&t, c, 1, 0);
	toy_expect_simple(&t, c, 2, 0);
}
END_TEST

START_TEST(a_short_send_goes_on_where_it_stopped)
{
	struct toy_client *c = toy_connect(&t, false);
	struct iovec iov[8];

	toy_command(&t, c, READ, 0, 1, 0, 512, NULL);
	toy_do_all(&t);
	ck_assert_uint_eq(mirror_nbd_client_gather(c->nbd, true, iov, 8), 2);
	mirror_nbd_client_sent(c->nbd, 20);
	ck_assert_uint_eq(mirror_nbd_client_gather(c->nbd, false, iov, 8), 0);
	ck_assert_uint_eq(mirror_nbd_client_gather(c->nbd, true, iov, 8), 1);
	ck_assert_uint_eq(iov[0].iov_len, 508);
	ck_assert_mem_eq(iov[0].iov_base, t.disk + 4, 508);
	mirror_nbd_client_sent(c->nbd, 508);
	toy_expect_silence(&t, c);
}
END_TEST

START_TEST(disconnect_waits_for_what_was_asked)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, WRITE, 0, 1, 0, 512, data);
	toy_command(&t, c, MIRROR_NBD_DISC, 0, 2, 0, 0, NULL);
	ck_assert(!mirror_nbd_client_is_over(c->nbd));
	ck_assert_uint_eq(
		mirror_nbd_client_receive(c->nbd, (struct iovec[2]){}, &(bool){ 0 }), 0);
	toy_do_all(&t);
	ck_assert(!mirror_nbd_client_is_over(c->nbd));
	toy_expect_simple(&t, c, 1, 0);
	ck_assert(mirror_nbd_client_is_over(c->nbd));
	toy_disconnect(&t, c);
}
END_TEST

START_TEST(the_end_of_the_stream_gives_up_half_a_write)
{
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, c, WRITE, 0, 1, 0, 1 << 20, NULL);
	toy_deliver(&t, c, data, 200000);
	mirror_nbd_client_received(c->nbd, 0);
	toy_pump(&t);
	ck_assert(!mirror_nbd_client_is_over(c->nbd));
	toy_do_all(&t);
	ck_assert(mirror_nbd_client_is_over(c->nbd));
	toy_disconnect(&t, c);
}
END_TEST

/* Memory that the engine has outlives the connection; nothing new is handed over. */
START_TEST(a_hang_up_waits_for_the_engine)
{
	struct toy_client *c = toy_connect(&t, true);

	toy_command(&t, c, WRITE, 0, 1, 0, 4096, data);
	toy_command(&t, c, READ, 0, 2, 0, 300000, NULL);
	toy_command(&t, c, WRITE, 0, 3, 9000, 100, data);
	toy_command(&t, c, WRITE, 0, 4, 0, 1 << 20, NULL);
	toy_deliver(&t, c, data, 1000);
	ck_assert_uint_eq(t.waiting_count, 5);
	mirror_nbd_client_hang_up(c->nbd);
	toy_pump(&t);
	ck_assert(!mirror_nbd_client_end(c->nbd));
	toy_do(&t, 4, 0);             /* the reread: its write is not handed over */
	toy_do(&t, 0, -ECONNABORTED); /* dropped unstamped: with its buffer */
	toy_do(&t, 0, 0);
	toy_do(&t, 0, 0);
	ck_assert(!mirror_nbd_client_end(c->nbd));
	toy_do(&t, 0, 0);
	toy_disconnect(&t, c);
	ck_assert_uint_eq(t.waiting_count, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nbd_client");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_write_reaches_the_engine_and_is_answered);
	tcase_add_test(tc, flush_trim_and_zero_are_told_apart);
	tcase_add_test(tc, one_receive_takes_many_writes);
	tcase_add_test(tc, a_long_write_is_received_in_place_and_answered_once);
	tcase_add_test(tc, a_refused_write_does_not_derail_the_stream);
	tcase_add_test(tc, garbage_breaks_the_connection);
	tcase_add_test(tc, an_unaligned_read_gets_exactly_its_bytes);
	tcase_add_test(tc, a_long_simple_read_streams_in_order);
	tcase_add_test(tc, a_stream_that_fails_early_is_an_error_reply);
	tcase_add_test(tc, a_stream_that_fails_late_breaks_the_connection);
	tcase_add_test(tc, chunks_leave_as_they_come);
	tcase_add_test(tc, dont_fragment_is_one_chunk);
	tcase_add_test(tc, a_stalled_reader_starves_nobody);
	tcase_add_test(tc, a_stream_goes_on_without_the_share);
	tcase_add_test(tc, a_stream_goes_on_with_a_reply_behind_it);
	tcase_add_test(tc, commands_are_bounded_per_connection);
	tcase_add_test(tc, an_empty_pool_is_waited_for);
	tcase_add_test(tc, an_engine_that_takes_nothing_stops_the_input);
	tcase_add_test(tc, without_a_lease_only_errors_leave);
	tcase_add_test(tc, a_short_send_goes_on_where_it_stopped);
	tcase_add_test(tc, disconnect_waits_for_what_was_asked);
	tcase_add_test(tc, the_end_of_the_stream_gives_up_half_a_write);
	tcase_add_test(tc, a_hang_up_waits_for_the_engine);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
