/* test_events.c - the event log: lines, followers, and a file that stays bounded. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/events.h"

static char directory[32] = "/tmp/hamirror-events-XXXXXX";
static char path[64], old[72];
static char heard[AGENT_EVENT_LINE_MAX];
static int heard_count;
static uint64_t heard_number;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/data.log", directory);
	snprintf(old, sizeof old, "%s.1", path);
	heard_count = 0;
}

static void teardown(void)
{
	unlink(path);
	unlink(old);
	rmdir(directory);
}

static const struct agent_event link_down = {
	.wall_ns = 1767225600ull * 1000000000 + 123456789,
	.verb = "change",
	.object = "link lyon",
	.text = "link:down nothing\nheard",
	.rule = "copy-lost",
};

START_TEST(line_names_verb_object_text_and_rule)
{
	const struct agent_event bare = {
		.verb = "exists", .object = "-", .text = "", .rule = ""
	};
	char line[AGENT_EVENT_LINE_MAX];

	agent_event_format(&link_down, line);
	ck_assert_str_eq(line, "change link lyon link:down nothing heard rule=copy-lost");
	agent_event_format(&bare, line);
	ck_assert_str_eq(line, "exists -");
}
END_TEST

START_TEST(endless_text_is_cut)
{
	static char text[3000];
	struct agent_event event = link_down;
	char line[AGENT_EVENT_LINE_MAX];

	memset(text, 'x', sizeof text - 1);
	event.text = text;
	agent_event_format(&event, line);
	ck_assert_uint_eq(strlen(line), AGENT_EVENT_LINE_MAX - 1);
}
END_TEST

START_TEST(file_has_the_time_before_the_line)
{
	struct agent_events *e = agent_events_open(path);
	char text[256] = "";
	FILE *f;

	agent_events_add(e, &link_down);
	agent_events_close(e);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
	ck_assert_str_eq(text,
			 "2026-01-01T00:00:00.123Z change link lyon link:down nothing "
			 "heard rule=copy-lost\n");
	fclose(f);
}
END_TEST

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0 ? st.st_size : -1;
}

/* More lines than two files hold: two files, neither above the bound. */
START_TEST(file_is_bounded_and_one_older_is_kept)
{
	struct agent_events *e = agent_events_open(path);

	for (int i = 0; i < 40000; i++)
		agent_events_add(e, &link_down);
	agent_events_close(e);
	ck_assert_int_gt(size_of(path), 0);
	ck_assert_int_le(size_of(path), AGENT_EVENTS_FILE_BYTES_MAX);
	ck_assert_int_gt(size_of(old), AGENT_EVENTS_FILE_BYTES_MAX / 2);
	ck_assert_int_le(size_of(old), AGENT_EVENTS_FILE_BYTES_MAX);
}
END_TEST

static void added(struct agent_follower *f, const struct agent_event *event)
{
	(void)f;
	agent_event_format(event, heard);
	heard_number = event->number;
	heard_count++;
}

/* Somebody removes the file, or moves it away, or the folder too: it is made again. */
START_TEST(file_that_was_removed_is_made_again)
{
	struct agent_events *e = agent_events_open(path);

	agent_events_add(e, &link_down);
	ck_assert_int_eq(unlink(path), 0);
	agent_events_add(e, &link_down);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
	agent_events_add(e, &link_down);
	ck_assert_int_eq(access(path, F_OK), 0);
	agent_events_close(e);
}
END_TEST

START_TEST(followers_hear_what_comes_after)
{
	struct agent_events *e = agent_events_open(NULL);
	struct agent_follower one = { .added = added }, two = { .added = added };

	agent_events_add(e, &link_down);
	agent_events_follow(e, &one);
	agent_events_follow(e, &two);
	ck_assert_int_eq(heard_count, 0);
	agent_events_add(e, &link_down);
	ck_assert_int_eq(heard_count, 2);
	ck_assert_ptr_nonnull(strstr(heard, "link lyon"));
	agent_events_unfollow(e, &one);
	agent_events_add(e, &link_down);
	ck_assert_int_eq(heard_count, 3);
	ck_assert_uint_eq(heard_number, 3);
	ck_assert_uint_eq(agent_events_newest(e), 3);
	agent_events_unfollow(e, &two);
	agent_events_close(e);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("events");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, line_names_verb_object_text_and_rule);
	tcase_add_test(tc, endless_text_is_cut);
	tcase_add_test(tc, file_has_the_time_before_the_line);
	tcase_add_test(tc, file_is_bounded_and_one_older_is_kept);
	tcase_add_test(tc, file_that_was_removed_is_made_again);
	tcase_add_test(tc, followers_hear_what_comes_after);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
