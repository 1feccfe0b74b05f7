/* test_config.c - configuration files, good ones and bad ones. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "common/config_difference.h"

/* Line numbers in this file's tests count from here. */
static const char good[] = "# a comment\n"                                        /* 1 */
			   "mirror: data\n"                                       /* 2 */
			   "mode: sync\n"                                         /* 3 */
			   "port: 7790\n"                                         /* 4 */
			   "sites:\n"                                             /* 5 */
			   "  - name: paris\n"                                    /* 6 */
			   "    hosts: [n1, n2]\n"                                /* 7 */
			   "    writelog: /dev/vg0/data-log\n"                    /* 8 */
			   "    disks:\n"                                         /* 9 */
			   "      - {name: db,  path: /dev/vg0/data-db}\n"        /* 10 */
			   "      - {name: wal, path: /dev/vg0/data-wal}\n"       /* 11 */
			   "  - name: lyon\n"                                     /* 12 */
			   "    hosts: [n3, n4]\n"                                /* 13 */
			   "    writelog: /dev/vg0/data-log\n"                    /* 14 */
			   "    disks:\n"                                         /* 15 */
			   "      - {name: wal, path: /dev/vg0/data-wal}\n"       /* 16 */
			   "      - {name: db,  path: /dev/vg0/data-db}\n"        /* 17 */
			   "witnesses: [n5]\n"                                    /* 18 */
			   "addresses: {n1: 10.0.0.1, n3: \"[fd00::3]:7791\"}\n"; /* 19 */

static char path[] = "/tmp/hamirror-test-config-XXXXXX";
static struct config *config, *other;
static struct config_errors errors;

static void setup(void)
{
	const int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	config = calloc(1, sizeof *config);
	other = calloc(1, sizeof *other);
	ck_assert(config != NULL && other != NULL);
}

static void teardown(void)
{
	unlink(path);
	strcpy(path + sizeof path - 7, "XXXXXX");
	config_free(config);
	config_free(other);
}

static int load_bytes(struct config *into, const char *text, size_t length)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, length, file), length);
	ck_assert_int_eq(fclose(file), 0);
	return config_load(path, into, &errors);
}

/* The good file with the one `from` in it replaced by `to`. */
static int load_changed(struct config *into, const char *from, const char *to)
{
	char text[4096];
	const char *at = strstr(good, from);

	ck_assert_msg(at != NULL, "\"%s\" is not in the good file", from);
	snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to,
		 at + strlen(from));
	return load_bytes(into, text, strlen(text));
}

static void assert_loads(int result)
{
	ck_assert_msg(result == 0, "%s", errors.count > 0 ? errors.entry[0].text : "?");
	ck_assert_uint_eq(errors.count, 0);
}

/* ---- good ------------------------------------------------------------------ */

START_TEST(reads_the_example)
{
	assert_loads(load_bytes(config, good, sizeof good - 1));
	ck_assert_str_eq(config->mirror, "data");
	ck_assert(config->cluster);
	ck_assert_int_eq(config->mode, CONFIG_SYNC);
	ck_assert_uint_eq(config->site_count, 2);
	ck_assert_str_eq(config->site[0].name, "paris");
	ck_assert_str_eq(config->site[1].writelog, "/dev/vg0/data-log");
	ck_assert_uint_eq(config->node_count, 5);
	ck_assert_str_eq(config->node[2].name, "n3");
	ck_assert_int_eq(config->node[2].site, 1);
	ck_assert_str_eq(config->node[4].name, "n5");
	ck_assert_int_eq(config->node[4].site, -1);
}
END_TEST

START_TEST(orders_the_disks_of_every_site_as_the_first)
{
	assert_loads(load_bytes(config, good, sizeof good - 1));
	ck_assert_uint_eq(config->site[1].disk_count, 2);
	ck_assert_str_eq(config->site[1].disk[0].name, "db");
	ck_assert_str_eq(config->site[1].disk[0].path, "/dev/vg0/data-db");
	ck_assert_str_eq(config->site[1].disk[1].name, "wal");
}
END_TEST

