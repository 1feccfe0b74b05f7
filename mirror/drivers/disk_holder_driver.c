/* disk_holder_driver.c - see disk_holder_driver.h. */
#include "mirror/drivers/disk_holder_driver.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/process_driver.h"

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_mode == b->st_mode && a->st_dev == b->st_dev &&
	       a->st_ino == b->st_ino;
}

/* One line of a small file of /proc or /sys, without its newline. */
static bool read_line(const char *path, char *line, int bytes)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (f == NULL)
		return false;
	ok = fgets(line, bytes, f) != NULL;
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* Is `other` a partition of the disk `device`, or the same? */
static bool same_disk(dev_t device, unsigned int other_major, unsigned int other_minor)
{
	char path[80], line[32], own[32];

	if (major(device) == other_major && minor(device) == other_minor)
		return true;
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev", other_major,
		 other_minor);
	snprintf(own, sizeof own, "%u:%u", major(device), minor(device));
	return read_line(path, line, sizeof line) && strcmp(line, own) == 0;
}

/* /proc/self/mountinfo: "36 35 98:0 /root /mount/point options ..." (proc(5)). */
static bool find_mount(dev_t device, char *text, size_t bytes)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], where[160];
	unsigned int dev_major, dev_minor;
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = sscanf(line, "%*d %*d %u:%u %*s %159s", &dev_major, &dev_minor,
			       where) == 3 &&
			same_disk(device, dev_major, dev_minor);
	fclose(f);
	if (found)
		snprintf(text, bytes, "mounted on %s; unmount it first", where);
	return found;
}

static bool find_swap(const struct stat *st, char *text, size_t bytes)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[512], path[256];
	bool found = false;
	struct stat swap;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = sscanf(line, "%255s", path) == 1 && path[0] == '/' &&
			stat(path, &swap) == 0 && same_file(st, &swap);
	fclose(f);
	if (found)
		snprintf(text, bytes, "in use as swap; swapoff it first");
	return found;
}

/* Devices that the kernel stacks on this one: device mapper, md. */
static bool find_stacked(dev_t device, char *text, size_t bytes)
{
	char path[80], name[80];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/holders", major(device),
		 minor(device));
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (!found && (e = readdir(dir)) != NULL) {
		found = e->d_name[0] != '.';
		snprintf(name, sizeof name, "%.79s", e->d_name);
	}
	closedir(dir);
	if (found)
		snprintf(text, bytes, "is part of %s; configure that, or take it apart",
			 name);
	return found;
}

/* Is the file `path` on a FUSE mount? To look at it there could wait without end, for
 * a server that is frozen: another mirror's device is such a file. */
static bool is_on_fuse(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], where[256];
	size_t length, longest = 0;
	const char *type;
	bool fuse = false;

	if (f == NULL)
		return false;
	while (fgets(line, sizeof line, f) != NULL) {
		if (sscanf(line, "%*d %*d %*s %*s %255s", where) != 1)
			continue;
		length = strlen(where);
		type = strstr(line, " - ");
		if (type == NULL || length < longest ||
		    strncmp(path, where, length) != 0 ||
		    (path[length] != '/' && path[length] != '\0' && length > 1))
			continue;
		longest = length;
		fuse = strncmp(type + 3, "fuse", 4) == 0;
	}
	fclose(f);
	return fuse;
}

/* Is the loop device `name` (of /sys/block) backed by the file `st`? */
static bool loop_stands_on(const char *name, const struct stat *st)
{
	char path[300], file[256];
	struct stat backing;

	snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", name);
	return read_line(path, file, sizeof file) && !is_on_fuse(file) &&
	       stat(file, &backing) == 0 && same_file(st, &backing);
}

bool disk_holder_find_loop(const struct stat *st, char *text, size_t bytes)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *e;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (e = readdir(dir)) != NULL) {
		found = strncmp(e->d_name, "loop", 4) == 0 &&
			loop_stands_on(e->d_name, st);
		if (found)
			snprintf(text, bytes,
				 "is under /dev/%.20s; detach that first (losetup -d)",
				 e->d_name);
	}
	closedir(dir);
	return found;
}

/* ---- processes ---------------------------------------------------------- */

static void process_text(int pid, char *text, size_t bytes)
{
	char path[40], name[64];

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	if (!read_line(path, name, sizeof name))
		snprintf(name, sizeof name, "?");
	if (pid == getpid())
		snprintf(text, bytes, "in use by this process already");
	else
		snprintf(text, bytes, "in use by process %d (%s); stop it first", pid,
			 name);
}

/* The process that has it locked, or 0. /proc/locks:
 * "1: FLOCK ADVISORY WRITE 1234 08:01:5678 0 EOF" (proc(5)). */
static int find_lock(const struct stat *st)
{
	FILE *f = fopen("/proc/locks", "re");
	unsigned int dev_major, dev_minor;
	unsigned long inode;
	bool found = false;
	char line[256];
	int pid;

	if (f == NULL)
		return 0;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = sscanf(line, "%*s FLOCK %*s %*s %d %x:%x:%lu", &pid, &dev_major,
			       &dev_minor, &inode) == 4 &&
			pid > 0 && inode == st->st_ino &&
			makedev(dev_major, dev_minor) == st->st_dev;
	fclose(f);
	return found ? pid : 0;
}

static bool process_has(const char *pid, const struct stat *st)
{
	char path[300];
	struct dirent *e;
	struct stat fd;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (!found && (e = readdir(dir)) != NULL)
		found = isdigit((unsigned char)e->d_name[0]) &&
			fstatat(dirfd(dir), e->d_name, &fd, 0) == 0 && same_file(st, &fd);
	closedir(dir);
	return found;
}

static int find_process(const struct stat *st)
{
	struct dirent *e;
	int pid = 0;
	DIR *dir = opendir("/proc");

	if (dir == NULL)
		return 0;
	while (pid == 0 && (e = readdir(dir)) != NULL)
		if (isdigit((unsigned char)e->d_name[0]) && process_has(e->d_name, st))
			pid = (int)strtol(e->d_name, NULL, 10);
	closedir(dir);
	return pid;
}

/* What the kernel itself has on a block device. */
static bool find_kernel(const struct stat *st, char *text, size_t bytes)
{
	return S_ISBLK(st->st_mode) &&
	       (find_mount(st->st_rdev, text, bytes) || find_swap(st, text, bytes) ||
		find_stacked(st->st_rdev, text, bytes));
}

/* 0: none is seen. */
static int find_holder(const struct stat *st)
{
	const int pid = S_ISBLK(st->st_mode) ? 0 : find_lock(st);

	return pid > 0 ? pid : find_process(st);
}

void disk_holder_find(const struct stat *st, char *text, size_t bytes)
{
	int pid;

	if (find_kernel(st, text, bytes))
		return;
	pid = find_holder(st);
	if (pid > 0)
		process_text(pid, text, bytes);
	else
		snprintf(text, bytes, "in use by another process");
}

bool disk_holder_is_ending(const struct stat *st)
{
	char text[200];
	int pid;

	if (find_kernel(st, text, sizeof text))
		return false;
	/* A file may be open anywhere, here too: only its lock counts. */
	pid = S_ISBLK(st->st_mode) ? find_process(st) : find_lock(st);
	return pid == 0 || common_process_is_ending(pid);
}
