/* test_role_copies.c - one host: a copy that it has proposed or lost (D3), consent before
 * writes are undone (D8), and two orders at once. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/solo.h"

#define PARIS 0
#define LYON 1

static struct solo t;
static struct cluster_status status;

/* ---- an undecided proposal, from one production host ------------------------------ */

static void production_alone(void)
{
	struct config config;
	struct view view;

	solo_config(&config);
	solo_view(&config, 3, &view);
	solo_serves(&t, &view);
}

static void tell_copy(enum fact_type type, uint64_t ready_count)
{
	const struct fact f = {
		.type = type,
		.site = LYON,
		.incarnation = 77,
		.ready_count = ready_count,
	};

	solo_fact(&t, &f);
}

START_TEST(a_copy_that_was_proposed_is_waited_for_though_it_is_lost)
{
	uint64_t ballot;

	production_alone();
	solo_agree(&t); /* the ring's own round */
	ck_assert_uint_eq(solo_ordered(&t, ORDER_LINK)->peer.incarnation, 77);

	tell_copy(FACT_COPY_READY, 1);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 1u << LYON);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->ready_seen, 1);
	solo_persisted(&t);
	ballot = t.core->round.ballot;
	solo_promise(&t, 1, ballot, NULL, t.core->voter.in_effect.ballot);
	ck_assert(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.site[LYON].current);

	/* The proposal is out; some voter may have it. Another's ballot comes between,
	 * and the copy is lost. */
	solo_prepare(&t, 1, cluster_view_ballot_make(50, 1), ROUND_CONFIRM);
	tell_copy(FACT_COPY_LOST, 0);
	solo_tick(&t, 200);
	ck_assert_uint_eq(t.core->role.waited, 1u << LYON);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 1u << LYON);

	/* Its own view of a greater ballot, without the copy, settles it. */
	solo_tick(&t, 4000);
	solo_announce_host(&t, 2, 77);
	solo_agree(&t);
	solo_tick(&t, 100);
	if (t.core->role.waited != 0)
		solo_agree(&t); /* the undecided one was adopted first */
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 0);
	ck_assert(!t.core->voter.in_effect.site[LYON].current);
	solo_destroy(&t);
}
END_TEST

START_TEST(a_ready_of_another_incarnation_is_not_waited_for)
{
	const struct fact f = {
		.type = FACT_COPY_READY,
		.site = LYON,
		.incarnation = 78,
		.ready_count = 3,
	};

	production_alone();
	solo_agree(&t);
	solo_clear(&t);
	solo_fact(&t, &f);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 0);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->ready_seen, 3);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PREPARE));
	solo_destroy(&t);
}
END_TEST

/* ---- bypass (M6) -------------------------------------------------------------------- */

/* The map takes over when a view without the copy is in effect and its link has ended. */
START_TEST(bypass_is_told_when_a_view_says_so)
{
	production_alone();
	solo_agree(&t);
	tell_copy(FACT_COPY_READY, 1);
	solo_agree(&t);
	ck_assert(t.core->voter.in_effect.site[LYON].current);
	solo_clear(&t);
	solo_command(&t, CLUSTER_COMMAND_BYPASS_ON, false);
	solo_tick(&t, 1);
	ck_assert_ptr_null(solo_ordered(&t, ORDER_UNLINK));
	ck_assert_ptr_null(solo_ordered(&t, ORDER_WAIT));
	solo_agree(&t);
	ck_assert(!t.core->voter.in_effect.site[LYON].current);
	ck_assert_ptr_nonnull(solo_ordered(&t, ORDER_UNLINK));
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 0);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->bypass, 1u << LYON);
	tell_copy(FACT_COPY_READY, 2); /* on its way before the link ended */
	ck_assert(!t.core->role.copy[LYON].ready);

	solo_clear(&t);
	solo_command(&t, CLUSTER_COMMAND_BYPASS_OFF, false);
	solo_agree(&t);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->bypass, 0);
	ck_assert_ptr_nonnull(solo_ordered(&t, ORDER_LINK));
	solo_destroy(&t);
}
END_TEST

