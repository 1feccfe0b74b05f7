/* test_alone.c - `cluster: none`: the operator is the majority. The test plays the I/O
 * side of paris, whose peer is lyon. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/solo.h"

#define LYON 1

static struct config config;
static struct cluster_core *core;
static struct cluster_actions actions;
static uint64_t now_ns;
static struct order order[64];
static uint32_t order_count;
static struct cluster_action reply;
static bool replied;
static struct history history; /* of our log */
static struct fact opened;

static void step(struct cluster_event *e)
{
	e->now_ns = e->wall_ns = now_ns;
	cluster_step(core, e, &actions);
	for (uint32_t i = 0; i < actions.count; i++) {
		ck_assert_int_ne(actions.action[i].type, CLUSTER_ACTION_SEND);
		ck_assert_int_ne(actions.action[i].type, CLUSTER_ACTION_PERSIST);
		if (actions.action[i].type == CLUSTER_ACTION_ORDER)
			order[order_count++] = actions.action[i].order;
		if (actions.action[i].type == CLUSTER_ACTION_REPLY) {
			reply = actions.action[i];
			replied = true;
		}
	}
	ck_assert_uint_lt(order_count, 60);
}

static void tick(uint64_t ms)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_TICK };

	now_ns += ms * SOLO_MS;
	step(&e);
}

static void fact(struct fact *f)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_FACT, .fact = f };

	step(&e);
}

static void command(enum cluster_command_type type, bool force)
{
	const struct cluster_command c = {
		.type = type, .id = 9, .site = -1, .force = force
	};
	struct cluster_event e = { .type = CLUSTER_EVENT_COMMAND, .command = &c };

	replied = false;
	step(&e);
}

/* The newest order of that type, or NULL. */
static const struct order *ordered(enum order_type type)
{
	for (uint32_t i = order_count; i-- > 0;)
		if (order[i].type == type)
			return &order[i];
	return NULL;
}

static void answer(enum order_type to, struct fact *f)
{
	ck_assert_ptr_nonnull(ordered(to));
	f->order_id = ordered(to)->id;
	f->site = ordered(to)->site;
	fact(f);
}

static struct generation made(uint8_t id, uint8_t parent, uint64_t ordinal, uint32_t site)
{
	return (struct generation){
		.ordinal = ordinal,
		.id = { { id } },
		.parent = { { parent } },
		.reason = GENERATION_RESTARTED,
		.site = site,
	};
}

/* A core that has just ordered its devices to be opened. */
static void create(void)
{
	const struct cluster_self self = {
		.nodeid = 1,
		.pid = 1,
		.incarnation = 5,
		.random = { 1, 2, 3, 4 },
		.reach = 1,
	};
	char text[160];

	now_ns = 1000 * SOLO_MS;
	order_count = 0;
	replied = false;
	core = cluster_create(&config, &self, NULL, 0, text, sizeof text);
	ck_assert_ptr_nonnull(core);
	tick(0);
}

static void setup(void)
{
	solo_config(&config);
	config.cluster = false;
	config.node_count = 2;
	config.node[1].site = LYON;
	history.count = 2;
	history.entry[0] = made(1, 0, 1, 0);
	history.entry[1] = made(2, 1, 2, 0);
	memset(&opened, 0, sizeof opened);
	opened.type = FACT_OPENED;
	opened.history = history;
	opened.marks.logged = 100;
	opened.data = DATA_CONSISTENT;
	create();
	answer(ORDER_OPEN, &opened);
}

static void teardown(void)
{
	cluster_destroy(core);
}

/* Lyon's hello. */
static void peer(struct fact *f)
{
	f->type = FACT_PEER;
	answer(ORDER_PROBE, f);
}

/* The log is closed and read again, and says `opened`. */
static void reread(void)
{
	struct fact closed = { .type = FACT_CLOSED };

	answer(ORDER_CLOSE, &closed);
	answer(ORDER_OPEN, &opened);
}

static void refused(const char *why)
{
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 1);
	if (strstr(reply.text, why) == NULL)
		ck_abort_msg("refused, but: %s", reply.text);
}

