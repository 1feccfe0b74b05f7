/* test_pool.c - the pool of data buffers against a model of it. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/pool.h"
#include "tests/unit/property.h"

#define KIB 1024u
#define TOTAL (512u * KIB)

static struct mirror_pool *pool;

static void setup(void)
{
	pool = mirror_pool_create(TOTAL);
	ck_assert_ptr_nonnull(pool);
}

static void teardown(void)
{
	mirror_pool_check(pool);
	mirror_pool_destroy(pool);
}

START_TEST(a_new_pool_is_free)
{
	ck_assert_uint_eq(mirror_pool_bytes_total(pool), TOTAL);
	ck_assert_uint_eq(mirror_pool_bytes_free(pool), TOTAL);
	ck_assert_uint_eq((uintptr_t)mirror_pool_region(pool) % 4096, 0);
}
END_TEST

/* Sizes are rounded up to a power of two of at least 4 KiB. */
START_TEST(a_buffer_holds_what_was_asked)
{
	static const struct {
		uint32_t asked, held;
	} row[] = {
		{ 1, 4 * KIB },           { 4 * KIB, 4 * KIB },
		{ 4 * KIB + 1, 8 * KIB }, { 12 * KIB, 16 * KIB },
		{ 64 * KIB, 64 * KIB },   { 64 * KIB + 512, 128 * KIB },
		{ 128 * KIB, 128 * KIB },
	};

	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		uint8_t *buffer = mirror_pool_get(pool, row[i].asked);

		ck_assert_ptr_nonnull(buffer);
		ck_assert_uint_eq((uintptr_t)buffer % 4096, 0);
		ck_assert_uint_eq(mirror_pool_buffer_bytes(pool, buffer), row[i].held);
		ck_assert_uint_eq(mirror_pool_bytes_free(pool), TOTAL - row[i].held);
		mirror_pool_put(pool, buffer);
		ck_assert_uint_eq(mirror_pool_bytes_free(pool), TOTAL);
	}
}
END_TEST

/* G7: an exhausted pool says so; buffers that come back make large ones again. */
START_TEST(exhausted_pool_refuses_and_recovers)
{
	uint8_t *small[TOTAL / (4 * KIB)], *large[TOTAL / (128 * KIB)];

	for (size_t i = 0; i < TOTAL / (4 * KIB); i++) {
		small[i] = mirror_pool_get(pool, 4 * KIB);
		ck_assert_ptr_nonnull(small[i]);
	}
	ck_assert_uint_eq(mirror_pool_bytes_free(pool), 0);
	ck_assert_ptr_null(mirror_pool_get(pool, 1));
	for (size_t i = 0; i < TOTAL / (4 * KIB); i += 2)   /* every other one */
		mirror_pool_put(pool, small[i]);
	mirror_pool_check(pool);
	ck_assert_ptr_null(mirror_pool_get(pool, 8 * KIB));
	for (size_t i = 1; i < TOTAL / (4 * KIB); i += 2)
		mirror_pool_put(pool, small[i]);
	mirror_pool_check(pool);
	for (size_t i = 0; i < TOTAL / (128 * KIB); i++) {
		large[i] = mirror_pool_get(pool, 128 * KIB);
		ck_assert_ptr_nonnull(large[i]);
	}
	ck_assert_ptr_null(mirror_pool_get(pool, 1));
	for (size_t i = 0; i < TOTAL / (128 * KIB); i++)
		mirror_pool_put(pool, large[i]);
}
END_TEST

/* The model: a map of the region's 4 KiB blocks, taken or not. It allows a
 * buffer of order k wherever 2^k aligned blocks are free, so the pool must too. */
struct model {
	bool taken[TOTAL / (4 * KIB)];
	struct {
		uint8_t *buffer;
		uint32_t first, count;
	} live[TOTAL / (4 * KIB)];
	uint32_t live_count, taken_count;
};

static bool model_has_room(const struct model *m, uint32_t count)
{
	for (uint32_t first = 0; first < TOTAL / (4 * KIB); first += count) {
		uint32_t i = 0;

		while (i < count && !m->taken[first + i])
			i++;
		if (i == count)
			return true;
	}
	return false;
}

static void model_get(struct model *m, struct random *random)
{
	const uint32_t longest = (128 * KIB) >> random_below(random, 6);
	const uint32_t bytes = (uint32_t)random_below(random, longest) + 1;
	uint8_t *buffer = mirror_pool_get(pool, bytes);
	uint32_t count = 1, first;

	while (count * 4 * KIB < bytes)
		count *= 2;
	expect((buffer != NULL) == model_has_room(m, count));
	if (buffer == NULL)
		return;
	first = (uint32_t)(buffer - mirror_pool_region(pool)) / (4 * KIB);
	expect(first % count == 0);
	for (uint32_t i = 0; i < count; i++) {
		expect(!m->taken[first + i]);
		m->taken[first + i] = true;
	}
	memset(buffer, (int)(first % 251), count * 4 * KIB);
	m->live[m->live_count].buffer = buffer;
	m->live[m->live_count].first = first;
	m->live[m->live_count++].count = count;
	m->taken_count += count;
}

static void model_put(struct model *m, uint64_t k)
{
	const uint32_t bytes = m->live[k].count * 4 * KIB;

	expect(mirror_pool_buffer_bytes(pool, m->live[k].buffer) == bytes);
	for (uint32_t i = 0; i < bytes; i += 512)
		expect(m->live[k].buffer[i] == m->live[k].first % 251);
	mirror_pool_put(pool, m->live[k].buffer);
	for (uint32_t i = 0; i < m->live[k].count; i++)
		m->taken[m->live[k].first + i] = false;
	m->taken_count -= m->live[k].count;
	m->live[k] = m->live[--m->live_count];
}

START_TEST(pool_agrees_with_its_model)
{
	struct random random = { (uint64_t)_i + 1 };
	struct model m = { 0 };

	for (int i = 0; i < 5000; i++) {
		if (m.live_count > 0 && random_below(&random, 5) < 2)
			model_put(&m, random_below(&random, m.live_count));
		else
			model_get(&m, &random);
		expect(mirror_pool_bytes_free(pool) == TOTAL - m.taken_count * 4 * KIB);
		mirror_pool_check(pool);
	}
	while (m.live_count > 0)
		model_put(&m, 0);
	expect(mirror_pool_bytes_free(pool) == TOTAL);
}
END_TEST

/* Our own bugs abort: putting a buffer twice, or a pointer to none. */
START_TEST(putting_what_is_not_taken_aborts)
{
	uint8_t *buffer = mirror_pool_get(pool, 8 * KIB);

	switch (_i) {
	case 0:
		mirror_pool_put(pool, buffer);
		mirror_pool_put(pool, buffer);
		break;
	case 1:
		mirror_pool_put(pool, buffer + 4 * KIB);
		break;
	case 2:
		mirror_pool_put(pool, buffer + 512);
		break;
	case 3:
		mirror_pool_put(pool, mirror_pool_region(pool) + TOTAL);
		break;
	default:
		break;
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pool");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_new_pool_is_free);
	tcase_add_test(tc, a_buffer_holds_what_was_asked);
	tcase_add_test(tc, exhausted_pool_refuses_and_recovers);
	tcase_add_loop_test(tc, pool_agrees_with_its_model, 0, 20);
	tcase_add_loop_test_raise_signal(tc, putting_what_is_not_taken_aborts, SIGABRT, 0,
					 4);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
