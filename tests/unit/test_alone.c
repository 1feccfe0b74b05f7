/* test_alone.c - `cluster: none`: the operator is the majority. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/alone_play.h"

static const char *status_text(void)
{
	static struct cluster_status s;

	cluster_status_get(core, now_ns, &s);
	return s.text;
}

START_TEST(at_the_start_it_opens_and_waits_to_be_told)
{
	struct cluster_status s;

	ck_assert_uint_eq(order_count, 1);
	cluster_status_get(core, now_ns, &s);
	ck_assert(s.quorate);
	ck_assert(!s.serving_here);
	ck_assert_int_eq(s.promotion_score, INT32_MIN);
}
END_TEST

START_TEST(devices_that_do_not_open_are_tried_again)
{
	struct fact f = { .type = FACT_OPENED,
			  .error = _i == 0 ? -EBUSY : -ENOENT,
			  .text = "disk db is in use, or not there" };

	teardown();
	create(0);
	answer(ORDER_OPEN, &f);
	order_count = 0;
	tick(500);
	ck_assert_ptr_null(ordered(ORDER_OPEN));
	tick(1000);
	ck_assert_ptr_nonnull(ordered(ORDER_OPEN));
}
END_TEST

START_TEST(with_the_peer_it_rolls_forward_and_waits_for_it)
{
	const struct order *o;

	promoted();
	o = ordered(ORDER_SERVE);
	ck_assert_uint_eq(o->history.count, 3);
	ck_assert_uint_eq(history_newest(&o->history)->cut, 100);
	ck_assert_uint_eq(history_newest(&o->history)->reason, GENERATION_RESTARTED);
	ck_assert_uint_eq(ordered(ORDER_LINK)->site, LYON);
	ck_assert_str_eq(ordered(ORDER_LINK)->peer.host, "n2");
}
END_TEST

START_TEST(a_peer_that_serves_forbids_it_whatever_the_force)
{
	struct fact f = { .history = history, .serving = true };

	command(CLUSTER_COMMAND_PROMOTE, true);
	peer(&f);
	refused("serves");
	ck_assert_ptr_null(ordered(ORDER_PREPARE));
	command(CLUSTER_COMMAND_PROMOTE, false); /* it may be asked again */
	ck_assert(!replied);
}
END_TEST

static void copy(enum fact_type type, uint64_t ready_count)
{
	struct fact f = { .type = type, .site = LYON, .ready_count = ready_count };

	fact(&f);
}

/* Losing the peer freezes until `disconnect`, which is durable first. */
START_TEST(a_lost_peer_is_waited_for_until_disconnect)
{
	struct fact stored = { .type = FACT_STORED };
	struct cluster_status s;

	promoted();
	order_count = 0;
	copy(FACT_COPY_LOST, 0);
	tick(60000);
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	cluster_status_get(core, now_ns, &s);
	ck_assert_ptr_nonnull(strstr(s.text, "disconnect"));

	command(CLUSTER_COMMAND_DISCONNECT, false);
	ck_assert(!replied);
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites, 1u << LYON);
	answer(ORDER_MARK, &stored);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 0);
	ck_assert_ptr_nonnull(ordered(ORDER_UNLINK));
	ck_assert(replied);
}
END_TEST

/* As `disconnect`, and the map takes over once the link has ended. */
START_TEST(bypass_puts_out_and_its_end_lets_the_copy_in)
{
	struct fact stored = { .type = FACT_STORED };
	struct cluster_status s;

	promoted();
	order_count = 0;
	command(CLUSTER_COMMAND_BYPASS_ON, false);
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites, 1u << LYON);
	ck_assert_uint_eq(ordered(ORDER_MARK)->bypass, 1u << LYON);
	answer(ORDER_MARK, &stored);
	ck_assert(ordered(ORDER_UNLINK) < ordered(ORDER_WAIT));
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 0);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->bypass, 1u << LYON);
	cluster_status_get(core, now_ns, &s);
	ck_assert(s.sites[LYON].bypass);
	ck_assert_ptr_nonnull(strstr(s.sites[LYON].text, "bypass data off lyon"));
	command(CLUSTER_COMMAND_CONNECT, false);
	refused("`hamirror bypass data off` ends it");

	order_count = 0;
	command(CLUSTER_COMMAND_BYPASS_OFF, false);
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites | ordered(ORDER_MARK)->bypass, 0);
	answer(ORDER_MARK, &stored);
	ck_assert_ptr_nonnull(ordered(ORDER_LINK));
	ck_assert_uint_eq(ordered(ORDER_WAIT)->bypass, 0);
}
END_TEST

