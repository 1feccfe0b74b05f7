/* engine/test_view.h - an engine as tests and the simulator see it: its marks, the work under
 * way, the superblock that it would store. They look at nothing else of it, so that its parts
 * may change their state.
 *
 * Not for the engine itself, nor for the program: `hamirror status` has status.h.
 */
#ifndef MIRROR_ENGINE_TEST_VIEW_H
#define MIRROR_ENGINE_TEST_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/fact.h"
#include "common/order.h"
#include "mirror/engine.h"
#include "mirror/engine/acknowledged.h"
#include "mirror/engine/marks.h"
#include "mirror/engine/refresh.h"
#include "mirror/log/map.h"
#include "mirror/log/record.h"
#include "mirror/log/ring.h"
#include "mirror/log/superblock.h"
#include "mirror/line/wire.h"

/* Another site, as this one knows it. */
struct mirror_view_peer {
	uint32_t link; /* or MIRROR_LINK_NONE */
	enum link_state state;
	bool waited;             /* D3: in a view in effect or undecided */
	bool answers_wait;       /* ... or a candidate: answers wait for it */
	uint64_t candidate_from; /* mark s while it is to enter, else 0 */
	uint64_t logged;         /* as it has confirmed */
	uint64_t proven_durable;
	uint64_t again_ns; /* clients do not wait for it before */
	uint32_t lost_count;
	enum refresh_phase phase;
	bool bypass;           /* clients have outrun it ... */
	uint32_t outrun_count; /* ... so often in a row */
	uint64_t retry_ns;     /* its refresh does not begin before */
};

struct mirror_view_link {
	bool greets, streams_out, sends;
	uint32_t site;
	uint32_t frame_count; /* queued with the driver */
	uint64_t next_send;
	const struct mirror_hello *hello; /* the peer's */
};

struct mirror_view {
	enum engine_state state;
	uint32_t site;
	uint64_t incarnation;
	bool failed;
	enum data_state data;
	bool opened; /* its last step is done */
	const struct config *config;
	const struct engine_marks *marks;
	const struct mirror_superblock *sb; /* as it should be there ... */
	uint64_t sb_wanted, sb_written;     /* ... the same: it is */
	const struct mirror_map *map;       /* NULL: not open */
	const struct mirror_ring *ring;     /* NULL: not open */
	const struct mirror_record *records;

	bool preparing, cutting, leaping, bypassing, greeting; /* under way */
	uint32_t bypass_sites; /* bit per site that the map takes over for */
	uint64_t cut_keep;     /* records beyond it go ... */
	bool cut_home;         /* ... and may be at home */
	const char *undo_text; /* the loss that waits for the operator, or "" */
	uint32_t log_parts;    /* log writes under way */
	uint64_t mark_written; /* durable mark last put into a descriptor ... */
	uint64_t mark_logged;  /* ... that is written */
	bool epoch_stands;     /* the log's epoch is durable: appends may go on */
	bool lift_is_due, holds;
	uint64_t behind; /* records that production is ahead */
	uint32_t stream_link, greeting_link, roll_link, probe_link; /* or NONE */
	const struct order *prepare;  /* the last ORDER_PREPARE ... */
	uint32_t tried;               /* ... and bit per source of it that was asked */
	const struct mirror_ack *ack; /* how far it may answer ... */
	uint32_t missing;             /* ... unless these are missing (M8) */
	bool clients_wait;            /* for a refresh */
	uint64_t view_ballot;

	struct mirror_view_peer peer[CONFIG_SITE_COUNT_MAX];
	struct mirror_view_link link[MIRROR_LINK_COUNT_MAX];
};

/* Fill `v`; its pointers are the engine's, and change as the engine does. */
void mirror_view_fill(const struct mirror_engine *m, struct mirror_view *v);

/* A record that is not yet home and flushed: `sequence` is beyond the mark for that, and
 * stamped. */
const struct mirror_record *mirror_view_record(const struct mirror_view *v,
					       uint64_t sequence);

/* Stamp a record without data, as a demotion leaves one. The next step logs it. Returns its
 * sequence. */
uint64_t mirror_view_stamp_mark(struct mirror_engine *m);

/* Is the superblock written by it? */
bool mirror_view_is_superblock(const struct mirror_io *io);
/* The i-th of the records that it brings home to a disk; NULL: there are no more. */
const struct mirror_record *mirror_view_homing(const struct mirror_io *io, uint32_t i);

/* Where the refresh's oldest read under way begins; false: there is none. */
bool mirror_view_refresh_read(const struct mirror_engine *m, uint64_t *offset_bytes);

#endif
