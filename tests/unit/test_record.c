/* test_record.c - the life of a record: every move, legal or not. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "mirror/log/record.h"

#define STATE_COUNT (MIRROR_RECORD_HOME + 1)

static const bool legal[STATE_COUNT][STATE_COUNT] = {
	[MIRROR_RECORD_FREE] = { [MIRROR_RECORD_STAMPED] = true,
				 [MIRROR_RECORD_LOGGED] = true },
	[MIRROR_RECORD_STAMPED] = { [MIRROR_RECORD_LOGGING] = true,
				    [MIRROR_RECORD_FREE] = true },
	[MIRROR_RECORD_LOGGING] = { [MIRROR_RECORD_LOGGED] = true,
				    [MIRROR_RECORD_FREE] = true },
	[MIRROR_RECORD_LOGGED] = { [MIRROR_RECORD_HOMING] = true,
				   [MIRROR_RECORD_FREE] = true },
	[MIRROR_RECORD_HOMING] = { [MIRROR_RECORD_LOGGED] = true,
				   [MIRROR_RECORD_HOME] = true,
				   [MIRROR_RECORD_FREE] = true },
	[MIRROR_RECORD_HOME] = { [MIRROR_RECORD_FREE] = true },
};

/* _i is from * STATE_COUNT + to; reaches the end only when the move is made. */
static void move(int i)
{
	struct mirror_record r = { .state = (enum mirror_record_state)(i / STATE_COUNT) };
	const enum mirror_record_state to = (enum mirror_record_state)(i % STATE_COUNT);

	mirror_record_set_state(&r, to);
	ck_assert_int_eq(r.state, to);
}

START_TEST(legal_moves_are_made)
{
	for (int i = 0; i < STATE_COUNT * STATE_COUNT; i++)
		if (legal[i / STATE_COUNT][i % STATE_COUNT])
			move(i);
}
END_TEST

START_TEST(other_moves_abort)
{
	if (legal[_i / STATE_COUNT][_i % STATE_COUNT])
		raise(SIGABRT);        /* this row of the loop is not about it */
	move(_i);
}
END_TEST

/* A free record owns nothing: each thing that it could still hold aborts. */
START_TEST(freeing_what_is_in_use_aborts)
{
	static uint8_t data[1];
	struct mirror_record other = { 0 };
	struct mirror_record r = { .state = MIRROR_RECORD_HOME };

	switch (_i) {
	case 0:
		r.data = data;
		break;
	case 1:
		r.data_pin_count = 1;
		break;
	case 2:
		r.next = &other;
		break;
	case 3:
		r.part_count = 1;
		break;
	case 4:
		r.indexed = true;
		break;
	default:
		ck_abort();
	}
	mirror_record_set_state(&r, MIRROR_RECORD_FREE);
}
END_TEST

START_TEST(queue_keeps_arrival_order)
{
	struct mirror_record a = { 0 }, b = { 0 }, c = { 0 };
	struct mirror_record_queue q = { 0 };

	mirror_record_push(&q, &a);
	mirror_record_push(&q, &b);
	ck_assert_ptr_eq(mirror_record_pop(&q), &a);
	mirror_record_push(&q, &c);
	ck_assert_ptr_eq(mirror_record_pop(&q), &b);
	ck_assert_ptr_eq(mirror_record_pop(&q), &c);
	ck_assert_ptr_null(mirror_record_pop(&q));
	ck_assert_ptr_null(q.tail);
	ck_assert_ptr_null(b.next);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("record");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, legal_moves_are_made);
	tcase_add_loop_test_raise_signal(tc, other_moves_abort, SIGABRT, 0,
					 STATE_COUNT * STATE_COUNT);
	tcase_add_loop_test_raise_signal(tc, freeing_what_is_in_use_aborts, SIGABRT, 0,
					 5);
	tcase_add_test(tc, queue_keeps_arrival_order);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
