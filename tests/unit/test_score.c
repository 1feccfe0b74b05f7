/* test_score.c - the promotion score: a clean end is reached by the view's chain (D4, D8),
 * as the engine decides it, and not by a number alone.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/generation.h"
#include "mirror/line/history.h"
#include "tests/unit/solo.h"

#define NONE INT32_MIN
#define LYON 1
#define CURRENT 3800 /* the scores of a copy with all of a clean end, and of its mate: */
#define MATE 870     /* the third and the fourth host of the file */

static struct solo t;
static struct view view;

static struct uuid id_of(uint32_t generation)
{
	return (struct uuid){ { 9, (uint8_t)generation } };
}

/* Append the next generation of the first site. */
static void add(struct history *h, uint64_t cut, uint32_t reason)
{
	const struct generation *newest = history_newest(h);
	const uint64_t ordinal = newest != NULL ? newest->ordinal + 1 : 1;
	struct generation g = {
		.ordinal = ordinal,
		.id = id_of((uint32_t)ordinal),
		.cut = cut,
		.reason = reason,
	};

	if (newest != NULL)
		g.parent = newest->id;
	history_append(h, &g);
}

/* Generation 2 was cut at 100, for that reason, and ended cleanly at `end`. Lyon, which
 * node 2 hosts, is not current. */
static void begin(uint32_t node, uint32_t reason, uint64_t end)
{
	struct config config;

	solo_config(&config);
	solo_view(&config, 3, &view);
	view.history.count = 0;
	add(&view.history, 0, GENERATION_CREATED);
	add(&view.history, 100, reason);
	view.clean = true;
	view.clean_end = end;
	view.site[LYON].host = (struct view_host){ .node = 2, .incarnation = 77 };
	solo_create(&t, node, &view, true);
	solo_ring(&t, node == 2 ? 7 : 15);
	for (uint32_t n = 0; n < 2; n++)
		solo_announce(&t, n);
}

static struct fact log_fact(enum fact_type type, uint32_t generation, uint64_t durable)
{
	struct fact f = { .type = type, .site = LYON, .data = DATA_CONSISTENT };

	f.marks.logged = f.marks.durable = f.marks.home = durable;
	if (generation == 0)
		return f;
	f.history.count = 1;
	f.history.entry[0] = (struct generation){
		.ordinal = generation,
		.id = id_of(generation),
	};
	return f;
}

static struct cluster_status status;

static int32_t score(void)
{
	cluster_status_get(t.core, t.now_ns, &status);
	return status.promotion_score;
}

/* The host of Lyon has opened a log of that generation, which ends there. */
static void open_log(uint32_t reason, uint64_t end, uint32_t generation, uint64_t durable)
{
	struct fact f = log_fact(FACT_OPENED, generation, durable);
	const struct order *o;

	begin(2, reason, end);
	t.core->voter.in_effect.site[LYON].host.incarnation =
		t.core->role.incarnation_next;
	solo_tick(&t, 1);
	o = solo_ordered(&t, ORDER_OPEN);
	ck_assert_ptr_nonnull(o);
	f.order_id = o->id;
	f.mirror = view.mirror;
	solo_fact(&t, &f);
}

static int32_t score_of(uint32_t reason, uint64_t end, uint32_t generation,
			uint64_t durable)
{
	int32_t s;

	open_log(reason, end, generation, durable);
	s = score();
	/* the status names it as one that may be promoted, or does not, alike */
	ck_assert_int_eq(status.sites[LYON].may_promote, s != NONE);
	solo_destroy(&t);
	return s;
}

START_TEST(a_log_that_reaches_the_clean_end_is_invited)
{
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 150, 2, 150), CURRENT);
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 150, 2, 149), NONE);
	/* nothing was written in the generation that it missed */
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 100, 1, 100), CURRENT);
	/* its records beyond that were never acknowledged */
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 100, 1, 200), CURRENT);
}
END_TEST

START_TEST(a_tail_beyond_a_later_cut_is_no_clean_end)
{
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 150, 1, 200), NONE);
	ck_assert_int_eq(score_of(GENERATION_FORCED, 150, 1, 200), NONE);
	/* a force gave it up: that is asked for first */
	ck_assert_int_eq(score_of(GENERATION_FORCED, 100, 1, 200), NONE);
}
END_TEST

