/* cli_progress.h - how far a refresh, a catch-up or a roll-forward is, with rate and estimate.
 *
 * A status tells what is done and left; the rate is that of the last seconds where statuses
 * were seen before, else of a refresh that of its whole time.
 */
#ifndef AGENT_CLI_PROGRESS_H
#define AGENT_CLI_PROGRESS_H

#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "common/config.h"

/* What was seen before of one mirror; zeroed at first. */
struct cli_progress {
	struct cli_progress_seen {
		double left[2];            /* at ... */
		uint64_t ms[2];            /* 0: not seen */
	} seen[CONFIG_SITE_COUNT_MAX + 1]; /* per site; the last: the roll-forward here */
};

/* "12 B", "1.5 GiB" in `text`. */
void cli_bytes_format(double bytes, char *text, size_t size);

/* Print a line for each thing of `status` that is under way, an empty line before the first.
 * `now_ms` is CLOCK_REALTIME. `progress` NULL: nothing was seen before. */
void cli_progress_print(struct cli_progress *progress, json_t *status, uint64_t now_ms,
			FILE *out);

#endif
