/* test_lease.c - D7: voters that grant, and how long production may answer. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/members.h"
#include "tests/unit/solo.h"

#define BALLOT(number, node) cluster_view_ballot_make(number, node)

static struct solo t;
static struct view view;
static struct uuid generation;
static uint64_t voters; /* that the production counts */

/* ---- the voter: node 2 of 0, 1, 2; node 0 is production --------------------------- */

static void setup_voter(void)
{
	struct config config;

	solo_config(&config);
	solo_view(&config, 3, &view);
	view.production_node = 0;
	generation = cluster_view_generation(&view)->id;
	voters = cluster_view_voters_hash(&view.voters);
	solo_create(&t, 2, &view, true);
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 1);
	solo_persisted(&t);
	solo_clear(&t);
}

/* The same, and node 2 is production. */
static void setup_production(void)
{
	struct config config;

	solo_config(&config);
	solo_view(&config, 3, &view);
	view.production_node = 2;
	generation = cluster_view_generation(&view)->id;
	voters = cluster_view_voters_hash(&view.voters);
	solo_create(&t, 2, &view, true);
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 1);
	solo_persisted(&t);
	solo_clear(&t);
}

static void teardown_voter(void)
{
	solo_destroy(&t);
}

static bool grants(uint32_t node, const struct uuid *id)
{
	struct message m = { .type = MESSAGE_RENEW };

	solo_clear(&t);
	m.lease.generation = *id;
	m.lease.counter = 5;
	m.lease.voters = voters;
	solo_say(&t, node, &m);
	return solo_sent(&t, MESSAGE_GRANT) != NULL;
}

START_TEST(the_generation_in_effect_is_granted_to_its_production)
{
	const struct uuid other = { { 8 } };

	ck_assert(grants(0, &generation));
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_GRANT)->lease.counter, 5);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_GRANT)->lease.epoch, SOLO_EPOCH(2));
	ck_assert(!grants(1, &generation));
	ck_assert(!grants(0, &other));
}
END_TEST

static void fail_to_persist(void)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_PERSISTED };

	t.core->voter_dirty = true;
	solo_tick(&t, 1);
	ck_assert(t.persist_asked);
	t.persist_asked = false;
	e.persisted.error = -5;
	e.persisted.counter = t.persist_counter;
	solo_step(&t, &e);
}

/* D7: its promises would not be kept. */
START_TEST(a_voter_that_cannot_write_grants_nothing)
{
	fail_to_persist();
	ck_assert(!grants(0, &generation));
}
END_TEST

START_TEST(production_that_cannot_write_grants_itself)
{
	solo_agree(&t);
	ck_assert(grants(2, &generation));
	fail_to_persist();
	ck_assert(grants(2, &generation));
}
END_TEST

START_TEST(nothing_is_granted_after_a_promise_to_another)
{
	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_PROMOTE);
	ck_assert(!grants(0, &generation));
	solo_persisted(&t);
	ck_assert(!grants(0, &generation));

	/* Nor when production itself has proposed since, until it has come to a view: its
	 * majority needs no voter of those that may still complete the other's. */
	solo_prepare(&t, 0, BALLOT(21, 0), ROUND_CONFIRM);
	ck_assert(!grants(0, &generation));
	solo_persisted(&t);
	view.ballot = BALLOT(21, 0);
	solo_propose(&t, 0, &view);
	ck_assert(grants(0, &generation));
}
END_TEST

/* Three voters, we are production: 1 has our promise and its own, and needs only 0 to
 * accept; 0 has heard of neither ballot. Our own next one takes no promise back: with 0
 * we would renew a lease that 1 has not begun to wait for. */
START_TEST(production_keeps_a_promise_to_another_when_it_begins_a_ballot)
{
	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_PROMOTE);
	solo_persisted(&t);
	ck_assert(!grants(2, &generation));
	solo_ring(&t, 5); /* 1 is cut off, 0 is there: we begin a ballot of our own */
	solo_announce(&t, 0);
	solo_tick(&t, 20000);
	ck_assert_uint_gt(t.core->voter.promised, BALLOT(20, 1));
	ck_assert_int_eq(t.core->round.state, ROUND_PERSIST);
	ck_assert(!grants(2, &generation));
}
END_TEST

