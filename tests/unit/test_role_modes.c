/* test_role_modes.c - one host: the promise of the view and its changes (M3), and the
 * promotions under it (M4). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/solo.h"

#define PARIS 0
#define LYON 1

static struct solo t;
static struct config config;
static struct view view;

static struct promise near_sync(uint32_t records, uint32_t ms)
{
	return promise_make(CONFIG_NEAR_SYNC, records, ms);
}

static struct promise sync_mode(void)
{
	return promise_make(CONFIG_SYNC, 0, 0);
}

static struct promise async_mode(void)
{
	return promise_make(CONFIG_ASYNC, 0, 0);
}

static void setup(void)
{
	solo_config(&config);
	solo_view(&config, 3, &view);
}

/* ---- changes (M3) ------------------------------------------------------------------- */

/* The copy is current but in async without a bound. */
static void serves_under(struct promise promise)
{
	view.promise = view.wanted = promise;
	view.site[LYON].current = promise_counts(&promise);
	view.site[LYON].current_incarnation = 77;
	solo_serves(&t, &view);
	solo_agree(&t); /* the ring's own round */
	ck_assert(t.core->voter.in_effect.site[LYON].current == view.site[LYON].current);
	solo_clear(&t);
}

static void ask(struct promise promise)
{
	const struct cluster_command c = {
		.type = CLUSTER_COMMAND_MODE,
		.id = 40,
		.promise = promise,
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	solo_step(&t, &e);
}

/* The last promise that the I/O side was told. */
static struct promise told(void)
{
	const struct order *o = solo_ordered(&t, ORDER_WAIT);

	return o != NULL ? o->promise : view.promise;
}

static void is_promise(struct promise is, struct promise expected)
{
	char a[PROMISE_TEXT_BYTES], b[PROMISE_TEXT_BYTES];

	promise_text(&is, a);
	promise_text(&expected, b);
	ck_assert_str_eq(a, b);
}

static void kept(uint64_t order_id)
{
	const struct fact f = { .type = FACT_PROMISE, .order_id = order_id };

	solo_fact(&t, &f);
}

/* To sync, a bound that is lower, one that cannot be compared, confirm: home. */
static const struct {
	struct promise from, to, meanwhile;
} stricter[] = {
	{ { CONFIG_NEAR_SYNC, 500, UINT32_MAX, UINT64_MAX, false }, { 0 }, { 0 } },
	{ { CONFIG_NEAR_SYNC, 500, UINT32_MAX, UINT64_MAX, false },
	  { CONFIG_NEAR_SYNC, 100, UINT32_MAX, UINT64_MAX, false },
	  { CONFIG_NEAR_SYNC, 100, UINT32_MAX, UINT64_MAX, false } },
	{ { CONFIG_NEAR_SYNC, 500, UINT32_MAX, UINT64_MAX, false },
	  { CONFIG_NEAR_SYNC, UINT32_MAX, 200, UINT64_MAX, false },
	  { CONFIG_NEAR_SYNC, 500, 200, UINT64_MAX, false } },
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, UINT64_MAX, false }, { 0 }, { 0 } },
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, 1 << 20, false }, { 0 }, { 0 } },
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, UINT64_MAX, false },
	  { CONFIG_ASYNC, UINT32_MAX, 100, 1 << 20, false },
	  { CONFIG_ASYNC, UINT32_MAX, 100, 1 << 20, false } },
	{ { CONFIG_NEAR_SYNC, 500, 300, UINT64_MAX, false },
	  { CONFIG_ASYNC, UINT32_MAX, 200, 1 << 20, false },
	  { CONFIG_NEAR_SYNC, 500, 200, 1 << 20, false } },
	{ { CONFIG_ASYNC, UINT32_MAX, 100, 1 << 20, false },
	  { CONFIG_NEAR_SYNC, 500, UINT32_MAX, UINT64_MAX, false },
	  { CONFIG_NEAR_SYNC, 500, 100, 1 << 20, false } },
	{ { 0 }, { .home = true }, { .home = true } },
	{ { CONFIG_NEAR_SYNC, 500, 300, UINT64_MAX, false },
	  { .home = true },
	  { .home = true } },
};

