/* device.h - a device with a volatile cache, and its operations under way: disk.c. */
#ifndef TESTS_SIM_DEVICE_H
#define TESTS_SIM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"

struct sim_device {
	uint8_t *now;    /* as reads see it */
	uint8_t *stable; /* content that a power cut leaves for certain */
	uint32_t *dirty; /* per sector: 0, or the write's number: now differs */
	uint64_t dirty_from, dirty_to; /* no sector outside of these is */
	uint64_t bytes;
	char identity[MIRROR_IDENTITY_BYTES]; /* of a disk: the system's name for it */
	uint32_t is_disk; /* number + 1 of the one that it is in truth; 0: of none */
	uint32_t write_count;        /* numbers writes */
	uint32_t flush_covers;       /* greatest of a flush under way */
	int32_t fail;                /* operations fail with it; 0: none */
	uint32_t fail_ops;           /* of these kinds only (1 << op); 0: all */
	uint32_t fail_count;         /* so many more times, then it works; 0: always */
	uint64_t slow_ns;            /* more for each operation */
	uint64_t stuck_until_ns;     /* nothing ends before */
	uint32_t hung;               /* operations of these nodes (bits) never end */
	uint32_t held_ops;           /* operations (1 << op) that do not end: hold.c */
	uint64_t only_from, only_to; /* fail and held_ops: only there; 0: everywhere */
	uint32_t lose_writes;        /* so many are said to be done and are not ... */
	uint32_t misdirect_writes;   /* ... or are done elsewhere */
};

struct sim_op {
	bool used;
	struct mirror_io *io; /* NULL: its process is gone */
	enum mirror_io_op op;
	uint32_t node, process, site, device;
	uint64_t offset, length;
	uint64_t begun_ns;
	bool hangs; /* it ends with the hang of its device */
	uint32_t flush_covers;
	uint8_t *data; /* WRITE: the new bytes */
};

#endif
