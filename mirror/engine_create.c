/* engine_create.c - all of the engine's memory, taken once, and its reset.
 *
 * Only the maps, the ring's index and nothing else are taken at an open, since
 * their sizes stand in the log.
 */
#include <stdlib.h>

#include "mirror/internal.h"
#include "mirror/parts.h"

static void *blocks(uint64_t bytes)
{
	void *at = aligned_alloc(MIRROR_BLOCK_BYTES, bytes);

	if (at != NULL)
		memset(at, 0, bytes);
	return at;
}

static bool take_memory(struct mirror_engine *m)
{
	const struct config *c = m->config;

	m->pool = mirror_pool_create(c->memory_bytes);
	if (m->pool == NULL)
		return false;
	while (m->reserve_count < RESERVE_BUFFERS) {
		uint8_t *data = mirror_pool_get(m->pool, MIRROR_POOL_BUFFER_MAX);

		if (data == NULL)
			return false;
		m->reserve[m->reserve_count++] = data;
	}
	m->buffer_refs = calloc(c->memory_bytes / MIRROR_POOL_BUFFER_MIN,
				sizeof *m->buffer_refs);
	m->records = calloc(RECORDS_MAX, sizeof *m->records);
	m->reads = calloc(READS_MAX, sizeof *m->reads);
	m->replays = calloc(REPLAYS_MAX, sizeof *m->replays);
	m->homes = calloc(HOME_OPS_MAX, sizeof *m->homes);
	m->frames = calloc(FRAMES_MAX, sizeof *m->frames);
	m->scan = calloc(1, sizeof *m->scan);
	m->tasks = mirror_tasks_create(c->task_range_count, c->task_per_range_count,
				       HOME_OPS_MAX);
	m->scan_buffer = blocks(SCAN_BYTES);
	m->sb_buffer = blocks(MIRROR_SUPERBLOCK_BYTES);
	m->batch_blocks = blocks((BATCH_DESCRIPTORS_MAX + 2) * MIRROR_BLOCK_BYTES);
	m->map_block = blocks(MIRROR_BLOCK_BYTES);
	m->headers_block = blocks(MIRROR_BLOCK_BYTES);
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		m->link[i].read_buffer = blocks(LINK_READ_BYTES);
		if (m->link[i].read_buffer == NULL)
			return false;
	}
	return m->buffer_refs != NULL && m->records != NULL && m->reads != NULL &&
	       m->replays != NULL && m->homes != NULL && m->frames != NULL &&
	       m->scan != NULL && m->tasks != NULL && m->scan_buffer != NULL &&
	       m->sb_buffer != NULL && m->batch_blocks != NULL && m->map_block != NULL &&
	       m->headers_block != NULL;
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
		m->frames[i].next = m->frames_free;
		m->frames_free = &m->frames[i];
	}
	mirror_engine_reset(m);
	return m;
}

void mirror_engine_destroy(struct mirror_engine *m)
{
	if (m == NULL)
		return;
	mirror_ring_destroy(m->ring);
	mirror_map_destroy(m->map);
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		free(m->link[i].read_buffer);
	if (m->pool != NULL)
		mirror_pool_destroy(m->pool);
	if (m->tasks != NULL) {
		mirror_tasks_reset(m->tasks);
		mirror_tasks_destroy(m->tasks);
	}
	free(m->headers_block);
	free(m->map_block);
	free(m->batch_blocks);
	free(m->sb_buffer);
	free(m->scan_buffer);
	free(m->scan);
	free(m->frames);
	free(m->homes);
	free(m->replays);
	free(m->reads);
	free(m->records);
	free(m->buffer_refs);
	free(m);
}

static void drop_records(struct mirror_engine *m)
{
	struct mirror_record *r;

	while ((r = mirror_record_pop(&m->gate_issue)) != NULL)
		;
	while ((r = mirror_record_pop(&m->gate.hold)) != NULL)
		;
	for (uint64_t i = 0; i < RECORDS_MAX; i++) {
		r = &m->records[i];
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
	mirror_ring_destroy(m->ring);
	mirror_map_destroy(m->map);
	drop_records(m);
	memset(MIRROR_ENGINE_PER_OPEN(m), 0, MIRROR_ENGINE_PER_OPEN_BYTES);
	mirror_tasks_reset(m->tasks);
	m->homes_free = NULL;
	for (uint32_t i = 0; i < HOME_OPS_MAX; i++) {
		m->homes[i].next = m->homes_free;
		m->homes_free = &m->homes[i];
	}
	memset(m->reads, 0, READS_MAX * sizeof *m->reads);
	memset(m->replays, 0, REPLAYS_MAX * sizeof *m->replays);
	for (uint32_t i = 0; i < CONFIG_DISK_COUNT_MAX; i++)
		mirror_index_init(&m->index[i], mirror_engine_random(m));
	for (uint32_t s = 0; s < CONFIG_SITE_COUNT_MAX; s++)
		m->peer[s].link = MIRROR_LINK_NONE;
	mirror_group_init(&m->gate, (struct mirror_group_number){ 0 }, RECORDS_MAX);
	mirror_ack_reset(&m->ack, 0);
	m->stream_link = MIRROR_LINK_NONE;
	m->greeting_link = MIRROR_LINK_NONE;
	m->roll_link = MIRROR_LINK_NONE;
	m->probe_link = MIRROR_LINK_NONE;
}
