/* test_voter_format.c - the voter file's slots (D1). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc.h"
#include "tests/unit/solo.h"

static struct config config;
static struct voter voter, back;
static uint8_t slot[2][CLUSTER_VOTER_FILE_BYTES];
static char text[160];

static void setup(void)
{
	solo_config(&config);
	memset(&voter, 0, sizeof voter);
	voter.counter = 7;
	voter.node = 2;
	voter.epoch = SOLO_EPOCH(2);
	voter.promised = cluster_view_ballot_make(9, 1);
	voter.mirror.byte[0] = 1;
	voter.has_accepted = true;
	solo_view(&config, 3, &voter.accepted);
	voter.released[3][0] = 33;
	voter.released[0][RELEASED_COUNT_MAX - 1] = 4;
	voter.fenced[3].boot = 5;
	voter.fenced[1].wall_ns = 6;
	voter.heard[1] = (struct voter_heard){ 7, 8, 9, 10 };
}

/* The header's CRC, after a change in it. */
static void seal(uint8_t *data, size_t length)
{
	struct bytes crc = bytes_of(data + 24, 4);

	bytes_put_u32(&crc,
		      common_crc32c(common_crc32c(0, data, 24), data + 28, length - 28));
}

START_TEST(a_slot_says_again_what_was_promised_and_accepted)
{
	const size_t length = cluster_voter_encode(&config, &voter, slot[0]);

	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 0);
	ck_assert_uint_eq(back.counter, 7);
	ck_assert_uint_eq(back.epoch, SOLO_EPOCH(2));
	ck_assert_uint_eq(back.promised, voter.promised);
	ck_assert(back.has_accepted && !back.has_in_effect);
	ck_assert_uint_eq(back.accepted.ballot, voter.accepted.ballot);
	ck_assert_mem_eq(back.released, voter.released, sizeof back.released);
	ck_assert_mem_eq(back.fenced, voter.fenced, sizeof back.fenced);
	ck_assert_mem_eq(back.heard, voter.heard, sizeof back.heard);
}
END_TEST

/* Of an older version: of releases, fencings and signs of life, `_i` stand behind the
 * views. */
START_TEST(a_file_of_an_older_version_is_read)
{
	size_t length = cluster_voter_encode(&config, &voter, slot[0]);
	struct bytes used;

	length -= 4 + config.node_count * 32;
	if (_i < 2)
		length -= 4 + config.node_count * 16;
	if (_i < 1)
		length -= 4 + config.node_count * RELEASED_COUNT_MAX * 8;
	slot[0][8] = (uint8_t)((1u << _i) - 1);
	used = bytes_of(slot[0] + 12, 4);
	bytes_put_u32(&used, (uint32_t)length);
	seal(slot[0], length);
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 0);
	ck_assert_uint_eq(back.accepted.ballot, voter.accepted.ballot);
	ck_assert_uint_eq(back.released[3][0], _i == 0 ? 0 : 33);
	ck_assert_uint_eq(back.fenced[3].boot, _i < 2 ? 0 : 5);
	ck_assert_uint_eq(back.heard[1].boot, 0);
}
END_TEST

/* The older slot is overwritten: cut off anywhere, the newer one still stands. */
START_TEST(a_write_that_is_cut_off_leaves_the_other_slot)
{
	const size_t old = cluster_voter_encode(&config, &voter, slot[0]);
	size_t new;

	voter.counter = 8;
	new = cluster_voter_encode(&config, &voter, slot[1]);
	ck_assert_int_eq(cluster_voter_newest(slot[0], old, slot[1], new), 1);
	for (size_t cut = 0; cut < new; cut++)
		if (cluster_voter_newest(slot[0], old, slot[1], cut) != 0)
			ck_abort_msg("a slot of %zu bytes passes for whole", cut);
	ck_assert_int_eq(cluster_voter_newest(slot[0], 5, slot[1], 0), -1);
}
END_TEST

/* A shorter state over a longer one: the bytes behind it in the file are not its own. */
START_TEST(what_stands_behind_a_slot_is_not_looked_at)
{
	size_t length;

	voter.has_accepted = false;
	length = cluster_voter_encode(&config, &voter, slot[0]);
	memset(slot[0] + length, 0xaa, 100);
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length + 100, &back,
					      text, sizeof text),
			 0);
	ck_assert(!back.has_accepted);
}
END_TEST

START_TEST(damage_is_refused)
{
	const size_t length = cluster_voter_encode(&config, &voter, slot[0]);

	for (size_t i = 0; i < length; i++) {
		slot[0][i] ^= 1;
		if (cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					 sizeof text) != -EBADMSG)
			ck_abort_msg("byte %zu may be anything", i);
		slot[0][i] ^= 1;
	}
}
END_TEST

START_TEST(another_nodes_file_is_refused_by_name)
{
	const size_t length = cluster_voter_encode(&config, &voter, slot[0]);

	ck_assert_int_eq(cluster_voter_decode(&config, 3, slot[0], length, &back, text,
					      sizeof text),
			 -ENXIO);
	strcpy(config.node[0].name, "m1");
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 -ESTALE);
	ck_assert_ptr_nonnull(strstr(text, "m1"));
}
END_TEST

START_TEST(a_newer_version_is_refused_not_passed_over)
{
	const size_t length = cluster_voter_encode(&config, &voter, slot[0]);

	slot[0][4] = 2;
	seal(slot[0], length);
	ck_assert_int_eq(cluster_voter_newest(slot[0], length, slot[1], 0), 0);
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 -EPROTONOSUPPORT);
}
END_TEST

