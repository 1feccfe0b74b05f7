/* scan.h - `hamirror scan`: explain a writelog from the outside, read only.
 *
 * Shows both superblocks, the identity, the disk table, the generations, the
 * maps, and where a scan of the ring begins, ends and why. It decides nothing and
 * writes nothing, so it is safe beside a running daemon; it then shows a moment that has
 * passed.
 *
 * Source: docs/rules.md (W4); docs/sources.md (P0-1, P4-15, P4-16, P4-102).
 */
#ifndef AGENT_SCAN_H
#define AGENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct scan_options {
	const char *path; /* of the writelog */
	bool json;        /* one JSON object instead of text */
	bool records;     /* list every record: time, sequence, the disk's
				     sequence, group, disk, offset, length */
};

/* Print to `out`. Returns 0, also for a damaged log, whose damage it explains; or
 *   -ENOENT, -EACCES, ...  the log cannot be opened or read
 *   -EILSEQ                it is not a writelog: no valid superblock
 * with a sentence in `text`. */
int agent_scan(const struct scan_options *o, FILE *out, char *text, size_t text_size);

#endif
