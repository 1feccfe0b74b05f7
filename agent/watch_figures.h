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

/* Does the status say that this node serves? NULL: no. */
bool watch_serves(const json_t *status);

/* The figures of `status`, a daemon's that serves, at `now_ns` of a monotonic clock: rates are
 * those since the call before, which is in `counted`. `process` NULL: not known. */
void watch_figures(const json_t *status, const struct watch_process *process,
		   uint64_t now_ns, struct watch_counted *counted,
		   struct throttle_figures *figures);

#endif
