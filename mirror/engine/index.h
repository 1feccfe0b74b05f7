/* index.h - the records of one disk that are not yet home, found by extent.
 *
 * Reads ask it where the newest bytes of an extent are; the bound on it is the
 * engine's table of records. A treap ordered by (offset, sequence) whose nodes
 * are the records themselves, each with the greatest end below it: insert,
 * remove and the first overlap take O(log n) expected, each further overlap
 * O(log n). Parent links make removal start at the record.
 *
 * Pure logic: no I/O, clock, threads, allocation or logging.
 *
 * Source: R. Seidel, C. Aragon, "Randomized Search Trees" (1996); the
 * augmentation: Cormen et al., "Introduction to Algorithms", interval trees.
 */
#ifndef MIRROR_ENGINE_INDEX_H
#define MIRROR_ENGINE_INDEX_H

#include <stdint.h>

#include "mirror/log/record.h"

struct mirror_index {
	struct mirror_record *root;
	uint32_t count;      /* records in it */
	uint64_t random;     /* state of the stream of priorities */
};

/* Start empty. `seed` begins the stream of priorities: the same seed and calls
 * give the same tree. */
void mirror_index_init(struct mirror_index *index, uint64_t seed);

/* Put in a record with an extent (not a flush) that is in no index. It stays
 * the caller's; the index uses its tree links until it is removed. No two
 * records with one offset and one sequence. */
void mirror_index_insert(struct mirror_index *index, struct mirror_record *r);

/* Take out a record that is in this index. */
void mirror_index_remove(struct mirror_index *index, struct mirror_record *r);

/* The first record, by (offset, sequence), that overlaps the extent; NULL when
 * none does. The index must not change between the first and the next ones. */
struct mirror_record *mirror_index_first_overlap(const struct mirror_index *index,
						 uint64_t offset_bytes,
						 uint64_t length_bytes);

/* The record after `r`, by (offset, sequence), that overlaps the extent. */
struct mirror_record *mirror_index_next_overlap(const struct mirror_record *r,
						uint64_t offset_bytes,
						uint64_t length_bytes);

/* All records that overlap the extent, in `array`, oldest sequence first.
 * Returns their number, or
 *   -ENOBUFS  more than `max`: the array's contents are then undefined */
int mirror_index_collect(const struct mirror_index *index, uint64_t offset_bytes,
			 uint64_t length_bytes, struct mirror_record **array,
			 uint32_t max);

/* The highest sequence that overlaps the extent; 0 when none does. */
uint64_t mirror_index_newest_overlap(const struct mirror_index *index,
				     uint64_t offset_bytes, uint64_t length_bytes);

/* Abort if an invariant is broken. Walks the whole tree: for sim and tests. */
void mirror_index_check(const struct mirror_index *index);

#endif
