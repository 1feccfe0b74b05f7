/* test_engine_recover.c - a copy alone brings home all that its log holds, and the mirror goes
 * on with it afterwards. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/pair_play.h"
#include "tests/unit/pair_private.h"

#define LOG_BYTES (4u << 20)

static void recover(struct pair *p, uint32_t site)
{
	const struct order o = { .type = ORDER_RECOVER, .id = 77 };

	pair_order(p, site, &o);
}

static const struct fact *recovered(struct pair *p, uint32_t site)
{
	const uint32_t count = p->site[site].fact_count[FACT_RECOVERED];

	recover(p, site);
	ck_assert(pair_wait_fact(p, site, FACT_RECOVERED, count + 1, 400000));
	ck_assert_uint_eq(p->site[site].last[FACT_RECOVERED].order_id, 77);
	return &p->site[site].last[FACT_RECOVERED];
}

/* Three sites, of which those in `slow` (bits) have a slow line; production is lost, and copy 1
 * with it, which opens alone. */
static struct pair *left_alone_with(uint64_t seed, uint32_t slow)
{
	struct pair *p = pair_level(seed, 3, LOG_BYTES);

	p->slow = slow;
	pair_load(p, 0, 2000 + (uint32_t)pair_random(p, 3000));
	if (seed % 3 == 0) /* much of it is not at home */
		for (uint32_t d = 0; d < PAIR_DISKS; d++)
			p->site[1].disk[d].slow = 60;
	pair_run(p, 2000);
	p->client_on = false;
	pair_crash(p, 1, seed % 2 == 0);
	pair_crash(p, 0, seed % 4 < 2);
	pair_start(p, 1);
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		p->site[1].disk[d].slow = 0;
	return p;
}

static struct pair *left_alone(uint64_t seed)
{
	return left_alone_with(seed, 0);
}

/* It is cut off again and again before it ends, with and without power. */
START_TEST(the_disks_become_all_that_the_log_holds)
{
	struct pair *p = left_alone((uint64_t)_i + 13000);
	const struct fact *f;
	uint64_t last;

	for (int i = 0; i < _i % 4; i++) {
		recover(p, 1);
		pair_run(p, (uint32_t)pair_random(p, 300));
		pair_crash(p, 1, pair_random(p, 2) == 0);
		pair_start(p, 1);
	}
	f = recovered(p, 1);
	ck_assert_int_eq(f->error, 0);
	last = f->marks.home;
	ck_assert_uint_eq(last, p->site[1].engine->open.marks.last);
	ck_assert_uint_ge(last, p->flushed);
	pair_expect_disks(p, 1, last);
	f = recovered(p, 1);
	ck_assert_int_eq(f->error, 0);
	ck_assert_uint_eq(f->marks.home, last);
	pair_crash(p, 1, true);
	pair_expect_disks(p, 1, last);
	pair_start(p, 1);
	/* production comes back */
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 6, false));
	pair_link_all(p, 0);
	pair_load(p, 0, 2000);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

/* Another copy, which may lack what was brought home, is promoted meanwhile (D8). */
START_TEST(another_site_goes_on)
{
	struct pair *p = left_alone((uint64_t)_i + 13100);

	ck_assert_int_eq(recovered(p, 1)->error, 0);
	pair_crash(p, 1, _i % 2 == 0);
	ck_assert(pair_promote(p, 2, 0, false));
	pair_load(p, 2, 2000);
	pair_start(p, 1);
	pair_start(p, 0);
	pair_link_all(p, 2);
	pair_load(p, 2, 2000);
	pair_settle(p, 2);
	pair_destroy(p);
}
END_TEST

static bool is_cut(struct pair *p, uint32_t site)
{
	return p->site[site].engine->open.cut.step != CUT_NONE;
}

static bool is_apart(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	return m->open.greeting.link == MIRROR_LINK_NONE &&
	       m->open.copy.stream_link == MIRROR_LINK_NONE;
}

/* A greeting has led to a cut (D8) and its line is gone: disks that the cut has found to be
 * of another history are no image. */
