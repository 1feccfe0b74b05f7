/* disk_driver.h - the site's devices on the ring: writelog and disks.
 *
 * Operations are submitted as they come and complete in any order; FLUSH covers
 * operations that had completed before it was submitted (the core orders the rest). An
 * operation that a device cannot do is done another way with the same result: a hole that
 * cannot be punched is zeroed, and a range that cannot be zeroed is written with zeroes.
 */
#ifndef MIRROR_DRIVERS_DISK_DRIVER_H
#define MIRROR_DRIVERS_DISK_DRIVER_H

#include <stdint.h>

#include "common/config.h"
#include "mirror/io.h"

struct disk_driver;
struct io_driver;

struct disk_driver_counters {
	uint64_t operation_count;    /* done for the core */
	uint64_t submission_count;   /* on the ring: more when some were continued */
	uint64_t short_count;        /* transfers that were continued */
	uint64_t zero_written_count; /* ZERO and TRIM done by writing zeroes */
	uint64_t error_count;
	uint64_t in_flight_count; /* now */
	uint64_t waiting_count;   /* now, for one of the operation slots */
	uint64_t slot_count;      /* bound of in_flight_count */
};

/* Returns 0, or -ENOMEM. All memory of the write path is taken here. */
int disk_driver_create(struct io_driver *io, struct disk_driver **driver);

/* Closed, or never opened. NULL is fine. */
void disk_driver_destroy(struct disk_driver *d);

/* Open the devices of site number `site`, off the loop. MIRROR_EVENT_DEVICES
 * answers. They must be closed. */
void disk_driver_open(struct disk_driver *d, uint32_t site);

/* Wait for the operations under way, then close the devices: MIRROR_EVENT_DEVICES_CLOSED.
 * Nothing may be submitted after this call (D6). */
void disk_driver_close(struct disk_driver *d);

/* Take all of `list`, which is empty afterwards. Each comes back once, in
 * MIRROR_EVENT_IO. */
void disk_driver_submit(struct disk_driver *d, struct mirror_io_list *list);

/* The loop ends: close as soon as nothing is under way. No event is sent. */
void disk_driver_stop(struct disk_driver *d);

const struct disk_driver_counters *disk_driver_counters(const struct disk_driver *d);

#endif
