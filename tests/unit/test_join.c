/* test_join.c - paper 003, Figs. 4 and 5: the messages to each member when one joins, and
 * that mirroring starts once, whichever member comes last. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/members.h"
#include "tests/unit/solo.h"

/* ---- seen from one member ---- */

static struct solo t;
static struct view view;

static void setup(void)
{
	struct config config;

	solo_config(&config);
	solo_view(&config, 3, &view);
	solo_create(&t, 1, &view, true);
	solo_clear(&t);
}

static void teardown(void)
{
	solo_destroy(&t);
}

/* P3-9, P3-12: the member announces its join, and the disks it reaches, to all. */
START_TEST(a_joiner_announces_what_it_found)
{
	const struct announce *a;

	solo_ring(&t, 3);
	a = &solo_sent(&t, MESSAGE_ANNOUNCE)->announce;
	ck_assert_str_eq(a->name, "n2");
	ck_assert_uint_eq(a->reach, 1);
	ck_assert_int_eq(a->site, VIEW_NONE);
	ck_assert_uint_eq(a->epoch, SOLO_EPOCH(1));
	ck_assert_uint_eq(a->ballot, view.ballot);
	ck_assert_uint_ne(a->incarnation_next, 0);
}
END_TEST

/* P3-11: cpg tells a healed partition as NODEUP, without a join. */
START_TEST(whoever_comes_everyone_announces_itself_again)
{
	solo_ring(&t, 3);
	solo_announce(&t, 0);
	solo_clear(&t);
	solo_ring(&t, 2);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_ANNOUNCE), 0);
	solo_ring(&t, 3);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_ANNOUNCE), 1);
}
END_TEST

/* P3-11: the lowest in backup order that was there, when there is no production. */
START_TEST(the_lowest_of_those_that_were_there_sends_the_state)
{
	solo_ring(&t, 2 | 4);
	solo_announce(&t, 2);
	solo_clear(&t);
	solo_ring(&t, 2 | 4 | 8);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_STATE), 1);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_STATE)->state.view.ballot, view.ballot);
}
END_TEST

START_TEST(who_is_not_the_lowest_does_not_and_takes_over_when_that_one_leaves)
{
	struct announce a;

	solo_ring(&t, 1 | 2);
	solo_announce_fill(&t, 0, &a);
	a.ballot = view.ballot;
	solo_announce_as(&t, 0, &a);
	solo_clear(&t);
	solo_ring(&t, 1 | 2 | 8);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_STATE), 0);
	solo_ring(&t, 2 | 8); /* it left before its message came */
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_STATE), 1);
}
END_TEST

START_TEST(the_production_host_sends_it_before_the_lowest)
{
	struct announce a;

	view.production_node = 2;
	view.production_site = 1;
	teardown();
	solo_create(&t, 1, &view, true);
	solo_ring(&t, 2 | 4);
	solo_announce_fill(&t, 2, &a);
	a.flags = ANNOUNCE_SERVING;
	a.serving = cluster_view_generation(&view)->id;
	a.ballot = view.ballot;
	solo_announce_as(&t, 2, &a);
	solo_clear(&t);
	solo_ring(&t, 2 | 4 | 8);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_STATE), 0);
}
END_TEST

START_TEST(a_joiner_takes_the_state_it_is_sent)
{
	struct message m = { .type = MESSAGE_STATE };

	view.ballot = cluster_view_ballot_make(40, 0);
	m.state.has_view = true;
	m.state.view = view;
	m.state.fenced_boot[3] = 77;
	m.state.released[2][0] = 88;
	solo_ring(&t, 3);
	solo_announce(&t, 0);
	solo_say(&t, 0, &m);
	ck_assert_uint_eq(t.core->voter.in_effect.ballot, view.ballot);
	ck_assert_uint_eq(t.core->node[3].fenced_boot, 77);
	ck_assert(cluster_devices_are_released(t.core, 2, 88));
}
END_TEST

/* Only members present at the time know that a host gave its devices back: a later one has
 * its voter file. */
START_TEST(a_joiner_tells_of_a_release_that_the_state_lacks)
{
	struct message m = { .type = MESSAGE_STATE };

	view.site[1].host = (struct view_host){ .node = 3, .incarnation = 88, .boot = 9 };
	m.state.has_view = true;
	m.state.view = view;
	teardown();
	solo_create(&t, 1, &view, true);
	cluster_devices_released(t.core, 3, 88);
	ck_assert(t.core->voter_dirty);
	solo_ring(&t, 3);
	solo_announce(&t, 0);
	solo_clear(&t);
	solo_say(&t, 0, &m);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_STATE), 1);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_STATE)->state.released[3][0], 88);
	m.state.released[3][2] = 88;
	solo_clear(&t);
	solo_say(&t, 0, &m);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_STATE), 0);
}
END_TEST

