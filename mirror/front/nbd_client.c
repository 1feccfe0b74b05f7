/* nbd_client.c - see nbd_client.h: input is taken, and commands are cut into parts. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "mirror/front/nbd_internal.h"
#include "mirror/front/nbd_queue.h"

/* ---- input ---------------------------------------------------------------------- */

uint32_t mirror_nbd_client_receive(struct mirror_nbd_client *c, struct iovec iov[2],
				   bool *all)
{
	const struct mirror_nbd_part *p = c->filling;
	uint32_t room_bytes;

	if (!c->wants_input || c->eof || c->gone || c->broken)
		return 0;
	if (c->input_head > 0) {
		memmove(c->input, c->input + c->input_head,
			c->input_tail - c->input_head);
		c->input_tail -= c->input_head;
		c->input_head = 0;
	}
	room_bytes = MIRROR_NBD_INPUT_BYTES - c->input_tail;
	if (c->long_payloads && (c->current == NULL || p != NULL) &&
	    room_bytes > MIRROR_NBD_LOOKAHEAD_BYTES)
		room_bytes = MIRROR_NBD_LOOKAHEAD_BYTES;
	*all = false;
	if (p == NULL) {
		iov[0] = (struct iovec){ c->input + c->input_tail, room_bytes };
		return 1;
	}
	assert(c->input_tail == 0);
	iov[0].iov_base = p->data + (p->piece.from_bytes - p->piece.offset_bytes) +
			  p->filled_bytes;
	iov[0].iov_len = p->piece.to_bytes - p->piece.from_bytes - p->filled_bytes;
	iov[1] = (struct iovec){ c->input, room_bytes };
	*all = !mirror_nbd_pieces_end(&p->command->pieces);
	return *all ? 1 : 2;
}

void mirror_nbd_client_received(struct mirror_nbd_client *c, size_t bytes)
{
	struct mirror_nbd_part *p = c->filling;

	c->eof = bytes == 0;
	if (p != NULL) {
		const size_t left = p->piece.to_bytes - p->piece.from_bytes -
				    p->filled_bytes;
		const size_t taken = bytes < left ? bytes : left;

		p->filled_bytes += (uint32_t)taken;
		bytes -= taken;
	}
	c->input_tail += (uint32_t)bytes;
	assert(c->input_tail <= MIRROR_NBD_INPUT_BYTES);
}

static uint32_t input_bytes(const struct mirror_nbd_client *c)
{
	return c->input_tail - c->input_head;
}

/* ---- commands --------------------------------------------------------------------- */

void mirror_nbd_command_free(struct mirror_nbd_client *c,
			     struct mirror_nbd_command *command)
{
	assert(command->part_count == 0 && command->held_count == 0);
	command->next = c->commands_free;
	c->commands_free = command;
	c->command_count--;
}

static enum mirror_request_type request_type(uint16_t type)
{
	switch (type) {
	case MIRROR_NBD_READ:
		return MIRROR_REQUEST_READ;
	case MIRROR_NBD_WRITE:
		return MIRROR_REQUEST_WRITE;
	case MIRROR_NBD_TRIM:
	case MIRROR_NBD_WRITE_ZEROES:
		return MIRROR_REQUEST_ZERO;
	default:
		return MIRROR_REQUEST_FLUSH;
	}
}

/* A command that may be carried out begins to be cut into parts. */
static void begin(struct mirror_nbd_client *c, struct mirror_nbd_command *command)
{
	const struct mirror_nbd_request *h = &command->header;
	const enum mirror_request_type type = request_type(h->type);
	const bool flush = type == MIRROR_REQUEST_FLUSH;

	mirror_nbd_pieces_init(&command->pieces, type, flush ? 0 : h->offset_bytes,
			       flush ? 0 : h->length_bytes, h->type == MIRROR_NBD_TRIM);
	command->stream = h->type == MIRROR_NBD_READ &&
			  (!c->session.structured ||
			   (h->flags & MIRROR_NBD_FLAG_DF) != 0);
	if (h->type == MIRROR_NBD_WRITE)
		c->long_payloads = h->length_bytes > MIRROR_NBD_INLINE_MAX;
	if (mirror_nbd_pieces_end(&command->pieces) && !flush)
		mirror_nbd_reply_issued(c, command); /* of no length */
	else
		c->current = command;
}

