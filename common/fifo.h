/* fifo.h - a queue of objects, linked by their `next`: any struct with `head` and `tail` of
 * their type, both NULL while it is empty. The queue owns nothing. */
#ifndef COMMON_FIFO_H
#define COMMON_FIFO_H

#include <stddef.h>

/* Put `object` at the end of `*queue`. */
#define fifo_push(queue, object)                                                         \
	do {                                                                             \
		__typeof__(queue) fifo_to = (queue);                                     \
		__typeof__(fifo_to->head) fifo_last = (object);                          \
                                                                                         \
		fifo_last->next = NULL;                                                  \
		if (fifo_to->tail != NULL)                                               \
			fifo_to->tail->next = fifo_last;                                 \
		else                                                                     \
			fifo_to->head = fifo_last;                                       \
		fifo_to->tail = fifo_last;                                               \
	} while (0)

/* Remove and give the oldest object of `*queue`; NULL: there is none. */
#define fifo_pop(queue)                                                                  \
	__extension__({                                                                  \
		__typeof__(queue) fifo_from = (queue);                                   \
		__typeof__(fifo_from->head) fifo_first = fifo_from->head;                \
                                                                                         \
		if (fifo_first != NULL) {                                                \
			fifo_from->head = fifo_first->next;                              \
			if (fifo_from->head == NULL)                                     \
				fifo_from->tail = NULL;                                  \
			fifo_first->next = NULL;                                         \
		}                                                                        \
		fifo_first;                                                              \
	})

#endif
