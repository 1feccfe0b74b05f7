/* engine/enter_current.h - a copy enters the current set. */
#ifndef MIRROR_ENGINE_ENTER_CURRENT_H
#define MIRROR_ENGINE_ENTER_CURRENT_H

#include <stdbool.h>
#include <stdint.h>

struct mirror_engine;

/* Let the copy of link `number` enter if it is level enough, or outrun by clients. */
void mirror_enter_pump(struct mirror_engine *m, uint32_t number);
/* A copy that is `behind` and took `taken` records in the last CHASE_NS would be level
 * within the time in which clients may wait for it: as long as it has been outrun, in
 * `count` of CHASE_NS, copy-timeout at most, but one CHASE_NS at least. */
bool mirror_chase_is_short(uint64_t behind, uint64_t taken, uint64_t count,
			   uint64_t timeout_ms);

#endif
