/* watch_run.h - commands that a watcher runs beside its work, each with a time limit. */
#ifndef AGENT_WATCH_RUN_H
#define AGENT_WATCH_RUN_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WATCH_RUNS_MAX 16u

struct watch_run {
	pid_t pid; /* 0: this place is free; also of its process group */
	int pidfd;
	uint32_t seconds;
	bool delivers;     /* a mail, which was its input */
	uint64_t until_ns; /* of CLOCK_MONOTONIC: killed then */
	const void *owner;
	char name[96];
};

struct watch_runs {
	struct watch_run run[WATCH_RUNS_MAX];
};

/* Run `argv` with `envp` in a process group of its own; `input` (may be NULL) is its standard
 * input. `name` is for the log. Each owner runs one at a time. SIGCHLD is
 * set to its default. Returns 0, or -errno:
 *   -EBUSY    the owner's last one still runs
 *   -EAGAIN   WATCH_RUNS_MAX run
 *   -errno    of posix_spawnp(3) and the like */
int watch_run_begin(struct watch_runs *r, const void *owner, const char *name,
		    char *const argv[], char *const envp[], const char *input,
		    uint32_t seconds);

/* Kill the groups of those whose time is over or that have ended, with all their processes; log
 * what failed. Returns milliseconds until the next one's time is over;
 * -1: none runs. */
int watch_runs_look(struct watch_runs *r);

/* What to poll(2) for, to look in time; returns how many of WATCH_RUNS_MAX are filled. */
nfds_t watch_runs_poll(const struct watch_runs *r, struct pollfd *fds);

/* Kill all. */
void watch_runs_end(struct watch_runs *r);

#endif
