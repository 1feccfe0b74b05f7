/* ring.c - Corosync as the members see it: extended virtual synchrony and votes.
 *
 * Those that stay together agree on the messages delivered in the old ring, then get the
 * same change, then go on. A message that was sent and not ordered yet is ordered in the new
 * ring, or is lost with its sender. A message may have reached a part of the old ring
 * only, when the parts do not stay together.
 *
 * Source: L. E. Moser et al., "Extended Virtual Synchrony" (1994); corosync's
 * cpg_overview(3) and votequorum(5).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define REASON_JOIN 1u
#define REASON_NODEDOWN 3u
#define REASON_NODEUP 4u
#define REASON_PROCDOWN 5u

/* ---- queues --------------------------------------------------------------- */

static struct sim_item *item_new(int type)
{
	struct sim_item *i = calloc(1, sizeof *i);

	assert(i != NULL);
	i->type = type;
	return i;
}

static void item_free(struct sim_item *i)
{
	free(i->data);
	free(i);
}

static void push(struct sim_queue *q, struct sim_item *i)
{
	i->next = NULL;
	if (q->tail != NULL)
		q->tail->next = i;
	else
		q->head = i;
	q->tail = i;
}

static struct sim_item *pop(struct sim_queue *q)
{
	struct sim_item *i = q->head;

	q->head = i->next;
	if (q->head == NULL)
		q->tail = NULL;
	return i;
}

void sim_queue_empty(struct sim_queue *q)
{
	while (q->head != NULL)
		item_free(pop(q));
}

/* Put it at the end of the queue, due soon; and have it looked at then. */
static void push_due(struct sim *w, struct sim_queue *q, struct sim_item *i,
		     enum sim_event_type type, uint32_t node)
{
	const uint64_t due = sim_soon(w, w->plan.cpg_us);

	q->due_ns = due > q->due_ns ? due : q->due_ns;
	i->due_ns = q->due_ns;
	push(q, i);
	sim_at(w, i->due_ns, type, node, 0, NULL);
}

/* ---- sending ---------------------------------------------------------------- */

void sim_multicast(struct sim *w, uint32_t node, const uint8_t *data, size_t length)
{
	struct sim_item *i = item_new(SIM_ITEM_MESSAGE);

	i->nodeid = node + 1;
	i->pid = w->node[node].pid;
	i->length = length;
	i->data = malloc(length);
	assert(i->data != NULL);
	memcpy(i->data, data, length);
	push_due(w, &w->node[node].out, i, SIM_SEND, node);
}

/* The token comes by: messages that are due get their places in the ring's order. */
void sim_order_out(struct sim *w, uint32_t node)
{
	struct sim_node *from = &w->node[node];

	while (from->out.head != NULL && from->out.head->due_ns <= w->now_ns) {
		struct sim_item *i = pop(&from->out);

		w->ordinal++;
		w->count.messages++;
		for (uint32_t n = 0; n < w->node_count; n++) {
			struct sim_item *copy;

			if (!w->node[n].running || w->node[n].ring != from->ring)
				continue;
			copy = item_new(SIM_ITEM_MESSAGE);
			copy->ring = from->ring;
			copy->ordinal = w->ordinal;
			copy->nodeid = i->nodeid;
			copy->pid = i->pid;
			copy->length = i->length;
			copy->data = malloc(i->length);
			assert(copy->data != NULL);
			memcpy(copy->data, i->data, i->length);
			push_due(w, &w->node[n].inbox, copy, SIM_INBOX, n);
		}
		item_free(i);
	}
}

/* ---- receiving ---------------------------------------------------------------- */

static void take(struct sim *w, uint32_t node, const struct sim_item *i)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_MESSAGE };

	switch (i->type) {
	case SIM_ITEM_MESSAGE:
		w->node[node].delivered = i->ordinal;
		e.message.nodeid = i->nodeid;
		e.message.pid = i->pid;
		e.message.data = i->data;
		e.message.length = i->length;
		break;
	case SIM_ITEM_CONFCHG:
		e.type = CLUSTER_EVENT_CONFCHG;
		e.confchg.members = i->members;
		e.confchg.left = i->left;
		e.confchg.joined = i->joined;
		e.confchg.member_count = i->member_count;
		e.confchg.left_count = i->left_count;
		e.confchg.joined_count = i->joined_count;
		break;
	case SIM_ITEM_QUORUM:
		e.type = CLUSTER_EVENT_QUORUM;
		e.quorate = i->quorate;
		break;
	}
	sim_cluster_step(w, node, &e);
}

