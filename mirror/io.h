/* io.h - the mirror core's requests to devices, clients and links, and their results. The
 * drivers (*_driver.c) and the simulator stand behind it. */
#ifndef MIRROR_IO_H
#define MIRROR_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/config.h"

/* ---- devices ------------------------------------------------------------ */

enum mirror_io_op {
	MIRROR_IO_READ,
	MIRROR_IO_WRITE,
	MIRROR_IO_ZERO,       /* the extent reads as zeroes afterwards */
	MIRROR_IO_TRIM,       /* as ZERO, and may deallocate */
	MIRROR_IO_FLUSH,      /* fdatasync: operations completed before are stable */
};

#define MIRROR_IO_LOG UINT32_MAX       /* `device` of the writelog */

/* One device operation. The core owns it and all it points to until it comes
 * back in MIRROR_EVENT_IO; the driver only fills `result`. Completions come
 * in any order. A short read or write comes back as -EIO, never as success. */
struct mirror_io {
	enum mirror_io_op op;
	uint32_t device;                   /* disk index, or MIRROR_IO_LOG */
	uint64_t offset_bytes;             /* multiple of 512 (log: of 4096) */
	uint64_t length_bytes;             /* sum of the iov for READ and WRITE */
	struct iovec *iov;                 /* aligned to 512 (log: 4096) */
	uint32_t iov_count;                /* at most MIRROR_IO_IOV_MAX */
	int32_t result;                    /* 0, or -errno */
	uint32_t purpose;                  /* the core's: selects the handler */
	void *owner;                       /* the core's: the part that asked for it */
	struct mirror_io *next;
	struct mirror_io *older, *newer;   /* the core's: all that are under way */
	uint64_t begun_ns;                 /* ... since */
};

#define MIRROR_IO_IOV_MAX 512

struct mirror_io_list {
	struct mirror_io *head, *tail;
};

/* The identity that the system gives to a disk, which no change of name alters; ended by a
 * zero. */
#define MIRROR_IDENTITY_BYTES 64u

/* The result of opening the site's devices. On error nothing is left open. */
struct mirror_devices {
	int32_t error;                     /* 0 or -errno; text names the device */
	char text[256];
	uint64_t log_bytes;                /* size of the writelog, multiple of 4096 */
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];
	uint32_t disk_sector_bytes[CONFIG_DISK_COUNT_MAX];
	bool disk_is_file[CONFIG_DISK_COUNT_MAX];
	/* See disk_identity_driver.h; "": it says nothing. */
	char disk_identity[CONFIG_DISK_COUNT_MAX][MIRROR_IDENTITY_BYTES];
};

/* ---- clients ------------------------------------------------------------ */

enum mirror_request_type {
	MIRROR_REQUEST_READ,
	MIRROR_REQUEST_WRITE,
	MIRROR_REQUEST_ZERO,      /* with `may_deallocate`: a trim */
	MIRROR_REQUEST_FLUSH,
};

/* One request of a client, at most MIRROR_RECORD_DATA_MAX long for READ and
 * WRITE (the front-end splits longer ones and answers them once; ZERO may be
 * up to 1 GiB in one request). Offsets and lengths are multiples of 512 and
 * inside the disk: the front-end checks, and widens requests that are not aligned.
 *
 * The front-end owns the object and takes it back when it is answered. `data`
 * is a pool buffer (pool.h). WRITE: the core takes the buffer over and clears
 * `data`; one that it has refused or dropped before it was stamped comes back with
 * its buffer. READ: the front-end brings an empty buffer and gets it back filled. */
struct mirror_request {
	enum mirror_request_type type;
	uint32_t disk;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint8_t *data;
	bool fua;
	bool may_deallocate;
	int32_t result;                    /* set at the answer: 0 or -errno */
	/* the core's: */
	uint64_t sequence;                 /* its record; 0: it has none (yet) */
	uint64_t stable_sequence;          /* a flush's, FUA: answered once durable */
	uint64_t came_ns;
	uint32_t part_count;               /* log reads etc. still under way */
	uint32_t state;
	struct mirror_request *next;
	/* the front-end's: */
	void *client;                      /* the connection */
	void *cookie;
	void *frontend;                    /* the driver's: its front-end (io_driver.h) */
};

struct mirror_request_list {
	struct mirror_request *head, *tail;
};

/* ---- links -------------------------------------------------------------- */

#define MIRROR_LINK_COUNT_MAX 16u
#define MIRROR_LINK_NONE UINT32_MAX
#define MIRROR_FRAME_BODY_MAX 1024u

/* A frame to be sent, in order, on `link`. The core owns it until it comes
 * back in MIRROR_EVENT_SENT (also when the link is closed first). The bytes
 * on the line are head[0..head_bytes) then data[0..data_bytes). */
struct mirror_frame {
	uint32_t link;
	uint32_t head_bytes;               /* frame header and body, encoded */
	uint32_t data_bytes;
	const uint8_t *data;
	void *owner;                       /* the core's: the owner of `data`, to unpin */
	bool refresh;                      /* ... and that it is a refresh record's */
	struct mirror_frame *next;
	uint8_t head[32 + MIRROR_FRAME_BODY_MAX];
};

struct mirror_frame_list {
	struct mirror_frame *head, *tail;
};

/* A frame received: header checked (wire.h: magic, version, lengths, CRCs of
 * header and body). `body` is valid for the call only. `data` is a pool buffer
 * (or NULL) that now belongs to the core. */
struct mirror_received {
	uint32_t link;
	uint16_t type;
	const uint8_t *body;
	uint32_t body_bytes;
	uint8_t *data;
	uint32_t data_bytes;
};

enum mirror_link_action { MIRROR_LINK_CONNECT, MIRROR_LINK_CLOSE };

/* Open or close a connection. CONNECT: the core picks a free `link` number
 * below MIRROR_LINK_COUNT_MAX / 2; accepted connections get the numbers from
 * there up from the driver. Each CONNECT is answered by one
 * MIRROR_EVENT_LINK_UP or _DOWN; each UP is followed by one DOWN in the end,
 * also when the core itself closes. After CLOSE no more frames of that link
 * are delivered, and its number is free again only after DOWN. */
struct mirror_link_order {
	enum mirror_link_action action;
	uint32_t link;
	char address[CONFIG_ADDRESS_MAX];
	uint16_t port;
	char text[160];                    /* CLOSE: why */
};

#endif
