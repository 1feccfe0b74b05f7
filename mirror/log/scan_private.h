/* scan_private.h - shared by scan.c and scan_ahead.c. */
#ifndef MIRROR_LOG_SCAN_PRIVATE_H
#define MIRROR_LOG_SCAN_PRIVATE_H

#include "mirror/log/scan.h"

enum scan_next { SCAN_AGAIN, SCAN_READ, SCAN_FOUND };
enum scan_get { SCAN_HAVE, SCAN_WANTED, SCAN_UNREADABLE };

/* The one setter of `phase`. */
void mirror_scan_set_phase(struct mirror_scan *scan, enum mirror_scan_phase phase);

/* The chain begins at `position`, where `sequence` is expected under `epoch` or later. */
void mirror_scan_begin_chain(struct mirror_scan *scan, uint64_t position,
			     uint64_t sequence, uint64_t epoch);

/* The bytes at a ring position, as many as are there. `end` bounds the read-ahead.
 * WANTED: a read was prepared, to be answered by READ. UNREADABLE: the device cannot. */
enum scan_get mirror_scan_get(struct mirror_scan *scan, uint64_t position, uint64_t end,
			      const uint8_t **at, size_t *available_bytes);

/* The data of the descriptor at hand is to be checked; its block is at `position`. */
void mirror_scan_data_begin(struct mirror_scan *scan, uint64_t position);

/* Check some of it. AGAIN: not through. */
enum scan_data { SCAN_DATA_AGAIN, SCAN_DATA_READ, SCAN_DATA_GOOD, SCAN_DATA_TORN };
enum scan_data mirror_scan_data_step(struct mirror_scan *scan, uint64_t end);

/* The restart in [position, end), or NULL. */
const struct mirror_restart *mirror_scan_restart_in(const struct mirror_scan *scan,
						    uint64_t position, uint64_t end);

/* Final: damaged, with this text. */
void mirror_scan_damaged(struct mirror_scan *scan, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The window behind the stop: does a descriptor prove that the stop is not the end? */
void mirror_scan_ahead_begin(struct mirror_scan *scan);
enum scan_next mirror_scan_ahead_step(struct mirror_scan *scan);

/* The window is through: end, survey or damaged, by scan->proof. */
void mirror_scan_conclude(struct mirror_scan *scan);

/* The whole ring, for the oldest descriptor that is there. */
void mirror_scan_survey_begin(struct mirror_scan *scan);
enum scan_next mirror_scan_survey_step(struct mirror_scan *scan);

#endif
