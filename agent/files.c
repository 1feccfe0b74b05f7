/* files.c - see files.h. */
#include "agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/process_driver.h"

#define HOLDER_BYTES 32
#define LOCK_FLAGS (O_CLOEXEC | O_NONBLOCK) /* its path may lead to anything */
#define ENDING_PAUSE_MS 20 /* a killed process ends: looked at again, ... */
#define ENDING_PAUSE_COUNT 500

static int make_directories(const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; path[i - 1] != '\0'; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof part, "%.*s", (int)i, path);
		if (mkdir(part, 0750) != 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static bool is_file(enum agent_path which)
{
	switch (which) {
	case AGENT_PATH_CONFIG:
	case AGENT_PATH_CONTROL:
	case AGENT_PATH_NBD:
	case AGENT_PATH_NBD_OWN:
	case AGENT_PATH_LOG:
	case AGENT_PATH_CRASH:
	case AGENT_PATH_PERF:
	case AGENT_PATH_FAILURE:
		return true;
	case AGENT_PATH_STATE:
	case AGENT_PATH_RUN:
	case AGENT_PATH_DEVICES:
		return false;
	}
	return false;
}

int agent_make_directory_for(const struct agent_instance *instance, enum agent_path which,
			     char *text, size_t text_size)
{
	char path[PATH_MAX];
	int error = agent_path(instance, which, path);
	char *slash = error == 0 && is_file(which) ? strrchr(path, '/') : NULL;

	if (slash != NULL)
		*slash = '\0';
	if (error == 0)
		error = make_directories(path);
	if (error != 0)
		snprintf(text, text_size, "the directory %s cannot be made: %s", path,
			 strerror(-error));
	return error;
}

/* RUN_DIR/INSTANCE/NAME */
static int run_file(const struct agent_instance *instance, const char *name,
		    char path[PATH_MAX])
{
	const int error = agent_path(instance, AGENT_PATH_RUN, path);
	const size_t at = strlen(path);

	if (error != 0)
		return error;
	return snprintf(path + at, PATH_MAX - at, "/%s", name) < (int)(PATH_MAX - at) ?
		       0 :
		       -ENAMETOOLONG;
}

static int write_pid(int fd)
{
	char pid[32];
	const int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)length, 0) != length)
		return -errno;
	return 0;
}

/* ---- the lock -------------------------------------------------------------------- */

/* Beside the voter file, so that clearing the run directory does not remove it. */
static int lock_path(const struct agent_instance *instance, char path[PATH_MAX])
{
	const int error = agent_path(instance, AGENT_PATH_STATE, path);
	const size_t at = strlen(path);

	if (error != 0)
		return error;
	return snprintf(path + at, PATH_MAX - at, "/lock") < (int)(PATH_MAX - at) ?
		       0 :
		       -ENAMETOOLONG;
}

/* A record lock, since the kernel names its holder. */
static int lock_at_once(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &lock) == 0 ? 0 : -errno;
}

/* Does another process hold the lock? If so also its pid, or 0 if that cannot be seen. */
static bool is_held(int fd, pid_t *pid)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*pid = 0;
	if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
		return false;
	*pid = lock.l_pid > 0 ? lock.l_pid : 0;
	return true;
}

/* It was killed, say, and its I/O has not ended yet. */
static bool holder_is_ending(int fd)
{
	pid_t pid;

	return !is_held(fd, &pid) || (pid != 0 && common_process_is_ending(pid));
}

static int lock_patiently(int fd)
{
	const struct timespec pause = { .tv_nsec = ENDING_PAUSE_MS * 1000000 };
	int error = lock_at_once(fd);

	for (int i = 0; error != 0 && i < ENDING_PAUSE_COUNT && holder_is_ending(fd);
	     i++) {
		nanosleep(&pause, NULL);
		error = lock_at_once(fd);
	}
	return error;
}

static int refuse_held(const struct agent_instance *instance, int fd, const char *path,
		       char *text, size_t text_size)
{
	char holder[HOLDER_BYTES] = "(not seen from here)";
	pid_t pid;

	if (is_held(fd, &pid) && pid != 0)
		snprintf(holder, sizeof holder, "%ld", (long)pid);
	snprintf(text, text_size,
		 "%s is in use: process %s holds %s; `hamirror stop %s` ends a daemon",
		 instance->name, holder, path, instance->name);
	return -EBUSY;
}

