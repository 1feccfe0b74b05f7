/* internal.h - the engine's own state, shared by the engine_*.c files only.
 *
 * The engine is level-triggered: an event changes state, then the pump
 * (engine.c) asks each part in turn what can be done now. A part's pump may be called at
 * any time and does nothing when there is nothing to do, so no wake-up between
 * parts can be lost. The order of a write: engine_request (stamp) ->
 * engine_log (append, flush) -> engine_send (to the copies) -> engine_refresh (the
 * copies' confirmations) -> engine_request (answer) -> engine_home (bring home) ->
 * engine_free (flush, give the log back).
 */
#ifndef MIRROR_INTERNAL_H
#define MIRROR_INTERNAL_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "mirror/ack.h"
#include "mirror/descriptor.h"
#include "mirror/engine.h"
#include "mirror/group.h"
#include "mirror/history.h"
#include "mirror/index.h"
#include "mirror/map.h"
#include "mirror/pool.h"
#include "mirror/record.h"
#include "mirror/ring.h"
#include "mirror/scan.h"
#include "mirror/stamp.h"
#include "mirror/superblock.h"
#include "mirror/task.h"
#include "mirror/wire.h"

#define NS_PER_MS 1000000ull

/* Bounds (G7), each with its reason. */
#define BATCH_DESCRIPTORS_MAX 4u /* one log write: up to 192 records ... */
#define BATCH_BYTES_MAX                                                                  \
	(512u * 1024)                 /* ... and half a MiB, so that the first
					   of them does not wait for the last */
#define ENTRY_BYTES_MAX (260u * 1024) /* descriptor and its data: fits LINK_READ_BYTES */
#define UNFLUSHED_BYTES_LAZY (1u << 20) /* flush the log at the latest after so much */
#define UNFLUSHED_BYTES_MAX (4u << 20)  /* W4: the scan's window is four times that */
#define FLUSH_LAZY_NS (20 * NS_PER_MS)  /* ... or so long, so that homes can start */
#define MARK_IDLE_NS (10 * NS_PER_MS)   /* W4: a mark follows within 10 ms */
#define READS_MAX 128u                  /* client and refresh reads under way */
#define READ_OVERLAPS_MAX 128u          /* more: the read waits for homes first */
#define RECORDS_MAX 32768u              /* stamped, not yet home and flushed */
#define REPLAYS_MAX 32u
#define HOME_OPS_MAX 256u
#define LINK_FRAMES_MAX 192u /* queued on one link; beyond: from the log */
#define LINK_BYTES_MAX (8u << 20)
#define LINK_READ_BYTES (512u * 1024) /* catch-up reads of the log */
#define FRAMES_MAX (LINK_FRAMES_MAX * 4)
#define REFRESH_READS_MAX 4u
#define SCAN_BYTES (1u << 20)
#define RESERVE_BUFFERS 4u /* of the largest size: replays and greetings go on */
#define HEARTBEAT_NS (500 * NS_PER_MS)
#define RETRY_NS (500 * NS_PER_MS)
#define REFUSED_NS (5000 * NS_PER_MS) /* until a refresh is asked for again */
#define MARKS_NS (50 * NS_PER_MS)     /* production's marks to a copy */
#define HOME_FLUSH_NS (1000 * NS_PER_MS)
#define LOST_GRACE_NS (1000 * NS_PER_MS) /* a reconnect within it is no loss */
#define FLOW_NS (1000 * NS_PER_MS)       /* nothing confirmed for so long: it stands */
#define LEVEL_RECORDS 512u               /* so near, a copy may enter (D3) ... */
#define MAPPING_NS (500 * NS_PER_MS)     /* then clients wait for a refresh to begin */
#define CHASE_NS (1000 * NS_PER_MS)      /* ... or when clients outrun it so long */
#define COPY_TOGETHER 4096u              /* so far behind, it is catching up */
#define DEVICE_LOOK_NS (1000 * NS_PER_MS)  /* how old are our device operations? */
#define DEVICE_HANGS_NS (3000 * NS_PER_MS) /* so old: it is told */
#define FACTS_WAITING_MAX 64u
#define PUMP_ROUNDS_MAX 16u

