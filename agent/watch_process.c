/* watch_process.c - see watch_process.h. Source: proc(5), /proc/PID/stat and /proc/stat. */
#include "agent/watch_process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/files.h"

/* The time of the machine's start, since 1970, or -errno. */
static long long boot_seconds(void)
{
	FILE *file = fopen("/proc/stat", "re");
	char line[256];
	long long seconds = -ENOENT;

	if (file == NULL)
		return -errno;
	while (seconds < 0 && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "btime %lld", &seconds) != 1)
			seconds = -ENOENT;
	fclose(file);
	return seconds;
}

int watch_process_read(pid_t pid, struct watch_process *process)
{
	const double ticks = (double)sysconf(_SC_CLK_TCK);
	unsigned long long user, system, started;
	char path[64], text[1024];
	const char *fields;
	long long boot = boot_seconds();
	long resident;
	int error;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	error = agent_text_read(path, text, sizeof text);
	if (error != 0)
		return error;
	if (boot < 0)
		return (int)boot;
	/* The name, in brackets, may have spaces and brackets itself. */
	fields = strrchr(text, ')');
	if (fields == NULL ||
	    sscanf(fields,
		   ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
		   "%*d %*d %*d %llu %*u %ld",
		   &user, &system, &started, &resident) != 4)
		return -EPROTO;
	process->cpu_seconds = (double)(user + system) / ticks;
	process->resident_bytes = (double)resident * (double)sysconf(_SC_PAGESIZE);
	process->started_seconds = (double)boot + (double)started / ticks;
	return 0;
}
