/* scan.h - recovery: find the log's records, its end, and whether it is damaged.
 *
 *   phase       reads                              goes to
 *   chain       descriptor by descriptor, data     found (and back), look ahead
 *               checked, from the tail hint        when one is not the next
 *               (of records at home by the
 *               superblock: no data)
 *   look ahead  window behind the stop, for a      end, damaged, survey
 *               descriptor that proves that the
 *               stop is not the end (W4)
 *   survey      the whole ring, twice, when the    chain from where the unbroken
 *               hint is absent or proven stale     content begins, or damaged
 *   end, damaged                                   final
 *
 * A pull machine without I/O: the caller steps, does what the step wants, steps again:
 *
 *   READ     read `length_bytes` at `device_offset_bytes` of the log into `into`, then
 *            step; if the device fails it, mirror_scan_read_failed(), then step
 *   FOUND    `descriptor`, `headers`, `data_position` are the next of the log. All
 *            CRCs are right and no record is one that a restart or a hold dropped.
 *            Valid until the next step. MARK and PAD come too: the ring counts them.
 *   END      `result` is filled
 *   DAMAGED  `result.text` names the damage, `damage_*` its place; the log must not be used
 *
 * A large log holds mostly records that are home here and are kept for another site. This
 * site does not need their data, and a site that sends it checks it again. So only
 * descriptors are read as long as the superblock, whose marks are durable, says that their
 * records are home.
 *
 * The end is where the next descriptor is absent, torn, of another log, an older epoch
 * or not in sequence, provided that nothing proves that more was durable: not the
 * superblock's mark, not `proven_sequence`, and no descriptor of this lap and of this
 * or a later epoch in the window. A place that cannot be read is judged alike.
 *
 * For this to hold, the engine must keep these rules:
 * 1. A superblock with log_epoch + 1 is durable before a descriptor carries it.
 * 2. After a scan, before anyone is told where this log ends: with the new epoch, a
 *    MARK is written at the head and flushed (or, when the ring has no room for it, a
 *    mirror_superblock_restart() at the head). Then the leftovers of a torn batch stand
 *    behind a newer epoch.
 * 3. At most MIRROR_SCAN_WINDOW_BYTES / 4 of the log are not flushed at any time,
 *    and each descriptor carries the newest durable mark.
 * 4. Ring space is reused only after mirror_ring_release(): so the hint never points
 *    to a place that was overwritten, however old it is.
 * 5. A restart or a hold is noted only while no log write is under way.
 * 6. At the first FOUND, or at END when there was none: mirror_ring_reset() to the
 *    result's tail. After END: mirror_ring_leap(ring, result.last_sequence + 1). The other
 *    sites' confirmations are result.confirmed, not the highest that a descriptor says: a
 *    cut lowers them.
 * 7. Nothing goes home before a mark that covers it is durable itself. So a descriptor with
 *    flipped bits cannot pass for an end below the records that the disks hold
 *    (engine/log.c, `proven`).
 *
 * With the hint absent (tail_sequence 0) or stale, the scan may begin before the tail:
 * at records that were home and confirmed already. Replaying them is safe (W5), and
 * result.home tells which of them need no replay.
 *
 * Source: docs/rules.md (W3-W5); docs/sources.md (P4-21).
 */
#ifndef MIRROR_LOG_SCAN_H
#define MIRROR_LOG_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/log/descriptor.h"
#include "mirror/log/superblock.h"

#define MIRROR_SCAN_BUFFER_BYTES_MIN (1024u * 1024)
#define MIRROR_SCAN_WINDOW_BYTES (32u * 1024 * 1024)

enum mirror_scan_step {
	MIRROR_SCAN_READ,
	MIRROR_SCAN_FOUND,
	MIRROR_SCAN_END,
	MIRROR_SCAN_DAMAGED,
};

enum mirror_scan_phase {
	MIRROR_SCAN_PHASE_CHAIN,
	MIRROR_SCAN_PHASE_AHEAD,
	MIRROR_SCAN_PHASE_SURVEY,
	MIRROR_SCAN_PHASE_END,
	MIRROR_SCAN_PHASE_DAMAGED,
};

