/* engine/pool_size.c - see engine/pool_size.h. */
#include "mirror/engine/pool_size.h"

#include "mirror/engine/state.h"

#define LITTLE_PART 8u /* of the floor */

static uint64_t used_bytes(const struct mirror_engine *m)
{
	const struct mirror_pool *pool = m->buffers.pool;

	return mirror_pool_bytes_ready(pool) - mirror_pool_bytes_free(pool) -
	       (uint64_t)m->buffers.reserve_count * MIRROR_POOL_BUFFER_MAX;
}

static void give_order(struct mirror_engine *m, enum mirror_pool_action action,
		       uint8_t *at, uint64_t bytes)
{
	m->pool_size.order = (struct mirror_pool_order){
		.action = action,
		.at = at,
		.bytes = bytes,
	};
	m->out->pool = m->pool_size.order;
}

static bool is_much(const struct mirror_engine *m, uint64_t used)
{
	const uint64_t ready = mirror_pool_bytes_ready(m->buffers.pool);

	return used > ready / 16 * (m->state == ENGINE_SERVING ? 3 : 6);
}

static void grow(struct mirror_engine *m)
{
	const struct mirror_pool *pool = m->buffers.pool;
	const uint64_t quarter = mirror_pool_bytes_ready(pool) / 4;
	uint8_t *at;
	uint64_t bytes;

	if (m->now_ns < m->pool_size.retry_ns) {
		mirror_engine_wake(m, m->pool_size.retry_ns);
		return;
	}
	bytes = mirror_pool_absent(
		pool, quarter > MIRROR_POOL_STEP_BYTES ? quarter : MIRROR_POOL_STEP_BYTES,
		&at);
	give_order(m, MIRROR_POOL_GROW, at, bytes);
}

static void shrink(struct mirror_engine *m)
{
	const uint64_t idle_ns = m->pool_size.busy_ns + POOL_IDLE_NS;
	uint8_t *at;
	uint64_t bytes;

	if (m->now_ns < idle_ns) {
		mirror_engine_wake(m, idle_ns);
		return;
	}
	mirror_buffers_settle(m);
	bytes = mirror_pool_take_out(m->buffers.pool, &at);
	if (bytes > 0)
		give_order(m, MIRROR_POOL_SHRINK, at, bytes);
	else
		m->pool_size.busy_ns = m->now_ns; /* buffers hold the rest: later */
}

void mirror_pool_size_pump(struct mirror_engine *m)
{
	const struct mirror_pool *pool = m->buffers.pool;
	const uint64_t ready = mirror_pool_bytes_ready(pool);
	const uint64_t floor = mirror_pool_bytes_floor(pool);
	const uint64_t total = mirror_pool_bytes_total(pool);
	const uint64_t used = used_bytes(m);

	if (floor == total)
		return;
	if (used > floor / LITTLE_PART)
		m->pool_size.busy_ns = m->now_ns;
	/* A front-end that cannot go on for want of buffers makes no step. */
	if (ready < total && m->state == ENGINE_SERVING)
		mirror_engine_wake(m, m->now_ns + POOL_LOOK_NS);
	if (m->pool_size.order.action != MIRROR_POOL_KEEP)
		return;
	if (ready < total && is_much(m, used))
		grow(m);
	else if (ready > floor)
		shrink(m);
}

static void refused(struct mirror_engine *m, int32_t error)
{
	m->pool_size.retry_ns = m->now_ns + POOL_RETRY_NS;
	if (m->pool_size.refused)
		return;
	m->pool_size.refused = true;
	mirror_engine_event(
		m, "memory", "pool-small",
		"the pool stays at %llu of %llu MiB, which makes writes slower: "
		"%s",
		(unsigned long long)mirror_pool_bytes_ready(m->buffers.pool) >> 20,
		(unsigned long long)mirror_pool_bytes_total(m->buffers.pool) >> 20,
		strerror(-error));
}

void mirror_pool_size_done(struct mirror_engine *m, int32_t error)
{
	const struct mirror_pool_order order = m->pool_size.order;

	assert(order.action != MIRROR_POOL_KEEP);
	m->pool_size.order.action = MIRROR_POOL_KEEP;
	if (order.action == MIRROR_POOL_GROW && error != 0) {
		refused(m, error);
		return;
	}
	if (order.action == MIRROR_POOL_GROW)
		m->pool_size.refused = false;
	else if (error != 0)
		m->pool_size.busy_ns = m->now_ns;
	if (order.action == MIRROR_POOL_GROW || error != 0)
		mirror_pool_add(m->buffers.pool, order.at, order.bytes);
}