/* That ballot can bring no other view any more than the one accepted under it. */
START_TEST(a_promise_that_came_to_the_same_generation_keeps_nothing_back)
{
	solo_prepare(&t, 1, BALLOT(20, 1), ROUND_CONFIRM);
	solo_persisted(&t);
	view.ballot = BALLOT(20, 1);
	solo_propose(&t, 1, &view);
	ck_assert(grants(0, &generation));
}
END_TEST

/* A majority of three voters and one of a single voter need not overlap. A production that
 * still counts three has missed two views, and is granted nothing. */
START_TEST(a_production_two_changes_of_voters_behind_is_not_granted)
{
	const struct view_voters three = view.voters;

	view.ballot = BALLOT(20, 0);
	view.old = view.voters;
	cluster_view_voters_drop(&view.voters, 1);
	solo_propose(&t, 0, &view);
	ck_assert(grants(0, &generation));
	voters = cluster_view_voters_hash(&view.voters);
	ck_assert(grants(0, &generation));

	view.ballot = BALLOT(21, 0);
	view.old = view.voters;
	cluster_view_voters_drop(&view.voters, 0);
	solo_propose(&t, 0, &view);
	ck_assert(grants(0, &generation));
	voters = cluster_view_voters_hash(&three);
	ck_assert(!grants(0, &generation));
}
END_TEST

START_TEST(an_accepted_successor_ends_the_grants_for_good)
{
	struct generation g = {
		.ordinal = 2,
		.id = { { 7 } },
		.parent = generation,
		.reason = GENERATION_CURRENT,
		.site = 1,
	};

	view.ballot = BALLOT(20, 1);
	history_append(&view.history, &g);
	view.production_node = 1;
	solo_propose(&t, 1, &view);
	ck_assert(!grants(0, &generation));
	solo_prepare(&t, 0, BALLOT(21, 0), ROUND_CONFIRM);
	ck_assert(!grants(0, &generation));
}
END_TEST

/* ---- production, among others -------------------------------------------------------- */

static struct members *m;

static void setup_members(void)
{
	static const uint32_t hosts[] = { 2, 2 };

	m = members_create(11, 2, hosts, 1);
	m->writes = true;
	for (uint32_t n = 0; n < m->node_count; n++)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
}

static void teardown_members(void)
{
	ck_assert_str_eq(m->violation, "");
	members_destroy(m);
}

START_TEST(it_is_renewed_every_quarter)
{
	const uint32_t before = m->node[0].order_count[ORDER_LEASE];
	struct cluster_status status;

	members_run(m, 2000);
	ck_assert_uint_ge(m->node[0].order_count[ORDER_LEASE] - before, 7);
	ck_assert_uint_le(m->node[0].order_count[ORDER_LEASE] - before, 9);
	members_status(m, 0, &status);
	ck_assert_uint_gt(status.lease_left_ms, 700);
	ck_assert_uint_le(status.lease_left_ms, 1000);
}
END_TEST

/* It runs from the sending: cut off, production answers no longer than one length. */
START_TEST(cut_off_it_ends_by_itself)
{
	members_network(m, "0|1234");
	members_run(m, 700);
	ck_assert_int_eq(members_serving(m), 0);
	members_run(m, 350);
	ck_assert_int_eq(members_serving(m), -1);

	members_network(m, "01234");
	ck_assert(members_run_until_converged(m, 5000));
	for (uint32_t i = 0; i < 10 && members_serving(m) < 0; i++)
		members_run(m, 100);             /* until it is granted the lease again */
	ck_assert_int_eq(members_serving(m), 0); /* nobody was promoted */
	ck_assert_uint_eq(m->serve_count, 1);
}
END_TEST