/* ---- records that only this site has ---------------------------------------------- */

/* Node 2 hosts lyon, a copy, under 77; node 0 serves, by force. */
static void passed_over(void)
{
	static const char what[] = "records 65 to 129 of site lyon would be undone";
	struct fact undo = { .type = FACT_UNDO, .site = PARIS };
	struct config config;
	struct view view;

	solo_config(&config);
	solo_view(&config, 3, &view);
	view.site[LYON].host = (struct view_host){ 2, 77, SOLO_BOOT(2) };
	solo_create(&t, 2, &view, true);
	t.core->role.devices = DEVICES_OPEN;
	t.core->role.site = LYON;
	t.core->role.incarnation = 77;
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 1);
	memcpy(undo.text, what, sizeof what);
	solo_fact(&t, &undo);
	solo_persisted(&t);
}

static void connects_site(int32_t site, bool discard)
{
	const struct cluster_command c = {
		.type = CLUSTER_COMMAND_CONNECT, .id = 9, .site = site, .discard = discard
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	t.reply_count = 0;
	solo_step(&t, &e);
}

static void connects(bool discard)
{
	connects_site(-1, discard);
}

/* The command names a site that asks for nothing: the reply names the one that does. */
START_TEST(consent_goes_to_the_site_that_asks)
{
	passed_over();
	connects_site(LYON, _i == 1);
	ck_assert_uint_eq(t.reply_count, 1);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "paris asks"));
	ck_assert_ptr_nonnull(strstr(t.reply.text, "connect data paris --discard"));
	ck_assert_ptr_null(solo_ordered(&t, ORDER_MARK));
	connects_site(PARIS, true);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_MARK)->discard, 1u << PARIS);
	solo_destroy(&t);
}
END_TEST

START_TEST(what_only_a_copy_has_is_given_up_by_command)
{
	struct fact stored = { .type = FACT_STORED }, none = { .type = FACT_UNDO };

	passed_over();
	strcpy(t.config.instance, "data@n3");
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_ptr_nonnull(
		strstr(status.sites[LYON].text, "`hamirror why data@n3` on n3"));
	strcpy(t.config.instance, "data");
	ck_assert_ptr_nonnull(strstr(status.text, "records 65 to 129"));
	ck_assert_ptr_nonnull(strstr(status.text, "--discard"));
	ck_assert(solo_sent(&t, MESSAGE_ANNOUNCE)->announce.flags & ANNOUNCE_ASKS);
	connects(false);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "--discard"));
	ck_assert_ptr_null(solo_ordered(&t, ORDER_MARK));
	connects(true);
	ck_assert_uint_eq(t.reply_count, 0);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_MARK)->discard, 1u << PARIS);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_MARK)->sites, 0);
	stored.order_id = solo_ordered(&t, ORDER_MARK)->id;
	solo_fact(&t, &stored);
	ck_assert_int_eq(t.reply.exit_status, 0);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "given up: records 65"));
	solo_fact(&t, &none);
	connects(true);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_uint_eq(solo_ordered_count(&t, ORDER_MARK), 1);
	solo_destroy(&t);
}
END_TEST

START_TEST(production_gives_nothing_up)
{
	production_alone();
	connects(true);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "keeps its writes"));
	solo_destroy(&t);
}
END_TEST

/* ---- two orders at once --------------------------------------------------------------- */

static void orders(enum cluster_command_type type, uint64_t id, int32_t site)
{
	const struct cluster_command c = { .type = type, .id = id, .site = site };
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	solo_step(&t, &e);
}

static const struct {
	enum cluster_command_type away, back;
} opposites[] = {
	{ CLUSTER_COMMAND_DISCONNECT, CLUSTER_COMMAND_CONNECT },
	{ CLUSTER_COMMAND_BYPASS_ON, CLUSTER_COMMAND_BYPASS_OFF },
};

static uint32_t are_out(void)
{
	return cluster_view_out_sites(cluster_view_in_effect(t.core));
}

