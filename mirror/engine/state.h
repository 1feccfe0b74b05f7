/* engine/state.h - the engine: the state that its parts share, and the state of each
 * part, which that part's header declares beside its functions. For the engine only.
 *
 * The engine is level-triggered: an event changes state, then, after the last of those that
 * come together, the pump (engine.c) asks each part in turn what can be done now. A part's
 * pump may be called at any time and does nothing when there is nothing to do, so no wake-up
 * between parts can be lost. The order of a write: request.c (stamp) -> log.c (append, flush)
 * -> send.c (to the copies) -> receive.c, confirm_send.c (at a copy) -> confirm_take.c ->
 * answer.c -> home.c (bring home) -> free.c (flush, give the log back).
 */
#ifndef MIRROR_ENGINE_STATE_H
#define MIRROR_ENGINE_STATE_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "mirror/log/descriptor.h"
#include "mirror/engine.h"
#include "mirror/engine/answer.h"
#include "mirror/engine/bounds.h"
#include "mirror/engine/buffers.h"
#include "mirror/engine/clients.h"
#include "mirror/engine/close.h"
#include "mirror/engine/receive.h"
#include "mirror/engine/confirm_send.h"
#include "mirror/engine/confirm_take.h"
#include "mirror/engine/cut.h"
#include "mirror/engine/demote.h"
#include "mirror/engine/enter_current.h"
#include "mirror/engine/same_disks.h"
#include "mirror/engine/free.h"
#include "mirror/engine/greet.h"
#include "mirror/engine/hold.h"
#include "mirror/engine/home.h"
#include "mirror/engine/link.h"
#include "mirror/engine/log.h"
#include "mirror/engine/maps.h"
#include "mirror/engine/marks.h"
#include "mirror/engine/near.h"
#include "mirror/engine/open.h"
#include "mirror/engine/outrun.h"
#include "mirror/engine/pace.h"
#include "mirror/engine/prepare.h"
#include "mirror/engine/read.h"
#include "mirror/engine/recover.h"
#include "mirror/engine/refresh.h"
#include "mirror/engine/request.h"
#include "mirror/engine/rights.h"
#include "mirror/engine/send.h"
#include "mirror/engine/status.h"
#include "mirror/engine/store.h"
#include "mirror/engine/throttle.h"
#include "mirror/engine/trust.h"
#include "mirror/engine/undo.h"
#include "mirror/engine/watch.h"
#include "mirror/engine/yield.h"
#include "mirror/line/history.h"
#include "mirror/engine/index.h"
#include "mirror/log/map.h"
#include "mirror/engine/pool.h"
#include "mirror/log/record.h"
#include "mirror/log/ring.h"
#include "mirror/log/scan.h"
#include "mirror/log/superblock.h"
#include "mirror/engine/task.h"
#include "mirror/line/wire.h"

/* The purpose of a mirror_io: the handler in engine.c's table. */
enum io_purpose {
	IO_OPEN,   /* superblocks, maps, scan reads, recovery flush */
	IO_SAMPLE, /* a block of a disk, compared at an open */
	IO_SUPERBLOCK,
	IO_SUPERBLOCK_FLUSH,
	IO_LOG_WRITE,
	IO_LOG_PAD,
	IO_LOG_FLUSH,
	IO_MAP,
	IO_MAP_FLUSH,
	IO_HOME,
	IO_REPLAY, /* log read of a record whose data is not in memory */
	IO_DISK_FLUSH,
	IO_GATE_FLUSH, /* order: flush, between groups */
	IO_READ,
	IO_LINK_READ,
	IO_HEADERS, /* descriptor blocks re-read: bypass and truncation */
};

/* Facts and events that wait for a step with room for them. */
struct engine_facts {
	struct fact waiting[FACTS_WAITING_MAX];
	uint64_t head, tail;
};

/* Tables and blocks that the parts work in, taken once. */
struct engine_memory {
	struct mirror_record *records; /* by sequence: (marks.home_flushed, marks.last] */
	struct mirror_ack_record *acks; /* by sequence: the newest RECORDS_MAX */
	struct engine_read *reads;
	struct engine_replay *replays;
	struct engine_home_op *homes;
	struct mirror_frame *frames, *frames_free;
	struct mirror_tasks *tasks;
	struct mirror_scan *scan;
	uint8_t *scan_buffer, *sb_buffer, *map_block, *headers_block;
	uint8_t *batch_blocks; /* descriptors, the pad's, one of zeroes */
	struct mirror_superblock sb_scratch;
	struct mirror_hello hello_scratch;
};

/* One open of a site, from ORDER_OPEN until its devices are closed. State that a part
 * keeps from one open to the next is not in it: mirror_engine_reset() empties it. */
