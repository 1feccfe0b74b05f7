/* cli_top_draw.c - `hamirror top`: the list of mirrors, and the page of one. */
#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli_progress.h"
#include "agent/cli_top.h"
#include "agent/json_path.h"

#define LINE_MAX_BYTES 1200
#define SPARK_LEVELS 8

enum { COLOUR_NONE, COLOUR_GOOD, COLOUR_WARNING, COLOUR_BAD };

/* Print at a place, cut at the right edge. */
__attribute__((format(printf, 4, 5))) static void put(int row, int column,
						      attr_t attributes,
						      const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (row < 0 || row >= LINES || column >= COLS)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	attron(attributes);
	mvaddnstr(row, column, text, COLS - column);
	attroff(attributes);
}

static attr_t colour(int which)
{
	return has_colors() ? (attr_t)COLOR_PAIR(which) : A_NORMAL;
}

static attr_t colour_of(const char *word)
{
	static const char *const good[] = { "UpToDate", "connected", NULL };
	static const char *const bad[] = { "Inconsistent", "Diskless",    "down",
					   "silent",       "not reached", NULL };
	int which = word[0] == '-' ? COLOUR_NONE : COLOUR_WARNING;

	for (int i = 0; good[i] != NULL; i++)
		which = strcmp(good[i], word) == 0 ? COLOUR_GOOD : which;
	for (int i = 0; bad[i] != NULL; i++)
		which = strcmp(bad[i], word) == 0 ? COLOUR_BAD : which;
	return colour(which);
}

/* ---- the list -------------------------------------------------------------- */

const char *top_role(json_t *state)
{
	json_t *site;
	size_t i;

	if (json_is_true(json_object_get(state, "serving")))
		return "production";
	json_array_foreach(
		json_object_get(state, "sites"), i,
		site) if (strcmp(agent_json_text(site, "name", "-"),
				 agent_json_text(state, "site", "-")) ==
			  0) return strcmp(agent_json_text(site, "host", "-"),
					   agent_json_text(state, "host", "-")) == 0 ?
		agent_json_text(site, "role", "-") :
		"standby";
	return json_object_get(state, "sites") != NULL ?
		       "witness" :
		       agent_json_text(state, "mode", "-");
}

const char *top_link(json_t *state)
{
	static const char *const order[] = { "down", "connecting", "catching-up",
					     "refreshing", "connected" };
	json_t *site;
	size_t i;

	for (size_t o = 0; o < sizeof order / sizeof order[0]; o++)
		json_array_foreach(json_object_get(state, "sites"), i,
				   site) if (strcmp(agent_json_text(site, "link", "-"),
						    order[o]) == 0) return order[o];
	return "-";
}

static void draw_mirror(const struct top *t, int row, uint32_t place)
{
	const uint32_t i = t->order[place];
	const struct cli_feed_mirror *m = &t->feed.mirror[i];
	const struct top_figures *f = &t->figures[i];
	json_t *production = json_object_get(m->state, "production");
	const attr_t chosen = place == t->chosen ? A_REVERSE : A_NORMAL;
	const size_t troubles = json_array_size(json_object_get(m->state, "why"));
	const char *data = agent_json_text(m->state, "data", "-"),
		   *link = top_link(m->state);
	char lag[32], bytes[32];

	cli_bytes_format(top_figure(f, TOP_LAG), lag, sizeof lag);
	cli_bytes_format(top_figure(f, TOP_WRITE_BYTES), bytes, sizeof bytes);
	put(row, 0, chosen | A_BOLD, "%-16.16s", m->instance.name);
	put(row, 17, A_NORMAL, "%-10.10s", m->state != NULL ? top_role(m->state) : "...");
	put(row, 28, A_NORMAL, "%-8.8s", agent_json_text(production, "site", "-"));
	put(row, 37, colour_of(data), "%-8.8s", data);
	put(row, 46, colour_of(link), "%-9.9s", link);
	put(row, 56, A_NORMAL, "%8s %3.0f%%", lag, top_figure(f, TOP_LOG));
	put(row, 70, troubles > 0 ? colour(COLOUR_BAD) : colour(COLOUR_GOOD), "%3zu",
	    troubles);
	put(row, 74, A_NORMAL, "%6.0f", top_figure(f, TOP_WRITES));
	put(row, 82, A_NORMAL, "%9s/s", bytes);
	put(row, 95, A_NORMAL, "%s",
	    json_string_value(json_array_get(json_object_get(m->state, "why"), 0)) !=
			    NULL ?
		    json_string_value(
			    json_array_get(json_object_get(m->state, "why"), 0)) :
		    "");
}

static void draw_list(const struct top *t)
{
	static const char *const sorts[] = { "name", "trouble", "lag", "writes", "log" };
	const uint32_t rows = LINES > 3 ? (uint32_t)LINES - 3 : 1;
	const uint32_t first = t->chosen >= rows ? t->chosen - rows + 1 : 0;

	put(0, 0, A_BOLD, "hamirror: %zu mirror%s, by %s", t->feed.count,
	    t->feed.count == 1 ? "" : "s", sorts[t->sort]);
	put(1, 0, A_UNDERLINE, "%-*s", COLS,
	    "MIRROR           HERE       PRODUC.  DATA     LINK           LAG  LOG  WHY   "
	    "WR/S     WRITTEN");
	for (uint32_t i = 0; i < rows && first + i < t->feed.count; i++)
		draw_mirror(t, (int)i + 2, first + i);
}

