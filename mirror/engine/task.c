/* task.c - see task.h. The numbers are the steps in Fig. 11 of paper 001
 * (docs/sources.md).
 *
 *   task      entry from the main queue       own counter  its operation is done
 *             that overlaps                   reaches 0
 *             no row   one row    several
 *   IDLE      RUNNING  stays,     WAITING     -            -
 *             (1176)   row's task (1160)
 *                      takes it
 *                      (1146)
 *   WAITING   -        -          -           RUNNING      -
 *                                             (1184)
 *   RUNNING   -        -          -           -            RUNNING with the next of
 *                                                          its mini queue (1104,
 *                                                          1116), else IDLE (1132)
 *
 * The rows of one table never overlap. A row is widened (1148) by an operation
 * that overlaps it alone. A waiting task's row (1166) takes the place of all rows
 * that its operation overlaps; these are cleared (1164). So an operation that
 * arrives later and overlaps any of them meets the latest row, and queues up
 * behind it. A cleared row is not matched again, so a task reports to at most
 * one counter; and a task waits only for tasks that had a row before it had
 * one, so some task of each table is always running.
 *
 * A step holds both of the paper's locks from its beginning to its end. Main
 * queue and table therefore change as one (1136-1182), and the two looks at the
 * mini queue before a task gives up its row (1102, 1114) are one look.
 */
#include "mirror/engine/task.h"

#include <errno.h>

#include "mirror/engine/task_private.h"

/* ---- ranges -------------------------------------------------------------- */

/* True when the range of `g` begins at or before the key. */
static bool begins_by(const struct task_group *g, uint32_t space, uint64_t key)
{
	if (g->first_space != space)
		return g->first_space < space;
	return g->first_key <= key;
}

uint32_t mirror_tasks_range_of(const struct mirror_tasks *t, uint32_t space, uint64_t key)
{
	uint32_t i = t->range_count - 1;

	while (i > 0 && !begins_by(&t->groups[i], space, key))
		i--;
	return i;
}

/* Where the part of [start, end) that begins at `start` ends: with the
 * operation, or with its range. */
static uint64_t part_end(const struct mirror_tasks *t, uint32_t range, uint32_t space,
			 uint64_t end)
{
	if (range + 1 < t->range_count) {
		const struct task_group *next = &t->groups[range + 1];

		if (next->first_space == space && next->first_key < end)
			return next->first_key;
	}
	return end;
}

/* ---- one task ------------------------------------------------------------ */

static void set_state(struct mirror_task *task, enum mirror_task_state state)
{
	switch (task->state) {
	case MIRROR_TASK_IDLE:
		assert(state == MIRROR_TASK_RUNNING || state == MIRROR_TASK_WAITING);
		task->group->active_count++;
		break;
	case MIRROR_TASK_WAITING:
		assert(state == MIRROR_TASK_RUNNING);
		assert(task->wait_count == 0);
		break;
	case MIRROR_TASK_RUNNING:
		assert(state == MIRROR_TASK_IDLE);
		assert(task->mini.head == NULL && task->counter == NULL);
		task->group->active_count--;
		break;
	}
	task->state = state;
}

/* 1106, 1120, 1184: process the entry. */
static void process(struct mirror_task *task, struct mirror_task_op *op,
		    struct mirror_task_op_list *issue)
{
	assert(task->state == MIRROR_TASK_RUNNING);

	task->op = op;
	op->task = task;
	mirror_task_op_push(issue, op);
}

static void set_row(struct mirror_task *task, uint32_t space, uint64_t start,
		    uint64_t end)
{
	task->space = space;
	task->start = start;
	task->end = end;
}

static bool matches(const struct mirror_task *task, const struct mirror_task_op *op)
{
	return task->state != MIRROR_TASK_IDLE && task->space == op->space &&
	       task->start < op->end && op->start < task->end;
}

static void widen(struct mirror_task *task, uint64_t start, uint64_t end)
{
	if (start < task->start)
		task->start = start;
	if (end > task->end)
		task->end = end;
}

/* 1146-1154: the task that works there takes it. */
static void delegate(struct mirror_task *task, struct mirror_task_op *op)
{
	widen(task, op->start, op->end);
	op->task = task;
	mirror_task_op_push(&task->mini, op);
	task->mini_count++;
}

