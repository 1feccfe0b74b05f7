/* watch_process.h - what the kernel says of a process. */
#ifndef AGENT_WATCH_PROCESS_H
#define AGENT_WATCH_PROCESS_H

#include <sys/types.h>

#include "agent/watch_metrics.h"

/* Returns 0, or -errno: it is gone, or proc(5) is not there. */
int watch_process_read(pid_t pid, struct watch_process *process);

#endif
