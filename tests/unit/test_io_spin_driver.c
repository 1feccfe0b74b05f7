/* test_io_spin_driver.c - when the I/O thread looks before it sleeps (io_spin_driver.h).
 * Times are given: no clock runs here.
 */
#include <check.h>
#include <stdlib.h>

#include "mirror/drivers/io_spin_driver.h"

#define US 1000ull
#define SAMPLE 64

static struct io_spin spin;
static uint64_t now;

static void set_up(void)
{
	now = 1000000000;
	io_spin_init(&spin, CONFIG_SPIN_AUTO);
}

/* `count` waits of `ns` each, which end like that. */
static void wait_so(uint32_t count, uint64_t ns, enum io_spin_outcome outcome)
{
	for (uint32_t i = 0; i < count; i++) {
		now += ns;
		io_spin_end(&spin, now, now - ns, outcome);
	}
}

START_TEST(off_is_never)
{
	io_spin_init(&spin, 0);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 0);
	wait_so(10 * SAMPLE, 5 * US, IO_SPIN_SLEPT);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 0);
}
END_TEST

START_TEST(a_number_is_always)
{
	io_spin_init(&spin, 40);
	wait_so(10 * SAMPLE, 1000 * US, IO_SPIN_IN_VAIN);
	wait_so(1, 1000 * US, IO_SPIN_KEPT_OFF);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 40 * US);
}
END_TEST

START_TEST(it_follows_what_waits_take)
{
	const uint64_t first = io_spin_begin(&spin, now);

	ck_assert_uint_gt(first, 0);
	wait_so(100, 20 * US, IO_SPIN_FOUND);
	ck_assert_uint_ge(io_spin_begin(&spin, now), 20 * US);
	ck_assert_uint_le(io_spin_begin(&spin, now), 40 * US);
	wait_so(100, 50 * US, IO_SPIN_FOUND);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 60 * US);
}
END_TEST

/* It sleeps at once while they take long, and goes on when they are short again. */
START_TEST(long_waits_are_slept)
{
	wait_so(100, 500 * US, IO_SPIN_SLEPT);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 0);
	wait_so(100, 20 * US, IO_SPIN_SLEPT);
	ck_assert_uint_gt(io_spin_begin(&spin, now), 0);
}
END_TEST

START_TEST(it_ends_while_it_does_not_pay)
{
	wait_so(SAMPLE / 2, 20 * US, IO_SPIN_FOUND);
	wait_so(SAMPLE / 2 - 1, 30 * US, IO_SPIN_IN_VAIN);
	ck_assert_uint_gt(io_spin_begin(&spin, now), 0);
	wait_so(1, 30 * US, IO_SPIN_IN_VAIN);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 0);
	now += 10000 * US;
	ck_assert_uint_gt(io_spin_begin(&spin, now), 0);
	wait_so(SAMPLE - 10, 20 * US, IO_SPIN_FOUND);
	wait_so(10, 30 * US, IO_SPIN_IN_VAIN);
	ck_assert_uint_gt(io_spin_begin(&spin, now), 0);
}
END_TEST

START_TEST(others_get_the_processor)
{
	wait_so(SAMPLE, 20 * US, IO_SPIN_FOUND);
	wait_so(1, 30 * US, IO_SPIN_KEPT_OFF);
	ck_assert_uint_eq(io_spin_begin(&spin, now), 0);
	now += 10000 * US;
	ck_assert_uint_gt(io_spin_begin(&spin, now), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("io_spin_driver");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, off_is_never);
	tcase_add_test(tc, a_number_is_always);
	tcase_add_test(tc, it_follows_what_waits_take);
	tcase_add_test(tc, long_waits_are_slept);
	tcase_add_test(tc, it_ends_while_it_does_not_pay);
	tcase_add_test(tc, others_get_the_processor);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
