/* engine/request.h - clients' requests: those that wait, and those that are stamped. */
#ifndef MIRROR_ENGINE_REQUEST_H
#define MIRROR_ENGINE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/engine/acknowledged.h"
#include "mirror/io.h"
#include "mirror/log/record.h"
#include "mirror/engine/stamp.h"
#include "mirror/engine/yield.h"

struct mirror_engine;

/* Writes of a disk that failed after they had begun, together: a place that holds them all. */
struct engine_failed {
	uint64_t from_bytes, to_bytes;
	uint64_t sequence; /* the last of them; 0: none */
};

struct engine_requests {
	struct mirror_stamp stamp;
	struct mirror_ack ack;
	uint64_t
		promise_id; /* ORDER_WAIT that changed it; FACT_PROMISE is due; 0: none */
	uint64_t closed;    /* groups are closed up to here */
	uint64_t read_floor; /* D5: at home before it was acknowledged: reads wait */
	uint64_t lease_until_ns;
	uint32_t missing;     /* M8: bit per required copy that is not current */
	uint64_t answered_ns; /* a write or flush was, last; 0: none */
	struct mirror_request_list writes_pending, flushes_pending; /* stamped */
	struct mirror_request_list reads_waiting, waiting;          /* not yet begun */
	struct mirror_request_list answers_held;                    /* for a lease */
	struct engine_failed failed[CONFIG_DISK_COUNT_MAX];
	uint32_t pending_count;
	uint32_t flush_habit; /* flushes that each followed a write, less those missed */
	bool write_unflushed; /* the last one begun was no flush */
};

struct mirror_record *mirror_record_stamp(struct mirror_engine *m,
					  const struct mirror_header *header,
					  uint8_t *data);
bool mirror_record_is_clients(const struct mirror_header *h);
void mirror_record_admit(struct mirror_engine *m, struct mirror_record *r, uint8_t *data,
			 enum mirror_record_state state);
/* The kind of requests that its latency is compared with. */
enum mirror_yield_kind mirror_request_kind(const struct mirror_request *q);
void mirror_request_take(struct mirror_engine *m, struct mirror_request *q);
/* When the oldest one of each kind has come that is not answered and not being read; 0:
 * there is none. */
void mirror_requests_oldest(const struct mirror_engine *m,
			    uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT]);
void mirror_requests_pump(struct mirror_engine *m);
void mirror_requests_fail(struct mirror_engine *m, int32_t result);
void mirror_client_gone(struct mirror_engine *m, const void *client);

#endif
