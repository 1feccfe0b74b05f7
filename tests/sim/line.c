/* line.c - the lines between the sites: ordered streams of frames that delay, stall
 * and are reset with any suffix lost. A line that is cut says nothing: frames that were on
 * their way arrive after the heal, unless one side lost its patience before.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/test_view.h"
#include "mirror/line/wire.h"
#include "tests/sim/sim.h"

#define POLL_NS (20 * SIM_MS) /* of a line that is cut, or of a receiver that is full */

static struct sim_connection *find(struct sim *w, uint64_t id)
{
	struct sim_connection *c = w->connections;

	while (c != NULL && c->id != id)
		c = c->next;
	return c;
}

static struct sim_end *end_of(struct sim *w, uint32_t node, uint32_t link,
			      struct sim_connection **of)
{
	for (struct sim_connection *c = w->connections; c != NULL; c = c->next)
		for (uint32_t i = 0; i < 2; i++)
			if (c->end[i].node == node && c->end[i].link == link &&
			    c->end[i].process == w->node[node].process &&
			    !c->end[i].told_down) {
				*of = c;
				return &c->end[i];
			}
	return NULL;
}

static bool is_cut(const struct sim *w, const struct sim_connection *c)
{
	const struct sim_node *a = &w->node[c->end[0].node],
			      *b = &w->node[c->end[1].node];

	return !a->machine || !b->machine || a->line != b->line;
}

static bool lives(const struct sim *w, const struct sim_end *e)
{
	const struct sim_node *n = &w->node[e->node];

	return n->running && n->process == e->process;
}

static void look_at(struct sim *w, const struct sim_connection *c, uint32_t end,
		    uint64_t at_ns)
{
	sim_at(w, at_ns, SIM_LINE, c->end[end].node, c->id << 1 | end, NULL);
}

/* ---- frames ------------------------------------------------------------------ */

/* Its sender gets the frame back. */
static void parcel_left(struct sim *w, const struct sim_end *sender, struct sim_parcel *p)
{
	if (p->frame != NULL && lives(w, sender))
		sim_at(w, w->now_ns, SIM_SENT, sender->node, 0, p->frame);
	p->frame = NULL;
}

static void drop_parcels(struct sim *w, struct sim_connection *c, uint32_t to)
{
	struct sim_end *e = &c->end[to];

	while (e->head != NULL) {
		struct sim_parcel *p = e->head;

		e->head = p->next;
		parcel_left(w, &c->end[1 - to], p);
		free(p);
	}
	e->tail = NULL;
}

void sim_frame_send(struct sim *w, uint32_t node, struct mirror_frame *f)
{
	struct sim_connection *c;
	struct sim_end *mine = end_of(w, node, f->link, &c), *other;
	struct sim_parcel *p;
	uint64_t due;

	w->count.frames++;
	if (mine == NULL || c->closed) {
		sim_at(w, w->now_ns, SIM_SENT, node, 0, f);
		return;
	}
	other = mine == &c->end[0] ? &c->end[1] : &c->end[0];
	p = malloc(sizeof *p + f->head_bytes + f->data_bytes);
	assert(p != NULL);
	*p = (struct sim_parcel){
		.frame = f,
		.head_bytes = f->head_bytes,
		.data_bytes = f->data_bytes,
	};
	memcpy(p->bytes, f->head, f->head_bytes);
	if (f->data_bytes > 0)
		memcpy(p->bytes + f->head_bytes, f->data, f->data_bytes);
	due = sim_soon(w, w->plan.line_us);
	if (f->data_bytes > 0)
		other->due_ns += (other->due_ns > w->now_ns) * w->plan.record_us * SIM_US;
	other->due_ns = due > other->due_ns ? due : other->due_ns;
	p->due_ns = other->due_ns;
	if (other->tail != NULL)
		other->tail->next = p;
	else
		other->head = p;
	other->tail = p;
	/* The system has taken it; else when it arrives, as on a thin line. */
	if (sim_random(w, 2) == 0 && w->plan.record_us == 0)
		parcel_left(w, mine, p);
	look_at(w, c, (uint32_t)(other - c->end), p->due_ns);
}

/* ---- records of another time ---------------------------------------------------- */

static bool read_record(const struct mirror_view *m, const struct sim_parcel *p,
			struct mirror_header *h)
{
	struct mirror_wire_header head;

