/* test_voter_file_driver.c - the voter file on disk: two slots in turn, the older one
 * overwritten, and no failure that is taken for a success. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "cluster/voter_format.h"
#include "cluster/voter_file_driver.h"
#include "tests/unit/patience.h"

static char directory[64];
static struct qb_loop *loop;
static struct cluster_voter_writer *writer;
static uint64_t persisted; /* the last counter reported */
static int32_t persisted_error;
static uint64_t awaited;
static struct config config;
static uint8_t slot[CLUSTER_VOTER_FILE_BYTES];

static void event(void *owner, struct cluster_event *e)
{
	(void)owner;
	ck_assert_int_eq(e->type, CLUSTER_EVENT_PERSISTED);
	ck_assert_uint_gt(e->persisted.counter, persisted);
	persisted = e->persisted.counter;
	persisted_error = e->persisted.error;
	if (persisted >= awaited || persisted_error != 0)
		qb_loop_stop(loop);
}

static void too_long(void *data)
{
	(void)data;
	ck_abort_msg("counter %d was not reported", (int)awaited);
}

static void await(uint64_t counter)
{
	qb_loop_timer_handle timer;

	awaited = counter;
	qb_loop_timer_add(loop, QB_LOOP_LOW, PATIENCE_MS * 1000000ull, NULL, too_long,
			  &timer);
	qb_loop_run(loop);
	qb_loop_timer_del(loop, timer);
}

static void start(uint32_t next_slot)
{
	const struct cluster_voter_owner owner = { event, NULL };

	persisted = 0;
	ck_assert_int_eq(cluster_voter_open(loop, directory, next_slot, &owner, &writer),
			 0);
}

/* A voter file of node 0 after `counter` writes. */
static void write_state(uint64_t counter)
{
	struct voter *v = calloc(1, sizeof *v);

	v->counter = counter;
	v->epoch = 1;
	cluster_voter_write(writer, counter, slot,
			    cluster_voter_encode(&config, v, slot));
	free(v);
}

static void setup(void)
{
	strcpy(directory, "/tmp/hamirror-voter-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	loop = qb_loop_create();
	config = (struct config){ .mirror = "data", .node_count = 1, .site_count = 1 };
	strcpy(config.node[0].name, "n1");
	strcpy(config.site[0].name, "paris");
	writer = NULL;
}

static void teardown(void)
{
	char command[96];

	cluster_voter_close(writer);
	qb_loop_destroy(loop);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

/* Returns the counter in the newest slot, 0: there is none; sets which is next. */
static uint64_t newest(uint32_t *next_slot, int expected)
{
	struct voter *v = calloc(1, sizeof *v);
	char text[256];
	size_t length;
	uint64_t counter;

	ck_assert_int_eq(cluster_voter_newest_read(directory, slot, &length, next_slot,
						   text, sizeof text),
			 expected);
	if (expected == 0 && length > 0)
		ck_assert_int_eq(cluster_voter_decode(&config, 0, slot, length, v, text,
						      sizeof text),
				 0);
	counter = v->counter;
	free(v);
	return counter;
}

static void damage(uint32_t number)
{
	char path[96];
	int fd;

	snprintf(path, sizeof path, "%s/voter.%u", directory, number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "xxxx", 4, 20), 4);
	close(fd);
}

START_TEST(slots_are_written_in_turn)
{
	uint32_t next;

	ck_assert_uint_eq(newest(&next, 0), 0);
	ck_assert_uint_eq(next, 0);
	start(next);
	for (uint64_t i = 1; i <= 5; i++) {
		write_state(i);
		await(i);
		ck_assert_int_eq(persisted_error, 0);
		ck_assert_uint_eq(newest(&next, 0), i);
		ck_assert_uint_eq(next, i % 2);
	}
}
END_TEST

/* The last state is stored, whatever was asked before it. */
START_TEST(a_later_state_covers_those_that_wait)
{
	uint32_t next;

	start(0);
	for (uint64_t i = 1; i <= 50; i++)
		write_state(i);
	await(50);
	ck_assert_uint_eq(newest(&next, 0), 50);
}
END_TEST

START_TEST(torn_slot_leaves_the_other)
{
	uint32_t next;

	start(0);
	write_state(1);
	await(1);
	write_state(2);
	await(2);
	damage(1);
	ck_assert_uint_eq(newest(&next, 0), 1);
	ck_assert_uint_eq(next, 1);
	damage(0);
	newest(&next, -EBADMSG);
}
END_TEST

/* Cut off in the very first write: nothing was promised yet. */
START_TEST(slot_of_another_kind_holds_nothing_up)
{
	char path[96];
	uint32_t next_slot;

	snprintf(path, sizeof path, "%s/voter.0", directory);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	newest(&next_slot, -ESPIPE);
	ck_assert_int_lt(cluster_voter_slot_write(directory, 0, slot, sizeof slot), 0);
}
END_TEST

START_TEST(torn_first_write_is_none)
{
	uint32_t next;

	start(0);
	write_state(1);
	await(1);
	damage(0);
	ck_assert_uint_eq(newest(&next, 0), 0);
	ck_assert_uint_eq(next, 0);
}
END_TEST

START_TEST(failure_is_reported_and_the_whole_slot_kept)
{
	char away[96];
	uint32_t next;

	start(0);
	write_state(1);
	await(1);
	snprintf(away, sizeof away, "%s.away", directory);
	ck_assert_int_eq(rename(directory, away), 0);
	write_state(2);
	await(2);
	ck_assert_int_eq(persisted_error, -ENOENT);
	ck_assert_int_eq(rename(away, directory), 0);
	ck_assert_uint_eq(newest(&next, 0), 1);
	write_state(3);
	await(3);
	ck_assert_int_eq(persisted_error, 0);
	ck_assert_uint_eq(newest(&next, 0), 3);
	ck_assert_uint_eq(next, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("voter_driver");
	Suite *s = suite_create("cluster");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, slots_are_written_in_turn);
	tcase_add_test(tc, a_later_state_covers_those_that_wait);
	tcase_add_test(tc, torn_slot_leaves_the_other);
	tcase_add_test(tc, slot_of_another_kind_holds_nothing_up);
	tcase_add_test(tc, torn_first_write_is_none);
	tcase_add_test(tc, failure_is_reported_and_the_whole_slot_kept);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
