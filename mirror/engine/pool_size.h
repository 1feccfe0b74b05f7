/* engine/pool_size.h - how much of the pool is ready.
 *
 * An idle daemon keeps the pool's floor, a busy one all of `memory`. The decisions are made
 * here; a thread of its own, never the I/O thread, has the kernel bring the pages or take them
 * back (pool_driver.h), and says when it is done (MIRROR_EVENT_POOL). One order at a time.
 *
 *   ready                   in use                       order
 *   less than `memory`      much of it, see below        GROW by a quarter
 *   more than the floor     an eighth of the floor or    SHRINK, until the floor is left, or
 *                           less, for POOL_IDLE_NS       steps with a buffer in use
 *
 * Much is, at a production, three sixteenths: less than the quarter that reads of clients may
 * hold, so that they do not stand at that. At a copy it is three eighths, less than the half at
 * which homes are awaited.
 *
 * No one waits for an order: every threshold is one of what is ready (pool.h), so at each moment
 * the pool is that of a mirror with less `memory`, down to the floor, and G7 holds for that one.
 * Steps are counted as ready after their pages are there, and stop being ready before their
 * pages go. Memory that cannot be had is asked for again later; writes are only slower.
 */
#ifndef MIRROR_ENGINE_POOL_SIZE_H
#define MIRROR_ENGINE_POOL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"

struct mirror_engine;

struct engine_pool_size {
	struct mirror_pool_order order; /* under way; its action is KEEP: none is */
	uint64_t busy_ns;               /* more than a little was in use */
	uint64_t retry_ns;              /* not before: memory was refused */
	bool refused;                   /* ... and that was told */
};

void mirror_pool_size_pump(struct mirror_engine *m);

/* The order under way is carried out; or `error`, -errno: nothing has changed. */
void mirror_pool_size_done(struct mirror_engine *m, int32_t error);

#endif
