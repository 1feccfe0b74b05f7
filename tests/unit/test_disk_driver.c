/* test_disk_driver.c - the result of each operation, on real files and devices. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror/drivers/disk_driver.h"
#include "mirror/drivers/disk_open_driver.h"
#include "tests/unit/driver_rig.h"
#include "tests/unit/free_port.h"
#include "tests/unit/site_folder.h"

#define BATCH_MAX 2048u

/* Operations that the script submits at ORDER_REFRESH and waits for. */
struct batch {
	struct mirror_io io[BATCH_MAX];
	uint32_t count, returned;
	uint32_t repeat_count; /* submit each finished operation again, so often */
	bool close;            /* ask for the close as soon as the last is back */
	bool say_open;         /* that the open was asked for */
};

static struct rig rig;
static struct batch batch;
static struct config_site *site;
static struct site_folder folder;
static uint8_t *memory;

static bool script(struct rig *r, const struct mirror_event *e,
		   struct mirror_actions *out)
{
	(void)r;
	if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_OPEN &&
	    batch.say_open) {
		out->open_devices = true;
		rig_say(out, "asked");
		return true;
	}
	if (e->type == MIRROR_EVENT_ORDER && e->order->type == ORDER_REFRESH) {
		for (uint32_t i = 0; i + 1 < batch.count; i++)
			batch.io[i].next = &batch.io[i + 1];
		batch.io[batch.count - 1].next = NULL;
		out->io.head = &batch.io[0];
		out->io.tail = &batch.io[batch.count - 1];
		out->close_devices = batch.close;
		return true;
	}
	if (e->type != MIRROR_EVENT_IO)
		return false;
	if (batch.repeat_count > 0) {
		batch.repeat_count--;
		out->io.head = out->io.tail = e->io;
		return true;
	}
	if (++batch.returned == batch.count)
		rig_say(out, "done");
	return true;
}

static void setup_in(const char *where)
{
	rig_create(&rig, free_port());
	rig.script = script;
	site = &rig.config->site[0];
	site_folder_create(&folder, where, site);
	batch = (struct batch){ 0 };
	memory = aligned_alloc(4096, 16 * MIB);
	ck_assert_ptr_nonnull(memory);
}

static void setup(void)
{
	setup_in(site_folder_on_disk());
}

static void setup_tmpfs(void)
{
	setup_in("/dev/shm");
}

static void teardown(void)
{
	rig_destroy(&rig);
	site_folder_destroy(&folder);
	free(memory);
}

/* ---- batches ------------------------------------------------------------- */

static struct iovec iov_of[BATCH_MAX];

static struct mirror_io *add(enum mirror_io_op op, uint32_t device, uint64_t offset,
			     uint64_t length, uint8_t *data)
{
	struct mirror_io *io = &batch.io[batch.count];

	iov_of[batch.count] = (struct iovec){ data, length };
	*io = (struct mirror_io){
		.op = op,
		.device = device,
		.offset_bytes = offset,
		.length_bytes = length,
		.iov = &iov_of[batch.count],
		.iov_count = data != NULL ? 1 : 0,
		.result = 1,
	};
	batch.count++;
	return io;
}

static void submit(void)
{
	batch.returned = 0;
	rig_order_type(&rig, ORDER_REFRESH);
}

static void run(void)
{
	submit();
	rig_expect(&rig, "done");
	batch.count = 0;
}

/* One operation; returns its result. */
static int32_t run_one(enum mirror_io_op op, uint32_t device, uint64_t offset,
		       uint64_t length, uint8_t *data)
{
	struct mirror_io *io = add(op, device, offset, length, data);

	run();
	return io->result;
}

static void open_all(void)
{
	rig_start(&rig);
	rig_order_type(&rig, ORDER_OPEN);
	rig_expect(&rig, "opened");
}

static void close_all(void)
{
	rig_order_type(&rig, ORDER_CLOSE);
	rig_expect(&rig, "closed");
}

static bool is_filled(const uint8_t *at, uint8_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != value)
			return false;
	return true;
}

/* ---- operations ---------------------------------------------------------- */

