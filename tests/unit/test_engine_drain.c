/* test_engine_drain.c - a demote drains: linked copies that follow get all of it, also
 * those that writes do not wait for, within demote-drain (docs/rules.md, D4). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 4
#endif
#define LOG_BYTES (32u << 20)

static bool is_linked(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[0].engine;
	const uint32_t link = m->open.peer[site].link;

	return link != MIRROR_LINK_NONE && m->link[link].use == LINK_STREAM_OUT;
}

static bool is_not_waited(struct pair *p, uint32_t site)
{
	return (p->site[0].waited >> site & 1) == 0;
}

/* Site 0 serves and has written much that site 1 lacks, which is linked again and catches
 * up over a slow line. */
static struct pair *catching_up(uint64_t seed)
{
	struct pair *p = pair_level(seed, 2, LOG_BYTES);

	p->cut[1] = true;
	ck_assert(pair_run_until(p, 200000, is_not_waited, 1));
	pair_load(p, 0, 8000);
	ck_assert(pair_quiesce(p, 100000));
	p->slow = 1u << 1;
	p->cut[1] = false;
	ck_assert(pair_run_until(p, 200000, is_linked, 1));
	ck_assert_int_eq(p->site[0].engine->open.peer[1].refresh.phase, REFRESH_NONE);
	ck_assert_uint_lt(p->site[0].engine->open.peer[1].marks.durable,
			  p->site[0].engine->open.marks.last);
	return p;
}

