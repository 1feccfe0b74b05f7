/* identity.h - uuids and generations: the names of a mirror and of its history. */
#ifndef COMMON_IDENTITY_H
#define COMMON_IDENTITY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct uuid {
	uint8_t byte[16];
};

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static inline bool uuid_is_zero(const struct uuid *a)
{
	static const struct uuid zero;

	return uuid_equal(a, &zero);
}

/* Why a generation was opened. It decides which records the cut before it may drop (D8). */
enum generation_reason {
	GENERATION_CREATED = 1,   /* the first one */
	GENERATION_RESTARTED,     /* the same site again: nothing acknowledged is cut */
	GENERATION_CURRENT,       /* a current copy took over: likewise */
	GENERATION_CLEAN,         /* after a drained demote: nothing at all is cut */
	GENERATION_NEAR_SYNC,     /* within the bound of near-sync mode */
	GENERATION_FORCED,        /* an operator named the loss */
	GENERATION_ASYNC,         /* within the bound of `failover` in async */
};

/* A period with one production process. Compared by `id`, never by ordinal:
 * rival proposals may share one. */
struct generation {
	uint64_t ordinal;       /* 1 for the first, parent's + 1 else */
	struct uuid id;
	struct uuid parent;     /* zero for the first */
	uint64_t cut;           /* last sequence kept of the one before; its own
				   first sequence is cut + 1 */
	uint32_t reason;        /* enum generation_reason */
	uint32_t site;          /* index of the production site */
};

/* Oldest first. A chain: each entry's parent is the entry before it. */
#define HISTORY_COUNT_MAX 64

struct history {
	uint32_t count;
	uint32_t dropped_count;   /* older entries that no longer fit: a site whose
				     generation is not listed needs a full refresh */
	struct generation entry[HISTORY_COUNT_MAX];
};

/* The newest generation, or NULL when there is none. */
static inline const struct generation *history_newest(const struct history *h)
{
	return h->count > 0 ? &h->entry[h->count - 1] : NULL;
}

/* Append `g`, whose parent must be the newest entry (asserted). When the table is full the
 * oldest entry goes and dropped_count counts it. */
static inline void history_append(struct history *h, const struct generation *g)
{
	const struct generation *newest = history_newest(h);

	assert(newest == NULL || uuid_equal(&g->parent, &newest->id));
	if (h->count == HISTORY_COUNT_MAX) {
		memmove(&h->entry[0], &h->entry[1], sizeof h->entry - sizeof h->entry[0]);
		h->count--;
		h->dropped_count++;
	}
	h->entry[h->count++] = *g;
}

/* Data states (docs/words.md). */
enum data_state {
	DATA_UNKNOWN,
	DATA_DISKLESS,
	DATA_INCONSISTENT,
	DATA_OUTDATED,
	DATA_CONSISTENT,
	DATA_UP_TO_DATE,
};

#endif
