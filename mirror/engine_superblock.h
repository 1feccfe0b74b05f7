/* engine_superblock.h - the superblock that should be there, and its one writer. */
#ifndef MIRROR_ENGINE_SUPERBLOCK_H
#define MIRROR_ENGINE_SUPERBLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"
#include "mirror/superblock.h"

struct mirror_engine;

struct engine_superblock_writer {
	uint64_t wanted, writing, written; /* tickets */
	bool busy;
	uint64_t tail_position; /* in the one being written ... */
	uint64_t proves;        /* ... and what it says is durable */
	uint64_t epoch_ticket;  /* log_epoch durable: appends may go on */
	struct mirror_io io;
	struct iovec iov;
};

uint64_t mirror_superblock_want(struct mirror_engine *m);
bool mirror_superblock_has(const struct mirror_engine *m, uint64_t ticket);
void mirror_superblock_pump(struct mirror_engine *m);
void mirror_superblock_io(struct mirror_engine *m, struct mirror_io *io);

#endif
