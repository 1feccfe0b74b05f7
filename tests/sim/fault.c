/* fault.c - the faults of a plan (plan.c) strike, at their time or at a moment. */
#include <errno.h>
#include <string.h>

#include "cluster/alone.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

#define MOMENT_LIMIT_NS (10 * SIM_S) /* then a fault strikes all the same */

/* ---- strikes ------------------------------------------------------------------------ */

static void fail_device(struct sim *w, const struct sim_fault *f, uint32_t site)
{
	static const uint32_t ops[] = { 0, 1u << MIRROR_IO_READ, 1u << MIRROR_IO_WRITE,
					1u << MIRROR_IO_FLUSH };
	const uint64_t device = f->b % (w->plan.disk_count + 1);
	struct sim_device *d = sim_device(
		w, site, device == 0 ? MIRROR_IO_LOG : (uint32_t)device - 1);

	switch (f->type) {
	case SIM_SLOW_DEVICE:
		d->slow_ns = d->slow_ns > 0 ? 0 : (f->c % 200) * SIM_MS;
		break;
	case SIM_HUNG_DEVICE:
		/* the path of its host, or of all: then its mates find it so, too */
		sim_device_hang(w, site,
				device == 0 ? MIRROR_IO_LOG : (uint32_t)device - 1,
				f->c % 2 == 0 && w->site[site].open_node >= 0 ?
					1u << w->site[site].open_node :
					UINT32_MAX);
		break;
	case SIM_STUCK_DEVICE:
		d->stuck_until_ns = w->now_ns + f->c % (6 * SIM_S);
		break;
	default:
		d->fail = d->fail != 0 ? 0 : f->c % 4 == 0 ? -ENOSPC : -EIO;
		d->fail_ops = ops[f->c / 4 % 4];
		d->fail_count = f->c / 16 % 2 == 0 ? 0 : 1 + (uint32_t)(f->c / 32 % 3);
		break;
	}
	sim_trace(w, "site %u device %llu: %s", site, (unsigned long long)device,
		  sim_fault_name(f->type));
}

/* A fault that only a checksum finds: the site counts for nothing until it was filled anew,
 * but its data must not be taken for good. */
static void corrupt(struct sim *w, const struct sim_fault *f, uint32_t site)
{
	struct sim_site *s = &w->site[site];

	for (uint32_t i = 0; i < w->plan.site_count; i++)
		if (w->site[i].tainted)
			return; /* of two nothing would be left */
	if (f->type == SIM_LOST_WRITE)
		s->log.lose_writes = 1;
	else if (f->type == SIM_MISDIRECTED_WRITE)
		s->log.misdirect_writes = 1;
	else
		sim_rot(w, site);
	s->tainted = true;
	s->rotten = f->type == SIM_ROT;
	sim_trace(w, "site %u: %s", site, sim_fault_name(f->type));
	if (s->rotten && s->open_node >= 0 && f->c % 2 == 0)
		sim_node_kill(w, (uint32_t)s->open_node); /* its next start finds it */
}

/* Call off all promotions of the node. */
static void call_off(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];
	struct cluster_event e = { .type = CLUSTER_EVENT_GIVE_UP };

	if (n->running && w->now_ns >= n->frozen_until_ns && n->core->alone != NULL &&
	    n->core->alone->busy) {
		e.command_id = n->core->alone->command.id;
		sim_cluster_step(w, node, &e);
	}
	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		if (!n->running || w->now_ns < n->frozen_until_ns)
			return;
		e.command_id = n->core->command[i].id;
		if (n->core->command[i].used &&
		    n->core->command[i].type == CLUSTER_COMMAND_PROMOTE)
			sim_cluster_step(w, node, &e);
	}
}

static void fail_frozen(struct sim *w, uint32_t node)
{
	const struct order frozen = { .type = ORDER_FAIL_FROZEN };

	if (w->node[node].running)
		sim_node_order(w, node, &frozen);
}

static void refresh(struct sim *w, uint32_t node, int32_t site, bool pace)
{
	const struct cluster_command c = { .type = CLUSTER_COMMAND_REFRESH,
					   .site = site,
					   .pace = pace };

	sim_operator(w, node, &c);
}

