/* test_control.c - the control socket: one answer after the other, and bounds that
 * a client cannot break (docs/control.md). */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/control.h"
#include "tests/unit/patience.h"

#define NS_PER_MS 1000000ull

static char directory[32] = "/tmp/hamirror-control-XXXXXX";
static char path[64];
static struct qb_loop *loop;
static struct agent_control *control;
static struct agent_client *asked; /* by the request last seen */
static char command[64];
static int request_count, gone_count, dropped_count;
static char dropped_text[256];

static void request(void *owner, struct agent_client *c, json_t *r)
{
	(void)owner;
	asked = c;
	request_count++;
	snprintf(command, sizeof command, "%s",
		 json_string_value(json_object_get(r, "command")));
	qb_loop_stop(loop);
}

static void gone(void *owner, struct agent_client *c)
{
	(void)owner;
	(void)c;
	gone_count++;
	qb_loop_stop(loop);
}

static bool is_urgent(void *owner, const json_t *r)
{
	(void)owner;
	return strcmp(json_string_value(json_object_get(r, "command")), "urgent") == 0;
}

static void dropped(void *owner, const char *text)
{
	(void)owner;
	dropped_count++;
	snprintf(dropped_text, sizeof dropped_text, "%s", text);
}

static void too_long(void *data)
{
	(void)data;
	ck_abort_msg("nothing happened");
}

/* Until a request or a hang-up has come. */
static void run(void)
{
	qb_loop_timer_handle timer;

	ck_assert_int_eq(qb_loop_timer_add(loop, QB_LOOP_LOW, PATIENCE_MS * NS_PER_MS,
					   NULL, too_long, &timer),
			 0);
	qb_loop_run(loop);
	qb_loop_timer_del(loop, timer);
}

static void stop(void *data)
{
	(void)data;
	qb_loop_stop(loop);
}

/* For a moment without work: a waiting test calls this again. */
static void run_ready(void)
{
	qb_loop_timer_handle timer;

	ck_assert_int_eq(
		qb_loop_timer_add(loop, QB_LOOP_LOW, 50 * NS_PER_MS, NULL, stop, &timer),
		0);
	qb_loop_run(loop);
	qb_loop_timer_del(loop, timer);
}

static int client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

