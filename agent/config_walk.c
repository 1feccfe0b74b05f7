/* config_walk.c - see config_walk.h.
 *
 * libyaml's document keeps duplicate keys and the place of every node, so that
 * every complaint can name its line and column.
 */
#include "agent/config_walk.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_SHOWN_MAX 48

struct config_place config_place_of(const yaml_node_t *node)
{
	return (struct config_place){ (uint32_t)node->start_mark.line + 1,
				      (uint32_t)node->start_mark.column + 1 };
}

void config_complain(struct config_reader *r, const yaml_node_t *node, const char *wrong,
		     const char *expected)
{
	const struct config_place place = config_place_of(node);

	config_error_add(r->errors, r->path, &place, r->key, "%s; expected %s", wrong,
			 expected);
}

/* `"value"`, cut and without control characters, or the kind of another node. */
void config_complain_of_value(struct config_reader *r, const yaml_node_t *node,
			      const char *expected)
{
	char shown[VALUE_SHOWN_MAX + 16];
	size_t length, i;

	if (node->type != YAML_SCALAR_NODE) {
		config_complain(r, node,
				node->type == YAML_SEQUENCE_NODE ? "is a list" :
								   "is a mapping",
				expected);
		return;
	}
	length = node->data.scalar.length;
	if (length == 0) {
		config_complain(r, node, "is empty", expected);
		return;
	}
	memcpy(shown, "is \"", 4);
	for (i = 0; i < length && i < VALUE_SHOWN_MAX; i++) {
		const unsigned char c = node->data.scalar.value[i];

		shown[4 + i] = c < ' ' || c == 0x7f ? '?' : (char)c;
	}
	strcpy(&shown[4 + i], i < length ? "...\"" : "\"");
	config_complain(r, node, shown, expected);
}

/* The text of a scalar, or NULL: another kind of node, or with a 0 inside. */
const char *config_text_of(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE ||
	    strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
		return NULL;
	return (const char *)node->data.scalar.value;
}

/* ---- values ---------------------------------------------------------------- */

const char *config_name_of(struct config_reader *r, const yaml_node_t *node)
{
	const char *text = config_text_of(node);

	if (text != NULL && agent_name_is_valid(text))
		return text;
	config_complain_of_value(
		r, node,
		"a name: 1 to 63 letters, digits, '.', '_' and '-', the first "
		"a letter or digit");
	return NULL;
}

void config_take_name(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	const char *text = config_name_of(r, node);

	assert(key->size == CONFIG_NAME_MAX);
	if (text != NULL)
		strcpy(at, text);
}

void config_take_path(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	const char *text = config_text_of(node);

	assert(key->size == CONFIG_PATH_MAX);
	if (text == NULL || text[0] != '/' || strlen(text) >= CONFIG_PATH_MAX) {
		config_complain_of_value(
			r, node,
			"the path of a block device or file, from / on, up to "
			"255 bytes");
		return;
	}
	for (const char *c = text; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c)) {
			config_complain_of_value(r, node,
						 "a path without control characters");
			return;
		}
	strcpy(at, text);
}

void config_take_location(struct config_reader *r, yaml_node_t *node,
			  const struct config_key *key, void *at)
{
	const char *text = config_text_of(node);
	bool fits = text != NULL && text[0] != '\0' && strlen(text) < key->size;

	for (const char *c = text; fits && *c != '\0'; c++)
		fits = !iscntrl((unsigned char)*c);
	if (fits)
		strcpy(at, text);
	else
		config_complain_of_value(r, node, key->expected);
}

static void store(void *at, size_t size, uint64_t value)
{
	const uint16_t v16 = (uint16_t)value;
	const uint32_t v32 = (uint32_t)value;

	assert(size == sizeof v16 || size == sizeof v32 || size == sizeof value);
	if (size == sizeof v16)
		memcpy(at, &v16, size);
	else if (size == sizeof v32)
		memcpy(at, &v32, size);
	else
		memcpy(at, &value, size);
}

/* A decimal number without sign; `*end` is the first character behind it. False: none, or it
 * does not fit. */
bool config_number_of(const char *text, uint64_t *value, const char **end)
{
	char *stop;

	if (text == NULL || !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &stop, 10);
	*end = stop;
	return errno == 0;
}

void config_take_number(struct config_reader *r, yaml_node_t *node,
			const struct config_key *key, void *at)
{
	const char *end;
	uint64_t value;

	if (config_number_of(config_text_of(node), &value, &end) && *end == '\0' &&
	    value >= key->min && value <= key->max)
		store(at, key->size, value);
	else
		config_complain_of_value(r, node, key->expected);
}

bool config_size_of(const char *text, uint64_t max, uint64_t *value)
{
	static const char units[] = "KMG";
	const char *end, *unit;

	if (!config_number_of(text, value, &end))
		return false;
	if (*end == '\0')
		return *value <= max;
	unit = strchr(units, *end);
	if (unit == NULL || end[1] != '\0')
		return false;
	for (const char *u = units; u <= unit; u++) {
		if (*value > max)
			return false;
		*value *= 1024;
	}
	return *value <= max;
}

void config_take_size(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	const uint64_t grain = 1024 * 1024;
	uint64_t value;

	if (config_size_of(config_text_of(node), key->max, &value) && value >= key->min &&
	    value % grain == 0)
		store(at, key->size, value);
	else
		config_complain_of_value(r, node, key->expected);
}

