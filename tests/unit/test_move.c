/* test_move.c - the table of cluster/move.h: paris is production, lyon is to be. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/move.h"

#define MS 1000000ull
#define PARIS 0
#define LYON 1
#define WAIT_MS 200u

static struct config config;
static struct cluster_status status;
static struct cluster_move m;
static struct cluster_move_action a;
static uint64_t now_ms, answered_ms;
static int near;

static void setup(void)
{
	strcpy(config.site[PARIS].name, "paris");
	strcpy(config.site[LYON].name, "lyon");
	memset(&status, 0, sizeof status);
	status.site_count = 2;
	status.history.count = 1;
	status.sites[LYON].may_promote = true;
	now_ms = 1000;
	answered_ms = 0;
	near = 0;
	cluster_move_init(&m, &config);
}

static void step(struct cluster_move_event e)
{
	e.now_ns = now_ms * MS;
	e.near = near;
	e.near_text = "lyon is far";
	e.status = &status;
	e.answered_ns = answered_ms * MS;
	cluster_move_step(&m, &e, &a);
}

static void begin(enum cluster_move_part part)
{
	step((struct cluster_move_event){ .type = MOVE_EVENT_BEGIN,
					  .begin = { 7, LYON, WAIT_MS, part } });
}

static void look_after(uint64_t ms)
{
	now_ms += ms;
	step((struct cluster_move_event){ .type = MOVE_EVENT_LOOK });
}

static void reply(int32_t exit_status, const char *text)
{
	step((struct cluster_move_event){ .type = MOVE_EVENT_REPLY,
					  .reply = { exit_status, text } });
}

static void gone(void)
{
	step((struct cluster_move_event){ .type = MOVE_EVENT_GONE });
}

static void lyon_serves(void)
{
	status.production_site = status.production_node = LYON;
	status.history.entry[0].site = LYON;
}

static void expect_command(enum cluster_command_type type, int32_t site)
{
	ck_assert_int_eq(a.type, MOVE_ACTION_COMMAND);
	ck_assert_uint_eq(a.command.id, 7);
	ck_assert_int_eq(a.command.type, type);
	ck_assert_int_eq(a.command.site, site);
}

static void expect_look_in(uint64_t ms)
{
	ck_assert_int_eq(a.type, MOVE_ACTION_LOOK);
	ck_assert_uint_eq(a.look_at_ns, (now_ms + ms) * MS);
}

static void expect_end(int32_t exit_status, const char *text)
{
	ck_assert_int_eq(a.type, MOVE_ACTION_END);
	ck_assert_int_eq(a.exit_status, exit_status);
	ck_assert_str_eq(a.text, text);
	ck_assert_int_eq(m.state, MOVE_NONE);
}

/* It demotes, lyon may be promoted and does not serve yet. */
static void until_follow(void)
{
	begin(MOVE_WHOLE);
	expect_command(CLUSTER_COMMAND_DEMOTE, LYON);
	ck_assert_uint_eq(a.look_at_ns, 0); /* its reply is awaited, however late */
	ck_assert_uint_eq(a.command.wait_ms, MOVE_DEMOTE_MS);
	reply(0, "demoted");
	expect_look_in(MOVE_FOLLOW_LOOK_MS);
}

static void until_back(void)
{
	until_follow();
	look_after(MOVE_FOLLOW_MS);
	expect_command(CLUSTER_COMMAND_PROMOTE, -1);
	ck_assert_uint_eq(a.look_at_ns, (now_ms + MOVE_BACK_MS) * MS);
}

/* ---- catch-up ------------------------------------------------------------------ */

START_TEST(demotes_once_the_site_is_near_enough)
{
	near = -EAGAIN;
	begin(MOVE_WHOLE);
	expect_look_in(MOVE_CATCH_UP_LOOK_MS);
	near = -ENOTCONN; /* its line breaks for a moment */
	look_after(MOVE_CATCH_UP_LOOK_MS);
	expect_look_in(MOVE_CATCH_UP_LOOK_MS);
	near = 0;
	look_after(MOVE_CATCH_UP_LOOK_MS);
	expect_command(CLUSTER_COMMAND_DEMOTE, LYON);
	ck_assert_int_eq(m.state, MOVE_DEMOTE);
}
END_TEST

