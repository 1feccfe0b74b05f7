/* cli_status.c - status, why and score; also of a mirror whose daemon is down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli_all.h"
#include "agent/cli_daemon.h"
#include "agent/cli_json.h"
#include "agent/cli_show.h"
#include "agent/cli_state.h"
#include "agent/cli_watch.h"

#define TEXT_MAX 1024
#define ANSWER_WAIT_S 15 /* the daemon gives its I/O thread 2 s */

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
			status = cli_state_offline(&a->instance, config, node, true);
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
		cli_state_compare_file(&a->instance, status, NULL);
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
	const struct cli_show show = cli_show_stdout();
	enum cli_exit printed = CLI_DONE;

	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0)
		printed = cli_json_print(a, status, !is_complete(status));
	else
		cli_status_show(&show, status);
	return printed != CLI_DONE ? printed : result;
}

/* ---- every mirror ---------------------------------------------------------- */

static enum cli_exit status_of_all(const struct cli_arguments *a)
{
	struct cli_names *names = cli_names_find(true);
	const bool text_for_people = (a->given & (CLI_JSON | CLI_FIELD)) == 0;
	enum cli_exit worst = CLI_DONE, result;
	char text[TEXT_MAX];

	if (names == NULL)
		return CLI_NONE;
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

	if (a->count == 0 && (a->given & CLI_WATCH) == 0)
		return status_of_all(a);
	object = a->count > 0 ? get_status(a, &result) : NULL;
	if ((a->given & CLI_WATCH) != 0 && (object != NULL || a->count == 0))
		result = cli_watch(a);
	else if (object != NULL)
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
	enum cli_exit result = ask(a, "why", &reply);
	json_t *list, *text;
	size_t i;

	if (reply == NULL)
		return result;
	cli_state_compare_file(&a->instance, reply, NULL);
	list = json_object_get(reply, "why");
	if (result != CLI_DONE || (a->given & (CLI_JSON | CLI_FIELD)) != 0 ||
	    json_array_size(list) == 0) {
		/* Its text ends with the notes. */
		result = cli_reply_print(a, reply, result);
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
	enum cli_exit result = ask(a, "score", &reply);

	if (result == CLI_DONE && (a->given & (CLI_JSON | CLI_FIELD)) == 0)
		printf("%lld\n",
		       (long long)json_integer_value(json_object_get(reply, "score")));
	else if (reply != NULL)
		result = cli_reply_print(a, reply, result);
	json_decref(reply);
	return result;
}

const struct cli_command cli_status_commands[] = {
	{ .name = "status",
	  .synopsis =
		  "[NAME | --all] [--watch [--interval SECONDS]] [--json | --field LIST]",
	  .summary = "Show who is production, how far copies are behind, and why",
	  .help = "  --watch        show it anew when it changes, until Ctrl-C\n"
		  "  --interval S   ... and look every S seconds, also without an event (1)\n"
		  "  --json         the status as one JSON object per line (docs/control.md)\n"
		  "  --field LIST   only these members, a line each: serving,sites.paris.data\n",
	  .options = CLI_ALL | CLI_WATCH | CLI_INTERVAL | CLI_JSON | CLI_FIELD,
	  .count_max = 1,
	  .named = true,
	  .run = status },
	{ .name = "why",
	  .synopsis = "NAME [--json | --field LIST]",
	  .summary = "Print a sentence for every state that is not the good one",
	  .help = "  --json   the daemon's answer as it is\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = why },
	{ .name = "score",
	  .synopsis = "NAME [--json | --field LIST]",
	  .summary = "Print this node's promotion score; refused when it has none",
	  .help = "  --json   the daemon's answer as it is\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = score },
	{ 0 },
};
