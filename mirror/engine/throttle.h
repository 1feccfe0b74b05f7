/* engine/throttle.h - clients and the line slowed on purpose, for as long as somebody says so.
 *
 *   sleep      a record leaves at the earliest so long after the one before it, to that copy
 *   bandwidth  all copies together get at most so many bytes of records a second
 *   delay      a write or zero of a client is taken in so much later
 *
 * Each holds back the next in a queue, never one behind it: so nothing is reordered or lost. A
 * delayed request is not yet stamped, like one for which there is no room (engine/request.c);
 * its answer keeps every rule, and is so much later. Only a production that serves is slowed: a
 * demotion drains at full speed. A copy waits at most a quarter of copy-timeout for its next
 * record, however many share the line, so that one that is slowed is not taken for lost.
 *
 * ORDER_THROTTLE sets them until a time that it names. The one who wants them (the watcher,
 * agent/throttle.h) says so again before that; when it is gone they end by themselves.
 *
 * Source: paper 004, "throttles" (docs/sources.md).
 */
#ifndef MIRROR_ENGINE_THROTTLE_H
#define MIRROR_ENGINE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/order.h"
#include "mirror/io.h"
#include "mirror/status.h"

struct mirror_engine;

struct engine_throttle {
	uint32_t sleep_us, delay_us;
	uint64_t bytes_per_s; /* 0: no bound */
	uint64_t until_ns;    /* 0: none is set */
	uint64_t line_ns;     /* by the bandwidth no record leaves before */
	uint32_t turn;        /* the link that is asked first */
	struct mirror_request_list delayed;
};

void mirror_throttle_order(struct mirror_engine *m, const struct order *o);
/* All of it ends when its time is over. */
void mirror_throttle_pump(struct mirror_engine *m);

/* May the next record leave on that link now? If not, a step is made when it may. */
bool mirror_throttle_sends(struct mirror_engine *m, uint32_t link);
/* One has left, of so many bytes. */
void mirror_throttle_sent(struct mirror_engine *m, uint32_t link, uint64_t bytes);

/* Is that request, which has just come, to be delayed? */
bool mirror_throttle_delays(const struct mirror_engine *m,
			    const struct mirror_request *q);
/* Is the delay of the oldest delayed one over? If not, a step is made when it is. */
bool mirror_throttle_is_over(struct mirror_engine *m);

void mirror_throttle_status(const struct mirror_engine *m, struct mirror_status *s);

#endif
