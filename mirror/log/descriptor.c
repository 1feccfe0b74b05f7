/* descriptor.c - see descriptor.h and docs/formats.md. */
#include "mirror/log/descriptor.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc.h"

#define MAGIC 0x444c4d48u      /* "HMLD" */
#define CRC_AT 16u
#define LOG_AT 24u
#define HEADERS_AT 192u
#define LARGEST (1ull << 62)   /* position, length, sequence: so sums do not wrap */
#define FLAGS_KNOWN                                                                      \
	(MIRROR_RECORD_FUA | MIRROR_RECORD_MAY_DEALLOCATE | MIRROR_RECORD_REFRESH)

static_assert(HEADERS_AT + MIRROR_DESCRIPTOR_RECORDS_MAX * MIRROR_HEADER_BYTES <=
		      MIRROR_BLOCK_BYTES,
	      "a descriptor fits its block");
static_assert(CONFIG_SITE_COUNT_MAX == 8, "the number of confirmed marks is format");

/* ---- record headers ------------------------------------------------------ */

void mirror_header_encode(const struct mirror_header *h, uint8_t *to)
{
	struct bytes b = bytes_of(to, MIRROR_HEADER_BYTES);

	bytes_put_u8(&b, h->type);
	bytes_put_u8(&b, h->flags);
	bytes_put_u16(&b, h->disk);
	bytes_put_u32(&b, h->crc);
	bytes_put_u64(&b, h->sequence);
	bytes_put_u64(&b, h->disk_sequence);
	bytes_put_u64(&b, h->generation);
	bytes_put_u64(&b, h->group);
	bytes_put_u64(&b, h->offset_bytes);
	bytes_put_u64(&b, h->length_bytes);
	bytes_put_u32(&b, h->data_bytes);
	bytes_put_u32(&b, 0);
	bytes_put_u64(&b, h->time_ns);
	bytes_put_u64(&b, 0);
	assert(!b.bad && b.position == MIRROR_HEADER_BYTES);
}

/* The extent of a write or a zeroing, by itself and on its disk. */
static bool extent_is_valid(const struct mirror_header *h,
			    const struct mirror_disk_table *disks)
{
	if (h->disk_sequence == 0 || h->length_bytes == 0)
		return false;
	if (h->offset_bytes % MIRROR_SECTOR_BYTES != 0 ||
	    h->length_bytes % MIRROR_SECTOR_BYTES != 0)
		return false;
	if (h->length_bytes > UINT64_MAX - h->offset_bytes)
		return false;
	return disks == NULL ||
	       (h->disk < disks->count &&
		h->offset_bytes + h->length_bytes <= disks->entry[h->disk].size_bytes);
}

static bool header_is_valid(const struct mirror_header *h,
			    const struct mirror_disk_table *disks)
{
	if ((h->flags & ~FLAGS_KNOWN) != 0 || h->disk >= CONFIG_DISK_COUNT_MAX)
		return false;
	if (h->sequence == 0 || h->generation == 0 || h->group == 0)
		return false;
	switch (h->type) {
	case MIRROR_RECORD_WRITE:
		return h->data_bytes == h->length_bytes &&
		       h->data_bytes <= MIRROR_RECORD_DATA_MAX &&
		       (h->flags & MIRROR_RECORD_MAY_DEALLOCATE) == 0 &&
		       extent_is_valid(h, disks);
	case MIRROR_RECORD_ZERO:
		return h->data_bytes == 0 && extent_is_valid(h, disks);
	case MIRROR_RECORD_FLUSH:
		return h->data_bytes == 0 && h->disk_sequence == 0 &&
		       h->offset_bytes == 0 && h->length_bytes == 0;
	case MIRROR_RECORD_REFRESHED:
		return h->data_bytes == 0 && (h->flags & MIRROR_RECORD_REFRESH) != 0 &&
		       (h->flags & MIRROR_RECORD_MAY_DEALLOCATE) == 0 &&
		       extent_is_valid(h, disks);
	}
	return false;   /* a type from outside that we do not know */
}

