/* engine/gate.h - the copy's gate: decide when a record may go home.
 *
 * Production gives every record a group number. Writes of one group were in
 * flight together, so the application saw no order between them and they may
 * run in parallel. A write of a later group may depend on an earlier one, so it
 * may not start until every write of the group before it is done.
 *
 * Numbers are ordered by generation, then by group: equal generations compare
 * groups, a new generation starts over at 1. Numbers may skip (flush records
 * take numbers too, and do not pass the gate).
 *
 * Groups may go home *together* while the writelog keeps the order for them
 * (replay, catching up, `order: log`): then nothing is held, only counted. When
 * that ends, records of several groups that are under way drain first.
 *
 * Pure logic: no I/O, clock, threads, allocation or logging. The caller
 * reports what happened (arrive, done) and starts every record put on `issue`.
 *
 * Source: docs/sources.md (paper 000, Figs. 3, 6 and 7); docs/rules.md (G2).
 */
#ifndef MIRROR_ENGINE_GATE_H
#define MIRROR_ENGINE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/log/record.h"

struct mirror_group_number {
	uint64_t generation; /* ordinal */
	uint64_t group;      /* 0: before the generation's first */
};

struct mirror_gate {
	struct mirror_group_number current; /* latest started */
	struct mirror_group_number newest;  /* latest arrived, >= current */
	uint32_t outstanding_count;         /* started and not yet done */
	uint32_t held_count;                /* records on `hold` */
	uint32_t held_count_max;            /* bound on it, fixed at init */
	bool together;                      /* groups need not wait */
	bool mixed;                         /* outstanding: of several groups */
	struct mirror_record_queue hold;    /* later groups, in arrival order */
};

static inline struct mirror_group_number mirror_group_number_of(
	const struct mirror_header *h)
{
	return (struct mirror_group_number){ h->generation, h->group };
}

/* Below, equal to or above 0 as `a` is older than, the same as or newer than
 * `b`. The receiver compares a record that arrives with the one before it:
 * older is a defect of mirroring, to be refused before it is logged. */
static inline int mirror_group_number_compare(struct mirror_group_number a,
					      struct mirror_group_number b)
{
	if (a.generation != b.generation)
		return a.generation < b.generation ? -1 : 1;
	return (a.group > b.group) - (a.group < b.group);
}

/* Start empty, strict, after the group `last` (Fig. 3: both members 0 for a
 * blank copy; otherwise that of the last record that went home). */
void mirror_gate_init(struct mirror_gate *g, struct mirror_group_number last,
		      uint32_t held_count_max);

/* True while a record that was started is unfinished. Derived, never stored. */
static inline bool mirror_gate_in_progress(const struct mirror_gate *g)
{
	return g->outstanding_count > 0;
}

/* Take a record, in stream order, that is to go home; it is on no queue.
 *
 * On success the gate owns the record's `next` until the record appears on
 * `issue` (maybe now, maybe in a later call). A record that changes nothing is checked
 * and its number noted, but it stays the caller's: it never appears on `issue`. On
 * error nothing changed and the record stays the caller's.
 *
 * Returns 0, or
 *   -EPROTO   group is 0, or older than one already arrived: stop the link
 *   -ENOBUFS  the hold queue is full: offer it again after a record is done
 */
int mirror_gate_arrive(struct mirror_gate *g, struct mirror_record *r,
		       struct mirror_record_queue *issue);

/* Report that an issued record is done: its disk has taken it. It is the
 * caller's again. A record that failed is never reported: the caller detaches
 * the disk, so no later group can start. */
void mirror_gate_done(struct mirror_gate *g, const struct mirror_record *r,
		      struct mirror_record_queue *issue);

/* Let groups go together, or one after the other again. In the first case all held
 * records start; in the second later ones are held until all records under way are
 * done. */
void mirror_gate_set_together(struct mirror_gate *g, bool together,
			      struct mirror_record_queue *issue);

/* Give every held record back, on `dropped`, in arrival order, as if they had never
 * arrived. Started records are still awaited. */
void mirror_gate_drop(struct mirror_gate *g, struct mirror_record_queue *dropped);

/* Abort if an invariant is broken. Called by every entry point and by sim. */
void mirror_gate_check(const struct mirror_gate *g);

#endif
