/* test_node.c - the bridge between the cores (agent/node.h), with all of it real: both
 * cores, the I/O thread, files for devices, libqb's loop; `cluster: none`. It decides
 * the order of things, and the answers while the I/O thread hangs.
 */
#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "agent/config.h"
#include "agent/create.h"
#include "agent/io_thread.h"
#include "agent/node.h"
#include "agent/protect.h"
#include "mirror/status.h"
#include "tests/unit/free_port.h"

static char directory[40];
static struct agent_instance instance;
static struct config *config;
static struct qb_loop *loop;
static struct agent_events *events;
static struct agent_node *node;
static char said[512]; /* the messages, in order */
static bool opened, failed, has_status, has_mirror;
static int opened_error, reply_count, status_count;
static char text[1024];
static struct agent_protection protections[AGENT_PROTECTION_COUNT];

static void say(const char *word)
{
	const size_t at = strlen(said);

	snprintf(said + at, sizeof said - at, "%s%s", at > 0 ? " " : "", word);
}

static void expect(const char *words)
{
	ck_assert_str_eq(said, words);
	said[0] = '\0';
}

/* ---- the owner ------------------------------------------------------------------------ */

static void replied(void *owner, uint64_t id, int exit_status, const char *why)
{
	char word[32];

	(void)owner;
	snprintf(word, sizeof word, "reply%d=%d", (int)id, exit_status);
	say(word);
	snprintf(text, sizeof text, "%s", why);
	reply_count++;
	qb_loop_stop(loop);
}

static void status_came(void *owner, const struct status_input *status)
{
	(void)owner;
	ck_assert_ptr_nonnull(status->cluster);
	has_mirror = status->mirror != NULL;
	has_status = true;
	status_count++;
	qb_loop_stop(loop);
}

static void devices_opened(void *owner, int error, const char *why)
{
	(void)owner;
	ck_assert(!opened);
	opened = true;
	opened_error = error;
	snprintf(text, sizeof text, "%s", why);
	qb_loop_stop(loop);
}

static void has_failed(void *owner, const char *why)
{
	(void)owner;
	ck_assert(!failed);
	failed = true;
	snprintf(text, sizeof text, "%s", why);
}

/* Of the events those that tell the order. That a device is slow to answer, on a busy
 * machine, is none of them. */
static void happened(struct agent_follower *f, const struct agent_event *event)
{
	(void)f;
	if (strcmp(event->object, "devices") == 0 && strcmp(event->verb, "change") == 0)
		return;
	if (strcmp(event->object, "devices") == 0)
		say(strcmp(event->verb, "create") == 0 ? "stand" : "gone");
	else if (strcmp(event->rule, "alone-forced") == 0 ||
		 strcmp(event->rule, "alone-serve") == 0)
		say("serves");
	else if (strcmp(event->rule, "alone-demoted-clean") == 0)
		say("demoted");
	else if (strncmp(event->object, "member ", 7) == 0)
		say(event->object);
}

static struct agent_follower follower = { .added = happened };

/* ---- a host, a, without its peer ------------------------------------------------------ */

static void set_directory(const char *variable, const char *name)
{
	char path[80];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	ck_assert_int_eq(setenv(variable, path, 1), 0);
}

static void make_file(const char *name, off_t bytes)
{
	char path[80];
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	close(fd);
}

static void write_config(void)
{
	char path[80];
	FILE *f;

	snprintf(path, sizeof path, "%s/data.yaml", directory);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f,
		"mirror: data\nmode: sync\ncluster: none\nattach: none\nsites:\n"
		"  - {name: paris, hosts: [a], writelog: %s/log.a,\n"
		"     disks: [{name: db, path: %s/db.a}]}\n"
		"  - {name: lyon, hosts: [b], writelog: %s/log.b,\n"
		"     disks: [{name: db, path: %s/db.b}]}\n"
		"addresses: {a: \"127.0.0.1:%u\", b: \"127.0.0.1:1\"}\n",
		directory, directory, directory, directory, free_port());
	ck_assert_int_eq(fclose(f), 0);
}

static void create(void)
{
	const struct create_options o = { .config = config, .instance = "data@a" };

	ck_assert_msg(agent_create(&o, text, sizeof text) == 0, "%s", text);
}

