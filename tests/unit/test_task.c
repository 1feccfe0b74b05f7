/* test_task.c - task groups, paper 001, Figs. 6-11: transcripts by row of the
 * requirements. Random and exhaustive runs are in test_task_order.c. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "mirror/engine/task.h"

/* The owner of an operation. */
struct owner {
	uint32_t part_count;
};

static struct mirror_tasks *tasks;
static struct mirror_task_op_list issue;
static struct owner a, b, c, d, e;

static void make(uint32_t range_count, uint32_t per_range_count, uint32_t op_count_max)
{
	mirror_tasks_destroy(tasks);
	tasks = mirror_tasks_create(range_count, per_range_count, op_count_max);
	ck_assert_ptr_nonnull(tasks);
}

static void setup(void)
{
	make(1, 4, 16);
	issue = (struct mirror_task_op_list){ 0 };
	a = b = c = d = e = (struct owner){ 0 };
}

static void teardown(void)
{
	mirror_tasks_destroy(tasks);
	tasks = NULL;
}

static int add_to(uint32_t space, struct owner *o, uint64_t start, uint64_t end)
{
	return mirror_tasks_add(tasks, o, &o->part_count, space, start, end, &issue);
}

static void add(struct owner *o, uint64_t start, uint64_t end)
{
	ck_assert_int_eq(add_to(0, o, start, end), 0);
	mirror_tasks_check(tasks);
}

/* Expect this operation to be issued next. */
static struct mirror_task_op *starts(const struct owner *o, uint64_t start, uint64_t end)
{
	struct mirror_task_op *op = mirror_task_op_pop(&issue);

	ck_assert_ptr_nonnull(op);
	ck_assert_ptr_eq(op->owner, o);
	ck_assert_uint_eq(op->start, start);
	ck_assert_uint_eq(op->end, end);
	return op;
}

static void starts_nothing(void)
{
	ck_assert_ptr_null(mirror_task_op_pop(&issue));
}

static void done(struct mirror_task_op *op)
{
	ck_assert_ptr_nonnull(mirror_tasks_done(tasks, op, &issue));
	mirror_tasks_check(tasks);
}

/* Row `i` of the table of range 0. */
static struct mirror_task_row row(uint32_t i)
{
	struct mirror_task_row rows[8];

	ck_assert_uint_gt(mirror_tasks_rows(tasks, 0, rows, 8), i);
	return rows[i];
}

static void row_is(uint32_t i, enum mirror_task_state state, uint64_t start, uint64_t end,
		   uint32_t mini_count)
{
	ck_assert_int_eq(row(i).state, state);
	ck_assert_uint_eq(row(i).start, start);
	ck_assert_uint_eq(row(i).end, end);
	ck_assert_uint_eq(row(i).mini_count, mini_count);
}

/* P1-2: the paper's example (Fig. 7). */
START_TEST(four_ranges_of_the_paper)
{
	const uint64_t size = 0x4000000000000000;

	make(4, 1, 4);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	for (uint32_t i = 0; i < 4; i++) {
		const uint64_t first = i * 0x1000000000000000;

		ck_assert_uint_eq(mirror_tasks_range(tasks, i).first_key, first);
		ck_assert_uint_eq(mirror_tasks_range_of(tasks, 0, first), i);
		ck_assert_uint_eq(
			mirror_tasks_range_of(tasks, 0, first + 0x0fffffffffffffff), i);
	}
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 0, 0x310000D400000000), 3);
}
END_TEST

/* P1-2: any part of the 64-bit space, up to all of it. */
START_TEST(the_whole_space_may_be_divided)
{
	const uint64_t size = UINT64_MAX;

	make(4, 1, 4);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 1).first_key, 0x3fffffffffffffff);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 2).first_key, 0x7fffffffffffffff);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 3).first_key, 0xbfffffffffffffff);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 0, UINT64_MAX), 3);
}
END_TEST

/* P1-2: only the disks' sizes are divided, their sum evenly: 10 + 0 + 30 + 20
 * MiB in three ranges of 20 MiB. A border lies at a multiple of the granule. */
START_TEST(the_sum_of_the_disks_is_divided)
{
	enum { MIB = 1 << 20 };
	const uint64_t size[] = { 10 * MIB, 0, 30 * MIB, 20 * MIB };
	const uint64_t odd[] = { 3 * 512, 5 * 512 };

	make(3, 1, 4);
	mirror_tasks_set_space(tasks, 4, size, 4096);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 1).first_space, 2);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 1).first_key, 10 * MIB);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 2).first_space, 3);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 2).first_key, 0);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 0, 10 * MIB - 1), 0);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 2, 10 * MIB - 1), 0);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 2, 10 * MIB), 1);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 2, 30 * MIB - 1), 1);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 3, 5), 2);

	mirror_tasks_set_space(tasks, 2, odd, 4096);   /* smaller than a granule */
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 0, 2 * 512), 0);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 1).first_space, 1);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 1).first_key, 0);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, 1, 4 * 512), 1);
	add(&a, 0, 3 * 512);
	done(starts(&a, 0, 3 * 512));
}
END_TEST

