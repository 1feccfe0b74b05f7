/* test_create.c - `hamirror create` makes a log once and overwrites nothing, and
 * `hamirror scan` reads the log that it made. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/create.h"
#include "agent/device_failure.h"
#include "agent/log_file.h"
#include "agent/reach.h"
#include "agent/scan.h"
#include "agent/self.h"
#include "cluster/voter_file_driver.h"

#define LOG_BYTES (4 * 1024 * 1024)
#define DISK_BYTES (1024 * 1024 + 512)

static char directory[32];
static struct config *config;
static struct create_options options;
static char text[1024];

static void place(char *path, size_t size, const char *name)
{
	ck_assert_int_lt(snprintf(path, size, "%s/%s", directory, name), (int)size);
}

static void make_file(const char *path, off_t bytes)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	close(fd);
}

static void set_directory(const char *variable, const char *name)
{
	char path[128];

	place(path, sizeof path, name);
	ck_assert_int_eq(setenv(variable, path, 1), 0);
}

/* Two hosts of one machine, each its own site: `cluster: none`. */
static void setup(void)
{
	static const char *const node[] = { "a", "b" };
	static const char *const site[] = { "paris", "lyon" };

	strcpy(directory, "/tmp/hamirror-create-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	set_directory("HAMIRROR_STATE_DIR", "state");
	set_directory("HAMIRROR_RUN_DIR", "run");
	config = calloc(1, sizeof *config);
	ck_assert_ptr_nonnull(config);
	strcpy(config->mirror, "data");
	strcpy(config->instance, "data");
	config->site_count = config->node_count = 2;
	for (int i = 0; i < 2; i++) {
		struct config_site *s = &config->site[i];

		strcpy(config->node[i].name, node[i]);
		strcpy(config->node[i].address, "127.0.0.1");
		config->node[i].port = 1; /* nobody listens there */
		config->node[i].site = i;
		strcpy(s->name, site[i]);
		s->disk_count = 1;
		strcpy(s->disk[0].name, "db");
		place(s->writelog, sizeof s->writelog, i == 0 ? "log.a" : "log.b");
		place(s->disk[0].path, sizeof s->disk[0].path, i == 0 ? "db.a" : "db.b");
		make_file(s->writelog, LOG_BYTES);
		make_file(s->disk[0].path, DISK_BYTES);
	}
	options = (struct create_options){ .config = config,
					   .node = 0,
					   .instance = "data@a" };
}

static void teardown(void)
{
	char command[64];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
	free(config);
}

static void create(int expected)
{
	const int error = agent_create(&options, text, sizeof text);

	ck_assert_msg(error == expected, "%d (%s): %s", error, strerror(-error), text);
}

static void read_log(uint32_t site, struct agent_log_file *f)
{
	ck_assert_int_eq(
		agent_log_file_open(config->site[site].writelog, f, text, sizeof text),
		0);
	agent_log_file_close(f);
}

START_TEST(first_site_gets_log_identity_and_voter_file)
{
	struct agent_log_file *f = calloc(1, sizeof *f);
	char state[128];
	uint8_t *voter = malloc(CLUSTER_VOTER_FILE_BYTES);
	size_t length;
	uint32_t next;

	create(0);
	read_log(0, f);
	ck_assert_str_eq(f->note, "");
	ck_assert(!uuid_is_zero(&f->sb.mirror));
	ck_assert(!f->sb.blank);
	ck_assert_uint_eq(f->sb.history.count, 1);
	ck_assert_uint_eq(f->sb.history.entry[0].reason, GENERATION_CREATED);
	ck_assert_uint_eq(f->sb.disks.entry[0].size_bytes, DISK_BYTES);
	ck_assert_int_eq(f->sb.sites[0].map_state, MIRROR_MAP_VALID);
	ck_assert_int_eq(f->sb.sites[1].map_state, MIRROR_MAP_ALL_DIRTY);

	place(state, sizeof state, "state/data@a");
	ck_assert_int_eq(cluster_voter_newest_read(state, voter, &length, &next, text,
						   sizeof text),
			 0);
	ck_assert_uint_gt(length, 0);
	ck_assert_uint_eq(next, 1);
	free(voter);
	free(f);
}
END_TEST

/* The same log, another instance's state, and each thing that stands in the way. */
START_TEST(nothing_is_overwritten)
{
	struct agent_log_file *f = calloc(1, sizeof *f), *g = calloc(1, sizeof *g);

	create(0);
	read_log(0, f);
	create(-EEXIST);
	ck_assert_ptr_nonnull(strstr(text, "voter.0"));
	options.instance = "data@c";
	create(-EEXIST);
	ck_assert_ptr_nonnull(strstr(text, "site paris of mirror data"));
	read_log(0, g);
	ck_assert_int_eq(memcmp(&f->sb, &g->sb, sizeof f->sb), 0);
	free(f);
	free(g);
}
END_TEST

START_TEST(log_that_holds_something_else_is_refused)
{
	const int fd = open(config->site[0].writelog, O_RDWR | O_CLOEXEC);
	char state[128];

	ck_assert_int_eq(pwrite(fd, "ext4", 4, 1080), 4);
	close(fd);
	create(-EEXIST);
	ck_assert_ptr_nonnull(strstr(text, "is not empty"));
	place(state, sizeof state, "state/data@a/voter.0");
	ck_assert_int_ne(access(state, F_OK), 0);
}
END_TEST

START_TEST(small_missing_and_busy_logs_are_refused)
{
	const char *path = config->site[0].writelog;
	int fd;

	ck_assert_int_eq(truncate(path, 1024 * 1024), 0);
	create(-EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "log.a"));
	ck_assert_int_eq(truncate(path, 65536), 0);
	create(-ENOSPC);
	unlink(path);
	create(-ENOENT);
	make_file(path, LOG_BYTES);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	create(-EBUSY);
	close(fd);
	create(0);
}
END_TEST

