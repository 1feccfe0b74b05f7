/* test_view.c - the view as a value: its encoding, its soundness, its small parts. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "tests/unit/solo.h"

#define LAYOUT_BYTES 540u
#define LAYOUT_CRC 3275498551u

static struct config config;
static struct view view, back;
static uint8_t data[VIEW_BYTES_MAX];
static char text[160];

static void setup(void)
{
	solo_config(&config);
	solo_view(&config, 3, &view);
	memset(&back, 0xee, sizeof back);
	text[0] = 0;
}

static size_t encode(void)
{
	struct codec c = codec_writer(data, sizeof data);

	cluster_view_codec(&c, &config, &view, text, sizeof text);
	return c.bytes.position;
}

static bool decode(size_t length, bool *same)
{
	struct codec c = codec_reader(data, length);

	*same = cluster_view_codec(&c, &config, &back, text, sizeof text);
	return !c.bytes.bad && c.bytes.position == length;
}

/* Every field, each with a value of its own. */
static void fill_everything(void)
{
	view.proposer = 11;
	view.fork.lineage.byte[3] = 13;
	view.fork.ballot = 14;
	view.fork.generation.byte[5] = 15;
	view.old = view.voters;
	cluster_view_voters_set(&view.old, 1, 17);
	view.member[4].incarnation = 18;
	view.member[4].boot = 19;
	view.site[1].host = (struct view_host){ 2, 20, 21 };
	view.site[1].reach = 23;
	view.site[1].current = true;
	view.site[1].current_incarnation = 24;
	view.site[1].current_from = 25;
	view.production_site = 1;
	view.production_node = 3;
	view.production_incarnation = 26;
	view.promise = promise_make(CONFIG_NEAR_SYNC, 27, 28);
	view.wanted = promise_async(35, 33);
	view.sync_copies = 29;
	view.disconnected = 1;
	view.bypass = 34;
	view.required = 35;
	view.clean = true;
	view.clean_end = 30;
	view.holder_many = true;
	view.holder_count = 1;
	view.holder[0].node = 2;
	view.holder[0].incarnation = 31;
	view.holder[0].boot = 32;
}

START_TEST(every_field_survives_the_encoding)
{
	size_t length, again;
	uint8_t first[VIEW_BYTES_MAX];
	bool same;

	fill_everything();
	length = encode();
	ck_assert(decode(length, &same));
	ck_assert(same);
	memcpy(first, data, length);
	view = back;
	again = encode();
	ck_assert_uint_eq(again, length);
	ck_assert_mem_eq(first, data, length);
	ck_assert_uint_eq(back.site[1].current_from, 25);
	ck_assert_uint_eq(back.old.voter[1].epoch, 17);
	ck_assert_uint_eq(back.holder[0].boot, 32);
	ck_assert_uint_eq(back.fork.generation.byte[5], 15);
	ck_assert_uint_eq(back.bypass, 34);
	ck_assert_uint_eq(back.required, 35);
	ck_assert(promise_equal(&back.wanted, &view.wanted));
}
END_TEST

/* Each of the two promises has a `confirm` of its own, which goes with sync only. */
START_TEST(confirm_survives_the_encoding)
{
	size_t length;
	bool same;

	view.promise = view.wanted = promise_make(CONFIG_SYNC, 0, 0);
	view.promise.home = _i % 2 == 0;
	view.wanted.home = _i / 2 == 0;
	length = encode();
	ck_assert(decode(length, &same));
	ck_assert(promise_equal(&back.promise, &view.promise));
	ck_assert(promise_equal(&back.wanted, &view.wanted));
	view.promise = promise_make(CONFIG_NEAR_SYNC, 27, 28);
	view.promise.home = _i % 2 == 0;
	ck_assert(decode(encode(), &same) == !view.promise.home);
}
END_TEST

/* One that is written differently needs a feature bit (docs/formats.md): a voter file and
 * other members have views of before. */
START_TEST(the_layout_changes_with_a_feature_only)
{
	size_t length;

	fill_everything();
	length = encode();
	/* bypass, required, the bound of async, confirm */
	ck_assert_uint_eq(data[2], 1 + 2 + 4 + 8);
	ck_assert_uint_eq(length, LAYOUT_BYTES);
	ck_assert_uint_eq(common_crc32c(0, data, length), LAYOUT_CRC);
}
END_TEST

/* As it was before each feature: without the fields behind the sites put out. */
START_TEST(a_view_without_a_newer_field_is_read)
{
	static const uint8_t fields[] = { 0xd1, 0, 0, 0, 0xb1, 0, 0, 0, 0xa1, 0, 0, 0 };
	const size_t kept = _i == 0 ? 4 : 8, gone = sizeof fields - kept;
	size_t length;
	uint8_t *at;
	bool same;

	view.disconnected = 0xd1;
	view.bypass = 0xb1;
	view.required = 0xa1;
	length = encode();
	at = memmem(data, length, fields, sizeof fields);
	ck_assert_ptr_nonnull(at);
	memmove(at + kept, at + sizeof fields,
		length - (size_t)(at + sizeof fields - data));
	data[2] = (uint8_t)_i;
	ck_assert(decode(length - gone - 2 * sizeof view.promise.bytes - 2, &same));
	ck_assert(same);
	ck_assert_uint_eq(back.disconnected, 0xd1);
	ck_assert_uint_eq(back.bypass, _i == 0 ? 0 : 0xb1);
	ck_assert_uint_eq(back.required, 0);
	ck_assert_uint_eq(back.promise.bytes, 0);
	ck_assert_mem_eq(&back.history, &view.history, sizeof back.history);
}
END_TEST

