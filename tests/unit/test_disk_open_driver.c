/* test_disk_open_driver.c - which devices are taken, and why others are refused. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mirror/drivers/disk_open_driver.h"
#include "tests/unit/site_folder.h"

static struct site_folder folder;
static struct config_site site;

static void setup(void)
{
	site = (struct config_site){ 0 };
	site_folder_create(&folder, site_folder_on_disk(), &site);
}

static void teardown(void)
{
	site_folder_destroy(&folder);
}

/* ---- open ---------------------------------------------------------------- */

START_TEST(sizes_are_reported)
{
	struct disk_set set;
	struct mirror_devices found;

	site_folder_file(&folder, "log", LOG_BYTES + 512);
	ck_assert_int_eq(disk_set_open(&site, &set, &found), 0);
	ck_assert_uint_eq(found.log_bytes, LOG_BYTES);
	ck_assert_uint_eq(found.disk_bytes[0], DISK_BYTES);
	ck_assert_uint_eq(found.disk_bytes[1], DISK_BYTES / 2);
	ck_assert_uint_eq(found.disk_sector_bytes[0] % 512, 0);
	ck_assert(found.disk_is_file[0] && found.disk_is_file[1]);
	disk_set_close(&set);
	disk_set_close(&set);
}
END_TEST

static void expect_refused(int error, const char *text)
{
	struct disk_set set;
	struct mirror_devices found;

	ck_assert_int_eq(disk_set_open(&site, &set, &found), error);
	ck_assert_int_eq(found.error, error);
	ck_assert_msg(strstr(found.text, text) != NULL, "\"%s\" not in \"%s\"", text,
		      found.text);
	ck_assert_int_eq(set.log.fd, -1);
	ck_assert_int_eq(set.disk[0].fd, -1);
}

START_TEST(what_cannot_be_a_device_is_refused_by_name_and_reason)
{
	char *path = site.disk[1].path;
	char good[CONFIG_PATH_MAX], text[CONFIG_PATH_MAX + 40];

	memcpy(good, path, sizeof good);
	site_folder_path(&folder, path, "nothing");
	snprintf(text, sizeof text, "disk wal: %s/nothing: there is no", folder.path);
	expect_refused(-ENOENT, text);
	site_folder_path(&folder, path, "");
	expect_refused(-EISDIR, "is a directory");
	snprintf(path, CONFIG_PATH_MAX, "/dev/null");
	expect_refused(-ENOTBLK, "disk wal: /dev/null: is neither");
	memcpy(path, good, sizeof good);
	ck_assert_int_eq(truncate(path, 1024), 0);
	expect_refused(-EINVAL, "too small: 1024 bytes, at least 4096");
	ck_assert_int_eq(truncate(path, 100001), 0);
	expect_refused(-EINVAL, "100001 bytes, is not a multiple of 512");
	ck_assert_int_eq(truncate(path, DISK_BYTES), 0);
	ck_assert_int_eq(truncate(site.writelog, MIB), 0);
	expect_refused(-EINVAL, "writelog: ");
}
END_TEST

START_TEST(one_device_under_two_names_is_refused)
{
	char *path = site.disk[1].path;
	char good[CONFIG_PATH_MAX];

	memcpy(good, path, sizeof good);
	site_folder_path(&folder, path, "other");
	ck_assert_int_eq(symlink("db", path), 0);
	expect_refused(-ENOTUNIQ, "of disk db; give each its own");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(link(site.writelog, path), 0);
	expect_refused(-ENOTUNIQ, "of writelog; give each its own");
}
END_TEST

/* D6: as long as another process holds the lock the devices are not ours, and the
 * message names that process. */