/* The oldest that may be handed over: with its news late, the quorum's comes later. */
static struct sim_item *next(struct sim *w, uint32_t node)
{
	struct sim_queue *q = &w->node[node].inbox;
	struct sim_item *i = q->head, *before = NULL;

	while ((w->node[node].held >> SIM_HOLD_QUORUM & 1) != 0 && i != NULL &&
	       i->type == SIM_ITEM_QUORUM) {
		before = i;
		i = i->next;
	}
	if (i == NULL || i->due_ns > w->now_ns)
		return NULL; /* it went back to its sender */
	if (before == NULL)
		return pop(q);
	before->next = i->next;
	if (q->tail == i)
		q->tail = before;
	return i;
}

void sim_inbox(struct sim *w, uint32_t node)
{
	struct sim_item *i = next(w, node);

	if (i == NULL)
		return;
	take(w, node, i);
	item_free(i);
}

/* ---- rings ----------------------------------------------------------------------- */

static bool listed(const struct cluster_address *list, uint32_t count,
		   const struct cluster_address *a)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].nodeid == a->nodeid && list[i].pid == a->pid)
			return true;
	return false;
}

static bool stays(const struct sim *w, uint32_t node, uint64_t ring, uint32_t component)
{
	const struct sim_node *n = &w->node[node];

	return n->running && n->ring == ring && n->component == component;
}

/* Messages of `at`'s inbox that the others that stay do not get are taken out: back to the
 * sender, if that is one of them (`back`), or they are lost. */
static void settle_inbox(struct sim *w, uint32_t at, uint64_t ring, uint64_t cutoff,
			 struct sim_queue *back)
{
	struct sim_node *n = &w->node[at];
	struct sim_queue kept = { .due_ns = n->inbox.due_ns };

	while (n->inbox.head != NULL) {
		struct sim_item *i = pop(&n->inbox);
		const uint32_t from = i->nodeid - 1;

		if (i->type != SIM_ITEM_MESSAGE || i->ring != ring ||
		    i->ordinal <= cutoff)
			push(&kept, i);
		else if (back != NULL && w->node[from].pid == i->pid &&
			 stays(w, from, ring, n->component))
			push(&back[from], i);
		else
			item_free(i);
	}
	n->inbox = kept;
}

/* Some of an old ring have got messages that others have not: those that stay together agree
 * on them. The rest goes back to the sender, if it is among them. */
static void settle(struct sim *w, uint64_t ring, uint32_t component)
{
	struct sim_queue back[SIM_NODES_MAX] = { 0 };
	uint64_t low = 0, cutoff;
	bool first = true;

	for (uint32_t n = 0; n < w->node_count; n++)
		if (stays(w, n, ring, component) && w->node[n].delivered > low)
			low = w->node[n].delivered;
	cutoff = w->worst ? low : low + sim_random(w, w->ordinal - low + 1);
	for (uint32_t n = 0; n < w->node_count; n++)
		if (stays(w, n, ring, component)) {
			settle_inbox(w, n, ring, cutoff, first ? back : NULL);
			first = false;
		}
	for (uint32_t n = 0; n < w->node_count; n++) {
		struct sim_queue *out = &w->node[n].out;

		if (back[n].head == NULL)
			continue;
		while (out->head != NULL)
			push(&back[n], pop(out));
		out->head = back[n].head;
		out->tail = back[n].tail;
		sim_at(w, out->due_ns > w->now_ns ? out->due_ns : w->now_ns, SIM_SEND, n,
		       0, NULL);
	}
}

static void tell_quorum(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	struct sim_item *i;
	uint32_t votes = 0;
	bool quorate;

	for (uint32_t k = 0; k < w->node_count; k++)
		if (w->node[k].machine && w->node[k].component == n->component)
			votes++;
	quorate = votes >= w->votes_needed;
	if (quorate == n->quorate_told)
		return;
	n->quorate_told = quorate;
	i = item_new(SIM_ITEM_QUORUM);
	i->quorate = quorate;
	push_due(w, &n->inbox, i, SIM_INBOX, node);
}

