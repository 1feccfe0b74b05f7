/* scenario.c - see scenario.h: the scenarios by name, and how one is played. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/scenario.h"

static const struct sim_scenario *const tables[] = {
	sim_scenarios_views,   sim_scenarios_promotion,
	sim_scenarios_leases,  sim_scenarios_hosts,
	sim_scenarios_copies,  sim_scenarios_refresh,
	sim_scenarios_log,     sim_scenarios_line,
	sim_scenarios_clients, sim_scenarios_disks,
	sim_scenarios_alone,   sim_scenarios_forced,
	sim_scenarios_modes,   sim_scenarios_async,
	sim_scenarios_block,   sim_scenarios_near,
	sim_scenarios_move,    sim_scenarios_forward,
	sim_scenarios_home,    NULL,
};

/* Nothing goes wrong by itself, and everything takes a moment. */
static void plan_quiet(struct sim_plan *p, const struct sim_scenario *scenario)
{
	uint32_t nodes = scenario->witnesses;

	*p = (struct sim_plan){
		.alone = scenario->alone,
		.promise = scenario->promise,
		.block = scenario->block,
		.modes = (scenario->promise.mode != CONFIG_SYNC ||
			  scenario->promise.home) &&
			 !scenario->alone,
		.witnesses = scenario->witnesses,
		.disk_count = scenario->disks > 0 ? scenario->disks : 1,
		.disk_bytes = scenario->disk_bytes > 0 ? scenario->disk_bytes :
							 512 * 1024,
		.log_bytes = scenario->log_bytes > 0 ? scenario->log_bytes : 2u << 20,
		.quiet_ns = SIM_MS,
		.cpg_us = 300,
		.mail_us = 50,
		.line_us = 200,
		.io_us = 100,
		.fence_ms = 60000,
		.order = scenario->order,
		.ns = SIM_S,
	};
	p->span_bytes = p->disk_bytes;
	for (uint32_t s = 0; s < SIM_SITES_MAX && scenario->hosts[s] > 0; s++) {
		p->hosts[p->site_count++] = scenario->hosts[s];
		nodes += scenario->hosts[s];
	}
	p->fencing = nodes == 2 && !p->alone; /* of two, one decides alone only so (D2) */
}

/* False: it failed. */
static bool play(const struct sim_scenario *scenario, uint64_t seed, bool trace,
		 const char *watch)
{
	static struct sim_plan plan;
	struct sim_scene s = { .scenario = scenario };
	bool failed;

	plan_quiet(&plan, scenario);
	plan.watch = watch;
	s.w = sim_create(seed, &plan);
	s.w->trace = trace;
	if (sim_scene_begin(&s))
		scenario->play(&s);
	if (s.w->violation[0] == 0) {
		sim_release_all(s.w);
		s.w->pacemaker.off = s.w->person.off = false;
		sim_settle(s.w);
	}
	failed = s.w->violation[0] != 0;
	if (failed)
		printf("FAILED  %s, seed %llu: %s: %s (%s)\n", scenario->name,
		       (unsigned long long)seed, s.w->guarantee, s.w->violation,
		       scenario->what);
	sim_destroy(s.w);
	return !failed;
}

/* Shown is the first seed that fails, or the first. */
static bool play_all_seeds(const struct sim_scenario *scenario, bool trace,
			   uint64_t seeds, const char *watch)
{
	uint64_t seed = 1;

	while (seed <= seeds && play(scenario, seed, false, watch))
		seed++;
	if (trace)
		play(scenario, seed <= seeds ? seed : 1, true, watch);
	if (seed <= seeds)
		return false;
	printf("ok      %s: %s\n", scenario->name, scenario->what);
	return true;
}

int sim_scenario_run(const char *name, bool trace, uint64_t seeds, const char *watch)
{
	const bool all = strcmp(name, "all") == 0;
	uint32_t found = 0;
	int failed = 0;

	for (uint32_t t = 0; tables[t] != NULL; t++)
		for (const struct sim_scenario *at = tables[t]; at->name != NULL; at++) {
			if (!all && strcmp(at->name, name) != 0)
				continue;
			found++;
			failed += !play_all_seeds(at, trace,
						  seeds > 0 ? seeds : at->seeds, watch);
			fflush(stdout);
		}
	return found > 0 ? failed : -1;
}

void sim_scenario_list(void)
{
	for (uint32_t t = 0; tables[t] != NULL; t++)
		for (const struct sim_scenario *at = tables[t]; at->name != NULL; at++)
			printf("%-24s %s\n", at->name, at->what);
}
