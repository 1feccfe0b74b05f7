/* test_engine_failures.c - a device fails, at every kind of operation; buffers and
 * logs run full; frames are garbage. Lost records are reported, no others are lost, and
 * no buffer is leaked (G1, G7, G8). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pair_play.h"

#ifndef SEEDS
#define SEEDS 3
#endif
#define LOG_BYTES (4u << 20)

struct failure {
	const char *name;
	bool log;
	uint32_t ops;
	uint64_t from, to; /* on the device */
};

#define OP(op) (1u << MIRROR_IO_##op)

static const struct failure FAILURES[] = {
	{ "log write", true, OP(WRITE), 256u * 1024, UINT64_MAX },
	{ "log flush", true, OP(FLUSH), 0, 0 },
	{ "log read", true, OP(READ), 0, 0 },
	{ "superblock", true, OP(WRITE), 0, 128u * 1024 },
	{ "map", true, OP(WRITE), 128u * 1024, 144u * 1024 },
	{ "disk write", false, OP(WRITE) | OP(ZERO) | OP(TRIM), 0, 0 },
	{ "disk flush", false, OP(FLUSH), 0, 0 },
	{ "disk read", false, OP(READ), 0, 0 },
};
#define FAILURE_COUNT ((int)(sizeof FAILURES / sizeof FAILURES[0]))

static void break_device(struct pair *p, uint32_t site, const struct failure *f)
{
	struct pair_device *d = f->log ? &p->site[site].log : &p->site[site].disk[1];

	d->fail_ops = f->ops;
	d->fail_from = f->from;
	d->fail_to = f->to;
	d->fail_after = (uint32_t)pair_random(p, 20);
	d->fail = -EIO;
}

static void mend(struct pair *p, uint32_t site)
{
	p->site[site].log.fail = 0;
	p->site[site].disk[1].fail = 0;
}

static bool has_failed(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_DEVICE_FAILED] > 0;
}

/* It may take a while before an operation of that kind is needed: of a map, until
 * the copy is away. */
static bool let_fail(struct pair *p, uint32_t site, const struct failure *f)
{
	break_device(p, site, f);
	if (pair_run_until(p, 60000, has_failed, site))
		return true;
	if (site != 0)
		return false;
	p->cut[1] = true;
	return pair_run_until(p, 200000, has_failed, site);
}

static void close_and_reopen(struct pair *p, uint32_t site)
{
	ck_assert(pair_close(p, site));
	ck_assert_uint_eq(p->site[site].fact_count[FACT_DEVICE_FAILED], 1);
	pair_run(p, 2000);
	pair_expect_idle(p, site);
	mend(p, site);
	ck_assert(pair_open(p, site));
}

/* Production's device fails: not one success more is answered, the copy has all that
 * was, and the failed site comes back when it is mended. */
