/* cli_status.c - status, why and score; also of a mirror whose daemon is down. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli_daemon.h"
#include "agent/cli_json.h"
#include "agent/cli_show.h"
#include "agent/last_run.h"
#include "agent/log_file.h"
#include "agent/status.h"

#define TEXT_MAX 1024
#define ANSWER_WAIT_S 15 /* the daemon gives its I/O thread 2 s */
#define INSTANCE_COUNT_MAX 1024

/* ---- a daemon that is down ------------------------------------------------- */

/* Has this site's log been made? True also when that cannot be seen. */
static bool is_created(const struct config *config, uint32_t node)
{
	struct agent_log_file *file = calloc(1, sizeof *file);
	const int32_t site = config->node[node].site;
	char text[TEXT_MAX];
	bool created = true;

	if (file != NULL && site >= 0) {
		created = agent_log_file_open(config->site[site].writelog, file, text,
					      sizeof text) != -ENODATA;
		agent_log_file_close(file);
	}
	free(file);
	return created;
}

/* The status of a mirror whose daemon does not run here, as far as it can be known. */
static json_t *offline_status(const struct agent_instance *instance,
			      const struct config *config, uint32_t node)
{
	const bool created = is_created(config, node);
	struct agent_last_run last;
	char why[TEXT_MAX];

	if (created)
		snprintf(why, sizeof why,
			 "No daemon runs on this node; `hamirror start %s` starts it.",
			 instance->name);
	else
		snprintf(
			why, sizeof why,
			"This site has no writelog yet; `hamirror create %s%s` makes it.",
			instance->name,
			config->node[node].site > 0 ? " --copy-of HOST" : "");
	agent_last_run_read(instance, &last);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:[s], s:o}", "mirror",
			 config->mirror, "instance", instance->name, "version",
			 PACKAGE_VERSION, "host", config->node[node].name, "mode",
			 created ? "stopped" : "setup", "serving", 0, "why", why,
			 "last_run", agent_status_last_run(&last));
}

/* ---- the file that a daemon runs on ---------------------------------------- */

/* Add to the list "why" of `answer` when the file is no longer as the daemon has read it.
 * The command looks, not the daemon: its control thread waits for no file system. */
static void compare_file(const struct agent_instance *instance, json_t *answer)
{
	json_t *read = json_object_get(answer, "config"), *why;
	const char *path = json_string_value(json_object_get(read, "file"));
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	char text[TEXT_MAX] = "";

	why = json_object_get(answer, "why");
	if (path == NULL || path[0] == '\0' || config == NULL || errors == NULL)
		goto out;
	if (config_load(path, config, errors) != 0)
		snprintf(
			text, sizeof text,
			"%s can no longer be read as a configuration; the daemon runs on "
			"the one that it has read before, and `hamirror config check %s` "
			"names the errors.",
			path, instance->mirror);
	else if (json_integer_value(json_object_get(read, "crc")) !=
		 (json_int_t)config->file_crc)
		snprintf(text, sizeof text,
			 "%s was changed since the daemon of %s has read it: the change "
			 "takes effect when that is started anew.",
			 path, instance->name);
	if (text[0] != '\0' && json_is_array(why))
		json_array_append_new(why, json_string(text));
out:
	free(errors);
	config_free(config);
}

/* ---- status ---------------------------------------------------------------- */