START_TEST(fills_in_what_is_not_said)
{
	assert_loads(load_bytes(config, good, sizeof good - 1));
	ck_assert_str_eq(config->node[0].address, "10.0.0.1");
	ck_assert_uint_eq(config->node[0].port, 7790);
	ck_assert_str_eq(config->node[1].address, "n2");
	ck_assert_uint_eq(config->node[1].port, 7790);
	ck_assert_str_eq(config->node[2].address, "fd00::3");
	ck_assert_uint_eq(config->node[2].port, 7791);
	ck_assert_int_eq(config->order, CONFIG_ORDER_STRICT);
	ck_assert_int_eq(config->attach, CONFIG_ATTACH_AUTO);
	ck_assert_int_eq(config->unprotected, CONFIG_UNPROTECTED_REFUSED);
	ck_assert_int_eq(config->on_no_quorum, CONFIG_NO_QUORUM_FREEZE);
	ck_assert_uint_eq(config->copy_timeout_ms, 10000);
	ck_assert_uint_eq(config->frozen_timeout_ms, 30000);
	ck_assert_uint_eq(config->demote_drain_ms, 10000);
	ck_assert_uint_eq(config->device_timeout_ms, 15000);
	ck_assert_uint_eq(config->bypass_at_percent, 80);
	ck_assert_uint_eq(config->refresh_retry_ms, 60000);
	ck_assert_uint_eq(config->lease_ms, 0);
	ck_assert_uint_eq(config->task_range_count, 4);
	ck_assert_uint_eq(config->task_per_range_count, 16);
	ck_assert_uint_eq(config->memory_bytes, 64 * 1024 * 1024);
	ck_assert_uint_eq(config->spin_us, CONFIG_SPIN_AUTO);
}
END_TEST

static const char tunables[] = "port: 4000\n"
			       "order: log\n"
			       "attach: none\n"
			       "unprotected: allowed\n"
			       "on-no-quorum: fail\n"
			       "copy-timeout: 2000\n"
			       "frozen-timeout: 0\n"
			       "demote-drain: 60000\n"
			       "device-timeout: 1000\n"
			       "bypass-at: 50\n"
			       "refresh-retry: 5000\n"
			       "lease: 4000\n"
			       "tasks: {ranges: 1, per-range: 2}\n"
			       "memory: 1G\n"
			       "spin: 40\n";

START_TEST(reads_every_front_end)
{
	char lines[64];

	for (int i = CONFIG_ATTACH_AUTO; i <= CONFIG_ATTACH_FUSE; i++) {
		snprintf(lines, sizeof lines, "port: 7790\nattach: %s\n",
			 config_attach_words[i]);
		assert_loads(load_changed(config, "port: 7790\n", lines));
		ck_assert_int_eq(config->attach, i);
	}
}
END_TEST

START_TEST(reads_every_other_key)
{
	assert_loads(load_changed(config, "port: 7790\n", tunables));
	ck_assert_uint_eq(config->port, 4000);
	ck_assert_uint_eq(config->node[0].port, 4000);
	ck_assert_int_eq(config->order, CONFIG_ORDER_LOG);
	ck_assert_int_eq(config->attach, CONFIG_ATTACH_NONE);
	ck_assert_int_eq(config->unprotected, CONFIG_UNPROTECTED_ALLOWED);
	ck_assert_int_eq(config->on_no_quorum, CONFIG_NO_QUORUM_FAIL);
	ck_assert_uint_eq(config->copy_timeout_ms, 2000);
	ck_assert_uint_eq(config->frozen_timeout_ms, 0);
	ck_assert_uint_eq(config->demote_drain_ms, 60000);
	ck_assert_uint_eq(config->device_timeout_ms, 1000);
	ck_assert_uint_eq(config->bypass_at_percent, 50);
	ck_assert_uint_eq(config->refresh_retry_ms, 5000);
	ck_assert_uint_eq(config->lease_ms, 4000);
	ck_assert_uint_eq(config->task_range_count, 1);
	ck_assert_uint_eq(config->task_per_range_count, 2);
	ck_assert_uint_eq(config->memory_bytes, 1ull << 30);
	ck_assert_uint_eq(config->spin_us, 40);
}
END_TEST