enum engine_state {
	ENGINE_CLOSED,    /* no device open */
	ENGINE_OPENING,   /* devices, superblock, maps, scan: engine_open.c */
	ENGINE_IDLE,      /* open: a copy, or a production between two periods */
	ENGINE_PREPARING, /* D4, D5: cut, refuse, roll forward */
	ENGINE_STARTING,  /* generation in effect, clients being let in */
	ENGINE_SERVING,
	ENGINE_DEMOTING, /* no new requests, draining */
	ENGINE_CLOSING,
};

/* What a mirror_io was for: the handler in engine.c's table. */
enum io_purpose {
	IO_OPEN, /* superblocks, maps, scan reads, recovery flush */
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

enum link_use {
	LINK_FREE,
	LINK_OPENING,    /* CONNECT ordered */
	LINK_GREETING,   /* hello sent (connector) or awaited (acceptor) */
	LINK_STREAM_OUT, /* production -> copy */
	LINK_STREAM_IN,
	LINK_ROLL_IN, /* we roll forward from it */
	LINK_ROLL_OUT,
	LINK_ENDING, /* close ordered, DOWN awaited */
};

struct engine_link {
	enum link_use use;
	uint32_t site;    /* of the peer, once known */
	uint32_t purpose; /* hello's, connector side */
	bool accepted;
	uint64_t last_heard_ns, last_sent_ns;
	uint64_t next_send; /* STREAM_OUT, ROLL_OUT: next sequence */
	uint64_t send_end;  /* ROLL_OUT: last sequence; else UINT64_MAX */
	bool roll_end_sent;
	bool sending; /* STREAM_OUT: records may flow */
	bool hello_due, welcome_due;
	bool closing; /* close once all that is queued has left */
	char closing_text[160];
	bool map_due; /* own map: to be sent, or awaited */
	uint64_t map_cursor;
	uint64_t progress_ns; /* when it last confirmed something new */
	uint64_t began_at;    /* STREAM_OUT: the last sequence when it began */
	struct mirror_marks marks_sent;
	uint64_t marks_sent_ns;
	uint32_t frame_count; /* queued with the driver */
	uint64_t byte_count;
	struct mirror_io read_io; /* catch-up */
	struct iovec read_iov;
	uint8_t *read_buffer;
	uint32_t read_pin_count; /* frames that point into read_buffer */
	bool reading, read_ready;
	uint32_t read_bytes, read_position;
	struct mirror_hello hello; /* the peer's */
	/* STREAM_IN, confirmations */
	struct site_marks confirmed;
	bool confirmed_held;
};

enum refresh_phase {
	REFRESH_NONE,
	REFRESH_MAPPING, /* map being completed and written */
	REFRESH_ASKED,   /* BEGIN sent, READY awaited */
	REFRESH_COPYING,
	REFRESH_ENDING,  /* END sent, confirmation awaited */
	REFRESH_REFUSED, /* needs consent or room */
};

/* What a copy owes: confirmations of what it could have had. */
struct engine_owed {
	uint64_t has;      /* the most that it has confirmed */
	uint64_t since_ns; /* it lacks something, and no more has come; 0: nothing */
};

/* How long clients wait for a copy, and when again: see engine_trust.c. */
struct engine_trust {
	struct engine_owed logged, durable;
	uint32_t lost_count; /* so often lost, less what it made good */
	uint64_t again_ns;   /* clients do not wait for it before */
	bool behind_told;    /* COPY_LOST of one that is refreshed was sent */
	uint64_t good_ns;    /* waited for, and not lost, since; 0: it is not */
};

/* Another site, as this one knows it. */
struct engine_peer {
	bool wanted; /* ORDER_LINK stands */
	struct order_peer address;
	uint32_t link; /* or MIRROR_LINK_NONE */
	uint64_t retry_at_ns;
	enum link_state state;
	char text[FACT_TEXT_MAX];
	uint64_t since_wall_ns;
	uint64_t chase_ns, chase_behind, chase_logged,
		chase_count;      /* CATCHING_UP: how it was then */
	bool waited;              /* D3: in a view in effect or undecided */
				  /* (ack.h's set: these and the candidates) */
	uint64_t candidate_from;  /* mark s while it is to enter, else 0 */
	uint64_t candidate_count; /* fact.ready_count when named, else 0 */
	bool lost_told;           /* COPY_LOST sent for this absence */
	uint64_t lost_at_ns;      /* ... not before */
	struct engine_trust trust;
	uint64_t incarnation;     /* of its host, by hello */
	struct site_marks marks;  /* by the link; W2 counts `proven` */
	uint64_t proven_durable;
	struct {
		uint64_t generation, group, time_ns; /* generation 0: not known */
	} missed;  /* its first unconfirmed record, once that has left memory */
	bool held; /* it is in a refresh: nothing goes home there */
	enum refresh_phase phase;
	bool inconsistent_ok;
	uint64_t map_cursor, refresh_done, refresh_total;
	uint64_t mapping_ns;    /* MAPPING, ASKED: since */
	uint64_t map_to;        /* MAPPING: the map is to stand for all up to here */
	uint64_t refresh_end;   /* last refresh record */
	uint32_t refused_count; /* by this connection: see engine_pace.c */
	bool all_read;          /* COPYING: no extent is left to be read */
	bool starved;           /* ... or the next read cannot begin: clients wait */
	uint32_t outrun_count;  /* ASKED: so often in a row clients wrote too much */
	uint64_t room_bytes, spent_bytes; /* engine_pace.c: clients may write, have */
	uint64_t room_records, spent_records;
	uint32_t refresh_reads; /* under way */
};

/* A read under way: of a client, or of the refresh. */
struct engine_read {
	bool used;
	struct mirror_io io;
	struct iovec iov;
	struct mirror_request *request; /* NULL: refresh */
	int32_t failed;                 /* given up: what is answered in the end */
	uint32_t disk;
	uint64_t offset_bytes, length_bytes;
	uint8_t *data;
	uint32_t refresh_site, refresh_link;
	uint32_t overlap_count;
	struct {
		uint64_t offset_bytes, length_bytes;
		uint8_t *data;        /* a reference held; NULL: zeroes */
	} overlap[READ_OVERLAPS_MAX]; /* oldest first, laid over what was read */
};

/* A log read that brings a record's data back into memory. */
struct engine_replay {
	struct mirror_io io;
	struct iovec iov;
	uint64_t sequence; /* 0: free */
	uint8_t *data;
};

struct engine_home {
	struct mirror_io io;
	struct iovec iov;
	struct mirror_task_op *op;
	struct engine_home *next;
};

/* Steps of ORDER_OPEN, see engine_open.c. */
enum open_step {
	OPEN_DEVICES,
	OPEN_STABLE,
	OPEN_SUPERBLOCK,
	OPEN_MAPS,
	OPEN_SCAN,
	OPEN_DISKS,
	OPEN_WRITE,
	OPEN_WRITE_BOTH,
	OPEN_MARK,
	OPEN_FLUSH,
	OPEN_DONE,
};

/* Truncation to a cut (D5, D8) or to a hold (W6), see engine_cut.c. */
enum cut_step { CUT_NONE, CUT_QUIET, CUT_HEADERS, CUT_MAP, CUT_SUPERBLOCK };

enum leap_step { LEAP_NONE, LEAP_HOME, LEAP_SUPERBLOCK };
enum bypass_step { BYPASS_NONE, BYPASS_HEADERS, BYPASS_MAP, BYPASS_SUPERBLOCK };
enum greeting_step {
	GREETING_NONE,
	GREETING_QUIET,
	GREETING_STORE,
	GREETING_ANSWER,
};
enum headers_user { HEADERS_BYPASS, HEADERS_CUT };

/* Steps of ORDER_PREPARE, see engine_prepare.c. */
enum prepare_step {
	PREPARE_NONE,
	PREPARE_QUIET,
	PREPARE_CUT,
	PREPARE_REFUSE,
	PREPARE_ROLL,
	PREPARE_FLUSH,
};

struct mirror_engine {
	const struct config *config;
	struct mirror_seed seed;
	uint64_t random_counter;
	enum engine_state state;
	uint64_t now_ns, wall_ns;   /* of the event being taken */
	struct mirror_actions *out; /* ... and where its actions go */
	struct fact facts[FACTS_WAITING_MAX];
	uint64_t fact_head, fact_tail;

