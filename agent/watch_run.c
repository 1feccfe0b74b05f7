/* watch_run.c - see watch_run.h. */
#include "agent/watch_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "agent/log.h"
#include "common/clock_driver.h"

#define NS_PER_S 1000000000ull

/* A file of memory: nobody waits for a child that does not read. */
static int open_input(const char *input)
{
	const size_t length = input != NULL ? strlen(input) : 0;
	int fd, error;

	if (input == NULL)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	else
		fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (length == 0 ||
	    (write(fd, input, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* In a group of its own, with the signals and files of a new process. */
static int spawn(char *const argv[], char *const envp[], int input, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&how);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	error = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_addclosefrom_np(&files,
								 STDERR_FILENO + 1);
	if (error == 0)
		error = posix_spawnp(pid, argv[0], &files, &how, argv, envp);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	return -error;
}

static struct watch_run *find_place(struct watch_runs *r, const void *owner, int *error)
{
	struct watch_run *place = NULL;

	*error = -EAGAIN;
	for (uint32_t i = 0; i < WATCH_RUNS_MAX; i++) {
		if (r->run[i].pid == 0)
			place = &r->run[i];
		else if (r->run[i].owner == owner)
			*error = -EBUSY;
	}
	return *error == -EBUSY ? NULL : place;
}

int watch_run_begin(struct watch_runs *r, const void *owner, const char *name,
		    char *const argv[], char *const envp[], const char *input,
		    uint32_t seconds)
{
	struct watch_run *run;
	int error, fd;
	pid_t pid;

	run = find_place(r, owner, &error);
	if (run == NULL)
		return error;
	fd = open_input(input);
	if (fd < 0)
		return fd;
	signal(SIGCHLD,
	       SIG_DFL); /* ignored by our parent, perhaps: then nobody is waited for */
	error = spawn(argv, envp, fd, &pid);
	close(fd);
	if (error != 0)
		return error;
	*run = (struct watch_run){
		.pid = pid,
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
		.delivers = input != NULL,
		.seconds = seconds,
		.until_ns = common_clock_ns(CLOCK_MONOTONIC) + seconds * NS_PER_S,
		.owner = owner,
	};
	snprintf(run->name, sizeof run->name, "%s", name);
	return 0;
}

static void ended(struct watch_run *run, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		agent_log(LOG_WARNING, "%s: exit status %d", run->name,
			  WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		agent_log(LOG_WARNING, "%s: ended by signal %d", run->name,
			  WTERMSIG(status));
	if (run->pidfd >= 0)
		close(run->pidfd);
	run->pid = 0;
}

static bool has_ended(const struct watch_run *run)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == run->pid;
}

/* Its group is not anybody else's yet: the process that leads it was not waited for. Where that
 * has ended, its status stays, and what it left behind is killed; but a mailer's, which may
 * deliver. */
static void kill_group(struct watch_run *run)
{
	int status = 0;

	if (!run->delivers || !has_ended(run))
		kill(-run->pid, SIGKILL);
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	ended(run, status);
}

int watch_runs_look(struct watch_runs *r)
{
	const uint64_t now_ns = common_clock_ns(CLOCK_MONOTONIC);
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < WATCH_RUNS_MAX; i++) {
		struct watch_run *run = &r->run[i];

		if (run->pid == 0)
			continue;
		if (has_ended(run)) {
			kill_group(run);
		} else if (now_ns >= run->until_ns) {
			agent_log(LOG_WARNING, "%s: killed after %u s", run->name,
				  run->seconds);
			kill_group(run);
		} else if (run->until_ns < next_ns) {
			next_ns = run->until_ns;
		}
	}
	return next_ns == UINT64_MAX ? -1 : (int)((next_ns - now_ns) / 1000000) + 1;
}

nfds_t watch_runs_poll(const struct watch_runs *r, struct pollfd *fds)
{
	nfds_t count = 0;

	for (uint32_t i = 0; i < WATCH_RUNS_MAX; i++)
		if (r->run[i].pid != 0 && r->run[i].pidfd >= 0)
			fds[count++] = (struct pollfd){ .fd = r->run[i].pidfd,
							.events = POLLIN };
	return count;
}

void watch_runs_end(struct watch_runs *r)
{
	for (uint32_t i = 0; i < WATCH_RUNS_MAX; i++)
		if (r->run[i].pid != 0)
			kill_group(&r->run[i]);
}
