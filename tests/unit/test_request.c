/* test_request.c - from the JSON of docs/control.md to commands and back, with the
 * node and the client's connection played by the test. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <qb/qbloop.h>

#include "agent/request.h"
#include "mirror/status.h"

/* ---- the client, played here ------------------------------------------------------ */

struct agent_client {
	int answer_count, line_count;
	bool streams;
	int exit_status;
	char text[1024];
	json_t *reply;    /* the last */
	char lines[2048]; /* objects of the events that were sent */
};

static struct qb_loop *loop;
static struct agent_requests *requests;
static struct agent_events *events;
static struct config *config;
static struct agent_client client, other;

void agent_client_stream(struct agent_client *c, bool on)
{
	c->streams = on;
}

void agent_client_send(struct agent_client *c, json_t *line)
{
	const json_t *event = json_object_get(line, "event");
	const size_t at = strlen(c->lines);

	c->line_count++;
	snprintf(c->lines + at, sizeof c->lines - at, "%s %s; ",
		 json_string_value(json_object_get(event, "verb")),
		 json_string_value(json_object_get(event, "object")));
	json_decref(line);
}

void agent_client_reply(struct agent_client *c, json_t *reply, int exit_status,
			const char *text)
{
	c->answer_count++;
	c->exit_status = exit_status;
	snprintf(c->text, sizeof c->text, "%s", text != NULL ? text : "");
	json_decref(c->reply);
	c->reply = reply;
}

/* ---- the node ------------------------------------------------------------------------ */

static struct cluster_command last;
static int command_count, status_count, frozen_count, stopped_count;
static struct cluster_status members;
static char fenced[64];

void agent_node_command(struct agent_node *n, const struct cluster_command *command)
{
	(void)n;
	last = *command;
	command_count++;
}

void agent_node_status(struct agent_node *n)
{
	(void)n;
	status_count++;
}

/* The core calls a promotion off, unless it starts to serve already. */
static bool calls_off;
static uint64_t given_up;

void agent_node_give_up(struct agent_node *n, uint64_t id)
{
	(void)n;
	given_up = id;
	if (calls_off)
		agent_requests_reply(requests, id, 1, "called off");
}

int agent_node_fenced(struct agent_node *n, const char *name)
{
	(void)n;
	snprintf(fenced, sizeof fenced, "%s", name);
	return strcmp(name, "a") == 0 ? 0 : -ENOENT;
}

void agent_node_order(struct agent_node *n, const struct order *o)
{
	(void)n;
	frozen_count += o->type == ORDER_FAIL_FROZEN;
}

static int near; /* the answer that cluster_switch_check() would give */
static uint64_t answered_ns;

int agent_node_switch_check(const struct agent_node *n, uint32_t site, char *text,
			    size_t text_size)
{
	(void)n;
	ck_assert_uint_eq(site, 1);
	snprintf(text, text_size, "lyon is far");
	return near;
}

uint64_t agent_node_answered_ns(const struct agent_node *n)
{
	(void)n;
	return answered_ns;
}

static const char *hangs; /* a device does not answer */

bool agent_node_hangs(const struct agent_node *n, char *text, size_t text_size)
{
	(void)n;
	if (hangs != NULL)
		snprintf(text, text_size, "%s", hangs);
	return hangs != NULL;
}

void agent_node_members_get(const struct agent_node *n, struct cluster_status *status)
{
	(void)n;
	*status = members;
}

static const char *votes = "";

const char *agent_node_votes_text(const struct agent_node *n)
{
	(void)n;
	return votes;
}

static void stopped(void *owner)
{
	(void)owner;
	stopped_count++;
	qb_loop_stop(loop);
}

static void setup(void)
{
	static const struct agent_instance instance = { .name = "data",
							.mirror = "data" };
	struct agent_requests_setup s = { .instance = &instance, .stopped = stopped };

	loop = qb_loop_create();
	config = calloc(1, sizeof *config);
	strcpy(config->mirror, "data");
	config->frozen_timeout_ms = 50;
	config->site_count = config->node_count = 2;
	strcpy(config->site[0].name, "paris");
	strcpy(config->site[1].name, "lyon");
	strcpy(config->node[0].name, "a");
	strcpy(config->node[1].name, "b");
	config->node[1].site = 1;
	events = agent_events_open(NULL);
	s.loop = loop;
	s.config = config;
	s.events = events;
	requests = agent_requests_open(&s);
	memset(&client, 0, sizeof client);
	memset(&other, 0, sizeof other);
	memset(&members, 0, sizeof members);
	command_count = status_count = frozen_count = stopped_count = 0;
	calls_off = false;
	votes = "";
}

