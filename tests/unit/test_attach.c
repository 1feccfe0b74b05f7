/* test_attach.c - disks as block devices (agent/attach.h), with real helpers, over the
 * NBD front-end with disks of memory: by nbdfuse and loop devices or, where the kernel
 * has it loaded, by its nbd client. Needs root. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <qb/qbloop.h>

#include "agent/attach.h"
#include "tests/unit/nbd_memory.h"
#include "tests/unit/patience.h"

#define DISK_BYTES (8u << 20)

static struct nbd_memory memory;
static struct qb_loop *loop;
static struct agent_attach *attach;
static struct agent_instance instance;
static char folder[] = "/tmp/hamirror-attach-XXXXXX";
static char run[PATH_MAX], link_path[PATH_MAX], wal_path[PATH_MAX];
static int done_error, done_count, lost_count;
static char text[1024];

static void done(void *owner, int error, const char *why)
{
	(void)owner;
	done_error = error;
	done_count++;
	snprintf(text, sizeof text, "%s", why);
	qb_loop_stop(loop);
}

static void lost(void *owner, const char *why)
{
	(void)owner;
	lost_count++;
	snprintf(text, sizeof text, "%s", why);
	qb_loop_stop(loop);
}

/* There is no engine here that could serve one. */
static void serve(void *owner, uint32_t disk, uint32_t number)
{
	(void)owner;
	ck_abort_msg("disk %u is to be served as %u", disk, number);
}

static void fail_disk(void *owner, uint32_t disk)
{
	(void)owner;
	ck_assert_uint_lt(disk, 2);
}

static void open_attach(void)
{
	const struct agent_attach_owner owner = {
		.done = done, .lost = lost, .serve = serve, .fail = fail_disk
	};

	loop = qb_loop_create();
	ck_assert_int_eq(
		agent_attach_open(loop, memory.config, &instance, &owner, &attach), 0);
}

static void setup(void)
{
	char why[256], path[PATH_MAX];

	memset(folder + sizeof folder - 7, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(run, sizeof run, "%s/data@a", folder);
	ck_assert_int_eq(mkdir(run, 0700), 0);
	setenv("HAMIRROR_RUN_DIR", folder, 1);
	snprintf(path, sizeof path, "%s/dev", folder);
	setenv("HAMIRROR_DEV_DIR", path, 1);
	snprintf(link_path, sizeof link_path, "%s/dev/data/db", folder);
	snprintf(wal_path, sizeof wal_path, "%s/dev/data/wal", folder);
	ck_assert_int_eq(agent_instance_parse("data@a", &instance, why, sizeof why), 0);
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_NBD, path), 0);
	ck_assert_int_eq(nbd_memory_start(&memory, path, DISK_BYTES, NULL, 0), 0);
	memory.config->attach = access("/dev/nbd0", F_OK) == 0 ? CONFIG_ATTACH_NBD :
								 CONFIG_ATTACH_FUSE;
	/* A container gives root no CAP_SYS_RESOURCE; tests/system/memory.sh has the rule. */
	memory.config->unprotected = CONFIG_UNPROTECTED_ALLOWED;
	done_count = lost_count = done_error = 0;
	open_attach();
}

static void teardown(void)
{
	char command[PATH_MAX + 16];

	agent_attach_close(attach);
	qb_loop_destroy(loop);
	nbd_memory_stop(&memory);
	snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void start(void)
{
	agent_attach_start(attach);
	ck_assert_int_eq(done_count, 0); /* never from within the call */
	qb_loop_run(loop);
	ck_assert_int_eq(done_count, 1);
	ck_assert_msg(done_error == 0, "%s", text);
	done_count = 0;
}

static void stop(bool force)
{
	agent_attach_stop(attach, force);
	qb_loop_run(loop);
	ck_assert_int_eq(done_count, 1);
	done_count = 0;
}

/* A process with this in its command line, other than us; 0: none. */
static pid_t find_process(const char *what)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (found == 0 && (entry = readdir(proc)) != NULL) {
		char path[300], line[4096];
		ssize_t n, i;
		int fd;

		snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, line, sizeof line - 1);
		close(fd);
		for (i = 0; i < n; i++)
			if (line[i] == '\0')
				line[i] = ' ';
		line[n > 0 ? n : 0] = '\0';
		if (strstr(line, what) != NULL && strstr(line, folder) != NULL)
			found = (int)strtol(entry->d_name, NULL, 10);
	}
	closedir(proc);
	return found;
}

