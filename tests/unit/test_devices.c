/* test_devices.c - the table of agent/device_nodes.h: the order of its steps, with attach
 * played by the test. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/attach.h"
#include "agent/device_nodes.h"

/* ---- attach, played here ----------------------------------------------------------- */

static struct agent_attach_owner attach_owner;
static bool active;
static char said[256]; /* calls to attach, the core and the client, in order */

static void say(const char *word)
{
	const size_t at = strlen(said);

	snprintf(said + at, sizeof said - at, "%s ", word);
}

int agent_attach_open(struct qb_loop *loop, const struct config *config,
		      const struct agent_instance *instance,
		      const struct agent_attach_owner *owner,
		      struct agent_attach **attach)
{
	(void)loop;
	(void)config;
	(void)instance;
	attach_owner = *owner;
	*attach = NULL;
	return 0;
}

void agent_attach_start(struct agent_attach *a)
{
	(void)a;
	ck_assert(!active);
	active = true;
	say("start");
}

void agent_attach_stop(struct agent_attach *a, bool force)
{
	(void)a;
	say(force ? "drop" : "release");
}

bool agent_attach_is_active(const struct agent_attach *a)
{
	(void)a;
	return active;
}

const struct status_device *agent_attach_devices(const struct agent_attach *a)
{
	static const struct status_device device = { .front_end = "ublk" };

	(void)a;
	return &device;
}

const char *agent_attach_text(const struct agent_attach *a)
{
	(void)a;
	return "left behind";
}

void agent_attach_close(struct agent_attach *a)
{
	(void)a;
}

static void attach_done(int error, const char *text)
{
	active = error == -EBUSY;
	attach_owner.done(attach_owner.owner, error, text);
}

static void attach_stands(void)
{
	attach_owner.done(attach_owner.owner, 0, "");
}

/* ---- the owner ------------------------------------------------------------------------ */

static struct agent_devices *devices;
static char last_text[512];

static void go(void *owner, const struct cluster_command *command)
{
	char word[32];

	(void)owner;
	snprintf(word, sizeof word, "go%d", (int)command->id);
	say(word);
}

static void reply(void *owner, uint64_t id, int exit_status, const char *text)
{
	char word[32];

	(void)owner;
	snprintf(word, sizeof word, "reply%d=%d", (int)id, exit_status);
	say(word);
	snprintf(last_text, sizeof last_text, "%s", text);
}

static void tell(void *owner, const char *verb, const char *text)
{
	(void)owner;
	(void)verb;
	(void)text;
}

static void command(uint64_t id, enum cluster_command_type type, bool force)
{
	const struct cluster_command c = {
		.type = type, .id = id, .site = -1, .force = force
	};

	agent_devices_command(devices, &c);
}

/* The calls since the last time. */
static void expect(const char *words)
{
	if (said[0] != '\0')
		said[strlen(said) - 1] = '\0';
	ck_assert_str_eq(said, words);
	said[0] = '\0';
}

static void setup(void)
{
	const struct agent_devices_owner owner = { .go = go,
						   .reply = reply,
						   .tell = tell };

	active = false;
	said[0] = last_text[0] = '\0';
	ck_assert_int_eq(agent_devices_open(NULL, NULL, NULL, &owner, &devices), 0);
}

static void teardown(void)
{
	agent_devices_close(devices);
}

/* Promoted, and its devices stand. */
static void stand(void)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_serve(devices, true);
	agent_devices_reply(devices, 1, 0, "production");
	attach_stands();
	expect("go1 start reply1=0");
}

/* ---- the table --------------------------------------------------------------------------- */

START_TEST(promotion_is_answered_when_the_devices_stand)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	expect("go1");
	agent_devices_serve(devices, true);
	expect("start");
	agent_devices_reply(devices, 1, 0, "production");
	expect("");
	attach_stands();
	expect("reply1=0");
	ck_assert_str_eq(last_text, "production");
	ck_assert_str_eq(agent_devices_text(devices), "");
}
END_TEST

START_TEST(refused_promotion_is_answered_at_once)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_reply(devices, 1, 1, "outdated");
	expect("go1 reply1=1");
}
END_TEST

START_TEST(devices_that_do_not_stand_fail_the_promotion_and_are_tried_again)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_serve(devices, true);
	agent_devices_reply(devices, 1, 0, "production");
	attach_done(-EIO, "no nbdfuse here");
	expect("go1 start reply1=1");
	ck_assert_ptr_nonnull(strstr(last_text, "no nbdfuse here"));

	command(2, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_reply(devices, 2, 0, "production");
	expect("start go2");
	attach_stands();
	expect("reply2=0");
}
END_TEST

