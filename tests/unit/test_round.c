/* test_round.c - D1: how a view is chosen, seen from one member. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/solo.h"

#define BALLOT(number, node) cluster_view_ballot_make(number, node)

static struct solo t;
static struct view view;

static void setup(void)
{
	struct config config;

	solo_config(&config);
	solo_view(&config, 3, &view);
	solo_create(&t, 0, &view, true);
	solo_persisted(&t);
}

static void teardown(void)
{
	solo_destroy(&t);
}

/* Nodes 0, 1 and 2, the voters, are here and have said so. */
static void all_join(void)
{
	solo_ring(&t, 7);
	solo_announce(&t, 1);
	solo_announce(&t, 2);
}

/* ---- the voter ----------------------------------------------------------------- */

START_TEST(a_promise_leaves_when_it_is_on_stable_storage)
{
	all_join();
	solo_persisted(&t);
	solo_clear(&t);
	t.persist_asked = false;

	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_CONFIRM);
	ck_assert(t.persist_asked);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROMISE));

	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROMISE));
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROMISE)->promise.ballot, BALLOT(20, 1));
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROMISE)->promise.epoch, SOLO_EPOCH(0));
}
END_TEST

START_TEST(a_view_is_accepted_when_it_is_on_stable_storage)
{
	all_join();
	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_CONFIRM);
	solo_persisted(&t);
	view.ballot = BALLOT(20, 1);
	t.by_hand = true;
	solo_propose(&t, 1, &view);
	ck_assert(t.persist_asked);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_ACCEPTED));

	solo_persisted(&t);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_ACCEPTED)->vote.ballot, BALLOT(20, 1));
	ck_assert_uint_eq(t.core->voter.accepted.ballot, BALLOT(20, 1));
}
END_TEST

START_TEST(nothing_below_a_promise_is_accepted)
{
	all_join();
	solo_prepare(&t, 2, BALLOT(20, 2), ROUND_CONFIRM);
	solo_persisted(&t);
	solo_clear(&t);

	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_CONFIRM);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_REFUSE)->vote.promised, BALLOT(20, 2));
	solo_clear(&t);
	view.ballot = BALLOT(19, 1);
	solo_propose(&t, 1, &view);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_REFUSE));
	ck_assert_uint_lt(t.core->voter.accepted.ballot, BALLOT(19, 1));
}
END_TEST

START_TEST(a_voter_whose_file_cannot_be_written_answers_nothing)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_PERSISTED };

	all_join();
	solo_persisted(&t);
	solo_clear(&t);
	t.persist_asked = false;
	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_CONFIRM);
	e.persisted.error = -5;
	e.persisted.counter = t.persist_counter;
	t.persist_asked = false;
	solo_step(&t, &e);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROMISE));
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_ANNOUNCE)->announce.epoch, 0);
	ck_assert(!t.core->together.has); /* D2: it breaks no tie either */

	solo_tick(&t, 600); /* it is tried again, whole */
	ck_assert(t.persist_asked);
	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROMISE));
}
END_TEST

START_TEST(a_node_that_is_no_voter_accepts_nothing)
{
	all_join();
	view.ballot = BALLOT(20, 1);
	cluster_view_voters_set(&view.voters, 0, 4711); /* under another epoch */
	solo_propose(&t, 1, &view);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_ACCEPTED));
}
END_TEST

/* ---- the proposer ----------------------------------------------------------------- */

/* Run our own round up to the promises; returns its ballot. */
static uint64_t begin_round(void)
{
	const struct message *m;

	all_join();
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PREPARE));
	solo_persisted(&t);
	m = solo_sent(&t, MESSAGE_PREPARE);
	ck_assert_ptr_nonnull(m);
	return m->prepare.ballot;
}

START_TEST(nobody_hears_of_a_ballot_before_it_is_durable_here)
{
	const uint64_t ballot = begin_round();

	ck_assert_uint_eq(cluster_view_ballot_node(ballot), 0);
	ck_assert_uint_eq(t.core->voter.promised, ballot);
}
END_TEST

START_TEST(a_majority_of_promises_then_of_acceptances)
{
	const uint64_t ballot = begin_round();

	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	solo_promise(&t, 1, ballot, NULL, view.ballot);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROPOSE));
	ck_assert_uint_eq(t.core->voter.in_effect.ballot, view.ballot);
	solo_persisted(&t); /* one: ourselves */
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_COMMIT));

	solo_accepted(&t, 2, ballot); /* two of three */
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_COMMIT)->vote.ballot, ballot);
	ck_assert_uint_eq(t.core->voter.in_effect.ballot, ballot);
	ck_assert(!t.core->confirm_due);
}
END_TEST

START_TEST(promises_under_another_epoch_do_not_count)
{
	const uint64_t ballot = begin_round();
	struct message m = { .type = MESSAGE_PROMISE };

	m.promise.ballot = ballot;
	m.promise.epoch = 4711;
	solo_say(&t, 1, &m);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
}
END_TEST

