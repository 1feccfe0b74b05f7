/* engine/create.c - all of the engine's memory, taken once, and its reset.
 *
 * The maps and the ring's index alone are taken at an open, since their sizes stand in
 * the log.
 */
#include <stdlib.h>

#include "mirror/engine/state.h"

/* Buffers for reads. Their first content does not matter, so nothing touches them here, and
 * they cost no memory before their first use. */
static void *input_blocks(uint64_t bytes)
{
	return aligned_alloc(MIRROR_BLOCK_BYTES, bytes);
}

static void *blocks(uint64_t bytes)
{
	void *at = input_blocks(bytes);

	if (at != NULL)
		memset(at, 0, bytes);
	return at;
}

static bool take_memory(struct mirror_engine *m)
{
	const struct config *c = m->config;

	m->buffers.pool = mirror_pool_create(c->memory_bytes);
	if (m->buffers.pool == NULL)
		return false;
	while (m->buffers.reserve_count < RESERVE_BUFFERS) {
		uint8_t *data = mirror_pool_get(m->buffers.pool, MIRROR_POOL_BUFFER_MAX);

		if (data == NULL)
			return false;
		m->buffers.reserve[m->buffers.reserve_count++] = data;
	}
	m->buffers.refs = calloc(c->memory_bytes / MIRROR_POOL_BUFFER_MIN,
				 sizeof *m->buffers.refs);
	m->memory.records = calloc(RECORDS_MAX, sizeof *m->memory.records);
	m->memory.acks = calloc(RECORDS_MAX, sizeof *m->memory.acks);
	m->memory.reads = calloc(READS_MAX, sizeof *m->memory.reads);
	m->memory.replays = calloc(REPLAYS_MAX, sizeof *m->memory.replays);
	m->memory.homes = calloc(HOME_OPS_MAX, sizeof *m->memory.homes);
	m->memory.frames = calloc(FRAMES_MAX, sizeof *m->memory.frames);
	m->memory.scan = calloc(1, sizeof *m->memory.scan);
	m->memory.tasks = mirror_tasks_create(c->task_range_count,
					      c->task_per_range_count, HOME_OPS_MAX);
	m->memory.scan_buffer = input_blocks(SCAN_BYTES);
	m->memory.sb_buffer = blocks(MIRROR_SUPERBLOCK_BYTES);
	m->memory.batch_blocks = blocks((BATCH_DESCRIPTORS_MAX + 2) * MIRROR_BLOCK_BYTES);
	m->memory.map_block = blocks(MIRROR_BLOCK_BYTES);
	m->memory.headers_block = blocks(MIRROR_BLOCK_BYTES);
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		m->link[i].read_buffer = input_blocks(LINK_READ_BYTES);
		if (m->link[i].read_buffer == NULL)
			return false;
	}
	return m->buffers.refs != NULL && m->memory.records != NULL &&
	       m->memory.acks != NULL && m->memory.reads != NULL &&
	       m->memory.replays != NULL && m->memory.homes != NULL &&
	       m->memory.frames != NULL && m->memory.scan != NULL &&
	       m->memory.tasks != NULL && m->memory.scan_buffer != NULL &&
	       m->memory.sb_buffer != NULL && m->memory.batch_blocks != NULL &&
	       m->memory.map_block != NULL && m->memory.headers_block != NULL;
}

bool mirror_engine_memory(const struct mirror_engine *m, uint32_t i, struct iovec *piece)
{
	const struct engine_memory *e = &m->memory;
	const uint64_t pool_bytes = mirror_pool_bytes_total(m->buffers.pool);
	const struct iovec tables[] = {
		{ mirror_pool_region(m->buffers.pool), pool_bytes },
		{ m->buffers.refs,
		  pool_bytes / MIRROR_POOL_BUFFER_MIN * sizeof *m->buffers.refs },
		{ e->records, RECORDS_MAX * sizeof *e->records },
		{ e->acks, RECORDS_MAX * sizeof *e->acks },
		{ e->homes, HOME_OPS_MAX * sizeof *e->homes },
		{ e->frames, FRAMES_MAX * sizeof *e->frames },
		{ e->reads, READS_MAX * sizeof *e->reads },
	};
	const uint32_t table_count = sizeof tables / sizeof tables[0];
	const uint32_t site = (i - table_count) / 2; /* a link to it, or one from it */

	if (i < table_count) {
		*piece = tables[i];
		return true;
	}
	if (site >= m->config->site_count)
		return false;
	i = site + (i - table_count) % 2 * (MIRROR_LINK_COUNT_MAX / 2);
	*piece = (struct iovec){ m->link[i].read_buffer, LINK_READ_BYTES };
	return true;
}

