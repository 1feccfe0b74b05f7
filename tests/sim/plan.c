/* plan.c - swarm testing: a run's mirror, its load and its faults are drawn
 * from its seed before it begins, so that a schedule can be cut short (shrink.c).
 * Which kinds of faults there are at all is drawn too: quiet and wild runs both occur.
 */
#include <string.h>

#include "tests/sim/sim.h"

#define CALM_NS (18 * SIM_S)
#define LONG_ONE_IN 16u
#define HANG_ONE_IN 6u
#define MOVES_ONE_IN 4u

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
	[SIM_STALL] = "stall",
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
	[SIM_CALL_OFF] = "call-off",
	[SIM_REPAIR] = "repair",
	[SIM_HUNG_DEVICE] = "hung-device",
	[SIM_HOLE] = "hole",
	[SIM_PROMOTE_BOTH] = "promote-both",
	[SIM_MODE] = "mode",
	[SIM_MOVE] = "move",
};

static const char *const moment_names[SIM_MOMENTS] = {
	[SIM_AT_ONCE] = "at-once",       [SIM_IN_ROUND] = "in-round",
	[SIM_IN_PREPARE] = "in-prepare", [SIM_IN_REFRESH] = "in-refresh",
	[SIM_IN_CUT] = "in-cut",         [SIM_IN_GREETING] = "in-greeting",
	[SIM_IN_START] = "in-start",     [SIM_IN_BYPASS] = "in-bypass",
	[SIM_IN_REFUSAL] = "in-refusal", [SIM_IN_CLEAN] = "in-clean",
	[SIM_IN_CHASE] = "in-chase",     [SIM_IN_NEED] = "in-need",
	[SIM_IN_PROBE] = "in-probe",     [SIM_IN_ROLL] = "in-roll",
	[SIM_IN_FROZEN] = "in-frozen",   [SIM_IN_CATCH_UP] = "in-catch-up",
	[SIM_IN_MOVE] = "in-move",       [SIM_IN_FOLLOW] = "in-follow",
};

const char *sim_fault_name(enum sim_fault_type type)
{
	return names[type];
}

const char *sim_world_name(enum sim_world world)
{
	static const char *const worlds[] = { [SIM_CLUSTER] = "",
					      [SIM_ALONE] = "alone",
					      [SIM_THROTTLES] = "throttles",
					      [SIM_MODES] = "modes" };

	return worlds[world];
}

const char *sim_moment_name(enum sim_moment moment)
{
	return moment_names[moment];
}

/* How often a kind is drawn, relative to the others, when the run has it. */
static const uint8_t weights[SIM_FAULT_TYPES] = {
	[SIM_KILL] = 8,         [SIM_RESET] = 5,
	[SIM_SITE_POWER] = 3,   [SIM_ALL_POWER] = 1,
	[SIM_STOP] = 4,         [SIM_STOP_MACHINE] = 4,
	[SIM_PART] = 6,         [SIM_PART_MEMBERS] = 3,
	[SIM_PART_LINES] = 5,   [SIM_RESET_LINES] = 4,
	[SIM_SLOW_DEVICE] = 2,  [SIM_STUCK_DEVICE] = 2,
	[SIM_FAIL_DEVICE] = 2,  [SIM_LOSE_VOTER_FILE] = 1,
	[SIM_WALL_JUMP] = 1,    [SIM_PROMOTE] = 3,
	[SIM_FORCE] = 8,        [SIM_DEMOTE] = 3,
	[SIM_LEAVE] = 2,        [SIM_DISCONNECT] = 2,
	[SIM_CONNECT] = 2,      [SIM_REFRESH] = 1,
	[SIM_FAIL_FROZEN] = 1,  [SIM_ROT] = 5,
	[SIM_LOST_WRITE] = 5,   [SIM_MISDIRECTED_WRITE] = 5,
	[SIM_CALL_OFF] = 2,     [SIM_STALL] = 3,
	[SIM_PROMOTE_BOTH] = 4, [SIM_MODE] = 16,
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
	p->device_timeout_ms = 8000;
	p->ns = (8 + sim_random_below(r, 30)) * SIM_S;
}

