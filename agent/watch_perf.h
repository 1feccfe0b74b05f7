/* watch_perf.h - the watcher keeps the performance file, period by period. */
#ifndef AGENT_WATCH_PERF_H
#define AGENT_WATCH_PERF_H

#include "agent/perf.h"
#include "agent/watch_ask.h"

#define WATCH_PERIOD_S 10

struct watch_perf {
	struct watch_question *question;
	struct perf_file file;
	json_t *before; /* the status at the end of the last period, or NULL */
	uint64_t before_ns;
	int said; /* the error that the log has been told last, 0: none */
};

/* The question is asked for as long as `p` is used. Returns as perf_file_init(). */
int watch_perf_open(struct watch_perf *p, struct watch_question *question,
		    uint64_t bytes_max);

/* A period is over: ask, and add its rows. What goes wrong is logged once, and once more when
 * it is over. */
void watch_perf_period(struct watch_perf *p);

/* Idempotent. */
void watch_perf_close(struct watch_perf *p);

#endif
