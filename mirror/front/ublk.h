/* ublk.h - the kernel's interface to block devices that a process serves, as far as it
 * is used here: its structures, and the engine's request that a descriptor stands for.
 *
 * Pure logic. ublk_driver.c serves a device; agent/attach_ublk.c makes and removes it.
 *
 * The kernel has one queue per device. Each of its slots, a tag, is fetched with an
 * io_uring command that completes when a request has come; its descriptor is then in
 * shared memory. The answer is given by a command that fetches the next one at the
 * same time. Data is copied by pread and pwrite on the character device (USER_COPY),
 * so a write goes straight into a buffer of the pool that is as large as the write is,
 * and no slot holds memory while it waits.
 *
 * Structures and numbers are spelled here because few systems have headers that know
 * them all: Linux 6.5 is the first kernel that has all that is used here.
 *
 * Source: Linux, Documentation/block/ublk.rst; include/uapi/linux/ublk_cmd.h.
 */
#ifndef MIRROR_FRONT_UBLK_H
#define MIRROR_FRONT_UBLK_H

#include <stdint.h>

#include "mirror/io.h"
#include "mirror/log/record.h"

#define MIRROR_UBLK_DEPTH 128u /* tags: as deep as an NBD connection */

/* ---- the kernel's ------------------------------------------------------------ */

/* Written by the kernel before a fetch completes. */
struct mirror_ublk_descriptor {
	uint32_t op_flags; /* operation in the low 8 bits, flags above */
	uint32_t sector_count;
	uint64_t start_sector;
	uint64_t address; /* not used with USER_COPY */
};

enum mirror_ublk_op {
	MIRROR_UBLK_READ = 0,
	MIRROR_UBLK_WRITE = 1,
	MIRROR_UBLK_FLUSH = 2,
	MIRROR_UBLK_DISCARD = 3,
	MIRROR_UBLK_WRITE_ZEROES = 5,
};

#define MIRROR_UBLK_FLAG_FUA (1u << 13)
#define MIRROR_UBLK_FLAG_NO_UNMAP (1u << 15)

/* The command of a submission of 64 bytes, at MIRROR_UBLK_COMMAND_AT. */
struct mirror_ublk_command {
	uint16_t queue;
	uint16_t tag;
	int32_t result;   /* COMMIT: bytes, 0 or -errno */
	uint64_t address; /* 0 with USER_COPY */
};

#define MIRROR_UBLK_URING_OP 46u /* IORING_OP_URING_CMD */
#define MIRROR_UBLK_COMMAND_AT 48u

/* _IOWR('u', number, a structure of 16 bytes) */
#define MIRROR_UBLK_FETCH 0xc0107520u
#define MIRROR_UBLK_COMMIT_AND_FETCH 0xc0107521u

/* The result of a fetch: the device stops, the tag is not to be fetched again. */
#define MIRROR_UBLK_ABORT (-19) /* -ENODEV */

/* A command on /dev/ublk-control, in a submission of 128 bytes. */
struct mirror_ublk_control {
	uint32_t device; /* UINT32_MAX: any */
	uint16_t queue;  /* UINT16_MAX: none */
	uint16_t bytes;  /* at `address` */
	uint64_t address;
	uint64_t data; /* START: the process that serves */
	uint64_t reserved;
};

/* _IOR and _IOWR('u', number, a structure of 32 bytes) */
#define MIRROR_UBLK_GET_INFO 0x80207502u
#define MIRROR_UBLK_ADD 0xc0207504u
#define MIRROR_UBLK_DELETE 0xc0207505u
#define MIRROR_UBLK_START 0xc0207506u
#define MIRROR_UBLK_STOP 0xc0207507u
#define MIRROR_UBLK_SET_PARAMETERS 0xc0207508u
#define MIRROR_UBLK_GET_FEATURES 0x80207513u /* 8 bytes */

#define MIRROR_UBLK_FEATURE_IOCTL_ENCODE (1ull << 6)
#define MIRROR_UBLK_FEATURE_USER_COPY (1ull << 7)

struct mirror_ublk_info {
	uint16_t queue_count;
	uint16_t depth;
	uint16_t state; /* 0: not live */
	uint16_t reserved0;
	uint32_t request_bytes_max;
	uint32_t device;
	int32_t pid; /* of the server; -1: was stopped */
	uint32_t reserved1;
	uint64_t features;
	uint64_t owner; /* ours: the kernel only keeps it */
	uint64_t reserved2[3];
};

struct mirror_ublk_parameters {
	uint32_t bytes; /* of the whole */
	uint32_t types; /* MIRROR_UBLK_PARAMETERS_*: which of the following */
	uint32_t attributes;
	uint8_t logical_shift, physical_shift, optimal_shift, least_shift;
	uint32_t sectors_max; /* of a request */
	uint32_t chunk_sectors;
	uint64_t disk_sectors;
	uint64_t boundary_mask;
	uint32_t discard_alignment, discard_granularity;
	uint32_t discard_sectors_max, zeroes_sectors_max;
	uint16_t discard_segments_max;
	uint16_t reserved;
	uint32_t padding;
};

#define MIRROR_UBLK_PARAMETERS_BASIC (1u << 0)
#define MIRROR_UBLK_PARAMETERS_DISCARD (1u << 1)
#define MIRROR_UBLK_VOLATILE_CACHE (1u << 2)
#define MIRROR_UBLK_FUA (1u << 3)

/* ---- ours ---------------------------------------------------------------------- */

/* The properties of a new device. `owner` finds it again. */
void mirror_ublk_info_init(struct mirror_ublk_info *info, uint64_t owner, int32_t pid);
void mirror_ublk_parameters_init(struct mirror_ublk_parameters *p, uint64_t disk_bytes,
				 uint32_t sector_bytes);

/* Fill type, place and flags of `r` from a descriptor: one request of the engine, since
 * no request of the kernel is longer. Returns 0, or
 *   -EOPNOTSUPP  an operation that was never offered
 *   -EIO         longer than was offered, or it leaves the disk */
int mirror_ublk_translate(const struct mirror_ublk_descriptor *d, uint64_t disk_bytes,
			  struct mirror_request *r);

/* The answer: bytes moved, 0, or -errno as an application may see it. */
int32_t mirror_ublk_result(const struct mirror_request *r);

/* Where the data of a tag is on the character device. */
static inline uint64_t mirror_ublk_data_offset(uint16_t tag)
{
	return 0x80000000ull + ((uint64_t)tag << 25);
}

/* How much of the pool reads of all devices may hold: they keep their buffers until
 * they are answered, which may take as long as a lease is away. */
static inline uint64_t mirror_ublk_read_share_bytes(uint64_t pool_bytes)
{
	return pool_bytes / 4;
}

#endif
