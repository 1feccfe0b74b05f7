/* cli_local.c - commands that need no daemon: create, accept, recover, start, scan, config. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/accept.h"
#include "agent/cli.h"
#include "agent/cli_config.h"
#include "agent/cli_json.h"
#include "agent/cli_line.h"
#include "agent/create.h"
#include "agent/limits.h"
#include "agent/recover.h"
#include "agent/scan.h"

#define TEXT_MAX 1024
#define PING_WAIT_MS 10000

/* Do `work` as this node of the configuration, and print its sentence. */
static enum cli_exit with_config(const struct cli_arguments *a,
				 int (*work)(const struct cli_arguments *a,
					     const struct config *config, uint32_t node,
					     char *text, size_t text_size))
{
	struct config *config;
	char text[TEXT_MAX] = "";
	uint32_t node = 0;
	enum cli_exit status = cli_config_load(a, &config, &node);

	if (status == CLI_DONE && work(a, config, node, text, sizeof text) != 0)
		status = CLI_REFUSED;
	if (text[0] != '\0')
		cli_answer(a, status, "%s", text);
	config_free(config);
	return status;
}

static int create_here(const struct cli_arguments *a, const struct config *config,
		       uint32_t node, char *text, size_t text_size)
{
	const struct create_options options = {
		.config = config,
		.node = node,
		.instance = a->instance.name,
		.copy_of = a->copy_of,
		.identity = a->identity,
	};

	return agent_create(&options, text, text_size);
}

static enum cli_exit create(const struct cli_arguments *a)
{
	return with_config(a, create_here);
}

/* ---- accept ---------------------------------------------------------------- */

static int accept_here(const struct cli_arguments *a, const struct config *config,
		       uint32_t node, char *text, size_t text_size)
{
	const struct accept_options options = {
		.config = config,
		.node = node,
		.disk = a->operand[1],
		.blank = (a->given & CLI_BLANK) != 0,
	};

	return agent_accept(&options, text, text_size);
}

static enum cli_exit accept_disk(const struct cli_arguments *a)
{
	return with_config(a, accept_here);
}

/* ---- recover --------------------------------------------------------------- */

static int recover_here(const struct cli_arguments *a, const struct config *config,
			uint32_t node, char *text, size_t text_size)
{
	const struct recover_options options = {
		.config = config,
		.node = node,
		.instance = a->instance.name,
		.force = (a->given & CLI_FORCE) != 0,
	};

	return agent_recover(&options, text, text_size);
}

static enum cli_exit recover(const struct cli_arguments *a)
{
	return with_config(a, recover_here);
}

/* ---- start ----------------------------------------------------------------- */

/* True when a daemon answers; its process goes to `*pid`. */
static bool answers(const struct agent_instance *instance, json_int_t *pid)
{
	json_t *reply = NULL;
	struct cli_line line;
	char text[TEXT_MAX];
	bool up;

	if (cli_line_open(instance, &line, text, sizeof text) != 0)
		return false;
	up = cli_line_send(&line, json_pack("{s:s}", "command", "ping")) == 0 &&
	     cli_line_next(&line, PING_WAIT_MS, &reply) == 0;
	*pid = json_integer_value(json_object_get(reply, "pid"));
	json_decref(reply);
	cli_line_close(&line);
	return up;
}

/* Become hamirrord: the one beside this command, as in a build directory, else
 * the one in the PATH. */
static void become_daemon(const struct cli_arguments *a)
{
	char path[PATH_MAX];
	const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
	const char *argv[] = { "hamirrord", a->instance.name, NULL, NULL, NULL, NULL };
	int count = 2;
	char *slash;

	if ((a->given & CLI_FOREGROUND) != 0)
		argv[count++] = "--foreground";
	if (a->config != NULL) {
		argv[count++] = "--config";
		argv[count++] = a->config;
	}
	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL &&
	    (size_t)(slash - path) + sizeof "/hamirrord" <= sizeof path) {
		strcpy(slash, "/hamirrord");
		execv(path, (char *const *)(void *)argv);
	}
	execvp("hamirrord", (char *const *)(void *)argv);
	cli_fail(CLI_REFUSED, "hamirrord cannot be run: %s", strerror(errno));
}

/* The daemon checks itself and prints a fault on our stderr. When all is up it detaches, and
 * its starter exits. */
static enum cli_exit run_daemon(const struct cli_arguments *a)
{
	const pid_t pid = fork();
	int status;

