/* json_path.c - see json_path.h. */
#include "agent/json_path.h"

#include <stdlib.h>
#include <string.h>

json_t *agent_json_named(const json_t *list, const char *name)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *own = json_string_value(json_object_get(one, "name"));

		if (own != NULL && strcmp(own, name) == 0)
			return one;
	}
	return NULL;
}

/* The element of `list` with that `name`, or at that index. */
static json_t *element(json_t *list, const char *name)
{
	char *end;
	const unsigned long index = strtoul(name, &end, 10);
	json_t *one = agent_json_named(list, name);

	if (one != NULL || *name == '\0' || *end != '\0')
		return one;
	return json_array_get(list, index);
}

json_t *agent_json_find(json_t *object, const char *path)
{
	char text[AGENT_JSON_PATH_BYTES], *rest = text, *name;

	if (strlen(path) >= sizeof text)
		return NULL;
	strcpy(text, path);
	while (object != NULL && (name = strsep(&rest, ".")) != NULL) {
		if (json_is_null(object)) /* nor are its members known */
			return object;
		object = json_is_array(object) ? element(object, name) :
						 json_object_get(object, name);
	}
	return object;
}

const char *agent_json_text(const json_t *object, const char *name, const char *other)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL && text[0] != '\0' ? text : other;
}
