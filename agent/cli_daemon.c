/* cli_daemon.c - commands that a running daemon does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/attach_mounts.h"
#include "agent/cli_daemon.h"
#include "agent/cli_json.h"
#include "agent/events.h"
#include "agent/files.h"
#include "agent/json_path.h"

#define TEXT_MAX 1024

/* Of the daemon, where none was given. */
#define DEFAULT_WAIT_S 30

/* Print why no answer came. CLI_NONE: the daemon is gone, which only its lock tells; a
 * connection that broke does not. */
static enum cli_exit print_no_answer(const struct agent_instance *instance, int error)
{
	pid_t pid;

	if (error == -EPIPE && agent_lock_holder(instance, &pid) == 0)
		return cli_fail(CLI_NONE, "the daemon of %s has ended", instance->name);
	if (error == -EPIPE)
		return cli_fail(CLI_REFUSED,
				"the daemon of %s closed the connection; its log tells "
				"why",
				instance->name);
	if (error == -ETIMEDOUT || error == -EAGAIN)
		return cli_fail(CLI_REFUSED,
				"the daemon of %s does not answer; its log may tell why",
				instance->name);
	return cli_fail(CLI_REFUSED, "the daemon of %s: %s", instance->name,
			strerror(-error));
}

/* Connect; a mirror that there is not at all is told apart. */
enum cli_exit cli_daemon_open(const struct agent_instance *instance,
			      struct cli_line *line)
{
	char text[TEXT_MAX], path[PATH_MAX];
	const int error = cli_line_open(instance, line, text, sizeof text);

	if (error == 0)
		return CLI_DONE;
	if (error == -ENOENT && agent_path(instance, AGENT_PATH_CONFIG, path) == 0 &&
	    access(path, F_OK) != 0)
		return cli_fail(CLI_NONE, "there is no mirror %s here: %s does not exist",
				instance->mirror, path);
	return cli_fail(error == -ENOENT ? CLI_NONE : CLI_REFUSED, "%s", text);
}

/* An answer that does not say is no answer: neither a yes, nor that none runs. */
static int verdict(json_t *reply, enum cli_exit *status)
{
	json_t *exit = json_object_get(reply, "exit");
	const json_int_t value = json_integer_value(exit);

	if (!json_is_integer(exit) || value < CLI_DONE || value >= CLI_NONE)
		return -EPROTO;
	*status = (enum cli_exit)value;
	return 0;
}

enum cli_exit cli_daemon_ask(const struct agent_instance *instance, struct cli_line *line,
			     json_t *request, uint32_t wait_s, json_t **reply)
{
	const char *from = getenv("HAMIRROR_FROM");
	enum cli_exit status = CLI_REFUSED;
	int error;

	*reply = NULL;
	if (from != NULL && strcmp(from, "cluster") == 0)
		json_object_set_new(request, "from", json_string(from));
	error = cli_line_send(line, request);
	/* A daemon without a free place says so before it closes the connection. */
	if (error == 0 || error == -EPIPE || error == -ECONNRESET)
		error = cli_line_next(line, (int)wait_s * 1000, reply);
	if (error == 0)
		error = verdict(*reply, &status);
	if (error == 0)
		return status;
	json_decref(*reply);
	*reply = NULL;
	return print_no_answer(instance, error);
}

/* Ask once and print the answer. */
static enum cli_exit command(const struct cli_arguments *a, json_t *request)
{
	const uint32_t wait_s = (a->given & CLI_WAIT) != 0 ? a->wait_s : DEFAULT_WAIT_S;
	json_t *reply = NULL;
	struct cli_line line;
	enum cli_exit status = cli_daemon_open(&a->instance, &line);

	if (status != CLI_DONE) {
		json_decref(request);
		return status;
	}
	if ((a->given & CLI_WAIT) != 0)
		json_object_set_new(request, "wait", json_integer(a->wait_s));
	status = cli_daemon_ask(&a->instance, &line, request,
				wait_s + CLI_SLACK_S + a->drain_s, &reply);
	if (reply != NULL)
		cli_reply_print(a, reply, status);
	json_decref(reply);
	cli_line_close(&line);
	return status;
}

static enum cli_exit promote(const struct cli_arguments *a)
{
	return command(a, json_pack("{s:s, s:b}", "command", "promote", "force",
				    (a->given & CLI_FORCE) != 0));
}

struct cli_arguments cli_with_frozen_timeout(const struct cli_arguments *a)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	struct cli_arguments more = *a;
	uint32_t node;

	if ((a->given & CLI_WAIT) == 0)
		more.wait_s = DEFAULT_WAIT_S;
	if (config != NULL && errors != NULL &&
	    config_instance_load(&a->instance, a->config, config, &node, errors) == 0) {
		if ((a->given & CLI_WAIT) == 0)
			more.wait_s = (config->frozen_timeout_ms + 999) / 1000;
		more.drain_s = (config->demote_drain_ms + 999) / 1000;
	}
	more.given |= CLI_WAIT;
	config_free(config);
	free(errors);
	return more;
}

