/* members_ring.c - the rings of the toy cpg: extended virtual synchrony. Members that
 * stay together agree on the messages of the old ring, then get the same change, then
 * go on; a message that was sent but not ordered yet is ordered in the new ring.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/members.h"

#define REASON_JOIN 1u
#define REASON_NODEDOWN 3u
#define REASON_NODEUP 4u
#define REASON_PROCDOWN 5u

/* ---- queues ------------------------------------------------------------------ */

struct members_item *members_item_new(enum members_item_type type, uint64_t due_ns)
{
	struct members_item *i = calloc(1, sizeof *i);

	assert(i != NULL);
	i->type = type;
	i->due_ns = due_ns;
	return i;
}

void members_item_free(struct members_item *i)
{
	free(i->message.data);
	free(i->fact);
	free(i->order);
	free(i);
}

void members_queue_push(struct members_queue *q, struct members_item *i)
{
	i->next = NULL;
	if (q->tail != NULL)
		q->tail->next = i;
	else
		q->head = i;
	q->tail = i;
}

struct members_item *members_queue_pop(struct members_queue *q)
{
	struct members_item *i = q->head;

	q->head = i->next;
	if (q->head == NULL)
		q->tail = NULL;
	return i;
}

void members_queue_empty(struct members_queue *q)
{
	while (q->head != NULL)
		members_item_free(members_queue_pop(q));
}