/* Two systems on one machine, as in a first try. */
static const char pair[] =
	"mirror: data\n"
	"mode: async\n"
	"cluster: none\n"
	"sites:\n"
	"  - {name: here, hosts: [a], writelog: /t/a.log, disks: [{name: db, path: /t/a}]}\n"
	"  - {name: there, location: \"3, \\\"x\\\"\", hosts: [b],\n"
	"     writelog: /t/b.log, disks: [{name: db, path: /t/b}]}\n"
	"addresses: {a: \"127.0.0.1:7790\", b: \"127.0.0.1:7791\"}\n";

START_TEST(reads_a_pair_without_a_cluster)
{
	assert_loads(load_bytes(config, pair, sizeof pair - 1));
	ck_assert(!config->cluster && config->mode == CONFIG_ASYNC);
	ck_assert_uint_eq(config->node[1].port, 7791);
	ck_assert_str_eq(config->site[1].location, "3, \"x\"");
}
END_TEST

START_TEST(prints_what_it_reads_again)
{
	char tuned[1024], ordered[1024];
	const char *const texts[] = { good, pair, tuned, ordered };

	snprintf(tuned, sizeof tuned, "%s%s", pair, tunables);
	snprintf(ordered, sizeof ordered, "%sbackup-order: [n3, n1, n4]\n", good);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		FILE *file;

		assert_loads(load_bytes(config, texts[i], strlen(texts[i])));
		file = fopen(path, "w");
		ck_assert_ptr_nonnull(file);
		config_print_yaml(config, file);
		ck_assert_int_eq(fclose(file), 0);
		assert_loads(config_load(path, other, &errors));
		ck_assert_uint_ne(config->file_crc, other->file_crc);
		/* Other bytes mean the same. */
		other->file_crc = config->file_crc;
		ck_assert_mem_eq(config, other, sizeof *config);
	}
}
END_TEST

/* Values on which all nodes must agree change the hash, and are named on both sides; values
 * that each may tune do not. */
START_TEST(hashes_and_names_what_nodes_must_agree_on)
{
	/* clang-format off */
	static const char *const agreed[][3] = {
		{ "paris", "nice", "it has hosts of nice: n1, this hosts of paris: n1" },
		{ "[n3, n4]", "[n4, n3]", "it has hosts of lyon: n4, this n3" },
		{ "[n5]", "[n6]", "it has witnesses: n6, this n5" },
		{ "[n5]", "[n5, n6]",
		  "it has witnesses: n6, this backup-order: as listed" },
		{ "[n5]", "[n5]\nbackup-order: [n3, n1]",
		  "it has backup-order: n3, this as listed" },
		{ "10.0.0.1", "10.0.0.2",
		  "it has addresses: n1: 10.0.0.2:7790, this 10.0.0.1:7790" },
		{ "port: 7790", "port: 7792",
		  "it has addresses: n1: 10.0.0.1:7792, this 10.0.0.1:7790" },
		{ "]:7791", "]:7793",
		  "it has addresses: n3: [fd00::3]:7793, this [fd00::3]:7791" },
		{ "/dev/vg0/data-db", "/dev/vg0/x",
		  "it has disks of paris: db: /dev/vg0/x, this /dev/vg0/data-db" },
		{ "port: 7790", "port: 7790\nlease: 5000", "it has lease: 5000, this default" },
	};
	/* clang-format on */
	char text[200];

	assert_loads(load_bytes(config, good, sizeof good - 1));
	assert_loads(load_changed(other, "port: 7790",
				  "port: 7790\nmemory: 128M\norder: log\nattach: none"));
	ck_assert_uint_eq(config->hash, other->hash);
	for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
		assert_loads(load_changed(other, agreed[i][0], agreed[i][1]));
		ck_assert_msg(config->hash != other->hash, "%s", agreed[i][1]);
		config_difference("it", other->agreed, "this", config->agreed, text,
				  sizeof text);
		ck_assert_str_eq(text, agreed[i][2]);
	}
}
END_TEST

/* ---- bad ------------------------------------------------------------------- */

/* The good file with `from` replaced by `to` has exactly this first error, after
 * its path. */
