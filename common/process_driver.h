/* process_driver.h - is a process about to be gone? For drivers. */
#ifndef COMMON_PROCESS_DRIVER_H
#define COMMON_PROCESS_DRIVER_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* True when process `pid` has begun to end, has been killed, or is gone. It may keep locks
 * and devices for a while, until its I/O has ended. False too when that cannot be seen.
 *
 * Source: proc(5), /proc/PID/stat: state, flags (PF_EXITING of the kernel's sched.h) and the
 * pending signals of the first thread. */
static inline bool common_process_is_ending(pid_t pid)
{
	const unsigned int exiting = 0x4;
	const unsigned long killed = 1ul << 8; /* SIGKILL is pending */
	unsigned long signals;
	char path[40], line[512];
	const char *after;
	unsigned int flags;
	FILE *f;
	char state;
	bool ending;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return errno == ENOENT;
	if (fgets(line, sizeof line, f) == NULL)
		ending = errno == ESRCH;
	else
		ending = (after = strrchr(line, ')')) != NULL && /* a name may hold one */
			 sscanf(after,
				") %c %*s %*s %*s %*s %*s %u %*s %*s %*s %*s %*s %*s "
				"%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				"%*s %*s %lu",
				&state, &flags, &signals) == 3 &&
			 (strchr("ZX", state) != NULL || (flags & exiting) != 0 ||
			  (signals & killed) != 0);
	fclose(f);
	return ending;
}

#endif
