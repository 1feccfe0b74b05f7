/* test_alone_promote.c - `cluster: none`: which site may be promoted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/alone_play.h"

START_TEST(an_older_peer_is_no_source)
{
	struct fact f = { .history = history };

	f.history.count = 1;
	promotes(false, &f);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 0);
	serve(0, &f);
}
END_TEST

/* The peer was promoted since: ours is the older log. */
START_TEST(a_newer_peer_makes_this_side_outdated)
{
	struct fact f = { .history = history };

	f.history.entry[f.history.count++] = made(3, 2, 3, LYON);
	promotes(false, &f);
	refused("outdated");
	promotes(true, &f);
	serve(0, &f);
	ck_assert_ptr_nonnull(strstr(reply.text, "lost"));
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_FORCED);
}
END_TEST

START_TEST(two_sides_that_both_went_on_are_a_split_brain)
{
	struct fact f = { .history = history };

	f.history.entry[1] = made(7, 1, 2, LYON);
	promotes(false, &f);
	refused("SplitBrain");
}
END_TEST

/* A history lists its newest generations only. */
START_TEST(a_side_that_was_away_for_too_long_is_named)
{
	struct fact f = { 0 };

	for (uint32_t i = 0; i < HISTORY_COUNT_MAX; i++)
		f.history.entry[f.history.count++] = made(
			(uint8_t)(100 + i), (uint8_t)(99 + i), 50 + i, LYON);
	promotes(false, &f);
	refused("no generation in common");
}
END_TEST

/* Our log may have learned more as a copy since it was opened: it is asked. */
START_TEST(what_the_log_says_now_counts)
{
	struct fact f = { .history = history };

	f.history.entry[f.history.count++] = made(3, 2, 3, LYON);
	own.history = f.history; /* we followed it */
	promotes(false, &f);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 1);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->history.count, 3);
}
END_TEST

START_TEST(without_the_peer_it_takes_a_force)
{
	unreachable(false);
	refused("cannot be reached");
	unreachable(true);
	serve(0, &gone);
	ck_assert_ptr_nonnull(strstr(reply.text, "cannot be known"));
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_FORCED);
}
END_TEST

START_TEST(without_the_peer_after_its_clean_demote_it_takes_none)
{
	own.clean = true;
	unreachable(false);
	serve(0, &gone);
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_CLEAN);
}
END_TEST

/* The other was told that it has all of it, or was rolled forward to: it may have been
 * promoted since. */
START_TEST(a_clean_end_that_was_handed_over_is_no_right)
{
	own.clean = own.handed_over = true;
	own.disconnected = 1u << LYON;
	unreachable(false);
	refused("cannot be reached");
	ck_assert_ptr_null(ordered(ORDER_PREPARE));
}
END_TEST

START_TEST(without_the_peer_that_was_put_out_it_takes_none)
{
	own.disconnected = 1u << LYON;
	unreachable(false);
	serve(0, &gone);
	ck_assert_ptr_null(ordered(ORDER_LINK)); /* until `connect` */
}
END_TEST

/* A node that was not production has put no other out: the other went on without us. */
START_TEST(a_copy_that_puts_production_out_gains_no_right)
{
	own.history.entry[own.history.count++] = made(3, 2, 3, LYON);
	own.disconnected = 1u << LYON;
	unreachable(false);
	refused("cannot be reached");
}
END_TEST

/* ---- content ------------------------------------------------------------------ */

/* One generation, but production's log gave up records that the copy lacks. */
START_TEST(what_takes_a_refresh_refuses_it)
{
	struct fact f = { .history = history };

	f.marks.logged = 129;
	f.tracked_extents = 64;
	promotes(false, &f);
	refused("up to record 129, this site up to 100");
	ck_assert_ptr_nonnull(strstr(reply.text, "4096 KiB"));
	ck_assert_ptr_null(ordered(ORDER_PREPARE));
	promotes(true, &f);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 1); /* bound by it */
	serve(0, &f);
	ck_assert_ptr_nonnull(strstr(reply.text, "up to record 129"));
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_FORCED);
}
END_TEST

