/* test_config_mode.c - the mode of a configuration, its bound, on-copy-loss, and the checksum of
 * what the daemon takes.
 * (test_config.c: the rest.) */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/throttle.h"
#include "common/promise.h"

static const char rest[] =
	"mirror: data\n"
	"sites:\n"
	"  - {name: paris, hosts: [n1], writelog: /l, disks: [{name: d, path: /d}]}\n";

static const char in_lines[] = "mirror: data\n"
			       "sites:\n"
			       "  - name: paris\n"
			       "    hosts: [n1]\n"
			       "    writelog: /l\n"
			       "    disks: [{name: d, path: /d}]\n";

static struct config config;
static struct config_errors errors;

static int load_text(const char *text)
{
	char path[] = "/tmp/hamirror-test-config-XXXXXX";
	const int fd = mkstemp(path);
	int result;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	result = config_load(path, &config, &errors);
	unlink(path);
	return result;
}

static void loads(const char *mode)
{
	char text[1024];

	snprintf(text, sizeof text, "%s%s\n", rest, mode);
	if (load_text(text) != 0)
		ck_abort_msg("%s: %s", mode, errors.entry[0].text);
}

/* Nodes may have different ones, or none. */
START_TEST(a_location_is_for_people)
{
	static const char *const bad[] = { "''", "[x]", "\"a\\nb\"" };
	char text[1024];
	uint64_t hash;

	loads("mode: sync");
	ck_assert_str_eq(config.site[0].location, "");
	hash = config.hash;
	snprintf(text, sizeof text, "%s    location: Paris, 3rd floor\nmode: sync\n",
		 in_lines);
	ck_assert_int_eq(load_text(text), 0);
	ck_assert_str_eq(config.site[0].location, "Paris, 3rd floor");
	ck_assert_uint_eq(config.hash, hash);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "%s    location: %s\nmode: sync\n", in_lines,
			 bad[i]);
		ck_assert_int_eq(load_text(text), -EINVAL);
		ck_assert_ptr_nonnull(strstr(errors.entry[0].text,
					     "expected a text in one line, for people"));
	}
	snprintf(text, sizeof text, "%s    location: %0128d\nmode: sync\n", in_lines, 0);
	ck_assert_int_eq(load_text(text), -EINVAL);
}
END_TEST

START_TEST(near_sync_has_a_bound)
{
	static const struct {
		const char *text;
		uint32_t records, ms;
	} says[] = {
		{ "mode: near-sync", 1000, 0 },
		{ "mode: near-sync\nnear-sync: {records: 30000}", 30000, 0 },
		{ "mode: near-sync\nnear-sync: {ms: 200}", 0, 200 },
		{ "mode: near-sync\nnear-sync: {records: 1, ms: 3600000}", 1, 3600000 },
	};
	char *shown = NULL;
	uint64_t hash;
	size_t length;
	FILE *out;

	loads(says[_i].text);
	ck_assert_int_eq(config.mode, CONFIG_NEAR_SYNC);
	ck_assert_uint_eq(config.near_sync_records, says[_i].records);
	ck_assert_uint_eq(config.near_sync_ms, says[_i].ms);
	hash = config.hash;
	out = open_memstream(&shown, &length);
	config_print_yaml(&config, out);
	fclose(out);
	ck_assert_int_eq(load_text(shown), 0);
	ck_assert_uint_eq(config.hash, hash);
	free(shown);
	loads(says[(_i + 1) % 4].text); /* all nodes must agree on it */
	ck_assert_uint_ne(config.hash, hash);
}
END_TEST

static void refused(const char *mode, const char *why)
{
	char text[1024];

	snprintf(text, sizeof text, "%s%s\n", rest, mode);
	ck_assert_int_eq(load_text(text), -EINVAL);
	for (uint32_t i = 0; i < errors.count; i++)
		if (strstr(errors.entry[i].text, why) != NULL)
			return;
	ck_abort_msg("%s: %s", mode, errors.entry[0].text);
}

/* All nodes must agree on it. */
START_TEST(writes_continue_or_block)
{
	char *shown = NULL;
	uint64_t hash;
	size_t length;
	FILE *out;

	loads("mode: sync");
	ck_assert_int_eq(config.on_copy_loss, CONFIG_COPY_LOSS_CONTINUE);
	hash = config.hash;
	loads("mode: sync\non-copy-loss: continue");
	ck_assert_uint_eq(config.hash, hash);
	loads("mode: near-sync\non-copy-loss: block");
	ck_assert_int_eq(config.on_copy_loss, CONFIG_COPY_LOSS_BLOCK);
	ck_assert_ptr_nonnull(strstr(config.agreed, "on-copy-loss: block\n"));
	loads("mode: sync\non-copy-loss: block");
	ck_assert_uint_ne(config.hash, hash);
	hash = config.hash;
	out = open_memstream(&shown, &length);
	config_print_yaml(&config, out);
	fclose(out);
	ck_assert_int_eq(load_text(shown), 0);
	ck_assert_uint_eq(config.hash, hash);
	ck_assert_int_eq(config.on_copy_loss, CONFIG_COPY_LOSS_BLOCK);
	free(shown);
	refused("mode: sync\non-copy-loss: freeze", "expected continue or block");
	refused("mode: async\non-copy-loss: block",
		"on-copy-loss: block does not go with mode async");
}
END_TEST

