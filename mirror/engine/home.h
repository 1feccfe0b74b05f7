/* engine/home.h - records on their way home: the gate, home writes, log reads. */
#ifndef MIRROR_ENGINE_HOME_H
#define MIRROR_ENGINE_HOME_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/engine/gate.h"
#include "mirror/io.h"
#include "mirror/log/record.h"

struct mirror_engine;
struct mirror_task_op;

/* A log read that brings a record's data back into memory. */
struct engine_replay {
	struct mirror_io io;
	struct iovec iov;
	uint64_t sequence; /* 0: free */
	uint8_t *data;
};

/* A write of a disk under way. */
struct engine_home_op {
	struct mirror_io io;
	struct iovec iov;
	struct mirror_task_op *op;
	struct engine_home_op *next;
};

struct engine_home {
	struct mirror_gate gate;
	struct mirror_record_queue gate_issue;
	struct mirror_header
		gate_last; /* order: flush: home, its disks not yet flushed */
	bool gate_dirty[CONFIG_DISK_COUNT_MAX];
	uint32_t gate_flushes_running;
	struct mirror_io gate_flush_io[CONFIG_DISK_COUNT_MAX];
	bool reset_due;
	uint32_t homing_count;
	uint64_t next;   /* next sequence to bring home */
	uint64_t wanted; /* somebody waits for that much */
	uint64_t replay_next;
	struct engine_home_op *ops_free;
};

void mirror_home_pump(struct mirror_engine *m);
void mirror_home_io(struct mirror_engine *m, struct mirror_io *io);
void mirror_replay_io(struct mirror_engine *m, struct mirror_io *io);
bool mirror_home_is_quiet(const struct mirror_engine *m);
void mirror_home_reset(struct mirror_engine *m);
void mirror_gate_io(struct mirror_engine *m, struct mirror_io *io);

#endif
