/* ring_private.h - the ring's insides, for ring.c and ring_create.c. */
#ifndef MIRROR_LOG_RING_PRIVATE_H
#define MIRROR_LOG_RING_PRIVATE_H

#include "mirror/log/ring.h"

struct mirror_ring {
	uint64_t start_bytes;      /* on the device */
	uint64_t bytes;
	uint64_t released;         /* tail in the last durable superblock */
	uint64_t tail;             /* oldest descriptor still needed */
	uint64_t head;             /* where the next one goes */
	uint64_t previous;         /* of the one before the head, also when freed */
	uint64_t next_sequence;
	uint64_t epoch;            /* of descriptors written from now on */
	uint32_t entry_count_max;
	uint32_t entry_first;      /* index of the oldest */
	uint32_t entry_count;
	struct mirror_ring_entry entry[];
};

#endif
