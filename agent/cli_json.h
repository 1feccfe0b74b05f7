/* cli_json.h - an answer as JSON, or single values of it, for scripts. */
#ifndef AGENT_CLI_JSON_H
#define AGENT_CLI_JSON_H

#include <stdbool.h>
#include <jansson.h>

#include "agent/cli.h"

/* Print `object` as a line of JSON; with --field only the values at its list of paths, with
 * commas between, a line each. A path is names with dots between; in a list, the `name` or
 * the index of an element. A text is printed as it is, null as an empty line, the rest as
 * JSON. `partial`: a member that is not there is null too. Returns CLI_DONE, or CLI_USAGE
 * with a message: there is no such member. */
enum cli_exit cli_json_print(const struct cli_arguments *a, json_t *object, bool partial);

/* Print an answer to a command: its text, or as cli_json_print() does with --json or --field.
 * A refusal's text goes to stderr. With --all the instance is named. Returns
 * `status`, or as cli_json_print(): the thing was done all the same. */
enum cli_exit cli_reply_print(const struct cli_arguments *a, json_t *reply,
			      enum cli_exit status);

/* Print, as an answer, this sentence of the command itself. Returns `status`. */
__attribute__((format(printf, 3, 4))) enum cli_exit cli_answer(
	const struct cli_arguments *a, enum cli_exit status, const char *format, ...);

#endif
