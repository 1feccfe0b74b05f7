/* cli_json.c - an answer as JSON, or single values of it, for scripts. */
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_json.h"

#define PATH_TEXT_MAX 256

/* The element of `list` with that `name`, or at that index. */
static json_t *element(json_t *list, const char *name)
{
	char *end;
	const unsigned long index = strtoul(name, &end, 10);
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *own = json_string_value(json_object_get(one, "name"));

		if (own != NULL && strcmp(own, name) == 0)
			return one;
	}
	return *name != '\0' && *end == '\0' ? json_array_get(list, index) : NULL;
}

/* The value at `path`, a text that is taken apart; NULL: there is none. */
static json_t *find(json_t *object, char *path)
{
	char *rest = path, *name;

	while (object != NULL && (name = strsep(&rest, ".")) != NULL) {
		if (json_is_null(object)) /* nor are its members known */
			return object;
		object = json_is_array(object) ? element(object, name) :
						 json_object_get(object, name);
	}
	return object;
}

static void print(json_t *value)
{
	if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else if (value != NULL && !json_is_null(value))
		json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
}

static enum cli_exit print_fields(json_t *object, const char *fields, bool partial)
{
	char path[PATH_TEXT_MAX];
	size_t length;
	json_t *value;

	for (;; fields += length + 1) {
		length = strcspn(fields, ",");
		if (length >= sizeof path)
			return cli_fail(CLI_USAGE, "--field: \"%s\" is too long", fields);
		memcpy(path, fields, length);
		path[length] = '\0';
		value = find(object, path);
		if (value == NULL && !partial)
			return cli_fail(CLI_USAGE,
					"--field: there is no \"%.*s\"; --json shows all "
					"that there is",
					(int)length, fields);
		print(value);
		if (fields[length] == '\0')
			return CLI_DONE;
	}
}

enum cli_exit cli_json_print(const struct cli_arguments *a, json_t *object, bool partial)
{
	if (a->field != NULL)
		return print_fields(object, a->field, partial);
	print(object);
	return CLI_DONE;
}
