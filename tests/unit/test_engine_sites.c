/* test_engine_sites.c - three sites, and production passing between them while copies
 * die, fall behind and come back: no answer and no byte that was read is ever lost
 * (G1, G4, D5), and in the end all hold the same (D8, W2). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 8
#endif

struct play {
	struct pair *p;
	uint32_t production;
	uint32_t down; /* a copy that is away; or PAIR_SITES_MAX */
};

static uint32_t up_sites(struct pair *p)
{
	uint32_t up = 0;

	for (uint32_t i = 0; i < p->site_count; i++)
		if (p->site[i].up && !p->cut[i])
			up |= 1u << i;
	return up;
}

static uint32_t any_of(struct pair *p, uint32_t sites)
{
	uint32_t i;

	do
		i = (uint32_t)pair_random(p, p->site_count);
	while ((sites >> i & 1) == 0);
	return i;
}

/* A copy goes away for a while. After a power loss it is given the time to be level
 * again, since its unflushed records are gone. */
static void lose_copy(struct play *y, bool power)
{
	struct pair *p = y->p;
	const uint32_t copy = any_of(p, 7u & ~(1u << y->production));

	if (y->down < PAIR_SITES_MAX) {
		pair_start(p, y->down);
		y->down = PAIR_SITES_MAX;
		return;
	}
	pair_crash(p, copy, power);
	y->down = copy;
	if (!power && pair_random(p, 2) == 0)
		return;
	pair_run(p, (uint32_t)pair_random(p, 20000));
	pair_start(p, copy);
	y->down = PAIR_SITES_MAX;
	if (power)
		p->slow = 0;
	if (power)
		ck_assert(pair_run_until(p, 1600000, pair_is_level, y->production));
}

static void cut_copy(struct play *y)
{
	const uint32_t copy = any_of(y->p, 7u & ~(1u << y->production));

	y->p->cut[copy] = true;
	pair_run(y->p, (uint32_t)pair_random(y->p, 4000));
	y->p->cut[copy] = false;
}

/* Production dies. It comes back itself, or one of the current copies takes over. */
static void lose_production(struct play *y, bool power)
{
	struct pair *p = y->p;
	const uint32_t old = y->production;
	uint32_t current = p->site[old].waited & ~(1u << old) & up_sites(p);

	p->client_on = false;
	pair_crash(p, old, power);
	if (current == 0) {
		p->flushed_only = power;
		pair_start(p, old);
	} else if (pair_random(p, 3) == 0) {
		pair_start(p, old);
	} else {
		y->production = any_of(p, current);
		current &= ~(1u << y->production);
	}
	ck_assert(pair_promote(p, y->production, current, false));
	ck_assert_uint_eq(p->site[y->production].last[FACT_PREPARED].reached_sites,
			  current);
	if (!p->site[old].up)
		pair_start(p, old);
	pair_link_all(p, y->production);
	p->client_site = y->production;
	p->client_on = true;
}

static void play_round(struct play *y)
{
	struct pair *p = y->p;

	pair_load(p, y->production, 500 + (uint32_t)pair_random(p, 3000));
	switch (pair_random(p, 7)) {
	case 0:
		lose_copy(y, false);
		break;
	case 1:
		lose_copy(y, true);
		break;
	case 2:
		cut_copy(y);
		break;
	case 3:
		p->slow ^= 1u << pair_random(p, 3);
		break;
	default:
		lose_production(y, pair_random(p, 2) == 0);
	}
}

static void play(uint64_t seed, uint64_t log_bytes, uint64_t span_bytes, int rounds)
{
	struct play y = { .p = pair_level(seed, 3, log_bytes), .down = PAIR_SITES_MAX };

	y.p->span_bytes = span_bytes;
	for (int round = 0; round < rounds; round++)
		play_round(&y);
	if (y.down < PAIR_SITES_MAX)
		pair_start(y.p, y.down);
	y.p->slow = 0;
	pair_settle(y.p, y.production);
	pair_destroy(y.p);
}

START_TEST(three_sites_lose_nothing)
{
	play((uint64_t)_i + 5000, 4u << 20, 64u * 1024, 10);
}
END_TEST

/* So little log that the maps take over whenever a copy is away for long. */
START_TEST(three_sites_with_small_logs)
{
	play((uint64_t)_i + 6000, 2u << 20, 256u * 1024, 10);
}
END_TEST

/* D5: a copy that takes over has records at home that the other one has not logged.
 * Nobody reads them before it has: they are lost when the other one takes over. */
