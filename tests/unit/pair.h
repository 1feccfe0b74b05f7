/* pair.h - engines of two or three sites in one process, without time or devices:
 * they run mirror_step(), the code that ships. One seed decides the order in
 * which device operations end, frames arrive and clients write; a crash drops
 * unflushed sectors at random, some of them torn.
 *
 * A few rules (pair.c) play the members' side: a copy that is ready is waited for, a lost
 * one no longer.
 */
#ifndef TESTS_UNIT_PAIR_H
#define TESTS_UNIT_PAIR_H

#include "mirror/engine.h"
#include "mirror/engine/state.h"

#define PAIR_SITES_MAX 6u
#define PAIR_DISKS 2u
#define PAIR_DISK_BYTES (1u << 20)
#define PAIR_IO_MAX 2048u
#define PAIR_REQUESTS 48u
#define PAIR_JOURNAL_MAX (1u << 20)

struct pair_device {
	uint8_t *now;    /* as reads see it */
	uint8_t *stable; /* the part that a power cut surely leaves */
	uint8_t *dirty;  /* per sector: now differs from stable */
	bool stuck;      /* nothing ends on it */
	bool no_flush;   /* no flush ends on it */
	uint32_t slow;   /* one in so many turns does something end on it; 0: each */
	uint64_t bytes;
	int32_t fail;                /* operations fail with it; 0: none */
	uint32_t fail_ops;           /* ... of these kinds only (1 << op); 0: all */
	uint32_t fail_after;         /* ... when so many of them went well */
	uint64_t fail_from, fail_to; /* ... in this extent only; to 0: all */
};

struct pair_connection;

struct pair_site {
	struct mirror_engine *engine;
	struct pair_device log, disk[PAIR_DISKS];
	struct mirror_io *io[PAIR_IO_MAX];
	uint32_t io_count;
	bool open, opening, closing, clients, clients_due, wait_due;
	bool up;
	bool lost_power; /* and has not linked since */
	uint64_t wake_at_ns;
	uint64_t incarnation;
	struct mirror_event sent[FRAMES_MAX]; /* frames that left, not yet told */
	uint32_t sent_count;
	uint64_t io_first_count; /* steps whose devices begin before frames leave */
	struct fact last[FACT_EVENT + 1]; /* newest of each type */
	uint32_t fact_count[FACT_EVENT + 1];
	uint32_t waited;
	uint64_t ready_seen;
	bool serving;
	uint64_t lease_until_ns;
	uint64_t bare_from; /* pair_order.c: the bare disk counts from here on */
	bool bare;
};

struct pair {
	struct config *config;
	uint64_t random, now_ns;
	uint64_t wall_ahead_ns; /* of all wall clocks, of now_ns */
	uint32_t site_count;
	struct pair_site site[PAIR_SITES_MAX];
	struct history history; /* the view's chain */
	uint64_t ballot;
	bool cut[PAIR_SITES_MAX]; /* no connection to or from it */
	struct promise promise;   /* that orders carry; see pair_promise() */
	uint32_t missing;         /* likewise: bit per required copy (M8) */
	bool alone; /* a copy that is gone is waited for, as without members */
	bool verbose;
	/* connections: see pair_io.c */
	struct pair_connection *connections;
	/* the client: every write stamped, by sequence, and the records promised to it */
	bool client_on;
	uint32_t client_site;
	struct mirror_request request[PAIR_REQUESTS];
	uint64_t request_number[PAIR_REQUESTS];
	bool request_busy[PAIR_REQUESTS];
	uint32_t request_site[PAIR_REQUESTS];
	uint64_t request_after[PAIR_REQUESTS]; /* newest write answered before it */
	uint64_t write_number;
	struct pair_write *journal; /* index: sequence */
	uint64_t journal_last;
	uint64_t acknowledged, flushed; /* highest sequences answered ... */
	uint64_t answered;              /* ... with the marks of flushes */
	uint64_t seen;                  /* highest sequence that a read has shown */
	uint64_t whole; /* highest acknowledged while no required copy was missing (M8) */
	bool flushed_only; /* power was lost and no copy was current: see pair_promote() */
	uint64_t request_floor[PAIR_REQUESTS];
	uint64_t answered_count, error_count, read_count;
	uint64_t span_bytes;  /* of each disk: small, so that writes overlap ... */
	uint64_t first_bytes; /* ... from there on */
	bool only_reads;
	uint32_t slow;             /* bit per site: its line takes its time */
	uint32_t garble_one_in;    /* frames that arrive garbled; 0: none */
	struct pair_order *order;  /* pair_order.c */
	uint32_t bare_check_every; /* steps between checks of bare disks; 0: none */
	uint64_t bare_checks;
};

