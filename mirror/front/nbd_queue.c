/* front/nbd_queue.c - see front/nbd_queue.h. */
#include "mirror/front/nbd_queue.h"

#include <assert.h>
#include <string.h>

#include "mirror/front/nbd_internal.h"

static uint32_t disk_of(const struct mirror_nbd_part *part)
{
	return mirror_nbd_part_client(part)->session.disk;
}

static bool overlap(const struct mirror_nbd_part *a, const struct mirror_nbd_part *b)
{
	return disk_of(a) == disk_of(b) &&
	       a->piece.offset_bytes < b->piece.offset_bytes + b->piece.length_bytes &&
	       b->piece.offset_bytes < a->piece.offset_bytes + a->piece.length_bytes;
}

static bool is_with_engine(const struct mirror_nbd_part *part)
{
	return (part->state == MIRROR_NBD_PART_ENGINE ||
		part->state == MIRROR_NBD_PART_READY) &&
	       part->piece.type != MIRROR_REQUEST_READ &&
	       part->piece.type != MIRROR_REQUEST_FLUSH;
}

/* Walks all parts of all connections: rare enough, and bounded. */
static bool engine_writes_there(const struct mirror_nbd_part *part)
{
	const struct mirror_nbd_client *c = mirror_nbd_part_client(part)->server->clients;

	for (; c != NULL; c = c->next)
		for (uint32_t i = 0; c->part_count > 0 && i < MIRROR_NBD_PARTS_MAX; i++)
			if (&c->parts[i] != part && is_with_engine(&c->parts[i]) &&
			    overlap(&c->parts[i], part))
				return true;
	return false;
}

/* Is the way of `part` free, with those before it in the line (`before` and on)? */
static bool may_go(const struct mirror_nbd_part *part,
		   const struct mirror_nbd_part *before)
{
	const struct mirror_nbd_client *c = mirror_nbd_part_client(part);

	for (; before != NULL; before = before->line_before)
		if ((part->piece.partial || before->piece.partial) &&
		    overlap(part, before))
			return false;
	return !part->piece.partial || (!c->scratch_used && !engine_writes_there(part));
}

static void append(struct mirror_nbd_server *s, struct mirror_nbd_part *part)
{
	assert(!part->in_line);
	part->in_line = true;
	part->line_after = NULL;
	part->line_before = s->line_last;
	if (s->line_last != NULL)
		s->line_last->line_after = part;
	else
		s->line_first = part;
	s->line_last = part;
}

void mirror_nbd_queue_enter(struct mirror_nbd_part *part)
{
	struct mirror_nbd_server *s = mirror_nbd_part_client(part)->server;
	const bool go = may_go(part, s->line_last);

	if (part->piece.partial || !go)
		append(s, part);
	if (!go)
		mirror_nbd_part_set_state(part, MIRROR_NBD_PART_LINED);
	else if (part->piece.partial)
		mirror_nbd_part_reread(part);
	else
		mirror_nbd_part_ready(part);
}

void mirror_nbd_queue_leave(struct mirror_nbd_part *part)
{
	struct mirror_nbd_server *s = mirror_nbd_part_client(part)->server;

	assert(part->in_line);
	if (part->line_before != NULL)
		part->line_before->line_after = part->line_after;
	else
		s->line_first = part->line_after;
	if (part->line_after != NULL)
		part->line_after->line_before = part->line_before;
	else
		s->line_last = part->line_before;
	part->line_before = part->line_after = NULL;
	part->in_line = false;
	s->line_moved = true;
}

void mirror_nbd_queue_settle(struct mirror_nbd_server *s)
{
	struct mirror_nbd_part *part, *after;

	s->line_moved = false;
	for (part = s->line_first; part != NULL; part = after) {
		after = part->line_after;
		if (part->state != MIRROR_NBD_PART_LINED ||
		    !may_go(part, part->line_before))
			continue;
		if (part->piece.partial) {
			mirror_nbd_part_reread(part);
		} else {
			mirror_nbd_queue_leave(part);
			mirror_nbd_part_ready(part);
		}
	}
}