START_TEST(what_a_cut_has_found_is_no_image)
{
	uint32_t patchy = 0;

	for (uint64_t seed = 13500; seed < 13540; seed++) {
		struct pair *p = left_alone_with(seed, 4);
		const struct mirror_engine *m = p->site[1].engine;
		const struct fact *f;

		ck_assert_int_eq(recovered(p, 1)->error, 0);
		ck_assert(pair_promote(p, 2, 0, false));
		pair_link(p, 2, 1);
		if (pair_run_until(p, 400, is_cut, 1)) {
			p->cut[1] = true;
			pair_drop_connections(p, 1);
			ck_assert(pair_run_until(p, 4000, is_apart, 1));
			f = recovered(p, 1);
			if (f->error == 0) {
				ck_assert_int_eq(m->open.cut.step, CUT_NONE);
				ck_assert_uint_eq(mirror_map_count(m->open.map, 1), 0);
			}
			patchy += strstr(f->text, "given up") != NULL;
			p->cut[1] = false;
		}
		pair_load(p, 2, 500);
		pair_start(p, 0);
		pair_link_all(p, 2);
		pair_settle(p, 2);
		pair_destroy(p);
	}
	ck_assert_uint_gt(patchy, 0);
}
END_TEST

/* It is promoted itself. */
START_TEST(it_goes_on_itself)
{
	struct pair *p = left_alone((uint64_t)_i + 13200);

	ck_assert_int_eq(recovered(p, 1)->error, 0);
	ck_assert(pair_promote(p, 1, 4, false));
	pair_load(p, 1, 2000);
	pair_start(p, 0);
	pair_link_all(p, 1);
	pair_load(p, 1, 2000);
	pair_settle(p, 1);
	pair_destroy(p);
}
END_TEST

/* A refresh was cut short: the image is that of its beginning. */
START_TEST(a_refresh_that_was_cut_short_is_dropped)
{
	struct pair *p = pair_level((uint64_t)_i + 13300, 2, 2u << 20);
	const struct fact *f;

	pair_crash(p, 1, false);
	ck_assert(pair_wait_fact(p, 0, FACT_COPY_LOST, 1, 2000000));
	pair_load(p, 0, 60000);
	pair_start(p, 1);
	for (uint32_t i = 0; i < 400000 && !p->site[1].engine->open.sb.hold.active; i++)
		pair_run(p, 1);
	ck_assert(p->site[1].engine->open.sb.hold.active);
	pair_run(p, (uint32_t)pair_random(p, 2000));
	p->client_on = false;
	pair_crash(p, 1, _i % 2 == 0);
	pair_crash(p, 0, true);
	pair_start(p, 1);
	f = recovered(p, 1);
	ck_assert_int_eq(f->error, 0);
	pair_expect_disks(p, 1, f->marks.home);
	pair_start(p, 0);
	ck_assert(pair_promote(p, 0, 0, false));
	pair_link_all(p, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

static void expect_refused(struct pair *p, uint32_t site, const char *part)
{
	const struct fact *f = recovered(p, site);

	ck_assert_int_eq(f->error, -ENODATA);
	ck_assert_msg(strstr(f->text, part) != NULL, "%s", f->text);
}

START_TEST(what_is_no_copy_alone_is_refused)
{
	struct pair *p = pair_level(13400, 2, LOG_BYTES);

	expect_refused(p, 0, "serves");
	expect_refused(p, 1, "linked");
	pair_load(p, 0, 1000);
	p->client_on = false;
	pair_crash(p, 0, false);
	pair_crash(p, 1, false);
	pair_start(p, 0);
	expect_refused(p, 0, "was production");
	pair_blank(p, 1);
	pair_start(p, 1);
	expect_refused(p, 1, "Inconsistent");
	ck_assert(pair_promote(p, 0, 0, true));
	pair_link_all(p, 0);
	pair_settle(p, 0);
	pair_destroy(p);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("engine_recover");
	Suite *s = suite_create("mirror");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, the_disks_become_all_that_the_log_holds, 0, 24);
	tcase_add_loop_test(tc, another_site_goes_on, 0, 12);
	tcase_add_test(tc, what_a_cut_has_found_is_no_image);
	tcase_add_loop_test(tc, it_goes_on_itself, 0, 6);
	tcase_add_loop_test(tc, a_refresh_that_was_cut_short_is_dropped, 0, 6);
	tcase_add_test(tc, what_is_no_copy_alone_is_refused);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
