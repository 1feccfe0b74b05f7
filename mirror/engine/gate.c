/* engine/gate.c - see engine/gate.h. The numbers are the boxes in the figures of paper 000
 * (docs/sources.md).
 *
 *   state         arrive, same group  arrive, later group    last done
 *   idle          start (106-112)     start (106-112,        (impossible)
 *                                     132-138)
 *   in progress   start (118, 120)    hold (142)             idle (161), or start
 *                                                            oldest held (162-166)
 *   mixed         hold                hold                   as in progress
 *
 * "Mixed": groups went together until a moment ago and several of them are
 * under way. Nothing joins them; the order begins again when they are done.
 * Groups may go together from every state: then every arrival starts.
 */
#include "mirror/engine/gate.h"

#include <assert.h>
#include <errno.h>

void mirror_gate_init(struct mirror_gate *g, struct mirror_group_number last,
		      uint32_t held_count_max)
{
	assert(held_count_max > 0);

	*g = (struct mirror_gate){
		.current = last,
		.newest = last,
		.held_count_max = held_count_max,
	};
	mirror_gate_check(g);
}

static int compare(const struct mirror_header *h, struct mirror_group_number number)
{
	return mirror_group_number_compare(mirror_group_number_of(h), number);
}

static bool may_start(const struct mirror_gate *g, const struct mirror_header *h)
{
	if (!mirror_gate_in_progress(g) || g->together)
		return true;
	return !g->mixed && compare(h, g->current) == 0;
}

static void start(struct mirror_gate *g, struct mirror_record *r,
		  struct mirror_record_queue *issue)
{
	assert(may_start(g, &r->header));

	if (mirror_gate_in_progress(g) && compare(&r->header, g->current) != 0)
		g->mixed = true;
	g->current = mirror_group_number_of(&r->header);
	g->outstanding_count++;
	mirror_record_push(issue, r);
}

/* Start held records for as long as the gate lets them. Each released record is treated
 * as a new one (166): the first of a group starts it, the others join it, and the first
 * of the next group ends this. */
static void release(struct mirror_gate *g, struct mirror_record_queue *issue)
{
	while (g->hold.head != NULL && may_start(g, &g->hold.head->header)) {
		g->held_count--;
		start(g, mirror_record_pop(&g->hold), issue);
	}
}

int mirror_gate_arrive(struct mirror_gate *g, struct mirror_record *r,
		       struct mirror_record_queue *issue)
{
	/* The number came over the wire: an error to report, not to assert. */
	if (r->header.group == 0 || compare(&r->header, g->newest) < 0)
		return -EPROTO;

	if (!mirror_header_changes(&r->header)) {
		/* Noted below; it has nothing to start or hold. */
	} else if (may_start(g, &r->header)) {
		start(g, r, issue);
	} else {
		if (g->held_count == g->held_count_max)
			return -ENOBUFS;
		g->held_count++;
		mirror_record_push(&g->hold, r);
	}
	g->newest = mirror_group_number_of(&r->header);
	mirror_gate_check(g);
	return 0;
}

void mirror_gate_done(struct mirror_gate *g, const struct mirror_record *r,
		      struct mirror_record_queue *issue)
{
	const int age = compare(&r->header, g->current);

	assert(mirror_gate_in_progress(g));
	assert(g->mixed ? age <= 0 : age == 0);

	g->outstanding_count--;
	if (!mirror_gate_in_progress(g)) {
		g->mixed = false;
		release(g, issue);
	}
	mirror_gate_check(g);
}

void mirror_gate_set_together(struct mirror_gate *g, bool together,
			      struct mirror_record_queue *issue)
{
	g->together = together;
	release(g, issue);
	mirror_gate_check(g);
}

void mirror_gate_drop(struct mirror_gate *g, struct mirror_record_queue *dropped)
{
	struct mirror_record *r;

	while ((r = mirror_record_pop(&g->hold)) != NULL) {
		g->held_count--;
		mirror_record_push(dropped, r);
	}
	g->newest = g->current;
	mirror_gate_check(g);
}

void mirror_gate_check(const struct mirror_gate *g)
{
	assert(mirror_group_number_compare(g->current, g->newest) <= 0);
	assert(g->held_count <= g->held_count_max);
	assert((g->held_count == 0) == (g->hold.head == NULL));
	assert(!g->mixed || mirror_gate_in_progress(g));
	if (g->held_count > 0) {
		const struct mirror_header *first = &g->hold.head->header;
		const struct mirror_header *last = &g->hold.tail->header;

		assert(mirror_gate_in_progress(g) && !g->together);
		assert(compare(first, g->current) >= (g->mixed ? 0 : 1));
		assert(compare(last, g->newest) <= 0);
	}
}
