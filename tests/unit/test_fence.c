/* test_fence.c - D2: nodes that count as fenced, and ties that a fencing breaks. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/solo.h"

#define BALLOT(number, node) cluster_view_ballot_make(number, node)

static struct solo t;
static struct view view;

static void setup(void)
{
	struct config config;

	solo_config(&config);
	solo_view(&config, 3, &view);
	solo_create(&t, 0, &view, true);
	solo_persisted(&t);
}

static void teardown(void)
{
	solo_destroy(&t);
}

static void fenced(const char *node)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	e.fenced.node = node;
	e.fenced.wall_ns = t.now_ns;
	solo_step(&t, &e);
}

static void told_live(const char *node)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	e.fenced.node = node;
	e.fenced.wall_ns = t.now_ns;
	e.fenced.live = true;
	e.fenced.since_ns = t.now_ns;
	solo_step(&t, &e);
}

/* Two voters; they agree on a view when `agree`; then node 1 goes. */
static void two_voters(bool agree)
{
	uint64_t ballot;

	teardown();
	solo_view(&t.config, 2, &view);
	solo_create(&t, 0, &view, true);
	solo_ring(&t, 3);
	solo_announce(&t, 1);
	solo_persisted(&t);
	ballot = solo_sent(&t, MESSAGE_PREPARE)->prepare.ballot;
	if (agree) {
		solo_promise(&t, 1, ballot, NULL, view.ballot);
		solo_persisted(&t);
		solo_accepted(&t, 1, ballot);
		ck_assert_uint_eq(t.core->voter.in_effect.ballot, ballot);
	}
	solo_tick(&t, 100);
	solo_persisted(&t);
	solo_clear(&t);
	solo_ring(&t, 1);
	solo_tick(&t, 100);
	solo_persisted(&t);
}

START_TEST(half_of_the_voters_decide_nothing)
{
	two_voters(true);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
}
END_TEST

START_TEST(a_fencing_breaks_the_tie)
{
	two_voters(true);
	fenced("n2");
	solo_tick(&t, 100);
	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROPOSE));
	ck_assert_uint_gt(t.core->voter.in_effect.ballot, BALLOT(2, 0));
}
END_TEST

/* It may have come back behind the other, which fenced it and went on alone. */
START_TEST(a_fencing_does_not_break_it_for_who_has_not_agreed_since_its_start)
{
	struct cluster_status status;

	two_voters(false);
	strcpy(t.config.instance, "data@n1");
	fenced("n2");
	solo_tick(&t, 100);
	solo_persisted(&t);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_ptr_nonnull(strstr(status.text, "`hamirror promote data@n1 --force`"));
	/* its promotion is refused for the same reason, and the fenced node opens nothing */
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	solo_tick(&t, 10000);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "the others were fenced"));
	t.core->voter.in_effect.site[0].host = (struct view_host){
		.node = 1, .boot = t.core->node[1].fenced_boot
	};
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_ptr_nonnull(
		strstr(status.sites[0].text, "n2 has ended or released it"));
}
END_TEST

START_TEST(a_notice_of_an_older_fencing_says_nothing)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	two_voters(true);
	e.fenced.node = "n2";
	e.fenced.wall_ns = 1; /* before we saw that boot of it */
	solo_step(&t, &e);
	solo_tick(&t, 100);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
}
END_TEST

/* If a node is here, the fencing was of an older boot, whatever the clocks say. But if it
 * goes soon after a live notice, the notice was faster than corosync. A fencing that a
 * history names was judged before. */
