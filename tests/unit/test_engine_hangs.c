/* test_engine_hangs.c - a device that does not answer (G7): it is named after seconds,
 * given up after device-timeout, and nobody waits for it but the devices' close (D6). */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"

#define LOG_BYTES (4u << 20)
#define TIMEOUT_MS 15000u

static struct pair *level(uint64_t seed)
{
	struct pair *p = pair_level(seed, 2, LOG_BYTES);

	p->config->device_timeout_ms = TIMEOUT_MS;
	return p;
}

/* The log of a site, or one of its disks. */
static struct pair_device *device(struct pair *p, uint32_t site, bool log)
{
	return log ? &p->site[site].log : &p->site[site].disk[1];
}

static bool hangs(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_DEVICE_HANGS] > 0;
}

static bool failed(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_DEVICE_FAILED] > 0;
}

static bool answers_again(struct pair *p, uint32_t site)
{
	return hangs(p, site) && p->site[site].last[FACT_DEVICE_HANGS].age_ms == 0;
}

static void expect_named(const char *text, bool log)
{
	ck_assert_msg(strstr(text, log ? "writelog" : "disk") != NULL &&
			      strstr(text, "hangs: a ") != NULL,
		      "the device is not named: %s", text);
}

static bool is_demoted(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_DEMOTED] > 0;
}

/* At 0 s production's device stops answering. At 3 s a message names it, at 15 s it is given
 * up: the clients get an error, a demotion ends at once and says why, and the copy, which
 * has all acknowledged writes, is promoted. The devices stay open until all their
 * operations have ended. */
START_TEST(production_gives_up_and_the_copy_takes_over)
{
	const bool log = _i % 2 == 0;
	struct pair *p = level((uint64_t)_i + 9000);
	const struct order close = { .type = ORDER_CLOSE, .id = 70 };
	struct mirror_status *status = calloc(1, sizeof *status);
	uint64_t since, answered;

	pair_load(p, 0, 2000);
	device(p, 0, log)->stuck = true;
	since = p->now_ns;
	ck_assert(pair_run_until(p, 400000, hangs, 0));
	ck_assert_uint_le(p->now_ns - since, 6000 * NS_PER_MS);
	expect_named(p->site[0].last[FACT_DEVICE_HANGS].text, log);
	mirror_status_fill(p->site[0].engine, status);
	expect_named(status->hangs_text, log);
	ck_assert_uint_ge(status->hangs_ms, 3000);
	ck_assert(!failed(p, 0));
	ck_assert(pair_run_until(p, 400000, failed, 0));
	ck_assert_uint_ge(p->now_ns - since, TIMEOUT_MS * NS_PER_MS);
	ck_assert_uint_le(p->now_ns - since, (TIMEOUT_MS + 4000) * NS_PER_MS);
	expect_named(p->site[0].last[FACT_DEVICE_FAILED].text, log);
	answered = p->answered_count;
	pair_run(p, 200);
	ck_assert_uint_eq(p->site[0].engine->open.requests.pending_count, 0);
	p->client_on = false;
	ck_assert(pair_demote(p, 0, 3600000));
	ck_assert(is_demoted(p, 0) && !p->site[0].last[FACT_DEMOTED].clean);
	expect_named(p->site[0].last[FACT_DEMOTED].text, log);
	ck_assert_uint_eq(p->answered_count, answered);
	ck_assert(pair_promote(p, 1, 0, false));
	pair_load(p, 1, 1000);
	pair_order(p, 0, &close);
	pair_run(p, 2000);
	ck_assert(p->site[0].open);
	device(p, 0, log)->stuck = false;
	ck_assert(pair_wait_fact(p, 0, FACT_CLOSED, 1, 20000));
	pair_expect_idle(p, 0);
	ck_assert(pair_open(p, 0));
	pair_link_all(p, 1);
	ck_assert(pair_run_until(p, 800000, pair_is_level, 1));
	pair_settle(p, 1);
	pair_destroy(p);
	free(status);
}
END_TEST

/* The device of the copy: production goes on without it. */
START_TEST(copy_gives_up_and_production_goes_on)
{
	const bool log = _i % 2 == 0;
	struct pair *p = level((uint64_t)_i + 9100);
	uint64_t answered;

	pair_load(p, 0, 2000);
	device(p, 1, log)->stuck = true;
	ck_assert(pair_run_until(p, 800000, failed, 1));
	expect_named(p->site[1].last[FACT_DEVICE_FAILED].text, log);
	pair_run(p, 20000);
	answered = p->answered_count;
	pair_run(p, 5000);
	ck_assert_uint_gt(p->answered_count, answered);
	device(p, 1, log)->stuck = false;
	ck_assert(pair_close(p, 1));
	ck_assert(pair_open(p, 1));
	ck_assert(pair_run_until(p, 800000, pair_is_level, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* It answers before its time is over: all goes on, and it is said. */
START_TEST(what_answers_in_time_goes_on)
{
	const bool log = _i % 2 == 0;
	struct pair *p = level((uint64_t)_i + 9200);

	pair_load(p, 0, 2000);
	device(p, 0, log)->stuck = true;
	ck_assert(pair_run_until(p, 400000, hangs, 0));
	device(p, 0, log)->stuck = false;
	ck_assert(pair_run_until(p, 400000, answers_again, 0));
	ck_assert(!failed(p, 0));
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* A demotion that times out before the device does names the device. */
START_TEST(demotion_names_what_it_waited_for)
{
	struct pair *p = level((uint64_t)_i + 9300);

	pair_load(p, 0, 2000);
	device(p, 0, true)->stuck = true;
	ck_assert(pair_run_until(p, 400000, hangs, 0));
	ck_assert(pair_demote(p, 0, 2000));
	ck_assert(!failed(p, 0));
	expect_named(p->site[0].last[FACT_DEMOTED].text, true);
	device(p, 0, true)->stuck = false;
	ck_assert(pair_close(p, 0));
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_hangs");
	Suite *s = suite_create("mirror");
	SRunner *r = srunner_create(s);
	int failed_count;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, production_gives_up_and_the_copy_takes_over, 0, 6);
	tcase_add_loop_test(tc, copy_gives_up_and_production_goes_on, 0, 4);
	tcase_add_loop_test(tc, what_answers_in_time_goes_on, 0, 4);
	tcase_add_loop_test(tc, demotion_names_what_it_waited_for, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed_count = srunner_ntests_failed(r);
	srunner_free(r);
	return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