	if (pid < 0)
		return cli_fail(CLI_REFUSED, "%s cannot be started: %s", a->instance.name,
				strerror(errno));
	if (pid == 0) {
		become_daemon(a);
		_exit(CLI_REFUSED);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cli_fail(CLI_REFUSED, "waiting for hamirrord: %s",
					strerror(errno));
	if (WIFSIGNALED(status))
		return cli_fail(CLI_REFUSED, "hamirrord of %s died of signal %d",
				a->instance.name, WTERMSIG(status));
	return WEXITSTATUS(status) == 0 ? CLI_DONE : CLI_REFUSED;
}

static enum cli_exit start(const struct cli_arguments *a)
{
	struct config *config;
	json_int_t pid = 0;
	uint32_t node;
	enum cli_exit status;

	if (answers(&a->instance, &pid)) {
		return cli_answer(a, CLI_DONE, "%s runs already, as process %lld",
				  a->instance.name, (long long)pid);
	}
	/* Errors in the file are told here, where exit 3 is known. */
	status = cli_config_load(a, &config, &node);
	config_free(config);
	if (status != CLI_DONE)
		return status;
	if ((a->given & CLI_FOREGROUND) != 0) {
		become_daemon(a);
		return CLI_REFUSED;
	}
	status = run_daemon(a);
	if (status == CLI_DONE && !answers(&a->instance, &pid))
		return cli_fail(
			CLI_REFUSED,
			"hamirrord of %s was started but does not answer; its log "
			"tells why (journalctl -t hamirrord)",
			a->instance.name);
	if (status == CLI_DONE)
		cli_answer(a, status, "%s runs, as process %lld", a->instance.name,
			   (long long)pid);
	return status;
}

/* ---- scan ------------------------------------------------------------------ */

static enum cli_exit print_scan(const struct cli_arguments *a,
				const struct scan_options *options)
{
	char text[TEXT_MAX] = "", *json = NULL;
	enum cli_exit status = CLI_REFUSED;
	json_t *object = NULL;
	size_t length = 0;
	FILE *out;

	if (a->field == NULL)
		return agent_scan(options, stdout, text, sizeof text) == 0 ?
			       CLI_DONE :
			       cli_fail(CLI_REFUSED, "%s", text);
	out = open_memstream(&json, &length);
	if (out == NULL)
		return cli_fail(CLI_REFUSED, "no memory");
	if (agent_scan(options, out, text, sizeof text) != 0)
		cli_fail(CLI_REFUSED, "%s", text);
	fclose(out);
	if (text[0] == '\0' && (object = json_loadb(json, length, 0, NULL)) != NULL)
		status = cli_json_print(a, object, false);
	json_decref(object);
	free(json);
	return status;
}

static enum cli_exit scan(const struct cli_arguments *a)
{
	struct scan_options options = {
		.path = a->log,
		.json = (a->given & (CLI_JSON | CLI_FIELD)) != 0,
		.records = (a->given & CLI_RECORDS) != 0,
	};
	struct config *config = NULL;
	enum cli_exit status = CLI_DONE;
	uint32_t node = 0;

	if ((a->count == 0) == (a->log == NULL))
		return cli_fail(CLI_USAGE, "scan: say either NAME or --log PATH");
	if (a->log == NULL) {
		status = cli_config_load(a, &config, &node);
		if (status == CLI_DONE && config->node[node].site < 0)
			status = cli_fail(CLI_REFUSED, "%s is a witness: it has no log",
					  config->node[node].name);
		if (status == CLI_DONE)
			options.path = config->site[config->node[node].site].writelog;
	}
	if (status == CLI_DONE)
		status = print_scan(a, &options);
	config_free(config);
	return status;
}

/* ---- config ---------------------------------------------------------------- */

int cli_config_file(const char *operand, char path[PATH_MAX],
		    struct agent_instance *instance)
{
	const size_t length = strlen(operand);
	char text[TEXT_MAX];