static void teardown(void)
{
	agent_requests_gone(requests, &client);
	agent_requests_gone(requests, &other);
	agent_requests_close(requests);
	agent_events_close(events);
	json_decref(client.reply);
	json_decref(other.reply);
	free(config);
	qb_loop_destroy(loop);
}

static void ask(struct agent_client *c, const char *text)
{
	json_error_t error;
	json_t *request = json_loads(text, 0, &error);

	ck_assert_msg(request != NULL, "%s", error.text);
	agent_requests_request(requests, c, request);
	json_decref(request);
}

static void stop_loop(void *data)
{
	(void)data;
	qb_loop_stop(loop);
}

static void run_ms(uint64_t ms)
{
	qb_loop_timer_handle timer;

	qb_loop_timer_add(loop, QB_LOOP_LOW, ms * 1000000, NULL, stop_loop, &timer);
	qb_loop_run(loop);
}

static void node_status(void)
{
	struct mirror_status engine = { 0 };
	const struct status_input in = { .config = config,
					 .instance = "data",
					 .cluster = &members,
					 .mirror = &engine };

	agent_requests_status(requests, &in);
}

/* ---- requests ------------------------------------------------------------------------- */

START_TEST(unknown_commands_and_members_are_not_ignored)
{
	static const char *const bad[] = {
		"{\"command\":\"bogus\"}",
		"{}",
		"{\"command\":7}",
		"{\"command\":\"ping\",\"force\":true}",
		"{\"command\":\"promote\",\"froce\":true}",
		"{\"command\":\"promote\",\"force\":1}",
		"{\"command\":\"promote\",\"wait\":-1}",
		"{\"command\":\"promote\",\"wait\":\"5\"}",
		"{\"command\":\"demote\",\"force\":true}",
		"{\"command\":\"fenced\"}",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ask(&client, bad[i]);
		ck_assert_int_eq(client.answer_count, (int)i + 1);
		ck_assert_msg(client.exit_status == 2, "%s: exit %d", bad[i],
			      client.exit_status);
	}
	ck_assert_int_eq(command_count, 0);
}
END_TEST

START_TEST(commands_reach_the_node_with_what_was_said)
{
	ask(&client, "{\"command\":\"promote\",\"force\":true}");
	ck_assert_int_eq(last.type, CLUSTER_COMMAND_PROMOTE);
	ck_assert(last.force);
	ck_assert_int_eq(last.site, -1);
	agent_requests_reply(requests, last.id, 1, "named loss");
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_str_eq(client.text, "named loss");

	ask(&client,
	    "{\"command\":\"refresh\",\"site\":\"lyon\",\"allow_inconsistent\":true}");
	ck_assert_int_eq(last.type, CLUSTER_COMMAND_REFRESH);
	ck_assert_int_eq(last.site, 1);
	ck_assert(last.inconsistent && !last.pace);
	agent_requests_reply(requests, last.id, 0, "begun");
	ck_assert_int_eq(client.answer_count, 2);

	ask(&client, "{\"command\":\"refresh\",\"pace\":true}");
	ck_assert(last.pace && !last.inconsistent);
	agent_requests_reply(requests, last.id, 0, "begun");

	ask(&client, "{\"command\":\"mode\",\"mode\":\"near-sync\",\"ms\":200}");
	ck_assert_int_eq(last.type, CLUSTER_COMMAND_MODE);
	ck_assert_uint_eq(last.promise.mode, CONFIG_NEAR_SYNC);
	ck_assert_uint_eq(last.promise.records, PROMISE_UNBOUNDED);
	ck_assert_uint_eq(last.promise.ms, 200);
	agent_requests_reply(requests, last.id, 0, "the mode is near-sync");
	ask(&client, "{\"command\":\"mode\",\"mode\":\"sync\",\"ms\":200}");
	ck_assert_int_eq(client.exit_status, 2);
	ask(&client, "{\"command\":\"mode\",\"mode\":\"often\"}");
	ck_assert_int_eq(client.exit_status, 2);

	ask(&client, "{\"command\":\"disconnect\",\"site\":\"rome\"}");
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(client.text, "rome"));
	ck_assert_int_eq(command_count, 4);
}
END_TEST

