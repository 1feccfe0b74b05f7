/* test_last_words.c - the last words of a dying process (agent/last_words.h), and how the
 * next run reports them (agent/last_run.h). Each death is a real one, of a child. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/events.h"
#include "agent/last_run.h"
#include "agent/last_words.h"
#include "common/thread_driver.h"

static char folder[] = "/tmp/hamirror-words-XXXXXX";
static struct agent_instance instance = { .name = "data@a",
					  .mirror = "data",
					  .host = "a" };
static struct agent_run run;
static struct agent_last_run last;
static char path[PATH_MAX], text[65536];

static void setup(void)
{
	char log[PATH_MAX], state[PATH_MAX];

	strcpy(folder + sizeof folder - 7, "XXXXXX");
	ck_assert(mkdtemp(folder) != NULL);
	snprintf(log, sizeof log, "%s/log", folder);
	snprintf(state, sizeof state, "%s/state", folder);
	setenv("HAMIRROR_LOG_DIR", log, 1);
	setenv("HAMIRROR_STATE_DIR", state, 1);
	ck_assert_int_eq(mkdir(log, 0700), 0);
	ck_assert_int_eq(mkdir(state, 0700), 0);
	snprintf(state, sizeof state, "%s/state/data@a", folder);
	ck_assert_int_eq(mkdir(state, 0700), 0);
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_CRASH, path), 0);
}

static void teardown(void)
{
	char command[sizeof folder + 16];

	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/* ---- deaths ----------------------------------------------------------------------------- */

static uint64_t answered = 41;

static void heard(struct agent_follower *f, const struct agent_event *event)
{
	(void)f;
	(void)event;
}

/* A log that is closed while someone still follows it: an assertion of the product. */
static void fail_an_assertion(void)
{
	struct agent_events *e = agent_events_open(NULL);
	struct agent_follower f = { .added = heard };

	agent_events_follow(e, &f);
	agent_events_close(e);
}

static void abort_it(void)
{
	abort();
}

static void touch_nothing(void)
{
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				   0);

	page[0] = 1;
}

static void *thread_run(void *owner)
{
	(void)owner;
	touch_nothing();
	return NULL;
}

/* As the threads of the daemon: they block the signals that are for the process. */
static void touch_nothing_in_a_thread(void)
{
	sigset_t before;
	pthread_t thread;

	common_signals_block(&before);
	ck_assert_int_eq(pthread_create(&thread, NULL, thread_run, NULL), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_join(thread, NULL);
}

static int dig(volatile int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth == 0 ? 0 : dig(depth - 1) + room[0];
}

static void use_the_whole_stack(void)
{
	exit(dig(1 << 30));
}

static void have_no_descriptor_left(void)
{
	const struct rlimit few = { 16, 16 };

	setrlimit(RLIMIT_NOFILE, &few);
	while (dup(STDERR_FILENO) >= 0)
		;
#ifdef __SANITIZE_ADDRESS__
	close(STDIN_FILENO); /* its runtime looks for the stack in /proc/self/maps */
#endif
	abort();
}

/* Its words fail too: it is to end all the same. */
static void die_twice(void)
{
	const void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);

	agent_last_words_count("nowhere", page);
	abort();
}

/* A process as the daemon is one, which dies of `number`. */
static void die(void (*how)(void), int number)
{
	const struct rlimit none = { 0, 0 };
	const pid_t pid = fork();
	char why[256];
	int status;

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		agent_run_begin(&instance, &run);
		for (int i = 1; i <= AGENT_LAST_EVENTS_MAX + 2; i++) {
			snprintf(why, sizeof why, "change mirror data event %d", i);
			agent_last_words_note(why);
		}
		agent_last_words_count("answered", &answered);
		how();
		_exit(2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "it ended with %d", WEXITSTATUS(status));
	ck_assert_int_eq(WTERMSIG(status), number);
	agent_last_run_read(&instance, &last);
}

static void read_words(const char *name)
{
	FILE *f = fopen(name, "re");
	size_t n;

	ck_assert_msg(f != NULL, "%s: %s", name, strerror(errno));
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
}

static void says(const char *words)
{
	ck_assert_msg(strstr(text, words) != NULL, "no \"%s\" in:\n%s", words, text);
}

static void the_next_run_says(enum agent_run_end end, const char *words)
{
	ck_assert_msg(last.end == end && strstr(last.text, words) != NULL, "\"%s\" is %s",
		      last.text, agent_run_end_word(last.end));
}

/* ---- tests -------------------------------------------------------------------------------- */

START_TEST(a_failed_assertion_is_told)
{
	die(fail_an_assertion, SIGABRT);
	read_words(path);
	says(" data@a died: Aborted (SIGABRT)\nrun ");
	says("\nassertion ");
	says("agent/events.c:");
	says("agent_events_close");
	says(": `e->followers == NULL' is not so\n");
	says("\nbacktrace\n  ");
	says("\nevents\n  ");
	says(" change mirror data event 3\n");
	says(" change mirror data event 66\n");
	ck_assert(strstr(text, "event 2\n") == NULL);
	says("\ncounters\n  answered 41\nend\n");
	the_next_run_says(AGENT_RUN_DIED, "an assertion failed: ");
	the_next_run_says(AGENT_RUN_DIED, "`e->followers == NULL' is not so");
	the_next_run_says(AGENT_RUN_DIED, path);
}
END_TEST

START_TEST(every_death_leaves_a_word)
{
	static const struct {
		void (*how)(void);
		int number;
		const char *words;
	} death[] = {
		{ abort_it, SIGABRT, "Aborted" },
		{ touch_nothing, SIGSEGV, "Segmentation fault" },
		{ touch_nothing_in_a_thread, SIGSEGV, "Segmentation fault" },
		{ use_the_whole_stack, SIGSEGV, "Segmentation fault" },
		{ have_no_descriptor_left, SIGABRT, "Aborted" },
	};

	die(death[_i].how, death[_i].number);
	read_words(path);
	says(death[_i].words);
	says("\nend\n");
	the_next_run_says(AGENT_RUN_DIED, death[_i].words);
}
END_TEST

