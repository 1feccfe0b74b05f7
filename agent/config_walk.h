/* config_walk.h - takes YAML mappings and lists apart by tables of keys. */
#ifndef AGENT_CONFIG_WALK_H
#define AGENT_CONFIG_WALK_H

#include <yaml.h>

#include "agent/config_read.h"

#define CONFIG_KEY_TEXT_MAX 128

/* The file that is read, and the structs that are filled. */
struct config_reader {
	const char *path;
	yaml_document_t document;
	struct config *config;
	struct config_places *places;
	struct config_errors *errors;
	char key[CONFIG_KEY_TEXT_MAX]; /* now: "sites[1].disks[0].path" */
};

/* One key of a mapping. A table of them ends with a NULL name. */
struct config_key {
	const char *name;
	/* Take its value into the field at `at`; if that is wrong, add an error to the
	 * reader's and leave the field as it is. */
	void (*take)(struct config_reader *r, yaml_node_t *node,
		     const struct config_key *key, void *at);
	size_t offset, size; /* of the field, in the struct of this mapping */
	size_t place;        /* of its place + 1, in the struct of places; 0: none */
	bool required;
	uint64_t min, max;        /* take_number, take_size */
	const char *const *words; /* take_word: index is value; ends with NULL */
	const char *expected;
};

#define CONFIG_FIELD(type, field)                                                        \
	.offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define CONFIG_PLACE(type, field) .place = offsetof(type, field) + 1
#define CONFIG_KEY_COUNT_MAX 32

/* The place where a node begins. */
struct config_place config_place_of(const yaml_node_t *node);

/* Add an error about the key being read, at `node`. The second function names the
 * node's value as the fault. */
void config_complain(struct config_reader *r, const yaml_node_t *node, const char *wrong,
		     const char *expected);
void config_complain_of_value(struct config_reader *r, const yaml_node_t *node,
			      const char *expected);

/* The text of a scalar, or NULL: another kind of node, or with a 0 inside. The
 * second one wants a valid name and complains itself. */
const char *config_text_of(const yaml_node_t *node);
const char *config_name_of(struct config_reader *r, const yaml_node_t *node);

/* A decimal number without sign; `*end` is the first character behind it. False: there is none
 * (`text` may be NULL), or it does not fit. */
bool config_number_of(const char *text, uint64_t *value, const char **end);

/* Takers of plain values. */
void config_take_name(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at);
void config_take_path(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at);
void config_take_location(struct config_reader *r, yaml_node_t *node,
			  const struct config_key *key, void *at);
void config_take_number(struct config_reader *r, yaml_node_t *node,
			const struct config_key *key, void *at);
void config_take_size(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at);
void config_take_word(struct config_reader *r, yaml_node_t *node,
		      const struct config_key *key, void *at);

/* Lengthen the key being read by ".name" or "[index]". Returns what
 * config_key_pop takes to shorten it again. */
size_t config_key_push(struct config_reader *r, const char *name);
void config_key_pop(struct config_reader *r, size_t before);

/* Take the mapping `map` into the struct at `base`, places into `places`, in the
 * order of the table, not of the file. */
void config_walk(struct config_reader *r, yaml_node_t *map, const struct config_key *keys,
		 void *base, void *places);

/* Call `take` for each item of a list of 1 to `count_max`. */
void config_walk_list(struct config_reader *r, yaml_node_t *list, const char *expected,
		      uint32_t count_max,
		      void (*take)(struct config_reader *r, yaml_node_t *node,
				   void *data),
		      void *data);

#endif
