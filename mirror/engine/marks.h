/* engine/marks.h - how far this site has come, each mark a sequence: all records up to it
 * are stamped, in a log write, logged, durable, proven, at home, flushed there.
 *
 * All parts read them; only the functions below write them, so the effect of an event on
 * the marks stands in one place. Each is at most the one before it in that list, except
 * `proven`, which a superblock may raise (W1), and `home` while an open has not ended.
 */
#ifndef MIRROR_ENGINE_MARKS_H
#define MIRROR_ENGINE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/fact.h"
#include "common/identity.h"
#include "mirror/log/record.h"

struct mirror_engine;

struct engine_marks {
	uint64_t last, generation, group, time_ns; /* of the last record */
	uint64_t disk[CONFIG_DISK_COUNT_MAX];      /* its sequence by disk */
	uint64_t next_to_log;
	uint64_t logged, durable;
	uint64_t proven;       /* a mark that is durable says: up to here (W1) */
	uint64_t home;         /* all up to here: at home ... */
	uint64_t home_flushed; /* ... and flushed there */
};

/* FACT_MARKS, as it was sent last. */
struct engine_told {
	struct site_marks marks;
	struct uuid newest; /* generation of the log */
	uint64_t due_ns;
};

/* ---- an open ---- */

/* All up to `sequence` is at home, and nothing beyond it is known yet. */
void mirror_marks_begin(struct mirror_engine *m, uint64_t sequence);
/* The scan has found a record, whether the table will hold it or not. */
void mirror_marks_found(struct mirror_engine *m, const struct mirror_header *h);
/* The scan is over: all that it found is logged, and durable (W3: it was flushed before
 * it was read). */
void mirror_marks_recovered(struct mirror_engine *m);

/* ---- a write ---- */

/* A record is stamped, received or recovered: the next one. */
void mirror_marks_append(struct mirror_engine *m, const struct mirror_header *h);
/* A log write holds all before `next`. */
void mirror_marks_logging(struct mirror_engine *m, uint64_t next);
void mirror_marks_logged(struct mirror_engine *m, uint64_t sequence);
/* The log was flushed: all up to `durable` was logged before, and a mark that says that
 * `proven` is durable. */
void mirror_marks_flushed(struct mirror_engine *m, uint64_t durable, uint64_t proven);
/* A superblock that is durable says that `sequence` is (W1). */
void mirror_marks_proved(struct mirror_engine *m, uint64_t sequence);
/* The next record is at home. */
void mirror_marks_home(struct mirror_engine *m);
/* ... and flushed there, or known to be from an earlier open. */
void mirror_marks_home_flushed(struct mirror_engine *m);

/* ---- a cut ---- */

/* A record goes, from the table or from the log only: its disk's sequence is free. */
void mirror_marks_unplaced(struct mirror_engine *m, const struct mirror_header *h);
/* The last record has left the table. */
void mirror_marks_drop(struct mirror_engine *m);
/* The next record may be of any generation and group. */
void mirror_marks_any_generation(struct mirror_engine *m);
/* Records that were dropped are neither logged, nor durable, nor at home. */
void mirror_marks_cut(struct mirror_engine *m);
/* Records beyond `sequence` are forgotten, and none up to it is missing in the log, which
 * goes on after it. */
void mirror_marks_restart(struct mirror_engine *m, uint64_t sequence);
/* As restart: all up to `sequence` counts as durable and at home (W6). */
void mirror_marks_leap(struct mirror_engine *m, uint64_t sequence);

/* ---- told ---- */

/* FACT_MARKS, for the members and the status, and the log's history once it has changed: the
 * score is of both, so a new generation is told at once. */
void mirror_marks_pump(struct mirror_engine *m);
/* The next one is due now: a promotion may depend on it. */
void mirror_marks_tell(struct mirror_engine *m);

#endif
