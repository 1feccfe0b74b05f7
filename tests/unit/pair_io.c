/* pair_io.c - devices with a volatile cache, and a line of ordered streams. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/line/wire.h"
#include "tests/unit/pair_private.h"

#define SECTOR 512u

/* ---- devices ------------------------------------------------------------- */

static struct pair_device *device(struct pair *p, uint32_t site,
				  const struct mirror_io *io)
{
	return io->device == MIRROR_IO_LOG ? &p->site[site].log :
					     &p->site[site].disk[io->device];
}

static void put(struct pair_device *d, uint64_t at, const void *from, uint64_t length)
{
	if (from != NULL)
		memcpy(d->now + at, from, length);
	else
		memset(d->now + at, 0, length);
	memset(d->dirty + at / SECTOR, 1, (length + SECTOR - 1) / SECTOR);
}

static void apply(struct pair_device *d, struct mirror_io *io)
{
	uint64_t at = io->offset_bytes;

	ck_assert_uint_le(io->offset_bytes + io->length_bytes, d->bytes);
	ck_assert_uint_eq(io->offset_bytes % SECTOR, 0);
	if (io->op == MIRROR_IO_ZERO || io->op == MIRROR_IO_TRIM)
		put(d, at, NULL, io->length_bytes);
	for (uint32_t i = 0; i < io->iov_count; i++) {
		if (io->op == MIRROR_IO_READ)
			memcpy(io->iov[i].iov_base, d->now + at, io->iov[i].iov_len);
		else
			put(d, at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
}

static bool device_fails(struct pair_device *d, const struct mirror_io *io)
{
	if (d->fail == 0 || (d->fail_ops != 0 && (d->fail_ops >> io->op & 1) == 0))
		return false;
	if (d->fail_to != 0 &&
	    (io->op == MIRROR_IO_FLUSH || io->offset_bytes >= d->fail_to ||
	     io->offset_bytes < d->fail_from))
		return false;
	if (d->fail_after > 0) {
		d->fail_after--;
		return false;
	}
	return true;
}

static void finish_io(struct pair *p, uint32_t site, uint32_t number)
{
	struct pair_site *s = &p->site[site];
	struct mirror_io *io = s->io[number];
	struct pair_device *d = device(p, site, io);
	struct mirror_event e = { .type = MIRROR_EVENT_IO, .io = io };

	s->io[number] = s->io[--s->io_count];
	io->next = NULL;
	if (device_fails(d, io)) {
		io->result = d->fail;
	} else if (io->op == MIRROR_IO_FLUSH) {
		for (uint64_t i = 0; i < d->bytes / SECTOR; i++)
			if (d->dirty[i] != 0)
				memcpy(d->stable + i * SECTOR, d->now + i * SECTOR,
				       SECTOR);
		memset(d->dirty, 0, d->bytes / SECTOR);
	} else {
		apply(d, io);
	}
	pair_step(p, site, &e);
}

/* One operation of the site ends, any one. False: none can. */
bool pair_finish_some_io(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];
	const uint32_t first = s->io_count > 0 ? (uint32_t)pair_random(p, s->io_count) :
						 0;

	for (uint32_t i = 0; i < s->io_count; i++) {
		const uint32_t number = (first + i) % s->io_count;
		const struct pair_device *d = device(p, site, s->io[number]);

		if (d->stuck || (d->no_flush && s->io[number]->op == MIRROR_IO_FLUSH) ||
		    (d->slow > 0 && pair_random(p, d->slow) != 0))
			continue;
		finish_io(p, site, number);
		return true;
	}
	return false;
}

/* The process died with this under way: some sectors of it are there. */
void pair_tear_io(struct pair *p, uint32_t site, struct mirror_io *io)
{
	struct pair_device *d = device(p, site, io);
	uint64_t at = io->offset_bytes;

	if (io->op == MIRROR_IO_ZERO || io->op == MIRROR_IO_TRIM)
		for (uint64_t done = 0; done < io->length_bytes; done += SECTOR)
			if (pair_random(p, 2) == 0)
				put(d, at + done, NULL, SECTOR);
	if (io->op != MIRROR_IO_WRITE)
		return;
	for (uint32_t i = 0; i < io->iov_count; i++) {
		for (uint64_t done = 0; done < io->iov[i].iov_len; done += SECTOR)
			if (pair_random(p, 2) == 0)
				put(d, at + done, (uint8_t *)io->iov[i].iov_base + done,
				    SECTOR);
		at += io->iov[i].iov_len;
	}
}

void pair_power_cut(struct pair *p, struct pair_device *d)
{
	for (uint64_t i = 0; i < d->bytes / SECTOR; i++) {
		if (d->dirty[i] == 0)
			continue;
		if (pair_random(p, 2) == 0)
			memcpy(d->now + i * SECTOR, d->stable + i * SECTOR, SECTOR);
		memcpy(d->stable + i * SECTOR, d->now + i * SECTOR, SECTOR);
		d->dirty[i] = 0;
	}
}

/* ---- the line ------------------------------------------------------------ */

struct parcel {
	struct parcel *next;
	struct mirror_frame *frame; /* NULL once its sender is gone */
	uint32_t from;
	uint32_t head_bytes, data_bytes;
	uint8_t bytes[];
};

struct end {
	uint32_t site, link;
	bool told_up, told_down;
	struct parcel *head, *tail; /* on their way to this end */
};

struct pair_connection {
	struct pair_connection *next;
	struct end end[2]; /* 0: the side that connected */
	bool closed;
};

static struct end *end_of(struct pair *p, uint32_t site, uint32_t link,
			  struct pair_connection **of)
{
	for (struct pair_connection *c = p->connections; c != NULL; c = c->next)
		for (uint32_t i = 0; i < 2; i++)
			if (c->end[i].site == site && c->end[i].link == link &&
			    !c->end[i].told_down) {
				*of = c;
				return &c->end[i];
			}
	return NULL;
}

void pair_connect(struct pair *p, uint32_t site, uint32_t link, uint32_t to)
{
	struct pair_connection *c = calloc(1, sizeof *c), *other;
	uint32_t number = MIRROR_LINK_COUNT_MAX / 2;

	while (number < MIRROR_LINK_COUNT_MAX && end_of(p, to, number, &other) != NULL)
		number++;
	c->end[0] = (struct end){ .site = site, .link = link };
	c->end[1] = (struct end){ .site = to, .link = number };
	if (p->cut[site] || p->cut[to] || !p->site[to].up ||
	    number == MIRROR_LINK_COUNT_MAX) {
		c->closed = true;
		c->end[1].told_down = true;
	}
	c->next = p->connections;
	p->connections = c;
}

void pair_hang_up(struct pair *p, uint32_t site, uint32_t link)
{
	struct pair_connection *c;

	if (end_of(p, site, link, &c) != NULL)
		c->closed = true;
}

/* A frame has left, or never will: its sender is told, later. */
static void parcel_gone(struct pair *p, struct parcel *parcel)
{
	struct pair_site *s = &p->site[parcel->from];

	if (parcel->frame != NULL)
		s->sent[s->sent_count++] = (struct mirror_event){
			.type = MIRROR_EVENT_SENT,
			.frame = parcel->frame,
		};
	free(parcel);
}

static void drop_parcels(struct pair *p, struct end *e)
{
	while (e->head != NULL) {
		struct parcel *gone = e->head;

		e->head = gone->next;
		parcel_gone(p, gone);
	}
	e->tail = NULL;
}

void pair_drop_connections(struct pair *p, uint32_t site)
{
	for (struct pair_connection *c = p->connections; c != NULL; c = c->next)
		for (uint32_t i = 0; i < 2; i++)
			if (c->end[i].site == site) {
				c->closed = true;
				c->end[i].told_down = true;
				for (struct parcel *f = c->end[1 - i].head; f != NULL;
				     f = f->next)
					f->frame = NULL;
			}
}

void pair_send(struct pair *p, uint32_t site, struct mirror_frame *f)
{
	struct pair_connection *c;
	struct end *mine = end_of(p, site, f->link, &c);

	if (mine != NULL && !c->closed) {
		struct end *other = mine == &c->end[0] ? &c->end[1] : &c->end[0];
		struct parcel *parcel = malloc(sizeof *parcel + f->head_bytes +
					       f->data_bytes);

		parcel->next = NULL;
		parcel->frame = f;
		parcel->from = site;
		parcel->head_bytes = f->head_bytes;
		parcel->data_bytes = f->data_bytes;
		memcpy(parcel->bytes, f->head, f->head_bytes);
		if (f->data_bytes > 0)
			memcpy(parcel->bytes + f->head_bytes, f->data, f->data_bytes);
		if (other->tail != NULL)
			other->tail->next = parcel;
		else
			other->head = parcel;
		other->tail = parcel;
	} else {
		p->site[site].sent[p->site[site].sent_count++] = (struct mirror_event){
			.type = MIRROR_EVENT_SENT,
			.frame = f,
		};
	}
}

/* Frames that have left: told one by one, later than the step that sent them. */
static bool tell_sent(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];

	if (s->sent_count == 0 || !s->up)
		return false;
	struct mirror_event e = s->sent[0];

	s->sent_count--;
	memmove(&s->sent[0], &s->sent[1], s->sent_count * sizeof e);
	pair_step(p, site, &e);
	return true;
}