/* The last order holds, though the view that the one before has asked for is on its way. */
START_TEST(the_last_of_two_opposite_orders_holds)
{
	uint64_t ballot;

	production_alone();
	solo_agree(&t);
	orders(opposites[_i].away, 11, LYON);
	solo_agree(&t);
	ck_assert_uint_eq(are_out(), 1u << LYON);

	orders(opposites[_i].back, 12, LYON);
	solo_persisted(&t);
	ballot = t.core->round.ballot;
	solo_promise(&t, 1, ballot, NULL, t.core->voter.in_effect.ballot);
	ck_assert_uint_eq(
		cluster_view_out_sites(&solo_sent(&t, MESSAGE_PROPOSE)->propose.view), 0);
	t.reply_count = 0;
	orders(opposites[_i].away, 13, LYON);
	ck_assert_uint_eq(t.reply_count, 0); /* the proposal may still take effect */
	solo_persisted(&t);
	solo_accepted(&t, 1, ballot);
	ck_assert_uint_eq(are_out(), 0);
	solo_agree(&t);
	ck_assert_uint_eq(are_out(), 1u << LYON);
	ck_assert_uint_eq(t.reply.command_id, 13);
	ck_assert_int_eq(t.reply.exit_status, 0);
	solo_destroy(&t);
}
END_TEST

/* The proposal is out when the time is over: another may have it in effect later. The reply
 * says so, unless there is no proposal. */
START_TEST(an_order_that_may_still_take_effect_says_so)
{
	const bool proposed = _i % 2 == 0;
	uint64_t ballot;

	production_alone();
	solo_agree(&t);
	orders(opposites[_i / 2].away, 11, LYON);
	solo_persisted(&t);
	ballot = t.core->round.ballot;
	if (proposed) {
		solo_promise(&t, 1, ballot, NULL, t.core->voter.in_effect.ballot);
		solo_persisted(&t);
	}
	t.reply_count = 0;
	solo_tick(&t, 5000);
	ck_assert_uint_eq(t.reply_count, 1);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert(strstr(t.reply.text, proposed ? "may still take effect" :
						  "nothing has changed") != NULL);
	solo_accepted(&t, 1, ballot);
	ck_assert_uint_eq(are_out(), proposed ? 1u << LYON : 0);
	solo_destroy(&t);
}
END_TEST

/* A move's demote that comes to nothing is no answer to an operator's. */
START_TEST(a_demote_beside_one_for_a_copy_is_done)
{
	struct fact late = { .type = FACT_DEMOTED, .error = -ETIMEDOUT, .text = "late" };

	production_alone();
	solo_agree(&t);
	orders(CLUSTER_COMMAND_DEMOTE, 11, LYON);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_DEMOTE)->sites, 1u << LYON);
	orders(CLUSTER_COMMAND_DEMOTE, 12, -1);
	late.order_id = solo_ordered(&t, ORDER_DEMOTE)->id;
	t.reply_count = 0;
	solo_fact(&t, &late);
	ck_assert_uint_eq(t.reply_count, 1);
	ck_assert_uint_eq(t.reply.command_id, 11);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_uint_eq(solo_ordered_count(&t, ORDER_DEMOTE), 2);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_DEMOTE)->sites, 0);
	solo_destroy(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *copies = tcase_create("role, copies");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(copies, bypass_is_told_when_a_view_says_so);
	tcase_add_test(copies, a_copy_that_was_proposed_is_waited_for_though_it_is_lost);
	tcase_add_test(copies, a_ready_of_another_incarnation_is_not_waited_for);
	tcase_add_test(copies, what_only_a_copy_has_is_given_up_by_command);
	tcase_add_loop_test(copies, consent_goes_to_the_site_that_asks, 0, 2);
	tcase_add_test(copies, production_gives_nothing_up);
	tcase_add_loop_test(copies, the_last_of_two_opposite_orders_holds, 0, 2);
	tcase_add_loop_test(copies, an_order_that_may_still_take_effect_says_so, 0, 4);
	tcase_add_test(copies, a_demote_beside_one_for_a_copy_is_done);
	suite_add_tcase(s, copies);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