/* 1160-1174: `task` stands for all that `op` overlaps, and waits for them. */
static void stand_for(struct mirror_task *task, struct mirror_task_op *op,
		      uint32_t per_range_count)
{
	struct mirror_task *all = task->group->tasks;

	set_row(task, op->space, op->start, op->end);
	for (uint32_t i = 0; i < per_range_count; i++) {
		if (!matches(&all[i], op))
			continue;
		assert(all[i].counter == NULL);
		all[i].counter = task;                      /* 1162 */
		widen(task, all[i].start, all[i].end);      /* 1166 */
		set_row(&all[i], all[i].space, 0, 0);       /* 1164 */
		task->wait_count++;                         /* 1168 */
	}
	set_state(task, MIRROR_TASK_WAITING);
	task->op = op;
	op->task = task;
}

/* ---- one range ----------------------------------------------------------- */

/* 1142-1186: find the task that runs an entry of the main queue. */
static void assign(struct mirror_task *idle, struct mirror_task_op *op,
		   uint32_t per_range_count, struct mirror_task_op_list *issue)
{
	struct mirror_task *match = NULL;
	uint32_t match_count = 0;

	for (uint32_t i = 0; i < per_range_count; i++) {
		if (matches(&idle->group->tasks[i], op)) {
			match = &idle->group->tasks[i];
			match_count++;
		}
	}
	if (match_count == 1) {
		delegate(match, op);
	} else if (match_count > 1) {
		stand_for(idle, op, per_range_count);
	} else {                                            /* 1176 */
		set_row(idle, op->space, op->start, op->end);
		set_state(idle, MIRROR_TASK_RUNNING);
		process(idle, op, issue);
	}
}

/* 1136-1142: idle tasks take from the main queue, until there is none idle, or
 * nothing on it. */
static void serve(struct task_group *g, uint32_t per_range_count,
		  struct mirror_task_op_list *issue)
{
	while (g->main.head != NULL && g->active_count < per_range_count) {
		struct mirror_task *idle = g->tasks;

		while (idle->state != MIRROR_TASK_IDLE)
			idle++;
		g->main_count--;
		assign(idle, mirror_task_op_pop(&g->main), per_range_count, issue);
	}
}

int mirror_tasks_add(struct mirror_tasks *t, void *owner, uint32_t *part_count,
		     uint32_t space, uint64_t start, uint64_t end,
		     struct mirror_task_op_list *issue)
{
	const uint32_t first = mirror_tasks_range_of(t, space, start);
	const uint32_t last = mirror_tasks_range_of(t, space, end - 1);

	assert(owner != NULL && *part_count == 0 && start < end);

	if (last - first + 1 > t->op_count_max - t->op_count)
		return -ENOBUFS;
	for (uint32_t range = first; range <= last; range++) {
		struct task_group *g = &t->groups[range];
		struct mirror_task_op *op;
		const uint64_t stop = part_end(t, range, space, end);

		if (stop == start)
			continue;               /* an empty range */
		op = mirror_task_op_pop(&t->free);
		assert(op != NULL);             /* counted above */
		*op = (struct mirror_task_op){
			.space = space,
			.start = start,
			.end = stop,
			.owner = owner,
			.part_count = part_count,
		};
		t->op_count++;
		++*part_count;
		mirror_task_op_push(&g->main, op);
		g->main_count++;
		serve(g, t->per_range_count, issue);
		start = stop;
	}
	assert(start == end);
	return 0;
}

/* 1102-1134: the mini queue first; when it is empty, report to the counter,
 * and give up the row. */
static void go_on(struct mirror_task *task, struct mirror_task_op_list *issue)
{
	struct mirror_task_op *op = mirror_task_op_pop(&task->mini);
	struct mirror_task *waiting = task->counter;

	if (op != NULL) {
		task->mini_count--;
		process(task, op, issue);
		return;
	}
	task->op = NULL;
	task->counter = NULL;                               /* 1130 */
	set_row(task, 0, 0, 0);
	set_state(task, MIRROR_TASK_IDLE);                  /* 1132 */
	if (waiting != NULL && --waiting->wait_count == 0) { /* 1128 */
		set_state(waiting, MIRROR_TASK_RUNNING);
		process(waiting, waiting->op, issue);       /* 1184 */
	}
}

void *mirror_tasks_done(struct mirror_tasks *t, struct mirror_task_op *op,
			struct mirror_task_op_list *issue)
{
	struct mirror_task *task = op->task;
	void *owner = op->owner;
	const bool last = --*op->part_count == 0;

