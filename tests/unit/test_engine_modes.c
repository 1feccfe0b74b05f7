/* test_engine_modes.c - engines under near-sync and async (M1 to M3). pair_client.c compares
 * each answer with the promise, and pair.c each promotion. test_promise.c: the bound alone. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"

struct bound {
	uint32_t records, ms;
};

static const struct bound bounds[] = { { 20, 0 }, { 0, 2 }, { 50, 4 }, { 1, 0 } };

#define BOUNDS (sizeof bounds / sizeof bounds[0])

static bool is_told_kept(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_PROMISE] > 0 &&
	       p->site[site].last[FACT_PROMISE].order_id == 9;
}

/* It has nothing at home that a copy which is waited for could lack. */
static void expect_homes(struct pair *p)
{
	const struct mirror_engine *m = p->site[0].engine;

	for (uint32_t s = 1; s < p->site_count; s++)
		if (m->open.peer[s].waited && p->site[s].engine != NULL &&
		    p->site[s].engine->state == ENGINE_IDLE)
			ck_assert_uint_le(m->open.marks.home,
					  p->site[s].engine->open.marks.logged);
}

static bool lags(struct pair *p)
{
	const struct mirror_ack *ack = &p->site[0].engine->open.requests.ack;

	return mirror_ack_acknowledged(ack) > mirror_ack_everywhere(ack)->logged;
}

static uint32_t run_with_homes(struct pair *p, uint32_t turns)
{
	uint32_t ahead = 0;

	p->client_on = true;
	p->client_site = 0;
	for (uint32_t i = 0; i < turns; i++) {
		pair_run(p, 20);
		expect_homes(p);
		ahead += lags(p);
	}
	return ahead;
}

