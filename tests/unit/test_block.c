/* test_block.c - one host under on-copy-loss: block (M8): the required copies of its views, and
 * what its I/O side is told of them. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/solo.h"

#define PARIS 0
#define LYON 1

static struct solo t;
static struct config config;
static struct view view;
static struct cluster_status status;

static void setup(void)
{
	solo_config(&config);
	solo_view(&config, 3, &view);
}

static void serves_under(enum config_copy_loss on_copy_loss)
{
	solo_serves(&t, &view);
	t.config.on_copy_loss = on_copy_loss;
	solo_agree(&t); /* the ring's own round */
	solo_clear(&t);
}

static void tell_copy(enum fact_type type)
{
	const struct fact f = {
		.type = type,
		.site = LYON,
		.incarnation = 77,
		.ready_count = 1,
	};

	solo_fact(&t, &f);
}

static void enter(void)
{
	tell_copy(FACT_COPY_READY);
	solo_agree(&t);
	ck_assert(t.core->voter.in_effect.site[LYON].current);
}

static uint32_t required(void)
{
	return t.core->voter.in_effect.required;
}

START_TEST(a_copy_that_was_current_is_required)
{
	serves_under(CONFIG_COPY_LOSS_BLOCK);
	ck_assert_uint_eq(required(), 0);
	enter();
	ck_assert_uint_eq(required(), 1u << LYON);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->missing, 0);
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_str_eq(status.missing_text, "");
	ck_assert(status.sites[LYON].required);

	/* A view without it may be decided as soon as it is proposed. */
	tell_copy(FACT_COPY_LOST);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	ck_assert(!solo_sent(&t, MESSAGE_PROPOSE)->propose.view.site[LYON].current);
	solo_tick(&t, 1);
	ck_assert(t.core->voter.in_effect.site[LYON].current);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 1u << LYON);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->missing, 1u << LYON);
	solo_persisted(&t);
	solo_accepted(&t, 1, t.core->round.ballot);
	ck_assert(!t.core->voter.in_effect.site[LYON].current);
	ck_assert_uint_eq(required(), 1u << LYON);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 0);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->missing, 1u << LYON);

	solo_persisted(&t);
	enter();
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->missing, 0);
	solo_destroy(&t);
}
END_TEST

/* Put out by the operator, before it is lost or after that. */
START_TEST(one_that_is_put_out_is_not_required)
{
	const bool lost = _i % 2 == 1, bypass = _i / 2 == 1;

	serves_under(CONFIG_COPY_LOSS_BLOCK);
	enter();
	if (lost) {
		tell_copy(FACT_COPY_LOST);
		solo_agree(&t);
		ck_assert_uint_eq(t.core->role.missing, 1u << LYON);
	}
	solo_command(&t, bypass ? CLUSTER_COMMAND_BYPASS_ON : CLUSTER_COMMAND_DISCONNECT,
		     false);
	solo_agree(&t);
	ck_assert_uint_eq(required(), 0);
	ck_assert_uint_eq(t.core->role.missing, 0);
	solo_command(&t, bypass ? CLUSTER_COMMAND_BYPASS_OFF : CLUSTER_COMMAND_CONNECT,
		     false);
	solo_agree(&t);
	ck_assert_uint_eq(required(), 0);
	enter();
	ck_assert_uint_eq(required(), 1u << LYON);
	solo_destroy(&t);
}
END_TEST

START_TEST(nothing_is_required_where_writes_continue)
{
	view.required = 1u << LYON; /* the file said block before */
	serves_under(CONFIG_COPY_LOSS_CONTINUE);
	ck_assert_uint_eq(required(), 0);
	enter();
	ck_assert_uint_eq(required(), 0);
	tell_copy(FACT_COPY_LOST);
	solo_agree(&t);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->missing, 0);
	solo_destroy(&t);
}
END_TEST

START_TEST(status_names_the_copy_the_time_and_the_command)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_TICK };
	char text[512];

	serves_under(CONFIG_COPY_LOSS_BLOCK);
	enter();
	tell_copy(FACT_COPY_LOST);
	solo_agree(&t);
	t.core->node[0].said.flags |= ANNOUNCE_SERVING;
	t.core->node[0].said.serving = t.core->role.generation;
	solo_step(&t, &e);
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_int_eq(cluster_switch_check(t.core, LYON, text, sizeof text), -EAGAIN);
	ck_assert_str_eq(text, status.missing_text);
	ck_assert_ptr_nonnull(strstr(status.missing_text, "not current is lyon"));
	ck_assert_ptr_nonnull(
		strstr(status.missing_text, "`hamirror disconnect data lyon`"));
	ck_assert_uint_ne(status.missing_wall_ns, 0);
	enter();
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_str_eq(status.missing_text, "");
	ck_assert_uint_eq(status.missing_wall_ns, 0);
	solo_destroy(&t);
}
END_TEST

