/* test_disk_identity_driver.c - the identities that the system gives devices and files. */
#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror/drivers/disk_identity_driver.h"
#include "tests/unit/site_folder.h"

static char root[64];
static char identity[MIRROR_IDENTITY_BYTES], other[MIRROR_IDENTITY_BYTES];

static void setup(void)
{
	snprintf(root, sizeof root, "%s/hamirror-identity.XXXXXX", site_folder_on_disk());
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

/* One file of a /sys or /run/udev that is played. */
static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof full, "mkdir -p \"$(dirname '%s/%s')\"", root, path);
	ck_assert_int_eq(system(full), 0);
	snprintf(full, sizeof full, "%s/%s", root, path);
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static const char *block(unsigned int major, unsigned int minor)
{
	char sys[80], udev[80];

	snprintf(sys, sizeof sys, "%s/sys", root);
	snprintf(udev, sizeof udev, "%s/udev", root);
	memset(identity, 'x', sizeof identity);
	disk_identity_find_block(sys, udev, major, minor, identity);
	for (size_t i = strlen(identity); i < sizeof identity; i++)
		ck_assert_int_eq(identity[i], 0);
	return identity;
}

/* ---- block devices -------------------------------------------------------- */

START_TEST(a_disk_is_its_wwid_or_its_serial_number)
{
	ck_assert_str_eq(block(8, 0), "");
	put("udev/data/b8:0", "S:disk/x\nE:ID_SERIAL_SHORT=12\nE:ID_SERIAL=QEMU_12\n");
	ck_assert_str_eq(block(8, 0), "serial:QEMU_12");
	put("sys/dev/block/8:0/serial", "\n");
	ck_assert_str_eq(block(8, 0), "serial:QEMU_12");
	put("sys/dev/block/8:0/serial", "vol-0123\n");
	ck_assert_str_eq(block(8, 0), "serial:vol-0123");
	put("sys/dev/block/8:0/device/wwid", "t10.ATA     QEMU  HARDDISK   1 \n");
	ck_assert_str_eq(block(8, 0), "wwid:t10.ATA_QEMU_HARDDISK_1");
}
END_TEST

START_TEST(a_volume_is_its_uuid)
{
	char first[MIRROR_IDENTITY_BYTES];

	put("sys/dev/block/253:0/dm/uuid",
	    "LVM-0123456789abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ000001\n");
	put("sys/dev/block/253:1/dm/uuid",
	    "LVM-0123456789abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ000002\n");
	strcpy(first, block(253, 0));
	ck_assert_ptr_nonnull(strstr(first, "ABCDEFGHIJKLMNOPQRSTUVWXYZ000001"));
	ck_assert_ptr_nonnull(strstr(block(253, 1), "ABCDEFGHIJKLMNOPQRSTUVWXYZ000002"));
	put("sys/dev/block/253:1/dm/uuid",
	    "LVM-9123456789abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ000001\n");
	ck_assert_str_ne(block(253, 1), first);
	put("udev/data/b9:0", "E:MD_UUID=aa:bb\n");
	ck_assert_str_eq(block(9, 0), "md:aa:bb");
}
END_TEST

START_TEST(a_partition_is_a_place_on_its_disk)
{
	put("sys/dev/block/8:16/dev", "8:16\n");
	put("sys/dev/block/8:16/wwid", "naa.5\n");
	put("sys/part/sdb1/partition", "1\n");
	put("sys/part/sdb1/start", "2048\n");
	put("sys/part/dev", "8:16\n");
	put("sys/dev/block/x", "");
	{
		char link[160], target[160];

		snprintf(target, sizeof target, "%s/sys/part/sdb1", root);
		snprintf(link, sizeof link, "%s/sys/dev/block/8:17", root);
		ck_assert_int_eq(symlink(target, link), 0);
	}
	ck_assert_str_eq(block(8, 17), "part:wwid:naa.5+2048");
	put("sys/dev/block/8:16/wwid", "\n"); /* its disk has no name of its own */
	ck_assert_str_eq(block(8, 17), "");
	put("udev/data/b8:17", "E:ID_PART_ENTRY_UUID=01-02\n");
	ck_assert_str_eq(block(8, 17), "part:01-02");
}
END_TEST

/* ---- files ---------------------------------------------------------------- */

static void file(const char *name, char found[MIRROR_IDENTITY_BYTES])
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", root, name);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	disk_identity_find(fd, found);
	close(fd);
}

START_TEST(a_file_is_the_same_by_another_name_and_a_copy_is_not)
{
	char from[128], to[128];

	put("db", "content");
	put("wal", "content");
	file("db", identity);
	ck_assert_int_eq(strncmp(identity, "file:", 5), 0);
	file("wal", other);
	ck_assert_str_ne(identity, other);
	snprintf(from, sizeof from, "%s/db", root);
	snprintf(to, sizeof to, "%s/elsewhere", root);
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_int_eq(truncate(to, 0), 0);
	file("elsewhere", other);
	ck_assert_str_eq(identity, other);
	put("db", "content");
	file("db", other);
	ck_assert_str_ne(identity, other);
}
END_TEST

START_TEST(a_loop_device_is_its_file)
{
	struct site_folder folder;
	struct config_site site = { 0 };
	char device[CONFIG_PATH_MAX];
	int fd;

	if (!need_root("loop devices"))
		return;
	site_folder_create(&folder, site_folder_on_disk(), &site);
	fd = loop_attach(&folder, device, "db", "");
	if (fd >= 0) {
		disk_identity_find(fd, identity);
		ck_assert_int_eq(strncmp(identity, "loop:", 5), 0);
		close(fd);
	}
	site_folder_destroy(&folder);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("disk_identity_driver");
	TCase *tc = tcase_create("disk_identity_driver");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_disk_is_its_wwid_or_its_serial_number);
	tcase_add_test(tc, a_volume_is_its_uuid);
	tcase_add_test(tc, a_partition_is_a_place_on_its_disk);
	tcase_add_test(tc, a_file_is_the_same_by_another_name_and_a_copy_is_not);
	tcase_add_test(tc, a_loop_device_is_its_file);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
