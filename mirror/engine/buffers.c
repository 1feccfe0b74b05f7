/* engine/buffers.c - data buffers: the users of each, and the reserve. */
#include "mirror/engine/state.h"

static uint64_t buffer_number(const struct mirror_engine *m, const uint8_t *data)
{
	return (uint64_t)(data - mirror_pool_region(m->buffers.pool)) /
	       MIRROR_POOL_BUFFER_MIN;
}

void mirror_buffer_ref(struct mirror_engine *m, const uint8_t *data)
{
	m->buffers.refs[buffer_number(m, data)]++;
}

void mirror_buffer_unref(struct mirror_engine *m, uint8_t *data)
{
	uint16_t *refs = &m->buffers.refs[buffer_number(m, data)];

	assert(*refs > 0);
	if (--*refs == 0)
		mirror_buffer_put(m, data);
}

/* A buffer for work that all else may wait for: a replay, a greeting. */
uint8_t *mirror_buffer_get(struct mirror_engine *m, uint32_t bytes)
{
	uint8_t *data = mirror_pool_get(m->buffers.pool, bytes);

	if (data == NULL && m->buffers.reserve_count > 0)
		data = m->buffers.reserve[--m->buffers.reserve_count];
	return data;
}

/* The reserve is filled up before the pool gets anything back. */
void mirror_buffer_put(struct mirror_engine *m, uint8_t *data)
{
	if (m->buffers.reserve_count < RESERVE_BUFFERS &&
	    mirror_pool_buffer_bytes(m->buffers.pool, data) == MIRROR_POOL_BUFFER_MAX)
		m->buffers.reserve[m->buffers.reserve_count++] = data;
	else
		mirror_pool_put(m->buffers.pool, data);
}

bool mirror_buffers_are_short(const struct mirror_engine *m)
{
	return mirror_pool_bytes_free(m->buffers.pool) <
	       mirror_pool_bytes_total(m->buffers.pool) / 8;
}