/* In sync only; with a cluster or without. */
START_TEST(sync_confirms_when_logged_or_at_home)
{
	char *shown = NULL;
	uint64_t hash;
	size_t length;
	FILE *out;

	loads("mode: sync");
	ck_assert_int_eq(config.confirm, CONFIG_CONFIRM_LOGGED);
	hash = config.hash;
	loads("mode: sync\nconfirm: logged");
	ck_assert_uint_eq(config.hash, hash);
	loads("mode: near-sync\nconfirm: logged");
	loads("mode: sync\ncluster: none\nconfirm: home");
	loads("mode: sync\nconfirm: home");
	ck_assert_uint_ne(config.hash, hash);
	ck_assert_ptr_nonnull(strstr(config.agreed, "mode: sync (confirm: home)\n"));
	hash = config.hash;
	out = open_memstream(&shown, &length);
	config_print_yaml(&config, out);
	fclose(out);
	ck_assert_int_eq(load_text(shown), 0);
	ck_assert_int_eq(config.confirm, CONFIG_CONFIRM_HOME);
	ck_assert_uint_eq(config.hash, hash);
	free(shown);
	refused("mode: sync\nconfirm: disk", "expected logged or home");
	refused("mode: near-sync\nconfirm: home", "home goes with mode sync only");
	refused("mode: async\nconfirm: home", "home goes with mode sync only");
}
END_TEST

START_TEST(without_a_cluster_writes_block)
{
	loads("mode: sync\ncluster: none");
	ck_assert_int_eq(config.on_copy_loss, CONFIG_COPY_LOSS_BLOCK);
	loads("mode: sync\ncluster: none\non-copy-loss: block");
	ck_assert_ptr_null(strstr(config.agreed, "on-copy-loss"));
	loads("mode: async\ncluster: none");
	ck_assert_int_eq(config.on_copy_loss, CONFIG_COPY_LOSS_CONTINUE);
	refused("mode: sync\ncluster: none\non-copy-loss: continue",
		"on-copy-loss: is always block with cluster: none");
}
END_TEST

/* Beside any mode: it is in force in async only. */
START_TEST(async_has_a_bound_of_near_copies)
{
	static const char *const modes[] = { "sync", "near-sync", "async" };
	struct promise p;
	char text[256], *shown = NULL;
	uint64_t hash;
	size_t length;
	FILE *out;

	snprintf(text, sizeof text, "mode: %s\nfailover: {lag-bytes: 64M, lag-ms: 2000}",
		 modes[_i]);
	loads(text);
	ck_assert_uint_eq(config.lag_bytes, 64 << 20);
	ck_assert_uint_eq(config.lag_ms, 2000);
	p = promise_of_config(&config);
	ck_assert(promise_counts(&p) && promise_is_sound(&p));
	ck_assert(config.mode != CONFIG_ASYNC || (p.bytes == 64 << 20 && p.ms == 2000));
	hash = config.hash;
	out = open_memstream(&shown, &length);
	config_print_yaml(&config, out);
	fclose(out);
	ck_assert_int_eq(load_text(shown), 0);
	ck_assert_uint_eq(config.hash, hash);
	free(shown);
	snprintf(text, sizeof text, "mode: %s\nfailover: {lag-bytes: 65M, lag-ms: 2000}",
		 modes[_i]);
	loads(text); /* all nodes must agree on it */
	ck_assert_uint_ne(config.hash, hash);
}
END_TEST

START_TEST(a_bound_of_near_copies_is_checked)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{ "failover: {lag-ms: 2000}", "lag-bytes" },
		{ "failover: {lag-bytes: 8M}", "16M" },
		{ "failover: {lag-bytes: 64M, lag-ms: 10}", "1000" },
		{ "failover: {lag-bytes: 64M}\ncluster: none", "cluster: none" },
	};
	char text[1024];

	snprintf(text, sizeof text, "%smode: sync\n%s\n", rest, wrong[_i].text);
	ck_assert_int_ne(load_text(text), 0);
	ck_assert_ptr_nonnull(strstr(errors.entry[0].text, wrong[_i].error));
}
END_TEST

/* What the daemon takes counts, not what the watcher takes. */
START_TEST(settings_have_a_checksum)
{
	static const char *const same[] = { "# words", "bandwidth: {max: 1M}",
					    "throttle-period: 500" };
	char text[1024];
	uint32_t before;

	loads("mode: sync");
	before = config.settings_crc;
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		snprintf(text, sizeof text, "mode: sync\n%s", same[i]);
		loads(text);
		ck_assert_uint_eq(config.settings_crc, before);
		throttles_free(config.throttles);
	}
	loads("mode: sync\ndemote-drain: 9000");
	ck_assert_uint_ne(config.settings_crc, before);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mode");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, near_sync_has_a_bound, 0, 4);
	tcase_add_test(tc, writes_continue_or_block);
	tcase_add_test(tc, settings_have_a_checksum);
	tcase_add_test(tc, sync_confirms_when_logged_or_at_home);
	tcase_add_test(tc, a_location_is_for_people);
	tcase_add_test(tc, without_a_cluster_writes_block);
	tcase_add_loop_test(tc, async_has_a_bound_of_near_copies, 0, 3);
	tcase_add_loop_test(tc, a_bound_of_near_copies_is_checked, 0, 4);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
