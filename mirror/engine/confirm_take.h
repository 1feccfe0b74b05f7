/* engine/confirm_take.h - production hears from a copy. */
#ifndef MIRROR_ENGINE_CONFIRM_TAKE_H
#define MIRROR_ENGINE_CONFIRM_TAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"

struct mirror_engine;

void mirror_production_pump(struct mirror_engine *m, uint32_t number);
/* A copy that is `behind` and took `taken` records in the last CHASE_NS would be level
 * within the time in which clients may wait for it: as long as it has been outrun, in
 * `count` of CHASE_NS, copy-timeout at most, but one CHASE_NS at least. */
bool mirror_chase_is_short(uint64_t behind, uint64_t taken, uint64_t count,
			   uint64_t timeout_ms);
bool mirror_production_received(struct mirror_engine *m, const struct mirror_received *r);

#endif
