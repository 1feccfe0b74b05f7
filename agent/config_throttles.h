/* config_throttles.h - throttles and bandwidth of the configuration file. */
#ifndef AGENT_CONFIG_THROTTLES_H
#define AGENT_CONFIG_THROTTLES_H

#include <stdio.h>
#include <jansson.h>

#include "agent/config_walk.h"

/* Takers of `throttles`, `throttle-period` and `bandwidth` into config->throttles, which the
 * first of them makes. */
void config_throttles_take(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at);
void config_throttle_period_take(struct config_reader *r, yaml_node_t *node,
				 const struct config_key *key, void *at);
void config_bandwidth_take(struct config_reader *r, yaml_node_t *node,
			   const struct config_key *key, void *at);

/* As YAML that reads into the same, and as an object of JSON; nothing, and null, for NULL. */
void config_throttles_print(const struct throttles *t, FILE *out);
json_t *config_throttles_json(const struct throttles *t);

/* `text` in the double quotes of YAML. */
void config_print_quoted(const char *text, FILE *out);

/* As it is where YAML takes that for a text, else in double quotes. */
void config_print_text(const char *text, FILE *out);

#endif