/* Its log was made anew, say: our log says durably that it lacks something. */
START_TEST(a_peer_that_is_refreshed_is_not_waited_for_until_it_is_level)
{
	struct fact behind = { .type = FACT_COPY_LOST, .site = LYON, .behind = true };
	struct cluster_status s;

	promoted();
	copy(FACT_COPY_LOST, 0);
	order_count = 0;
	fact(&behind);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 0);
	cluster_status_get(core, now_ns, &s);
	ck_assert_ptr_null(strstr(s.text, "disconnect"));
	order_count = 0;
	copy(FACT_COPY_READY, 1);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 1u << LYON);
}
END_TEST

START_TEST(connect_lifts_it_and_the_copy_is_waited_for_when_it_is_ready)
{
	struct fact stored = { .type = FACT_STORED };

	own.disconnected = 1u << LYON;
	unreachable(false);
	serve(0, &gone);
	order_count = 0;
	command(CLUSTER_COMMAND_CONNECT, false);
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites, 0);
	answer(ORDER_MARK, &stored);
	ck_assert_ptr_nonnull(ordered(ORDER_LINK));
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	copy(FACT_COPY_READY, 4);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 1u << LYON);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->ready_seen, 4);
}
END_TEST

/* The other site was promoted by force: writes that only this one has would be undone. */
START_TEST(connect_asks_before_it_undoes)
{
	struct fact undo = { .type = FACT_UNDO, .site = LYON };
	struct fact stored = { .type = FACT_STORED };
	struct cluster_command c = {
		.type = CLUSTER_COMMAND_CONNECT, .id = 9, .site = -1, .discard = true
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };
	struct cluster_status s;

	strcpy(undo.text, "records 65 to 129 of site paris would be undone");
	fact(&undo);
	cluster_status_get(core, now_ns, &s);
	ck_assert_ptr_nonnull(strstr(s.text, "65 to 129"));
	command(CLUSTER_COMMAND_CONNECT, false);
	refused("65 to 129");
	ck_assert_ptr_nonnull(strstr(reply.text, "--discard"));
	ck_assert_ptr_null(ordered(ORDER_MARK));
	replied = false;
	step(&e);
	ck_assert_uint_eq(ordered(ORDER_MARK)->discard, 1u << LYON);
	answer(ORDER_MARK, &stored);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
	ck_assert_ptr_nonnull(strstr(reply.text, "given up: records 65 to 129"));
}
END_TEST

/* The way out of bypass asks for consent; the consent is no reason to ask for the way out. */
START_TEST(consent_ends_a_bypass)
{
	struct fact undo = { .type = FACT_UNDO, .site = LYON };
	struct cluster_command c = {
		.type = CLUSTER_COMMAND_CONNECT, .id = 9, .site = -1, .discard = true
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	teardown();
	opened.disconnected = opened.bypass = 1u << LYON;
	create(0);
	answer(ORDER_OPEN, &opened);
	command(CLUSTER_COMMAND_CONNECT, false);
	refused("`hamirror bypass data off`");
	strcpy(undo.text, "records 65 to 129 of site paris would be undone");
	fact(&undo);
	command(CLUSTER_COMMAND_BYPASS_OFF, false);
	refused("`hamirror connect data lyon --discard`");
	replied = false;
	step(&e);
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites, 0);
	ck_assert_uint_eq(ordered(ORDER_MARK)->bypass, 0);
	ck_assert_uint_eq(ordered(ORDER_MARK)->discard, 1u << LYON);
}
END_TEST

static void link_of_lyon(enum link_state link)
{
	struct fact f = { .type = FACT_LINK, .site = LYON, .link = link };

	fact(&f);
}

