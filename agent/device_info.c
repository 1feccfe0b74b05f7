/* device_info.c - see device_info.h. */
#include "agent/device_info.h"

#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/log_file.h"
#include "agent/scout.h"
#include "mirror/drivers/disk_identity_driver.h"

#define SECTOR_BYTES 512

/* Is there a file `name` of this device in sysfs? Its first line goes to `line`. */
static bool attribute(dev_t device, const char *name, char *line, int size)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(device),
		 minor(device), name);
	file = fopen(path, "re");
	line[0] = '\0';
	if (file == NULL)
		return false;
	if (fgets(line, size, file) == NULL)
		line[0] = '\0';
	fclose(file);
	return true;
}

static const char *kind_of(const struct stat *st)
{
	char line[256];

	if (S_ISREG(st->st_mode))
		return "file";
	if (attribute(st->st_rdev, "partition", line, sizeof line))
		return "partition";
	if (attribute(st->st_rdev, "dm/uuid", line, sizeof line))
		return strncmp(line, "LVM-", 4) == 0   ? "lvm" :
		       strncmp(line, "CRYPT-", 6) == 0 ? "crypt" :
							 "dm";
	if (attribute(st->st_rdev, "md/level", line, sizeof line))
		return "md";
	if (attribute(st->st_rdev, "loop/backing_file", line, sizeof line))
		return "loop";
	return "disk";
}

static void describe(json_t *o, int fd, const struct stat *st, const char *path)
{
	const dev_t device = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	char identity[MIRROR_IDENTITY_BYTES], real[PATH_MAX];
	const off_t bytes = lseek(fd, 0, SEEK_END);
	unsigned int physical = 0;
	int logical = 0;

	disk_identity_find(fd, identity);
	json_object_set_new(o, "kind", json_string(kind_of(st)));
	json_object_set_new(o, "device",
			    json_string(realpath(path, real) != NULL ? real : path));
	json_object_set_new(o, "major", json_integer(major(device)));
	json_object_set_new(o, "minor", json_integer(minor(device)));
	json_object_set_new(o, "bytes", json_integer(bytes));
	json_object_set_new(o, "sectors", json_integer(bytes / SECTOR_BYTES));
	json_object_set_new(o, "logical_block",
			    ioctl(fd, BLKSSZGET, &logical) == 0 ? json_integer(logical) :
								  json_null());
	json_object_set_new(o, "physical_block",
			    ioctl(fd, BLKPBSZGET, &physical) == 0 ?
				    json_integer(physical) :
				    json_null());
	json_object_set_new(o, "identity",
			    identity[0] != '\0' ? json_string(identity) : json_null());
}

json_t *agent_device_info(const char *name, const char *path)
{
	json_t *o = json_pack("{s:s, s:s, s:b, s:n}", "name", name, "path", path,
			      "reachable", 0, "error");
	char text[512] = "";
	struct stat st;
	int fd = -1;

	if (agent_scout(name, path, text, sizeof text) == 0) {
		fd = agent_device_open(path);
		if (fd < 0)
			snprintf(text, sizeof text, "%s (%s): %s", name, path,
				 fd == -ENOTBLK ? "neither a block device nor a file" :
						  strerror(-fd));
	}
	if (fd >= 0 && fstat(fd, &st) == 0) {
		json_object_set_new(o, "reachable", json_true());
		describe(o, fd, &st, path);
	}
	if (text[0] != '\0')
		json_object_set_new(o, "error", json_string(text));
	if (fd >= 0)
		close(fd);
	return o;
}