START_TEST(a_stricter_promise_waits_until_it_is_kept)
{
	serves_under(stricter[_i].from);
	ask(stricter[_i].to);
	is_promise(told(), stricter[_i].meanwhile);
	solo_agree(&t); /* the wanted promise is in a view at once */
	is_promise(t.core->voter.in_effect.wanted, stricter[_i].to);
	is_promise(t.core->voter.in_effect.promise, stricter[_i].from);
	solo_tick(&t, 100);
	kept(solo_ordered(&t, ORDER_WAIT)->id - 1); /* of an earlier change */
	is_promise(t.core->voter.in_effect.promise, stricter[_i].from);
	ck_assert_int_eq(t.core->round.state, ROUND_IDLE);
	kept(solo_ordered(&t, ORDER_WAIT)->id);
	ck_assert_int_ne(t.core->round.state, ROUND_IDLE);
	is_promise(told(), stricter[_i].meanwhile);
	solo_agree(&t);
	is_promise(t.core->voter.in_effect.promise, stricter[_i].to);
	is_promise(told(), stricter[_i].to);
	ck_assert_uint_eq(t.reply.command_id, 40);
	ck_assert_int_eq(t.reply.exit_status, 0);
	solo_destroy(&t);
}
END_TEST

START_TEST(a_weaker_promise_follows_at_once)
{
	serves_under(sync_mode());
	ask(near_sync(500, 200));
	ck_assert_ptr_null(solo_ordered(&t, ORDER_WAIT)); /* sync as long as it stands */
	solo_agree(&t);
	is_promise(t.core->voter.in_effect.promise, near_sync(500, 200));
	is_promise(told(), near_sync(500, 200));
	ck_assert(t.core->voter.in_effect.site[LYON].current);
	ck_assert_str_eq(t.reply.text, "the mode is near-sync (500 records and 200 ms)");
	solo_destroy(&t);
}
END_TEST

/* A proposal of ours may stand: answers satisfy it until a greater ballot has settled that. */
START_TEST(an_undecided_stricter_promise_binds)
{
	serves_under(near_sync(500, 0));
	ask(sync_mode());
	solo_agree(&t);
	kept(solo_ordered(&t, ORDER_WAIT)->id);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	is_promise(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.promise, sync_mode());
	solo_prepare(&t, 1, cluster_view_ballot_make(50, 1), ROUND_CONFIRM);
	ask(near_sync(500, 0)); /* the operator thinks again */
	solo_tick(&t, 200);
	is_promise(told(), sync_mode());
	solo_tick(&t, 4000);
	solo_announce_host(&t, 2, 77);
	solo_agree(&t);
	solo_tick(&t, 100);
	if (told().mode == CONFIG_SYNC)
		solo_agree(&t); /* the undecided one was adopted first */
	is_promise(t.core->voter.in_effect.promise, near_sync(500, 0));
	is_promise(told(), near_sync(500, 0));
	solo_destroy(&t);
}
END_TEST

/* The first order's view is on its way: no copy is counted in it. */
START_TEST(a_mode_is_told_when_no_other_may_take_effect)
{
	uint64_t ballot;

	serves_under(sync_mode());
	ask(async_mode());
	solo_persisted(&t);
	ballot = t.core->round.ballot;
	solo_promise(&t, 1, ballot, NULL, t.core->voter.in_effect.ballot);
	is_promise(solo_sent(&t, MESSAGE_PROPOSE)->propose.view.promise, async_mode());
	t.reply_count = 0;
	ask(sync_mode());
	ck_assert_uint_eq(t.reply_count, 1); /* that of the first */
	ck_assert_int_eq(t.reply.exit_status, 1);
	solo_persisted(&t);
	solo_accepted(&t, 1, ballot);
	is_promise(t.core->voter.in_effect.promise, async_mode());
	is_promise(told(), sync_mode());
	solo_agree(&t);
	is_promise(t.core->voter.in_effect.promise, sync_mode());
	ck_assert_uint_eq(t.reply_count, 2);
	ck_assert_str_eq(t.reply.text, "the mode is sync");
	solo_destroy(&t);
}
END_TEST