/* P1-1: one range with one task is a plain queue. */
START_TEST(one_range_with_one_task_works)
{
	struct mirror_task_op *op;

	make(1, 1, 3);
	add(&a, 0, 8);
	add(&b, 100, 108);
	add(&c, 4, 12);
	op = starts(&a, 0, 8);
	starts_nothing();
	ck_assert_uint_eq(mirror_tasks_range(tasks, 0).main_count, 2);
	done(op);
	op = starts(&b, 100, 108);
	starts_nothing();
	done(op);
	done(starts(&c, 4, 12));
	ck_assert_uint_eq(mirror_tasks_op_count(tasks), 0);
}
END_TEST

/* P1-3, P1-4: each operation goes to the main queue of its range, in order of
 * arrival; a stall in one range delays only that range's queue. */
START_TEST(ranges_do_not_wait_for_each_other)
{
	const uint64_t size = 400;
	struct mirror_task_op *stalled;

	make(4, 1, 8);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	add(&a, 10, 20);
	stalled = starts(&a, 10, 20);
	add(&b, 50, 60);                      /* range 0 again: its main queue */
	add(&c, 110, 120);
	add(&d, 210, 220);
	add(&e, 310, 320);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 0).main_count, 1);
	done(starts(&c, 110, 120));
	done(starts(&d, 210, 220));
	done(starts(&e, 310, 320));
	starts_nothing();
	done(stalled);
	done(starts(&b, 50, 60));
}
END_TEST

/* P1-5, P1-13: no overlap: the task takes the range for itself and runs. */
START_TEST(apart_in_one_range_run_beside_each_other)
{
	add(&a, 0, 4096);
	add(&b, 8192, 12288);
	add(&c, 4096, 8192);                  /* touches both, overlaps none */
	starts(&a, 0, 4096);
	starts(&b, 8192, 12288);
	starts(&c, 4096, 8192);
}
END_TEST

/* P1-6: a row is task, exact range and counter pointer, and goes with its task. */
START_TEST(table_shows_exactly_what_is_worked_on)
{
	struct mirror_task_op *op;
	struct mirror_task_row rows[4];

	add(&a, 1536, 2048);
	op = starts(&a, 1536, 2048);
	row_is(0, MIRROR_TASK_RUNNING, 1536, 2048, 0);
	ck_assert_uint_eq(row(0).task, 0);
	ck_assert_uint_eq(row(0).counter_task, MIRROR_TASK_NONE);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 0).active_count, 1);
	done(op);
	ck_assert_uint_eq(mirror_tasks_rows(tasks, 0, rows, 4), 0);
}
END_TEST

/* P1-7: with entries on both queues, the task serves its mini queue first. */
START_TEST(mini_queue_comes_before_the_main_queue)
{
	struct mirror_task_op *op, *other;

	make(1, 2, 8);
	add(&a, 0, 8);
	add(&b, 4, 8);                        /* onto a's mini queue */
	add(&c, 100, 108);
	add(&d, 200, 208);                    /* no task is idle: main queue */
	op = starts(&a, 0, 8);
	other = starts(&c, 100, 108);
	starts_nothing();
	row_is(0, MIRROR_TASK_RUNNING, 0, 8, 1);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 0).main_count, 1);
	done(op);
	op = starts(&b, 4, 8);
	starts_nothing();
	done(op);
	starts(&d, 200, 208);
	done(other);
}
END_TEST

/* P1-10: B overlaps A, which another task has: B runs when A is done. */
START_TEST(arrival_order_decides_conflicts)
{
	struct mirror_task_op *op;

	add(&a, 0, 8);
	add(&b, 0, 8);
	op = starts(&a, 0, 8);
	starts_nothing();
	done(op);
	starts(&b, 0, 8);
}
END_TEST

/* P1-11: overlap with one active task widens its row and goes to it; unrelated
 * work is taken by another task at once. */
START_TEST(overlap_with_one_task_goes_to_it)
{
	struct mirror_task_op *op;

	add(&a, 0, 8);
	op = starts(&a, 0, 8);
	add(&b, 6, 12);
	row_is(0, MIRROR_TASK_RUNNING, 0, 12, 1);
	add(&c, 10, 11);
	row_is(0, MIRROR_TASK_RUNNING, 0, 12, 2);
	starts_nothing();
	add(&d, 12, 20);
	starts(&d, 12, 20);
	done(op);
	op = starts(&b, 6, 12);
	starts_nothing();
	done(op);
	starts(&c, 10, 11);
}
END_TEST

