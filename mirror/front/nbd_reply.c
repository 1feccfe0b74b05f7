/* nbd_reply.c - answers of the engine become bytes for the client: see nbd_client.h.
 *
 *   queue     content                                 leaves
 *   urgent    negotiation, errors                     always
 *   replies   those that acknowledge or show data,    with a lease (D7)
 *             and any that must not overtake them
 *   (stream)  data of the stream that has begun       before both of these
 */
#include <assert.h>

#include "common/fifo.h"
#include "mirror/front/nbd_internal.h"

static void queue(struct mirror_nbd_client *c, struct mirror_nbd_reply *r)
{
	fifo_push(r->lease ? &c->replies : &c->urgent, r);
}

/* The structure that a reply is part of. */
static struct mirror_nbd_command *command_of(struct mirror_nbd_reply *r)
{
	return (struct mirror_nbd_command *)(void *)((char *)r -
						     offsetof(struct mirror_nbd_command,
							      reply));
}

static struct mirror_nbd_part *part_of(struct mirror_nbd_reply *r)
{
	return (struct mirror_nbd_part *)(void *)((char *)r -
						  offsetof(struct mirror_nbd_part,
							   reply));
}

void mirror_nbd_reply_negotiation(struct mirror_nbd_client *c)
{
	struct mirror_nbd_reply *r = &c->negotiation;

	assert(!c->output_queued && c->output_bytes > 0);
	*r = (struct mirror_nbd_reply){
		.kind = MIRROR_NBD_REPLY_NEGOTIATION,
		.data = c->output,
		.data_bytes = c->output_bytes,
	};
	c->output_queued = true;
	queue(c, r);
}

/* ---- reads ------------------------------------------------------------------ */

void mirror_nbd_stream_push(struct mirror_nbd_command *command,
			    struct mirror_nbd_part *part)
{
	struct mirror_nbd_part_list *list = &command->stream_parts;

	part->stream_next = NULL;
	if (list->tail != NULL)
		list->tail->stream_next = part;
	else
		list->head = part;
	list->tail = part;
}

static struct mirror_nbd_part *stream_pop(struct mirror_nbd_command *command)
{
	struct mirror_nbd_part_list *list = &command->stream_parts;
	struct mirror_nbd_part *part = list->head;

	if (part == NULL)
		return NULL;
	list->head = part->stream_next;
	if (list->head == NULL)
		list->tail = NULL;
	return part;
}

static void point_to_data(struct mirror_nbd_part *part)
{
	const struct mirror_nbd_piece *p = &part->piece;

	part->reply.data = part->data + (p->from_bytes - p->offset_bytes);
	part->reply.data_bytes = (uint32_t)(p->to_bytes - p->from_bytes);
}

/* The first piece is here: the head may go, and the data behind it as it comes. */
static void stream_begin(struct mirror_nbd_client *c, struct mirror_nbd_command *command)
{
	const struct mirror_nbd_request *h = &command->header;
	struct mirror_nbd_reply *r = &command->reply;

	*r = (struct mirror_nbd_reply){ .kind = MIRROR_NBD_REPLY_STREAM, .lease = true };
	if (c->session.structured)
		r->head_bytes = mirror_nbd_data_encode(
			r->head, h->cookie, h->offset_bytes, h->length_bytes, true);
	else
		r->head_bytes = mirror_nbd_simple_encode(r->head, h->cookie, 0);
	command->stream_begun = true;
	queue(c, r);
}

static void stream_part(struct mirror_nbd_client *c, struct mirror_nbd_part *part)
{
	struct mirror_nbd_command *command = part->command;

	mirror_nbd_part_set_state(part, MIRROR_NBD_PART_ANSWERED);
	point_to_data(part);
	if (command->error != 0) {
		/* Read no more of it. */
		command->pieces.at_bytes = command->pieces.end_bytes;
		c->broken = c->broken || command->stream_begun;
	} else if (part == command->stream_parts.head && !command->stream_begun) {
		stream_begin(c, command);
	}
}

static void chunk_part(struct mirror_nbd_client *c, struct mirror_nbd_part *part,
		       int error)
{
	struct mirror_nbd_command *command = part->command;
	const struct mirror_nbd_piece *p = &part->piece;

	if (error != 0) {
		mirror_nbd_part_free(part);
		return;
	}
	part->last = command->issued && command->part_count == 0 && command->error == 0;
	command->ended = part->last;
	point_to_data(part);
	part->reply.head_bytes = mirror_nbd_data_encode(
		part->reply.head, command->header.cookie, p->from_bytes,
		part->reply.data_bytes, part->last);
	mirror_nbd_part_set_state(part, MIRROR_NBD_PART_ANSWERED);
	queue(c, &part->reply);
}

/* ---- the end of a command ---------------------------------------------------- */

