/* task_create.c - make and unmake task groups and their ranges: see task.h. */
#include <stdlib.h>

#include "mirror/engine/task_private.h"

struct mirror_tasks *mirror_tasks_create(uint32_t range_count, uint32_t per_range_count,
					 uint32_t op_count_max)
{
	struct mirror_tasks *t = calloc(1, sizeof *t);

	assert(range_count > 0 && per_range_count > 0 && op_count_max >= range_count);

	if (t == NULL)
		return NULL;
	t->range_count = range_count;
	t->per_range_count = per_range_count;
	t->op_count_max = op_count_max;
	t->groups = calloc(range_count, sizeof *t->groups);
	t->tasks = calloc((size_t)range_count * per_range_count, sizeof *t->tasks);
	t->ops = calloc(op_count_max, sizeof *t->ops);
	if (t->groups == NULL || t->tasks == NULL || t->ops == NULL) {
		mirror_tasks_destroy(t);
		return NULL;
	}
	mirror_tasks_reset(t);
	return t;
}

void mirror_tasks_destroy(struct mirror_tasks *t)
{
	if (t == NULL)
		return;
	free(t->ops);
	free(t->tasks);
	free(t->groups);
	free(t);
}

void mirror_tasks_reset(struct mirror_tasks *t)
{
	for (uint32_t i = 0; i < t->range_count; i++) {
		struct task_group *g = &t->groups[i];

		*g = (struct task_group){
			.first_space = g->first_space,
			.first_key = g->first_key,
			.tasks = &t->tasks[(size_t)i * t->per_range_count],
		};
		for (uint32_t k = 0; k < t->per_range_count; k++)
			g->tasks[k] = (struct mirror_task){ .group = g };
	}
	t->op_count = 0;
	t->free = (struct mirror_task_op_list){ 0 };
	for (uint32_t i = 0; i < t->op_count_max; i++) {
		t->ops[i] = (struct mirror_task_op){ 0 };
		mirror_task_op_push(&t->free, &t->ops[i]);
	}
}

void mirror_tasks_set_space(struct mirror_tasks *t, uint32_t space_count,
			    const uint64_t *size, uint64_t granule)
{
	uint64_t sum = 0;

	assert(t->op_count == 0 && granule > 0);
	for (uint32_t s = 0; s < space_count; s++) {
		assert(size[s] <= UINT64_MAX - sum);
		sum += size[s];
	}
	for (uint32_t i = 0; i < t->range_count; i++) {
		/* sum * i / range_count, without its overflow */
		uint64_t key = sum / t->range_count * i +
			       sum % t->range_count * i / t->range_count;
		uint32_t space = 0;

		while (space < space_count && key >= size[space])
			key -= size[space++];
		if (key % granule != 0)
			key += granule - key % granule;
		if (space < space_count && key >= size[space]) {
			space++;
			key = 0;
		}
		t->groups[i].first_space = space;
		t->groups[i].first_key = key;
	}
	t->groups[0].first_space = 0;
	t->groups[0].first_key = 0;
}
