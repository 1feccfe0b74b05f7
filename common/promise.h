/* promise.h - the promise of an answered write: the mode, and its bound.
 *
 *   mode       records    ms         bytes
 *   sync       0          0          0          no copy that is counted lacks anything
 *   near-sync  N          S          unbounded  ... lacks more than N writes, or one older
 *                                                 than S ms
 *   async      unbounded  S          B          ... has not confirmed durable more than B
 *                                                 bytes of writes, or one older than S ms
 *   async      unbounded  unbounded  unbounded  no copy is counted
 *
 * With `home` (M9, sync only) the write is on production's disk too, and on that of every copy
 * that is counted.
 *
 * In near-sync an answer waits for a copy that is beyond the bound; in async the copy leaves
 * first (M4), and one that is counted is called near. A bound that is not given is
 * unbounded. So promises are compared number by number, and of two that cannot be compared
 * the strictest keeps both.
 *
 * Source: docs/rules.md (M1, M3, M4, M9).
 */
#ifndef COMMON_PROMISE_H
#define COMMON_PROMISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/config.h"

#define PROMISE_UNBOUNDED UINT32_MAX
#define PROMISE_UNBOUNDED_BYTES UINT64_MAX
#define PROMISE_TEXT_BYTES 64

struct promise {
	uint32_t mode; /* enum config_mode */
	uint32_t records, ms;
	uint64_t bytes;
	bool home; /* confirm: home */
};

/* `records` and `ms` count in near-sync only, where 0 stands for no such bound. Async is
 * without a bound (promise_async()). */
static inline struct promise promise_make(uint32_t mode, uint32_t records, uint32_t ms)
{
	struct promise p = { .mode = mode };

	if (mode == CONFIG_NEAR_SYNC) {
		p.records = records != 0 ? records : PROMISE_UNBOUNDED;
		p.ms = ms != 0 ? ms : PROMISE_UNBOUNDED;
	} else if (mode == CONFIG_ASYNC) {
		p.records = p.ms = PROMISE_UNBOUNDED;
	}
	if (mode != CONFIG_SYNC)
		p.bytes = PROMISE_UNBOUNDED_BYTES;
	return p;
}

/* Async, with the copies within `bytes` and `ms` near; 0: no such bound. */
static inline struct promise promise_async(uint64_t bytes, uint32_t ms)
{
	struct promise p = promise_make(CONFIG_ASYNC, 0, 0);

	if (bytes != 0)
		p.bytes = bytes;
	if (bytes != 0 && ms != 0)
		p.ms = ms;
	return p;
}

/* The promise that the file asks for. */
static inline struct promise promise_of_config(const struct config *config)
{
	struct promise p = config->mode == CONFIG_ASYNC ?
				   promise_async(config->lag_bytes, config->lag_ms) :
				   promise_make(config->mode, config->near_sync_records,
						config->near_sync_ms);

	p.home = config->confirm == CONFIG_CONFIRM_HOME;
	return p;
}

/* Does a view of it count copies as current, or as near? */
static inline bool promise_counts(const struct promise *p)
{
	return p->mode != CONFIG_ASYNC || p->bytes != PROMISE_UNBOUNDED_BYTES;
}

static inline bool promise_equal(const struct promise *a, const struct promise *b)
{
	return a->mode == b->mode && a->records == b->records && a->ms == b->ms &&
	       a->bytes == b->bytes && a->home == b->home;
}

/* Does all that satisfies `a` satisfy `b` too? */
static inline bool promise_covers(const struct promise *a, const struct promise *b)
{
	return a->mode <= b->mode && a->records <= b->records && a->ms <= b->ms &&
	       a->bytes <= b->bytes && (a->home || !b->home);
}

/* A promise that satisfies this one satisfies both. */
static inline struct promise promise_strictest(const struct promise *a,
					       const struct promise *b)
{
	return (struct promise){
		.mode = a->mode < b->mode ? a->mode : b->mode,
		.records = a->records < b->records ? a->records : b->records,
		.ms = a->ms < b->ms ? a->ms : b->ms,
		.bytes = a->bytes < b->bytes ? a->bytes : b->bytes,
		.home = a->home || b->home,
	};
}

/* Could a file ask for that? */
static inline bool promise_is_sound(const struct promise *p)
{
	if (p->home && p->mode != CONFIG_SYNC)
		return false;
	switch (p->mode) {
	case CONFIG_SYNC:
		return p->records == 0 && p->ms == 0 && p->bytes == 0;
	case CONFIG_NEAR_SYNC:
		return p->records != 0 && p->ms != 0 &&
		       p->bytes == PROMISE_UNBOUNDED_BYTES &&
		       (p->records != PROMISE_UNBOUNDED || p->ms != PROMISE_UNBOUNDED);
	case CONFIG_ASYNC:
		return p->records == PROMISE_UNBOUNDED && p->ms != 0 && p->bytes != 0 &&
		       (p->bytes != PROMISE_UNBOUNDED_BYTES ||
			p->ms == PROMISE_UNBOUNDED);
	}
	return false;
}

/* "500 records and 200 ms", "64 MiB": the bound of near-sync, or of async. */
static inline void promise_bound_text(const struct promise *p,
				      char text[PROMISE_TEXT_BYTES])
{
	const bool whole = p->bytes % (1024 * 1024) == 0;
	char size[32] = "", ms[24] = "";

	if (p->records != PROMISE_UNBOUNDED)
		snprintf(size, sizeof size, "%u records", p->records);
	else if (p->bytes != PROMISE_UNBOUNDED_BYTES)
		snprintf(size, sizeof size, "%llu %s",
			 (unsigned long long)(whole ? p->bytes >> 20 : p->bytes),
			 whole ? "MiB" : "bytes");
	if (p->ms != PROMISE_UNBOUNDED)
		snprintf(ms, sizeof ms, "%u ms", p->ms);
	snprintf(text, PROMISE_TEXT_BYTES, "%s%s%s", size,
		 size[0] != 0 && ms[0] != 0 ? " and " : "", ms);
}

/* "sync", "sync (confirm: home)", "near-sync (500 records and 200 ms)",
 * "async", "async (64 MiB)" */
static inline void promise_text(const struct promise *p, char text[PROMISE_TEXT_BYTES])
{
	char bound[PROMISE_TEXT_BYTES];

	promise_bound_text(p, bound);
	if (p->mode == CONFIG_NEAR_SYNC)
		snprintf(text, PROMISE_TEXT_BYTES, "near-sync (%.48s)", bound);
	else if (p->mode == CONFIG_ASYNC && promise_counts(p))
		snprintf(text, PROMISE_TEXT_BYTES, "async (%.48s)", bound);
	else
		snprintf(text, PROMISE_TEXT_BYTES, "%s",
			 p->home                ? "sync (confirm: home)" :
			 p->mode == CONFIG_SYNC ? "sync" :
						  "async");
}

#endif
