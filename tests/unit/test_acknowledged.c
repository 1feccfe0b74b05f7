/* test_acknowledged.c - how far production may answer: G1, D3, D5. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "mirror/engine/acknowledged.h"
#include "tests/unit/property.h"

static struct mirror_ack ack;

static void setup(void)
{
	mirror_ack_reset(&ack, 0);
}

static void site_has(uint32_t site, uint64_t logged, uint64_t durable)
{
	ck_assert_int_eq(mirror_ack_set_site(&ack, site, logged, durable), 0);
}

static void answers(uint64_t acknowledged, uint64_t flushed)
{
	ck_assert_uint_eq(mirror_ack_acknowledged(&ack), acknowledged);
	ck_assert_uint_eq(mirror_ack_flushed(&ack), flushed);
}

/* Nobody is waited for: our own log decides. */
START_TEST(alone_own_marks_decide)
{
	answers(0, 0);
	mirror_ack_set_own(&ack, 10, 4);
	answers(10, 4);
	site_has(1, 5, 5); /* a copy that is not current changes nothing */
	answers(10, 4);
}
END_TEST

/* G1: the slowest of the awaited copies decides: for writes by its logged mark, for
 * flushes by its durable mark. */
START_TEST(the_slowest_decides)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_add(&ack, 3);
	mirror_ack_set_own(&ack, 10, 10);
	answers(0, 0);
	site_has(1, 8, 2);
	answers(0, 0);
	site_has(3, 9, 5);
	answers(8, 2);
	site_has(1, 12, 12); /* ahead of our own log */
	answers(9, 5);
	site_has(3, 12, 12);
	answers(10, 10);
}
END_TEST

static void promise_home(bool home)
{
	struct promise p = promise_make(CONFIG_SYNC, 0, 0);

	p.home = home;
	mirror_ack_promise(&ack, &p);
}

/* M9: the slowest disk decides, ours too; a flush is answered after the writes before it. What
 * goes home does not wait for any disk. */
START_TEST(with_home_the_slowest_disk_decides)
{
	promise_home(true);
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 10, 10);
	site_has(1, 9, 8);
	answers(0, 0);
	ck_assert_uint_eq(mirror_ack_everywhere(&ack)->logged, 9);
	mirror_ack_set_home(&ack, 1, 7);
	answers(0, 0);
	mirror_ack_set_own_home(&ack, 5);
	answers(5, 5);
	mirror_ack_set_own_home(&ack, 9);
	answers(7, 7);
	ck_assert_uint_eq(mirror_ack_stays(&ack), 7);
	mirror_ack_set_home(&ack, 1, 9);
	answers(9, 8);
	mirror_ack_set_home(&ack, 2, 1); /* it is not waited for */
	answers(9, 8);
}
END_TEST

/* M3: the promise is kept once all that was answered before is home on every disk. */
START_TEST(home_is_kept_when_all_that_was_answered_is)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 10, 10);
	site_has(1, 10, 10);
	answers(10, 10);
	promise_home(true);
	answers(10, 10);
	ck_assert(!mirror_ack_is_kept(&ack, 0));
	mirror_ack_set_own_home(&ack, 10);
	mirror_ack_set_home(&ack, 1, 9);
	ck_assert(!mirror_ack_is_kept(&ack, 0));
	mirror_ack_set_home(&ack, 1, 10);
	ck_assert(mirror_ack_is_kept(&ack, 0));
	mirror_ack_set_own(&ack, 12, 12);
	site_has(1, 12, 12);
	answers(10, 10);
	mirror_ack_forget_site(&ack, 1);
	site_has(1, 12, 12);
	mirror_ack_set_own_home(&ack, 12);
	answers(10, 10); /* another process: it has to say so again */
	promise_home(false);
	answers(12, 12);
	ck_assert(mirror_ack_is_kept(&ack, 0));
}
END_TEST

/* M4: what all have logged, and was not answered for want of a disk, is not answered by that
 * once the mode is async: there only what is durable counts. */
