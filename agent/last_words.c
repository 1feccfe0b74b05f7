/* last_words.c - see last_words.h. */
#include "agent/last_words.h"
#include "common/clock_driver.h"

#include <assert.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 320
#define COUNTER_COUNT_MAX 64
#define FRAME_COUNT_MAX 48
#define STACK_BYTES (64 * 1024) /* of the first thread's handler: its own may be full */
#define PATIENCE_S 5

struct note {
	uint64_t wall_ns;
	char line[LINE_BYTES];
};

struct counter {
	const char *name;
	const uint64_t *value;
};

static struct {
	char who[160], run[128];
	char path[PATH_MAX], before[PATH_MAX + 2], folder[PATH_MAX];
	char assertion[512];
	int spare_fd;       /* given up for the file: the process may have none left */
	_Atomic long dying; /* the thread that writes; 0: none does */
	_Atomic uint32_t note_count;
	struct note note[AGENT_LAST_EVENTS_MAX];
	uint32_t counter_count;
	struct counter counter[COUNTER_COUNT_MAX];
	void *frame[FRAME_COUNT_MAX];
	char stack[STACK_BYTES];
} last = { .spare_fd = -1 };

/* Signals that end a process by default. Not SIGTERM and SIGINT, which stop hamirrord in
 * order, nor SIGHUP and SIGPIPE, which it ignores. SIGALRM comes when the devices are not
 * released in time (hamirrord.c). */
static const struct deadly {
	int number;
	const char *name;
} deadly[] = {
	{ SIGABRT, "Aborted (SIGABRT)" },
	{ SIGSEGV, "Segmentation fault (SIGSEGV)" },
	{ SIGBUS, "Bus error (SIGBUS)" },
	{ SIGFPE, "Arithmetic error (SIGFPE)" },
	{ SIGILL, "Illegal instruction (SIGILL)" },
	{ SIGSYS, "Forbidden system call (SIGSYS)" },
	{ SIGTRAP, "Trap (SIGTRAP)" },
	{ SIGQUIT, "Quit (SIGQUIT)" },
	{ SIGALRM, "The end took too long (SIGALRM)" },
	{ SIGXCPU, "Processor time used up (SIGXCPU)" },
	{ SIGXFSZ, "A file grew too large (SIGXFSZ)" },
	{ SIGUSR1, "User signal (SIGUSR1)" },
	{ SIGUSR2, "User signal (SIGUSR2)" },
	{ SIGVTALRM, "Virtual timer (SIGVTALRM)" },
	{ SIGPROF, "Profiling timer (SIGPROF)" },
	{ SIGPWR, "Power failure (SIGPWR)" },
};

/* ---- writing, in a signal handler --------------------------------------------------- */

struct out {
	int fd[2]; /* the file, and stderr; -1: none */
};

static void put(const struct out *o, const char *text)
{
	for (int i = 0; i < 2; i++) {
		const char *at = text;
		size_t left = strlen(text);

		while (o->fd[i] >= 0 && left > 0) {
			const ssize_t n = write(o->fd[i], at, left);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				break; /* a full disk: the rest is lost */
			at += n;
			left -= (size_t)n;
		}
	}
}

static void put_digits(const struct out *o, uint64_t value, unsigned int width)
{
	char text[24];
	size_t at = sizeof text - 1;

	text[at] = '\0';
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0 || sizeof text - 1 - at < width);
	put(o, text + at);
}

static void put_number(const struct out *o, uint64_t value)
{
	put_digits(o, value, 1);
}

static void put_time(const struct out *o, uint64_t wall_ns)
{
	put_number(o, wall_ns / 1000000000);
	put(o, ".");
	put_digits(o, wall_ns / 1000000 % 1000, 3);
}

static const char *name_of(int number)
{
	for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
		if (deadly[i].number == number)
			return deadly[i].name;
	return "a signal";
}

static void put_reason(const struct out *o, int number, const siginfo_t *info)
{
	put(o, last.who);
	put(o, " died: ");
	put(o, name_of(number));
	if (info->si_code == SI_USER && info->si_pid != getpid()) {
		put(o, ", sent by process ");
		put_number(o, (uint64_t)info->si_pid);
	}
	put(o, "\nrun ");
	put(o, last.run);
	put(o, "\ndied ");
	put_time(o, common_clock_ns(CLOCK_REALTIME));
	if (last.assertion[0] != '\0') {
		put(o, "\nassertion ");
		put(o, last.assertion);
	}
	put(o, "\nthread ");
	put_number(o, (uint64_t)last.dying);
	put(o, "\n");
}

