/* test_engine_home.c - engines under confirm: home (M9). pair_client.c sees at each answer that
 * the disks have taken it. test_acknowledged.c: the marks alone. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"

static void promise_home(struct pair *p, bool home)
{
	pair_promise(p, 0, CONFIG_SYNC, 0, 0);
	p->promise.home = home;
}

static bool is_told_kept(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_PROMISE] > 0;
}

static struct pair *level_home(uint64_t seed, uint32_t site_count)
{
	struct pair *p = pair_level(seed, site_count, 8u << 20);

	promise_home(p, true);
	ck_assert(pair_run_until(p, 400000, is_told_kept, 0));
	return p;
}

/* Copies and production restart, with and without power; a copy is filled anew. */
START_TEST(answers_wait_for_all_disks)
{
	struct pair *p = level_home((uint64_t)_i + 12000, 3);

	pair_load(p, 0, 3000);
	for (uint32_t s = 1; s < 3; s++) {
		pair_crash(p, s, (_i + s) % 2 == 0);
		pair_load(p, 0, 500);
		pair_start(p, s);
		pair_load(p, 0, 3000);
	}
	p->client_on = false;
	pair_crash(p, 0, _i % 2 == 0);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 6, false));
	pair_link_all(p, 0);
	pair_load(p, 0, 3000);
	p->client_on = false;
	pair_crash(p, 2, false);
	pair_blank(p, 2);
	pair_start(p, 2);
	pair_load(p, 0, 3000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* What is frozen fails while it is on its way to the copy's disk; a read right after it. */
START_TEST(no_read_shows_a_write_that_failed)
{
	const struct order fail = { .type = ORDER_FAIL_FROZEN };
	struct pair *p = level_home((uint64_t)_i + 12300, 2);

	p->span_bytes = 36u << 10;
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[1].disk[d].slow = 40;
	for (int i = 0; i < 40; i++) {
		pair_load(p, 0, 400);
		pair_order(p, 0, &fail);
	}
	ck_assert_uint_gt(p->error_count, 0);
	pair_load(p, 0, 2000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* To and fro, while clients write. */
START_TEST(the_promise_changes)
{
	struct pair *p = level_home((uint64_t)_i + 12100, 3);

	for (int i = 0; i < 6; i++) {
		promise_home(p, i % 2 != 0);
		pair_load(p, 0, 500 + (uint32_t)pair_random(p, 1000));
		ck_assert(pair_run_until(p, 400000, is_told_kept, 0));
	}
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* The price of a lone write, at each site: its log write, a mark, and a flush of each of them
 * (W1). It does not wait for anything lazy. */
START_TEST(a_lone_write_costs_two_flushes)
{
	struct pair *p = level_home((uint64_t)_i + 12200, 2);
	struct mirror_status before[2];
	const struct mirror_status *now[2];

	pair_load(p, 0, 1000);
	ck_assert(pair_quiesce(p, 100000));
	for (uint32_t s = 0; s < 2; s++) {
		now[s] = mirror_engine_counters(p->site[s].engine);
		before[s] = *now[s];
	}
	p->client_on = true;
	while (now[0]->writes == before[0].writes)
		pair_run(p, 1);
	p->client_on = false;
	ck_assert(pair_quiesce(p, 1000));
	for (uint32_t s = 0; s < 2; s++) {
		ck_assert_uint_eq(now[s]->log_writes - before[s].log_writes, 1);
		ck_assert_uint_le(now[s]->log_flushes - before[s].log_flushes, 2);
		ck_assert_uint_eq(now[s]->home_writes - before[s].home_writes, 1);
	}
	pair_destroy(p);
}
END_TEST

static bool is_told_slow(struct pair *p, uint32_t site)
{
	static struct mirror_status status;

	mirror_status_fill(p->site[site].engine, &status);
	return strstr(status.frozen_text, "has logged a write, and its disk") != NULL;
}

static bool is_left(struct pair *p, uint32_t site)
{
	return (p->site[site].waited >> 1 & 1) == 0;
}

/* The status names it, and after copy-timeout writes go on without it. */
START_TEST(a_disk_that_stands_still_is_told)
{
	struct pair *p = level_home((uint64_t)_i + 12400, 2);
	uint64_t answered;

	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[1].disk[d].stuck = true;
	p->client_on = true;
	ck_assert(pair_run_until(p, 400000, is_told_slow, 0));
	ck_assert(!is_left(p, 0));
	ck_assert(pair_run_until(p, 400000, is_left, 0));
	answered = p->answered_count;
	pair_run(p, 2000);
	ck_assert_uint_gt(p->answered_count, answered);
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[1].disk[d].stuck = false;
	p->client_on = false;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static bool is_refused(struct pair *p, uint32_t site)
{
	return (p->site[site].waited >> 1 & 1) == 0 &&
	       strstr(p->site[site].engine->open.peer[1].text, "confirm: home") != NULL;
}

/* An older hamirror at the copy: it is not used, and the link says so. */
START_TEST(a_copy_that_knows_no_home_is_not_used)
{
	struct pair *p = pair_level((uint64_t)_i + 12300, 2, 8u << 20);
	struct mirror_engine *m = p->site[0].engine;

	m->link[m->open.peer[1].link].hello.features &= ~MIRROR_WIRE_FEATURE_HOME;
	promise_home(p, true);
	ck_assert(pair_run_until(p, 1000, is_refused, 0) ||
		  p->site[0].fact_count[FACT_LINK] > 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("home");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, answers_wait_for_all_disks, 0, 4);
	tcase_add_loop_test(tc, no_read_shows_a_write_that_failed, 0, 6);
	tcase_add_loop_test(tc, the_promise_changes, 0, 4);
	tcase_add_loop_test(tc, a_lone_write_costs_two_flushes, 0, 2);
	tcase_add_loop_test(tc, a_disk_that_stands_still_is_told, 0, 2);
	tcase_add_loop_test(tc, a_copy_that_knows_no_home_is_not_used, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