START_TEST(a_notice_of_who_is_here_counts_if_it_goes_soon)
{
	const bool live = _i < 2, soon = _i != 1;
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	two_voters(true);
	solo_ring(&t, 3);
	solo_announce(&t, 1);
	solo_persisted(&t);
	e.fenced.node = "n2";
	e.fenced.wall_ns = t.now_ns + 3600 * 1000000000ull; /* a clock ahead of ours */
	e.fenced.live = live;
	e.fenced.since_ns = t.now_ns;
	solo_step(&t, &e);
	ck_assert_uint_eq(t.core->node[1].fenced_boot, 0);
	solo_tick(&t, soon ? 100 : 11000);
	solo_ring(&t, 1);
	solo_persisted(&t);
	ck_assert_uint_eq(t.core->node[1].fenced_boot != 0, live && soon);
	e.fenced.live = false; /* the same, in a history: it was judged */
	solo_step(&t, &e);
	ck_assert_uint_eq(t.core->node[1].fenced_boot != 0, live && soon);
	ck_assert_uint_eq(t.core->voter.fenced[1].wall_ns, e.fenced.wall_ns);
}
END_TEST

/* A process that starts knows its mate from before and takes it for present until the mate
 * has announced itself. If it knows the mate's boot only from a view, a history proves
 * nothing, however new: no clock of this node has seen that boot alive. Nor does an entry
 * from the future: the clock that stamped it is ahead. */
START_TEST(a_history_waits_until_all_who_are_here_are_known)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };
	const bool here = _i == 0, heard = _i != 2, ahead = _i == 3;
	const bool nothing = here || !heard || ahead;

	teardown();
	view.member[1].boot = SOLO_BOOT(1);
	solo_create(&t, 0, &view, true);
	if (heard)
		t.core->voter.heard[1].boot = SOLO_BOOT(1);
	solo_ring(&t, here ? 3 : 1);
	e.fenced.node = "n2";
	e.fenced.wall_ns = t.now_ns + (ahead ? 3600 * 1000 * SOLO_MS : 0);
	solo_step(&t, &e);
	ck_assert_uint_eq(t.core->node[1].fenced_boot, nothing ? 0 : SOLO_BOOT(1));
	if (here)
		solo_announce(&t, 1);
	solo_persisted(&t);
	solo_ring(&t, 1);
	ck_assert_uint_eq(t.core->node[1].fenced_boot, nothing ? 0 : SOLO_BOOT(1));
}
END_TEST

static const char *told(const char *rule)
{
	for (uint32_t i = 0; i < t.actions.count; i++)
		if (t.actions.action[i].type == CLUSTER_ACTION_EVENT &&
		    strcmp(t.actions.action[i].rule, rule) == 0)
			return t.actions.action[i].text;
	return NULL;
}

/* Clocks were ahead when it was fenced before, and when we saw it first, and are right
 * again; but a process that slept may be told late, of the boot before. */
START_TEST(a_live_notice_counts_whatever_the_clocks_say)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };

	two_voters(true);
	strcpy(t.config.instance, "data@n1");
	t.core->voter.fenced[1].wall_ns = 86400 * 1000 * SOLO_MS;
	e.fenced.node = "n2";
	e.fenced.wall_ns = 1;
	e.fenced.live = _i < 2;
	e.fenced.since_ns = _i == 0 ? t.core->node[1].seen_ns :
				      t.core->node[1].seen_ns - 1;
	solo_step(&t, &e);
	ck_assert_uint_eq(t.core->node[1].fenced_boot != 0, _i == 0);
	ck_assert_uint_eq(t.core->voter.fenced[1].wall_ns, 86400 * 1000 * SOLO_MS);
	if (_i == 1)
		ck_assert_ptr_nonnull(
			strstr(told("fenced-unsure"), "`hamirror fenced data@n1 n2`"));
	else
		ck_assert_ptr_null(told("fenced-unsure"));
}
END_TEST

