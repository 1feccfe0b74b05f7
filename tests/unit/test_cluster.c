/* test_cluster.c - the members through bad days. Guarantees are checked by the
 * harness all the time; after the last fault everything has to come together again. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/internal.h"
#include "tests/unit/members.h"

#define PARIS 0
#define LYON 1
#define MS MEMBERS_NS_PER_MS

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

static void five(void)
{
	create(2, 2, 1);
}

static void teardown(void)
{
	ck_assert_str_eq(m->violation, "");
	members_destroy(m);
}

static const struct generation *generation(uint32_t node)
{
	return cluster_view_generation(&m->node[node].core->voter.in_effect);
}

static void die(uint32_t node)
{
	members_kill(m, node, true);
	members_run(m, 100);
	members_fenced(m, node);
}

/* The promotion is refused, and the text says this. */
static void refused(uint32_t node, bool force, const char *why)
{
	const uint64_t id = members_command(m, node, CLUSTER_COMMAND_PROMOTE, force, -1);

	ck_assert(members_wait(m, id, 10000));
	ck_assert_int_eq(m->reply[id].exit_status, 1);
	if (strstr(m->reply[id].text, why) == NULL)
		ck_abort_msg("refused, but: %s", m->reply[id].text);
}

static void demote(uint32_t node)
{
	const bool serves = m->node[node].core->role.serve == SERVE_SERVING;
	const uint64_t id = members_command(m, node, CLUSTER_COMMAND_DEMOTE, false, -1);

	ck_assert(members_wait(m, id, 10000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	ck_assert_msg(!serves || strncmp(m->reply[id].text, "demoted, drained", 16) == 0,
		      "%s", m->reply[id].text);
}

/* The last reply names just these sites, as does every member's status. */
static void may_promote(uint32_t sites)
{
	char names[80], words[120];

	cluster_status_sites(m->node[4].core, sites, names, sizeof names);
	snprintf(words, sizeof words, "; may be promoted now: %s", names);
	ck_assert_str_eq(strstr(m->reply[m->command_count].text, "; may"), words);
	for (uint32_t n = 0; n < 5; n++) {
		members_status(m, n, &status);
		for (uint32_t s = 0; s < 2; s++)
			ck_assert_int_eq(status.sites[s].may_promote, sites >> s & 1);
	}
}

/* ---- failover ---- */

START_TEST(production_dies_its_mate_goes_on_with_the_same_disks)
{
	die(0);
	ck_assert(members_promote(m, 1, false));
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_eq(generation(1)->ordinal, 3);
	ck_assert_uint_eq(generation(1)->reason, GENERATION_RESTARTED);
	ck_assert_uint_eq(generation(1)->site, PARIS);
}
END_TEST

START_TEST(the_whole_site_dies_the_current_copy_goes_on)
{
	members_kill(m, 1, true);
	die(0);
	members_fenced(m, 1);
	ck_assert(members_promote(m, 2, false));
	ck_assert_uint_eq(generation(2)->reason, GENERATION_CURRENT);
	ck_assert_uint_eq(generation(2)->site, LYON);
	members_run(m, 300);

	members_start(m, 0); /* the old production returns, as a copy */
	members_start(m, 1);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_int_eq(members_serving(m), 2);
	ck_assert_int_eq(m->log[PARIS].open_node, 0);
}
END_TEST

START_TEST(a_production_that_restarts_opens_a_generation)
{
	members_kill(m, 0, false);
	members_start(m, 0);
	members_run(m, 300);
	ck_assert(members_promote(m, 0, false));
	ck_assert_uint_eq(generation(0)->ordinal, 3);
	ck_assert(members_run_until_converged(m, 5000));
	members_run(m, 100);
	demote(0); /* and so does one that only demoted */
	ck_assert(members_promote(m, 0, false));
	ck_assert_uint_eq(generation(0)->ordinal, 4);
	ck_assert_uint_eq(generation(0)->reason, GENERATION_CLEAN);
}
END_TEST

START_TEST(all_machines_lose_power_and_come_back)
{
	for (uint32_t n = 0; n < 5; n++)
		members_kill(m, n, true);
	members_run(m, 1000);
	for (uint32_t n = 5; n-- > 0;)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_int_eq(members_serving(m), -1);
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

/* A promoting node may die in the middle; this does not hold the next one up for long. */
static void die_in(enum round_state state)
{
	die(0);
	m->prepare_max_ms = 300;
	members_command(m, 2, CLUSTER_COMMAND_PROMOTE, false, -1);
	for (int i = 0; i < 2000 && (m->node[2].core->round.state != state ||
				     m->node[2].core->round.kind != ROUND_PROMOTE);
	     i++)
		members_run(m, 1);
	ck_assert_int_eq(m->node[2].core->round.state, state);
	die(2);
	ck_assert(members_promote(m, 3, false));
	members_start(m, 0);
	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 15000));
	ck_assert_int_eq(members_serving(m), 3);
}

START_TEST(a_promoter_that_dies_is_followed_by_another)
{
	die_in((enum round_state)_i);
}
END_TEST

/* ---- planned switch, demote, stop ---- */

/* P3-28: without loss, and the copy that was out of the set may follow a clean end. */
START_TEST(a_clean_demote_lets_the_other_site_take_over)
{
	demote(0);
	may_promote(1u << PARIS | 1u << LYON);
	members_status(m, 4, &status);
	ck_assert_int_eq(status.production_node, -1);
	ck_assert(m->node[4].core->voter.in_effect.clean);
	ck_assert(members_promote(m, 2, false));
	ck_assert_uint_eq(generation(2)->reason, GENERATION_CLEAN);
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

/* M5: production names its heir, which is promoted without any other command. */
START_TEST(production_moves_by_one_command)
{
	const struct fact linked = { .type = FACT_LINK,
				     .site = LYON,
				     .link = LINK_CONNECTED };
	char text[200];
	uint64_t id;

	ck_assert_int_eq(cluster_switch_check(m->node[0].core, LYON, text, sizeof text),
			 -ENOTCONN);
	members_fact(m, 0, &linked);
	for (int ms = 0;
	     ms < 100 && m->node[0].core->role.copy[LYON].link != LINK_CONNECTED; ms++)
		members_run(m, 1);
	ck_assert_int_eq(cluster_switch_check(m->node[0].core, LYON, text, sizeof text),
			 0);
	ck_assert_int_eq(cluster_switch_check(m->node[0].core, PARIS, text, sizeof text),
			 -EALREADY);
	ck_assert_int_eq(cluster_switch_check(m->node[2].core, PARIS, text, sizeof text),
			 -EPERM);
	ck_assert_ptr_nonnull(strstr(text, "n1"));
	id = members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, LYON);
	ck_assert(members_wait(m, id, 5000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	members_run(m, 2000);
	ck_assert_int_eq(m->node[2].core->role.serve, SERVE_SERVING);
	ck_assert_uint_eq(generation(2)->reason, GENERATION_CLEAN);
	ck_assert(members_run_until_converged(m, 5000));
	members_network(m, "01|234");
	members_run(m, 3000);
	ck_assert_int_eq(cluster_switch_check(m->node[2].core, PARIS, text, sizeof text),
			 -ENOTCONN);
	members_network(m, "01234");
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

/* A copy that does not get there ends the demote: production serves on. */
START_TEST(a_demote_for_a_copy_that_hangs_serves_on)
{
	struct fact late = { .type = FACT_DEMOTED, .error = -ETIMEDOUT };
	uint64_t id;

	members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, LYON);
	id = m->command_count;
	strcpy(late.text, "late");
	late.order_id = m->node[0].core->role.demote_id;
	ck_assert_int_eq(m->node[0].core->role.serve, SERVE_DEMOTING);
	members_fact(m, 0, &late);
	members_run(m, 1);
	ck_assert(members_wait(m, id, 1000));
	ck_assert_int_eq(m->reply[id].exit_status, 1);
	ck_assert_str_eq(m->reply[id].text, "late");
	ck_assert_int_eq(m->node[0].core->role.serve, SERVE_SERVING);
}
END_TEST

START_TEST(a_copy_that_has_not_all_of_a_clean_end_is_refused)
{
	uint64_t id = members_command(m, 0, CLUSTER_COMMAND_DISCONNECT, false, -1);

	ck_assert(members_wait(m, id, 5000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	members_run(m, 500);
	strcpy(m->config.instance, "data@n3");
	members_status(m, 2, &status);
	ck_assert_ptr_nonnull(
		strstr(status.sites[LYON].text, "`hamirror connect data@n1 lyon`"));
	demote(0);
	may_promote(1u << PARIS);
	refused(2, false, "outdated");
	ck_assert(members_promote(m, 0, false));
	id = members_command(m, 0, CLUSTER_COMMAND_CONNECT, false, LYON);
	ck_assert(members_wait(m, id, 5000));
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

START_TEST(a_demote_without_quorum_ends_and_is_told_later)
{
	uint64_t id;

	members_network(m, "0|1|2|3|4");
	members_run(m, 100);
	id = members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, -1);
	ck_assert(members_wait(m, id, 10000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	members_network(m, "01234");
	members_run(m, 2000);
	members_status(m, 4, &status);
	ck_assert_int_eq(m->node[4].core->voter.in_effect.production_node, VIEW_NONE);
	ck_assert(members_promote(m, 0, false));
}
END_TEST

START_TEST(a_stop_of_production_needs_no_lease_to_be_waited_out)
{
	const uint64_t id = members_command(m, 0, CLUSTER_COMMAND_STOP, false, -1);
	uint64_t begun;

	ck_assert(members_wait(m, id, 5000));
	members_kill(m, 0, false);
	begun = m->now_ns;
	ck_assert(members_promote(m, 2, false));
	ck_assert_uint_le(m->now_ns - begun, 300 * MS);
}
END_TEST

/* ---- refusals ---- */

START_TEST(while_another_serves_nobody_is_promoted_not_even_by_force)
{
	strcpy(m->config.instance, "data@n3");
	refused(2, false, "n1 serves: `hamirror demote data@n1`");
	refused(2, true, "n1 serves");
	refused(1, true, "n1 serves");
	refused(4, true, "witness");
	members_run(m, 2000);
	ck_assert_int_eq(members_serving(m), 0);
	ck_assert_uint_eq(m->serve_count, 1);
}
END_TEST

START_TEST(a_minority_is_refused_by_name)
{
	members_network(m, "0124|3");
	members_run(m, 3000);
	refused(3, false, "no quorum");
	refused(3, true, "no quorum");
	m->votes_needed = 1; /* corosync lets it, the voters do not */
	members_network(m, "012|34");
	members_run(m, 3000);
	refused(3, false, "a majority, or a fencing that breaks the tie");
}
END_TEST

/* G4: a copy that is not current is promoted only by force, which names the possible loss. */
START_TEST(an_outdated_copy_is_promoted_only_by_force)
{
	uint64_t id;

	members_lines(m, "01|234");
	members_run(m, 1000); /* lyon is out of the set, paris writes on */
	members_kill(m, 1, true);
	die(0);
	members_fenced(m, 1);
	refused(2, false, "outdated");
	m->forced = true;
	id = members_command(m, 2, CLUSTER_COMMAND_PROMOTE, true, -1);
	ck_assert(members_wait(m, id, 5000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	ck_assert_ptr_nonnull(strstr(m->reply[id].text, "lost"));
	ck_assert_uint_eq(generation(2)->reason, GENERATION_FORCED);
	members_network(m, "01234");
	members_start(m, 0);
	members_start(m, 1);
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

/* A refused promotion costs production nothing: its lease goes on. */
START_TEST(a_refused_promotion_does_not_stop_production)
{
	for (int i = 0; i < 20; i++) {
		members_command(m, 2, CLUSTER_COMMAND_PROMOTE, i % 2 == 0, -1);
		members_run(m, 150);
		ck_assert_int_eq(members_serving(m), 0);
	}
}
END_TEST

/* It knows nothing yet but that somebody serves: production says no by itself. */
START_TEST(one_that_has_just_come_is_told_by_production)
{
	members_kill(m, 2, false);
	members_start(m, 2);
	for (int i = 0; i < 200 && m->node[2].core->role.devices != DEVICES_OPEN; i++)
		members_run(m, 1);
	m->node[2].core->node[0].renewed_ns = 0;
	m->node[2].core->node[0].said.flags = 0;
	refused(2, true, "n1 serves");
	members_run(m, 1500);
	ck_assert_int_eq(members_serving(m), 0);
	ck_assert_uint_eq(m->serve_count, 1);
}
END_TEST

/* ---- leases of older generations (D7) ---- */

/* A promotion that was called off has waited for nothing: the next one still must. */
START_TEST(a_promotion_that_is_called_off_does_not_end_older_leases)
{
	uint64_t cut;

	members_network(m, "0|1234");
	cut = m->now_ns;
	members_run(m, 100);
	members_command(m, 2, CLUSTER_COMMAND_PROMOTE, false, -1);
	for (int i = 0; i < 500 && m->node[2].core->promote.state != PROMOTE_LEASE; i++)
		members_run(m, 1);
	ck_assert_int_eq(m->node[2].core->promote.state, PROMOTE_LEASE);
	demote(2);
	ck_assert(members_promote(m, 2, false));
	ck_assert_uint_ge(m->now_ns, cut + 1000 * MS);
}
END_TEST

/* Cut off while another was promoted, it starts no mirroring when it is back. */
START_TEST(a_deposed_production_calls_no_copy)
{
	uint32_t before;

	members_network(m, "0|1234");
	members_run(m, 100);
	ck_assert(members_promote(m, 2, false));
	members_run(m, 500);
	before = m->started_count;
	members_network(m, "01234");
	ck_assert(members_run_until_converged(m, 5000));
	for (uint32_t i = before; i < m->started_count; i++)
		ck_assert(uuid_equal(&m->started[i].generation, &generation(2)->id));
}
END_TEST

/* ---- voters (D1, D2) ---- */

START_TEST(a_voter_that_lost_its_file_is_admitted_again)
{
	const uint64_t before = m->node[4].core->voter.epoch;

	members_kill(m, 4, false);
	members_lose_file(m, 4);
	members_start(m, 4);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_ne(m->node[4].core->voter.epoch, before);
	ck_assert_int_eq(members_serving(m), 0);
	/* It counts again: with it and one more gone, three of five decide. */
	members_kill(m, 3, true);
	members_kill(m, 1, true);
	members_run(m, 3000);
	ck_assert_int_eq(members_serving(m), 0);
}
END_TEST

/* P3-25 in part: one more witness in the file, everywhere, while nothing runs. */
START_TEST(a_new_node_of_the_configuration_becomes_a_voter)
{
	for (uint32_t n = 0; n < 5; n++)
		members_kill(m, n, true);
	m->config.node_count = m->node_count = 6;
	m->config.node[5].site = -1;
	strcpy(m->config.node[5].name, "n6");
	m->config.hash++;
	m->view_count = 0; /* views are encoded with one name more */
	m->node[5].boot = 77;
	m->node[5].config = &m->config;
	m->node[5].io.stream_from = -1;
	for (uint32_t n = 0; n < 6; n++)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_eq(m->node[0].core->voter.in_effect.voters.count, 6);
	ck_assert_uint_eq(m->node[0].core->voter.in_effect.config_hash, m->config.hash);
}
END_TEST

START_TEST(two_nodes_go_on_after_a_fencing_and_not_without)
{
	members_kill(m, 1, true);
	members_run(m, 5000);
	ck_assert_int_eq(members_serving(m), -1); /* the lease has ended */
	members_fenced(m, 1);
	members_run(m, 500);
	ck_assert_int_eq(members_serving(m), 0);
	ck_assert(!m->node[0].io.link[LYON].waited);
	members_start(m, 1);
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

START_TEST(of_two_nodes_the_copy_goes_on_after_a_fencing)
{
	die(0);
	ck_assert(members_promote(m, 1, false));
	members_run(m, 200);
	members_start(m, 0);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_int_eq(members_serving(m), 1);
}
END_TEST

/* n2 went on alone after it fenced n1. Then both lose power and n1 comes back alone: it
 * must not trust its old view, whichever node was fenced. */
START_TEST(who_was_fenced_does_not_break_a_tie_when_it_comes_back)
{
	die(0);
	ck_assert(members_promote(m, 1, false));
	members_run(m, 300);
	members_kill(m, 1, true);
	members_start(m, 0);
	members_run(m, 100);
	members_fenced(m, 1);
	members_run(m, 3000);
	refused(0, false, "the others were fenced");
	members_start(m, 1);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert(members_promote(m, 1, false));
}
END_TEST

/* ---- three sites ---- */

/* Nice's host restarted while nobody could put it out of the set: its records are rolled
 * forward, but its new incarnation is not current (D4). */
START_TEST(a_copy_that_restarted_is_a_source_and_not_current)
{
	const uint32_t hosts[] = { 1, 1, 1 };

	m = members_create(9, 3, hosts, 0);
	m->writes = true;
	for (uint32_t n = 0; n < 3; n++)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
	members_run(m, 200);
	members_kill(m, 2, false);
	members_kill(m, 0, true);
	members_start(m, 2);
	members_run(m, 300);
	members_fenced(m, 0);
	ck_assert(m->node[1].core->voter.in_effect.site[2].current);
	ck_assert(members_promote(m, 1, false));
	ck_assert_uint_eq(m->node[1].io.served_sites, 0);
	members_start(m, 0);
	ck_assert(members_run_until_converged(m, 5000));
	teardown();
}
END_TEST

static TCase *tcase(Suite *s, const char *name, void (*setup)(void))
{
	TCase *tc = tcase_create(name);

	if (setup != NULL)
		tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(s, tc);
	return tc;
}

static void two(void)
{
	create(1, 1, 0);
}

static void add_five(TCase *tc)
{
	tcase_add_test(tc, production_dies_its_mate_goes_on_with_the_same_disks);
	tcase_add_test(tc, the_whole_site_dies_the_current_copy_goes_on);
	tcase_add_test(tc, a_production_that_restarts_opens_a_generation);
	tcase_add_test(tc, all_machines_lose_power_and_come_back);
	tcase_add_loop_test(tc, a_promoter_that_dies_is_followed_by_another,
			    ROUND_PERSIST, ROUND_ACCEPT + 1);
	tcase_add_test(tc, a_clean_demote_lets_the_other_site_take_over);
	tcase_add_test(tc, production_moves_by_one_command);
	tcase_add_test(tc, a_demote_for_a_copy_that_hangs_serves_on);
	tcase_add_test(tc, a_copy_that_has_not_all_of_a_clean_end_is_refused);
	tcase_add_test(tc, a_demote_without_quorum_ends_and_is_told_later);
	tcase_add_test(tc, a_stop_of_production_needs_no_lease_to_be_waited_out);
	tcase_add_test(tc, while_another_serves_nobody_is_promoted_not_even_by_force);
	tcase_add_test(tc, a_minority_is_refused_by_name);
	tcase_add_test(tc, an_outdated_copy_is_promoted_only_by_force);
	tcase_add_test(tc, a_refused_promotion_does_not_stop_production);
	tcase_add_test(tc, one_that_has_just_come_is_told_by_production);
	tcase_add_test(tc, a_promotion_that_is_called_off_does_not_end_older_leases);
	tcase_add_test(tc, a_deposed_production_calls_no_copy);
	tcase_add_test(tc, a_voter_that_lost_its_file_is_admitted_again);
	tcase_add_test(tc, a_new_node_of_the_configuration_becomes_a_voter);
}

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc;
	SRunner *sr = srunner_create(s);
	int failed;

	add_five(tcase(s, "cluster, five nodes", five));
	tc = tcase(s, "cluster, two nodes", two);
	tcase_add_test(tc, two_nodes_go_on_after_a_fencing_and_not_without);
	tcase_add_test(tc, of_two_nodes_the_copy_goes_on_after_a_fencing);
	tcase_add_test(tc, who_was_fenced_does_not_break_a_tie_when_it_comes_back);
	tc = tcase(s, "cluster, three sites", NULL);
	tcase_add_test(tc, a_copy_that_restarted_is_a_source_and_not_current);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
