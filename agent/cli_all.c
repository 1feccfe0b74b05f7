/* cli_all.c - see cli_all.h. */
#include "agent/cli_all.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/cli_json.h"

#define TEXT_MAX 256

struct cli_names *cli_names_find(bool told)
{
	struct cli_names *names = cli_names_list(NULL);

	if (names == NULL) {
		if (told)
			cli_fail(CLI_REFUSED, "no memory");
		return NULL;
	}
	if (names->count > 0)
		return names;
	if (told)
		cli_fail(CLI_NONE,
			 "there is no mirror on this node: no /etc/hamirror/NAME.yaml");
	free(names);
	return NULL;
}

static void print_failed(const struct cli_arguments *a, json_t *failed)
{
	json_t *name, *all;
	size_t i;

	if ((a->given & (CLI_JSON | CLI_FIELD)) == CLI_JSON) {
		all = json_pack("{s:i, s:O}", "exit",
				json_array_size(failed) > 0 ? CLI_REFUSED : CLI_DONE,
				"failed", failed);
		cli_json_print(a, all, false);
		json_decref(all);
	}
	if (json_array_size(failed) == 0)
		return;
	fflush(stdout);
	fputs("hamirror: failed:", stderr);
	json_array_foreach(failed, i, name)
		fprintf(stderr, "%s %s", i > 0 ? "," : "", json_string_value(name));
	fputc('\n', stderr);
}

enum cli_exit cli_all_run(const struct cli_command *c, const struct cli_arguments *a)
{
	struct cli_names *names = cli_names_find(true);
	json_t *failed = json_array();
	enum cli_exit status = CLI_NONE;
	char text[TEXT_MAX];

	for (size_t i = 0; names != NULL && i < names->count; i++) {
		struct cli_arguments one = *a;
		char *name = names->name[i];

		one.count = 1;
		one.operand = &name;
		if (agent_instance_parse(name, &one.instance, text, sizeof text) != 0 ||
		    c->run(&one) != CLI_DONE)
			json_array_append_new(failed, json_string(name));
	}
	if (names != NULL) {
		print_failed(a, failed);
		status = json_array_size(failed) > 0 ? CLI_REFUSED : CLI_DONE;
	}
	json_decref(failed);
	free(names);
	return status;
}
