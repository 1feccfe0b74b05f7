/* cli_top_figures.c - `hamirror top`: the figures of the last minutes, and the order. */
#include <stdlib.h>
#include <string.h>

#include "agent/cli_top.h"

#define SAMPLE_MS_MIN 500 /* an event brings a status before its time */

static double number_at(json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* A rate, for counters begin anew when the daemon does. */
static double rate_of(const struct top_figures *f, enum top_figure figure, double counter,
		      uint64_t ms)
{
	const double more = counter - f->counter[figure];

	return f->ms == 0 || more < 0 ? 0 : more * 1000 / (double)ms;
}

void top_figures_take(struct top *t, size_t i, uint64_t now_ms)
{
	static const char *const counters[] = { "writes", "write_bytes", "reads",
						"read_bytes", "groups" };
	struct cli_feed_mirror *m = &t->feed.mirror[i];
	struct top_figures *f = &t->figures[i];
	json_t *counter = json_object_get(m->state, "counters");
	double *sample = f->sample[f->next % TOP_SAMPLE_COUNT];

	if (m->state_count == f->state_count || now_ms < f->ms + SAMPLE_MS_MIN)
		return;
	for (int figure = TOP_WRITES; figure <= TOP_GROUPS; figure++) {
		const double now = number_at(counter, counters[figure]);

		sample[figure] = rate_of(f, (enum top_figure)figure, now, now_ms - f->ms);
		f->counter[figure] = now;
	}
	sample[TOP_LAG] = number_at(m->state, "lag_bytes");
	sample[TOP_LOG] = number_at(json_object_get(m->state, "log"), "used_percent");
	f->state_count = m->state_count;
	f->ms = now_ms;
	f->next++;
}

double top_figure(const struct top_figures *f, enum top_figure figure)
{
	return f->next == 0 ? 0 : f->sample[(f->next - 1) % TOP_SAMPLE_COUNT][figure];
}

/* ---- order ----------------------------------------------------------------- */

/* What it is sorted by, the largest first. */
static double rank_of(const struct top *t, uint32_t i)
{
	const struct top_figures *f = &t->figures[i];
	json_t *why = json_object_get(t->feed.mirror[i].state, "why");

	switch (t->sort) {
	case TOP_BY_NAME:
		return 0;
	case TOP_BY_TROUBLE:
		return (double)json_array_size(why);
	case TOP_BY_LAG:
		return top_figure(f, TOP_LAG);
	case TOP_BY_WRITES:
		return top_figure(f, TOP_WRITES);
	case TOP_BY_LOG:
		return top_figure(f, TOP_LOG);
	}
	return 0;
}

void top_sort(struct top *t)
{
	const uint32_t chosen = t->order[t->chosen];

	/* A few mirrors, nearly in order: by insertion. The feed has them by name. */
	for (uint32_t i = 0; i < t->feed.count; i++)
		t->order[i] = i;
	for (uint32_t i = 1; i < t->feed.count; i++) {
		const uint32_t moved = t->order[i];
		uint32_t k = i;

		for (; k > 0 && rank_of(t, t->order[k - 1]) < rank_of(t, moved); k--)
			t->order[k] = t->order[k - 1];
		t->order[k] = moved;
	}
	for (uint32_t i = 0; i < t->feed.count; i++)
		if (t->order[i] == chosen)
			t->chosen = i;
}
