/* engine/watch.h - device operations under way, and how old they are. */
#ifndef MIRROR_ENGINE_WATCH_H
#define MIRROR_ENGINE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/io.h"

struct mirror_engine;

struct engine_watch {
	uint32_t count; /* operations under way ... */
	struct mirror_io *oldest, *newest;
	uint64_t look_at_ns; /* next; 0: none is under way */
	bool told;           /* an operation that hangs was reported */
};

void mirror_watch_begin(struct mirror_engine *m, struct mirror_io *io);
void mirror_watch_end(struct mirror_engine *m, struct mirror_io *io);
/* Names the device that has kept us waiting the longest, or "" while none has for long.
 * Returns for how long, in nanoseconds. */
uint64_t mirror_watch_text(const struct mirror_engine *m, char *text, size_t size);
void mirror_watch_pump(struct mirror_engine *m);

#endif
