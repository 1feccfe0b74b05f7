/* test_fence_driver.c - the fencer's notices and history, from a fencer of our own: the
 * functions of Pacemaker's library that the driver calls are defined here.
 */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <crm/stonith-ng.h>
#include <qb/qbloop.h>

#include "cluster/fence_driver.h"
#include "tests/unit/patience.h"

#define S_NS 1000000000ull
#define TOLD_MAX 8u

static struct qb_loop *loop;
static struct cluster_fence *fence;
static struct {
	char node[16];
	uint64_t wall_ns;
	bool live, late;
} told[TOLD_MAX];
static uint32_t told_count, awaited;

/* ---- the fencer: a message is "P" and the name of a node that was fenced, or "H" ------ */

static int theirs; /* its end of the connection */
static atomic_bool history_fails;
static char targets[TOLD_MAX][16];
static uint64_t completed_s[TOLD_MAX];
static atomic_uint history_count;
static void (*on_fence)(stonith_t *st, stonith_event_t *e);
static void (*on_history)(stonith_t *st, stonith_event_t *e);

static int fencer_connect(stonith_t *st, const char *name, int *fd)
{
	int ends[2];

	(void)name;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	theirs = ends[0];
	*fd = ends[1];
	st->st_private = (void *)(intptr_t)ends[1];
	st->state = stonith_connected_command;
	return 0;
}

static int fencer_disconnect(stonith_t *st)
{
	close((int)(intptr_t)st->st_private);
	return 0;
}

static int fencer_register(stonith_t *st, const char *event,
			   void (*callback)(stonith_t *st, stonith_event_t *e))
{
	(void)st;
	if (strcmp(event, T_STONITH_NOTIFY_FENCE) == 0)
		on_fence = callback;
	else
		on_history = callback;
	return 0;
}

static int fencer_remove(stonith_t *st, const char *event)
{
	(void)st;
	(void)event;
	return 0;
}

static int fencer_history(stonith_t *st, int options, const char *node,
			  stonith_history_t **history, int timeout)
{
	(void)st;
	(void)options;
	(void)node;
	(void)timeout;
	if (atomic_exchange(&history_fails, false))
		return -ETIME;
	for (uint32_t i = 0; i < atomic_load(&history_count); i++) {
		stonith_history_t *h = calloc(1, sizeof *h);

		h->target = targets[i];
		h->action = (char *)(uintptr_t) "off";
		h->state = st_done;
		h->completed = (time_t)completed_s[i];
		h->next = *history;
		*history = h;
	}
	return 0;
}

static stonith_api_operations_t fencer = {
	.connect = fencer_connect,
	.disconnect = fencer_disconnect,
	.register_notification = fencer_register,
	.remove_notification = fencer_remove,
	.history = fencer_history,
};

stonith_t *stonith_api_new(void)
{
	stonith_t *st = calloc(1, sizeof *st);

	st->cmds = &fencer;
	return st;
}

void stonith_api_delete(stonith_t *st)
{
	free(st);
}

void stonith_history_free(stonith_history_t *history)
{
	while (history != NULL) {
		stonith_history_t *next = history->next;

		free(history);
		history = next;
	}
}

/* That of Pacemaker 2.1.5 does not return from a connection that has ended. */
bool stonith_dispatch(stonith_t *st)
{
	char message[17] = "", action[] = "off";
	stonith_event_t e = { .target = message + 1, .action = action };

	const ssize_t length = recv((int)(intptr_t)st->st_private, message, 16,
				    MSG_DONTWAIT);

	if (length < 0)
		return true;
	if (length == 0) {
		fprintf(stderr, "the library is asked of a fencer that is gone\n");
		abort();
	}
	if (message[0] == 'P')
		on_fence(st, &e);
	else
		on_history(st, NULL);
	return true;
}

static void say(const char *message)
{
	ck_assert_int_gt(send(theirs, message, strlen(message) + 1, 0), 0);
}

static void add_entry(const char *node, uint64_t at_s)
{
	const uint32_t i = atomic_load(&history_count);

	snprintf(targets[i], sizeof targets[i], "%s", node);
	completed_s[i] = at_s;
	atomic_store(&history_count, i + 1);
}

/* ---- the driver's owner ------------------------------------------------------------- */

static void event(void *owner, struct cluster_event *e)
{
	(void)owner;
	ck_assert_int_eq(e->type, CLUSTER_EVENT_FENCED);
	ck_assert_uint_lt(told_count, TOLD_MAX);
	snprintf(told[told_count].node, sizeof told[0].node, "%s", e->fenced.node);
	told[told_count].wall_ns = e->fenced.wall_ns;
	told[told_count].live = e->fenced.live;
	told[told_count++].late = e->fenced.late;
	if (told_count == awaited)
		qb_loop_stop(loop);
}

static void too_long(void *data)
{
	(void)data;
	ck_abort_msg("notice %u does not come", awaited);
}

static void await(uint32_t count)
{
	qb_loop_timer_handle timer;

	awaited = count;
	qb_loop_timer_add(loop, QB_LOOP_LOW, PATIENCE_MS * 1000000ull, NULL, too_long,
			  &timer);
	if (told_count < count)
		qb_loop_run(loop);
	qb_loop_timer_del(loop, timer);
}

static void check(uint32_t i, const char *node, uint64_t at_s, bool live, bool late)
{
	ck_assert_str_eq(told[i].node, node);
	if (at_s != 0)
		ck_assert_uint_eq(told[i].wall_ns, at_s * S_NS);
	ck_assert_int_eq(told[i].live, live);
	ck_assert_int_eq(told[i].late, late);
}

/* It is connected, and has told of the one entry in the history. */
static void setup(void)
{
	const struct cluster_fence_owner owner = { event, NULL };

	told_count = 0;
	atomic_store(&history_count, 0);
	add_entry("n1", 100);
	loop = qb_loop_create();
	ck_assert_int_eq(cluster_fence_open(loop, &owner, &fence), 0);
	await(1);
	check(0, "n1", 100, false, false);
}

static void teardown(void)
{
	cluster_fence_close(fence);
	qb_loop_destroy(loop);
}

START_TEST(a_notice_has_the_stamp_of_the_history)
{
	add_entry("n2", 50); /* a clock was set back */
	say("Pn2");
	await(2);
	check(1, "n2", 50, true, false);
}
END_TEST

/* Seconds after a node has joined; a notice of another node does not hide it. */
START_TEST(an_entry_without_a_notice_is_late)
{
	add_entry("n3", 70);
	say("H");
	if (_i == 1) {
		add_entry("n2", 200);
		say("Pn2");
	}
	await(2 + (uint32_t)_i);
	if (_i == 1)
		check(1, "n2", 200, true, false);
	check(1 + (uint32_t)_i, "n3", 70, false, true);
}
END_TEST

START_TEST(a_notice_is_told_though_the_history_cannot_be_read)
{
	atomic_store(&history_fails, true);
	say("Pn2");
	await(2);
	check(1, "n2", 0, true, false);
}
END_TEST

START_TEST(a_fencer_that_dies_is_found_again)
{
	close(theirs);
	await(2);
	check(1, "n1", 100, false, false);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("fence_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_notice_has_the_stamp_of_the_history);
	tcase_add_loop_test(tc, an_entry_without_a_notice_is_late, 0, 2);
	tcase_add_test(tc, a_notice_is_told_though_the_history_cannot_be_read);
	tcase_add_test(tc, a_fencer_that_dies_is_found_again);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
