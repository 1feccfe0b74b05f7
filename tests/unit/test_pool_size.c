/* test_pool_size.c - the pool grows when it is used, and shrinks when it is not. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/state.h"

#define MIB (1024u * 1024)
#define S (1000 * NS_PER_MS)
#define LARGEST MIRROR_POOL_BUFFER_MAX
#define USED (6u * MIB) /* three sixteenths of 32 MiB */

static struct mirror_engine *m;
static struct mirror_actions out;
static uint8_t *taken[64 * MIB / LARGEST];
static uint32_t taken_count;

/* `memory: 32M`, of which 8 are the floor. */
static void setup(void)
{
	m = calloc(1, sizeof *m);
	ck_assert_ptr_nonnull(m);
	m->buffers.pool = mirror_pool_create(32 * MIB);
	ck_assert_ptr_nonnull(m->buffers.pool);
	mirror_pool_set_floor(m->buffers.pool, 8 * MIB);
	m->out = &out;
	m->now_ns = 100 * S;
	m->state = ENGINE_SERVING;
	taken_count = 0;
}

static void teardown(void)
{
	mirror_pool_check(m->buffers.pool);
	mirror_pool_destroy(m->buffers.pool);
	free(m);
}

static uint64_t ready(void)
{
	return mirror_pool_bytes_ready(m->buffers.pool) / MIB;
}

static void use(uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += LARGEST) {
		taken[taken_count] = mirror_pool_get(m->buffers.pool, LARGEST);
		ck_assert_ptr_nonnull(taken[taken_count++]);
	}
}

static void give_back(void)
{
	while (taken_count > 0)
		mirror_pool_put(m->buffers.pool, taken[--taken_count]);
}

/* The order that is given now; MiB of it. */
static uint64_t order(enum mirror_pool_action action)
{
	memset(&out, 0, sizeof out);
	out.wake_at_ns = UINT64_MAX;
	mirror_pool_size_pump(m);
	ck_assert_int_eq(out.pool.action, action);
	return out.pool.bytes / MIB;
}

/* By a quarter, in whole steps. */
static void grow_to_all(void)
{
	use(USED);
	while (ready() < 32) {
		const uint64_t most = ready() / 4 / 2 * 2, rest = 32 - ready();

		ck_assert_uint_eq(order(MIRROR_POOL_GROW), most < rest ? most : rest);
		mirror_pool_size_done(m, 0);
	}
}

START_TEST(it_grows_before_it_is_short)
{
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	use(MIB + MIB / 2);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	use(LARGEST);
	ck_assert_uint_eq(order(MIRROR_POOL_GROW), 2);
	ck_assert_uint_eq(ready(), 8); /* not before the pages are there */
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	mirror_pool_size_done(m, 0);
	ck_assert_uint_eq(ready(), 10);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	give_back();
	grow_to_all();
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	use(32 * MIB - USED);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	give_back();
}
END_TEST

/* A copy has no reads of clients. */
START_TEST(a_copy_grows_later)
{
	m->state = ENGINE_IDLE;
	use(3 * MIB);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	use(LARGEST);
	ck_assert_uint_eq(order(MIRROR_POOL_GROW), 2);
	mirror_pool_size_done(m, 0);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	give_back();
}
END_TEST

/* Memory is short: it is asked for again, and told once. */
START_TEST(a_refusal_is_no_end)
{
	use(7 * MIB);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(order(MIRROR_POOL_GROW), 2);
		mirror_pool_size_done(m, -ENOMEM);
		ck_assert_uint_eq(ready(), 8);
		ck_assert_uint_eq(m->facts.tail, 1);
		ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
		ck_assert_uint_eq(out.wake_at_ns, m->now_ns + POOL_RETRY_NS);
		m->now_ns += POOL_RETRY_NS;
	}
	ck_assert_str_eq(m->facts.waiting[0].rule, "pool-small");
	ck_assert_str_eq(m->facts.waiting[0].text,
			 "the pool stays at 8 of 32 MiB, which makes writes slower: "
			 "Cannot allocate memory");
	ck_assert_uint_eq(order(MIRROR_POOL_GROW), 2);
	mirror_pool_size_done(m, 0);
	ck_assert_uint_eq(ready(), 10);
	give_back();
}
END_TEST

/* What is ready ceases to be so first, and only then its pages go. */
START_TEST(it_shrinks_when_idle)
{
	grow_to_all();
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	m->now_ns += 100 * S;
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0); /* in use */
	give_back();
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	ck_assert_uint_eq(out.wake_at_ns, m->now_ns + POOL_IDLE_NS);
	m->now_ns += POOL_IDLE_NS - 1;
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	m->now_ns += 1;
	ck_assert_uint_eq(order(MIRROR_POOL_SHRINK), 24);
	ck_assert_uint_eq(ready(), 8);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	mirror_pool_size_done(m, 0);
	ck_assert_uint_eq(ready(), 8);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	ck_assert_uint_eq(out.wake_at_ns, m->now_ns + POOL_LOOK_NS);
}
END_TEST

/* Before Linux 5.18: the kernel does not take locked pages back. */
START_TEST(what_does_not_go_is_used_again)
{
	grow_to_all();
	give_back();
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	m->now_ns += POOL_IDLE_NS;
	ck_assert_uint_eq(order(MIRROR_POOL_SHRINK), 24);
	mirror_pool_size_done(m, -EINVAL);
	ck_assert_uint_eq(ready(), 32);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	ck_assert_uint_eq(out.wake_at_ns, m->now_ns + POOL_IDLE_NS);
}
END_TEST

/* A buffer that is kept for long holds one step; the reserve goes to the floor. */
START_TEST(a_buffer_in_use_holds_its_step)
{
	uint8_t *kept;

	grow_to_all();
	use(2 * MIB + LARGEST);
	kept = taken[--taken_count]; /* beyond the floor */
	m->buffers.reserve[m->buffers.reserve_count++] = taken[--taken_count];
	ck_assert_uint_ge((uint64_t)(kept - mirror_pool_region(m->buffers.pool)),
			  8 * MIB);
	give_back();
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0);
	m->now_ns += POOL_IDLE_NS;
	ck_assert_uint_eq(order(MIRROR_POOL_SHRINK), 22);
	mirror_pool_size_done(m, 0);
	ck_assert_uint_eq(ready(), 10);
	ck_assert_uint_lt(
		(uint64_t)(m->buffers.reserve[0] - mirror_pool_region(m->buffers.pool)),
		8 * MIB);
	ck_assert_uint_eq(order(MIRROR_POOL_KEEP), 0); /* again after a while */
	mirror_pool_put(m->buffers.pool, kept);
	m->now_ns += POOL_IDLE_NS;
	ck_assert_uint_eq(order(MIRROR_POOL_SHRINK), 2);
	mirror_pool_size_done(m, 0);
	mirror_pool_put(m->buffers.pool, m->buffers.reserve[0]);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pool size");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_grows_before_it_is_short);
	tcase_add_test(tc, a_copy_grows_later);
	tcase_add_test(tc, a_refusal_is_no_end);
	tcase_add_test(tc, it_shrinks_when_idle);
	tcase_add_test(tc, what_does_not_go_is_used_again);
	tcase_add_test(tc, a_buffer_in_use_holds_its_step);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
