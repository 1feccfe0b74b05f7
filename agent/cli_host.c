/* cli_host.c - devinfo and hostinfo: the devices and hosts of a mirror.
 *
 * Of this host each device is looked at here. What another host reaches it has said to the
 * members' group; the status has it. Whether an address answers is tried from here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/cli_json.h"
#include "agent/cli_show.h"
#include "agent/cli_state.h"
#include "agent/cli_table.h"
#include "agent/device_info.h"
#include "agent/files.h"
#include "agent/json_path.h"
#include "agent/probe.h"
#include "agent/words.h"

#define TEXT_MAX 1024

/* yes, no, or ? where it is not known */
static const char *answer_at(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	return !json_is_boolean(value) ? "?" : json_is_true(value) ? "yes" : "no";
}

/* ---- devinfo --------------------------------------------------------------- */

static void device_cell(json_t *o, int column, char *text, size_t size)
{
	json_t *value;

	if (column == 0)
		snprintf(text, size, "%s", agent_json_text(o, "name", "-"));
	else if (column == 1)
		snprintf(text, size, "%s", agent_json_text(o, "kind", "-"));
	else if (column == 5)
		snprintf(text, size, "%s", answer_at(o, "reachable"));
	else if (column == 6)
		snprintf(text, size, "%s", answer_at(o, "owned"));
	else if (column == 7)
		snprintf(text, size, "%s", agent_json_text(o, "identity", "-"));
	else if (column == 8)
		snprintf(text, size, "%s", agent_json_text(o, "path", "-"));
	else if (!json_is_true(json_object_get(o, "reachable")))
		snprintf(text, size, "-");
	else if (column == 2)
		snprintf(text, size, "%lld:%lld",
			 json_integer_value(json_object_get(o, "major")),
			 json_integer_value(json_object_get(o, "minor")));
	else if (column == 3)
		snprintf(text, size, "%lld",
			 json_integer_value(json_object_get(o, "sectors")));
	else if ((value = json_object_get(o, "physical_block")) != NULL &&
		 !json_is_null(value))
		snprintf(text, size, "%lld/%lld",
			 json_integer_value(json_object_get(o, "logical_block")),
			 json_integer_value(value));
	else
		snprintf(text, size, "-");
}

static enum cli_exit print_devices(const struct cli_arguments *a, json_t *devices)
{
	static const struct cli_table table = {
		{ "NAME", "KIND", "NUMBER", "SECTORS", "BLOCK", "REACHABLE", "OURS",
		  "IDENTITY", "PATH" },
		device_cell,
	};
	const struct cli_show show = cli_show_stdout();
	enum cli_exit status = CLI_DONE, printed;
	json_t *device, *all;
	size_t i;

	json_array_foreach(devices, i, device) if (!json_is_true(json_object_get(
							   device, "reachable")))
		status = CLI_REFUSED;
	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0) {
		all = json_pack("{s:O}", "devices", devices);
		printed = cli_json_print(a, all, status != CLI_DONE);
		json_decref(all);
		return printed != CLI_DONE ? printed : status;
	}
	cli_table_print(show.out, show.colour, &table, devices);
	fflush(stdout);
	json_array_foreach(devices, i,
			   device) if (json_is_string(json_object_get(device, "error")))
		cli_fail(status, "%s", agent_json_text(device, "error", "-"));
	return status;
}

/* Has our daemon the devices of its site open? Null: it cannot be asked. */
static json_t *is_owned(const struct agent_instance *instance)
{
	char text[TEXT_MAX];
	json_t *status = cli_state_ask(instance, text, sizeof text), *data;
	pid_t pid;

	if (status == NULL)
		return agent_lock_holder(instance, &pid) == 0 ? json_false() :
								json_null();
	data = json_object_get(status, "data");
	data = data == NULL ? json_null() : json_boolean(!json_is_null(data));
	json_decref(status);
	return data;
}

static void add_device(json_t *list, const char *name, const char *path, json_t *owned)
{
	json_t *o = agent_device_info(name, path);

	json_object_set(o, "owned", owned);
	json_array_append_new(list, o);
}

static enum cli_exit devinfo_of_mirror(const struct cli_arguments *a)
{
	const struct config_site *site;
	struct config *config;
	enum cli_exit status;
	json_t *list, *owned;
	uint32_t node = 0;

	status = cli_config_load(a, &config, &node);
	if (status == CLI_DONE && config->node[node].site < 0)
		status = cli_fail(CLI_REFUSED, "%s is a witness: it has no devices",
				  config->node[node].name);
	if (status == CLI_DONE) {
		site = &config->site[config->node[node].site];
		list = json_array();
		owned = is_owned(&a->instance);
		add_device(list, "writelog", site->writelog, owned);
		for (uint32_t d = 0; d < site->disk_count; d++)
			add_device(list, site->disk[d].name, site->disk[d].path, owned);
		status = print_devices(a, list);
		json_decref(owned);
		json_decref(list);
	}
	config_free(config);
	return status;
}

