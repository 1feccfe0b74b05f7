/* test_names.c - which node of the configuration Corosync and Pacemaker mean. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/names.h"

static struct config config;
static struct cluster_names names;

static void node(const char *name)
{
	strcpy(config.node[config.node_count++].name, name);
}

static void host(const char *name)
{
	names.entry[names.count].nodeid = names.count + 1;
	strcpy(names.entry[names.count++].name, name);
}

static void setup(void)
{
	memset(&config, 0, sizeof config);
	memset(&names, 0, sizeof names);
}

static int32_t found(const char *name)
{
	return cluster_names_find(&names, &config, name);
}

START_TEST(case_does_not_matter)
{
	node("n1");
	node("N2");
	ck_assert_int_eq(found("N1"), 0);
	ck_assert_int_eq(found("n2"), 1);
	ck_assert_int_eq(found("n3"), -1);
	ck_assert_int_eq(found("n"), -1);
	ck_assert_int_eq(found("n11"), -1);
}
END_TEST

START_TEST(a_domain_does_not_matter_where_one_node_is_meant)
{
	node("n1");
	node("n2.example.com");
	host("N1.example.com");
	host("n2");
	ck_assert_int_eq(found("N1.example.com"), 0);
	ck_assert_int_eq(found("n2"), 1);
	ck_assert_str_eq(cluster_names_of(&names, 2), "n2");
	ck_assert_ptr_null(cluster_names_of(&names, 3));
}
END_TEST

/* The mirror's n1 is one of them, and a fencing of the other must not pass for its. */
START_TEST(a_name_that_may_mean_two_nodes_means_none)
{
	node("n1");
	host("n1.paris");
	host("n1.lyon");
	ck_assert_int_eq(found("n1.paris"), -1);
	ck_assert_int_eq(found("n1.lyon"), -1);
	setup();
	node("n1.paris");
	node("n1.lyon");
	host("n1.paris");
	host("n1.lyon");
	ck_assert_int_eq(found("n1.lyon"), 1);
	ck_assert_int_eq(found("n1"), -1);
}
END_TEST

/* Nobody can say whether the cluster has another n1. */
START_TEST(without_a_nodelist_names_are_whole)
{
	node("n1");
	ck_assert_int_eq(found("n1.example.com"), -1);
	ck_assert_int_eq(found("N1"), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("names");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, case_does_not_matter);
	tcase_add_test(tc, a_domain_does_not_matter_where_one_node_is_meant);
	tcase_add_test(tc, a_name_that_may_mean_two_nodes_means_none);
	tcase_add_test(tc, without_a_nodelist_names_are_whole);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
