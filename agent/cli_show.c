/* cli_show.c - see cli_show.h. */
#include "agent/cli_show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli_table.h"
#include "agent/json_path.h"
#include "common/clock_driver.h"

static bool known(json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return value != NULL && !json_is_null(value);
}

static json_int_t number_at(json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* ---- cells ----------------------------------------------------------------- */

/* "none", or "1.5 MiB, 3 groups, 12 ms" */
static void format_lag(json_t *site, char *text, size_t size)
{
	char bytes[32];

	if (!known(site, "lag_bytes")) {
		snprintf(text, size, "-");
		return;
	}
	cli_bytes_format((double)number_at(site, "lag_bytes"), bytes, sizeof bytes);
	if (number_at(site, "lag_bytes") == 0 && number_at(site, "lag_groups") == 0)
		snprintf(text, size, "none");
	else
		snprintf(text, size, "%s, %lld group%s, %lld ms", bytes,
			 (long long)number_at(site, "lag_groups"),
			 number_at(site, "lag_groups") == 1 ? "" : "s",
			 (long long)number_at(site, "lag_ms"));
}

/* The link, with how far a refresh is; one that was refused has not begun. */
static void format_link(json_t *site, char *text, size_t size)
{
	json_t *refresh = json_object_get(site, "refresh");
	const json_int_t total = number_at(refresh, "total_bytes");

	if (json_is_true(json_object_get(refresh, "refused")))
		snprintf(text, size, "refresh refused");
	else if (json_is_object(refresh) && total > 0)
		snprintf(text, size, "%s %.1f%%", agent_json_text(site, "link", "-"),
			 100.0 * (double)number_at(refresh, "done_bytes") /
				 (double)total);
	else
		snprintf(text, size, "%s", agent_json_text(site, "link", "-"));
}

static void site_cell(json_t *site, int column, char *text, size_t size)
{
	static const char *const members[] = { "name", "role", "host", "data" };

	if (column < 4)
		snprintf(text, size, "%s", agent_json_text(site, members[column], "-"));
	else if (column == 4)
		snprintf(text, size, "%s",
			 !known(site, "current")                        ? "-" :
			 json_is_true(json_object_get(site, "current")) ? "yes" :
									  "no");
	else if (column == 5)
		format_link(site, text, size);
	else
		format_lag(site, text, size);
}

static void disk_cell(json_t *disk, int column, char *text, size_t size)
{
	if (column == 0)
		snprintf(text, size, "%s", agent_json_text(disk, "name", "-"));
	else if (column == 1 && known(disk, "bytes"))
		cli_bytes_format((double)number_at(disk, "bytes"), text, size);
	else if (column == 1)
		snprintf(text, size, "-");
	else if (known(disk, "front_end"))
		snprintf(text, size, "%s (%s)", agent_json_text(disk, "device", "-"),
			 agent_json_text(disk, "front_end", "-"));
	else
		snprintf(text, size, "%s",
			 known(disk, "device") ? agent_json_text(disk, "device", "-") :
						 agent_json_text(disk, "socket", "-"));
}

/* Of a host, with its site as "of", and as "line" where the link from here ends there. */
static void host_cell(json_t *host, int column, char *text, size_t size)
{
	static const char *const members[] = {
		"name", "site", "", "address", "", "since"
	};
	static const char *const rates[] = { "sent_bytes_per_s", "received_bytes_per_s" };
	json_t *line = json_object_get(host, "line");
	char bytes[32];

	snprintf(text, size, "-");
	if (column == 2)
		snprintf(text, size, "%s",
			 agent_json_text(json_object_get(host, "of"), "location", "-"));
	else if (column == 4)
		snprintf(text, size, "%s",
			 json_is_true(json_object_get(host, "member")) ? "up" : "down");
	else if (column < 6)
		snprintf(text, size, "%s", agent_json_text(host, members[column], "-"));
	else if (column == 6 && known(line, "rtt_us"))
		snprintf(text, size, "%.2f ms", (double)number_at(line, "rtt_us") / 1000);
	else if (column > 6 && known(line, rates[column - 7])) {
		cli_bytes_format((double)number_at(line, rates[column - 7]), bytes,
				 sizeof bytes);
		snprintf(text, size, "%s/s", bytes);
	}
}

/* ---- the parts ------------------------------------------------------------- */

static void print_head(const struct cli_show *show, json_t *s)
{
	json_t *modes = json_object_get(s, "modes"), *mode;
	json_t *generation = json_object_get(s, "generation");
	FILE *out = show->out;
	size_t i;

	cli_coloured_print(out, show->colour, CLI_BOLD,
			   agent_json_text(s, "instance", "-"));
	fprintf(out, ": %s", agent_json_text(s, "mode", "-"));
	json_array_foreach(modes, i, mode) fprintf(out, ", %s", json_string_value(mode));
	if (json_is_object(generation))
		fprintf(out, ", generation %lld",
			(long long)number_at(generation, "ordinal"));
	if (strcmp(agent_json_text(s, "cluster", "-"), "none") == 0)
		fputs(", without a cluster", out);
	else if (json_is_true(json_object_get(s, "quorate")))
		fputs(", quorate", out);
	else if (known(s, "quorate"))
		cli_coloured_print(out, show->colour, CLI_RED, ", no quorum");
	fputc('\n', out);
}

static void print_production(const struct cli_show *show, json_t *s)
{
	json_t *production = json_object_get(s, "production");
	FILE *out = show->out;

	if (json_is_object(production))
		fprintf(out, "production: %s on %s",
			agent_json_text(production, "site", "-"),
			agent_json_text(production, "host", "-"));
	else
		fputs(strcmp(agent_json_text(s, "cluster", "-"), "none") == 0 ?
			      "production: not known here" :
			      "production: none",
		      out);
	if (json_is_true(json_object_get(s, "serving")))
		fputs(", served here", out);
	if (json_is_true(json_object_get(s, "frozen")))
		cli_coloured_print(out, show->colour, CLI_RED, ", writes are frozen");
	fputc('\n', out);
}

/* Without the figures where these are not wanted: the columns behind the others. */
static void print_hosts(const struct cli_show *show, json_t *s)
{
	struct cli_table table = {
		{ "HOST", "SITE", "LOCATION", "ADDRESS", "STATE", "SINCE", "RTT", "SENT",
		  "RECEIVED" },
		host_cell,
	};
	json_t *rows = json_array(), *node, *row, *site;
	size_t i;

	if (!show->figures)
		table.title[6] = NULL;
	json_array_foreach(json_object_get(s, "nodes"), i, node)
	{
		row = json_copy(node);
		site = agent_json_named(json_object_get(s, "sites"),
					agent_json_text(node, "site", ""));
		json_object_set(row, "of", site);
		if (strcmp(agent_json_text(site, "host", ""),
			   agent_json_text(node, "name", "-")) == 0)
			json_object_set(row, "line", site);
		json_array_append_new(rows, row);
	}
	if (json_array_size(rows) > 0) {
		fputc('\n', show->out);
		cli_table_print(show->out, show->colour, &table, rows);
	}
	json_decref(rows);
}

static void print_log(json_t *s, FILE *out)
{
	json_t *log = json_object_get(s, "log");
	char bytes[32];

	if (!json_is_object(log) || !known(log, "bytes"))
		return;
	cli_bytes_format((double)number_at(log, "bytes"), bytes, sizeof bytes);
	fprintf(out, "\nwritelog: %.0f%% of %s used, %s\n",
		json_number_value(json_object_get(log, "used_percent")), bytes,
		agent_json_text(log, "path", "-"));
}

static void print_last_run(json_t *s, FILE *out)
{
	json_t *last = json_object_get(s, "last_run");

	if (json_is_object(last))
		fprintf(out, "\n%s.\n", agent_json_text(last, "text", "-"));
}

static void print_why(const struct cli_show *show, json_t *s)
{
	json_t *why = json_object_get(s, "why"), *text;
	FILE *out = show->out;
	size_t i;

	json_array_foreach(why, i, text)
	{
		if (i == 0) {
			fputc('\n', out);
			cli_coloured_print(out, show->colour, CLI_YELLOW, "why:");
			fputc('\n', out);
		}
		fprintf(out, "  %s\n", json_string_value(text));
	}
}

void cli_status_show(const struct cli_show *show, json_t *s)
{
	static const struct cli_table sites = {
		{ "SITE", "ROLE", "HOST", "DATA", "CURRENT", "LINK", "LAG" },
		site_cell,
	};
	static const struct cli_table disks = { { "DISK", "SIZE", "DEVICE" }, disk_cell };
	FILE *out = show->out;
	json_t *rows;

	print_head(show, s);
	rows = json_object_get(s, "sites");
	if (json_array_size(rows) > 0) {
		print_production(show, s);
		fputc('\n', out);
		cli_table_print(out, show->colour, &sites, rows);
		cli_progress_print(show->progress, s, show->now_ms, out);
	}
	print_hosts(show, s);
	rows = json_object_get(s, "disks");
	if (json_array_size(rows) > 0) {
		fputc('\n', out);
		cli_table_print(out, show->colour, &disks, rows);
	}
	print_log(s, out);
	print_why(show, s);
	print_last_run(s, out);
}

struct cli_show cli_show_stdout(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	const bool escapes = isatty(STDOUT_FILENO) && term != NULL && term[0] != '\0' &&
			     strcmp(term, "dumb") != 0;

	return (struct cli_show){
		.out = stdout,
		.figures = true,
		.escapes = escapes,
		.colour = escapes && (no_color == NULL || no_color[0] == '\0'),
		.now_ms = common_clock_ns(CLOCK_REALTIME) / 1000000,
	};
}