START_TEST(from_home_to_async_the_bound_counts_at_once)
{
	static struct mirror_ack_record record[64];
	const struct promise async = promise_async(1000, PROMISE_UNBOUNDED);

	mirror_ack_records(&ack, record, 64, 0);
	mirror_ack_add(&ack, 1);
	for (uint64_t sequence = 1; sequence <= 10; sequence++)
		mirror_ack_note(&ack, sequence, true, 512, 1);
	promise_home(true);
	mirror_ack_set_own(&ack, 10, 10);
	site_has(1, 10, 4);
	mirror_ack_set_proven(&ack, 1, 4);
	mirror_ack_set_own_home(&ack, 4);
	mirror_ack_set_home(&ack, 1, 4);
	answers(4, 4);
	mirror_ack_promise(&ack, &async);
	answers(4, 4);
	mirror_ack_answer(&ack, 1);
	answers(5, 5);
	site_has(1, 10, 10);
	mirror_ack_set_proven(&ack, 1, 10);
	answers(10, 10);
}
END_TEST

/* A copy is to enter, and lacks more than the bound of what was durable without it. */
START_TEST(from_home_to_async_with_a_copy_that_enters)
{
	static struct mirror_ack_record record[256];
	const struct promise async = promise_async(600, PROMISE_UNBOUNDED);

	mirror_ack_records(&ack, record, 256, 0);
	for (uint64_t sequence = 1; sequence <= 100; sequence++)
		mirror_ack_note(&ack, sequence, true, 512, 1);
	promise_home(true);
	mirror_ack_set_own(&ack, 100, 100);
	mirror_ack_set_own_home(&ack, 60);
	answers(60, 60);
	site_has(1, 90, 90);
	mirror_ack_set_proven(&ack, 1, 90);
	mirror_ack_set_home(&ack, 1, 50);
	mirror_ack_add(&ack, 1);
	answers(60, 60);
	mirror_ack_promise(&ack, &async);
	mirror_ack_answer(&ack, 1);
	answers(91, 91);
}
END_TEST

/* D3: a copy is waited for from its addition on; records answered before stay
 * answered. */
START_TEST(an_added_copy_is_waited_for_from_now_on)
{
	mirror_ack_set_own(&ack, 100, 90);
	site_has(2, 40, 30);
	mirror_ack_add(&ack, 2);
	ck_assert(mirror_ack_waits_for(&ack, 2));
	answers(100, 90);
	mirror_ack_set_own(&ack, 110, 110);
	answers(100, 90);
	site_has(2, 105, 95);
	answers(105, 95);
	mirror_ack_add(&ack, 2); /* the order may come twice */
	answers(105, 95);
}
END_TEST

/* The view without the copy takes effect: records that waited only for it are answered. */
START_TEST(a_removed_copy_no_longer_holds_up)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_add(&ack, 2);
	mirror_ack_set_own(&ack, 20, 20);
	site_has(1, 15, 12);
	answers(0, 0);
	mirror_ack_remove(&ack, 2);
	ck_assert(!mirror_ack_waits_for(&ack, 2));
	answers(15, 12);
	mirror_ack_remove(&ack, 2);
	mirror_ack_remove(&ack, 1);
	answers(20, 20);
}
END_TEST

/* A link broke: no more answers until the copy has sent its marks again, which may be
 * lower than before. */
START_TEST(a_forgotten_copy_stops_answers_where_they_are)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 10, 10);
	site_has(1, 10, 6);
	answers(10, 6);
	mirror_ack_forget_site(&ack, 1);
	mirror_ack_set_own(&ack, 20, 20);
	answers(10, 6);
	site_has(1, 7, 7); /* it lost the records that were not durable */
	answers(10, 7);
	site_has(1, 20, 20);
	answers(20, 20);
}
END_TEST

/* D5: a generation starts with no copy to wait for and nothing known; records recovered
 * beyond its base count as unacknowledged. */
START_TEST(a_generation_starts_over)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 50, 50);
	site_has(1, 50, 50);
	mirror_ack_reset(&ack, 30);
	answers(30, 30);
	ck_assert(!mirror_ack_waits_for(&ack, 1));
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 50, 50);
	answers(30, 30);
	site_has(1, 45, 44);
	answers(45, 44);
}
END_TEST

