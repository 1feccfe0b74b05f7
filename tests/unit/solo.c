/* solo.c - see solo.h. */
#include "tests/unit/solo.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/members.h"

void solo_config(struct config *config)
{
	static const uint32_t hosts[] = { 2, 2 };

	members_config(config, 2, hosts, 1);
}

void solo_view(const struct config *config, uint32_t voters, struct view *v)
{
	memset(v, 0, sizeof *v);
	v->ballot = cluster_view_ballot_make(1, 0);
	v->mirror.byte[0] = 1;
	v->lineage.byte[0] = 2;
	v->config_hash = config->hash;
	for (uint32_t n = 0; n < voters; n++)
		cluster_view_voters_set(&v->voters, n, SOLO_EPOCH(n));
	v->site_count = config->site_count;
	for (uint32_t s = 0; s < v->site_count; s++)
		v->site[s].host.node = VIEW_NONE;
	v->production_node = VIEW_NONE;
	v->history.count = 1;
	v->history.entry[0] = (struct generation){
		.ordinal = 1,
		.id = { { 9 } },
		.reason = GENERATION_CREATED,
	};
	v->lease_ms = 1000;
	v->drift_ms = 100;
}

void solo_clear(struct solo *t)
{
	t->sent_count = t->order_count = t->reply_count = 0;
}

static void collect(struct solo *t)
{
	char text[160];

	for (uint32_t i = 0; i < t->actions.count; i++) {
		const struct cluster_action *a = &t->actions.action[i];

		if (a->type == CLUSTER_ACTION_SEND) {
			ck_assert_uint_lt(t->sent_count, SOLO_SENT_MAX);
			ck_assert_int_eq(cluster_message_decode(&t->config, a->data,
								a->length,
								&t->sent[t->sent_count++],
								text, sizeof text),
					 0);
		} else if (a->type == CLUSTER_ACTION_ORDER) {
			ck_assert_uint_lt(t->order_count, SOLO_SENT_MAX);
			t->order[t->order_count++] = a->order;
		} else if (a->type == CLUSTER_ACTION_PERSIST) {
			t->persist_asked = true;
			t->persist_counter = a->counter;
		} else if (a->type == CLUSTER_ACTION_REPLY) {
			t->reply = *a;
			t->reply_count++;
		}
	}
}

/* Its messages come back to it, in order, unless the test does that by hand. */
static void echo(struct solo *t, uint32_t from)
{
	while (!t->by_hand && from < t->sent_count) {
		struct message m = t->sent[from++];

		solo_say(t, t->self.node, &m);
	}
}

void solo_step(struct solo *t, struct cluster_event *e)
{
	const uint32_t from = t->sent_count;

	e->now_ns = t->now_ns;
	e->wall_ns = t->now_ns;
	cluster_step(t->core, e, &t->actions);
	collect(t);
	if (e->type != CLUSTER_EVENT_MESSAGE || e->message.nodeid != t->self.nodeid)
		echo(t, from);
}

void solo_tick(struct solo *t, uint64_t ms)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_TICK };

	t->now_ns += ms * SOLO_MS;
	solo_step(t, &e);
}

void solo_create(struct solo *t, uint32_t node, const struct view *v, bool in_effect)
{
	static uint8_t file[CLUSTER_VOTER_FILE_BYTES];
	struct cluster_event quorum = { .type = CLUSTER_EVENT_QUORUM, .quorate = true };
	struct voter voter = { .counter = 1, .node = node, .epoch = SOLO_EPOCH(node) };
	size_t length = 0;
	char text[160];

	memset(t, 0, sizeof *t);
	solo_config(&t->config);
	t->now_ns = 1000 * SOLO_MS;
	t->self = (struct cluster_self){
		.nodeid = node + 1,
		.pid = 1,
		.node = node,
		.incarnation = SOLO_PROCESS(node),
		.boot = SOLO_BOOT(node),
		.random = { 1, 2, 3, node },
		.lease_ms = 1000,
		.drift_ms = 100,
		.reach = t->config.node[node].site >= 0 ?
				 1u << t->config.node[node].site :
				 0,
	};
	if (v != NULL) {
		voter.mirror = v->mirror;
		voter.promised = v->ballot;
		voter.has_accepted = true;
		voter.accepted = *v;
		voter.has_in_effect = in_effect;
		voter.in_effect = *v;
		length = cluster_voter_encode(&t->config, &voter, file);
	}
	t->core = cluster_create(&t->config, &t->self, v != NULL ? file : NULL, length,
				 text, sizeof text);
	ck_assert_ptr_nonnull(t->core);
	solo_step(t, &quorum);
	solo_ring(t, 1u << node);
}