START_TEST(what_is_written_is_read)
{
	open_all();
	memset(memory, 0x5a, MIB);
	memset(memory + MIB, 0xa5, MIB);
	add(MIRROR_IO_WRITE, 0, 512, 1536, memory);
	add(MIRROR_IO_WRITE, 1, DISK_BYTES / 2 - MIB, MIB, memory + MIB);
	add(MIRROR_IO_WRITE, MIRROR_IO_LOG, 4096, 8192, memory);
	run();
	add(MIRROR_IO_FLUSH, 0, 0, 0, NULL);
	add(MIRROR_IO_FLUSH, 1, 0, 0, NULL);
	add(MIRROR_IO_FLUSH, MIRROR_IO_LOG, 0, 0, NULL);
	run();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(batch.io[i].result, 0);

	memset(memory, 1, 4 * MIB);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 0, 4096, memory), 0);
	ck_assert(is_filled(memory, 0, 512) && is_filled(memory + 512, 0x5a, 1536) &&
		  is_filled(memory + 2048, 0, 2048));
	ck_assert_int_eq(
		run_one(MIRROR_IO_READ, 1, DISK_BYTES / 2 - MIB, MIB, memory + MIB), 0);
	ck_assert(is_filled(memory + MIB, 0xa5, MIB));
	ck_assert_int_eq(run_one(MIRROR_IO_READ, MIRROR_IO_LOG, 8192, 4096, memory), 0);
	ck_assert(is_filled(memory, 0x5a, 4096));
	close_all();
}
END_TEST

/* Many vectors are one operation, in order. */
START_TEST(vectors_are_gathered)
{
	struct iovec iov[MIRROR_IO_IOV_MAX];
	struct mirror_io *io;

	open_all();
	for (uint32_t i = 0; i < MIRROR_IO_IOV_MAX; i++) {
		memset(memory + i * 4096, (int)i, 4096);
		iov[i] = (struct iovec){ memory + (size_t)i * 4096, 4096 };
	}
	io = add(MIRROR_IO_WRITE, 0, 0, MIRROR_IO_IOV_MAX * 4096, memory);
	io->iov = iov;
	io->iov_count = MIRROR_IO_IOV_MAX;
	run();
	ck_assert_int_eq(io->result, 0);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 300 * 4096, 4096, memory + 8 * MIB),
			 0);
	ck_assert(is_filled(memory + 8 * MIB, (uint8_t)300, 4096));
	close_all();
}
END_TEST

/* ZERO and TRIM: on any file system zeroes are read afterwards, and the neighbours are
 * untouched. */
START_TEST(zeroed_and_trimmed_extents_read_as_zeroes)
{
	static const enum mirror_io_op op[] = { MIRROR_IO_ZERO, MIRROR_IO_TRIM };

	open_all();
	for (int i = 0; i < 2; i++) {
		memset(memory, 0xee, DISK_BYTES);
		ck_assert_int_eq(run_one(MIRROR_IO_WRITE, 0, 0, DISK_BYTES, memory), 0);
		ck_assert_int_eq(run_one(op[i], 0, 512, DISK_BYTES - 1536, NULL), 0);
		ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 0, DISK_BYTES, memory), 0);
		ck_assert(is_filled(memory, 0xee, 512));
		ck_assert(is_filled(memory + 512, 0, DISK_BYTES - 1536));
		ck_assert(is_filled(memory + DISK_BYTES - 1024, 0xee, 1024));
	}
	close_all();
}
END_TEST

/* G1: a read that ends early is an error, not a success with less. */
START_TEST(short_read_is_an_error)
{
	open_all();
	ck_assert_int_eq(truncate(site->disk[0].path, 4096), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 0, 8192, memory), -EIO);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 8192, 512, memory), -EIO);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 0, 4096, memory), 0);
	close_all();
}
END_TEST

/* G7: more than there are slots wait their turn, and all come back. */
START_TEST(more_operations_than_slots)
{
	open_all();
	for (uint32_t i = 0; i < BATCH_MAX; i++) {
		memset(memory + (size_t)i * 512, (int)i, 512);
		add(MIRROR_IO_WRITE, 0, (uint64_t)i * 512, 512, memory + (size_t)i * 512);
	}
	run();
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 0, BATCH_MAX * 512, memory + MIB), 0);
	ck_assert_mem_eq(memory, memory + MIB, BATCH_MAX * 512);
	close_all();
}
END_TEST

/* System calls cost the time (docs/rules.md, "Limits"): an operation that follows another
 * costs one, which submits it and waits for it. */