struct mirror_engine *mirror_engine_create(const struct config *config,
					   const struct mirror_seed *seed)
{
	struct mirror_engine *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->config = config;
	m->seed = *seed;
	if (!take_memory(m)) {
		mirror_engine_destroy(m);
		return NULL;
	}
	for (uint32_t i = 0; i < FRAMES_MAX; i++) {
		m->memory.frames[i].next = m->memory.frames_free;
		m->memory.frames_free = &m->memory.frames[i];
	}
	mirror_engine_reset(m);
	return m;
}

void mirror_engine_destroy(struct mirror_engine *m)
{
	if (m == NULL)
		return;
	mirror_ring_destroy(m->open.ring);
	mirror_map_destroy(m->open.map);
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		free(m->link[i].read_buffer);
	if (m->buffers.pool != NULL)
		mirror_pool_destroy(m->buffers.pool);
	if (m->memory.tasks != NULL) {
		mirror_tasks_reset(m->memory.tasks);
		mirror_tasks_destroy(m->memory.tasks);
	}
	free(m->memory.headers_block);
	free(m->memory.map_block);
	free(m->memory.batch_blocks);
	free(m->memory.sb_buffer);
	free(m->memory.scan_buffer);
	free(m->memory.scan);
	free(m->memory.frames);
	free(m->memory.homes);
	free(m->memory.replays);
	free(m->memory.reads);
	free(m->memory.acks);
	free(m->memory.records);
	free(m->buffers.refs);
	free(m);
}

static void drop_records(struct mirror_engine *m)
{
	struct mirror_record *r;

	while ((r = mirror_record_pop(&m->open.home.gate_issue)) != NULL)
		;
	while ((r = mirror_record_pop(&m->open.home.gate.hold)) != NULL)
		;
	for (uint64_t i = 0; i < RECORDS_MAX; i++) {
		r = &m->memory.records[i];
		if (r->state == MIRROR_RECORD_FREE)
			continue;
		r->next = NULL;
		if (r->data != NULL)
			mirror_buffer_unref(m, r->data);
		memset(r, 0, sizeof *r);
	}
}

/* As after create: nothing open, nothing under way (the caller has seen to it).
 * Links that are being accepted stay, the driver owns their numbers. */
void mirror_engine_reset(struct mirror_engine *m)
{
	mirror_ring_destroy(m->open.ring);
	mirror_map_destroy(m->open.map);
	drop_records(m);
	memset(&m->open, 0, sizeof m->open);
	mirror_tasks_reset(m->memory.tasks);
	m->open.home.ops_free = NULL;
	for (uint32_t i = 0; i < HOME_OPS_MAX; i++) {
		m->memory.homes[i].next = m->open.home.ops_free;
		m->open.home.ops_free = &m->memory.homes[i];
	}
	mirror_reads_reset(m);
	memset(m->memory.replays, 0, REPLAYS_MAX * sizeof *m->memory.replays);
	for (uint32_t i = 0; i < CONFIG_DISK_COUNT_MAX; i++)
		mirror_index_init(&m->open.index[i], mirror_engine_random(m));
	for (uint32_t s = 0; s < CONFIG_SITE_COUNT_MAX; s++)
		m->open.peer[s].link = MIRROR_LINK_NONE;
	mirror_gate_init(&m->open.home.gate, (struct mirror_group_number){ 0 },
			 RECORDS_MAX);
	mirror_ack_reset(&m->open.requests.ack, 0);
	m->open.copy.stream_link = MIRROR_LINK_NONE;
	m->open.greeting.link = MIRROR_LINK_NONE;
	m->open.prepare.roll_link = MIRROR_LINK_NONE;
	m->open.probe.link = MIRROR_LINK_NONE;
}