/* Nothing of it is left: link, mount, processes. Soon. */
static void expect_nothing_left(void)
{
	char command[PATH_MAX + 64];
	struct stat st;

	snprintf(command, sizeof command, "grep -q %s /proc/self/mountinfo", folder);
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		if (lstat(link_path, &st) < 0 && lstat(wal_path, &st) < 0 &&
		    find_process("nbdfuse") == 0 &&
		    find_process(AGENT_ATTACH_HELPER) == 0)
			break;
		poll(NULL, 0, 10);
	}
	ck_assert_int_lt(lstat(link_path, &st), 0);
	ck_assert_int_lt(lstat(wal_path, &st), 0);
	ck_assert_int_eq(find_process("nbdfuse"), 0);
	ck_assert_int_eq(find_process(AGENT_ATTACH_HELPER), 0);
	ck_assert_int_ne(system(command), 0);
}

/* The file that is there as long as the device stands. */
static void device_path(const char *device, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "/sys/block/%.200s/%s", device + 5,
		 strncmp(device + 5, "nbd", 3) == 0 ? "pid" : "loop/backing_file");
}

static void expect_device_free(const char *device)
{
	char path[PATH_MAX];

	device_path(device, path);
	for (int i = 0; i < PATIENCE_MS / 10 && access(path, F_OK) == 0; i++)
		poll(NULL, 0, 10);
	ck_assert_int_lt(access(path, F_OK), 0);
}

/* The process behind the device. */
static pid_t find_server(const char *device)
{
	char path[PATH_MAX];
	int pid = 0;
	FILE *f;

	if (strncmp(device + 5, "nbd", 3) != 0)
		return find_process("nbdfuse");
	device_path(device, path);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void read_link(char device[PATH_MAX])
{
	const ssize_t n = readlink(link_path, device, PATH_MAX - 1);

	ck_assert_int_gt(n, 0);
	device[n] = '\0';
}

/* ---- tests -------------------------------------------------------------------------- */

START_TEST(a_disk_becomes_a_device_and_goes_again)
{
	_Alignas(4096) static uint8_t block[4096];
	char device[PATH_MAX];
	int fd;

	start();
	ck_assert(agent_attach_is_active(attach));
	ck_assert_str_eq(agent_attach_devices(attach)[0].path, link_path);
	ck_assert_str_eq(agent_attach_devices(attach)[1].path, wal_path);
	ck_assert_str_eq(agent_attach_devices(attach)[1].front_end,
			 memory.config->attach == CONFIG_ATTACH_NBD ? "nbd" : "fuse");
	read_link(device);
	fd = open(link_path, O_RDWR | O_DIRECT);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), DISK_BYTES);
	memset(block, 'x', sizeof block);
	ck_assert_int_eq(pwrite(fd, block, sizeof block, 8192), sizeof block);
	ck_assert_mem_eq(nbd_memory_disk(&memory, 0) + 8192, block, sizeof block);
	close(fd);
	stop(false);
	ck_assert_int_eq(done_error, 0);
	ck_assert(!agent_attach_is_active(attach));
	ck_assert_str_eq(agent_attach_devices(attach)[0].path, "");
	expect_nothing_left();
	expect_device_free(device);
	start();
	stop(false);
}
END_TEST

/* nbd_memory.h has one disk of each. */
START_TEST(a_device_has_the_sectors_of_the_mirror)
{
	const char *path[] = { link_path, wal_path };
	const int sector[] = { 512, 4096 };

	start();
	for (int i = 0; i < 2; i++) {
		const int fd = open(path[i], O_RDONLY);
		int bytes = 0;

		ck_assert_int_eq(ioctl(fd, BLKSSZGET, &bytes), 0);
		ck_assert_int_eq(bytes, sector[i]);
		close(fd);
	}
	stop(false);
}
END_TEST

/* Writes that were not flushed yet reach the mirror before the device goes. */
START_TEST(what_is_held_back_is_written_first)
{
	uint8_t block[4096];
	int fd;

	start();
	fd = open(wal_path, O_RDWR);
	memset(block, 'y', sizeof block);
	ck_assert_int_eq(pwrite(fd, block, sizeof block, 4096), sizeof block);
	close(fd);
	stop(false);
	ck_assert_int_eq(done_error, 0);
	ck_assert_mem_eq(nbd_memory_disk(&memory, 1) + 4096, block, sizeof block);
}
END_TEST

START_TEST(one_that_is_in_use_keeps_all)
{
	int fd;

	start();
	fd = open(wal_path, O_RDWR | O_EXCL); /* as a mount does */
	ck_assert_int_ge(fd, 0);
	stop(false);
	ck_assert_int_eq(done_error, -EBUSY);
	ck_assert_ptr_nonnull(strstr(text, wal_path));
	ck_assert_str_eq(agent_attach_devices(attach)[0].path, link_path);
	ck_assert_int_eq(access(link_path, R_OK), 0);
	close(fd);
	stop(false);
	ck_assert_int_eq(done_error, 0);
	expect_nothing_left();
}
END_TEST