/* The status of one instance; NULL: the failure was printed. */
static json_t *get_status(const struct cli_arguments *a, enum cli_exit *result)
{
	json_t *reply = NULL, *status = NULL;
	struct config *config = NULL;
	char text[TEXT_MAX], path[PATH_MAX];
	struct cli_line line;
	uint32_t node = 0;
	const int error = cli_line_open(&a->instance, &line, text, sizeof text);

	if (error == -ENOENT) {
		if (agent_path(&a->instance, AGENT_PATH_CONFIG, path) == 0 &&
		    access(path, F_OK) != 0)
			*result = cli_fail(
				CLI_NONE, "there is no mirror %s here: %s does not exist",
				a->instance.mirror, path);
		else if (cli_config_load(a, &config, &node) == CLI_DONE)
			status = offline_status(&a->instance, config, node);
		*result = CLI_NONE;
		config_free(config);
		return status;
	}
	if (error != 0) {
		*result = cli_fail(CLI_REFUSED, "%s", text);
		return NULL;
	}
	*result = cli_daemon_ask(&a->instance, &line,
				 json_pack("{s:s}", "command", "status"), ANSWER_WAIT_S,
				 &reply);
	if (reply != NULL && *result != CLI_DONE)
		cli_reply_print(a, reply, *result);
	if (*result == CLI_DONE)
		status = json_incref(json_object_get(reply, "status"));
	if (status != NULL)
		compare_file(&a->instance, status);
	json_decref(reply);
	cli_line_close(&line);
	return status;
}

/* Does it have every member that this command knows? Not where no daemon runs, and not that
 * of a daemon of another version, as in the midst of an upgrade. */
static bool is_complete(json_t *status)
{
	const char *version = json_string_value(json_object_get(status, "version"));

	return json_object_get(status, "sites") != NULL && version != NULL &&
	       strcmp(version, PACKAGE_VERSION) == 0;
}

/* Print one as it was asked for; `result` is that of its question. Returns the exit. */
static enum cli_exit print_status(const struct cli_arguments *a, json_t *status,
				  enum cli_exit result)
{
	enum cli_exit printed = CLI_DONE;

	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0)
		printed = cli_json_print(a, status, !is_complete(status));
	else
		cli_status_show(status, stdout);
	return printed != CLI_DONE ? printed : result;
}

/* ---- every mirror ---------------------------------------------------------- */

struct names {
	size_t count;
	char name[INSTANCE_COUNT_MAX][2 * CONFIG_NAME_MAX];
};

static void add_name(struct names *names, const char *name)
{
	struct agent_instance instance;
	char text[TEXT_MAX];

	if (names->count == INSTANCE_COUNT_MAX ||
	    agent_instance_parse(name, &instance, text, sizeof text) != 0)
		return;
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->name[i], name) == 0)
			return;
	strcpy(names->name[names->count++], instance.name);
}

/* The entries of the folder that `which` of an instance is in, with the ending
 * `suffix`, which is not part of the name. */
static void add_names(struct names *names, enum agent_path which, const char *suffix)
{
	const struct agent_instance any = { .name = "x", .mirror = "x" };
	char path[PATH_MAX], name[256], *slash;
	struct dirent *entry;
	DIR *folder;

	if (agent_path(&any, which, path) != 0 || (slash = strrchr(path, '/')) == NULL)
		return;
	*slash = '\0';
	folder = opendir(path);
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		const size_t length = strlen(entry->d_name);
		const size_t end = strlen(suffix);

		if (length <= end || strcmp(entry->d_name + length - end, suffix) != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(length - end), entry->d_name);
		add_name(names, name);
	}
	if (folder != NULL)
		closedir(folder);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Mirrors with a configuration, and running NAME@HOST instances; but not the plain name of
 * a mirror all of whose hosts run here as instances. */
static void find_instances(struct names *names)
{
	add_names(names, AGENT_PATH_RUN, "");
	add_names(names, AGENT_PATH_CONFIG, ".yaml");
	qsort(names->name, names->count, sizeof names->name[0], compare_names);
	for (size_t i = 0; i + 1 < names->count; i++) {
		const size_t length = strlen(names->name[i]);

		if (strchr(names->name[i], '@') == NULL &&
		    strncmp(names->name[i + 1], names->name[i], length) == 0 &&
		    names->name[i + 1][length] == '@') {
			memmove(names->name[i], names->name[i + 1],
				(names->count - i - 1) * sizeof names->name[0]);
			names->count--;
		}
	}
}

static enum cli_exit status_of_all(const struct cli_arguments *a)
{
	struct names *names = calloc(1, sizeof *names);
	const bool text_for_people = (a->given & (CLI_JSON | CLI_FIELD)) == 0;
	enum cli_exit worst = CLI_DONE, result;
	char text[TEXT_MAX];

