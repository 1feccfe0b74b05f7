/* cli_names.c - see cli_names.h. */
#include "agent/cli_names.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct cli_names *names, const char *name)
{
	struct agent_instance instance;
	char text[256];

	if (names->count == CLI_NAMES_MAX ||
	    agent_instance_parse(name, &instance, text, sizeof text) != 0)
		return;
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->name[i], name) == 0)
			return;
	strcpy(names->name[names->count++], instance.name);
}

/* Each entry of the folder that `which` of an instance is in and that ends so, without its
 * ending. */
static void add_folder(struct cli_names *names, enum agent_path which, const char *ending)
{
	const struct agent_instance any = { .name = "x", .mirror = "x" };
	char path[PATH_MAX], name[256], *slash;
	const struct dirent *entry;
	DIR *folder;

	if (agent_path(&any, which, path) != 0 || (slash = strrchr(path, '/')) == NULL)
		return;
	*slash = '\0';
	folder = opendir(path);
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		const size_t length = strlen(entry->d_name), end = strlen(ending);

		if (length <= end || strcmp(entry->d_name + length - end, ending) != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(length - end), entry->d_name);
		add(names, name);
	}
	if (folder != NULL)
		closedir(folder);
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

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct cli_names *cli_names_list(const struct agent_instance *own)
{
	struct cli_names *names = calloc(1, sizeof *names);
	size_t kept = 0;

	if (names == NULL)
		return NULL;
	if (own != NULL)
		add(names, own->name);
	add_folder(names, AGENT_PATH_RUN, "");
	add_folder(names, AGENT_PATH_CONFIG, ".yaml");
	qsort(names->name, names->count, sizeof names->name[0], compare);
	for (size_t i = 0; i < names->count; i++)
		if (!has_instance(names, names->name[i]))
			memmove(names->name[kept++], names->name[i],
				sizeof names->name[0]);
	names->count = kept;
	return names;
}
