/* test_watch_throttle.c - the figures of a status, and commands with a time limit. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/watch_figures.h"
#include "agent/watch_run.h"
#include "common/clock_driver.h"

#define NS_PER_S 1000000000ull

extern char **environ;

/* ---- figures --------------------------------------------------------------- */

static struct watch_counted counted;
static struct throttle_figures f;

static double started_seconds; /* of the daemon */

static void see(const char *text, double cpu_seconds, uint64_t now_ns)
{
	const struct watch_process process = { .cpu_seconds = cpu_seconds,
					       .started_seconds = started_seconds };
	json_t *status = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(status);
	watch_figures(status, &process, now_ns, &counted, &f);
	json_decref(status);
}

static const char both[] =
	"{\"serving\":true,\"log\":{\"used_percent\":42},\"counters\":{\"sent_bytes\":1024},"
	"\"sites\":[{\"role\":\"production\",\"link\":null},"
	"{\"role\":\"copy\",\"link\":\"connected\",\"lag_ms\":7,\"lag_bytes\":900},"
	"{\"role\":\"copy\",\"link\":\"catching-up\",\"lag_ms\":9,\"lag_bytes\":800}]}";
static const char one[] =
	"{\"serving\":true,\"log\":{\"used_percent\":42},\"counters\":{\"sent_bytes\":2049024},"
	"\"sites\":[{\"role\":\"production\",\"link\":null},"
	"{\"role\":\"copy\",\"link\":\"down\",\"lag_ms\":null,\"lag_bytes\":800},"
	"{\"role\":\"copy\",\"link\":\"connected\",\"lag_ms\":null,\"lag_bytes\":0}]}";

START_TEST(the_farthest_copy_counts_and_every_link)
{
	see(both, 1, NS_PER_S);
	ck_assert_uint_eq(f.value[THROTTLE_PCTWL], 42);
	ck_assert_uint_eq(f.value[THROTTLE_LINK], 1);
	ck_assert_uint_eq(f.value[THROTTLE_LAG_MS], 9);
	ck_assert_uint_eq(f.value[THROTTLE_LAG_BYTES], 900);
	see(one, 1, 2 * NS_PER_S);
	ck_assert(f.known[THROTTLE_LINK]);
	ck_assert_uint_eq(f.value[THROTTLE_LINK], 0);
	ck_assert(!f.known[THROTTLE_LAG_MS]);
}
END_TEST

START_TEST(rates_are_since_the_period_before)
{
	see(both, 1, NS_PER_S);
	ck_assert(!f.known[THROTTLE_NETKBPS]);
	ck_assert(!f.known[THROTTLE_PCTCPU]);
	see(one, 4, 11 * NS_PER_S);
	ck_assert_uint_eq(f.value[THROTTLE_NETKBPS], 200);
	ck_assert_uint_eq(f.value[THROTTLE_PCTCPU], 30);
	/* the counters began anew */
	see(both, 1, 12 * NS_PER_S);
	ck_assert(!f.known[THROTTLE_NETKBPS]);
	ck_assert(!f.known[THROTTLE_PCTCPU]);
}
END_TEST

START_TEST(another_daemon_counts_anew)
{
	see(both, 1, NS_PER_S);
	started_seconds = 5;
	see(one, 4, 11 * NS_PER_S);
	ck_assert(!f.known[THROTTLE_NETKBPS]);
	ck_assert(!f.known[THROTTLE_PCTCPU]);
}
END_TEST

static enum watch_part part_of(const char *text)
{
	json_t *status = json_loads(text, 0, NULL);
	const enum watch_part part = watch_part(status);

	json_decref(status);
	return part;
}

START_TEST(a_part_is_that_of_the_status)
{
	ck_assert_int_eq(part_of(both), WATCH_AT_PRODUCTION);
	ck_assert_int_eq(part_of("{\"serving\":false,\"log\":{}}"), WATCH_AT_COPY);
	ck_assert_int_eq(part_of("{\"serving\":false,\"log\":null}"), WATCH_NO_PART);
	ck_assert_int_eq(watch_part(NULL), WATCH_NO_PART);
}
END_TEST

START_TEST(a_copy_has_figures_of_its_log_and_its_process)
{
	static const char copy[] =
		"{\"serving\":false,\"log\":{\"used_percent\":42},"
		"\"counters\":{\"sent_bytes\":1024},"
		"\"sites\":[{\"role\":\"production\",\"link\":null},"
		"{\"role\":\"copy\",\"link\":\"connected\",\"lag_ms\":null}]}";

	see(copy, 1, NS_PER_S);
	see(copy, 4, 11 * NS_PER_S);
	for (uint32_t t = 0; t < THROTTLE_TEST_COUNT; t++)
		ck_assert_int_eq(f.known[t], t == THROTTLE_PCTWL || t == THROTTLE_PCTCPU);
	ck_assert_uint_eq(f.value[THROTTLE_PCTWL], 42);
	ck_assert_uint_eq(f.value[THROTTLE_PCTCPU], 30);
}
END_TEST

/* ---- commands -------------------------------------------------------------- */

static struct watch_runs runs;
static char output[256];

/* Run a command of the shell. */
static int begin(const void *owner, const char *command, const char *input,
		 uint32_t seconds)
{
	char text[512];
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, text, NULL };

	snprintf(text, sizeof text, "%s", command);
	return watch_run_begin(&runs, owner, "test", argv, environ, input, seconds);
}

