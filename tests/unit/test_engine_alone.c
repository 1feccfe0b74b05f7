/* test_engine_alone.c - engines of two sites without members: whether each log allows a
 * promotion, how much a roll-forward proves, and that nothing is undone unasked. The test
 * plays the operator. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/test_view.h"
#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 3
#endif
#define LOG_BYTES (4u << 20)
#define LONG_BYTES (16u << 20) /* for more records than the table has */

static struct pair *p;
static uint64_t log_bytes = LOG_BYTES;

/* Two sites, of which none serves; the second is blank. */
static void begin(int seed)
{
	p = pair_create((uint64_t)seed + 500, 2, log_bytes);
	p->config->cluster = false;
	p->config->node_count = 2;
	p->config->node[1].site = 1;
	pair_start(p, 0);
	pair_start(p, 1);
}

/* Site 0 serves and the copy is level. */
static void begin_level(int seed)
{
	begin(seed);
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_load(p, 0, 2000);
}

static struct mirror_engine *engine(uint32_t site)
{
	return p->site[site].engine;
}

/* `sites` are put out; for `discard`, records that only this site has may be undone. */
static void mark(uint32_t site, uint32_t sites, uint32_t discard)
{
	const struct order o = {
		.type = ORDER_MARK, .id = 9, .sites = sites, .discard = discard
	};
	const uint32_t count = p->site[site].fact_count[FACT_STORED];

	pair_order(p, site, &o);
	ck_assert(pair_wait_fact(p, site, FACT_STORED, count + 1, 100000));
}

/* `hamirror disconnect` on site 0. */
static void put_out(void)
{
	const struct order wait = { .type = ORDER_WAIT, .ready_seen = UINT64_MAX };
	const struct order away = { .type = ORDER_UNLINK, .site = 1 };

	mark(0, 2, 0);
	p->site[0].waited = 0;
	pair_order(p, 0, &wait);
	pair_order(p, 0, &away);
	pair_run(p, 200);
}

static void demote(void)
{
	p->client_on = false;
	ck_assert(pair_demote(p, 0, 60000));
	ck_assert(p->site[0].last[FACT_DEMOTED].clean);
}

/* Site 0 wrote without the copy, which was put out, and was demoted. */
static void went_on_alone(int seed, uint32_t steps)
{
	begin_level(seed);
	put_out();
	pair_load(p, 0, steps);
	demote();
}

/* ORDER_PREPARE of site 1, rolling forward from site 0. */
static const struct fact *prepare(bool force)
{
	struct order o = { .type = ORDER_PREPARE,
			   .id = 2,
			   .ballot = ++p->ballot << 8 | 1,
			   .force = force,
			   .source_count = 1,
			   .history = p->history };

	o.generation.byte[0] = (uint8_t)p->ballot;
	o.generation.byte[1] = 77;
	snprintf(o.source[0].address, sizeof o.source[0].address, "0");
	p->site[1].fact_count[FACT_PREPARED] = 0;
	pair_order(p, 1, &o);
	ck_assert(pair_wait_fact(p, 1, FACT_PREPARED, 1, 400000));
	return &p->site[1].last[FACT_PREPARED];
}

/* After it the copy may be promoted without production, and production not without the
 * copy. */
START_TEST(a_clean_end_is_handed_over)
{
	begin_level(_i);
	demote();
	ck_assert_uint_eq(p->site[0].last[FACT_DEMOTED].level_sites, 2);
	ck_assert(engine(0)->open.sb.handed_over);
	pair_run(p, 2000);
	ck_assert(mirror_is_clean(engine(1)));
	ck_assert(!engine(1)->open.sb.handed_over);
	/* ... until the copy has promised to follow another promotion */
	pair_crash(p, 0, true);
	pair_start(p, 0);
	ck_assert(engine(0)->open.sb.handed_over);
	ck_assert(pair_promote(p, 0, 2, false));
	ck_assert(engine(1)->open.sb.handed_over);
	ck_assert(!engine(0)->open.sb.handed_over);
	pair_destroy(p);
}
END_TEST

START_TEST(a_clean_end_without_a_level_copy_is_kept)
{
	went_on_alone(_i, 2000);
	ck_assert_uint_eq(p->site[0].last[FACT_DEMOTED].level_sites, 0);
	ck_assert(mirror_is_clean(engine(0)));
	ck_assert(!engine(0)->open.sb.handed_over);
	ck_assert(!mirror_is_clean(engine(1)));
	pair_destroy(p);
}
END_TEST

