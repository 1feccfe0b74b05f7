/* reach.c - see reach.h. */
#include "agent/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/log_file.h"

/* 0: it is not there. */
static uint64_t size_bytes(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end;

	if (fd < 0)
		return 0;
	end = lseek(fd, 0, SEEK_END);
	close(fd);
	return end < 0 ? 0 : (uint64_t)end;
}

/* The remedy comes first: others are told the beginning only. */
static void no_log_yet(const struct config *config, uint32_t site, char *text,
		       size_t size)
{
	snprintf(text, size,
		 "no writelog of this mirror yet: stop hamirror here, `hamirror create "
		 "%s%s`, start it again (%s)",
		 config->instance, site == 0 ? "" : " --copy-of HOST",
		 config->site[site].writelog);
}

static bool log_is_there(const struct config *config, uint32_t site,
			 struct agent_log_file *file, char *text, size_t size)
{
	const char *path = config->site[site].writelog;
	char why[256];
	int error = agent_log_file_open(path, file, text, size);

	if (error == -ENODATA) {
		no_log_yet(config, site, text, size);
	} else if (error == 0) {
		error = mirror_superblock_check_identity(&file->sb, config, site, why,
							 sizeof why);
		if (error != 0)
			snprintf(text, size, "writelog %s: %s", path, why);
	}
	agent_log_file_close(file);
	return error == 0;
}

/* `bytes`: of the disks that are there, 0 of others. */
static bool site_is_there(const struct config *config, uint32_t site,
			  struct agent_log_file *file,
			  uint64_t bytes[CONFIG_DISK_COUNT_MAX], char *text, size_t size)
{
	bool there = log_is_there(config, site, file, text, size);

	for (uint32_t d = 0; d < config->site[site].disk_count; d++) {
		const struct config_disk *disk = &config->site[site].disk[d];

		bytes[d] = size_bytes(disk->path);
		if (there && bytes[d] == 0) {
			snprintf(text, size, "disk %s (%s) is not there, or is empty",
				 disk->name, disk->path);
			there = false;
		}
	}
	return there;
}

void agent_reach_fill(const struct config *config, struct cluster_self *self)
{
	const int32_t own = config->node[self->node].site;
	struct agent_log_file *file = malloc(sizeof *file);
	uint64_t bytes[CONFIG_DISK_COUNT_MAX];
	char text[sizeof self->reach_text];

	self->reach = 0;
	self->reach_text[0] = '\0';
	for (uint32_t s = 0; s < config->site_count && file != NULL; s++) {
		const bool there = site_is_there(config, s, file, bytes, text,
						 sizeof text);

		if (there)
			self->reach |= 1u << s;
		if ((int32_t)s != own)
			continue;
		memcpy(self->disk_bytes, bytes, sizeof bytes);
		if (!there)
			memcpy(self->reach_text, text, sizeof text);
	}
	free(file);
}