START_TEST(force_takes_it_from_its_users)
{
	_Alignas(4096) static uint8_t block[4096];
	int fd;

	start();
	fd = open(link_path, O_RDWR | O_EXCL | O_DIRECT);
	ck_assert_int_ge(fd, 0);
	stop(true);
	ck_assert_int_eq(done_error, 0);
	ck_assert_int_lt(pread(fd, block, sizeof block, 0), 0);
	close(fd);
	expect_nothing_left();
}
END_TEST

/* A frozen mirror answers nothing: neither force nor a started stop waits for it. */
START_TEST(force_does_not_wait_for_a_frozen_mirror)
{
	uint8_t block[4096] = { 1 };
	int fd;

	start();
	fd = open(link_path, O_RDWR);
	nbd_memory_order(&memory, ORDER_OPEN);
	ck_assert_int_eq(pwrite(fd, block, sizeof block, 0), sizeof block);
	close(fd);                        /* waits in the page cache */
	agent_attach_stop(attach, false); /* and is now written back */
	for (int i = 0; i < PATIENCE_MS / 10 && memory.engine.waiting_count == 0; i++) {
		qb_loop_timer_handle handle;

		qb_loop_timer_add(loop, QB_LOOP_LOW, 10000000, loop,
				  (qb_loop_timer_dispatch_fn)qb_loop_stop, &handle);
		qb_loop_run(loop);
	}
	ck_assert_int_eq(done_count, 0);
	stop(true);
	expect_nothing_left();
	nbd_memory_order(&memory, ORDER_CLOSE);
}
END_TEST

START_TEST(a_device_that_dies_is_told)
{
	char device[PATH_MAX];

	start();
	read_link(device);
	kill(find_server(device), SIGKILL);
	qb_loop_run(loop);
	ck_assert_int_eq(lost_count, 1);
	stop(true);
	expect_nothing_left();
	start();
	stop(false);
}
END_TEST

static int run_command(const char *command, const char *a, const char *b)
{
	char line[3 * PATH_MAX];

	snprintf(line, sizeof line, "%s %s %s", command, a, b);
	return system(line);
}

static bool is_mounted(const char *point)
{
	return run_command("findmnt -n -M", point, "> /dev/null") == 0;
}

/* A file system on the first disk; then the device dies. */
static void leave_dead_mount(const char *point)
{
	char device[PATH_MAX];

	start();
	read_link(device);
	ck_assert_int_eq(run_command("mkfs.ext2 -q", link_path, ""), 0);
	ck_assert_int_eq(run_command("mount -t ext4", link_path, point), 0);
	kill(find_server(device), SIGKILL);
	qb_loop_run(loop);
	ck_assert_int_eq(lost_count, 1);
	lost_count = 0;
	stop(true);
	ck_assert(is_mounted(point));
}

/* The process that mounted it may no longer find it: it is not in the next one's way. */
START_TEST(a_dead_mount_goes_before_the_next_device)
{
	char point[PATH_MAX];

	snprintf(point, sizeof point, "%s.point", folder);
	ck_assert_int_eq(mkdir(point, 0700), 0);
	leave_dead_mount(point);
	start();
	ck_assert(!is_mounted(point));
	stop(false);
	ck_assert_int_eq(done_error, 0);
	rmdir(point);
}
END_TEST

/* It was unmounted in order, and another one stands in its place. */
START_TEST(a_mount_that_was_not_noted_stays)
{
	char point[PATH_MAX];

	snprintf(point, sizeof point, "%s.point", folder);
	ck_assert_int_eq(mkdir(point, 0700), 0);
	leave_dead_mount(point);
	ck_assert_int_eq(run_command("umount -l", point, ""), 0);
	ck_assert_int_eq(run_command("mount -t tmpfs none", point, ""), 0);
	start();
	ck_assert(is_mounted(point));
	stop(false);
	ck_assert_int_eq(run_command("umount", point, ""), 0);
	rmdir(point);
}
END_TEST

/* Nothing else is taken for it. */
START_TEST(a_front_end_that_is_missing_is_named)
{
	if (access("/dev/ublk-control", F_OK) == 0)
		return;
	memory.config->attach = CONFIG_ATTACH_UBLK;
	agent_attach_start(attach);
	qb_loop_run(loop);
	ck_assert_int_eq(done_error, -EIO);
	ck_assert_ptr_nonnull(strstr(text, "attach: ublk: the kernel has no ublk"));
	ck_assert(!agent_attach_is_active(attach));
	expect_nothing_left();
}
END_TEST

/* A file stands where the kernel's device would: its error is told, not that all are in
 * use. */