static enum cli_exit devinfo(const struct cli_arguments *a)
{
	struct cli_arguments named = *a;
	enum cli_exit status;
	char text[TEXT_MAX];
	json_t *list;

	if (strchr(a->operand[0], '/') == NULL) {
		if (agent_instance_parse(a->operand[0], &named.instance, text,
					 sizeof text) != 0)
			return cli_fail(CLI_USAGE, "%s", text);
		return devinfo_of_mirror(&named);
	}
	list = json_array();
	add_device(list, strrchr(a->operand[0], '/') + 1, a->operand[0], json_null());
	status = print_devices(a, list);
	json_decref(list);
	return status;
}

/* ---- hostinfo -------------------------------------------------------------- */

/* The first line of a file, or null. */
static json_t *line_of(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[128] = "";

	if (file == NULL)
		return json_null();
	if (fgets(line, sizeof line, file) == NULL)
		line[0] = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return line[0] != '\0' ? agent_text_json(line) : json_null();
}

/* Of this machine; another tells nobody. */
static json_t *identity(void)
{
	struct utsname u;
	json_t *o = json_object();

	if (uname(&u) == 0) {
		json_object_set_new(o, "name", agent_text_json(u.nodename));
		json_object_set_new(o, "kernel", agent_text_json(u.release));
	}
	json_object_set_new(o, "machine", line_of("/etc/machine-id"));
	json_object_set_new(o, "boot", line_of("/proc/sys/kernel/random/boot_id"));
	return o;
}

static json_t *need(const char *kind, const char *name, const char *place,
		    json_t *reachable, const char *error)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:s?}", "kind", kind, "name", name,
			 "place", place, "reachable", reachable, "error",
			 error[0] != '\0' ? error : NULL);
}

/* Of another host, as its daemon has told the members. */
static json_t *told(json_t *status_node, const char *kind, const char *name)
{
	json_t *one;
	size_t i;

	json_array_foreach(
		json_object_get(status_node, "needs"), i,
		one) if (strcmp(agent_json_text(one, "kind", "-"), kind) == 0 &&
			 strcmp(agent_json_text(one, "name", "-"), name) ==
				 0) return json_incref(json_object_get(one, "reachable"));
	return json_null();
}

static void add_device_need(json_t *needs, const char *kind, const char *name,
			    const char *path, json_t *status_node, bool own)
{
	json_t *o, *reachable;

	if (!own) {
		json_array_append_new(
			needs, need(kind, name, path, told(status_node, kind, name), ""));
		return;
	}
	o = agent_device_info(name, path);
	reachable = json_incref(json_object_get(o, "reachable"));
	json_array_append_new(needs, need(kind, name, path, reachable,
					  json_is_null(json_object_get(o, "error")) ?
						  "" :
						  agent_json_text(o, "error", "-")));
	json_decref(o);
}

/* A witness has no site in whose name it could ask. */
static bool address_answers(const struct config *config, uint32_t self, uint32_t n,
			    char *text, size_t size)
{
	struct mirror_hello *hello = calloc(1, sizeof *hello);
	int result;

	if (hello != NULL && config->node[self].site >= 0) {
		result = agent_probe(config, self, n, hello, text, size);
	} else {
		result = agent_probe_connect(&config->node[n], text, size);
		if (result >= 0)
			close(result);
	}
	free(hello);
	return result != -EHOSTDOWN;
}

static json_t *needs_of(const struct config *config, uint32_t self, uint32_t n,
			json_t *status_node)
{
	const struct config_node *node = &config->node[n];
	char place[CONFIG_ADDRESS_MAX + 8], text[TEXT_MAX] = "";
	json_t *needs = json_array();
	const struct config_site *site;
	const bool own = n == self;
	bool answers;

	if (node->site < 0)
		return needs;
	site = &config->site[node->site];
	add_device_need(needs, "log", "writelog", site->writelog, status_node, own);
	for (uint32_t d = 0; d < site->disk_count; d++)
		add_device_need(needs, "disk", site->disk[d].name, site->disk[d].path,
				status_node, own);
	snprintf(place, sizeof place, "%s:%u", node->address, node->port);
	answers = address_answers(config, self, n, text, sizeof text);
	json_array_append_new(needs, need("address", node->name, place,
					  json_boolean(answers), answers ? "" : text));
	return needs;
}

