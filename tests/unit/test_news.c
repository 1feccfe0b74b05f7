/* test_news.c - lines of a member's event log reach the others, and go round once. */
#include <check.h>
#include <string.h>

#include "tests/unit/solo.h"

static struct solo t;

static void setup(void)
{
	struct view v;

	solo_config(&t.config);
	solo_view(&t.config, 5, &v);
	solo_create(&t, 0, &v, true);
	solo_ring(&t, 0x1f);
	for (uint32_t n = 1; n < 5; n++)
		solo_announce(&t, n);
	solo_clear(&t);
}

static void teardown(void)
{
	solo_destroy(&t);
}

static void tell(const char *text)
{
	struct cluster_event e = {
		.type = CLUSTER_EVENT_NEWS,
		.news = { "devices", text, "hang" },
	};

	solo_step(&t, &e);
}

/* The event of the last step, or NULL. */
static const struct cluster_action *event(void)
{
	for (uint32_t i = 0; i < t.actions.count; i++)
		if (t.actions.action[i].type == CLUSTER_ACTION_EVENT)
			return &t.actions.action[i];
	return NULL;
}

START_TEST(a_line_is_sent_as_it_is)
{
	const struct message *m;

	ck_assert(cluster_news_may(t.core));
	tell("disk db does not answer");
	ck_assert_ptr_null(event()); /* our own log has it */
	m = solo_sent(&t, MESSAGE_NEWS);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m->news.object, "devices");
	ck_assert_str_eq(m->news.text, "disk db does not answer");
	ck_assert_str_eq(m->news.rule, "hang");
}
END_TEST

START_TEST(a_long_line_is_cut)
{
	char text[1000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	tell(text);
	ck_assert_uint_eq(strlen(solo_sent(&t, MESSAGE_NEWS)->news.text), 255);
}
END_TEST

START_TEST(what_is_heard_is_an_event_and_is_not_sent_on)
{
	struct message m = {
		.type = MESSAGE_NEWS,
		.news = { "devices", "disk db does not answer", "hang" },
	};

	solo_say(&t, 2, &m);
	ck_assert_ptr_nonnull(event());
	ck_assert_str_eq(event()->object, "member n3");
	ck_assert_str_eq(event()->text, "devices disk db does not answer");
	ck_assert_str_eq(event()->rule, "hang");
	solo_tick(&t, 1000);
	ck_assert_uint_eq(solo_sent_count(&t, MESSAGE_NEWS), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("news");
	TCase *tc = tcase_create("news");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_line_is_sent_as_it_is);
	tcase_add_test(tc, a_long_line_is_cut);
	tcase_add_test(tc, what_is_heard_is_an_event_and_is_not_sent_on);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