int mirror_header_decode(const uint8_t *from, const struct mirror_disk_table *disks,
			 struct mirror_header *h)
{
	uint8_t copy[MIRROR_HEADER_BYTES];
	struct bytes b = bytes_of(copy, sizeof copy);
	uint64_t reserved;

	memcpy(copy, from, sizeof copy);
	h->type = bytes_get_u8(&b);
	h->flags = bytes_get_u8(&b);
	h->disk = bytes_get_u16(&b);
	h->crc = bytes_get_u32(&b);
	h->sequence = bytes_get_u64(&b);
	h->disk_sequence = bytes_get_u64(&b);
	h->generation = bytes_get_u64(&b);
	h->group = bytes_get_u64(&b);
	h->offset_bytes = bytes_get_u64(&b);
	h->length_bytes = bytes_get_u64(&b);
	h->data_bytes = bytes_get_u32(&b);
	reserved = bytes_get_u32(&b);
	h->time_ns = bytes_get_u64(&b);
	reserved |= bytes_get_u64(&b);
	return reserved == 0 && header_is_valid(h, disks) ? 0 : -EPROTO;
}

uint32_t mirror_header_place_crc(const struct uuid *mirror, const struct mirror_header *h)
{
	uint8_t place[52];
	struct bytes b = bytes_of(place, sizeof place);

	bytes_put_raw(&b, mirror->byte, sizeof mirror->byte);
	bytes_put_u64(&b, h->generation);
	bytes_put_u64(&b, h->sequence);
	bytes_put_u16(&b, h->disk);
	bytes_put_u16(&b, h->type);
	bytes_put_u64(&b, h->offset_bytes);
	bytes_put_u64(&b, h->length_bytes);
	assert(!b.bad && b.position == sizeof place);
	return common_crc32c(0, place, sizeof place);
}

uint32_t mirror_header_data_crc(const struct uuid *mirror, const struct mirror_header *h,
				const void *data)
{
	const uint32_t seed = mirror_header_place_crc(mirror, h);

	assert(data != NULL || h->data_bytes == 0);
	return h->data_bytes == 0 ? seed : common_crc32c(seed, data, h->data_bytes);
}

/* ---- descriptors --------------------------------------------------------- */

uint64_t mirror_descriptor_total_bytes(const struct mirror_header *headers,
				       uint32_t count)
{
	uint64_t total = MIRROR_BLOCK_BYTES;

	for (uint32_t i = 0; i < count; i++)
		total += mirror_data_padded_bytes(headers[i].data_bytes);
	return total;
}

static bool records_are_valid(const struct mirror_descriptor *d,
			      const struct mirror_header *headers)
{
	if (d->count == 0 || d->count > MIRROR_DESCRIPTOR_RECORDS_MAX)
		return false;
	for (uint32_t i = 0; i < d->count; i++)
		if (headers[i].sequence != d->first_sequence + i ||
		    headers[i].generation != d->generation)
			return false;
	return d->total_bytes == mirror_descriptor_total_bytes(headers, d->count);
}

/* Do the fields agree? Asked of descriptors that we write and of those that we read. */
static bool descriptor_is_valid(const struct mirror_descriptor *d,
				const struct mirror_header *headers)
{
	if (d->epoch == 0 || d->position % MIRROR_BLOCK_BYTES != 0 ||
	    d->position > LARGEST || d->previous_position > d->position ||
	    d->total_bytes > LARGEST || d->first_sequence == 0 ||
	    d->first_sequence > LARGEST || d->durable >= d->first_sequence)
		return false;
	switch (d->type) {
	case MIRROR_DESCRIPTOR_RECORDS:
		return records_are_valid(d, headers);
	case MIRROR_DESCRIPTOR_MARK:
		return d->count == 0 && d->total_bytes == MIRROR_BLOCK_BYTES;
	case MIRROR_DESCRIPTOR_PAD:
		return d->count == 0 && d->total_bytes >= MIRROR_BLOCK_BYTES &&
		       d->total_bytes % MIRROR_BLOCK_BYTES == 0;
	}
	return false;   /* a type from outside that we do not know */
}