START_TEST(is_refused_when_the_time_for_the_catch_up_is_over)
{
	near = -EAGAIN;
	begin(MOVE_WHOLE);
	look_after(WAIT_MS - 1);
	expect_look_in(MOVE_CATCH_UP_LOOK_MS);
	look_after(1);
	expect_end(1, "lyon was not near enough in the time given: lyon is far; nothing "
		      "has changed, and --wait gives it more time");
}
END_TEST

START_TEST(is_refused_at_once_where_waiting_does_not_help)
{
	static const struct {
		int near, exit_status;
	} all[] = { { -ENOTCONN, 1 }, { -EPERM, 1 }, { -EALREADY, 0 } };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		near = all[i].near;
		begin(MOVE_WHOLE);
		expect_end(all[i].exit_status, "lyon is far");
		ck_assert_int_eq(a.stall_ms, -1);
	}
}
END_TEST

START_TEST(a_client_that_goes_calls_off_the_catch_up_only)
{
	near = -EAGAIN;
	begin(MOVE_WHOLE);
	gone();
	ck_assert_int_eq(a.type, MOVE_ACTION_CALLED_OFF);
	ck_assert_int_eq(m.state, MOVE_NONE);
	near = 0;
	begin(MOVE_WHOLE);
	gone();
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	reply(0, "demoted");
	gone();
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	look_after(MOVE_FOLLOW_MS);
	gone();
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	ck_assert_int_eq(m.state, MOVE_BACK);
}
END_TEST

/* ---- the demote ---------------------------------------------------------------- */

START_TEST(a_refused_demote_leaves_production_here)
{
	begin(MOVE_WHOLE);
	look_after(100);
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	reply(1, "lyon has not all of it in time");
	expect_end(1, "lyon has not all of it in time; this host serves on");
}
END_TEST

START_TEST(goes_back_at_once_where_the_site_may_not_be_promoted)
{
	begin(MOVE_WHOLE);
	status.sites[LYON].may_promote = false;
	reply(0, "demoted");
	expect_command(CLUSTER_COMMAND_PROMOTE, -1);
	ck_assert(!a.command.force);
	reply(0, "production");
	expect_end(1, "lyon has not all of it: demoted; this host serves again");
}
END_TEST

/* ---- the promotion there ---------------------------------------------------------- */

/* The stall counts from the last answer, or from the demotion where clients were idle. */
START_TEST(ends_when_the_site_serves)
{
	until_follow();
	status.production_site = status.production_node =
		LYON; /* not by its generation */
	look_after(MOVE_FOLLOW_LOOK_MS);
	expect_look_in(MOVE_FOLLOW_LOOK_MS);
	lyon_serves();
	answered_ms = now_ms;
	look_after(30);
	expect_end(0, "lyon is production: no write was answered for 30 ms");
	ck_assert_int_eq(a.stall_ms, 30);
	status.history.entry[0].site = PARIS;
	answered_ms = now_ms - 500;
	until_follow();
	lyon_serves();
	look_after(40);
	ck_assert_int_eq(a.stall_ms, 40);
}
END_TEST

START_TEST(goes_back_when_the_site_does_not_begin_to_serve)
{
	until_back();
	reply(0, "production");
	expect_end(1,
		   "lyon did not begin to serve within 10 s; the events there tell the "
		   "cause; this host serves again");
}
END_TEST

START_TEST(the_way_back_has_a_time_too)
{
	until_back();
	look_after(MOVE_BACK_MS - 1);
	ck_assert_int_eq(a.type, MOVE_ACTION_LOOK);
	ck_assert_uint_eq(a.look_at_ns, (now_ms + 1) * MS);
	look_after(1);
	ck_assert_int_eq(a.type, MOVE_ACTION_GIVE_UP);
	reply(1, "no quorum: called off");
	expect_end(1,
		   "lyon did not begin to serve within 10 s; the events there tell the "
		   "cause; and this host is not production any more: no quorum: "
		   "called off");
}
END_TEST