START_TEST(production_stops_and_the_copy_takes_over)
{
	const struct failure *f = &FAILURES[_i % FAILURE_COUNT];
	struct pair *p = pair_level((uint64_t)_i + 7000, 2, LOG_BYTES);
	uint64_t answered;

	pair_load(p, 0, 2000);
	ck_assert_msg(let_fail(p, 0, f), "%s never failed", f->name);
	answered = p->answered_count;
	pair_run(p, 3000);
	ck_assert_uint_eq(p->answered_count, answered);
	p->client_on = false;
	if (p->cut[1]) { /* it went on alone: only the site itself has it all */
		ck_assert(pair_close(p, 0));
		mend(p, 0);
		p->cut[1] = false;
		ck_assert(pair_open(p, 0));
		ck_assert(pair_promote(p, 0, 0, false));
		pair_link_all(p, 0);
		pair_load(p, 0, 2000);
		pair_settle(p, 0);
		pair_destroy(p);
		return;
	}
	ck_assert(pair_promote(p, 1, 0, false));
	pair_load(p, 1, 2000);
	close_and_reopen(p, 0);
	pair_link_all(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 1));
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* A copy's device fails: production goes on without it, and it comes back. */
START_TEST(copy_stops_and_production_goes_on)
{
	const struct failure *f = &FAILURES[_i % FAILURE_COUNT];
	struct pair *p = pair_level((uint64_t)_i + 7500, 2, LOG_BYTES);
	uint64_t answered;

	pair_load(p, 0, 2000);
	if (!let_fail(p, 1, f)) { /* a copy has no need to read, nor for maps */
		ck_assert(f->ops == OP(READ) || f->to == 144u * 1024);
		pair_destroy(p);
		return;
	}
	pair_run(p, 20000);
	answered = p->answered_count;
	pair_run(p, 5000);
	ck_assert_uint_gt(p->answered_count, answered);
	close_and_reopen(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A device fails while the site is opened: FACT_OPENED says so, and it closes. */
START_TEST(open_says_what_failed)
{
	const struct failure *f = &FAILURES[_i % FAILURE_COUNT];
	struct pair *p = pair_level((uint64_t)_i + 7700, 2, LOG_BYTES);
	const struct fact *opened = &p->site[0].last[FACT_OPENED];

	pair_load(p, 0, 2000);
	p->client_on = false;
	pair_crash(p, 0, false);
	break_device(p, 0, f);
	p->site[0].log.fail_after = 0;
	pair_start(p, 0);
	pair_run(p, 2000);
	ck_assert_uint_eq(p->site[0].fact_count[FACT_OPENED], 1);
	if (f->log && f->to != 144u * 1024) {
		ck_assert_int_ne(opened->error, 0);
		ck_assert(!p->site[0].open);
		mend(p, 0);
		ck_assert(pair_open(p, 0));
	}
	mend(p, 0);
	ck_assert(pair_promote(p, 0, 1u << 1, false));
	pair_link_all(p, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* ---- full ---------------------------------------------------------------- */

/* Writes that wait for an absent copy take every buffer. The copy greets, and is level
 * again. Then the same with a log full of records that are not yet home. */
START_TEST(buffers_run_out_and_come_back)
{
	struct pair *p = pair_level((uint64_t)_i + 8000, 2,
				    _i % 2 == 0 ? 2u << 20 : 8u << 20);
	struct mirror_pool *pool = mirror_engine_pool(p->site[0].engine);
	uint8_t *taken[4096];
	uint32_t count = 0;

	p->span_bytes = PAIR_DISK_BYTES;
	pair_load(p, 0, 3000);
	p->cut[1] = true;
	pair_run(p, 60);
	while (count < 4096 && (taken[count] = mirror_pool_get(pool, 1)) != NULL)
		count++;
	p->cut[1] = false;
	pair_run(p, 3000);
	ck_assert(pair_is_level(p, 0)); /* it was not lost for want of a buffer */
	while (count > 0)
		mirror_pool_put(pool, taken[--count]);
	pair_run(p, 3000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A restart with much to replay, while clients take every buffer there is. */
START_TEST(replay_goes_on_without_buffers)
{
	struct pair *p = pair_level((uint64_t)_i + 8100, 2, 8u << 20);
	uint64_t answered;

	p->span_bytes = PAIR_DISK_BYTES;
	p->site[0].disk[0].fail_ops = 0;
	pair_load(p, 0, 6000);
	p->client_on = false;
	pair_crash(p, 0, true);
	p->config->memory_bytes = 1u << 20; /* reserve, and four buffers more */
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 1u << 1, false));
	pair_link_all(p, 0);
	pair_load(p, 0, 20000);
	answered = p->answered_count;
	pair_run(p, 20000);
	ck_assert_uint_gt(p->answered_count, answered + 100);
	ck_assert(pair_quiesce(p, 400000));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 0));
	pair_expect_history(p, 0);
	p->config->memory_bytes = 16u << 20;
	pair_crash(p, 0, false);
	pair_destroy(p);
}
END_TEST

static bool log_is_full(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	return m->open.log.full && m->open.marks.last >= m->open.marks.next_to_log;
}

/* A copy's disks are stuck until its log is full and more has come than it can log.
 * The line breaks then: the next link is not kept waiting for room. */
START_TEST(full_log_does_not_keep_the_next_link_waiting)
{
	struct pair *p = pair_level((uint64_t)_i + 8150, 2, 2u << 20);

	pair_load(p, 0, 1000);
	p->site[1].disk[0].stuck = p->site[1].disk[1].stuck = true;
	ck_assert(pair_run_until(p, 200000, log_is_full, 1));
	p->cut[1] = true;
	pair_run(p, 10);
	p->site[1].disk[0].stuck = p->site[1].disk[1].stuck = false;
	pair_run(p, 2000);
	p->cut[1] = false;
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Empty but for a rest too small for the next record. */
static bool pool_is_empty(struct pair *p, uint32_t site)
{
	const struct mirror_pool *pool = p->site[site].engine->buffers.pool;

	return mirror_pool_bytes_free(pool) <= mirror_pool_bytes_total(pool) / 64;
}

static bool reserve_is_empty(struct pair *p, uint32_t site)
{
	return p->site[site].engine->buffers.reserve_count == 0;
}

/* Every other one of the smallest buffers: larger ones come from the reserve alone. */
static uint32_t take_every_other(struct mirror_pool *pool, uint8_t **taken)
{
	uint32_t count = 0, kept = 0;

	while (count < 4096 && (taken[count] = mirror_pool_get(pool, 1)) != NULL)
		count++;
	for (uint32_t i = 0; i < count; i++)
		if ((taken[i] - mirror_pool_region(pool)) / MIRROR_POOL_BUFFER_MIN % 2 ==
		    0)
			taken[kept++] = taken[i];
		else
			mirror_pool_put(pool, taken[i]);
	return kept;
}

static bool is_linked(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.copy.stream_link != MIRROR_LINK_NONE;
}

/* A copy has much to replay, its disks are stuck, and its reads of the log have taken all
 * buffers of the pool, or those of the reserve. The line breaks then: the next link's hello
 * is taken and answered though nothing goes home before. */
START_TEST(replays_give_back_what_greetings_need)
{
	struct pair *p = pair_level((uint64_t)_i + 8170, 2, 8u << 20);
	uint8_t *taken[4096];
	uint32_t count = 0;

	p->span_bytes = PAIR_DISK_BYTES;
	p->site[1].disk[0].stuck = p->site[1].disk[1].stuck = true;
	pair_load(p, 0, 6000);
	p->client_on = false;
	pair_crash(p, 1, false);
	p->config->memory_bytes = 1u << 20;
	pair_start(p, 1);
	if (_i % 2 == 0) {
		ck_assert(pair_run_until(p, 200000, is_linked, 1));
		count = take_every_other(p->site[1].engine->buffers.pool, taken);
	}
	ck_assert(pair_run_until(p, 200000,
				 _i % 2 == 0 ? reserve_is_empty : pool_is_empty, 1));
	p->cut[1] = true;
	pair_run(p, 500);
	while (count > 0)
		mirror_pool_put(p->site[1].engine->buffers.pool, taken[--count]);
	p->site[1].disk[0].stuck = p->site[1].disk[1].stuck = false;
	pair_run(p, 2000);
	p->cut[1] = false;
	ck_assert(pair_run_until(p, 400000, pair_is_level, 0));
	ck_assert(pair_run_until(p, 400000, pair_is_home, 1));
	pair_expect_history(p, 1);
	p->config->memory_bytes = 16u << 20;
	pair_crash(p, 1, false);
	pair_destroy(p);
}
END_TEST

/* ---- garbage ------------------------------------------------------------- */

/* Frames with right CRCs and wrong contents, on every kind of link, both ways: links end,
 * engines do not, and no buffer is leaked. */
START_TEST(garbage_ends_links_only)
{
	struct pair *p = pair_level((uint64_t)_i + 8200, 3, LOG_BYTES);

	p->bare_check_every = 0;
	pair_load(p, 0, 1000);
	p->garble_one_in = 30;
	for (int round = 0; round < 6; round++) {
		pair_run(p, 3000);
		p->cut[1] = round % 2 == 0;
		pair_run(p, 300);
		p->cut[1] = false;
		pair_crash(p, 2, false);
		pair_start(p, 2);
	}
	p->client_on = false;
	pair_crash(p, 0, false);
	p->garble_one_in = 10;
	pair_promote(p, 1, 1u << 2, true);
	p->garble_one_in = 0;
	for (uint32_t i = 1; i < 3; i++) {
		ck_assert(pair_close(p, i));
		pair_run(p, 2000);
		pair_expect_idle(p, i);
	}
	pair_destroy(p);
}
END_TEST

/* Each start would write the superblock slot that the one before did not: where no flush
 * goes well a power cut could then take both. So nothing is written before one did. */
START_TEST(a_log_that_cannot_be_flushed_stays_as_it_is)
{
	struct pair *p = pair_level((uint64_t)_i + 1, 2, 4u << 20);
	uint8_t before[MIRROR_SUPERBLOCK_AREA_BYTES];

	pair_load(p, 0, 500);
	pair_crash(p, 1, false);
	memcpy(before, p->site[1].log.now, sizeof before);
	p->site[1].log.fail = -EIO;
	p->site[1].log.fail_ops = 1u << MIRROR_IO_FLUSH;
	pair_start(p, 1);
	ck_assert_int_ne(p->site[1].last[FACT_OPENED].error, 0);
	ck_assert_mem_eq(before, p->site[1].log.now, sizeof before);
	pair_crash(p, 1, true);
	p->site[1].log.fail = 0;
	pair_start(p, 1);
	ck_assert_int_eq(p->site[1].last[FACT_OPENED].error, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* The newest record that is at home, or 0: none that the log still needs. */
static uint64_t newest_home(struct mirror_engine *m)
{
	for (uint64_t s = m->open.marks.last; s > m->open.marks.home_flushed; s--) {
		const struct mirror_record *r = mirror_engine_record(m, s);

		if (r->state == MIRROR_RECORD_HOME && r->header.data_bytes > 0)
			return s;
	}
	return 0;
}

/* W1, W4: bits flip in the newest record that is at home. It is no torn end of the log:
 * the record beyond that end is on the disks. */
START_TEST(damage_in_what_is_home_is_no_end)
{
	struct pair *p = pair_level((uint64_t)_i + 8300, 2, LOG_BYTES);
	struct mirror_engine *m = p->site[_i % 2].engine;
	const uint32_t site = _i % 2;
	uint64_t at;

	p->span_bytes = PAIR_DISK_BYTES;
	p->client_on = true;
	pair_run(p, 2000);
	while (newest_home(m) == 0)
		pair_run(p, 1);
	p->client_on = false;
	at = mirror_engine_record(m, newest_home(m))->log_position;
	pair_crash(p, site, _i / 2 % 2 == 0);
	p->site[site].log.now[at] ^= 1;
	p->site[site].log.stable[at] ^= 1;
	pair_start(p, site);
	ck_assert_int_eq(p->site[site].last[FACT_OPENED].error, -EBADMSG);
	pair_destroy(p);
}
END_TEST

static bool is_all_dirty(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.sb.sites[1].map_state == MIRROR_MAP_ALL_DIRTY;
}

/* Put an older descriptor where the log has `entry`: of its own place before a cut, or else the
 * oldest one. */
static void put_descriptor(struct pair *p, const struct mirror_ring_entry *entry,
			   bool cut)
{
	const struct mirror_engine *m = p->site[0].engine;
	struct mirror_header headers[MIRROR_DESCRIPTOR_RECORDS_MAX];
	struct pair_device *log = &p->site[0].log;
	struct mirror_ring_entry from = *entry;
	struct mirror_descriptor d;
	uint64_t at;

	if (!cut)
		ck_assert_int_eq(
			mirror_ring_find(m->open.ring,
					 mirror_ring_oldest_sequence(m->open.ring),
					 &from),
			0);
	ck_assert(cut || from.position < entry->position);
	ck_assert_int_eq(
		mirror_descriptor_decode(
			log->now + mirror_ring_device_offset(m->open.ring, from.position),
			&m->open.sb.log, &m->open.sb.disks, &d, headers),
		0);
	d.epoch -= cut;
	at = mirror_ring_device_offset(m->open.ring, entry->position);
	mirror_descriptor_encode(&d, headers, log->now + at);
	memcpy(log->stable + at, log->now + at, MIRROR_BLOCK_BYTES);
}

/* The device said that it had written a descriptor, and an older one stands there, which is as
 * whole: of another place, or (`_i` / 2 odd) of a record there that a cut has dropped. Only the
 * copy misses the new one: it is refreshed in full, whether its map takes over (odd `_i`) or the
 * log is sent. */
START_TEST(an_older_descriptor_is_no_answer)
{
	struct pair *p = pair_level((uint64_t)_i + 8400, 2, LOG_BYTES);
	const struct mirror_engine *m = p->site[0].engine;
	struct mirror_ring_entry entry;
	uint64_t sequence;

	pair_load(p, 0, 500);
	pair_crash(p, 1, false);
	sequence = m->open.marks.last + 1;
	while (m->open.marks.home < sequence)
		pair_load(p, 0, 10);
	p->client_on = false;
	ck_assert(pair_run_until(p, 200000, pair_is_home, 0));
	do
		ck_assert_int_eq(mirror_ring_find(m->open.ring, sequence++, &entry), 0);
	while (entry.count == 0);
	put_descriptor(p, &entry, _i / 2 % 2 != 0);
	if (_i % 2 != 0) {
		p->client_on = true;
		ck_assert(pair_run_until(p, 200000, is_all_dirty, 0));
	}
	pair_start(p, 1);
	pair_link_all(p, 0);
	ck_assert(pair_run_until(p, 400000, is_all_dirty, 0));
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	ck_assert_uint_eq(p->site[0].fact_count[FACT_DEVICE_FAILED], 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_failures");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, production_stops_and_the_copy_takes_over, 0,
			    SEEDS * FAILURE_COUNT);
	tcase_add_loop_test(tc, copy_stops_and_production_goes_on, 0,
			    SEEDS * FAILURE_COUNT);
	tcase_add_loop_test(tc, open_says_what_failed, 0, FAILURE_COUNT);
	tcase_add_loop_test(tc, buffers_run_out_and_come_back, 0, SEEDS);
	tcase_add_loop_test(tc, replay_goes_on_without_buffers, 0, SEEDS);
	tcase_add_loop_test(tc, full_log_does_not_keep_the_next_link_waiting, 0, SEEDS);
	tcase_add_loop_test(tc, replays_give_back_what_greetings_need, 0, 2 * SEEDS);
	tcase_add_loop_test(tc, garbage_ends_links_only, 0, SEEDS);
	tcase_add_loop_test(tc, a_log_that_cannot_be_flushed_stays_as_it_is, 0, SEEDS);
	tcase_add_loop_test(tc, damage_in_what_is_home_is_no_end, 0, 4 * SEEDS);
	tcase_add_loop_test(tc, an_older_descriptor_is_no_answer, 0, 4 * SEEDS);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
