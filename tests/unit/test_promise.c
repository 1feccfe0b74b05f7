/* test_promise.c - promises compared, and how far production may answer under each: M1, M2,
 * M3. (test_acknowledged.c: G1, D3, D5.) */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/acknowledged.h"
#include "tests/unit/property.h"

#define MS 1000000ull
#define RECORDS 64u

static struct mirror_ack ack;
static struct mirror_ack_record records[RECORDS];
static uint64_t last;

static void setup(void)
{
	mirror_ack_reset(&ack, 0);
	mirror_ack_records(&ack, records, RECORDS, 0);
	last = 0;
}

static void promised(uint32_t mode, uint32_t count, uint32_t ms)
{
	const struct promise p = promise_make(mode, count, ms);

	mirror_ack_promise(&ack, &p);
}

/* Clients write `count` records at that time, and our log takes them. */
static void written(uint64_t count, uint64_t at_ms)
{
	while (count-- > 0)
		mirror_ack_note(&ack, ++last, true, 512, at_ms * MS);
	mirror_ack_set_own(&ack, last, ack.own.durable);
}

static void not_clients(uint64_t count, uint64_t at_ms)
{
	while (count-- > 0)
		mirror_ack_note(&ack, ++last, false, 512, at_ms * MS);
	mirror_ack_set_own(&ack, last, ack.own.durable);
}

static void site_has(uint32_t site, uint64_t logged)
{
	ck_assert_int_eq(mirror_ack_set_site(&ack, site, logged, 0), 0);
}

static void answers(uint64_t at_ms, uint64_t sequence)
{
	mirror_ack_answer(&ack, at_ms * MS);
	ck_assert_uint_eq(mirror_ack_acknowledged(&ack), sequence);
}

static void flushes(uint64_t at_ms, uint64_t sequence)
{
	mirror_ack_answer(&ack, at_ms * MS);
	ck_assert_uint_eq(mirror_ack_flushed(&ack), sequence);
}

/* ---- promises ---------------------------------------------------------------- */

START_TEST(promises_are_compared_number_by_number)
{
	const struct promise sync = promise_make(CONFIG_SYNC, 0, 0),
			     async = promise_make(CONFIG_ASYNC, 0, 0),
			     few = promise_make(CONFIG_NEAR_SYNC, 10, 0),
			     young = promise_make(CONFIG_NEAR_SYNC, 0, 200),
			     both = promise_make(CONFIG_NEAR_SYNC, 10, 200);
	const struct promise met = promise_strictest(&few, &young);

	ck_assert(promise_covers(&sync, &few) && promise_covers(&few, &async));
	ck_assert(promise_covers(&both, &few) && promise_covers(&both, &young));
	ck_assert(!promise_covers(&few, &young) && !promise_covers(&young, &few));
	ck_assert(!promise_covers(&few, &sync) && !promise_covers(&async, &few));
	ck_assert(promise_equal(&met, &both));
	ck_assert(promise_is_sound(&sync) && promise_is_sound(&both) &&
		  promise_is_sound(&few) && promise_is_sound(&async));
	ck_assert(!promise_is_sound(&(struct promise){ CONFIG_SYNC, 1, 0, 0, false }));
	ck_assert(!promise_is_sound(
		&(struct promise){ CONFIG_NEAR_SYNC, 0, 5, UINT64_MAX, false }));
	ck_assert(!promise_is_sound(&(struct promise){ CONFIG_NEAR_SYNC, UINT32_MAX,
						       UINT32_MAX, UINT64_MAX, false }));
	ck_assert(!promise_is_sound(&(struct promise){ 3, 0, 0, 0, false }));
}
END_TEST

START_TEST(a_bound_of_async_is_compared_too)
{
	const struct promise sync = promise_make(CONFIG_SYNC, 0, 0),
			     few = promise_make(CONFIG_NEAR_SYNC, 10, 200),
			     async = promise_make(CONFIG_ASYNC, 0, 0),
			     far = promise_async(64 << 20, 0),
			     close = promise_async(8 << 20, 100);
	const struct promise met = promise_strictest(&few, &close);

	ck_assert(promise_covers(&sync, &close) && promise_covers(&close, &far));
	ck_assert(promise_covers(&far, &async) && !promise_covers(&async, &far));
	ck_assert(!promise_covers(&few, &far) && !promise_covers(&close, &few));
	ck_assert(met.mode == CONFIG_NEAR_SYNC && met.records == 10 && met.ms == 100 &&
		  met.bytes == 8 << 20);
	ck_assert(promise_counts(&sync) && promise_counts(&far) &&
		  !promise_counts(&async));
	ck_assert(promise_is_sound(&far) && promise_is_sound(&close) &&
		  !promise_is_sound(&met));
	ck_assert(!promise_is_sound(
		&(struct promise){ CONFIG_ASYNC, UINT32_MAX, 100, UINT64_MAX, false }));
	ck_assert(!promise_is_sound(
		&(struct promise){ CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, 0, false }));
}
END_TEST