/* clang-format off */
static const struct {
	const char *from, *to, *error;
} bad[] = {
	/* keys */
	{ "mode: sync\n", "mode: sync\nmdoe: x\n",
	  ":4:1: mdoe: is not a key here; expected one of mirror, mode, near-sync, confirm, "
	  "failover, cluster, port, sites, witnesses, backup-order, addresses, order, attach, "
	  "unprotected, "
	  "on-no-quorum, on-copy-loss, copy-timeout, frozen-timeout, demote-drain, "
	  "device-timeout, bypass-at, refresh-retry, lease, tasks, memory, spin, "
	  "bandwidth, throttle-period, throttles" },
	{ "mode: sync\n", "mode: sync\nport: 1\n",
	  ":5:1: port: is given twice, first in line 4; expected it once" },
	{ "mode: sync\n", "", ":2:1: mode: is missing; expected sync, near-sync or async" },
	{ "mirror: data\n", "",
	  ":2:1: mirror: is missing; expected the mirror's name, as in NAME.yaml" },
	{ "    hosts: [n1, n2]\n", "",
	  ":6:5: sites[0].hosts: is missing; expected a list of 1 to 16 node names in "
	  "backup order" },
	{ "name: db,  path: /dev/vg0/data-db", "name: db",
	  ":10:9: sites[0].disks[0].path: is missing; expected the path of its block "
	  "device or file" },
	{ "{name: db, ", "{name: db, size: 3, ",
	  ":10:20: sites[0].disks[0].size: is not a key here; expected one of name, path" },
	{ "mode: sync\n", "mode: sync\n[a]: b\n",
	  ":4:1: has a key that is not a word; expected a word" },
	/* values */
	{ "7790", "x", ":4:7: port: is \"x\"; expected a port number from 1 to 65535" },
	{ "7790", "0", ":4:7: port: is \"0\"; expected a port number from 1 to 65535" },
	{ "7790", "65536",
	  ":4:7: port: is \"65536\"; expected a port number from 1 to 65535" },
	{ "7790", "-1", ":4:7: port: is \"-1\"; expected a port number from 1 to 65535" },
	{ "7790", "7790x",
	  ":4:7: port: is \"7790x\"; expected a port number from 1 to 65535" },
	{ "7790", "[1]", ":4:7: port: is a list; expected a port number from 1 to 65535" },
	{ "7790", "{a: 1}",
	  ":4:7: port: is a mapping; expected a port number from 1 to 65535" },
	{ "7790", "", ":4:6: port: is empty; expected a port number from 1 to 65535" },
	{ "7790", "99999999999999999999999",
	  ":4:7: port: is \"99999999999999999999999\"; expected a port number from 1 to "
	  "65535" },
	{ "mirror: data", "mirror: a/b",
	  ":2:9: mirror: is \"a/b\"; expected a name: 1 to 63 letters, digits, '.', '_' "
	  "and '-', the first a letter or digit" },
	{ "mode: sync", "mode: fast",
	  ":3:7: mode: is \"fast\"; expected sync, near-sync or async" },
	{ "port: 7790", "near-sync: {ms: 5}",
	  ":4:12: near-sync: is the bound of mode near-sync; expected none with mode "
	  "sync" },
	{ "mode: sync", "mode: near-sync\nnear-sync: {}",
	  ":4:12: near-sync: names no bound; expected records, ms, or both" },
	{ "port: 7790", "order: flush",
	  ":4:8: order: order flush is not available in this version; expected strict or "
	  "log" },
	{ "port: 7790", "memory: 1000000",
	  ":4:9: memory: is \"1000000\"; expected whole MiB from 8M to 64G: a number with "
	  "M or G" },
	{ "port: 7790", "memory: 99999999999999G",
	  ":4:9: memory: is \"99999999999999G\"; expected whole MiB from 8M to 64G: a "
	  "number with M or G" },
	{ "port: 7790", "cluster: pacemaker",
	  ":4:10: cluster: is \"pacemaker\"; expected corosync or none" },
	{ "port: 7790", "tasks: {ranges: 65}",
	  ":4:17: tasks.ranges: is \"65\"; expected a number from 1 to 64" },
	{ "port: 7790", "spin: 1001",
	  ":4:7: spin: is \"1001\"; expected auto, off, or microseconds from 1 to 1000" },
	{ "port: 7790", "tasks: 4",
	  ":4:8: tasks: is \"4\"; expected a mapping of keys to values" },
	{ "port: 7790", "bypass-at: 80%",
	  ":4:12: bypass-at: is \"80%\"; expected percent of the writelog, from 10 to 95, "
	  "without a sign" },
	{ "/dev/vg0/data-log", "data-log",
	  ":8:15: sites[0].writelog: is \"data-log\"; expected the path of a block device "
	  "or file, from / on, up to 255 bytes" },
	{ "/dev/vg0/data-log", "\"/dev/a\\nb\"",
	  ":8:15: sites[0].writelog: is \"/dev/a?b\"; expected a path without control "
	  "characters" },
	{ "[n1, n2]", "n1",
	  ":7:12: sites[0].hosts: is \"n1\"; expected a list of 1 to 16 node names in "
	  "backup order" },
	{ "[n1, n2]", "[]",
	  ":7:12: sites[0].hosts: is an empty list; expected a list of 1 to 16 node names "
	  "in backup order" },
	{ "[n1, n2]", "[n1, {a: b}]",
	  ":7:17: sites[0].hosts[1]: is a mapping; expected a name: 1 to 63 letters, "
	  "digits, '.', '_' and '-', the first a letter or digit" },
	{ "[n1, n2]", "[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]",
	  ":13:17: sites[1].hosts[1]: is one too many; expected at most 16 hosts in all "
	  "sites together" },
	{ "[n5]", "[a, b, c, d, e, f, g, h, i]",
	  ":18:37: witnesses[8]: is one too many; expected a list of 1 to 8 node names" },
	{ "10.0.0.1", "\"a b\"",
	  ":19:17: addresses.n1: is \"a b\"; expected an address or host name, with or "
	  "without :PORT (\"[IPV6]:PORT\")" },
	{ "10.0.0.1", "\"10.0.0.1:0\"",
	  ":19:17: addresses.n1: is \"10.0.0.1:0\"; expected an address or host name, with "
	  "or without :PORT (\"[IPV6]:PORT\")" },
	{ "[fd00::3]", "[fd00::3",
	  ":19:31: addresses.n3: is \"[fd00::3:7791\"; expected an address or host name, "
	  "with or without :PORT (\"[IPV6]:PORT\")" },
	{ "{n1:", "{n9:",
	  ":19:13: addresses.*: is \"n9\"; expected the name of a node that `sites` or "
	  "`witnesses` lists" },
	{ "witnesses: [n5]\n", "witnesses: [n5]\nbackup-order: [n3, n5]\n",
	  ":19:20: backup-order[1]: is \"n5\"; expected the name of a host that `sites` "
	  "lists" },
	{ "witnesses: [n5]\n", "witnesses: [n5]\nbackup-order: [n3, n1, n3]\n",
	  ":19:24: backup-order[2]: is given twice; expected each host once" },
	{ "witnesses: [n5]\n", "backup-order: []\n",
	  ":18:15: backup-order: is an empty list; expected a list of the hosts of all "
	  "sites in backup order" },
	/* together */
	{ "[n3, n4]", "[n3, n1]",
	  ":13:17: hosts: \"n1\" stands in paris already, line 7; expected each node once" },
	{ "[n5]", "[n4]",
	  ":18:13: witnesses: \"n4\" stands in lyon already, line 13; expected each node "
	  "once" },
	{ "name: lyon", "name: paris",
	  ":12:11: sites[1].name: \"paris\" is the site in line 6 already; expected another "
	  "name" },
	{ "name: wal", "name: db",
	  ":11:16: sites[0].disks: \"db\" is the disk in line 10 already; expected another "
	  "name" },
	{ "name: wal", "name: log",
	  ":16:16: sites[1].disks: \"wal\" is no disk of site paris; expected the same "
	  "names in every site" },
	{ "      - {name: wal, path: /dev/vg0/data-wal}\n  - name: lyon",
	  "  - name: lyon",
	  ":15:16: sites[1].disks: \"wal\" is no disk of site paris; expected the same "
	  "names in every site" },
	{ "/dev/vg0/data-wal", "/dev/vg0/data-db",
	  ":11:27: sites[0].disks: \"/dev/vg0/data-db\" is the path of the disk in line 10 "
	  "already; expected another" },
	{ "/dev/vg0/data-wal", "/dev/vg0/data-log",
	  ":11:27: sites[0].disks: \"/dev/vg0/data-log\" is the writelog's path; expected "
	  "another" },
	{ "\"[fd00::3]:7791\"", "10.0.0.1",
	  ":19:31: addresses: n3 has the address and port of n1, 10.0.0.1:7790; expected "
	  "another port" },
	{ "\"[fd00::3]:7791\"", "10.0.0.1:7791",
	  ":17:27: sites[1].disks: \"/dev/vg0/data-db\" is a path of site paris on the "
	  "same machine; expected another" },
	{ "port: 7790", "cluster: none",
	  ":18:12: witnesses: do not go with cluster: none; expected none of them" },
	/* YAML */
	{ "mode: sync", "mode: [sync",
	  ":4:5: while parsing a flow sequence: did not find expected ',' or ']'; expected "
	  "YAML" },
	{ "mode: sync", "\tmode: sync",
	  ":3:1: while scanning a plain scalar: found a tab character that violates "
	  "indentation; expected YAML" },
	{ "witnesses: [n5]", "---\na: b",
	  ":19:1: begins a second document; expected one" },
};
/* clang-format on */

