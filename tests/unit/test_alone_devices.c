/* test_alone_devices.c - `cluster: none`: a promotion, and devices that do not open. A
 * process that was killed a moment ago holds them until the kernel has ended its I/O. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/alone.h"
#include "tests/unit/solo.h"

#define LYON 1

static struct solo t;

static void setup(void)
{
	const struct cluster_self self = {
		.nodeid = 1,
		.pid = 1,
		.incarnation = 5,
		.random = { 1, 2, 3, 4 },
		.reach = 1,
	};
	char text[160];

	memset(&t, 0, sizeof t);
	solo_config(&t.config);
	t.config.cluster = false;
	t.config.node_count = 2;
	t.config.node[1].site = LYON;
	t.now_ns = 1000 * SOLO_MS;
	t.core = cluster_create(&t.config, &self, NULL, 0, text, sizeof text);
	ck_assert_ptr_nonnull(t.core);
	solo_tick(&t, 0);
}

static void teardown(void)
{
	cluster_destroy(t.core);
}

/* The newest order of that type since the last answer, or NULL. */
static const struct order *ordered(enum order_type type)
{
	for (uint32_t i = t.order_count; i-- > 0;)
		if (t.order[i].type == type)
			return &t.order[i];
	return NULL;
}

/* The devices are opened, or not. */
static void opened(int32_t error, const char *text)
{
	const struct order *o = ordered(ORDER_OPEN);
	struct fact f = { .type = FACT_OPENED, .error = error };

	ck_assert_ptr_nonnull(o);
	f.order_id = o->id;
	strcpy(f.text, text);
	t.order_count = 0;
	solo_fact(&t, &f);
}

static void held(void)
{
	opened(-EBUSY, "disk db is in use by process 23478");
}

static void refused(const char *why)
{
	ck_assert_uint_eq(t.reply_count, 1);
	ck_assert_int_eq(t.reply.exit_status, 1);
	if (strstr(t.reply.text, why) == NULL)
		ck_abort_msg("refused, but: %s", t.reply.text);
}

/* Whether the promotion came before the opening failed or after. */
START_TEST(a_promotion_waits_for_devices_that_are_held)
{
	if (_i == 0)
		solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	held();
	if (_i == 1)
		solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	for (int i = 0; i < 3; i++) {
		solo_tick(&t, 200);
		held();
	}
	ck_assert_uint_eq(t.reply_count, 0);
	solo_tick(&t, 200);
	opened(0, "");
	ck_assert_uint_eq(ordered(ORDER_PROBE)->site, LYON);
	ck_assert_uint_eq(t.reply_count, 0);
}
END_TEST

/* A process that lives is not waited for: it is named. */
START_TEST(devices_that_stay_held_refuse_it)
{
	int tries = 0;

	held();
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	for (; t.reply_count == 0; tries++) {
		ck_assert_int_lt(tries, 100);
		solo_tick(&t, 200);
		held();
	}
	ck_assert_int_ge(tries, 20);
	refused("process 23478");
	solo_tick(&t, 500); /* now nobody waits */
	ck_assert_ptr_null(ordered(ORDER_OPEN));
}
END_TEST

/* An open that fails for another reason refuses at once. */
START_TEST(devices_that_fail_refuse_it_at_once)
{
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	opened(-ENOENT, "disk db: no such file");
	refused("no such file");
	t.reply_count = 0;
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	refused("no such file");
}
END_TEST

/* Its time is over, it is called off, or the member is stopped. */
START_TEST(one_that_waits_can_be_ended)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_GIVE_UP };

	held();
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	ck_assert_uint_eq(t.reply_count, 0);
	e.command_id = t.core->alone->command.id;
	if (_i == 0)
		solo_step(&t, &e);
	else
		solo_command(&t, _i == 1 ? CLUSTER_COMMAND_DEMOTE : CLUSTER_COMMAND_STOP,
			     false);
	ck_assert_uint_ge(t.reply_count, 1);
	if (_i == 0)
		refused("process 23478");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("alone_devices");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_promotion_waits_for_devices_that_are_held, 0, 2);
	tcase_add_test(tc, devices_that_stay_held_refuse_it);
	tcase_add_test(tc, devices_that_fail_refuse_it_at_once);
	tcase_add_loop_test(tc, one_that_waits_can_be_ended, 0, 3);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
