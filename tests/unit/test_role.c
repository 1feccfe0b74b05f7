/* test_role.c - the host of a site's devices (D6), and production's waits (D3). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/internal.h"
#include "tests/unit/members.h"
#include "tests/unit/solo.h"

#define PARIS 0
#define LYON 1

static struct members *m;
static struct cluster_status status;

/* n1, n2 at paris, n3, n4 at lyon, witness n5; all up. */
static void setup(void)
{
	static const uint32_t hosts[] = { 2, 2 };

	m = members_create(3, 2, hosts, 1);
	m->writes = true;
	for (uint32_t n = 0; n < m->node_count; n++)
		members_start(m, n);
	ck_assert(members_run_until_converged(m, 5000));
}

static void teardown(void)
{
	ck_assert_str_eq(m->violation, "");
	members_destroy(m);
}

static void promoted(void)
{
	ck_assert(members_promote(m, 0, false));
	ck_assert(members_run_until_converged(m, 5000));
	members_run(m, 100);
}

static int32_t score(uint32_t node)
{
	members_status(m, node, &status);
	return status.promotion_score;
}

static bool answered(uint64_t id, const char *words)
{
	return m->reply[id].done && m->reply[id].exit_status == 1 &&
	       strstr(m->reply[id].text, words) != NULL;
}

/* ---- promotions that time out ----------------------------------------------------- */

/* n1 is cut off, and its lease is waited out; nobody fences it. */
static uint64_t waiting_for_the_lease(void)
{
	uint64_t id;

	promoted();
	members_network(m, "0|1234");
	members_run(m, 100);
	id = members_command(m, 2, CLUSTER_COMMAND_PROMOTE, false, -1);
	for (int i = 0; i < 500 && m->node[2].core->promote.state != PROMOTE_LEASE; i++)
		members_run(m, 1);
	ck_assert_int_eq(m->node[2].core->promote.state, PROMOTE_LEASE);
	return id;
}

START_TEST(a_promotion_whose_time_is_over_is_called_off)
{
	const uint64_t id = waiting_for_the_lease();

	members_give_up(m, 2, id);
	ck_assert(answered(id, "called off"));
	ck_assert(answered(id, "waiting for the lease of n1"));
	members_run(m, 5000);
	ck_assert_int_ne(m->node[2].io.engine, ENGINE_SERVING);
	members_give_up(m, 2, id); /* it has ended: nothing happens */
	ck_assert(members_promote(m, 2, false));
}
END_TEST

START_TEST(a_promotion_that_another_command_waits_for_goes_on)
{
	const uint64_t first = waiting_for_the_lease();
	const uint64_t second = members_command(m, 2, CLUSTER_COMMAND_PROMOTE, false, -1);

	members_give_up(m, 2, first);
	ck_assert(answered(first, "another command waits"));
	ck_assert(!m->reply[second].done);
	ck_assert(members_wait(m, second, 20000));
	ck_assert_int_eq(m->reply[second].exit_status, 0);
}
END_TEST

START_TEST(a_promotion_that_starts_to_serve_is_not_called_off)
{
	const uint64_t id = waiting_for_the_lease();

	for (int i = 0; i < 5000 && m->node[2].core->promote.state != PROMOTE_START; i++)
		members_run(m, 1);
	ck_assert_int_eq(m->node[2].core->promote.state, PROMOTE_START);
	members_give_up(m, 2, id);
	ck_assert(members_wait(m, id, 1000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
}
END_TEST

/* ---- devices --------------------------------------------------------------------- */

/* P3-23: the lowest in backup order that reaches it. */
START_TEST(the_lowest_hosts_and_the_next_one_takes_over)
{
	ck_assert_int_eq(m->log[PARIS].open_node, 0);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
	members_kill(m, 2, true);
	members_run(m, 50);
	members_fenced(m, 2);
	ck_assert(members_run_until_converged(m, 2000));
	ck_assert_int_eq(m->log[LYON].open_node, 3);

	members_start(m, 2); /* no failback */
	ck_assert(members_run_until_converged(m, 2000));
	ck_assert_int_eq(m->log[LYON].open_node, 3);
}
END_TEST

START_TEST(what_a_dead_node_held_waits_for_its_fencing)
{
	members_kill(m, 2, true);
	members_run(m, 5000);
	ck_assert_int_eq(m->log[LYON].open_node, -1);
	members_status(m, 0, &status);
	ck_assert_int_eq(status.sites[LYON].host, -1);
	ck_assert_ptr_nonnull(strstr(status.sites[LYON].text, "held by n3"));
	members_fenced(m, 2);
	members_run(m, 200);
	ck_assert_int_eq(m->log[LYON].open_node, 3);
}
END_TEST

/* It is back in another boot: nothing of the one before can still write. */
START_TEST(a_reboot_proves_as_much_as_a_fencing)
{
	members_kill(m, 2, true);
	members_run(m, 1000);
	m->node[2].io.open_error = -EIO;
	members_start(m, 2);
	members_run(m, 1000);
	ck_assert_int_eq(m->log[LYON].open_node, 3);
}
END_TEST

/* P3-13: killed and started again, the host is host again, under a new incarnation. */
START_TEST(a_host_whose_process_restarts_is_host_again)
{
	const uint64_t before = m->node[2].io.incarnation;

	members_kill(m, 2, false);
	members_run(m, 500);
	ck_assert_int_eq(m->log[LYON].open_node, -1);
	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 2000));
	ck_assert_int_eq(m->log[LYON].open_node, 2);
	ck_assert_uint_ne(m->node[2].io.incarnation, before);
}
END_TEST

