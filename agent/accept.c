/* accept.c - see accept.h. */
#include "agent/accept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/log_file.h"
#include "agent/scout.h"
#include "mirror/drivers/disk_open_driver.h"

struct acceptance {
	const struct accept_options *o;
	const struct config_site *site;
	uint32_t disk; /* index */
	struct disk_set devices;
	struct mirror_devices found;
	struct agent_log_file log;
	uint8_t *slot; /* aligned */
	char known[MIRROR_IDENTITY_BYTES];
	char *text;
	size_t text_size;
};

static int find(struct acceptance *a)
{
	const struct config *config = a->o->config;
	const struct config_node *node = &config->node[a->o->node];

	if (node->site < 0) {
		snprintf(a->text, a->text_size, "%s is a witness: it has no disks",
			 node->name);
		return -EINVAL;
	}
	a->site = &config->site[node->site];
	for (a->disk = 0; a->disk < a->site->disk_count; a->disk++)
		if (strcmp(a->site->disk[a->disk].name, a->o->disk) == 0)
			return 0;
	snprintf(a->text, a->text_size, "site %s has no disk \"%s\"; its first one is %s",
		 a->site->name, a->o->disk, a->site->disk[0].name);
	return -EINVAL;
}

/* Exclusively, all of them: so no daemon has them now, and none has left a write
 * under way. */
static int take(struct acceptance *a)
{
	const uint32_t site = (uint32_t)(a->site - a->o->config->site);
	char why[256];
	int error = agent_scout_site(a->site, a->text, a->text_size);

	if (error != 0)
		return error;
	error = disk_set_open(a->site, &a->devices, &a->found);
	if (error != 0) {
		snprintf(a->text, a->text_size, "%s", a->found.text);
		return error;
	}
	error = agent_log_file_open(a->site->writelog, &a->log, a->text, a->text_size);
	if (error != 0)
		return error;
	error = mirror_superblock_check_identity(&a->log.sb, a->o->config, site, why,
						 sizeof why);
	if (error != 0)
		snprintf(a->text, a->text_size, "writelog %s: %s", a->site->writelog,
			 why);
	return error;
}

static void change(struct acceptance *a)
{
	struct mirror_superblock *sb = &a->log.sb;
	char *identity = sb->evidence.identity[a->disk];

	memcpy(a->known, identity, sizeof a->known);
	mirror_evidence_forget_disk(&sb->evidence, a->disk);
	memcpy(identity, a->found.disk_identity[a->disk], MIRROR_IDENTITY_BYTES);
	if (a->o->blank)
		sb->blank = true;
}

/* The older slot first: until it is durable the newer one keeps the old state. */
static int store(struct acceptance *a)
{
	struct mirror_superblock *sb = &a->log.sb;
	const int fd = a->devices.log.fd;

	for (uint32_t i = 0; i < MIRROR_SUPERBLOCK_SLOT_COUNT; i++) {
		size_t length;
		ssize_t written;

		sb->write_counter++;
		length = mirror_superblock_encode(sb, a->slot);
		written = pwrite(fd, a->slot, length,
				 (off_t)mirror_superblock_slot_bytes(sb));
		if (written != (ssize_t)length || fsync(fd) != 0) {
			const int error = written < 0 || written == (ssize_t)length ?
						  -errno :
						  -EIO;

			snprintf(a->text, a->text_size,
				 "writelog %s cannot be written: %s", a->site->writelog,
				 strerror(-error));
			return error;
		}
	}
	return 0;
}

static void tell(const struct acceptance *a)
{
	const char *found = a->found.disk_identity[a->disk];
	const char *next = a->o->blank ? "; this site is filled from another one when it "
					 "is connected" :
					 "";

	snprintf(
		a->text, a->text_size,
		"disk %s (%s) was %s, and is %s from now on%s. Next: `hamirror start %s`",
		a->o->disk, a->site->disk[a->disk].path,
		a->known[0] != '\0' ? a->known : "not known",
		found[0] != '\0' ? found : "the device at this path", next,
		a->o->config->instance);
}

int agent_accept(const struct accept_options *o, char *text, size_t text_size)
{
	struct acceptance *a = calloc(1, sizeof *a);
	uint8_t *slot = aligned_alloc(MIRROR_BLOCK_BYTES, MIRROR_SUPERBLOCK_BYTES);
	int error = -ENOMEM;

	if (a == NULL || slot == NULL) {
		snprintf(text, text_size, "no memory");
	} else {
		a->o = o;
		a->slot = slot;
		a->log.fd = -1;
		a->text = text;
		a->text_size = text_size;
		error = find(a);
		if (error == 0) {
			error = take(a);
			if (error == 0) {
				change(a);
				error = store(a);
			}
			if (error == 0)
				tell(a);
			agent_log_file_close(&a->log);
			disk_set_close(&a->devices);
		}
	}
	free(slot);
	free(a);
	return error;
}