/* Nor may four openings since push out the one that a view names. */
START_TEST(a_release_of_a_named_host_is_not_forgotten)
{
	view.site[1].host = (struct view_host){ .node = 3, .incarnation = 88, .boot = 9 };
	teardown();
	solo_create(&t, 1, &view, true);
	for (uint64_t i = 88; i < 88 + 2 * RELEASED_COUNT_MAX; i++)
		cluster_devices_released(t.core, 3, i);
	ck_assert(cluster_devices_are_released(t.core, 3, 88));
	ck_assert(cluster_devices_are_released(t.core, 3, 87 + 2 * RELEASED_COUNT_MAX));
}
END_TEST

/* ---- refusals, by name ---- */

static void status(struct cluster_status *to)
{
	cluster_status_get(t.core, t.now_ns, to);
}

START_TEST(another_configuration_is_refused_and_takes_no_part)
{
	static const char *const says[][2] = {
		{ "mode: sync\naddresses: n3: 10.0.0.4:7790\n",
		  "refused: its file has addresses: n3: 10.0.0.4:7790, the one here "
		  "10.0.0.3:7790" },
		{ "mode: async\naddresses: n3: 10.0.0.3:7790\n",
		  "refused: its file has mode: async, the one here sync" },
		{ "mode: sync\n",
		  "refused: its file lacks addresses: n3: 10.0.0.3:7790, which the one "
		  "here has" },
		{ "mode: sync\naddresses: n3: 10.0.0.3:7790\ndisks: \xff\n",
		  "refused: its file has disks: ?, which the one here lacks" },
		/* Both are cut off before the difference. */
		{ "mode: sync\naddresses: n3: 10.0.0.3:7790\n",
		  "refused: its file differs from the one here" },
		{ "", "refused: its file differs from the one here" },
	};
	static struct cluster_status s;
	struct message m = { .type = MESSAGE_ANNOUNCE };
	static uint8_t data[CLUSTER_MESSAGE_MAX];
	struct cluster_event e = { .type = CLUSTER_EVENT_MESSAGE };

	solo_ring(&t, 3);
	solo_announce_fill(&t, 0, &m.announce);
	strcpy(t.config.agreed, "mode: sync\naddresses: n3: 10.0.0.3:7790\n");
	strcpy(m.agreed, says[_i][0]);
	m.incarnation = SOLO_PROCESS(0);
	m.config_hash = t.config.hash + 1;
	e.message.nodeid = 1;
	e.message.pid = 1;
	e.message.data = data;
	e.message.length = cluster_message_encode(&t.config, &m, data);
	solo_step(&t, &e);
	status(&s);
	ck_assert(!s.nodes[0].member);
	ck_assert_str_eq(s.nodes[0].text, says[_i][1]);

	solo_clear(&t);
	solo_prepare(&t, 0, cluster_view_ballot_make(30, 0), ROUND_CONFIRM);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROMISE));
}
END_TEST

START_TEST(another_mirror_of_the_same_name_is_refused)
{
	static struct cluster_status s;
	struct message m = { .type = MESSAGE_ANNOUNCE };

	solo_ring(&t, 3);
	solo_announce_fill(&t, 0, &m.announce);
	m.mirror.byte[0] = 99;
	solo_say(&t, 0, &m);
	status(&s);
	ck_assert(!s.nodes[0].member);
	ck_assert_ptr_nonnull(strstr(s.nodes[0].text, "another mirror"));
}
END_TEST

START_TEST(a_second_process_for_a_node_is_refused)
{
	struct message m = { .type = MESSAGE_ANNOUNCE };

	solo_ring(&t, 1 | 2 | 16);
	solo_announce(&t, 0);
	solo_announce_fill(&t, 0, &m.announce); /* node 4's process says it is n1 */
	m.node = 0;
	m.incarnation = 1;
	m.config_hash = t.config.hash;
	solo_say(&t, 4, &m);
	ck_assert(t.core->node[0].member);
	ck_assert_uint_eq(t.core->node[0].incarnation, SOLO_PROCESS(0));
}
END_TEST