/* A record as the client's side saw it stamped. */
struct pair_write {
	uint32_t disk;
	uint64_t offset_bytes, length_bytes;
	uint64_t number;     /* the content of its sectors; 0: zeroes */
	uint64_t generation; /* ordinal */
	uint64_t group;
	uint64_t stamped_ns;
	bool failed; /* its client was told so */
};

struct pair *pair_create(uint64_t seed, uint32_t site_count, uint64_t log_bytes);
void pair_destroy(struct pair *p);

/* Start the process of a site, or end it: `power` drops the unflushed sectors. */
void pair_start(struct pair *p, uint32_t site);
/* Make the log of a site whose process is down anew, blank, and zero its disks. */
void pair_blank(struct pair *p, uint32_t site);
void pair_crash(struct pair *p, uint32_t site, bool power);

/* Let up to `steps` things happen; stops early when nothing is left to happen. */
void pair_run(struct pair *p, uint32_t steps);
/* ... until `done` says so; false after `steps`. */
bool pair_run_until(struct pair *p, uint32_t steps,
		    bool (*done)(struct pair *p, uint32_t site), uint32_t site);

void pair_order(struct pair *p, uint32_t site, const struct order *o);
/* Prepare and serve with `sources` (bits) rolled forward from; true when it serves. */
bool pair_promote(struct pair *p, uint32_t site, uint32_t sources, bool force);
/* Answers of `site` are to satisfy that promise, by an ORDER_WAIT of the next steps: each
 * answer, and each promotion without a force, is compared with it. */
void pair_promise(struct pair *p, uint32_t site, uint32_t mode, uint32_t records,
		  uint32_t ms);
void pair_link(struct pair *p, uint32_t from, uint32_t to);
bool pair_is_level(struct pair *p, uint32_t site);
/* Check that the content of `site`, home and log together, is the writes up to its last
 * sequence, and that it includes all acknowledged writes (`durable`: all flushed ones). */
void pair_expect_history(struct pair *p, uint32_t site);
/* Its disks alone hold exactly the writes up to `last`. */
void pair_expect_disks(struct pair *p, uint32_t site, uint64_t last);
/* G2: the bare disks of a copy, without its log, hold some number of whole groups
 * and any part of the next (pair_order.c). Nothing is expected of one that is
 * replaying, catching up, being refreshed, or was production a moment ago. */
void pair_expect_bare(struct pair *p, uint32_t site);
/* As before, of the disks that a crash has left; ask pair_is_bare() before it. */
void pair_expect_bare_image(struct pair *p, uint32_t site);
bool pair_is_bare(struct pair *p, uint32_t site);
/* G7: idle, nothing is kept: no buffer, frame, read or home write. */
void pair_expect_idle(struct pair *p, uint32_t site);
/* Stop the client and let every request be answered. */
bool pair_quiesce(struct pair *p, uint32_t steps);
/* Home alone, once all is there: equal on two sites. */
bool pair_is_home(struct pair *p, uint32_t site);
void pair_expect_equal(struct pair *p, uint32_t a, uint32_t b);
uint64_t pair_random(struct pair *p, uint64_t below);

#endif
