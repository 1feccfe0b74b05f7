/* engine/read.h - reads of clients and of the refresh. */
#ifndef MIRROR_ENGINE_READ_H
#define MIRROR_ENGINE_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/engine/bounds.h"
#include "mirror/io.h"

struct mirror_engine;

/* A read under way: of a client, or of the refresh. */
struct engine_read {
	bool used;
	struct engine_read *next;       /* while it is free */
	struct mirror_io io;
	struct iovec iov;
	struct mirror_request *request; /* NULL: refresh */
	int32_t failed;                 /* given up: the error that answers it */
	uint32_t disk;
	uint64_t offset_bytes, length_bytes;
	uint8_t *data;
	uint32_t refresh_site, refresh_link;
	uint32_t overlap_count;
	struct {
		uint64_t offset_bytes, length_bytes;
		uint8_t *data;        /* a reference held; NULL: zeroes */
	} overlap[READ_OVERLAPS_MAX]; /* oldest first, laid over the disk's data */
};

struct engine_reading {
	struct engine_read *free;
	uint32_t refresh_count; /* of the refreshes, under way */
};

/* None is under way any more. */
void mirror_reads_reset(struct mirror_engine *m);
bool mirror_read_start(struct mirror_engine *m, struct mirror_request *q);
bool mirror_read_refresh(struct mirror_engine *m, uint32_t site, uint32_t link,
			 uint32_t disk, uint64_t offset_bytes, uint64_t length_bytes,
			 uint8_t *data);
void mirror_reads_fail(struct mirror_engine *m, int32_t result);
void mirror_read_io(struct mirror_engine *m, struct mirror_io *io);

#endif
