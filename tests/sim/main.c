/* main.c - sim: run seeds, replay one, soak; play scenarios. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/run.h"
#include "tests/sim/scenario.h"

static const char help[] =
	"sim - the cores of hamirror in a world where everything goes wrong\n"
	"\n"
	"  sim --seed N [--trace] [--only LIST]   replay one run; LIST: of its faults only\n"
	"                                         these (\"3,7\"), as a failure prints it\n"
	"  sim [--seed FIRST] [--runs N] [--seconds N] [--jobs N] [--keep-going]\n"
	"                                         many; without FIRST: seeds nobody has run\n"
	"  sim --soak FILE --seconds N            go on where FILE says, and note it there\n"
	"      --alone                            of these three: pairs without a cluster\n"
	"      --modes                            ... or near-sync and async too\n"
	"      --throttles                        ... or clients and lines that are slowed\n"
	"      --watch D3                         of a seed or scenario: only violations of\n"
	"                                         that guarantee or rule count\n"
	"  sim --scenario NAME [--trace] [--runs N]\n"
	"                                         play one that is hard to meet by chance, or\n"
	"                                         \"all\" of them; --list names them\n"
	"\n"
	"Exit status: 0 all kept their guarantees, 1 one was broken, 2 usage.\n";

struct options {
	bool seeded, trace, one;
	const char *only, *soak, *scenario, *watch;
	struct sim_batch batch;
};

static int replay(const struct options *o)
{
	static struct sim_plan plan;
	struct sim_result r;

	sim_plan_draw(&plan, o->batch.first, o->batch.world);
	if (o->only != NULL && !sim_plan_only(&plan, o->only)) {
		fprintf(stderr, "sim: --only %s: not a list of this run's faults\n",
			o->only);
		return 2;
	}
	plan.watch = o->watch;
	sim_run_plan(o->batch.first, &plan, o->trace, &r);
	if (r.failed)
		printf("FAILED  seed %llu: %s: %s\n", (unsigned long long)o->batch.first,
		       r.guarantee, r.text);
	else
		printf("ok      seed %llu: %.0f s simulated, %llu faults, %llu requests, "
		       "%llu productions\n",
		       (unsigned long long)o->batch.first, (double)r.ns / 1e9,
		       (unsigned long long)r.count.faults,
		       (unsigned long long)r.count.requests,
		       (unsigned long long)r.count.serves);
	return r.failed ? 1 : 0;
}

static void print_sum(const struct sim_batch *b)
{
	const double runs = b->done > 0 ? (double)b->done : 1;
	const double seconds = b->elapsed > 0 ? b->elapsed : 1;

	printf("%s%s%llu runs from seed %llu on, %llu failed; %.1f runs/s, %.0f events/s on "
	       "%u cores; a run: %.0f s simulated, %.1f faults, %.1f crashes, %.0f "
	       "requests, %.1f productions\n",
	       sim_world_name(b->world), b->world != SIM_CLUSTER ? ": " : "",
	       (unsigned long long)b->done, (unsigned long long)b->first,
	       (unsigned long long)b->failed, runs / seconds,
	       (double)(b->sum.steps_cluster + b->sum.steps_mirror) / seconds, b->jobs,
	       (double)b->ns / 1e9 / runs, (double)b->sum.faults / runs,
	       (double)b->sum.crashes / runs, (double)b->sum.requests / runs,
	       (double)b->sum.serves / runs);
}

#define SLICE 300u /* seconds of a soak between two notes of where it is */
static const enum sim_world turns[] = { SIM_CLUSTER, SIM_ALONE, SIM_CLUSTER, SIM_MODES };

struct soak {
	unsigned long long next, runs, failed, seconds;
};

/* Nobody has run the seeds from here on: each second begins elsewhere. */
static uint64_t fresh_seed(void)
{
	return (uint64_t)time(NULL) * 1000;
}

/* FILE holds: the next seed, runs so far, failures so far, seconds so far. */
static bool soak_load(const char *path, struct soak *s)
{
	FILE *f = fopen(path, "r");
	bool ok = true;

	*s = (struct soak){ .next = fresh_seed() };
	if (f == NULL)
		return true;
	ok = fscanf(f, "%llu %llu %llu %llu", &s->next, &s->runs, &s->failed,
		    &s->seconds) == 4;
	fclose(f);
	if (!ok)
		fprintf(stderr, "sim: %s holds no soak's state\n", path);
	return ok;
}