/* It was missing before this member knew a view. */
START_TEST(a_member_that_starts_knows_no_time)
{
	view.required = 1u << LYON;
	serves_under(CONFIG_COPY_LOSS_BLOCK);
	ck_assert_uint_eq(t.core->role.missing, 1u << LYON);
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_uint_eq(status.missing_wall_ns, 0);
	solo_destroy(&t);
}
END_TEST

/* The file says block, and the mode is still that of a command before. */
START_TEST(a_view_in_async_requires_no_copy)
{
	view.promise = view.wanted = promise_async(16 << 20, 0);
	view.required = 1u << LYON;
	serves_under(CONFIG_COPY_LOSS_BLOCK);
	ck_assert_uint_eq(required(), 0);
	enter();
	ck_assert_uint_eq(required(), 0);
	ck_assert_uint_eq(t.core->role.missing, 0);
	solo_destroy(&t);
}
END_TEST

START_TEST(async_is_refused_by_name)
{
	const struct cluster_command c = {
		.type = CLUSTER_COMMAND_MODE,
		.id = 40,
		.promise = promise_make(CONFIG_ASYNC, 0, 0),
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	serves_under(CONFIG_COPY_LOSS_BLOCK);
	solo_step(&t, &e);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "on-copy-loss: block"));
	ck_assert(!t.core->role.mode_asked);
	solo_destroy(&t);
}
END_TEST

/* Node 2 promotes lyon, alone or current: it waits neither for itself nor for paris. */
START_TEST(a_takeover_waits_for_neither_side)
{
	struct fact f = { .type = FACT_PREPARED, .sequence = 42 };

	view.site[LYON].host = (struct view_host){ 2, 77, SOLO_BOOT(2) };
	view.site[LYON].current = true;
	view.site[LYON].current_incarnation = 77;
	view.required = 1u << LYON | 1u << PARIS;
	solo_create(&t, 2, &view, true);
	t.config.on_copy_loss = CONFIG_COPY_LOSS_BLOCK;
	t.core->role.devices = DEVICES_OPEN;
	t.core->role.site = LYON;
	t.core->role.incarnation = 77;
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 1);
	solo_persisted(&t);
	t.core->confirm_due = false;
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	ck_assert_ptr_nonnull(solo_ordered(&t, ORDER_PREPARE));
	f.order_id = solo_ordered(&t, ORDER_PREPARE)->id;
	solo_fact(&t, &f);
	ck_assert_uint_eq(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.required, 0);
	solo_destroy(&t);
}
END_TEST

/* Node 0 promotes paris again without the copy: the view lacks it, and requires it still. */
START_TEST(a_promotion_at_the_same_site_requires_what_was)
{
	struct fact f = { .type = FACT_PREPARED, .sequence = 42 };
	const struct view *v;

	view.site[LYON].host = (struct view_host){ 2, 77, SOLO_BOOT(2) };
	view.site[LYON].current = true;
	view.site[LYON].current_incarnation = 77;
	view.required = _i == 0 ? 1u << LYON : 0;
	view.site[PARIS].host = (struct view_host){ 0, 55, SOLO_BOOT(0) };
	solo_create(&t, 0, &view, true);
	t.config.on_copy_loss = CONFIG_COPY_LOSS_BLOCK;
	t.core->role.devices = DEVICES_OPEN;
	t.core->role.site = PARIS;
	t.core->role.incarnation = 55;
	solo_ring(&t, 3);
	solo_announce(&t, 1);
	solo_persisted(&t);
	solo_agree(&t); /* the ring's own round */
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	ck_assert_ptr_nonnull(solo_ordered(&t, ORDER_PREPARE));
	f.order_id = solo_ordered(&t, ORDER_PREPARE)->id;
	solo_fact(&t, &f);
	v = &solo_sent(&t, MESSAGE_PROPOSE)->propose.view;
	ck_assert(!v->site[LYON].current);
	ck_assert_uint_eq(cluster_view_missing(v), _i == 0 ? 1u << LYON : 0);
	solo_destroy(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("block");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_copy_that_was_current_is_required);
	tcase_add_loop_test(tc, one_that_is_put_out_is_not_required, 0, 4);
	tcase_add_test(tc, nothing_is_required_where_writes_continue);
	tcase_add_test(tc, status_names_the_copy_the_time_and_the_command);
	tcase_add_test(tc, a_member_that_starts_knows_no_time);
	tcase_add_test(tc, a_view_in_async_requires_no_copy);
	tcase_add_test(tc, async_is_refused_by_name);
	tcase_add_test(tc, a_takeover_waits_for_neither_side);
	tcase_add_loop_test(tc, a_promotion_at_the_same_site_requires_what_was, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
