/* cli_json.c - an answer as JSON, or single values of it, for scripts. */
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_json.h"
#include "agent/json_path.h"

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
	char path[AGENT_JSON_PATH_BYTES];
	size_t length;
	json_t *value;

	for (;; fields += length + 1) {
		length = strcspn(fields, ",");
		if (length >= sizeof path)
			return cli_fail(CLI_USAGE, "--field: \"%s\" is too long", fields);
		memcpy(path, fields, length);
		path[length] = '\0';
		value = agent_json_find(object, path);
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