START_TEST(demotion_begins_when_the_devices_are_gone)
{
	stand();
	command(2, CLUSTER_COMMAND_DEMOTE, false);
	expect("release");
	attach_done(0, "");
	expect("go2");
	agent_devices_serve(devices, false);
	agent_devices_reply(devices, 2, 0, "demoted");
	expect("reply2=0");
}
END_TEST

START_TEST(device_in_use_refuses_demotion_and_stop)
{
	stand();
	command(2, CLUSTER_COMMAND_DEMOTE, false);
	command(3, CLUSTER_COMMAND_STOP, false);
	expect("release");
	attach_done(-EBUSY, "mounted on /srv");
	expect("reply2=1 reply3=1");
	ck_assert_str_eq(last_text, "mounted on /srv");

	command(4, CLUSTER_COMMAND_DEMOTE, false);
	expect("release");
}
END_TEST

START_TEST(signal_takes_devices_away_that_are_in_use)
{
	stand();
	command(2, CLUSTER_COMMAND_STOP, true);
	expect("release");
	attach_done(-EBUSY, "mounted on /srv");
	expect("drop");
	attach_done(0, "");
	expect("go2");
}
END_TEST

/* Frozen writes were failed: the writes that the device held back are lost, and a message
 * says so. */
START_TEST(release_that_cannot_write_goes_on_by_force)
{
	stand();
	command(2, CLUSTER_COMMAND_DEMOTE, false);
	attach_done(-EIO, "cannot be flushed");
	expect("release drop");
	attach_done(0, "");
	expect("go2");
}
END_TEST

START_TEST(demotion_that_the_core_refuses_brings_them_back)
{
	stand();
	command(2, CLUSTER_COMMAND_DEMOTE, false);
	attach_done(0, "");
	expect("release go2");
	agent_devices_reply(devices, 2, 1, "not now");
	expect("reply2=1 start");
}
END_TEST

START_TEST(deposed_production_drops_them_and_may_serve_again)
{
	stand();
	agent_devices_serve(devices, false);
	expect("drop");
	agent_devices_serve(devices, true);
	expect("");
	attach_done(0, "");
	expect("start");
}
END_TEST

START_TEST(promotion_whose_service_ends_meanwhile_fails)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_serve(devices, true);
	agent_devices_reply(devices, 1, 0, "production");
	agent_devices_serve(devices, false);
	expect("go1 start drop reply1=1");
}
END_TEST

START_TEST(demotion_during_the_start_cancels_it)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_serve(devices, true);
	command(2, CLUSTER_COMMAND_DEMOTE, false);
	expect("go1 start drop");
	attach_done(0, "");
	expect("go2");
}
END_TEST

/* The demotion came while the promotion was under way: no device is made in between. */
START_TEST(promotion_that_a_demotion_overtakes_is_answered)
{
	command(1, CLUSTER_COMMAND_PROMOTE, false);
	command(2, CLUSTER_COMMAND_DEMOTE, false);
	expect("go1 go2");
	agent_devices_serve(devices, true);
	agent_devices_reply(devices, 1, 0, "production");
	expect("");
	agent_devices_serve(devices, false);
	expect("reply1=1");
	agent_devices_reply(devices, 2, 0, "demoted");
	expect("reply2=0");
}
END_TEST

/* A lost device stays lost until someone promotes again. */
START_TEST(lost_device_comes_back_by_a_promotion)
{
	stand();
	active = false;
	attach_owner.lost(attach_owner.owner, "nbdfuse ended");
	expect("");
	ck_assert_str_eq(agent_devices_text(devices), "left behind");
	command(2, CLUSTER_COMMAND_PROMOTE, false);
	agent_devices_reply(devices, 2, 0, "production");
	attach_stands();
	expect("start go2 reply2=0");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("devices");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, promotion_is_answered_when_the_devices_stand);
	tcase_add_test(tc, refused_promotion_is_answered_at_once);
	tcase_add_test(tc,
		       devices_that_do_not_stand_fail_the_promotion_and_are_tried_again);
	tcase_add_test(tc, demotion_begins_when_the_devices_are_gone);
	tcase_add_test(tc, device_in_use_refuses_demotion_and_stop);
	tcase_add_test(tc, signal_takes_devices_away_that_are_in_use);
	tcase_add_test(tc, release_that_cannot_write_goes_on_by_force);
	tcase_add_test(tc, demotion_that_the_core_refuses_brings_them_back);
	tcase_add_test(tc, deposed_production_drops_them_and_may_serve_again);
	tcase_add_test(tc, promotion_whose_service_ends_meanwhile_fails);
	tcase_add_test(tc, demotion_during_the_start_cancels_it);
	tcase_add_test(tc, promotion_that_a_demotion_overtakes_is_answered);
	tcase_add_test(tc, lost_device_comes_back_by_a_promotion);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