/* To another site than its own, but for one in sixteen. */
static void move(struct sim *w, const struct sim_fault *f, uint32_t node)
{
	static const uint32_t wait_ms[] = { 0, 300, 3000, 60000 };
	uint32_t site = (uint32_t)(f->b % w->plan.site_count);

	if (site == w->node[node].site && f->b / 16 % 16 != 0)
		site = (site + 1) % w->plan.site_count;
	w->node[node].move.manages = f->c / 64 % 2 == 0;
	sim_move_begin(w, node, site, wait_ms[f->c / 8 % 4],
		       f->c / 128 % 4 == 0 ? 1 + f->c % (2 * SIM_S) : 0);
}

static void command(struct sim *w, const struct sim_fault *f, uint32_t node)
{
	const int32_t site = f->c % 2 == 0 ? -1 : (int32_t)(f->b % w->plan.site_count);
	const int32_t serving = sim_serving(w);
	const bool bypass = sim_plan_is_async(&w->plan) && f->c / 8 % 2 == 0;

	if (f->type == SIM_CALL_OFF) {
		call_off(w, node);
		return;
	}
	/* Most are for production; said elsewhere they are refused. */
	if (f->type != SIM_PROMOTE && f->type != SIM_FORCE && f->c / 2 % 4 != 0 &&
	    serving >= 0)
		node = (uint32_t)serving;
	switch (f->type) {
	case SIM_PROMOTE:
		sim_promote(w, node, false);
		break;
	case SIM_FORCE:
		sim_promote(w, node, true);
		break;
	case SIM_PROMOTE_BOTH:
		for (uint32_t n = 0; n < w->node_count; n++)
			sim_promote(w, n, false);
		break;
	case SIM_DEMOTE:
		sim_command(w, node, CLUSTER_COMMAND_DEMOTE, false, -1);
		break;
	case SIM_LEAVE:
		sim_node_leave(w, node);
		break;
	case SIM_DISCONNECT:
		sim_command(w, node,
			    bypass ? CLUSTER_COMMAND_BYPASS_ON :
				     CLUSTER_COMMAND_DISCONNECT,
			    false, site);
		break;
	case SIM_CONNECT:
		sim_command(w, node,
			    bypass ? CLUSTER_COMMAND_BYPASS_OFF : CLUSTER_COMMAND_CONNECT,
			    false, site);
		break;
	case SIM_REFRESH:
		refresh(w, node, site, sim_plan_is_async(&w->plan) && f->c / 8 % 2 != 0);
		break;
	case SIM_MODE:
		sim_mode(w, node, sim_promise_draw(f->b, f->c));
		break;
	case SIM_MOVE:
		move(w, f, node);
		break;
	default:
		break;
	}
}

static void stop(struct sim *w, const struct sim_fault *f, uint32_t node)
{
	const uint64_t ns = f->b % (5 * SIM_S);

	sim_node_stop(w, node, ns);
	if (f->type == SIM_STOP_MACHINE && ns > SIM_S) {
		sim_at(w, w->now_ns + SIM_S, SIM_AWAY, node, 1, NULL);
		sim_at(w, w->now_ns + ns, SIM_AWAY, node, 0, NULL);
	}
}

/* Into two parts, now and then more; or all together. */
static void part(struct sim *w, const struct sim_fault *f)
{
	const uint64_t count = f->b / 4 % 3 != 0 ? 2 : 3 + f->b / 12 % 2;
	const bool heals = f->b % 4 == 0 && f->type != SIM_PART_MEMBERS;
	uint32_t of[SIM_NODES_MAX] = { 0 };

	for (uint32_t n = 0; n < w->node_count && !heals; n++)
		of[n] = (uint32_t)((f->c >> (5 * n) & 31) % count);
	sim_part_into(w, of, f->type != SIM_PART_LINES, f->type != SIM_PART_MEMBERS);
}

static void stall(struct sim *w, const struct sim_fault *f, uint32_t node)
{
	const bool hole = f->type == SIM_HOLE;
	const uint64_t ns = f->c % (hole ? 16 * SIM_S : 8 * SIM_S);

	for (uint32_t to = 0; to < w->node_count; to++) {
		if (to == node || (f->b >> to & 1) == 0)
			continue;
		if (hole)
			sim_hole(w, node, to, true);
		else
			sim_stall(w, node, to, true);
		sim_at(w, w->now_ns + ns, SIM_FLOWS, node, to, NULL);
	}
}

static bool has_three_voters(const struct sim *w, uint32_t node)
{
	const struct view *v = w->node[node].running ?
				       cluster_view_in_effect(w->node[node].core) :
				       NULL;

	return v != NULL && v->voters.count >= 3;
}