START_TEST(promotion_that_takes_too_long_is_called_off)
{
	calls_off = true;
	ask(&client, "{\"command\":\"promote\",\"wait\":0.02}");
	run_ms(200);
	ck_assert_uint_eq(given_up, last.id);
	ck_assert_int_eq(client.answer_count, 1);
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_str_eq(client.text, "called off");
	/* the client has gone: its promotion still ends with its time */
	given_up = 0;
	ask(&other, "{\"command\":\"promote\",\"wait\":0.02}");
	agent_requests_gone(requests, &other);
	run_ms(200);
	ck_assert_uint_eq(given_up, last.id);
	ck_assert_int_eq(other.answer_count, 0);
}
END_TEST

START_TEST(promotion_that_starts_to_serve_when_its_time_is_over_says_so)
{
	strcpy(members.text, "promoting: starting to serve");
	ask(&client, "{\"command\":\"promote\",\"wait\":0.02}");
	run_ms(200);
	ck_assert_int_eq(client.answer_count, 1);
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(client.text, "it goes on"));
	ck_assert_ptr_nonnull(strstr(client.text, "starting to serve"));
	agent_requests_reply(requests, last.id, 0, "production");
	ck_assert_int_eq(client.answer_count, 1);
}
END_TEST

/* Frozen writes are failed when the time is over, and the demotion goes on. */
START_TEST(demotion_fails_frozen_writes_and_goes_on)
{
	const json_t *names;

	ask(&client, "{\"command\":\"demote\"}");
	run_ms(200);
	ck_assert_int_eq(frozen_count, 1);
	ck_assert_int_eq(client.answer_count, 0);
	members.site_count = 2;
	members.sites[1].may_promote = true;
	agent_requests_reply(requests, last.id, 0, "demoted");
	ck_assert_int_eq(client.exit_status, 0);
	ck_assert_int_eq(client.answer_count, 1);
	names = json_object_get(client.reply, "may_promote");
	ck_assert_uint_eq(json_array_size(names), 1);
	ck_assert_str_eq(json_string_value(json_array_get(names, 0)), "lyon");
}
END_TEST

/* Where a device hangs, failing the frozen requests would end nothing. */
START_TEST(release_that_a_device_keeps_names_it_when_its_time_is_over)
{
	hangs = "disk db (/dev/x) hangs: a write has not been answered for 21 s";
	strcpy(members.text, "promoting: starting to serve");
	ask(&client, "{\"command\":\"stop\",\"wait\":0.02}");
	run_ms(200);
	ck_assert_int_eq(frozen_count, 0);
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(client.text, hangs));
	hangs = NULL;
}
END_TEST

START_TEST(client_that_hangs_up_gives_up_the_answer_only)
{
	ask(&client, "{\"command\":\"promote\"}");
	agent_requests_gone(requests, &client);
	agent_requests_reply(requests, last.id, 0, "production");
	ck_assert_int_eq(client.answer_count, 0);
	ck_assert_int_eq(command_count, 1);

	ask(&client, "{\"command\":\"stop\"}");
	agent_requests_gone(requests, &client);
	agent_requests_reply(requests, last.id, 0, "released");
	ck_assert_int_eq(stopped_count, 1);
}
END_TEST

START_TEST(stop_ends_the_process_unless_it_is_refused)
{
	ask(&client, "{\"command\":\"stop\"}");
	ck_assert(!last.force);
	agent_requests_reply(requests, last.id, 1, "mounted");
	ck_assert_int_eq(stopped_count, 0);
	ask(&client, "{\"command\":\"stop\"}");
	agent_requests_reply(requests, last.id, 0, "released");
	ck_assert_int_eq(stopped_count, 1);
	agent_requests_stop(requests);
	ck_assert(last.force);
	agent_requests_reply(requests, last.id, 1, "no");
	ck_assert_int_eq(stopped_count, 2);
}
END_TEST

/* The remaining nodes may be one too few: an operator who stops one daemon after the other
 * hears it. */