	return mirror_wire_decode_header(p->bytes, &head) == 0 &&
	       head.type == MIRROR_FRAME_RECORD &&
	       mirror_wire_decode_record(p->bytes + MIRROR_WIRE_HEADER_BYTES,
					 head.body_bytes, p->bytes + p->head_bytes,
					 p->data_bytes, &m->sb->mirror, &m->sb->disks,
					 h) == 0;
}

/* It takes the place of the oldest of the newer half, or of any of the others. */
static void keep_stale(struct sim *w, const struct sim_parcel *p,
		       const struct mirror_header *h)
{
	const size_t bytes = sizeof *p + p->head_bytes + p->data_bytes;
	const uint64_t half = SIM_STALE_MAX / 2;
	const uint64_t at = ++w->stale_count % 8 != 0 ?
				    w->stale_count % half :
				    half + sim_random_below(&w->stale_random, half);

	free(w->stale[at].parcel);
	w->stale[at].parcel = malloc(bytes);
	assert(w->stale[at].parcel != NULL);
	memcpy(w->stale[at].parcel, p, bytes);
	w->stale[at].generation = h->generation;
	w->stale[at].sequence = h->sequence;
}

/* A record to be delivered instead of `p`: one of another generation that is next by
 * its sequence whenever there is one, any one now and then; else NULL. `sequence`: its. */
static struct sim_parcel *find_stale(struct sim *w, const struct mirror_view *m,
				     const struct sim_parcel *p, uint64_t *sequence)
{
	struct mirror_header real;
	uint64_t found = SIM_STALE_MAX;

	if (w->plan.stale_one_in == 0 || w->settling || m->map == NULL ||
	    !read_record(m, p, &real))
		return NULL;
	for (uint64_t i = 0; i < SIM_STALE_MAX; i++)
		if (w->stale[i].generation != real.generation &&
		    w->stale[i].sequence == real.sequence)
			found = i;
	if (found == SIM_STALE_MAX &&
	    sim_random_below(&w->stale_random, w->plan.stale_one_in) == 0)
		found = sim_random_below(&w->stale_random, SIM_STALE_MAX);
	if (found == SIM_STALE_MAX || w->stale[found].parcel == NULL ||
	    (w->stale[found].sequence == real.sequence &&
	     w->stale[found].generation == real.generation)) {
		keep_stale(w, p, &real);
		return NULL;
	}
	*sequence = w->stale[found].sequence;
	w->stale[found].sequence = 0; /* no better than any other from now on */
	return w->stale[found].parcel;
}

/* It was refused: nothing of it is among the receiver's records. */
static void check_stale(struct sim *w, uint32_t node, uint64_t sequence, uint64_t before)
{
	if (sequence > before && sim_view(w, node)->marks->last >= sequence)
		sim_violate(w, "G8", "n%u takes a record of another time, sequence %llu",
			    node + 1, (unsigned long long)sequence);
}

/* False: the receiver has no buffer for it now. */
static bool open_parcel(struct mirror_engine *engine, const struct sim_parcel *p,
			struct mirror_received *r)
{
	struct mirror_wire_header h;

	if (p->data_bytes > 0) {
		r->data = mirror_pool_get(mirror_engine_pool(engine), p->data_bytes);
		if (r->data == NULL)
			return false;
		memcpy(r->data, p->bytes + p->head_bytes, p->data_bytes);
	}
	if (mirror_wire_decode_header(p->bytes, &h) != 0)
		abort();
	r->type = h.type;
	r->body = p->bytes + MIRROR_WIRE_HEADER_BYTES;
	r->body_bytes = h.body_bytes;
	r->data_bytes = p->data_bytes;
	return true;
}

/* False: the receiver takes none now. */
static bool deliver(struct sim *w, struct sim_connection *c, uint32_t to)
{
	struct sim_end *e = &c->end[to];
	const struct mirror_view *m = sim_view(w, e->node);
	const uint64_t before = m->marks->last;
	uint64_t sequence = 0;
	struct sim_parcel *p = e->head, *stale;
	struct mirror_received r = { .link = e->link };
	struct mirror_event event = { .type = MIRROR_EVENT_RECEIVED, .received = &r };

	if (!mirror_engine_takes_frames(w->node[e->node].engine, e->link))
		return false;
	stale = find_stale(w, m, p, &sequence);
	if (!open_parcel(w->node[e->node].engine, stale != NULL ? stale : p, &r))
		return false;
	e->head = p->next;
	if (e->head == NULL)
		e->tail = NULL;
	parcel_left(w, &c->end[1 - to], p);
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->received != NULL)
			sim_checkers[i]->received(w, e->node, &r);
	sim_mirror_step(w, e->node, &event);
	check_stale(w, e->node, sequence, before);
	free(p);
	return true;
}

