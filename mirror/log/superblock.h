/* superblock.h - the log's identity and state: two slots, written in turn; the
 * newest valid one counts.
 *
 * Pure logic: no I/O, no allocation; decoding is safe on any bytes.
 *
 * Orders that the engine must keep:
 * 1. A slot is written and flushed before anything relies on it; the next write
 *    goes to the other slot. So a torn write loses nothing that anybody relied on.
 * 2. log_epoch grows at each open, restart (mirror_superblock_restart()), hold set
 *    and hold lifted, and is durable here before a descriptor carries it. A scan
 *    that meets a later epoch than log_epoch so knows that a newer superblock was
 *    lost, and refuses.
 * 3. Ring space is reused only when a superblock whose tail hint lies beyond it is
 *    durable (mirror_ring_release()).
 * 4. At a truncation durable, home and clean are lowered with it (restart does).
 * 5. A map's epoch is durable here before a map block carries it (map.h).
 *
 * Layout, offset by offset: docs/formats.md. Source: docs/rules.md
 * (W1-W6).
 */
#ifndef MIRROR_LOG_SUPERBLOCK_H
#define MIRROR_LOG_SUPERBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/identity.h"
#include "mirror/disk_table.h"
#include "mirror/engine/evidence.h"

#define MIRROR_SUPERBLOCK_BYTES (64u * 1024)          /* of one slot */
#define MIRROR_SUPERBLOCK_SLOT_COUNT 2u
#define MIRROR_SUPERBLOCK_AREA_BYTES                                                     \
	(MIRROR_SUPERBLOCK_SLOT_COUNT * MIRROR_SUPERBLOCK_BYTES)
#define MIRROR_SUPERBLOCK_VERSION 1u
#define MIRROR_LOG_BYTES_MIN (2u * 1024 * 1024)
#define MIRROR_RING_BYTES_MIN (1u * 1024 * 1024)
#define MIRROR_RESTART_COUNT_MAX 16u

/* A sequence with the ordinal of its generation. */
struct mirror_mark {
	uint64_t generation;
	uint64_t sequence;
};

/* A place where the ring's sequences do not simply go on: records before `position` count
 * up to `sequence` only; at `position` the log goes on with sequence + 1, under `epoch`
 * or later. A truncation steps back; a refresh that begins beyond the held records leaps
 * ahead. */
struct mirror_restart {
	uint64_t position;
	uint64_t sequence;
	uint64_t epoch;
};

enum mirror_refresh_kind {
	MIRROR_REFRESH_NONE,
	MIRROR_REFRESH_HELD,       /* W6: logged above the hold */
	MIRROR_REFRESH_BLANK,      /* no hold: blank, or --allow-inconsistent */
};

enum mirror_map_state {
	MIRROR_MAP_VALID,          /* the map's blocks name the extents that the site misses */
	MIRROR_MAP_ALL_DIRTY,      /* nothing is proven: it misses everything */
};

struct mirror_superblock_site {
	char name[CONFIG_NAME_MAX];
	uint64_t map_start_bytes;  /* on the log device */
	uint64_t map_bytes;
	uint64_t map_epoch;        /* >= 1; see map.h */
	uint64_t map_position;     /* sequence up to which the map stands in for the
				      log; 0: none */
	uint64_t since_ns;         /* CLOCK_REALTIME: since when it is away; 0: not */
	enum mirror_map_state map_state;
	bool disconnected;         /* `cluster: none`: put out by the operator ... */
	bool bypass;               /* ... by `hamirror bypass` */
	bool map_due;              /* a force set bits of the map here: the site misses
				      those extents in any case */
	bool current;              /* `cluster: none`: writes wait for it */
};