	/* memory, taken once */
	struct mirror_pool *pool;
	uint16_t *buffer_refs; /* per pool buffer: who still uses it */
	uint8_t *reserve[RESERVE_BUFFERS];
	uint32_t reserve_count;
	struct mirror_record *records; /* by sequence: (home_flushed, last_sequence] */
	struct engine_read *reads;
	struct engine_replay *replays;
	struct engine_home *homes;
	struct mirror_frame *frames, *frames_free;
	struct mirror_tasks *tasks;
	struct mirror_scan *scan;
	uint8_t *scan_buffer, *sb_buffer, *map_block, *headers_block;
	uint8_t *batch_blocks; /* descriptors, the pad's, one of zeroes */
	struct mirror_superblock sb_scratch;
	struct mirror_hello hello_scratch;
	struct engine_link link[MIRROR_LINK_COUNT_MAX];
	uint64_t ready_count; /* never starts over: see order.ready_seen */
	/* The front-end: one order under way at a time. */
	bool clients_wanted, clients_ordered, clients_busy;
	uint8_t *received_data; /* of the frame being taken */

	/* ---- this open: zeroed by mirror_engine_reset() ---- */
	uint32_t site;
	uint64_t incarnation, open_order_id, close_order_id;
	bool failed; /* a device failed: nothing goes on */
	bool close_asked;
	char failed_text[FACT_TEXT_MAX];
	struct mirror_devices devices;
	uint32_t disk_count;
	uint32_t io_count; /* device operations under way ... */
	struct mirror_io *io_oldest, *io_newest;
	uint64_t look_at_ns; /* engine_watch.c: next; 0: none is under way */
	uint64_t devices_asked_ns;
	bool hangs_told;
	struct mirror_ring *ring;
	struct mirror_map *map;

