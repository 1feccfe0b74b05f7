/* config.h - the configuration file of a mirror: read, checked, shown.
 *
 * A file is read whole or not at all. All errors in it are collected, as
 * far as one error does not hide the next, each with its place:
 *
 *   FILE:LINE:COLUMN: KEY: the error; the expected value
 *
 * Source: docs/rules.md (G8); man/hamirror.yaml.5 lists every key.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "agent/paths.h"
#include "common/config.h"

#define CONFIG_ERROR_COUNT_MAX 20
#define CONFIG_ERROR_TEXT_MAX 512
#define CONFIG_FILE_BYTES_MAX (1024u * 1024)

struct config_error {
	uint32_t line, column;            /* from 1; 0: about the file as a whole */
	char text[CONFIG_ERROR_TEXT_MAX]; /* the whole sentence, with its place */
};

struct config_errors {
	uint32_t count;
	uint32_t dropped_count; /* more that did not fit */
	struct config_error entry[CONFIG_ERROR_COUNT_MAX];
};

/* Read the file at `path`. `config` is large: allocate it, and end it by config_free(). It is
 * defined only on success, and so are its `throttles`. `errors` is emptied first.
 *
 * Returns 0, or with at least one error in `errors`
 *   -EINVAL        something in the file is wrong
 *   -ENOENT, ...   the file cannot be read */
int config_load(const char *path, struct config *config, struct config_errors *errors);

/* As config_load, for an instance: `path` NULL means the usual place. The file
 * must be of that mirror and name the instance's host, whose index in
 * config->node goes to `*node`. */
int config_instance_load(const struct agent_instance *instance, const char *path,
			 struct config *config, uint32_t *node,
			 struct config_errors *errors);

/* Free a configuration and its throttles. NULL is fine. */
void config_free(struct config *config);

/* Each error as a line, each after `prefix`. */
void config_errors_print(const struct config_errors *errors, const char *prefix,
			 FILE *out);

/* As config_instance_load, into memory of its own. Errors go to stderr, each after `prefix`.
 * `*config` is the caller's to end by config_free(), also after an error; it may be NULL then. */
int config_instance_read(const struct agent_instance *instance, const char *path,
			 const char *prefix, struct config **config, uint32_t *node);

/* The index in config->node of the node called `name`, or -1. */
int32_t config_node_find(const struct config *config, const char *name);

/* The index in config->site of the site called `name`, or -1. */
int32_t config_site_find(const struct config *config, const char *name);

enum config_remark {
	CONFIG_FAULT,  /* the mirror cannot run so on this node: a device is missing */
	CONFIG_UNWISE, /* it can: a writelog and a disk on one device, one site */
};

/* Remarks on a valid configuration on this node (`node`: an index in config->node, or
 * -1: this machine is none of them), one sentence each as `add(data, remark, text)`. */
void config_warn(const struct config *config, int32_t node,
		 void (*add)(void *data, enum config_remark remark, const char *text),
		 void *data);

/* The words of the file for each value of an enum, and NULL behind them. */
extern const char *const config_mode_words[];
extern const char *const config_order_words[];
extern const char *const config_attach_words[];
extern const char *const config_unprotected_words[];
extern const char *const config_no_quorum_words[];
extern const char *const config_confirm_words[];
extern const char *const config_copy_loss_words[];

/* Print the configuration in effect, defaults filled in: as a YAML file that
 * config_load reads into the same, or as one JSON object. */
void config_print_yaml(const struct config *config, FILE *out);
json_t *config_json(const struct config *config); /* a new reference */

/* ... but throttles and bandwidth, which are the watcher's. */
void config_print_settings(const struct config *config, FILE *out);

/* Has a daemon that says `read` of its file, as `config` of its status, read other settings
 * than these two checksums of a struct config stand for? */
bool config_differs_from(const json_t *read, uint32_t file_crc, uint32_t settings_crc);

/* Bytes, or with K, M or G in units of 1024 and its powers. False: it is no such number, or
 * more than `max`. */
bool config_size_of(const char *text, uint64_t max, uint64_t *value);

#endif