/* M9: it asks for more than sync, and goes with sync only. */
START_TEST(home_asks_for_more)
{
	const struct promise sync = promise_make(CONFIG_SYNC, 0, 0),
			     near = promise_make(CONFIG_NEAR_SYNC, 10, 200);
	struct promise home = sync, met;
	char text[PROMISE_TEXT_BYTES];

	home.home = true;
	ck_assert(promise_covers(&home, &sync) && !promise_covers(&sync, &home));
	ck_assert(promise_covers(&home, &near) && !promise_equal(&home, &sync));
	met = promise_strictest(&near, &home);
	ck_assert(promise_equal(&met, &home));
	ck_assert(promise_is_sound(&home) && promise_counts(&home));
	promise_text(&home, text);
	ck_assert_str_eq(text, "sync (confirm: home)");
	home.mode = CONFIG_ASYNC;
	ck_assert(!promise_is_sound(&home));
}
END_TEST

START_TEST(promises_have_a_text)
{
	const struct promise p[] = {
		promise_make(CONFIG_SYNC, 0, 0),
		promise_make(CONFIG_NEAR_SYNC, 10, 0),
		promise_make(CONFIG_NEAR_SYNC, 0, 200),
		promise_make(CONFIG_NEAR_SYNC, 10, 200),
		promise_make(CONFIG_ASYNC, 0, 0),
		promise_async(64 << 20, 0),
		promise_async(65536, 2000),
	};
	static const char *const texts[] = { "sync",
					     "near-sync (10 records)",
					     "near-sync (200 ms)",
					     "near-sync (10 records and 200 ms)",
					     "async",
					     "async (64 MiB)",
					     "async (65536 bytes and 2000 ms)" };
	char text[PROMISE_TEXT_BYTES];

	promise_text(&p[_i], text);
	ck_assert_str_eq(text, texts[_i]);
}
END_TEST

/* ---- near-sync (M1) ------------------------------------------------------------ */

START_TEST(so_many_records_may_be_lacked)
{
	promised(CONFIG_NEAR_SYNC, 3, 0);
	mirror_ack_add(&ack, 1);
	written(10, 1);
	answers(1, 3);
	answers(1000000, 3); /* time makes nothing answerable, nor does age take back */
	site_has(1, 4);
	answers(1000000, 7);
	site_has(1, 7);
	answers(1000000, 10);
	written(3, 2);
	answers(1000000, 10);
	site_has(1, 13);
	answers(1000000, 13);
}
END_TEST

START_TEST(none_may_be_lacked_that_is_older)
{
	promised(CONFIG_NEAR_SYNC, 0, 200);
	mirror_ack_add(&ack, 1);
	written(1, 1000);
	written(1, 1100);
	answers(1200, 2); /* 200 ms old: not older than that */
	written(1, 1201);
	answers(1201, 2);
	site_has(1, 1);
	answers(1201, 3);
	written(1, 1300);
	answers(1301, 3); /* record 2 is too old */
	site_has(1, 3);
	answers(1301, 4);
}
END_TEST

START_TEST(both_bounds_hold)
{
	promised(CONFIG_NEAR_SYNC, 2, 200);
	mirror_ack_add(&ack, 1);
	written(3, 1000);
	answers(1000, 2);
	site_has(1, 2);
	written(2, 1100);
	answers(1150, 4);
	site_has(1, 3);
	written(1, 1310);
	answers(1310, 4); /* 4 is 210 ms old, though few are lacked */
	site_has(1, 4);
	answers(1310, 4); /* so is 5 */
	site_has(1, 5);
	answers(1310, 6);
}
END_TEST

/* D5: records that an earlier generation may have answered are older than any bound, and
 * count. */
