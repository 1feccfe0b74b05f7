/* test_gate.c - the copy's gate (docs/sources.md, paper 000, Figs. 3, 6 and 7). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "mirror/engine/gate.h"
#include "tests/unit/property.h"

#define HELD_MAX 4

static struct mirror_gate gate;
static struct mirror_record_queue issue;

static void setup(void)
{
	mirror_gate_init(&gate, (struct mirror_group_number){ 1, 0 }, HELD_MAX);
	issue = (struct mirror_record_queue){ 0 };
}

static struct mirror_record write_of(uint64_t group)
{
	return (struct mirror_record){
		.header = { .type = MIRROR_RECORD_WRITE, .generation = 1, .group = group }
	};
}

static void arrive(struct mirror_record *r)
{
	ck_assert_int_eq(mirror_gate_arrive(&gate, r, &issue), 0);
}

static void done(struct mirror_record *r)
{
	mirror_gate_done(&gate, r, &issue);
}

static void starts(const struct mirror_record *r)
{
	ck_assert_ptr_eq(mirror_record_pop(&issue), r);
}

static void starts_nothing(void)
{
	ck_assert_ptr_null(mirror_record_pop(&issue));
}

/* P0-6: after init nothing is in progress and nothing outstanding. */
START_TEST(start_is_idle)
{
	ck_assert(!mirror_gate_in_progress(&gate));
	ck_assert_uint_eq(gate.current.group, 0);
	ck_assert_uint_eq(gate.held_count, 0);
}
END_TEST

/* P0-13 (104-114): no group in progress: adopt the number, count 1, start. */
START_TEST(first_record_of_a_group_starts_at_once)
{
	struct mirror_record a = write_of(5);

	arrive(&a);
	starts(&a);
	ck_assert_uint_eq(gate.current.group, 5);
	ck_assert_uint_eq(gate.outstanding_count, 1);
}
END_TEST

/* P0-14 (116-122): the same number: all 32 run beside each other. */
START_TEST(records_of_one_group_run_together)
{
	struct mirror_record r[32];

	for (int i = 0; i < 32; i++) {
		r[i] = write_of(1);
		arrive(&r[i]);
		starts(&r[i]);
		ck_assert_uint_eq(gate.outstanding_count, i + 1);
	}
}
END_TEST

/* P0-15 (124, 130-140): group 3 drained, a record of group 7 starts at once. */
START_TEST(numbers_may_skip)
{
	struct mirror_record a = write_of(3), b = write_of(7);

	arrive(&a);
	starts(&a);
	done(&a);
	ck_assert(!mirror_gate_in_progress(&gate));
	arrive(&b);
	starts(&b);
	ck_assert_uint_eq(gate.current.group, 7);
	ck_assert_uint_eq(gate.outstanding_count, 1);
}
END_TEST

/* P0-16 (142, 144): one write of group 3 stalls: nothing of group 4 starts. */
START_TEST(later_group_is_held_while_one_runs)
{
	struct mirror_record a = write_of(3), b = write_of(3);
	struct mirror_record c = write_of(4), d = write_of(4);

	arrive(&a);
	arrive(&b);
	starts(&a);
	starts(&b);
	arrive(&c);
	arrive(&d);
	starts_nothing();
	ck_assert_uint_eq(gate.held_count, 2);
	done(&b);
	starts_nothing();
	done(&a);
	starts(&c);
	starts(&d);
	starts_nothing();
}
END_TEST

/* P0-17 (126, 128): an older number is an error, held or not, and changes
 * nothing; so is a record without a number. */
START_TEST(older_or_unnumbered_group_is_a_protocol_error)
{
	struct mirror_record none = write_of(0), new = write_of(5), old = write_of(4);
	struct mirror_record held = write_of(7), between = write_of(6);

	ck_assert_int_eq(mirror_gate_arrive(&gate, &none, &issue), -EPROTO);
	arrive(&new);
	ck_assert_int_eq(mirror_gate_arrive(&gate, &old, &issue), -EPROTO);
	arrive(&held);
	ck_assert_int_eq(mirror_gate_arrive(&gate, &between, &issue), -EPROTO);
	ck_assert_uint_eq(gate.outstanding_count, 1);
	ck_assert_uint_eq(gate.held_count, 1);
	ck_assert_uint_eq(gate.newest.group, 7);
	starts(&new);
	starts_nothing();
}
END_TEST