/* ---- connections --------------------------------------------------------------- */

static uint32_t node_at(const struct sim *w, const char *address)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (strcmp(w->config.node[n].address, address) == 0)
			return n;
	abort();
}

void sim_connect(struct sim *w, uint32_t node, const struct mirror_link_order *o)
{
	struct sim_connection *c = calloc(1, sizeof *c), *other;
	const uint32_t to = node_at(w, o->address);
	uint32_t number = MIRROR_LINK_COUNT_MAX / 2;
	uint64_t at = sim_soon(w, w->plan.line_us);

	assert(c != NULL);
	while (number < MIRROR_LINK_COUNT_MAX && end_of(w, to, number, &other) != NULL)
		number++;
	c->id = ++w->connection_count;
	c->patience_ns = (100 + sim_random(w, 15000)) * SIM_MS;
	c->end[0] = (struct sim_end){ .node = node, .link = o->link };
	c->end[1] = (struct sim_end){ .node = to, .link = number };
	c->end[0].process = w->node[node].process;
	c->end[1].process = w->node[to].process;
	if (is_cut(w, c) || !w->node[to].running || number == MIRROR_LINK_COUNT_MAX) {
		c->closed = true;
		c->end[1].told_down = true;
		if (is_cut(w, c))
			at += (1000 + sim_random(w, 2000)) * SIM_MS;
	} else {
		look_at(w, c, 1, at);
	}
	c->next = w->connections;
	w->connections = c;
	look_at(w, c, 0, at + sim_random(w, w->plan.line_us * SIM_US + 1));
}

/* From now on nothing more is delivered; a suffix of the frames under way is lost. */
static void close_now(struct sim *w, struct sim_connection *c)
{
	if (c->closed)
		return;
	c->closed = true;
	for (uint32_t i = 0; i < 2; i++)
		look_at(w, c, i, sim_soon(w, w->plan.line_us));
}

void sim_hang_up(struct sim *w, uint32_t node, uint32_t link)
{
	struct sim_connection *c;

	struct sim_end *e = end_of(w, node, link, &c);

	if (e != NULL) {
		e->hung_up = true;
		close_now(w, c);
	}
}

void sim_lines_drop(struct sim *w, uint32_t node, bool silently)
{
	for (struct sim_connection *c = w->connections; c != NULL; c = c->next)
		for (uint32_t i = 0; i < 2; i++) {
			if (c->end[i].node != node ||
			    c->end[i].process != w->node[node].process)
				continue;
			c->end[i].told_down = true;
			for (struct sim_parcel *p = c->end[1 - i].head; p != NULL;
			     p = p->next)
				p->frame = NULL;
			/* The other end finds out by itself when no system is left
			 * that would tell it. */
			if (!silently)
				close_now(w, c);
			else if (!c->closed)
				look_at(w, c, 1 - i, w->now_ns + c->patience_ns);
		}
}

void sim_lines_reset(struct sim *w)
{
	for (struct sim_connection *c = w->connections; c != NULL; c = c->next)
		close_now(w, c);
}

static void free_connection(struct sim *w, struct sim_connection *gone)
{
	struct sim_connection **at = &w->connections;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	drop_parcels(w, gone, 0);
	drop_parcels(w, gone, 1);
	free(gone);
}

void sim_lines_free(struct sim *w)
{
	while (w->connections != NULL)
		free_connection(w, w->connections);
	for (uint32_t i = 0; i < SIM_STALE_MAX; i++)
		free(w->stale[i].parcel);
}

/* ---- events of an end -------------------------------------------------------------- */