START_TEST(recovered_records_are_old_and_count)
{
	const bool by_age = _i == 1;

	promised(CONFIG_NEAR_SYNC, by_age ? 0 : 3, by_age ? 200 : 0);
	mirror_ack_add(&ack, 1);
	site_has(1, 1);
	for (int i = 0; i < 5; i++)
		mirror_ack_note(&ack, ++last, true, 512, 0);
	mirror_ack_set_own(&ack, last, 5);
	answers(50, by_age ? 1 : 4);
	written(1, 50);
	answers(50, by_age ? 1 : 4);
	site_has(1, 4);
	answers(50, by_age ? 4 : 6);
	site_has(1, 5);
	answers(50, 6);
}
END_TEST

START_TEST(refresh_records_do_not_count)
{
	promised(CONFIG_NEAR_SYNC, 2, 200);
	mirror_ack_add(&ack, 1);
	not_clients(9, 1);
	written(2, 1000);
	not_clients(5, 1000);
	answers(1000, 16);
	written(1, 1000);
	answers(1000, 16);
	site_has(1, 9); /* it still lacks two clients' writes */
	answers(1000, 16);
	site_has(1, 10);
	answers(1000, 17);
}
END_TEST

START_TEST(the_slowest_copy_decides)
{
	promised(CONFIG_NEAR_SYNC, 3, 0);
	mirror_ack_add(&ack, 1);
	mirror_ack_add(&ack, 2);
	written(10, 1);
	site_has(1, 8);
	answers(1, 3);
	site_has(2, 5);
	answers(1, 8);
	ck_assert_uint_eq(mirror_ack_everywhere(&ack)->logged, 5);
	mirror_ack_remove(&ack, 2);
	answers(1, 10);
	ck_assert_uint_eq(mirror_ack_everywhere(&ack)->logged, 8);
}
END_TEST

/* Records that are no longer known count as too many and too old. */
START_TEST(unknown_records_are_not_lacked)
{
	promised(CONFIG_NEAR_SYNC, 50, 0);
	written(100, 1);
	answers(1, 100);
	site_has(1, 20);
	mirror_ack_add(&ack, 1);
	written(1, 1);
	answers(1, 100);
	site_has(1, 36); /* of 37 to 101 the oldest is forgotten */
	answers(1, 100);
	site_has(1, 37);
	answers(1, 100); /* 64 are lacked */
	site_has(1, 51);
	answers(1, 101);
}
END_TEST

START_TEST(a_generation_knows_only_what_it_was_told)
{
	promised(CONFIG_NEAR_SYNC, 50, 0);
	mirror_ack_records(&ack, records, RECORDS, 10);
	mirror_ack_add(&ack, 1);
	site_has(1, 9);
	last = 10;
	written(3, 1);
	answers(1, 9);
	site_has(1, 10);
	answers(1, 13);
}
END_TEST

/* ---- flushes (M2) ---------------------------------------------------------------- */

START_TEST(a_flush_needs_our_storage_and_the_bound)
{
	promised(CONFIG_NEAR_SYNC, 3, 0);
	mirror_ack_add(&ack, 1);
	written(10, 1);
	flushes(1, 0);
	mirror_ack_set_own(&ack, 10, 2);
	flushes(1, 2);
	mirror_ack_set_own(&ack, 10, 10);
	flushes(1, 3);
	site_has(1, 5);
	flushes(1, 8);
}
END_TEST

/* A flush is judged at its answer: a record good enough a moment ago may be too old now. */
START_TEST(a_flush_is_judged_when_it_is_answered)
{
	promised(CONFIG_NEAR_SYNC, 0, 200);
	mirror_ack_add(&ack, 1);
	written(4, 1000);
	mirror_ack_set_own(&ack, 4, 4);
	flushes(1100, 4);
	flushes(1201, 0);
	answers(1201, 4);
	site_has(1, 2);
	flushes(1201, 2);
	site_has(1, 4);
	flushes(1201, 4);
}
END_TEST

START_TEST(async_waits_for_nobody)
{
	promised(CONFIG_ASYNC, 0, 0);
	mirror_ack_add(&ack, 1); /* a candidate that has not been heard of yet */
	written(10, 1);
	answers(1000, 10);
	flushes(1000, 0);
	mirror_ack_set_own(&ack, 10, 7);
	flushes(1000, 7);
}
END_TEST