void config_take_word(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at)
{
	const char *text = config_text_of(node);

	for (uint32_t i = 0; text != NULL && key->words[i] != NULL; i++)
		if (strcmp(text, key->words[i]) == 0) {
			store(at, key->size, i);
			return;
		}
	config_complain_of_value(r, node, key->expected);
}

/* ---- mappings -------------------------------------------------------------- */

/* Append `.name`, or `name` where the key is empty; returns the length to cut back to. */
size_t config_key_push(struct config_reader *r, const char *name)
{
	const size_t before = strlen(r->key);

	snprintf(r->key + before, sizeof r->key - before, "%s%s", before > 0 ? "." : "",
		 name);
	return before;
}

static size_t key_push_index(struct config_reader *r, uint32_t index)
{
	const size_t before = strlen(r->key);

	snprintf(r->key + before, sizeof r->key - before, "[%u]", index);
	return before;
}

void config_key_pop(struct config_reader *r, size_t before)
{
	assert(before <= strlen(r->key));

	r->key[before] = '\0';
}

static void complain_of_unknown(struct config_reader *r, const yaml_node_t *node,
				const struct config_key *keys)
{
	char expected[CONFIG_ERROR_TEXT_MAX] = "one of ";

	for (const struct config_key *k = keys; k->name != NULL; k++) {
		const size_t length = strlen(expected);

		snprintf(expected + length, sizeof expected - length, "%s%s",
			 k == keys ? "" : ", ", k->name);
	}
	config_complain(r, node, "is not a key here", expected);
}

/* Which of `keys` the key node names, or -1 and an error. */
static int find_key(struct config_reader *r, const yaml_node_t *node,
		    const struct config_key *keys)
{
	const char *name = config_text_of(node);
	size_t before;

	for (const char *c = name; c != NULL && *c != '\0'; c++)
		if (iscntrl((unsigned char)*c)) {
			name = NULL;
			break;
		}
	if (name == NULL || *name == '\0') {
		config_complain(r, node, "has a key that is not a word", "a word");
		return -1;
	}
	for (int i = 0; keys[i].name != NULL; i++)
		if (strcmp(keys[i].name, name) == 0)
			return i;
	before = config_key_push(r, name);
	complain_of_unknown(r, node, keys);
	config_key_pop(r, before);
	return -1;
}

/* Find each key's value, in any order: `value[i]` is that of keys[i], or NULL. */
static void sort_keys(struct config_reader *r, const yaml_node_t *map,
		      const struct config_key *keys,
		      yaml_node_t *value[CONFIG_KEY_COUNT_MAX])
{
	uint32_t first_line[CONFIG_KEY_COUNT_MAX] = { 0 };

	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
	     pair < map->data.mapping.pairs.top; pair++) {
		const yaml_node_t *node = yaml_document_get_node(&r->document, pair->key);
		const int i = find_key(r, node, keys);
		char wrong[64];
		size_t before;

		if (i < 0)
			continue;
		if (value[i] == NULL) {
			value[i] = yaml_document_get_node(&r->document, pair->value);
			first_line[i] = config_place_of(node).line;
			continue;
		}
		before = config_key_push(r, keys[i].name);
		snprintf(wrong, sizeof wrong, "is given twice, first in line %u",
			 first_line[i]);
		config_complain(r, node, wrong, "it once");
		config_key_pop(r, before);
	}
}

/* Take the mapping `map` into the struct at `base`, places into `places`, in the
 * tables' order: witnesses come after hosts, addresses after both. */
void config_walk(struct config_reader *r, yaml_node_t *map, const struct config_key *keys,
		 void *base, void *places)
{
	yaml_node_t *value[CONFIG_KEY_COUNT_MAX] = { 0 };

	if (map->type != YAML_MAPPING_NODE) {
		config_complain_of_value(r, map, "a mapping of keys to values");
		return;
	}
	sort_keys(r, map, keys, value);
	for (int i = 0; keys[i].name != NULL; i++) {
		const struct config_key *key = &keys[i];
		const size_t before = config_key_push(r, key->name);

		assert(i < CONFIG_KEY_COUNT_MAX);
		if (value[i] == NULL && key->required)
			config_complain(r, map, "is missing", key->expected);
		if (value[i] != NULL && key->place > 0)
			*(struct config_place *)(void *)((char *)places + key->place -
							 1) = config_place_of(value[i]);
		if (value[i] != NULL)
			key->take(r, value[i], key, (char *)base + key->offset);
		config_key_pop(r, before);
	}
}

/* Call `take` for each item of a list of up to `count_max`; false: no list. */
void config_walk_list(struct config_reader *r, yaml_node_t *list, const char *expected,
		      uint32_t count_max,
		      void (*take)(struct config_reader *r, yaml_node_t *node,
				   void *data),
		      void *data)
{
	uint32_t count = 0;

	if (list->type != YAML_SEQUENCE_NODE) {
		config_complain_of_value(r, list, expected);
		return;
	}
	if (list->data.sequence.items.start == list->data.sequence.items.top)
		config_complain(r, list, "is an empty list", expected);
	for (yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top; item++) {
		yaml_node_t *node = yaml_document_get_node(&r->document, *item);
		const size_t before = key_push_index(r, count);

		if (count == count_max) {
			config_complain(r, node, "is one too many", expected);
			config_key_pop(r, before);
			break;
		}
		take(r, node, data);
		config_key_pop(r, before);
		count++;
	}
}
