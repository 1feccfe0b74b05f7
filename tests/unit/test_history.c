/* test_history.c - D8: which data wins, by id and ancestry. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/line/history.h"
#include "tests/unit/property.h"

static struct history own, theirs;
static struct mirror_judgement judged;

static struct uuid id_of(char name)
{
	return (struct uuid){ .byte = { (uint8_t)name, 1 } };
}

/* Append generation `name`, which cut the one before it at `cut`. */
static void add(struct history *h, char name, uint64_t cut, uint32_t reason)
{
	const struct generation *newest = history_newest(h);
	struct generation g = { .ordinal = 1, .id = id_of(name), .reason = reason };

	if (newest != NULL) {
		g.parent = newest->id;
		g.ordinal = newest->ordinal + 1;
		g.cut = cut;
	}
	history_append(h, &g);
	ck_assert_int_eq(mirror_history_check(h), 0);
}

static void setup(void)
{
	own = theirs = (struct history){ 0 };
	add(&own, 'a', 0, GENERATION_CREATED);
	add(&theirs, 'a', 0, GENERATION_CREATED);
}

static void judge(uint64_t last, enum mirror_verdict verdict, uint64_t keep)
{
	mirror_history_judge(&own, last, &theirs, &judged);
	ck_assert_int_eq(judged.verdict, verdict);
	ck_assert_uint_eq(judged.keep_sequence, keep);
	ck_assert_uint_eq(judged.dropped_count, last - keep);
	ck_assert_str_ne(judged.rule, "");
}

START_TEST(the_same_generation_keeps_everything)
{
	judge(100, MIRROR_VERDICT_CONTINUES, 100);
	ck_assert(!judged.forced);
	ck_assert(judged.has_ancestor);
}
END_TEST

START_TEST(what_is_beyond_the_cut_is_dropped)
{
	add(&theirs, 'b', 90, GENERATION_CURRENT);
	judge(100, MIRROR_VERDICT_CONTINUES, 90);
	ck_assert(!judged.forced);
	judge(80, MIRROR_VERDICT_CONTINUES, 80);
}
END_TEST

/* D8: the lowest of all later cuts, not the first. */
START_TEST(the_lowest_cut_counts)
{
	add(&theirs, 'b', 90, GENERATION_CURRENT);
	add(&theirs, 'c', 70, GENERATION_FORCED);
	add(&theirs, 'd', 120, GENERATION_RESTARTED);
	judge(100, MIRROR_VERDICT_CONTINUES, 70);
	ck_assert(judged.forced);
	add(&own, 'b', 90, GENERATION_CURRENT);
	add(&own, 'c', 70, GENERATION_FORCED);
	judge(100, MIRROR_VERDICT_CONTINUES, 100);
}
END_TEST

/* The tail that a takeover gave up was never acknowledged, and no later force can lose it. */
START_TEST(the_first_to_give_it_up_says_whether_it_was_acknowledged)
{
	add(&theirs, 'b', 90, GENERATION_CURRENT);
	add(&theirs, 'c', 95, GENERATION_FORCED);
	judge(100, MIRROR_VERDICT_CONTINUES, 90);
	ck_assert(!judged.forced);
	add(&theirs, 'd', 80, GENERATION_FORCED);
	judge(100, MIRROR_VERDICT_CONTINUES, 80);
	ck_assert(judged.forced);
	judge(80, MIRROR_VERDICT_CONTINUES, 80);
	ck_assert(!judged.forced);
}
END_TEST

START_TEST(a_production_that_was_followed_is_behind)
{
	add(&own, 'b', 90, GENERATION_CURRENT);
	judge(130, MIRROR_VERDICT_AHEAD, 90);
}
END_TEST

/* Rivals with one ordinal are told apart by their ids. */
START_TEST(rivals_of_one_ordinal_are_a_split)
{
	add(&own, 'b', 90, GENERATION_FORCED);
	add(&theirs, 'c', 80, GENERATION_FORCED);
	ck_assert_uint_eq(history_newest(&own)->ordinal,
			  history_newest(&theirs)->ordinal);
	judge(130, MIRROR_VERDICT_FORKED, 80);
	ck_assert(judged.has_ancestor);
	ck_assert(uuid_equal(&judged.ancestor, &own.entry[0].id));
}
END_TEST

