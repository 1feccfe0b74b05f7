/* attach_process.c - the process that serves a device, under its helper: see
 * attach_helper.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/attach_helper.h"
#include "agent/files.h"

static void output_path(const struct attach_disk *d, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s.output", d->folder);
}

/* In the child: call only functions that are safe after a fork. */
static void become(char *const argv[], int output_fd, pid_t parent)
{
	const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* nbdfuse unmounts at this signal; a device does not outlive its keeper. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	dup2(null_fd, STDIN_FILENO);
	dup2(output_fd, STDOUT_FILENO);
	dup2(output_fd, STDERR_FILENO);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int attach_process_adopt(struct attach_disk *d, pid_t pid)
{
	d->server_pid = pid;
	d->server_pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (d->server_pid_fd < 0) {
		const int error = errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		d->server_pid = 0;
		return attach_helper_fail(d, error, "cannot watch a process");
	}
	return 0;
}

int attach_process_start(struct attach_disk *d, char *const argv[])
{
	const pid_t self = getpid();
	char path[PATH_MAX];
	int output_fd;
	pid_t pid;

	output_path(d, path);
	output_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (output_fd < 0)
		return attach_helper_fail(d, errno, "%s", path);
	pid = fork();
	if (pid == 0)
		become(argv, output_fd, self);
	close(output_fd);
	if (pid < 0)
		return attach_helper_fail(d, errno, "cannot start %s", argv[0]);
	return attach_process_adopt(d, pid);
}

int attach_process_run(char *const argv[])
{
	const pid_t self = getpid();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		become(argv, open("/dev/null", O_WRONLY | O_CLOEXEC), self);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* The last line of its output: there a program names the reason of its end. */
static void read_text(struct attach_disk *d)
{
	char path[PATH_MAX], line[ATTACH_TEXT_BYTES];
	FILE *f;

	output_path(d, path);
	f = fopen(path, "re");
	d->text[0] = '\0';
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0')
			snprintf(d->text, sizeof d->text, "%s", line);
	}
	if (f != NULL)
		fclose(f);
}

static void forget(struct attach_disk *d)
{
	char path[PATH_MAX];

	close(d->server_pid_fd);
	d->server_pid_fd = -1;
	d->server_pid = 0;
	output_path(d, path);
	unlink(path);
}

bool attach_process_has_ended(struct attach_disk *d)
{
	char end[64];
	int status = 0;

	if (d->server_pid == 0)
		return true;
	if (waitpid(d->server_pid, &status, WNOHANG) == 0)
		return false;
	read_text(d);
	forget(d);
	if (d->text[0] == '\0') {
		agent_process_end_format(status, end, sizeof end);
		snprintf(d->text, sizeof d->text, "its server %s", end);
	}
	return true;
}

void attach_process_end(struct attach_disk *d, int patience_ms)
{
	struct pollfd p = { .fd = d->server_pid_fd, .events = POLLIN };

	if (d->server_pid == 0)
		return;
	if (poll(&p, 1, patience_ms) <= 0)
		kill(d->server_pid, SIGKILL);
	waitpid(d->server_pid, NULL, 0);
	forget(d);
}
