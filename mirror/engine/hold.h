/* engine/hold.h - the hold of a copy that is refreshed (W6). */
#ifndef MIRROR_ENGINE_HOLD_H
#define MIRROR_ENGINE_HOLD_H

#include <stdbool.h>

#include "mirror/io.h"
#include "mirror/line/wire.h"

struct mirror_engine;

/* REFRESH_BEGIN and REFRESH_END came. False: the link is to be closed. */
bool mirror_hold_begins(struct mirror_engine *m, const struct mirror_received *r);
bool mirror_hold_ends(struct mirror_engine *m, const struct mirror_received *r);
/* Everything before is at home and the log as empty as it gets: is the hold
 * possible? True: *hold says whether one is set. False: the refresh is refused. */
bool mirror_hold_may_begin(struct mirror_engine *m, const struct mirror_refresh_begin *b,
			   bool *hold);
/* W6: records above the hold neither count nor go home until the superblock that lifts it
 * is durable. */
bool mirror_hold_stands(const struct mirror_engine *m);
/* Nothing is freed above a hold. So a record that the log cannot take now will never fit,
 * unless the log has all of the refresh and the hold is about to be lifted. */
bool mirror_hold_is_full(const struct mirror_engine *m);
/* Is all of the refresh durable here? Then nothing more is logged until the hold is lifted:
 * a stream that never pauses would keep a log write under way for ever. */
bool mirror_hold_lift_is_due(const struct mirror_engine *m);
/* Lift the hold if that is due and possible now. */
void mirror_hold_lift(struct mirror_engine *m);
/* Tell production when the hold is durable; drop the records above it when the refresh was
 * cut short. */
void mirror_hold_pump(struct mirror_engine *m);

#endif