/* P1-9, P1-12: overlap with several: they share a counter, their rows are
 * cleared, and the newcomer's row stands for all. */
START_TEST(overlap_with_several_tasks_waits_for_their_counter)
{
	struct mirror_task_op *first, *second, *third;

	add(&a, 0, 4);
	add(&b, 8, 12);
	first = starts(&a, 0, 4);
	second = starts(&b, 8, 12);
	add(&c, 2, 10);
	starts_nothing();
	row_is(0, MIRROR_TASK_RUNNING, 0, 0, 0);
	row_is(1, MIRROR_TASK_RUNNING, 0, 0, 0);
	row_is(2, MIRROR_TASK_WAITING, 0, 12, 0);
	ck_assert_uint_eq(row(0).counter_task, 2);
	ck_assert_uint_eq(row(1).counter_task, 2);
	ck_assert_uint_eq(row(2).wait_count, 2);
	add(&d, 9, 10);                       /* behind the one that waits */
	row_is(2, MIRROR_TASK_WAITING, 0, 12, 1);

	done(second);
	starts_nothing();
	ck_assert_uint_eq(row(1).wait_count, 1);
	ck_assert_uint_eq(mirror_tasks_range(tasks, 0).active_count, 2);
	done(first);
	third = starts(&c, 2, 10);            /* resumes exactly once */
	starts_nothing();
	row_is(0, MIRROR_TASK_RUNNING, 0, 12, 1);
	done(third);
	done(starts(&d, 9, 10));
	ck_assert_uint_eq(mirror_tasks_range(tasks, 0).active_count, 0);
}
END_TEST

/* The row that stands for all spans the newcomer's own extent too (1166). */
START_TEST(waiting_row_spans_what_it_waits_for_and_its_own)
{
	add(&a, 4, 6);
	add(&b, 8, 9);
	add(&c, 2, 12);
	row_is(2, MIRROR_TASK_WAITING, 2, 12, 0);
	starts(&a, 4, 6);
	starts(&b, 8, 9);
	add(&d, 2, 3);
	add(&e, 11, 12);
	row_is(2, MIRROR_TASK_WAITING, 2, 12, 2);
	starts_nothing();
}
END_TEST

/* Fig. 11: a task empties its mini queue before it reports to the counter: operations that
 * wait for the task wait for everything delegated to it. */
START_TEST(counter_waits_for_the_mini_queues_too)
{
	struct mirror_task_op *first, *second;

	add(&a, 0, 4);
	add(&b, 2, 4);                        /* a's mini queue */
	add(&c, 8, 12);
	first = starts(&a, 0, 4);
	second = starts(&c, 8, 12);
	add(&d, 3, 9);
	done(second);
	done(first);
	first = starts(&b, 2, 4);
	starts_nothing();
	done(first);
	starts(&d, 3, 9);
}
END_TEST

/* P1-12, P1-15: others may wait for a task that waits: the chain resolves in order. */
START_TEST(a_waiting_task_may_be_waited_for)
{
	struct mirror_task_op *first, *second, *third;

	make(1, 5, 8);
	add(&a, 0, 4);
	add(&b, 8, 12);
	add(&c, 20, 24);
	first = starts(&a, 0, 4);
	second = starts(&b, 8, 12);
	third = starts(&c, 20, 24);
	add(&d, 2, 10);                       /* waits for a and b */
	add(&e, 11, 21);                      /* waits for d and c */
	row_is(3, MIRROR_TASK_WAITING, 0, 0, 0);
	ck_assert_uint_eq(row(3).counter_task, 4);
	row_is(4, MIRROR_TASK_WAITING, 0, 24, 0);
	ck_assert_uint_eq(row(4).wait_count, 2);
	done(third);
	starts_nothing();
	done(first);
	starts_nothing();
	done(second);
	first = starts(&d, 2, 10);
	starts_nothing();
	done(first);
	starts(&e, 11, 21);
}
END_TEST

/* P1-16: an operation over a border becomes a part per range; it is done when
 * all parts are, and its neighbours keep their order in each range. */