static json_t *host_json(const struct config *config, uint32_t self, uint32_t n,
			 json_t *status)
{
	const bool own = n == self;
	const struct config_node *node = &config->node[n];
	json_t *known = agent_json_named(json_object_get(status, "nodes"), node->name);
	json_t *o = json_pack("{s:s, s:s?, s:s, s:i, s:b}", "name", node->name, "site",
			      node->site < 0 ? NULL : config->site[node->site].name,
			      "address", node->address, "port", node->port, "this", own);
	static const char *const members[] = { "order", "member",  "voter",
					       "since", "reaches", "why" };

	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
		json_object_set_new(
			o, members[i],
			known != NULL ? json_incref(json_object_get(known, members[i])) :
					json_null());
	json_object_set_new(o, "identity", own ? identity() : json_null());
	json_object_set_new(o, "needs", needs_of(config, self, n, known));
	return o;
}

static void host_cell(json_t *o, int column, char *text, size_t size)
{
	static const char *const members[] = { "name", "site", "address" };

	if (column < 3)
		snprintf(text, size, "%s", agent_json_text(o, members[column], "-"));
	else if (column == 3)
		snprintf(text, size, "%lld",
			 json_integer_value(json_object_get(o, "port")));
	else if (column == 4)
		snprintf(text, size, "%s", answer_at(o, "member"));
	else if (column == 5)
		snprintf(text, size, "%s", agent_json_text(o, "since", "-"));
	else
		snprintf(text, size, "%s",
			 agent_json_text(json_object_get(o, "identity"), "machine", "-"));
}

static void need_cell(json_t *o, int column, char *text, size_t size)
{
	static const char *const members[] = { "host", "kind", "name", "place" };

	if (column < 4)
		snprintf(text, size, "%s", agent_json_text(o, members[column], "-"));
	else
		snprintf(text, size, "%s", answer_at(o, "reachable"));
}

static void print_hosts(json_t *hosts)
{
	static const struct cli_table host_table = {
		{ "HOST", "SITE", "ADDRESS", "PORT", "MEMBER", "SINCE", "MACHINE" },
		host_cell,
	};
	static const struct cli_table need_table = {
		{ "HOST", "NEEDS", "NAME", "PLACE", "REACHABLE" },
		need_cell,
	};
	const struct cli_show show = cli_show_stdout();
	json_t *needs = json_array(), *host, *one;
	size_t i, k;

	json_array_foreach(hosts, i, host)
		json_array_foreach(json_object_get(host, "needs"), k, one)
	{
		json_object_set(one, "host", json_object_get(host, "name"));
		json_array_append(needs, one);
	}
	cli_table_print(stdout, show.colour, &host_table, hosts);
	if (json_array_size(needs) > 0) {
		putchar('\n');
		cli_table_print(stdout, show.colour, &need_table, needs);
	}
	json_array_foreach(needs, i,
			   one) if (json_is_string(json_object_get(one, "error")))
		printf("\n%s: %s\n", agent_json_text(one, "host", "-"),
		       agent_json_text(one, "error", "-"));
	json_decref(needs);
}

static enum cli_exit print_hostinfo(const struct cli_arguments *a,
				    const struct config *config, uint32_t node)
{
	json_t *hosts = json_array(), *status, *all;
	enum cli_exit result = CLI_DONE;
	char text[TEXT_MAX] = "";

	status = cli_state_ask(&a->instance, text, sizeof text);
	for (uint32_t n = 0; n < config->node_count; n++)
		if (a->count < 2 || strcmp(config->node[n].name, a->operand[1]) == 0)
			json_array_append_new(hosts, host_json(config, node, n, status));
	if (json_array_size(hosts) == 0) {
		result = cli_fail(CLI_REFUSED, "%s has no host or witness \"%s\"",
				  config->mirror, a->operand[1]);
	} else if ((a->given & (CLI_JSON | CLI_FIELD)) != 0) {
		all = json_pack("{s:s, s:s, s:O}", "mirror", config->mirror, "host",
				config->node[node].name, "hosts", hosts);
		result = cli_json_print(a, all, false);
		json_decref(all);
	} else {
		print_hosts(hosts);
		if (status == NULL)
			printf("\n? stands for what only the members' group knows: %s\n",
			       text);
	}
	json_decref(status);
	json_decref(hosts);
	return result;
}

static enum cli_exit hostinfo(const struct cli_arguments *a)
{
	struct config *config;
	uint32_t node = 0;
	enum cli_exit status = cli_config_load(a, &config, &node);

	if (status == CLI_DONE)
		status = print_hostinfo(a, config, node);
	config_free(config);
	return status;
}

const struct cli_command cli_host_commands[] = {
	{ .name = "devinfo",
	  .synopsis = "NAME|DEVICE [--json | --field LIST]",
	  .summary = "Show a device, or those of a mirror here: numbers, size, identity",
	  .help = "  DEVICE   a path with a slash in it\n"
		  "  --json   as one JSON object\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .run = devinfo },
	{ .name = "hostinfo",
	  .synopsis = "NAME [HOST] [--json | --field LIST]",
	  .summary = "Show what each host of a mirror needs, and whether it has it",
	  .help = "  --json   as one JSON object\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 2,
	  .named = true,
	  .run = hostinfo },
	{ 0 },
};