/* Nobody says that it has ended: the successor serves when its lease is over. */
START_TEST(a_successor_waits_the_lease_out)
{
	uint64_t id, begun;

	members_network(m, "0|1234");
	members_run(m, 100);
	begun = m->now_ns;
	id = members_command(m, 2, CLUSTER_COMMAND_PROMOTE, false, -1);
	members_run(m, 500);
	ck_assert(!m->reply[id].done);
	ck_assert(members_wait(m, id, 3000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	ck_assert_uint_ge(m->now_ns - begun, 1000 * SOLO_MS);
}
END_TEST

START_TEST(after_a_fencing_it_waits_for_nothing)
{
	uint64_t begun;

	members_kill(m, 0, true);
	members_run(m, 100);
	members_fenced(m, 0);
	begun = m->now_ns;
	ck_assert(members_promote(m, 2, false));
	ck_assert_uint_le(m->now_ns - begun, 200 * SOLO_MS);
}
END_TEST

/* Stopped and let go on: its messages of before are old, its lease is over. */
START_TEST(a_hung_production_is_waited_out_and_deposed)
{
	uint64_t id;

	m->node[0].frozen_until_ns = m->now_ns + 10000 * SOLO_MS;
	members_run(m, 500);
	id = members_command(m, 2, CLUSTER_COMMAND_PROMOTE, false, -1);
	ck_assert(m->reply[id].done); /* it renewed a moment ago */
	ck_assert_int_eq(m->reply[id].exit_status, 1);
	members_run(m, 1000);
	ck_assert(members_promote(m, 2, false));
	members_run(m, 9000);
	ck_assert_uint_eq(m->node[0].order_count[ORDER_DEPOSE], 1);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_int_eq(members_serving(m), 2);
}
END_TEST

START_TEST(without_quorum_there_are_no_renewals)
{
	uint32_t before;

	members_network(m, "01|2|3|4");
	members_run(m, 50);
	before = m->node[0].order_count[ORDER_LEASE];
	members_run(m, 3000);
	ck_assert_uint_eq(m->node[0].order_count[ORDER_LEASE], before);
	ck_assert_int_eq(members_serving(m), -1);
	ck_assert_uint_eq(m->node[0].order_count[ORDER_FAIL_FROZEN], 0);
}
END_TEST

START_TEST(by_configuration_what_is_frozen_without_quorum_fails)
{
	m->config.on_no_quorum = CONFIG_NO_QUORUM_FAIL;
	members_network(m, "0|1|2|3|4");
	members_run(m, 500);
	ck_assert_uint_eq(m->node[0].order_count[ORDER_FAIL_FROZEN], 0);
	members_run(m, 3000);
	ck_assert_uint_ge(m->node[0].order_count[ORDER_FAIL_FROZEN], 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *voter = tcase_create("lease, voter"),
	      *production = tcase_create("lease, the voter at production"),
	      *others = tcase_create("lease, members");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(voter, setup_voter, teardown_voter);
	tcase_add_test(voter, the_generation_in_effect_is_granted_to_its_production);
	tcase_add_test(voter, nothing_is_granted_after_a_promise_to_another);
	tcase_add_test(voter, a_voter_that_cannot_write_grants_nothing);
	tcase_add_test(voter,
		       a_promise_that_came_to_the_same_generation_keeps_nothing_back);
	tcase_add_test(voter, a_production_two_changes_of_voters_behind_is_not_granted);
	tcase_add_test(voter, an_accepted_successor_ends_the_grants_for_good);
	suite_add_tcase(s, voter);
	tcase_add_checked_fixture(production, setup_production, teardown_voter);
	tcase_add_test(production, production_that_cannot_write_grants_itself);
	tcase_add_test(production,
		       production_keeps_a_promise_to_another_when_it_begins_a_ballot);
	suite_add_tcase(s, production);
	tcase_add_checked_fixture(others, setup_members, teardown_members);
	tcase_add_test(others, it_is_renewed_every_quarter);
	tcase_add_test(others, cut_off_it_ends_by_itself);
	tcase_add_test(others, a_successor_waits_the_lease_out);
	tcase_add_test(others, after_a_fencing_it_waits_for_nothing);
	tcase_add_test(others, a_hung_production_is_waited_out_and_deposed);
	tcase_add_test(others, without_quorum_there_are_no_renewals);
	tcase_add_test(others, by_configuration_what_is_frozen_without_quorum_fails);
	suite_add_tcase(s, others);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