START_TEST(strangers_are_a_split)
{
	own = (struct history){ 0 };
	add(&own, 'x', 0, GENERATION_CREATED);
	judge(10, MIRROR_VERDICT_FORKED, 0);
	ck_assert(!judged.has_ancestor);
}
END_TEST

START_TEST(without_a_history_everything_is_needed)
{
	own = (struct history){ 0 };
	judge(0, MIRROR_VERDICT_UNKNOWN, 0);
	ck_assert(!judged.has_ancestor);
}
END_TEST

/* ---- overflow ------------------------------------------------------------ */

static void add_many(struct history *h, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		add(h, (char)(i + 100), 10 + i, GENERATION_RESTARTED);
}

START_TEST(a_record_is_of_the_generation_that_was_cut_below_it)
{
	add(&own, 'b', 90, GENERATION_CURRENT);
	add(&own, 'c', 90, GENERATION_CURRENT);
	add(&own, 'd', 95, GENERATION_CURRENT);
	ck_assert(mirror_history_holds(&own, 90, 1));
	ck_assert(!mirror_history_holds(&own, 91, 1));
	ck_assert(!mirror_history_holds(&own, 91, 2));
	ck_assert(mirror_history_holds(&own, 91, 3));
	ck_assert(mirror_history_holds(&own, 95, 3));
	ck_assert(mirror_history_holds(&own, 96, 4));
	ck_assert(!mirror_history_holds(&own, 96, 3));
	ck_assert(!mirror_history_holds(&own, 96, 5));
}
END_TEST

START_TEST(the_oldest_entry_gives_way)
{
	add_many(&theirs, HISTORY_COUNT_MAX - 1);
	ck_assert_uint_eq(theirs.dropped_count, 0);
	ck_assert(mirror_history_is_ancestor(&theirs, &own.entry[0].id));
	add(&theirs, 'Z', 200, GENERATION_CLEAN);
	ck_assert_uint_eq(theirs.count, HISTORY_COUNT_MAX);
	ck_assert_uint_eq(theirs.dropped_count, 1);
	ck_assert_ptr_null(mirror_history_find(&theirs, &own.entry[0].id));

	/* It is still named, as the parent of the oldest: its cuts are all there. */
	ck_assert(mirror_history_is_ancestor(&theirs, &own.entry[0].id));
	judge(100, MIRROR_VERDICT_CONTINUES, 10);
	add(&theirs, 'Y', 300, GENERATION_CLEAN);
	ck_assert(!mirror_history_is_ancestor(&theirs, &own.entry[0].id));
	judge(100, MIRROR_VERDICT_UNKNOWN, 0);
}
END_TEST

/* A missing generation that is no older than the listed ones cannot have been dropped from
 * the list: refreshing its site would silently undo a fork. */
START_TEST(what_cannot_have_been_dropped_is_a_split)
{
	own.entry[0].id = id_of('X');
	for (uint32_t i = 0; i < 4; i++)
		add(&own, (char)(i + 10), 5, GENERATION_RESTARTED);
	add_many(&theirs, HISTORY_COUNT_MAX + 2); /* oldest listed: ordinal 4 */
	ck_assert_uint_eq(theirs.entry[0].ordinal, 4);
	judge(50, MIRROR_VERDICT_FORKED, 0);
	own.count = 3; /* newest: ordinal 3 */
	judge(50, MIRROR_VERDICT_UNKNOWN, 0);
}
END_TEST

/* ---- histories from outside ---------------------------------------------- */

START_TEST(a_chain_that_cannot_be_is_refused)
{
	struct history good;

	add(&theirs, 'b', 90, GENERATION_CURRENT);
	add(&theirs, 'c', 95, GENERATION_CLEAN);
	good = theirs;

#define refused(change)                                                                  \
	do {                                                                             \
		theirs = good;                                                           \
		change;                                                                  \
		ck_assert_int_eq(mirror_history_check(&theirs), -EPROTO);                \
	} while (0)
	refused(theirs.count = HISTORY_COUNT_MAX + 1);
	refused(theirs.count = UINT32_MAX);
	refused(theirs.entry[1].parent = id_of('q'));
	refused(theirs.entry[2].id = theirs.entry[0].id);
	refused(theirs.entry[2].id = (struct uuid){ 0 });
	refused(theirs.entry[2].ordinal = 4);
	refused(theirs.entry[2].reason = 0);
	refused(theirs.entry[2].reason = GENERATION_ASYNC + 1);
	refused(theirs.entry[2].reason = GENERATION_CREATED);
	refused(theirs.entry[0].reason = GENERATION_CLEAN);
	refused(theirs.entry[0].parent = id_of('q'));
	refused(theirs.entry[2].site = 8);
	refused(theirs.dropped_count = 1);
	refused((theirs.count = 0, theirs.dropped_count = 1));
#undef refused
	theirs = good;
	ck_assert_int_eq(mirror_history_check(&theirs), 0);
	theirs = (struct history){ 0 };
	ck_assert_int_eq(mirror_history_check(&theirs), 0);
}
END_TEST