START_TEST(locked_file_is_refused_and_the_holder_named)
{
	int to_child[2], from_child[2], status;
	char text[40], byte = 0;
	struct disk_set set;
	struct mirror_devices found;
	pid_t pid;

	ck_assert_int_eq(pipe(to_child) | pipe(from_child), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(site.disk[0].path, O_RDWR | O_CLOEXEC);

		if (flock(fd, LOCK_EX) < 0 || write(from_child[1], &byte, 1) != 1 ||
		    read(to_child[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(read(from_child[0], &byte, 1), 1);
	snprintf(text, sizeof text, "in use by process %d (", pid);
	expect_refused(-EBUSY, text);
	ck_assert_int_eq(write(to_child[1], &byte, 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(disk_set_open(&site, &set, &found), 0);
	disk_set_close(&set);
}
END_TEST

/* The kernel keeps the lock of a process that was killed until its I/O has ended. Its file is
 * held here by another child, for a moment. */
START_TEST(lock_of_a_process_that_has_ended_is_waited_for)
{
	const struct timespec moment = { .tv_nsec = 200000000 };
	int fd = open(site.disk[0].path, O_RDWR | O_CLOEXEC), status;
	struct disk_set set;
	struct mirror_devices found;
	pid_t locker, keeper;

	ck_assert_int_ge(fd, 0);
	locker = fork();
	if (locker == 0)
		_exit(flock(fd, LOCK_EX) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(locker, &status, 0), locker);
	ck_assert_int_eq(status, 0);
	keeper = fork();
	if (keeper == 0)
		_exit(nanosleep(&moment, NULL) == 0 ? 0 : 1);
	close(fd);
	ck_assert_int_eq(disk_set_open(&site, &set, &found), 0);
	disk_set_close(&set);
	ck_assert_int_eq(waitpid(keeper, &status, 0), keeper);
}
END_TEST

START_TEST(what_we_may_not_open_is_refused)
{
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(folder.path, 0755), 0);
		ck_assert_int_eq(setegid(65534) | seteuid(65534), 0);
	} else {
		ck_assert_int_eq(chmod(site.writelog, 0), 0);
	}
	expect_refused(-EACCES, "writelog: ");
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0) | setegid(0), 0);
}
END_TEST

/* ---- block devices --------------------------------------------------------- */

START_TEST(block_device_is_ours_alone)
{
	struct disk_set set;
	struct mirror_devices found;
	char file[CONFIG_PATH_MAX], device[CONFIG_PATH_MAX];
	int fd;

	memcpy(file, site.disk[0].path, sizeof file);
	fd = loop_attach(&folder, device, "db", "");
	if (fd < 0)
		return;
	/* The file under the loop device is not ours either. */
	expect_refused(-EBUSY, "is under /dev/loop");
	memcpy(site.disk[0].path, device, sizeof device);
	memcpy(site.disk[1].path, device, sizeof device);
	expect_refused(-ENOTUNIQ, "is the same device as /dev/loop");
	site_folder_path(&folder, site.disk[1].path, "wal");
	ck_assert_int_eq(disk_set_open(&site, &set, &found), 0);
	ck_assert_uint_eq(found.disk_bytes[0], DISK_BYTES);
	ck_assert(!found.disk_is_file[0]);
	expect_refused(-EBUSY, "in use by this process already");
	disk_set_close(&set);
	memcpy(site.disk[0].path, file, sizeof file);
	close(fd);
}
END_TEST

START_TEST(mounted_block_device_is_refused)
{
	char device[CONFIG_PATH_MAX], where[CONFIG_PATH_MAX];
	char line[CONFIG_PATH_MAX];
	bool mounted;
	int fd;

	if (!private_mounts())
		return;
	fd = loop_attach(&folder, device, "db", "");
	if (fd < 0)
		return;
	site_folder_path(&folder, where, "mount");
	ck_assert_int_eq(mkdir(where, 0700), 0);
	mounted = shell(line, "mkfs.ext4 -q -F %s", device) &&
		  mount(device, where, "ext4", 0, NULL) == 0;
	if (mounted) {
		memcpy(site.disk[0].path, device, sizeof device);
		expect_refused(-EBUSY, "mounted on ");
		ck_assert_int_eq(umount(where), 0);
	} else {
		printf("SKIP: ext4 cannot be mounted here\n");
	}
	rmdir(where);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("open");
	Suite *s = suite_create("disk_open_driver");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sizes_are_reported);
	tcase_add_test(tc, what_cannot_be_a_device_is_refused_by_name_and_reason);
	tcase_add_test(tc, one_device_under_two_names_is_refused);
	tcase_add_test(tc, locked_file_is_refused_and_the_holder_named);
	tcase_add_test(tc, lock_of_a_process_that_has_ended_is_waited_for);
	tcase_add_test(tc, what_we_may_not_open_is_refused);
	tcase_add_test(tc, block_device_is_ours_alone);
	tcase_add_test(tc, mounted_block_device_is_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