	/* superblock: `sb` is what should be there */
	struct mirror_superblock sb;
	uint64_t sb_wanted, sb_writing, sb_written; /* tickets */
	bool sb_busy;
	uint64_t sb_tail_position; /* in the one being written ... */
	uint64_t sb_proves;        /* ... and what it says is durable */
	uint64_t epoch_ticket;     /* log_epoch durable: appends may go on */
	uint64_t freed_bytes;
	struct mirror_io sb_io;
	struct iovec sb_iov;

	/* open */
	enum open_step open_step;
	bool open_found, devices_asked;
	int32_t open_error; /* why it was given up; 0: it was not */
	char open_text[FACT_TEXT_MAX];
	uint64_t open_ticket;
	uint64_t scan_since_ns;
	struct mirror_io open_io;
	struct iovec open_iov;
	uint32_t open_map_site;
	uint64_t open_map_block;

	/* evidence.h: each disk is compared on its own */
	struct engine_disk {
		struct mirror_io io;
		struct iovec iov;
		uint32_t slot;        /* of the sample under way */
		uint32_t same, other; /* so many were, or were not, as they should be */
		bool sampled;         /* a superblock with samples of it was asked for */
	} disk[CONFIG_DISK_COUNT_MAX];

	/* records */
	uint64_t last_sequence, last_generation, last_group, last_time_ns;
	uint64_t disk_sequence[CONFIG_DISK_COUNT_MAX];
	struct mirror_index index[CONFIG_DISK_COUNT_MAX];
	struct mirror_stamp stamp;

	/* log */
	uint64_t next_to_log;
	uint64_t logged, durable; /* marks of this site */
	uint64_t unflushed_bytes, unflushed_since_ns;
	bool log_flushing, flush_now;
	uint32_t log_parts; /* log writes under way: batch, pad */
	bool log_full;      /* the next batch found no room */
	uint64_t batch_first, batch_last, batch_bytes;
	uint64_t flush_covers;
	uint64_t mark_written;  /* durable mark last put into a descriptor, ... */
	uint64_t mark_logged;   /* ... in one that is written, ... */
	uint64_t flush_proves;  /* ... before the flush under way began */
	uint64_t mark_since_ns; /* mark_logged waits for a flush */
	uint64_t proven;        /* a mark that is durable says: up to here (W1) */
	uint64_t mark_due_ns;
	struct mirror_io batch_io, pad_io, flush_io;
	struct iovec batch_iov[MIRROR_IO_IOV_MAX], pad_iov;

	/* answers */
	struct mirror_ack ack;
	uint64_t acknowledged_seen; /* groups are closed up to here */
	uint64_t read_floor; /* D5: at home before it was acknowledged: reads wait */
	uint64_t lease_until_ns;
	uint64_t view_ballot;
	struct history view_history;
	struct mirror_request_list writes_pending, flushes_pending; /* stamped */
	struct mirror_request_list reads_waiting, requests_waiting; /* not yet begun */
	struct mirror_request_list answers_held;                    /* for a lease */
	uint32_t pending_count;