START_TEST(a_message_of_one_who_has_not_announced_itself_is_not_taken)
{
	solo_ring(&t, 3);
	solo_clear(&t);
	solo_prepare(&t, 0, cluster_view_ballot_make(30, 0), ROUND_CONFIRM);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROMISE));
}
END_TEST

/* P3-15: a host hands on its disks; a node that sees others may not host the site. */
START_TEST(who_sees_other_disks_than_the_host_is_no_candidate)
{
	struct message m = { .type = MESSAGE_DISKS };

	teardown();
	solo_create(&t, 1, &view, true);
	t.core->self.disk_bytes[0] = 4096;
	solo_ring(&t, 3);
	solo_announce(&t, 0);
	m.disks.site = 0;
	m.disks.count = 1;
	strcpy(m.disks.disk[0].name, "db");
	m.disks.disk[0].bytes = 4096;
	solo_say(&t, 0, &m);
	ck_assert_uint_eq(cluster_devices_reach(t.core), 1);
	m.disks.disk[0].bytes = 8192;
	solo_say(&t, 0, &m);
	ck_assert_uint_eq(cluster_devices_reach(t.core), 0);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_ANNOUNCE)->announce.reach, 0);
}
END_TEST

START_TEST(the_disks_of_another_site_may_have_other_sizes)
{
	struct message m = { .type = MESSAGE_DISKS };

	t.core->self.reach = 3; /* it could stand in for lyon's hosts */
	t.core->self.disk_bytes[0] = 4096;
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 2);
	m.disks.site = 1;
	m.disks.count = 1;
	strcpy(m.disks.disk[0].name, "db");
	m.disks.disk[0].bytes = 8192;
	solo_say(&t, 2, &m);
	ck_assert_uint_eq(cluster_devices_reach(t.core), 3);
}
END_TEST

START_TEST(the_host_tells_its_site_what_the_devices_are)
{
	struct fact opened = { .type = FACT_OPENED, .disk_bytes = { 4096 } };

	view.site[0].host = (struct view_host){ .node = 1, .boot = SOLO_BOOT(1) };
	teardown();
	solo_create(&t, 1, &view, true);
	t.core->voter.in_effect.site[0].host.incarnation = t.core->role.incarnation_next;
	solo_ring(&t, 3);
	opened.order_id = solo_ordered(&t, ORDER_OPEN)->id;
	solo_fact(&t, &opened);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_DISKS)->disks.disk[0].bytes, 4096);
}
END_TEST

/* n2 starts and does not reach its site. */
static void out_of_reach(const char *why, bool later)
{
	char text[160];

	teardown();
	solo_create(&t, 1, NULL, false);
	t.self.reach = 0;
	t.self.reach_later = later;
	strcpy(t.self.reach_text, why);
	teardown();
	t.core = cluster_create(&t.config, &t.self, NULL, 0, text, sizeof text);
	solo_ring(&t, 2);
}

/* A fault of a node's own site reaches the operator at every node. */
START_TEST(why_a_node_reaches_nothing_is_told_to_all)
{
	static struct cluster_status s;

	out_of_reach("no writelog yet", false);
	ck_assert_str_eq(solo_sent(&t, MESSAGE_ANNOUNCE)->announce.text,
			 "no writelog yet");
	cluster_status_get(t.core, t.now_ns, &s);
	ck_assert_str_eq(s.nodes[1].text, "no writelog yet");
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, true);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "no writelog yet"));
}
END_TEST

START_TEST(a_site_out_of_reach_at_the_start_is_looked_for_later)
{
	out_of_reach("disk db is not there", true);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_ANNOUNCE)->announce.reach, 0);
	solo_tick(&t, 31000);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_ANNOUNCE)->announce.reach, 1);
}
END_TEST

/* ---- every order of arrival (P3-18) ---- */

static struct members *m;

/* The k-th order of `count` nodes (Lehmer code). */
static void permutation(uint32_t k, uint32_t count, uint32_t *order)
{
	bool used[MEMBERS_MAX] = { false };

	for (uint32_t i = 0; i < count; i++) {
		uint32_t factor = 1, pick;

		for (uint32_t j = 2; j < count - i; j++)
			factor *= j;
		pick = k / factor;
		k %= factor;
		for (uint32_t n = 0; n < count; n++)
			if (!used[n] && pick-- == 0) {
				order[i] = n;
				used[n] = true;
				break;
			}
	}
}

