/* test_engine_refresh.c - copies that were away for too long: the maps take over,
 * across restarts of production, and a refresh brings the copy back; cut short at any
 * moment it leaves the copy where it was (G5, G6, W6). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/state.h"
#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 6
#endif

/* Allow the image to be inconsistent, if the refresh asked for that. */
static void allow(struct pair *p, uint32_t production, uint32_t copy)
{
	const struct order o = { .type = ORDER_REFRESH,
				 .sites = 1u << copy,
				 .inconsistent = true };

	pair_order(p, production, &o);
}

static bool is_refused_or_level(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.peer[1].refresh.phase == REFRESH_REFUSED ||
	       pair_is_level(p, site);
}

static void come_back(struct pair *p, uint32_t production, uint32_t copy)
{
	ck_assert(pair_run_until(p, 1600000, is_refused_or_level, production));
	if (!pair_is_level(p, production)) {
		pair_expect_image(p, copy);
		allow(p, production, copy);
	}
	ck_assert(pair_run_until(p, 1600000, pair_is_level, production));
}

static bool is_made_level(struct pair *p, uint32_t site)
{
	return pair_is_level(p, site) && p->site[1].up &&
	       p->site[1].engine->state == ENGINE_IDLE &&
	       !p->site[1].engine->open.sb.blank;
}

/* The log of a copy that is waited for is made anew, and no log holds a refresh: that
 * must not wait for answers, which would wait for the copy, which has nothing to confirm
 * before its refresh has ended. */
