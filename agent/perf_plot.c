/* perf_plot.c - performance rows as charts for a terminal: see perf.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/perf.h"

#define CHART_ROWS 4 /* of the terminal */
#define COLUMNS_MIN 20
#define COLUMNS_MAX 500
#define DOTS_DOWN 4 /* of a place in braille */

/* One chart: the greatest value of each point from left to right, NaN where there is none. */
struct chart {
	double point[2 * COLUMNS_MAX];
	uint32_t count;
	double most, last;
};

static uint32_t point_at(const struct chart *c, uint64_t second, double seconds)
{
	return (uint32_t)((double)second / seconds * (c->count - 1));
}

static void fill_chart(struct chart *c, const struct perf_table *t, const char *disk,
		       uint32_t figure)
{
	const uint64_t from = perf_table_begin_s(t, 0), to = t->row[t->count - 1].time_s;
	const double seconds = to > from ? (double)(to - from) : 1;

	c->most = 0;
	c->last = NAN;
	for (uint32_t i = 0; i < c->count; i++)
		c->point[i] = NAN;
	for (size_t i = 0; i < t->count; i++) {
		const struct perf_row *r = &t->row[i];
		uint64_t begin_s;
		uint32_t at, end;

		/* A clock that was set back makes rows that are older than the first. */
		if (strcmp(r->disk, disk) != 0 || r->time_s < from || r->time_s > to)
			continue;
		begin_s = perf_table_begin_s(t, i);
		at = begin_s <= from ? 0 : point_at(c, begin_s - from, seconds) + 1;
		end = point_at(c, r->time_s - from, seconds);
		for (at = at > end ? end : at; at <= end; at++)
			c->point[at] = fmax(c->point[at], r->figure[figure]);
		c->most = fmax(c->most, r->figure[figure]);
		c->last = r->figure[figure];
	}
}

/* So many dots of `dots` does a point fill; what is above 0 at least one. */
static uint32_t height(const struct chart *c, uint32_t point, uint32_t dots)
{
	const double value = point < c->count ? c->point[point] : NAN;

	if (isnan(value) || c->most <= 0)
		return 0;
	return (uint32_t)ceil(value / c->most * dots);
}

/* Of a place: the dots filled of four, at its left and right. Unicode, "Braille Patterns":
 * U+2800 plus a bit a dot. */
static void put_braille(FILE *out, uint32_t left, uint32_t right)
{
	static const uint8_t left_bits[] = { 0, 0x40, 0x44, 0x46, 0x47 };
	static const uint8_t right_bits[] = { 0, 0x80, 0xa0, 0xb0, 0xb8 };
	const uint32_t code = 0x2800 + (left_bits[left] | right_bits[right]);

	fprintf(out, "%c%c%c", 0xe0 | code >> 12, 0x80 | (code >> 6 & 0x3f),
		0x80 | (code & 0x3f));
}

static uint32_t dots_in(uint32_t filled, uint32_t row, uint32_t dots)
{
	const uint32_t below = (CHART_ROWS - 1 - row) * dots;

	return filled <= below ? 0 : filled - below > dots ? dots : filled - below;
}

static void put_rows(const struct chart *c, bool braille, FILE *out)
{
	static const char plain[] = { ' ', '.', '#' };

	for (uint32_t row = 0; row < CHART_ROWS; row++) {
		fputs("  |", out);
		if (braille)
			for (uint32_t i = 0; i < c->count; i += 2)
				put_braille(
					out,
					dots_in(height(c, i, CHART_ROWS * DOTS_DOWN), row,
						DOTS_DOWN),
					dots_in(height(c, i + 1, CHART_ROWS * DOTS_DOWN),
						row, DOTS_DOWN));
		else
			for (uint32_t i = 0; i < c->count; i++)
				fputc(plain[dots_in(height(c, i, CHART_ROWS * 2), row,
						    2)],
				      out);
		fputc('\n', out);
	}
}

static void put_axis(const struct perf_table *t, uint32_t columns, FILE *out)
{
	char from[32], to[32];
	struct tm tm;
	const time_t first = (time_t)perf_table_begin_s(t, 0);
	const time_t last = (time_t)t->row[t->count - 1].time_s;

	strftime(from, sizeof from, "%m-%d %H:%M:%S", gmtime_r(&first, &tm));
	strftime(to, sizeof to, "%H:%M:%S", gmtime_r(&last, &tm));
	fprintf(out, "  %s%*s\n", from, (int)(columns + 1 - strlen(from)), to);
}

static bool is_first_of_disk(const struct perf_table *t, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (strcmp(t->row[i].disk, t->row[row].disk) == 0)
			return false;
	return true;
}

void perf_plot(const struct perf_table *t, uint32_t columns, bool braille, FILE *out)
{
	const uint32_t places = columns < COLUMNS_MIN + 4 ? COLUMNS_MIN :
				columns > COLUMNS_MAX + 4 ? COLUMNS_MAX :
							    columns - 4;
	struct chart c = { .count = braille ? 2 * places : places };

	for (size_t i = 0; i < t->count; i++) {
		if (!is_first_of_disk(t, i))
			continue;
		for (uint32_t k = 0; k < PERF_FIGURE_COUNT; k++) {
			fill_chart(&c, t, t->row[i].disk, k);
			fprintf(out, "%s, %s: at most %.6g, now %.6g\n", t->row[i].disk,
				perf_figure_titles[k], c.most, c.last);
			put_rows(&c, braille, out);
			put_axis(t, places, out);
		}
	}
}