START_TEST(a_copy_that_catches_up_has_all_of_it)
{
	struct pair *p = catching_up((uint64_t)_i + 11000);
	const struct fact *f = &p->site[0].last[FACT_DEMOTED];

	p->config->demote_drain_ms = 600000;
	ck_assert(pair_demote(p, 0, 1000));
	ck_assert(f->clean);
	ck_assert_uint_eq(f->level_sites, 1u << 1);
	ck_assert_uint_eq(p->site[1].engine->open.marks.durable, f->marks.logged);
	ck_assert(pair_promote(p, 1, 0, false));
	ck_assert_uint_eq(p->site[1].last[FACT_PREPARED].sequence, f->marks.logged);
	p->slow = 0;
	pair_link_all(p, 1);
	ck_assert(pair_run_until(p, 400000, pair_is_level, 1));
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* The line stands: the demote ends, still clean, and names no copy. */
START_TEST(a_drain_has_an_end)
{
	struct pair *p = catching_up((uint64_t)_i + 11100);
	const struct fact *f = &p->site[0].last[FACT_DEMOTED];
	uint64_t since;

	p->config->demote_drain_ms = 300;
	p->site[1].log.stuck = true;
	since = p->now_ns;
	ck_assert(pair_demote(p, 0, 60000));
	ck_assert(f->clean);
	ck_assert_uint_eq(f->level_sites, 0);
	ck_assert_uint_ge(p->now_ns - since, 300 * NS_PER_MS);
	ck_assert_uint_le(p->now_ns - since, 3000 * NS_PER_MS);
	p->site[1].log.stuck = false;
	pair_destroy(p);
}
END_TEST

/* The demote's own time is over long before: nothing spins until the drain has ended. */
START_TEST(a_drain_outlasts_the_time_of_its_demote)
{
	struct pair *p = catching_up((uint64_t)_i + 11150);
	const uint64_t since = p->now_ns;

	p->config->demote_drain_ms = 300;
	p->site[1].log.stuck = true;
	ck_assert(pair_demote(p, 0, 100));
	ck_assert_uint_ge(p->now_ns - since, 300 * NS_PER_MS);
	p->site[1].log.stuck = false;
	pair_destroy(p);
}
END_TEST

/* The link ends in the middle: nothing is waited for that is not linked. */
START_TEST(a_copy_that_is_lost_is_not_drained_to)
{
	struct pair *p = catching_up((uint64_t)_i + 11200);
	const struct order away = { .type = ORDER_UNLINK, .site = 1 };
	const struct fact *f = &p->site[0].last[FACT_DEMOTED];
	const struct order demote = { .type = ORDER_DEMOTE, .id = 7, .wait_ms = 60000 };

	p->config->demote_drain_ms = 3600000;
	p->site[1].log.stuck = true;
	pair_order(p, 0, &demote);
	pair_run(p, 2000);
	ck_assert_uint_eq(p->site[0].fact_count[FACT_DEMOTED], 0);
	pair_order(p, 0, &away);
	ck_assert(pair_wait_fact(p, 0, FACT_DEMOTED, 1, 20000));
	ck_assert(f->clean);
	ck_assert_uint_eq(f->level_sites, 0);
	p->site[1].log.stuck = false;
	pair_destroy(p);
}
END_TEST

static bool demote_for(struct pair *p, uint32_t wait_ms)
{
	const struct order o = {
		.type = ORDER_DEMOTE, .id = 8, .wait_ms = wait_ms, .sites = 1u << 1
	};

	p->client_on = false;
	pair_order(p, 0, &o);
	return pair_wait_fact(p, 0, FACT_DEMOTED, 1, 400000);
}

/* The copy that is to follow hears so, once it knows durably that it has all. */
START_TEST(who_is_to_follow_is_told)
{
	struct pair *p = pair_level((uint64_t)_i + 11300, 2, LOG_BYTES);
	const struct fact *f = &p->site[0].last[FACT_DEMOTED];

	if (_i % 2 == 0)
		pair_load(p, 0, 1000);
	ck_assert(demote_for(p, 60000));
	ck_assert(f->error == 0 && f->clean);
	ck_assert_uint_eq(f->level_sites, 1u << 1);
	ck_assert(pair_wait_fact(p, 1, FACT_HANDED_OVER, 1, 20000));
	pair_crash(p, 1, true);
	pair_start(p, 1);
	ck_assert(mirror_is_clean(p->site[1].engine));
	ck_assert(pair_promote(p, 1, 0, false));
	pair_destroy(p);
}
END_TEST

/* It hangs: nothing ends, though all was durable there before. */
START_TEST(without_who_is_to_follow_production_serves_on)
{
	struct pair *p = pair_level((uint64_t)_i + 11400, 2, LOG_BYTES);
	const struct fact *f = &p->site[0].last[FACT_DEMOTED];
	uint64_t answered;

	pair_load(p, 0, 1000);
	ck_assert(pair_quiesce(p, 100000));
	p->site[1].log.stuck = true;
	ck_assert(demote_for(p, 300));
	ck_assert_int_eq(f->error, -ETIMEDOUT);
	ck_assert(!f->clean && f->text[0] != 0);
	ck_assert_int_eq(p->site[0].engine->state, ENGINE_SERVING);
	ck_assert(!mirror_is_clean(p->site[0].engine));
	p->site[1].log.stuck = false;
	answered = p->answered_count;
	pair_load(p, 0, 3000);
	ck_assert_uint_gt(p->answered_count, answered);
	ck_assert_uint_eq(p->site[1].fact_count[FACT_HANDED_OVER], 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static bool is_read(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.reading.refresh_count > 0;
}

static bool is_not_read(struct pair *p, uint32_t site)
{
	return !is_read(p, site);
}

/* The same in the middle of a refresh: data that was read while production was about to end is
 * not left out of it. */
START_TEST(a_refresh_outlives_a_demote_that_ends_nothing)
{
	struct pair *p = pair_level((uint64_t)_i + 11500, 2, LOG_BYTES);
	const struct order demote = {
		.type = ORDER_DEMOTE, .id = 8, .wait_ms = 20000, .sites = 1u << 1
	};

	pair_load(p, 0, 4000);
	ck_assert(pair_quiesce(p, 100000));
	pair_crash(p, 1, false);
	ck_assert(pair_run_until(p, 200000, is_not_waited, 1));
	ck_assert(pair_run_until(p, 200000, pair_is_home, 0));
	pair_blank(p, 1);
	pair_start(p, 1);
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[0].disk[d].stuck = true;
	pair_link(p, 0, 1);
	ck_assert(pair_run_until(p, 200000, is_read, 0));
	pair_order(p, 0, &demote);
	pair_run(p, 100);
	ck_assert(is_read(p, 0));
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[0].disk[d].stuck = false;
	ck_assert(pair_run_until(p, 20000, is_not_read, 0));
	ck_assert_int_eq(p->site[0].engine->state, ENGINE_DEMOTING);
	ck_assert(pair_wait_fact(p, 0, FACT_DEMOTED, 1, 400000));
	ck_assert_int_eq(p->site[0].last[FACT_DEMOTED].error, -ETIMEDOUT);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_drain");
	Suite *s = suite_create("mirror");
	SRunner *r = srunner_create(s);
	int failed_count;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_copy_that_catches_up_has_all_of_it, 0, SEEDS);
	tcase_add_loop_test(tc, a_drain_has_an_end, 0, 2);
	tcase_add_loop_test(tc, a_drain_outlasts_the_time_of_its_demote, 0, 2);
	tcase_add_loop_test(tc, a_copy_that_is_lost_is_not_drained_to, 0, 2);
	tcase_add_loop_test(tc, who_is_to_follow_is_told, 0, SEEDS);
	tcase_add_loop_test(tc, without_who_is_to_follow_production_serves_on, 0, 2);
	tcase_add_loop_test(tc, a_refresh_outlives_a_demote_that_ends_nothing, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed_count = srunner_ntests_failed(r);
	srunner_free(r);
	return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
