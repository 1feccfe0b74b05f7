/* nbd_wire.h - the NBD protocol, server side: negotiation, request headers, reply
 * headers, over byte buffers.
 *
 * Pure logic. nbd_client.h says how a connection goes on with its requests.
 *
 * Source: the NBD protocol, github.com/NetworkBlockDevice/nbd doc/proto.md, "fixed
 * newstyle negotiation" and "transmission". All its integers are big-endian, which is
 * why common/bytes.h is not used here.
 */
#ifndef MIRROR_FRONT_NBD_WIRE_H
#define MIRROR_FRONT_NBD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/front/nbd_refusal.h"
#include "mirror/log/record.h"

/* Longest payload of one READ or WRITE, as announced to clients. The protocol asks
 * for no less (proto.md, "size constraints"). */
#define MIRROR_NBD_PAYLOAD_MAX (32u * 1024 * 1024)

#define MIRROR_NBD_REQUEST_BYTES 28u
#define MIRROR_NBD_HEAD_MAX 32u /* longest head of a reply, below */

/* Room that one answer of the negotiation may need. */
#define MIRROR_NBD_ANSWER_MAX 1024u

/* Longest option data that is looked at: a name of the longest allowed size and
 * room for some information requests. Longer ones are skipped and refused. */
#define MIRROR_NBD_OPTION_MAX 8192u

/* A sentence for a refused client, and for the operator. */
#define MIRROR_NBD_REFUSED_TEXT_MAX 96u

/* ---- exports ------------------------------------------------------------- */

struct mirror_nbd_export {
	const char *name;    /* of the disk; the first one is also "" */
	uint64_t size_bytes; /* multiple of the sector */
	uint32_t sector_bytes; /* the mirror's: the larger one of its sites; 0: 512 */
	const void *holder;  /* the network connection that has it, or NULL */
};

struct mirror_nbd_exports {
	const char *mirror; /* its name, for descriptions */
	uint32_t count;
	struct mirror_nbd_export disk[CONFIG_DISK_COUNT_MAX];
};

/* ---- negotiation --------------------------------------------------------- */

enum mirror_nbd_phase {
	MIRROR_NBD_GREETING,     /* we are to speak first */
	MIRROR_NBD_FLAGS,        /* the client's flags are awaited */
	MIRROR_NBD_OPTIONS,      /* an option is awaited */
	MIRROR_NBD_SKIPPING,     /* the rest of an option that is too long */
	MIRROR_NBD_LISTING,      /* NBD_OPT_LIST is being answered, page by page */
	MIRROR_NBD_TRANSMISSION, /* requests are awaited */
	MIRROR_NBD_ENDED,        /* no more input is taken */
};

/* One connection's negotiation. Zeroed, with `network`, `owner` and `full` set: a new
 * one. */
struct mirror_nbd_session {
	enum mirror_nbd_phase phase;
	bool network; /* not a unix socket: see nbd_driver.h, a client that comes back */
	const void *owner; /* the holder of an export, see mirror_nbd_export */
	const char *full;  /* no place is left for it: it is told so; or NULL */
	bool no_zeroes;
	bool structured;       /* READ is answered with chunks */
	bool waiting;          /* for the holder of the export to go */
	uint32_t disk;         /* the export chosen, from TRANSMISSION on */
	uint32_t skip_bytes;   /* SKIPPING: still to come */
	uint32_t option;       /* SKIPPING: which one */
	uint32_t listed_count; /* LISTING: exports answered */
	/* Set when it was refused; the taker resets the kind. */
	enum mirror_nbd_refusal refused;
	char refused_text[MIRROR_NBD_REFUSED_TEXT_MAX];
};

/* Go on with the negotiation: look at `in`, write answers to `out`, which has room
 * for `out_size` bytes, at least MIRROR_NBD_ANSWER_MAX.
 *
 * Returns how many bytes of `in` were used, and adds the bytes written to *out_bytes.
 * Neither: more input is needed, or room in `out`, or `waiting` is set: an export
 * that a network connection has is given to another one only when it is free again.
 * The input is whole options; up to 16 + MIRROR_NBD_OPTION_MAX bytes must fit in `in`.
 * The end of the negotiation is `phase`: TRANSMISSION or ENDED (close when `out` has
 * been sent). */
size_t mirror_nbd_negotiate(struct mirror_nbd_session *s,
			    struct mirror_nbd_exports *exports, const uint8_t *in,
			    size_t in_bytes, uint8_t *out, size_t out_size,
			    size_t *out_bytes);

/* Give back the export that the session's owner holds, if it does. */
void mirror_nbd_release(const struct mirror_nbd_session *s,
			struct mirror_nbd_exports *exports);

/* One setter for `phase`. */
void mirror_nbd_set_phase(struct mirror_nbd_session *s, enum mirror_nbd_phase phase);

/* ---- requests ------------------------------------------------------------ */

enum mirror_nbd_type {
	MIRROR_NBD_READ = 0,
	MIRROR_NBD_WRITE = 1,
	MIRROR_NBD_DISC = 2,
	MIRROR_NBD_FLUSH = 3,
	MIRROR_NBD_TRIM = 4,
	MIRROR_NBD_WRITE_ZEROES = 6,
};

#define MIRROR_NBD_FLAG_FUA (1u << 0)
#define MIRROR_NBD_FLAG_NO_HOLE (1u << 1)
#define MIRROR_NBD_FLAG_DF (1u << 2)

struct mirror_nbd_request {
	uint16_t flags;  /* MIRROR_NBD_FLAG_* bits */
	uint16_t type;   /* enum mirror_nbd_type, or an unknown one of the client */
	uint64_t cookie; /* comes back in the reply */
	uint64_t offset_bytes;
	uint32_t length_bytes; /* WRITE: as many bytes of payload follow */
};

/* Take a request header apart. Returns 0, or -EPROTO when it is none: the stream is
 * out of step and the connection is lost. */
int mirror_nbd_request_decode(const uint8_t in[MIRROR_NBD_REQUEST_BYTES],
			      struct mirror_nbd_request *r);

/* May this request be carried out on a disk of `size_bytes`? Returns 0, or
 *   -EINVAL  unknown type or flag, a payload over the maximum, or a read or trim
 *            that leaves the disk
 *   -ENOSPC  a write or zeroing that leaves the disk */
int mirror_nbd_request_check(const struct mirror_nbd_session *s,
			     const struct mirror_nbd_request *r, uint64_t size_bytes);

/* ---- replies ------------------------------------------------------------- */

/* An error as the protocol numbers them, for 0 or -errno. */
uint32_t mirror_nbd_error(int error);

/* Each writes one head and returns its length, at most MIRROR_NBD_HEAD_MAX. */

/* A simple reply; the data of a read that succeeded follows. */
uint32_t mirror_nbd_simple_encode(uint8_t *head, uint64_t cookie, int error);

/* A chunk with data of a structured reply; `length_bytes` of them follow. */
uint32_t mirror_nbd_data_encode(uint8_t *head, uint64_t cookie, uint64_t offset_bytes,
				uint32_t length_bytes, bool done);

/* The last chunk of a structured reply: an error, or nothing more (error 0). */
uint32_t mirror_nbd_end_encode(uint8_t *head, uint64_t cookie, int error);

/* ---- big-endian fields, for nbd*.c --------------------------------------- */

static inline void mirror_nbd_put(uint8_t *at, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

static inline uint64_t mirror_nbd_get(const uint8_t *at, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		value = value << 8 | at[i];
	return value;
}

#endif
