/* perf.h - the performance file of a mirror on one node: NAME.prf, plain text, one row a
 * period and disk.
 *
 *   TIME DISK TOTAL-KB/S DATA-KB/S RECORDS/S WAITING SECTORS PERCENT AGE-S
 *
 * TIME is RFC 3339 in UTC, of the end of the period; KB are 1024 bytes, sectors 512. The first
 * four figures are of the disk: sent to copies with headers, without, in records, and the
 * records that are still to be sent. The last three are of the writelog, which the disks of
 * a site share: its sectors in use, per cent in use, and the age of its oldest record that is
 * still needed. There is no row of a time at which the daemon did not answer, or the disk was
 * not open.
 *
 * Source: paper 004, the performance files of its daemon (docs/sources.md, P4-94 to P4-96).
 */
#ifndef AGENT_PERF_H
#define AGENT_PERF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "agent/paths.h"

#define PERF_FIGURE_COUNT 7
#define PERF_ROW_BYTES_MAX 256 /* of a row, with its line break and final 0 */
#define PERF_FILE_BYTES 65536  /* a file's limit, where no other is asked for */
#define PERF_FILE_BYTES_MIN 65536
#define PERF_FILE_BYTES_MAX (1024u * 1024 * 1024)

struct perf_row {
	uint64_t time_s; /* since 1970 */
	char disk[CONFIG_NAME_MAX];
	double figure[PERF_FIGURE_COUNT];
};

/* Short names, as for a JSON member, and titles with their units, by figure. */
extern const char *const perf_figure_names[PERF_FIGURE_COUNT];
extern const char *const perf_figure_titles[PERF_FIGURE_COUNT];

/* The rows of one period, each with its line break, to be freed; "" where nothing is known.
 * `before` and `now` are statuses of docs/control.md that were asked for `seconds` apart; NULL:
 * no answer. A counter that is smaller than before has begun anew, from 0. NULL: no memory. */
char *perf_rows(const json_t *before, const json_t *now, double seconds, uint64_t time_s);

/* Write it as a line. */
void perf_row_put(const struct perf_row *row, FILE *out);

/* False: the line, up to its line break or final 0, is no whole row. */
bool perf_row_parse(const char *line, struct perf_row *row);

/* TIME as the command takes it: "90s", "15m", "2h" or "7d" before `now_s`, or RFC 3339 in UTC
 * from "2026-03-01" on, to the day, minute or second. False: it is neither. */
bool perf_time_parse(const char *text, uint64_t now_s, uint64_t *time_s);

/* ---- the files: the newest rows, and one older generation, FILE.1 ---- */

struct perf_file {
	char path[PATH_MAX], old_path[PATH_MAX];
	uint64_t bytes_max; /* of each of the two */
	int fd;             /* -1: not open. Locked while it is: one writer alone */
};

/* Of an instance; nothing is opened yet. Returns 0 or -ENAMETOOLONG. */
int perf_file_init(struct perf_file *f, const struct agent_instance *instance,
		   uint64_t bytes_max);

/* Add whole rows. A half row that a crash has left is cut off; a file that was removed or
 * renamed is made again; a full one becomes FILE.1 before. Returns 0, or the file is as it
 * was:
 *   -EWOULDBLOCK  another process writes it
 *   -EFBIG        the rows alone are beyond the limit
 *   -errno        of open(2), write(2) and so on */
int perf_file_add(struct perf_file *f, const char *rows);
/* Idempotent. */
void perf_file_close(struct perf_file *f);

/* Rows read from the files. */
struct perf_table {
	struct perf_row *row;
	size_t count, size;
};

/* All rows of both generations, oldest first, from `since_s` on; of `disk` alone unless that
 * is NULL. What is no whole row is left out. `t` is freed by perf_table_free(), also after an
 * error. Returns 0, -ENOENT: there is no file; or -errno. */
int perf_table_read(struct perf_table *t, const char *path, uint64_t since_s,
		    const char *disk);
/* The same, of the newest `bytes_max` bytes of both. */
int perf_table_read_end(struct perf_table *t, const char *path, uint32_t bytes_max);
void perf_table_free(struct perf_table *t);

/* The time since which a row's figures hold, since 1970: that of the row of its disk before,
 * or, where rows are missing, one period before its own. */
uint64_t perf_table_begin_s(const struct perf_table *t, size_t row);

/* ---- drawings ---- */

/* Charts of each figure and disk for a terminal of `columns`; `braille`: dots of Unicode,
 * eight to a place, else plain characters. */
void perf_plot(const struct perf_table *t, uint32_t columns, bool braille, FILE *out);

/* One SVG document with a chart of each figure, a line a disk. `mirror` is its title. */
void perf_svg(const struct perf_table *t, const char *mirror, FILE *out);

#endif
