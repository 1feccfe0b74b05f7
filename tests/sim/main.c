/* main.c - sim: run seeds. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/run.h"

int main(int argc, char **argv)
{
	uint64_t seed = 1, runs = 1;
	bool trace = false;
	int c, failed = 0;
	const struct option options[] = { { "seed", 1, NULL, 's' },
					  { "runs", 1, NULL, 'n' },
					  { "trace", 0, NULL, 't' },
					  { 0 } };

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			runs = strtoull(optarg, NULL, 0);
		else if (c == 't')
			trace = true;
		else
			return 2;
	}
	for (uint64_t s = seed; s < seed + runs; s++) {
		static struct sim_plan plan;
		struct sim_result r;
		clock_t t = clock();

		sim_plan_draw(&plan, s);
		if (runs > 1) {
			printf("seed %llu ", (unsigned long long)s);
			fflush(stdout);
		}
		sim_run_plan(s, &plan, trace, &r);
		printf("%s%s %s (%.0f s simulated, %llu faults, %llu requests, %llu serves, %llu steps, %.2f s)\n",
		       r.failed ? "FAILED " : "ok", r.guarantee, r.text,
		       (double)r.ns / 1e9, (unsigned long long)r.count.faults,
		       (unsigned long long)r.count.requests,
		       (unsigned long long)r.count.serves,
		       (unsigned long long)(r.count.steps_cluster + r.count.steps_mirror),
		       (double)(clock() - t) / CLOCKS_PER_SEC);
		failed |= r.failed;
	}
	return failed;
}
