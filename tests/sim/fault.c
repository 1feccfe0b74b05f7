/* fault.c - swarm testing: what a run is made of and what goes wrong in it is drawn
 * from its seed before it begins, so that a schedule can be cut short (shrink.c).
 * Which kinds of faults there are at all is drawn too: quiet and wild runs both occur.
 */
#include <errno.h>
#include <string.h>

#include "cluster/internal.h"
#include "mirror/internal.h"
#include "tests/sim/sim.h"

#define MOMENT_LIMIT_NS (2 * SIM_S) /* then a fault strikes all the same */
#define CALM_NS (18 * SIM_S)
#define LONG_ONE_IN 16u

/* ---- the plan -------------------------------------------------------------------- */

static const char *const names[SIM_FAULT_TYPES] = {
	[SIM_KILL] = "kill",
	[SIM_RESET] = "reset",
	[SIM_SITE_POWER] = "site-power",
	[SIM_ALL_POWER] = "all-power",
	[SIM_STOP] = "stop",
	[SIM_STOP_MACHINE] = "stop-machine",
	[SIM_PART] = "part",
	[SIM_PART_MEMBERS] = "part-members",
	[SIM_PART_LINES] = "part-lines",
	[SIM_RESET_LINES] = "reset-lines",
	[SIM_SLOW_DEVICE] = "slow-device",
	[SIM_STUCK_DEVICE] = "stuck-device",
	[SIM_FAIL_DEVICE] = "fail-device",
	[SIM_LOSE_VOTER_FILE] = "lose-voter-file",
	[SIM_ROT] = "rot",
	[SIM_LOST_WRITE] = "lost-write",
	[SIM_MISDIRECTED_WRITE] = "misdirected-write",
	[SIM_WALL_JUMP] = "wall-jump",
	[SIM_PROMOTE] = "promote",
	[SIM_FORCE] = "force",
	[SIM_DEMOTE] = "demote",
	[SIM_LEAVE] = "leave",
	[SIM_DISCONNECT] = "disconnect",
	[SIM_CONNECT] = "connect",
	[SIM_REFRESH] = "refresh",
	[SIM_FAIL_FROZEN] = "fail-frozen",
	[SIM_REPAIR] = "repair",
};

const char *sim_fault_name(enum sim_fault_type type)
{
	return names[type];
}

/* How often a kind is drawn, relative to the others, when the run has it. */
static const uint8_t weights[SIM_FAULT_TYPES] = {
	[SIM_KILL] = 8,        [SIM_RESET] = 5,
	[SIM_SITE_POWER] = 3,  [SIM_ALL_POWER] = 1,
	[SIM_STOP] = 4,        [SIM_STOP_MACHINE] = 4,
	[SIM_PART] = 6,        [SIM_PART_MEMBERS] = 3,
	[SIM_PART_LINES] = 5,  [SIM_RESET_LINES] = 4,
	[SIM_SLOW_DEVICE] = 2, [SIM_STUCK_DEVICE] = 2,
	[SIM_FAIL_DEVICE] = 2, [SIM_LOSE_VOTER_FILE] = 1,
	[SIM_WALL_JUMP] = 1,   [SIM_PROMOTE] = 3,
	[SIM_FORCE] = 1,       [SIM_DEMOTE] = 3,
	[SIM_LEAVE] = 2,       [SIM_DISCONNECT] = 2,
	[SIM_CONNECT] = 2,     [SIM_REFRESH] = 1,
	[SIM_FAIL_FROZEN] = 1, [SIM_ROT] = 1,
	[SIM_LOST_WRITE] = 1,  [SIM_MISDIRECTED_WRITE] = 1,
};

static uint64_t pick(struct sim_random *r, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t kind = sim_random_below(r, 3);

	return kind == 0 ? a : kind == 1 ? b : c;
}