/* A frame that passed every CRC and is wrong all the same. */
static void garble(struct pair *p, struct parcel *parcel, struct mirror_received *r)
{
	uint8_t *body = parcel->bytes + MIRROR_WIRE_HEADER_BYTES;

	if (p->garble_one_in == 0 || pair_random(p, p->garble_one_in) != 0)
		return;
	if (pair_random(p, 4) == 0)
		r->type = (uint16_t)(1 + pair_random(p, 16));
	else if (pair_random(p, 4) == 0 && r->body_bytes > 0)
		r->body_bytes = (uint32_t)pair_random(p, r->body_bytes);
	for (uint64_t i = pair_random(p, 4); i > 0 && r->body_bytes > 0; i--)
		body[pair_random(p, r->body_bytes)] ^= (uint8_t)(1 << pair_random(p, 8));
}

static bool deliver_parcel(struct pair *p, struct end *to)
{
	struct mirror_engine *m = p->site[to->site].engine;
	struct parcel *parcel = to->head;
	struct mirror_received r = { .link = to->link };
	struct mirror_event e = { .type = MIRROR_EVENT_RECEIVED, .received = &r };
	struct mirror_wire_header h;

	if (!mirror_engine_takes_frames(m, to->link))
		return false;
	if (parcel->data_bytes > 0) {
		r.data = mirror_pool_get(mirror_engine_pool(m), parcel->data_bytes);
		if (r.data == NULL)
			return false;
		memcpy(r.data, parcel->bytes + parcel->head_bytes, parcel->data_bytes);
	}
	ck_assert_int_eq(mirror_wire_decode_header(parcel->bytes, &h), 0);
	r.type = h.type;
	r.body = parcel->bytes + MIRROR_WIRE_HEADER_BYTES;
	r.body_bytes = h.body_bytes;
	r.data_bytes = parcel->data_bytes;
	to->head = parcel->next;
	if (to->head == NULL)
		to->tail = NULL;
	garble(p, parcel, &r);
	pair_step(p, to->site, &e);
	parcel_gone(p, parcel);
	return true;
}

