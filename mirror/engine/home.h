/* engine/home.h - records on their way home: the gate, home writes, log reads. */
#ifndef MIRROR_ENGINE_HOME_H
#define MIRROR_ENGINE_HOME_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/engine/bounds.h"
#include "mirror/engine/gate.h"
#include "mirror/io.h"
#include "mirror/log/record.h"

struct mirror_engine;
struct mirror_task_op;
struct mirror_task_op_list;

/* A log read that brings a record's data back into memory. */
struct engine_replay {
	struct mirror_io io;
	struct iovec iov;
	uint64_t sequence; /* 0: free */
	uint8_t *data;
};

/* A write of a disk under way: of one record, or of several that lie side by side there. */
struct engine_home_op {
	struct mirror_io io;
	struct iovec iov[HOME_MERGE_MAX];
	struct mirror_task_op *op[HOME_MERGE_MAX]; /* by their place */
	uint32_t op_count;
	struct engine_home_op *next;
};

/* Which records are put off, so that those overwritten meanwhile are not written. */
struct engine_home_delay {
	uint64_t last;          /* marks.last as it was seen */
	uint64_t busy_ns;       /* ... and since when */
	uint64_t due, due_next; /* all up to `due` are old enough */
	uint64_t due_next_ns;   /* when `due_next` will be */
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
	uint32_t homing_count; /* records that have begun */
	uint32_t write_count;  /* writes under way */
	uint64_t next;         /* next sequence to bring home */
	uint64_t wanted;       /* a hold, or clients of a refresh, wait for that much ... */
	uint64_t read_wanted;  /* ... and a read for that */
	uint64_t replay_next;
	struct engine_home_delay delay;
	struct engine_home_op *ops_free;
};

/* Do clients wait for homes (M9)? At production by its promise, at a copy by order of
 * production. Then nothing is put off. */
bool mirror_home_at_once(const struct mirror_engine *m);
void mirror_home_pump(struct mirror_engine *m);
/* engine/home_write.c: write the operations that the task groups have issued; `issue` is empty
 * then. */
void mirror_home_write(struct mirror_engine *m, struct mirror_task_op_list *issue);
void mirror_home_io(struct mirror_engine *m, struct mirror_io *io);
void mirror_replay_io(struct mirror_engine *m, struct mirror_io *io);
bool mirror_home_is_quiet(const struct mirror_engine *m);
void mirror_home_reset(struct mirror_engine *m);
void mirror_gate_io(struct mirror_engine *m, struct mirror_io *io);

#endif
