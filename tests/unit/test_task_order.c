/* test_task_order.c - task groups: order and progress, over every interleaving
 * of a few operations and over random runs of many (P1-8, P1-10, P1-14 to P1-16).
 *
 * The data is a row of cells. An operation's part is "on the disk" from its
 * issue to its end: no other may touch its cells then. It leaves its number in
 * each cell. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "mirror/engine/task.h"
#include "tests/unit/property.h"

#define CELL_MAX 256
#define OWNER_MAX 64

/* One operation that was added and is not done. */
struct owner {
	uint64_t number;         /* of arrival, from 1; 0: free */
	uint32_t part_count;     /* parts not yet done */
	uint32_t running_count;  /* of those, parts on the disk */
};

static struct mirror_tasks *tasks;
static struct mirror_task_op_list issue;
static struct owner owner[OWNER_MAX];
static struct mirror_task_op *running[OWNER_MAX * 4];
static uint32_t owner_count, running_count;
static uint64_t arrived;
static uint64_t serial[CELL_MAX];    /* as applied one by one */
static uint64_t cell[CELL_MAX];      /* as applied by the tasks */
static bool on_disk[CELL_MAX];

static void begin(uint32_t ranges, uint32_t per_range, uint32_t cells)
{
	const uint64_t size = cells;

	mirror_tasks_destroy(tasks);
	tasks = mirror_tasks_create(ranges, per_range, OWNER_MAX * ranges);
	expect(tasks != NULL);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	issue = (struct mirror_task_op_list){ 0 };
	owner_count = running_count = 0;
	arrived = 0;
	for (uint32_t i = 0; i < OWNER_MAX; i++)
		owner[i] = (struct owner){ 0 };
	for (uint32_t i = 0; i < CELL_MAX; i++) {
		serial[i] = cell[i] = 0;
		on_disk[i] = false;
	}
}

static void teardown(void)
{
	mirror_tasks_destroy(tasks);
	tasks = NULL;
}

/* Start each issued part: alone on its cells, after all that arrived before it. */
static void start(void)
{
	struct mirror_task_op *op;

	while ((op = mirror_task_op_pop(&issue)) != NULL) {
		struct owner *o = op->owner;

		for (uint64_t i = op->start; i < op->end; i++) {
			expect(!on_disk[i]);
			expect(cell[i] < o->number);
			on_disk[i] = true;
		}
		o->running_count++;
		running[running_count++] = op;
	}
}

static void add(uint64_t start_cell, uint64_t end_cell)
{
	struct owner *o = owner;

	while (o->number != 0)
		o++;
	o->number = ++arrived;
	owner_count++;
	expect(mirror_tasks_add(tasks, o, &o->part_count, 0, start_cell, end_cell,
				&issue) == 0);
	for (uint64_t i = start_cell; i < end_cell; i++)
		serial[i] = o->number;
	start();
}

static void end(uint64_t k)
{
	struct mirror_task_op *op = running[k];
	struct owner *o = op->owner;

	for (uint64_t i = op->start; i < op->end; i++) {
		cell[i] = o->number;
		on_disk[i] = false;
	}
	running[k] = running[--running_count];
	o->running_count--;
	if (mirror_tasks_done(tasks, op, &issue) != NULL) {
		expect(o->part_count == 0);
		o->number = 0;
		owner_count--;
	} else {
		expect(o->part_count > 0);
	}
	start();
}

/* P1-15: every part of the oldest operation is on the disk. So each operation waits only
 * for those that arrived before it, not for later ones. */
static void oldest_runs(void)
{
	const struct owner *oldest = NULL;

	for (uint32_t i = 0; i < OWNER_MAX; i++)
		if (owner[i].number != 0 &&
		    (oldest == NULL || owner[i].number < oldest->number))
			oldest = &owner[i];
	if (oldest != NULL)
		expect(oldest->running_count == oldest->part_count);
}

static void drain(void)
{
	while (running_count > 0)
		end(0);
	expect(owner_count == 0);
	expect(mirror_tasks_op_count(tasks) == 0);
	mirror_tasks_check(tasks);
	for (uint32_t i = 0; i < CELL_MAX; i++)
		expect(cell[i] == serial[i]);
}

/* P1-8, P1-10: every sequence of five operations of these extents, in every
 * interleaving of arrivals and ends, with 1 to 3 tasks in 1 or 2 ranges. A path
 * is a list of choices; the next path is the next number in that odometer. */
#define ADD_COUNT 5
#define CHOICE_MAX (ADD_COUNT * 3)