	if (names == NULL)
		return cli_fail(CLI_REFUSED, "no memory");
	find_instances(names);
	if (names->count == 0)
		worst = cli_fail(CLI_NONE, "there is no mirror on this node: no "
					   "/etc/hamirror/NAME.yaml");
	for (size_t i = 0; i < names->count; i++) {
		struct cli_arguments one = *a;
		json_t *status = NULL;

		result = CLI_REFUSED;
		if (agent_instance_parse(names->name[i], &one.instance, text,
					 sizeof text) == 0)
			status = get_status(&one, &result);
		if (i > 0 && text_for_people && status != NULL)
			putchar('\n');
		if (status != NULL)
			result = print_status(a, status, result);
		json_decref(status);
		/* A mirror that is down is shown as such; the command has not failed. */
		if (result == CLI_REFUSED || result == CLI_USAGE)
			worst = result;
	}
	free(names);
	return worst;
}

static enum cli_exit status(const struct cli_arguments *a)
{
	enum cli_exit result = CLI_REFUSED;
	json_t *object;

	if (a->count == 0)
		return status_of_all(a);
	object = get_status(a, &result);
	if (object != NULL)
		result = print_status(a, object, result);
	json_decref(object);
	return result;
}

/* ---- why, score ------------------------------------------------------------ */

static enum cli_exit ask(const struct cli_arguments *a, const char *name, json_t **reply)
{
	struct cli_line line;
	enum cli_exit result = cli_daemon_open(&a->instance, &line);

	*reply = NULL;
	if (result != CLI_DONE)
		return result;
	result = cli_daemon_ask(&a->instance, &line, json_pack("{s:s}", "command", name),
				ANSWER_WAIT_S, reply);
	cli_line_close(&line);
	return result;
}

static enum cli_exit why(const struct cli_arguments *a)
{
	json_t *reply;
	const enum cli_exit result = ask(a, "why", &reply);
	json_t *list, *text;
	size_t i;

	if (reply == NULL)
		return result;
	compare_file(&a->instance, reply);
	list = json_object_get(reply, "why");
	if (result != CLI_DONE || (a->given & CLI_JSON) != 0 ||
	    json_array_size(list) == 0) {
		/* Its text ends with the notes. */
		cli_reply_print(a, reply, result);
	} else {
		json_array_foreach(list, i, text) puts(json_string_value(text));
		list = json_object_get(reply, "notes");
		json_array_foreach(list, i, text) puts(json_string_value(text));
	}
	json_decref(reply);
	return result;
}

static enum cli_exit score(const struct cli_arguments *a)
{
	json_t *reply;
	const enum cli_exit result = ask(a, "score", &reply);

	if (result == CLI_DONE && (a->given & CLI_JSON) == 0)
		printf("%lld\n",
		       (long long)json_integer_value(json_object_get(reply, "score")));
	else if (reply != NULL)
		cli_reply_print(a, reply, result);
	json_decref(reply);
	return result;
}

const struct cli_command cli_status_commands[] = {
	{ .name = "status",
	  .synopsis = "[NAME] [--json | --field LIST]",
	  .summary = "Show who is production, how far copies are behind, and why",
	  .help = "  --json         the status as one JSON object per line (docs/control.md)\n"
		  "  --field LIST   only these members, a line each: serving,sites.paris.data\n",
	  .options = CLI_JSON | CLI_FIELD | CLI_CONFIG,
	  .count_max = 1,
	  .named = true,
	  .run = status },
	{ .name = "why",
	  .synopsis = "NAME [--json]",
	  .summary = "Print a sentence for every state that is not the good one",
	  .help = "  --json   the daemon's answer as it is\n",
	  .options = CLI_JSON,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = why },
	{ .name = "score",
	  .synopsis = "NAME [--json]",
	  .summary = "Print this node's promotion score; refused when it has none",
	  .help = "  --json   the daemon's answer as it is\n",
	  .options = CLI_JSON,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = score },
	{ 0 },
};