/* Production's writes without the copy are in its log: all of them are fetched. */
START_TEST(a_roll_forward_goes_to_the_end)
{
	const struct fact *f;

	went_on_alone(_i, 1000);
	f = prepare(false);
	ck_assert_int_eq(f->error, 0);
	ck_assert_uint_eq(f->reached_sites, 1);
	ck_assert_uint_eq(f->level_sites, 0); /* it refuses links: it was put out */
	ck_assert_uint_eq(f->sequence, engine(0)->open.marks.last);
	pair_destroy(p);
}
END_TEST

static bool has_room(struct pair *q, uint32_t site)
{
	return q->site[site].engine->open.marks.last -
		       q->site[site].engine->open.marks.home_flushed <
	       RECORDS_MAX / 2;
}

/* ... also when they are more than a table of records holds, in a log that is not full. */
START_TEST(a_long_roll_forward_goes_to_the_end)
{
	const struct fact *f;

	log_bytes = LONG_BYTES;
	begin_level(_i);
	put_out();
	p->client_on = false;
	for (uint32_t i = 0; i < RECORDS_MAX + 1000; i += 40) {
		for (uint32_t k = 0; k < 40; k++)
			mirror_view_stamp_mark(engine(0));
		engine(0)->open.log.flush_now = true;
		mark(0, 2, 0); /* it takes a step */
		pair_run(p, 20);
		ck_assert(pair_run_until(p, 100000, has_room, 0));
	}
	demote();
	p->site[1].log.slow = 100; /* many records go into one write */
	f = prepare(false);
	ck_assert_int_eq(f->error, 0);
	ck_assert_uint_eq(f->reached_sites, 1);
	ck_assert_uint_eq(f->sequence, engine(0)->open.marks.last);
	ck_assert_uint_lt(mirror_ring_used_percent(engine(1)->open.ring), 60);
	log_bytes = LOG_BYTES;
	pair_destroy(p);
}
END_TEST

static bool log_went_on(struct pair *q, uint32_t site)
{
	return mirror_ring_oldest_sequence(q->site[0].engine->open.ring) >
	       q->site[1].engine->open.marks.last + 1 + site;
}

/* The log has given up a part of it: nothing was fetched, and it is not read as done. */
START_TEST(what_the_log_gave_up_is_no_roll_forward)
{
	const struct fact *f;
	uint64_t end;

	begin_level(_i);
	put_out();
	end = engine(1)->open.marks.last;
	p->client_on = true;
	ck_assert(pair_run_until(p, 2000000, log_went_on, 0));
	demote();
	f = prepare(false);
	ck_assert_int_eq(f->error, 0);
	ck_assert_uint_eq(f->reached_sites | f->level_sites | f->busy_sites, 0);
	ck_assert_uint_eq(f->sequence, end);
	ck_assert_ptr_nonnull(strstr(f->text, "refresh"));
	pair_destroy(p);
}
END_TEST

/* The line breaks at any moment of it: it may be tried again, and was not done. */
START_TEST(a_roll_forward_that_breaks_is_not_done)
{
	const struct fact *f;

	went_on_alone(_i, 3000);
	p->cut[0] = true;
	f = prepare(false);
	ck_assert_uint_eq(f->reached_sites, 0);
	ck_assert_uint_eq(f->busy_sites, 1);
	pair_destroy(p);
}
END_TEST

/* A mixture is no image, so no request promotes it. */
START_TEST(a_blank_site_is_not_promoted_by_force)
{
	const struct fact *f;

	begin(_i);
	f = prepare(_i > 0);
	ck_assert_int_eq(f->error, -ENODATA);
	ck_assert_ptr_nonnull(strstr(f->text, "Inconsistent"));
	pair_destroy(p);
}
END_TEST

/* The copy was put out and is promoted by force. Writes that production made alone stay
 * until the operator gives them up. */
