/* acknowledged.h - how far production may answer: cumulative acknowledgement.
 *
 * A write is acknowledged when it is logged here and at every copy that is
 * waited for; a flush, when everything up to it is durable at all of those
 * (G1). Logs are written strictly in sequence, so each is one mark, and the
 * answer is a minimum. The minimum never goes back: it waits for a copy that is
 * added from the first record on that is not acknowledged at that moment, and a
 * copy whose marks are forgotten (its link is down) stops it where it is.
 *
 * Pure logic: no I/O, clock, threads, allocation or logging.
 *
 * Source: docs/rules.md (G1, D3); docs/write-path.md.
 */
#ifndef MIRROR_ENGINE_ACKNOWLEDGED_H
#define MIRROR_ENGINE_ACKNOWLEDGED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

struct mirror_ack_marks {
	uint64_t logged;    /* all records up to and including this are logged */
	uint64_t durable;   /* ... and this: are on stable storage, <= logged */
};

struct mirror_ack {
	struct mirror_ack_marks own;
	struct mirror_ack_marks site[CONFIG_SITE_COUNT_MAX];   /* last confirmed */
	struct mirror_ack_marks answered;   /* {acknowledged, flushed} so far */
	uint32_t waited;                    /* bit per site that is waited for */
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

/* Every write up to and including this may be answered. */
uint64_t mirror_ack_acknowledged(const struct mirror_ack *ack);

/* Every flush and FUA write up to and including this may be answered. */
uint64_t mirror_ack_flushed(const struct mirror_ack *ack);

/* Abort if an invariant is broken. Called by every entry point and by sim. */
void mirror_ack_check(const struct mirror_ack *ack);

#endif