START_TEST(an_operation_over_borders_is_split)
{
	const uint64_t size = 300;
	struct mirror_task_op *part[3], *left;

	make(3, 2, 8);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	add(&a, 90, 100);
	left = starts(&a, 90, 100);
	add(&b, 95, 205);
	ck_assert_uint_eq(b.part_count, 3);
	part[1] = starts(&b, 100, 200);
	part[2] = starts(&b, 200, 205);
	starts_nothing();                     /* [95, 100) waits for a */
	add(&c, 199, 201);
	ck_assert_ptr_null(mirror_tasks_done(tasks, part[2], &issue));
	starts(&c, 200, 201);
	ck_assert_ptr_null(mirror_tasks_done(tasks, part[1], &issue));
	starts(&c, 199, 200);
	ck_assert_ptr_eq(mirror_tasks_done(tasks, left, &issue), &a);
	part[0] = starts(&b, 95, 100);
	ck_assert_ptr_eq(mirror_tasks_done(tasks, part[0], &issue), &b);
	ck_assert_uint_eq(b.part_count, 0);
}
END_TEST

/* G7: all parts or none; a refused operation can be offered again. */
START_TEST(no_room_for_all_parts_takes_none)
{
	const uint64_t size = 20;
	struct mirror_task_op *op;

	make(2, 2, 3);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	add(&a, 0, 4);
	add(&b, 4, 8);
	op = starts(&a, 0, 4);
	starts(&b, 4, 8);
	ck_assert_int_eq(add_to(0, &c, 9, 11), -ENOBUFS);
	ck_assert_uint_eq(c.part_count, 0);
	ck_assert_uint_eq(mirror_tasks_op_count(tasks), 2);
	starts_nothing();
	done(op);
	add(&c, 9, 11);
	ck_assert_uint_eq(mirror_tasks_op_count(tasks), mirror_tasks_op_count_max(tasks));
	starts(&c, 9, 10);
	starts(&c, 10, 11);
}
END_TEST

/* P1-23: keys are those of anything that can be partitioned: here accounts of
 * branches. One account of two branches is two things. */
START_TEST(keys_need_not_be_addresses)
{
	enum branch { NORTH, SOUTH, BRANCH_COUNT };
	const uint64_t accounts[BRANCH_COUNT] = { 1000, 3000 };
	struct mirror_task_op *north;

	make(2, 2, 8);
	mirror_tasks_set_space(tasks, BRANCH_COUNT, accounts, 1);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, SOUTH, 999), 0);
	ck_assert_uint_eq(mirror_tasks_range_of(tasks, SOUTH, 1000), 1);
	ck_assert_int_eq(add_to(NORTH, &a, 7, 8), 0);
	ck_assert_int_eq(add_to(SOUTH, &b, 7, 8), 0);
	ck_assert_int_eq(add_to(NORTH, &c, 7, 8), 0);
	north = starts(&a, 7, 8);
	ck_assert_uint_eq(starts(&b, 7, 8)->space, SOUTH);
	starts_nothing();
	done(north);
	ck_assert_uint_eq(starts(&c, 7, 8)->space, NORTH);
}
END_TEST

/* A failed site forgets everything and can begin again. */
START_TEST(reset_forgets_every_operation)
{
	const uint64_t size = 100;

	add(&a, 0, 4);
	add(&b, 8, 12);
	add(&c, 2, 10);
	add(&d, 3, 4);
	mirror_tasks_reset(tasks);
	mirror_tasks_check(tasks);
	ck_assert_uint_eq(mirror_tasks_op_count(tasks), 0);
	mirror_tasks_set_space(tasks, 1, &size, 1);
	issue = (struct mirror_task_op_list){ 0 };
	add(&e, 0, 12);
	done(starts(&e, 0, 12));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("task");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, four_ranges_of_the_paper);
	tcase_add_test(tc, the_whole_space_may_be_divided);
	tcase_add_test(tc, the_sum_of_the_disks_is_divided);
	tcase_add_test(tc, one_range_with_one_task_works);
	tcase_add_test(tc, ranges_do_not_wait_for_each_other);
	tcase_add_test(tc, apart_in_one_range_run_beside_each_other);
	tcase_add_test(tc, table_shows_exactly_what_is_worked_on);
	tcase_add_test(tc, mini_queue_comes_before_the_main_queue);
	tcase_add_test(tc, arrival_order_decides_conflicts);
	tcase_add_test(tc, overlap_with_one_task_goes_to_it);
	tcase_add_test(tc, overlap_with_several_tasks_waits_for_their_counter);
	tcase_add_test(tc, waiting_row_spans_what_it_waits_for_and_its_own);
	tcase_add_test(tc, counter_waits_for_the_mini_queues_too);
	tcase_add_test(tc, a_waiting_task_may_be_waited_for);
	tcase_add_test(tc, an_operation_over_borders_is_split);
	tcase_add_test(tc, no_room_for_all_parts_takes_none);
	tcase_add_test(tc, keys_need_not_be_addresses);
	tcase_add_test(tc, reset_forgets_every_operation);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
