/* last_run.h - how the last run of an instance ended, for status and `why` of the next.
 *
 * A run writes a record into its state folder when it begins, durable before it touches
 * anything, and writes its end into it:
 *
 *   run BEGAN PID BOOT        nanoseconds since 1970, the process, the kernel's boot id
 *   ended WALL STATUS TEXT    in order, or failed with a reason
 *
 * Without an end the process left its last words (last_words.h) under the same `run`, or
 * none: then the boot says whether the machine was there all the time.
 */
#ifndef AGENT_LAST_RUN_H
#define AGENT_LAST_RUN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/paths.h"

#define AGENT_RUN_LINE_BYTES 96
#define AGENT_RUN_RECORD_BYTES 1024

enum agent_run_end {
	AGENT_RUN_NONE,    /* there was none, or it cannot be known: the text says */
	AGENT_RUN_ORDERLY, /* it was stopped */
	AGENT_RUN_FAILED,  /* it ended by itself, for a reason */
	AGENT_RUN_DIED,    /* by a signal or an assertion, and it left its words */
	AGENT_RUN_KILLED,  /* without a word, on a machine that went on */
	AGENT_RUN_MACHINE, /* without a word, and the machine has started anew since */
};

struct agent_last_run {
	enum agent_run_end end;
	uint64_t wall_ns;    /* when it ended; 0: not known */
	char path[PATH_MAX]; /* of its last words, or "" */
	char text[640];      /* a sentence; "" where there was none */
};

/* The word for `end` in the status. */
const char *agent_run_end_word(enum agent_run_end end);

/* How the last run ended; of an instance whose daemon does not run. */
void agent_last_run_read(const struct agent_instance *instance,
			 struct agent_last_run *last);

struct agent_run {
	struct agent_last_run last;          /* the one before */
	char line[AGENT_RUN_LINE_BYTES];     /* "BEGAN PID BOOT" */
	char before[AGENT_RUN_RECORD_BYTES]; /* the record as it was */
	bool recorded;                       /* ours is there */
	bool stood;                          /* its owner's: the starter was let go */
	char why[512];                       /* why it fails, or "" */
};

/* A run begins; holding the lock. Reads how the last one ended, and makes last words ready.
 * A record that cannot be written is told to the system log: the next run will not know of
 * this one, which is no reason not to run. */
void agent_run_begin(const struct agent_instance *instance, struct agent_run *run);

/* The reason of a failure that is under way. */
void agent_run_note(struct agent_run *run, const char *why);

/* It ends with that exit status: 0 is in order. One that never stood has told its caller
 * why it did not: its record goes, and hides nothing that was before it. */
void agent_run_end(const struct agent_instance *instance, const struct agent_run *run,
		   int status);

#endif