/* Its proposal is out when the time is over. */
START_TEST(a_mode_that_may_still_take_effect_says_so)
{
	uint64_t ballot;

	serves_under(sync_mode());
	ask(async_mode());
	solo_persisted(&t);
	ballot = t.core->round.ballot;
	solo_promise(&t, 1, ballot, NULL, t.core->voter.in_effect.ballot);
	solo_persisted(&t);
	t.reply_count = 0;
	solo_tick(&t, 5000);
	ck_assert_uint_eq(t.reply_count, 1);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "may still take effect"));
	solo_accepted(&t, 1, ballot);
	is_promise(t.core->voter.in_effect.promise, async_mode());
	solo_destroy(&t);
}
END_TEST

START_TEST(in_async_no_copy_is_current_or_enters)
{
	const struct fact ready = {
		.type = FACT_COPY_READY, .site = LYON, .incarnation = 77, .ready_count = 7
	};
	struct cluster_status status;

	serves_under(sync_mode());
	ask(async_mode());
	ck_assert_uint_eq(t.core->role.waited, 1u << LYON);
	solo_agree(&t);
	is_promise(t.core->voter.in_effect.promise, async_mode());
	ck_assert(!t.core->voter.in_effect.site[LYON].current);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 0);
	solo_clear(&t);
	solo_fact(&t, &ready); /* it was on its way */
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->sites, 0);
	ck_assert_uint_eq(solo_ordered(&t, ORDER_WAIT)->ready_seen, 7);
	ck_assert_ptr_null(solo_sent(&t, MESSAGE_PREPARE));
	cluster_status_get(t.core, t.now_ns, &status);
	ck_assert_str_eq(status.sites[LYON].text, "its link is down");
	solo_destroy(&t);
}
END_TEST

/* M3: a coordinator that does not serve has no say, whatever its file asks for. */
START_TEST(only_a_serving_production_changes_the_promise)
{
	view.promise = near_sync(500, 0);
	view.wanted = sync_mode();
	solo_create(&t, 0, &view, true);
	solo_ring(&t, 7);
	solo_announce(&t, 1);
	solo_announce(&t, 2);
	solo_persisted(&t);
	solo_agree(&t);
	t.core->voter.in_effect.config_hash++;
	solo_tick(&t, 100);
	solo_agree(&t);
	ck_assert_uint_eq(t.core->voter.in_effect.config_hash, t.config.hash);
	is_promise(t.core->voter.in_effect.promise, near_sync(500, 0));
	is_promise(t.core->voter.in_effect.wanted, sync_mode());
	ask(async_mode());
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "only production's host does that"));
	solo_destroy(&t);
}
END_TEST

/* ---- promotions (M4) ---------------------------------------------------------------- */

/* Node 2 hosts lyon, which the view calls current as `incarnation`; its own is 77. */
static void copy_under(struct promise promise, uint64_t incarnation)
{
	view.promise = view.wanted = promise;
	view.site[LYON].host = (struct view_host){ 2, 77, SOLO_BOOT(2) };
	view.site[LYON].current = promise_counts(&promise);
	view.site[LYON].current_incarnation = incarnation;
	solo_create(&t, 2, &view, true);
	t.core->role.devices = DEVICES_OPEN;
	t.core->role.site = LYON;
	t.core->role.incarnation = 77;
	solo_ring(&t, 7);
	solo_announce(&t, 0);
	solo_announce(&t, 1);
	solo_persisted(&t);
	t.core->confirm_due = false;
}

START_TEST(a_copy_that_has_restarted_is_current_in_sync_only)
{
	copy_under(_i == 0 ? sync_mode() : near_sync(500, 0), 76);
	ck_assert_int_eq(cluster_promote_reason(t.core, &t.core->voter.in_effect),
			 _i == 0 ? PROMOTE_CURRENT : PROMOTE_NOT);
	ck_assert_int_eq(cluster_score_of(t.core), _i == 0 ? 1000 : INT32_MIN);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	if (_i == 0)
		ck_assert_uint_eq(t.reply_count, 0);
	else
		ck_assert_ptr_nonnull(strstr(t.reply.text, "lyon has restarted since"));
	solo_destroy(&t);
}
END_TEST