/* ---- changes (M3) ------------------------------------------------------------------ */

START_TEST(near_sync_to_sync_is_kept_when_all_is_durable_there)
{
	promised(CONFIG_NEAR_SYNC, 5, 0);
	mirror_ack_add(&ack, 1);
	written(10, 1);
	site_has(1, 4);
	mirror_ack_set_own(&ack, 10, 10);
	flushes(1, 9);
	promised(CONFIG_SYNC, 0, 0);
	ck_assert(!mirror_ack_is_kept(&ack, 1 * MS));
	answers(1, 9); /* answered records stay so ... */
	flushes(1, 0); /* ... but a flush says more from now on */
	written(4, 2);
	site_has(1, 9);
	answers(2, 9);
	ck_assert(!mirror_ack_is_kept(&ack, 2 * MS));
	ck_assert_int_eq(mirror_ack_set_site(&ack, 1, 12, 8), 0);
	answers(2, 12);
	ck_assert(!mirror_ack_is_kept(&ack, 2 * MS));
	ck_assert_int_eq(mirror_ack_set_site(&ack, 1, 12, 9), 0);
	ck_assert(mirror_ack_is_kept(&ack, 2 * MS));
	flushes(2, 9);
}
END_TEST

START_TEST(a_lower_bound_is_kept_when_no_more_is_lacked)
{
	promised(CONFIG_NEAR_SYNC, 8, 0);
	mirror_ack_add(&ack, 1);
	written(10, 1);
	answers(1, 8);
	promised(CONFIG_NEAR_SYNC, 2, 0);
	ck_assert(!mirror_ack_is_kept(&ack, 1 * MS));
	site_has(1, 5);
	answers(1, 8);
	ck_assert(!mirror_ack_is_kept(&ack, 1 * MS));
	site_has(1, 6);
	ck_assert(mirror_ack_is_kept(&ack, 1 * MS));
	answers(1, 8);
	site_has(1, 7);
	answers(1, 9);
}
END_TEST

START_TEST(async_to_sync_is_kept_at_once_without_copies)
{
	promised(CONFIG_ASYNC, 0, 0);
	written(10, 1);
	answers(1, 10);
	promised(CONFIG_SYNC, 0, 0);
	ck_assert(mirror_ack_is_kept(&ack, 1 * MS));
	mirror_ack_add(&ack, 1); /* one that enters has all before it enters */
	ck_assert(!mirror_ack_is_kept(&ack, 1 * MS));
	written(1, 1);
	answers(1, 10);
}
END_TEST

/* ---- async with a bound (M4) ------------------------------------------------------ */

static void near(uint64_t bytes, uint32_t ms)
{
	const struct promise p = promise_async(bytes, ms);

	mirror_ack_promise(&ack, &p);
	mirror_ack_add(&ack, 1);
}

START_TEST(so_many_bytes_may_be_lacked)
{
	near(3 * 512, 0);
	written(10, 1);
	answers(1, 3);
	ck_assert(mirror_ack_allows(&ack, 1, 3, MS) &&
		  !mirror_ack_allows(&ack, 1, 4, MS));
	site_has(1, 9);
	answers(1, 3); /* logged there, not durable */
	mirror_ack_set_proven(&ack, 1, 4);
	answers(1, 7);
	mirror_ack_forget_site(&ack, 1); /* durable it stays, without a link too */
	written(1, 1);
	answers(1, 7);
	mirror_ack_set_proven(&ack, 1, 11);
	not_clients(5, 1);
	written(3, 1);
	not_clients(5, 1);
	answers(1, last);
	ck_assert_uint_eq(mirror_ack_everywhere(&ack)->logged, 11);
}
END_TEST

START_TEST(none_is_lacked_that_is_older_by_what_is_durable)
{
	near(1 << 20, 100);
	written(1, 1);
	written(1, 50);
	answers(101, 2);
	written(1, 102);
	answers(102, 2);
	ck_assert(!mirror_ack_allows(&ack, 1, 3, 102 * MS));
	mirror_ack_set_proven(&ack, 1, 1);
	answers(102, 3);
}
END_TEST