static uint32_t reason_gone(const struct sim *w, uint32_t node, uint32_t nodeid)
{
	const struct sim_node *gone = &w->node[nodeid - 1];

	return gone->machine && gone->component == w->node[node].component ?
		       REASON_PROCDOWN :
		       REASON_NODEDOWN;
}

static void tell_ring(struct sim *w, uint32_t node, const struct cluster_address *list,
		      uint32_t count)
{
	struct sim_node *n = &w->node[node];
	struct sim_item *i = item_new(SIM_ITEM_CONFCHG);

	for (uint32_t k = 0; k < n->list_count; k++)
		if (!listed(list, count, &n->list[k])) {
			i->left[i->left_count] = n->list[k];
			i->left[i->left_count++].reason = reason_gone(w, node,
								      n->list[k].nodeid);
		}
	for (uint32_t k = 0; k < count; k++) {
		i->members[i->member_count++] = list[k];
		if (listed(n->list, n->list_count, &list[k]) ||
		    (n->list_count == 0 && list[k].nodeid != node + 1))
			continue;
		i->joined[i->joined_count] = list[k];
		i->joined[i->joined_count++].reason = w->node[list[k].nodeid - 1].ring ==
								      0 ?
							      REASON_JOIN :
							      REASON_NODEUP;
	}
	memcpy(n->list, list, count * sizeof list[0]);
	n->list_count = count;
	push_due(w, &n->inbox, i, SIM_INBOX, node);
}

static bool is_as_told(const struct sim *w, const struct cluster_address *list,
		       uint32_t count)
{
	for (uint32_t k = 0; k < count; k++) {
		const struct sim_node *n = &w->node[list[k].nodeid - 1];

		if (n->list_count != count)
			return false;
		for (uint32_t j = 0; j < count; j++)
			if (!listed(n->list, n->list_count, &list[j]))
				return false;
	}
	return true;
}

static void reform_component(struct sim *w, uint32_t component)
{
	struct cluster_address list[SIM_NODES_MAX];
	uint32_t count = 0;

	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running && w->node[n].component == component)
			list[count++] = (struct cluster_address){
				.nodeid = n + 1,
				.pid = w->node[n].pid,
			};
	if (is_as_told(w, list, count))
		return;
	for (uint32_t k = 0; k < count; k++)
		if (w->node[list[k].nodeid - 1].ring != 0)
			settle(w, w->node[list[k].nodeid - 1].ring, component);
	for (uint32_t k = 0; k < count; k++)
		tell_ring(w, list[k].nodeid - 1, list, count);
	w->ring_count++;
	for (uint32_t k = 0; k < count; k++)
		w->node[list[k].nodeid - 1].ring = w->ring_count;
}

/* Processes or the network changed: new rings, told to their members. */
void sim_reform(struct sim *w)
{
	if (w->plan.alone)
		return; /* no members, no ring */
	for (uint32_t c = 0; c <= 2 * SIM_NODES_MAX; c++)
		reform_component(w, c);
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running)
			tell_quorum(w, n);
}

/* ---- the network --------------------------------------------------------------------- */

void sim_away(struct sim *w, uint32_t node, bool away)
{
	struct sim_node *n = &w->node[node];

	if (away && (!n->running || w->now_ns >= n->frozen_until_ns))
		return;
	n->away = away;
	n->component = away ? SIM_NODES_MAX + 1 + node : n->part;
	sim_reform(w);
}

void sim_part(struct sim *w, uint64_t mask, bool members, bool lines)
{
	uint32_t part[SIM_NODES_MAX];

	for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
		part[i] = (uint32_t)(mask >> i & 1);
	sim_part_into(w, part, members, lines);
}

void sim_part_into(struct sim *w, const uint32_t *part, bool members, bool lines)
{
	for (uint32_t i = 0; i < w->node_count; i++) {
		struct sim_node *n = &w->node[i];

		if (members) {
			n->part = part[i];
			n->component = n->away ? SIM_NODES_MAX + 1 + i : n->part;
		}
		if (lines)
			n->line = part[i];
	}
	if (members)
		sim_reform(w);
}