	/* home */
	struct mirror_group gate;
	struct mirror_record_queue gate_issue;
	struct mirror_header
		gate_last; /* order: flush: home, its disks not yet flushed */
	bool gate_dirty[CONFIG_DISK_COUNT_MAX];
	uint32_t gate_flushes_running;
	struct mirror_io gate_flush_io[CONFIG_DISK_COUNT_MAX];
	bool home_reset_due;
	uint32_t homing_count;
	uint64_t home_next;    /* next sequence to bring home */
	uint64_t home_done;    /* all up to here: at home ... */
	uint64_t home_flushed; /* ... and flushed there */
	uint64_t home_wanted;  /* somebody waits for that much */
	uint64_t replay_next;
	struct engine_home *homes_free;
	uint64_t disks_dirty_since_ns;
	bool disk_dirty[CONFIG_DISK_COUNT_MAX];
	uint32_t disk_flushes_running;
	uint64_t disk_flush_covers;
	struct mirror_io disk_flush_io[CONFIG_DISK_COUNT_MAX];
	uint32_t refresh_read_count;

	/* maps, and headers read back */
	struct mirror_io map_io;
	struct iovec map_iov;
	bool map_writing, map_flush_needed;
	uint64_t map_changes, map_covers, map_durable;
	uint64_t map_epoch_ticket;
	struct mirror_io headers_io;
	struct iovec headers_iov;
	bool headers_reading;
	enum headers_user headers_user;
	enum bypass_step bypass_step;
	uint64_t bypass_next, bypass_ticket;
	uint32_t
		bypass_sites; /* bit per site that the round stands for, from its begin */
	uint32_t bypass_round;

	/* cut and leap */
	enum cut_step cut_step;
	uint64_t cut_keep, cut_next, cut_ticket;
	struct history cut_history;
	bool cut_home; /* what goes may be at home: own map */
	enum leap_step leap_step;
	struct mirror_refresh_begin leap_begin;
	uint32_t leap_room_blocks; /* beyond what was announced */
	uint64_t leap_ticket;

	/* links */
	struct engine_peer peer[CONFIG_SITE_COUNT_MAX];
	struct uuid proven_generation;
	uint32_t stream_link;   /* copy: the STREAM_IN, or NONE */
	uint32_t greeting_link; /* the hello being judged, or NONE */
	char refused_text[FACT_TEXT_MAX]; /* the last refusal of a hello that was told */
	uint32_t undo_allowed;  /* engine_undo.c: bit per site */
	char undo_text[FACT_TEXT_MAX];
	enum greeting_step greeting_step;
	uint64_t greeting_ticket, greeting_map_ticket;
	uint64_t copy_end;    /* refresh: level when durable to here */
	uint64_t lift_ticket; /* ... and the hold lifted in the superblock */
	uint64_t copy_behind; /* records that production is ahead */
	bool clean_due;
	struct uuid clean_generation;
	uint64_t clean_sequence;

	/* prepare, serve, demote, probe, mark */
	enum prepare_step prepare_step;
	bool prepared;
	struct order prepare;
	uint32_t prepare_reached, prepare_tried, prepare_level, prepare_busy;
	uint64_t roll_end;                /* of the source: what it has said it holds */
	char prepare_text[FACT_TEXT_MAX]; /* why the last source was of no use */
	uint32_t roll_link, probe_link, probe_site;
	uint64_t prepare_ticket, serve_ticket, serve_map_ticket, mark_ticket;
	uint64_t serve_order_id, demote_order_id, probe_order_id, mark_order_id;
	uint64_t demote_deadline_ns;
	bool demote_clean, demote_closing, demote_told;
	char demote_text[FACT_TEXT_MAX]; /* why it was not drained */
	uint32_t demote_heirs; /* who is told of the clean end */

	enum data_state data;
	char data_text[FACT_TEXT_MAX];
	struct site_marks marks_told;
	uint64_t marks_due_ns;
	struct mirror_status counters; /* only its counters are used */
};

/* From the first field of this open to the end of the struct: see
 * mirror_engine_reset(). */
#define MIRROR_ENGINE_PER_OPEN(m) ((char *)(m) + offsetof(struct mirror_engine, site))
#define MIRROR_ENGINE_PER_OPEN_BYTES                                                     \
	(sizeof(struct mirror_engine) - offsetof(struct mirror_engine, site))

#endif
