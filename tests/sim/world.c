/* world.c - see sim.h: time, events, and helpers that everybody uses. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

const struct sim_checker *const sim_checkers[] = {
	&sim_check_g1,    &sim_check_g2,    &sim_check_bare, &sim_check_g3,
	&sim_check_g4,    &sim_check_g5,    &sim_check_g6,   &sim_check_g7,
	&sim_check_g8,    &sim_check_d,     &sim_check_d3,   &sim_check_d5,
	&sim_check_w,     &sim_check_alone, &sim_check_undo, &sim_check_m,
	&sim_check_async, &sim_check_block, &sim_check_move, NULL,
};

#define WALL_NS (1700000000 * SIM_S) /* of the wall clocks at first */

/* ---- helpers that everybody uses ----------------------------------------- */

uint64_t sim_random(struct sim *w, uint64_t below)
{
	return sim_random_below(&w->random, below);
}

/* Some time within the next `us_max` microseconds. */
uint64_t sim_soon(struct sim *w, uint64_t us_max)
{
	return w->now_ns + sim_random(w, us_max * SIM_US + 1);
}

uint64_t sim_clock(const struct sim *w, uint32_t node)
{
	const struct sim_node *n = &w->node[node];
	const int64_t drift = n->drift_ppm * (int64_t)(w->now_ns / 1000) / 1000;

	return (uint64_t)((int64_t)w->now_ns + drift + n->offset_ns);
}

uint64_t sim_wall(const struct sim *w, uint32_t node)
{
	return WALL_NS + w->now_ns + (uint64_t)w->node[node].wall_offset_ns;
}

uint64_t sim_time_of(const struct sim *w, uint32_t node, uint64_t clock_ns)
{
	const struct sim_node *n = &w->node[node];
	const uint64_t now = sim_clock(w, node);

	if (clock_ns <= now)
		return w->now_ns;
	if (clock_ns == UINT64_MAX)
		return UINT64_MAX;
	return w->now_ns +
	       (uint64_t)((double)(clock_ns - now) / (1.0 + (double)n->drift_ppm / 1e6)) +
	       2000;
}

const struct mirror_view *sim_view(const struct sim *w, uint32_t node)
{
	return w->node[node].engine != NULL ? &w->node[node].view : NULL;
}

void sim_trace(struct sim *w, const char *format, ...)
{
	va_list args;

	if (!w->trace)
		return;
	printf("%10.3f ms  ", (double)w->now_ns / 1e6);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void sim_violate(struct sim *w, const char *guarantee, const char *format, ...)
{
	va_list args;

	if (w->violation[0] != 0 || w->beyond)
		return;
	if (w->plan.watch != NULL && strcmp(w->plan.watch, guarantee) != 0 &&
	    strcmp(guarantee, "scene") != 0) {
		sim_trace(w, "not watched: %s", guarantee);
		return;
	}
	snprintf(w->guarantee, sizeof w->guarantee, "%s", guarantee);
	va_start(args, format);
	vsnprintf(w->violation, sizeof w->violation, format, args);
	va_end(args);
	sim_trace(w, "VIOLATION %s: %s", guarantee, w->violation);
}

/* ---- the heap ------------------------------------------------------------- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_push(struct sim_heap *h, const struct sim_event *e)
{
	size_t i = h->count++;

	if (h->count > h->room) {
		h->room = h->room * 2 + 256;
		h->event = realloc(h->event, h->room * sizeof *h->event);
		assert(h->event != NULL);
	}
	while (i > 0 && before(e, &h->event[(i - 1) / 2])) {
		h->event[i] = h->event[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->event[i] = *e;
}

static struct sim_event heap_pop(struct sim_heap *h)
{
	const struct sim_event top = h->event[0], last = h->event[--h->count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count &&
		    before(&h->event[child + 1], &h->event[child]))
			child++;
		if (!before(&h->event[child], &last))
			break;
		h->event[i] = h->event[child];
		i = child;
	}
	h->event[i] = last;
	return top;
}

static bool of_a_process(enum sim_event_type type)
{
	return type < SIM_IO;
}

void sim_at(struct sim *w, uint64_t at_ns, enum sim_event_type type, uint32_t node,
	    uint64_t number, void *data)
{
	const struct sim_event e = {
		.at_ns = at_ns,
		.order = ++w->event_count,
		.type = type,
		.node = node,
		.process = of_a_process(type) ? w->node[node].process : 0,
		.number = number,
		.data = data,
	};

	heap_push(&w->heap, &e);
}

/* ---- events ---------------------------------------------------------------- */

static void forget(struct sim_event *e)
{
	if (e->type == SIM_ORDER || e->type == SIM_FACT)
		free(e->data);
}

void sim_look(struct sim *w)
{
	w->count.looks++;
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->look != NULL && w->violation[0] == 0)
			sim_checkers[i]->look(w);
}

static void world_event(struct sim *w, struct sim_event *e)
{
	switch (e->type) {
	case SIM_IO:
		sim_io_done(w, e->number);
		break;
	case SIM_LINE:
		sim_line_event(w, e->number >> 1, (uint32_t)(e->number & 1));
		break;
	case SIM_PACEMAKER:
		if (w->plan.alone)
			sim_operate(w);
		else
			sim_pacemaker(w);
		break;
	case SIM_FAULT:
		sim_fault_event(w, e->number);
		break;
	case SIM_FLOWS:
		sim_stall(w, e->node, (uint32_t)e->number, false);
		sim_hole(w, e->node, (uint32_t)e->number, false);
		break;
	case SIM_AWAY:
		sim_away(w, e->node, e->number != 0);
		break;
	case SIM_LOOK:
		sim_look(w);
		sim_at(w, w->now_ns + (50 + sim_random(w, 400)) * SIM_MS, SIM_LOOK, 0, 0,
		       NULL);
		break;
	default:
		abort();
	}
}

