/* cli_check.c - `hamirror check`: a checklist, a line each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/check.h"
#include "agent/cli_json.h"
#include "agent/cli_show.h"
#include "agent/cli_state.h"
#include "agent/cli_table.h"

#define TEXT_MAX 1024

/* What is not known stands behind a question mark. */
static void print_list(json_t *list)
{
	const struct cli_show show = cli_show_stdout();
	json_t *line;
	size_t i;

	json_array_foreach(list, i, line)
	{
		const char *result = json_string_value(json_object_get(line, "result"));
		const char *name = json_string_value(json_object_get(line, "name"));
		const char *word = strcmp(result, "unknown") == 0 ? "?" : result;

		cli_coloured_print(stdout, show.colour,
				   strcmp(result, "ok") == 0 ? CLI_GREEN :
				   strcmp(result, "do") == 0 ? CLI_RED :
							       CLI_YELLOW,
				   word);
		printf("%*s%-10s %s\n", (int)(4 - strlen(word)), "", name,
		       json_string_value(json_object_get(line, "text")));
	}
}

static enum cli_exit check_config(const struct cli_arguments *a,
				  const struct config *config, uint32_t node)
{
	char text[TEXT_MAX] = "";
	struct agent_check c = {
		.instance = &a->instance,
		.config = config,
		.node = node,
		.status = cli_state_ask(&a->instance, text, sizeof text),
		.status_text = text,
		.list = json_array(),
	};
	enum cli_exit printed = CLI_DONE;
	json_t *all;
	bool ok;

	agent_check_host(&c);
	agent_check_cluster(&c);
	agent_check_peers(&c);
	ok = c.do_count == 0 && ((a->given & CLI_STRICT) == 0 || c.unknown_count == 0);
	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0) {
		all = json_pack("{s:b, s:i, s:O}", "ok", ok, "unknown", c.unknown_count,
				"checks", c.list);
		printed = cli_json_print(a, all, false);
		json_decref(all);
	} else {
		print_list(c.list);
	}
	json_decref(c.status);
	json_decref(c.list);
	return printed != CLI_DONE ? printed : ok ? CLI_DONE : CLI_REFUSED;
}

static enum cli_exit check(const struct cli_arguments *a)
{
	struct config *config;
	uint32_t node = 0;
	enum cli_exit status = cli_config_load(a, &config, &node);

	if (status == CLI_DONE)
		status = check_config(a, config, node);
	config_free(config);
	return status;
}

const struct cli_command cli_check_commands[] = {
	{ .name = "check",
	  .synopsis = "NAME [--strict] [--config FILE] [--json | --field LIST]",
	  .summary = "Check all that a mirror needs: a line each, ok or what to do",
	  .help = "  --strict        exit 1 also where something is not known\n"
		  "  --config FILE   instead of /etc/hamirror/NAME.yaml\n"
		  "  --json          as one JSON object\n",
	  .options = CLI_STRICT | CLI_CONFIG | CLI_JSON | CLI_FIELD,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = check },
	{ 0 },
};
