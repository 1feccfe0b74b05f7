/* test_engine_block.c - an engine that is told of a missing copy (M8): it answers no write and
 * no flush, all else goes on. pair_client.c looks at each answer. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"
#include "tests/unit/pair_private.h"

static void tell_missing(struct pair *p, uint32_t sites)
{
	p->missing = sites;
	p->site[0].wait_due = true;
	pair_run(p, 50);
}

static bool is_waited(struct pair *p, uint32_t site)
{
	return mirror_ack_waits_for(&p->site[0].engine->open.requests.ack, site);
}

/* Site 1 is lost, and required. Nothing was written before `first_bytes`. */
static struct pair *pair_missing_from(uint64_t seed, uint64_t log_bytes,
				      uint64_t first_bytes)
{
	struct pair *p = pair_level(seed, 2, log_bytes);

	p->span_bytes = PAIR_DISK_BYTES;
	p->first_bytes = first_bytes;
	pair_load(p, 0, 500);
	p->client_on = false;
	pair_crash(p, 1, seed % 2 == 0);
	ck_assert(pair_wait_fact(p, 0, FACT_COPY_LOST, 1, 2000000));
	tell_missing(p, 2);
	ck_assert(!is_waited(p, 1));
	return p;
}

static struct pair *pair_missing(uint64_t seed, uint64_t log_bytes)
{
	return pair_missing_from(seed, log_bytes, 0);
}

static uint64_t held_count(const struct pair *p)
{
	return p->site[0].engine->open.requests.pending_count;
}

/* What is answered, with the client asking for more all the time: reads alone. */
static void expect_reads_alone(struct pair *p)
{
	const uint64_t acknowledged = p->acknowledged, flushed = p->flushed;

	pair_load(p, 0, 8000);
	ck_assert_uint_eq(p->acknowledged, acknowledged);
	ck_assert_uint_eq(p->flushed, flushed);
	ck_assert_uint_gt(held_count(p), 0);
}