	if (strchr(operand, '/') != NULL ||
	    (length > 5 && strcmp(operand + length - 5, ".yaml") == 0))
		return snprintf(path, PATH_MAX, "%s", operand) < PATH_MAX ? 1 : -1;
	if (agent_instance_parse(operand, instance, text, sizeof text) == 0)
		return agent_path(instance, AGENT_PATH_CONFIG, path) == 0 ? 0 : -1;
	cli_fail(CLI_USAGE, "%s", text);
	return -1;
}

struct remarks {
	json_t *faults, *warnings;
};

static void add_remark(void *data, enum config_remark remark, const char *text)
{
	struct remarks *r = data;

	json_array_append_new(remark == CONFIG_FAULT ? r->faults : r->warnings,
			      json_string(text));
}

static json_t *errors_json(const struct config_errors *errors)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < errors->count; i++) {
		const struct config_error *e = &errors->entry[i];

		json_array_append_new(list, json_pack("{s:i, s:i, s:s%}", "line", e->line,
						      "column", e->column, "text",
						      e->text, strlen(e->text)));
	}
	return list;
}

/* `config` is NULL when it has errors. */
static json_t *limits_json(const struct config *config)
{
	struct agent_limits limits;

	if (config == NULL)
		return json_null();
	agent_limits_get(config, &limits);
	return json_pack("{s:i, s:i, s:i}", "clients", (int)limits.client_count,
			 "device_connections", (int)limits.connection_count, "open_files",
			 (int)limits.file_count);
}

static void print_limits(const char *path, const struct config *config)
{
	struct agent_limits limits;

	agent_limits_get(config, &limits);
	printf("%s: room for %u NBD clients at a time", path, limits.client_count);
	if (limits.connection_count > 0)
		printf(" beside the devices of %u disks", config->site[0].disk_count);
	printf("; up to %u open files\n", limits.file_count);
}

static void print_check(const char *path, const struct config *config,
			const struct config_errors *errors, const struct remarks *remarks,
			const struct cli_arguments *a)
{
	const bool good = errors->count == 0 && json_array_size(remarks->faults) == 0;
	json_t *all, *text;
	size_t i;

	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0) {
		all = json_pack("{s:s, s:b, s:o, s:O, s:O, s:o}", "file", path, "valid",
				good, "errors", errors_json(errors), "faults",
				remarks->faults, "warnings", remarks->warnings, "limits",
				limits_json(errors->count == 0 ? config : NULL));
		cli_json_print(a, all, false);
		json_decref(all);
		return;
	}
	config_errors_print(errors, "", stderr);
	json_array_foreach(remarks->faults, i, text)
		fprintf(stderr, "%s: on this node: %s\n", path, json_string_value(text));
	json_array_foreach(remarks->warnings, i, text)
		printf("%s: warning: %s\n", path, json_string_value(text));
	if (!good)
		return;
	print_limits(path, config);
	printf("%s: valid\n", path);
}

static int32_t own_node(const struct config *config, const char *operand)
{
	struct agent_instance instance;
	char text[TEXT_MAX];

	if (agent_instance_parse(operand, &instance, text, sizeof text) != 0 &&
	    agent_instance_parse(config->mirror, &instance, text, sizeof text) != 0)
		return -1;
	return config_node_find(config, instance.host);
}

static enum cli_exit config_check_run(const struct cli_arguments *a)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	struct remarks remarks = { json_array(), json_array() };
	enum cli_exit status = CLI_USAGE;
	struct agent_instance instance;
	char path[PATH_MAX];
	uint32_t node;
	int error, kind;

	if (config == NULL || errors == NULL || remarks.faults == NULL ||
	    remarks.warnings == NULL) {
		status = cli_fail(CLI_REFUSED, "no memory");
	} else if ((kind = cli_config_file(a->operand[0], path, &instance)) >= 0) {
		/* A name is that of an instance here: this node has to be in the file. */
		error = kind > 0 ? config_load(path, config, errors) :
				   config_instance_load(&instance, NULL, config, &node,
							errors);
		if (error == 0)
			config_warn(config, own_node(config, a->operand[0]), add_remark,
				    &remarks);
		print_check(path, config, errors, &remarks, a);
		status = error == -ENOENT                                  ? CLI_NONE :
			 error != 0 || json_array_size(remarks.faults) > 0 ? CLI_REFUSED :
									     CLI_DONE;
	}
	json_decref(remarks.faults);
	json_decref(remarks.warnings);
	free(errors);
	config_free(config);
	return status;
}

/* Print it as it was asked for. */
static enum cli_exit show(const struct cli_arguments *a, const struct config *config)
{
	enum cli_exit status;
	json_t *json;

	if ((a->given & (CLI_JSON | CLI_FIELD)) == 0) {
		config_print_yaml(config, stdout);
		return CLI_DONE;
	}
	json = config_json(config);
	status = cli_json_print(a, json, false);
	json_decref(json);
	return status;
}

