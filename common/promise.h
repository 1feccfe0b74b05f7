/* promise.h - the promise of an answered write: the mode, and the bound of near-sync.
 *
 *   mode       records    ms
 *   sync       0          0           no copy that is waited for lacks anything
 *   near-sync  N          S           ... lacks more than N writes, or one older than S ms
 *   async      unbounded  unbounded   no copy is waited for
 *
 * Where near-sync has one bound only, the other is unbounded. So promises are compared
 * number by number, and of two that cannot be compared the strictest keeps both.
 *
 * Source: docs/rules.md (M1, M3).
 */
#ifndef COMMON_PROMISE_H
#define COMMON_PROMISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/config.h"

#define PROMISE_UNBOUNDED UINT32_MAX
#define PROMISE_TEXT_BYTES 64

struct promise {
	uint32_t mode; /* enum config_mode */
	uint32_t records, ms;
};

/* `records` and `ms` count in near-sync only, where 0 stands for no such bound. */
static inline struct promise promise_make(uint32_t mode, uint32_t records, uint32_t ms)
{
	struct promise p = { .mode = mode };

	if (mode == CONFIG_NEAR_SYNC) {
		p.records = records != 0 ? records : PROMISE_UNBOUNDED;
		p.ms = ms != 0 ? ms : PROMISE_UNBOUNDED;
	} else if (mode == CONFIG_ASYNC) {
		p.records = p.ms = PROMISE_UNBOUNDED;
	}
	return p;
}

/* The promise that the file asks for. */
static inline struct promise promise_of_config(const struct config *config)
{
	return promise_make(config->mode, config->near_sync_records,
			    config->near_sync_ms);
}

static inline bool promise_equal(const struct promise *a, const struct promise *b)
{
	return a->mode == b->mode && a->records == b->records && a->ms == b->ms;
}

/* Does all that satisfies `a` satisfy `b` too? */
static inline bool promise_covers(const struct promise *a, const struct promise *b)
{
	return a->mode <= b->mode && a->records <= b->records && a->ms <= b->ms;
}

/* A promise that satisfies this one satisfies both. */
static inline struct promise promise_strictest(const struct promise *a,
					       const struct promise *b)
{
	return (struct promise){
		.mode = a->mode < b->mode ? a->mode : b->mode,
		.records = a->records < b->records ? a->records : b->records,
		.ms = a->ms < b->ms ? a->ms : b->ms,
	};
}

/* Could a file ask for that? */
static inline bool promise_is_sound(const struct promise *p)
{
	switch (p->mode) {
	case CONFIG_SYNC:
		return p->records == 0 && p->ms == 0;
	case CONFIG_NEAR_SYNC:
		return p->records != 0 && p->ms != 0 &&
		       (p->records != PROMISE_UNBOUNDED || p->ms != PROMISE_UNBOUNDED);
	case CONFIG_ASYNC:
		return p->records == PROMISE_UNBOUNDED && p->ms == PROMISE_UNBOUNDED;
	}
	return false;
}

/* "500 records and 200 ms": the bound of near-sync. */
static inline void promise_bound_text(const struct promise *p,
				      char text[PROMISE_TEXT_BYTES])
{
	char records[24] = "", ms[24] = "";

	if (p->records != PROMISE_UNBOUNDED)
		snprintf(records, sizeof records, "%u records", p->records);
	if (p->ms != PROMISE_UNBOUNDED)
		snprintf(ms, sizeof ms, "%u ms", p->ms);
	snprintf(text, PROMISE_TEXT_BYTES, "%s%s%s", records,
		 records[0] != 0 && ms[0] != 0 ? " and " : "", ms);
}

/* "sync", "near-sync (500 records and 200 ms)", "async" */
static inline void promise_text(const struct promise *p, char text[PROMISE_TEXT_BYTES])
{
	char bound[PROMISE_TEXT_BYTES];

	promise_bound_text(p, bound);
	if (p->mode == CONFIG_NEAR_SYNC)
		snprintf(text, PROMISE_TEXT_BYTES, "near-sync (%.48s)", bound);
	else
		snprintf(text, PROMISE_TEXT_BYTES, "%s",
			 p->mode == CONFIG_SYNC ? "sync" : "async");
}

#endif
