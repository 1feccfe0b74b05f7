/* test_engine.c - whole engines of two sites, see pair.h. Each test runs over
 * several seeds: the order of events differs, the rules do not. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 8
#endif
#define LOG_BYTES (4u << 20)

/* A blank copy is filled and level; under load both end with the same bytes. */
START_TEST(copy_becomes_level_and_equal)
{
	struct pair *p = pair_level((uint64_t)_i + 1, 2, LOG_BYTES);

	p->client_on = true;
	pair_run(p, 30000);
	p->client_on = false;
	ck_assert(pair_run_until(p, 100000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 100000, pair_is_home, 1));
	ck_assert_uint_gt(p->answered_count, 1000);
	ck_assert_uint_eq(p->error_count, 0);
	pair_expect_history(p, 0);
	pair_expect_equal(p, 0, 1);
	pair_destroy(p);
}
END_TEST

/* G1, W5: production dies under load, restarts, and holds every answer. */
START_TEST(production_restarts_with_all_it_answered)
{
	struct pair *p = pair_level((uint64_t)_i + 100, 2, LOG_BYTES);
	const bool power = _i % 2 == 1;

	for (int round = 0; round < 4; round++) {
		p->client_on = true;
		pair_run(p, 4000);
		p->client_on = false;
		pair_crash(p, 0, power);
		pair_start(p, 0);
		ck_assert(pair_promote(p, 0, 1u << 1, false));
		ck_assert_uint_ge(p->site[0].last[FACT_PREPARED].sequence,
				  p->acknowledged);
		pair_link(p, 0, 1);
		ck_assert(pair_run_until(p, 400000, pair_is_level, 0));
		pair_expect_history(p, 0);
	}
	ck_assert(pair_run_until(p, 100000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 100000, pair_is_home, 1));
	pair_expect_equal(p, 0, 1);
	pair_destroy(p);
}
END_TEST

/* G1, G4: the copy takes over with every answer; the old production's tail is
 * found, judged and undone when it returns (D8). */
START_TEST(copy_takes_over_and_the_old_one_returns)
{
	struct pair *p = pair_level((uint64_t)_i + 200, 2, LOG_BYTES);
	uint32_t production = 0;

	for (int round = 0; round < 4; round++) {
		const uint32_t copy = 1 - production;

		p->client_site = production;
		p->client_on = true;
		pair_run(p, 4000);
		p->client_on = false;
		pair_crash(p, production, round % 2 == 1);
		ck_assert(pair_promote(p, copy, 0, false));
		ck_assert_uint_ge(p->site[copy].last[FACT_PREPARED].sequence,
				  p->acknowledged);
		p->client_site = copy;
		p->client_on = true;
		pair_run(p, 3000);
		p->client_on = false;
		pair_start(p, production);
		pair_link(p, copy, production);
		ck_assert(pair_run_until(p, 800000, pair_is_level, copy));
		pair_expect_history(p, copy);
		production = copy;
	}
	ck_assert(pair_run_until(p, 200000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 200000, pair_is_home, 1));
	pair_expect_equal(p, 0, 1);
	pair_destroy(p);
}
END_TEST

/* The copy dies: writes wait, then go on without it, tracked; it returns and
 * catches up from the log, or by a refresh under a hold when that is too late. */
START_TEST(copy_returns_from_the_log_or_by_refresh)
{
	struct pair *p = pair_level((uint64_t)_i + 300, 2, LOG_BYTES);

	p->client_on = true;
	for (int round = 0; round < 3; round++) {
		pair_run(p, 3000);
		pair_crash(p, 1, round == 1);
		pair_run(p, _i % 2 == 0 ? 3000 : 60000);
		pair_start(p, 1);
		ck_assert(pair_run_until(p, 1600000, pair_is_level, 0));
	}
	p->client_on = false;
	ck_assert(pair_run_until(p, 200000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 200000, pair_is_home, 1));
	ck_assert_uint_eq(p->error_count, 0);
	pair_expect_history(p, 0);
	pair_expect_equal(p, 0, 1);
	pair_destroy(p);
}
END_TEST

/* `order: flush`: the bare disk of a copy obeys the order of groups through the loss
 * of power too (pair_crash() looks at it). */
START_TEST(flushed_order_survives_power)
{
	struct pair *p = pair_level((uint64_t)_i + 400, 2, LOG_BYTES);
	uint64_t before, looked = 0;

	p->config->order = CONFIG_ORDER_FLUSH;
	p->client_on = true;
	for (int round = 0; round < 8; round++) {
		ck_assert(pair_run_until(p, 100000, pair_is_bare, 1));
		pair_run(p, 100 + (uint32_t)pair_random(p, 1000));
		before = p->bare_checks;
		pair_crash(p, 1, true);
		looked += p->bare_checks - before;
		pair_start(p, 1);
		ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	}
	ck_assert_uint_gt(looked, 2);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* The size is that of the devices, which may be larger than the size that clients see. */
START_TEST(opening_tells_how_large_the_devices_are)
{
	struct pair *p = pair_create(1, 2, LOG_BYTES);
	const struct fact *f = &p->site[1].last[FACT_OPENED];

	p->site[1].disk[1].bytes += 4096;
	pair_start(p, 1);
	ck_assert(pair_wait_fact(p, 1, FACT_OPENED, 1, 10000));
	ck_assert_int_eq(f->error, 0);
	ck_assert_uint_eq(f->disk_bytes[0], PAIR_DISK_BYTES);
	ck_assert_uint_eq(f->disk_bytes[1], PAIR_DISK_BYTES + 4096);
	ck_assert_uint_eq(f->disk_bytes[PAIR_DISKS], 0);
	p->site[1].disk[1].bytes -= 4096;
	pair_destroy(p);
}
END_TEST

/* More is at home than the superblock says. */
static bool is_more_home(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	return m->open.marks.home_flushed > m->open.sb.home.sequence &&
	       m->open.writer.wanted == m->open.writer.written;
}

/* Else the next open would read all of it, and would not know it from records in doubt. */
START_TEST(a_close_says_how_far_all_is_home)
{
	struct pair *p = pair_level((uint64_t)_i + 700, 2, LOG_BYTES);
	const struct mirror_engine *m = p->site[0].engine;
	uint64_t home;

	p->cut[1] = true; /* no room is given back, which would tell it */
	p->client_on = true;
	ck_assert(pair_run_until(p, 200000, is_more_home, 0));
	p->client_on = false;
	home = m->open.marks.home_flushed;
	ck_assert(pair_close(p, 0));
	ck_assert(pair_open(p, 0));
	ck_assert_uint_ge(m->open.sb.home.sequence, home);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, a_close_says_how_far_all_is_home, 0, SEEDS);
	tcase_add_test(tc, opening_tells_how_large_the_devices_are);
	tcase_add_loop_test(tc, copy_becomes_level_and_equal, 0, SEEDS);
	tcase_add_loop_test(tc, production_restarts_with_all_it_answered, 0, SEEDS);
	tcase_add_loop_test(tc, copy_takes_over_and_the_old_one_returns, 0, SEEDS);
	tcase_add_loop_test(tc, copy_returns_from_the_log_or_by_refresh, 0, SEEDS);
	tcase_add_loop_test(tc, flushed_order_survives_power, 0, SEEDS);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