static struct {
	uint32_t at, count;
} choice[CHOICE_MAX];
static uint32_t choice_count;

static uint32_t choose(uint32_t *depth, uint32_t count)
{
	expect(*depth < CHOICE_MAX);
	if (*depth == choice_count) {
		choice[choice_count].at = 0;
		choice[choice_count++].count = count;
	}
	expect(choice[*depth].count == count);
	return choice[(*depth)++].at;
}

static bool next_path(void)
{
	while (choice_count > 0 &&
	       ++choice[choice_count - 1].at == choice[choice_count - 1].count)
		choice_count--;
	return choice_count > 0;
}

START_TEST(every_interleaving_keeps_order_and_drains)
{
	static const struct {
		uint64_t start, end;
	} extent[] = {
		{ 0, 4 },
		{ 3, 9 },
		{ 8, 12 },
	};
	const uint32_t extents = sizeof extent / sizeof extent[0];
	const uint32_t ranges = (uint32_t)_i / 3 + 1, per_range = (uint32_t)_i % 3 + 1;

	choice_count = 0;
	do {
		uint32_t depth = 0;

		begin(ranges, per_range, 12);
		while (arrived < ADD_COUNT || running_count > 0) {
			const uint32_t adds = arrived < ADD_COUNT ? extents : 0;
			const uint32_t i = choose(&depth, adds + running_count);

			if (i < adds)
				add(extent[i].start, extent[i].end);
			else
				end(i - adds);
			mirror_tasks_check(tasks);
			oldest_runs();
		}
		drain();
	} while (next_path());
}
END_TEST

/* P1-14, P1-16: a million random operations over 64 KiB of sectors: the result
 * is that of serial application, in one range with 16 tasks and in several with
 * operations over their borders. */
static void run_random(uint32_t ranges, uint32_t per_range, uint32_t cells,
		       uint64_t longest, uint32_t count)
{
	struct random random = { ranges * 1000 + per_range };

	begin(ranges, per_range, cells);
	while (arrived < count) {
		if (owner_count < OWNER_MAX && random_below(&random, 3) < 2) {
			const uint64_t length = random_below(&random, longest) + 1;
			const uint64_t from = random_below(&random, cells - length + 1);

			add(from, from + length);
		} else if (running_count > 0) {
			end(random_below(&random, running_count));
		}
		oldest_runs();
		if (arrived % 64 == 0)
			mirror_tasks_check(tasks);
	}
	drain();
}

START_TEST(a_million_operations_equal_serial_application)
{
	run_random(1, 16, 128, 16, 1000000);
}
END_TEST

START_TEST(ranges_and_borders_equal_serial_application)
{
	static const struct {
		uint32_t ranges, per_range, cells;
		uint64_t longest;
	} row[] = {
		{ 1, 1, 128, 16 }, { 2, 1, 128, 60 },  { 3, 2, 100, 100 },
		{ 4, 4, 256, 8 },  { 4, 16, 256, 70 }, { 7, 3, 30, 30 },
		{ 4, 2, 3, 3 },
	};

	run_random(row[_i].ranges, row[_i].per_range, row[_i].cells, row[_i].longest,
		   100000);
}
END_TEST

/* P1-15: all tasks wait but one: everything drains, each within as many ends
 * as operations came before it. */
START_TEST(all_waiting_but_one_drains)
{
	struct mirror_task_row rows[16];
	uint32_t waiting_count = 0;

	begin(1, 16, 64);
	for (uint64_t i = 0; i < 8; i++)        /* eight apart */
		add(8 * i, 8 * i + 2);
	for (uint64_t i = 0; i < 7; i++)        /* each joins all before it */
		add(8 * i, 8 * i + 9);
	for (uint32_t i = mirror_tasks_rows(tasks, 0, rows, 16); i > 0; i--)
		waiting_count += rows[i - 1].state == MIRROR_TASK_WAITING;
	expect(waiting_count == 7);
	while (running_count > 1)               /* the first eight, but one */
		end(1);
	for (uint32_t ends = 1; ends <= 8; ends++) {
		expect(running_count == 1);
		end(0);
	}
	expect(owner_count == 0);
	drain();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("task order");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, every_interleaving_keeps_order_and_drains, 0, 6);
	tcase_add_test(tc, a_million_operations_equal_serial_application);
	tcase_add_loop_test(tc, ranges_and_borders_equal_serial_application, 0, 7);
	tcase_add_test(tc, all_waiting_but_one_drains);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