struct mirror_scan_result {
	uint64_t tail_position;    /* where the chain began: mirror_ring_reset() takes */
	uint64_t tail_sequence;    /* ... these ... */
	uint64_t tail_epoch;       /* ... three, at the first FOUND, or at END */
	uint64_t head_position;    /* where the next descriptor goes */
	uint64_t last_sequence;    /* the next record's is this + 1 */
	uint64_t last_generation;  /* ordinal of the last record; 0: none found */
	uint64_t last_time_ns;     /* of the last record; 0: none found */
	uint64_t last_epoch;       /* highest epoch accepted */
	uint64_t durable;          /* highest marks met, the superblock's included, ... */
	uint64_t home;             /* ... up to last_sequence */
	uint64_t confirmed[CONFIG_SITE_COUNT_MAX];   /* newest met, lowered by cuts */
	uint64_t descriptor_count;
	uint64_t record_count;
	uint64_t read_bytes;
	uint64_t skipped_bytes;    /* data of records that are home: not read */
	bool held;                 /* ended at the superblock's hold: truncate to it */
	bool surveyed;             /* the hint was absent or stale */
	uint64_t damage_position;  /* DAMAGED: where in the ring ... */
	uint64_t damage_sequence;  /* ... and the sequence that should be there */
	char text[256];            /* END: the reason. DAMAGED: the damage */
};

/* Descriptors that follow each other without a break. */
struct mirror_scan_run {
	bool exists;
	uint64_t position, sequence, epoch;  /* of the first one */
	uint64_t last_epoch;                 /* of the last one */
	uint64_t end_position, next_sequence;
};

struct mirror_scan {
	/* for the caller */
	uint64_t device_offset_bytes;        /* READ */
	size_t length_bytes;
	uint8_t *into;
	struct mirror_descriptor descriptor; /* FOUND; count, not total_bytes, leaves out
						records that were dropped; one whose
						records all were is shown as a MARK */
	struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	uint64_t data_position[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct mirror_scan_result result;
	/* the scan's own */
	const struct mirror_superblock *sb;
	enum mirror_scan_phase phase;
	uint64_t proven_sequence;            /* durable by superblock or peers */
	uint8_t *buffer;
	size_t buffer_bytes;
	uint64_t buffer_position;            /* ring position of buffer[0] ... */
	size_t buffer_filled_bytes;          /* ... and how much is there */
	bool reading;                        /* READ was answered, not yet taken in */
	bool failed;                         /* ... and it failed */
	bool unreadable;                     /* the block at buffer_position is */
	uint64_t cautious_until;             /* read by single blocks up to here */
	/* chain */
	uint64_t position;                   /* of the next descriptor */
	uint64_t next_sequence;
	uint64_t epoch;                      /* lowest that counts */
	uint64_t previous_position;          /* of the descriptor before; ... */
	bool previous_known;                 /* ... false at the first */
	bool in_data;                        /* past the descriptor's block */
	uint64_t home_sequence;              /* data up to here is not read */
	uint64_t mean_bytes;                 /* of the last descriptors, with data */
	uint32_t whole_count;                /* records before any were dropped */
	uint32_t record;                     /* being checked; ... */
	uint32_t record_bytes;               /* ... so much of its data is; ... */
	uint32_t record_crc;                 /* ... with this CRC so far */
	/* look ahead and survey */
	uint64_t cursor;
	uint64_t ahead_end;                  /* end of the window */
	const char *stop_reason;             /* why the chain stopped at `position` */
	char proof[128];                     /* "": nothing says that it should not */
	uint32_t survey_pass;                /* survey: 0 for the marks, 1 for the runs */
	uint64_t survey_epoch;               /* latest met; ... */
	uint64_t survey_durable;             /* ... highest mark under it; ... */
	uint64_t survey_end;                 /* ... end of the highest descriptor */
	struct mirror_scan_run run;          /* being followed, ... */
	struct mirror_scan_run first_run;    /* ... that begins where the ring does, ... */
	struct mirror_scan_run best_run;     /* ... that holds the log's end */
	struct mirror_descriptor candidate;
	struct mirror_header candidate_headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
};

/* Begin. `sb` and `buffer` (buffer_bytes >= MIRROR_SCAN_BUFFER_BYTES_MIN, a multiple
 * of 4096, aligned to 4096) stay the caller's and must outlive the scan.
 * proven_sequence: durable in this log, as peers say; 0 when nothing is known. */
void mirror_scan_start(struct mirror_scan *scan, const struct mirror_superblock *sb,
		       uint8_t *buffer, size_t buffer_bytes, uint64_t proven_sequence);

/* Go on; see the table above. After END and DAMAGED it keeps answering the same. */
enum mirror_scan_step mirror_scan_step(struct mirror_scan *scan);

/* The read that was wanted failed. */
void mirror_scan_read_failed(struct mirror_scan *scan);

#endif
