/* reach.c - see reach.h. */
#include "agent/reach.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
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

static bool log_is_there(const struct config *config, uint32_t site,
			 struct agent_log_file *file)
{
	char text[512];
	bool there = agent_log_file_open(config->site[site].writelog, file, text,
					 sizeof text) == 0;

	there = there && mirror_superblock_check_identity(&file->sb, config, site, text,
							  sizeof text) == 0;
	agent_log_file_close(file);
	return there;
}

void agent_reach_fill(const struct config *config, struct cluster_self *self)
{
	const int32_t own = config->node[self->node].site;
	struct agent_log_file *file = malloc(sizeof *file);

	self->reach = 0;
	for (uint32_t s = 0; s < config->site_count && file != NULL; s++) {
		bool there = log_is_there(config, s, file);

		for (uint32_t d = 0; d < config->site[s].disk_count; d++) {
			const uint64_t bytes = size_bytes(config->site[s].disk[d].path);

			there = there && bytes > 0;
			if ((int32_t)s == own)
				self->disk_bytes[d] = bytes;
		}
		if (there)
			self->reach |= 1u << s;
	}
	free(file);
}
