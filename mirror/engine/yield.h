/* engine/yield.h - how much of a refresh is under way beside clients' requests (G7).
 *
 * A refresh costs a client time where its request stands behind a read of the refresh, in
 * the queue of a device; the log gets no data of it. So what counts is how many bytes of
 * refreshes are being read: the *window*.
 *
 *   clients                                the window
 *   none waits, or has for a second        MIRROR_YIELD_BYTES_MAX
 *   are answered about as fast as usual    grows by a 512th with each answer
 *   one was answered too late              is halved, to one read at the least
 *   one waits too long already             nothing begins, but one read in 20 ms
 *
 * Usual is the latency while nothing is refreshed: its mean and four times its mean
 * deviation, which is about the slowest in a hundred. Too late is twice that. Reads,
 * writes and flushes are compared each with their own kind. Where little is known, the
 * window stays at one read, and the answers beside that are taken for the usual ones. So
 * are, slowly, those that are late although the window is that small: the clients' own
 * work may have changed.
 *
 * One read in 20 ms, whatever clients see, is the least that a refresh gets.
 *
 * Pure logic: no I/O, clock, threads, allocation or logging.
 */
#ifndef MIRROR_ENGINE_YIELD_H
#define MIRROR_ENGINE_YIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/log/record.h"

#define MIRROR_YIELD_BYTES_MIN ((uint64_t)MIRROR_RECORD_DATA_MAX)
#define MIRROR_YIELD_BYTES_MAX (4ull << 20)
#define MIRROR_YIELD_IDLE_NS 1000000000ull
#define MIRROR_YIELD_PAUSE_NS 20000000ull

enum mirror_yield_kind {
	MIRROR_YIELD_READ,
	MIRROR_YIELD_WRITE,
	MIRROR_YIELD_FLUSH, /* FUA too */
	MIRROR_YIELD_KIND_COUNT,
};

struct mirror_yield_usual {
	uint64_t mean_ns, deviation_ns;
	uint32_t count; /* answers that were counted, as far as it matters */
};

struct mirror_yield {
	struct mirror_yield_usual usual[MIRROR_YIELD_KIND_COUNT];
	uint64_t window_bytes; /* while clients ask */
	uint64_t under_way_bytes;
	uint64_t client_ns; /* a client asked or was answered last, 0: none did */
	uint64_t halved_ns;
	uint64_t begun_ns; /* the last read of a refresh began, 0: none did */
};

/* Production begins to serve: nothing is under way, nothing is known. */
void mirror_yield_init(struct mirror_yield *y);

/* A client's request has come. */
void mirror_yield_asked(struct mirror_yield *y, uint64_t now_ns);

/* One was answered, `took_ns` after it had come. */
void mirror_yield_answered(struct mirror_yield *y, enum mirror_yield_kind kind,
			   uint64_t took_ns, uint64_t now_ns);

/* A latency above this is too long, by the samples so far; UINT64_MAX: too few samples. */
uint64_t mirror_yield_limit_ns(const struct mirror_yield *y, enum mirror_yield_kind kind);

/* May a read of `bytes` begin? `oldest_ns`: when the oldest request of each kind that is
 * not answered has come; 0: there is none. If only time lets it begin, *again_ns is then;
 * else it is left alone. */
bool mirror_yield_allows(const struct mirror_yield *y, uint64_t bytes, uint64_t now_ns,
			 const uint64_t oldest_ns[MIRROR_YIELD_KIND_COUNT],
			 uint64_t *again_ns);

/* A read begins: its bytes are under way until it ends. */
void mirror_yield_begin(struct mirror_yield *y, uint64_t bytes, uint64_t now_ns);
void mirror_yield_end(struct mirror_yield *y, uint64_t bytes);

#endif
