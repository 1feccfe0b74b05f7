/* test_nbd_queue.c - sectors that are written in part (front/nbd_queue.h), over a toy engine:
 * no client's byte is lost, in any order of the engine's work. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/nbd_toy.h"

#define READ MIRROR_NBD_READ
#define WRITE MIRROR_NBD_WRITE

static struct toy t;
static uint8_t a_data[8192], b_data[8192];

static void setup(void)
{
	toy_create(&t, 16 << 20);
	memset(a_data, 'a', sizeof a_data);
	memset(b_data, 'b', sizeof b_data);
	memset(t.disk, '.', 8192);
}

static void teardown(void)
{
	toy_destroy(&t);
}

/* Two clients write different bytes of one sector at once: both survive. */
START_TEST(two_partial_writes_of_a_sector_both_survive)
{
	struct toy_client *a = toy_connect(&t, false), *b = toy_connect(&t, false);

	toy_command(&t, a, WRITE, 0, 1, 10, 5, a_data);
	toy_command(&t, b, WRITE, 0, 2, 15, 5, b_data);
	ck_assert_uint_eq(t.waiting_count, 1); /* a's reread; b is in line */
	ck_assert_int_eq(t.waiting[0]->type, MIRROR_REQUEST_READ);
	toy_do(&t, 0, 0);
	ck_assert_uint_eq(t.waiting_count, 1); /* a's write; b waits for its end */
	ck_assert_int_eq(t.waiting[0]->type, MIRROR_REQUEST_WRITE);
	toy_do_all(&t);
	toy_expect_simple(&t, a, 1, 0);
	toy_expect_simple(&t, b, 2, 0);
	ck_assert_mem_eq(t.disk, "..........aaaaabbbbb....", 24);
}
END_TEST

/* A whole write must not slip in between the reread and the write, or its bytes would
 * be undone. */
START_TEST(a_whole_write_waits_for_a_partial_one)
{
	struct toy_client *a = toy_connect(&t, false), *b = toy_connect(&t, false);

	toy_command(&t, a, WRITE, 0, 1, 10, 5, a_data);
	toy_command(&t, b, WRITE, 0, 2, 0, 4096, b_data);
	toy_command(&t, a, WRITE, 0, 3, 4096, 512, a_data); /* elsewhere: free to go */
	ck_assert_uint_eq(t.waiting_count, 2);
	toy_do(&t, 0, 0);
	/* a's write was handed over before b's: that is all b has to wait for. */
	ck_assert_uint_eq(t.waiting_count, 3);
	ck_assert_uint_eq(t.waiting[1]->length_bytes, 512);
	ck_assert_uint_eq(t.waiting[2]->length_bytes, 4096);
	toy_do_all(&t);
	toy_expect_simple(&t, b, 2, 0);
	ck_assert_mem_eq(t.disk, b_data, 4096);
}
END_TEST

/* A write that the engine has may not be stamped yet: a reread could miss it. */
START_TEST(a_partial_write_waits_for_a_whole_one)
{
	struct toy_client *a = toy_connect(&t, false), *b = toy_connect(&t, false);

	toy_command(&t, b, WRITE, 0, 1, 0, 512, b_data);
	toy_command(&t, b, MIRROR_NBD_WRITE_ZEROES, 0, 2, 512, 512, NULL);
	toy_command(&t, a, WRITE, 0, 3, 500, 20, a_data);
	ck_assert_uint_eq(t.waiting_count, 2);
	toy_do(&t, 0, 0);
	ck_assert_uint_eq(t.waiting_count, 1);
	toy_do_all(&t);
	toy_expect_simple(&t, a, 3, 0);
	ck_assert_mem_eq(t.disk, b_data, 500);
	ck_assert_mem_eq(t.disk + 500, a_data, 20);
	ck_assert_mem_eq(t.disk + 520, (uint8_t[504]){ 0 }, 504);
	ck_assert_mem_eq(t.disk + 1024, "........", 8);
}
END_TEST

/* First come, first served: writes that come later do not keep a partial one out. */
START_TEST(a_partial_write_is_not_starved)
{
	struct toy_client *a = toy_connect(&t, false), *b = toy_connect(&t, false);

	toy_command(&t, b, WRITE, 0, 1, 0, 512, b_data);
	toy_command(&t, a, WRITE, 0, 2, 10, 5, a_data);
	toy_command(&t, b, WRITE, 0, 3, 0, 512, b_data);
	ck_assert_uint_eq(t.waiting_count, 1);
	toy_do(&t, 0, 0);
	ck_assert_uint_eq(t.waiting_count, 1);
	ck_assert_int_eq(t.waiting[0]->type, MIRROR_REQUEST_READ);
	toy_do_all(&t);
	toy_expect_simple(&t, a, 2, 0);
	toy_expect_simple(&t, b, 1, 0);
	toy_expect_simple(&t, b, 3, 0);
}
END_TEST

START_TEST(a_reread_that_fails_writes_nothing)
{
	struct toy_client *a = toy_connect(&t, false), *b = toy_connect(&t, false);

	toy_command(&t, a, WRITE, 0, 1, 10, 5, a_data);
	toy_command(&t, b, WRITE, 0, 2, 20, 5, b_data);
	toy_do(&t, 0, -5);
	toy_expect_simple(&t, a, 1, 5);
	toy_do_all(&t);
	toy_expect_simple(&t, b, 2, 0);
	ck_assert_mem_eq(t.disk, "....................bbbbb.", 26);
}
END_TEST