/* Node 3 hosts lyon and is not listed any more: its number may be another node's later, whose
 * boot would be taken for its end (D6). `_i`: nothing tells that it has ended; its opening was
 * given back; it was fenced; an earlier boot of it was; only a view that is over names it; an
 * undecided one does. */
START_TEST(a_host_that_may_live_stays_listed)
{
	static const bool ended[] = { false, true, true, false, true, false };
	size_t length;

	config.node_count = 4;
	voter.released[3][0] = _i == 1 ? 77 : 33;
	voter.fenced[3].boot = _i == 2 ? SOLO_BOOT(3) : SOLO_BOOT(3) - 1;
	voter.accepted.site[1].host = (struct view_host){ 3, 77, SOLO_BOOT(3) };
	voter.has_in_effect = true;
	voter.in_effect = voter.accepted;
	if (_i >= 4)
		voter.in_effect.site[1].host.node = VIEW_NONE;
	if (_i == 4)
		voter.in_effect.ballot++;
	if (_i == 5)
		voter.accepted.ballot++;
	length = cluster_voter_encode(&config, &voter, slot[0]);
	config.node_count = 3;
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 ended[_i] ? 0 : -ESTALE);
	if (!ended[_i]) {
		ck_assert_ptr_nonnull(strstr(text, "lyon"));
		return;
	}
	if (_i != 4)
		ck_assert_int_eq(back.accepted.site[1].host.node, VIEW_NONE);
	ck_assert_int_eq(back.in_effect.site[1].host.node, VIEW_NONE);
	/* What is written now takes no other node for it. */
	length = cluster_voter_encode(&config, &back, slot[0]);
	config.node_count = 4;
	strcpy(config.node[3].name, "m4");
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 0);
	ck_assert_int_eq(back.in_effect.site[1].host.node, VIEW_NONE);
}
END_TEST

/* What a host that was fenced could have open is closed; another may have it still. */
START_TEST(a_host_of_before_is_remembered_unless_it_was_fenced)
{
	size_t length;

	config.node_count = 4;
	voter.accepted.member[3].boot = SOLO_BOOT(3);
	voter.accepted.site[1].reach = 1u << 3;
	voter.fenced[3].boot = _i == 1 ? SOLO_BOOT(3) : SOLO_BOOT(3) - 1;
	length = cluster_voter_encode(&config, &voter, slot[0]);
	for (uint32_t i = 0; i < 2; i++) {
		config.node_count = 3 + i;
		ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back,
						      text, sizeof text),
				 0);
		ck_assert_uint_eq(back.accepted.member[3].boot,
				  _i == 1 ? 0 : SOLO_BOOT(3));
		ck_assert_uint_eq(back.accepted.site[1].reach, _i == 1 ? 0 : 1u << 3);
		length = cluster_voter_encode(&config, &back, slot[0]);
	}
}
END_TEST

/* A file that was written while the configuration lacked a site is no other mirror's. */
START_TEST(a_site_that_is_listed_again_is_known)
{
	const uint32_t sites = config.site_count;
	size_t length = cluster_voter_encode(&config, &voter, slot[0]);

	config.site_count = sites - 1;
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 0);
	length = cluster_voter_encode(&config, &back, slot[0]);
	config.site_count = sites;
	ck_assert_int_eq(cluster_voter_decode(&config, 2, slot[0], length, &back, text,
					      sizeof text),
			 0);
	ck_assert_uint_eq(back.accepted.site_count, sites);
}
END_TEST

/* `hamirror create`: one voter, with the first view already in effect. */
START_TEST(the_first_file_has_one_voter)
{
	const struct cluster_self self = { .node = 1, .incarnation = 33 };
	const struct uuid mirror = { { 1 } }, lineage = { { 2 } };
	const struct generation first = {
		.ordinal = 1,
		.id = { { 3 } },
		.reason = GENERATION_CREATED,
	};
	const size_t length = cluster_first_voter(&config, &self, &mirror, &lineage,
						  &first, slot[0]);

	ck_assert_int_eq(cluster_voter_decode(&config, 1, slot[0], length, &back, text,
					      sizeof text),
			 0);
	ck_assert(back.has_in_effect);
	ck_assert_uint_eq(back.in_effect.voters.count, 1);
	ck_assert_uint_eq(cluster_view_voters_epoch(&back.in_effect.voters, 1),
			  back.epoch);
	ck_assert_int_eq(back.in_effect.production_node, VIEW_NONE);
	ck_assert_uint_gt(back.in_effect.lease_ms, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cluster");
	TCase *tc = tcase_create("voter");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_slot_says_again_what_was_promised_and_accepted);
	tcase_add_loop_test(tc, a_file_of_an_older_version_is_read, 0, 3);
	tcase_add_test(tc, a_write_that_is_cut_off_leaves_the_other_slot);
	tcase_add_test(tc, what_stands_behind_a_slot_is_not_looked_at);
	tcase_add_test(tc, damage_is_refused);
	tcase_add_test(tc, another_nodes_file_is_refused_by_name);
	tcase_add_test(tc, a_newer_version_is_refused_not_passed_over);
	tcase_add_loop_test(tc, a_host_that_may_live_stays_listed, 0, 6);
	tcase_add_loop_test(tc, a_host_of_before_is_remembered_unless_it_was_fenced, 0,
			    2);
	tcase_add_test(tc, a_site_that_is_listed_again_is_known);
	tcase_add_test(tc, the_first_file_has_one_voter);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
