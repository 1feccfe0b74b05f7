/* test_days.c - the members through bad days that are drawn from seeds. Guarantees are
 * checked by the harness all the time; after the last fault everything has to come
 * together again. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/members_play.h"

static struct members *m;

START_TEST(after_many_bad_days_all_come_together_again)
{
	static const uint32_t shapes[8][4] = {
		{ 2, 2, 0, 1 }, { 1, 1, 0, 1 }, { 1, 1, 0, 0 }, { 2, 1, 0, 0 },
		{ 2, 2, 0, 0 }, { 1, 1, 1, 0 }, { 2, 2, 1, 0 }, { 1, 1, 1, 1 },
	};
	struct members_play play;

	for (uint64_t seed = (uint64_t)_i * 20 + 1; seed <= (uint64_t)_i * 20 + 20;
	     seed++) {
		const uint32_t *shape = shapes[seed % 8];
		const uint32_t strikes = 8 + (uint32_t)(seed * 7 % 20);

		m = members_create(seed, shape[2] > 0 ? 3 : 2, shape, shape[3]);
		m->writes = true;
		m->delay_max_ms = (uint32_t)(seed % 5) + (seed % 7 == 0 ? 15 : 0);
		m->prepare_max_ms = seed % 4 == 0 ? 1500 : 5;
		members_play_init(&play, m, seed % 3 != 0 || m->node_count == 2);
		for (uint32_t n = 0; n < m->node_count; n++)
			members_start(m, n);
		members_play_run(&play, 3000);
		for (uint32_t i = 0; i < strikes; i++)
			members_play_misfortune(&play);
		if (!members_play_recover(&play, 60000))
			ck_abort_msg("seed %llu: %s", (unsigned long long)seed,
				     m->violation[0] != 0 ? m->violation :
							    "they do not come together");
		members_destroy(m);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("many days");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, after_many_bad_days_all_come_together_again, 0, 8);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