START_TEST(a_device_that_cannot_be_used_is_told_from_one_in_use)
{
	int fd;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev", "tmpfs", 0, NULL) < 0)
		return;
	fd = open("/dev/nbd0", O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	memory.config->attach = CONFIG_ATTACH_NBD;
	agent_attach_start(attach);
	qb_loop_run(loop);
	ck_assert_int_eq(done_error, -EIO);
	ck_assert_msg(strstr(text, strerror(ENOTTY)) != NULL, "%s", text);
	ck_assert_ptr_null(strstr(text, "nbds_max"));
}
END_TEST

START_TEST(what_fails_says_why)
{
	nbd_memory_order(&memory, ORDER_DEMOTE);
	ck_assert(nbd_memory_expect(&memory, "clients 0"));
	agent_attach_start(attach);
	qb_loop_run(loop);
	ck_assert_int_eq(done_error, -EIO);
	ck_assert_msg(strstr(text, "nbd") != NULL, "%s", text);
	ck_assert_str_eq(agent_attach_text(attach), text);
	ck_assert(!agent_attach_is_active(attach));
	expect_nothing_left();
	if (access("/dev/nbd0", F_OK) == 0)
		return; /* no program is needed */
	nbd_memory_order(&memory, ORDER_SERVE);
	ck_assert(nbd_memory_expect(&memory, "clients 0"));
	setenv("PATH", "/nowhere", 1);
	agent_attach_start(attach);
	qb_loop_run(loop);
	ck_assert_int_eq(done_error, -EIO);
	ck_assert_msg(strstr(text, "nbdfuse") != NULL, "%s", text);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
}
END_TEST

/* `attach: none` leaves only the socket. */
START_TEST(none_is_done_at_once)
{
	agent_attach_close(attach);
	qb_loop_destroy(loop);
	memory.config->attach = CONFIG_ATTACH_NONE;
	open_attach();
	start();
	ck_assert(!agent_attach_is_active(attach));
	ck_assert_int_ne(strlen(agent_attach_devices(attach)[1].socket), 0);
	stop(false);
	ck_assert_int_eq(done_error, 0);
}
END_TEST

static void kill_helpers(void)
{
	pid_t helper;

	while ((helper = find_process(AGENT_ATTACH_HELPER)) != 0) {
		struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, helper, 0),
				      .events = POLLIN };

		kill(helper, SIGKILL);
		ck_assert(end.fd < 0 || poll(&end, 1, PATIENCE_MS) == 1);
		close(end.fd);
	}
}

/* Started in a process of its own, which is killed; 1: with its helpers. */
START_TEST(a_killed_predecessor_leaves_nothing_in_the_way)
{
	char device[PATH_MAX];
	int ready[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		start();
		ck_assert_int_eq(write(ready[1], "x", 1), 1);
		pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	read_link(device);
	if (_i == 1)
		kill_helpers();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (_i == 0)
		expect_nothing_left();
	expect_device_free(device);
	start();
	stop(false);
	expect_nothing_left();
}
END_TEST

static bool can_run(void)
{
	if (geteuid() != 0)
		return false;
	return access("/dev/nbd0", R_OK) == 0 ||
	       (access("/dev/fuse", R_OK) == 0 &&
		access("/dev/loop-control", R_OK) == 0 &&
		system("command -v nbdfuse > /dev/null") == 0);
}

int main(int argc, char **argv)
{
	TCase *tc = tcase_create("attach");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	if (argc > 1 && strcmp(argv[1], AGENT_ATTACH_HELPER) == 0)
		return agent_attach_helper(argc, argv);
	if (!can_run()) {
		printf("SKIP: needs root, and /dev/nbd0 or nbdfuse with /dev/fuse and "
		       "loop devices\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_disk_becomes_a_device_and_goes_again);
	tcase_add_test(tc, a_device_has_the_sectors_of_the_mirror);
	tcase_add_test(tc, what_is_held_back_is_written_first);
	tcase_add_test(tc, one_that_is_in_use_keeps_all);
	tcase_add_test(tc, force_takes_it_from_its_users);
	tcase_add_test(tc, force_does_not_wait_for_a_frozen_mirror);
	tcase_add_test(tc, a_device_that_dies_is_told);
	tcase_add_test(tc, a_dead_mount_goes_before_the_next_device);
	tcase_add_test(tc, a_mount_that_was_not_noted_stays);
	tcase_add_test(tc, a_front_end_that_is_missing_is_named);
	tcase_add_test(tc, a_device_that_cannot_be_used_is_told_from_one_in_use);
	tcase_add_test(tc, what_fails_says_why);
	tcase_add_test(tc, none_is_done_at_once);
	tcase_add_loop_test(tc, a_killed_predecessor_leaves_nothing_in_the_way, 0, 2);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