/* A client that hangs up in the line does not block those behind it. */
START_TEST(a_hang_up_leaves_the_line)
{
	struct toy_client *a = toy_connect(&t, false), *b = toy_connect(&t, false);
	struct toy_client *c = toy_connect(&t, false);

	toy_command(&t, a, WRITE, 0, 1, 10, 5, a_data);
	toy_command(&t, b, WRITE, 0, 2, 20, 5, b_data);
	toy_command(&t, c, WRITE, 0, 3, 22, 5, a_data);
	toy_disconnect(&t, b);
	toy_do_all(&t);
	toy_expect_simple(&t, a, 1, 0);
	toy_expect_simple(&t, c, 3, 0);
	ck_assert_mem_eq(t.disk, "..........aaaaa.......aaaaa.", 28);
}
END_TEST

START_TEST(zeroing_ragged_edges_spares_the_neighbours)
{
	struct toy_client *a = toy_connect(&t, false);

	toy_command(&t, a, MIRROR_NBD_WRITE_ZEROES, MIRROR_NBD_FLAG_FUA, 1, 100, 2000,
		    NULL);
	while (t.waiting_count > 0) {
		ck_assert(t.waiting[0]->fua || t.waiting[0]->type == MIRROR_REQUEST_READ);
		toy_do(&t, 0, 0);
	}
	toy_expect_simple(&t, a, 1, 0);
	ck_assert_mem_eq(t.disk + 92, "........", 8);
	ck_assert_mem_eq(t.disk + 100, (uint8_t[2000]){ 0 }, 2000);
	ck_assert_mem_eq(t.disk + 2100, "........", 8);
}
END_TEST

/* ---- everything at once ------------------------------------------------------------ */

#define RANDOM_CLIENTS 3
#define RANDOM_BYTES 16384u

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % limit;
}

/* Client i owns the bytes whose offset / 100 % RANDOM_CLIENTS is i: neighbours share
 * sectors, but no byte has two writers at once. */
static void random_write(struct toy_client *c, uint32_t owner, uint8_t *image)
{
	const uint32_t stripe = random_below(RANDOM_BYTES / 100 / RANDOM_CLIENTS);
	const uint32_t first = (stripe * RANDOM_CLIENTS + owner) * 100;
	const uint32_t from = random_below(99), length = 1 + random_below(100 - from);
	uint8_t bytes[100];

	memset(bytes, (int)(1 + random_below(255)), sizeof bytes);
	if (c->nbd->wants_input) {
		toy_command(&t, c, WRITE, 0, 0, first + from, length, bytes);
		memcpy(image + first + from, bytes, length);
	}
}

/* One client's own writes may overlap; like the engine, the toy keeps the order of the
 * requests that it has, so the last request decides the content. */
START_TEST(random_partial_writes_lose_nothing)
{
	struct toy_client *c[RANDOM_CLIENTS];
	static uint8_t image[RANDOM_BYTES];

	random_state = (uint64_t)_i;
	memcpy(image, t.disk, sizeof image);
	for (uint32_t i = 0; i < RANDOM_CLIENTS; i++)
		c[i] = toy_connect(&t, false);
	for (uint32_t step = 0; step < 3000; step++) {
		const uint32_t i = random_below(RANDOM_CLIENTS);

		random_write(c[i], i, image);
		if (random_below(3) == 0 && t.waiting_count > 0)
			toy_do(&t, 0, 0);
		if (random_below(8) == 0)
			toy_collect(&t, c[i]);
	}
	while (t.waiting_count > 0) {
		toy_do(&t, 0, 0);
		for (uint32_t i = 0; i < RANDOM_CLIENTS; i++)
			toy_collect(&t, c[i]);
	}
	ck_assert_mem_eq(t.disk, image, sizeof image);
}
END_TEST

/* Any answer order, over bytes that are written once: none may be missing. */
START_TEST(random_answers_lose_nothing)
{
	struct toy_client *c[RANDOM_CLIENTS];
	static uint8_t image[RANDOM_BYTES];
	uint32_t at = 0;

	random_state = (uint64_t)_i;
	memset(image, 'x', sizeof image);
	for (uint32_t i = 0; i < RANDOM_CLIENTS; i++)
		c[i] = toy_connect(&t, false);
	while (at < RANDOM_BYTES) {
		struct toy_client *who = c[random_below(RANDOM_CLIENTS)];
		uint32_t length = 1 + random_below(1500);

		if (length > RANDOM_BYTES - at)
			length = RANDOM_BYTES - at;
		if (who->nbd->wants_input) {
			toy_command(&t, who, WRITE, 0, 0, at, length, image);
			at += length;
		} else {
			toy_do(&t, random_below(t.waiting_count), 0);
			toy_collect(&t, who);
		}
	}
	while (t.waiting_count > 0)
		toy_do(&t, random_below(t.waiting_count), 0);
	ck_assert_mem_eq(t.disk, image, sizeof image);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nbd_queue");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, two_partial_writes_of_a_sector_both_survive);
	tcase_add_test(tc, a_whole_write_waits_for_a_partial_one);
	tcase_add_test(tc, a_partial_write_waits_for_a_whole_one);
	tcase_add_test(tc, a_partial_write_is_not_starved);
	tcase_add_test(tc, a_reread_that_fails_writes_nothing);
	tcase_add_test(tc, a_hang_up_leaves_the_line);
	tcase_add_test(tc, zeroing_ragged_edges_spares_the_neighbours);
	tcase_add_loop_test(tc, random_partial_writes_lose_nothing, 0, 8);
	tcase_add_loop_test(tc, random_answers_lose_nothing, 0, 8);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