	assert(op->next == NULL);
	assert(task->state == MIRROR_TASK_RUNNING && task->op == op);

	*op = (struct mirror_task_op){ 0 };
	mirror_task_op_push(&t->free, op);
	t->op_count--;
	go_on(task, issue);
	serve(task->group, t->per_range_count, issue);
	return last ? owner : NULL;
}

/* ---- for the engine and tests -------------------------------------------- */

uint32_t mirror_tasks_op_count(const struct mirror_tasks *t)
{
	return t->op_count;
}

uint32_t mirror_tasks_op_count_max(const struct mirror_tasks *t)
{
	return t->op_count_max;
}

struct mirror_task_range mirror_tasks_range(const struct mirror_tasks *t, uint32_t range)
{
	const struct task_group *g = &t->groups[range];

	assert(range < t->range_count);
	return (struct mirror_task_range){
		.first_space = g->first_space,
		.first_key = g->first_key,
		.main_count = g->main_count,
		.active_count = g->active_count,
		.task_count = t->per_range_count,
	};
}

uint32_t mirror_tasks_rows(const struct mirror_tasks *t, uint32_t range,
			   struct mirror_task_row *rows, uint32_t max)
{
	const struct mirror_task *all = t->groups[range].tasks;
	uint32_t count = 0;

	assert(range < t->range_count);
	for (uint32_t i = 0; i < t->per_range_count && count < max; i++) {
		struct mirror_task_row *row = &rows[count];

		if (all[i].state == MIRROR_TASK_IDLE)
			continue;
		*row = (struct mirror_task_row){
			.task = i,
			.state = all[i].state,
			.space = all[i].space,
			.start = all[i].start,
			.end = all[i].end,
			.counter_task = MIRROR_TASK_NONE,
			.wait_count = all[i].wait_count,
			.mini_count = all[i].mini_count,
		};
		if (all[i].counter != NULL)
			row->counter_task = (uint32_t)(all[i].counter - all);
		count++;
	}
	return count;
}

/* One row against all others of its table; returns operations that it holds. */
static uint32_t check_task(const struct mirror_task *task, uint32_t per_range_count)
{
	const struct mirror_task *all = task->group->tasks;
	uint32_t reporting_count = 0, mini_count = 0;

	for (uint32_t i = 0; i < per_range_count; i++) {
		reporting_count += all[i].counter == task;
		if (&all[i] != task && all[i].state != MIRROR_TASK_IDLE &&
		    all[i].space == task->space)
			assert(all[i].end <= task->start || task->end <= all[i].start);
	}
	assert(task->wait_count == reporting_count);
	for (const struct mirror_task_op *op = task->mini.head; op != NULL;
	     op = op->next) {
		assert(op->task == task);
		if (task->start < task->end)
			assert(op->space == task->space && task->start <= op->start &&
			       op->end <= task->end);
		mini_count++;
	}
	assert(mini_count == task->mini_count);
	switch (task->state) {
	case MIRROR_TASK_IDLE:
		assert(task->op == NULL && mini_count == 0 && task->counter == NULL);
		return 0;
	case MIRROR_TASK_WAITING:
		assert(task->wait_count > 0);
		break;
	case MIRROR_TASK_RUNNING:
		assert(task->wait_count == 0);
		break;
	}
	assert(task->op != NULL && task->op->task == task);
	return mini_count + 1;
}

void mirror_tasks_check(const struct mirror_tasks *t)
{
	uint32_t op_count = 0;

	for (uint32_t i = 0; i < t->range_count; i++) {
		const struct task_group *g = &t->groups[i];
		uint32_t active_count = 0, running_count = 0, main_count = 0;

		for (uint32_t k = 0; k < t->per_range_count; k++) {
			op_count += check_task(&g->tasks[k], t->per_range_count);
			active_count += g->tasks[k].state != MIRROR_TASK_IDLE;
			running_count += g->tasks[k].state == MIRROR_TASK_RUNNING;
		}
		for (const struct mirror_task_op *op = g->main.head; op != NULL;
		     op = op->next)
			main_count++;
		assert(active_count == g->active_count && main_count == g->main_count);
		assert(main_count == 0 || active_count == t->per_range_count);
		assert(active_count == 0 || running_count > 0);
		op_count += main_count;
	}
	assert(op_count == t->op_count);
}
