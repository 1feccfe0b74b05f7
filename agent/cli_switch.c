/* cli_switch.c - `hamirror switch`: move production to another site.
 *
 * Without Pacemaker the daemon does all of it (switch.h). Where Pacemaker manages the mirror
 * it alone decides on promotions: a demotion behind its back would be a failure to it. Then
 * the daemon brings the copy near, Pacemaker is asked to move the resource, with all that
 * depends on it, and the daemon says when the other site serves. The constraint that such a
 * move leaves is taken away again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/cli_daemon.h"

#define CATCH_UP_S 60 /* unless --wait says so */
#define SLACK_S 60
#define MOVE_S                                                                           \
	240 /* the agent's timeouts of demote and promote, and the users' of the disk */
#define OUTPUT_MAX (1 << 20)
/* Exit codes, as `crm_error --exit` names them; the last is timeout(1)'s. */
#define NOT_RUNNING 102
#define NO_SUCH_THING 105
#define NOT_INSTALLED 127
#define PATIENCE_S "30" /* for an answer of Pacemaker */

/* The output of `command`, cut off at the end of `output`; its exit status is in `*status`. */
static void output_of(const char *command, char *output, size_t size, int *status)
{
	FILE *pipe = popen(command, "r");
	size_t length = 0;

	if (pipe != NULL)
		length = fread(output, 1, size - 1, pipe);
	output[length] = '\0';
	while (pipe != NULL && fgetc(pipe) != EOF)
		;
	*status = pipe != NULL ? pclose(pipe) : -1;
}

/* The value of attribute `name` of the first XML element that begins with `element`. */
static bool attribute(const char *xml, const char *element, const char *name, char *value,
		      size_t size)
{
	const char *at = strstr(xml, element), *end;
	char key[32];

	snprintf(key, sizeof key, " %s=\"", name);
	end = at != NULL ? strchr(at, '>') : NULL;
	at = at != NULL ? strstr(at, key) : NULL;
	if (at == NULL || end == NULL || at > end)
		return false;
	at += strlen(key);
	if (strcspn(at, "\"") >= size)
		return false;
	snprintf(value, size, "%.*s", (int)strcspn(at, "\""), at);
	return true;
}

/* Is `primitive` managed, by the output of crm_mon? */
static bool is_managed(const char *xml, const char *primitive)
{
	char element[80], managed[8] = "true";

	snprintf(element, sizeof element, "<resource id=\"%s\"", primitive);
	if (!attribute(xml, element, "managed", managed, sizeof managed)) {
		snprintf(element, sizeof element, "<resource id=\"%s:", primitive);
		attribute(xml, element, "managed", managed, sizeof managed);
	}
	return strcmp(managed, "false") != 0;
}

/* The command to ask Pacemaker has ended so: Pacemaker has no such resource here. */
static bool says_none(int status)
{
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	return code == NOT_RUNNING || code == NO_SUCH_THING || code == NOT_INSTALLED;
}

enum manager { MANAGER_NONE, MANAGER_PACEMAKER, MANAGER_UNKNOWN };

/* Does Pacemaker manage this mirror? Then `id` is the clone of its resource. Not to hear is no
 * answer: a demotion behind its back would be a failure to it. */
static enum manager find_manager(const char *mirror, char *id, size_t size)
{
	char command[640], primitive[64];
	char *xml = malloc(OUTPUT_MAX);
	enum manager manager = MANAGER_UNKNOWN;
	int status;

	if (xml == NULL)
		return MANAGER_UNKNOWN;
	snprintf(command, sizeof command,
		 "timeout " PATIENCE_S
		 " cibadmin --query --xpath \"//*[self::clone or self::master][primitive["
		 "@class='ocf' and @provider='mirror' and @type='disk' and "
		 "instance_attributes/nvpair[@name='mirror' and @value='%s']]]\" "
		 "2> /dev/null",
		 mirror);
	output_of(command, xml, OUTPUT_MAX, &status);
	if (says_none(status)) {
		manager = MANAGER_NONE;
	} else if (status == 0 && attribute(xml, "<", "id", id, size) &&
		   attribute(xml, "<primitive", "id", primitive, sizeof primitive)) {
		output_of("timeout " PATIENCE_S
			  " crm_mon -1 --output-as=xml 2> /dev/null",
			  xml, OUTPUT_MAX, &status);
		if (status == 0)
			manager = is_managed(xml, primitive) ? MANAGER_PACEMAKER :
							       MANAGER_NONE;
	}
	free(xml);
	return manager;
}

