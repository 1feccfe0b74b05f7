/* site_folder.h - a site's devices as files in a folder of their own, and loop
 * devices on them. */
#ifndef TESTS_UNIT_SITE_FOLDER_H
#define TESTS_UNIT_SITE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

#define MIB (1u << 20)
#define LOG_BYTES (4u * MIB)
#define DISK_BYTES (8u * MIB) /* of disk 0; disk 1 has half */

struct site_folder {
	char path[64];
};

/* A folder in `where` with a writelog and the disks `db` and `wal`, and `site`
 * pointing to them. */
void site_folder_create(struct site_folder *f, const char *where,
			struct config_site *site);
void site_folder_destroy(struct site_folder *f);

/* On a disk, as far as that can be chosen: $TMPDIR or /tmp. */
const char *site_folder_on_disk(void);

void site_folder_path(const struct site_folder *f, char path[CONFIG_PATH_MAX],
		      const char *name);

/* Make it, or change its size. */
void site_folder_file(const struct site_folder *f, const char *name, uint64_t bytes);

/* False, after saying so, when we are not root. */
bool need_root(const char *what);

/* Mounts from here on are this process's own and end with it; false, after saying
 * so, when that cannot be. */
bool private_mounts(void);

/* Run a command and take its first line; false when it fails. */
bool shell(char line[CONFIG_PATH_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A loop device on a file of the folder: its descriptor; the device goes away when that is
 * closed or the process ends. -1, after a message, when none can be had. */
int loop_attach(const struct site_folder *f, char device[CONFIG_PATH_MAX],
		const char *name, const char *options);

#endif