static void hear_some(int fd, char *text, size_t bytes)
{
	ssize_t n;

	while ((n = recv(fd, text, bytes - 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		run_ready();
	text[n > 0 ? n : 0] = '\0';
}

static void hear(int fd, const char *expected)
{
	char text[512] = "";

	if (expected[0] != '\0')
		hear_some(fd, text, sizeof text);
	else
		ck_assert_int_lt(recv(fd, text, sizeof text, MSG_DONTWAIT), 0);
	ck_assert_str_eq(text, expected);
}

static bool named_too_early;

/* A socket that can be found can be connected to: it has no name before it listens. */
int listen(int fd, int backlog)
{
	named_too_early |= access(path, F_OK) == 0;
	return (int)syscall(SYS_listen, fd, backlog);
}

static void setup(void)
{
	const struct agent_control_owner owner = { request, gone, is_urgent, dropped,
						   NULL };
	char text[256];

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/control", directory);
	loop = qb_loop_create();
	ck_assert_int_eq(
		agent_control_open(loop, path, &owner, &control, text, sizeof text), 0);
	ck_assert(!named_too_early);
	request_count = gone_count = dropped_count = 0;
}

static void teardown(void)
{
	agent_control_close(control);
	qb_loop_destroy(loop);
	rmdir(directory);
}

/* Two requests at once: the second is seen only when the first was answered. */
START_TEST(requests_are_answered_in_order)
{
	const int fd = client();

	say(fd, "{\"command\":\"ping\"}\n{\"command\":\"stop\"}\n");
	run();
	ck_assert_str_eq(command, "ping");
	run_ready();
	ck_assert_int_eq(request_count, 1);
	hear(fd, "");

	agent_client_reply(asked, NULL, 0, "here");
	run();
	hear(fd, "{\"exit\":0,\"text\":\"here\"}\n");
	ck_assert_str_eq(command, "stop");

	agent_client_reply(asked, json_pack("{s:i}", "n", 1), 1, NULL);
	hear(fd, "{\"n\":1,\"exit\":1}\n");
	close(fd);
	run();
	ck_assert_int_eq(gone_count, 1);
}
END_TEST

/* `echo REQUEST | socat`: it will say no more, but wants its answer. */
START_TEST(half_closed_client_gets_its_answer)
{
	const int fd = client();
	char byte;

	say(fd, "{\"command\":\"ping\"}\n");
	shutdown(fd, SHUT_WR);
	run();
	run_ready();
	ck_assert_int_eq(gone_count, 0);
	agent_client_reply(asked, NULL, 0, NULL);
	run();
	ck_assert_int_eq(gone_count, 1);
	hear(fd, "{\"exit\":0}\n");
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	close(fd);
}
END_TEST

/* A hang-up while the answer is awaited is told; the answer then goes nowhere. */
START_TEST(hang_up_is_told_while_a_request_is_under_way)
{
	const int fd = client();

	say(fd, "{\"command\":\"promote\"}\n");
	run();
	close(fd);
	run();
	ck_assert_int_eq(gone_count, 1);
	ck_assert_uint_eq(agent_control_client_count(control), 0);
}
END_TEST

START_TEST(what_is_no_request_is_refused)
{
	const int fd = client();
	char text[512] = "";

	say(fd, "{\"command\":\n");
	hear_some(fd, text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "\"exit\":2"));
	say(fd, "[1]\n");
	hear_some(fd, text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "\"exit\":2"));
	ck_assert_int_eq(request_count, 0);
	close(fd);
	run();
}
END_TEST

START_TEST(endless_line_is_closed)
{
	static char line[AGENT_REQUEST_BYTES_MAX + 1];
	const int fd = client();

	memset(line, ' ', sizeof line - 1);
	say(fd, line);
	run();
	ck_assert_int_eq(gone_count, 1);
	close(fd);
}
END_TEST

/* A follower that does not read loses its connection, not our memory. */
START_TEST(slow_follower_is_closed_at_the_bound)
{
	static char text[4096];
	const int fd = client();
	int sent = 0;

	memset(text, 'x', sizeof text - 1);
	say(fd, "{\"command\":\"events\"}\n");
	run();
	agent_client_stream(asked, true);
	agent_client_reply(asked, NULL, 0, NULL);
	while (gone_count == 0 && sent < 2000) {
		agent_client_send(asked, json_pack("{s:s}", "event", text));
		sent++;
		if (sent % 50 == 0)
			run_ready();
	}
	ck_assert_int_eq(gone_count, 1);
	ck_assert_int_gt(sent, (int)(AGENT_UNREAD_BYTES_MAX / sizeof text));
	close(fd);
}
END_TEST

/* Readers of events have all the places but the reserved ones; the cluster's requests
 * are still heard. */
START_TEST(readers_leave_room_for_the_cluster)
{
	const int readers = AGENT_CLIENTS_MAX - AGENT_CLIENTS_RESERVED;
	int fd[AGENT_CLIENTS_MAX], more, urgent;
	char text[512] = "";

	for (int i = 0; i < readers; i++) {
		fd[i] = client();
		say(fd[i], "{\"command\":\"events\"}\n");
		run();
		agent_client_stream(asked, true);
		agent_client_reply(asked, NULL, 0, NULL);
	}
	more = client();
	say(more, "{\"command\":\"events\"}\n");
	run();
	ck_assert_int_eq(request_count, readers);
	ck_assert_int_eq(dropped_count, 1);
	ck_assert_ptr_nonnull(strstr(dropped_text, "test_control"));
	ck_assert_int_gt(recv(more, text, sizeof text - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(text, "too many requests and readers"));
	ck_assert_int_eq(recv(more, text, 1, 0), 0);

	urgent = client();
	say(urgent, "{\"command\":\"urgent\"}\n");
	run();
	ck_assert_int_eq(request_count, readers + 1);
	agent_client_reply(asked, NULL, 0, NULL);
	hear(urgent, "{\"exit\":0}\n");
	for (int i = 0; i < readers; i++)
		close(fd[i]);
	close(more);
	close(urgent);
}
END_TEST

/* Silent connections and half a request keep no one out. */
START_TEST(silent_clients_give_way)
{
	int fd[AGENT_CLIENTS_MAX], more;
	char byte;

	for (int i = 0; i < AGENT_CLIENTS_MAX; i++) {
		fd[i] = client();
		if (i % 2 == 0)
			say(fd[i], "{\"command\":\"st");
		while (agent_control_client_count(control) <= (uint32_t)i)
			run_ready();
	}
	more = client();
	say(more, "{\"command\":\"ping\"}\n");
	while (request_count == 0)
		run(); /* the oldest is told gone, too */
	ck_assert_int_eq(request_count, 1);
	agent_client_reply(asked, NULL, 0, NULL);
	hear(more, "{\"exit\":0}\n");
	ck_assert_int_le(recv(fd[0], &byte, 1, 0), 0);
	ck_assert_int_eq(dropped_count, 1);
	for (int i = 0; i < AGENT_CLIENTS_MAX; i++)
		close(fd[i]);
	close(more);
}
END_TEST

/* A removed name is made again, and a name that another process took is replaced; connected
 * clients stay. */
START_TEST(socket_is_made_again)
{
	const int before = client();
	int after;

	run_ready();
	ck_assert_int_eq(agent_control_check(control), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(agent_control_check(control), 1);
	ck_assert_int_eq(agent_control_check(control), 0);
	after = client();
	say(after, "{\"command\":\"ping\"}\n");
	run();
	ck_assert_str_eq(command, "ping");
	agent_client_reply(asked, NULL, 0, NULL);
	say(before, "{\"command\":\"status\"}\n");
	run();
	ck_assert_str_eq(command, "status");
	agent_client_reply(asked, NULL, 0, NULL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
	ck_assert_int_eq(agent_control_check(control), -ENOENT);
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	ck_assert_int_eq(agent_control_check(control), 1);
	close(before);
	close(after);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("control");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, requests_are_answered_in_order);
	tcase_add_test(tc, half_closed_client_gets_its_answer);
	tcase_add_test(tc, hang_up_is_told_while_a_request_is_under_way);
	tcase_add_test(tc, what_is_no_request_is_refused);
	tcase_add_test(tc, endless_line_is_closed);
	tcase_add_test(tc, slow_follower_is_closed_at_the_bound);
	tcase_add_test(tc, readers_leave_room_for_the_cluster);
	tcase_add_test(tc, silent_clients_give_way);
	tcase_add_test(tc, socket_is_made_again);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
