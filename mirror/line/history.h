/* history.h - the chain of generations, and which data wins (D8).
 *
 * Pure logic. Generations are compared by id and ancestry; an ordinal is never
 * taken for an identity, since rival proposals can share one.
 *
 * Source: docs/rules.md (D5, D8).
 */
#ifndef MIRROR_LINE_HISTORY_H
#define MIRROR_LINE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/identity.h"

/* The entry with this id, or NULL. */
const struct generation *mirror_history_find(const struct history *h,
					     const struct uuid *id);

/* True when `id` is the newest generation or an ancestor of it: an entry, or the
 * parent of the oldest entry. An ancestor further back is no longer known. */
bool mirror_history_is_ancestor(const struct history *h, const struct uuid *id);

/* True when record `sequence` of this chain is of the generation with that ordinal: the
 * newest that was cut below it. For a record older than all that is listed any older
 * ordinal will do. (An identity is (generation, sequence): a record of the right
 * sequence and another generation is another record.) */
bool mirror_history_holds(const struct history *h, uint64_t sequence, uint64_t ordinal);

/* Check a chain that came from outside. Returns 0, or -EPROTO: too many entries, a
 * zero or repeated id, a parent that is not the entry before, an ordinal that is not
 * that entry's plus 1, an unknown reason or site. An empty history is valid. */
int mirror_history_check(const struct history *h);

enum mirror_verdict {
	MIRROR_VERDICT_CONTINUES,   /* ours is in their chain: keep keep_sequence */
	MIRROR_VERDICT_AHEAD,       /* theirs is an older part of our chain: they do
				       not know yet that they were followed */
	MIRROR_VERDICT_FORKED,      /* SplitBrain: resolved by hand */
	MIRROR_VERDICT_UNKNOWN,     /* we have no history, or ours is older than what
				       their chain still lists: full refresh */
};

struct mirror_judgement {
	enum mirror_verdict verdict;
	uint64_t keep_sequence;     /* last sequence that both have alike; CONTINUES: our
				       records beyond it are dropped and refreshed; AHEAD,
				       FORKED: for information; UNKNOWN: 0 */
	uint64_t dropped_count;     /* own_last_sequence - keep_sequence */
	bool forced;                /* a force was the first to give up some of it: that may
				       have been acknowledged */
	bool has_ancestor;
	struct uuid ancestor;       /* the newest common generation */
	const char *rule;           /* "D8-continues", ...: for `rule=` */
};

/* Judge our log, which ends at own_last_sequence, if we follow the chain `theirs`
 * (production's, or the view's). Both must have passed mirror_history_check(). */
void mirror_history_judge(const struct history *own, uint64_t own_last_sequence,
			  const struct history *theirs, struct mirror_judgement *out);

#endif
