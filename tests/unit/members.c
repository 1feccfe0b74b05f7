/* members.c - see members.h. */
#include "tests/unit/members.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/internal.h"
#include "common/crc.h"

void members_violate(struct members *m, const char *format, ...)
{
	va_list args;

	if (m->violation[0] != 0)
		return;
	va_start(args, format);
	vsnprintf(m->violation, sizeof m->violation, format, args);
	va_end(args);
	if (m->trace)
		printf("VIOLATION at %llu ms: %s\n",
		       (unsigned long long)(m->now_ns / MEMBERS_NS_PER_MS), m->violation);
}

uint64_t members_clock(const struct members *m, uint32_t node)
{
	const int64_t drift = m->node[node].drift_ppm * (int64_t)(m->now_ns / 1000000);

	return (uint64_t)((int64_t)(m->now_ns + (node + 1) * 1000000000ull) + drift);
}

/* ---- making ------------------------------------------------------------------- */

void members_config(struct config *config, uint32_t site_count, const uint32_t *hosts,
		    uint32_t witnesses)
{
	static const char *const names[] = { "paris", "lyon", "nice" };

	memset(config, 0, sizeof *config);
	strcpy(config->mirror, "data");
	strcpy(config->instance, "data");
	config->cluster = true;
	config->port = 7790;
	config->copy_timeout_ms = 10000;
	config->frozen_timeout_ms = 3000;
	config->demote_drain_ms = 1000;
	config->hash = 0x1234;
	config->site_count = site_count;
	for (uint32_t s = 0; s < site_count; s++) {
		strcpy(config->site[s].name, names[s]);
		config->site[s].disk_count = 1;
		strcpy(config->site[s].disk[0].name, "db");
		for (uint32_t h = 0; h < hosts[s]; h++)
			config->node[config->node_count++].site = (int32_t)s;
	}
	while (witnesses-- > 0)
		config->node[config->node_count++].site = -1;
	for (uint32_t n = 0; n < config->node_count; n++) {
		snprintf(config->node[n].name, sizeof config->node[n].name, "n%u", n + 1);
		memcpy(config->node[n].address, config->node[n].name, CONFIG_ADDRESS_MAX);
		config->node[n].port = 7790;
	}
}

static void self_fill(struct members *m, uint32_t node)
{
	struct cluster_self *s = &m->node[node].self;
	const int32_t site = m->config.node[node].site;

	memset(s, 0, sizeof *s);
	s->nodeid = node + 1;
	s->pid = m->node[node].pid;
	s->node = node;
	s->incarnation = random_next(&m->random) | 1;
	s->boot = m->node[node].boot;
	for (uint32_t i = 0; i < 4; i++)
		s->random[i] = random_next(&m->random);
	s->lease_ms = 1000;
	s->drift_ms = 70;
	s->reach = site >= 0 ? 1u << site : 0;
}

static void first_view(struct members *m)
{
	const struct uuid mirror = { { 1, 2, 3 } }, lineage = { { 4, 5, 6 } };
	const struct generation first = {
		.ordinal = 1,
		.id = { { 9 } },
		.reason = GENERATION_CREATED,
	};

	self_fill(m, 0);
	m->node[0].file_bytes = cluster_first_voter(&m->config, &m->node[0].self, &mirror,
						    &lineage, &first, m->node[0].file);
	for (uint32_t s = 0; s < m->config.site_count; s++) {
		m->log[s].exists = true;
		m->log[s].history.count = 1;
		m->log[s].history.entry[0] = first;
		m->log[s].open_node = -1;
	}
}

struct members *members_create(uint64_t seed, uint32_t site_count, const uint32_t *hosts,
			       uint32_t witnesses)
{
	struct members *m = calloc(1, sizeof *m);

	assert(m != NULL);
	m->random.state = seed * 0x9e3779b97f4a7c15ull + 1;
	members_config(&m->config, site_count, hosts, witnesses);
	m->node_count = m->config.node_count;
	assert(m->node_count <= MEMBERS_MAX);
	m->now_ns = 1000000000ull;
	m->delay_max_ms = 2;
	m->votes_needed = m->node_count == 2 ? 1 : m->node_count / 2 + 1;
	for (uint32_t n = 0; n < m->node_count; n++) {
		m->node[n].boot = 1000 + n;
		m->node[n].config = &m->config;
		m->node[n].io.stream_from = -1;
		m->node[n].drift_ppm = (int64_t)random_below(&m->random, 20000) - 10000;
	}
	first_view(m);
	return m;
}

