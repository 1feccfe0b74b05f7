/* stamp.h - production gives every record its sequence and its write group.
 *
 * Two writes share a group only if neither could have depended on the other:
 * a write joins the group in progress, and the first answer to a write that
 * bears the current number closes that group, before the answer can be seen.
 * "In progress" is a fact of its own here, not a count above zero: it ends at
 * the first answer while others of the group still run. Production itself
 * never holds a write; the copies' gate (engine/gate.h) keeps the order.
 *
 * Pure logic: no I/O, clock, threads, allocation or logging.
 *
 * Source: docs/sources.md (paper 000, Figs. 3-5).
 */
#ifndef MIRROR_ENGINE_STAMP_H
#define MIRROR_ENGINE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/log/record.h"

struct mirror_stamp {
	bool in_progress;         /* a new write joins `group` */
	uint64_t generation;      /* ordinal of the generation being written */
	uint64_t group;           /* number last given out; 0: none yet */
	uint64_t sequence;        /* last given out, of the whole mirror */
	uint64_t *disk_sequence;  /* last given out, of each disk: the caller's */
	uint32_t disk_count;      /* entries of disk_sequence */
};

/* Start a generation: no group in progress, number 0 (paper 000, Fig. 3).
 * Sequences go on after `last_sequence`, the cut that the generation names, and
 * each disk's after disk_sequence[disk], which stay the caller's and are
 * counted up in place. */
void mirror_stamp_init(struct mirror_stamp *s, uint64_t generation,
		       uint64_t last_sequence, uint64_t *disk_sequence,
		       uint32_t disk_count);

/* Stamp a record that the caller has given its type, disk and extent: fills
 * sequence, disk_sequence (0 for a flush), generation and group (Fig. 4). */
void mirror_stamp_next(struct mirror_stamp *s, struct mirror_header *header);

/* A record of `group` of this generation is about to be answered. To be called
 * in the step that queues the answer, before it does. Closes the group when it
 * is the current one; any other number changes nothing (Fig. 5). */
void mirror_stamp_acknowledge(struct mirror_stamp *s, uint64_t group);

#endif