void cli_detach_mounts(const struct agent_instance *instance)
{
	char where[PATH_MAX];
	const uint32_t count = attach_mounts_detach_all(instance, where);

	if (count > 0)
		fprintf(stderr,
			"hamirror: detached %u mount%s of devices that are gone, from "
			"%s\n",
			count, count > 1 ? "s" : "", where);
}

static enum cli_exit demote(const struct cli_arguments *a)
{
	const struct cli_arguments more = cli_with_frozen_timeout(a);
	const enum cli_exit status = command(&more,
					     json_pack("{s:s}", "command", "demote"));

	if (status == CLI_DONE || status == CLI_NONE)
		cli_detach_mounts(&a->instance);
	return status;
}

/* ---- sites ----------------------------------------------------------------- */

static json_t *site_request(const struct cli_arguments *a, const char *name)
{
	json_t *request = json_pack("{s:s}", "command", name);

	if (a->count > 1)
		json_object_set_new(request, "site", json_string(a->operand[1]));
	return request;
}

static enum cli_exit connect_site(const struct cli_arguments *a)
{
	json_t *request = site_request(a, "connect");

	if ((a->given & CLI_DISCARD) != 0)
		json_object_set_new(request, "discard", json_true());
	return command(a, request);
}

static enum cli_exit disconnect_site(const struct cli_arguments *a)
{
	return command(a, site_request(a, "disconnect"));
}

static enum cli_exit bypass(const struct cli_arguments *a)
{
	const bool on = strcmp(a->operand[1], "on") == 0;
	json_t *request;

	if (!on && strcmp(a->operand[1], "off") != 0)
		return cli_fail(CLI_USAGE, "bypass: it is on or off, not \"%s\"",
				a->operand[1]);
	request = json_pack("{s:s, s:b}", "command", "bypass", "on", on);
	if (a->count > 2)
		json_object_set_new(request, "site", json_string(a->operand[2]));
	return command(a, request);
}

static enum cli_exit refresh(const struct cli_arguments *a)
{
	json_t *request = site_request(a, "refresh");

	if ((a->given & CLI_ALLOW_INCONSISTENT) != 0)
		json_object_set_new(request, "allow_inconsistent", json_true());
	if ((a->given & CLI_PACE) != 0)
		json_object_set_new(request, "pace", json_true());
	return command(a, request);
}

static enum cli_exit mode(const struct cli_arguments *a)
{
	json_t *request = json_pack("{s:s, s:s}", "command", "mode", "mode",
				    a->operand[1]);

	if ((a->given & CLI_BOUND_RECORDS) != 0)
		json_object_set_new(request, "records", json_integer(a->records));
	if ((a->given & CLI_BOUND_MS) != 0)
		json_object_set_new(request, "ms", json_integer(a->ms));
	if ((a->given & CLI_LAG_BYTES) != 0)
		json_object_set_new(request, "lag_bytes",
				    json_integer((json_int_t)a->lag_bytes));
	if ((a->given & CLI_LAG_MS) != 0)
		json_object_set_new(request, "lag_ms", json_integer(a->lag_ms));
	if ((a->given & CLI_CONFIRM) != 0)
		json_object_set_new(request, "confirm", json_string(a->confirm));
	return command(a, request);
}

static enum cli_exit fenced(const struct cli_arguments *a)
{
	return command(
		a, json_pack("{s:s, s:s}", "command", "fenced", "node", a->operand[1]));
}

/* ---- events ---------------------------------------------------------------- */

static enum cli_exit print_event(const struct cli_arguments *a, json_t *line)
{
	json_t *o = json_object_get(line, "event");
	const struct agent_event event = {
		.verb = agent_json_text(o, "verb", ""),
		.object = agent_json_text(o, "object", ""),
		.text = agent_json_text(o, "text", ""),
		.rule = agent_json_text(o, "rule", ""),
	};
	char text[AGENT_EVENT_LINE_MAX];

	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0)
		return cli_json_print(a, o, false);
	agent_event_format(&event, text);
	printf("%s %s\n", agent_json_text(o, "time", ""), text);
	return CLI_DONE;
}

/* The last of the existing objects is "-". */
static bool is_end(json_t *line)
{
	json_t *o = json_object_get(line, "event");

	return strcmp(agent_json_text(o, "verb", ""), "exists") == 0 &&
	       strcmp(agent_json_text(o, "object", ""), "-") == 0;
}

static enum cli_exit events(const struct cli_arguments *a)
{
	const bool now = (a->given & CLI_NOW) != 0;
	json_t *line_json = NULL;
	struct cli_line line;
	enum cli_exit status = cli_daemon_open(&a->instance, &line);
	bool ended = false;
	int error = 0;

	if (status != CLI_DONE)
		return status;
	status = cli_daemon_ask(&a->instance, &line,
				json_pack("{s:s, s:b}", "command", "events", "now", now),
				CLI_SLACK_S, &line_json);
	if (status != CLI_DONE && line_json != NULL)
		cli_reply_print(a, line_json, status);
	json_decref(line_json);
	while (status == CLI_DONE && !ended && !ferror(stdout)) {
		error = cli_line_next(&line, now ? CLI_SLACK_S * 1000 : -1, &line_json);
		if (error != 0) {
			status = print_no_answer(&a->instance, error);
			break;
		}
		status = print_event(a, line_json);
		fflush(stdout); /* the reader of a pipe wants it at once */
		ended = now && is_end(line_json);
		json_decref(line_json);
	}
	cli_line_close(&line);
	return status;
}