/* ---- starts, ends and faults --------------------------------------------------------- */

void members_start(struct members *m, uint32_t node)
{
	struct members_node *n = &m->node[node];
	char text[256];

	assert(!n->running);
	n->machine = true;
	n->running = true;
	n->pid = 100 * (node + 1) + ++n->process_count;
	self_fill(m, node);
	n->core = cluster_create(n->config, &n->self, n->file_bytes > 0 ? n->file : NULL,
				 n->file_bytes, text, sizeof text);
	assert(n->core != NULL);
	n->list_count = 0;
	n->ring = 0;
	n->delivered = 0;
	n->quorate_told = false;
	n->wake_ns = 0;
	n->frozen_until_ns = 0;
	n->checked_ballot = 0;
	memset(n->order_count, 0, sizeof n->order_count);
	members_reform(m);
}

void members_kill(struct members *m, uint32_t node, bool reboot)
{
	struct members_node *n = &m->node[node];

	if (n->running) {
		/* A write that was under way may have been done. */
		if (n->persisting && random_below(&m->random, 2) == 0) {
			memcpy(n->file, n->persist, n->persist_bytes);
			n->file_bytes = n->persist_bytes;
		}
		n->persisting = false;
		members_io_crash(m, node);
		cluster_destroy(n->core);
		n->core = NULL;
		n->running = false;
		members_queue_empty(&n->inbox);
		members_queue_empty(&n->out);
		members_queue_empty(&n->facts);
		members_queue_empty(&n->orders);
	}
	if (reboot) {
		n->boot += 100;
		n->machine = false;
	}
	members_reform(m);
}

void members_lose_file(struct members *m, uint32_t node)
{
	assert(!m->node[node].running);
	m->node[node].file_bytes = 0;
}

/* ---- steps -------------------------------------------------------------------------------- */

static void check_view(struct members *m, uint32_t node)
{
	struct members_node *n = &m->node[node];
	const struct voter *v = &n->core->voter;
	static uint8_t data[VIEW_BYTES_MAX + 64];
	struct view copy;
	struct codec c = codec_writer(data, sizeof data);
	char text[64];
	uint64_t hash;

	if (!v->has_in_effect || v->in_effect.ballot == n->checked_ballot)
		return;
	if (v->in_effect.ballot < n->checked_ballot)
		members_violate(m, "the view of n%u went back", node + 1);
	n->checked_ballot = v->in_effect.ballot;
	copy = v->in_effect;
	cluster_view_codec(&c, &m->config, &copy, text, sizeof text);
	hash = common_crc32c(0, data, c.bytes.position);
	for (uint32_t i = 0; i < m->view_count; i++)
		if (m->view[i].ballot == copy.ballot) {
			if (m->view[i].hash != hash)
				members_violate(m,
						"two views of one ballot are in effect");
			return;
		}
	if (m->view_count < sizeof m->view / sizeof m->view[0]) {
		m->view[m->view_count].ballot = copy.ballot;
		m->view[m->view_count++].hash = hash;
	}
}

