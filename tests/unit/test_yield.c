/* test_yield.c - how much of a refresh is under way beside clients' requests. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/yield.h"

#define MS 1000000ull
#define S (1000 * MS)
#define ONE MIRROR_YIELD_BYTES_MIN

static struct mirror_yield yield;
static uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT], now_ns, again_ns;

static void setup(void)
{
	mirror_yield_init(&yield);
	memset(oldest_ns, 0, sizeof oldest_ns);
	now_ns = 100 * S;
	again_ns = 0;
}

static bool allows(void)
{
	return mirror_yield_allows(&yield, ONE, now_ns, oldest_ns, &again_ns);
}

/* As many reads as may begin now. */
static uint64_t fill(void)
{
	uint64_t count = 0;

	for (; allows(); count++)
		mirror_yield_begin(&yield, ONE, now_ns);
	return count;
}

/* `count` writes, one after the other, each answered `took_ns` after it came. */
static void writes(uint32_t count, uint64_t took_ns)
{
	for (uint32_t i = 0; i < count; i++) {
		mirror_yield_asked(&yield, now_ns);
		now_ns += took_ns;
		mirror_yield_answered(&yield, MIRROR_YIELD_WRITE, took_ns, now_ns);
	}
}

/* The same beside a refresh that has as much under way as it may. */
static void writes_beside(uint32_t count, uint64_t took_ns)
{
	for (uint32_t i = 0; i < count; i++) {
		fill();
		writes(1, took_ns);
		mirror_yield_end(&yield, yield.under_way_bytes);
	}
}

/* Nobody asks: all of the window, and no more. */
START_TEST(idle_clients_leave_everything)
{
	ck_assert_uint_eq(fill(), MIRROR_YIELD_BYTES_MAX / ONE);
	mirror_yield_end(&yield, ONE);
	ck_assert_uint_eq(fill(), 1);
	ck_assert_uint_eq(again_ns, 0); /* no time lets the next one begin */
}
END_TEST

/* From the first request on one read at a time; a second after the last, all again. */
START_TEST(a_request_ends_the_idle_time)
{
	mirror_yield_asked(&yield, now_ns);
	ck_assert_uint_eq(fill(), 1);
	now_ns += 999 * MS;
	ck_assert_uint_eq(fill(), 0);
	now_ns += 1 * MS;
	ck_assert_uint_eq(fill(), MIRROR_YIELD_BYTES_MAX / ONE - 1);
	mirror_yield_asked(&yield, now_ns);
	mirror_yield_end(&yield, MIRROR_YIELD_BYTES_MAX - ONE);
	ck_assert_uint_eq(fill(), 0); /* one is under way still */
	oldest_ns[MIRROR_YIELD_WRITE] = now_ns;
	now_ns += 10 * S; /* it waits, maybe for the refresh */
	ck_assert_uint_eq(fill(), 0);
}
END_TEST

/* Twice the mean and four times the mean deviation, once 64 answers are known. */
START_TEST(usual_is_what_was_seen_without_a_refresh)
{
	uint64_t limit_ns;

	writes(63, 1 * MS);
	ck_assert_uint_eq(mirror_yield_limit_ns(&yield, MIRROR_YIELD_WRITE), UINT64_MAX);
	writes(1000, 1 * MS);
	limit_ns = mirror_yield_limit_ns(&yield, MIRROR_YIELD_WRITE);
	ck_assert_uint_ge(limit_ns, 2 * MS);
	ck_assert_uint_lt(limit_ns, 3 * MS);
	ck_assert_uint_eq(mirror_yield_limit_ns(&yield, MIRROR_YIELD_READ), UINT64_MAX);
	writes_beside(1000, 2 * MS); /* beside a refresh: not usual */
	ck_assert_uint_lt(mirror_yield_limit_ns(&yield, MIRROR_YIELD_WRITE),
			  limit_ns + limit_ns / 100);
	now_ns += 2 * S; /* the refresh is over */
	writes(1000, 5 * MS);
	ck_assert_uint_gt(mirror_yield_limit_ns(&yield, MIRROR_YIELD_WRITE),
			  2 * limit_ns);
}
END_TEST

/* It grows while writes take as long as usual, and is halved by one that does not. */
START_TEST(the_window_follows_the_latency)
{
	writes(200, 1 * MS);
	writes_beside(400, 1 * MS);
	ck_assert_uint_gt(yield.window_bytes, 2 * ONE);
	ck_assert_uint_lt(yield.window_bytes, 4 * ONE);
	writes_beside(4000, 1 * MS);
	ck_assert_uint_eq(yield.window_bytes, MIRROR_YIELD_BYTES_MAX);
	writes_beside(1, 10 * MS);
	ck_assert_uint_eq(yield.window_bytes, MIRROR_YIELD_BYTES_MAX / 2);
	/* others that were late with it: one cause */
	mirror_yield_answered(&yield, MIRROR_YIELD_WRITE, 10 * MS, now_ns);
	mirror_yield_answered(&yield, MIRROR_YIELD_WRITE, 10 * MS, now_ns);
	ck_assert_uint_eq(yield.window_bytes, MIRROR_YIELD_BYTES_MAX / 2);
	writes_beside(20, 10 * MS);
	ck_assert_uint_eq(yield.window_bytes, ONE);
}
END_TEST

