/* engine/log.h - log writes, flushes and marks under way. */
#ifndef MIRROR_ENGINE_LOG_H
#define MIRROR_ENGINE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/io.h"

struct mirror_engine;

struct engine_log {
	uint64_t unflushed_bytes, unflushed_since_ns;
	uint64_t logged_ns;    /* the last write ended */
	uint64_t flush_wanted; /* a client waits for all up to there to be durable, */
	uint64_t flush_wanted_next; /* ... another for this */
	bool flushing, flush_now;
	uint32_t parts; /* log writes under way: batch, pad */
	bool full;      /* the next batch found no room */
	uint64_t batch_first, batch_last, batch_bytes;
	uint64_t flush_covers;
	uint64_t mark_written;  /* durable mark last put into a descriptor, ... */
	uint64_t mark_logged;   /* ... in one that is written, ... */
	uint64_t flush_proves;  /* ... before the flush under way began */
	uint64_t mark_since_ns; /* mark_logged waits for a flush */
	uint64_t mark_due_ns;
	struct mirror_io batch_io, pad_io, flush_io;
	struct iovec batch_iov[MIRROR_IO_IOV_MAX], pad_iov;
};

bool mirror_log_is_idle(const struct mirror_engine *m);
void mirror_log_want_durable(struct mirror_engine *m, uint64_t sequence);
void mirror_log_dropped(struct mirror_engine *m, uint64_t last);
uint64_t mirror_log_flush_target(struct mirror_engine *m, uint64_t sequence);
void mirror_log_pump(struct mirror_engine *m);
uint64_t mirror_log_kept_bytes(const struct mirror_engine *m);
void mirror_log_mark(struct mirror_engine *m);
void mirror_log_io(struct mirror_engine *m, struct mirror_io *io);

#endif
