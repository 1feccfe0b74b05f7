/* hamirror.c - the command: finds the subcommand, its options and operands. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_all.h"
#include "agent/cli_complete.h"

#define WAIT_S_MAX 86400
#define INTERVAL_S_MAX 3600

/* Order of `hamirror --help`. */
static const struct cli_command *const tables[] = {
	cli_local_commands,  cli_config_commands, cli_stop_commands, cli_switch_commands,
	cli_daemon_commands, cli_status_commands, cli_perf_commands, cli_host_commands,
	cli_check_commands,  cli_top_commands,
};
#define TABLE_COUNT (sizeof tables / sizeof tables[0])

static const struct {
	enum cli_option option;
	const char *name;
	int has_argument;
} options[] = {
	{ CLI_JSON, "json", no_argument },
	{ CLI_FORCE, "force", no_argument },
	{ CLI_WAIT, "wait", required_argument },
	{ CLI_KILL, "kill", required_argument },
	{ CLI_FOREGROUND, "foreground", no_argument },
	{ CLI_NOW, "now", no_argument },
	{ CLI_RECORDS, "records", no_argument },
	{ CLI_ALLOW_INCONSISTENT, "allow-inconsistent", no_argument },
	{ CLI_DISCARD, "discard", no_argument },
	{ CLI_CONFIG, "config", required_argument },
	{ CLI_COPY_OF, "copy-of", required_argument },
	{ CLI_IDENTITY, "identity", required_argument },
	{ CLI_LOG, "log", required_argument },
	{ CLI_BLANK, "blank", no_argument },
	{ CLI_FIELD, "field", required_argument },
	{ CLI_BOUND_RECORDS, "records", required_argument },
	{ CLI_BOUND_MS, "ms", required_argument },
	{ CLI_PACE, "pace", no_argument },
	{ CLI_LAG_BYTES, "lag-bytes", required_argument },
	{ CLI_LAG_MS, "lag-ms", required_argument },
	{ CLI_CONFIRM, "confirm", required_argument },
	{ CLI_ALL, "all", no_argument },
	{ CLI_WATCH, "watch", no_argument },
	{ CLI_INTERVAL, "interval", required_argument },
	{ CLI_SINCE, "since", required_argument },
	{ CLI_PLOT, "plot", no_argument },
	{ CLI_SVG, "svg", no_argument },
	{ CLI_ON, "on", required_argument },
	{ CLI_OUTPUT, "output", required_argument },
	{ CLI_STRICT, "strict", no_argument },
};
#define OPTION_COUNT (sizeof options / sizeof options[0])
#define HELP (1 << 30) /* beyond every enum cli_option */

enum cli_exit cli_fail(enum cli_exit status, const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("hamirror: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

enum cli_exit cli_config_load(const struct cli_arguments *a, struct config **config,
			      uint32_t *node)
{
	const int error = config_instance_read(&a->instance, a->config,
					       "hamirror: ", config, node);

	return error == 0 ? CLI_DONE : error == -ENOENT ? CLI_NONE : CLI_REFUSED;
}

/* ---- help ------------------------------------------------------------------ */

static void print_usage(const struct cli_command *c, FILE *out)
{
	fprintf(out, "usage: hamirror %s%s%s\n", c->name,
		c->synopsis[0] != '\0' ? " " : "", c->synopsis);
}

static void print_help(const struct cli_command *c)
{
	print_usage(c, stdout);
	printf("\n%s.\n%s%s", c->summary, c->help[0] != '\0' ? "\n" : "", c->help);
	if ((c->options & CLI_FIELD) != 0 && strstr(c->help, "--field") == NULL)
		fputs("With --field LIST only these members of the JSON, a line each.\n",
		      stdout);
	fputs("\nSee hamirror(8).\n", stdout);
}

static void print_commands(FILE *out)
{
	fputs("usage: hamirror COMMAND [NAME] [OPTION...]\n"
	      "\n"
	      "Keep a disk alive on two sites.\n"
	      "\n",
	      out);
	for (size_t t = 0; t < TABLE_COUNT; t++)
		for (const struct cli_command *c = tables[t]; c->name != NULL; c++)
			fprintf(out, "  %-14s %s\n", c->name, c->summary);
	fputs("\n"
	      "NAME is a mirror, /etc/hamirror/NAME.yaml; NAME@HOST is its instance as HOST\n"
	      "where one machine plays several. `hamirror COMMAND --help` tells more.\n"
	      "\n"
	      "Exit status: 0 done; 1 refused, with the reason and what would help;\n"
	      "2 usage; 3 no such mirror or daemon. See hamirror(8).\n",
	      out);
}

__attribute__((format(printf, 2, 3))) static enum cli_exit usage_error(
	const struct cli_command *c, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "hamirror %s: ", c->name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	print_usage(c, stderr);
	return CLI_USAGE;
}

/* The synopsis begins with the operands' names: the word at `index`, its bars as "or". */
static const char *operand_name(const struct cli_command *c, int index, char name[64])
{
	const char *at = c->synopsis;
	size_t length = 0;

	for (; index > 0 && *at != '\0'; index--) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
	}
	for (; *at != ' ' && *at != '\0' && length + 5 < 64; at++) {
		if (*at == '|')
			length = (size_t)(stpcpy(name + length, " or ") - name);
		else
			name[length++] = *at;
	}
	name[length] = '\0';
	return name;
}

/* ---- options --------------------------------------------------------------- */

static bool is_number(const char *text, unsigned long max, uint32_t *number)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > max)
		return false;
	*number = (uint32_t)value;
	return true;
}