void solo_destroy(struct solo *t)
{
	cluster_destroy(t->core);
	t->core = NULL;
}

void solo_ring(struct solo *t, uint32_t nodes)
{
	struct cluster_address members[32], left[32], joined[32];
	struct cluster_event e = { .type = CLUSTER_EVENT_CONFCHG };
	uint32_t before = 0;

	for (uint32_t i = 0; i < t->core->peer_count; i++)
		before |= 1u << (t->core->peer[i].nodeid - 1);
	e.confchg.members = members;
	e.confchg.left = left;
	e.confchg.joined = joined;
	for (uint32_t n = 0; n < 32; n++) {
		const struct cluster_address a = { n + 1, 1, 0 };

		if ((nodes >> n & 1) != 0)
			members[e.confchg.member_count++] = a;
		if ((nodes & ~before) >> n & 1)
			joined[e.confchg.joined_count++] = (struct cluster_address){
				n + 1,
				1,
				1,
			};
		if ((before & ~nodes) >> n & 1)
			left[e.confchg.left_count++] = (struct cluster_address){ n + 1, 1,
										 3 };
	}
	solo_step(t, &e);
}

void solo_say(struct solo *t, uint32_t node, struct message *m)
{
	static uint8_t data[CLUSTER_MESSAGE_MAX];
	struct cluster_event e = { .type = CLUSTER_EVENT_MESSAGE };

	if (m->incarnation == 0 || node != t->self.node) {
		m->node = node;
		m->incarnation = SOLO_PROCESS(node);
		m->config_hash = t->config.hash;
	}
	e.message.nodeid = node + 1;
	e.message.pid = 1;
	e.message.data = data;
	e.message.length = cluster_message_encode(&t->config, m, data);
	solo_step(t, &e);
}

void solo_announce_fill(const struct solo *t, uint32_t node, struct announce *a)
{
	memset(a, 0, sizeof *a);
	memcpy(a->name, t->config.node[node].name, sizeof a->name);
	a->boot = SOLO_BOOT(node);
	a->reach = t->config.node[node].site >= 0 ? 1u << t->config.node[node].site : 0;
	a->site = VIEW_NONE;
	a->incarnation_next = 7000 + node;
	a->epoch = SOLO_EPOCH(node);
	if (cluster_view_in_effect(t->core) != NULL)
		a->lineage = cluster_view_in_effect(t->core)->lineage;
}

void solo_announce_as(struct solo *t, uint32_t node, const struct announce *a)
{
	struct message m = { .type = MESSAGE_ANNOUNCE, .announce = *a };

	solo_say(t, node, &m);
}

void solo_announce(struct solo *t, uint32_t node)
{
	struct announce a;

	solo_announce_fill(t, node, &a);
	solo_announce_as(t, node, &a);
}

void solo_announce_host(struct solo *t, uint32_t node, uint64_t incarnation)
{
	struct announce a;

	solo_announce_fill(t, node, &a);
	a.flags = ANNOUNCE_OPEN;
	a.site = t->config.node[node].site;
	a.incarnation_open = incarnation;
	solo_announce_as(t, node, &a);
}

void solo_persisted(struct solo *t)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_PERSISTED };

	while (t->persist_asked) {
		t->persist_asked = false;
		e.persisted.counter = t->persist_counter;
		solo_step(t, &e);
	}
}

