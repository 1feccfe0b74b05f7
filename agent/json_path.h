/* json_path.h - single values of an answer of the daemon. */
#ifndef AGENT_JSON_PATH_H
#define AGENT_JSON_PATH_H

#include <jansson.h>

#define AGENT_JSON_PATH_BYTES 256 /* of a path, with its final 0 */

/* The element of `list` with that `name`, or NULL. Borrowed. */
json_t *agent_json_named(const json_t *list, const char *name);

/* The value at `path`, which is names with dots between; in a list, the `name` or the index of
 * an element. What is null has members that are null. NULL: there is none, or the path is too
 * long. Borrowed. */
json_t *agent_json_find(json_t *object, const char *path);

/* The text of member `name`; `other` where there is none, or an empty one. Borrowed. */
const char *agent_json_text(const json_t *object, const char *name, const char *other);

#endif