START_TEST(only_the_first_site_begins_a_mirror)
{
	options.node = 1;
	options.instance = "data@b";
	create(-EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "--copy-of"));
	options.copy_of = "a";
	create(-EHOSTDOWN);
	options.copy_of = "b";
	create(-EINVAL);
	options.copy_of = "nobody";
	create(-EINVAL);
}
END_TEST

START_TEST(copy_takes_the_identity_and_is_blank)
{
	struct agent_log_file *f = calloc(1, sizeof *f);

	options.node = 1;
	options.instance = "data@b";
	options.identity = "00112233-4455-4677-8899-aabbccddeeff:"
			   "10112233-4455-4677-8899-aabbccddeeff";
	create(0);
	read_log(1, f);
	ck_assert_uint_eq(f->sb.mirror.byte[0], 0x00);
	ck_assert_uint_eq(f->sb.lineage.byte[0], 0x10);
	ck_assert(f->sb.blank);
	ck_assert_uint_eq(f->sb.history.count, 0);
	ck_assert_int_eq(f->sb.sites[0].map_state, MIRROR_MAP_ALL_DIRTY);
	ck_assert_int_eq(f->sb.sites[1].map_state, MIRROR_MAP_ALL_DIRTY);
	options.identity = "nonsense";
	create(-EEXIST);
	free(f);
}
END_TEST

/* Why the core does not promote at `now_ns`. */
static const char *refusal(struct cluster_core *core, uint64_t now_ns)
{
	static struct cluster_actions actions;
	const struct cluster_command promote = { .type = CLUSTER_COMMAND_PROMOTE,
						 .id = 7 };
	struct cluster_event event = { .type = CLUSTER_EVENT_TICK, .now_ns = now_ns };

	cluster_step(core, &event, &actions);
	event = (struct cluster_event){ .type = CLUSTER_EVENT_COMMAND,
					.now_ns = now_ns,
					.command = &promote };
	cluster_step(core, &event, &actions);
	for (uint32_t i = 0; i < actions.count; i++)
		if (actions.action[i].type == CLUSTER_ACTION_REPLY)
			return actions.action[i].text;
	return "";
}

/* Pacemaker starts a daemon anew whose device failed: the new process leaves the devices
 * alone for the rest of that time. */
START_TEST(a_device_that_failed_is_noted_for_the_next_process)
{
	static struct cluster_actions actions;
	struct cluster_self self = { .node = 0 }, next;
	struct cluster_event event = { .type = CLUSTER_EVENT_FACT, .now_ns = 1 };
	struct fact fact = { .type = FACT_DEVICE_FAILED, .error = -EIO };
	struct agent_instance instance;
	struct cluster_core *core;

	create(0); /* makes the state folder */
	config->cluster = true;
	ck_assert_int_eq(
		agent_instance_parse(options.instance, &instance, text, sizeof text), 0);
	ck_assert_int_eq(agent_self_fill(&self, text, sizeof text), 0);
	core = cluster_create(config, &self, NULL, 0, text, sizeof text);
	strcpy(fact.text, "disk db: writing failed");
	next = self;
	agent_device_failure_note(&instance, core, &fact);
	agent_device_failure_read(&instance, &next);
	ck_assert_uint_eq(next.failures, 0); /* the core has not taken it */
	event.fact = &fact;
	cluster_step(core, &event, &actions);
	agent_device_failure_note(&instance, core, &fact);
	cluster_destroy(core);
	agent_device_failure_read(&instance, &next);
	ck_assert_uint_eq(next.failures, 1);
	ck_assert_uint_gt(next.failed_ns, 0);
	ck_assert_str_eq(next.failed_text, "disk db: writing failed");
	core = cluster_create(config, &next, NULL, 0, text, sizeof text);
	ck_assert_ptr_nonnull(
		strstr(refusal(core, next.failed_ns + 29000000000), "writing failed"));
	cluster_destroy(core);
	core = cluster_create(config, &next, NULL, 0, text, sizeof text);
	ck_assert_ptr_null(
		strstr(refusal(core, next.failed_ns + 31000000000), "writing failed"));
	cluster_destroy(core);
	next = self;
	next.boot++; /* the machine has started anew */
	agent_device_failure_read(&instance, &next);
	ck_assert_uint_eq(next.failures, 0);
}
END_TEST

