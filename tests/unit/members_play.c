/* members_play.c - see members_play.h. */
#include "tests/unit/members_play.h"

#include <string.h>

#include "cluster/internal.h"

#define NOBODY UINT32_MAX
#define PROMOTE_LIMIT_NS (6000 * MEMBERS_NS_PER_MS)
#define COMMANDS_LIMIT (MEMBERS_COMMANDS_MAX - 100)

void members_play_init(struct members_play *p, struct members *m, bool fencing)
{
	*p = (struct members_play){ .m = m, .fencing = fencing, .lost_file = -1 };
}

/* ---- the toy Pacemaker ------------------------------------------------------- */

/* The part of the network with quorum, or NOBODY. */
static uint32_t quorate_part(const struct members *m)
{
	for (uint32_t part = 0; part <= MEMBERS_MAX; part++) {
		uint32_t votes = 0;

		for (uint32_t n = 0; n < m->node_count; n++)
			if (m->node[n].machine && m->node[n].component == part)
				votes++;
		/* Of two nodes each is quorate alone: the first one shoots. */
		if (votes >= m->votes_needed && votes > 0)
			return part;
	}
	return NOBODY;
}

static void fence(struct members_play *p, uint32_t part)
{
	struct members *m = p->m;

	for (uint32_t n = 0; n < m->node_count; n++) {
		const bool outside = m->node[n].component != part || !m->node[n].machine;

		if (!outside || part == NOBODY || p->fenced[n]) {
			p->fence_at_ns[n] = 0;
			p->fenced[n] = p->fenced[n] && !m->node[n].machine;
		} else if (p->fence_at_ns[n] == 0) {
			p->fence_at_ns[n] = m->now_ns +
					    (300 + random_below(&m->random, 900)) *
						    MEMBERS_NS_PER_MS;
		} else if (m->now_ns >= p->fence_at_ns[n]) {
			if (m->node[n].machine)
				members_kill(m, n, true);
			p->fenced[n] = true;
			members_fenced(m, n);
		}
	}
}

static bool is_alive(const struct members *m, uint32_t node, uint32_t part)
{
	return m->node[node].running && m->node[node].component == part &&
	       m->now_ns >= m->node[node].frozen_until_ns;
}

static bool someone_serves(const struct members *m, uint32_t part)
{
	for (uint32_t n = 0; n < m->node_count; n++)
		if (is_alive(m, n, part) && m->node[n].io.engine == ENGINE_SERVING)
			return true;
	return false;
}

static void promote_best(struct members_play *p, uint32_t part)
{
	static struct cluster_status status;
	int32_t best = INT32_MIN;
	struct members *m = p->m;

	for (uint32_t n = 0; n < m->node_count; n++) {
		if (!is_alive(m, n, part))
			continue;
		members_status(m, n, &status);
		if (status.promotion_score > best) {
			best = status.promotion_score;
			p->promote_node = n;
		}
	}
	if (best == INT32_MIN || m->command_count > COMMANDS_LIMIT)
		return;
	p->promote_id = members_command(m, p->promote_node, CLUSTER_COMMAND_PROMOTE,
					false, -1);
	p->promote_since_ns = m->now_ns;
}

static void pacemaker(struct members_play *p)
{
	const uint32_t part = quorate_part(p->m);
	struct members *m = p->m;

	if (p->fencing)
		fence(p, part);
	if (p->promote_id != 0 &&
	    (m->reply[p->promote_id].done || !is_alive(m, p->promote_node, part) ||
	     m->now_ns > p->promote_since_ns + PROMOTE_LIMIT_NS)) {
		p->promote_id = 0;
		p->idle_since_ns = m->now_ns;
	}
	if (someone_serves(m, part))
		p->idle_since_ns = m->now_ns;
	else if (p->promote_id == 0 && part != NOBODY &&
		 m->now_ns > p->idle_since_ns + 200 * MEMBERS_NS_PER_MS)
		promote_best(p, part);
}

void members_play_run(struct members_play *p, uint64_t ms)
{
	while (ms-- > 0 && p->m->violation[0] == 0) {
		members_run(p->m, 1);
		if (p->m->now_ns / MEMBERS_NS_PER_MS % 10 == 0)
			pacemaker(p);
	}
}

/* ---- bad luck -------------------------------------------------------------------- */

/* "02|134", drawn. */
static void draw_parts(struct members *m, char *parts)
{
	const uint64_t mask = random_below(&m->random, 1u << m->node_count);

	for (uint32_t n = 0; n < m->node_count; n++)
		if ((mask >> n & 1) != 0)
			*parts++ = (char)('0' + n);
	*parts++ = '|';
	for (uint32_t n = 0; n < m->node_count; n++)
		if ((mask >> n & 1) == 0)
			*parts++ = (char)('0' + n);
	*parts = 0;
}