static void draw_shape(struct sim_plan *p, struct sim_random *r)
{
	static const uint8_t shapes[][6] = {
		/* sites, hosts of each, witnesses */
		{ 2, 2, 2, 0, 0, 1 }, { 2, 1, 1, 0, 0, 1 }, { 2, 1, 1, 0, 0, 0 },
		{ 2, 2, 1, 0, 0, 0 }, { 2, 2, 2, 0, 0, 0 }, { 3, 1, 1, 1, 0, 0 },
		{ 3, 2, 2, 1, 0, 0 }, { 3, 1, 1, 1, 0, 1 }, { 4, 1, 1, 1, 1, 1 },
		{ 3, 2, 2, 2, 0, 1 }, { 2, 3, 3, 0, 0, 1 },
	};
	const uint8_t *s = shapes[sim_random_below(r, sizeof shapes / sizeof shapes[0])];

	p->site_count = s[0];
	for (uint32_t i = 0; i < SIM_SITES_MAX; i++)
		p->hosts[i] = s[1 + i];
	p->witnesses = s[5];
	p->disk_count = 1 + (uint32_t)sim_random_below(r, SIM_DISKS_MAX);
	p->disk_bytes = pick(r, 128, 256, 512) * 1024;
	p->log_bytes = pick(r, 2, 3, 6) << 20;
	p->span_bytes = p->disk_bytes / (1 + sim_random_below(r, 4)) / SIM_SECTOR *
			SIM_SECTOR;
	p->order = (uint32_t)sim_random_below(r, 3);
}

static void draw_pace(struct sim_plan *p, struct sim_random *r)
{
	p->quiet_ns = pick(r, 300, 3000, 30000) * SIM_US;
	p->burst = (uint32_t)pick(r, 0, 2, 8);
	p->cpg_us = pick(r, 300, 3000, 20000);
	p->mail_us = pick(r, 20, 500, 5000);
	p->line_us = pick(r, 100, 1000, 20000);
	p->io_us = pick(r, 50, 500, 5000);
	p->fencing = sim_random_below(r, 3) != 0;
	p->fence_ms = pick(r, 300, 1500, 6000);
	p->force = sim_random_below(r, 8) == 0;
	p->ns = (8 + sim_random_below(r, 30)) * SIM_S;
}

/* The kinds of faults that this run has. */
static uint64_t draw_kinds(const struct sim_plan *p, struct sim_random *r)
{
	uint64_t kinds = 0;

	for (uint32_t t = 0; t < SIM_REPAIR; t++)
		if (sim_random_below(r, 2) == 0)
			kinds |= 1ull << t;
	if (!p->force)
		kinds &= ~(1ull << SIM_FORCE);
	/* Faults that no disk should have: they void what was promised for the site,
	 * so only a few runs have them. */
	if (sim_random_below(r, 8) != 0)
		kinds &= ~(1ull << SIM_ROT | 1ull << SIM_LOST_WRITE |
			   1ull << SIM_MISDIRECTED_WRITE);
	return kinds;
}

static enum sim_fault_type draw_type(struct sim_random *r, uint64_t kinds)
{
	uint64_t sum = 0, at;
	uint32_t t = 0;

	for (t = 0; t < SIM_FAULT_TYPES; t++)
		sum += (kinds >> t & 1) * weights[t];
	if (sum == 0)
		return SIM_KILL;
	at = sim_random_below(r, sum);
	for (t = 0; at >= (kinds >> t & 1) * weights[t]; t++)
		at -= (kinds >> t & 1) * weights[t];
	return (enum sim_fault_type)t;
}

/* In the middle all is repaired, and nothing else goes wrong for so long that whoever
 * asked then has to be answered (check_g7.c). */
static void add_calm(struct sim_plan *p, struct sim_random *r)
{
	const uint64_t at = p->ns / 4 + sim_random_below(r, p->ns / 2);

	if (p->fault_count == SIM_FAULTS_MAX)
		return;
	for (uint32_t i = 0; i < p->fault_count; i++)
		if (p->fault[i].at_ns >= at)
			p->fault[i].at_ns += CALM_NS;
	p->ns += CALM_NS;
	p->fault[p->fault_count++] = (struct sim_fault){ .at_ns = at,
							 .type = SIM_REPAIR };
}