struct mirror_superblock {
	uint64_t write_counter;    /* grows by one with each write; slot = counter % 2 */
	/* identity */
	struct uuid mirror;
	struct uuid lineage;
	struct uuid site_id;
	struct uuid log;
	char mirror_name[CONFIG_NAME_MAX];
	uint32_t site;             /* index of ours in `sites` */
	uint32_t site_count;
	struct mirror_superblock_site sites[CONFIG_SITE_COUNT_MAX];
	struct mirror_disk_table disks;
	/* layout (no extensions: the chain is written empty) */
	uint64_t log_bytes;
	uint64_t ring_start_bytes;
	uint64_t ring_bytes;
	/* state */
	uint64_t log_epoch;        /* >= 1 */
	uint64_t incarnation;      /* of the host that has it open; 0: closed */
	uint64_t tail_position;    /* hints: where a scan begins, ... */
	uint64_t tail_sequence;    /* ... the sequence expected there; 0: no hint, the
				      scan searches the whole ring ... */
	uint64_t tail_epoch;       /* ... and the lowest epoch that counts there */
	uint64_t head_position;
	struct mirror_mark durable;
	struct mirror_mark home;
	uint64_t next_sequence;    /* floor: no lower sequence may be given out */
	uint64_t last_time_ns;     /* CLOCK_REALTIME of the newest record when written */
	struct {
		struct uuid generation;   /* zero: none */
		uint64_t ballot;
	} refusal;                 /* D4: the only generation accepted in a hello */
	struct {
		bool active;
		uint64_t generation;
		uint64_t sequence; /* records above are dropped unless it is lifted */
		uint64_t position; /* where it begins: the head when it was set */
	} hold;
	struct {
		enum mirror_refresh_kind kind;
		struct uuid source;       /* generation that it comes from */
	} refresh;
	struct {
		bool set;
		struct uuid generation;
		uint64_t sequence;
	} clean;                   /* demoted with nothing left behind */
	bool handed_over;          /* `cluster: none`: another site may have been promoted
				      since without asking this one */
	bool blank;                /* made without data: Inconsistent until the first
				      refresh ends */
	uint32_t restart_count;    /* by position, rising; see _restart() */
	struct mirror_restart restart[MIRROR_RESTART_COUNT_MAX];
	struct history history;
	struct mirror_evidence evidence;   /* which devices the disks were */
};

/* Write one slot at `buffer` (MIRROR_SUPERBLOCK_BYTES). Returns the bytes to write to
 * the device: the length used, rounded up to 4096, zero-filled. */
size_t mirror_superblock_encode(const struct mirror_superblock *sb, uint8_t *buffer);

/* Read one slot. Returns 0, or with the reason in `text`, and `sb` unusable:
 *   -ENODATA           not a hamirror log
 *   -EPROTONOSUPPORT   of a newer version, or with a feature we do not know
 *   -EBADMSG           torn or damaged: length or CRC
 *   -EPROTO            intact, and its fields contradict each other */
int mirror_superblock_decode(const uint8_t *buffer, struct mirror_superblock *sb,
			     char *text, size_t text_bytes);

/* Where on the device a superblock with this write_counter goes: add one to the
 * counter, encode, write here. */
static inline uint64_t mirror_superblock_slot_bytes(const struct mirror_superblock *sb)
{
	return sb->write_counter % MIRROR_SUPERBLOCK_SLOT_COUNT * MIRROR_SUPERBLOCK_BYTES;
}

/* Take the newest valid slot of the two. `scratch` is the caller's second struct (one
 * is large). *slot is 0 or 1: the slot of `sb`. A crash may leave one torn slot; two slots
 * of different logs are refused. Returns 0 or decode's error: if one slot is of a newer
 * version, that error is returned even if the other is good (G8). `text` names each bad
 * slot and its fault, also on success; it is empty when both are good. */
int mirror_superblock_choose(const uint8_t *slot_a, const uint8_t *slot_b,
			     struct mirror_superblock *scratch,
			     struct mirror_superblock *sb, uint32_t *slot, char *text,
			     size_t text_bytes);

/* Is this the log of `config`'s mirror and of its site `site`? Compares names: mirror,
 * site, every site in order, disks. Returns 0 or -EMEDIUMTYPE, `text` names the
 * difference. */
int mirror_superblock_check_identity(const struct mirror_superblock *sb,
				     const struct config *config, uint32_t site,
				     char *text, size_t text_bytes);

/* Lay out a log of log_bytes for sb->site_count sites and sb->disks: fills log_bytes,
 * each site's map_start_bytes, map_bytes and map_epoch (1), ring_start_bytes and
 * ring_bytes. Returns 0 or -ENOSPC, `text` names the size needed. */
int mirror_superblock_layout(struct mirror_superblock *sb, uint64_t log_bytes, char *text,
			     size_t text_bytes);

/* The log goes on at `position` (mirror_ring_truncate_after(), or the ring's head)
 * with `sequence` + 1: bumps log_epoch, notes the restart, drops those that it
 * supersedes, lowers durable, home, clean and hold. Takes effect when written and
 * flushed; only then may a record be appended there. Returns 0 or -ENOSPC: 16 are
 * alive, free the log up to one of them first. On error nothing changed. */
int mirror_superblock_restart(struct mirror_superblock *sb, uint64_t position,
			      uint64_t sequence);

/* Move the tail hint (mirror_ring_tail()); restarts that lie before it are dropped. */
void mirror_superblock_set_tail(struct mirror_superblock *sb, uint64_t position,
				uint64_t sequence, uint64_t epoch);

#endif