START_TEST(a_view_that_is_cut_off_is_refused)
{
	const size_t length = encode();
	bool same;

	for (size_t cut = 0; cut < length; cut++)
		if (decode(cut, &same))
			ck_abort_msg("accepted after %zu of %zu bytes", cut, length);
}
END_TEST

START_TEST(a_node_under_another_name_makes_it_another_configurations_view)
{
	const size_t length = encode();
	bool same;

	strcpy(config.node[3].name, "n9");
	ck_assert(decode(length, &same));
	ck_assert(!same);
	ck_assert_ptr_nonnull(strstr(text, "n9: sites, hosts and witnesses keep"));
}
END_TEST

START_TEST(a_witness_added_at_the_end_does_not)
{
	const size_t length = encode();
	bool same;

	config.node_count++;
	strcpy(config.node[5].name, "n6");
	ck_assert(decode(length, &same));
	ck_assert(same);
}
END_TEST

static void unsound(const char *what)
{
	if (cluster_view_is_sound(&view))
		ck_abort_msg("sound: %s", what);
	setup();
	ck_assert(cluster_view_is_sound(&view));
}

START_TEST(what_no_view_can_say_is_not_sound)
{
	ck_assert(cluster_view_is_sound(&view));
	view.ballot = 0;
	unsound("no ballot");
	view.voters.count = 0;
	unsound("no voter");
	view.voters.voter[1].node = 0;
	unsound("a voter twice");
	view.voters.voter[1].epoch = 0;
	unsound("an epoch of 0");
	view.history.count = 0;
	unsound("no generation");
	view.history.count = 2;
	view.history.entry[1] = view.history.entry[0];
	unsound("a generation that is not its parent's child");
	view.production_site = 2;
	unsound("production at a site that is none");
	view.site[0].host.node = CONFIG_NODE_COUNT_MAX;
	unsound("a host that is no node");
	view.lease_ms = 0;
	unsound("no lease");
}
END_TEST

START_TEST(a_node_votes_under_one_epoch)
{
	ck_assert_uint_eq(cluster_view_voters_epoch(&view.voters, 1), SOLO_EPOCH(1));
	cluster_view_voters_set(&view.voters, 1, 77);
	ck_assert_uint_eq(view.voters.count, 3);
	ck_assert_uint_eq(cluster_view_voters_epoch(&view.voters, 1), 77);
	cluster_view_voters_drop(&view.voters, 0);
	ck_assert_uint_eq(view.voters.count, 2);
	ck_assert_uint_eq(cluster_view_voters_epoch(&view.voters, 0), 0);
	ck_assert_uint_eq(cluster_view_voters_epoch(&view.voters, 2), SOLO_EPOCH(2));
}
END_TEST

START_TEST(only_answers_under_the_voters_epoch_count)
{
	uint64_t epoch[CONFIG_NODE_COUNT_MAX] = { 0 };

	epoch[0] = SOLO_EPOCH(0);
	epoch[1] = 99;            /* it lost its file */
	epoch[4] = SOLO_EPOCH(4); /* no voter */
	ck_assert_uint_eq(cluster_view_voters_answered(&view.voters, epoch), 1);
	epoch[1] = SOLO_EPOCH(1);
	ck_assert_uint_eq(cluster_view_voters_answered(&view.voters, epoch), 2);
}
END_TEST

START_TEST(a_long_history_loses_its_oldest_entries_and_counts_them)
{
	struct generation g = { .reason = GENERATION_RESTARTED };

	for (uint32_t i = 2; i <= HISTORY_COUNT_MAX + 3; i++) {
		g.ordinal = i;
		g.parent = cluster_view_generation(&view)->id;
		memcpy(g.id.byte, &i, sizeof i);
		g.id.byte[15] = 1;
		history_append(&view.history, &g);
	}
	ck_assert_uint_eq(view.history.count, HISTORY_COUNT_MAX);
	ck_assert_uint_eq(view.history.dropped_count, 3);
	ck_assert_uint_eq(view.history.entry[0].ordinal, 4);
	ck_assert(cluster_view_is_sound(&view));
	ck_assert_int_eq(cluster_view_history_find(&view.history, &g.id),
			 HISTORY_COUNT_MAX - 1);
	ck_assert_uint_le(encode(), VIEW_BYTES_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("view");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, every_field_survives_the_encoding);
	tcase_add_loop_test(tc, confirm_survives_the_encoding, 0, 4);
	tcase_add_test(tc, the_layout_changes_with_a_feature_only);
	tcase_add_loop_test(tc, a_view_without_a_newer_field_is_read, 0, 2);
	tcase_add_test(tc, a_view_that_is_cut_off_is_refused);
	tcase_add_test(tc,
		       a_node_under_another_name_makes_it_another_configurations_view);
	tcase_add_test(tc, a_witness_added_at_the_end_does_not);
	tcase_add_test(tc, what_no_view_can_say_is_not_sound);
	tcase_add_test(tc, a_node_votes_under_one_epoch);
	tcase_add_test(tc, only_answers_under_the_voters_epoch_count);
	tcase_add_test(tc, a_long_history_loses_its_oldest_entries_and_counts_them);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
