/* cli_json.c - an answer as JSON, or single values of it, for scripts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_json.h"
#include "agent/json_path.h"

static void print(json_t *value)
{
	if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else if (value != NULL && !json_is_null(value))
		json_dumpf(value, stdout,
			   JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
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

enum cli_exit cli_reply_print(const struct cli_arguments *a, json_t *reply,
			      enum cli_exit status)
{
	const char *text = json_string_value(json_object_get(reply, "text"));
	const char *name = a->instance.name;
	enum cli_exit printed = CLI_DONE;

	if ((a->given & (CLI_JSON | CLI_FIELD)) != 0) {
		if ((a->given & CLI_ALL) != 0)
			json_object_set_new(reply, "instance", json_string(name));
		printed = cli_json_print(a, reply, status != CLI_DONE);
	} else if (status != CLI_DONE) {
		cli_fail(status, "%s: %s", name,
			 text != NULL ? text : "refused without a reason");
	} else if (text != NULL && text[0] != '\0') {
		printf("%s%s%s\n", (a->given & CLI_ALL) != 0 ? name : "",
		       (a->given & CLI_ALL) != 0 ? ": " : "", text);
	}
	return printed != CLI_DONE ? printed : status;
}

enum cli_exit cli_answer(const struct cli_arguments *a, enum cli_exit status,
			 const char *format, ...)
{
	char text[1024];
	json_t *reply;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	reply = json_pack("{s:i, s:s}", "exit", (int)status, "text", text);
	cli_reply_print(a, reply, status);
	json_decref(reply);
	return status;
}
