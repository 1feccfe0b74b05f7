/* test_quorum.c - when Corosync's quorum does not outlive the next node that leaves. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/quorum.h"

static const uint32_t members[] = { 1, 2, 3, 4, 5 };
static struct cluster_quorum_votes votes;
static char text[256];

/* Five nodes of one vote each. */
static void setup(void)
{
	votes = (struct cluster_quorum_votes){ .expected = 5, .count = 5 };
	for (uint32_t i = 0; i < 5; i++) {
		votes.entry[i].nodeid = i + 1;
		votes.entry[i].votes = 1;
	}
}

/* With the first `count` members. */
static bool may_leave(size_t count)
{
	return cluster_quorum_judge(&votes, members, count, text, sizeof text);
}

/* ... is the next one that leaves the one too many? */
static bool is_last(size_t count)
{
	ck_assert(!may_leave(count) || text[0] == '\0');
	return text[0] != '\0';
}

START_TEST(said_once_the_majority_has_no_node_to_spare)
{
	ck_assert(may_leave(5) && may_leave(4));
	ck_assert(is_last(3));
	ck_assert_ptr_nonnull(strstr(text, "3 of 5 votes, and needs 3"));
	ck_assert(!is_last(2) && !may_leave(2)); /* there is no quorum any more */
}
END_TEST

/* The node with most votes may be the one that leaves. */
START_TEST(votes_count_not_nodes)
{
	votes.entry[0].votes = 3;
	votes.expected = 7;
	ck_assert(may_leave(5) && is_last(4) && is_last(2));
	ck_assert(!is_last(1)); /* there is no other node */
}
END_TEST

START_TEST(a_node_that_is_not_listed_has_one)
{
	votes.count = 2;
	ck_assert(may_leave(4) && is_last(3));
}
END_TEST

START_TEST(nothing_is_said_where_another_option_decides)
{
	votes.expected = 0;
	ck_assert(may_leave(3) && may_leave(2));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("votes");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, said_once_the_majority_has_no_node_to_spare);
	tcase_add_test(tc, votes_count_not_nodes);
	tcase_add_test(tc, a_node_that_is_not_listed_has_one);
	tcase_add_test(tc, nothing_is_said_where_another_option_decides);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