/* Marks from the line that go back, or are durable and not logged, are refused
 * and change nothing. */
START_TEST(a_copys_marks_never_go_back)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 10, 10);
	site_has(1, 8, 6);
	ck_assert_int_eq(mirror_ack_set_site(&ack, 1, 7, 6), -EPROTO);
	ck_assert_int_eq(mirror_ack_set_site(&ack, 1, 8, 5), -EPROTO);
	ck_assert_int_eq(mirror_ack_set_site(&ack, 1, 9, 10), -EPROTO);
	answers(8, 6);
	site_has(1, 8, 6); /* saying the same again is no fault */
}
END_TEST

/* Ours going back is a bug, also while nothing is answered yet. */
START_TEST(own_marks_going_back_abort)
{
	mirror_ack_add(&ack, 1);
	mirror_ack_set_own(&ack, 10, 8);
	switch (_i) {
	case 0:
		mirror_ack_set_own(&ack, 9, 8);
		break;
	case 1:
		mirror_ack_set_own(&ack, 10, 7);
		break;
	case 2:
		mirror_ack_set_own(&ack, 10, 11);
		break;
	default:
		break;
	}
}
END_TEST

/* Random marks, adds, removes and losses against the definition: answers go only as far
 * as our log and every awaited copy, and never go back. */
START_TEST(answers_are_covered_and_monotonic)
{
	struct random random = { (uint64_t)_i + 1 };
	uint64_t acknowledged = 0, flushed = 0;

	for (int i = 0; i < 20000; i++) {
		const uint32_t site = (uint32_t)random_below(&random,
							     CONFIG_SITE_COUNT_MAX);
		const struct mirror_ack_marks old = ack.site[site];
		uint64_t logged = ack.own.logged, durable = ack.own.durable;

		switch (random_below(&random, 12)) {
		case 0:
			mirror_ack_add(&ack, site);
			break;
		case 1:
			mirror_ack_remove(&ack, site);
			break;
		case 2:
			mirror_ack_forget_site(&ack, site);
			break;
		case 3:
		case 4:
			logged += random_below(&random, 9);
			durable += random_below(&random, logged - durable + 1);
			mirror_ack_set_own(&ack, logged, durable);
			break;
		default:
			logged = old.logged + random_below(&random, ack.own.logged + 3);
			site_has(site, logged,
				 old.durable +
					 random_below(&random, logged - old.durable + 1));
			break;
		}
		logged = ack.own.logged;
		durable = ack.own.durable;
		for (uint32_t s = 0; s < CONFIG_SITE_COUNT_MAX; s++) {
			if (!mirror_ack_waits_for(&ack, s))
				continue;
			if (ack.site[s].logged < logged)
				logged = ack.site[s].logged;
			if (ack.site[s].durable < durable)
				durable = ack.site[s].durable;
		}
		if (logged > acknowledged)
			acknowledged = logged;
		if (durable > flushed)
			flushed = durable;
		answers(acknowledged, flushed);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ack");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, with_home_the_slowest_disk_decides);
	tcase_add_test(tc, home_is_kept_when_all_that_was_answered_is);
	tcase_add_test(tc, from_home_to_async_the_bound_counts_at_once);
	tcase_add_test(tc, from_home_to_async_with_a_copy_that_enters);
	tcase_add_test(tc, alone_own_marks_decide);
	tcase_add_test(tc, the_slowest_decides);
	tcase_add_test(tc, an_added_copy_is_waited_for_from_now_on);
	tcase_add_test(tc, a_removed_copy_no_longer_holds_up);
	tcase_add_test(tc, a_forgotten_copy_stops_answers_where_they_are);
	tcase_add_test(tc, a_generation_starts_over);
	tcase_add_test(tc, a_copys_marks_never_go_back);
	tcase_add_loop_test_raise_signal(tc, own_marks_going_back_abort, SIGABRT, 0, 3);
	tcase_add_loop_test(tc, answers_are_covered_and_monotonic, 0, 10);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