static void take_action(struct members *m, uint32_t node, const struct cluster_action *a)
{
	struct members_node *n = &m->node[node];
	struct members_item *i;

	switch (a->type) {
	case CLUSTER_ACTION_SEND:
		i = members_item_new(ITEM_MESSAGE, members_soon(m));
		i->message.nodeid = node + 1;
		i->message.pid = n->pid;
		i->message.length = a->length;
		i->message.data = malloc(a->length);
		memcpy(i->message.data, a->data, a->length);
		members_queue_push(&n->out, i);
		break;
	case CLUSTER_ACTION_PERSIST:
		assert(!n->persisting);
		n->persisting = true;
		n->persist_counter = a->counter;
		n->persist_due_ns = members_soon(m);
		n->persist_bytes = a->length;
		memcpy(n->persist, a->data, a->length);
		break;
	case CLUSTER_ACTION_ORDER:
		i = members_item_new(ITEM_ORDER, members_soon(m));
		i->order = malloc(sizeof *i->order);
		*i->order = a->order;
		n->order_count[a->order.type]++;
		members_queue_push(&n->orders, i);
		break;
	case CLUSTER_ACTION_REPLY:
		assert(a->command_id < MEMBERS_COMMANDS_MAX);
		m->reply[a->command_id].done = true;
		m->reply[a->command_id].exit_status = a->exit_status;
		memcpy(m->reply[a->command_id].text, a->text, sizeof a->text);
		break;
	case CLUSTER_ACTION_EVENT:
		break;
	}
	if (m->trace && a->type == CLUSTER_ACTION_EVENT)
		printf("%7llu n%u %s [%s] %s\n",
		       (unsigned long long)(m->now_ns / 1000000 - 1000), node + 1,
		       a->object, a->rule, a->text);
	if (m->trace && a->type == CLUSTER_ACTION_REPLY)
		printf("%7llu n%u REPLY %d %s\n",
		       (unsigned long long)(m->now_ns / 1000000 - 1000), node + 1,
		       a->exit_status, a->text);
}

static void step(struct members *m, uint32_t node, struct cluster_event *e)
{
	static struct cluster_actions actions;
	struct members_node *n = &m->node[node];

	e->now_ns = members_clock(m, node);
	e->wall_ns = m->now_ns;
	cluster_step(n->core, e, &actions);
	n->step_count++;
	for (uint32_t i = 0; i < actions.count; i++)
		take_action(m, node, &actions.action[i]);
	n->wake_ns = actions.wake_at_ns;
	check_view(m, node);
}

void members_fenced(struct members *m, uint32_t node)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	for (uint32_t n = 0; n < m->node_count; n++) {
		e.fenced.node = m->config.node[node].name;
		e.fenced.wall_ns = m->now_ns;
		if (n != node && m->node[n].running)
			step(m, n, &e);
	}
}

static void take_item(struct members *m, uint32_t node, const struct members_item *i)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_MESSAGE };

	switch (i->type) {
	case ITEM_MESSAGE:
		m->node[node].delivered = i->ordinal;
		e.message.nodeid = i->message.nodeid;
		e.message.pid = i->message.pid;
		e.message.data = i->message.data;
		e.message.length = i->message.length;
		break;
	case ITEM_CONFCHG:
		e.type = CLUSTER_EVENT_CONFCHG;
		e.confchg.members = i->members;
		e.confchg.left = i->left;
		e.confchg.joined = i->joined;
		e.confchg.member_count = i->member_count;
		e.confchg.left_count = i->left_count;
		e.confchg.joined_count = i->joined_count;
		break;
	case ITEM_QUORUM:
		e.type = CLUSTER_EVENT_QUORUM;
		e.quorate = i->quorate;
		break;
	case ITEM_FACT:
		e.type = CLUSTER_EVENT_FACT;
		e.fact = i->fact;
		break;
	case ITEM_ORDER:
		members_io_order(m, node, i->order);
		return;
	}
	step(m, node, &e);
}

static void drain(struct members *m, uint32_t node, struct members_queue *q)
{
	while (q->head != NULL && q->head->due_ns <= m->now_ns) {
		struct members_item *i = members_queue_pop(q);

		take_item(m, node, i);
		members_item_free(i);
	}
}

void members_fact(struct members *m, uint32_t node, const struct fact *f)
{
	struct members_item *i = members_item_new(ITEM_FACT, members_soon(m));

	i->fact = malloc(sizeof *i->fact);
	*i->fact = *f;
	members_queue_push(&m->node[node].facts, i);
}

static void persist_done(struct members *m, uint32_t node)
{
	struct members_node *n = &m->node[node];
	struct cluster_event e = { .type = CLUSTER_EVENT_PERSISTED };

	if (!n->persisting || n->persist_due_ns > m->now_ns)
		return;
	n->persisting = false;
	memcpy(n->file, n->persist, n->persist_bytes);
	n->file_bytes = n->persist_bytes;
	e.persisted.counter = n->persist_counter;
	step(m, node, &e);
}