void sim_voter_file_lose(struct sim *w, uint32_t node)
{
	struct sim_node *n = &w->node[node];

	sim_node_kill(w, node);
	n->file_bytes = 0;
	n->lost_file++;
	w->voter_file_lost = true;
}

static void break_nodes(struct sim *w, const struct sim_fault *f, uint32_t node,
			uint32_t site)
{
	switch (f->type) {
	case SIM_KILL:
		sim_node_kill(w, node);
		break;
	case SIM_RESET:
		sim_machine_reset(w, node);
		break;
	case SIM_SITE_POWER:
		sim_site_power(w, site);
		break;
	case SIM_ALL_POWER:
		for (uint32_t n = 0; n < w->node_count; n++)
			if (w->config.node[n].site < 0)
				sim_machine_reset(w, n);
		for (uint32_t s = 0; s < w->plan.site_count; s++)
			sim_site_power(w, s);
		break;
	case SIM_LOSE_VOTER_FILE:
		/* One, of three at least: with more of them gone the truth cannot be
		 * known, and rightly nothing goes on. */
		if (w->voter_file_lost || !has_three_voters(w, node))
			break;
		sim_voter_file_lose(w, node);
		break;
	default:
		break;
	}
}

static uint32_t site_of(const struct sim *w, const struct sim_fault *f)
{
	const int32_t site = w->config.node[f->a % w->node_count].site;

	return f->here && site >= 0 ? (uint32_t)site :
				      (uint32_t)(f->a % w->plan.site_count);
}

static void strike_all_armed(struct sim *w);

static void repair(struct sim *w)
{
	strike_all_armed(w); /* none of them later, when all has to be calm */
	sim_repair(w);
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t to = 0; to < w->node_count; to++) {
			sim_stall(w, n, to, false);
			sim_hole(w, n, to, false);
		}
}

static void strike(struct sim *w, const struct sim_fault *f)
{
	const uint32_t node = (uint32_t)(f->a % w->node_count);
	const uint32_t site = site_of(w, f);

	w->count.faults++;
	w->last_fault_ns = w->now_ns;
	sim_trace(w, "FAULT %s, %s%s", sim_fault_name(f->type),
		  sim_moment_name(f->moment), f->armed && !f->seen ? " missed" : "");
	switch (f->type) {
	case SIM_KILL:
	case SIM_RESET:
	case SIM_SITE_POWER:
	case SIM_ALL_POWER:
	case SIM_LOSE_VOTER_FILE:
		break_nodes(w, f, node, site);
		break;
	case SIM_STOP:
	case SIM_STOP_MACHINE:
		stop(w, f, node);
		break;
	case SIM_PART:
	case SIM_PART_MEMBERS:
	case SIM_PART_LINES:
		part(w, f);
		break;
	case SIM_STALL:
	case SIM_HOLE:
		stall(w, f, node);
		break;
	case SIM_RESET_LINES:
		sim_lines_reset(w);
		break;
	case SIM_SLOW_DEVICE:
	case SIM_STUCK_DEVICE:
	case SIM_HUNG_DEVICE:
	case SIM_FAIL_DEVICE:
		fail_device(w, f, site);
		break;
	case SIM_ROT:
	case SIM_LOST_WRITE:
	case SIM_MISDIRECTED_WRITE:
		corrupt(w, f, site);
		break;
	case SIM_WALL_JUMP:
		w->node[node].wall_offset_ns += (int64_t)(f->b % (7200 * SIM_S)) -
						(int64_t)(3600 * SIM_S);
		break;
	case SIM_REPAIR:
		repair(w);
		break;
	case SIM_FAIL_FROZEN:
		fail_frozen(w, node);
		break;
	default:
		command(w, f, node);
		break;
	}
}

/* ---- moments -------------------------------------------------------------------------- */

static bool is_chased(const struct mirror_view *m)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (m->state == ENGINE_SERVING && m->link[i].streams_out &&
		    !m->peer[m->link[i].site].waited)
			return true;
	return false;
}

/* Nobody serves, and any promotion of this node is refused, but for a force. */
static bool needs_force(const struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct cluster_core *c = w->node[node].core;
	const struct view *v = cluster_view_in_effect(c);

	if (w->plan.alone)
		return m->state == ENGINE_IDLE && sim_serving(w) < 0 &&
		       !m->sb->clean.set && !sim_pair_is_whole(w);
	return m->state == ENGINE_IDLE && c->quorate && v != NULL && sim_serving(w) < 0 &&
	       (!cluster_round_can_decide(c) ||
		cluster_promote_reason(c, v) == PROMOTE_NOT);
}