/* Until none runs. */
static void finish(void)
{
	struct pollfd fds[WATCH_RUNS_MAX];
	int ms;

	while ((ms = watch_runs_look(&runs)) >= 0)
		poll(fds, watch_runs_poll(&runs, fds), ms);
}

static void read_file(const char *path)
{
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	output[fread(output, 1, sizeof output - 1, file)] = '\0';
	fclose(file);
	unlink(path);
}

static char path[] = "/tmp/hamirror-test-watch-XXXXXX";

static void setup(void)
{
	const int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	agent_log_open("test", true);
}

START_TEST(a_command_gets_its_input_and_ends)
{
	char command[256];

	snprintf(command, sizeof command, "cat > %s", path);
	ck_assert_int_eq(begin(&runs, command, "a\nb\n", 60), 0);
	finish();
	read_file(path);
	ck_assert_str_eq(output, "a\nb\n");
}
END_TEST

START_TEST(each_owner_runs_one_at_a_time)
{
	const char owners[WATCH_RUNS_MAX + 1] = { 0 };

	ck_assert_int_eq(begin(&owners[0], "exec sleep 1000", NULL, 1000), 0);
	ck_assert_int_eq(begin(&owners[0], "true", NULL, 1000), -EBUSY);
	for (uint32_t i = 1; i < WATCH_RUNS_MAX; i++)
		ck_assert_int_eq(begin(&owners[i], "exec sleep 1000", NULL, 1000), 0);
	ck_assert_int_eq(begin(&owners[WATCH_RUNS_MAX], "true", NULL, 1000), -EAGAIN);
	watch_runs_end(&runs);
	ck_assert_int_eq(watch_runs_look(&runs), -1);
	unlink(path);
}
END_TEST

/* The process whose id is in the file has ended. */
static void expect_killed(void)
{
	int child;

	read_file(path);
	child = (int)strtol(output, NULL, 10);
	ck_assert_int_gt(child, 1);
	/* whoever is its parent now has not waited for it yet, perhaps */
	for (int i = 0; i < 1000 && kill(child, 0) == 0; i++) {
		char state[64] = "", name[64];
		FILE *file;

		snprintf(name, sizeof name, "/proc/%d/stat", child);
		file = fopen(name, "r");
		if (file == NULL)
			break;
		if (fgets(state, sizeof state, file) != NULL &&
		    strstr(state, ") Z") != NULL)
			i = 1000;
		fclose(file);
		ck_assert_msg(i != 999, "the child lives: %s", state);
		poll(NULL, 0, 10);
	}
}

START_TEST(a_late_command_is_killed_with_its_child)
{
	const uint64_t before_ns = common_clock_ns(CLOCK_MONOTONIC);
	char command[256];

	snprintf(command, sizeof command, "trap '' TERM; sleep 1000 & echo $! > %s; wait",
		 path);
	ck_assert_int_eq(begin(&runs, command, NULL, 1), 0);
	finish();
	ck_assert_uint_ge(common_clock_ns(CLOCK_MONOTONIC) - before_ns, NS_PER_S);
	expect_killed();
}
END_TEST

START_TEST(what_a_command_leaves_is_killed_when_it_ends)
{
	char command[256];

	snprintf(command, sizeof command, "sleep 1000 & echo $! > %s", path);
	ck_assert_int_eq(begin(&runs, command, NULL, 1000), 0);
	finish();
	expect_killed();
}
END_TEST

/* As a parent may have left it: without a change of that, nobody could be waited for. */
START_TEST(an_ignored_sigchld_does_not_matter)
{
	struct pollfd fds[WATCH_RUNS_MAX];

	signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(begin(&runs, "true", NULL, 1000), 0);
	poll(fds, watch_runs_poll(&runs, fds), -1);
	ck_assert_int_eq(watch_runs_look(&runs), -1);
	unlink(path);
}
END_TEST

START_TEST(a_command_that_is_not_there_is_named)
{
	char *argv[] = { (char[]){ "/no/such" }, NULL };

	ck_assert_int_eq(watch_run_begin(&runs, &runs, "test", argv, environ, NULL, 1),
			 -ENOENT);
	ck_assert_int_eq(watch_runs_look(&runs), -1);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("agent");
	TCase *tc = tcase_create("figures");
	TCase *run = tcase_create("commands");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, the_farthest_copy_counts_and_every_link);
	tcase_add_test(tc, rates_are_since_the_period_before);
	tcase_add_test(tc, another_daemon_counts_anew);
	tcase_add_test(tc, a_part_is_that_of_the_status);
	tcase_add_test(tc, a_copy_has_figures_of_its_log_and_its_process);
	tcase_add_checked_fixture(run, setup, NULL);
	tcase_add_test(run, a_command_gets_its_input_and_ends);
	tcase_add_test(run, each_owner_runs_one_at_a_time);
	tcase_add_test(run, a_late_command_is_killed_with_its_child);
	tcase_add_test(run, what_a_command_leaves_is_killed_when_it_ends);
	tcase_add_test(run, an_ignored_sigchld_does_not_matter);
	tcase_add_test(run, a_command_that_is_not_there_is_named);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, run);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