/* A flush takes longer than a write, and is late only for a flush. */
START_TEST(each_kind_has_its_own_measure)
{
	writes(200, 1 * MS);
	for (uint32_t i = 0; i < 200; i++)
		mirror_yield_answered(&yield, MIRROR_YIELD_FLUSH, 8 * MS, now_ns);
	writes_beside(4000, 1 * MS);
	mirror_yield_answered(&yield, MIRROR_YIELD_FLUSH, 8 * MS, now_ns);
	ck_assert_uint_eq(yield.window_bytes, MIRROR_YIELD_BYTES_MAX);
	mirror_yield_answered(&yield, MIRROR_YIELD_WRITE, 8 * MS, now_ns);
	ck_assert_uint_eq(yield.window_bytes, MIRROR_YIELD_BYTES_MAX / 2);
}
END_TEST

/* A client waits too long: nothing begins, but one read in 20 ms for ever (G7). */
START_TEST(a_request_that_waits_too_long_goes_first)
{
	writes(200, 1 * MS);
	ck_assert_uint_eq(fill(), 1);
	mirror_yield_end(&yield, ONE);
	mirror_yield_asked(&yield, now_ns);
	oldest_ns[MIRROR_YIELD_WRITE] = now_ns;
	now_ns += 1 * MS;
	ck_assert(allows());
	now_ns += 9 * MS;
	ck_assert(!allows());
	ck_assert_uint_eq(again_ns, yield.begun_ns + MIRROR_YIELD_PAUSE_NS);
	for (uint32_t i = 0; i < 40; i++) {
		now_ns = again_ns;
		mirror_yield_asked(&yield, now_ns);
		ck_assert_uint_eq(fill(), 1);
		mirror_yield_end(&yield, ONE);
		ck_assert(!allows());
		ck_assert_uint_eq(again_ns, now_ns + MIRROR_YIELD_PAUSE_NS);
	}
	oldest_ns[MIRROR_YIELD_WRITE] = 0;
	ck_assert(allows());
}
END_TEST

/* The clients' work has changed, and the window is as small as it gets: in the end that is
 * the usual latency, and the window grows again. */
START_TEST(late_for_ever_is_usual_in_the_end)
{
	writes(200, 1 * MS);
	writes_beside(20, 50 * MS);
	ck_assert_uint_eq(yield.window_bytes, ONE);
	writes_beside(2000, 50 * MS);
	ck_assert_uint_gt(yield.window_bytes, ONE);
}
END_TEST

/* A client that came with the refresh: the first latency beside one read is its usual one. */
START_TEST(what_is_not_known_is_learnt_beside_one_read)
{
	mirror_yield_begin(&yield, ONE, now_ns);
	mirror_yield_end(&yield, ONE);
	writes_beside(64, 1 * MS);
	ck_assert_uint_eq(yield.window_bytes, ONE);
	ck_assert_uint_ne(mirror_yield_limit_ns(&yield, MIRROR_YIELD_WRITE), UINT64_MAX);
	writes_beside(4000, 1 * MS);
	ck_assert_uint_eq(yield.window_bytes, MIRROR_YIELD_BYTES_MAX);
}
END_TEST

/* Production begins to serve with reads of before under way. */
START_TEST(what_was_under_way_before_does_not_count)
{
	mirror_yield_begin(&yield, ONE, now_ns);
	mirror_yield_init(&yield);
	mirror_yield_begin(&yield, ONE / 2, now_ns);
	mirror_yield_end(&yield, ONE);
	ck_assert_uint_eq(yield.under_way_bytes, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror");
	TCase *tc = tcase_create("yield");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, idle_clients_leave_everything);
	tcase_add_test(tc, a_request_ends_the_idle_time);
	tcase_add_test(tc, usual_is_what_was_seen_without_a_refresh);
	tcase_add_test(tc, the_window_follows_the_latency);
	tcase_add_test(tc, each_kind_has_its_own_measure);
	tcase_add_test(tc, a_request_that_waits_too_long_goes_first);
	tcase_add_test(tc, late_for_ever_is_usual_in_the_end);
	tcase_add_test(tc, what_is_not_known_is_learnt_beside_one_read);
	tcase_add_test(tc, what_was_under_way_before_does_not_count);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
