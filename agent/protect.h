/* protect.h - protections that this process asks of the kernel against short memory.
 *
 * Its pages must not be swapped out, perhaps to its own disk. The kernel must not wait for
 * writes to the mirror before it gives the mirror memory. And a process that serves the disk
 * of a file system must not be the first victim. The kernel may refuse each of them, as in a
 * container. The event log tells that once (not for the pool, which is asked for later), the
 * status always, and `why` while a device of this machine stands, because then writes may
 * stand still for good.
 *
 * Source: docs/rules.md (G7).
 */
#ifndef AGENT_PROTECT_H
#define AGENT_PROTECT_H

#include <stdbool.h>
#include <stdint.h>

enum agent_protection_id {
	AGENT_PROTECT_MEMORY_LOCK,
	AGENT_PROTECT_IO_FLUSHER,
	AGENT_PROTECT_OOM_SCORE,
	AGENT_PROTECT_POOL,
	AGENT_PROTECTION_COUNT,
};

struct agent_protection {
	bool tried;   /* false: its time has not come */
	int error;    /* errno of the refusal; 0: it was not refused */
	char got[16]; /* as the kernel says; "" while not tried */
};

/* The words for one: constants. */
struct agent_protection_words {
	const char *name;
	const char *asked;
	const char *danger; /* without it; goes on "when memory is short " */
	const char *need; /* the process needs this to get it */
};
const struct agent_protection_words *agent_protection_words(uint32_t id);

/* Ask for all but the pool's. The threads, helpers and servers that are started from then
 * on inherit IO_FLUSHER and OOM_SCORE. Fills the list (AGENT_PROTECTION_COUNT). */
void agent_protect(struct agent_protection *list);

/* Ask for IO_FLUSHER alone, for this thread. Returns 0, or -errno: no device is attached then,
 * unless the configuration allows it. */
int agent_protect_io_flusher(void);

/* The pool, and the tables beside it, were to be had in memory; `error` is 0 or -errno
 * (agent_io_populate()). */
void agent_protect_pool(struct agent_protection *list, int error);

/* It was asked for and is not there. */
bool agent_protection_is_missing(const struct agent_protection *p);

#endif
