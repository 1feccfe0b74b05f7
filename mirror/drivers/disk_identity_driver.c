/* disk_identity_driver.c - see disk_identity_driver.h. */
#include "mirror/drivers/disk_identity_driver.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/crc.h"

#define LINE_BYTES 512
#define CRC_CHARACTERS 9 /* "#", and eight digits */

/* The text as one word. Of a long one the end is kept, which tells a volume from the
 * next, and a checksum of the whole. */
static void set(char identity[MIRROR_IDENTITY_BYTES], const char *kind, const char *value)
{
	char word[2 * LINE_BYTES];
	int length = snprintf(word, sizeof word, "%s:", kind);
	const int prefix = length;
	const int room = MIRROR_IDENTITY_BYTES - 1;
	bool gap = false;

	for (const char *c = value; *c != '\0' && length < (int)sizeof word - 2; c++) {
		if (!isgraph((unsigned char)*c)) {
			gap = length > prefix;
			continue;
		}
		if (gap)
			word[length++] = '_';
		gap = false;
		word[length++] = *c;
	}
	word[length] = '\0';
	memset(identity, 0, MIRROR_IDENTITY_BYTES);
	if (length == prefix)
		return;
	if (length <= room)
		memcpy(identity, word, (size_t)length);
	else
		snprintf(identity, MIRROR_IDENTITY_BYTES, "#%08x%s",
			 common_crc32c(0, word, (size_t)length),
			 word + length - (room - CRC_CHARACTERS));
}

/* ---- block devices -------------------------------------------------------- */

/* A device as sysfs and udev know it. */
struct block {
	const char *sys, *udev;
	unsigned int major, minor;
};

/* The first line of one of its files. False: there is none, or nothing in it. */
static bool read_attribute(const struct block *b, const char *name, char line[LINE_BYTES])
{
	char path[LINE_BYTES];
	FILE *f;
	bool ok;

	snprintf(path, sizeof path, "%s/dev/block/%u:%u/%s", b->sys, b->major, b->minor,
		 name);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	ok = fgets(line, LINE_BYTES, f) != NULL;
	fclose(f);
	if (!ok)
		return false;
	line[strcspn(line, "\n")] = '\0';
	return line[strspn(line, " ")] != '\0';
}

/* A property of it in udev's database: "E:KEY=VALUE". */
static bool read_property(const struct block *b, const char *key, char value[LINE_BYTES])
{
	const size_t length = strlen(key);
	char path[LINE_BYTES], line[LINE_BYTES];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "%s/data/b%u:%u", b->udev, b->major, b->minor);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "E:", 2) == 0 &&
			strncmp(line + 2, key, length) == 0 && line[2 + length] == '=' &&
			line[3 + length] != '\0';
		if (found)
			snprintf(value, LINE_BYTES, "%s", line + 3 + length);
	}
	fclose(f);
	return found;
}

static void find_whole(const struct block *b, char identity[MIRROR_IDENTITY_BYTES])
{
	char value[LINE_BYTES];

	if (read_attribute(b, "dm/uuid", value))
		set(identity, "dm", value);
	else if (read_attribute(b, "md/uuid", value) ||
		 read_property(b, "MD_UUID", value))
		set(identity, "md", value);
	else if (read_attribute(b, "wwid", value) ||
		 read_attribute(b, "device/wwid", value))
		set(identity, "wwid", value);
	else if (read_attribute(b, "serial", value) ||
		 read_attribute(b, "device/serial", value) ||
		 read_property(b, "ID_SERIAL", value))
		set(identity, "serial", value);
}

/* The disk that it is a partition of, and the sector where it begins. */
static void find_partition(const struct block *b, char identity[MIRROR_IDENTITY_BYTES])
{
	char line[LINE_BYTES], start[LINE_BYTES];
	char disk[MIRROR_IDENTITY_BYTES] = "";
	struct block whole = *b;

	if (read_attribute(b, "../dev", line) && read_attribute(b, "start", start) &&
	    sscanf(line, "%u:%u", &whole.major, &whole.minor) == 2) {
		find_whole(&whole, disk);
		snprintf(line, sizeof line, "%s+%.20s", disk, start);
		if (disk[0] != '\0')
			set(identity, "part", line);
	}
	if (disk[0] == '\0' && read_property(b, "ID_PART_ENTRY_UUID", line))
		set(identity, "part", line);
}

void disk_identity_find_block(const char *sys, const char *udev, unsigned int major,
			      unsigned int minor, char identity[MIRROR_IDENTITY_BYTES])
{
	const struct block b = { sys, udev, major, minor };
	char line[LINE_BYTES];

	memset(identity, 0, MIRROR_IDENTITY_BYTES);
	if (read_attribute(&b, "partition", line))
		find_partition(&b, identity);
	else
		find_whole(&b, identity);
}

/* ---- an open device ------------------------------------------------------- */

static void find_loop(int fd, char identity[MIRROR_IDENTITY_BYTES])
{
	struct loop_info64 info;
	char value[64];

	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return;
	snprintf(value, sizeof value, "%" PRIu64 "+%" PRIu64, (uint64_t)info.lo_inode,
		 (uint64_t)info.lo_offset);
	set(identity, "loop", value);
}

static void find_file(int fd, char identity[MIRROR_IDENTITY_BYTES])
{
	struct statx stx;
	char value[80];

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
		return;
	if ((stx.stx_mask & STATX_BTIME) == 0)
		stx.stx_btime = (struct statx_timestamp){ 0 };
	snprintf(value, sizeof value, "%" PRIu64 "@%" PRId64 ".%09" PRIu32,
		 (uint64_t)stx.stx_ino, (int64_t)stx.stx_btime.tv_sec,
		 (uint32_t)stx.stx_btime.tv_nsec);
	set(identity, "file", value);
}

void disk_identity_find(int fd, char identity[MIRROR_IDENTITY_BYTES])
{
	struct stat st;

	memset(identity, 0, MIRROR_IDENTITY_BYTES);
	if (fstat(fd, &st) < 0)
		return;
	if (!S_ISBLK(st.st_mode)) {
		find_file(fd, identity);
		return;
	}
	disk_identity_find_block("/sys", "/run/udev", major(st.st_rdev),
				 minor(st.st_rdev), identity);
	if (identity[0] == '\0')
		find_loop(fd, identity);
}