static bool deliver_end(struct pair *p, struct pair_connection *c, uint32_t i)
{
	struct end *end = &c->end[i];
	struct mirror_event e = { 0 };

	if (end->told_down || !p->site[end->site].up)
		return false;
	e.link.link = end->link;
	e.link.accepted = i == 1;
	e.link.text = "the line was cut";
	if (!end->told_up && (!c->closed || i == 1)) {
		end->told_up = true;
		e.type = MIRROR_EVENT_LINK_UP;
		pair_step(p, end->site, &e);
		return true;
	}
	if (end->head != NULL && (p->slow >> end->site & 1) != 0 &&
	    pair_random(p, 16) != 0)
		return true;
	if (end->head != NULL && !c->closed && (i == 1 || c->end[1].told_up))
		return deliver_parcel(p, end);
	if (!c->closed)
		return false;
	drop_parcels(p, &c->end[0]);
	drop_parcels(p, &c->end[1]);
	if (tell_sent(p, end->site))
		return true; /* before the end of their link */
	end->told_down = true;
	e.type = MIRROR_EVENT_LINK_DOWN;
	pair_step(p, end->site, &e);
	return true;
}

void pair_sweep(struct pair *p)
{
	struct pair_connection **at = &p->connections;

	while (*at != NULL) {
		struct pair_connection *c = *at;

		if (c->end[0].told_down && c->end[1].told_down) {
			*at = c->next;
			drop_parcels(p, &c->end[0]);
			drop_parcels(p, &c->end[1]);
			free(c);
		} else {
			at = &c->next;
		}
	}
}

bool pair_deliver(struct pair *p)
{
	const uint64_t first = pair_random(p, 8);
	uint64_t n = 0;

	pair_sweep(p);
	for (uint32_t i = 0; i < p->site_count; i++)
		if (tell_sent(p, i))
			return true;
	for (uint32_t round = 0; round < 2; round++) {
		n = 0;
		for (struct pair_connection *c = p->connections; c != NULL; c = c->next) {
			if (p->cut[c->end[0].site] || p->cut[c->end[1].site])
				c->closed = true;
			for (uint32_t i = 0; i < 2; i++)
				if ((round == 1 || n++ >= first) && deliver_end(p, c, i))
					return true;
		}
	}
	return false;
}