START_TEST(near_is_half_of_each_bound)
{
	near(8 * 512, 100);
	written(4, 10);
	ck_assert(mirror_ack_is_near(&ack, 1, last, 60 * MS));
	ck_assert(!mirror_ack_is_near(&ack, 1, last, 61 * MS));
	mirror_ack_set_proven(&ack, 1, 4);
	written(5, 61);
	ck_assert(!mirror_ack_is_near(&ack, 1, last, 61 * MS));
	mirror_ack_set_proven(&ack, 1, 5);
	ck_assert(mirror_ack_is_near(&ack, 1, last, 61 * MS));
	promised(CONFIG_ASYNC, 0, 0);
	ck_assert(!mirror_ack_is_near(&ack, 1, last, 61 * MS));
}
END_TEST

/* ---- against the definition --------------------------------------------------------- */

static bool may_answer(const uint64_t *stamped, const bool *client, uint64_t from,
		       uint64_t to, const struct promise *p, uint64_t now_ns)
{
	uint64_t lacked = 0;

	for (uint64_t s = from + 1; s <= to; s++) {
		if (!client[s])
			continue;
		lacked++;
		if (p->ms != PROMISE_UNBOUNDED && now_ns - stamped[s] > p->ms * MS)
			return false;
	}
	return p->records == PROMISE_UNBOUNDED || lacked <= p->records;
}

START_TEST(answers_are_those_of_the_definition)
{
	struct random random = { (uint64_t)_i + 1 };
	static uint64_t stamped[5000];
	static bool client[5000];
	uint64_t now = MS, has[2] = { 0, 0 }, want = 0;

	promised(CONFIG_NEAR_SYNC, _i % 3 == 0 ? 0 : 1 + (uint32_t)_i,
		 _i % 3 == 1 ? 0 : 5);
	mirror_ack_add(&ack, 3);
	mirror_ack_add(&ack, 5);
	while (last < 4000) {
		now += random_below(&random, 3 * MS);
		for (uint64_t i = random_below(&random, 5); i > 0; i--) {
			client[++last] = random_below(&random, 4) != 0;
			stamped[last] = now;
			mirror_ack_note(&ack, last, client[last], 512, now);
		}
		mirror_ack_set_own(&ack, last, 0);
		for (uint32_t i = 0; i < 2; i++) {
			has[i] += random_below(&random, last - has[i] + 1);
			if (last - has[i] > RECORDS / 2)
				has[i] = last - RECORDS / 2;
			site_has(i == 0 ? 3 : 5, has[i]);
		}
		while (want < last &&
		       may_answer(stamped, client, has[0], want + 1, &ack.promise, now) &&
		       may_answer(stamped, client, has[1], want + 1, &ack.promise, now))
			want++;
		if (want < mirror_ack_everywhere(&ack)->logged)
			want = mirror_ack_everywhere(&ack)->logged;
		mirror_ack_answer(&ack, now);
		ck_assert_uint_eq(mirror_ack_acknowledged(&ack), want);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("promise");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, promises_are_compared_number_by_number);
	tcase_add_test(tc, a_bound_of_async_is_compared_too);
	tcase_add_loop_test(tc, promises_have_a_text, 0, 7);
	tcase_add_test(tc, home_asks_for_more);
	tcase_add_test(tc, so_many_records_may_be_lacked);
	tcase_add_test(tc, none_may_be_lacked_that_is_older);
	tcase_add_test(tc, both_bounds_hold);
	tcase_add_loop_test(tc, recovered_records_are_old_and_count, 0, 2);
	tcase_add_test(tc, refresh_records_do_not_count);
	tcase_add_test(tc, the_slowest_copy_decides);
	tcase_add_test(tc, unknown_records_are_not_lacked);
	tcase_add_test(tc, a_generation_knows_only_what_it_was_told);
	tcase_add_test(tc, a_flush_needs_our_storage_and_the_bound);
	tcase_add_test(tc, a_flush_is_judged_when_it_is_answered);
	tcase_add_test(tc, async_waits_for_nobody);
	tcase_add_test(tc, near_sync_to_sync_is_kept_when_all_is_durable_there);
	tcase_add_test(tc, a_lower_bound_is_kept_when_no_more_is_lacked);
	tcase_add_test(tc, async_to_sync_is_kept_at_once_without_copies);
	tcase_add_test(tc, so_many_bytes_may_be_lacked);
	tcase_add_test(tc, none_is_lacked_that_is_older_by_what_is_durable);
	tcase_add_test(tc, near_is_half_of_each_bound);
	tcase_add_loop_test(tc, answers_are_those_of_the_definition, 0, 12);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
