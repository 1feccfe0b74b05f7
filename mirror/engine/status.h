/* engine/status.h - the engine as status shows it, and the operator's mark. */
#ifndef MIRROR_ENGINE_STATUS_H
#define MIRROR_ENGINE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/log/record.h"
#include "mirror/status.h"

struct mirror_engine;
struct order;

/* ORDER_MARK: stored, then answered. */
struct engine_mark {
	uint64_t ticket, order_id;
};

void mirror_status_fill(const struct mirror_engine *m, struct mirror_status *s);
/* A record is about to leave memory: note the first record that a site misses, so that
 * its lag can still be told. */
void mirror_lag_note(struct mirror_engine *m, const struct mirror_header *leaves);
void mirror_mark_order(struct mirror_engine *m, const struct order *o);
void mirror_mark_pump(struct mirror_engine *m);

#endif