START_TEST(waited_copy_is_made_anew)
{
	struct pair *p = pair_level((uint64_t)_i + 8000, 2, 2u << 20);

	p->alone = true;
	p->span_bytes = PAIR_DISK_BYTES;
	pair_load(p, 0, 30000);
	pair_crash(p, 1, false);
	pair_blank(p, 1);
	pair_start(p, 1);
	pair_link(p, 0, 1);
	ck_assert(pair_run_until(p, 400000, is_made_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A byte of a record that a copy misses flips in production's log. That is at home there,
 * so the log is opened, and the copy is refreshed in full: no damage is sent, and no site
 * is given up for it. */
START_TEST(damage_in_what_only_a_copy_misses)
{
	struct pair *p = pair_level((uint64_t)_i + 9000, 2, 32u << 20);
	const struct mirror_engine *m = p->site[0].engine;
	struct mirror_ring_entry entry = { 0 };
	uint64_t at, sequence;

	pair_crash(p, 1, false);
	sequence = m->open.marks.last + 1;
	pair_load(p, 0, 6000);
	p->client_on = false;
	ck_assert(pair_run_until(p, 200000, pair_is_home, 0));
	ck_assert_uint_gt(m->open.sb.home.sequence, sequence + 20);
	do
		ck_assert_int_eq(mirror_ring_find(m->open.ring, sequence++, &entry), 0);
	while (entry.count == 0 || entry.block_count < 2);
	at = mirror_ring_device_offset(m->open.ring, entry.position) + MIRROR_BLOCK_BYTES;
	pair_crash(p, 0, false);
	p->site[0].log.now[at] ^= 1;
	p->site[0].log.stable[at] ^= 1;
	pair_start(p, 1);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 0, false));
	ck_assert_uint_gt(p->site[0].engine->memory.scan->result.skipped_bytes, 0);
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	ck_assert_uint_eq(p->site[0].fact_count[FACT_DEVICE_FAILED], 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static void restart_production(struct pair *p, bool power)
{
	p->client_on = false;
	pair_crash(p, 0, power);
	p->flushed_only = power; /* no other site is asked */
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link_all(p, 0);
	p->client_on = true;
}

/* The order is answered, with the true state. */
static void expect_answer(struct pair *p, bool inconsistent, int32_t error,
			  const char *words)
{
	const struct order o = { .type = ORDER_REFRESH,
				 .id = ++p->ballot,
				 .sites = 1u << 1,
				 .inconsistent = inconsistent };
	const struct fact *f = &p->site[0].last[FACT_REFRESH];

	pair_order(p, 0, &o);
	ck_assert_uint_eq(f->order_id, o.id);
	ck_assert_int_eq(f->error, error);
	ck_assert_msg(strstr(f->text, words) != NULL, "%s", f->text);
}

static bool map_took_over(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.sb.sites[1].map_position > 0;
}

static void away(struct pair *p, uint32_t more_steps)
{
	pair_crash(p, 1, pair_random(p, 2) == 0);
	p->client_on = true;
	ck_assert(pair_run_until(p, 400000, map_took_over, 0));
	pair_run(p, more_steps);
}

/* The maps and the extents that they name survive production's restarts, of process and of
 * power. A log of 2 MiB refuses a refresh much larger than itself. */
START_TEST(maps_take_over_and_survive_production)
{
	struct pair *p = pair_level((uint64_t)_i + 1000, 2, 2u << 20);

	p->span_bytes = _i % 2 == 0 ? 256u * 1024 : PAIR_DISK_BYTES;
	pair_load(p, 0, 2000);
	away(p, 3000);
	for (int round = 0; round < 4; round++) {
		restart_production(p, round % 2 == 1);
		pair_run(p, 4000);
	}
	pair_start(p, 1);
	pair_expect_image(p, 1);
	come_back(p, 0, 1);
	pair_run(p, 3000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A refresh command is answered by its outcome; consent that came too early does not count
 * for a later refresh. */
START_TEST(a_command_is_answered_by_the_state)
{
	struct pair *p = pair_level(1500, 2, 2u << 20);
	struct mirror_status status;

	p->span_bytes = PAIR_DISK_BYTES;
	pair_load(p, 0, 2000);
	ck_assert(pair_run_until(p, 1600000, pair_is_level, 0));
	expect_answer(p, true, -EALREADY, "every record reaches it");
	away(p, 3000);
	expect_answer(p, true, -EALREADY, "its link is down");
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 1600000, is_refused_or_level, 0));
	ck_assert(!pair_is_level(p, 0));
	mirror_status_fill(p->site[0].engine, &status);
	ck_assert(status.sites[1].refresh_refused);
	ck_assert_ptr_nonnull(strstr(status.sites[1].link_text,
				     "`hamirror refresh pair s1 --allow-inconsistent`"));
	/* ... and the copy knows that it is behind, and why it stays so */
	mirror_status_fill(p->site[1].engine, &status);
	ck_assert_int_eq(status.data, DATA_OUTDATED);
	ck_assert_ptr_nonnull(strstr(status.data_text, "its writelog needs"));
	expect_answer(p, true, 0, "tried again");
	expect_answer(p, false, 0, "is being refreshed");
	ck_assert(pair_run_until(p, 1600000, pair_is_level, 0));
	pair_destroy(p);
}
END_TEST

static bool is_refreshing(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.peer[1].refresh.phase == REFRESH_COPYING ||
	       p->site[site].engine->open.peer[1].refresh.phase == REFRESH_ENDING;
}

static void cut_line(struct pair *p, uint32_t site)
{
	p->cut[site] = true;
	pair_run(p, 200 + (uint32_t)pair_random(p, 2000));
	p->cut[site] = false;
}

static void restart_copy(struct pair *p, bool power)
{
	pair_crash(p, 1, power);
	pair_run(p, (uint32_t)pair_random(p, 500));
	pair_start(p, 1);
}

/* Cut short by the line, by either process and by power: each time the copy has its old
 * image, and in the end it is level. */
START_TEST(refresh_cut_short_leaves_the_image)
{
	struct pair *p = pair_level((uint64_t)_i + 2000, 2, 4u << 20);

	p->span_bytes = 256u * 1024;
	pair_load(p, 0, 2000);
	for (int round = 0; round < 6; round++) {
		away(p, 500);
		pair_start(p, 1);
		ck_assert(pair_run_until(p, 400000, is_refreshing, 0));
		pair_run(p, (uint32_t)pair_random(p, 3000));
		pair_expect_image(p, 1);
		switch ((round + _i) % 4) {
		case 0:
			cut_line(p, 1);
			break;
		case 1:
			restart_copy(p, pair_random(p, 2) == 0);
			break;
		case 2:
			restart_production(p, pair_random(p, 2) == 0);
			break;
		default:
			cut_line(p, 0);
			restart_copy(p, true);
		}
		pair_expect_image(p, 1);
		pair_run(p, 3000);
		pair_expect_image(p, 1);
		come_back(p, 0, 1);
	}
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Production dies in mid-refresh and the operator forces the copy: it serves its last
 * consistent image. The old production is undone and refreshed when it returns and the
 * operator gives its own records up. */
START_TEST(forced_in_mid_refresh)
{
	const struct order discard = { .type = ORDER_MARK, .id = 9, .discard = 1u << 1 };
	struct pair *p = pair_level((uint64_t)_i + 3000, 2, 4u << 20);

	p->span_bytes = 256u * 1024;
	pair_load(p, 0, 2000);
	away(p, 500);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 400000, is_refreshing, 0));
	pair_run(p, (uint32_t)pair_random(p, 2000));
	p->client_on = false;
	pair_crash(p, 0, _i % 2 == 0);
	ck_assert(pair_promote(p, 1, 0, true));
	pair_expect_history(p, 1);
	pair_load(p, 1, 3000);
	pair_start(p, 0);
	pair_order(p, 0, &discard);
	pair_link_all(p, 1);
	ck_assert(pair_run_until(p, 1600000, pair_is_level, 1));
	pair_run(p, 1000);
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* A blank copy dies while it is filled, again and again. */
START_TEST(blank_copy_starts_over)
{
	struct pair *p = pair_create((uint64_t)_i + 4000, 2, 4u << 20);

	p->verbose = getenv("PAIR_VERBOSE") != NULL;
	p->span_bytes = PAIR_DISK_BYTES;
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 0, false));
	pair_load(p, 0, 20000);
	pair_start(p, 1);
	pair_link_all(p, 0);
	for (int round = 0; round < 5; round++) {
		pair_run(p, 500 + (uint32_t)pair_random(p, 4000));
		restart_copy(p, pair_random(p, 2) == 0);
		pair_expect_image(p, 1);
	}
	ck_assert(pair_run_until(p, 1600000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* G5: the log has lost records that a map was said to cover. Their sequences come again
 * with other records, which no map has seen. */
START_TEST(no_map_stands_for_what_a_log_has_lost)
{
	struct pair *p = pair_create((uint64_t)_i + 6000, 2, 4u << 20);

	p->bare_check_every = 0;
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 0, false));
	p->client_on = true;
	for (int round = 0; round < 40; round++) {
		const struct mirror_engine *m;

		pair_run(p, 500);
		pair_start(p, 1); /* blank: all of it is missed */
		pair_link_all(p, 0);
		pair_run(p, 10 + (uint32_t)pair_random(p, 200));
		pair_crash(p, 1, false);
		restart_production(p, false);
		m = p->site[0].engine;
		ck_assert_uint_le(m->open.sb.sites[1].map_position, m->open.marks.last);
	}
	pair_destroy(p);
}
END_TEST

static bool is_refreshed(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.peer[1].refresh.phase == REFRESH_NONE;
}

/* G7: clients write as fast as they can to the very extents that are refreshed, on disks
 * slower than the log, so records that are not yet home always overlap. The clients wait
 * for the refresh, not it for them, and it is not begun anew. */
START_TEST(refresh_ends_under_load)
{
	struct pair *p = pair_level((uint64_t)_i + 5000, 2, 8u << 20);
	uint32_t lost;

	p->bare_check_every = 0;
	p->span_bytes = _i % 2 == 0 ? 64u * 1024 : PAIR_DISK_BYTES;
	p->slow = _i % 3 == 1 ? 2 : 0;
	pair_load(p, 0, 2000);
	away(p, 500);
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[0].disk[d].slow = 32;
	pair_run(p, 20000);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 400000, is_refreshing, 0));
	lost = p->site[1].fact_count[FACT_LINK];
	ck_assert(pair_run_until(p, 400000, is_refreshed, 0));
	ck_assert_uint_eq(p->site[1].fact_count[FACT_LINK], lost);
	p->slow = 0;
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[0].disk[d].slow = 0;
	ck_assert(pair_run_until(p, 400000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Of the reads of refreshes. */
static uint64_t read_bytes(const struct mirror_engine *m)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < READS_MAX; i++)
		if (m->memory.reads[i].used && m->memory.reads[i].request == NULL)
			bytes += m->memory.reads[i].length_bytes;
	return bytes;
}

static bool is_refreshed_in_bounds(struct pair *p, uint32_t site)
{
	struct mirror_engine *m = p->site[site].engine;
	const struct engine_refresh *r = &m->open.peer[1].refresh;

	ck_assert_uint_eq(read_bytes(m), m->open.yield.under_way_bytes);
	ck_assert_uint_le(m->open.yield.under_way_bytes, MIRROR_YIELD_BYTES_MAX);
	ck_assert_uint_le(m->open.reading.refresh_count, REFRESH_READS_MAX);
	ck_assert_uint_le(r->unsent_tail - r->unsent_head, REFRESH_UNSENT_MAX);
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= m->open.marks.last; s++) {
		const struct mirror_header *h = &mirror_engine_record(m, s)->header;

		if ((h->flags & MIRROR_RECORD_REFRESH) != 0)
			ck_assert_uint_eq(h->data_bytes, 0);
	}
	return is_refreshed(p, site);
}