static void run_node(struct members *m, uint32_t node)
{
	struct members_node *n = &m->node[node];
	struct cluster_event tick = { .type = CLUSTER_EVENT_TICK };

	if (!n->running || m->now_ns < n->frozen_until_ns)
		return;
	members_order(m, node);
	drain(m, node, &n->inbox);
	persist_done(m, node);
	drain(m, node, &n->orders);
	members_io_tick(m, node);
	drain(m, node, &n->facts);
	if (members_clock(m, node) >= n->wake_ns)
		step(m, node, &tick);
}

void members_run(struct members *m, uint64_t ms)
{
	while (ms-- > 0 && m->violation[0] == 0) {
		const uint32_t first = (uint32_t)random_below(&m->random, m->node_count);

		m->now_ns += MEMBERS_NS_PER_MS;
		for (uint32_t i = 0; i < m->node_count; i++)
			run_node(m, (first + i) % m->node_count);
	}
}

/* ---- commands and observations ------------------------------------------------------------- */

uint64_t members_command(struct members *m, uint32_t node, enum cluster_command_type type,
			 bool force, int32_t site)
{
	struct cluster_command command = {
		.type = type,
		.id = ++m->command_count,
		.site = site,
		.force = force,
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &command };

	assert(m->command_count < MEMBERS_COMMANDS_MAX);
	step(m, node, &e);
	return m->command_count;
}

void members_give_up(struct members *m, uint32_t node, uint64_t id)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_GIVE_UP, .command_id = id };

	step(m, node, &e);
}

bool members_wait(struct members *m, uint64_t id, uint64_t ms)
{
	while (ms-- > 0 && !m->reply[id].done && m->violation[0] == 0)
		members_run(m, 1);
	return m->reply[id].done;
}

bool members_promote(struct members *m, uint32_t node, bool force)
{
	const uint64_t id = members_command(m, node, CLUSTER_COMMAND_PROMOTE, force, -1);

	return members_wait(m, id, 20000) && m->reply[id].exit_status == 0;
}

void members_status(struct members *m, uint32_t node, struct cluster_status *status)
{
	cluster_status_get(m->node[node].core, members_clock(m, node), status);
}

int32_t members_serving(struct members *m)
{
	int32_t serving = -1;

	for (uint32_t n = 0; n < m->node_count; n++)
		if (m->node[n].running && m->node[n].io.engine == ENGINE_SERVING &&
		    members_clock(m, n) < m->node[n].io.lease_until_ns)
			serving = (int32_t)n;
	return serving;
}

static bool node_converged(struct members *m, uint32_t node, const struct view *v)
{
	const struct cluster_core *c = m->node[node].core;

	return c->voter.has_in_effect && c->voter.in_effect.ballot == v->ballot &&
	       !c->confirm_due && c->round.state == ROUND_IDLE && !c->persisting &&
	       cluster_view_voters_epoch(&v->voters, node) == c->voter.epoch;
}

bool members_converged(struct members *m)
{
	const struct view *v = NULL;
	const int32_t serving = members_serving(m);
	uint32_t sites = 0;

	for (uint32_t n = 0; n < m->node_count && v == NULL; n++)
		if (m->node[n].running)
			v = cluster_view_in_effect(m->node[n].core);
	if (v == NULL)
		return false;
	for (uint32_t n = 0; n < m->node_count; n++) {
		if (!m->node[n].running)
			continue;
		if (!node_converged(m, n, v))
			return false;
		if (m->config.node[n].site >= 0)
			sites |= 1u << m->config.node[n].site;
	}
	for (uint32_t s = 0; s < m->config.site_count; s++) {
		const int32_t host = m->log[s].open_node;

		if ((sites >> s & 1) == 0)
			continue;
		if (host < 0 || v->site[s].host.node != host ||
		    v->site[s].host.incarnation != m->node[host].io.incarnation)
			return false;
		if (serving >= 0 && (int32_t)s != v->production_site &&
		    (!v->site[s].current ||
		     v->site[s].current_incarnation != v->site[s].host.incarnation))
			return false;
	}
	return serving < 0 || v->production_node == serving;
}

bool members_run_until_converged(struct members *m, uint64_t ms)
{
	while (ms-- > 0 && m->violation[0] == 0) {
		if (members_converged(m))
			return true;
		members_run(m, 1);
	}
	return false;
}

void members_destroy(struct members *m)
{
	for (uint32_t n = 0; n < m->node_count; n++)
		if (m->node[n].running)
			members_kill(m, n, false);
	free(m);
}