static void happen(struct sim *w, struct sim_event *e)
{
	const struct sim_node *n = &w->node[e->node];

	if (!of_a_process(e->type)) {
		world_event(w, e);
		return;
	}
	if (!n->running || n->process != e->process) {
		forget(e);
		return;
	}
	if (w->now_ns < n->frozen_until_ns) {
		e->at_ns = n->frozen_until_ns; /* all of them, in their order */
		heap_push(&w->heap, e);
		return;
	}
	if (n->held != 0 && sim_is_held(w, e))
		return;
	w->count.events++;
	sim_node_event(w, e);
	forget(e);
}

void sim_run(struct sim *w, uint64_t until_ns)
{
	while (w->violation[0] == 0 && w->heap.count > 0 &&
	       w->heap.event[0].at_ns <= until_ns) {
		struct sim_event e = heap_pop(&w->heap);

		if (e.at_ns > w->now_ns)
			w->now_ns = e.at_ns;
		happen(w, &e);
	}
	if (w->now_ns < until_ns)
		w->now_ns = until_ns;
}

bool sim_run_until(struct sim *w, uint64_t for_ns, bool (*done)(struct sim *w))
{
	const uint64_t end_ns = w->now_ns + for_ns;

	while (w->violation[0] == 0 && w->now_ns < end_ns) {
		if (done(w))
			return true;
		sim_run(w, w->now_ns + SIM_MS);
	}
	return w->violation[0] == 0 && done(w);
}

/* ---- making and ending ------------------------------------------------------ */

static void make_nodes(struct sim *w)
{
	w->node_count = w->config.node_count;
	assert(w->node_count <= SIM_NODES_MAX);
	w->votes_needed = w->node_count == 2 ? 1 : w->node_count / 2 + 1;
	for (uint32_t i = 0; i < w->node_count; i++) {
		struct sim_node *n = &w->node[i];

		n->machine = true;
		n->boot = 1000 + i;
		n->drift_ppm = (int64_t)sim_random(w, 20000) - 10000;
		n->offset_ns = (int64_t)((i + 1) * SIM_S);
		n->file = malloc(CLUSTER_VOTER_FILE_BYTES);
		n->persist = malloc(CLUSTER_VOTER_FILE_BYTES);
		assert(n->file != NULL && n->persist != NULL);
	}
}

struct sim *sim_create(uint64_t seed, const struct sim_plan *plan)
{
	struct sim *w = calloc(1, sizeof *w);
	const uint64_t sectors = plan->disk_count * plan->disk_bytes / SIM_SECTOR;

	assert(w != NULL);
	w->seed = seed;
	w->plan = *plan;
	w->stale_random.state = seed * 0x9e3779b97f4a7c15ull | 1;
	w->random.state = seed * 0x9e3779b97f4a7c15ull | 1;
	w->now_ns = SIM_S;
	w->sector = calloc(sectors, sizeof *w->sector);
	assert(w->sector != NULL);
	sim_setup_config(w);
	make_nodes(w);
	for (uint32_t s = 0; s < plan->site_count; s++) {
		sim_device_make(&w->site[s].log, plan->log_bytes);
		for (uint32_t d = 0; d < plan->disk_count; d++) {
			struct sim_device *disk = &w->site[s].disk[d];

			sim_device_make(disk, plan->disk_bytes);
			disk->is_disk = d + 1;
			snprintf(disk->identity, sizeof disk->identity, "serial:%u-%u", s,
				 d);
		}
		w->site[s].open_node = -1;
	}
	sim_setup_logs(w);
	for (uint32_t i = 0; i < plan->fault_count; i++)
		if (!plan->fault[i].done)
			sim_at(w, SIM_S + plan->fault[i].at_ns, SIM_FAULT, 0, i, NULL);
	sim_at(w, w->now_ns + 10 * SIM_MS, SIM_PACEMAKER, 0, 0, NULL);
	sim_at(w, w->now_ns + 100 * SIM_MS, SIM_LOOK, 0, 0, NULL);
	return w;
}

void sim_destroy(struct sim *w)
{
	const uint64_t sectors = w->plan.disk_count * w->plan.disk_bytes / SIM_SECTOR;

	sim_sum_tell(w);
	for (uint32_t i = 0; i < w->node_count; i++) {
		if (w->node[i].running)
			sim_node_kill(w, i);
		free(w->node[i].file);
		free(w->node[i].persist);
	}
	while (w->heap.count > 0) {
		struct sim_event e = heap_pop(&w->heap);

		forget(&e);
	}
	free(w->heap.event);
	sim_lines_free(w);
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++)
		if (w->op[i].used)
			free(w->op[i].data);
	for (uint32_t s = 0; s < w->plan.site_count; s++) {
		sim_device_free(&w->site[s].log);
		for (uint32_t d = 0; d < w->plan.disk_count; d++)
			sim_device_free(&w->site[s].disk[d]);
	}
	for (uint64_t i = 0; i < sectors; i++)
		free(w->sector[i].touch);
	for (uint32_t g = 0; g < w->generation_count; g++)
		free(w->generation[g].write);
	free(w->sector);
	free(w);
}

/* Of every other seed the driver takes in some events before the core acts on them. */
bool sim_is_followed(const struct sim *w, enum mirror_event_type type)
{
	return w->seed % 2 != 0 &&
	       (w->count.steps_mirror * 0x9e3779b97f4a7c15ull + w->seed) >> 63 != 0 &&
	       (type == MIRROR_EVENT_IO || type == MIRROR_EVENT_REQUEST ||
		type == MIRROR_EVENT_RECEIVED || type == MIRROR_EVENT_SENT);
}
