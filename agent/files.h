/* files.h - the directories of an instance, and the lock that keeps it single. */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stddef.h>
#include <sys/types.h>

#include "agent/paths.h"

/* Make the directory of one of the instance's paths, with those above it; of a
 * path to a file, the directory that it is in. Returns 0, or -errno and a sentence. */
int agent_make_directory_for(const struct agent_instance *instance, enum agent_path which,
			     char *text, size_t text_size);

/* Make the instance ours: its lock goes with the process, however that ends. Writes
 * our pid into it. Waits for a holder that was killed and still ends, 10 s at most.
 * Returns 0 and `*fd` (close it to release), or -EBUSY: another
 * process has it, which `text` names; or -errno. */
int agent_lock_take(const struct agent_instance *instance, int *fd, char *text,
		    size_t text_size);

/* The file RUN_DIR/INSTANCE/pid, for who looks for the daemon. */
int agent_pid_write(const struct agent_instance *instance, char *text, size_t text_size);
void agent_pid_remove(const struct agent_instance *instance);

#endif