struct engine_open {
	uint32_t site;
	uint64_t incarnation;
	bool failed; /* a device failed: nothing goes on */
	char failed_text[FACT_TEXT_MAX];
	enum data_state data;
	char data_text[FACT_TEXT_MAX];
	struct mirror_devices devices;
	uint32_t disk_count;
	struct mirror_ring *ring;
	struct mirror_map *map;
	struct mirror_superblock sb; /* as it should be there */
	struct engine_superblock_writer writer;
	struct engine_opening opening;
	struct engine_disk disk[CONFIG_DISK_COUNT_MAX];
	struct engine_closing closing;
	struct engine_watch watch;
	struct engine_marks marks;
	struct engine_requests requests;
	struct mirror_index index[CONFIG_DISK_COUNT_MAX]; /* of records not yet home */
	struct engine_throttle throttle;
	struct engine_reading reading;
	struct mirror_yield yield;
	struct engine_log log;
	struct engine_home home;
	struct engine_free free;
	struct engine_bypass bypass;
	struct engine_maps maps;
	struct engine_headers headers;
	struct engine_cut cut;
	struct engine_leap leap;
	struct engine_peer peer[CONFIG_SITE_COUNT_MAX];
	struct uuid proven_generation; /* the peers' `proven_durable` is of its history */
	struct engine_greeting greeting;
	struct engine_undo undo;
	struct engine_copy copy;
	struct engine_told told;
	struct engine_prepare prepare;
	struct engine_serve serve;
	struct engine_demote demote;
	struct engine_recover recover;
	struct engine_probe probe;
	struct engine_mark mark;
	struct mirror_status counters; /* only its counters are used */
};

struct mirror_engine {
	const struct config *config;
	struct mirror_seed seed;
	uint64_t random_counter;
	enum engine_state state;
	/* of the event being taken: */
	uint64_t now_ns, wall_ns;
	struct mirror_actions *out;
	bool changed; /* since the parts were asked last: see mirror_engine_changed() */
	uint8_t *received_data; /* of the frame */
	struct engine_facts facts;
	struct engine_buffers buffers;
	struct engine_memory memory;
	struct engine_link link[MIRROR_LINK_COUNT_MAX];
	uint64_t ready_count; /* never starts over: see order.ready_seen */
	struct engine_clients clients;
	struct engine_open open;
};

/* A part that comes later in the order of a write may have made work for an earlier one:
 * all are asked again in this step. A part that changes state which another part's pump
 * reads says so, by a setter. */
static inline void mirror_engine_changed(struct mirror_engine *m)
{
	m->changed = true;
}

/* The setter of a field of this open that needs no function of its own. */
#define MIRROR_SET(m, field, value)                                                      \
	do {                                                                             \
		const __typeof__((m)->open.field) value_ = (value);                      \
                                                                                         \
		if ((m)->open.field != value_)                                           \
			mirror_engine_changed(m);                                        \
		(m)->open.field = value_;                                                \
	} while (0)

void mirror_engine_set_state(struct mirror_engine *m, enum engine_state state);
/* `io` is filled in. */
void mirror_engine_submit(struct mirror_engine *m, struct mirror_io *io);
/* Fill `io` in and submit it: read or write the one buffer of `iov`; flush. */
void mirror_engine_transfer(struct mirror_engine *m, struct mirror_io *io,
			    enum mirror_io_op op, uint32_t device, uint64_t offset_bytes,
			    struct iovec *iov, uint32_t purpose, void *owner);
void mirror_engine_flush(struct mirror_engine *m, struct mirror_io *io, uint32_t device,
			 uint32_t purpose);
void mirror_engine_wake(struct mirror_engine *m, uint64_t at_ns);
struct fact *mirror_engine_fact(struct mirror_engine *m, enum fact_type type);
void mirror_engine_event(struct mirror_engine *m, const char *object, const char *rule,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));
const char *mirror_engine_site_name(const struct mirror_engine *m, uint32_t site);
void mirror_engine_fail(struct mirror_engine *m, uint32_t device, int32_t error,
			const char *what);
void mirror_engine_hung(struct mirror_engine *m, const char *text);
void mirror_engine_damage(struct mirror_engine *m, const char *text);
#define MIRROR_DEVICE_NAME_MAX (CONFIG_PATH_MAX + CONFIG_NAME_MAX + 16)
/* "writelog PATH", "disk NAME (PATH)": of a mirror_io's `device`. */
void mirror_device_name(const struct mirror_engine *m, uint32_t device, char *name,
			size_t size);
void mirror_engine_set_data(struct mirror_engine *m, enum data_state data,
			    const char *text);
uint64_t mirror_engine_random(struct mirror_engine *m);
struct mirror_record *mirror_engine_record(struct mirror_engine *m, uint64_t sequence);

void mirror_text(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* engine/create.c */
void mirror_engine_reset(struct mirror_engine *m);

#endif