static void setup(void)
{
	struct config_errors *errors = calloc(1, sizeof *errors);
	uint32_t self;

	strcpy(directory, "/tmp/hamirror-node-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	setenv("HAMIRROR_CONFIG_DIR", directory, 1);
	set_directory("HAMIRROR_STATE_DIR", "state");
	set_directory("HAMIRROR_RUN_DIR", "run");
	make_file("log.a", 4 << 20);
	make_file("db.a", 1 << 20);
	write_config();
	ck_assert_int_eq(agent_instance_parse("data@a", &instance, text, sizeof text), 0);
	config = calloc(1, sizeof *config);
	ck_assert_msg(config_instance_load(&instance, NULL, config, &self, errors) == 0,
		      "%s", errors->entry[0].text);
	free(errors);
	loop = qb_loop_create();
	events = agent_events_open(NULL);
	agent_events_follow(events, &follower);
	said[0] = '\0';
	opened = failed = has_status = false;
	reply_count = status_count = 0;
}

static void teardown(void)
{
	char command[64];

	agent_node_close(node);
	node = NULL;
	agent_events_unfollow(events, &follower);
	agent_events_close(events);
	qb_loop_destroy(loop);
	free(config);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

/* Until a callback has made it true; libcheck's time limit ends a wait in vain. */
static void await(const bool *condition)
{
	while (!*condition)
		qb_loop_run(loop);
}

static void start(void)
{
	const struct agent_node_setup s = {
		.protections = protections,
		.loop = loop,
		.config = config,
		.instance = &instance,
		.events = events,
		.owner = { replied, status_came, devices_opened, has_failed, NULL },
	};

	ck_assert_msg(agent_node_open(&s, &node, text, sizeof text) == 0, "%s", text);
	await(&opened);
}

static void command(uint64_t id, enum cluster_command_type type)
{
	const struct cluster_command c = {
		.type = type, .id = id, .site = -1, .force = true
	};
	const int before = reply_count;

	agent_node_command(node, &c);
	while (reply_count == before)
		qb_loop_run(loop);
}

static void promoted(void)
{
	create();
	start();
	ck_assert_int_eq(opened_error, 0);
	command(1, CLUSTER_COMMAND_PROMOTE);
	expect("serves stand reply1=0");
}

static void status(void)
{
	has_status = false;
	agent_node_status(node);
	await(&has_status);
}

/* ---- the order of things ---------------------------------------------------------------- */

START_TEST(devices_stand_once_production_serves_and_go_before_it_ends)
{
	promoted();
	command(2, CLUSTER_COMMAND_DEMOTE);
	expect("gone demoted reply2=0");
	command(3, CLUSTER_COMMAND_PROMOTE);
	expect("serves stand reply3=0");
	command(4, CLUSTER_COMMAND_STOP);
	expect("gone demoted reply4=0");
}
END_TEST

START_TEST(what_keeps_the_devices_closed_is_told_once)
{
	start();
	ck_assert_int_lt(opened_error, 0);
	ck_assert_msg(strstr(text, "`hamirror create data@a`") != NULL, "%s", text);
	command(1, CLUSTER_COMMAND_PROMOTE);
	expect("reply1=1");
	ck_assert_msg(strstr(text, "log.a") != NULL, "%s", text);
}
END_TEST

/* It starts to serve a moment later, or has served long since. */
START_TEST(giving_up_what_has_ended_does_nothing)
{
	promoted();
	agent_node_give_up(node, 1);
	agent_node_give_up(node, 77);
	expect("");
	status();
	ck_assert(has_mirror);
}
END_TEST

/* Its peer never answers: the address is not routed, or nothing comes back. */
START_TEST(a_promotion_is_called_off_when_its_time_is_over)
{
	const struct cluster_command c = { .id = 5, .site = -1, .force = true };

	create();
	start();
	agent_node_command(node, &c);
	agent_node_give_up(node, 5);
	expect("reply5=1");
	ck_assert_msg(strstr(text, "called off") != NULL, "%s", text);
	command(6, CLUSTER_COMMAND_PROMOTE);
	expect("serves stand reply6=0");
}
END_TEST

START_TEST(a_fencing_is_told_of_nodes_that_there_are)
{
	create();
	start();
	ck_assert_int_eq(agent_node_fenced(node, "b"), 0);
	expect("member b");
	ck_assert_int_eq(agent_node_fenced(node, "z"), -ENOENT);
	expect("");
}
END_TEST

/* ---- the I/O thread hangs ------------------------------------------------------------------ */

#define THREADS_MAX 64

/* All threads but this one, which is the control thread: the I/O thread is one. */
static size_t other_threads(pid_t *thread)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	size_t count = 0;

	ck_assert_ptr_nonnull(tasks);
	while ((entry = readdir(tasks)) != NULL && count < THREADS_MAX) {
		thread[count] = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: "." */
		if (thread[count] != 0 && thread[count] != getpid())
			count++;
	}
	closedir(tasks);
	return count;
}

static bool hold(const pid_t *thread, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ptrace(PTRACE_SEIZE, thread[i], 0, 0) != 0 ||
		    ptrace(PTRACE_INTERRUPT, thread[i], 0, 0) != 0 ||
		    waitpid(thread[i], NULL, __WALL) != thread[i])
			return false;
	return count > 0;
}