START_TEST(words_that_fail_keep_no_one)
{
	die(die_twice, SIGSEGV);
	the_next_run_says(AGENT_RUN_DIED, "Aborted");
}
END_TEST

static void log_folder(char name[PATH_MAX])
{
	snprintf(name, PATH_MAX, "%s/log", folder);
}

static void die_without_a_folder(void)
{
	char name[PATH_MAX];

	log_folder(name);
	rmdir(name);
	abort();
}

/* Somebody has removed it under the running process. */
START_TEST(the_log_folder_is_made_again)
{
	die(die_without_a_folder, SIGABRT);
	the_next_run_says(AGENT_RUN_DIED, "Aborted");
}
END_TEST

static void die_with_a_file_for_a_folder(void)
{
	char name[PATH_MAX];

	log_folder(name);
	rmdir(name);
	fclose(fopen(name, "we"));
	abort();
}

/* A run without a place for its words cannot be told from a kill, and a message says so. */
START_TEST(words_that_find_no_place_are_owned_up_to)
{
	die(die_with_a_file_for_a_folder, SIGABRT);
	the_next_run_says(AGENT_RUN_KILLED, "or its log folder took no words");
}
END_TEST

START_TEST(the_words_before_are_kept)
{
	char before[PATH_MAX + 2];

	die(abort_it, SIGABRT);
	die(touch_nothing, SIGSEGV);
	the_next_run_says(AGENT_RUN_DIED, "Segmentation fault");
	snprintf(before, sizeof before, "%s.1", path);
	read_words(before);
	says("Aborted");
}
END_TEST

static void sleep_on(void)
{
	kill(getpid(), SIGKILL);
}

START_TEST(a_kill_leaves_none)
{
	die(abort_it, SIGABRT); /* the words of another run do not count */
	die(sleep_on, SIGKILL);
	the_next_run_says(AGENT_RUN_KILLED, "it was killed (kill -9");
	ck_assert_str_eq(last.path, "");
}
END_TEST

/* As after a power cut: the record is of another boot. */
START_TEST(a_machine_that_stopped_is_told_apart)
{
	char record[PATH_MAX];
	FILE *f;

	snprintf(record, sizeof record, "%s/state/data@a/run", folder);
	f = fopen(record, "we");
	fprintf(f, "run 1795812345123456789 41 00000000-0000-0000-0000-000000000000\n");
	fclose(f);
	agent_last_run_read(&instance, &last);
	the_next_run_says(AGENT_RUN_MACHINE, "the machine stopped or was reset");
	the_next_run_says(AGENT_RUN_MACHINE, "which began at 2026-11-27T");
}
END_TEST

START_TEST(an_end_is_told)
{
	agent_last_run_read(&instance, &last);
	ck_assert_int_eq(last.end, AGENT_RUN_NONE);
	ck_assert_str_eq(last.text, "");
	agent_run_begin(&instance, &run);
	run.stood = true;
	agent_run_end(&instance, &run, 0);
	agent_last_run_read(&instance, &last);
	the_next_run_says(AGENT_RUN_ORDERLY, "ended in order at ");
	ck_assert_uint_ne(last.wall_ns, 0);
	agent_run_begin(&instance, &run);
	ck_assert_int_eq(run.last.end, AGENT_RUN_ORDERLY);
	run.stood = true;
	agent_run_note(&run, "corosync\nis lost");
	agent_run_end(&instance, &run, 75);
	agent_last_run_read(&instance, &last);
	the_next_run_says(AGENT_RUN_FAILED, "with exit status 75: corosync is lost");
}
END_TEST

/* A start that fails tells its caller, and does not hide the death before it. */
START_TEST(a_start_that_fails_hides_nothing)
{
	agent_run_begin(&instance, &run);
	agent_run_end(&instance, &run, 1);
	agent_last_run_read(&instance, &last);
	ck_assert_int_eq(last.end, AGENT_RUN_NONE);
	die(abort_it, SIGABRT);
	agent_run_begin(&instance, &run);
	agent_run_end(&instance, &run, 1);
	agent_last_run_read(&instance, &last);
	the_next_run_says(AGENT_RUN_DIED, "Aborted");
}
END_TEST

START_TEST(a_damaged_record_is_named)
{
	char record[PATH_MAX];
	FILE *f;

	snprintf(record, sizeof record, "%s/state/data@a/run", folder);
	f = fopen(record, "we");
	fputs("\n\n\n", f);
	fclose(f);
	agent_last_run_read(&instance, &last);
	the_next_run_says(AGENT_RUN_NONE, "its record is damaged");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("last words");
	TCase *c = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed_count;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_failed_assertion_is_told);
	tcase_add_loop_test(c, every_death_leaves_a_word, 0, 5);
	tcase_add_test(c, words_that_fail_keep_no_one);
	tcase_add_test(c, the_log_folder_is_made_again);
	tcase_add_test(c, words_that_find_no_place_are_owned_up_to);
	tcase_add_test(c, the_words_before_are_kept);
	tcase_add_test(c, a_kill_leaves_none);
	tcase_add_test(c, a_machine_that_stopped_is_told_apart);
	tcase_add_test(c, an_end_is_told);
	tcase_add_test(c, a_start_that_fails_hides_nothing);
	tcase_add_test(c, a_damaged_record_is_named);
	suite_add_tcase(suite, c);
	srunner_run_all(runner, CK_NORMAL);
	failed_count = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_count != 0;
}