START_TEST(reads_alone_are_answered_and_all_goes_home)
{
	struct pair *p = pair_missing((uint64_t)_i + 9700, 8u << 20);
	const uint64_t reads = p->read_count;
	uint64_t before;

	expect_reads_alone(p);
	ck_assert_uint_gt(p->read_count, reads);
	p->client_on = false;
	ck_assert(pair_run_until(p, 200000, pair_is_home, 0));
	ck_assert_uint_gt(held_count(p), 0);
	before = p->acknowledged;
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	ck_assert_uint_eq(p->acknowledged, before);
	tell_missing(p, 0);
	ck_assert_uint_eq(held_count(p), 0);
	ck_assert_uint_gt(p->acknowledged, before);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static void fail_frozen(struct pair *p)
{
	const struct order fail = { .type = ORDER_FAIL_FROZEN };

	pair_order(p, 0, &fail);
}

/* Reads that are under way while a held write goes home, or after it has failed. */
START_TEST(no_read_shows_a_held_write)
{
	struct pair *p = pair_missing((uint64_t)_i + 9600, 8u << 20);

	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[0].disk[d].slow = 40;
	p->span_bytes = 36u << 10;
	for (uint32_t i = 0; i < 40; i++) {
		tell_missing(p, i % 2 == 0 ? 2 : 0);
		pair_load(p, 0, 400);
		if (i % 4 == 0) {
			fail_frozen(p);
			pair_load(p, 0, 400);
		}
	}
	pair_start(p, 1);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static void lease(struct pair *p, bool has)
{
	const struct order o = { .type = ORDER_LEASE,
				 .until_ns = has ? UINT64_MAX / 2 : p->now_ns };

	pair_order(p, 0, &o);
}

/* Reads that have found what may be shown, and wait for a lease, when a copy is missing. */
START_TEST(no_read_that_waited_for_a_lease_shows_a_held_write)
{
	struct pair *p = pair_missing((uint64_t)_i + 9900, 8u << 20);

	p->span_bytes = 36u << 10;
	for (uint32_t i = 0; i < 40; i++) {
		tell_missing(p, 0);
		pair_load(p, 0, 400);
		lease(p, false);
		pair_load(p, 0, 400);
		tell_missing(p, 2);
		lease(p, true);
		pair_load(p, 0, 400);
	}
	pair_start(p, 1);
	tell_missing(p, 0);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A write failed while the copy is missing: reads of other places are answered, and so are
 * those of its own place once it was acknowledged, whichever copy is missing then. */
START_TEST(a_failed_write_hides_its_own_place_alone)
{
	const uint64_t span_bytes = PAIR_DISK_BYTES;
	struct pair *p = pair_missing_from((uint64_t)_i + 9650, 8u << 20, span_bytes / 2);
	uint64_t reads;

	pair_load(p, 0, 2000);
	ck_assert_uint_gt(held_count(p), 0);
	fail_frozen(p);
	p->only_reads = true;
	p->first_bytes = 0;
	p->span_bytes = span_bytes / 2;
	reads = p->read_count;
	pair_load(p, 0, 2000);
	ck_assert_uint_gt(p->read_count, reads + 100);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	tell_missing(p, 0);
	p->only_reads = false;
	p->span_bytes = span_bytes;
	pair_load(p, 0, 2000);
	ck_assert(pair_quiesce(p, 400000));
	tell_missing(p, 2);
	p->only_reads = true;
	p->first_bytes = span_bytes / 2;
	reads = p->read_count;
	pair_load(p, 0, 2000);
	ck_assert_uint_gt(p->read_count, reads + 100);
	tell_missing(p, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* G7: its log was made anew. The refresh that brings it back does not wait for answers. */
START_TEST(a_refresh_goes_on_beside_held_writes)
{
	struct pair *p = pair_missing((uint64_t)_i + 9800, 2u << 20);

	expect_reads_alone(p);
	pair_blank(p, 1);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 1600000, pair_is_level, 0));
	ck_assert(is_waited(p, 1));
	ck_assert_uint_gt(held_count(p), 0);
	tell_missing(p, 0);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* The copy is lost and comes back again and again: it is not kept out, since writes stand still
 * in any case. */
START_TEST(a_missing_copy_is_not_kept_out)
{
	struct pair *p = pair_missing((uint64_t)_i + 9900, 8u << 20);
	struct mirror_engine *m = p->site[0].engine;

	m->open.peer[1].trust.lost_count = 5;
	m->open.peer[1].trust.again_ns = m->now_ns + 1000000 * NS_PER_MS;
	ck_assert_uint_eq(mirror_trust_again_ns(m, 1), 0);
	tell_missing(p, 0);
	ck_assert_uint_ne(mirror_trust_again_ns(m, 1), 0);
	tell_missing(p, 2);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	tell_missing(p, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* All clients are one here, without a name. */
START_TEST(an_answer_to_a_client_that_is_gone_is_not_held)
{
	struct mirror_event gone = { .type = MIRROR_EVENT_CLIENT_GONE };
	struct pair *p = pair_missing((uint64_t)_i + 9970, 8u << 20);
	const struct engine_requests *requests = &p->site[0].engine->open.requests;

	p->only_reads = true;
	lease(p, false);
	pair_load(p, 0, 400);
	ck_assert_ptr_nonnull(requests->answers_held.head);
	p->client_on = false;
	pair_step(p, 0, &gone);
	ck_assert_ptr_null(requests->answers_held.head);
	lease(p, true);
	pair_start(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	tell_missing(p, 0);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A copy is away, and its records fill half of the log for long. Each flush of the disk gives
 * room, or a second has gone by. */
START_TEST(a_log_half_used_flushes_no_disk_for_little)
{
	const uint64_t log_bytes = 8u << 20;
	struct pair *p = pair_missing((uint64_t)_i + 9980, log_bytes);
	struct mirror_engine *m = p->site[0].engine;
	uint64_t flushes, begin_ns, due, written;

	tell_missing(p, 0);
	while (mirror_ring_used_percent(m->open.ring) <= 50)
		pair_load(p, 0, 100);
	flushes = m->open.counters.disk_flushes;
	written = mirror_ring_head_position(m->open.ring);
	begin_ns = p->now_ns;
	while (mirror_ring_used_percent(m->open.ring) > 50 &&
	       mirror_ring_used_percent(m->open.ring) < 70)
		pair_load(p, 0, 100);
	written = mirror_ring_head_position(m->open.ring) - written;
	due = written / (log_bytes / 16) + (p->now_ns - begin_ns) / (1000 * NS_PER_MS) +
	      2;
	ck_assert_uint_gt(written, log_bytes / 8);
	ck_assert_uint_le(m->open.counters.disk_flushes - flushes, due * PAIR_DISKS);
	pair_start(p, 1);
	pair_load(p, 0, 1000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* G7: held writes fail after the time of the demote, which is not clean. */
START_TEST(a_demote_ends)
{
	struct pair *p = pair_missing((uint64_t)_i + 9950, 8u << 20);
	const uint64_t errors = p->error_count;

	expect_reads_alone(p);
	p->client_on = false;
	ck_assert(pair_demote(p, 0, 200));
	ck_assert(!p->site[0].last[FACT_DEMOTED].clean);
	ck_assert_uint_gt(p->error_count, errors);
	ck_assert_uint_eq(held_count(p), 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("block");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, reads_alone_are_answered_and_all_goes_home, 0, 4);
	tcase_add_loop_test(tc, no_read_shows_a_held_write, 0, 8);
	tcase_add_loop_test(tc, no_read_that_waited_for_a_lease_shows_a_held_write, 0, 8);
	tcase_add_loop_test(tc, a_failed_write_hides_its_own_place_alone, 0, 4);
	tcase_add_loop_test(tc, a_refresh_goes_on_beside_held_writes, 0, 4);
	tcase_add_loop_test(tc, a_missing_copy_is_not_kept_out, 0, 1);
	tcase_add_loop_test(tc, an_answer_to_a_client_that_is_gone_is_not_held, 0, 2);
	tcase_add_loop_test(tc, a_log_half_used_flushes_no_disk_for_little, 0, 4);
	tcase_add_loop_test(tc, a_demote_ends, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