static void heal(struct members *m)
{
	char parts[MEMBERS_MAX + 1] = "";

	for (uint32_t n = 0; n < m->node_count; n++)
		parts[n] = (char)('0' + n);
	members_network(m, parts);
}

/* Corosync's network alone; the lines stay as they are. */
static void cut_members(struct members *m)
{
	char parts[MEMBERS_MAX + 2];
	uint32_t line[MEMBERS_MAX];

	for (uint32_t n = 0; n < m->node_count; n++)
		line[n] = m->node[n].line;
	draw_parts(m, parts);
	members_network(m, parts);
	for (uint32_t n = 0; n < m->node_count; n++)
		m->node[n].line = line[n];
}

static void start_some(struct members_play *p, uint32_t one_in)
{
	for (uint32_t n = 0; n < p->m->node_count; n++)
		if (!p->m->node[n].running && random_below(&p->m->random, one_in) == 0)
			members_start(p->m, n);
}

/* Until some node's round is in a drawn state, so that bad luck finds it there. */
static void until_in_a_round(struct members_play *p)
{
	const enum round_state state = (enum round_state)(1 +
							  random_below(&p->m->random, 4));

	for (uint32_t ms = 0; ms < 1500; ms++) {
		for (uint32_t n = 0; n < p->m->node_count; n++)
			if (p->m->node[n].running &&
			    p->m->node[n].core->round.state == state) {
				members_play_run(p, random_below(&p->m->random, 4));
				return;
			}
		members_play_run(p, 1);
	}
}

static void command(struct members *m, uint32_t node, enum cluster_command_type type)
{
	if (m->node[node].running && m->command_count <= COMMANDS_LIMIT)
		members_command(m, node, type, false, -1);
}

static void lose_file(struct members_play *p, uint32_t node)
{
	/* With two voters the other one could not go on without a force. */
	if (p->m->node_count < 3 || p->lost_file >= 0)
		return;
	members_kill(p->m, node, false);
	members_lose_file(p->m, node);
	p->lost_file = (int32_t)node;
}

static void break_device(struct members *m, uint32_t node)
{
	const struct fact f = {
		.type = FACT_DEVICE_FAILED,
		.site = m->node[node].io.site,
		.text = "broken",
	};

	if (m->node[node].running && m->node[node].io.open)
		members_fact(m, node, &f);
}

static void strike(struct members_play *p)
{
	struct members *m = p->m;
	const uint32_t node = (uint32_t)random_below(&m->random, m->node_count);
	char parts[MEMBERS_MAX + 2];

	switch (random_below(&m->random, 14)) {
	case 0:
	case 1:
		members_kill(m, node, false);
		break;
	case 2:
		members_kill(m, node, true);
		break;
	case 3:
	case 4:
		draw_parts(m, parts);
		members_network(m, parts);
		break;
	case 5:
		heal(m);
		break;
	case 6:
		command(m, node, CLUSTER_COMMAND_DEMOTE);
		break;
	case 7:
		command(m, node, CLUSTER_COMMAND_PROMOTE);
		break;
	case 8:
		cut_members(m);
		break;
	case 9:
		draw_parts(m, parts);
		members_lines(m, parts);
		break;
	case 10:
		lose_file(p, node);
		break;
	case 11:
		break_device(m, node);
		break;
	case 12:
		command(m, node,
			random_below(&m->random, 2) == 0 ? CLUSTER_COMMAND_CONNECT :
							   CLUSTER_COMMAND_DISCONNECT);
		break;
	case 13:
		m->node[node].frozen_until_ns = m->now_ns +
						random_below(&m->random, 4000) *
							MEMBERS_NS_PER_MS;
		break;
	}
}

void members_play_misfortune(struct members_play *p)
{
	struct members *m = p->m;

	if (random_below(&m->random, 2) == 0)
		until_in_a_round(p);
	strike(p);
	members_play_run(p, random_below(&m->random, 3) == 0 ?
				    random_below(&m->random, 30) :
				    random_below(&m->random, 2500));
	start_some(p, 2);
}

static void repair(struct members_play *p)
{
	struct members *m = p->m;

	for (uint32_t n = 0; n < m->node_count; n++) {
		if (m->node[n].running && m->node[n].core->role.failed)
			members_kill(m, n, false);
		if (!m->node[n].running)
			members_start(m, n);
	}
}

bool members_play_recover(struct members_play *p, uint64_t ms)
{
	struct members *m = p->m;

	heal(m);
	for (uint64_t at = 0; at < ms && m->violation[0] == 0; at += 10) {
		const int32_t serving = members_serving(m);

		repair(p);
		if (serving >= 0 && members_converged(m))
			return true;
		if (serving >= 0 && at % 2000 == 0)
			command(m, (uint32_t)serving, CLUSTER_COMMAND_CONNECT);
		members_play_run(p, 10);
	}
	return false;
}