START_TEST(one_system_call_for_each_link_of_a_chain)
{
	const struct io_driver_counters *counters;

	open_all();
	batch.repeat_count = 1000;
	ck_assert_int_eq(run_one(MIRROR_IO_WRITE, MIRROR_IO_LOG, 0, 4096, memory), 0);
	close_all();
	rig_stop(&rig);
	counters = io_driver_counters(rig.driver);
	ck_assert_uint_ge(counters->completion_count, 1001);
	ck_assert_uint_le(counters->enter_count, 1001 + 50);
}
END_TEST

/* D6: closed means that all is done and another may have them. */
START_TEST(after_the_close_the_devices_are_free)
{
	struct disk_set set;
	struct mirror_devices found;

	open_all();
	ck_assert_int_eq(disk_set_open(site, &set, &found), -EBUSY);
	for (uint32_t i = 0; i < 256; i++)
		add(MIRROR_IO_WRITE, 1, (uint64_t)i * 4096, 4096, memory);
	batch.close = true;
	submit();
	rig_expect(&rig, "done");
	rig_expect(&rig, "closed");
	ck_assert_int_eq(disk_set_open(site, &set, &found), 0);
	disk_set_close(&set);
	rig_order_type(&rig, ORDER_OPEN);
	rig_expect(&rig, "opened");
	close_all();
}
END_TEST

/* A loop that is stopped in the middle ends its I/O first. */
START_TEST(stop_waits_for_what_is_under_way)
{
	struct disk_set set;
	struct mirror_devices found;

	open_all();
	for (uint32_t i = 0; i < 512; i++)
		add(MIRROR_IO_WRITE, 0, (uint64_t)i * 4096, 4096, memory);
	submit();
	rig_stop(&rig);
	ck_assert_int_eq(disk_set_open(site, &set, &found), 0);
	disk_set_close(&set);
}
END_TEST

START_TEST(refused_open_is_told_and_can_be_tried_again)
{
	char *path = site->disk[1].path;

	site_folder_path(&folder, path, "nothing");
	rig_start(&rig);
	rig_order_type(&rig, ORDER_OPEN);
	rig_expect(&rig, "not opened: %d disk wal: %s: there is no", -ENOENT, path);
	site_folder_path(&folder, path, "wal");
	rig_order_type(&rig, ORDER_OPEN);
	rig_expect(&rig, "opened");
	close_all();
	close_all();
}
END_TEST

/* Start a process that makes every open of `path` wait: it has a lease on the file and does
 * not give it up. 0: leases cannot be had where the file is. */
static pid_t hold_open(const char *path)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const int fd = open(path, O_RDWR);

		signal(SIGIO, SIG_IGN);
		byte = fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	return byte ? pid : 0;
}

/* An open that is not answered has failed when its time is over. */
START_TEST(open_that_is_not_answered_has_failed)
{
	char *path = site->disk[1].path;
	const pid_t holder = hold_open(path);

	if (holder == 0)
		return; /* not a file system that knows leases */
	rig.config->device_timeout_ms = 200;
	rig_start(&rig);
	rig_order_type(&rig, ORDER_OPEN);
	rig_expect(&rig, "not opened: %d disk wal: %s: its open has not been answered",
		   -ETIMEDOUT, path);
	ck_assert_int_eq(kill(holder, SIGKILL), 0);
	ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
}
END_TEST

/* Nor does the loop's end wait for it. */
START_TEST(stop_does_not_wait_for_an_open)
{
	const pid_t holder = hold_open(site->disk[1].path);

	if (holder == 0)
		return;
	rig_start(&rig);
	batch.say_open = true;
	rig_order_type(&rig, ORDER_OPEN);
	rig_expect(&rig, "asked");
	rig_stop(&rig);
	ck_assert_int_eq(waitpid(holder, NULL, WNOHANG), 0); /* it holds it yet */
	ck_assert_int_eq(kill(holder, SIGKILL), 0);
	ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
}
END_TEST