START_TEST(nothing_is_undone_unasked)
{
	uint64_t end;

	went_on_alone(_i, 1000);
	end = engine(0)->open.marks.last;
	ck_assert(pair_promote(p, 1, 0, true));
	ck_assert_uint_lt(history_newest(&p->history)->cut, end);
	pair_link(p, 1, 0);
	ck_assert(pair_wait_fact(p, 0, FACT_UNDO, 1, 100000));
	ck_assert_ptr_nonnull(strstr(p->site[0].last[FACT_UNDO].text, "records"));
	mark(0, 0, 0); /* `connect` alone */
	pair_run(p, 20000);
	ck_assert_uint_eq(engine(0)->open.marks.last, end);
	ck_assert(!pair_is_level(p, 1));
	mark(0, 0, 2);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 1));
	ck_assert_str_eq(p->site[0].last[FACT_UNDO].text, "");
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* Both sides show a refusal: it names both, and the command that ends it. */
START_TEST(a_refusal_is_read_on_both_sides)
{
	const struct order unlink = { .type = ORDER_UNLINK, .site = 1 };
	static struct mirror_status status;

	begin_level(_i);
	pair_order(p, 0, &unlink);
	pair_run(p, 200);
	mark(1, 1, 0);
	pair_link_all(p, 0);
	pair_run(p, 2000);
	mirror_status_fill(engine(0), &status);
	if (strcmp(status.sites[1].link_text,
		   "s0 was put out on s1 by a disconnect: `hamirror connect pair s0` "
		   "there allows it again") != 0)
		ck_abort_msg("%s", status.sites[1].link_text);
}
END_TEST

/* The hashes differ: both values are named, on both sides. */
START_TEST(another_configuration_is_named)
{
	static struct mirror_status status, copy;
	static struct config other;

	begin(_i);
	strcpy(p->config->agreed, "addresses: b: 10.0.0.2:7790\n");
	other = *p->config;
	other.hash++;
	strcpy(other.agreed, "addresses: b: 10.0.0.2:7791\n");
	engine(1)->config = &other;
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link(p, 0, 1);
	pair_run(p, 2000);
	mirror_status_fill(engine(0), &status);
	ck_assert_str_eq(status.sites[1].link_text,
			 "the file of s0 has addresses: b: 10.0.0.2:7790, that of s1 "
			 "10.0.0.2:7791: make them alike and start hamirror there "
			 "again");
	mirror_status_fill(engine(1), &copy);
	ck_assert_str_eq(copy.unlike_text, status.sites[1].link_text);
	pair_destroy(p);
}
END_TEST

/* A hello that comes late was sent before its site was promoted again: no production is apart.
 * One that was sent before this site was promoted is of one that may serve on. */
START_TEST(a_late_hello_asks_nobody)
{
	struct mirror_hello h = { .purpose = MIRROR_HELLO_STREAM, .site = 0 };
	char text[FACT_TEXT_MAX];

	begin_level(_i);
	h.history = engine(0)->open.sb.history;
	ck_assert(!mirror_undo_overtaken(engine(1), &h));
	pair_crash(p, 0, true);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 2, false));
	pair_link_all(p, 0);
	pair_load(p, 0, 200);
	ck_assert(mirror_undo_overtaken(engine(1), &h));
	h.purpose = MIRROR_HELLO_ROLL;
	ck_assert(!mirror_undo_overtaken(engine(1), &h));
	h.purpose = MIRROR_HELLO_STREAM;
	h.history = engine(0)->open.sb.history;
	demote();
	ck_assert(pair_promote(p, 1, 1, false));
	ck_assert(!mirror_undo_overtaken(engine(1), &h));
	ck_assert(mirror_undo_waits(engine(1), &h, text, sizeof text));
	pair_destroy(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror");
	TCase *tc = tcase_create("alone");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, a_clean_end_is_handed_over, 0, SEEDS);
	tcase_add_loop_test(tc, a_clean_end_without_a_level_copy_is_kept, 0, SEEDS);
	tcase_add_loop_test(tc, a_roll_forward_goes_to_the_end, 0, SEEDS);
	tcase_add_test(tc, a_long_roll_forward_goes_to_the_end);
	tcase_add_loop_test(tc, what_the_log_gave_up_is_no_roll_forward, 0, SEEDS);
	tcase_add_loop_test(tc, a_roll_forward_that_breaks_is_not_done, 0, SEEDS);
	tcase_add_loop_test(tc, a_blank_site_is_not_promoted_by_force, 0, 2);
	tcase_add_loop_test(tc, nothing_is_undone_unasked, 0, SEEDS);
	tcase_add_loop_test(tc, a_late_hello_asks_nobody, 0, 2);
	tcase_add_test(tc, a_refusal_is_read_on_both_sides);
	tcase_add_test(tc, another_configuration_is_named);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