/* Take the next request off the input. False: not now. */
static bool take_command(struct mirror_nbd_client *c)
{
	const struct mirror_nbd_exports *exports = &c->server->exports;
	struct mirror_nbd_command *command = c->commands_free;
	struct mirror_nbd_request h;

	if (input_bytes(c) < MIRROR_NBD_REQUEST_BYTES) {
		c->wants_input = true;
		return false;
	}
	if (command == NULL)
		return false;
	if (mirror_nbd_request_decode(c->input + c->input_head, &h) < 0) {
		c->broken = true;
		c->session.refused = MIRROR_NBD_REFUSED_REQUEST;
		snprintf(c->session.refused_text, sizeof c->session.refused_text,
			 "it sent something that is no NBD request, and was dropped");
		return false;
	}
	c->input_head += MIRROR_NBD_REQUEST_BYTES;
	if (h.type == MIRROR_NBD_DISC) {
		mirror_nbd_set_phase(&c->session, MIRROR_NBD_ENDED);
		return false;
	}
	c->commands_free = command->next;
	c->command_count++;
	*command = (struct mirror_nbd_command){ .header = h };
	command->error = mirror_nbd_request_check(
		&c->session, &h, exports->disk[c->session.disk].size_bytes);
	if (command->error == 0) {
		begin(c, command);
	} else {
		if (h.type == MIRROR_NBD_WRITE)
			c->discard_bytes = h.length_bytes;
		mirror_nbd_reply_issued(c, command);
	}
	return true;
}

/* The payload of a refused write is in the way of the next request. */
static bool discard(struct mirror_nbd_client *c)
{
	const uint32_t bytes = input_bytes(c) < c->discard_bytes ? input_bytes(c) :
								   c->discard_bytes;

	c->input_head += bytes;
	c->discard_bytes -= bytes;
	c->wants_input = c->discard_bytes > 0;
	return !c->wants_input;
}

/* The command that is being cut has its last part, or needs no more of them. */
static void issued(struct mirror_nbd_client *c)
{
	struct mirror_nbd_command *command = c->current;

	c->current = NULL;
	mirror_nbd_reply_issued(c, command);
}

/* Move the bytes that have arrived into the part that is being filled. */
static bool fill(struct mirror_nbd_client *c)
{
	struct mirror_nbd_part *part = c->filling;
	const struct mirror_nbd_piece *p = &part->piece;
	const uint32_t total = (uint32_t)(p->to_bytes - p->from_bytes);
	const uint32_t left = total - part->filled_bytes;
	const uint32_t bytes = input_bytes(c) < left ? input_bytes(c) : left;

	memcpy(part->data + (p->from_bytes - p->offset_bytes) + part->filled_bytes,
	       c->input + c->input_head, bytes);
	part->filled_bytes += bytes;
	c->input_head += bytes;
	if (part->filled_bytes < total) {
		c->wants_input = true;
		return false;
	}
	c->filling = NULL;
	mirror_nbd_queue_enter(part);
	if (mirror_nbd_pieces_end(&c->current->pieces))
		issued(c);
	return true;
}

static bool issue_write(struct mirror_nbd_client *c)
{
	const struct mirror_nbd_pieces *p = &c->current->pieces;

	if (c->filling == NULL) {
		const uint64_t left = p->end_bytes - p->at_bytes;

		/* A short payload is copied as a whole, when it is all there. */
		if (left <= MIRROR_NBD_INLINE_MAX && input_bytes(c) < left) {
			c->wants_input = true;
			return false;
		}
		c->filling = mirror_nbd_part_cut(c, c->current);
		if (c->filling == NULL)
			return false;
		mirror_nbd_part_set_state(c->filling, MIRROR_NBD_PART_FILLING);
	}
	return fill(c);
}

/* The next part of the command that is being cut. False: not now. */
static bool issue(struct mirror_nbd_client *c)
{
	struct mirror_nbd_command *command = c->current;
	const bool flush = command->pieces.type == MIRROR_REQUEST_FLUSH;
	struct mirror_nbd_part *part;

	if (command->pieces.type == MIRROR_REQUEST_WRITE)
		return issue_write(c);
	/* A stream that failed is read no further. */
	if (mirror_nbd_pieces_end(&command->pieces) && !flush) {
		issued(c);
		return true;
	}
	part = mirror_nbd_part_cut(c, command);
	if (part == NULL)
		return false;
	if (command->stream)
		mirror_nbd_stream_push(command, part);
	if (part->piece.zero)
		memset(part->data, 0, (size_t)part->piece.length_bytes);
	if (part->piece.type == MIRROR_REQUEST_READ || flush)
		mirror_nbd_part_ready(part);
	else
		mirror_nbd_queue_enter(part);
	if (mirror_nbd_pieces_end(&command->pieces))
		issued(c);
	return true;
}