/* ---- the page -------------------------------------------------------------- */

/* The last samples, one a cell, each against the largest. */
static void draw_spark(const struct top *t, int row, int column,
		       const struct top_figures *f, enum top_figure figure)
{
	static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char ascii[] = "_.-:=+*#";
	const uint32_t room = COLS > column ? (uint32_t)(COLS - column) : 0;
	uint32_t count = f->next < TOP_SAMPLE_COUNT ? f->next : TOP_SAMPLE_COUNT;
	double most = figure == TOP_LOG ? 100 : 0;

	count = count < room ? count : room;
	for (uint32_t i = f->next - count; i < f->next; i++)
		if (f->sample[i % TOP_SAMPLE_COUNT][figure] > most)
			most = f->sample[i % TOP_SAMPLE_COUNT][figure];
	move(row, column);
	for (uint32_t i = f->next - count; i < f->next; i++) {
		const double value = f->sample[i % TOP_SAMPLE_COUNT][figure];
		int level = most > 0 ? (int)(value / most * SPARK_LEVELS) : 0;

		level = level >= SPARK_LEVELS ? SPARK_LEVELS - 1 : level;
		if (t->unicode)
			addstr(blocks[level]);
		else
			addch((chtype)ascii[level]);
	}
}

static int draw_figures(const struct top *t, int row, const struct top_figures *f)
{
	static const char *const names[] = { "writes/s", "written/s", "reads/s", "read/s",
					     "groups/s", "lag",       "log use" };
	char text[32];

	for (int figure = 0; figure < TOP_FIGURE_COUNT && row < LINES - 1; figure++) {
		const double value = top_figure(f, (enum top_figure)figure);

		if (figure == TOP_WRITE_BYTES || figure == TOP_READ_BYTES ||
		    figure == TOP_LAG)
			cli_bytes_format(value, text, sizeof text);
		else
			snprintf(text, sizeof text, "%.0f%s", value,
				 figure == TOP_LOG ? "%" : "");
		put(row, 0, A_NORMAL, "%-10s %10s", names[figure], text);
		draw_spark(t, row++, 22, f, (enum top_figure)figure);
	}
	return row;
}

/* A part of it is printed as `hamirror status` prints it. */
static int draw_progress(json_t *state, int row)
{
	char *text = NULL, *line, *rest;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		return row;
	cli_progress_print(NULL, state, 0, out);
	fclose(out);
	for (rest = text; rest != NULL && (line = strsep(&rest, "\n")) != NULL;)
		if (line[0] != '\0' && row < LINES - 1)
			put(row++, 0, colour(COLOUR_WARNING), "%s", line);
	free(text);
	return row;
}

static int draw_sites(json_t *state, int row)
{
	json_t *site;
	size_t i;
	char lag[32];

	put(row++, 0, A_UNDERLINE, "%-12s %-10s %-10s %-12s %-7s %-12s %10s", "SITE",
	    "ROLE", "HOST", "DATA", "CURRENT", "LINK", "LAG");
	json_array_foreach(json_object_get(state, "sites"), i, site)
	{
		json_t *current = json_object_get(site, "current");

		if (row >= LINES - 1)
			break;
		cli_bytes_format(json_number_value(json_object_get(site, "lag_bytes")),
				 lag, sizeof lag);
		put(row, 0, A_BOLD, "%-12.12s", agent_json_text(site, "name", "-"));
		put(row, 13, A_NORMAL, "%-10.10s %-10.10s",
		    agent_json_text(site, "role", "-"),
		    agent_json_text(site, "host", "-"));
		put(row, 35, colour_of(agent_json_text(site, "data", "-")), "%-12.12s",
		    agent_json_text(site, "data", "-"));
		put(row, 48, A_NORMAL, "%-7s",
		    !json_is_boolean(current) ? "-" :
		    json_is_true(current)     ? "yes" :
						"no");
		put(row, 56, colour_of(agent_json_text(site, "link", "-")), "%-12.12s",
		    agent_json_text(site, "link", "-"));
		put(row++, 69, A_NORMAL, "%10s",
		    json_is_integer(json_object_get(site, "lag_bytes")) ? lag : "-");
	}
	return draw_progress(state, row);
}

