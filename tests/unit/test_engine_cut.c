/* test_engine_cut.c - a force of a site that was away for long cuts into what the log of the
 * old production has given up: maps tell what to send, or all of it is sent (D8, W2). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 8
#endif

static bool is_mapped(struct pair *p, uint32_t site)
{
	return p->site[0].engine->open.sb.sites[site].map_position > 0;
}

static bool waits_for_0(struct pair *p, uint32_t site)
{
	return (p->site[site].waited & 1) != 0;
}

static bool is_out(struct pair *p, uint32_t site)
{
	return (p->site[0].waited >> site & 1) == 0 && !p->site[0].wait_due;
}

/* Site 0 writes to 64 KiB of each disk until so much of its log is in use. */
static void fill_log(struct pair *p, uint64_t first_bytes, uint32_t percent)
{
	p->first_bytes = first_bytes;
	p->span_bytes = first_bytes + 64u * 1024;
	while (mirror_ring_used_percent(p->site[0].engine->open.ring) < percent)
		pair_load(p, 0, 10);
	ck_assert(pair_quiesce(p, 400000));
}

static bool is_cut(struct pair *p, uint32_t site)
{
	return mirror_map_count(p->site[site].engine->open.map, site) > 0;
}

/* `site` is forced, site 0 follows it and is sent all or a part, and then both hold the
 * same. */
static void undo(struct pair *p, uint32_t site, bool all)
{
	const struct mirror_map *map;
	const struct order discard = { .type = ORDER_MARK,
				       .id = 9,
				       .discard = 1u << site };

	p->cut[site] = false;
	ck_assert(pair_promote(p, site, 0, true));
	p->first_bytes = 0;
	p->span_bytes = 64u * 1024;
	pair_load(p, site, 50);
	ck_assert(pair_quiesce(p, 400000));
	pair_start(p, 0);
	pair_link(p, site, 0);
	ck_assert(pair_wait_fact(p, 0, FACT_UNDO, 1, 100000));
	pair_order(p, 0, &discard);
	ck_assert(pair_run_until(p, 100000, is_cut, 0));
	map = p->site[0].engine->open.map;
	ck_assert_int_eq(mirror_map_count(map, 0) == mirror_map_extent_count(map), all);
	ck_assert(pair_run_until(p, 800000, waits_for_0, site));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 400000, pair_is_home, site));
	p->span_bytes = PAIR_DISK_BYTES;
	pair_expect_equal(p, site, 0);
}

/* Three sites, of which 1 and 2 are away. */
static struct pair *pair_without_copies(uint64_t seed, uint64_t log_bytes)
{
	struct pair *p = pair_level(seed, 3, log_bytes);

	p->bare_check_every = 0;
	p->cut[1] = p->cut[2] = true;
	p->span_bytes = 64u * 1024;
	pair_load(p, 0, 10);
	ck_assert(pair_run_until(p, 400000, is_out, 1));
	ck_assert(pair_run_until(p, 400000, is_out, 2));
	return p;
}

/* Site 1 has been away and has come back while no client writes, so no descriptor says that it
 * has all; then production restarts. What its log gave up for that is no longer in the map for
 * site 1. A force of a site that was away even longer cuts into it: all of it is sent (D8). */
START_TEST(a_proof_outlives_a_restart)
{
	struct pair *p = pair_without_copies((uint64_t)_i + 7400, 2u << 20);
	const struct order bypass = {
		.type = ORDER_WAIT, .id = 8, .bypass = 1u << 2, .promise = p->promise
	};
	uint64_t given_up;

	fill_log(p, PAIR_DISK_BYTES / 2, 20);
	given_up = p->site[0].engine->open.marks.last;
	fill_log(p, 0, 45);
	pair_order(p, 0, &bypass);
	ck_assert(pair_run_until(p, 400000, is_mapped, 2));
	pair_run(p, 1000);
	p->cut[1] = false;
	while (p->site[0].engine->open.sb.tail_sequence <= given_up ||
	       p->site[0].engine->open.writer.busy)
		pair_run(p, 1);
	pair_crash(p, 1, false);
	pair_crash(p, 0, false);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 0, false));
	p->first_bytes = 0;
	p->span_bytes = 64u * 1024;
	p->client_on = true;
	ck_assert(pair_run_until(p, 400000, is_mapped, 1));
	ck_assert(pair_quiesce(p, 400000));
	pair_crash(p, 0, false);
	undo(p, 2, false);
	pair_destroy(p);
}
END_TEST