/* P0-18 (152-166): groups 4, 5 and 6 are held; each starts alone, in order. */
START_TEST(held_groups_start_one_after_the_other)
{
	struct mirror_record a = write_of(3), b = write_of(4), c = write_of(5);
	struct mirror_record d = write_of(5), e = write_of(6);

	arrive(&a);
	arrive(&b);
	arrive(&c);
	arrive(&d);
	arrive(&e);
	starts(&a);
	starts_nothing();
	done(&a);                  /* 166: b starts group 4, c is held again */
	starts(&b);
	starts_nothing();
	ck_assert_uint_eq(gate.held_count, 3);
	done(&b);
	starts(&c);
	starts(&d);
	starts_nothing();
	done(&d);
	starts_nothing();
	done(&c);
	starts(&e);
	done(&e);                  /* 161: nothing held: idle */
	ck_assert(!mirror_gate_in_progress(&gate));
	starts_nothing();
}
END_TEST

/* P0-28: a refused record changes nothing, so it can be offered again. */
START_TEST(full_hold_queue_refuses_and_recovers)
{
	struct mirror_record a = write_of(1), r[HELD_MAX + 1];

	arrive(&a);
	for (int i = 0; i < HELD_MAX; i++) {
		r[i] = write_of(2 + i);
		arrive(&r[i]);
	}
	r[HELD_MAX] = write_of(9);
	ck_assert_int_eq(mirror_gate_arrive(&gate, &r[HELD_MAX], &issue), -ENOBUFS);
	ck_assert_uint_eq(gate.newest.group, 1 + HELD_MAX);
	ck_assert_uint_eq(gate.held_count, HELD_MAX);
	starts(&a);
	done(&a);
	starts(&r[0]);
	arrive(&r[HELD_MAX]);
	starts_nothing();
}
END_TEST

/* A new generation starts its groups over, and still waits for the last group
 * of the one before; nothing of the old one may follow it. */
START_TEST(new_generation_starts_over)
{
	struct mirror_record a = write_of(100), b = write_of(1), late = write_of(101);

	b.header.generation = 2;
	arrive(&a);
	arrive(&b);
	starts(&a);
	starts_nothing();
	ck_assert_int_eq(mirror_gate_arrive(&gate, &late, &issue), -EPROTO);
	done(&a);
	starts(&b);
	ck_assert_uint_eq(gate.current.generation, 2);
	ck_assert_uint_eq(gate.current.group, 1);
}
END_TEST

/* A flush has a number and no extent: it is noted, never held or started. */
START_TEST(flush_does_not_pass_the_gate)
{
	struct mirror_record a = write_of(1), flush = write_of(3), old = write_of(2);
	struct mirror_record b = write_of(3);

	flush.header.type = MIRROR_RECORD_FLUSH;
	arrive(&a);
	starts(&a);
	arrive(&flush);
	starts_nothing();
	ck_assert_uint_eq(gate.held_count, 0);
	ck_assert_uint_eq(gate.current.group, 1);
	ck_assert_int_eq(mirror_gate_arrive(&gate, &old, &issue), -EPROTO);
	arrive(&b);
	starts_nothing();
	done(&a);
	starts(&b);
	done(&b);
	flush.header.group = 2;
	ck_assert_int_eq(mirror_gate_arrive(&gate, &flush, &issue), -EPROTO);
}
END_TEST

/* While the log keeps the order, groups go together, and are counted. */
START_TEST(groups_go_together_when_told)
{
	struct mirror_record a = write_of(1), b = write_of(2), c = write_of(3);
	struct mirror_record old = write_of(2);

	arrive(&a);
	arrive(&b);
	starts(&a);
	starts_nothing();
	mirror_gate_set_together(&gate, true, &issue);
	starts(&b);                 /* the operation that was held */
	arrive(&c);
	starts(&c);
	ck_assert_uint_eq(gate.outstanding_count, 3);
	ck_assert_int_eq(mirror_gate_arrive(&gate, &old, &issue), -EPROTO);
	done(&b);
	done(&a);
	done(&c);
	ck_assert(!mirror_gate_in_progress(&gate));
}
END_TEST

/* When groups go one by one again, all that went together drains first: even
 * group 2, which has started, gets no more company. */
