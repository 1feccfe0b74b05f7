/* record.h - one write, trim, zeroing or flush mark: its header as it stands
 * in the log and on the line (encoded in mirror/log/descriptor.c), and the object
 * that carries it through the engine. */
#ifndef MIRROR_LOG_RECORD_H
#define MIRROR_LOG_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/fifo.h"

#define MIRROR_RECORD_DATA_MAX (128u * 1024)   /* larger writes are split */
#define MIRROR_BLOCK_BYTES 4096u               /* unit of log and pool */
#define MIRROR_SECTOR_BYTES 512u               /* unit of offsets and lengths */

enum mirror_record_type {
	MIRROR_RECORD_WRITE = 1,
	MIRROR_RECORD_ZERO,      /* write zeroes; with MAY_DEALLOCATE: a trim */
	MIRROR_RECORD_FLUSH,     /* all before it is to be durable; no extent */
	MIRROR_RECORD_REFRESHED, /* a copy is sent its extent, as it is before this record
				    here: nothing changes but there; no data */
};

#define MIRROR_RECORD_FUA (1u << 0)
#define MIRROR_RECORD_MAY_DEALLOCATE (1u << 1)
#define MIRROR_RECORD_REFRESH (1u << 2)
#define MIRROR_RECORD_INTENT (1u << 3) /* reserved */
#define MIRROR_RECORD_COMMIT (1u << 4) /* reserved */

struct mirror_header {
	uint8_t type;             /* enum mirror_record_type */
	uint8_t flags;            /* MIRROR_RECORD_* bits */
	uint16_t disk;            /* index in the disk table */
	uint32_t crc;             /* of the data, see mirror_header_data_crc() */
	uint64_t sequence;        /* of the mirror, gapless, >= 1 */
	uint64_t disk_sequence;   /* of the disk, gapless, >= 1; 0 for a flush */
	uint64_t generation;      /* ordinal; order is by generation, then group */
	uint64_t group;           /* >= 1 within its generation */
	uint64_t offset_bytes;    /* multiple of 512 */
	uint64_t length_bytes;    /* multiple of 512; 0 for a flush */
	uint32_t data_bytes;      /* length_bytes for a write, else 0 */
	uint64_t time_ns;         /* CLOCK_REALTIME at the stamp */
};

/* Does it change a disk where it stands in the log? */
static inline bool mirror_header_changes(const struct mirror_header *h)
{
	return h->type == MIRROR_RECORD_WRITE || h->type == MIRROR_RECORD_ZERO;
}

/* Where a record stands. One setter: mirror_record_set_state() (record.c). */
enum mirror_record_state {
	MIRROR_RECORD_FREE,
	MIRROR_RECORD_STAMPED,   /* has its sequence, waits for a log write */
	MIRROR_RECORD_LOGGING,   /* in a log write under way */
	MIRROR_RECORD_LOGGED,    /* in the log; durable is a mark, not a state */
	MIRROR_RECORD_HOMING,    /* given to the gate or the task groups */
	MIRROR_RECORD_HOME,      /* its disk has taken it */
};

struct mirror_request;

/* One record that is not yet home (and flushed). Preallocated; found by
 * sequence (table, see engine) and by extent (index.h). */
struct mirror_record {
	struct mirror_header header;
	enum mirror_record_state state;
	uint8_t *data;                    /* pool buffer, or NULL: only in the log */
	uint32_t data_pin_count;          /* log write, frames, reads, home write */
	uint64_t log_position;            /* of its data in the log, once logging */
	struct mirror_request *request;   /* the client's, production only */
	/* extent index (index.h): a treap of the disk's records not yet home */
	struct mirror_record *left, *right, *parent;
	uint64_t subtree_end_bytes;
	uint32_t priority;
	bool indexed;
	/* task groups and the gate (task.h, engine/gate.h) */
	struct mirror_record *next;       /* link of the one queue that owns this */
	uint32_t part_count;              /* parts (by range) not yet home */
	uint32_t sample_crc;              /* HOME: evidence.h; 0: none */
	bool partly_home;                 /* ... and others are: there, newer records
					     may have come home before it */
};

struct mirror_record_queue {
	struct mirror_record *head, *tail;   /* both NULL when empty */
};

/* Move a record to its next state; the table in record.c says which moves are
 * legal, another one aborts. A record that becomes FREE has given everything
 * back: data, pins, queue, parts and index. */
void mirror_record_set_state(struct mirror_record *r, enum mirror_record_state state);

static inline void mirror_record_push(struct mirror_record_queue *q,
				      struct mirror_record *r)
{
	assert(r->next == NULL && r != q->tail);
	fifo_push(q, r);
}

/* Remove and return the oldest record, or NULL if there is none. */
static inline struct mirror_record *mirror_record_pop(struct mirror_record_queue *q)
{
	return fifo_pop(q);
}

static inline uint64_t mirror_record_end(const struct mirror_record *r)
{
	return r->header.offset_bytes + r->header.length_bytes;
}

#endif
