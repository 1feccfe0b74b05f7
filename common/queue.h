/* queue.h - a bounded queue of pointers from one thread to one other.
 *
 * The two threads of hamirrord share nothing but two of these: orders one way,
 * facts the other. Pure memory: to wake the other thread (an eventfd) is its
 * driver's work, and push tells it when that is needed.
 *
 * One thread pushes and one pops; neither ever waits for the other.
 *
 * Source: L. Lamport, "Specifying Concurrent Program Modules", TOPLAS 1983 (the
 * ring of one producer and one consumer); the wake-up rule is Dekker's: each
 * side stores its own index before it loads the other's.
 */
#ifndef COMMON_QUEUE_H
#define COMMON_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The two indices run freely and wrap; each has a cache line of its own, since
 * each is written by one thread only. */
struct common_queue {
	void **slot;
	uint32_t slot_count; /* a power of two: the bound */
	_Alignas(64) _Atomic uint32_t popped_count;
	_Alignas(64) _Atomic uint32_t pushed_count;
};

/* Start empty over the caller's `slot_count` (a power of two, at most 2^31)
 * pointers at `slot`, which must outlive the queue. */
void common_queue_init(struct common_queue *q, void **slot, uint32_t slot_count);

/* Give `item` (not NULL) to the other thread, which owns it from then on.
 *
 * Sets `*wake` when the other thread may have found the queue empty and gone to
 * sleep: the caller must then wake it. (It sleeps only after common_queue_pop
 * gave NULL, and clears its wake-up before it pops, not after.)
 *
 * Returns 0, or -ENOBUFS when the queue is full: `item` stays the caller's and
 * `*wake` is false. */
int common_queue_push(struct common_queue *q, void *item, bool *wake);

/* The oldest item, which is the caller's now, or NULL when there is none. */
void *common_queue_pop(struct common_queue *q);

/* How many items wait; of use to both sides, exact to neither. */
uint32_t common_queue_count(struct common_queue *q);

#endif