START_TEST(order_begins_again_after_what_went_together)
{
	struct mirror_record a = write_of(1), b = write_of(2);
	struct mirror_record c = write_of(2), d = write_of(3);

	mirror_gate_set_together(&gate, true, &issue);
	arrive(&a);
	arrive(&b);
	starts(&a);
	starts(&b);
	mirror_gate_set_together(&gate, false, &issue);
	arrive(&c);
	arrive(&d);
	starts_nothing();
	done(&b);
	starts_nothing();
	done(&a);
	starts(&c);
	starts_nothing();
	done(&c);
	starts(&d);
}
END_TEST

/* One group under way alone needs no drain when the mode changes back. */
START_TEST(one_group_alone_goes_on_after_together)
{
	struct mirror_record a = write_of(1), b = write_of(1);

	mirror_gate_set_together(&gate, true, &issue);
	arrive(&a);
	starts(&a);
	mirror_gate_set_together(&gate, false, &issue);
	arrive(&b);
	starts(&b);
}
END_TEST

/* A cut takes back held records: they may arrive again under their numbers. */
START_TEST(dropped_records_never_arrived)
{
	struct mirror_record a = write_of(1), b = write_of(2), c = write_of(3);
	struct mirror_record again = write_of(2);
	struct mirror_record_queue dropped = { 0 };

	arrive(&a);
	arrive(&b);
	arrive(&c);
	starts(&a);
	mirror_gate_drop(&gate, &dropped);
	ck_assert_ptr_eq(mirror_record_pop(&dropped), &b);
	ck_assert_ptr_eq(mirror_record_pop(&dropped), &c);
	ck_assert_ptr_null(mirror_record_pop(&dropped));
	ck_assert_uint_eq(gate.held_count, 0);
	arrive(&again);
	starts_nothing();
	done(&a);
	starts(&again);
}
END_TEST

/* P0-19: of many groups with random lengths and random ends, those under way
 * are always of one group, every earlier one is done, and all are done in the
 * end. While groups go together only the count is kept. */
START_TEST(groups_are_strictly_ordered)
{
	enum { COUNT = 300 };
	static struct mirror_record r[COUNT];
	struct random random = { (uint64_t)_i + 1 };
	struct mirror_record *running[COUNT], *started;
	uint32_t count = 0, arrived = 0, finished = 0;
	uint64_t group = 1;
	bool ordered = true;

	for (int i = 0; i < COUNT; i++) {
		r[i] = write_of(group);
		group += random_below(&random, 3);
	}
	while (finished < COUNT) {
		const uint64_t what = random_below(&random, 10);

		if (what == 0 && random_below(&random, 20) == 0) {
			mirror_gate_set_together(&gate, !gate.together, &issue);
			ordered = false;
		} else if (what < 5 && arrived < COUNT) {
			const int error = mirror_gate_arrive(&gate, &r[arrived], &issue);

			expect(error == 0 || error == -ENOBUFS);
			arrived += error == 0;
		} else if (count > 0) {
			const uint64_t k = random_below(&random, count);

			started = running[k];
			running[k] = running[--count];
			finished++;
			done(started);
		}
		while ((started = mirror_record_pop(&issue)) != NULL)
			running[count++] = started;
		ordered |= !gate.together && count == 0;
		expect(count == gate.outstanding_count);
		expect(arrived == finished + count + gate.held_count);
		for (uint32_t i = 0; ordered && i < count; i++)
			expect(running[i]->header.group == gate.current.group);
	}
	expect(!mirror_gate_in_progress(&gate));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("group");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, start_is_idle);
	tcase_add_test(tc, first_record_of_a_group_starts_at_once);
	tcase_add_test(tc, records_of_one_group_run_together);
	tcase_add_test(tc, numbers_may_skip);
	tcase_add_test(tc, later_group_is_held_while_one_runs);
	tcase_add_test(tc, older_or_unnumbered_group_is_a_protocol_error);
	tcase_add_test(tc, held_groups_start_one_after_the_other);
	tcase_add_test(tc, full_hold_queue_refuses_and_recovers);
	tcase_add_test(tc, new_generation_starts_over);
	tcase_add_test(tc, flush_does_not_pass_the_gate);
	tcase_add_test(tc, groups_go_together_when_told);
	tcase_add_test(tc, order_begins_again_after_what_went_together);
	tcase_add_test(tc, one_group_alone_goes_on_after_together);
	tcase_add_test(tc, dropped_records_never_arrived);
	tcase_add_loop_test(tc, groups_are_strictly_ordered, 0, 200);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