START_TEST(a_near_sync_copy_is_promoted_within_its_bound)
{
	const struct order *o;
	struct fact f = { .type = FACT_PREPARED, .sequence = 42 };
	const struct view *v;

	copy_under(near_sync(500, 200), 77);
	ck_assert_int_gt(cluster_score_of(t.core), 1000);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	o = solo_ordered(&t, ORDER_PREPARE);
	ck_assert_ptr_nonnull(o);
	f.order_id = o->id;
	solo_fact(&t, &f);
	v = &solo_sent(&t, MESSAGE_PROPOSE)->propose.view;
	ck_assert_uint_eq(cluster_view_generation(v)->reason, GENERATION_NEAR_SYNC);
	is_promise(v->promise, near_sync(500, 200));
	ck_assert_ptr_nonnull(strstr(t.core->promote.done_text,
				     "at most 500 records and 200 ms (near-sync)"));
	solo_destroy(&t);
}
END_TEST

/* M4: near, and in the incarnation that the view counts. */
START_TEST(a_near_copy_is_promoted_within_its_bound)
{
	struct fact f = { .type = FACT_PREPARED, .sequence = 42 };
	const struct view *v;

	copy_under(promise_async(8 << 20, 200), 77);
	ck_assert_int_gt(cluster_score_of(t.core), 1000);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	f.order_id = solo_ordered(&t, ORDER_PREPARE)->id;
	solo_fact(&t, &f);
	v = &solo_sent(&t, MESSAGE_PROPOSE)->propose.view;
	ck_assert_uint_eq(cluster_view_generation(v)->reason, GENERATION_ASYNC);
	is_promise(v->promise, promise_async(8 << 20, 200));
	ck_assert_ptr_nonnull(
		strstr(t.core->promote.done_text, "at most 8 MiB and 200 ms (async)"));
	solo_destroy(&t);
}
END_TEST

START_TEST(a_copy_that_is_not_near_is_not_promoted)
{
	copy_under(promise_async(8 << 20, 0), 76 + (uint64_t)_i * 2);
	ck_assert_int_eq(cluster_score_of(t.core), INT32_MIN);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "has restarted since"));
	ck_assert_ptr_nonnull(strstr(t.reply.text, "async (8 MiB)"));
	solo_destroy(&t);
}
END_TEST

START_TEST(in_async_a_copy_is_not_promoted)
{
	copy_under(async_mode(), 77);
	ck_assert_int_eq(cluster_score_of(t.core), INT32_MIN);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(t.reply.text, "in async no copy is current"));
	ck_assert_ptr_nonnull(strstr(t.reply.text, "--force"));
	solo_destroy(&t);
}
END_TEST

/* Paris's host is here, idle, with a log up to record 120: it is asked for what lyon lacks ...
 */
static const struct {
	struct promise promise;
	bool force, follows, clean, asked;
} asks[] = {
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, UINT64_MAX, false },
	  true,
	  true,
	  false,
	  true },
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, 8 << 20, false },
	  false,
	  true,
	  false,
	  true },
	{ { CONFIG_NEAR_SYNC, 500, UINT32_MAX, UINT64_MAX, false },
	  false,
	  true,
	  false,
	  true },
	{ { 0 }, true, true, false, true },
	{ { 0 }, false, true, false, false }, /* ... but not in sync without force ... */
	{ { CONFIG_NEAR_SYNC, 500, UINT32_MAX, UINT64_MAX,
	    false }, /* ... nor beyond the end */
	  false,
	  true,
	  true,
	  true },
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, UINT64_MAX, false },
	  true,
	  false,
	  false,
	  false },
	{ { CONFIG_ASYNC, UINT32_MAX, UINT32_MAX, UINT64_MAX, false },
	  true,
	  true,
	  true,
	  true },
};

