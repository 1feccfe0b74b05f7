/* log_model.h - a writelog on a device in memory with a volatile cache, for tests: it
 * writes with the production code for superblock, ring and descriptor, in the orders
 * that the engine keeps (scan.h, superblock.h), crashes, and scans. */
#ifndef TESTS_UNIT_LOG_MODEL_H
#define TESTS_UNIT_LOG_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/log/ring.h"
#include "mirror/log/scan.h"
#include "mirror/log/superblock.h"
#include "tests/unit/property.h"

#define MODEL_LOG_BYTES (2u * 1024 * 1024)
#define MODEL_DISK_BYTES (1ull << 30)
#define MODEL_GENERATION_COUNT_MAX 65536u

struct log_model {
	struct mirror_superblock sb;
	struct mirror_ring *ring;
	uint8_t *device;             /* as a read finds it */
	uint8_t *stable;             /* the part that survives a crash */
	bool *dirty;                 /* per block: differs */
	uint64_t bytes;
	uint64_t generation;
	uint64_t logged;
	uint64_t durable;
	uint64_t home;
	uint32_t data_blocks_max;    /* of one record */
	int64_t bad_block;           /* cannot be read; -1: none */
	uint64_t *opened_at;         /* per generation: the last sequence before it */
	/* of the last scan */
	struct mirror_scan scan;
	uint8_t *buffer;
	uint64_t found_first, found_last, found_count;
};

/* A new, empty log, open. Its superblock is durable. */
void log_model_create(struct log_model *m, uint64_t log_bytes);
void log_model_destroy(struct log_model *m);

/* The record of this sequence in this generation, as it always is. */
void log_model_header(const struct log_model *m, uint64_t generation, uint64_t sequence,
		      struct mirror_header *h);

/* Append `count` records in one batch of as many descriptors as it takes. False: no room,
 * nothing changed. */
bool log_model_append(struct log_model *m, uint32_t count);
void log_model_append_all(struct log_model *m, uint32_t count, uint32_t per_batch);

/* Write a MARK. False: no room. */
bool log_model_mark(struct log_model *m);

/* Flush the device. */
void log_model_flush(struct log_model *m);

/* All up to `sequence` is at home and confirmed; the room is free once the superblock is
 * written. */
void log_model_free_to(struct log_model *m, uint64_t sequence);

/* Write the superblock, with the hints of now, and flush. */
void log_model_superblock(struct log_model *m);

/* Drop the records above `sequence`, or leap ahead to it, durably. */
void log_model_restart(struct log_model *m, uint64_t sequence);

/* Power fails: each block written since the last flush is there or not. */
void log_model_crash(struct log_model *m, struct random *random);

/* Read the superblock and scan. Every record found is compared with the one appended.
 * Nothing is written. */
enum mirror_scan_step log_model_scan(struct log_model *m, uint64_t proven_sequence);

/* The same with this superblock instead of the one on the device. */
enum mirror_scan_step log_model_scan_with(struct log_model *m,
					  const struct mirror_superblock *sb,
					  uint64_t proven_sequence);

/* log_model_scan(), then go on where it ended: new generation and epoch, superblock,
 * MARK, flush. */
enum mirror_scan_step log_model_open(struct log_model *m);

/* Where a ring position stands on the device. */
uint8_t *log_model_at(struct log_model *m, uint64_t position);

/* Change a bit, durably. */
void log_model_damage(struct log_model *m, uint64_t position);

#endif
