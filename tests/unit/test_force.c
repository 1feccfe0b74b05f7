/* test_force.c - D2 by force: a remaining node goes on in a lineage of its own. The harness
 * checks the guarantees all the time. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/internal.h"
#include "tests/unit/members.h"

#define PARIS 0
#define LYON 1

static struct members *m;
static struct cluster_status status;

static void create(uint32_t a, uint32_t b, uint32_t witnesses)
{
	const uint32_t hosts[] = { a, b };

	m = members_create(7, 2, hosts, witnesses);
	m->writes = true;
	for (uint32_t n = 0; n < m->node_count; n++)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
	members_run(m, 200);
}

static void three(void)
{
	create(1, 1, 1);
}

static void shared(void)
{
	create(2, 1, 0);
}

static void shared_at_the_end(void)
{
	uint64_t id;

	create(1, 2, 0);
	id = members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	ck_assert(members_wait(m, id, 5000));
	ck_assert(members_promote(m, 1, false));
	ck_assert(members_run_until_converged(m, 5000));
}

static void teardown(void)
{
	ck_assert_str_eq(m->violation, "");
	members_destroy(m);
}

static void die(uint32_t node)
{
	members_kill(m, node, true);
	members_run(m, 100);
	members_fenced(m, node);
}

/* n2 alone is left of three, for good as far as the operator knows. */
static void force_alone(void)
{
	uint64_t id;

	m->votes_needed = 1;
	members_network(m, "02|1");
	members_run(m, 3000);
	m->forced = true;
	id = members_command(m, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	ck_assert(members_wait(m, id, 5000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	members_run(m, 300);
	ck_assert_int_eq(m->log[LYON].open_node, 1);
	ck_assert_int_eq(m->node[1].io.engine, ENGINE_SERVING);
	/* current, as far as it knows; the operator gave up whatever the others know */
	ck_assert_uint_eq(
		history_newest(&m->node[1].core->voter.in_effect.history)->reason,
		GENERATION_FORCED);
}

START_TEST(by_force_one_goes_on_without_a_majority_and_the_others_follow)
{
	die(0);
	members_kill(m, 2, true);
	force_alone();
	ck_assert_uint_eq(m->node[1].core->voter.in_effect.voters.count, 1);
	ck_assert(!uuid_is_zero(&m->node[1].core->voter.in_effect.fork.lineage));
	members_network(m, "012");
	members_start(m, 0);
	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_eq(m->node[1].core->voter.in_effect.voters.count, 3);
	ck_assert_int_eq(members_serving(m), 1);
}
END_TEST

/* It restarted, alone: nobody can agree with it that it has its disks. */
START_TEST(by_force_one_goes_on_that_has_restarted)
{
	die(0);
	members_kill(m, 2, true);
	members_kill(m, 1, true);
	m->votes_needed = 1;
	members_network(m, "02|1");
	members_start(m, 1);
	force_alone();
	ck_assert_uint_eq(m->node[1].core->voter.in_effect.voters.count, 1);
	members_network(m, "012");
	members_start(m, 0);
	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_int_eq(members_serving(m), 1);
}
END_TEST

/* Its disks were another host's, which may live: no force takes them (D6). */
START_TEST(no_force_takes_the_disks_of_a_host_that_may_live)
{
	uint64_t id;

	m->votes_needed = 1;
	members_kill(m, 2, true);
	members_network(m, "02|1");
	members_kill(m, 1, true);
	members_start(m, 1);
	members_run(m, 3000);
	m->forced = true;
	id = members_command(m, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	members_run(m, 8000);
	ck_assert(!m->reply[id].done);
	ck_assert_int_eq(m->log[PARIS].open_node, 0);
	members_status(m, 1, &status);
	ck_assert_ptr_nonnull(strstr(status.text, "fenced"));
	members_network(m, "012");
	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

/* It left in order and its mate took over, which it has not heard: its own view does not
 * tell which node has the disks now. A fencing of the mate does. */
START_TEST(no_force_takes_disks_that_a_mate_may_have_taken_over)
{
	uint64_t id;

	m->votes_needed = 1;
	id = members_command(m, 0, CLUSTER_COMMAND_STOP, false, -1);
	ck_assert(members_wait(m, id, 5000));
	members_kill(m, 0, false);
	members_run(m, 2000);
	ck_assert_int_eq(m->log[PARIS].open_node, 1);
	members_network(m, "0|12");
	members_start(m, 0);
	members_run(m, 3000);
	m->forced = m->parted = true;
	id = members_command(m, 0, CLUSTER_COMMAND_PROMOTE, true, -1);
	members_run(m, 8000);
	ck_assert(!m->reply[id].done);
	ck_assert_int_eq(m->log[PARIS].open_node, 1);
	members_status(m, 0, &status);
	ck_assert_ptr_nonnull(strstr(status.text, "fenced"));
	members_kill(m, 1, true);
	members_fenced(m, 1);
	ck_assert(members_wait(m, id, 8000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	ck_assert_int_eq(m->log[PARIS].open_node, 0);
}
END_TEST

static struct config shorter;

/* The same, and the mate has been taken out of the file here: it has the disks none the
 * less. To list it again is the way to tell of its fencing. */
START_TEST(no_force_takes_disks_that_a_mate_of_before_may_have_taken_over)
{
	uint64_t id;

	m->votes_needed = 1;
	id = members_command(m, 1, CLUSTER_COMMAND_STOP, false, -1);
	ck_assert(members_wait(m, id, 5000));
	members_kill(m, 1, false);
	members_run(m, 2000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
	shorter = m->config;
	shorter.node_count = 2;
	memset(&shorter.node[2], 0, sizeof shorter.node[2]);
	m->node[1].config = &shorter;
	members_network(m, "1|02");
	members_start(m, 1);
	members_run(m, 3000);
	m->forced = m->parted = true;
	id = members_command(m, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	members_run(m, 8000);
	ck_assert(!m->reply[id].done);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
	members_status(m, 1, &status);
	ck_assert_ptr_nonnull(strstr(status.text, "(list it again)"));
	members_kill(m, 1, false);
	m->node[1].config = &m->config;
	members_start(m, 1);
	members_kill(m, 2, true);
	members_run(m, 3000);
	members_fenced(m, 2);
	id = members_command(m, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	ck_assert(members_wait(m, id, 8000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	ck_assert_int_eq(m->log[LYON].open_node, 1);
}
END_TEST

/* A majority that does without the mate gives it no disks: it is not asked any more. */
START_TEST(a_mate_of_before_is_forgotten_by_a_majority)
{
	uint64_t id;

	for (uint32_t n = 0; n < 3; n++)
		members_kill(m, n, false);
	shorter = m->config;
	shorter.node_count = 2;
	m->node[0].config = m->node[1].config = &shorter;
	members_start(m, 0);
	members_start(m, 1);
	ck_assert(members_run_until_converged(m, 5000));
	members_run(m, 1000);
	members_kill(m, 0, false);
	members_kill(m, 1, false);
	members_start(m, 1);
	m->forced = m->parted = true;
	m->votes_needed = 1;
	id = members_command(m, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	ck_assert(members_wait(m, id, 20000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
}
END_TEST

/* Demoted, though the members cannot be told, and then promoted again: the demote does
 * not come once more. */
START_TEST(a_demote_that_waits_for_its_view_does_not_outlive_a_promotion)
{
	uint64_t demote, promote;

	m->votes_needed = 1;
	m->forced = true;
	members_network(m, "0|12");
	members_run(m, 300);
	demote = members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	members_run(m, 3500);
	ck_assert(!m->reply[demote].done);
	promote = members_command(m, 0, CLUSTER_COMMAND_PROMOTE, true, -1);
	ck_assert(m->reply[demote].done);
	ck_assert(members_wait(m, promote, 5000));
	ck_assert_int_eq(m->reply[promote].exit_status, 0);
	members_run(m, 3000);
	ck_assert_int_eq(m->node[0].io.engine, ENGINE_SERVING);
}
END_TEST

/* The others had gone on as well: they are told apart and neither follows. */
START_TEST(two_lineages_that_both_went_on_refuse_each_other)
{
	const int32_t before = (int32_t)m->serve_count;

	m->parted = true;
	force_alone();
	ck_assert_int_eq((int32_t)m->serve_count, before + 1);
	members_network(m, "012");
	members_run(m, 1000);
	members_status(m, 0, &status);
	ck_assert(!status.nodes[1].member);
	ck_assert_ptr_nonnull(strstr(status.nodes[1].text, "SplitBrain"));
	members_status(m, 1, &status);
	ck_assert(!status.nodes[0].member);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("force");
	TCase *tc = tcase_create("three nodes");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, three, teardown);
	tcase_add_test(tc, by_force_one_goes_on_without_a_majority_and_the_others_follow);
	tcase_add_test(tc, by_force_one_goes_on_that_has_restarted);
	tcase_add_test(tc, a_demote_that_waits_for_its_view_does_not_outlive_a_promotion);
	tcase_add_test(tc, two_lineages_that_both_went_on_refuse_each_other);
	suite_add_tcase(s, tc);
	tc = tcase_create("two hosts of a site");
	tcase_add_checked_fixture(tc, shared, teardown);
	tcase_add_test(tc, no_force_takes_the_disks_of_a_host_that_may_live);
	tcase_add_test(tc, no_force_takes_disks_that_a_mate_may_have_taken_over);
	suite_add_tcase(s, tc);
	tc = tcase_create("two hosts of the last site");
	tcase_add_checked_fixture(tc, shared_at_the_end, teardown);
	tcase_add_test(tc,
		       no_force_takes_disks_that_a_mate_of_before_may_have_taken_over);
	tcase_add_test(tc, a_mate_of_before_is_forgotten_by_a_majority);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