static void put_backtrace(const struct out *o)
{
	const int count = backtrace(last.frame, FRAME_COUNT_MAX);

	put(o, "backtrace\n");
	for (int i = 0; i < count; i++) {
		put(o, "  ");
		for (int f = 0; f < 2; f++)
			if (o->fd[f] >= 0)
				backtrace_symbols_fd(&last.frame[i], 1, o->fd[f]);
	}
}

static void put_counters(const struct out *o)
{
	put(o, "counters\n");
	for (uint32_t i = 0; i < last.counter_count; i++) {
		put(o, "  ");
		put(o, last.counter[i].name);
		put(o, " ");
		put_number(o, *last.counter[i].value);
		put(o, "\n");
	}
}

static void put_events(const struct out *o)
{
	const uint32_t newest = last.note_count;
	const uint32_t oldest = newest > AGENT_LAST_EVENTS_MAX ?
					newest - AGENT_LAST_EVENTS_MAX :
					0;

	put(o, "events\n");
	for (uint32_t i = oldest; i < newest; i++) {
		const struct note *n = &last.note[i % AGENT_LAST_EVENTS_MAX];

		put(o, "  ");
		put_time(o, n->wall_ns);
		put(o, " ");
		put(o, n->line);
		put(o, "\n");
	}
}

static int open_file(void)
{
	if (last.path[0] == '\0')
		return -1;
	if (last.spare_fd >= 0)
		close(last.spare_fd);
	mkdir(last.folder, 0750);
	rename(last.path, last.before);
	return open(last.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
}

static void end_by(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
	/* On process 1 of a container the signal has no effect. */
	_exit(128 + number);
}

static void limit_the_end(void)
{
	sigset_t set;

	signal(SIGALRM, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	alarm(PATIENCE_S);
}

static void die(int number, siginfo_t *info, void *context)
{
	struct out o = { { -1, STDERR_FILENO } };
	long nobody = 0;

	(void)context;
	if (!atomic_compare_exchange_strong(&last.dying, &nobody, syscall(SYS_gettid))) {
		/* A fault in this very handler; or another thread writes, and will end
		 * the process. */
		if (nobody == syscall(SYS_gettid))
			end_by(number);
		for (;;)
			pause();
	}
	limit_the_end();
	o.fd[0] = open_file();
	put_reason(&o, number, info);
	put_backtrace(&o);
	o.fd[1] = -1; /* a journal has the events */
	put_events(&o);
	put_counters(&o);
	put(&o, "end\n");
	if (o.fd[0] >= 0)
		fsync(o.fd[0]);
	end_by(number);
}

/* ---- assertions ----------------------------------------------------------------------- */

/* Replaces the function of libc, which writes to stderr only: a daemon has none. */
void __assert_fail(const char *assertion, const char *file, unsigned int line,
		   const char *function)
{
	if (last.assertion[0] == '\0')
		snprintf(last.assertion, sizeof last.assertion,
			 "%s:%u: %s: `%s' is not so", file, line, function, assertion);
	fprintf(stderr, "%s: %s:%u: %s: Assertion `%s' failed.\n",
		program_invocation_short_name, file, line, function, assertion);
	abort();
}

/* ---- prepared beforehand ------------------------------------------------------------------- */

void agent_last_words_note(const char *line)
{
	const uint32_t at = atomic_fetch_add(&last.note_count, 1);
	struct note *n = &last.note[at % AGENT_LAST_EVENTS_MAX];

	n->wall_ns = common_clock_ns(CLOCK_REALTIME);
	snprintf(n->line, sizeof n->line, "%s", line);
	for (char *c = strchr(n->line, '\n'); c != NULL; c = strchr(c, '\n'))
		*c = ' ';
}

void agent_last_words_count(const char *name, const uint64_t *value)
{
	if (last.counter_count == COUNTER_COUNT_MAX)
		return;
	last.counter[last.counter_count++] = (struct counter){ name, value };
}

void agent_last_words_forget(void)
{
	last.counter_count = 0;
}

static void set_path(const char *path)
{
	char *slash;

	if (strlen(path) >= sizeof last.path)
		return;
	strcpy(last.path, path);
	snprintf(last.before, sizeof last.before, "%s.1", path);
	strcpy(last.folder, path);
	slash = strrchr(last.folder, '/');
	if (slash != NULL)
		*slash = '\0';
}

void agent_last_words_open(const char *who, const char *run, const char *path)
{
	const stack_t stack = { .ss_sp = last.stack, .ss_size = sizeof last.stack };
	struct sigaction action = { .sa_sigaction = die,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	snprintf(last.who, sizeof last.who, "%s", who);
	snprintf(last.run, sizeof last.run, "%s", run);
	set_path(path);
	last.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	backtrace(last.frame, 1); /* loads its library now */
	sigaltstack(&stack, NULL);
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
		sigaction(deadly[i].number, &action, NULL);
}