/* A force can set bits of the map for any sequence, so the sequences do not clear them. */
START_TEST(what_is_tracked_for_us_counts_whatever_the_sequences)
{
	struct fact f = { .history = history };

	f.marks.logged = 100;
	f.tracked_extents = UINT64_MAX;
	promotes(false, &f);
	refused("cannot be known");
}
END_TEST

/* The line breaks in the middle of it: again, then refused. */
START_TEST(a_roll_forward_that_broke_is_not_done)
{
	struct fact f = { .history = history };

	f.marks.logged = 129;
	promotes(false, &f);
	for (int i = 0; i < 2; i++) {
		prepared_as(0, 0, 1u << LYON);
		asked(&f);
		ck_assert(!replied);
		tick(200);
		ck_assert_ptr_null(ordered(ORDER_SERVE));
	}
	tick(5000);
	prepared_as(0, 0, 1u << LYON);
	asked(&f);
	refused("up to record 129");
	ck_assert_ptr_nonnull(ordered(ORDER_DEPOSE));
}
END_TEST

START_TEST(a_copy_that_is_not_level_is_not_waited_for)
{
	struct fact f = { .history = history };
	struct fact serving = { .type = FACT_SERVING };

	promotes(false, &f);
	prepared_as(1u << LYON, 0, 0);
	asked(&f);
	ck_assert_uint_eq(ordered(ORDER_SERVE)->sites, 0);
	answer(ORDER_SERVE, &serving);
	ck_assert_int_eq(reply.exit_status, 0);
	ck_assert_ptr_nonnull(ordered(ORDER_LINK));
}
END_TEST

/* Its log was made anew: no record is left of its writes. */
START_TEST(a_production_that_lost_its_log_vouches_for_nothing)
{
	struct fact f = { .history = history };

	own.history.entry[own.history.count++] = made(3, 2, 3, LYON);
	promotes(false, &f);
	refused("does not have generation 3");
}
END_TEST

/* ---- answers ------------------------------------------------------------------ */

/* A peer that answers is present, whatever it says; only one whose devices are not open
 * serves nobody. */
START_TEST(a_peer_that_answers_is_not_absent)
{
	struct fact f = { .error = _i == 0 ? -ECONNREFUSED : -EAGAIN,
			  .reached = true,
			  .text = "busy" };

	own.clean = true;
	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	for (int i = 0; i < 3; i++) {
		ck_assert(!replied);
		tick(200);
		peer(&f);
	}
	tick(5000);
	asked(&f);
	if (_i == 0)
		refused("answers, and does not say");
	else
		ck_assert_ptr_nonnull(ordered(ORDER_PREPARE));
}
END_TEST

/* Both at once, and this site is listed first: it asks until the other has yielded. */
START_TEST(of_two_at_once_the_first_in_the_file_goes_on)
{
	struct fact busy = { .history = history, .promoting = true };
	struct fact f = { .history = history };

	promotes(false, &f);
	prepared_as(0, 0, 1u << LYON); /* it is being promoted */
	peer(&busy);
	tick(200);
	asked(&f); /* it was called off there */
	tick(200);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 1);
	serve(1u << LYON, &f);
}
END_TEST

/* Whether it hears that at first, or when it has been prepared; by force too. */
START_TEST(of_two_at_once_the_other_yields)
{
	struct fact busy = { .history = history, .promoting = true };
	struct fact f = { .history = history };

	teardown();
	create(1);
	answer(ORDER_OPEN, &opened);
	command(CLUSTER_COMMAND_PROMOTE, _i == 1);
	if (_i == 2) {
		peer(&busy);
		refused("yields");
		ck_assert_ptr_null(ordered(ORDER_DEPOSE));
		return;
	}
	asked(&f);
	prepared_as(0, 0, 1u << 0);
	peer(&busy);
	refused("yields");
	ck_assert_ptr_nonnull(ordered(ORDER_DEPOSE));
}
END_TEST

/* It began to serve while this promotion was prepared. */
START_TEST(a_peer_that_serves_by_now_forbids_it)
{
	struct fact f = { .history = history };

	promotes(true, &f);
	prepared_as(0, 0, 1u << LYON);
	f.serving = true;
	peer(&f);
	refused("serves");
	ck_assert_ptr_nonnull(ordered(ORDER_DEPOSE));
}
END_TEST