/* A node that is started looks for its site's devices, and names those that are missing. */
static void reach(uint32_t node, uint32_t expected, bool later, const char *words)
{
	struct cluster_self self = { .node = node };

	agent_reach_fill(config, &self);
	ck_assert_uint_eq(self.reach, expected);
	ck_assert_int_eq(self.reach_later, later);
	if (words[0] == '\0')
		ck_assert_str_eq(self.reach_text, "");
	else
		ck_assert_msg(strstr(self.reach_text, words) != NULL, "no '%s' in: %s",
			      words, self.reach_text);
	ck_assert_uint_eq(self.disk_bytes[0],
			  strstr(words, "db.a") == NULL ? DISK_BYTES : 0);
}

START_TEST(reach_names_what_is_missing)
{
	reach(0, 0, false, "`hamirror create data`");
	reach(1, 0, false, "`hamirror create data --copy-of HOST`");
	ck_assert_int_eq(truncate(config->site[1].writelog, 0), 0);
	reach(1, 0, false, "`hamirror create data --copy-of HOST`");
	unlink(config->site[1].writelog);
	reach(1, 0, true, "log.b cannot be read: No such file");
	create(0);
	reach(0, 1, false, "");
	reach(1, 1, true, "log.b cannot be read: No such file");
	strcpy(config->mirror, "other");
	reach(0, 0, false, "log.a: ");
	strcpy(config->mirror, "data");
	unlink(config->site[0].disk[0].path);
	reach(0, 0, true, "db.a) is not there");
}
END_TEST

static json_t *scan_json(const char *path, bool records)
{
	const struct scan_options o = { .path = path, .json = true, .records = records };
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	json_error_t error;
	json_t *json;

	ck_assert_int_eq(agent_scan(&o, f, text, sizeof text), 0);
	fclose(f);
	json = json_loads(out, 0, &error);
	ck_assert_msg(json != NULL, "%s in %s", error.text, out);
	free(out);
	return json;
}

START_TEST(scan_shows_the_new_log)
{
	json_t *json, *ring;

	create(0);
	json = scan_json(config->site[0].writelog, true);
	ring = json_object_get(json, "ring");
	ck_assert_str_eq(json_string_value(json_object_get(json, "site")), "paris");
	ck_assert(!json_is_true(json_object_get(json, "in_use")));
	ck_assert_uint_eq(json_array_size(json_object_get(json, "records")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(ring, "records")), 0);
	ck_assert(json_is_false(json_object_get(ring, "damaged")));
	json_decref(json);
	json = scan_json(config->site[0].writelog, false);
	ck_assert_ptr_null(json_object_get(json, "records"));
	json_decref(json);
}
END_TEST

START_TEST(scan_refuses_what_is_no_log)
{
	const struct scan_options o = { .path = config->site[0].disk[0].path };

	ck_assert_int_eq(agent_scan(&o, stdout, text, sizeof text), -EILSEQ);
	ck_assert_ptr_nonnull(strstr(text, "db.a"));
}
END_TEST

/* A pipe is no device: nobody waits for its other end. */
START_TEST(pipe_is_no_device)
{
	struct agent_log_file *f = calloc(1, sizeof *f);
	char path[64];

	place(path, sizeof path, "pipe");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(agent_log_file_open(path, f, text, sizeof text), -ENOTBLK);
	ck_assert_ptr_nonnull(strstr(text, path));
	ck_assert_ptr_nonnull(strstr(text, "neither a block device nor"));
	agent_log_file_close(f);
	ck_assert_int_eq(agent_device_open(directory), -EISDIR);
	unlink(path);
	free(f);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("create");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, first_site_gets_log_identity_and_voter_file);
	tcase_add_test(tc, nothing_is_overwritten);
	tcase_add_test(tc, log_that_holds_something_else_is_refused);
	tcase_add_test(tc, small_missing_and_busy_logs_are_refused);
	tcase_add_test(tc, only_the_first_site_begins_a_mirror);
	tcase_add_test(tc, copy_takes_the_identity_and_is_blank);
	tcase_add_test(tc, reach_names_what_is_missing);
	tcase_add_test(tc, scan_shows_the_new_log);
	tcase_add_test(tc, scan_refuses_what_is_no_log);
	tcase_add_test(tc, pipe_is_no_device);
	tcase_add_test(tc, a_device_that_failed_is_noted_for_the_next_process);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