/* A client's write stands in the log behind what was stamped before it: nothing that a
 * refresh has read. And what is under way of it is counted and bounded, all the time. */
START_TEST(a_refresh_is_bounded_and_not_in_the_log)
{
	struct pair *p = pair_level((uint64_t)_i + 6000, 2, 8u << 20);

	p->bare_check_every = 0;
	p->span_bytes = PAIR_DISK_BYTES;
	pair_load(p, 0, 4000);
	away(p, 500);
	pair_blank(p, 1);
	pair_start(p, 1);
	p->site[0].log.slow = 32;
	ck_assert(pair_run_until(p, 400000, is_refreshing, 0));
	ck_assert(pair_run_until(p, 400000, is_refreshed_in_bounds, 0));
	p->site[0].log.slow = 0;
	ck_assert(pair_run_until(p, 400000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* G7: the line is slower than the clients, who do not wait for it yet: its copy becomes
 * current all the same. */
START_TEST(an_outrun_copy_becomes_current)
{
	struct pair *p = pair_level((uint64_t)_i + 1, 2, 8u << 20);

	pair_load(p, 0, 2000);
	pair_crash(p, 1, false);
	p->client_on = true;
	pair_run(p, 20000);
	p->slow = 1u << 1;
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 1600000, pair_is_level, 0));
	p->slow = 0;
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Homes and their flush are put off, but not while clients wait for the map, and it for them. */
START_TEST(waiting_clients_hurry_homes)
{
	struct pair *p = pair_level((uint64_t)_i + 300, 2, 2u << 20);
	const struct mirror_engine *m = p->site[0].engine;
	uint64_t since_ns = 0, longest_ns = 0;

	p->bare_check_every = 0;
	pair_load(p, 0, 2000);
	pair_crash(p, 1, false);
	p->client_on = true;
	pair_run(p, 20000);
	pair_start(p, 1);
	for (uint32_t i = 0; i < 100000 && !pair_is_level(p, 0); i++) {
		pair_run(p, 1);
		if (!m->open.peer[1].refresh.starved ||
		    m->open.peer[1].refresh.phase != REFRESH_MAPPING)
			since_ns = 0;
		else if (since_ns == 0)
			since_ns = p->now_ns;
		else if (p->now_ns - since_ns > longest_ns)
			longest_ns = p->now_ns - since_ns;
	}
	ck_assert_uint_lt(longest_ns, HOME_FLUSH_NS / 4);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* So much work clients wait for: a copy-timeout of less than the time between two looks
 * leaves one such time. */
START_TEST(an_outrun_copy_is_waited_for_within_copy_timeout)
{
	ck_assert(!mirror_chase_is_short(1, 100, 0, 900)); /* it may come nearer yet */
	ck_assert(mirror_chase_is_short(100, 100, 1, 900));
	ck_assert(!mirror_chase_is_short(101, 100, 1, 900));
	ck_assert(mirror_chase_is_short(250, 100, 3, 2500));
	ck_assert(!mirror_chase_is_short(251, 100, 3, 2500));
	ck_assert(mirror_chase_is_short(1000, 100, 10, 10000));
	ck_assert(!mirror_chase_is_short(500, 100, 4, 10000));
	ck_assert(!mirror_chase_is_short(1, 0, 10, 10000));
}
END_TEST

static bool is_asked(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.peer[1].refresh.phase == REFRESH_ASKED;
}

static bool is_given_up(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	return m->open.marks.home_flushed > 0 &&
	       mirror_ring_oldest_sequence(m->open.ring) ==
		       p->site[0].engine->open.marks.last + 1;
}

/* A blank copy gives records up while production's log does not come to flush them. It is
 * promoted when production has lost them to a power cut: they are sent (G5). */
START_TEST(a_blank_copy_frees_what_production_loses)
{
	struct pair *p = pair_create((uint64_t)_i + 8900, 2, 8u << 20);

	for (uint32_t i = 0; i < 2; i++)
		pair_start(p, i);
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link(p, 0, 1);
	ck_assert(pair_run_until(p, 100000, is_asked, 0));
	p->site[0].log.no_flush = true;
	p->site[0].disk[1].stuck = true; /* the refresh begins late and takes long */
	p->site[1].log.stuck = true;
	p->first_bytes = PAIR_DISK_BYTES / 2;
	p->span_bytes = p->first_bytes + 64u * 1024;
	p->client_site = 0;
	p->client_on = true;
	pair_run(p, 300);
	p->client_on = false;
	p->site[1].log.stuck = false;
	ck_assert(pair_run_until(p, 300000, is_given_up, 1));
	p->client_on = true;
	p->first_bytes = 0;
	p->span_bytes = 64u * 1024;
	p->site[0].disk[1].stuck = false;
	ck_assert(pair_run_until(p, 200000, pair_is_level, 0));
	p->client_on = false;
	pair_run(p, 1000);
	pair_crash(p, 0, true);
	p->site[0].log.no_flush = false;
	p->flushed_only = false;
	ck_assert(pair_promote(p, 1, 0, false));
	pair_start(p, 0);
	pair_link(p, 1, 0);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 1));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 1));
	p->span_bytes = PAIR_DISK_BYTES;
	pair_expect_equal(p, 1, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *anew = tcase_create("made anew"), *tc = tcase_create("engine_refresh");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_set_timeout(anew, 120);
	tcase_add_loop_test(tc, maps_take_over_and_survive_production, 0, SEEDS);
	tcase_add_loop_test(anew, waited_copy_is_made_anew, 0, SEEDS);
	tcase_add_loop_test(anew, damage_in_what_only_a_copy_misses, 0, SEEDS);
	tcase_add_loop_test(tc, refresh_cut_short_leaves_the_image, 0, SEEDS);
	tcase_add_loop_test(tc, forced_in_mid_refresh, 0, SEEDS);
	tcase_add_loop_test(tc, no_map_stands_for_what_a_log_has_lost, 0, SEEDS);
	tcase_add_loop_test(tc, blank_copy_starts_over, 0, SEEDS);
	tcase_add_test(tc, a_command_is_answered_by_the_state);
	tcase_add_test(tc, an_outrun_copy_is_waited_for_within_copy_timeout);
	tcase_add_loop_test(tc, an_outrun_copy_becomes_current, 0, SEEDS);
	tcase_add_loop_test(tc, waiting_clients_hurry_homes, 0, SEEDS);
	tcase_add_loop_test(tc, refresh_ends_under_load, 0, SEEDS);
	tcase_add_loop_test(tc, a_refresh_is_bounded_and_not_in_the_log, 0, SEEDS);
	suite_add_tcase(s, anew);
	tcase_add_loop_test(tc, a_blank_copy_frees_what_production_loses, 0, SEEDS);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