/* The kinds of faults that this run has. */
static uint64_t draw_kinds(const struct sim_plan *p, struct sim_random *r)
{
	uint64_t kinds = 0;

	for (uint32_t t = 0; t < SIM_REPAIR; t++)
		if (sim_random_below(r, 2) == 0)
			kinds |= 1ull << t;
	kinds &= ~(1ull << SIM_FORCE);
	kinds |= (uint64_t)p->force << SIM_FORCE;
	/* Faults that no disk should have: they void the promises for the site, so few
	 * runs have them. */
	if (sim_random_below(r, 4) != 0)
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

/* Moments of the other world come to nothing, and so to the end of their time. */
static enum sim_moment draw_moment(struct sim_random *r, enum sim_fault_type type,
				   bool alone)
{
	if (sim_random_below(r, 2) == 0)
		return type == SIM_FORCE ? SIM_IN_NEED : SIM_AT_ONCE;
	return (enum sim_moment)sim_random_below(r, alone ? SIM_IN_MOVE : SIM_IN_PROBE);
}

/* Two sites of one host each. Faults in the bytes of a device are played with a cluster: below
 * the operator nothing is different. */
static uint64_t make_alone(struct sim_plan *p, struct sim_random *r, uint64_t kinds)
{
	const uint64_t not_here = 1ull << SIM_LOSE_VOTER_FILE | 1ull << SIM_PART_MEMBERS |
				  1ull << SIM_ROT | 1ull << SIM_LOST_WRITE |
				  1ull << SIM_MISDIRECTED_WRITE;

	p->alone = true;
	p->site_count = 2;
	p->hosts[0] = p->hosts[1] = 1;
	p->hosts[2] = p->hosts[3] = p->witnesses = 0;
	p->fencing = false;
	p->force = sim_random_below(r, 3) == 0;
	kinds &= ~(not_here | 1ull << SIM_FORCE);
	kinds |= (uint64_t)p->force << SIM_FORCE;
	return kinds | (uint64_t)sim_random_below(r, 2) << SIM_PROMOTE_BOTH;
}

/* In the middle all is repaired, and nothing else goes wrong for so long that every request
 * has to be answered (check_g7.c). */
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

/* One device hangs for good: for one of the nodes that reach it, or for all. */
static void add_hang(struct sim_plan *p, struct sim_random *r)
{
	if (p->fault_count == SIM_FAULTS_MAX)
		return;
	p->fault[p->fault_count++] = (struct sim_fault){
		.at_ns = SIM_S + sim_random_below(r, p->ns),
		.type = SIM_HUNG_DEVICE,
		.moment = draw_moment(r, SIM_HUNG_DEVICE, p->alone),
		.a = sim_random_next(r) >> 8,
		.b = sim_random_next(r) >> 8,
		.c = sim_random_next(r) >> 8,
	};
}

/* Lines on which only small frames get through, for a few times copy-timeout. */
static void add_holes(struct sim_plan *p, struct sim_random *r)
{
	const uint64_t count = 1 + sim_random_below(r, 3);

	for (uint64_t i = 0; i < count && p->fault_count < SIM_FAULTS_MAX; i++)
		p->fault[p->fault_count++] = (struct sim_fault){
			.at_ns = sim_random_below(r, p->ns),
			.type = SIM_HOLE,
			.a = sim_random_next(r) >> 8,
			.b = sim_random_next(r) >> 8,
			.c = sim_random_next(r) >> 8,
		};
}

static void add(struct sim_plan *p, struct sim_random *r, uint64_t at_ns,
		enum sim_fault_type type, enum sim_moment moment)
{
	if (p->fault_count < SIM_FAULTS_MAX)
		p->fault[p->fault_count++] = (struct sim_fault){
			.at_ns = at_ns,
			.type = type,
			.moment = moment,
			.a = sim_random_next(r) >> 8,
			.b = sim_random_next(r) >> 8,
			.c = sim_random_next(r) >> 8,
		};
}

/* Planned moves, and faults in the middle of most of them. */
static void add_moves(struct sim_plan *p, struct sim_random *r)
{
	static const enum sim_fault_type types[] = {
		SIM_KILL,       SIM_RESET,        SIM_SITE_POWER, SIM_PART,
		SIM_PART_LINES, SIM_PART_MEMBERS, SIM_STALL,      SIM_RESET_LINES,
		SIM_STOP,       SIM_STUCK_DEVICE, SIM_DISCONNECT, SIM_DEMOTE,
	};
	const uint64_t count = 1 + sim_random_below(r, 4);

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t at_ns = SIM_S + sim_random_below(r, p->ns);
		const uint64_t faults = sim_random_below(r, 3);

		add(p, r, at_ns, SIM_MOVE, SIM_AT_ONCE);
		for (uint64_t f = 0; f < faults; f++)
			add(p, r, at_ns,
			    types[sim_random_below(r, sizeof types / sizeof *types)],
			    sim_random_below(r, 2) == 0 ? SIM_IN_MOVE : SIM_IN_FOLLOW);
	}
}

/* The same over an hour or more: faults that only time brings, and nothing may wear out. */
static void stretch(struct sim_plan *p, struct sim_random *r)
{
	const uint64_t times = pick(r, 30, 100, 300);

	for (uint32_t i = 0; i < p->fault_count; i++)
		p->fault[i].at_ns *= times;
	p->ns *= times;
	p->quiet_ns = times * 10 * SIM_MS;
	p->slow = (uint32_t)times / 10;
}

