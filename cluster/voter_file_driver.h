/* voter_file_driver.h - the voter file on disk: a voter's promise and views.
 *
 * Two files, voter.0 and voter.1, hold a slot each (voter_format.h encodes them). The
 * older one is overwritten and synced, so that a write that is cut off leaves
 * the newer one whole. A thread of its own writes: a slow disk under /var must
 * not hold up lease renewals and messages.
 *
 * Source: docs/rules.md, D1 (two checksummed slots, fsync before the answer).
 */
#ifndef CLUSTER_VOTER_FILE_DRIVER_H
#define CLUSTER_VOTER_FILE_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"

#define CLUSTER_VOTER_SLOT_COUNT 2u

struct qb_loop;
struct cluster_voter_writer;

/* Read both slots and give the newest whole one in `data` (CLUSTER_VOTER_FILE_BYTES),
 * and the slot to be overwritten next. `*length` is 0 when there is none: never
 * written, or the very first write was cut off, before anything was promised.
 * Returns 0; -EBADMSG: both are damaged; -errno of open(2) or read(2); with a
 * sentence in `text`. */
int cluster_voter_newest_read(const char *directory, uint8_t *data, size_t *length,
			      uint32_t *next_slot, char *text, size_t text_size);

/* Write a slot and sync it, and its name in the directory. Blocks; for tools and
 * the writer's thread. Returns 0 or -errno. */
int cluster_voter_slot_write(const char *directory, uint32_t slot, const uint8_t *data,
			     size_t length);

struct cluster_voter_owner {
	/* PERSISTED, without the times: all up to `counter` is on stable storage,
	 * or could not be brought there. May not close the writer. */
	void (*event)(void *owner, struct cluster_event *event);
	void *owner;
};

/* Start the writer. `next_slot` is the slot that may be overwritten first.
 * Returns 0 and `*writer`, or -errno of eventfd(2) or pthread_create(3). */
int cluster_voter_open(struct qb_loop *loop, const char *directory, uint32_t next_slot,
		       const struct cluster_voter_owner *owner,
		       struct cluster_voter_writer **writer);

/* Write `data` (at most CLUSTER_VOTER_FILE_BYTES, copied), the state after
 * `counter`. A later call before an earlier one has begun replaces it: the file
 * is one state, and the newer one covers the older. */
void cluster_voter_write(struct cluster_voter_writer *w, uint64_t counter,
			 const uint8_t *data, size_t length);

/* Longest and last time of a write, for the status. */
void cluster_voter_times_get(struct cluster_voter_writer *w, uint64_t *last_us,
			     uint64_t *max_us);

/* Finishes the write under way, then ends the thread. NULL is fine. */
void cluster_voter_close(struct cluster_voter_writer *w);

#endif