START_TEST(a_stop_says_when_the_quorum_has_no_node_to_spare)
{
	votes = "Corosync has 3 of 5 votes.";
	ask(&client, "{\"command\":\"stop\"}");
	agent_requests_reply(requests, last.id, 1, "mounted");
	ck_assert_str_eq(client.text, "mounted");
	ask(&client, "{\"command\":\"stop\"}");
	agent_requests_reply(requests, last.id, 0, "released");
	ck_assert_str_eq(client.text, "released. Corosync has 3 of 5 votes.");
}
END_TEST

START_TEST(score_and_fenced_are_answered_at_once)
{
	ask(&client, "{\"command\":\"score\"}"); /* without a cluster */
	ck_assert_int_eq(client.exit_status, 1);
	ask(&client, "{\"command\":\"fenced\",\"node\":\"a\"}");
	ck_assert_int_eq(client.exit_status, 1);
	config->cluster = true;
	members.promotion_score = 7900;
	ask(&client, "{\"command\":\"score\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(client.reply, "score")),
			 7900);
	members.promotion_score = INT32_MIN;
	ask(&client, "{\"command\":\"score\"}");
	ck_assert_int_eq(client.exit_status, 1);
	ask(&client, "{\"command\":\"fenced\",\"node\":\"a\"}");
	ck_assert_int_eq(client.exit_status, 0);
	ask(&client, "{\"command\":\"fenced\",\"node\":\"z\"}");
	ck_assert_int_eq(client.exit_status, 1);
}
END_TEST

/* One answer of the node serves all clients that wait for it. */
START_TEST(status_answers_all_that_wait)
{
	ask(&client, "{\"command\":\"status\"}");
	ask(&other, "{\"command\":\"why\"}");
	ck_assert_int_eq(client.answer_count + other.answer_count, 0);
	node_status();
	ck_assert(json_is_object(json_object_get(client.reply, "status")));
	ck_assert(json_is_array(json_object_get(other.reply, "why")));
	ck_assert_int_eq(client.answer_count, 1);
	ck_assert_int_eq(other.answer_count, 1);
}
END_TEST

/* ---- switch ------------------------------------------------------------------------ */

#define SWITCH "{\"command\":\"switch\",\"site\":\"lyon\",\"wait\":0.2}"

/* Lyon is production now, by a newer generation. */
static void lyon_serves(void)
{
	members.production_site = members.production_node = 1;
	members.history.count = 1;
	members.history.entry[0].site = 1;
}

static void expect_command(enum cluster_command_type type, int32_t site, int count)
{
	ck_assert_int_eq(command_count, count);
	ck_assert_int_eq(last.type, type);
	ck_assert_int_eq(last.site, site);
}

START_TEST(a_switch_catches_up_demotes_and_follows)
{
	near = -EAGAIN;
	ask(&client, SWITCH);
	ask(&other, SWITCH);
	ck_assert_str_eq(other.text, "another switch is under way");
	run_ms(60);
	near = -ENOTCONN; /* the line breaks for a moment */
	run_ms(60);
	ck_assert_int_eq(command_count, 0);
	near = 0;
	run_ms(60);
	expect_command(CLUSTER_COMMAND_DEMOTE, 1, 1);
	agent_requests_gone(requests, &other);
	members.site_count = 2;
	members.sites[1].may_promote = true;
	agent_requests_reply(requests, last.id, 0, "demoted");
	run_ms(30);
	ck_assert_int_eq(client.answer_count, 0);
	lyon_serves();
	run_ms(30);
	ck_assert_int_eq(client.answer_count, 1);
	ck_assert_int_eq(client.exit_status, 0);
	ck_assert_int_ge(json_integer_value(json_object_get(client.reply, "stall_ms")),
			 20);
	ck_assert_int_eq(command_count, 1);
}
END_TEST

