/* site_folder.c - see site_folder.h. */
#include "tests/unit/site_folder.h"

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

void site_folder_path(const struct site_folder *f, char path[CONFIG_PATH_MAX],
		      const char *name)
{
	snprintf(path, CONFIG_PATH_MAX, "%s/%s", f->path, name);
}

void site_folder_file(const struct site_folder *f, const char *name, uint64_t bytes)
{
	char path[CONFIG_PATH_MAX];
	int fd;

	site_folder_path(f, path, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

const char *site_folder_on_disk(void)
{
	const char *where = getenv("TMPDIR");

	return where != NULL ? where : "/tmp";
}

void site_folder_create(struct site_folder *f, const char *where,
			struct config_site *site)
{
	snprintf(f->path, sizeof f->path, "%s/hamirror-test.XXXXXX", where);
	ck_assert_ptr_nonnull(mkdtemp(f->path));
	site_folder_file(f, "log", LOG_BYTES);
	site_folder_file(f, "db", DISK_BYTES);
	site_folder_file(f, "wal", DISK_BYTES / 2);
	site_folder_path(f, site->writelog, "log");
	site_folder_path(f, site->disk[0].path, "db");
	site_folder_path(f, site->disk[1].path, "wal");
	snprintf(site->disk[0].name, sizeof site->disk[0].name, "db");
	snprintf(site->disk[1].name, sizeof site->disk[1].name, "wal");
	site->disk_count = 2;
}

void site_folder_destroy(struct site_folder *f)
{
	static const char *const name[] = { "log", "db", "wal", "other" };
	char path[CONFIG_PATH_MAX];

	for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
		site_folder_path(f, path, name[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(f->path), 0);
}

bool need_root(const char *what)
{
	if (geteuid() == 0)
		return true;
	printf("SKIP: %s needs root\n", what);
	return false;
}

bool private_mounts(void)
{
	if (!need_root("mounting"))
		return false;
	if (unshare(CLONE_NEWNS) == 0 &&
	    mount("", "/", "", MS_REC | MS_PRIVATE, NULL) == 0)
		return true;
	printf("SKIP: no mount namespace can be had here\n");
	return false;
}

bool shell(char line[CONFIG_PATH_MAX], const char *format, ...)
{
	char command[2 * CONFIG_PATH_MAX];
	va_list ap;
	FILE *f;

	va_start(ap, format);
	vsnprintf(command, sizeof command, format, ap);
	va_end(ap);
	f = popen(command, "re");
	if (fgets(line, CONFIG_PATH_MAX, f) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return pclose(f) == 0;
}

int loop_attach(const struct site_folder *f, char device[CONFIG_PATH_MAX],
		const char *name, const char *options)
{
	char path[CONFIG_PATH_MAX], line[CONFIG_PATH_MAX];
	int fd;

	if (!need_root("a loop device"))
		return -1;
	site_folder_path(f, path, name);
	if (!shell(device, "losetup -f --show %s %s", options, path)) {
		printf("SKIP: no loop device can be had here\n");
		return -1;
	}
	fd = open(device, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	/* In use, it is detached at its last close. */
	ck_assert(shell(line, "losetup -d %s", device));
	return fd;
}
