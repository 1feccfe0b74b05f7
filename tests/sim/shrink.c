/* shrink.c - a failing run made short: faults are left out, halves first, then one by
 * one, as long as what is left still breaks the same guarantee. The rest of the run
 * changes with each of them, so the result is short, not the shortest.
 *
 * Source: A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing
 * Input" (2002).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/run.h"

#define TRIES_MAX 150u
#define SECONDS_MAX 40

static bool still_fails(uint64_t seed, const struct sim_plan *p,
			const struct sim_result *failure)
{
	struct sim_result r;

	sim_run_apart(seed, p, &r);
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

static void print_left(uint64_t seed, const struct sim_plan *p)
{
	const char *comma = "";

	printf("        sim --trace --seed %llu --only \"", (unsigned long long)seed);
	for (uint32_t i = 0; i < p->fault_count; i++)
		if (!p->fault[i].done) {
			printf("%s%u", comma, i);
			comma = ",";
		}
	printf("\"\n");
	for (uint32_t i = 0; i < p->fault_count; i++)
		if (!p->fault[i].done)
			printf("        %3u %9.3f ms %s\n", i,
			       (double)p->fault[i].at_ns / 1e6,
			       sim_fault_name(p->fault[i].type));
}

void sim_shrink(uint64_t seed, const struct sim_result *failure)
{
	const time_t end = time(NULL) + SECONDS_MAX;
	static struct sim_plan best, next;
	uint32_t tries = 0;

	sim_plan_draw(&best, seed);
	for (uint32_t size = left(&best); size > 0; size /= 2)
		for (uint32_t at = 0;
		     at < left(&best) && tries < TRIES_MAX && time(NULL) < end;) {
			next = best;
			tries++;
			if (leave_out(&next, at, size) &&
			    still_fails(seed, &next, failure))
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