static enum cli_exit ask(const struct cli_arguments *a, const char *part, uint32_t wait_s,
			 uint32_t slack_s, json_t **reply)
{
	json_t *request = json_pack("{s:s, s:s, s:i}", "command", "switch", "site",
				    a->operand[1], "wait", (int)wait_s);
	struct cli_line line;
	enum cli_exit status = cli_daemon_open(&a->instance, &line);

	*reply = NULL;
	if (status != CLI_DONE) {
		json_decref(request);
		return status;
	}
	if (part != NULL)
		json_object_set_new(request, "part", json_string(part));
	status = cli_daemon_ask(&a->instance, &line, request, wait_s + slack_s, reply);
	cli_line_close(&line);
	return status;
}

/* The node that hosts the copy, as the daemon knows it. */
static bool find_host(const struct cli_arguments *a, char *host, size_t size)
{
	json_t *reply = NULL, *site;
	struct cli_line line;
	size_t i;

	host[0] = '\0';
	if (cli_daemon_open(&a->instance, &line) != CLI_DONE)
		return false;
	cli_daemon_ask(&a->instance, &line, json_pack("{s:s}", "command", "status"),
		       CLI_SLACK_S, &reply);
	cli_line_close(&line);
	json_array_foreach(json_object_get(json_object_get(reply, "status"), "sites"), i,
			   site)
	{
		const char *name = json_string_value(json_object_get(site, "name"));
		const char *node = json_string_value(json_object_get(site, "host"));
		const char *role = json_string_value(json_object_get(site, "role"));

		if (name != NULL && node != NULL && role != NULL &&
		    strcmp(name, a->operand[1]) == 0 && strcmp(role, "copy") == 0)
			snprintf(host, size, "%s", node);
	}
	json_decref(reply);
	return host[0] != '\0';
}

/* `host` NULL: clear the constraint that a move has left. */
static int pacemaker(const char *id, const char *host)
{
	char command[512], output[2048];
	int status;

	snprintf(command, sizeof command, "crm_resource %s --resource '%s'%s%s%s 2>&1",
		 host != NULL ? "--move --promoted" : "--clear", id,
		 host != NULL ? " --node '" : "", host != NULL ? host : "",
		 host != NULL ? "'" : "");
	output_of(command, output, sizeof output, &status);
	if (status != 0)
		fprintf(stderr, "hamirror: %s: %s\n", command, output);
	return status;
}

static enum cli_exit move_by_pacemaker(const struct cli_arguments *a, const char *id,
				       uint32_t wait_s)
{
	char host[CONFIG_NAME_MAX];
	json_t *reply;
	enum cli_exit status = ask(a, "catch-up", wait_s, SLACK_S, &reply);

	if (status != CLI_DONE || !find_host(a, host, sizeof host)) {
		if (reply != NULL)
			cli_reply_print(a, reply, status);
		json_decref(reply);
		return status;
	}
	json_decref(reply);
	if (pacemaker(id, host) != 0)
		return cli_fail(CLI_REFUSED, "Pacemaker does not move %s to %s", id,
				host);
	status = ask(a, "follow", MOVE_S, SLACK_S, &reply);
	if (pacemaker(id, NULL) != 0)
		fprintf(stderr, "hamirror: the constraint of the move is left\n");
	if (reply != NULL)
		cli_reply_print(a, reply, status);
	json_decref(reply);
	return status;
}

static enum cli_exit switch_site(const struct cli_arguments *a)
{
	const struct cli_arguments more = cli_with_frozen_timeout(a);
	const uint32_t wait_s = (a->given & CLI_WAIT) != 0 ? a->wait_s : CATCH_UP_S;
	enum cli_exit status;
	char id[64];
	json_t *reply;

	switch (find_manager(a->instance.mirror, id, sizeof id)) {
	case MANAGER_PACEMAKER:
		return move_by_pacemaker(a, id, wait_s);
	case MANAGER_UNKNOWN:
		return cli_fail(
			CLI_REFUSED,
			"Pacemaker does not say whether it manages %s: nothing has "
			"changed; `crm_mon -1` shows whether it answers",
			a->instance.mirror);
	case MANAGER_NONE:
		break;
	}
	/* After the catch-up: a demotion, a promotion there, perhaps one here. */
	status = ask(a, NULL, wait_s, SLACK_S + more.wait_s + more.drain_s, &reply);
	if (reply != NULL)
		cli_reply_print(a, reply, status);
	json_decref(reply);
	return status;
}

const struct cli_command cli_switch_commands[] = {
	{ .name = "switch",
	  .synopsis = "NAME SITE [--wait SECONDS] [--json | --field LIST]",
	  .summary = "Move production to SITE: catch up, demote here, promote there",
	  .help = "  --wait SECONDS   for SITE to catch up, while clients are served (60)\n"
		  "  --json           the daemon's answer as it is\n",
	  .options = CLI_WAIT | CLI_JSON | CLI_FIELD,
	  .count_min = 2,
	  .count_max = 2,
	  .named = true,
	  .run = switch_site },
	{ 0 },
};
