/* task_private.h - shared by task.c and task_create.c. */
#ifndef MIRROR_ENGINE_TASK_PRIVATE_H
#define MIRROR_ENGINE_TASK_PRIVATE_H

#include "mirror/engine/task.h"

struct mirror_task {
	enum mirror_task_state state;
	struct task_group *group;
	uint32_t space;                    /* its row, unless it is idle: works on */
	uint64_t start, end;               /* [start, end); equal: cleared */
	struct mirror_task *counter;       /* it reports to this task's wait_count */
	uint32_t wait_count;               /* WAITING: tasks that report to it */
	struct mirror_task_op *op;         /* issued, or waiting for the counter */
	struct mirror_task_op_list mini;
	uint32_t mini_count;
};

struct task_group {
	uint32_t first_space;              /* its range begins at this key and ends */
	uint64_t first_key;                /* where the next group's begins */
	struct mirror_task_op_list main;
	uint32_t main_count;
	uint32_t active_count;             /* tasks that are not idle */
	struct mirror_task *tasks;         /* per_range_count of them */
};

struct mirror_tasks {
	uint32_t range_count, per_range_count;
	uint32_t op_count, op_count_max;
	struct task_group *groups;
	struct mirror_task *tasks;         /* of all groups */
	struct mirror_task_op *ops;        /* op_count_max of them */
	struct mirror_task_op_list free;
};

#endif
