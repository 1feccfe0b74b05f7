/* nbd_part.c - a piece of a command on its way to the engine and back: the states of
 * nbd_client.h. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/fifo.h"
#include "mirror/front/nbd_internal.h"
#include "mirror/front/nbd_queue.h"

static bool state_change_is_legal(enum mirror_nbd_part_state from,
				  enum mirror_nbd_part_state to)
{
	switch (to) {
	case MIRROR_NBD_PART_FREE:
		return from != MIRROR_NBD_PART_FREE;
	case MIRROR_NBD_PART_FILLING:
		return from == MIRROR_NBD_PART_FREE;
	case MIRROR_NBD_PART_LINED:
		return from == MIRROR_NBD_PART_FILLING || from == MIRROR_NBD_PART_FREE;
	case MIRROR_NBD_PART_REREADING:
	case MIRROR_NBD_PART_READY:
		return from == MIRROR_NBD_PART_FREE || from == MIRROR_NBD_PART_FILLING ||
		       from == MIRROR_NBD_PART_LINED || from == MIRROR_NBD_PART_REREADING;
	case MIRROR_NBD_PART_ENGINE:
		return from == MIRROR_NBD_PART_READY;
	case MIRROR_NBD_PART_ANSWERED:
		return from == MIRROR_NBD_PART_ENGINE;
	}
	return false;
}

void mirror_nbd_part_set_state(struct mirror_nbd_part *part,
			       enum mirror_nbd_part_state state)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);

	assert(state_change_is_legal(part->state, state));
	if (part->state == MIRROR_NBD_PART_LINED)
		c->lined_count--;
	if (state == MIRROR_NBD_PART_LINED)
		c->lined_count++;
	part->state = state;
}

/* ---- buffers --------------------------------------------------------------- */

static uint32_t pool_size(uint32_t bytes)
{
	uint32_t size = MIRROR_POOL_BUFFER_MIN;

	while (size < bytes)
		size *= 2;
	return size;
}

/* May this connection take `bytes` more? See "Bounds" in nbd_client.h: always as much as
 * keeps it going; more only as long as it leaves as much to the others. */
static bool may_hold(const struct mirror_nbd_client *c,
		     const struct mirror_nbd_command *command, uint32_t bytes, bool read)
{
	const struct mirror_nbd_server *s = c->server;
	const bool first = !read || c->read_bytes == 0 ||
			   (command->stream_begun && command->held_count == 0);

	if (first && bytes <= s->places.piece_bytes)
		return true;
	return s->held_bytes + bytes <= s->share_bytes &&
	       c->held_bytes + bytes <= s->share_bytes - s->held_bytes;
}

/* From the pool, but for its last eighth. */
static uint8_t *pool_get(struct mirror_pool *pool, uint32_t bytes)
{
	if (mirror_pool_bytes_free(pool) < mirror_pool_bytes_total(pool) / 8 + bytes)
		return NULL;
	return mirror_pool_get(pool, bytes);
}

/* A buffer for the command's next piece, or for as much of it as the pool has in one
 * piece: others may have left it in crumbs for long. */
static bool get_buffer(struct mirror_nbd_part *part, uint32_t want_bytes, bool read)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);
	uint32_t size = pool_size(want_bytes);

	while (!may_hold(c, part->command, size, read)) {
		if (size == MIRROR_POOL_BUFFER_MIN)
			return false;
		size /= 2;
	}
	while ((part->data = pool_get(c->server->pool, size)) == NULL) {
		if (size == MIRROR_POOL_BUFFER_MIN)
			return false;
		size /= 2;
	}
	part->buffer_bytes = size;
	c->server->held_bytes += size;
	c->held_bytes += size;
	if (read) {
		c->read_bytes += size;
		part->command->held_count++;
	}
	return true;
}

/* `data` is with the engine now, or not needed any more. */
static void put_buffer(struct mirror_nbd_part *part, bool to_pool)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);

	if (part->data == NULL)
		return;
	c->server->held_bytes -= part->buffer_bytes;
	c->held_bytes -= part->buffer_bytes;
	if (part->piece.type == MIRROR_REQUEST_READ) {
		c->read_bytes -= part->buffer_bytes;
		part->command->held_count--;
	}
	if (to_pool)
		mirror_pool_put(c->server->pool, part->data);
	part->data = NULL;
}

/* ---- to the engine ---------------------------------------------------------- */

static void part_init(struct mirror_nbd_client *c, struct mirror_nbd_command *command,
		      struct mirror_nbd_part *part)
{
	*part = (struct mirror_nbd_part){
		.request = { .client = c, .cookie = part },
		.command = command,
		.reply = { .kind = MIRROR_NBD_REPLY_PART, .lease = true },
	};
}

struct mirror_nbd_part *mirror_nbd_part_cut(struct mirror_nbd_client *c,
					    struct mirror_nbd_command *command)
{
	const uint32_t want_bytes = mirror_nbd_pieces_want_bytes(&command->pieces);
	const bool read = command->pieces.type == MIRROR_REQUEST_READ;
	struct mirror_nbd_part *part = c->parts_free;
	struct mirror_nbd_part *rest;