/* A full file system under a sparse file is that write's error, nobody else's. */
START_TEST(no_space_is_an_error_of_the_one_operation)
{
	char *path = site->disk[1].path;
	char where[CONFIG_PATH_MAX];
	int fd;

	if (!private_mounts())
		return;
	site_folder_path(&folder, where, "mount");
	ck_assert_int_eq(mkdir(where, 0700), 0);
	ck_assert_int_eq(mount("small", where, "tmpfs", 0, "size=1m"), 0);
	site_folder_path(&folder, path, "mount/disk");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	open_all();
	ck_assert_int_eq(run_one(MIRROR_IO_WRITE, 1, 0, 512 * 1024, memory), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_WRITE, 1, MIB, 2 * MIB, memory), -ENOSPC);
	ck_assert_int_eq(run_one(MIRROR_IO_WRITE, 0, MIB, 2 * MIB, memory), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 1, 0, 512 * 1024, memory), 0);
	close_all();
	rig_destroy(&rig);
	ck_assert_int_eq(umount(where), 0);
	rmdir(where);
	rig_create(&rig, 1);
}
END_TEST

/* A device of 4096-byte sectors still takes requests of 512. */
START_TEST(block_device_operations)
{
	static const char *const options[] = { "", "-b 4096 --direct-io=off" };
	char device[CONFIG_PATH_MAX];
	int fd;

	fd = loop_attach(&folder, device, "db", options[_i]);
	if (fd < 0)
		return;
	memcpy(site->disk[0].path, device, sizeof device);
	open_all();
	memset(memory, 0xee, DISK_BYTES);
	ck_assert_int_eq(run_one(MIRROR_IO_WRITE, 0, 0, DISK_BYTES, memory), 0);
	memset(memory, 0x11, MIB);
	ck_assert_int_eq(run_one(MIRROR_IO_WRITE, 0, 512, 1024, memory), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_ZERO, 0, 4096, 4096, NULL), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_ZERO, 0, 8192 + 512, 512, NULL), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_TRIM, 0, MIB, 2 * MIB, NULL), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_TRIM, 0, 4 * MIB + 512, MIB, NULL), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_FLUSH, 0, 0, 0, NULL), 0);
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 512, 1024, memory + 512), 0);
	ck_assert(is_filled(memory + 512, 0x11, 1024));
	ck_assert_int_eq(run_one(MIRROR_IO_READ, 0, 0, DISK_BYTES, memory), 0);
	ck_assert(is_filled(memory, 0xee, 512) && is_filled(memory + 512, 0x11, 1024));
	ck_assert(is_filled(memory + 1536, 0xee, 2560) &&
		  is_filled(memory + 4096, 0, 4096));
	ck_assert(is_filled(memory + 8192, 0xee, 512) &&
		  is_filled(memory + 8704, 0, 512));
	ck_assert(is_filled(memory + 9216, 0xee, MIB - 9216));
	ck_assert(is_filled(memory + MIB, 0, 2 * MIB));
	ck_assert(is_filled(memory + 3 * MIB, 0xee, MIB + 512));
	ck_assert(is_filled(memory + 4 * MIB + 512, 0, MIB));
	ck_assert(is_filled(memory + 5 * MIB + 512, 0xee, 3 * MIB - 512));
	close_all();
	close(fd);
}
END_TEST

static void add_operations(TCase *tc)
{
	tcase_add_test(tc, what_is_written_is_read);
	tcase_add_test(tc, vectors_are_gathered);
	tcase_add_test(tc, zeroed_and_trimmed_extents_read_as_zeroes);
	tcase_add_test(tc, short_read_is_an_error);
	tcase_add_test(tc, more_operations_than_slots);
	tcase_add_test(tc, one_system_call_for_each_link_of_a_chain);
	tcase_add_test(tc, after_the_close_the_devices_are_free);
	tcase_add_test(tc, stop_waits_for_what_is_under_way);
	tcase_add_test(tc, refused_open_is_told_and_can_be_tried_again);
	tcase_add_test(tc, open_that_is_not_answered_has_failed);
	tcase_add_test(tc, stop_does_not_wait_for_an_open);
}

int main(void)
{
	TCase *files = tcase_create("files"), *tmpfs = tcase_create("tmpfs");
	TCase *root = tcase_create("root");
	Suite *s = suite_create("disk_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(files, setup, teardown);
	add_operations(files);
	tcase_add_checked_fixture(tmpfs, setup_tmpfs, teardown);
	add_operations(tmpfs);
	tcase_add_checked_fixture(root, setup, teardown);
	tcase_add_test(root, no_space_is_an_error_of_the_one_operation);
	tcase_add_loop_test(root, block_device_operations, 0, 2);
	suite_add_tcase(s, files);
	suite_add_tcase(s, tmpfs);
	suite_add_tcase(s, root);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