static void tell_up(struct sim *w, struct sim_connection *c, uint32_t end)
{
	struct sim_end *e = &c->end[end];
	struct mirror_event event = { .type = MIRROR_EVENT_LINK_UP };

	e->told_up = true;
	event.link.link = e->link;
	event.link.accepted = end == 1;
	event.link.text = w->config.node[c->end[1 - end].node].name;
	if (e->head != NULL)
		look_at(w, c, end, e->head->due_ns);
	sim_mirror_step(w, e->node, &event);
}

/* The side that closes the line waits for the frames that it had sent before. Without a
 * cluster that matters, since questions are asked; with one they are lost now and then, unless
 * nothing is to go wrong by itself. */
static bool is_orderly(const struct sim *w, const struct sim_connection *c, uint32_t end)
{
	return (w->plan.alone || w->plan.fault_count == 0) && c->end[1 - end].hung_up &&
	       lives(w, &c->end[1 - end]);
}

static void tell_down(struct sim *w, struct sim_connection *c, uint32_t end)
{
	struct sim_end *e = &c->end[end];
	struct mirror_event event = { .type = MIRROR_EVENT_LINK_DOWN };

	/* ours: told before the end of their link */
	if (is_orderly(w, c, 1 - end))
		for (struct sim_parcel *p = c->end[1 - end].head; p != NULL; p = p->next)
			parcel_left(w, e, p);
	else
		drop_parcels(w, c, 1 - end);
	e->told_down = true;
	event.link.link = e->link;
	event.link.text = e->told_up ? "the line was cut" : "no connection";
	sim_trace(w, "n%u link %u down", e->node + 1, e->link);
	sim_mirror_step(w, e->node, &event);
}

/* True: this end has to wait, and will be looked at again. */
static bool is_held(struct sim *w, struct sim_connection *c, uint32_t end)
{
	if (!is_cut(w, c) && lives(w, &c->end[1 - end])) {
		c->cut_since_ns = 0;
		return false;
	}
	if (c->cut_since_ns == 0)
		c->cut_since_ns = w->now_ns;
	if (w->now_ns - c->cut_since_ns >= c->patience_ns) {
		close_now(w, c);
		return true;
	}
	look_at(w, c, end, w->now_ns + POLL_NS);
	return true;
}

/* Is the next frame to this end lost again and again? */
static bool is_too_large(const struct sim *w, const struct sim_connection *c,
			 uint32_t end)
{
	const struct sim_end *e = &c->end[end];
	const uint32_t from = c->end[1 - end].node;
	struct mirror_wire_header h;

	return w->hole[from][e->node] && e->head != NULL && e->head->data_bytes > 0 &&
	       mirror_wire_decode_header(e->head->bytes, &h) == 0 &&
	       h.type == MIRROR_FRAME_RECORD;
}

static void run_end(struct sim *w, struct sim_connection *c, uint32_t end)
{
	struct sim_end *e = &c->end[end];

	if (w->stalled[c->end[1 - end].node][e->node] && !e->hung_up) {
		look_at(w, c, end, w->now_ns + SIM_MS / 2);
		return;
	}
	if (c->closed) {
		/* the system hands over the bytes that had arrived, or not */
		if (e->told_up && e->head != NULL && !w->worst &&
		    (is_orderly(w, c, end) || sim_random(w, 3) != 0) && !is_cut(w, c) &&
		    !is_too_large(w, c, end) && deliver(w, c, end)) {
			look_at(w, c, end, w->now_ns);
			return;
		}
		tell_down(w, c, end);
		return;
	}
	if (is_held(w, c, end))
		return;
	if (!e->told_up) {
		tell_up(w, c, end);
		return;
	}
	if (e->head == NULL || e->head->due_ns > w->now_ns ||
	    (end == 0 && !c->end[1].told_up))
		return;
	if (is_too_large(w, c, end) || !deliver(w, c, end))
		look_at(w, c, end, w->now_ns + SIM_MS / 2);
}

void sim_line_event(struct sim *w, uint64_t id, uint32_t end)
{
	struct sim_connection *c = find(w, id);
	struct sim_end *e;

	if (c == NULL)
		return;
	e = &c->end[end];
	if (lives(w, e) && !e->told_down) {
		const uint64_t frozen = w->node[e->node].frozen_until_ns;

		if (w->now_ns < frozen)
			look_at(w, c, end, frozen);
		else
			run_end(w, c, end);
	}
	c = find(w, id);
	if (c != NULL && c->end[0].told_down && c->end[1].told_down)
		free_connection(w, c);
}