START_TEST(a_switch_that_cannot_be_changes_nothing)
{
	ask(&client, "{\"command\":\"switch\"}");
	ck_assert_int_eq(client.exit_status, 2);
	ask(&client, "{\"command\":\"switch\",\"site\":\"rome\"}");
	ck_assert_ptr_nonnull(strstr(client.text, "no site rome"));
	near = -ENOTCONN;
	ask(&client, SWITCH);
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_str_eq(client.text, "lyon is far");
	near = -EALREADY;
	ask(&client, SWITCH);
	ck_assert_int_eq(client.exit_status, 0);
	near = -EAGAIN;
	ask(&client, SWITCH);
	run_ms(400);
	ck_assert_int_eq(client.answer_count, 5);
	ck_assert_ptr_nonnull(strstr(client.text, "in the time given: lyon is far"));
	ask(&client, SWITCH);
	agent_requests_gone(requests, &client); /* called off */
	near = 0;
	run_ms(100);
	ck_assert_int_eq(command_count, 0);
	ask(&other, SWITCH);
	expect_command(CLUSTER_COMMAND_DEMOTE, 1, 1);
	agent_requests_reply(requests, last.id, 1, "a device is in use");
	ck_assert_str_eq(other.text, "a device is in use; this host serves on");
	ck_assert_int_eq(command_count, 1);
}
END_TEST

/* Lyon has not all of it, or does not begin to serve. */
START_TEST(a_switch_that_fails_goes_back)
{
	near = 0;
	ask(&client, SWITCH);
	members.site_count = 2;
	agent_requests_reply(requests, last.id, 0, "demoted");
	expect_command(CLUSTER_COMMAND_PROMOTE, -1, 2);
	agent_requests_reply(requests, last.id, 0, "production");
	ck_assert_int_eq(client.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(client.text, "lyon has not all of it"));
	ck_assert_ptr_nonnull(strstr(client.text, "this host serves again"));
	members.sites[1].may_promote = true;
	ask(&client, SWITCH);
	agent_requests_reply(requests, last.id, 0, "demoted");
	ck_assert_int_eq(command_count, 3);
	run_ms(10500);
	expect_command(CLUSTER_COMMAND_PROMOTE, -1, 4);
	lyon_serves(); /* at that very moment */
	agent_requests_reply(requests, last.id, 1, "lyon serves");
	ck_assert_int_eq(client.exit_status, 0);
	ck_assert_int_eq(client.answer_count, 2);
}
END_TEST

START_TEST(events_are_what_exists_and_then_what_changes)
{
	const struct agent_event change = {
		.verb = "change", .object = "site lyon", .text = "", .rule = ""
	};

	ask(&client, "{\"command\":\"events\"}");
	ask(&other, "{\"command\":\"events\",\"now\":true}");
	agent_events_add(events, &change);
	ck_assert_int_eq(client.line_count, 0);
	node_status();
	ck_assert_str_eq(client.lines,
			 "exists mirror data; exists member a; exists member b; "
			 "exists site paris; exists site lyon; exists -; ");
	ck_assert_str_eq(other.lines, client.lines);
	ck_assert(client.streams);
	ck_assert(!other.streams);
	client.lines[0] = '\0';
	agent_events_add(events, &change);
	ck_assert_str_eq(client.lines, "change site lyon; ");
	ck_assert_int_eq(other.line_count, 6);
	agent_requests_gone(requests, &client);
	agent_events_add(events, &change);
	ck_assert_int_eq(client.line_count, 7);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("request");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, unknown_commands_and_members_are_not_ignored);
	tcase_add_test(tc, commands_reach_the_node_with_what_was_said);
	tcase_add_test(tc, promotion_that_takes_too_long_is_called_off);
	tcase_add_test(tc, promotion_that_starts_to_serve_when_its_time_is_over_says_so);
	tcase_add_test(tc, demotion_fails_frozen_writes_and_goes_on);
	tcase_add_test(tc, a_switch_catches_up_demotes_and_follows);
	tcase_add_test(tc, a_switch_that_cannot_be_changes_nothing);
	tcase_add_test(tc, a_switch_that_fails_goes_back);
	tcase_add_test(tc, release_that_a_device_keeps_names_it_when_its_time_is_over);
	tcase_add_test(tc, client_that_hangs_up_gives_up_the_answer_only);
	tcase_add_test(tc, stop_ends_the_process_unless_it_is_refused);
	tcase_add_test(tc, a_stop_says_when_the_quorum_has_no_node_to_spare);
	tcase_add_test(tc, score_and_fenced_are_answered_at_once);
	tcase_add_test(tc, status_answers_all_that_wait);
	tcase_add_test(tc, events_are_what_exists_and_then_what_changes);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
