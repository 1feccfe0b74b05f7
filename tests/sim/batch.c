/* batch.c - many seeds on all cores: workers take them in turn and tell the outcome of each;
 * a worker that dies has found something too.
 */
#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/run.h"

#define JOBS_MAX 64u
#define PER_PROCESS 64u      /* runs of one worker: it starts over with clean memory */
#define PER_PROCESS_TIMED 8u /* ... when the time is bounded, so that it ends in time */
#define RUN_SECONDS_MAX 300  /* of the processor: a longer run comes to no end ... */
#define RUN_SECONDS_EACH 1   /* ... and a second more for so many simulated ones */

struct report {
	uint64_t seed;
	struct sim_result result;
};

struct worker {
	pid_t pid; /* 0: none */
	int fd;
	uint64_t seed; /* under way, or next */
	uint64_t last;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* From here on a run that loops ends, as one that died: however busy the machine is. */
static void bound_run(const struct sim_plan *plan)
{
	const struct itimerval t = {
		.it_value.tv_sec = RUN_SECONDS_MAX +
				   (time_t)(plan->ns / SIM_S / RUN_SECONDS_EACH),
	};

	setitimer(ITIMER_VIRTUAL, &t, NULL);
}

static void work(int fd, uint64_t first, uint64_t last, enum sim_world world)
{
	static struct sim_plan plan;
	static struct report r;

	for (uint64_t seed = first; seed <= last; seed++) {
		sim_plan_draw(&plan, seed, world);
		bound_run(&plan);
		memset(&r, 0, sizeof r);
		r.seed = seed;
		sim_run_plan(seed, &plan, false, &r.result);
		if (write(fd, &r, sizeof r) != sizeof r)
			_exit(1);
	}
	exit(0); /* not at once: a build with gcov counts then */
}

static void start(struct worker *w, uint64_t first, uint64_t last, enum sim_world world)
{
	int fds[2];

	fflush(stdout);
	if (pipe(fds) != 0) {
		perror("pipe");
		exit(2);
	}
	w->pid = fork();
	if (w->pid == 0) {
		close(fds[0]);
		work(fds[1], first, last, world);
	}
	close(fds[1]);
	w->fd = fds[0];
	w->seed = first;
	w->last = last;
}

static void aborted(struct sim_result *r, int status)
{
	memset(r, 0, sizeof *r);
	r->failed = true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM) {
		snprintf(r->guarantee, sizeof r->guarantee, "loop");
		snprintf(r->text, sizeof r->text,
			 "no end within its time of the processor");
		return;
	}
	snprintf(r->guarantee, sizeof r->guarantee, "abort");
	snprintf(r->text, sizeof r->text, "its process ended by signal %d (see above)",
		 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void add(struct sim_counts *sum, const struct sim_counts *c)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)c;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

static void finished(struct sim_batch *b, uint64_t seed, const struct sim_result *r)
{
	b->done++;
	b->ns += r->ns;
	add(&b->sum, &r->count);
	if (!r->failed)
		return;
	b->failed++;
	printf("FAILED  %s%sseed %llu: %s: %s\n", sim_world_name(b->world),
	       b->world != SIM_CLUSTER ? ", " : "", (unsigned long long)seed,
	       r->guarantee, r->text);
	sim_shrink(seed, b->world, r);
}

/* False: the worker has ended. */
static bool hear(struct sim_batch *b, struct worker *w)
{
	static struct report r;
	size_t got = 0;
	ssize_t n = 1;
	int status;

	while (got < sizeof r && (n = read(w->fd, (char *)&r + got, sizeof r - got)) > 0)
		got += (size_t)n;
	if (got == sizeof r) {
		w->seed = r.seed + 1;
		finished(b, r.seed, &r.result);
		return true;
	}
	waitpid(w->pid, &status, 0);
	close(w->fd);
	w->pid = 0;
	if (w->seed <= w->last) {
		aborted(&r.result, status);
		finished(b, w->seed, &r.result);
		if (w->seed < w->last) { /* the seeds that it would have run */
			start(w, w->seed + 1, w->last, b->world);
			return true;
		}
	}
	return false;
}

static bool goes_on(const struct sim_batch *b, double begun)
{
	if (b->failed > 0 && !b->keep_going)
		return false;
	if (b->runs > 0 && b->next >= b->first + b->runs)
		return false;
	return b->seconds == 0 || now() - begun < (double)b->seconds;
}

static void feed(struct sim_batch *b, struct worker *w)
{
	uint64_t count = b->seconds > 0 ? PER_PROCESS_TIMED : PER_PROCESS;

	if (b->runs > 0 && b->next + count > b->first + b->runs)
		count = b->first + b->runs - b->next;
	start(w, b->next, b->next + count - 1, b->world);
	b->next += count;
}

void sim_batch_run(struct sim_batch *b)
{
	struct worker worker[JOBS_MAX] = { 0 };
	struct pollfd fds[JOBS_MAX];
	const double begun = now();
	uint32_t busy;

	b->next = b->first;
	b->jobs = b->jobs < JOBS_MAX ? b->jobs : JOBS_MAX;
	do {
		busy = 0;
		for (uint32_t i = 0; i < b->jobs; i++) {
			if (worker[i].pid == 0 && goes_on(b, begun))
				feed(b, &worker[i]);
			busy += worker[i].pid != 0;
			fds[i] = (struct pollfd){ worker[i].pid != 0 ? worker[i].fd : -1,
						  POLLIN, 0 };
		}
		if (busy == 0 || poll(fds, b->jobs, -1) < 0)
			break;
		for (uint32_t i = 0; i < b->jobs; i++)
			if (fds[i].fd >= 0 && fds[i].revents != 0)
				hear(b, &worker[i]);
	} while (busy > 0);
	b->elapsed = now() - begun;
}

void sim_run_apart(uint64_t seed, const struct sim_plan *plan, struct sim_result *result)
{
	int fds[2], status;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) != 0 || (pid = fork()) < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		close(fds[0]);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		bound_run(plan);
		sim_run_plan(seed, plan, false, result);
		if (write(fds[1], result, sizeof *result) != sizeof *result)
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	if (read(fds[0], result, sizeof *result) != sizeof *result) {
		waitpid(pid, &status, 0);
		aborted(result, status);
	} else {
		waitpid(pid, &status, 0);
	}
	close(fds[0]);
}