const struct cli_command cli_daemon_commands[] = {
	{ .name = "promote",
	  .synopsis = "NAME [--force] [--wait SECONDS] [--json | --field LIST]",
	  .summary = "Make this host production; return when it serves",
	  .help = "  --force          even if that loses acknowledged writes; the answer names\n"
		  "                   what is lost\n"
		  "  --wait SECONDS   call it off after so long (30)\n"
		  "  --json           the daemon's answer as it is\n",
	  .options = CLI_FORCE | CLI_WAIT | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = promote },
	{ .name = "demote",
	  .synopsis = "NAME [--wait SECONDS] [--json | --field LIST]",
	  .summary = "Stop serving here, drained where possible",
	  .help = "  --wait SECONDS   fail frozen writes after so long (frozen-timeout)\n"
		  "  --json           the daemon's answer as it is\n",
	  .options = CLI_WAIT | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = demote },
	{ .name = "connect",
	  .synopsis = "NAME [SITE] | --all [--discard] [--json | --field LIST]",
	  .summary = "Allow the link to a copy (all copies) again",
	  .help = "  --all       at every mirror of this node; exit 1 names those that failed\n"
		  "  --discard   give up writes that only this site has, as `why` names them\n"
		  "  --json      the daemon's answer as it is\n",
	  .options = CLI_ALL | CLI_DISCARD | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 2,
	  .named = true,
	  .run = connect_site },
	{ .name = "disconnect",
	  .synopsis = "NAME [SITE] | --all [--json | --field LIST]",
	  .summary = "Put a copy (all copies) out on purpose; writes go on without",
	  .help = "  --all    at every mirror of this node; exit 1 names those that failed\n"
		  "  --json   the daemon's answer as it is\n",
	  .options = CLI_ALL | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 2,
	  .named = true,
	  .run = disconnect_site },
	{ .name = "bypass",
	  .synopsis = "NAME on|off [SITE] [--json | --field LIST]",
	  .summary =
		  "Let the tracking map stand for a copy (all copies), or refresh it again",
	  .help = "  on       writes go on without the copy, and the writelog keeps none for it\n"
		  "  off      it is refreshed by the map, and enters again\n"
		  "  --json   the daemon's answer as it is\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 2,
	  .count_max = 3,
	  .named = true,
	  .run = bypass },
	{ .name = "refresh",
	  .synopsis =
		  "NAME [SITE] [--allow-inconsistent] [--pace] [--json | --field LIST]",
	  .summary = "Refresh a copy that waits for consent, or for its time",
	  .help = "  --allow-inconsistent   though it is no consistent image until the end\n"
		  "  --pace                 in async: clients wait for it, as in sync\n"
		  "  --json                 the daemon's answer as it is\n",
	  .options = CLI_ALLOW_INCONSISTENT | CLI_PACE | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 2,
	  .named = true,
	  .run = refresh },
	{ .name = "mode",
	  .synopsis = "NAME MODE [--confirm WORD] [--records N] [--ms S] [--lag-bytes B] "
		      "[--lag-ms S] [--json | --field LIST]",
	  .summary = "Change what an answered write promises, while clients write",
	  .help = "  MODE            sync, near-sync or async\n"
		  "  --confirm WORD  sync: a write is answered when it is logged at each copy,\n"
		  "                  or when it is home, on each disk (as in the file)\n"
		  "  --records N     near-sync: a current copy lacks at most N writes (1000)\n"
		  "  --ms S          near-sync: ... and none that is older than S milliseconds\n"
		  "  --lag-bytes B   async: a copy that lacks at most B bytes is near, and may be\n"
		  "                  promoted (as in the file); 0: none is\n"
		  "  --lag-ms S      async: ... and nothing that is older than S milliseconds\n"
		  "  --json          the daemon's answer as it is\n",
	  .options = CLI_BOUND_RECORDS | CLI_BOUND_MS | CLI_LAG_BYTES | CLI_LAG_MS |
		     CLI_CONFIRM | CLI_JSON | CLI_FIELD,
	  .count_min = 2,
	  .count_max = 2,
	  .named = true,
	  .run = mode },
	{ .name = "fenced",
	  .synopsis = "NAME NODE [--json | --field LIST]",
	  .summary = "Tell that NODE was confirmed fenced; never guess this",
	  .help = "  --json   the daemon's answer as it is\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 2,
	  .count_max = 2,
	  .named = true,
	  .run = fenced },
	{ .name = "events",
	  .synopsis = "NAME [--now] [--json | --field LIST]",
	  .summary = "Print what exists, then each change as it happens",
	  .help = "  --now          end before the changes\n"
		  "  --json         one JSON object per line\n"
		  "  --field LIST   only these members of each, a line each: number\n",
	  .options = CLI_NOW | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = events },
	{ 0 },
};