static bool take_seconds(const char *text, uint32_t *seconds)
{
	return is_number(text, WAIT_S_MAX, seconds);
}

static bool take_number(const char *text, unsigned long max, uint32_t *number)
{
	return is_number(text, max, number) && *number > 0;
}

/* The bound of a mode. How much of it makes sense: agent/verb.c. */
static enum cli_exit take_bound(const struct cli_command *c, struct cli_arguments *a,
				enum cli_option option, const char *value)
{
	if (option == CLI_BOUND_RECORDS &&
	    !take_number(value, CONFIG_NEAR_SYNC_RECORDS_MAX, &a->records))
		return usage_error(c, "--records takes a number from 1 to %d",
				   CONFIG_NEAR_SYNC_RECORDS_MAX);
	if (option == CLI_BOUND_MS &&
	    !take_number(value, CONFIG_NEAR_SYNC_MS_MAX, &a->ms))
		return usage_error(c, "--ms takes milliseconds, from 1 to %d",
				   CONFIG_NEAR_SYNC_MS_MAX);
	if (option == CLI_LAG_BYTES &&
	    !config_size_of(value, CONFIG_LAG_BYTES_MAX, &a->lag_bytes))
		return usage_error(c,
				   "--lag-bytes takes bytes, or with K, M or G, at most "
				   "1024G; 0: no copy is near");
	if (option == CLI_LAG_MS &&
	    !take_number(value, CONFIG_NEAR_SYNC_MS_MAX, &a->lag_ms))
		return usage_error(c, "--lag-ms takes milliseconds, from %d to %d",
				   CONFIG_LAG_MS_MIN, CONFIG_NEAR_SYNC_MS_MAX);
	return CLI_DONE;
}

static enum cli_exit take_time(const struct cli_command *c, struct cli_arguments *a,
			       enum cli_option option, const char *value)
{
	if (option == CLI_INTERVAL && !take_number(value, INTERVAL_S_MAX, &a->interval_s))
		return usage_error(c, "--interval takes seconds, from 1 to %d",
				   INTERVAL_S_MAX);
	if (option == CLI_WAIT && !take_seconds(value, &a->wait_s))
		return usage_error(c, "--wait takes seconds, from 0 to %d", WAIT_S_MAX);
	if (option == CLI_KILL && !take_seconds(value, &a->kill_s))
		return usage_error(c, "--kill takes seconds, from 0 to %d", WAIT_S_MAX);
	return CLI_DONE;
}

static enum cli_exit take_change(const struct cli_command *c, struct cli_arguments *a,
				 const char *value)
{
	if (a->on_count == CLI_ON_MAX)
		return usage_error(c, "--on: %d times is the most", CLI_ON_MAX);
	a->on[a->on_count++] = value;
	return CLI_DONE;
}

/* Take one option. Returns CLI_DONE or CLI_USAGE. */
static enum cli_exit take_option(const struct cli_command *c, struct cli_arguments *a,
				 enum cli_option option, const char *value)
{
	a->given |= option;
	switch (option) {
	case CLI_JSON:
	case CLI_FORCE:
	case CLI_FOREGROUND:
	case CLI_NOW:
	case CLI_RECORDS:
	case CLI_ALLOW_INCONSISTENT:
	case CLI_BLANK:
	case CLI_DISCARD:
	case CLI_PACE:
	case CLI_ALL:
	case CLI_WATCH:
	case CLI_PLOT:
	case CLI_SVG:
	case CLI_STRICT:
		break;
	case CLI_SINCE:
		a->since = value;
		break;
	case CLI_OUTPUT:
		a->output = value;
		break;
	case CLI_ON:
		return take_change(c, a, value);
	case CLI_INTERVAL:
	case CLI_WAIT:
	case CLI_KILL:
		return take_time(c, a, option, value);
	case CLI_BOUND_RECORDS:
	case CLI_BOUND_MS:
	case CLI_LAG_BYTES:
	case CLI_LAG_MS:
		return take_bound(c, a, option, value);
	case CLI_CONFIG:
		a->config = value;
		break;
	case CLI_COPY_OF:
		a->copy_of = value;
		break;
	case CLI_IDENTITY:
		a->identity = value;
		break;
	case CLI_CONFIRM:
		a->confirm = value;
		break;
	case CLI_FIELD:
		a->field = value;
		break;
	case CLI_LOG:
		a->log = value;
		break;
	}
	return CLI_DONE;
}

/* Options and operands of argv[1] on. Returns CLI_DONE, CLI_USAGE, or -1: help was
 * printed. */