struct promise sim_promise_draw(uint64_t a, uint64_t b)
{
	static const uint16_t records[] = { 1, 3, 20, 100 }, ms[] = { 2, 20, 100, 1000 };
	static const uint32_t kib[] = { 4, 32, 256 };
	const uint32_t few = records[b % 4], young = ms[b / 4 % 4];
	struct promise p = promise_make(CONFIG_SYNC, 0, 0);
	const uint32_t failover = b / 16 % 8; /* async: five in eight have the policy */

	switch (a % 8) {
	case 0:
	case 1:
		p.home = b / 128 % 2 == 0; /* M9 */
		return p;
	case 2:
		return promise_async(failover < 5 ? kib[failover % 3] * 1024 : 0,
				     failover < 2 ? 10 * young : 0);
	case 3:
	case 4:
		return promise_make(CONFIG_NEAR_SYNC, few, 0);
	case 5:
		return promise_make(CONFIG_NEAR_SYNC, 0, young);
	default:
		return promise_make(CONFIG_NEAR_SYNC, few, young);
	}
}

/* Copies are behind where clients write much over a line that takes its time. */
static void draw_lag(struct sim_plan *p, struct sim_random *r)
{
	if (sim_random_below(r, 2) == 0)
		p->quiet_ns = pick(r, 100, 300, 1000) * SIM_US;
	if (sim_random_below(r, 2) == 0)
		p->line_us = 20000;
	if (sim_random_below(r, 3) == 0)
		p->record_us = (uint32_t)pick(r, 300, 3000, 20000);
}

static void make_modes(struct sim_plan *p, struct sim_random *r)
{
	p->modes = true;
	p->promise = sim_promise_draw(sim_random_next(r) >> 8, sim_random_next(r) >> 8);
	draw_lag(p, r);
}

/* A third of the pairs is in sync with confirm: home (M9). Another is not in sync, half of it in
 * near-sync, with a bound of a few, an age, or both; and half in async, where clients outrun a
 * line that takes time for each record. */
static void draw_pair(struct sim_plan *p, struct sim_random *r)
{
	const uint64_t quiet_ns = p->quiet_ns, kind = sim_random_below(r, 3);

	p->promise.home = kind == 1;
	if (kind != 0)
		return;
	draw_lag(p, r);
	p->promise = sim_promise_draw(3 + sim_random_below(r, 5),
				      sim_random_next(r) >> 8);
	if (sim_random_below(r, 2) == 0)
		return;
	p->promise = promise_make(CONFIG_ASYNC, 0, 0);
	p->quiet_ns = p->slow > 0 ? quiet_ns : pick(r, 300, 1000, 3000) * SIM_US;
	p->record_us = (uint32_t)pick(r, 3000, 10000, 30000);
}

bool sim_plan_is_async(const struct sim_plan *p)
{
	return p->modes || p->promise.mode == CONFIG_ASYNC;
}

void sim_plan_draw(struct sim_plan *p, uint64_t seed, enum sim_world world)
{
	const bool alone = world == SIM_ALONE;
	struct sim_random r = { seed * 0xd1342543de82ef95ull | 1 };
	uint64_t kinds, at = SIM_S;

	sim_random_next(&r);
	sim_random_next(&r);
	memset(p, 0, sizeof *p);
	draw_shape(p, &r);
	draw_pace(p, &r);
	kinds = draw_kinds(p, &r);
	if (alone)
		kinds = make_alone(p, &r, kinds);
	p->throttles = world == SIM_THROTTLES;
	if (world == SIM_MODES) {
		make_modes(p, &r);
		kinds |= 1ull << SIM_MODE;
	}
	while (p->fault_count < SIM_FAULTS_MAX) {
		struct sim_fault *f = &p->fault[p->fault_count];

		/* some in quick succession */
		at += sim_random_below(&r, 3) == 0 ? sim_random_below(&r, 50 * SIM_MS) :
						     sim_random_below(&r, 2500 * SIM_MS);
		if (at >= p->ns)
			break;
		f->at_ns = at;
		f->type = draw_type(&r, kinds);
		f->moment = draw_moment(&r, f->type, alone);
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
	if (sim_random_below(&r, HANG_ONE_IN) == 0)
		add_hang(p, &r);
	if (sim_random_below(&r, 4) == 0)
		add_holes(p, &r);
	p->sync_ms = 2500 * sim_random_below(&r, 3);
	if (alone)
		draw_pair(p, &r);
	if (world == SIM_MODES && p->promise.mode != CONFIG_ASYNC)
		p->block = sim_random_below(&r, 3) == 0;
	if (sim_random_below(&r, MOVES_ONE_IN) == 0)
		add_moves(p, &r);
}
