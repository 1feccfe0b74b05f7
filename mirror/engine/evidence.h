/* evidence.h - is this the disk that was there? (docs/rules.md, "Disks have
 * an identity")
 *
 * The disks hold the user's bytes and nothing else. So the log's superblock keeps the
 * identity that the system gives to each of them, and a sample: checksums of blocks that this
 * site has brought home. Each open compares both with the disks that are there.
 *
 * A block's sample is of its content once all records up to the sample's sequence, and no
 * later one, are at home there. It is taken when its record is at home and flushed, and
 * dropped when a later record that touches the block is. So a sample in a superblock is out
 * of date only by records that the log still holds (W2). An open drops the samples that these
 * records touch before it compares: the blocks may be old, new or torn.
 *
 * Of the few samples of a disk some are of its newest records and some of old ones: a
 * record takes the slot that its number's factor of two gives it, so that slot n holds
 * one of the last 2^(n+1).
 *
 * Pure logic: no I/O, no allocation.
 */
#ifndef MIRROR_ENGINE_EVIDENCE_H
#define MIRROR_ENGINE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/io.h"
#include "mirror/log/record.h"

#define MIRROR_SAMPLE_BYTES_MAX 4096u
#define MIRROR_SAMPLE_COUNT_MAX 512u  /* of all disks of a site */
#define MIRROR_SAMPLE_OF_DISK_MAX 16u /* reads of a disk at each open */

struct mirror_sample {
	uint64_t sequence; /* of the record; 0: the slot is free */
	uint64_t offset_bytes;
	uint32_t length_bytes;
	uint32_t crc;
};

struct mirror_evidence {
	uint32_t disk_count; /* 0: no samples are kept yet */
	/* As the system has given it; "": none. */
	char identity[CONFIG_DISK_COUNT_MAX][MIRROR_IDENTITY_BYTES];
	/* By disk, so many for each: mirror_evidence_slots(). */
	struct mirror_sample sample[MIRROR_SAMPLE_COUNT_MAX];
};

enum mirror_disk_verdict {
	MIRROR_DISK_SAME,
	MIRROR_DISK_UNKNOWN, /* nothing was known of it: it is from now on */
	MIRROR_DISK_MOVED,   /* another device, with everything that we know of */
	/* refused: */
	MIRROR_DISK_EXCHANGED, /* it is another disk of this site */
	MIRROR_DISK_CHANGED,   /* blocks that we brought home are not there */
	MIRROR_DISK_FOREIGN,   /* another device, and nothing shows its content */
};

/* How many samples each disk has room for. */
uint32_t mirror_evidence_slots(const struct mirror_evidence *e);

/* The sample in slot `slot` of `disk`; its sequence is 0 when there is none. */
struct mirror_sample *mirror_evidence_slot(struct mirror_evidence *e, uint32_t disk,
					   uint32_t slot);
const struct mirror_sample *mirror_evidence_sample(const struct mirror_evidence *e,
						   uint32_t disk, uint32_t slot);

/* How many samples there are of `disk`. */
uint32_t mirror_evidence_count(const struct mirror_evidence *e, uint32_t disk);

/* The checksum of the block of this record, whose data is `data`, that may become a
 * sample. 0: there is none, because the record has no data or reads as a blank disk
 * does. */
uint32_t mirror_evidence_crc(const struct mirror_header *h, const uint8_t *data);

/* A record changes its blocks: samples of older records do not count there. */
void mirror_evidence_touch(struct mirror_evidence *e, const struct mirror_header *h);

/* A record is at home and flushed, and all before it: touch, and take a sample of it if
 * `crc` (mirror_evidence_crc()) is one. */
void mirror_evidence_home(struct mirror_evidence *e, const struct mirror_header *h,
			  uint32_t crc);

/* Records beyond `keep` are cut off; the sequences come again, for others. */
void mirror_evidence_cut(struct mirror_evidence *e, uint64_t keep);

/* Nothing is known of the content of any disk, or of one of them at all. */
void mirror_evidence_forget_samples(struct mirror_evidence *e);
void mirror_evidence_forget_disk(struct mirror_evidence *e, uint32_t disk);

/* Is `found` the identity of disk number `disk`, of whose samples `same` were there,
 * `other` were something else, and the rest could not be read? `*exchanged` is the disk
 * that it is for MIRROR_DISK_EXCHANGED. A missing answer proves nothing. */
enum mirror_disk_verdict mirror_evidence_judge(const struct mirror_evidence *e,
					       uint32_t disk, const char *found,
					       uint32_t same, uint32_t other,
					       uint32_t *exchanged);

#endif