START_TEST(a_log_of_another_history_is_not_invited)
{
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 150, 8, 150), NONE);
	ck_assert_int_eq(score_of(GENERATION_CURRENT, 0, 0, 0), NONE);
}
END_TEST

/* It was opened as a log of generation 1, and has followed generation 2 since. */
START_TEST(the_history_that_counts_is_the_newest_that_was_told)
{
	struct fact f = log_fact(FACT_MARKS, 0, 150);

	open_log(GENERATION_CURRENT, 150, 1, 100);
	solo_fact(&t, &f);
	ck_assert_int_eq(score(), NONE);
	f = log_fact(FACT_MARKS, 2, 150);
	solo_fact(&t, &f);
	ck_assert_int_eq(score(), CURRENT);
	f = log_fact(FACT_MARKS, 0, 150);
	solo_fact(&t, &f);
	ck_assert_int_eq(score(), CURRENT);
	solo_destroy(&t);
}
END_TEST

START_TEST(a_mate_goes_by_what_the_host_has_announced)
{
	struct announce a;

	begin(3, GENERATION_CURRENT, 150);
	solo_announce_fill(&t, 2, &a);
	a.flags = ANNOUNCE_OPEN;
	a.site = LYON;
	a.incarnation_open = 77;
	a.marks = (struct site_marks){ 200, 200, 200 };
	a.log_newest = (struct generation){ .ordinal = 1, .id = id_of(1) };
	solo_announce_as(&t, 2, &a);
	ck_assert_int_eq(score(), NONE);
	a.log_newest = (struct generation){ .ordinal = 2, .id = id_of(2) };
	solo_announce_as(&t, 2, &a);
	ck_assert_int_eq(score(), MATE);
	solo_destroy(&t);
}
END_TEST

/* Chains of three generations, each cut and each reason, and logs of each of them. */
START_TEST(it_is_what_the_engine_decides)
{
	static const uint32_t reasons[] = { GENERATION_CURRENT, GENERATION_FORCED };
	uint32_t kept = 0, refused = 0;

	for (uint32_t i = 0; i < 4 * 4 * 4 * 8 * 5; i++) {
		const uint64_t last = i / 8 / 5 / 16 % 4;
		const uint32_t own_count = i % 5;
		struct history own = { 0 };
		struct mirror_judgement j;
		struct uuid newest = { 0 };
		uint64_t keep;
		bool keeps;

		memset(&view, 0, sizeof view);
		add(&view.history, 0, GENERATION_CREATED);
		add(&view.history, i / 8 / 5 % 4, reasons[i / 5 % 2]);
		add(&view.history, i / 8 / 5 / 4 % 4, reasons[i / 10 % 2]);
		for (uint32_t g = 0; g < own_count && g < 3; g++)
			add(&own, view.history.entry[g].cut,
			    view.history.entry[g].reason);
		if (own_count == 4)
			own.entry[2].id.byte[2] = 1; /* a generation that nobody knows */
		if (own.count > 0)
			newest = history_newest(&own)->id;
		mirror_history_judge(&own, last, &view.history, &j);
		keeps = cluster_generation_keeps(&view, &newest, last, &keep);
		ck_assert_int_eq(keeps,
				 j.verdict == MIRROR_VERDICT_CONTINUES && !j.forced);
		ck_assert(!keeps || keep == j.keep_sequence);
		kept += keeps;
		refused += !keeps;
	}
	ck_assert_uint_gt(kept, 100);
	ck_assert_uint_gt(refused, 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("score");
	TCase *tc = tcase_create("clean end");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(tc, a_log_that_reaches_the_clean_end_is_invited);
	tcase_add_test(tc, a_tail_beyond_a_later_cut_is_no_clean_end);
	tcase_add_test(tc, a_log_of_another_history_is_not_invited);
	tcase_add_test(tc, the_history_that_counts_is_the_newest_that_was_told);
	tcase_add_test(tc, a_mate_goes_by_what_the_host_has_announced);
	tcase_add_test(tc, it_is_what_the_engine_decides);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