uint64_t members_soon(struct members *m)
{
	return m->now_ns +
	       random_below(&m->random, m->delay_max_ms + 1) * MEMBERS_NS_PER_MS;
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

/* Messages that reached only a part of an old ring: the members that stay together agree
 * on them; each of the rest goes back to its sender, if that is among them. */
static void settle(struct members *m, uint64_t ring, uint32_t component)
{
	struct members_queue back[MEMBERS_MAX] = { 0 };
	uint64_t low = 0, cutoff;
	bool first = true;

	for (uint32_t n = 0; n < m->node_count; n++)
		if (m->node[n].running && m->node[n].ring == ring &&
		    m->node[n].component == component && m->node[n].delivered > low)
			low = m->node[n].delivered;
	cutoff = low + random_below(&m->random, m->ordinal - low + 1);
	for (uint32_t n = 0; n < m->node_count; n++) {
		struct members_node *at = &m->node[n];
		struct members_queue kept = { 0 };

		if (!at->running || at->ring != ring || at->component != component)
			continue;
		while (at->inbox.head != NULL) {
			struct members_item *i = members_queue_pop(&at->inbox);
			const uint32_t from = i->message.nodeid - 1;

			if (i->type != ITEM_MESSAGE || i->ring != ring ||
			    i->ordinal <= cutoff)
				members_queue_push(&kept, i);
			else if (first && m->node[from].running &&
				 m->node[from].pid == i->message.pid &&
				 m->node[from].component == component)
				members_queue_push(&back[from], i);
			else
				members_item_free(i);
		}
		at->inbox = kept;
		first = false;
	}
	for (uint32_t n = 0; n < m->node_count; n++) {
		while (m->node[n].out.head != NULL)
			members_queue_push(&back[n], members_queue_pop(&m->node[n].out));
		m->node[n].out = back[n];
	}
}

static void tell_quorum(struct members *m, uint32_t node)
{
	uint32_t votes = 0;
	struct members_item *i;
	bool quorate;

	for (uint32_t n = 0; n < m->node_count; n++)
		if (m->node[n].machine && m->node[n].component == m->node[node].component)
			votes++;
	quorate = votes >= m->votes_needed;
	if (quorate == m->node[node].quorate_told)
		return;
	m->node[node].quorate_told = quorate;
	i = members_item_new(ITEM_QUORUM, members_soon(m));
	i->quorate = quorate;
	members_queue_push(&m->node[node].inbox, i);
}

static void tell_ring(struct members *m, uint32_t node,
		      const struct cluster_address *list, uint32_t count)
{
	struct members_node *n = &m->node[node];
	struct members_item *i = members_item_new(ITEM_CONFCHG, members_soon(m));

	for (uint32_t k = 0; k < n->list_count; k++)
		if (!listed(list, count, &n->list[k])) {
			const struct members_node *gone = &m->node[n->list[k].nodeid - 1];

			i->left[i->left_count] = n->list[k];
			i->left[i->left_count++].reason =
				gone->machine && gone->component == n->component ?
					REASON_PROCDOWN :
					REASON_NODEDOWN;
		}
	for (uint32_t k = 0; k < count; k++) {
		const bool self = list[k].nodeid == node + 1;

		i->members[i->member_count++] = list[k];
		if (!listed(n->list, n->list_count, &list[k]) &&
		    (n->list_count > 0 || self)) {
			i->joined[i->joined_count] = list[k];
			i->joined[i->joined_count++].reason =
				m->node[list[k].nodeid - 1].ring == 0 ? REASON_JOIN :
									REASON_NODEUP;
		}
	}
	memcpy(n->list, list, count * sizeof list[0]);
	n->list_count = count;
	members_queue_push(&n->inbox, i);
}

static void reform_component(struct members *m, uint32_t component)
{
	struct cluster_address list[MEMBERS_MAX];
	bool same = true;
	uint32_t count = 0;

	for (uint32_t n = 0; n < m->node_count; n++)
		if (m->node[n].running && m->node[n].component == component)
			list[count++] = (struct cluster_address){
				.nodeid = n + 1,
				.pid = m->node[n].pid,
			};
	for (uint32_t k = 0; k < count; k++) {
		const struct members_node *n = &m->node[list[k].nodeid - 1];

		same &= n->list_count == count;
		for (uint32_t j = 0; j < count; j++)
			same &= listed(n->list, n->list_count, &list[j]);
	}
	if (same)
		return;
	for (uint32_t k = 0; k < count; k++)
		if (m->node[list[k].nodeid - 1].ring != 0)
			settle(m, m->node[list[k].nodeid - 1].ring, component);
	for (uint32_t k = 0; k < count; k++)
		tell_ring(m, list[k].nodeid - 1, list, count);
	m->ring_count++;
	for (uint32_t k = 0; k < count; k++)
		m->node[list[k].nodeid - 1].ring = m->ring_count;
}

void members_reform(struct members *m)
{
	for (uint32_t c = 0; c <= MEMBERS_MAX; c++)
		reform_component(m, c);
	for (uint32_t n = 0; n < m->node_count; n++)
		if (m->node[n].running)
			tell_quorum(m, n);
}

void members_lines(struct members *m, const char *parts)
{
	uint32_t line = 1;

	for (uint32_t n = 0; n < m->node_count; n++)
		m->node[n].line = 0;
	for (; *parts != 0; parts++) {
		if (*parts == '|')
			line++;
		else
			m->node[*parts - '0'].line = line;
	}
}

void members_network(struct members *m, const char *parts)
{
	members_lines(m, parts);
	for (uint32_t n = 0; n < m->node_count; n++)
		m->node[n].component = m->node[n].line;
	members_reform(m);
}

void members_order(struct members *m, uint32_t node)
{
	struct members_node *from = &m->node[node];

	while (from->out.head != NULL && from->out.head->due_ns <= m->now_ns) {
		struct members_item *i = members_queue_pop(&from->out);

		m->ordinal++;
		for (uint32_t n = 0; n < m->node_count; n++) {
			struct members_item *copy;

			if (!m->node[n].running || m->node[n].ring != from->ring)
				continue;
			copy = members_item_new(ITEM_MESSAGE, members_soon(m));
			copy->ring = from->ring;
			copy->ordinal = m->ordinal;
			copy->message = i->message;
			copy->message.data = malloc(i->message.length);
			memcpy(copy->message.data, i->message.data, i->message.length);
			members_queue_push(&m->node[n].inbox, copy);
		}
		members_item_free(i);
	}
}