/* A process that starts knows the fenced nodes, and takes no old notice for a new one. */
START_TEST(the_voter_file_remembers_fencings)
{
	static uint8_t file[CLUSTER_VOTER_FILE_BYTES];
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };
	struct cluster_core *again;
	char text[160];
	size_t length;

	two_voters(true);
	fenced("n2");
	length = cluster_voter_encode(&t.config, &t.core->voter, file);
	again = cluster_create(&t.config, &t.core->self, file, length, text, sizeof text);
	ck_assert_ptr_nonnull(again);
	ck_assert_uint_ne(again->node[1].fenced_boot, 0);
	ck_assert_uint_eq(again->node[1].fenced_boot, t.core->node[1].fenced_boot);
	again->node[1].fenced_boot = 0;
	e.fenced.node = "n2";
	e.fenced.wall_ns = t.now_ns;
	cluster_fence_event(again, &e);
	ck_assert_uint_eq(again->node[1].fenced_boot, 0);
	cluster_destroy(again);
}
END_TEST

/* It came back, and may have been given a view that only it has heard to be in effect:
 * that it is gone again says no more than before the fencing. */
START_TEST(a_fencing_says_nothing_of_who_has_come_back_since)
{
	struct cluster_status status;
	struct announce a;

	two_voters(true);
	fenced("n2");
	solo_tick(&t, 100);
	solo_persisted(&t);
	solo_announce_fill(&t, 1, &a);
	a.boot++;
	solo_ring(&t, 3);
	solo_announce_as(&t, 1, &a);
	solo_persisted(&t);
	solo_clear(&t);
	solo_ring(&t, 1);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_str_ne(status.nodes[1].text, "it was fenced");
}
END_TEST

/* Nor does it need to say so: it is in the ring, and may have agreed to our messages. */
START_TEST(a_fencing_says_nothing_of_who_is_back_and_has_not_said_who_it_is)
{
	struct cluster_status status;

	two_voters(true);
	fenced("n2");
	solo_tick(&t, 100);
	solo_persisted(&t);
	solo_clear(&t);
	solo_ring(&t, 3);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	solo_ring(&t, 1);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_ptr_null(strstr(status.text, "the others were fenced"));
	fenced("n2"); /* a history's: it may be of before that process */
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
	told_live("n2");
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROPOSE));
}
END_TEST

/* Who is refused agrees to nothing here; the next process of that node may. */
START_TEST(a_fencing_counts_for_who_is_back_with_another_lineage)
{
	struct announce a;

	two_voters(true);
	fenced("n2");
	solo_tick(&t, 100);
	solo_persisted(&t);
	solo_announce_fill(&t, 1, &a);
	a.boot++;
	a.ballot = BALLOT(90, 1);
	a.lineage.byte[0] ^= 1;
	solo_clear(&t);
	solo_ring(&t, 3);
	solo_announce_as(&t, 1, &a);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_nonnull(solo_sent(&t, MESSAGE_PROPOSE));
	solo_ring(&t, 1);
	solo_ring(&t, 3);
	solo_clear(&t);
	solo_tick(&t, 10000);
	solo_persisted(&t);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PROPOSE));
}
END_TEST

/* Its lineage is another one: no view of ours says which devices it has open. */
START_TEST(a_mate_of_another_lineage_may_have_the_disks)
{
	struct announce a;

	two_voters(true);
	solo_announce_fill(&t, 1, &a);
	a.ballot = BALLOT(90, 1);
	a.lineage.byte[0] ^= 1;
	solo_ring(&t, 3);
	solo_announce_as(&t, 1, &a);
	ck_assert(!t.core->node[1].member);
	for (uint32_t s = 0; s < t.config.site_count; s++)
		ck_assert_int_eq(cluster_devices_parted_mate(t.core, s),
				 t.config.node[1].site == (int32_t)s ||
					 (view.site[s].reach >> 1 & 1) != 0);
	solo_ring(&t, 1);
	ck_assert(cluster_devices_parted_mate(t.core, (uint32_t)t.config.node[1].site));
	fenced("n2");
	ck_assert(!cluster_devices_parted_mate(t.core, (uint32_t)t.config.node[1].site));
}
END_TEST

/* Another fencer's late entry does not tell the time of its fencing: not now, and not when
 * the process starts anew and finds it in the history, with any stamp. */