/* A copy that put its production out would keep its link, and say that it had not. */
START_TEST(a_copy_is_put_out_where_production_is)
{
	struct fact stored = { .type = FACT_STORED };

	link_of_lyon(LINK_CONNECTED);
	command(CLUSTER_COMMAND_DISCONNECT, false);
	refused("`hamirror disconnect data paris` on n2");
	ck_assert_ptr_null(ordered(ORDER_MARK));
	link_of_lyon(LINK_DOWN);
	command(CLUSTER_COMMAND_DISCONNECT, false);
	answer(ORDER_MARK, &stored);
	ck_assert_int_eq(reply.exit_status, 0);
	ck_assert_ptr_nonnull(strstr(reply.text, "no link from it is taken"));
	ck_assert_ptr_nonnull(strstr(status_text(), "`hamirror connect data lyon`"));
}
END_TEST

/* Consent that is given before anyone has asked would be taken for a later loss. */
START_TEST(nothing_is_given_up_before_it_is_asked)
{
	const struct cluster_command c = {
		.type = CLUSTER_COMMAND_CONNECT, .id = 9, .site = -1, .discard = true
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	step(&e);
	refused("asks");
	ck_assert_ptr_null(ordered(ORDER_MARK));
}
END_TEST

/* Its link may be down, and the other site serve. */
START_TEST(a_site_without_a_link_does_not_say_that_nothing_serves)
{
	ck_assert_ptr_null(strstr(status_text(), "no production"));
	ck_assert_ptr_nonnull(strstr(status_text(), "not known here"));
}
END_TEST

/* It was production and has all of it; whether the other has more, it cannot know. */
START_TEST(who_was_demoted_calls_nothing_up_to_date)
{
	struct fact data = { .type = FACT_DATA, .data = DATA_UP_TO_DATE };
	struct cluster_status s;

	fact(&data);
	cluster_status_get(core, now_ns, &s);
	ck_assert_int_eq(s.sites[0].data, DATA_CONSISTENT);
}
END_TEST

/* As a copy it learns from production's first records that a generation has begun. */
START_TEST(the_history_follows_the_log)
{
	struct fact f = { .type = FACT_MARKS, .marks.logged = 7, .history = history };
	struct cluster_status s;

	f.history.entry[f.history.count++] = made(77, 2, 9, LYON);
	fact(&f);
	f.history.count = 0; /* nothing is newer */
	fact(&f);
	cluster_status_get(core, now_ns, &s);
	ck_assert_uint_eq(history_newest(&s.history)->ordinal, 9);
	ck_assert_uint_eq(s.sites[0].marks.logged, 7);
}
END_TEST

START_TEST(a_demote_drains_and_says_so)
{
	struct fact demoted = { .type = FACT_DEMOTED,
				.clean = true,
				.level_sites = 1u << LYON };
	struct cluster_status s;

	promoted();
	command(CLUSTER_COMMAND_DEMOTE, false);
	ck_assert(!replied);
	ck_assert_uint_eq(ordered(ORDER_DEMOTE)->wait_ms, config.frozen_timeout_ms);
	copy(FACT_COPY_LOST, 0);
	ck_assert_ptr_nonnull(strstr(status_text(), "being demoted"));
	demoted.marks.logged = 123;
	answer(ORDER_DEMOTE, &demoted);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
	ck_assert_ptr_nonnull(strstr(reply.text, "123"));
	ck_assert_ptr_nonnull(strstr(reply.text, "may be promoted now: paris, lyon"));
	ck_assert_ptr_nonnull(ordered(ORDER_UNLINK));
	cluster_status_get(core, now_ns, &s);
	ck_assert(s.sites[0].may_promote && s.sites[LYON].may_promote);
}
END_TEST

START_TEST(a_stop_demotes_and_closes_first)
{
	struct fact demoted = { .type = FACT_DEMOTED, .clean = true };
	struct fact closed = { .type = FACT_CLOSED };

	promoted();
	order_count = 0;
	command(CLUSTER_COMMAND_STOP, false);
	answer(ORDER_DEMOTE, &demoted);
	ck_assert(!replied);
	answer(ORDER_CLOSE, &closed);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
	order_count = 0;
	tick(60000);
	ck_assert_ptr_null(ordered(ORDER_OPEN));
}
END_TEST

static void give_up(void)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_GIVE_UP, .command_id = 9 };

	replied = false;
	step(&e);
}