START_TEST(names_what_is_wrong_and_where)
{
	char expected[2 * CONFIG_ERROR_TEXT_MAX];
	const char *got = errors.entry[0].text;

	ck_assert_int_eq(load_changed(config, bad[_i].from, bad[_i].to), -EINVAL);
	ck_assert_uint_ge(errors.count, 1);
	snprintf(expected, sizeof expected, "%s%s", path, bad[_i].error);
	ck_assert_str_eq(got, expected);
}
END_TEST

START_TEST(collects_errors_that_do_not_hide_each_other)
{
	static const char text[] = "mirror: a b\n"
				   "mode: fast\n"
				   "colour: red\n"
				   "sites:\n"
				   "  - hosts: [n1]\n"
				   "    writelog: log\n"
				   "    disks: [{name: db}]\n";
	static const uint32_t lines[] = { 3, 1, 2, 5, 6, 7 };

	ck_assert_int_eq(load_bytes(config, text, sizeof text - 1), -EINVAL);
	ck_assert_uint_eq(errors.count, 6);
	for (uint32_t i = 0; i < errors.count; i++)
		ck_assert_uint_eq(errors.entry[i].line, lines[i]);
}
END_TEST

START_TEST(bounds_the_errors_it_keeps)
{
	char text[8192];
	size_t length = 0;

	for (int i = 0; i < 100; i++)
		length += (size_t)snprintf(text + length, 16, "k%d: v\n", i);
	ck_assert_int_eq(load_bytes(config, text, length), -EINVAL);
	ck_assert_uint_eq(errors.count, CONFIG_ERROR_COUNT_MAX);
	ck_assert_uint_gt(errors.dropped_count, 0);
}
END_TEST