START_TEST(answers_stay_within_the_bound)
{
	const struct bound *b = &bounds[(size_t)_i % BOUNDS];
	struct pair *p = pair_level((uint64_t)_i + 9000, 3, 8u << 20);

	pair_promise(p, 0, CONFIG_NEAR_SYNC, b->records, b->ms);
	ck_assert(pair_run_until(p, 1000, is_told_kept, 0));
	p->slow = 1u << (1 + _i % 2);
	ck_assert_uint_gt(run_with_homes(p, 300), 0);
	p->slow = 0;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A silent copy: answers stop at the bound and go on when the copy is put out. Only then do
 * the answered records go home. */
START_TEST(a_copy_that_is_lost_stops_answers_at_the_bound)
{
	struct pair *p = pair_level((uint64_t)_i + 9100, 2, 8u << 20);
	uint64_t before;

	pair_promise(p, 0, CONFIG_NEAR_SYNC, 20, 0);
	run_with_homes(p, 50);
	p->site[1].log.stuck = true;
	before = p->site[1].engine->open.marks.last + 21;
	ck_assert(pair_wait_fact(p, 0, FACT_COPY_LOST, 1, 2000000));
	ck_assert_uint_le(p->acknowledged, before);
	run_with_homes(p, 20);
	ck_assert_uint_gt(p->acknowledged, before);
	p->site[1].log.stuck = false;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* M4: a current copy takes over; it lacks no more than the bound. The old production's
 * tail is not at home, and is undone. */
START_TEST(a_copy_takes_over_within_the_bound)
{
	struct pair *p = pair_level((uint64_t)_i + 9200, 2, 8u << 20);

	pair_promise(p, 0, CONFIG_NEAR_SYNC, 30, 0);
	p->slow = 1u << 1;
	run_with_homes(p, 100 + (uint32_t)pair_random(p, 100));
	p->slow = 0;
	p->client_on = false;
	pair_crash(p, 0, _i % 2 == 0);
	ck_assert(pair_promote(p, 1, 0, false));
	pair_start(p, 0);
	pair_link_all(p, 1);
	pair_load(p, 1, 2000);
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* D5: production restarts: it may have answered the records that it recovers. */
START_TEST(production_restarts)
{
	const struct bound *b = &bounds[(size_t)_i % BOUNDS];
	struct pair *p = pair_level((uint64_t)_i + 9300, 2, 8u << 20);

	pair_promise(p, 0, CONFIG_NEAR_SYNC, b->records, b->ms);
	p->slow = 1u << 1;
	run_with_homes(p, 100 + (uint32_t)pair_random(p, 100));
	p->client_on = false;
	pair_crash(p, 0, false);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 1u << 1, false));
	pair_link_all(p, 0);
	run_with_homes(p, 100);
	p->slow = 0;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static void expect_all_there(struct pair *p, uint64_t sequence)
{
	const struct mirror_engine *m = p->site[0].engine;

	for (uint32_t s = 1; s < p->site_count; s++)
		if (m->open.peer[s].waited)
			ck_assert_uint_ge(p->site[s].engine->open.marks.durable,
					  sequence);
}

/* M3: near-sync to sync, said to be kept when each copy has all that was answered before. */
START_TEST(a_stricter_promise_is_kept_when_copies_have_it)
{
	struct pair *p = pair_level((uint64_t)_i + 9400, 3, 8u << 20);
	uint64_t before;

	for (int i = 0; i < 6; i++) {
		pair_promise(p, 0, i % 2 == 0 ? CONFIG_NEAR_SYNC : CONFIG_ASYNC, 40, 0);
		p->slow = 1u << (1 + (uint32_t)pair_random(p, 2));
		run_with_homes(p, 60);
		before = p->acknowledged;
		pair_promise(p, 0, CONFIG_SYNC, 0, 0);
		ck_assert(pair_run_until(p, 400000, is_told_kept, 0));
		expect_all_there(p, before);
		p->slow = 0;
		ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	}
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Copies follow, and none is waited for: the log write begins before their frames leave. In
 * sync they leave first. */
START_TEST(async_waits_for_no_copy)
{
	struct pair *p = pair_level((uint64_t)_i + 9500, 2, 8u << 20);
	uint64_t before;

	run_with_homes(p, 20);
	ck_assert_uint_eq(p->site[0].io_first_count, 0);
	pair_promise(p, 0, CONFIG_ASYNC, 0, 0);
	run_with_homes(p, 20);
	ck_assert(is_told_kept(p, 0));
	ck_assert_uint_gt(p->site[0].io_first_count, 0);
	p->cut[1] = true;
	before = p->acknowledged;
	run_with_homes(p, 100);
	ck_assert_uint_gt(p->acknowledged, before);
	p->cut[1] = false;
	run_with_homes(p, 100);
	ck_assert(!mirror_ack_waits_for(&p->site[0].engine->open.requests.ack, 1));
	pair_promise(p, 0, CONFIG_SYNC, 0, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static bool is_bypassed(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.peer[1].outrun.bypass;
}

/* M6, M7: the log fills with what a slow copy lacks: its map takes over, and clients go on. The
 * refresh begins after its time; in sync at once. */
START_TEST(async_outruns_a_slow_copy)
{
	struct pair *p = pair_level((uint64_t)_i + 9700, 2, 2u << 20);
	const struct engine_outrun *o = &p->site[0].engine->open.peer[1].outrun;
	uint64_t before;

	p->span_bytes = PAIR_DISK_BYTES / 4;
	pair_promise(p, 0, CONFIG_ASYNC, 0, 0);
	run_with_homes(p, 20);
	p->slow = 1u << 1;
	ck_assert(pair_run_until(p, 100000, is_bypassed, 0));
	ck_assert_uint_eq(o->count, 1);
	before = p->acknowledged;
	run_with_homes(p, 200);
	ck_assert_uint_gt(p->acknowledged, before);
	if (_i % 2 == 0)
		pair_promise(p, 0, CONFIG_SYNC, 0, 0);
	p->slow = 0;
	p->client_on = _i % 2 == 0;
	while (o->bypass && p->now_ns < o->again_ns + 10000 * NS_PER_MS)
		pair_run(p, 100);
	ck_assert(!o->bypass);
	pair_promise(p, 0, CONFIG_SYNC, 0, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* G7: a bound beyond what log and pool have room for: they are the bound then. */
START_TEST(a_large_bound_ends_with_the_room)
{
	struct pair *p = pair_level((uint64_t)_i + 9600, 2, 2u << 20);

	p->span_bytes = PAIR_DISK_BYTES;
	pair_promise(p, 0, CONFIG_NEAR_SYNC, 30000, 0);
	p->slow = 1u << 1;
	run_with_homes(p, 600);
	p->slow = 0;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("modes");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, answers_stay_within_the_bound, 0, 8);
	tcase_add_loop_test(tc, a_copy_that_is_lost_stops_answers_at_the_bound, 0, 2);
	tcase_add_loop_test(tc, a_copy_takes_over_within_the_bound, 0, 6);
	tcase_add_loop_test(tc, production_restarts, 0, 4);
	tcase_add_loop_test(tc, a_stricter_promise_is_kept_when_copies_have_it, 0, 4);
	tcase_add_loop_test(tc, async_waits_for_no_copy, 0, 2);
	tcase_add_loop_test(tc, async_outruns_a_slow_copy, 0, 4);
	tcase_add_loop_test(tc, a_large_bound_ends_with_the_room, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