/* The same over an hour or more: what only time brings, and that nothing wears out. */
static void stretch(struct sim_plan *p, struct sim_random *r)
{
	const uint64_t times = pick(r, 30, 100, 300);

	for (uint32_t i = 0; i < p->fault_count; i++)
		p->fault[i].at_ns *= times;
	p->ns *= times;
	p->quiet_ns = times * 10 * SIM_MS;
	p->slow = (uint32_t)times / 10;
}

void sim_plan_draw(struct sim_plan *p, uint64_t seed)
{
	struct sim_random r = { seed * 0xd1342543de82ef95ull | 1 };
	uint64_t kinds, at = SIM_S;

	sim_random_next(&r);
	sim_random_next(&r);
	memset(p, 0, sizeof *p);
	draw_shape(p, &r);
	draw_pace(p, &r);
	kinds = draw_kinds(p, &r);
	while (p->fault_count < SIM_FAULTS_MAX) {
		struct sim_fault *f = &p->fault[p->fault_count];

		/* some in quick succession */
		at += sim_random_below(&r, 3) == 0 ? sim_random_below(&r, 50 * SIM_MS) :
						     sim_random_below(&r, 2500 * SIM_MS);
		if (at >= p->ns)
			break;
		f->at_ns = at;
		f->type = draw_type(&r, kinds);
		f->moment = sim_random_below(&r, 2) == 0 ?
				    SIM_AT_ONCE :
				    (enum sim_moment)sim_random_below(&r, SIM_MOMENTS);
		f->a = sim_random_next(&r) >> 8;
		f->b = sim_random_next(&r) >> 8;
		f->c = sim_random_next(&r) >> 8;
		p->fault_count++;
	}
	p->stale_one_in = sim_random_below(&r, 4) == 0 ? 300 : 0;
	if (sim_random_below(&r, 4) == 0)
		add_calm(p, &r);
	if (sim_random_below(&r, LONG_ONE_IN) == 0)
		stretch(p, &r);
}

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
	case SIM_STUCK_DEVICE:
		d->stuck_until_ns = w->now_ns + f->c % (6 * SIM_S);
		break;
	default:
		d->fail = d->fail != 0 ? 0 : f->c % 4 == 0 ? -ENOSPC : -EIO;
		d->fail_ops = ops[f->c / 4 % 4];
		break;
	}
	sim_trace(w, "site %u device %llu: %s", site, (unsigned long long)device,
		  names[f->type]);
}

/* A fault that only a checksum finds: the site counts for nothing until it was
 * filled anew, but what it has must not be taken for good. */
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
	sim_trace(w, "site %u: %s", site, names[f->type]);
	if (s->rotten && s->open_node >= 0 && f->c % 2 == 0)
		sim_node_kill(w, (uint32_t)s->open_node); /* its next start finds it */
}