START_TEST(an_entry_that_comes_late_says_nothing)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };
	const bool here = _i == 0;

	two_voters(true);
	if (here) {
		solo_ring(&t, 3);
		solo_announce(&t, 1);
	}
	solo_persisted(&t);
	e.fenced.node = "n2";
	e.fenced.wall_ns = t.now_ns + 3600 * 1000 * SOLO_MS;
	e.fenced.late = true;
	solo_step(&t, &e);
	ck_assert_uint_eq(t.core->node[1].fenced_boot, 0);
	ck_assert_int_eq(told("fenced-unsure") != NULL, !here);
	solo_ring(&t, 1);
	e.fenced.late = false;
	solo_step(&t, &e);
	ck_assert_uint_eq(t.core->node[1].fenced_boot, 0);
}
END_TEST

/* The stamp has to be after the last sign of life, not only after the first one: by our
 * clock as it was then, and, in the same boot of ours, as it is now. */
START_TEST(a_history_counts_only_after_the_last_sign_of_life)
{
	static uint8_t file[CLUSTER_VOTER_FILE_BYTES];
	const bool is_set = _i >= 2; /* our clock */
	const uint64_t step_ns = is_set ? 3600 * 1000 * SOLO_MS : 0;
	const bool again = _i % 2 == 1;
	struct cluster_event e = { .type = CLUSTER_EVENT_FENCED };
	struct cluster_actions *out = &t.actions;
	uint64_t heard_ns;
	size_t length;
	char text[160];

	two_voters(true);
	solo_ring(&t, 3);
	solo_announce(&t, 1);
	solo_ring(&t, 1);
	heard_ns = t.core->voter.heard[1].now_ns;
	ck_assert_uint_lt(t.core->node[1].seen_ns, heard_ns);
	if (again) { /* a process that starts has it from the voter file */
		length = cluster_voter_encode(&t.config, &t.core->voter, file);
		cluster_destroy(t.core);
		t.core = cluster_create(&t.config, &t.self, file, length, text,
					sizeof text);
		solo_ring(&t, 1);
	}
	e.fenced.node = "n2";
	for (uint32_t after = 0; after < 2; after++) {
		e.now_ns = t.now_ns;
		e.wall_ns = t.now_ns + step_ns;
		e.fenced.wall_ns = heard_ns + step_ns - 1 + after;
		cluster_step(t.core, &e, out);
		ck_assert_uint_eq(t.core->node[1].fenced_boot != 0, after == 1);
	}
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, half_of_the_voters_decide_nothing);
	tcase_add_test(tc, a_fencing_breaks_the_tie);
	tcase_add_test(
		tc, a_fencing_does_not_break_it_for_who_has_not_agreed_since_its_start);
	tcase_add_test(tc, a_notice_of_an_older_fencing_says_nothing);
	tcase_add_loop_test(tc, a_notice_of_who_is_here_counts_if_it_goes_soon, 0, 3);
	tcase_add_loop_test(tc, a_history_waits_until_all_who_are_here_are_known, 0, 4);
	tcase_add_loop_test(tc, a_live_notice_counts_whatever_the_clocks_say, 0, 3);
	tcase_add_loop_test(tc, an_entry_that_comes_late_says_nothing, 0, 2);
	tcase_add_loop_test(tc, a_history_counts_only_after_the_last_sign_of_life, 0, 4);
	tcase_add_test(tc, the_voter_file_remembers_fencings);
	tcase_add_test(tc, a_fencing_counts_for_who_is_back_with_another_lineage);
	tcase_add_test(tc, a_mate_of_another_lineage_may_have_the_disks);
	tcase_add_test(tc, a_fencing_says_nothing_of_who_has_come_back_since);
	tcase_add_test(tc,
		       a_fencing_says_nothing_of_who_is_back_and_has_not_said_who_it_is);
}

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("fence");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	add_tests(tc);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
