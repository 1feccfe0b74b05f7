/* watch_figures.h - the figures that throttles test, from a status of the daemon. */
#ifndef AGENT_WATCH_FIGURES_H
#define AGENT_WATCH_FIGURES_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "agent/throttle.h"
#include "agent/watch_metrics.h"

/* What a rate is counted from. All zero at first. */
struct watch_counted {
	uint64_t at_ns; /* 0: nothing yet */
	uint64_t sent_bytes;
	double cpu_seconds;
	double started_seconds; /* of the daemon; another one counts anew */
};

enum watch_part {
	WATCH_NO_PART, /* it has no writelog open, or is not known */
	WATCH_AT_COPY, /* its site does not serve */
	WATCH_AT_PRODUCTION,
};

/* What this node is, by the status; NULL: none. */
enum watch_part watch_part(const json_t *status);

/* The figures of `status` at `now_ns` of a monotonic clock: rates are those since the call
 * before, which is in `counted`. `process` NULL: not known. At a copy those of its log and of
 * its process are known, and none of what production sends. */
void watch_figures(const json_t *status, const struct watch_process *process,
		   uint64_t now_ns, struct watch_counted *counted,
		   struct throttle_figures *figures);

#endif
