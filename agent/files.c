/* files.c - see files.h. */
#include "agent/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOLDER_BYTES 32
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
	case AGENT_PATH_LOG:
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

static void read_holder(int fd, char pid[HOLDER_BYTES])
{
	const ssize_t n = pread(fd, pid, HOLDER_BYTES - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
}

/* A process that was killed keeps its locks until the last of its threads has ended,
 * which waits for its I/O. Its first thread is dead by then, or it is gone. */
static bool holder_is_ending(int fd)
{
	char pid[HOLDER_BYTES], path[HOLDER_BYTES + 20], line[128];
	bool ending = true;
	FILE *status;

	read_holder(fd, pid);
	snprintf(path, sizeof path, "/proc/%s/status", pid);
	status = pid[0] == '\0' ? NULL : fopen(path, "re");
	if (status == NULL)
		return pid[0] != '\0' && errno == ENOENT;
	while (fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "State:", 6) == 0)
			ending = strpbrk(line + 6, "ZX") != NULL;
	fclose(status);
	return ending;
}

static int lock_patiently(int fd)
{
	const struct timespec pause = { .tv_nsec = ENDING_PAUSE_MS * 1000000 };
	int error = flock(fd, LOCK_EX | LOCK_NB);

	for (int i = 0; error != 0 && i < ENDING_PAUSE_COUNT && holder_is_ending(fd);
	     i++) {
		nanosleep(&pause, NULL);
		error = flock(fd, LOCK_EX | LOCK_NB);
	}
	return error;
}

static int refuse_held(const struct agent_instance *instance, int fd, const char *path,
		       char *text, size_t text_size)
{
	char pid[HOLDER_BYTES];

	read_holder(fd, pid);
	snprintf(text, text_size,
		 "%s is in use: process %s holds %s; `hamirror stop %s` ends "
		 "a daemon",
		 instance->name, pid[0] != '\0' ? pid : "(unknown)", path,
		 instance->name);
	return -EBUSY;
}

int agent_lock_take(const struct agent_instance *instance, int *fd, char *text,
		    size_t text_size)
{
	char path[PATH_MAX];
	int error = run_file(instance, "lock", path);

	*fd = error != 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (*fd < 0) {
		error = error != 0 ? error : -errno;
		snprintf(text, text_size, "%s cannot be opened: %s", path,
			 strerror(-error));
		return error;
	}
	if (lock_patiently(*fd) != 0)
		error = refuse_held(instance, *fd, path, text, text_size);
	else
		error = write_pid(*fd);
	if (error == 0)
		return 0;
	if (error != -EBUSY)
		snprintf(text, text_size, "%s cannot be written: %s", path,
			 strerror(-error));
	close(*fd);
	*fd = -1;
	return error;
}

int agent_pid_write(const struct agent_instance *instance, char *text, size_t text_size)
{
	char path[PATH_MAX];
	int error = run_file(instance, "pid", path);
	const int fd = error != 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (error == 0)
		error = fd < 0 ? -errno : write_pid(fd);
	if (fd >= 0)
		close(fd);
	if (error != 0)
		snprintf(text, text_size, "%s cannot be written: %s", path,
			 strerror(-error));
	return error;
}

void agent_pid_remove(const struct agent_instance *instance)
{
	char path[PATH_MAX];

	if (run_file(instance, "pid", path) == 0)
		unlink(path);
}