static int freezer_fd = -1;
static pid_t freezer;

/* A process that traces the threads holds them; false: that is not allowed here. */
static bool freeze(void)
{
	pid_t thread[THREADS_MAX];
	const size_t count = other_threads(thread);
	int held[2], end[2];
	char byte;
	bool good;

	ck_assert(pipe(held) == 0 && pipe(end) == 0);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	freezer = fork();
	ck_assert_int_ge(freezer, 0);
	if (freezer == 0) {
		close(end[1]);
		if (!hold(thread, count) || write(held[1], "", 1) != 1 ||
		    read(end[0], &byte, 1) != 0)
			_exit(1);
		_exit(0); /* and the threads go on */
	}
	close(held[1]);
	close(end[0]);
	freezer_fd = end[1];
	good = read(held[0], &byte, 1) == 1;
	close(held[0]);
	if (!good)
		printf("SKIP: a thread cannot be held here (ptrace)\n");
	return good;
}

static void thaw(void)
{
	close(freezer_fd);
	ck_assert_int_eq(waitpid(freezer, NULL, 0), freezer);
}

START_TEST(status_comes_without_the_io_thread_and_with_it_again)
{
	promoted();
	status();
	ck_assert(has_mirror);
	if (freeze()) {
		status();
		ck_assert(!has_mirror);
		status(); /* asked again while the first is still lent */
		ck_assert(!has_mirror);
	}
	status_count = 0;
	thaw();
	command(2, CLUSTER_COMMAND_DEMOTE); /* the loan came back before this */
	ck_assert_int_eq(status_count, 0);
	agent_node_status(node);
	status(); /* one answer for all that asked */
	ck_assert(has_mirror);
	ck_assert_int_eq(status_count, 1);
}
END_TEST

START_TEST(an_io_thread_that_takes_no_orders_ends_the_process)
{
	const struct order fail_frozen = { .type = ORDER_FAIL_FROZEN };

	promoted();
	if (freeze()) {
		for (uint32_t i = 0; i < AGENT_IO_ORDERS_MAX; i++)
			agent_node_order(node, &fail_frozen);
		ck_assert(!failed);
		agent_node_order(node, &fail_frozen);
		ck_assert(failed);
		ck_assert_msg(strstr(text, "hangs") != NULL, "%s", text);
		agent_node_order(node, &fail_frozen); /* told once */
	}
	thaw();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("node");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed_count;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, devices_stand_once_production_serves_and_go_before_it_ends);
	tcase_add_test(tc, what_keeps_the_devices_closed_is_told_once);
	tcase_add_test(tc, giving_up_what_has_ended_does_nothing);
	tcase_add_test(tc, a_promotion_is_called_off_when_its_time_is_over);
	tcase_add_test(tc, a_fencing_is_told_of_nodes_that_there_are);
	tcase_add_test(tc, status_comes_without_the_io_thread_and_with_it_again);
	tcase_add_test(tc, an_io_thread_that_takes_no_orders_ends_the_process);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed_count = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
