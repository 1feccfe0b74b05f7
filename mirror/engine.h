/* engine.h - the mirror core: the life of a write on both sites.
 *
 * Pure logic. mirror_step() takes one event, with the time in it, and adds
 * actions to `out`: device operations to submit, requests to answer,
 * frames to send, links to open or close, facts to report. It performs no I/O,
 * reads no clock, allocates nothing after mirror_engine_create(), and logs
 * nothing: reasons travel in the facts. The drivers and the simulator run the
 * same code.
 *
 * Source: docs/rules.md (G1-G8, W1-W6); docs/write-path.md walks through it.
 */
#ifndef MIRROR_ENGINE_H
#define MIRROR_ENGINE_H

#include "common/config.h"
#include "common/fact.h"
#include "common/order.h"
#include "mirror/io.h"
#include "mirror/status.h"

struct mirror_engine;
struct mirror_pool;

/* See the table at the head of engine.c. */
enum engine_state {
	ENGINE_CLOSED,    /* no device open */
	ENGINE_OPENING,   /* devices, superblock, maps, scan: engine/open.c */
	ENGINE_IDLE,      /* open: a copy, or a production between two periods */
	ENGINE_PREPARING, /* D4, D5: cut, refuse, roll forward */
	ENGINE_STARTING,  /* generation in effect, clients being let in */
	ENGINE_SERVING,
	ENGINE_DEMOTING, /* no new requests, draining */
	ENGINE_CLOSING,
};

enum mirror_event_type {
	MIRROR_EVENT_TICK,          /* wake_at_ns has come, or time just passed */
	MIRROR_EVENT_ORDER,         /* from the members' side */
	MIRROR_EVENT_DEVICES,       /* answers `open_devices` */
	MIRROR_EVENT_DEVICES_CLOSED,/* answers `close_devices` */
	MIRROR_EVENT_IO,            /* a device operation is done */
	MIRROR_EVENT_REQUEST,       /* a client's request */
	MIRROR_EVENT_CLIENT_GONE,   /* connection hung up: drop its unstamped ones */
	MIRROR_EVENT_CLIENTS,       /* answers `clients`: sockets open or closed */
	MIRROR_EVENT_LINK_UP,
	MIRROR_EVENT_LINK_DOWN,
	MIRROR_EVENT_RECEIVED,
	MIRROR_EVENT_SENT,          /* a frame left, or its link is closed */
};

struct mirror_event {
	enum mirror_event_type type;
	bool more;                              /* others follow at once: take it in, and act
						   on all of them with the next without */
	uint64_t now_ns;                        /* CLOCK_BOOTTIME */
	uint64_t wall_ns;                       /* CLOCK_REALTIME */
	union {
		const struct order *order;
		const struct mirror_devices *devices;
		struct mirror_io *io;
		struct mirror_request *request;
		void *client;                   /* CLIENT_GONE */
		int32_t error;                  /* CLIENTS: 0 or -errno */
		struct {
			uint32_t link;
			bool accepted;          /* UP: the peer connected to us */
			const char *text;       /* DOWN: why; UP: the peer's address */
		} link;
		const struct mirror_received *received;
		struct mirror_frame *frame;     /* SENT */
	};
};

#define MIRROR_FACTS_PER_STEP_MAX 16

enum mirror_clients_action {
	MIRROR_CLIENTS_KEEP,
	MIRROR_CLIENTS_OPEN,
	MIRROR_CLIENTS_CLOSE
};

struct mirror_actions {
	bool open_devices;                     /* log and disks of `site` */
	bool close_devices;                    /* all I/O is done */
	uint32_t site;
	enum mirror_clients_action clients;    /* listen, or drop all and stop */
	struct mirror_io_list io;              /* submit in list order */
	bool io_first;                         /* begin `io` before `send` leaves */
	struct mirror_request_list answer;     /* check the lease, then answer */
	struct mirror_frame_list send;         /* in order, per link */
	uint32_t link_order_count;
	struct mirror_link_order link_order[MIRROR_LINK_COUNT_MAX];
	uint32_t fact_count;
	struct fact fact[MIRROR_FACTS_PER_STEP_MAX];
	uint64_t wake_at_ns;                   /* send a TICK then; UINT64_MAX: never */
};

struct mirror_seed {
	uint64_t random[4];                    /* for uuids, nonces, priorities */
};

/* Make an engine for this configuration. All memory is taken here: the pool of
 * config->memory_bytes and the tables. `config` must outlive the engine.
 * Returns NULL when memory is short. */
struct mirror_engine *mirror_engine_create(const struct config *config,
					   const struct mirror_seed *seed);
void mirror_engine_destroy(struct mirror_engine *m);

/* Take one event. `out` is emptied first. */
void mirror_step(struct mirror_engine *m, const struct mirror_event *event,
		 struct mirror_actions *out);

/* The pool of data buffers, for the front-end and the links. */
struct mirror_pool *mirror_engine_pool(struct mirror_engine *m);

/* Piece `i`, from 0, of the memory that mirror_engine_create() took for writes and reads, for
 * a caller that wants its pages there before the first of them. It stays where it is, so any
 * thread may ask. False: there is no such piece. */
bool mirror_engine_memory(const struct mirror_engine *m, uint32_t i, struct iovec *piece);

/* Flow control. False: the front-end stops reading its clients, or the link
 * its stream, until a later step returns true again. */
bool mirror_engine_takes_requests(const struct mirror_engine *m);
bool mirror_engine_takes_frames(const struct mirror_engine *m, uint32_t link);

/* D7: the last instant at which an answer may leave (CLOCK_BOOTTIME). The
 * driver compares it with the clock right before it submits answers; it keeps
 * late ones back and offers them again after the next lease, or drops them
 * with their connection when clients are closed. */
uint64_t mirror_engine_lease_until_ns(const struct mirror_engine *m);

/* Records that a copy has taken in and not yet logged, so not yet confirmed. */
uint64_t mirror_engine_unconfirmed(const struct mirror_engine *m);

/* The counters that a status has (status.h), as they run: nothing else of it is set. */
const struct mirror_status *mirror_engine_counters(const struct mirror_engine *m);

/* Size in bytes of a disk as clients see it; 0 while not serving. */
uint64_t mirror_engine_disk_bytes(const struct mirror_engine *m, uint32_t disk);

/* Its sectors, as clients are to see them: the larger ones of all sites; at least 512. */
uint32_t mirror_engine_disk_sector_bytes(const struct mirror_engine *m, uint32_t disk);

/* Abort if an invariant is broken. The simulator calls it after every step. */
void mirror_engine_check(const struct mirror_engine *m);

#endif
