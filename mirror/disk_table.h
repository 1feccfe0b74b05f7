/* disk_table.h - the disks of a mirror as its log and its hellos list them. */
#ifndef MIRROR_DISK_TABLE_H
#define MIRROR_DISK_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

struct mirror_disk {
	char name[CONFIG_NAME_MAX];
	uint64_t size_bytes;      /* log: as clients see it, the same on every site;
				     hello: of the device behind it */
	uint32_t sector_bytes;    /* the largest of any site: see engine/greet.c */
	uint64_t sequence;        /* log: newest per-disk sequence when written, a
				     floor that the scan raises; hello: 0 */
};

/* Ordered by index: `disk` in a record's header is an index into it. */
struct mirror_disk_table {
	uint32_t count;
	struct mirror_disk entry[CONFIG_DISK_COUNT_MAX];
};

#endif