/* From ORDER_PREPARE on. */
static void serve(uint32_t reached)
{
	struct fact prepared = { .type = FACT_PREPARED, .sequence = 100 };
	struct fact serving = { .type = FACT_SERVING };

	prepared.reached_sites = reached;
	answer(ORDER_PREPARE, &prepared);
	ck_assert_uint_eq(ordered(ORDER_LEASE)->until_ns, UINT64_MAX);
	ck_assert_uint_eq(ordered(ORDER_SERVE)->sites, reached);
	answer(ORDER_SERVE, &serving);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
}

/* Lyon is there and its log is as long: promoted with it. */
static void promoted(void)
{
	struct fact f = { .history = history };

	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 1);
	serve(1u << LYON);
}

START_TEST(at_the_start_it_opens_and_waits_to_be_told)
{
	struct cluster_status s;

	ck_assert_uint_eq(order_count, 1);
	cluster_status_get(core, now_ns, &s);
	ck_assert(s.quorate);
	ck_assert(!s.serving_here);
	ck_assert_int_eq(s.promotion_score, INT32_MIN);
}
END_TEST

START_TEST(devices_that_do_not_open_are_tried_again)
{
	struct fact f = { .type = FACT_OPENED,
			  .error = _i == 0 ? -EBUSY : -ENOENT,
			  .text = "disk db is in use, or not there" };

	teardown();
	create();
	answer(ORDER_OPEN, &f);
	order_count = 0;
	tick(500);
	ck_assert_ptr_null(ordered(ORDER_OPEN));
	tick(1000);
	ck_assert_ptr_nonnull(ordered(ORDER_OPEN));
}
END_TEST

START_TEST(with_the_peer_it_rolls_forward_and_waits_for_it)
{
	const struct order *o;

	promoted();
	o = ordered(ORDER_SERVE);
	ck_assert_uint_eq(o->history.count, 3);
	ck_assert_uint_eq(history_newest(&o->history)->cut, 100);
	ck_assert_uint_eq(history_newest(&o->history)->reason, GENERATION_RESTARTED);
	ck_assert_uint_eq(ordered(ORDER_LINK)->site, LYON);
	ck_assert_str_eq(ordered(ORDER_LINK)->peer.host, "n2");
}
END_TEST

START_TEST(a_peer_that_serves_forbids_it_whatever_the_force)
{
	struct fact f = { .history = history, .serving = true };

	command(CLUSTER_COMMAND_PROMOTE, true);
	peer(&f);
	refused("serves");
	ck_assert_ptr_null(ordered(ORDER_PREPARE));
	command(CLUSTER_COMMAND_PROMOTE, false); /* it may be asked again */
	ck_assert(!replied);
}
END_TEST

START_TEST(an_older_peer_is_no_source)
{
	struct fact f = { .history = history };

	f.history.count = 1;
	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 0);
	serve(0);
}
END_TEST

/* The peer was promoted since: ours is the older log. */
START_TEST(a_newer_peer_makes_this_side_outdated)
{
	struct fact f = { .history = history };

	f.history.entry[f.history.count++] = made(3, 2, 3, LYON);
	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	refused("outdated");
	command(CLUSTER_COMMAND_PROMOTE, true);
	peer(&f);
	reread();
	serve(0);
	ck_assert_ptr_nonnull(strstr(reply.text, "lost"));
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_FORCED);
}
END_TEST

START_TEST(two_sides_that_both_went_on_are_a_split_brain)
{
	struct fact f = { .history = history };

	f.history.entry[1] = made(7, 1, 2, LYON);
	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	refused("SplitBrain");
}
END_TEST

/* Our log may have learned more as a copy since it was opened: it is read again. */
START_TEST(what_the_log_says_now_counts)
{
	struct fact f = { .history = history };

	f.history.entry[f.history.count++] = made(3, 2, 3, LYON);
	opened.history = f.history; /* we followed it */
	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->source_count, 1);
	ck_assert_uint_eq(ordered(ORDER_PREPARE)->history.count, 3);
}
END_TEST

static void unreachable(bool force)
{
	struct fact f = { .error = -ETIMEDOUT, .text = "no answer" };

	command(CLUSTER_COMMAND_PROMOTE, force);
	peer(&f);
	reread();
}

START_TEST(without_the_peer_it_takes_a_force)
{
	unreachable(false);
	refused("cannot be reached");
	unreachable(true);
	serve(0);
	ck_assert_ptr_nonnull(strstr(reply.text, "cannot be known"));
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_FORCED);
}
END_TEST

