/* descriptor.h - the entries of the log's ring: a descriptor block with up to
 * MIRROR_DESCRIPTOR_RECORDS_MAX record headers, then the records' data, each padded to
 * MIRROR_BLOCK_BYTES, in the order of the headers.
 *
 * Pure logic: no I/O, no allocation. Every decoder is safe on any bytes.
 *
 * Layout, offset by offset: docs/formats.md. Source: docs/rules.md (W4).
 */
#ifndef MIRROR_LOG_DESCRIPTOR_H
#define MIRROR_LOG_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/identity.h"
#include "mirror/disk_table.h"
#include "mirror/log/record.h"

#define MIRROR_HEADER_BYTES 80u
#define MIRROR_DESCRIPTOR_RECORDS_MAX 48u
#define MIRROR_DESCRIPTOR_VERSION 1u

/* ---- record headers: in a descriptor, and as the body of a RECORD frame -- */

/* Write MIRROR_HEADER_BYTES at `to`. */
void mirror_header_encode(const struct mirror_header *h, uint8_t *to);

/* Read MIRROR_HEADER_BYTES at `from`. With `disks` (may be NULL) the extent must
 * also lie inside its disk. Returns 0, or -EPROTO: unknown type or flag, or a
 * length, alignment, sequence, disk or extent that cannot be; then `h` is not
 * to be used. The data's CRC is checked apart: mirror_header_data_crc(). */
int mirror_header_decode(const uint8_t *from, const struct mirror_disk_table *disks,
			 struct mirror_header *h);

/* CRC32C of identity and place: mirror, generation, sequence, disk, type, offset
 * and length. It is the seed of the data's CRC, so that data which is intact but
 * belongs elsewhere does not pass. */
uint32_t mirror_header_place_crc(const struct uuid *mirror,
				 const struct mirror_header *h);

/* The value for `h->crc`: CRC32C of h->data_bytes bytes at `data` (NULL when
 * there are none), seeded with mirror_header_place_crc(). `h->crc` is ignored. */
uint32_t mirror_header_data_crc(const struct uuid *mirror, const struct mirror_header *h,
				const void *data);

/* Bytes that `data_bytes` of data take in the ring. */
static inline uint64_t mirror_data_padded_bytes(uint32_t data_bytes)
{
	return ((uint64_t)data_bytes + MIRROR_BLOCK_BYTES - 1) / MIRROR_BLOCK_BYTES *
	       MIRROR_BLOCK_BYTES;
}

/* ---- descriptors --------------------------------------------------------- */

enum mirror_descriptor_type {
	MIRROR_DESCRIPTOR_RECORDS = 1,   /* 1 to 48 records and their data */
	MIRROR_DESCRIPTOR_MARK,          /* only the marks (W4), nothing follows */
	MIRROR_DESCRIPTOR_PAD,           /* skip total_bytes: exactly the ring's rest */
};

struct mirror_descriptor {
	enum mirror_descriptor_type type;
	uint32_t count;               /* records; 0 for MARK and PAD */
	struct uuid log;
	uint64_t epoch;               /* the superblock's log_epoch when written */
	uint64_t position;            /* of this block, never wraps; lap and offset
					 are its quotient and rest by ring_bytes */
	uint64_t previous_position;   /* of the descriptor before; own if there is none */
	uint64_t generation;          /* ordinal; of all records in here (a batch that
					 spans two generations takes two descriptors) */
	uint64_t first_sequence;      /* of record 0, the others follow without gap;
					 MARK and PAD: the next sequence */
	uint64_t durable;             /* all up to here was durable in this log */
	uint64_t home;                /* ... was at home and flushed on this site */
	uint64_t confirmed[CONFIG_SITE_COUNT_MAX];   /* ... durable at each site */
	uint64_t total_bytes;         /* descriptor and padded data; PAD: to skip */
};

/* Bytes in the ring of a descriptor with these records: its total_bytes. */
uint64_t mirror_descriptor_total_bytes(const struct mirror_header *headers,
				       uint32_t count);

/* Write MIRROR_BLOCK_BYTES at `block`. The headers' count, generation, sequences and
 * total_bytes must fit the descriptor (asserted), as must durable < first_sequence. */
void mirror_descriptor_encode(const struct mirror_descriptor *d,
			      const struct mirror_header *headers, uint8_t *block);

/* Read MIRROR_BLOCK_BYTES at `block`; `headers` takes MIRROR_DESCRIPTOR_RECORDS_MAX.
 * `log`: the identity expected; NULL: any. `disks` as in mirror_header_decode().
 * Returns 0, or (then nothing in `d` or `headers` is to be used)
 *   -ENODATA           not a descriptor, or another log's
 *   -EBADMSG           a descriptor whose CRC is wrong
 *   -EPROTONOSUPPORT   intact, of this log, of a newer version or with a feature
 *                      that we do not know
 *   -EPROTO            intact, and its fields contradict each other
 * In the last two cases d->position and d->epoch are set all the same. */
int mirror_descriptor_decode(const uint8_t *block, const struct uuid *log,
			     const struct mirror_disk_table *disks,
			     struct mirror_descriptor *d, struct mirror_header *headers);

#endif
