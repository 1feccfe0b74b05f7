/* test_engine_near.c - near copies (M4): within the bound, without a link, with a full log, and
 * near again. tests/sim/scenario_near.c plays them with the members' part. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pair_play.h"

#define BOUND (256u * 1024)
#define NEAR_AGAIN_NS (10000 * NS_PER_MS)

/* The copy is current in sync; it is near in async, by the same set. */
static struct pair *near_pair(uint64_t seed, uint64_t bound, uint64_t log_bytes)
{
	struct pair *p = pair_level(seed, 2, log_bytes);

	p->promise = promise_async(bound, 0);
	p->site[0].wait_due = true;
	pair_run(p, 200);
	ck_assert_uint_eq(p->site[0].waited, 1u << 1);
	p->site[0].fact_count[FACT_COPY_LOST] = p->site[0].fact_count[FACT_COPY_READY] =
		0;
	return p;
}

static bool has_left(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_COPY_LOST] > 0;
}

static uint64_t bytes_lacked(const struct pair *p)
{
	uint64_t bytes = 0;

	for (uint64_t s = p->site[1].engine->open.marks.durable + 1; s <= p->acknowledged;
	     s++)
		bytes += p->journal[s].length_bytes;
	return bytes;
}

/* No answer before it has left puts it beyond the bound; then all go on. */
START_TEST(it_leaves_before_the_bound_is_crossed)
{
	struct pair *p = near_pair((uint64_t)_i + 14000, BOUND, 8u << 20);
	uint64_t most = 0, before;

	p->site[1].log.stuck = true;
	p->client_on = true;
	for (uint32_t i = 0; i < 100000 && !has_left(p, 0); i++) {
		pair_run(p, 1);
		if (bytes_lacked(p) > most)
			most = bytes_lacked(p);
	}
	ck_assert(has_left(p, 0));
	ck_assert_ptr_nonnull(strstr(p->site[0].last[FACT_COPY_LOST].text,
				     "it lacks more than 262144 bytes"));
	ck_assert_uint_le(most, BOUND);
	ck_assert_uint_gt(most, BOUND / 2);
	before = p->acknowledged;
	pair_run(p, 4000);
	ck_assert_uint_gt(p->acknowledged, before);
	ck_assert_uint_gt(bytes_lacked(p), BOUND);
	p->site[1].log.stuck = false;
	p->client_on = false;
	pair_destroy(p);
}
END_TEST

/* Goes on for that time. */
static void pass(struct pair *p, uint64_t ns)
{
	const uint64_t end_ns = p->now_ns + ns;

	for (uint32_t i = 0; i < 400000 && p->now_ns < end_ns; i++)
		pair_run(p, 1);
	ck_assert_uint_ge(p->now_ns, end_ns);
}

/* Its line is cut: it stays near while clients are still, and leaves with the first answer
 * that it would be beyond. It is near again ten seconds after it has come close enough. */
START_TEST(it_stays_without_a_link)
{
	struct pair *p = near_pair((uint64_t)_i + 14100, BOUND, 8u << 20);
	const struct engine_peer *peer = &p->site[0].engine->open.peer[1];
	uint64_t since_ns;

	p->client_on = false;
	p->cut[1] = true;
	pass(p, 60000 * NS_PER_MS);
	ck_assert_uint_eq(peer->link == MIRROR_LINK_NONE ||
				  p->site[0].engine->link[peer->link].use !=
					  LINK_STREAM_OUT,
			  true);
	ck_assert(!has_left(p, 0) && peer->waited);
	p->client_on = true;
	ck_assert(pair_run_until(p, 100000, has_left, 0));
	p->client_on = false;
	p->cut[1] = false;
	while (peer->proven_durable < p->site[0].engine->open.marks.last)
		pair_run(p, 1);
	since_ns = p->now_ns;
	ck_assert(pair_wait_fact(p, 0, FACT_COPY_READY, 1, 400000));
	ck_assert_uint_ge(p->now_ns + HEARTBEAT_NS, since_ns + NEAR_AGAIN_NS);
	p->promise = promise_make(CONFIG_SYNC, 0, 0);
	pair_destroy(p);
}
END_TEST

/* The log is full of what it lacks, long before the bound: it leaves, and only then its map takes
 * over (M6). */
START_TEST(it_leaves_a_full_log)
{
	struct pair *p = near_pair((uint64_t)_i + 14200, 1ull << 30, 2u << 20);
	const struct engine_peer *peer = &p->site[0].engine->open.peer[1];

	p->span_bytes = PAIR_DISK_BYTES / 4;
	p->slow = 1u << 1;
	p->client_on = true;
	for (uint32_t i = 0; i < 400000 && !peer->outrun.bypass; i++) {
		pair_run(p, 1);
		ck_assert(!peer->outrun.bypass || !peer->waited);
	}
	ck_assert(peer->outrun.bypass);
	ck_assert_str_eq(p->site[0].last[FACT_COPY_LOST].text,
			 "the writelog is full of what it lacks");
	p->client_on = false;
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("near");
	Suite *s = suite_create("mirror");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, it_leaves_before_the_bound_is_crossed, 0, 4);
	tcase_add_loop_test(tc, it_stays_without_a_link, 0, 4);
	tcase_add_loop_test(tc, it_leaves_a_full_log, 0, 4);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