START_TEST(without_the_peer_after_its_clean_demote_it_takes_none)
{
	opened.clean = true;
	unreachable(false);
	serve(0);
	ck_assert_uint_eq(history_newest(&ordered(ORDER_SERVE)->history)->reason,
			  GENERATION_CLEAN);
}
END_TEST

START_TEST(without_the_peer_that_was_put_out_it_takes_none)
{
	opened.disconnected = 1u << LYON;
	unreachable(false);
	serve(0);
	ck_assert_ptr_null(ordered(ORDER_LINK)); /* until `connect` */
}
END_TEST

static void copy(enum fact_type type, uint64_t ready_count)
{
	struct fact f = { .type = type, .site = LYON, .ready_count = ready_count };

	fact(&f);
}

/* Losing the peer freezes until `disconnect`, which is durable first. */
START_TEST(a_lost_peer_is_waited_for_until_disconnect)
{
	struct fact stored = { .type = FACT_STORED };
	struct cluster_status s;

	promoted();
	order_count = 0;
	copy(FACT_COPY_LOST, 0);
	tick(60000);
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	cluster_status_get(core, now_ns, &s);
	ck_assert_ptr_nonnull(strstr(s.text, "disconnect"));

	command(CLUSTER_COMMAND_DISCONNECT, false);
	ck_assert(!replied);
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites, 1u << LYON);
	answer(ORDER_MARK, &stored);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 0);
	ck_assert_ptr_nonnull(ordered(ORDER_UNLINK));
	ck_assert(replied);
}
END_TEST

START_TEST(connect_lifts_it_and_the_copy_is_waited_for_when_it_is_ready)
{
	struct fact stored = { .type = FACT_STORED };

	opened.disconnected = 1u << LYON;
	unreachable(false);
	serve(0);
	order_count = 0;
	command(CLUSTER_COMMAND_CONNECT, false);
	ck_assert_uint_eq(ordered(ORDER_MARK)->sites, 0);
	answer(ORDER_MARK, &stored);
	ck_assert_ptr_nonnull(ordered(ORDER_LINK));
	ck_assert_ptr_null(ordered(ORDER_WAIT));
	copy(FACT_COPY_READY, 4);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->sites, 1u << LYON);
	ck_assert_uint_eq(ordered(ORDER_WAIT)->ready_seen, 4);
}
END_TEST

START_TEST(a_demote_drains_and_says_so)
{
	struct fact demoted = { .type = FACT_DEMOTED, .clean = true };

	promoted();
	command(CLUSTER_COMMAND_DEMOTE, false);
	ck_assert(!replied);
	ck_assert_uint_eq(ordered(ORDER_DEMOTE)->wait_ms, config.frozen_timeout_ms);
	demoted.marks.logged = 123;
	answer(ORDER_DEMOTE, &demoted);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
	ck_assert_ptr_nonnull(strstr(reply.text, "123"));
	ck_assert_ptr_nonnull(ordered(ORDER_UNLINK));
}
END_TEST

START_TEST(a_stop_demotes_and_closes_first)
{
	struct fact demoted = { .type = FACT_DEMOTED, .clean = true };
	struct fact closed = { .type = FACT_CLOSED };

	promoted();
	order_count = 0;
	command(CLUSTER_COMMAND_STOP, false);
	answer(ORDER_DEMOTE, &demoted);
	ck_assert(!replied);
	answer(ORDER_CLOSE, &closed);
	ck_assert(replied);
	ck_assert_int_eq(reply.exit_status, 0);
	order_count = 0;
	tick(60000);
	ck_assert_ptr_null(ordered(ORDER_OPEN));
}
END_TEST

static void give_up(void)
{
	struct cluster_event e = { .type = CLUSTER_EVENT_GIVE_UP, .command_id = 9 };

	replied = false;
	step(&e);
}

static bool promoting(void)
{
	struct cluster_status s;

	cluster_status_get(core, now_ns, &s);
	return s.promoting_here;
}

/* Lyon does not answer: nothing goes on once the time is over. */
START_TEST(a_promotion_whose_time_is_over_is_called_off)
{
	struct fact late = { .history = history };

	command(CLUSTER_COMMAND_PROMOTE, false);
	give_up();
	refused("asking the other site: called off");
	ck_assert(!promoting());
	peer(&late);
	ck_assert_ptr_null(ordered(ORDER_CLOSE));
	promoted();
	give_up(); /* its time was over a moment after it was done */
	ck_assert(!replied);
}
END_TEST

