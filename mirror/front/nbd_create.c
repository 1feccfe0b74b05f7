/* nbd_create.c - a connection's beginning and end: see nbd_client.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "mirror/front/nbd_internal.h"

static bool is_own(enum mirror_nbd_origin origin)
{
	return origin == MIRROR_NBD_OWN;
}

static uint32_t client_count(const struct mirror_nbd_server *s)
{
	return s->count[MIRROR_NBD_LOCAL] + s->count[MIRROR_NBD_NETWORK];
}

static void write_full_text(struct mirror_nbd_server *s)
{
	const uint32_t count = s->places.client_count;

	snprintf(s->full_text, sizeof s->full_text,
		 "all %u places for NBD clients are taken; %s", count,
		 count == MIRROR_NBD_CLIENTS_MAX ? "there are no more" :
						   "a larger `memory` has more");
}

void mirror_nbd_server_init(struct mirror_nbd_server *s, struct mirror_pool *pool,
			    const char *mirror, uint32_t own_count)
{
	*s = (struct mirror_nbd_server){
		.pool = pool,
		.exports = { .mirror = mirror },
		.share_bytes = mirror_pool_bytes_total(pool) / 4,
	};
	mirror_nbd_places_divide(mirror_pool_bytes_total(pool), own_count, &s->places);
	write_full_text(s);
}

bool mirror_nbd_server_is_full(const struct mirror_nbd_server *s,
			       enum mirror_nbd_origin origin)
{
	return is_own(origin) ? s->count[MIRROR_NBD_OWN] >= s->places.own_count :
				client_count(s) >= s->places.client_count;
}

static void destroy(struct mirror_nbd_client *c)
{
	if (c->scratch != NULL)
		mirror_pool_put(c->server->pool, c->scratch);
	free(c->input);
	free(c);
}

struct mirror_nbd_client *mirror_nbd_client_create(struct mirror_nbd_server *s,
						   enum mirror_nbd_origin origin)
{
	const bool refused = mirror_nbd_server_is_full(s, origin);
	struct mirror_nbd_client *c;

	if (refused && s->refused_count == MIRROR_NBD_REFUSED_MAX)
		return NULL;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->input = malloc(MIRROR_NBD_INPUT_BYTES);
	if (!refused)
		c->scratch = mirror_pool_get(s->pool, MIRROR_BLOCK_BYTES);
	c->server = s;
	if (c->input == NULL || (c->scratch == NULL && !refused)) {
		destroy(c);
		return NULL;
	}
	c->origin = origin;
	c->refused = refused;
	c->session.network = origin == MIRROR_NBD_NETWORK;
	c->session.full = refused ? s->full_text : NULL;
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
	if (refused)
		s->refused_count++;
	else
		s->count[origin]++;
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
	if (c->refused)
		c->server->refused_count--;
	else
		c->server->count[c->origin]--;
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
	unlink_client(c);
	destroy(c);
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