	if (part == NULL)
		return NULL;
	rest = part->next;
	part_init(c, command, part);
	if (want_bytes > 0 && !get_buffer(part, want_bytes, read)) {
		part->next = rest;
		return NULL;
	}
	c->parts_free = rest;
	c->part_count++;
	command->part_count++;
	if (command->pieces.type == MIRROR_REQUEST_FLUSH)
		part->piece.type = MIRROR_REQUEST_FLUSH;
	else
		mirror_nbd_pieces_next(&command->pieces, part->buffer_bytes,
				       &part->piece);
	return part;
}

void mirror_nbd_part_ready(struct mirror_nbd_part *part)
{
	const struct mirror_nbd_command *command = part->command;
	struct mirror_request *r = &part->request;

	r->type = part->piece.type;
	r->disk = mirror_nbd_part_client(part)->session.disk;
	r->offset_bytes = part->piece.offset_bytes;
	r->length_bytes = part->piece.length_bytes;
	r->data = part->data;
	r->fua = (command->header.flags & MIRROR_NBD_FLAG_FUA) != 0;
	/* Zeroes may be holes unless the client says otherwise; a trim always may. */
	r->may_deallocate = r->type == MIRROR_REQUEST_ZERO &&
			    (command->header.flags & MIRROR_NBD_FLAG_NO_HOLE) == 0;
	mirror_nbd_part_set_state(part, MIRROR_NBD_PART_READY);
	fifo_push(&mirror_nbd_part_client(part)->ready, part);
}

void mirror_nbd_part_reread(struct mirror_nbd_part *part)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);

	assert(part->piece.partial && part->in_line && !c->scratch_used);
	part->request.type = MIRROR_REQUEST_READ;
	part->request.disk = c->session.disk;
	part->request.offset_bytes = part->piece.offset_bytes;
	part->request.length_bytes = part->piece.length_bytes;
	part->request.data = c->scratch;
	c->scratch_used = true;
	mirror_nbd_part_set_state(part, MIRROR_NBD_PART_REREADING);
	fifo_push(&c->ready, part);
}

struct mirror_request *mirror_nbd_part_hand_over(struct mirror_nbd_client *c)
{
	struct mirror_nbd_part *part = fifo_pop(&c->ready);

	if (part == NULL)
		return NULL;
	part->with_engine = true;
	c->engine_count++;
	if (part->state == MIRROR_NBD_PART_REREADING)
		return &part->request;
	mirror_nbd_part_set_state(part, MIRROR_NBD_PART_ENGINE);
	if (part->in_line)
		mirror_nbd_queue_leave(part);
	if (part->request.type == MIRROR_REQUEST_WRITE)
		put_buffer(part, false);
	return &part->request;
}

/* ---- and back ---------------------------------------------------------------- */

/* Give the client's bytes the neighbours that they have on the disk. */
static void lay_over(struct mirror_nbd_part *part, const uint8_t *old)
{
	const struct mirror_nbd_piece *p = &part->piece;
	const size_t from = (size_t)(p->from_bytes - p->offset_bytes);
	const size_t to = (size_t)(p->to_bytes - p->offset_bytes);

	memcpy(part->data, old, from);
	memcpy(part->data + to, old + to, (size_t)p->length_bytes - to);
}

static void reread_done(struct mirror_nbd_part *part)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);

	c->scratch_used = false;
	c->server->line_moved = true;
	if (part->request.result < 0) {
		mirror_nbd_reply_part(part, part->request.result);
		return;
	}
	lay_over(part, c->scratch);
	mirror_nbd_part_ready(part);
}

void mirror_nbd_client_answer(struct mirror_request *request)
{
	struct mirror_nbd_part *part = request->cookie;
	struct mirror_nbd_client *c = request->client;

	assert(part->with_engine && c->engine_count > 0);
	part->with_engine = false;
	c->engine_count--;
	/* A write that was refused or dropped comes back with its buffer. */
	if (request->type == MIRROR_REQUEST_WRITE && request->data != NULL)
		mirror_pool_put(c->server->pool, request->data);
	if (c->gone) {
		if (part->state == MIRROR_NBD_PART_REREADING)
			c->scratch_used = false;
		mirror_nbd_part_free(part);
	} else if (part->state == MIRROR_NBD_PART_REREADING) {
		reread_done(part);
	} else {
		if (part->piece.type != MIRROR_REQUEST_READ)
			c->server->line_moved = true;
		mirror_nbd_reply_part(part, request->result);
	}
}

void mirror_nbd_part_free(struct mirror_nbd_part *part)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);

	assert(!part->with_engine);
	if (part->in_line)
		mirror_nbd_queue_leave(part);
	if (part->piece.type == MIRROR_REQUEST_WRITE)
		c->server->line_moved = true;
	put_buffer(part, true);
	mirror_nbd_part_set_state(part, MIRROR_NBD_PART_FREE);
	part->next = c->parts_free;
	c->parts_free = part;
	c->part_count--;
}