static int take_arguments(const struct cli_command *c, struct cli_arguments *a, int argc,
			  char **argv)
{
	struct option known[OPTION_COUNT + 2] = { { "help", no_argument, NULL, HELP } };
	size_t count = 1;
	int option;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if ((c->options & options[i].option) != 0)
			known[count++] = (struct option){ options[i].name,
							  options[i].has_argument, NULL,
							  (int)options[i].option };
	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (option == HELP || option == 'h') {
			print_help(c);
			return -1;
		}
		if (option == '?') { /* getopt has named the error */
			print_usage(c, stderr);
			return CLI_USAGE;
		}
		if (take_option(c, a, (enum cli_option)option, optarg) != CLI_DONE)
			return CLI_USAGE;
	}
	a->count = argc - optind;
	a->operand = argv + optind;
	return CLI_DONE;
}

/* Options that do not go together, or not alone. */
static enum cli_exit check_options(const struct cli_command *c,
				   const struct cli_arguments *a)
{
	if ((a->given & CLI_ALL) != 0 && a->count > 0)
		return usage_error(c, "--all stands instead of \"%s\"", a->operand[0]);
	if ((a->given & CLI_ALL) != 0 && (a->given & (CLI_FOREGROUND | CLI_CONFIG)) != 0)
		return usage_error(
			c, "--foreground and --config are for one mirror, not for --all");
	if ((a->given & CLI_INTERVAL) != 0 && (c->options & CLI_WATCH) != 0 &&
	    (a->given & CLI_WATCH) == 0)
		return usage_error(c, "--interval goes with --watch");
	return CLI_DONE;
}

static enum cli_exit run(const struct cli_command *c, int argc, char **argv)
{
	struct cli_arguments a = { .interval_s = 1 };
	char name[64], text[256];
	int status;

	/* getopt's messages begin with argv[0]. */
	snprintf(name, sizeof name, "hamirror %s", c->name);
	argv[0] = name;
	status = take_arguments(c, &a, argc, argv);
	if (status != CLI_DONE)
		return status < 0 ? CLI_DONE : CLI_USAGE;
	if (check_options(c, &a) != CLI_DONE)
		return CLI_USAGE;
	if ((a.given & CLI_ALL) != 0)
		return c->count_min > 0 ? cli_all_run(c, &a) : c->run(&a);
	if (a.count < c->count_min)
		return usage_error(c, "%s is missing", operand_name(c, a.count, name));
	if (a.count > c->count_max)
		return usage_error(c, "\"%s\" is too much", a.operand[c->count_max]);
	if (c->named && a.count > 0 &&
	    agent_instance_parse(a.operand[0], &a.instance, text, sizeof text) != 0)
		return usage_error(c, "%s", text);
	return c->run(&a);
}

/* The command that argv[1], or argv[1] and argv[2], names; how many words that
 * are. */
static const struct cli_command *find(int argc, char **argv, int *word_count)
{
	for (size_t t = 0; t < TABLE_COUNT; t++)
		for (const struct cli_command *c = tables[t]; c->name != NULL; c++) {
			const char *second = strchr(c->name, ' ');
			const size_t length = second != NULL ?
						      (size_t)(second - c->name) :
						      strlen(c->name);

			if (strlen(argv[1]) != length ||
			    strncmp(argv[1], c->name, length) != 0)
				continue;
			*word_count = second != NULL ? 2 : 1;
			if (second == NULL ||
			    (argc > 2 && strcmp(argv[2], second + 1) == 0))
				return c;
		}
	return NULL;
}

/* ---- completion ------------------------------------------------------------ */

static const struct cli_command *command_at(size_t index)
{
	for (size_t t = 0; t < TABLE_COUNT; t++)
		for (const struct cli_command *c = tables[t]; c->name != NULL; c++)
			if (index-- == 0)
				return c;
	return NULL;
}

/* "" for none. */
static const char *option_name(enum cli_option option, bool *has_argument)
{
	static char name[32];

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (options[i].option == option) {
			snprintf(name, sizeof name, "--%s", options[i].name);
			*has_argument = options[i].has_argument == required_argument;
			return name;
		}
	return "";
}

int main(int argc, char **argv)
{
	const struct cli_command *c;
	int word_count = 1, status;

	if (argc < 2) {
		print_commands(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_commands(stdout);
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("hamirror " PACKAGE_VERSION);
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--complete") == 0) {
		cli_complete(argc - 2, argv + 2, command_at, option_name);
		return CLI_DONE;
	}
	c = find(argc, argv, &word_count);
	if (c == NULL) {
		fprintf(stderr,
			"hamirror: there is no command \"%s%s%s\"; see hamirror --help\n",
			argv[1], word_count > 1 && argc > 2 ? " " : "",
			word_count > 1 && argc > 2 ? argv[2] : "");
		return CLI_USAGE;
	}
	status = run(c, argc - word_count, argv + word_count);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "hamirror: writing the answer: %s\n", strerror(errno));
		return status == CLI_DONE ? CLI_REFUSED : status;
	}
	return status;
}
