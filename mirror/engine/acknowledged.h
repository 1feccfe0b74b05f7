/* acknowledged.h - how far production may answer: cumulative acknowledgement.
 *
 * In sync a write is acknowledged when it is logged here and at every copy that is
 * waited for; a flush, when everything up to it is durable at all of those
 * (G1). Logs are written strictly in sequence, so each is one mark, and the
 * answer is a minimum. The minimum never goes back: it waits for a copy that is
 * added from the first record on that is not acknowledged at that moment, and a
 * copy whose marks are forgotten (its link is down) stops it where it is.
 *
 * In near-sync (M1) a copy that is waited for may lack some writes: so many, and none that
 * was stamped too long ago. Only a confirmation makes more of them answerable, never time
 * alone. The records that all copies have are a mark of its own there, `everywhere`: no
 * record beyond it goes home, and a demotion waits for it. A flush that was answerable may
 * become too old (M2), so its mark holds for one moment only.
 *
 * With confirm: home (M9, in sync) a write is answered when it is on production's disk too and
 * on that of every copy that is waited for. Records go home by `everywhere`, so no home
 * waits for an answer; and a flush is answered no sooner than the writes before it.
 *
 * Pure logic: no I/O, clock, threads, allocation or logging.
 *
 * Source: docs/rules.md (G1, D3, M1-M3, M9); docs/write-path.md.
 */
#ifndef MIRROR_ENGINE_ACKNOWLEDGED_H
#define MIRROR_ENGINE_ACKNOWLEDGED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/promise.h"

/* One record, for the bounds of near-sync and async. */
struct mirror_ack_record {
	uint64_t clients;    /* clients' writes up to and including it */
	uint64_t bytes;      /* ... and their lengths */
	uint64_t stamped_ns; /* CLOCK_BOOTTIME; 0: recovered, older than any bound */
};

struct mirror_ack_marks {
	uint64_t logged;  /* all records up to and including this are logged */
	uint64_t durable; /* ... and this: are on stable storage, <= logged */
};

struct mirror_ack {
	struct mirror_ack_marks own;
	struct mirror_ack_marks site[CONFIG_SITE_COUNT_MAX]; /* last confirmed */
	uint64_t
		proven[CONFIG_SITE_COUNT_MAX]; /* durable there, whatever its link does */
	uint64_t home[CONFIG_SITE_COUNT_MAX];  /* taken by its disks, as it said last */
	uint64_t own_home;
	struct mirror_ack_marks everywhere; /* here and at all that are waited for */
	struct mirror_ack_marks answered;   /* {acknowledged, flushed} so far */
	uint32_t waited;                    /* bit per site that is waited for */
	struct promise promise;
	uint64_t before;                  /* acknowledged when it became so */
	struct mirror_ack_record *record; /* the caller's; by sequence, modulo ... */
	uint64_t record_count;
	uint64_t first, last; /* ... of these records, the newest record_count of them */
};

/* Start a generation: no site is waited for, no site's marks are known, and all records
 * up to and including `base` count as acknowledged and flushed. Recovered records beyond
 * it count as unacknowledged (D5). */
void mirror_ack_reset(struct mirror_ack *ack, uint64_t base);

/* Our own log's marks; neither goes back and durable <= logged. */
void mirror_ack_set_own(struct mirror_ack *ack, uint64_t logged, uint64_t durable);

/* The marks that `site` has confirmed. They came over the line:
 * Returns 0, or
 *   -EPROTO  a mark goes back, or durable > logged: nothing changed */
int mirror_ack_set_site(struct mirror_ack *ack, uint32_t site, uint64_t logged,
			uint64_t durable);

/* All records up to `home` are on the disks: of `site`, as it has told, or here. */
void mirror_ack_set_home(struct mirror_ack *ack, uint32_t site, uint64_t home);
void mirror_ack_set_own_home(struct mirror_ack *ack, uint64_t home);

/* The link to `site` is down: its marks are unknown until it sends them again, for it may
 * come back without records that were not durable. */
void mirror_ack_forget_site(struct mirror_ack *ack, uint32_t site);

/* Wait for `site`, from the first record on that is not acknowledged now, or no
 * longer. Doing it again changes nothing. */
void mirror_ack_add(struct mirror_ack *ack, uint32_t site);
void mirror_ack_remove(struct mirror_ack *ack, uint32_t site);

static inline bool mirror_ack_waits_for(const struct mirror_ack *ack, uint32_t site)
{
	return (ack->waited >> site & 1) != 0;
}

/* After a reset: the caller's `count` records, for those beyond `sequence`. */
void mirror_ack_records(struct mirror_ack *ack, struct mirror_ack_record *record,
			uint64_t count, uint64_t sequence);

/* So much is durable at `site`, by its newest hello or confirmation. */
void mirror_ack_set_proven(struct mirror_ack *ack, uint32_t site, uint64_t durable);

/* The next record is `sequence`. `client`: it is a client's write, of so many bytes. */
void mirror_ack_note(struct mirror_ack *ack, uint64_t sequence, bool client,
		     uint64_t bytes, uint64_t stamped_ns);

/* Would an answer with `sequence` leave the copy within the bound? */
bool mirror_ack_allows(const struct mirror_ack *ack, uint32_t site, uint64_t sequence,
		       uint64_t now_ns);

/* In async with a bound: does the copy lack at most half of it, of all records up to
 * `sequence`? */
bool mirror_ack_is_near(const struct mirror_ack *ack, uint32_t site, uint64_t sequence,
			uint64_t now_ns);

/* When `sequence` was stamped, by CLOCK_BOOTTIME; 0: it was recovered, or is no longer
 * among the caller's records. */
uint64_t mirror_ack_stamped_ns(const struct mirror_ack *ack, uint64_t sequence);

/* From now on answers satisfy `promise`. */
void mirror_ack_promise(struct mirror_ack *ack, const struct promise *promise);

/* M3: does every copy that is waited for satisfy the promise for all that was answered
 * before it became so? */
bool mirror_ack_is_kept(const struct mirror_ack *ack, uint64_t now_ns);

/* The answers of this moment may be given: the marks below become those of `now_ns`. */
void mirror_ack_answer(struct mirror_ack *ack, uint64_t now_ns);

/* Every write up to and including this may be answered, and shown. */
uint64_t mirror_ack_acknowledged(const struct mirror_ack *ack);

/* Every flush and FUA write up to and including this may be answered. Not in sync: at the
 * moment of the last mirror_ack_answer(). */
uint64_t mirror_ack_flushed(const struct mirror_ack *ack);

/* No copy that is waited for lacks a record up to here, or has it in its cache only. */
static inline const struct mirror_ack_marks *mirror_ack_everywhere(
	const struct mirror_ack *ack)
{
	return &ack->everywhere;
}

/* Answered, and lacked by no copy that is waited for: it stays, whichever site is promoted. */
static inline uint64_t mirror_ack_stays(const struct mirror_ack *ack)
{
	return ack->everywhere.logged < ack->answered.logged ? ack->everywhere.logged :
							       ack->answered.logged;
}

/* Abort if an invariant is broken. Called by every entry point and by sim. */
void mirror_ack_check(const struct mirror_ack *ack);

#endif