void solo_fact(struct solo *t, const struct fact *f)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FACT, .fact = f };

	solo_step(t, &e);
}

void solo_command(struct solo *t, enum cluster_command_type type, bool force)
{
	const struct cluster_command command = {
		.type = type,
		.id = 1,
		.site = -1,
		.force = force,
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &command };

	solo_step(t, &e);
}

const struct message *solo_sent(const struct solo *t, enum message_type type)
{
	for (uint32_t i = t->sent_count; i-- > 0;)
		if (t->sent[i].type == type)
			return &t->sent[i];
	return NULL;
}

uint32_t solo_sent_count(const struct solo *t, enum message_type type)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < t->sent_count; i++)
		count += t->sent[i].type == type ? 1 : 0;
	return count;
}

const struct order *solo_ordered(const struct solo *t, enum order_type type)
{
	for (uint32_t i = t->order_count; i-- > 0;)
		if (t->order[i].type == type)
			return &t->order[i];
	return NULL;
}

uint32_t solo_ordered_count(const struct solo *t, enum order_type type)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < t->order_count; i++)
		count += t->order[i].type == type ? 1 : 0;
	return count;
}

void solo_prepare(struct solo *t, uint32_t node, uint64_t ballot, enum round_kind kind)
{
	struct message m = { .type = MESSAGE_PREPARE };

	m.prepare.ballot = ballot;
	m.prepare.kind = kind;
	solo_say(t, node, &m);
}

void solo_promise(struct solo *t, uint32_t node, uint64_t ballot,
		  const struct view *accepted, uint64_t in_effect_ballot)
{
	struct message m = { .type = MESSAGE_PROMISE };

	m.promise.ballot = ballot;
	m.promise.epoch = SOLO_EPOCH(node);
	m.promise.in_effect_ballot = in_effect_ballot;
	if (accepted != NULL) {
		m.promise.accepted_ballot = accepted->ballot;
		m.promise.has_accepted = true;
		m.promise.accepted = *accepted;
	}
	solo_say(t, node, &m);
}

void solo_propose(struct solo *t, uint32_t node, const struct view *v)
{
	struct message m = { .type = MESSAGE_PROPOSE };

	m.propose.view = *v;
	solo_say(t, node, &m);
}

void solo_accepted(struct solo *t, uint32_t node, uint64_t ballot)
{
	struct message m = { .type = MESSAGE_ACCEPTED };

	m.vote.ballot = ballot;
	m.vote.epoch = SOLO_EPOCH(node);
	solo_say(t, node, &m);
}

void solo_agree(struct solo *t)
{
	uint64_t ballot;

	solo_persisted(t);
	ballot = t->core->round.ballot;
	solo_promise(t, 1, ballot, NULL, t->core->voter.in_effect.ballot);
	solo_persisted(t);
	solo_accepted(t, 1, ballot);
	solo_persisted(t);
}

void solo_serves(struct solo *t, struct view *v)
{
	struct view *in_effect;
	struct role *r;

	v->production_node = 0;
	v->site[1].host = (struct view_host){ 2, 77, SOLO_BOOT(2) };
	solo_create(t, 0, v, true);
	in_effect = &t->core->voter.in_effect;
	in_effect->site[0].host = (struct view_host){ 0, 55, SOLO_BOOT(0) };
	in_effect->production_incarnation = 55;
	r = &t->core->role;
	r->devices = DEVICES_OPEN;
	r->serve = SERVE_SERVING;
	r->generation = cluster_view_generation(v)->id;
	r->incarnation = 55;
	r->promised = v->promise;
	r->promise_kept = true;
	r->waited = cluster_view_current_sites(v);
	t->core->lease.until_ns = t->now_ns + 100000 * SOLO_MS;
	solo_ring(t, 7);
	solo_announce(t, 1);
	solo_announce_host(t, 2, 77);
	solo_persisted(t);
}