static enum cli_exit config_show_run(const struct cli_arguments *a)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	enum cli_exit status = CLI_USAGE;
	struct agent_instance instance;
	char path[PATH_MAX];
	int error;

	if (config == NULL || errors == NULL) {
		status = cli_fail(CLI_REFUSED, "no memory");
	} else if (cli_config_file(a->operand[0], path, &instance) >= 0) {
		error = config_load(path, config, errors);
		config_errors_print(errors, "hamirror: ", stderr);
		status = error == 0       ? show(a, config) :
			 error == -ENOENT ? CLI_NONE :
					    CLI_REFUSED;
	}
	free(errors);
	config_free(config);
	return status;
}

const struct cli_command cli_local_commands[] = {
	{ .name = "create",
	  .synopsis = "NAME [--copy-of HOST | --identity MIRROR:LINEAGE] "
		      "[--config FILE] [--json | --field LIST]",
	  .summary = "Make this site's writelog, and for a new mirror its identity",
	  .help = "  --copy-of HOST      make a further site: ask HOST's daemon which mirror\n"
		  "  --identity M:L      the same without asking: `id` and `lineage` of status\n"
		  "  --config FILE       instead of /etc/hamirror/NAME.yaml\n",
	  .options = CLI_COPY_OF | CLI_IDENTITY | CLI_CONFIG | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = create },
	{ .name = "accept",
	  .synopsis = "NAME DISK [--blank] [--config FILE] [--json | --field LIST]",
	  .summary = "Accept the device at a disk's path, here, as that disk",
	  .help = "For a disk that a start refuses, after you have looked at it: without\n"
		  "--blank its content counts as this site's data.\n"
		  "  --blank         it is empty: this site is filled from another one, and\n"
		  "                  is not promoted before\n"
		  "  --config FILE   instead of /etc/hamirror/NAME.yaml\n",
	  .options = CLI_BLANK | CLI_CONFIG | CLI_JSON | CLI_FIELD,
	  .count_min = 2,
	  .count_max = 2,
	  .named = true,
	  .run = accept_disk },
	{ .name = "recover",
	  .synopsis = "NAME [--force] [--config FILE] [--json | --field LIST]",
	  .summary = "Bring the writelog of a copy to its disks, here, without a daemon",
	  .help = "The disks become the newest image that the writelog can make of them.\n"
		  "It may be cut off, and repeated. `hamirror start NAME` goes on as a copy.\n"
		  "  --force         no other host of this site has the devices open\n"
		  "  --config FILE   instead of /etc/hamirror/NAME.yaml\n",
	  .options = CLI_FORCE | CLI_CONFIG | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = recover },
	{ .name = "start",
	  .synopsis =
		  "NAME | --all [--foreground] [--config FILE] [--json | --field LIST]",
	  .summary = "Start the daemon of a mirror on this node",
	  .help = "  --all           every mirror of this node; exit 1 names those that failed\n"
		  "  --foreground    stay, and log to stderr\n"
		  "  --config FILE   instead of /etc/hamirror/NAME.yaml\n",
	  .options = CLI_ALL | CLI_FOREGROUND | CLI_CONFIG | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = start },
	{ .name = "scan",
	  .synopsis =
		  "NAME | --log PATH [--json | --field LIST] [--records] [--config FILE]",
	  .summary = "Explain a writelog; changes nothing, a daemon may run",
	  .help = "  --log PATH      this one, of any mirror\n"
		  "  --records       list every record\n"
		  "  --json          as one JSON object\n"
		  "  --config FILE   instead of /etc/hamirror/NAME.yaml\n",
	  .options = CLI_LOG | CLI_JSON | CLI_FIELD | CLI_RECORDS | CLI_CONFIG,
	  .count_max = 1,
	  .named = true,
	  .run = scan },
	{ .name = "config check",
	  .synopsis = "NAME|FILE [--json | --field LIST]",
	  .summary = "Name the errors in a configuration, and unwise settings",
	  .help = "  --json   as one JSON object\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .run = config_check_run },
	{ .name = "config show",
	  .synopsis = "NAME|FILE [--json | --field LIST]",
	  .summary = "Print the configuration in effect, with defaults",
	  .help = "  --json         as one JSON object\n"
		  "  --field LIST   only these members of it, a line each: lease_ms\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .run = config_show_run },
	{ 0 },
};
