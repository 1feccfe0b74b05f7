/* alone_play.c - see alone_play.h. */
#include "tests/unit/alone_play.h"

#include <errno.h>
#include <string.h>

struct config config;
struct cluster_core *core;
struct cluster_actions actions;
uint64_t now_ns;
struct order order[64];
uint32_t order_count;
struct cluster_action reply;
bool replied;
struct history history; /* of our log */
struct fact opened;
struct fact own; /* our log's answer to a question for its records */

void step(struct cluster_event *e)
{
	e->now_ns = e->wall_ns = now_ns;
	cluster_step(core, e, &actions);
	for (uint32_t i = 0; i < actions.count; i++) {
		ck_assert_int_ne(actions.action[i].type, CLUSTER_ACTION_SEND);
		ck_assert_int_ne(actions.action[i].type, CLUSTER_ACTION_PERSIST);
		if (actions.action[i].type == CLUSTER_ACTION_ORDER)
			order[order_count++] = actions.action[i].order;
		if (actions.action[i].type == CLUSTER_ACTION_REPLY) {
			reply = actions.action[i];
			replied = true;
		}
	}
	ck_assert_uint_lt(order_count, 60);
}

void tick(uint64_t ms)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_TICK };

	now_ns += ms * SOLO_MS;
	step(&e);
}

void fact(struct fact *f)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FACT, .fact = f };

	step(&e);
}

void command(enum cluster_command_type type, bool force)
{
	const struct cluster_command c = {
		.type = type, .id = 9, .site = -1, .force = force
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	replied = false;
	step(&e);
}

/* The newest order of that type, or NULL. */
const struct order *ordered(enum order_type type)
{
	for (uint32_t i = order_count; i-- > 0;)
		if (order[i].type == type)
			return &order[i];
	return NULL;
}

void answer(enum order_type to, struct fact *f)
{
	ck_assert_ptr_nonnull(ordered(to));
	f->order_id = ordered(to)->id;
	f->site = ordered(to)->site;
	fact(f);
}

struct generation made(uint8_t id, uint8_t parent, uint64_t ordinal, uint32_t site)
{
	return (struct generation){
		.ordinal = ordinal,
		.id = { { id } },
		.parent = { { parent } },
		.reason = GENERATION_RESTARTED,
		.site = site,
	};
}

/* A core of that node that has just ordered its devices to be opened. */
void create(uint32_t node)
{
	const struct cluster_self self = {
		.nodeid = 1,
		.node = node,
		.pid = 1,
		.incarnation = 5,
		.random = { 1, 2, 3, 4 },
		.reach = 1,
	};
	char text[160];

	now_ns = 1000 * SOLO_MS;
	order_count = 0;
	replied = false;
	core = cluster_create(&config, &self, NULL, 0, text, sizeof text);
	ck_assert_ptr_nonnull(core);
	tick(0);
}

void setup(void)
{
	solo_config(&config);
	config.cluster = false;
	config.node_count = 2;
	config.node[1].site = LYON;
	history.count = 2;
	history.entry[0] = made(1, 0, 1, 0);
	history.entry[1] = made(2, 1, 2, 0);
	memset(&opened, 0, sizeof opened);
	opened.type = FACT_OPENED;
	opened.history = history;
	opened.marks.logged = 100;
	opened.data = DATA_CONSISTENT;
	memset(&own, 0, sizeof own);
	own.type = FACT_PEER;
	own.history = history;
	own.marks.logged = 100;
	create(0);
	answer(ORDER_OPEN, &opened);
}

void teardown(void)
{
	cluster_destroy(core);
}

/* The hello of the other site. */
void peer(struct fact *f)
{
	f->type = FACT_PEER;
	ck_assert_uint_ne(ordered(ORDER_PROBE)->site, core->alone->site);
	answer(ORDER_PROBE, f);
}

/* ... and after it our own log is asked. */
void asked(struct fact *f)
{
	peer(f);
	ck_assert_uint_eq(ordered(ORDER_PROBE)->site, core->alone->site);
	answer(ORDER_PROBE, &own);
}

void prepared_as(uint32_t reached, uint32_t level, uint32_t busy)
{
	struct fact prepared = { .type = FACT_PREPARED, .sequence = 100 };

	prepared.reached_sites = reached;
	prepared.level_sites = level;
	prepared.busy_sites = busy;
	answer(ORDER_PREPARE, &prepared);
}

void refused(const char *why)
{
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 1);
	if (strstr(reply.text, why) == NULL)
		ck_abort_msg("refused, but: %s", reply.text);
}

/* From ORDER_PREPARE on. The other site is rolled forward from, as `reached` says, and
 * level then; asked again it says `f`. */
void serve(uint32_t reached, struct fact *f)
{
	struct fact serving = { .type = FACT_SERVING };

	prepared_as(reached, reached, 0);
	asked(f);
	ck_assert_uint_eq(ordered(ORDER_LEASE)->until_ns, UINT64_MAX);
	ck_assert_uint_eq(ordered(ORDER_SERVE)->sites, reached);
	answer(ORDER_SERVE, &serving);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
}

/* A promotion begins; the other site says `f`. */
void promotes(bool force, struct fact *f)
{
	command(CLUSTER_COMMAND_PROMOTE, force);
	asked(f);
}

/* Lyon is there and its log is as long: promoted with it. */
void promoted(void)
{
	struct fact f = { .history = history };

	promotes(false, &f);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 1);
	serve(1u << LYON, &f);
}

struct fact gone;

void unreachable(bool force)
{
	gone = (struct fact){ .error = -ETIMEDOUT, .text = "no answer" };
	command(CLUSTER_COMMAND_PROMOTE, force);
	asked(&gone);
}
