/* cli_perf.c - the performance file, printed and drawn. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cli_json.h"
#include "agent/perf.h"

#define COLUMNS 80 /* where the output is no terminal */

static uint32_t columns_of(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col :
								      COLUMNS;
}

static bool is_unicode(void)
{
	setlocale(LC_CTYPE, "");
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void time_text(const struct perf_row *r, char text[32])
{
	const time_t time = (time_t)r->time_s;
	struct tm tm;

	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
}

static void print_table(const struct perf_table *t)
{
	char time[32];

	printf("%-20s %-12s %10s %10s %9s %8s %10s %6s %8s\n", "time", "disk", "KB/s",
	       "data KB/s", "records/s", "waiting", "sectors", "log %", "oldest s");
	for (size_t i = 0; i < t->count; i++) {
		const double *f = t->row[i].figure;

		time_text(&t->row[i], time);
		printf("%s %-12s %10.1f %10.1f %9.1f %8.0f %10.0f %6.2f %8.1f\n", time,
		       t->row[i].disk, f[0], f[1], f[2], f[3], f[4], f[5], f[6]);
	}
}

static json_t *row_json(const struct perf_row *r)
{
	json_t *o = json_object();
	char time[32];

	time_text(r, time);
	json_object_set_new(o, "time", json_string(time));
	json_object_set_new(o, "disk", json_string(r->disk));
	for (uint32_t k = 0; k < PERF_FIGURE_COUNT; k++)
		json_object_set_new(o, perf_figure_names[k], json_real(r->figure[k]));
	return o;
}

/* Those members of each row. */
static enum cli_exit print_fields(const struct cli_arguments *a,
				  const struct perf_table *t)
{
	enum cli_exit status = CLI_DONE;

	for (size_t i = 0; i < t->count && status == CLI_DONE; i++) {
		json_t *o = row_json(&t->row[i]);

		status = cli_json_print(a, o, false);
		json_decref(o);
	}
	return status;
}

static void print_json(const struct perf_table *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->count; i++)
		json_array_append_new(list, row_json(&t->row[i]));
	json_dumpf(list, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(list);
}

static enum cli_exit fail_to_read(const char *path, const struct agent_instance *instance,
				  int error)
{
	char file[PATH_MAX];

	if (agent_path(instance, AGENT_PATH_CONFIG, file) == 0 && access(file, F_OK) != 0)
		return cli_fail(CLI_NONE, "there is no mirror %s here: %s does not exist",
				instance->mirror, file);
	if (error == -ENOENT)
		return cli_fail(CLI_REFUSED,
				"there are no figures of %s yet: %s does not exist; "
				"hamirror-watch writes it, `systemctl enable --now "
				"hamirror-watch@%s` starts that",
				instance->name, path, instance->name);
	return cli_fail(CLI_REFUSED, "%s cannot be read: %s", path, strerror(-error));
}

static enum cli_exit print(const struct cli_arguments *a, const struct perf_table *t)
{
	if ((a->given & CLI_FIELD) != 0)
		return print_fields(a, t);
	if ((a->given & CLI_JSON) != 0)
		print_json(t);
	else if ((a->given & CLI_SVG) != 0)
		perf_svg(t, a->instance.name, stdout);
	else if ((a->given & CLI_PLOT) != 0)
		perf_plot(t, columns_of(STDOUT_FILENO), is_unicode(), stdout);
	else
		print_table(t);
	return CLI_DONE;
}

static enum cli_exit run_perf(const struct cli_arguments *a)
{
	const char *disk = a->count > 1 ? a->operand[1] : NULL;
	enum cli_exit result = CLI_DONE;
	struct perf_table t;
	char path[PATH_MAX];
	uint64_t since_s = 0;
	int error;

	if (__builtin_popcount(a->given & (CLI_JSON | CLI_FIELD | CLI_PLOT | CLI_SVG)) >
	    1)
		return cli_fail(CLI_USAGE,
				"--json, --field, --plot and --svg exclude each other");
	if (a->since != NULL &&
	    !perf_time_parse(a->since, (uint64_t)time(NULL), &since_s))
		return cli_fail(CLI_USAGE,
				"--since takes a time in UTC, as 2026-03-01T12:00, or so "
				"long ago: 90s, 15m, 2h, 7d");
	error = agent_path(&a->instance, AGENT_PATH_PERF, path);
	if (error == 0)
		error = perf_table_read(&t, path, since_s, disk);
	if (error != 0)
		result = fail_to_read(path, &a->instance, error);
	else if (t.count == 0)
		result = cli_fail(CLI_REFUSED, "%s has no figures%s%s%s", path,
				  disk != NULL ? " of disk " : "",
				  disk != NULL ? disk : "",
				  a->since != NULL ? " since then" : "");
	else
		result = print(a, &t);
	perf_table_free(&t);
	return result;
}

const struct cli_command cli_perf_commands[] = {
	{ .name = "perf",
	  .synopsis =
		  "NAME [DISK] [--since TIME] [--plot | --svg | --json | --field LIST]",
	  .summary = "Print or draw the figures that hamirror-watch has written",
	  .help = "  --since TIME  from then on: 2026-03-01T12:00 in UTC, or 90s, 15m, 2h, 7d "
		  "ago\n"
		  "  --plot        as charts in the terminal\n"
		  "  --svg         as an SVG document\n"
		  "  --json        as one JSON list\n"
		  "  --field LIST  only these members of each row, a line each\n",
	  .options = CLI_JSON | CLI_FIELD | CLI_SINCE | CLI_PLOT | CLI_SVG,
	  .count_min = 1,
	  .count_max = 2,
	  .named = true,
	  .run = run_perf },
	{ 0 },
};