START_TEST(a_demote_calls_a_promotion_off_while_it_is_prepared)
{
	struct fact f = { .history = history };
	struct fact late = { .type = FACT_PREPARED };

	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	ck_assert_ptr_nonnull(ordered(ORDER_PREPARE));
	command(CLUSTER_COMMAND_DEMOTE, false);
	ck_assert_ptr_nonnull(ordered(ORDER_DEPOSE));
	ck_assert(replied); /* the last one: the demote's */
	ck_assert_int_eq(reply.exit_status, 0);
	answer(ORDER_PREPARE, &late);
	ck_assert_ptr_null(ordered(ORDER_SERVE));
	order_count = 0;
	promoted();
}
END_TEST

/* The log is closed, to be read again: that ends before anything else. */
START_TEST(a_promotion_is_called_off_while_the_log_is_read_again)
{
	struct fact f = { .history = history };

	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	give_up();
	refused("called off");
	command(CLUSTER_COMMAND_PROMOTE, false);
	refused("not open yet");
	reread();
	ck_assert_ptr_null(ordered(ORDER_PREPARE));
	order_count = 0;
	promoted();
}
END_TEST

/* ORDER_SERVE is out: it serves, and is demoted then. */
START_TEST(a_demote_follows_a_promotion_that_starts_to_serve)
{
	struct fact f = { .history = history };
	struct fact prepared = { .type = FACT_PREPARED, .sequence = 100 };
	struct fact serving = { .type = FACT_SERVING };

	command(CLUSTER_COMMAND_PROMOTE, false);
	peer(&f);
	reread();
	answer(ORDER_PREPARE, &prepared);
	give_up();
	ck_assert(!replied);
	command(CLUSTER_COMMAND_DEMOTE, false);
	ck_assert(!replied);
	ck_assert_ptr_null(ordered(ORDER_DEMOTE));
	answer(ORDER_SERVE, &serving);
	ck_assert(replied);
	ck_assert_ptr_nonnull(ordered(ORDER_DEMOTE));
}
END_TEST

START_TEST(a_stop_calls_a_promotion_off)
{
	command(CLUSTER_COMMAND_PROMOTE, false);
	command(CLUSTER_COMMAND_STOP, false);
	refused("called off by a stop");
	ck_assert_ptr_nonnull(ordered(ORDER_CLOSE));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("alone");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, at_the_start_it_opens_and_waits_to_be_told);
	tcase_add_loop_test(tc, devices_that_do_not_open_are_tried_again, 0, 2);
	tcase_add_test(tc, with_the_peer_it_rolls_forward_and_waits_for_it);
	tcase_add_test(tc, a_peer_that_serves_forbids_it_whatever_the_force);
	tcase_add_test(tc, an_older_peer_is_no_source);
	tcase_add_test(tc, a_newer_peer_makes_this_side_outdated);
	tcase_add_test(tc, two_sides_that_both_went_on_are_a_split_brain);
	tcase_add_test(tc, what_the_log_says_now_counts);
	tcase_add_test(tc, without_the_peer_it_takes_a_force);
	tcase_add_test(tc, without_the_peer_after_its_clean_demote_it_takes_none);
	tcase_add_test(tc, without_the_peer_that_was_put_out_it_takes_none);
	tcase_add_test(tc, a_lost_peer_is_waited_for_until_disconnect);
	tcase_add_test(tc, connect_lifts_it_and_the_copy_is_waited_for_when_it_is_ready);
	tcase_add_test(tc, a_demote_drains_and_says_so);
	tcase_add_test(tc, a_stop_demotes_and_closes_first);
	tcase_add_test(tc, a_promotion_whose_time_is_over_is_called_off);
	tcase_add_test(tc, a_demote_calls_a_promotion_off_while_it_is_prepared);
	tcase_add_test(tc, a_promotion_is_called_off_while_the_log_is_read_again);
	tcase_add_test(tc, a_demote_follows_a_promotion_that_starts_to_serve);
	tcase_add_test(tc, a_stop_calls_a_promotion_off);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
