/* test_engine_roles.c - orders at every moment: demote, depose, close, prepare twice,
 * probe; which sites are refused, and when a refusal is lifted (D4, D5, D7, D8). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 4
#endif
#define LOG_BYTES (4u << 20)

static bool has_answered_all(struct pair *p)
{
	for (uint32_t i = 0; i < PAIR_REQUESTS; i++)
		if (p->request_busy[i])
			return false;
	return true;
}

/* Drained, the other site takes over with nothing to roll forward, and back. */
START_TEST(clean_demote_and_promote)
{
	struct pair *p = pair_level((uint64_t)_i + 10000, 2, LOG_BYTES);

	for (uint32_t round = 0; round < 4; round++) {
		const uint32_t from = round % 2, to = 1 - from;
		const struct fact *f = &p->site[from].last[FACT_DEMOTED];

		pair_load(p, from, 3000);
		p->client_on = false;
		ck_assert(pair_demote(p, from, 60000));
		ck_assert(f->clean && !p->site[from].clients);
		ck_assert(has_answered_all(p));
		ck_assert(pair_promote(p, to, 0, false));
		ck_assert_uint_eq(p->site[to].last[FACT_PREPARED].sequence, f->sequence);
		pair_link_all(p, to);
		ck_assert(pair_run_until(p, 400000, pair_is_level, to));
	}
	ck_assert_uint_eq(p->error_count, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A copy is away: writes that wait for it fail at the deadline, and the demote ends. */
START_TEST(frozen_demote_ends)
{
	struct pair *p = pair_level((uint64_t)_i + 10100, 2, LOG_BYTES);

	pair_load(p, 0, 2000);
	p->cut[1] = true;
	pair_run(p, 20);
	p->client_on = false;
	ck_assert(pair_demote(p, 0, 200));
	ck_assert(!p->site[0].last[FACT_DEMOTED].clean || p->error_count == 0);
	ck_assert(has_answered_all(p));
	p->cut[1] = false;
	ck_assert(pair_promote(p, 1, 0, false));
	pair_load(p, 1, 2000);
	pair_link_all(p, 1);
	ck_assert(pair_run_until(p, 400000, pair_is_level, 1));
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* Begin to promote, so far: 0 prepare ordered, ... and no further. */
static void half_promote(struct pair *p, uint32_t site, uint32_t steps, uint32_t sources)
{
	struct order o = { .type = ORDER_PREPARE,
			   .id = 5,
			   .ballot = ++p->ballot << 8,
			   .history = p->history };

	o.generation.byte[0] = (uint8_t)p->ballot;
	o.generation.byte[1] = 99;
	for (uint32_t i = 0; i < p->site_count; i++)
		if ((sources >> i & 1) != 0) {
			o.source[o.source_count].site = i;
			snprintf(o.source[o.source_count++].address, CONFIG_ADDRESS_MAX,
				 "%u", i);
		}
	pair_order(p, site, &o);
	pair_run(p, steps);
}

/* Deposed under load, production answers nothing more as good; the same site is
 * promoted again at once, then the other one. */
START_TEST(depose_under_load)
{
	struct pair *p = pair_level((uint64_t)_i + 10200, 2, LOG_BYTES);
	uint64_t answered;

	for (uint32_t round = 0; round < 4; round++) {
		const uint32_t from = round / 2 % 2;
		const uint32_t to = round % 2 == 0 ? from : 1 - from;

		pair_load(p, from, 3000);
		p->client_on = false;
		answered = p->answered_count;
		pair_depose(p, from);
		ck_assert(pair_promote(p, to, to == from ? 1u << (1 - to) : 0, false));
		ck_assert_uint_eq(p->answered_count, answered);
		pair_link_all(p, to);
		pair_load(p, to, 1000);
		ck_assert(pair_run_until(p, 400000, pair_is_level, to));
	}
	pair_settle(p, p->client_site);
	pair_destroy(p);
}
END_TEST

/* ORDER_DEMOTE, DEPOSE or CLOSE at any moment of a promotion; then a whole one. */
START_TEST(promotion_called_off_at_any_moment)
{
	struct pair *p = pair_level((uint64_t)_i + 10300, 3, LOG_BYTES);

	for (int round = 0; round < 12; round++) {
		pair_load(p, 0, 300);
		p->client_on = false;
		pair_depose(p, 0);
		half_promote(p, 0, (uint32_t)pair_random(p, 60), 6);
		if (round % 4 == 1)
			half_promote(p, 0, (uint32_t)pair_random(p, 60), 6);
		if (round % 3 == 0) {
			ck_assert(pair_demote(p, 0, 1000));
		} else if (round % 3 == 1) {
			pair_depose(p, 0);
		} else {
			ck_assert(pair_close(p, 0));
			ck_assert(pair_open(p, 0));
		}
		ck_assert(pair_promote(p, 0, 6, false));
		pair_link_all(p, 0);
		ck_assert(pair_run_until(p, 400000, pair_is_level, 0));
	}
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* The generation is in effect and clients are being let in: told to stop right then. */
START_TEST(demote_while_starting)
{
	struct pair *p = pair_level((uint64_t)_i + 10400, 2, LOG_BYTES);

	for (uint32_t steps = 0; steps < 12; steps++) {
		struct order o = { .type = ORDER_SERVE, .id = 6 };
		struct generation g = { .reason = GENERATION_RESTARTED };

		pair_depose(p, 0);
		p->site[0].fact_count[FACT_PREPARED] = 0;
		half_promote(p, 0, 0, 0);
		ck_assert(pair_wait_fact(p, 0, FACT_PREPARED, 1, 50000));
		g.id.byte[0] = (uint8_t)p->ballot;
		g.id.byte[1] = 99;
		g.cut = p->site[0].last[FACT_PREPARED].sequence;
		g.ordinal = history_newest(&p->history)->ordinal + 1;
		g.parent = history_newest(&p->history)->id;
		history_append(&p->history, &g);
		o.history = p->history;
		o.ballot = p->ballot << 8;
		pair_order(p, 0, &o);
		pair_run(p, steps);
		if (steps % 2 == 0) {
			ck_assert(pair_demote(p, 0, 1000));
		} else {
			ck_assert(pair_close(p, 0));
			ck_assert(pair_open(p, 0));
		}
		pair_run(p, 100);
		ck_assert(!p->site[0].clients && !p->site[0].clients_due);
	}
	p->client_site = 0;
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 400000, pair_is_level, 0));
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Of every frame that left, the engine has been told. */
static bool has_heard_all(struct pair *p, uint32_t site)
{
	return p->site[site].sent_count == 0;
}

/* Closed at any moment of an open, a stream or a refresh, and opened again. */
START_TEST(close_and_reopen_at_any_moment)
{
	struct pair *p = pair_level((uint64_t)_i + 10500, 2, LOG_BYTES);
	const struct order o = { .type = ORDER_OPEN, .id = 9, .site = 1 };

	p->client_on = true;
	for (int round = 0; round < 20; round++) {
		pair_run(p, (uint32_t)pair_random(p, round % 5 == 0 ? 6000 : 400));
		ck_assert(pair_close(p, 1));
		ck_assert(pair_run_until(p, 20000, has_heard_all, 1));
		pair_expect_idle(p, 1);
		pair_order(p, 1, &o);
		pair_run(p, (uint32_t)pair_random(p, 30));
		if (round % 2 == 0) {
			ck_assert(pair_close(p, 1));
			ck_assert(pair_open(p, 1));
		}
	}
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static void probe(struct pair *p, uint32_t site, uint32_t to, uint64_t id)
{
	struct order o = { .type = ORDER_PROBE, .id = id, .site = to };

	snprintf(o.peer.address, sizeof o.peer.address, "%u", to);
	pair_order(p, site, &o);
}

/* Each probe is answered once, in any state of both sites. */
START_TEST(every_probe_is_answered)
{
	struct pair *p = pair_level((uint64_t)_i + 10600, 2, LOG_BYTES);
	uint32_t asked = 0;

	p->client_on = true;
	for (int round = 0; round < 40; round++) {
		pair_run(p, (uint32_t)pair_random(p, 300));
		probe(p, 0, 1, ++asked);
		if (round % 3 == 0)
			probe(p, 0, 1, ++asked);
		if (round % 10 == 5) {
			ck_assert(pair_close(p, 1));
			ck_assert(pair_wait_fact(p, 0, FACT_PEER, asked, 20000));
			ck_assert(pair_open(p, 1));
		}
		if (round % 10 == 9) {
			pair_crash(p, 1, false);
			ck_assert(pair_wait_fact(p, 0, FACT_PEER, asked, 20000));
			pair_start(p, 1);
		}
		ck_assert(pair_wait_fact(p, 0, FACT_PEER, asked, 20000));
		ck_assert_uint_eq(p->site[0].fact_count[FACT_PEER], asked);
		ck_assert_uint_eq(p->site[0].last[FACT_PEER].order_id, asked);
	}
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ---- refusals ------------------------------------------------------------ */

/* A promotion has its refusals stored and comes to nothing: the copies refuse the old
 * production until a later view keeps its generation. */
START_TEST(a_view_lifts_refusals)
{
	struct pair *p = pair_level((uint64_t)_i + 11000, 3, LOG_BYTES);

	pair_load(p, 0, 2000);
	half_promote(p, 1, 3000, 1u << 2);
	ck_assert_uint_eq(p->site[1].last[FACT_PREPARED].reached_sites, 1u << 2);
	ck_assert(pair_demote(p, 1, 1000));
	pair_run(p, 20000);
	ck_assert(!pair_is_level(p, 0));
	ck_assert_int_eq(p->site[0].engine->open.peer[1].state, LINK_DOWN);
	ck_assert_int_eq(p->site[0].engine->open.peer[2].state, LINK_DOWN);
	p->ballot++;
	for (uint32_t i = 0; i < 3; i++)
		pair_view(p, i);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ... also when that view comes while the promotion that lost is still under way. */
START_TEST(a_view_lifts_the_refusal_of_one_that_lost)
{
	struct pair *p = pair_level((uint64_t)_i + 11050, 3, LOG_BYTES);

	pair_load(p, 0, 2000);
	half_promote(p, 1, 3000, 1u << 2);
	p->ballot++;
	for (uint32_t i = 0; i < 3; i++)
		pair_view(p, i);
	pair_run(p, (uint32_t)pair_random(p, 200));
	ck_assert(pair_demote(p, 1, 1000));
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ... also when a copy has stored that refusal after that view: its log was slow. */
START_TEST(a_refusal_that_comes_late_does_not_stand)
{
	struct pair *p = pair_level((uint64_t)_i + 11070, 3, LOG_BYTES);

	pair_load(p, 0, 2000);
	p->site[2].log.stuck = true;
	half_promote(p, 1, 3000, 1u << 2);
	p->ballot++;
	for (uint32_t i = 0; i < 3; i++)
		pair_view(p, i);
	p->site[2].log.stuck = false;
	pair_run(p, 3000);
	ck_assert(pair_demote(p, 1, 1000));
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A copy has answered the roll-forward of a later proposal when its own promotion, of an
 * earlier ballot, reaches it: the later promise holds. */
START_TEST(a_later_refusal_is_not_replaced)
{
	struct pair *p = pair_level((uint64_t)_i + 11080, 3, LOG_BYTES);
	const struct mirror_superblock *sb = &p->site[2].engine->open.sb;
	struct uuid later;
	uint64_t ballot;

	pair_load(p, 0, 2000);
	half_promote(p, 1, 3000, 1u << 2);
	later = sb->refusal.generation;
	ballot = sb->refusal.ballot;
	ck_assert_uint_eq(ballot, p->ballot << 8);
	p->ballot -= 2; /* half_promote() takes the next */
	half_promote(p, 2, 3000, 0);
	ck_assert_uint_lt(p->ballot << 8, ballot);
	ck_assert_int_eq(p->site[2].last[FACT_PREPARED].error, -ESTALE);
	ck_assert_uint_eq(sb->refusal.ballot, ballot);
	ck_assert(uuid_equal(&sb->refusal.generation, &later));
	pair_destroy(p);
}
END_TEST

static void expect_same_disks(struct pair *p)
{
	p->client_on = false;
	ck_assert(pair_quiesce(p, 100000));
	ck_assert(pair_run_until(p, 800000, pair_is_home, 0));
	ck_assert(pair_run_until(p, 800000, pair_is_home, 1));
	pair_expect_equal(p, 0, 1);
}

/* `hamirror connect --discard` on site 0, which is to follow site 1. */
static void give_up(struct pair *p)
{
	const struct order o = { .type = ORDER_MARK, .id = 9, .discard = 1u << 1 };

	ck_assert_int_eq(p->site[0].last[FACT_PREPARED].error, -EXDEV);
	ck_assert(pair_promote(p, 1, 0, false));
	pair_link_all(p, 1);
	ck_assert(pair_wait_fact(p, 0, FACT_UNDO, 1, 100000));
	pair_order(p, 0, &o);
	ck_assert(pair_wait_fact(p, 0, FACT_STORED, 1, 100000));
}

static bool is_cut(struct pair *p, uint32_t site)
{
	return mirror_map_count(p->site[site].engine->open.map, site) > 0 &&
	       p->site[site].engine->open.cut.step == CUT_NONE;
}

/* A force gave up a site's records; the site keeps them until an operator gives them up,
 * too. They may be at home, and its log cannot overwrite them. So it does not become
 * production before another site has repaired it (D8, G4). By force it does, and then the
 * others are sent its blocks (G5). */
START_TEST(who_holds_what_was_given_up_is_not_promoted)
{
	struct pair *p = pair_level((uint64_t)_i + 11060, 2, LOG_BYTES);
	const bool force = _i % 2 == 1;

	p->cut[1] = true;
	pair_load(p, 0, 20000);
	p->client_on = false;
	pair_crash(p, 0, false);
	p->cut[1] = false;
	ck_assert(pair_promote(p, 1, 0, true));
	ck_assert(pair_demote(p, 1, 1000));
	pair_start(p, 0);
	if (force)
		p->bare_check_every = 0; /* its disks mix two histories */
	ck_assert_int_eq(pair_promote(p, 0, 0, force), force);
	if (!force) {
		give_up(p);
		ck_assert(pair_run_until(p, 100000, is_cut, 0));
		pair_crash(p, 1, false);
		ck_assert(!pair_promote(p, 0, 0, false));
		ck_assert_int_eq(p->site[0].last[FACT_PREPARED].error, -ENODATA);
		pair_start(p, 1);
		ck_assert(pair_promote(p, 1, 0, false));
	}
	pair_link_all(p, force ? 0 : 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, force ? 0 : 1));
	expect_same_disks(p);
	if (!force) { /* mended, it is as good as any: its old maps mean nothing now */
		ck_assert(pair_demote(p, 1, 1000));
		ck_assert(pair_promote(p, 0, 1u << 1, false));
		pair_link_all(p, 0);
		pair_load(p, 0, 3000);
		pair_crash(p, 1, false);
		pair_load(p, 0, 10000);
		pair_start(p, 1);
		ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
		expect_same_disks(p);
	}
	pair_destroy(p);
}
END_TEST

/* Cut off, production does not know that another was promoted; its lease has ended.
 * When the line is back nobody takes its records, and it is a copy once deposed. */
START_TEST(stale_production_is_refused)
{
	struct pair *p = pair_level((uint64_t)_i + 11100, 3, LOG_BYTES);
	const struct order end = { .type = ORDER_LEASE, .until_ns = p->now_ns };
	uint64_t answered;

	pair_load(p, 0, 2000);
	p->cut[0] = true;
	pair_order(p, 0, &end);
	answered = p->answered_count;
	pair_run(p, 20);
	p->client_on = false; /* some of its requests stay for ever */
	pair_run(p, 2000);
	ck_assert_uint_eq(p->answered_count, answered);
	ck_assert(pair_promote(p, 1, 1u << 2, false));
	p->cut[0] = false;
	pair_link(p, 1, 2);
	pair_load(p, 1, 5000);
	ck_assert_int_eq(p->site[0].engine->open.peer[1].state, LINK_DOWN);
	ck_assert_int_eq(p->site[0].engine->open.peer[2].state, LINK_DOWN);
	ck_assert_uint_gt(p->answered_count, answered);
	pair_depose(p, 0);
	pair_link_all(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 1));
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

static bool is_split(struct pair *p, uint32_t site)
{
	return strstr(p->site[site].engine->open.peer[1].text, "SplitBrain") != NULL;
}

/* Both sites were forced: neither takes from the other, and nothing is changed. */
START_TEST(forked_histories_change_nothing)
{
	struct pair *p = pair_level((uint64_t)_i + 11200, 2, LOG_BYTES);
	const struct history before = p->history;
	struct history after;
	uint64_t last;

	pair_load(p, 0, 1000);
	p->client_on = false;
	pair_crash(p, 0, false);
	ck_assert(pair_promote(p, 1, 0, true));
	pair_load(p, 1, 1000);
	p->client_on = false;
	pair_crash(p, 1, false);
	p->history = before;
	pair_start(p, 0);
	p->bare_check_every = 0;
	ck_assert(pair_promote(p, 0, 0, true));
	pair_start(p, 1);
	after = p->site[1].engine->open.sb.history;
	last = p->site[1].engine->open.marks.last;
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 100000, is_split, 0));
	pair_run(p, 3000);
	ck_assert_uint_eq(p->site[1].engine->open.marks.last, last);
	ck_assert_uint_eq(mirror_map_count(p->site[1].engine->open.map, 1), 0);
	ck_assert_int_eq(
		memcmp(&after, &p->site[1].engine->open.sb.history, sizeof after), 0);
	pair_destroy(p);
}
END_TEST

/* So many generations later that the chain does not list the copy's any more: one of them may
 * be a force that gave up the copy's records. It is refreshed when that is accepted. */
START_TEST(unknown_history_is_refreshed_when_asked)
{
	struct pair *p = pair_level((uint64_t)_i + 11300, 2, LOG_BYTES);
	const struct order o = { .type = ORDER_MARK, .id = 9, .discard = 1u << 0 };

	pair_load(p, 0, 1000);
	pair_crash(p, 1, false);
	for (int i = 0; i < HISTORY_COUNT_MAX + 4; i++) {
		pair_load(p, 0, 100);
		p->client_on = false;
		pair_depose(p, 0);
		ck_assert(pair_promote(p, 0, 0, false));
	}
	pair_link_all(p, 0);
	pair_start(p, 1);
	ck_assert(pair_wait_fact(p, 1, FACT_UNDO, 1, 100000));
	ck_assert_ptr_nonnull(strstr(p->site[1].last[FACT_UNDO].text, "nobody can tell"));
	pair_order(p, 1, &o);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ---- the lease ----------------------------------------------------------- */

static void lease(struct pair *p, uint32_t site, uint64_t for_ns)
{
	const struct order o = { .type = ORDER_LEASE, .until_ns = p->now_ns + for_ns };

	pair_order(p, site, &o);
}

/* D7: the lease lapses and comes back; pair_client.c sees every answer without one,
 * and every write that shares a group with an answer that it could have seen. */
START_TEST(answers_need_a_lease)
{
	struct pair *p = pair_level((uint64_t)_i + 12000, 2, LOG_BYTES);
	const struct order fail = { .type = ORDER_FAIL_FROZEN };
	uint64_t answered = 0, errors;

	p->client_on = true;
	for (int round = 0; round < 60; round++) {
		lease(p, 0, pair_random(p, 20000000));
		pair_run(p, (uint32_t)pair_random(p, 2000));
		lease(p, 0, 0);
		answered = p->answered_count;
		pair_run(p, (uint32_t)pair_random(p, 1000));
		ck_assert_uint_eq(p->answered_count, answered);
	}
	ck_assert_uint_gt(answered, 1000);
	ck_assert_uint_eq(p->error_count, 0);
	pair_order(p, 0, &fail);
	errors = p->error_count;
	ck_assert_uint_gt(errors, 0);
	lease(p, 0, UINT64_MAX / 2);
	pair_run(p, 2000);
	ck_assert_uint_gt(p->answered_count, answered);
	ck_assert_uint_eq(p->error_count, errors);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_roles");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, clean_demote_and_promote, 0, SEEDS);
	tcase_add_loop_test(tc, frozen_demote_ends, 0, SEEDS);
	tcase_add_loop_test(tc, depose_under_load, 0, SEEDS);
	tcase_add_loop_test(tc, promotion_called_off_at_any_moment, 0, SEEDS);
	tcase_add_loop_test(tc, demote_while_starting, 0, SEEDS);
	tcase_add_loop_test(tc, close_and_reopen_at_any_moment, 0, SEEDS);
	tcase_add_loop_test(tc, every_probe_is_answered, 0, SEEDS);
	tcase_add_loop_test(tc, a_view_lifts_refusals, 0, SEEDS);
	tcase_add_loop_test(tc, a_later_refusal_is_not_replaced, 0, 2);
	tcase_add_loop_test(tc, a_refusal_that_comes_late_does_not_stand, 0, SEEDS);
	tcase_add_loop_test(tc, who_holds_what_was_given_up_is_not_promoted, 0,
			    2 * SEEDS);
	tcase_add_loop_test(tc, a_view_lifts_the_refusal_of_one_that_lost, 0, SEEDS);
	tcase_add_loop_test(tc, stale_production_is_refused, 0, SEEDS);
	tcase_add_loop_test(tc, forked_histories_change_nothing, 0, SEEDS);
	tcase_add_loop_test(tc, unknown_history_is_refreshed_when_asked, 0, SEEDS);
	tcase_add_loop_test(tc, answers_need_a_lease, 0, SEEDS);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
