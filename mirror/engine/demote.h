/* engine/demote.h - ceasing to be production. */
#ifndef MIRROR_ENGINE_DEMOTE_H
#define MIRROR_ENGINE_DEMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/fact.h"

struct mirror_engine;
struct order;

struct engine_demote {
	uint64_t order_id;
	uint64_t deadline_ns;
	uint64_t drain_until_ns; /* nothing is frozen any more; 0: something may be */
	bool stamped, clean, closing, told;
	uint64_t ticket;          /* the clean mark */
	char text[FACT_TEXT_MAX]; /* why it was not drained */
	uint32_t heirs;           /* the sites that are told of the clean end ... */
	uint32_t level;           /* ... and those that have all up to it */
	uint32_t promote;         /* the one of those that is to be promoted */
};

/* No longer production: records that are not home stay in the log until a link says by D8
 * whether they stand. */
void mirror_become_idle(struct mirror_engine *m);
/* The demotion has ended: FACT_DEMOTED. */
void mirror_demoted(struct mirror_engine *m);
void mirror_depose(struct mirror_engine *m, const char *text);
void mirror_demote_order(struct mirror_engine *m, const struct order *o);
void mirror_demote_pump(struct mirror_engine *m);

#endif
