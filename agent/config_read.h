/* config_read.h - between the parts of the configuration: config_read.c takes the
 * YAML apart, config_check.c sees whether its values make sense together. */
#ifndef AGENT_CONFIG_READ_H
#define AGENT_CONFIG_READ_H

#include "agent/config.h"

/* From 1; line 0: the value was not given. */
struct config_place {
	uint32_t line, column;
};

struct config_disk_places {
	struct config_place name, path;
};

struct config_site_places {
	struct config_place name, hosts, writelog, disks;
	struct config_disk_places disk[CONFIG_DISK_COUNT_MAX];
};

/* Where each thing of a struct config was said. */
struct config_places {
	struct config_place mirror, mode, near_sync, confirm, failover, cluster, port,
		witnesses, sites, order, memory, on_copy_loss;
	struct config_place backup_order;
	struct config_place node[CONFIG_NODE_COUNT_MAX];
	struct config_place address[CONFIG_NODE_COUNT_MAX];
	struct config_site_places site[CONFIG_SITE_COUNT_MAX];
};

/* Add an error about `key` (may be "") at `place` of the file `path`. */
__attribute__((format(printf, 5, 6))) void config_error_add(
	struct config_errors *errors, const char *path, const struct config_place *place,
	const char *key, const char *format, ...);

/* Fill `config` and `places` from `length` bytes of YAML, both zeroed before and
 * `config` with its defaults. Errors go to `errors`; a field whose value could not be
 * understood stays zero. Returns false when the file cannot be used at all. */
bool config_read(const char *path, const char *yaml, size_t length, struct config *config,
		 struct config_places *places, struct config_errors *errors);

/* Whether it makes sense together; orders every site's disks as site 0's. */
void config_check(const char *path, struct config *config, struct config_places *places,
		  struct config_errors *errors);

/* Fill in `agreed` and `hash`, its FNV-1a of 64 bits. The hash also covers the lines that
 * `agreed` has no room for. */
void config_agree(struct config *config);

#endif
