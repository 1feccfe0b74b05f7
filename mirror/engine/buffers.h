/* engine/buffers.h - the pool's data buffers, each counted by its users. A reserve is kept for
 * work that all other work may wait for. */
#ifndef MIRROR_ENGINE_BUFFERS_H
#define MIRROR_ENGINE_BUFFERS_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/engine/bounds.h"

struct mirror_engine;
struct mirror_pool;

struct engine_buffers {
	struct mirror_pool *pool;
	uint16_t *refs; /* per pool buffer: its users */
	uint8_t *reserve[RESERVE_BUFFERS];
	uint32_t reserve_count;
};

void mirror_buffer_ref(struct mirror_engine *m, const uint8_t *data);
void mirror_buffer_unref(struct mirror_engine *m, uint8_t *data);
uint8_t *mirror_buffer_get(struct mirror_engine *m, uint32_t bytes);
void mirror_buffer_put(struct mirror_engine *m, uint8_t *data);
/* Less than an eighth of the pool is free: data that the log holds is not kept in memory. */
bool mirror_buffers_are_short(const struct mirror_engine *m);

#endif