/* The hosts, those that are not there in brackets, and the disks. */
static int draw_hosts(json_t *state, int row)
{
	char text[LINE_MAX_BYTES], bytes[32];
	size_t i, at = 0;
	json_t *one;

	text[0] = '\0';
	json_array_foreach(json_object_get(state, "nodes"), i, one) if (at < sizeof text)
		at += (size_t)snprintf(
			text + at, sizeof text - at,
			json_is_true(json_object_get(one, "member")) ? " %s" : " (%s)",
			agent_json_text(one, "name", "-"));
	put(row++, 0, A_NORMAL, "hosts   %s", text);
	at = 0;
	json_array_foreach(json_object_get(state, "disks"), i, one)
	{
		cli_bytes_format(json_number_value(json_object_get(one, "bytes")), bytes,
				 sizeof bytes);
		if (at < sizeof text)
			at += (size_t)snprintf(text + at, sizeof text - at, " %s %s %s%s",
					       agent_json_text(one, "name", "-"), bytes,
					       agent_json_text(one, "device", "-"), ",");
	}
	text[at > 0 && at < sizeof text ? at - 1 : sizeof text - 1] = '\0';
	put(row++, 0, A_NORMAL, "disks   %s", text);
	return row;
}

/* The lines of a list, folded at the right edge, in `rows` rows at most. */
static int draw_why(json_t *state, int row, int rows)
{
	json_t *text;
	size_t i;

	json_array_foreach(json_object_get(state, "why"), i, text)
	{
		const char *at = json_string_value(text);
		size_t left = strlen(at);

		while (left > 0 && rows-- > 0 && row < LINES - 1 && COLS > 4) {
			const size_t part = left < (size_t)COLS - 2 ? left :
								      (size_t)COLS - 2;

			put(row++, 2, colour(COLOUR_WARNING), "%.*s", (int)part, at);
			at += part;
			left -= part;
		}
	}
	return row;
}

/* The newest last, as many as there is room for. */
static void draw_events(const struct cli_feed_mirror *m, int row)
{
	uint32_t room = LINES - 1 > row + 1 ? (uint32_t)(LINES - 2 - row) : 0;
	const uint32_t kept = m->event_next < CLI_FEED_EVENTS_MAX ? m->event_next :
								    CLI_FEED_EVENTS_MAX;

	room = room < kept ? room : kept;
	if (LINES - 1 > row)
		put(row++, 0, A_UNDERLINE, "%-*s", COLS, "EVENTS since top began");
	for (uint32_t i = m->event_next - room; i != m->event_next; i++)
		put(row++, 0, A_NORMAL, "%s", m->event[i % CLI_FEED_EVENTS_MAX]);
}

static void draw_page(const struct top *t)
{
	const uint32_t i = t->order[t->chosen];
	const struct cli_feed_mirror *m = &t->feed.mirror[i];
	json_t *log = json_object_get(m->state, "log");
	char bytes[32];
	int row = 1;

	put(0, 0, A_BOLD, "%s: %s, generation %lld, %s here", m->instance.name,
	    agent_json_text(m->state, "mode", "-"),
	    json_integer_value(
		    json_object_get(json_object_get(m->state, "generation"), "ordinal")),
	    m->state != NULL ? top_role(m->state) : "...");
	if (json_is_true(json_object_get(m->state, "frozen")))
		put(0, COLS - 8, colour(COLOUR_BAD) | A_BOLD, "FROZEN");
	row = draw_sites(m->state, row);
	row = draw_hosts(m->state, row);
	if (json_is_object(log)) {
		cli_bytes_format(json_number_value(json_object_get(log, "bytes")), bytes,
				 sizeof bytes);
		put(row++, 0, A_NORMAL, "writelog %s of %s, %lld%% used",
		    agent_json_text(log, "path", "-"), bytes,
		    json_integer_value(json_object_get(log, "used_percent")));
	}
	row = draw_figures(t, row, &t->figures[i]);
	if (json_array_size(json_object_get(m->state, "why")) == 0)
		put(row++, 0, colour(COLOUR_GOOD), "All is well.");
	else
		put(row++, 0, A_UNDERLINE, "%-*s", COLS, "WHY");
	row = draw_why(m->state, row, LINES / 4);
	draw_events(m, row);
}

/* ---- the rest -------------------------------------------------------------- */

static void draw_help(void)
{
	static const char *const lines[] = {
		"arrows, j, k    choose a mirror       Enter, Esc      its page, and back",
		"n t l w u       sort by name, trouble, lag, writes, log use",
		"p               promote this host     d               demote it",
		"c               connect all copies    x               disconnect them",
		"b               bypass them           B               end the bypass",
		"r               refresh what waits for it",
		"                each is asked for first: y",
		"q               end                   h, ?            this",
	};

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		put((int)i + 2, 0, A_NORMAL, "%-*s", COLS, lines[i]);
}

void top_draw(const struct top *t)
{
	erase();
	if (t->page)
		draw_page(t);
	else
		draw_list(t);
	if (t->help)
		draw_help();
	if (t->ask != NULL)
		put(LINES - 1, 0, A_BOLD | colour(COLOUR_BAD), "%s %s? y: do it", t->ask,
		    t->feed.mirror[t->order[t->chosen]].instance.name);
	else
		put(LINES - 1, 0, A_REVERSE, "%-*s", COLS,
		    t->note[0] != '\0' ? t->note :
					 "q end  Enter page  ntlwu sort  p d c x b B r "
					 "act  h help");
	refresh();
}
