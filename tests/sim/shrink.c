/* shrink.c - a failing run made short: faults are left out, halves first, then one by
 * one, as long as the rest still breaks the same guarantee. The run changes with each of
 * them, so the result is short, not the shortest.
 *
 * Source: A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing
 * Input" (2002).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/run.h"

#define TRIES_MAX 150u
#define EVENTS_MAX 20u /* ... and so many times the steps of the failed run */

/* Steps of both cores: the cost of a run, on any machine. */
static uint64_t cost(const struct sim_result *r)
{
	return r->count.steps_cluster + r->count.steps_mirror;
}

static bool still_fails(uint64_t seed, const struct sim_plan *p,
			const struct sim_result *failure, uint64_t *spent)
{
	struct sim_result r;

	sim_run_apart(seed, p, &r);
	*spent += cost(&r);
	return r.failed && strcmp(r.guarantee, failure->guarantee) == 0;
}

/* Leave out `count` of the faults that are left, from the `at`th on. */
static bool leave_out(struct sim_plan *p, uint32_t at, uint32_t count)
{
	uint32_t number = 0, gone = 0;

	for (uint32_t i = 0; i < p->fault_count; i++) {
		if (p->fault[i].done)
			continue;
		if (number >= at && number < at + count) {
			p->fault[i].done = true;
			gone++;
		}
		number++;
	}
	return gone > 0;
}

static uint32_t left(const struct sim_plan *p)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < p->fault_count; i++)
		count += !p->fault[i].done;
	return count;
}

/* Its node, or site, as it was drawn: one that waits for a moment may strike where that
 * is seen. */
static void print_fault(const struct sim_plan *p, uint32_t number)
{
	const struct sim_fault *f = &p->fault[number];
	uint32_t nodes = p->witnesses;

	for (uint32_t s = 0; s < p->site_count; s++)
		nodes += p->hosts[s];
	printf("        %3u %9.3f ms %s %s", number, (double)f->at_ns / 1e6,
	       sim_fault_name(f->type), sim_moment_name(f->moment));
	if (f->type == SIM_PART_MEMBERS ||
	    (f->b % 4 != 0 && (f->type == SIM_PART || f->type == SIM_PART_LINES)))
		printf(", nodes %llx", (unsigned long long)(f->c & ((1u << nodes) - 1)));
	else if (f->type != SIM_PART && f->type != SIM_PART_LINES)
		printf(", n%llu or site %llu", (unsigned long long)(f->a % nodes) + 1,
		       (unsigned long long)(f->a % p->site_count));
	printf("\n");
}

static void print_left(uint64_t seed, const struct sim_plan *p)
{
	const char *comma = "";

	printf("        sim --trace%s --seed %llu --only \"",
	       p->alone ? " --alone" :
	       p->modes ? " --modes" :
			  "",
	       (unsigned long long)seed);
	for (uint32_t i = 0; i < p->fault_count; i++)
		if (!p->fault[i].done) {
			printf("%s%u", comma, i);
			comma = ",";
		}
	printf("\"\n");
	for (uint32_t i = 0; i < p->fault_count; i++)
		if (!p->fault[i].done)
			print_fault(p, i);
}

void sim_shrink(uint64_t seed, enum sim_world world, const struct sim_result *failure)
{
	/* One that died was not counted to its end. */
	const uint64_t most = cost(failure) > 0 ? EVENTS_MAX * cost(failure) : UINT64_MAX;
	static struct sim_plan best, next;
	uint64_t spent = 0;
	uint32_t tries = 0;

	sim_plan_draw(&best, seed, world);
	if (strcmp(failure->guarantee, "loop") == 0)
		tries = TRIES_MAX; /* each would take as long */
	for (uint32_t size = left(&best); size > 0; size /= 2)
		for (uint32_t at = 0;
		     at < left(&best) && tries < TRIES_MAX && spent < most;) {
			next = best;
			tries++;
			if (leave_out(&next, at, size) &&
			    still_fails(seed, &next, failure, &spent))
				best = next;
			else
				at += size;
		}
	print_left(seed, &best);
	fflush(stdout);
}

bool sim_plan_only(struct sim_plan *p, const char *list)
{
	for (uint32_t i = 0; i < p->fault_count; i++)
		p->fault[i].done = true;
	while (*list != 0) {
		char *end;
		const unsigned long i = strtoul(list, &end, 10);

		if (end == list || i >= p->fault_count || (*end != ',' && *end != 0))
			return false;
		p->fault[i].done = false;
		list = *end == ',' ? end + 1 : end;
	}
	return true;
}