/* P3-18: one start per pair and generation. */
static void check_starts(uint32_t at_least)
{
	ck_assert_uint_ge(m->started_count, at_least);
	for (uint32_t i = 0; i < m->started_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (uuid_equal(&m->started[i].generation,
				       &m->started[j].generation) &&
			    m->started[i].site == m->started[j].site &&
			    m->started[i].incarnation == m->started[j].incarnation)
				ck_abort_msg("mirroring started twice towards site %u",
					     m->started[i].site);
}

/* Node 0 is told to be production as soon as it is there, as Pacemaker does. */
static void arrive(uint32_t seed, uint32_t witnesses, uint32_t k, uint32_t gap_ms,
		   bool created_before)
{
	static const uint32_t hosts[] = { 2, 2 };
	uint32_t order[MEMBERS_MAX];
	uint64_t promote = 0;

	m = members_create(seed, 2, hosts, witnesses);
	if (created_before) {
		for (uint32_t n = 0; n < m->node_count; n++)
			members_start(m, n);
		ck_assert(members_run_until_converged(m, 5000));
		for (uint32_t n = 0; n < m->node_count; n++)
			members_kill(m, n, true);
	}
	m->writes = true;
	permutation(k, m->node_count, order);
	for (uint32_t i = 0; i < m->node_count; i++) {
		members_start(m, order[i]);
		members_run(m, gap_ms);
	}
	/* It may be refused while the first round has not run. */
	for (int tries = 0; tries < 50 && members_serving(m) != 0; tries++) {
		promote = members_command(m, 0, CLUSTER_COMMAND_PROMOTE, false, -1);
		members_wait(m, promote, 100);
	}
	ck_assert_int_eq(members_serving(m), 0);
	ck_assert(members_run_until_converged(m, 10000));
	ck_assert_str_eq(m->violation, "");
	check_starts(1);
	ck_assert_uint_eq(m->started_count, 1);
	members_destroy(m);
}

START_TEST(all_orders_of_four_nodes)
{
	arrive((uint32_t)_i + 1, 0, (uint32_t)_i, 40, false);
	arrive((uint32_t)_i + 1, 0, (uint32_t)_i, 0, false);
	arrive((uint32_t)_i + 1, 0, (uint32_t)_i, 3, true);
}
END_TEST

START_TEST(all_orders_of_five_nodes)
{
	arrive((uint32_t)_i + 500, 1, (uint32_t)_i, 25, false);
	arrive((uint32_t)_i + 500, 1, (uint32_t)_i, 2, true);
}
END_TEST

/* Production is told to start while the others are still coming: the copy's host
 * comes after it has served for a while, or dies just as it comes. */
START_TEST(all_orders_with_a_kill_in_between)
{
	static const uint32_t hosts[] = { 2, 2 };
	uint32_t order[MEMBERS_MAX], killed;

	m = members_create((uint32_t)_i + 900, 2, hosts, 1);
	m->writes = true;
	permutation((uint32_t)_i, m->node_count, order);
	killed = order[_i % 5];
	for (uint32_t i = 0; i < m->node_count; i++) {
		members_start(m, order[i]);
		members_run(m, 15);
		if (order[i] == 0)
			members_command(m, 0, CLUSTER_COMMAND_PROMOTE, false, -1);
		if (order[i] == killed) {
			members_kill(m, killed, _i % 2 == 0);
			members_run(m, 10);
			members_start(m, killed);
		}
	}
	for (int tries = 0; tries < 50 && members_serving(m) < 0; tries++)
		members_wait(m, members_command(m, 0, CLUSTER_COMMAND_PROMOTE, false, -1),
			     100);
	ck_assert(members_run_until_converged(m, 15000));
	ck_assert_str_eq(m->violation, "");
	check_starts(1);
	members_destroy(m);
}
END_TEST

/* ---- production last, copies first; the status is the same everywhere ---- */

static void two_copies(void)
{
	static const uint32_t hosts[] = { 1, 1, 1 };

	m = members_create(5, 3, hosts, 0);
	for (uint32_t n = 0; n < 3; n++)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
}

/* P3-17: production comes last: every copy that has a host is started towards; the
 * other when its host comes. */
START_TEST(production_last_starts_towards_every_hosted_copy)
{
	two_copies();
	for (uint32_t n = 0; n < 3; n++)
		members_kill(m, n, true);
	members_start(m, 1);
	members_run(m, 300);
	members_start(m, 0);
	members_run(m, 300);
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_eq(m->started_count, 1);
	ck_assert_uint_eq(m->started[0].site, 1);

	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_eq(m->started_count, 2);
	ck_assert_uint_eq(m->started[1].site, 2);
	ck_assert_str_eq(m->violation, "");
	members_destroy(m);
}
END_TEST

/* P3-12: after the messages every member shows the same. */
START_TEST(every_member_shows_the_same)
{
	static struct cluster_status a, b;

	two_copies();
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
	members_run(m, 100);
	members_status(m, 0, &a);
	for (uint32_t n = 1; n < 3; n++) {
		members_status(m, n, &b);
		ck_assert_uint_eq(a.ballot, b.ballot);
		ck_assert_mem_eq(&a.history, &b.history, sizeof a.history);
		ck_assert_int_eq(a.production_node, b.production_node);
		for (uint32_t s = 0; s < 3; s++) {
			ck_assert_int_eq(a.sites[s].role, b.sites[s].role);
			ck_assert_int_eq(a.sites[s].host, b.sites[s].host);
			ck_assert_int_eq(a.sites[s].current, b.sites[s].current);
			ck_assert_int_eq(a.sites[s].data, b.sites[s].data);
			ck_assert_str_eq(a.sites[s].text, b.sites[s].text);
			ck_assert_uint_eq(a.nodes[s].reach, b.nodes[s].reach);
			ck_assert_int_eq(a.nodes[s].voter, b.nodes[s].voter);
		}
	}
	ck_assert_str_eq(m->violation, "");
	members_destroy(m);
}
END_TEST

/* P3-10: alone it has its own view, and serves only when a majority is there. */
START_TEST(the_first_one_has_its_own_view_and_waits_for_a_majority)
{
	static struct cluster_status s;

	two_copies();
	for (uint32_t n = 0; n < 3; n++)
		members_kill(m, n, true);
	m->votes_needed = 1; /* corosync lets it go on */
	members_start(m, 0);
	members_run(m, 500);
	members_status(m, 0, &s);
	ck_assert_uint_ge(s.history.count, 1);
	ck_assert_int_eq(s.promotion_score, INT32_MIN);
	ck_assert(!members_promote(m, 0, false));
	ck_assert_uint_eq(m->node[0].order_count[ORDER_OPEN], 0);
	members_destroy(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *one = tcase_create("join, one member"),
	      *all = tcase_create("join, members");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(one, setup, teardown);
	tcase_add_test(one, a_joiner_announces_what_it_found);
	tcase_add_test(one, whoever_comes_everyone_announces_itself_again);
	tcase_add_test(one, the_lowest_of_those_that_were_there_sends_the_state);
	tcase_add_test(
		one, who_is_not_the_lowest_does_not_and_takes_over_when_that_one_leaves);
	tcase_add_test(one, the_production_host_sends_it_before_the_lowest);
	tcase_add_test(one, a_joiner_takes_the_state_it_is_sent);
	tcase_add_test(one, a_joiner_tells_of_a_release_that_the_state_lacks);
	tcase_add_test(one, a_release_of_a_named_host_is_not_forgotten);
	tcase_add_loop_test(one, another_configuration_is_refused_and_takes_no_part, 0,
			    6);
	tcase_add_test(one, another_mirror_of_the_same_name_is_refused);
	tcase_add_test(one, a_second_process_for_a_node_is_refused);
	tcase_add_test(one, a_message_of_one_who_has_not_announced_itself_is_not_taken);
	tcase_add_test(one, who_sees_other_disks_than_the_host_is_no_candidate);
	tcase_add_test(one, the_disks_of_another_site_may_have_other_sizes);
	tcase_add_test(one, the_host_tells_its_site_what_the_devices_are);
	tcase_add_test(one, why_a_node_reaches_nothing_is_told_to_all);
	tcase_add_test(one, a_site_out_of_reach_at_the_start_is_looked_for_later);
	suite_add_tcase(s, one);
	tcase_add_loop_test(all, all_orders_of_four_nodes, 0, 24);
	tcase_add_loop_test(all, all_orders_of_five_nodes, 0, 120);
	tcase_add_loop_test(all, all_orders_with_a_kill_in_between, 0, 120);
	tcase_add_test(all, production_last_starts_towards_every_hosted_copy);
	tcase_add_test(all, every_member_shows_the_same);
	tcase_add_test(all, the_first_one_has_its_own_view_and_waits_for_a_majority);
	suite_add_tcase(s, all);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