START_TEST(an_undecided_view_is_proposed_again_as_it_is)
{
	const uint64_t ballot = begin_round();
	struct view undecided = view;
	const struct view *next;

	undecided.ballot = BALLOT(1, 1);
	undecided.disconnected = 2;
	solo_promise(&t, 1, ballot, &undecided, view.ballot);
	next = &solo_sent(&t, MESSAGE_PROPOSE)->propose.view;
	ck_assert_uint_eq(next->ballot, ballot);
	ck_assert_uint_eq(next->disconnected, 2);
	ck_assert(t.core->round.adopting);
	/* It was not in effect, and is not by being found. */
	ck_assert_uint_eq(t.core->voter.in_effect.ballot, view.ballot);
}
END_TEST

START_TEST(a_view_that_a_majority_accepted_is_in_effect)
{
	uint64_t ballot;
	struct view chosen = view;

	ballot = begin_round();
	chosen.ballot = BALLOT(1, 1);
	chosen.disconnected = 2;
	t.by_hand = true; /* ours is not in yet */
	memset(t.core->round.epoch, 0, sizeof t.core->round.epoch);
	solo_promise(&t, 1, ballot, &chosen, view.ballot);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	solo_promise(&t, 2, ballot, &chosen, view.ballot);
	ck_assert_uint_eq(t.core->voter.in_effect.ballot, BALLOT(1, 1));
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROPOSE));
	ck_assert(!t.core->round.adopting);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.disconnected, 2);
}
END_TEST

START_TEST(of_two_undecided_views_the_newer_is_adopted)
{
	const uint64_t ballot = begin_round();
	struct view a = view, b = view;

	t.by_hand = true;
	memset(t.core->round.epoch, 0, sizeof t.core->round.epoch);
	a.ballot = BALLOT(1, 1);
	a.disconnected = 1;
	b.ballot = BALLOT(1, 2);
	b.disconnected = 2;
	solo_promise(&t, 2, ballot, &b, view.ballot);
	solo_promise(&t, 1, ballot, &a, view.ballot);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.disconnected, 2);
}
END_TEST

/* While the voters change, both sets must have a say. */
START_TEST(an_undecided_change_of_voters_needs_both_majorities)
{
	struct view joint = view;
	uint64_t ballot;

	joint.ballot = BALLOT(1, 1);
	joint.old = view.voters;
	cluster_view_voters_drop(&joint.voters, 1);
	cluster_view_voters_drop(&joint.voters, 2);
	cluster_view_voters_set(&joint.voters, 3, SOLO_EPOCH(3));
	cluster_view_voters_set(&joint.voters, 4, SOLO_EPOCH(4));
	solo_ring(&t, 31);
	for (uint32_t n = 1; n < 5; n++)
		solo_announce(&t, n);
	solo_persisted(&t);
	ballot = solo_sent(&t, MESSAGE_PREPARE)->prepare.ballot;
	t.by_hand = true;
	memset(t.core->round.epoch, 0, sizeof t.core->round.epoch);

	solo_promise(&t, 3, ballot, &joint, 0);
	solo_promise(&t, 4, ballot, &joint, 0); /* two of the new three */
	solo_promise(&t, 0, ballot, NULL, view.ballot);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	solo_promise(&t, 1, ballot, NULL, view.ballot); /* ... and of the old */
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROPOSE));
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.old.count, 3);
}
END_TEST

START_TEST(a_joint_view_takes_effect_with_both_majorities)
{
	struct view joint = view;

	solo_ring(&t, 31);
	for (uint32_t n = 1; n < 5; n++)
		solo_announce(&t, n);
	solo_persisted(&t);
	t.by_hand = true;
	joint.ballot = BALLOT(30, 1);
	joint.old = view.voters;
	cluster_view_voters_set(&joint.voters, 3, SOLO_EPOCH(3));
	cluster_view_voters_set(&joint.voters, 4, SOLO_EPOCH(4));
	solo_propose(&t, 1, &joint);

	solo_accepted(&t, 2, joint.ballot);
	solo_accepted(&t, 3, joint.ballot);
	solo_accepted(&t, 4, joint.ballot); /* three of five, one of three */
	ck_assert_uint_lt(t.core->voter.in_effect.ballot, joint.ballot);
	solo_accepted(&t, 1, joint.ballot);
	ck_assert_uint_eq(t.core->voter.in_effect.ballot, joint.ballot);
}
END_TEST

/* ---- races --------------------------------------------------------------------------- */

START_TEST(a_greater_ballot_takes_over_and_is_left_alone_a_while)
{
	const uint64_t ballot = begin_round();

	solo_prepare(&t, 2, BALLOT(50, 2), ROUND_CONFIRM);
	ck_assert_int_eq(t.core->round.state, ROUND_IDLE);
	solo_clear(&t);
	solo_promise(&t, 1, ballot, NULL, view.ballot);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	solo_tick(&t, 1000);
	ck_assert_int_eq(t.core->round.state, ROUND_IDLE);

	solo_tick(&t, 2500); /* it came to nothing */
	solo_persisted(&t);
	ck_assert_uint_gt(solo_sent(&t, MESSAGE_PREPARE)->prepare.ballot, BALLOT(50, 2));
}
END_TEST