START_TEST(refuses_what_is_no_text)
{
	static const char zero[] = "mirror: \"da\\0ta\"\nmode: sync\n";
	static const char binary[] = "mirror: \xff\xfe\x00\x01";

	ck_assert_int_eq(load_bytes(config, "", 0), -EINVAL);
	ck_assert_int_eq(load_bytes(config, "# only\n", 7), -EINVAL);
	ck_assert_int_eq(load_bytes(config, zero, sizeof zero - 1), -EINVAL);
	ck_assert_int_eq(load_bytes(config, binary, sizeof binary - 1), -EINVAL);
	ck_assert_int_eq(load_bytes(config, "- a\n- b\n", 8), -EINVAL);
	ck_assert_int_eq(load_bytes(config, "a: &x [*x]\nsites: *x\n", 21), -EINVAL);
	ck_assert_int_eq(config_load("/nonexistent/x.yaml", config, &errors), -ENOENT);
	ck_assert_uint_eq(errors.count, 1);
	ck_assert_int_eq(config_load("/tmp", config, &errors), -EISDIR);
}
END_TEST

/* A file of ever more brackets must not exhaust the stack; one that is cut short
 * anywhere is refused or read, never worse. */
START_TEST(survives_hostile_files)
{
	static char deep[8 * 1024];

	memset(deep, '[', sizeof deep);
	ck_assert_int_eq(load_bytes(config, deep, sizeof deep), -EINVAL);
	for (size_t length = 0; length < sizeof good; length++)
		load_bytes(config, good, length);
	for (size_t i = 0; i < sizeof good - 1; i++) {
		char text[sizeof good];

		memcpy(text, good, sizeof good);
		text[i] ^= 0x55;
		load_bytes(config, text, sizeof good - 1);
	}
}
END_TEST

