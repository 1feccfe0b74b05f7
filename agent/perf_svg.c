/* perf_svg.c - performance rows as an SVG document: see perf.h.
 *
 * Source: W3C, "Scalable Vector Graphics (SVG) 2"; the names that it shows need no escape
 * (agent_name_is_valid()).
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "agent/perf.h"

#define WIDTH 800
#define CHART_HEIGHT 150
#define LEFT 70
#define RIGHT 20
#define TOP 60 /* the title and the legend */
#define TITLE 26
#define PLOT_HEIGHT (CHART_HEIGHT - TITLE - 24)

struct drawing {
	const struct perf_table *t;
	uint64_t from, to;
	FILE *out;
};

static double x_of(const struct drawing *d, uint64_t time_s)
{
	const double seconds = d->to > d->from ? (double)(d->to - d->from) : 1;

	return LEFT + (double)(time_s - d->from) / seconds * (WIDTH - LEFT - RIGHT);
}

/* Colours that are told apart by most eyes (P. Green-Armytage's and the Okabe-Ito sets); the
 * eighth disk begins anew. */
static const char *colour(size_t number)
{
	static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7",
					       "#e69f00", "#56b4e9", "#8a8a8a" };

	return colours[number % (sizeof colours / sizeof colours[0])];
}

/* A step of 1, 2 or 5 times a power of ten, the fourth of which is above `most`. */
static double nice_step(double most)
{
	const double raw = most > 0 ? most / 4 : 0.25;
	const double power = pow(10, floor(log10(raw)));
	const double digit = raw / power;

	return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

static double greatest(const struct perf_table *t, uint32_t figure)
{
	double most = 0;

	for (size_t i = 0; i < t->count; i++)
		most = fmax(most, t->row[i].figure[figure]);
	return most;
}

static void put_frame(const struct drawing *d, double y, double step, const char *title)
{
	fprintf(d->out, "<text x=\"%d\" y=\"%.0f\" class=\"t\">%s</text>\n", LEFT, y - 8,
		title);
	for (int i = 0; i <= 4; i++) {
		const double at = y + PLOT_HEIGHT * (1 - i / 4.0);

		fprintf(d->out,
			"<path d=\"M%d %.1fH%d\" class=\"g\"/>"
			"<text x=\"%d\" y=\"%.1f\" class=\"n\">%.6g</text>\n",
			LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4, i * step);
	}
}

static void put_line(const struct drawing *d, double y, double top, uint32_t figure,
		     const char *disk, const char *stroke)
{
	uint64_t last_s = 0;

	fprintf(d->out, "<path stroke=\"%s\" class=\"l\" d=\"", stroke);
	for (size_t i = 0; i < d->t->count; i++) {
		const struct perf_row *r = &d->t->row[i];

		if (strcmp(r->disk, disk) != 0 || r->time_s < d->from ||
		    r->time_s > d->to)
			continue;
		fprintf(d->out, "%c%.1f %.1f",
			last_s == 0 || perf_table_begin_s(d->t, i) != last_s ? 'M' : 'L',
			x_of(d, r->time_s),
			y + PLOT_HEIGHT * (1 - r->figure[figure] / top));
		last_s = r->time_s;
	}
	fputs("\"/>\n", d->out);
}

/* The number of a row's disk among those that came before it; `*is_new`: it is the first row
 * of its disk. */
static size_t disk_number(const struct perf_table *t, size_t row, bool *is_new)
{
	size_t number = 0;

	*is_new = true;
	for (size_t i = 0; i < row; i++) {
		bool known = false;

		if (strcmp(t->row[i].disk, t->row[row].disk) == 0) {
			*is_new = false;
			return 0;
		}
		for (size_t k = 0; k < i && !known; k++)
			known = strcmp(t->row[k].disk, t->row[i].disk) == 0;
		number += !known;
	}
	return number;
}

static void put_time(const struct drawing *d, double y)
{
	char from[32], to[32];
	struct tm tm;
	const time_t first = (time_t)d->from, last = (time_t)d->to;

	strftime(from, sizeof from, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&first, &tm));
	strftime(to, sizeof to, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&last, &tm));
	fprintf(d->out,
		"<text x=\"%d\" y=\"%.0f\">%s</text>"
		"<text x=\"%d\" y=\"%.0f\" class=\"n\">%s</text>\n",
		LEFT, y, from, WIDTH - RIGHT, y, to);
}

static void put_chart(const struct drawing *d, double y, uint32_t figure)
{
	const double step = nice_step(greatest(d->t, figure));

	put_frame(d, y, step, perf_figure_titles[figure]);
	for (size_t i = 0; i < d->t->count; i++) {
		bool is_new;
		const size_t number = disk_number(d->t, i, &is_new);

		if (is_new)
			put_line(d, y, 4 * step, figure, d->t->row[i].disk,
				 colour(number));
	}
	put_time(d, y + PLOT_HEIGHT + 16);
}

static void put_legend(const struct drawing *d)
{
	int x = LEFT;

	for (size_t i = 0; i < d->t->count; i++) {
		bool is_new;
		const size_t number = disk_number(d->t, i, &is_new);

		if (!is_new)
			continue;
		fprintf(d->out, "<text x=\"%d\" y=\"44\" fill=\"%s\">&#9632; %s</text>\n",
			x, colour(number), d->t->row[i].disk);
		x += 30 + 8 * (int)strlen(d->t->row[i].disk);
	}
}

void perf_svg(const struct perf_table *t, const char *mirror, FILE *out)
{
	const struct drawing d = { t, t->row[0].time_s, t->row[t->count - 1].time_s,
				   out };

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<style>svg{background:#fff;fill:#222}.t{font-weight:bold}"
		".g{stroke:#8884;fill:none}.n{text-anchor:end}"
		".l{fill:none;stroke-width:1.5}"
		"@media(prefers-color-scheme:dark){svg{background:#111;fill:#ddd}}"
		"</style>\n"
		"<text x=\"%d\" y=\"24\" font-size=\"18\">%s</text>\n",
		WIDTH, TOP + PERF_FIGURE_COUNT * CHART_HEIGHT, LEFT, mirror);
	put_legend(&d);
	for (uint32_t i = 0; i < PERF_FIGURE_COUNT; i++)
		put_chart(&d, TOP + TITLE + i * CHART_HEIGHT, i);
	fputs("</svg>\n", out);
}
