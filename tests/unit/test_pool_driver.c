/* test_pool_driver.c - pages of the pool come and go on a thread of their own. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mirror/drivers/pool_driver.h"
#include "tests/unit/driver_rig.h"
#include "tests/unit/free_port.h"

#define BYTES (4u << 20)

static struct rig rig;
static uint8_t *region;
static struct mirror_pool_order next;

/* An order to refresh stands for the need that the core sees. */
static bool script(struct rig *r, const struct mirror_event *e,
		   struct mirror_actions *out)
{
	(void)r;
	if (e->type != MIRROR_EVENT_ORDER || e->order->type != ORDER_REFRESH)
		return false;
	out->pool = next;
	return true;
}

static void setup(void)
{
	rig_create(&rig, free_port());
	rig.script = script;
	region = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	ck_assert_ptr_ne(region, MAP_FAILED);
	rig_start(&rig);
}

static void teardown(void)
{
	rig_destroy(&rig);
	munmap(region, BYTES);
}

static void give_order(enum mirror_pool_action action, uint8_t *at, uint64_t bytes)
{
	const struct order refresh = { .type = ORDER_REFRESH };

	next = (struct mirror_pool_order){ action, at, bytes };
	rig_order(&rig, &refresh);
}

static uint32_t resident_count(void)
{
	unsigned char there[BYTES / 4096];
	uint32_t count = 0;

	ck_assert_int_eq(mincore(region, BYTES, there), 0);
	for (uint32_t i = 0; i < BYTES / 4096; i++)
		count += there[i] & 1;
	return count;
}

/* Locked as all memory of a daemon is, or not. */
START_TEST(pages_come_and_go)
{
	const uint32_t quarter = BYTES / 4096 / 4;

	if (_i == 1 && mlock2(region, BYTES, MLOCK_ONFAULT) != 0)
		return; /* more than is allowed here */
	ck_assert_uint_eq(resident_count(), 0);
	give_order(MIRROR_POOL_GROW, region + BYTES / 4, BYTES / 2);
	rig_expect(&rig, "pool 0");
	ck_assert_uint_eq(resident_count(), 2 * quarter);
	give_order(MIRROR_POOL_SHRINK, region + BYTES / 2, BYTES / 4);
	rig_expect(&rig, "pool 0");
	ck_assert_uint_eq(resident_count(), quarter);
	give_order(MIRROR_POOL_GROW, region + BYTES / 2, BYTES / 4);
	rig_expect(&rig, "pool 0");
	ck_assert_uint_eq(resident_count(), 2 * quarter);
}
END_TEST

/* What cannot be had whole is not kept in part. */
START_TEST(a_refusal_keeps_nothing)
{
	ck_assert_int_eq(mprotect(region + BYTES / 4 * 3, BYTES / 4, PROT_READ), 0);
	give_order(MIRROR_POOL_GROW, region, BYTES);
	rig_expect(&rig, "pool %d", -EINVAL);
	ck_assert_uint_eq(resident_count(), 0);
}
END_TEST

START_TEST(an_end_does_not_wait_for_pages)
{
	give_order(MIRROR_POOL_GROW, region, BYTES);
	rig_stop(&rig);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pool driver");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, pages_come_and_go, 0, 2);
	tcase_add_test(tc, a_refusal_keeps_nothing);
	tcase_add_test(tc, an_end_does_not_wait_for_pages);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