START_TEST(recovered_records_are_not_read_too_early)
{
	struct pair *p = pair_level((uint64_t)_i + 6500, 3, 4u << 20);

	pair_load(p, 0, 2000);
	p->slow = 1u << 2;
	pair_run(p, 200 + (uint32_t)pair_random(p, 300));
	p->client_on = false;
	pair_crash(p, 0, false);
	ck_assert(pair_promote(p, 1, 1u << 2, false));
	p->cut[2] = true;
	pair_load(p, 1, 40);
	p->client_on = false;
	ck_assert((p->site[1].waited >> 2 & 1) != 0);
	pair_crash(p, 1, false);
	p->cut[2] = false;
	p->slow = 0;
	ck_assert(pair_promote(p, 2, 0, false));
	pair_start(p, 0);
	pair_start(p, 1);
	pair_link_all(p, 2);
	pair_settle(p, 2);
	pair_destroy(p);
}
END_TEST

static bool is_mapped(struct pair *p, uint32_t site)
{
	return p->site[0].engine->open.sb.sites[site].map_position > 0;
}

static bool is_waited(struct pair *p, uint32_t site)
{
	return (p->site[0].waited >> site & 1) != 0;
}

/* G5: maps are taking over for one copy as another one goes away. */
START_TEST(maps_take_over_for_one_after_the_other)
{
	struct pair *p = pair_level((uint64_t)_i + 6600, 3, 2u << 20);

	p->span_bytes = 256u * 1024;
	p->client_on = true;
	pair_crash(p, 2, false);
	ck_assert(pair_run_until(p, 400000, is_mapped, 2));
	for (int round = 0; round < 8; round++) {
		pair_run(p, (uint32_t)pair_random(p, 1000));
		p->cut[1] = true;
		ck_assert(pair_run_until(p, 400000, is_mapped, 1));
		pair_run(p, 1000);
		p->cut[1] = false;
		ck_assert(pair_run_until(p, 800000, is_waited, 1));
	}
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 1));
	pair_expect_equal(p, 0, 1);
	pair_start(p, 2);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static bool is_ready_told(struct pair *p, uint32_t site)
{
	return p->site[0].fact_count[FACT_COPY_READY] > 0 &&
	       p->site[0].last[FACT_COPY_READY].site == site;
}

/* D3: the generation before has answered the records recovered here, though this one has
 * not yet: a copy without them may not be called current. */
START_TEST(a_copy_without_what_was_recovered_is_not_current)
{
	struct pair *p = pair_level((uint64_t)_i + 6700, 3, 4u << 20);
	uint64_t cut;

	p->cut[2] = true;
	p->client_on = true;
	while (is_waited(p, 2))
		pair_run(p, 100);
	pair_run(p, 200 + (uint32_t)pair_random(p, 300));
	p->client_on = false;
	pair_crash(p, 0, false);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 1u << 1, false));
	cut = p->site[0].last[FACT_PREPARED].sequence;
	p->cut[1] = true;
	p->cut[2] = false;
	p->site[0].fact_count[FACT_COPY_READY] = 0;
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 400000, is_ready_told, 2));
	ck_assert_uint_ge(p->site[2].engine->open.marks.durable, p->acknowledged);
	ck_assert_uint_gt(p->site[0].last[FACT_COPY_READY].sequence, cut);
	p->cut[1] = false;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static bool is_waited_by_1(struct pair *p, uint32_t site)
{
	return (p->site[1].waited >> site & 1) != 0;
}

/* A tail is undone in the middle of one log write. The records behind the cut in that very
 * descriptor are no part of any history: a third site, away since before, gets the records
 * that replaced them (G2). */
START_TEST(a_tail_cut_within_a_descriptor_is_never_sent)
{
	struct pair *p = pair_level((uint64_t)_i + 7000, 3, 8u << 20);

	p->span_bytes = PAIR_DISK_BYTES; /* so that later writes do not hide an error */
	pair_load(p, 0, 1000);
	p->cut[2] = true;
	pair_run(p, 300);
	p->slow = 1u << 1; /* so production's log is ahead */
	pair_run(p, 300 + (uint32_t)pair_random(p, 200));
	p->client_on = false;
	pair_crash(p, 0, false);
	ck_assert(pair_promote(p, 1, 0, false));
	p->slow = 0;
	pair_load(p, 1, 500);
	pair_start(p, 0);
	pair_link(p, 1, 0);
	ck_assert(pair_run_until(p, 400000, is_waited_by_1, 0));
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_demote(p, 1, 1000));
	ck_assert(pair_promote(p, 0, 1u << 1, false));
	p->cut[2] = false;
	pair_link_all(p, 0);
	pair_load(p, 0, 500);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A promotion rolls forward from two copies. The second dies while the first one's records
 * still wait for the log: they stay (D5). */