START_TEST(a_site_that_serves_at_the_last_moment_has_it)
{
	until_back();
	lyon_serves();
	reply(1, "lyon serves");
	ck_assert_int_eq(a.type, MOVE_ACTION_END);
	ck_assert_int_eq(a.exit_status, 0);
	ck_assert_int_eq(a.stall_ms, MOVE_FOLLOW_MS);
}
END_TEST

static void demoted(void)
{
	step((struct cluster_move_event){ .type = MOVE_EVENT_DEMOTED });
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
}

START_TEST(does_not_go_back_where_another_command_has_demoted_it)
{
	until_follow();
	demoted();
	look_after(MOVE_FOLLOW_MS - 1);
	expect_look_in(MOVE_FOLLOW_LOOK_MS);
	look_after(1);
	expect_end(1,
		   "lyon did not begin to serve within 10 s; the events there tell the "
		   "cause; this host was demoted meanwhile, and stays so");
	begin(MOVE_WHOLE);
	demoted();
	status.sites[LYON].may_promote = false;
	reply(0, "demoted");
	expect_end(1, "lyon has not all of it: demoted; this host was demoted meanwhile, "
		      "and stays so");
	status.sites[LYON].may_promote = true;
	until_back(); /* of this move nothing is known there */
	demoted();
	reply(1, "called off by a demote");
	ck_assert_int_eq(a.exit_status, 1);
}
END_TEST

/* ---- parts: Pacemaker demotes and promotes ------------------------------------------ */

START_TEST(the_catch_up_alone_demotes_nothing)
{
	near = -EAGAIN;
	begin(MOVE_ONLY_CATCH_UP);
	near = 0;
	look_after(MOVE_CATCH_UP_LOOK_MS);
	expect_end(0, "lyon is near enough");
}
END_TEST

START_TEST(the_following_alone_promotes_nothing)
{
	near = -EPERM; /* it is production no more */
	begin(MOVE_ONLY_FOLLOW);
	expect_look_in(MOVE_FOLLOW_LOOK_MS);
	gone();
	ck_assert_int_eq(a.type, MOVE_ACTION_CALLED_OFF);
	begin(MOVE_ONLY_FOLLOW);
	look_after(WAIT_MS);
	expect_end(1, "lyon is not production in the time given");
	begin(MOVE_ONLY_FOLLOW);
	lyon_serves();
	look_after(WAIT_MS);
	ck_assert_int_eq(a.exit_status, 0);
	ck_assert_int_eq(a.type, MOVE_ACTION_END);
}
END_TEST

/* A reply or a timer that comes late finds the move over. */
START_TEST(what_nobody_waits_for_changes_nothing)
{
	near = -EPERM;
	begin(MOVE_WHOLE);
	look_after(1);
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	reply(0, "demoted");
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	gone();
	ck_assert_int_eq(a.type, MOVE_ACTION_NONE);
	ck_assert_int_eq(m.state, MOVE_NONE);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("move");
	Suite *s = suite_create("cluster");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, demotes_once_the_site_is_near_enough);
	tcase_add_test(tc, is_refused_when_the_time_for_the_catch_up_is_over);
	tcase_add_test(tc, is_refused_at_once_where_waiting_does_not_help);
	tcase_add_test(tc, a_client_that_goes_calls_off_the_catch_up_only);
	tcase_add_test(tc, a_refused_demote_leaves_production_here);
	tcase_add_test(tc, goes_back_at_once_where_the_site_may_not_be_promoted);
	tcase_add_test(tc, ends_when_the_site_serves);
	tcase_add_test(tc, goes_back_when_the_site_does_not_begin_to_serve);
	tcase_add_test(tc, the_way_back_has_a_time_too);
	tcase_add_test(tc, a_site_that_serves_at_the_last_moment_has_it);
	tcase_add_test(tc, does_not_go_back_where_another_command_has_demoted_it);
	tcase_add_test(tc, the_catch_up_alone_demotes_nothing);
	tcase_add_test(tc, the_following_alone_promotes_nothing);
	tcase_add_test(tc, what_nobody_waits_for_changes_nothing);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