/* A promotion is told from one before it, though that came to nothing. */
START_TEST(each_promotion_has_a_greater_ballot)
{
	struct fact f = { .history = history, .ballot = 77 << 8 };
	uint64_t first;

	promotes(false, &f);
	first = ordered(ORDER_PREPARE)->ballot;
	ck_assert_uint_gt(first, f.ballot);
	command(CLUSTER_COMMAND_DEMOTE, false);
	promotes(false, &f);
	ck_assert_uint_gt(ordered(ORDER_PREPARE)->ballot, first);
}
END_TEST

/* ---- async ---------------------------------------------------------------------- */

/* However far a copy is behind, production has answered. */
START_TEST(in_async_a_force_says_that_the_loss_has_no_bound)
{
	config.mode = CONFIG_ASYNC;
	unreachable(false);
	refused("without a bound");
	unreachable(true);
	serve(0, &gone);
	ck_assert_ptr_nonnull(strstr(reply.text, "without a bound"));
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_FORCED);
}
END_TEST

/* ... and after a clean demote, or with all of the other's records, nothing is lost. */
START_TEST(in_async_no_copy_is_waited_for)
{
	struct fact f = { .history = history }, serving = { .type = FACT_SERVING },
		    lost = { .type = FACT_COPY_LOST, .site = LYON };
	struct cluster_status s;

	config.mode = CONFIG_ASYNC;
	own.clean = _i == 1;
	if (_i == 0)
		promotes(false, &f);
	else
		unreachable(false);
	prepared_as(_i == 0 ? 1u << LYON : 0, _i == 0 ? 1u << LYON : 0, 0);
	asked(_i == 0 ? &f : &gone);
	ck_assert_uint_eq(ordered(ORDER_SERVE)->sites, 0);
	ck_assert_uint_eq(ordered(ORDER_SERVE)->promise.mode, CONFIG_ASYNC);
	answer(ORDER_SERVE, &serving);
	ck_assert_int_eq(reply.exit_status, 0);
	ck_assert_ptr_null(strstr(reply.text, "without a bound"));
	order_count = 0;
	fact(&lost);
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	cluster_status_get(core, now_ns, &s);
	ck_assert_uint_eq(s.promise.mode, CONFIG_ASYNC);
	ck_assert_str_eq(s.text, "");
	ck_assert(!s.sites[LYON].current);
	ck_assert_str_eq(s.sites[LYON].text, "in async: writes do not wait for it");
	cluster_check(core);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("alone_promote");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_older_peer_is_no_source);
	tcase_add_test(tc, a_newer_peer_makes_this_side_outdated);
	tcase_add_test(tc, two_sides_that_both_went_on_are_a_split_brain);
	tcase_add_test(tc, a_side_that_was_away_for_too_long_is_named);
	tcase_add_test(tc, what_the_log_says_now_counts);
	tcase_add_test(tc, without_the_peer_it_takes_a_force);
	tcase_add_test(tc, without_the_peer_after_its_clean_demote_it_takes_none);
	tcase_add_test(tc, a_clean_end_that_was_handed_over_is_no_right);
	tcase_add_test(tc, without_the_peer_that_was_put_out_it_takes_none);
	tcase_add_test(tc, a_copy_that_puts_production_out_gains_no_right);
	tcase_add_test(tc, what_takes_a_refresh_refuses_it);
	tcase_add_test(tc, what_is_tracked_for_us_counts_whatever_the_sequences);
	tcase_add_test(tc, a_roll_forward_that_broke_is_not_done);
	tcase_add_test(tc, a_copy_that_is_not_level_is_not_waited_for);
	tcase_add_test(tc, a_production_that_lost_its_log_vouches_for_nothing);
	tcase_add_loop_test(tc, a_peer_that_answers_is_not_absent, 0, 2);
	tcase_add_test(tc, of_two_at_once_the_first_in_the_file_goes_on);
	tcase_add_loop_test(tc, of_two_at_once_the_other_yields, 0, 3);
	tcase_add_test(tc, a_peer_that_serves_by_now_forbids_it);
	tcase_add_test(tc, each_promotion_has_a_greater_ballot);
	tcase_add_test(tc, in_async_a_force_says_that_the_loss_has_no_bound);
	tcase_add_loop_test(tc, in_async_no_copy_is_waited_for, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