static void command(struct sim *w, const struct sim_fault *f, uint32_t node)
{
	const int32_t site = f->c % 2 == 0 ? -1 : (int32_t)(f->b % w->plan.site_count);
	const int32_t serving = sim_serving(w);

	/* Most are for production; said elsewhere they are refused. */
	if (f->type != SIM_PROMOTE && f->type != SIM_FORCE && f->c / 2 % 4 != 0 &&
	    serving >= 0)
		node = (uint32_t)serving;
	switch (f->type) {
	case SIM_PROMOTE:
		sim_command(w, node, CLUSTER_COMMAND_PROMOTE, false, -1);
		break;
	case SIM_FORCE:
		sim_command(w, node, CLUSTER_COMMAND_PROMOTE, true, -1);
		break;
	case SIM_DEMOTE:
		sim_command(w, node, CLUSTER_COMMAND_DEMOTE, false, -1);
		break;
	case SIM_LEAVE:
		sim_command(w, node, CLUSTER_COMMAND_STOP, false, -1);
		break;
	case SIM_DISCONNECT:
		sim_command(w, node, CLUSTER_COMMAND_DISCONNECT, false, site);
		break;
	case SIM_CONNECT:
		sim_command(w, node, CLUSTER_COMMAND_CONNECT, false, site);
		break;
	case SIM_REFRESH:
		sim_command(w, node, CLUSTER_COMMAND_REFRESH, false, site);
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

static bool has_three_voters(const struct sim *w, uint32_t node)
{
	const struct view *v = w->node[node].running ?
				       cluster_vote_in_effect(w->node[node].core) :
				       NULL;

	return v != NULL && v->voters.count >= 3;
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
		/* One, of three at least: with more of them gone nobody knows what is
		 * true, and rightly nothing goes on. */
		if (w->voter_file_lost || !has_three_voters(w, node))
			break;
		sim_node_kill(w, node);
		w->node[node].file_bytes = 0;
		w->node[node].lost_file++;
		w->voter_file_lost = true;
		break;
	default:
		break;
	}
}

static void strike(struct sim *w, const struct sim_fault *f)
{
	const uint32_t node = (uint32_t)(f->a % w->node_count);
	const uint32_t site = (uint32_t)(f->a % w->plan.site_count);
	const struct order frozen = { .type = ORDER_FAIL_FROZEN };

	w->count.faults++;
	w->last_fault_ns = w->now_ns;
	sim_trace(w, "FAULT %s", names[f->type]);
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
		sim_part(w, f->b % 4 == 0 ? 0 : f->c, true, true);
		break;
	case SIM_PART_MEMBERS:
		sim_part(w, f->c, true, false);
		break;
	case SIM_PART_LINES:
		sim_part(w, f->b % 4 == 0 ? 0 : f->c, false, true);
		break;
	case SIM_RESET_LINES:
		sim_lines_reset(w);
		break;
	case SIM_SLOW_DEVICE:
	case SIM_STUCK_DEVICE:
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
		sim_repair(w);
		break;
	case SIM_FAIL_FROZEN:
		if (w->node[node].running)
			sim_node_order(w, node, &frozen);
		break;
	default:
		command(w, f, node);
		break;
	}
}

/* ---- moments -------------------------------------------------------------------------- */

static bool is_chased(const struct mirror_engine *m)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (m->state == ENGINE_SERVING && m->link[i].use == LINK_STREAM_OUT &&
		    !m->peer[m->link[i].site].waited)
			return true;
	return false;
}

static bool is_moment(const struct sim *w, uint32_t node, enum sim_moment moment)
{
	const struct mirror_engine *m = w->node[node].engine;
	const struct cluster_core *c = w->node[node].core;

	switch (moment) {
	case SIM_IN_ROUND:
		return c->round.state != ROUND_IDLE;
	case SIM_IN_PREPARE:
		return m->state == ENGINE_PREPARING && m->prepare_step != PREPARE_NONE;
	case SIM_IN_REFRESH:
		return m->state != ENGINE_CLOSED && m->sb.hold.active;
	case SIM_IN_CUT:
		return m->cut_step != CUT_NONE || m->leap_step != LEAP_NONE;
	case SIM_IN_GREETING:
		return m->greeting_step != GREETING_NONE;
	case SIM_IN_START:
		return m->state == ENGINE_STARTING || m->state == ENGINE_DEMOTING;
	case SIM_IN_BYPASS:
		return m->bypass_step != BYPASS_NONE;
	case SIM_IN_REFUSAL:
		return m->state == ENGINE_IDLE &&
		       !uuid_is_zero(&m->sb.refusal.generation);
	case SIM_IN_CHASE:
		return is_chased(m);
	case SIM_IN_CLEAN:
		return c->voter.has_in_effect && c->voter.in_effect.clean;
	case SIM_AT_ONCE:
	case SIM_MOMENTS:
		break;
	}
	return true;
}

void sim_fault_event(struct sim *w, uint64_t number)
{
	struct sim_fault *f = &w->plan.fault[number];

	if (f->done || w->settling)
		return;
	if (f->moment == SIM_AT_ONCE || f->armed) {
		f->done = true;
		w->armed_count -= f->armed;
		strike(w, f);
		return;
	}
	f->armed = true;
	w->armed_count++;
	sim_at(w, w->now_ns + MOMENT_LIMIT_NS, SIM_FAULT, 0, number, NULL);
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
		if (f->b % 2 == 0) /* of the node itself, or as it was drawn */
			f->a = node;
		sim_at(w, sim_soon(w, f->c % 3000), SIM_FAULT, 0, i, NULL);
	}
}