START_TEST(a_source_that_dies_takes_nothing_of_another)
{
	struct pair *p = pair_level((uint64_t)_i + 7200, 3, 8u << 20);
	uint64_t held;

	ck_assert(pair_demote(p, 0, 1000));
	ck_assert(pair_promote(p, 2, 3, false));
	pair_link_all(p, 2);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 2));
	p->slow = 1u << 0;
	pair_load(p, 2, 3000);
	p->client_on = false;
	pair_crash(p, 2, false);
	pair_run(p, 2000);
	p->slow = 0;
	held = p->site[1].engine->open.marks.last;
	p->site[0].log.slow = 50;
	ck_assert(pair_promote(p, 0, 1u << 1 | 1u << 2, false));
	ck_assert_uint_eq(p->site[0].last[FACT_PREPARED].reached_sites, 1u << 1);
	ck_assert_uint_ge(p->site[0].last[FACT_PREPARED].sequence, held);
	p->site[0].log.slow = 0;
	pair_start(p, 2);
	pair_link_all(p, 0);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* The lag of an absent copy only grows, also once its records have left memory, and once
 * the map has taken over. */
START_TEST(the_lag_of_an_absent_copy_grows)
{
	static struct mirror_status before, now;
	struct pair *p = pair_level((uint64_t)_i + 4400, 2, 2u << 20);
	const uint64_t home = p->site[0].engine->open.marks.home_flushed;

	p->client_site = 0;
	p->client_on = true;
	p->cut[1] = true;
	memset(&before, 0, sizeof before);
	for (int round = 0; round < 40; round++) {
		pair_run(p, 500);
		if (round == 20) /* a wall clock that is set changes no lag */
			p->wall_ahead_ns = 3600ull * 1000 * NS_PER_MS;
		mirror_status_fill(p->site[0].engine, &now);
		ck_assert_uint_ge(now.sites[1].lag_ms, before.sites[1].lag_ms);
		ck_assert_uint_le(now.sites[1].lag_ms, p->now_ns / NS_PER_MS);
		ck_assert_uint_ge(now.sites[1].lag_groups, before.sites[1].lag_groups);
		ck_assert_uint_ge(now.sites[1].lag_records, before.sites[1].lag_records);
		ck_assert_uint_le(now.sites[1].lag_bytes, 8ull << 20);
		before = now;
	}
	ck_assert_uint_gt(p->site[0].engine->open.marks.home_flushed,
			  home + now.sites[1].lag_groups);
	ck_assert_uint_gt(now.sites[1].map_extents, 0);
	p->cut[1] = false;
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	mirror_status_fill(p->site[0].engine, &now);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static bool is_home(struct pair *p, uint32_t site)
{
	const struct engine_marks *marks = &p->site[site].engine->open.marks;

	return marks->last == p->site[0].engine->open.marks.last &&
	       marks->home_flushed == marks->last;
}

/* P4-95: the figures of each disk follow what was sent, and what waits. */
START_TEST(each_disk_has_its_figures)
{
	static struct mirror_status now, away;
	struct pair *p = pair_level((uint64_t)_i + 4600, 2, 2u << 20);
	uint64_t records = 0, waiting = 0;

	pair_load(p, 0, 1000);
	p->client_on = false;
	ck_assert(pair_quiesce(p, 100000));
	mirror_status_fill(p->site[0].engine, &now);
	if (!is_home(p, 0))
		ck_assert_uint_gt(now.log_oldest_ms, 0);
	ck_assert(pair_run_until(p, 800000, is_home, 0));
	mirror_status_fill(p->site[0].engine, &now);
	ck_assert_uint_eq(now.log_oldest_ms, 0);
	for (uint32_t d = 0; d < PAIR_DISKS; d++) {
		const struct mirror_status_disk *f = &now.disk[d];

		ck_assert_uint_eq(f->waiting_records, 0);
		ck_assert_uint_gt(f->sent_records, 0);
		ck_assert_uint_gt(f->sent_data_bytes, 0);
		ck_assert_uint_gt(f->sent_bytes,
				  f->sent_data_bytes +
					  f->sent_records * MIRROR_HEADER_BYTES);
		records += f->sent_records;
	}
	ck_assert_uint_le(records, now.records_sent);

	p->cut[1] = true;
	p->client_on = true;
	pair_run(p, 300);
	mirror_status_fill(p->site[0].engine, &away);
	for (uint32_t d = 0; d < PAIR_DISKS; d++) {
		ck_assert_uint_le(away.disk[d].waiting_records,
				  p->site[0].engine->open.marks.last - now.sequence);
		waiting += away.disk[d].waiting_records;
	}
	ck_assert_uint_gt(waiting, 0);
	ck_assert_uint_gt(away.log_oldest_ms, 0);
	p->cut[1] = false;
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	mirror_status_fill(p->site[0].engine, &now);
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		ck_assert_uint_eq(now.disk[d].waiting_records, 0);
	pair_destroy(p);
}
END_TEST

/* A site is rolled forward from that damage has hit in a record which was at home there: the
 * promotion goes on without it, and it stays as it is. */
START_TEST(a_source_with_damage_gives_what_it_can)
{
	struct pair *p = pair_level((uint64_t)_i + 5900, 3, 8u << 20);
	struct mirror_engine *m = p->site[2].engine;
	uint64_t had, at;

	pair_load(p, 0, 500);
	pair_crash(p, 1, false);
	had = m->open.marks.last;
	pair_load(p, 0, 1000);
	ck_assert(pair_quiesce(p, 100000));
	ck_assert(pair_run_until(p, 200000, is_home, 2));
	ck_assert_uint_gt(m->open.marks.last, had + 2);
	at = m->open.marks.last;
	while (m->memory.records[at % RECORDS_MAX].header.type != MIRROR_RECORD_WRITE)
		at--;
	ck_assert_uint_gt(at, had);
	p->bare_check_every = 0;
	p->site[2].log.now[m->memory.records[at % RECORDS_MAX].log_position] ^= 1;
	p->client_on = false;
	pair_crash(p, 0, false);
	pair_start(p, 1);
	ck_assert(pair_promote(p, 1, 1u << 2, true));
	ck_assert_uint_eq(p->site[1].last[FACT_PREPARED].reached_sites, 0);
	ck_assert_uint_lt(p->site[1].last[FACT_PREPARED].sequence, at);
	ck_assert(!m->open.failed);
	pair_destroy(p);
}
END_TEST

/* The history does not list the generation of its tail any more, and may have cut it. By force
 * it is promoted as it is: records of others would follow on the wrong image. */
START_TEST(unknown_history_takes_no_records)
{
	struct pair *p = pair_level((uint64_t)_i + 5950, 2, 8u << 20);
	uint64_t last;

	pair_load(p, 0, 200);
	pair_crash(p, 1, false);
	for (int i = 0; i < HISTORY_COUNT_MAX + 4; i++) {
		p->client_on = false;
		pair_depose(p, 0);
		ck_assert(pair_promote(p, 0, 0, false));
	}
	pair_load(p, 0, 20);
	pair_depose(p, 0);
	pair_start(p, 1);
	p->bare_check_every = 0;
	last = p->site[1].engine->open.marks.last;
	ck_assert_uint_gt(p->site[0].engine->open.marks.last, last);
	ck_assert(pair_promote(p, 1, 1u << 0, true));
	ck_assert_uint_eq(p->site[1].last[FACT_PREPARED].sequence, last);
	ck_assert_uint_eq(p->site[1].last[FACT_PREPARED].reached_sites, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_sites");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, three_sites_lose_nothing, 0, SEEDS);
	tcase_add_loop_test(tc, a_source_that_dies_takes_nothing_of_another, 0, SEEDS);
	tcase_add_loop_test(tc, the_lag_of_an_absent_copy_grows, 0, SEEDS);
	tcase_add_loop_test(tc, each_disk_has_its_figures, 0, SEEDS);
	tcase_add_loop_test(tc, a_tail_cut_within_a_descriptor_is_never_sent, 0, 8);
	tcase_add_loop_test(tc, three_sites_with_small_logs, 0, SEEDS);
	tcase_add_loop_test(tc, recovered_records_are_not_read_too_early, 0, SEEDS);
	tcase_add_loop_test(tc, maps_take_over_for_one_after_the_other, 0, SEEDS / 2);
	tcase_add_loop_test(tc, a_copy_without_what_was_recovered_is_not_current, 0,
			    SEEDS);
	tcase_add_loop_test(tc, a_source_with_damage_gives_what_it_can, 0, SEEDS);
	tcase_add_loop_test(tc, unknown_history_takes_no_records, 0, SEEDS);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