/* One site with so many disks. */
static int load_disks(uint32_t count, const char *rest)
{
	static char text[64 * 1024];
	size_t at = (size_t)snprintf(
		text, sizeof text,
		"mirror: data\nmode: sync\n%s\nsites:\n"
		"  - {name: a, hosts: [n1], writelog: /log, disks: [",
		rest);

	for (uint32_t i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, sizeof text - at,
				       "%s{name: d%u, path: /d%u}", i > 0 ? ", " : "", i,
				       i);
	at += (size_t)snprintf(text + at, sizeof text - at, "]}\n");
	return load_bytes(config, text, at);
}

START_TEST(devices_of_all_disks_have_room)
{
	assert_loads(load_disks(256, ""));
	assert_loads(load_disks(40, "memory: 8M\nattach: fuse"));
	assert_loads(load_disks(256, "memory: 8M\nattach: none"));
	ck_assert_int_eq(load_disks(60, "memory: 8M\nattach: nbd"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(
		errors.entry[0].text,
		":3:9: memory: is 8M, too little for the devices of 60 disks (attach: "
		"nbd), which take 120 NBD connections; expected 12M or more"));
	assert_loads(load_disks(60, "memory: 12M\nattach: nbd"));
}
END_TEST

START_TEST(finds_the_node_of_an_instance)
{
	struct agent_instance instance;
	char text[256];
	uint32_t node = 99;

	assert_loads(load_bytes(config, good, sizeof good - 1));
	ck_assert_int_eq(agent_instance_parse("data@n3", &instance, text, sizeof text),
			 0);
	assert_loads(config_instance_load(&instance, path, config, &node, &errors));
	ck_assert_uint_eq(node, 2);
	ck_assert_int_eq(agent_instance_parse("data@n9", &instance, text, sizeof text),
			 0);
	ck_assert_int_eq(config_instance_load(&instance, path, config, &node, &errors),
			 -EINVAL);
	ck_assert_int_eq(agent_instance_parse("date@n3", &instance, text, sizeof text),
			 0);
	ck_assert_int_eq(config_instance_load(&instance, path, config, &node, &errors),
			 -EINVAL);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("config");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_the_example);
	tcase_add_test(tc, orders_the_disks_of_every_site_as_the_first);
	tcase_add_test(tc, fills_in_what_is_not_said);
	tcase_add_test(tc, reads_every_front_end);
	tcase_add_test(tc, reads_every_other_key);
	tcase_add_test(tc, reads_a_pair_without_a_cluster);
	tcase_add_test(tc, prints_what_it_reads_again);
	tcase_add_test(tc, hashes_and_names_what_nodes_must_agree_on);
	tcase_add_loop_test(tc, names_what_is_wrong_and_where, 0,
			    (int)(sizeof bad / sizeof bad[0]));
	tcase_add_test(tc, collects_errors_that_do_not_hide_each_other);
	tcase_add_test(tc, bounds_the_errors_it_keeps);
	tcase_add_test(tc, refuses_what_is_no_text);
	tcase_add_test(tc, survives_hostile_files);
	tcase_add_test(tc, devices_of_all_disks_have_room);
	tcase_add_test(tc, finds_the_node_of_an_instance);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
