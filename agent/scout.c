/* scout.c - see scout.h. */
#include "agent/scout.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/log_file.h"

#define PATIENCE_MS 5000
#define LOOK_BYTES 4096

/* The child: nothing of its parent's stays open in it, so nobody waits for its end. The
 * end of `told` says that it has got through. */
static void look(const char *path, int told)
{
	static _Alignas(LOOK_BYTES) char block[LOOK_BYTES];
	int null, fd;

	dup2(told, 3); /* first: it may be one of the three below */
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i <= 2 && null >= 0; i++)
		dup2(null, i);
	close_range(4, ~0u, 0);
	setsid();
	fd = agent_device_open(path);
	/* A read from the page cache is no answer of the device. */
	if (fd >= 0)
		fcntl(fd, F_SETFL, O_DIRECT);
	_exit(fd >= 0 && pread(fd, block, sizeof block, 0) < 0);
}

/* Until the child has ended, or for so long. */
static bool ends_in_time(pid_t child, int told)
{
	struct pollfd end = { .fd = told, .events = POLLIN };
	int ready;

	do {
		ready = poll(&end, 1, PATIENCE_MS);
	} while (ready < 0 && errno == EINTR);
	return ready > 0 && (waitpid(child, NULL, 0) == child || errno == ECHILD);
}

int agent_scout(const char *name, const char *path, char *text, size_t text_bytes)
{
	int told[2], error = 0;
	pid_t child;

	if (pipe2(told, O_CLOEXEC) != 0) {
		error = -errno;
		snprintf(text, text_bytes, "no pipe: %s", strerror(-error));
		return error;
	}
	child = fork();
	if (child == 0)
		look(path, told[1]);
	if (child < 0)
		error = -errno;
	close(told[1]);
	if (child < 0) {
		snprintf(text, text_bytes, "no process can be made: %s",
			 strerror(-error));
	} else if (!ends_in_time(child, told[0])) {
		error = -ETIMEDOUT;
		snprintf(text, text_bytes,
			 "%s (%s) has not answered for %u s: look at it, and at the "
			 "devices below it",
			 name, path, PATIENCE_MS / 1000);
	}
	close(told[0]);
	return error;
}

int agent_scout_site(const struct config_site *site, char *text, size_t text_bytes)
{
	char name[CONFIG_NAME_MAX + sizeof "disk "];
	int error = agent_scout("writelog", site->writelog, text, text_bytes);

	for (uint32_t i = 0; i < site->disk_count && error == 0; i++) {
		snprintf(name, sizeof name, "disk %s", site->disk[i].name);
		error = agent_scout(name, site->disk[i].path, text, text_bytes);
	}
	return error;
}
