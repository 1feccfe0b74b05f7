/* watch_metrics.h - a mirror's status as metrics in Prometheus' text format.
 *
 * Source: Prometheus, "Exposition formats" (text format 0.0.4) and "Metric and label naming".
 */
#ifndef AGENT_WATCH_METRICS_H
#define AGENT_WATCH_METRICS_H

#include <stdint.h>
#include <jansson.h>

#include "common/config.h"

#define WATCH_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What the kernel says of the daemon's process. */
struct watch_process {
	double cpu_seconds; /* user and system, since its start */
	double resident_bytes;
	double started_seconds; /* since 1970 */
};

/* All metrics of the mirror on `host` as text; the caller frees it. NULL: no memory.
 * `status` is the object of docs/control.md, or NULL: no daemon has answered. `process` NULL:
 * likewise. The series are the same either way, by the sites, nodes and disks of `config`: a
 * value that is not known is NaN. */
char *watch_metrics(const struct config *config, const char *host, const json_t *status,
		    const struct watch_process *process);

#endif