void mirror_descriptor_encode(const struct mirror_descriptor *d,
			      const struct mirror_header *headers, uint8_t *block)
{
	struct bytes b = bytes_of(block, MIRROR_BLOCK_BYTES);

	assert(descriptor_is_valid(d, headers));

	memset(block, 0, MIRROR_BLOCK_BYTES);
	bytes_put_u32(&b, MAGIC);
	bytes_put_u16(&b, MIRROR_DESCRIPTOR_VERSION);
	bytes_put_u16(&b, (uint16_t)d->type);
	bytes_put_u32(&b, 0);   /* features */
	bytes_put_u32(&b, HEADERS_AT + d->count * MIRROR_HEADER_BYTES);
	bytes_put_u32(&b, 0);   /* the CRC, below */
	bytes_put_u32(&b, d->count);
	bytes_put_raw(&b, d->log.byte, sizeof d->log.byte);
	bytes_put_u64(&b, d->epoch);
	bytes_put_u64(&b, d->position);
	bytes_put_u64(&b, d->previous_position);
	bytes_put_u64(&b, d->generation);
	bytes_put_u64(&b, d->first_sequence);
	bytes_put_u64(&b, d->durable);
	bytes_put_u64(&b, d->home);
	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		bytes_put_u64(&b, d->confirmed[i]);
	bytes_put_u64(&b, d->total_bytes);
	assert(!b.bad && b.position <= HEADERS_AT);

	for (uint32_t i = 0; i < d->count; i++)
		mirror_header_encode(&headers[i],
				     block + HEADERS_AT + i * MIRROR_HEADER_BYTES);
	b.position = CRC_AT;
	bytes_put_u32(&b, common_crc32c_without(block, MIRROR_BLOCK_BYTES, CRC_AT));
}

/* The fields after the identity; `b` stands at the epoch. */
static void get_fields(struct bytes *b, struct mirror_descriptor *d)
{
	d->epoch = bytes_get_u64(b);
	d->position = bytes_get_u64(b);
	d->previous_position = bytes_get_u64(b);
	d->generation = bytes_get_u64(b);
	d->first_sequence = bytes_get_u64(b);
	d->durable = bytes_get_u64(b);
	d->home = bytes_get_u64(b);
	for (uint32_t i = 0; i < CONFIG_SITE_COUNT_MAX; i++)
		d->confirmed[i] = bytes_get_u64(b);
	d->total_bytes = bytes_get_u64(b);
}

int mirror_descriptor_decode(const uint8_t *block, const struct uuid *log,
			     const struct mirror_disk_table *disks,
			     struct mirror_descriptor *d, struct mirror_header *headers)
{
	uint8_t area[HEADERS_AT];
	struct bytes b = bytes_of(area, sizeof area);
	uint32_t magic, features, used, crc;
	uint16_t version, type;

	memcpy(area, block, sizeof area);
	magic = bytes_get_u32(&b);
	version = bytes_get_u16(&b);
	type = bytes_get_u16(&b);
	features = bytes_get_u32(&b);
	used = bytes_get_u32(&b);
	crc = bytes_get_u32(&b);
	d->count = bytes_get_u32(&b);
	bytes_get_raw(&b, d->log.byte, sizeof d->log.byte);
	if (magic != MAGIC || (log != NULL && !uuid_equal(log, &d->log)))
		return -ENODATA;
	if (crc != common_crc32c_without(block, MIRROR_BLOCK_BYTES, CRC_AT))
		return -EBADMSG;

	get_fields(&b, d);
	if (version != MIRROR_DESCRIPTOR_VERSION || features != 0)
		return -EPROTONOSUPPORT;
	if (d->count > MIRROR_DESCRIPTOR_RECORDS_MAX ||
	    used != HEADERS_AT + d->count * MIRROR_HEADER_BYTES)
		return -EPROTO;
	for (uint32_t i = 0; i < d->count; i++)
		if (mirror_header_decode(block + HEADERS_AT + i * MIRROR_HEADER_BYTES,
					 disks, &headers[i]) < 0)
			return -EPROTO;
	d->type = (enum mirror_descriptor_type)type;
	return descriptor_is_valid(d, headers) ? 0 : -EPROTO;
}
