/* evidence.c - see evidence.h. */
#include "mirror/engine/evidence.h"

#include <assert.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc.h"

uint32_t mirror_evidence_slots(const struct mirror_evidence *e)
{
	uint32_t each;

	if (e->disk_count == 0)
		return 0;
	each = MIRROR_SAMPLE_COUNT_MAX / e->disk_count;
	return each < MIRROR_SAMPLE_OF_DISK_MAX ? each : MIRROR_SAMPLE_OF_DISK_MAX;
}

const struct mirror_sample *mirror_evidence_sample(const struct mirror_evidence *e,
						   uint32_t disk, uint32_t slot)
{
	assert(disk < e->disk_count && slot < mirror_evidence_slots(e));
	return &e->sample[disk * mirror_evidence_slots(e) + slot];
}

struct mirror_sample *mirror_evidence_slot(struct mirror_evidence *e, uint32_t disk,
					   uint32_t slot)
{
	assert(disk < e->disk_count && slot < mirror_evidence_slots(e));
	return &e->sample[disk * mirror_evidence_slots(e) + slot];
}

uint32_t mirror_evidence_count(const struct mirror_evidence *e, uint32_t disk)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < mirror_evidence_slots(e); i++)
		count += mirror_evidence_sample(e, disk, i)->sequence != 0;
	return count;
}

/* ---- taking --------------------------------------------------------------- */

/* Which part of a record's extent: a whole block where it has one. */
static void choose_block(const struct mirror_header *h, uint64_t *offset,
			 uint32_t *length)
{
	const uint64_t block = MIRROR_SAMPLE_BYTES_MAX;
	const uint64_t aligned = (h->offset_bytes + block - 1) / block * block;

	if (aligned + block <= h->offset_bytes + h->length_bytes) {
		*offset = aligned;
		*length = MIRROR_SAMPLE_BYTES_MAX;
	} else {
		*offset = h->offset_bytes;
		*length = (uint32_t)(h->length_bytes < block ? h->length_bytes : block);
	}
}

uint32_t mirror_evidence_crc(const struct mirror_header *h, const uint8_t *data)
{
	uint64_t offset;
	uint32_t length;

	if (h->type != MIRROR_RECORD_WRITE || data == NULL)
		return 0;
	choose_block(h, &offset, &length);
	data += offset - h->offset_bytes;
	return bytes_are_zero(data, length) ? 0 : common_crc32c(0, data, length);
}

static bool overlaps(const struct mirror_sample *s, const struct mirror_header *h)
{
	return s->offset_bytes < h->offset_bytes + h->length_bytes &&
	       h->offset_bytes < s->offset_bytes + s->length_bytes;
}

void mirror_evidence_touch(struct mirror_evidence *e, const struct mirror_header *h)
{
	if (!mirror_header_changes(h) || h->disk >= e->disk_count)
		return;
	for (uint32_t i = 0; i < mirror_evidence_slots(e); i++) {
		struct mirror_sample *s = mirror_evidence_slot(e, h->disk, i);

		if (s->sequence < h->sequence && overlaps(s, h))
			s->sequence = 0;
	}
}

/* A free one, else the one that its number gives. */
static struct mirror_sample *choose_slot(struct mirror_evidence *e, uint32_t disk,
					 uint64_t number)
{
	const uint32_t slots = mirror_evidence_slots(e);
	uint32_t twos = 0;

	for (uint32_t i = 0; i < slots; i++)
		if (mirror_evidence_sample(e, disk, i)->sequence == 0)
			return mirror_evidence_slot(e, disk, i);
	while (twos + 1 < slots && (number >> twos & 1) == 0)
		twos++;
	return mirror_evidence_slot(e, disk, twos);
}

void mirror_evidence_home(struct mirror_evidence *e, const struct mirror_header *h,
			  uint32_t crc)
{
	struct mirror_sample *s;

	mirror_evidence_touch(e, h);
	if (crc == 0 || h->type != MIRROR_RECORD_WRITE || h->disk >= e->disk_count)
		return;
	s = choose_slot(e, h->disk, h->disk_sequence);
	s->sequence = h->sequence;
	s->crc = crc;
	choose_block(h, &s->offset_bytes, &s->length_bytes);
}

void mirror_evidence_cut(struct mirror_evidence *e, uint64_t keep)
{
	for (uint32_t i = 0; i < MIRROR_SAMPLE_COUNT_MAX; i++)
		if (e->sample[i].sequence > keep)
			e->sample[i].sequence = 0;
}

void mirror_evidence_forget_samples(struct mirror_evidence *e)
{
	memset(e->sample, 0, sizeof e->sample);
}

void mirror_evidence_forget_disk(struct mirror_evidence *e, uint32_t disk)
{
	e->identity[disk][0] = 0;
	for (uint32_t i = 0; i < mirror_evidence_slots(e); i++)
		mirror_evidence_slot(e, disk, i)->sequence = 0;
}

/* ---- judging -------------------------------------------------------------- */

/* The disk of this site that had that identity; disk_count: none. */
static uint32_t find(const struct mirror_evidence *e, const char *identity)
{
	uint32_t i = 0;

	while (i < e->disk_count &&
	       (identity[0] == 0 || strcmp(e->identity[i], identity) != 0))
		i++;
	return i;
}

enum mirror_disk_verdict mirror_evidence_judge(const struct mirror_evidence *e,
					       uint32_t disk, const char *found,
					       uint32_t same, uint32_t other,
					       uint32_t *exchanged)
{
	const char *known = e->identity[disk];
	const bool equal = known[0] != 0 && strcmp(known, found) == 0;

	assert(disk < e->disk_count);

	*exchanged = find(e, found);
	if (!equal && *exchanged < e->disk_count)
		return MIRROR_DISK_EXCHANGED;
	if (other > 0)
		return MIRROR_DISK_CHANGED;
	if (equal)
		return MIRROR_DISK_SAME;
	if (known[0] == 0)
		return MIRROR_DISK_UNKNOWN;
	return same > 0 ? MIRROR_DISK_MOVED : MIRROR_DISK_FOREIGN;
}