static bool is_freed_behind(struct pair *p, uint32_t sequence)
{
	const struct mirror_engine *m = p->site[0].engine;

	return m->open.sb.tail_sequence > sequence && !m->open.writer.busy;
}

static bool is_logged_by_1(struct pair *p, uint32_t sequence)
{
	return p->site[1].engine->open.marks.logged > sequence;
}

static bool is_proven_of_1(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.peer[1].proven_durable >=
	       p->site[1].engine->open.marks.durable;
}

static bool is_all_dirty(struct pair *p, uint32_t site)
{
	return p->site[0].engine->open.sb.sites[site].map_state == MIRROR_MAP_ALL_DIRTY;
}

/* The first record that site 2 lacks is damaged for a while: no map tells what it lacks. */
static void damage_for_2(struct pair *p)
{
	const struct mirror_engine *m = p->site[0].engine;
	uint64_t sequence = p->site[2].engine->open.marks.last + 1;
	struct mirror_ring_entry entry;
	uint8_t *data = p->site[0].log.now + MIRROR_BLOCK_BYTES;

	ck_assert_int_eq(mirror_ring_find(m->open.ring, sequence, &entry), 0);
	data += mirror_ring_device_offset(m->open.ring, entry.position);
	*data ^= 1;
	p->cut[2] = false;
	ck_assert(pair_run_until(p, 100000, is_all_dirty, 2));
	p->cut[2] = true;
	*data ^= 1;
}

static bool is_stored(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	return m->open.bypass.step == BYPASS_NONE &&
	       m->open.writer.written == m->open.writer.wanted;
}

static void bypass(struct pair *p, uint32_t site)
{
	const struct order o = {
		.type = ORDER_WAIT, .id = 8, .bypass = 1u << site, .promise = p->promise
	};

	pair_order(p, 0, &o);
	ck_assert(pair_run_until(p, 400000, is_mapped, site));
	ck_assert(pair_run_until(p, 400000, is_stored, 0));
}

/* Site 1 comes back while no client writes, and gets a part of what it missed. */
static void return_in_part(struct pair *p, uint64_t sequence)
{
	p->slow = 1u << 1;
	p->cut[1] = false;
	ck_assert(pair_run_until(p, 400000, is_logged_by_1, (uint32_t)sequence));
	pair_crash(p, 1, false);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 400000, is_proven_of_1, 0));
	p->cut[1] = true;
	p->slow = 0;
}

/* Site 1 has had a part of what it missed, and the log gave that up; then the map takes over
 * for what it still lacks. No descriptor tells that part when production dies: the map begins
 * later than it seems. `damaged`: the map of site 2, which lacks all, tells nothing. */
static void cut_below_a_map(uint64_t seed, bool damaged)
{
	struct pair *p = pair_without_copies(seed, 4u << 20);
	const struct mirror_engine *m = p->site[0].engine;
	uint64_t given_up, home;

	fill_log(p, PAIR_DISK_BYTES / 2, 15);
	given_up = m->open.marks.last;
	fill_log(p, 0, 45);
	ck_assert(pair_run_until(p, 400000, pair_is_home, 0));
	home = m->open.marks.home_flushed;
	p->site[0].disk[0].no_flush = p->site[0].disk[1].no_flush = true;
	fill_log(p, 0, 50);
	if (damaged)
		damage_for_2(p);
	else
		bypass(p, 2);
	return_in_part(p, given_up + 2ull * MIRROR_DESCRIPTOR_RECORDS_MAX);
	ck_assert_uint_lt(m->open.peer[1].proven_durable, home);
	ck_assert(pair_run_until(p, 400000, is_freed_behind, (uint32_t)given_up));
	pair_crash(p, 1, false);
	bypass(p, 1);
	pair_crash(p, 0, false);
	p->site[0].disk[0].no_flush = p->site[0].disk[1].no_flush = false;
	undo(p, 2, damaged);
	pair_destroy(p);
}