/* All parts are answered: one head that says it all, or that a chunked reply is over. */
static void finish(struct mirror_nbd_client *c, struct mirror_nbd_command *command)
{
	const bool read = command->header.type == MIRROR_NBD_READ;
	struct mirror_nbd_reply *r = &command->reply;
	struct mirror_nbd_part *part;

	if (command->stream_begun || command->ended)
		return; /* its last part says so */
	while ((part = stream_pop(command)) != NULL)
		mirror_nbd_part_free(part);
	/* Behind its chunks, which wait for a lease. */
	*r = (struct mirror_nbd_reply){
		.kind = MIRROR_NBD_REPLY_COMMAND,
		.lease = command->error == 0 || command->held_count > 0,
	};
	if (read && c->session.structured)
		r->head_bytes = mirror_nbd_end_encode(r->head, command->header.cookie,
						      command->error);
	else
		r->head_bytes = mirror_nbd_simple_encode(r->head, command->header.cookie,
							 command->error);
	queue(c, r);
}

void mirror_nbd_reply_part(struct mirror_nbd_part *part, int error)
{
	struct mirror_nbd_client *c = mirror_nbd_part_client(part);
	struct mirror_nbd_command *command = part->command;

	if (command->error == 0)
		command->error = error;
	command->part_count--;
	if (part->piece.type != MIRROR_REQUEST_READ)
		mirror_nbd_part_free(part);
	else if (command->stream)
		stream_part(c, part);
	else
		chunk_part(c, part, error);
	if (command->issued && command->part_count == 0)
		finish(c, command);
}

void mirror_nbd_reply_issued(struct mirror_nbd_client *c,
			     struct mirror_nbd_command *command)
{
	command->issued = true;
	if (command->part_count == 0)
		finish(c, command);
}

/* ---- sending ----------------------------------------------------------------- */

static struct mirror_nbd_reply *next_of_stream(struct mirror_nbd_client *c, bool lease)
{
	struct mirror_nbd_command *command = c->stream;
	struct mirror_nbd_part *part = command->stream_parts.head;

	if (!lease || part == NULL || part->state != MIRROR_NBD_PART_ANSWERED)
		return NULL;
	stream_pop(command);
	part->last = command->issued && command->stream_parts.head == NULL;
	if (part->last)
		c->stream = NULL;
	return &part->reply;
}

static struct mirror_nbd_reply *next_reply(struct mirror_nbd_client *c, bool lease)
{
	struct mirror_nbd_reply *r;

	if (c->stream != NULL)
		return next_of_stream(c, lease);
	r = fifo_pop(&c->urgent);
	if (r == NULL && lease)
		r = fifo_pop(&c->replies);
	if (r != NULL && r->kind == MIRROR_NBD_REPLY_STREAM)
		c->stream = command_of(r);
	return r;
}

static uint32_t add_iov(struct iovec *iov, const void *at, uint32_t bytes,
			uint32_t *skip_bytes)
{
	const uint32_t skipped = *skip_bytes < bytes ? *skip_bytes : bytes;

	*skip_bytes -= skipped;
	if (skipped == bytes)
		return 0;
	iov->iov_base = (void *)((uintptr_t)at + skipped); /* only read from */
	iov->iov_len = bytes - skipped;
	return 1;
}

uint32_t mirror_nbd_client_gather(struct mirror_nbd_client *c, bool lease,
				  struct iovec *iov, uint32_t iov_max)
{
	uint32_t skip_bytes = c->sent_bytes, count = 0;
	struct mirror_nbd_reply *r;

	if (c->gone || c->broken)
		return 0;
	for (r = c->sending.head; r != NULL; r = r->next)
		if (r->lease && !lease)
			return 0;
	r = c->sending.head;
	while (count + 2 <= iov_max) {
		if (r == NULL) {
			r = next_reply(c, lease);
			if (r == NULL)
				break;
			fifo_push(&c->sending, r);
		}
		count += add_iov(&iov[count], r->head, r->head_bytes, &skip_bytes);
		count += add_iov(&iov[count], r->data, r->data_bytes, &skip_bytes);
		r = r->next;
	}
	return count;
}

static void reply_sent(struct mirror_nbd_client *c, struct mirror_nbd_reply *r)
{
	struct mirror_nbd_part *part;

	switch (r->kind) {
	case MIRROR_NBD_REPLY_NEGOTIATION:
		c->output_bytes = 0;
		c->output_queued = false;
		break;
	case MIRROR_NBD_REPLY_COMMAND:
		mirror_nbd_command_free(c, command_of(r));
		break;
	case MIRROR_NBD_REPLY_STREAM:
		break;
	case MIRROR_NBD_REPLY_PART:
		part = part_of(r);
		mirror_nbd_part_free(part);
		if (part->last)
			mirror_nbd_command_free(c, part->command);
		break;
	}
}

void mirror_nbd_client_sent(struct mirror_nbd_client *c, size_t bytes)
{
	struct mirror_nbd_reply *r;

	while ((r = c->sending.head) != NULL) {
		const size_t left = r->head_bytes + r->data_bytes - c->sent_bytes;

		if (bytes < left) {
			c->sent_bytes += (uint32_t)bytes;
			return;
		}
		bytes -= left;
		c->sent_bytes = 0;
		fifo_pop(&c->sending);
		reply_sent(c, r);
	}
	assert(bytes == 0);
}