/* ---- all small histories ------------------------------------------------- */

/* Every tree of up to NODES generations (each node's parent is an earlier one), every
 * assignment of a few cuts; own and theirs are any two nodes' chains. The truth is taken
 * from the tree. */
#define NODES 5

static uint32_t parent_of[NODES];
static uint64_t cut_of[NODES];

static void chain(struct history *h, uint32_t node)
{
	uint32_t path[NODES], count = 0;

	*h = (struct history){ 0 };
	for (uint32_t n = node; n != 0; n = parent_of[n])
		path[count++] = n;
	add(h, 'A', 0, GENERATION_CREATED);
	while (count-- > 0)
		add(h, (char)('A' + path[count]), cut_of[path[count]], GENERATION_FORCED);
}

static bool above(uint32_t ancestor, uint32_t node)
{
	while (node > ancestor)
		node = parent_of[node];
	return node == ancestor;
}

static uint64_t lowest_cut(uint32_t from, uint32_t ancestor)
{
	uint64_t lowest = UINT64_MAX;

	for (uint32_t n = from; n != ancestor; n = parent_of[n])
		if (cut_of[n] < lowest)
			lowest = cut_of[n];
	return lowest;
}

static void judge_pair(uint32_t a, uint32_t b)
{
	const uint64_t last = 2;
	uint32_t common = a;
	uint64_t keep = last;

	while (!above(common, b))
		common = parent_of[common];
	chain(&own, a);
	chain(&theirs, b);
	mirror_history_judge(&own, last, &theirs, &judged);
	expect(judged.verdict == (common == a ? MIRROR_VERDICT_CONTINUES :
				  common == b ? MIRROR_VERDICT_AHEAD :
						MIRROR_VERDICT_FORKED));
	if (lowest_cut(a, common) < keep)
		keep = lowest_cut(a, common);
	if (lowest_cut(b, common) < keep)
		keep = lowest_cut(b, common);
	expect(judged.keep_sequence == keep);
	expect(judged.has_ancestor && judged.ancestor.byte[0] == 'A' + common);
}

START_TEST(every_small_tree_is_judged_by_ancestry)
{
	uint32_t shapes = 1, cuts = 1;

	for (uint32_t n = 1; n < NODES; n++) {
		shapes *= n;
		cuts *= 3;
	}
	for (uint32_t shape = 0; shape < shapes; shape++)
		for (uint32_t cut = (uint32_t)_i; cut < cuts; cut += 3) {
			uint32_t s = shape, c = cut;

			for (uint32_t n = 1; n < NODES; n++) {
				parent_of[n] = s % n;
				s /= n;
				cut_of[n] = c % 3;
				c /= 3;
			}
			for (uint32_t pair = 0; pair < NODES * NODES; pair++)
				judge_pair(pair / NODES, pair % NODES);
		}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("history");
	Suite *s = suite_create("history");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_same_generation_keeps_everything);
	tcase_add_test(tc, what_is_beyond_the_cut_is_dropped);
	tcase_add_test(tc, the_lowest_cut_counts);
	tcase_add_test(tc, the_first_to_give_it_up_says_whether_it_was_acknowledged);
	tcase_add_test(tc, a_production_that_was_followed_is_behind);
	tcase_add_test(tc, rivals_of_one_ordinal_are_a_split);
	tcase_add_test(tc, strangers_are_a_split);
	tcase_add_test(tc, without_a_history_everything_is_needed);
	tcase_add_test(tc, a_record_is_of_the_generation_that_was_cut_below_it);
	tcase_add_test(tc, the_oldest_entry_gives_way);
	tcase_add_test(tc, what_cannot_have_been_dropped_is_a_split);
	tcase_add_test(tc, a_chain_that_cannot_be_is_refused);
	tcase_add_loop_test(tc, every_small_tree_is_judged_by_ancestry, 0, 3);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
