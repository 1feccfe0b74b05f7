/* cli_all.c - see cli_all.h. */
#include "agent/cli_all.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli_json.h"

#define TEXT_MAX 256

static void add_name(struct cli_names *names, const char *name)
{
	struct agent_instance instance;
	char text[TEXT_MAX];

	if (names->count == CLI_NAMES_MAX ||
	    agent_instance_parse(name, &instance, text, sizeof text) != 0)
		return;
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->name[i], name) == 0)
			return;
	strcpy(names->name[names->count++], instance.name);
}

/* The entries of the folder that `which` of an instance is in, with the ending
 * `suffix`, which is not part of the name. */
static void add_names(struct cli_names *names, enum agent_path which, const char *suffix)
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

/* Is there NAME@HOST of this NAME? '@' does not sort right behind the end of a name. */
static bool has_instance(const struct cli_names *names, const char *name)
{
	const size_t length = strlen(name);

	for (size_t i = 0; i < names->count; i++)
		if (strncmp(names->name[i], name, length) == 0 &&
		    names->name[i][length] == '@')
			return true;
	return false;
}

struct cli_names *cli_names_find(bool told)
{
	struct cli_names *names = calloc(1, sizeof *names);
	size_t kept = 0;

	if (names == NULL) {
		if (told)
			cli_fail(CLI_REFUSED, "no memory");
		return NULL;
	}
	add_names(names, AGENT_PATH_RUN, "");
	add_names(names, AGENT_PATH_CONFIG, ".yaml");
	qsort(names->name, names->count, sizeof names->name[0], compare_names);
	for (size_t i = 0; i < names->count; i++)
		if (!has_instance(names, names->name[i]))
			memmove(names->name[kept++], names->name[i],
				sizeof names->name[0]);
	names->count = kept;
	if (kept > 0)
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