static void paris_is_idle(bool follows)
{
	struct announce a;

	solo_announce_fill(&t, 0, &a);
	a.flags = ANNOUNCE_OPEN;
	a.site = PARIS;
	a.incarnation_open = 66;
	a.marks.logged = a.marks.durable = 120;
	if (follows)
		a.log_newest = *cluster_view_generation(&view);
	solo_announce_as(&t, 0, &a);
}

START_TEST(a_site_that_is_ahead_is_asked)
{
	struct fact f = { .type = FACT_PREPARED, .sequence = 120 };
	const struct order *o;
	bool asked;

	view.production_site = PARIS;
	view.site[PARIS].host = (struct view_host){ 0, 66, SOLO_BOOT(0) };
	view.clean = asks[_i].clean;
	view.clean_end = asks[_i].clean ? 100 : 0;
	copy_under(asks[_i].promise, 77);
	paris_is_idle(asks[_i].follows);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, asks[_i].force);
	solo_persisted(&t);
	solo_promise(&t, 1, t.core->round.ballot, NULL, t.core->voter.in_effect.ballot);
	o = solo_ordered(&t, ORDER_PREPARE);
	ck_assert_ptr_nonnull(o);
	asked = o->source_count == 1 && o->source[0].site == PARIS;
	ck_assert(asked == asks[_i].asked);
	ck_assert_uint_eq(o->sites, asked ? 1u << PARIS : 0);
	ck_assert_uint_eq(o->spare, o->sites);
	ck_assert_uint_eq(o->clean_end, view.clean_end);
	f.order_id = o->id;
	f.reached_sites = o->sites;
	solo_fact(&t, &f);
	ck_assert(!solo_sent(&t, MESSAGE_PROPOSE)->propose.view.site[PARIS].current);
	if (_i == 0)
		ck_assert_str_eq(t.core->promote.done_text,
				 "; all that the log of paris holds is kept; what it "
				 "does not hold after record 120 is lost");
	if (!asked && asks[_i].force)
		ck_assert_str_eq(t.core->promote.done_text,
				 "; what paris wrote after record 120 is lost; how many "
				 "groups and bytes cannot be known");
	solo_destroy(&t);
}
END_TEST

/* A refusal names the loss that a force would have. */
START_TEST(a_refusal_counts_what_others_have)
{
	view.production_site = PARIS;
	view.site[PARIS].host = (struct view_host){ 0, 66, SOLO_BOOT(0) };
	copy_under(async_mode(), 77);
	paris_is_idle(_i == 0);
	solo_command(&t, CLUSTER_COMMAND_PROMOTE, false);
	ck_assert_int_eq(t.reply.exit_status, 1);
	ck_assert_ptr_nonnull(strstr(
		t.reply.text, _i == 0 ? "all that the log of paris holds is kept" :
					"what paris wrote after record 0 is lost"));
	solo_destroy(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("modes");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, a_stricter_promise_waits_until_it_is_kept, 0,
			    sizeof stricter / sizeof stricter[0]);
	tcase_add_test(tc, a_weaker_promise_follows_at_once);
	tcase_add_test(tc, an_undecided_stricter_promise_binds);
	tcase_add_test(tc, a_mode_is_told_when_no_other_may_take_effect);
	tcase_add_test(tc, a_mode_that_may_still_take_effect_says_so);
	tcase_add_test(tc, in_async_no_copy_is_current_or_enters);
	tcase_add_test(tc, only_a_serving_production_changes_the_promise);
	tcase_add_loop_test(tc, a_copy_that_has_restarted_is_current_in_sync_only, 0, 2);
	tcase_add_test(tc, a_near_sync_copy_is_promoted_within_its_bound);
	tcase_add_test(tc, a_near_copy_is_promoted_within_its_bound);
	tcase_add_loop_test(tc, a_copy_that_is_not_near_is_not_promoted, 0, 2);
	tcase_add_test(tc, in_async_a_copy_is_not_promoted);
	tcase_add_loop_test(tc, a_site_that_is_ahead_is_asked, 0,
			    sizeof asks / sizeof asks[0]);
	tcase_add_loop_test(tc, a_refusal_counts_what_others_have, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