/* ---- going on ----------------------------------------------------------------------- */

static bool negotiate(struct mirror_nbd_client *c)
{
	size_t out_bytes = 0, used;

	if (c->output_queued)
		return false;
	used = mirror_nbd_negotiate(&c->session, &c->server->exports,
				    c->input + c->input_head, input_bytes(c),
				    c->output + c->output_bytes,
				    sizeof c->output - c->output_bytes, &out_bytes);
	c->input_head += (uint32_t)used;
	c->output_bytes += (uint32_t)out_bytes;
	if (used > 0 || out_bytes > 0)
		if (c->session.phase < MIRROR_NBD_TRANSMISSION)
			return true;
	/* Stuck, or through: send the replies that are ready. */
	c->wants_input = c->session.phase < MIRROR_NBD_TRANSMISSION &&
			 !c->session.waiting;
	if (c->output_bytes > 0)
		mirror_nbd_reply_negotiation(c);
	return c->session.phase == MIRROR_NBD_TRANSMISSION;
}

/* One step. False: nothing more can be done now. */
static bool go_on(struct mirror_nbd_client *c)
{
	c->wants_input = false;
	if (c->session.phase < MIRROR_NBD_TRANSMISSION)
		return negotiate(c);
	if (c->session.phase == MIRROR_NBD_ENDED)
		return false;
	if (c->discard_bytes > 0)
		return discard(c);
	if (c->lined_count > 0)
		return false;
	if (c->current != NULL)
		return issue(c);
	return take_command(c);
}

struct mirror_request *mirror_nbd_client_next(struct mirror_nbd_client *c, bool takes)
{
	struct mirror_nbd_server *s = c->server;

	if (s->line_moved && s->line_first != NULL)
		mirror_nbd_queue_settle(s);
	while (!c->gone && !c->broken) {
		if (takes && c->ready.head != NULL)
			return mirror_nbd_part_hand_over(c);
		if (!takes && c->session.phase == MIRROR_NBD_TRANSMISSION) {
			c->wants_input = false;
			return NULL;
		}
		if (!go_on(c))
			return takes ? mirror_nbd_part_hand_over(c) : NULL;
	}
	return NULL;
}

/* No reply is left to be made or sent, except to a command that can never be complete. */
static bool is_idle(const struct mirror_nbd_client *c)
{
	return c->command_count == (c->current != NULL) && c->sending.head == NULL &&
	       c->urgent.head == NULL && c->replies.head == NULL && c->stream == NULL &&
	       (c->current == NULL || c->current->part_count == (c->filling != NULL));
}

bool mirror_nbd_client_is_over(const struct mirror_nbd_client *c)
{
	const bool over = c->session.phase == MIRROR_NBD_ENDED ||
			  (c->eof && c->wants_input);

	return c->broken || (over && is_idle(c));
}

void mirror_nbd_client_check(const struct mirror_nbd_client *c)
{
	uint32_t used = 0, lined = 0, engine = 0;
	uint64_t held = 0, read = 0;

	for (uint32_t i = 0; i < MIRROR_NBD_PARTS_MAX; i++) {
		const struct mirror_nbd_part *p = &c->parts[i];

		used += p->state != MIRROR_NBD_PART_FREE;
		lined += p->state == MIRROR_NBD_PART_LINED;
		engine += p->with_engine;
		if (p->data != NULL)
			held += p->buffer_bytes;
		if (p->data != NULL && p->piece.type == MIRROR_REQUEST_READ)
			read += p->buffer_bytes;
		assert(p->state != MIRROR_NBD_PART_FREE ||
		       (p->data == NULL && !p->in_line));
		assert(!p->with_engine || p->state == MIRROR_NBD_PART_ENGINE ||
		       p->state == MIRROR_NBD_PART_REREADING);
	}
	assert(used == c->part_count && lined == c->lined_count);
	assert(engine == c->engine_count && held == c->held_bytes);
	assert(read == c->read_bytes && held <= c->server->held_bytes);
	assert(c->input_head <= c->input_tail && c->input_tail <= MIRROR_NBD_INPUT_BYTES);
}
