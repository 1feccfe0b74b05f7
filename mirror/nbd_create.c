/* nbd_create.c - a connection's beginning and end: see nbd_client.h. */
#include <assert.h>
#include <stdlib.h>

#include "mirror/nbd_internal.h"

void mirror_nbd_server_init(struct mirror_nbd_server *s, struct mirror_pool *pool,
			    const char *mirror)
{
	const uint64_t quarter_bytes = mirror_pool_bytes_total(pool) / 4;
	uint64_t count = quarter_bytes / MIRROR_NBD_RESERVE_BYTES;

	if (count > MIRROR_NBD_SERVED_MAX)
		count = MIRROR_NBD_SERVED_MAX;
	*s = (struct mirror_nbd_server){
		.pool = pool,
		.exports = { .mirror = mirror },
		.share_bytes = quarter_bytes,
		.client_count_max = count > 0 ? (uint32_t)count : 1,
	};
}

struct mirror_nbd_client *mirror_nbd_client_create(struct mirror_nbd_server *s,
						   bool network)
{
	struct mirror_nbd_client *c;

	if (s->client_count == s->client_count_max)
		return NULL;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->input = malloc(MIRROR_NBD_INPUT_BYTES);
	c->scratch = mirror_pool_get(s->pool, MIRROR_BLOCK_BYTES);
	if (c->input == NULL || c->scratch == NULL) {
		if (c->scratch != NULL)
			mirror_pool_put(s->pool, c->scratch);
		free(c->input);
		free(c);
		return NULL;
	}
	c->server = s;
	c->session.network = network;
	c->session.owner = c;
	for (uint32_t i = 0; i < MIRROR_NBD_PARTS_MAX; i++) {
		c->parts[i].next = c->parts_free;
		c->parts_free = &c->parts[i];
	}
	for (uint32_t i = 0; i < MIRROR_NBD_COMMANDS_MAX; i++) {
		c->commands[i].next = c->commands_free;
		c->commands_free = &c->commands[i];
	}
	c->next = s->clients;
	s->clients = c;
	s->client_count++;
	return c;
}

void mirror_nbd_client_hang_up(struct mirror_nbd_client *c)
{
	c->gone = true;
	c->wants_input = false;
}

static void unlink_client(struct mirror_nbd_client *c)
{
	struct mirror_nbd_client **at = &c->server->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->server->client_count--;
}

bool mirror_nbd_client_end(struct mirror_nbd_client *c)
{
	assert(c->gone);
	c->ready = (struct mirror_nbd_part_list){ 0 };
	c->filling = NULL;
	for (uint32_t i = 0; i < MIRROR_NBD_PARTS_MAX; i++)
		if (c->parts[i].state != MIRROR_NBD_PART_FREE && !c->parts[i].with_engine)
			mirror_nbd_part_free(&c->parts[i]);
	if (c->engine_count > 0)
		return false;
	assert(c->part_count == 0 && c->held_bytes == 0);
	mirror_nbd_release(&c->session, &c->server->exports);
	mirror_pool_put(c->server->pool, c->scratch);
	unlink_client(c);
	free(c->input);
	free(c);
	return true;
}

void mirror_nbd_client_abandon(struct mirror_nbd_client *c)
{
	bool ended;

	mirror_nbd_client_hang_up(c);
	for (uint32_t i = 0; i < MIRROR_NBD_PARTS_MAX; i++)
		if (c->parts[i].with_engine)
			mirror_nbd_client_answer(&c->parts[i].request);
	ended = mirror_nbd_client_end(c);
	assert(ended);
}