START_TEST(when_the_other_proposer_leaves_we_go_on_at_once)
{
	begin_round();
	solo_prepare(&t, 2, BALLOT(50, 2), ROUND_CONFIRM);
	solo_clear(&t);
	solo_ring(&t, 3);
	solo_tick(&t, 100);
	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PREPARE));
}
END_TEST

START_TEST(a_refusal_is_answered_with_a_greater_ballot)
{
	struct message m = { .type = MESSAGE_REFUSE };

	m.vote.ballot = begin_round();
	m.vote.promised = BALLOT(90, 2);
	solo_clear(&t);
	solo_say(&t, 1, &m);
	solo_tick(&t, 100);
	solo_persisted(&t);
	ck_assert_uint_gt(solo_sent(&t, MESSAGE_PREPARE)->prepare.ballot, BALLOT(90, 2));
}
END_TEST

START_TEST(what_is_not_answered_is_said_again)
{
	const uint64_t ballot = begin_round();

	solo_clear(&t);
	solo_tick(&t, 600);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PREPARE)->prepare.ballot, ballot);
	solo_promise(&t, 1, ballot, NULL, view.ballot);
	solo_persisted(&t);
	solo_clear(&t);
	solo_tick(&t, 600);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.ballot, ballot);
}
END_TEST

START_TEST(without_quorum_nothing_is_proposed)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_QUORUM, .quorate = false };

	solo_step(&t, &e);
	all_join();
	solo_persisted(&t);
	solo_tick(&t, 10000);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PREPARE));
}
END_TEST

START_TEST(one_that_is_not_the_coordinator_steps_in_when_that_one_sleeps)
{
	teardown();
	solo_create(&t, 1, &view, true);
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 2);
	solo_persisted(&t);
	solo_tick(&t, 2000);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PREPARE));
	solo_tick(&t, 2500);
	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PREPARE));
}
END_TEST

/* Node 2 leaves in order; node 0, production, has lost its voter file. Without the vote of
 * node 2 only node 1 would be left of two, and could decide alone until it restarts. */
static bool keeps_its_vote(uint64_t epoch_of_production)
{
	static struct view next;
	struct announce a;

	view.production_node = 0;
	teardown();
	solo_create(&t, 1, &view, true);
	solo_ring(&t, 7);
	solo_announce_fill(&t, 0, &a);
	a.epoch = epoch_of_production;
	solo_announce_as(&t, 0, &a);
	solo_announce_fill(&t, 2, &a);
	a.flags |= ANNOUNCE_STOPPING;
	solo_announce_as(&t, 2, &a);
	t.core->together.has = true;
	t.core->together.voters = view.voters;
	for (uint32_t n = 0; n < 3; n++)
		t.core->together.incarnation[n] = t.core->node[n].incarnation;
	cluster_plan_next(t.core, &t.core->voter.in_effect, true, &next);
	return cluster_view_voters_epoch(&next.voters, 2) != 0 &&
	       (epoch_of_production == 0 ||
		cluster_view_voters_epoch(&next.voters, 0) == epoch_of_production);
}

START_TEST(a_vote_is_not_handed_back_to_half_of_the_voters)
{
	ck_assert(keeps_its_vote(0));   /* its file cannot be written */
	ck_assert(keeps_its_vote(999)); /* it is admitted anew first */
	ck_assert(!keeps_its_vote(SOLO_EPOCH(0)));
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, a_vote_is_not_handed_back_to_half_of_the_voters);
	tcase_add_test(tc, a_promise_leaves_when_it_is_on_stable_storage);
	tcase_add_test(tc, a_view_is_accepted_when_it_is_on_stable_storage);
	tcase_add_test(tc, nothing_below_a_promise_is_accepted);
	tcase_add_test(tc, a_voter_whose_file_cannot_be_written_answers_nothing);
	tcase_add_test(tc, a_node_that_is_no_voter_accepts_nothing);
	tcase_add_test(tc, nobody_hears_of_a_ballot_before_it_is_durable_here);
	tcase_add_test(tc, a_majority_of_promises_then_of_acceptances);
	tcase_add_test(tc, promises_under_another_epoch_do_not_count);
	tcase_add_test(tc, an_undecided_view_is_proposed_again_as_it_is);
	tcase_add_test(tc, a_view_that_a_majority_accepted_is_in_effect);
	tcase_add_test(tc, of_two_undecided_views_the_newer_is_adopted);
	tcase_add_test(tc, an_undecided_change_of_voters_needs_both_majorities);
	tcase_add_test(tc, a_joint_view_takes_effect_with_both_majorities);
	tcase_add_test(tc, a_greater_ballot_takes_over_and_is_left_alone_a_while);
	tcase_add_test(tc, when_the_other_proposer_leaves_we_go_on_at_once);
	tcase_add_test(tc, a_refusal_is_answered_with_a_greater_ballot);
	tcase_add_test(tc, what_is_not_answered_is_said_again);
	tcase_add_test(tc, without_quorum_nothing_is_proposed);
	tcase_add_test(tc, one_that_is_not_the_coordinator_steps_in_when_that_one_sleeps);
}

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("round");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	add_tests(tc);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