START_TEST(a_map_may_begin_later_than_a_proof_says)
{
	cut_below_a_map((uint64_t)_i + 7700, false);
}
END_TEST

START_TEST(a_map_that_does_not_tell_leaves_all_unknown)
{
	cut_below_a_map((uint64_t)_i + 7800, true);
}
END_TEST

/* The log has given up more than the map of a site stands for, by whatever mistake: that site is
 * sent all, not what the map has. */
START_TEST(a_map_that_stands_for_less_sends_all)
{
	struct pair *p = pair_level((uint64_t)_i + 7900, 2, 8u << 20);
	struct mirror_engine *m = p->site[0].engine;

	pair_crash(p, 1, false);
	p->span_bytes = 64u * 1024;
	while (!is_mapped(p, 1))
		pair_load(p, 0, 10);
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_run_until(p, 400000, is_stored, 0));
	m->open.sb.sites[1].map_position = 1;
	ck_assert_uint_lt(m->open.peer[1].proven_durable + 1,
			  mirror_ring_oldest_sequence(m->open.ring));
	pair_start(p, 1);
	pair_link(p, 0, 1);
	ck_assert(pair_run_until(p, 100000, is_all_dirty, 1));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ---- a site that has lost what it had ------------------------------------------------- */

/* The devices of site 1, its process being down: kept, or put back as they were kept. */
static void each_device(struct pair *p, uint8_t *kept[1 + PAIR_DISKS], bool back)
{
	for (uint32_t i = 0; i <= PAIR_DISKS; i++) {
		struct pair_device *d = i == 0 ? &p->site[1].log :
						 &p->site[1].disk[i - 1];

		if (!back) {
			kept[i] = malloc(d->bytes);
			ck_assert_ptr_nonnull(kept[i]);
			memcpy(kept[i], d->now, d->bytes);
			continue;
		}
		memcpy(d->now, kept[i], d->bytes);
		memcpy(d->stable, kept[i], d->bytes);
		free(kept[i]);
	}
}

static bool waits_for_1(struct pair *p, uint32_t site)
{
	return (p->site[site].waited >> 1 & 1) != 0;
}

/* Site 1 was proven to have all, so the log of site 0 gave that up, in no map; `_i` odd: then a
 * map took over for what followed. Its log and disks are put back to what they were before, and
 * it is forced: all is sent. */
START_TEST(a_site_that_lost_what_it_was_proven_to_have_sends_all)
{
	struct pair *p = pair_level((uint64_t)_i + 8000, 2, 4u << 20);
	uint8_t *kept[1 + PAIR_DISKS];
	uint64_t last;

	p->bare_check_every = 0;
	p->span_bytes = 64u * 1024;
	pair_load(p, 0, 50);
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 1));
	last = p->site[0].engine->open.marks.last;
	pair_crash(p, 1, false);
	each_device(p, kept, false);
	pair_start(p, 1);
	pair_link(p, 0, 1);
	ck_assert(pair_run_until(p, 400000, waits_for_1, 0));
	while (mirror_ring_oldest_sequence(p->site[0].engine->open.ring) < last + 50)
		pair_load(p, 0, 10);
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 0));
	pair_crash(p, 1, false);
	last = p->site[0].engine->open.peer[1].proven_durable + 1;
	while (_i % 2 != 0 && !is_freed_behind(p, (uint32_t)last))
		pair_load(p, 0, 10);
	pair_crash(p, 0, false);
	each_device(p, kept, true);
	pair_start(p, 1);
	undo(p, 1, true);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_cut");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, a_proof_outlives_a_restart, 0, SEEDS);
	tcase_add_loop_test(tc, a_map_may_begin_later_than_a_proof_says, 0, SEEDS);
	tcase_add_loop_test(tc, a_map_that_does_not_tell_leaves_all_unknown, 0, SEEDS);
	tcase_add_loop_test(tc, a_map_that_stands_for_less_sends_all, 0, SEEDS);
	suite_add_tcase(s, tc);
	tc = tcase_create("lost");
	tcase_add_loop_test(tc, a_site_that_lost_what_it_was_proven_to_have_sends_all, 0,
			    SEEDS);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
