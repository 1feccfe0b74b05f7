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

/* Make the instance ours: its lock, STATE_DIR/INSTANCE/lock, goes with the process,
 * however that ends. (A record lock: the kernel names its holder, children do not have
 * it, and the file is never to be opened again by this process.) Waits for a holder
 * that was killed and still ends, 10 s at most. Returns 0 and `*fd` (close it to
 * release), or -EBUSY: another process has it, which `text` names; or -errno. */
int agent_lock_take(const struct agent_instance *instance, int *fd, char *text,
		    size_t text_size);

/* The instance that `name` says, ours: its directories, and its lock as above. Returns 0, or
 * -errno and a sentence; `*fd` is to be closed where it is not negative. */
int agent_instance_take(const char *name, struct agent_instance *instance, int *fd,
			char *text, size_t text_size);

/* Lock the file anew if its name is gone or is another's. Returns 0: there was no need;
 * 1: done, as `text` says; -errno as agent_lock_take(), and the old one is kept. */
int agent_lock_keep(const struct agent_instance *instance, int *fd, char *text,
		    size_t text_size);

/* Does another process hold the instance's lock? Only this tells whether the daemon lives:
 * its sockets can be removed, be full or be silent. Returns 1 and its `*pid` (0: it cannot
 * be seen from here), 0: no daemon runs, or -errno: not known. */
int agent_lock_holder(const struct agent_instance *instance, pid_t *pid);

/* The begin of a small file, up to `text_size` - 1 bytes, as a string: "" on error. Returns 0
 * or -errno. */
int agent_text_read(const char *path, char *text, size_t text_size);

/* Begin a process of ours: keep only the first three descriptors of its starter, and
 * `kept_count` behind them, and ignore
 * the umask it was given, so that files get the modes that are asked for. */
void agent_process_begin(uint32_t kept_count);

/* How a child ended, from its status of waitpid(2): "was ended by signal 9 (Killed)" or "ended
 * with status 1". */
void agent_process_end_format(int status, char *text, size_t text_size);

/* The file RUN_DIR/INSTANCE/pid, by which people and programs find the daemon. */
int agent_pid_write(const struct agent_instance *instance, char *text, size_t text_size);
/* Make it, and its directory, again if it is gone. Returns as agent_lock_keep(). */
int agent_pid_keep(const struct agent_instance *instance, char *text, size_t text_size);
void agent_pid_remove(const struct agent_instance *instance);

#endif
