/* task.h - task groups: bring operations home in parallel, and those that touch
 * the same bytes in the order in which they arrived.
 *
 * Keys are (space, start, end): any data that can be partitioned. For a mirror
 * a space is a disk and the keys are its bytes. All spaces, one after the
 * other, are divided into equal ranges. Each range has a task group: a main
 * queue, tasks with a mini queue each, and an active-task table with a row per
 * task at work: the exact extent it works on, and the counter it reports to.
 *
 * Paper 001's tasks are threads; here a task is a slot that runs one operation
 * at a time. "Process the entry" is: hand the operation out on `issue`; its end
 * comes back with mirror_tasks_done(). Every call is one atomic step, as under
 * the paper's two locks.
 *
 * The promise: operations that overlap are issued one after the other, in
 * arrival order, each when the one before is done; ranges never wait for each
 * other; every operation is issued after at most those that arrived before it.
 *
 * Pure logic: no I/O, clock, threads or logging; memory is taken at create.
 *
 * Source: docs/sources.md (paper 001, Figs. 6-11).
 */
#ifndef MIRROR_ENGINE_TASK_H
#define MIRROR_ENGINE_TASK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/fifo.h"

struct mirror_tasks;
struct mirror_task;

/* One operation, or the part of one that lies in one range. */
struct mirror_task_op {
	uint32_t space;
	uint64_t start, end;           /* [start, end): the range to be written */
	void *owner;                   /* as given to add */
	uint32_t *part_count;          /* the owner's: parts not yet done */
	struct mirror_task *task;      /* whose turn it is; NULL on a main queue */
	struct mirror_task_op *next;   /* link of the one list that owns this */
};

struct mirror_task_op_list {
	struct mirror_task_op *head, *tail;   /* both NULL when empty */
};

static inline void mirror_task_op_push(struct mirror_task_op_list *list,
				       struct mirror_task_op *op)
{
	assert(op->next == NULL && op != list->tail);
	fifo_push(list, op);
}

/* Remove and return the oldest operation, or NULL if there is none. */
static inline struct mirror_task_op *mirror_task_op_pop(struct mirror_task_op_list *list)
{
	return fifo_pop(list);
}

/* Make `range_count` task groups of `per_range_count` tasks, with room for
 * `op_count_max` operations (parts, where one crosses ranges): at least
 * range_count, so that any operation fits in the end. Until
 * mirror_tasks_set_space() all keys are in the last range. Returns NULL when
 * memory is short. */
struct mirror_tasks *mirror_tasks_create(uint32_t range_count, uint32_t per_range_count,
					 uint32_t op_count_max);
void mirror_tasks_destroy(struct mirror_tasks *t);

/* Divide spaces 0..space_count-1 of size[space] keys each evenly into the
 * ranges; borders are multiples of `granule` within their space, so that a part
 * stays aligned as its operation was. The sum of sizes must fit 64 bits. Keys
 * beyond the sizes are in the last range. Only while no operation is inside. */
void mirror_tasks_set_space(struct mirror_tasks *t, uint32_t space_count,
			    const uint64_t *size, uint64_t granule);

/* The range, from 0, that a key lies in. */
uint32_t mirror_tasks_range_of(const struct mirror_tasks *t, uint32_t space,
			       uint64_t key);

/* Take the operation [start, end), start < end, of `space`. Where it crosses
 * ranges it becomes one part per range. `owner` is not NULL; *part_count is the
 * owner's, 0 now, and becomes the number of parts. Parts that may start are put on
 * `issue`, now or in a later call, as this object's operations.
 *
 * Returns 0, or
 *   -ENOBUFS  no room for all its parts: nothing changed, offer it again after
 *             an operation is done */
int mirror_tasks_add(struct mirror_tasks *t, void *owner, uint32_t *part_count,
		     uint32_t space, uint64_t start, uint64_t end,
		     struct mirror_task_op_list *issue);

/* Report that an issued operation is done; `op` is this object's again. Returns
 * its owner when this was the last of its parts, otherwise NULL. */
void *mirror_tasks_done(struct mirror_tasks *t, struct mirror_task_op *op,
			struct mirror_task_op_list *issue);

/* Operations inside (parts), and the most there may be. */
uint32_t mirror_tasks_op_count(const struct mirror_tasks *t);
uint32_t mirror_tasks_op_count_max(const struct mirror_tasks *t);

/* Forget every operation. Only when none that was issued will come back. The
 * owners' part counts are left as they are. */
void mirror_tasks_reset(struct mirror_tasks *t);

/* ---- for tests ----------------------------------------------------------- */

enum mirror_task_state {
	MIRROR_TASK_IDLE,      /* no row in the table */
	MIRROR_TASK_WAITING,   /* has a row and an operation, waits for its counter */
	MIRROR_TASK_RUNNING,   /* its operation is issued */
};

#define MIRROR_TASK_NONE UINT32_MAX

/* A task group. */
struct mirror_task_range {
	uint32_t first_space;          /* the range begins here */
	uint64_t first_key;
	uint32_t main_count;           /* operations on its main queue */
	uint32_t active_count;         /* rows in its table */
	uint32_t task_count;
};

/* A row of an active-task table. */
struct mirror_task_row {
	uint32_t task;                 /* number within its group */
	enum mirror_task_state state;  /* WAITING or RUNNING */
	uint32_t space;
	uint64_t start, end;           /* equal: cleared, another task stands for it */
	uint32_t counter_task;         /* the task whose counter it reports to, or NONE */
	uint32_t wait_count;           /* its own counter: tasks that it waits for */
	uint32_t mini_count;           /* operations on its mini queue */
};

/* `range` is below the range_count of create. */
struct mirror_task_range mirror_tasks_range(const struct mirror_tasks *t, uint32_t range);

/* Copy the table of `range`, at most `max` rows; returns how many it copied. */
uint32_t mirror_tasks_rows(const struct mirror_tasks *t, uint32_t range,
			   struct mirror_task_row *rows, uint32_t max);

/* Abort if an invariant is broken. Walks everything: for sim and tests. */
void mirror_tasks_check(const struct mirror_tasks *t);

#endif