static bool is_moment(const struct sim *w, uint32_t node, enum sim_moment moment)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct cluster_core *c = w->node[node].core;

	switch (moment) {
	case SIM_IN_ROUND:
		return c->round.state != ROUND_IDLE;
	case SIM_IN_PREPARE:
		return m->state == ENGINE_PREPARING && m->preparing;
	case SIM_IN_REFRESH:
		return m->state != ENGINE_CLOSED && m->sb->hold.active;
	case SIM_IN_CUT:
		return m->cutting || m->leaping;
	case SIM_IN_GREETING:
		return m->greeting;
	case SIM_IN_START:
		return m->state == ENGINE_STARTING || m->state == ENGINE_DEMOTING;
	case SIM_IN_BYPASS:
		return m->bypassing;
	case SIM_IN_REFUSAL:
		return m->state == ENGINE_IDLE &&
		       !uuid_is_zero(&m->sb->refusal.generation);
	case SIM_IN_CHASE:
		return is_chased(m);
	case SIM_IN_CLEAN:
		return c->alone != NULL ?
			       m->sb->clean.set :
			       c->voter.has_in_effect && c->voter.in_effect.clean;
	case SIM_IN_NEED:
		return needs_force(w, node);
	case SIM_IN_PROBE:
		return c->alone->state >= ALONE_PROBING &&
		       c->alone->state < ALONE_STARTING;
	case SIM_IN_ROLL:
		return m->roll_link != MIRROR_LINK_NONE;
	case SIM_IN_FROZEN:
		return c->alone->lost != 0;
	case SIM_IN_CATCH_UP:
		return m->state == ENGINE_SERVING &&
		       m->peer[1 - m->site].state == LINK_CATCHING_UP;
	case SIM_IN_MOVE:
		return w->node[node].move.core.state >= MOVE_DEMOTE;
	case SIM_IN_FOLLOW:
		return w->node[node].move.core.state >= MOVE_FOLLOW;
	case SIM_AT_ONCE:
	case SIM_MOMENTS:
		break;
	}
	return true;
}

static void fire(struct sim *w, struct sim_fault *f)
{
	f->done = true;
	w->armed_count -= f->armed;
	strike(w, f);
}

static void strike_all_armed(struct sim *w)
{
	for (uint32_t i = 0; i < w->plan.fault_count; i++)
		if (w->plan.fault[i].armed && !w->plan.fault[i].done)
			fire(w, &w->plan.fault[i]);
}

/* Now and then somebody brings a moment about that is seldom there by itself. */
static void provoke(struct sim *w, const struct sim_fault *f)
{
	const int32_t serving = sim_serving(w);

	if (serving < 0 || f->c % 2 == 0)
		return;
	w->last_fault_ns = w->now_ns;
	if (f->moment == SIM_IN_REFRESH)
		sim_command(w, (uint32_t)serving, CLUSTER_COMMAND_REFRESH, false, -1);
	else if (f->moment == SIM_IN_CLEAN)
		sim_command(w, (uint32_t)serving, CLUSTER_COMMAND_DEMOTE, false, -1);
}

void sim_fault_event(struct sim *w, uint64_t number)
{
	struct sim_fault *f = &w->plan.fault[number];

	if (f->done || w->settling)
		return;
	if (f->moment == SIM_AT_ONCE || f->armed) {
		fire(w, f);
		return;
	}
	f->armed = true;
	w->armed_count++;
	sim_at(w, w->now_ns + MOMENT_LIMIT_NS * (1 + w->plan.slow), SIM_FAULT, 0, number,
	       NULL);
	provoke(w, f);
}

/* After each step of a node: is it one of those moments? Then the fault comes with
 * the next event, on that node. */
void sim_fault_watch(struct sim *w, uint32_t node)
{
	if (w->armed_count == 0)
		return;
	for (uint32_t i = 0; i < w->plan.fault_count; i++) {
		struct sim_fault *f = &w->plan.fault[i];

		if (!f->armed || f->done || f->seen || !is_moment(w, node, f->moment))
			continue;
		f->seen = true;
		/* of the node itself, or as it was drawn */
		f->here = f->b % 2 == 0 || f->type == SIM_FORCE ||
			  f->type == SIM_CALL_OFF;
		if (f->here)
			f->a = node;
		sim_at(w, sim_soon(w, f->c % 3000), SIM_FAULT, 0, i, NULL);
	}
}
