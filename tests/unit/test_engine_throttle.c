/* test_engine_throttle.c - engines whose line and clients are slowed on purpose: how much, how
 * long, and that nothing is reordered or lost by it. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"
#include "tests/unit/pair_private.h"

#define NS_PER_US 1000ull
#define NS_PER_S 1000000000ull

static void throttle(struct pair *p, uint32_t sleep_us, uint32_t delay_us,
		     uint64_t bytes_per_s, uint64_t for_ns)
{
	const struct order o = { .type = ORDER_THROTTLE,
				 .sleep_us = sleep_us,
				 .delay_us = delay_us,
				 .bytes_per_s = bytes_per_s,
				 .until_ns = p->now_ns + for_ns };

	pair_order(p, 0, &o);
}

static uint64_t sent(const struct pair *p)
{
	return mirror_engine_counters(p->site[0].engine)->records_sent;
}

static const struct engine_throttle *state(const struct pair *p)
{
	return &p->site[0].engine->open.throttle;
}

/* Under load until so much time has passed. */
static void load_for(struct pair *p, uint64_t ns)
{
	const uint64_t end_ns = p->now_ns + ns;

	p->client_on = true;
	p->client_site = 0;
	while (p->now_ns < end_ns)
		pair_run(p, 10);
}

START_TEST(records_leave_a_sleep_apart)
{
	struct pair *p = pair_level((uint64_t)_i + 100, 2, 8u << 20);
	uint64_t count, from_ns;

	throttle(p, 2000, 0, 0, 100 * NS_PER_S);
	load_for(p, NS_PER_S / 10);
	count = sent(p);
	from_ns = p->now_ns;
	load_for(p, NS_PER_S);
	count = sent(p) - count;
	/* a credit of 5 ms, and the one that was due */
	ck_assert_uint_le(count, (p->now_ns - from_ns) / (2000 * NS_PER_US) + 4);
	ck_assert_uint_ge(count, 300);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

START_TEST(the_line_keeps_its_bandwidth)
{
	struct pair *p = pair_level((uint64_t)_i + 200, 3, 32u << 20);
	const struct mirror_status *s = mirror_engine_counters(p->site[0].engine);
	const uint64_t rate = 2u << 20;
	uint64_t bytes, from_ns, expected, copies[2];

	pair_promise(p, 0, CONFIG_ASYNC, 0, 0); /* no copy waits for the other */
	throttle(p, 0, 0, rate, 100 * NS_PER_S);
	load_for(p, NS_PER_S / 10);
	bytes = s->sent_bytes;
	from_ns = p->now_ns;
	for (uint32_t c = 0; c < 2; c++)
		copies[c] = p->site[c + 1].engine->open.marks.last;
	load_for(p, NS_PER_S);
	bytes = s->sent_bytes - bytes;
	expected = (p->now_ns - from_ns) / 1000 * rate / 1000000;
	ck_assert_msg(bytes > expected / 10 * 9 && bytes < expected / 10 * 11,
		      "%llu bytes, not %llu", (unsigned long long)bytes,
		      (unsigned long long)expected);
	/* no copy takes all of it */
	for (uint32_t c = 0; c < 2; c++)
		copies[c] = p->site[c + 1].engine->open.marks.last - copies[c];
	ck_assert_uint_gt(copies[0], copies[1] / 2);
	ck_assert_uint_gt(copies[1], copies[0] / 2);
	throttle(p, 0, 0, 0, 0);
	pair_promise(p, 0, CONFIG_SYNC, 0, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* When the oldest delayed write came, it was not so long ago as the delay. */
START_TEST(a_write_is_taken_in_late)
{
	struct pair *p = pair_level((uint64_t)_i + 300, 2, 8u << 20);
	uint64_t delayed = 0, before;

	throttle(p, 0, 3000, 0, 100 * NS_PER_S);
	p->client_on = true;
	p->client_site = 0;
	before = p->answered_count;
	for (uint32_t i = 0; i < 20000; i++) {
		const struct mirror_request *q;

		pair_run(p, 1);
		q = state(p)->delayed.head;
		delayed += q != NULL;
		/* late by no more than one step of this clock */
		if (q != NULL)
			ck_assert_uint_lt(p->now_ns - q->came_ns, 6000 * NS_PER_US);
	}
	ck_assert_uint_gt(delayed, 1000);
	ck_assert_uint_gt(p->answered_count, before);
	for (const struct mirror_request *q = state(p)->delayed.head; q != NULL;
	     q = q->next)
		ck_assert_uint_eq(q->sequence, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

START_TEST(it_ends_when_nobody_says_so_again)
{
	struct pair *p = pair_level((uint64_t)_i + 400, 2, 8u << 20);
	struct mirror_status *s = calloc(1, sizeof *s);
	const struct order ask = { .type = ORDER_STATUS, .status = s };

	throttle(p, 500000, 400000, 1u << 20, NS_PER_S);
	pair_order(p, 0, &ask);
	ck_assert_uint_eq(s->throttle_sleep_us, 500000);
	ck_assert_uint_eq(s->throttle_delay_us, 400000);
	ck_assert_uint_eq(s->throttle_bytes_per_s, 1u << 20);
	ck_assert_uint_gt(s->throttle_left_ms, 900);
	load_for(p, NS_PER_S / 2);
	ck_assert_uint_ne(state(p)->until_ns, 0);
	load_for(p, NS_PER_S);
	ck_assert_uint_eq(state(p)->until_ns, 0);
	ck_assert_ptr_null(state(p)->delayed.head);
	pair_order(p, 0, &ask);
	ck_assert_uint_eq(s->throttle_sleep_us, 0);
	ck_assert_uint_eq(s->throttle_delay_us, 0);
	ck_assert_uint_eq(s->throttle_bytes_per_s, 0);
	ck_assert_uint_eq(s->throttle_left_ms, 0);
	pair_settle(p, 0);
	pair_destroy(p);
	free(s);
}
END_TEST

/* A copy that is slowed is not taken for a lost one. */
START_TEST(it_is_bounded_by_the_time_after_which_a_copy_is_lost)
{
	struct pair *p = pair_level((uint64_t)_i + 500, 2, 8u << 20);
	const uint32_t lost = p->site[0].fact_count[FACT_COPY_LOST];

	p->config->copy_timeout_ms = 1000;
	throttle(p, UINT32_MAX, UINT32_MAX, 1, 100 * NS_PER_S);
	ck_assert_uint_le(state(p)->sleep_us, CONFIG_THROTTLE_US_MAX);
	ck_assert_uint_le(state(p)->sleep_us, p->config->copy_timeout_ms * 1000 / 4);
	ck_assert_uint_eq(state(p)->delay_us, state(p)->sleep_us);
	load_for(p, 30 * NS_PER_S);
	ck_assert_uint_eq(p->site[0].fact_count[FACT_COPY_LOST], lost);
	throttle(p, 0, 0, 0, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ... also where many share a line that is thin for one. */
START_TEST(no_copy_of_many_is_taken_for_a_lost_one)
{
	struct pair *p = pair_level((uint64_t)_i + 550, PAIR_SITES_MAX, 8u << 20);
	const uint32_t lost = p->site[0].fact_count[FACT_COPY_LOST];

	p->config->copy_timeout_ms = 1000;
	throttle(p, 0, 0, 1, 100 * NS_PER_S);
	load_for(p, 30 * NS_PER_S);
	ck_assert_uint_eq(p->site[0].fact_count[FACT_COPY_LOST], lost);
	throttle(p, 0, 0, 0, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A demotion takes delayed writes in at once, and drains at full speed. */
START_TEST(a_demotion_is_not_slowed)
{
	struct pair *p = pair_level((uint64_t)_i + 600, 2, 8u << 20);
	uint64_t from_ns;

	throttle(p, 1000000, 1000000, 1, 1000 * NS_PER_S);
	load_for(p, 2 * NS_PER_S);
	p->client_on = false;
	from_ns = p->now_ns;
	ck_assert(pair_demote(p, 0, 20000));
	ck_assert_uint_lt(p->now_ns - from_ns, NS_PER_S / 4);
	ck_assert_uint_eq(p->site[1].engine->open.marks.last,
			  p->site[0].engine->open.marks.last);
	ck_assert_ptr_null(state(p)->delayed.head);
	pair_destroy(p);
}
END_TEST

/* Like other requests that are not stamped yet. */
START_TEST(delayed_writes_fail_with_the_frozen_and_go_with_their_client)
{
	const struct order fail = { .type = ORDER_FAIL_FROZEN };
	struct mirror_event gone = { .type = MIRROR_EVENT_CLIENT_GONE };
	struct pair *p = pair_level((uint64_t)_i + 800, 2, 8u << 20);
	uint64_t errors;

	throttle(p, 0, 1000000, 0, 100 * NS_PER_S);
	load_for(p, NS_PER_S / 10);
	ck_assert_ptr_nonnull(state(p)->delayed.head);
	errors = p->error_count;
	pair_order(p, 0, &fail);
	ck_assert_ptr_null(state(p)->delayed.head);
	ck_assert_uint_gt(p->error_count, errors);

	load_for(p, NS_PER_S / 10);
	ck_assert_ptr_nonnull(state(p)->delayed.head);
	gone.client = state(p)->delayed.head->client;
	pair_step(p, 0, &gone);
	for (const struct mirror_request *q = state(p)->delayed.head; q != NULL;
	     q = q->next)
		ck_assert_ptr_ne(q->client, gone.client);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Any change at any time, under load, with a slow line: all is answered, all sites end alike. */
START_TEST(nothing_is_reordered_or_lost)
{
	struct pair *p = pair_level((uint64_t)_i + 700, 2 + (uint32_t)_i % 2, 8u << 20);

	if (_i % 4 >= 2)
		pair_promise(p, 0, _i % 8 >= 4 ? CONFIG_ASYNC : CONFIG_NEAR_SYNC,
			     _i % 8 >= 4 ? 0 : 30, 0);
	for (uint32_t turn = 0; turn < 40; turn++) {
		throttle(p, (uint32_t)pair_random(p, 2) * (uint32_t)pair_random(p, 20000),
			 (uint32_t)pair_random(p, 2) * (uint32_t)pair_random(p, 20000),
			 pair_random(p, 2) * ((64u << 10) + pair_random(p, 4u << 20)),
			 pair_random(p, 200) * NS_PER_US * 1000);
		p->slow = (uint32_t)pair_random(p, 2) << 1;
		pair_load(p, 0, (uint32_t)pair_random(p, 600));
	}
	p->slow = 0;
	pair_promise(p, 0, CONFIG_SYNC, 0, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror");
	TCase *tc = tcase_create("throttle");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, records_leave_a_sleep_apart, 0, 4);
	tcase_add_loop_test(tc, the_line_keeps_its_bandwidth, 0, 4);
	tcase_add_loop_test(tc, a_write_is_taken_in_late, 0, 4);
	tcase_add_loop_test(tc, it_ends_when_nobody_says_so_again, 0, 4);
	tcase_add_loop_test(tc, it_is_bounded_by_the_time_after_which_a_copy_is_lost, 0,
			    2);
	tcase_add_loop_test(tc, no_copy_of_many_is_taken_for_a_lost_one, 0, 2);
	tcase_add_loop_test(tc, a_demotion_is_not_slowed, 0, 4);
	tcase_add_loop_test(
		tc, delayed_writes_fail_with_the_frozen_and_go_with_their_client, 0, 2);
	tcase_add_loop_test(tc, nothing_is_reordered_or_lost, 0, 24);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