static bool soak_store(const char *path, const struct soak *s)
{
	char new[PATH_MAX];
	FILE *f;

	snprintf(new, sizeof new, "%s.new", path);
	f = fopen(new, "w");
	if (f != NULL &&
	    fprintf(f, "%llu %llu %llu %llu\n", s->next, s->runs, s->failed, s->seconds) >
		    0 &&
	    fclose(f) == 0 && rename(new, path) == 0)
		return true;
	perror(path);
	return false;
}

/* In slices, so that a soak that is ended goes on from where it was. */
static int soak(struct options *o)
{
	const uint64_t seconds = o->batch.seconds;
	struct soak s;
	bool found = false;

	if (!soak_load(o->soak, &s))
		return 2;
	o->batch.keep_going = true;
	for (uint64_t past = 0; seconds == 0 || past < seconds; past += SLICE) {
		struct sim_batch b = o->batch;

		b.first = s.next;
		if (o->batch.world == SIM_CLUSTER)
			b.world = turns[past / SLICE % (sizeof turns / sizeof *turns)];
		b.seconds = seconds - past < SLICE && seconds > 0 ? seconds - past :
								    SLICE;
		sim_batch_run(&b);
		print_sum(&b);
		s.next = b.next;
		s.runs += b.done;
		s.failed += b.failed;
		s.seconds += (unsigned long long)b.elapsed;
		found |= b.failed > 0;
		printf("the soak so far: %llu runs, %llu failed, %llu minutes\n", s.runs,
		       s.failed, s.seconds / 60);
		fflush(stdout);
		if (!soak_store(o->soak, &s))
			return 2;
	}
	return found;
}

static void show(int what)
{
	if (what == 'l')
		sim_scenario_list();
	else
		fputs(help, stdout);
	exit(0);
}

static const struct option known[] = {
	{ "seed", 1, NULL, 's' },      { "runs", 1, NULL, 'n' },
	{ "seconds", 1, NULL, 'd' },   { "jobs", 1, NULL, 'j' },
	{ "trace", 0, NULL, 't' },     { "only", 1, NULL, 'o' },
	{ "soak", 1, NULL, 'k' },      { "keep-going", 0, NULL, 'g' },
	{ "alone", 0, NULL, 'a' },     { "modes", 0, NULL, 'm' },
	{ "throttles", 0, NULL, 'r' }, { "scenario", 1, NULL, 'c' },
	{ "watch", 1, NULL, 'w' },     { "list", 0, NULL, 'l' },
	{ "help", 0, NULL, 'h' },      { 0 },
};

static bool parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			o->batch.first = strtoull(optarg, NULL, 0);
			o->seeded = true;
			break;
		case 'n':
			o->batch.runs = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			o->batch.seconds = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			o->batch.jobs = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 't':
			o->trace = true;
			break;
		case 'o':
			o->only = optarg;
			break;
		case 'k':
			o->soak = optarg;
			break;
		case 'a':
		case 'm':
		case 'r':
			o->batch.world = c == 'a' ? SIM_ALONE :
					 c == 'm' ? SIM_MODES :
						    SIM_THROTTLES;
			break;
		case 'g':
			o->batch.keep_going = true;
			break;
		case 'c':
			o->scenario = optarg;
			break;
		case 'w':
			o->watch = optarg;
			break;
		case 'l':
		case 'h':
			show(c);
			break;
		default:
			return false;
		}
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = { .batch.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN) };

	if (!parse(&o, argc, argv)) {
		fputs(help, stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* a reader sees each line at once */
	if (o.scenario != NULL) {
		const int failed = sim_scenario_run(o.scenario, o.trace, o.batch.runs,
						    o.watch);

		return failed < 0 ? 2 : failed > 0;
	}
	if (o.soak != NULL)
		return soak(&o);
	if (o.seeded && o.batch.runs == 0 && o.batch.seconds == 0)
		return replay(&o);
	if (!o.seeded)
		o.batch.first = fresh_seed();
	sim_batch_run(&o.batch);
	print_sum(&o.batch);
	return o.batch.failed > 0;
}