static bool promoting(void)
{
	struct cluster_status s;

	cluster_status_get(core, now_ns, &s);
	return s.promoting_here;
}

/* Lyon does not answer: nothing goes on once the time is over. */
START_TEST(a_promotion_whose_time_is_over_is_called_off)
{
	struct fact late = { .history = history };

	command(CLUSTER_COMMAND_PROMOTE, false);
	give_up();
	refused("asking the other site: called off");
	ck_assert(!promoting());
	peer(&late);
	ck_assert_ptr_null(ordered(ORDER_CLOSE));
	promoted();
	give_up(); /* its time was over a moment after it was done */
	ck_assert(!replied);
}
END_TEST

START_TEST(a_demote_calls_a_promotion_off_while_it_is_prepared)
{
	struct fact f = { .history = history };
	struct fact late = { .type = FACT_PREPARED };

	promotes(false, &f);
	ck_assert_ptr_nonnull(ordered(ORDER_PREPARE));
	command(CLUSTER_COMMAND_DEMOTE, false);
	ck_assert_ptr_nonnull(ordered(ORDER_DEPOSE));
	ck_assert(replied); /* the last one: the demote's */
	ck_assert_int_eq(reply.exit_status, 0);
	answer(ORDER_PREPARE, &late);
	ck_assert_ptr_null(ordered(ORDER_SERVE));
	order_count = 0;
	promoted();
}
END_TEST

/* ORDER_SERVE is out: it serves, and is demoted then. */
START_TEST(a_demote_follows_a_promotion_that_starts_to_serve)
{
	struct fact f = { .history = history };
	struct fact serving = { .type = FACT_SERVING };

	promotes(false, &f);
	prepared_as(1u << LYON, 1u << LYON, 0);
	asked(&f);
	give_up();
	ck_assert(!replied);
	command(CLUSTER_COMMAND_DEMOTE, false);
	ck_assert(!replied);
	ck_assert_ptr_null(ordered(ORDER_DEMOTE));
	answer(ORDER_SERVE, &serving);
	ck_assert(replied);
	ck_assert_ptr_nonnull(ordered(ORDER_DEMOTE));
}
END_TEST

START_TEST(a_stop_calls_a_promotion_off)
{
	command(CLUSTER_COMMAND_PROMOTE, false);
	command(CLUSTER_COMMAND_STOP, false);
	refused("called off by a stop");
	ck_assert_ptr_nonnull(ordered(ORDER_CLOSE));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("alone");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, at_the_start_it_opens_and_waits_to_be_told);
	tcase_add_loop_test(tc, devices_that_do_not_open_are_tried_again, 0, 2);
	tcase_add_test(tc, with_the_peer_it_rolls_forward_and_waits_for_it);
	tcase_add_test(tc, a_peer_that_serves_forbids_it_whatever_the_force);
	tcase_add_test(tc, a_lost_peer_is_waited_for_until_disconnect);
	tcase_add_test(tc, bypass_puts_out_and_its_end_lets_the_copy_in);
	tcase_add_test(tc, a_peer_that_is_refreshed_is_not_waited_for_until_it_is_level);
	tcase_add_test(tc, connect_lifts_it_and_the_copy_is_waited_for_when_it_is_ready);
	tcase_add_test(tc, connect_asks_before_it_undoes);
	tcase_add_test(tc, consent_ends_a_bypass);
	tcase_add_test(tc, a_copy_is_put_out_where_production_is);
	tcase_add_test(tc, nothing_is_given_up_before_it_is_asked);
	tcase_add_test(tc, a_site_without_a_link_does_not_say_that_nothing_serves);
	tcase_add_test(tc, who_was_demoted_calls_nothing_up_to_date);
	tcase_add_test(tc, the_history_follows_the_log);
	tcase_add_test(tc, a_demote_drains_and_says_so);
	tcase_add_test(tc, a_stop_demotes_and_closes_first);
	tcase_add_test(tc, a_promotion_whose_time_is_over_is_called_off);
	tcase_add_test(tc, a_demote_calls_a_promotion_off_while_it_is_prepared);
	tcase_add_test(tc, a_demote_follows_a_promotion_that_starts_to_serve);
	tcase_add_test(tc, a_stop_calls_a_promotion_off);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
