/* test_news_pace.c - a line that nobody takes is offered less and less often, and soon again
 * once something has happened. */
#include <check.h>
#include <qb/qbloop.h>
#include <stdio.h>

#include "agent/events.h"
#include "agent/news.h"
#include "agent/node.h"

#define NS_PER_S 1000000000ull

static struct qb_loop *loop;
static struct agent_events *events;
static struct agent_news *news;
static int offered_count;
static bool is_taken;
static char taken[64];

/* In place of node.c. */
bool agent_node_tell(struct agent_node *n, const char *object, const char *text,
		     const char *rule)
{
	(void)n;
	(void)text;
	(void)rule;
	offered_count++;
	if (!is_taken)
		return false;
	snprintf(taken, sizeof taken, "%s", object);
	qb_loop_stop(loop);
	return true;
}

static void stop(void *data)
{
	(void)data;
	qb_loop_stop(loop);
}

static void run(uint64_t ns)
{
	qb_loop_timer_handle timer;

	ck_assert_int_eq(qb_loop_timer_add(loop, QB_LOOP_LOW, ns, NULL, stop, &timer), 0);
	qb_loop_run(loop);
	qb_loop_timer_del(loop, timer);
}

static void setup(void)
{
	loop = qb_loop_create();
	events = agent_events_open(NULL);
	ck_assert_ptr_nonnull(loop);
	ck_assert_ptr_nonnull(events);
	news = agent_news_open(loop, events);
	ck_assert_ptr_nonnull(news);
	offered_count = 0;
	is_taken = false;
	taken[0] = '\0';
	agent_news_set_node(news, (struct agent_node *)&offered_count);
}

static void teardown(void)
{
	agent_news_close(news);
	agent_events_close(events);
	qb_loop_destroy(loop);
}

START_TEST(a_line_without_a_peer_is_offered_seldom)
{
	agent_events_add_now(events, "change", "device db", "does not answer", "hang");
	run(3 * NS_PER_S);
	ck_assert_int_ge(offered_count, 1);
	ck_assert_int_le(offered_count, 5); /* at 0, 200, 600, 1400, 3000 ms */
}
END_TEST

/* The event is one that is not told itself: all members know who is there. */
START_TEST(an_event_offers_it_soon_again)
{
	agent_events_add_now(events, "change", "device db", "does not answer", "hang");
	run(3 * NS_PER_S);
	offered_count = 0;
	is_taken = true;
	agent_events_add_now(events, "change", "member n2", "here", "joined");
	run(60 * NS_PER_S);
	ck_assert_str_eq(taken, "device db");
	ck_assert_int_eq(offered_count, 1);
}
END_TEST

/* Events that do not end put it off no further. */
static void flood(void *data)
{
	qb_loop_timer_handle timer;

	agent_events_add_now(events, "change", "member n2", "here", "joined");
	qb_loop_timer_add(loop, QB_LOOP_LOW, NS_PER_S / 50, data, flood, &timer);
}

START_TEST(a_flood_of_events_does_not_put_it_off)
{
	agent_events_add_now(events, "change", "device db", "does not answer", "hang");
	run(NS_PER_S);
	offered_count = 0;
	flood(NULL);
	is_taken = true;
	run(60 * NS_PER_S);
	ck_assert_str_eq(taken, "device db");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("news");
	TCase *tc = tcase_create("pace");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_line_without_a_peer_is_offered_seldom);
	tcase_add_test(tc, an_event_offers_it_soon_again);
	tcase_add_test(tc, a_flood_of_events_does_not_put_it_off);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
