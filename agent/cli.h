/* cli.h - the hamirror command: shared by its files.
 *
 * hamirror.c finds the command and its options; cli_*.c run it. A command prints its answer
 * on stdout, and an error, with its remedy, on stderr. docs/control.md describes the
 * requests to the daemon.
 */
#ifndef AGENT_CLI_H
#define AGENT_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "agent/config.h"
#include "agent/paths.h"

enum cli_exit {
	CLI_DONE = 0,
	CLI_REFUSED = 1, /* with the reason, and a remedy */
	CLI_USAGE = 2,
	CLI_NONE = 3, /* no such mirror or daemon */
};

/* Options; a command takes those of its `options`. */
enum cli_option {
	CLI_JSON = 1u << 0,
	CLI_FORCE = 1u << 1,
	CLI_WAIT = 1u << 2,
	CLI_KILL = 1u << 12,
	CLI_FOREGROUND = 1u << 3,
	CLI_NOW = 1u << 4,
	CLI_RECORDS = 1u << 5,
	CLI_ALLOW_INCONSISTENT = 1u << 6,
	CLI_DISCARD = 1u << 13,
	CLI_CONFIG = 1u << 7,
	CLI_COPY_OF = 1u << 8,
	CLI_IDENTITY = 1u << 9,
	CLI_LOG = 1u << 10,
	CLI_BLANK = 1u << 11,
	CLI_FIELD = 1u << 14,
	CLI_BOUND_RECORDS = 1u << 15,
	CLI_BOUND_MS = 1u << 16,
	CLI_PACE = 1u << 17,
	CLI_LAG_BYTES = 1u << 18,
	CLI_LAG_MS = 1u << 19,
	CLI_CONFIRM = 1u << 20,
	CLI_ALL = 1u << 21,
	CLI_WATCH = 1u << 22,
	CLI_INTERVAL = 1u << 23,
	CLI_SINCE = 1u << 25,
	CLI_PLOT = 1u << 26,
	CLI_SVG = 1u << 27,
	CLI_ON = 1u << 24,
	CLI_OUTPUT = 1u << 28,
	CLI_STRICT = 1u << 29,
};

#define CLI_ON_MAX 8

struct cli_arguments {
	uint32_t given;      /* enum cli_option of those that were */
	uint32_t wait_s;     /* CLI_WAIT */
	uint32_t drain_s;    /* the daemon may take so much longer */
	uint32_t kill_s;     /* CLI_KILL */
	uint32_t interval_s; /* CLI_INTERVAL, else 1 */
	const char *config;  /* CLI_CONFIG, else NULL; and so on */
	const char *copy_of;
	const char *identity;
	const char *log;
	const char *field;    /* CLI_FIELD, else NULL */
	uint32_t records, ms; /* CLI_BOUND_... */
	uint64_t lag_bytes;   /* CLI_LAG_... */
	uint32_t lag_ms;
	const char *confirm;        /* CLI_CONFIRM, else NULL */
	const char *since;          /* CLI_SINCE, else NULL */
	const char *output;         /* CLI_OUTPUT, else NULL */
	const char *on[CLI_ON_MAX]; /* CLI_ON */
	uint32_t on_count;
	int count; /* operands */
	char **operand;
	struct agent_instance instance; /* of operand[0], for a command with `named` */
};

struct cli_command {
	const char *name;     /* one word or two: "config check" */
	const char *synopsis; /* behind the name */
	const char *summary;  /* one line */
	const char *help;     /* more lines, each ended */
	uint32_t options;
	int count_min, count_max; /* operands */
	bool named; /* the first operand, where given, is NAME or NAME@HOST */
	enum cli_exit (*run)(const struct cli_arguments *a);
};

/* Tables of commands, each ended by an entry without name. */
extern const struct cli_command cli_local_commands[];
extern const struct cli_command cli_daemon_commands[];
extern const struct cli_command cli_stop_commands[];
extern const struct cli_command cli_switch_commands[];
extern const struct cli_command cli_status_commands[];
extern const struct cli_command cli_host_commands[];
extern const struct cli_command cli_check_commands[];
extern const struct cli_command cli_perf_commands[];
extern const struct cli_command cli_top_commands[];
extern const struct cli_command cli_config_commands[];

/* Print "hamirror: ..." on stderr; returns `status`. */
__attribute__((format(printf, 2, 3))) enum cli_exit cli_fail(enum cli_exit status,
							     const char *format, ...);

/* Load the configuration of the instance, or of --config; errors are printed.
 * `*config` is the caller's to free, also after an error. `node` as in
 * config_instance_load. */
enum cli_exit cli_config_load(const struct cli_arguments *a, struct config **config,
			      uint32_t *node);

#endif