START_TEST(a_stop_releases_and_the_mate_needs_no_fencing)
{
	const uint64_t id = members_command(m, 2, CLUSTER_COMMAND_STOP, false, -1);

	ck_assert(members_wait(m, id, 2000));
	ck_assert_int_eq(m->reply[id].exit_status, 0);
	members_kill(m, 2, false);
	members_run(m, 300);
	ck_assert_int_eq(m->log[LYON].open_node, 3);
}
END_TEST

START_TEST(a_site_whose_only_host_stopped_is_unhosted)
{
	members_kill(m, 3, false);
	members_run(m, 200);
	members_wait(m, members_command(m, 2, CLUSTER_COMMAND_STOP, false, -1), 2000);
	members_run(m, 300);
	members_status(m, 0, &status);
	ck_assert_int_eq(status.sites[LYON].host, -1);
	ck_assert_ptr_nonnull(strstr(status.sites[LYON].text, "no member"));
}
END_TEST

START_TEST(devices_that_are_still_held_are_tried_again)
{
	members_kill(m, 3, false);
	members_kill(m, 2, false);
	members_start(m, 2);
	m->node[2].io.open_error = -EBUSY;
	members_run(m, 4000);
	ck_assert_int_eq(m->log[LYON].open_node, -1);
	ck_assert_uint_ge(m->node[2].order_count[ORDER_OPEN], 3);
	m->node[2].io.open_error = 0;
	members_run(m, 3000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
}
END_TEST

/* A path that comes late, and devices that fail for long: soon at first, then at intervals
 * that are bounded. */
START_TEST(devices_that_fail_to_open_are_tried_again_soon)
{
	uint32_t tried;

	members_kill(m, 3, false);
	members_kill(m, 2, false);
	members_start(m, 2);
	m->node[2].io.open_error = -ENOENT;
	members_run(m, 1000);
	tried = m->node[2].order_count[ORDER_OPEN];
	members_run(m, 2000);
	ck_assert_uint_gt(m->node[2].order_count[ORDER_OPEN], tried);
	members_run(m, 60000);
	ck_assert_uint_lt(m->node[2].order_count[ORDER_OPEN], tried + 20);
	m->node[2].io.open_error = 0;
	members_run(m, 6000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
}
END_TEST

START_TEST(devices_that_fail_to_open_for_long_are_tried_seldom)
{
	uint32_t tried;

	members_kill(m, 3, false);
	members_kill(m, 2, false);
	members_start(m, 2);
	m->node[2].io.open_error = -ENOENT;
	members_run(m, 180000);
	tried = m->node[2].order_count[ORDER_OPEN];
	members_run(m, 300000);
	ck_assert_uint_le(m->node[2].order_count[ORDER_OPEN], tried + 10);
	m->node[2].io.open_error = 0;
	members_run(m, 31000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
}
END_TEST

static void fail_device(uint32_t node)
{
	struct fact f = { .type = FACT_DEVICE_FAILED, .site = m->node[node].io.site };

	strcpy(f.text, "disk db: flush failed");
	members_fact(m, node, &f);
}

START_TEST(a_copys_host_with_a_broken_disk_detaches_and_the_mate_takes_over)
{
	promoted();
	fail_device(2);
	members_run(m, 1000);
	ck_assert_int_eq(m->log[LYON].open_node, 3);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_int_eq(score(2), INT32_MIN);
	members_status(m, 2, &status);
	ck_assert_ptr_nonnull(strstr(status.text, "flush failed"));
}
END_TEST

/* Both hosts of lyon, one after the other. */
static void fail_lyon(void)
{
	fail_device(2);
	members_run(m, 5000);
	ck_assert_int_eq(m->log[LYON].open_node, 3);
	fail_device(3);
}

/* Storage that was away for all hosts of a site is opened again without an operator, and
 * later each time that it fails again. */
START_TEST(devices_that_failed_are_opened_again)
{
	promoted();
	members_run(m, 700000); /* they were whole for long */
	fail_lyon();
	members_run(m, 20000);
	ck_assert_int_eq(m->log[LYON].open_node, -1);
	members_status(m, 2, &status);
	ck_assert_ptr_nonnull(strstr(status.text, "flush failed; tried again in "));
	members_run(m, 15000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
	ck_assert(members_run_until_converged(m, 5000));
	fail_lyon();
	members_run(m, 40000);
	ck_assert_int_eq(m->log[LYON].open_node, -1);
	members_run(m, 30000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
	members_run(m, 700000);
	fail_lyon(); /* once in a row */
	members_run(m, 35000);
	ck_assert_int_eq(m->log[LYON].open_node, 2);
}
END_TEST

/* Nobody mends that by waiting. */
START_TEST(a_log_of_another_mirror_is_not_opened_again)
{
	static struct solo t;
	static struct view view;
	struct fact fact = { .type = FACT_OPENED, .mirror.byte[0] = 99 };

	solo_config(&t.config);
	solo_view(&t.config, 3, &view);
	view.site[0].host = (struct view_host){ .node = 1, .boot = SOLO_BOOT(1) };
	solo_create(&t, 1, &view, true);
	t.core->voter.in_effect.site[0].host.incarnation = t.core->role.incarnation_next;
	solo_ring(&t, 3);
	solo_announce(&t, 0);
	fact.order_id = solo_ordered(&t, ORDER_OPEN)->id;
	solo_fact(&t, &fact);
	fact = (struct fact){ .type = FACT_CLOSED,
			      .order_id = solo_ordered(&t, ORDER_CLOSE)->id };
	solo_fact(&t, &fact);
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_str_eq(status.nodes[1].text, "the writelog belongs to another mirror");
	ck_assert_str_eq(status.text, "the writelog belongs to another mirror");
	solo_tick(&t, 3600000);
	ck_assert_uint_eq(cluster_devices_reach(t.core), 0);
	solo_destroy(&t);
}
END_TEST

/* P3-27: Pacemaker sees the score go and moves production; here by hand. */
START_TEST(a_production_with_a_broken_disk_loses_its_score)
{
	promoted();
	ck_assert_int_eq(score(0), 10000);
	fail_device(0);
	members_run(m, 100);
	ck_assert_int_eq(score(0), INT32_MIN);
	members_wait(m, members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, -1), 5000);
	members_run(m, 500);
	ck_assert_int_eq(m->log[PARIS].open_node, 1);
	ck_assert(members_promote(m, 1, false));
}
END_TEST

/* Idle and not to be promoted, the host gives way to its mate that is. */
START_TEST(the_mate_that_is_to_be_promoted_gets_the_devices)
{
	promoted();
	members_wait(m, members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, -1), 5000);
	ck_assert_int_eq(m->log[PARIS].open_node, 0);
	ck_assert(members_promote(m, 1, false));
	ck_assert_int_eq(m->log[PARIS].open_node, 1);
	ck_assert(members_run_until_converged(m, 5000));
}
END_TEST

START_TEST(scores_follow_site_and_backup_order)
{
	promoted();
	ck_assert_int_eq(score(0), 10000);
	ck_assert_int_gt(score(0), score(1));
	ck_assert_int_ge(score(1), 5000);
	ck_assert_int_gt(score(1), score(2));
	ck_assert_int_gt(score(2), score(3));
	ck_assert_int_gt(score(3), 0);
	ck_assert_int_eq(score(4), INT32_MIN);
	members_network(m, "0|1234");
	members_run(m, 300);
	ck_assert_int_eq(score(0), INT32_MIN);
	/* n1 may have the devices still: Pacemaker fences it before it promotes n2 */
	ck_assert_int_gt(score(1), score(2));
	members_run(m, 61000); /* no fencing came */
	ck_assert_int_le(score(1), 10);
	ck_assert_int_gt(score(2), score(1));
}
END_TEST

/* `backup-order: [n3, n2]` goes across the sites: a current copy comes before
 * production's mate. Of two hosts of a site the first in the order has the devices,
 * whatever its place in the file. */
START_TEST(a_backup_order_goes_across_the_sites)
{
	m->config.backup_ordered = true;
	m->config.node[2].backup_place = 1;
	m->config.node[1].backup_place = 2;
	promoted();
	ck_assert_int_eq(score(0), 10000);
	ck_assert_int_gt(score(2), score(1));
	ck_assert_int_gt(score(1), score(3));
	members_wait(m, members_command(m, 0, CLUSTER_COMMAND_DEMOTE, false, -1), 5000);
	ck_assert_int_gt(score(2), score(1));
	ck_assert_int_gt(score(2), score(0));
}
END_TEST

/* ---- copies that writes wait for (D3) --------------------------------------------------- */

static bool waits_for_lyon(void)
{
	return m->node[0].io.link[LYON].waited;
}

START_TEST(a_lost_copy_is_waited_for_until_a_view_without_it_is_in_effect)
{
	promoted();
	ck_assert(waits_for_lyon());
	m->votes_needed = 6; /* nothing can be decided any more */
	members_network(m, "01|234");
	members_run(m, 800);
	ck_assert(waits_for_lyon());
	members_run(m, 4000);
	ck_assert(waits_for_lyon());

	m->votes_needed = 3;
	members_network(m, "014|23");
	members_run(m, 1000);
	ck_assert(!waits_for_lyon());
	members_status(m, 0, &status);
	ck_assert(!status.sites[LYON].current);
	members_network(m, "01234");
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert(waits_for_lyon());
}
END_TEST

START_TEST(a_broken_line_alone_puts_the_copy_out_and_in_again)
{
	promoted();
	members_lines(m, "01|234");
	members_run(m, 500);
	ck_assert(!waits_for_lyon());
	members_status(m, 2, &status);
	ck_assert(!status.sites[LYON].current);
	ck_assert_int_eq(status.promotion_score, INT32_MIN);
	members_lines(m, "01234");
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert(waits_for_lyon());
}
END_TEST

START_TEST(a_copy_whose_host_restarted_is_not_current_until_it_enters_again)
{
	uint64_t before;

	promoted();
	before = m->node[2].io.incarnation;
	members_kill(m, 2, false);
	members_start(m, 2);
	ck_assert(members_run_until_converged(m, 5000));
	ck_assert_uint_ne(m->node[2].io.incarnation, before);
	ck_assert_uint_eq(m->node[0].core->voter.in_effect.site[LYON].current_incarnation,
			  m->node[2].io.incarnation);
	ck_assert(waits_for_lyon());
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *devices = tcase_create("role, devices"),
	      *waits = tcase_create("role, copies");
	TCase *promotions = tcase_create("role, promotions");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(devices, setup, teardown);
	tcase_add_test(devices, the_lowest_hosts_and_the_next_one_takes_over);
	tcase_add_test(devices, what_a_dead_node_held_waits_for_its_fencing);
	tcase_add_test(devices, a_reboot_proves_as_much_as_a_fencing);
	tcase_add_test(devices, a_host_whose_process_restarts_is_host_again);
	tcase_add_test(devices, a_stop_releases_and_the_mate_needs_no_fencing);
	tcase_add_test(devices, a_site_whose_only_host_stopped_is_unhosted);
	tcase_add_test(devices, devices_that_are_still_held_are_tried_again);
	tcase_add_test(devices, devices_that_fail_to_open_are_tried_again_soon);
	tcase_add_test(devices, devices_that_fail_to_open_for_long_are_tried_seldom);
	tcase_add_test(devices,
		       a_copys_host_with_a_broken_disk_detaches_and_the_mate_takes_over);
	tcase_add_test(devices, devices_that_failed_are_opened_again);
	tcase_add_test(devices, a_log_of_another_mirror_is_not_opened_again);
	tcase_add_test(devices, a_production_with_a_broken_disk_loses_its_score);
	tcase_add_test(devices, the_mate_that_is_to_be_promoted_gets_the_devices);
	tcase_add_test(devices, scores_follow_site_and_backup_order);
	tcase_add_test(devices, a_backup_order_goes_across_the_sites);
	suite_add_tcase(s, devices);
	tcase_add_checked_fixture(promotions, setup, teardown);
	tcase_add_test(promotions, a_promotion_whose_time_is_over_is_called_off);
	tcase_add_test(promotions, a_promotion_that_another_command_waits_for_goes_on);
	tcase_add_test(promotions, a_promotion_that_starts_to_serve_is_not_called_off);
	suite_add_tcase(s, promotions);
	tcase_add_checked_fixture(waits, setup, teardown);
	tcase_add_test(waits,
		       a_lost_copy_is_waited_for_until_a_view_without_it_is_in_effect);
	tcase_add_test(waits, a_broken_line_alone_puts_the_copy_out_and_in_again);
	tcase_add_test(waits,
		       a_copy_whose_host_restarted_is_not_current_until_it_enters_again);
	suite_add_tcase(s, waits);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
