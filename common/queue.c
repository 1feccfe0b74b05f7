/* queue.c - see queue.h. */
#include "common/queue.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

void common_queue_init(struct common_queue *q, void **slot, uint32_t slot_count)
{
	assert(slot != NULL);
	assert(slot_count > 0 && slot_count <= 1u << 31);
	assert((slot_count & (slot_count - 1)) == 0);

	q->slot = slot;
	q->slot_count = slot_count;
	atomic_init(&q->popped_count, 0);
	atomic_init(&q->pushed_count, 0);
}

int common_queue_push(struct common_queue *q, void *item, bool *wake)
{
	const uint32_t pushed = atomic_load_explicit(&q->pushed_count,
						     memory_order_relaxed);
	const uint32_t popped = atomic_load_explicit(&q->popped_count,
						     memory_order_acquire);

	assert(item != NULL);
	assert(pushed - popped <= q->slot_count);

	*wake = false;
	if (pushed - popped == q->slot_count)
		return -ENOBUFS;
	q->slot[pushed & (q->slot_count - 1)] = item;
	atomic_store_explicit(&q->pushed_count, pushed + 1, memory_order_seq_cst);

	/* The other thread has taken all that was there before this item: it may
	 * be asleep. Had it stored its index later than this load, it would look
	 * at ours after that and find the item. */
	*wake = atomic_load_explicit(&q->popped_count, memory_order_seq_cst) == pushed;
	return 0;
}

void *common_queue_pop(struct common_queue *q)
{
	const uint32_t popped = atomic_load_explicit(&q->popped_count,
						     memory_order_relaxed);
	const uint32_t pushed = atomic_load_explicit(&q->pushed_count,
						     memory_order_seq_cst);
	void *item;

	assert(pushed - popped <= q->slot_count);
	if (pushed == popped)
		return NULL;
	item = q->slot[popped & (q->slot_count - 1)];
	atomic_store_explicit(&q->popped_count, popped + 1, memory_order_seq_cst);
	return item;
}

uint32_t common_queue_count(struct common_queue *q)
{
	/* Loaded in this order the difference is never negative, whichever side
	 * asks: the one that pops cannot overtake the one that pushes. */
	const uint32_t popped = atomic_load(&q->popped_count);
	const uint32_t waiting = atomic_load(&q->pushed_count) - popped;

	return waiting < q->slot_count ? waiting : q->slot_count;
}