int agent_lock_take(const struct agent_instance *instance, int *fd, char *text,
		    size_t text_size)
{
	char path[PATH_MAX];
	int error = lock_path(instance, path);

	*fd = error != 0 ? -1 : open(path, LOCK_FLAGS | O_RDWR | O_CREAT, 0640);
	if (*fd < 0) {
		error = error != 0 ? error : -errno;
		snprintf(text, text_size, "%s cannot be opened: %s", path,
			 strerror(-error));
		return error;
	}
	error = lock_patiently(*fd);
	if (error == -EAGAIN || error == -EACCES)
		error = refuse_held(instance, *fd, path, text, text_size);
	else if (error != 0)
		snprintf(text, text_size, "%s cannot be locked: %s", path,
			 strerror(-error));
	if (error == 0)
		return 0;
	close(*fd);
	*fd = -1;
	return error;
}

int agent_instance_take(const char *name, struct agent_instance *instance, int *fd,
			char *text, size_t text_size)
{
	int error = agent_instance_parse(name, instance, text, text_size);

	*fd = -1;
	if (error == 0)
		error = agent_make_directory_for(instance, AGENT_PATH_STATE, text,
						 text_size);
	if (error == 0)
		error = agent_make_directory_for(instance, AGENT_PATH_RUN, text,
						 text_size);
	if (error == 0)
		error = agent_lock_take(instance, fd, text, text_size);
	return error;
}

int agent_lock_keep(const struct agent_instance *instance, int *fd, char *text,
		    size_t text_size)
{
	struct stat ours, there;
	char path[PATH_MAX];
	int error = lock_path(instance, path), fresh;

	if (error != 0 || fstat(*fd, &ours) != 0 ||
	    (stat(path, &there) == 0 && there.st_dev == ours.st_dev &&
	     there.st_ino == ours.st_ino))
		return 0;
	error = agent_make_directory_for(instance, AGENT_PATH_STATE, text, text_size);
	if (error == 0)
		error = agent_lock_take(instance, &fresh, text, text_size);
	if (error != 0)
		return error;
	close(*fd);
	*fd = fresh;
	snprintf(text, text_size, "%s was gone and is made again", path);
	return 1;
}

int agent_lock_holder(const struct agent_instance *instance, pid_t *pid)
{
	char path[PATH_MAX];
	int error = lock_path(instance, path), fd;
	bool held;

	*pid = 0;
	if (error != 0)
		return error;
	fd = open(path, LOCK_FLAGS | O_RDONLY);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	held = is_held(fd, pid);
	close(fd);
	return held;
}

int agent_text_read(const char *path, char *text, size_t text_size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, text_size - 1);
	const int error = n < 0 ? -errno : 0;

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return error;
}

void agent_process_begin(uint32_t kept_count)
{
	umask(S_IWGRP | S_IWOTH);
	/* Linux before 5.9 has no such call, and is too old for the rest. */
	close_range(STDERR_FILENO + 1 + kept_count, ~0u, 0);
}

void agent_process_end_format(int status, char *text, size_t text_size)
{
	if (WIFSIGNALED(status))
		snprintf(text, text_size, "was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, text_size, "ended with status %d", WEXITSTATUS(status));
}

/* ---- the pid file ------------------------------------------------------------------ */

int agent_pid_write(const struct agent_instance *instance, char *text, size_t text_size)
{
	char path[PATH_MAX];
	int error = run_file(instance, "pid", path);
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK;
	const int fd = error != 0 ? -1 : open(path, flags, 0644);

	if (error == 0)
		error = fd < 0 ? -errno : write_pid(fd);
	if (fd >= 0)
		close(fd);
	if (error != 0)
		snprintf(text, text_size, "%s cannot be written: %s", path,
			 strerror(-error));
	return error;
}

int agent_pid_keep(const struct agent_instance *instance, char *text, size_t text_size)
{
	char path[PATH_MAX];
	int error = run_file(instance, "pid", path);

	if (error != 0 || access(path, F_OK) == 0)
		return 0;
	error = agent_make_directory_for(instance, AGENT_PATH_RUN, text, text_size);
	if (error == 0)
		error = agent_pid_write(instance, text, text_size);
	if (error != 0)
		return error;
	snprintf(text, text_size, "%s was gone and is made again", path);
	return 1;
}

void agent_pid_remove(const struct agent_instance *instance)
{
	char path[PATH_MAX];

	if (run_file(instance, "pid", path) == 0)
		unlink(path);
}
