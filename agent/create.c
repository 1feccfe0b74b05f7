/* create.c - see create.h.
 *
 * The order lets a creation that was cut off be done again: everything is checked, the
 * log's maps are written, then both slots of its superblock (now it is a log), then the
 * voter file. A log without the voter file is a site whose creator nobody admits, so if the
 * last step fails the superblock is removed again.
 */
#include "agent/create.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/log_file.h"
#include "agent/paths.h"
#include "agent/probe.h"
#include "agent/scout.h"
#include "agent/self.h"
#include "agent/words.h"
#include "cluster/cluster.h"
#include "cluster/quorum_driver.h"
#include "cluster/voter_file_driver.h"
#include "common/config_difference.h"
#include "mirror/drivers/disk_open_driver.h"
#include "mirror/log/map.h"
#include "mirror/log/superblock.h"

#define PROBE_PAUSE_MS 200
#define PROBE_COUNT_MAX 50

struct creation {
	const struct create_options *o;
	const struct config *config;
	uint32_t site;
	bool copy; /* a further site's log */
	struct agent_instance instance;
	int lock_fd; /* the instance's; -1: not held */
	struct disk_set devices;
	struct mirror_devices found;
	uint8_t *block;           /* aligned: one superblock slot */
	struct mirror_hello peer; /* of copy_of */
	struct mirror_superblock sb;
	size_t voter_bytes;
	uint8_t voter[CLUSTER_VOTER_FILE_BYTES];
	char *text;
	size_t text_size;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct creation *c, int error,
							const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(c->text, c->text_size, format, ap);
	va_end(ap);
	return error;
}

/* ---- checks ---------------------------------------------------------------------- */

static int check_place(struct creation *c)
{
	const struct config_node *node = &c->config->node[c->o->node];

	if (node->site < 0)
		return refuse(c, -EINVAL,
			      "%s is a witness: it has no writelog to create; just "
			      "start it",
			      node->name);
	c->site = (uint32_t)node->site;
	c->copy = c->o->copy_of != NULL || c->o->identity != NULL;
	if (!c->copy && c->site != 0)
		return refuse(
			c, -EINVAL,
			"a mirror is created at its first site, %s: run this "
			"there; here, at site %s, run `hamirror create %s --copy-of HOST` "
			"with a host of %s, once that runs",
			c->config->site[0].name, c->config->site[c->site].name,
			c->config->instance, c->config->site[0].name);
	return 0;
}

static int check_voter_file(struct creation *c)
{
	char directory[PATH_MAX], path[PATH_MAX];

	if (agent_path(&c->instance, AGENT_PATH_STATE, directory) != 0)
		return refuse(c, -ENAMETOOLONG, "the state directory's name is too long");
	for (uint32_t i = 0; i < CLUSTER_VOTER_SLOT_COUNT; i++) {
		if (snprintf(path, sizeof path, "%s/voter.%u", directory, i) >=
		    (int)sizeof path)
			return refuse(c, -ENAMETOOLONG, "%s is too long", directory);
		if (access(path, F_OK) == 0)
			return refuse(
				c, -EEXIST,
				"%s exists: this node votes in a mirror %s "
				"already; if that one is given up for ever on every node, "
				"remove the file",
				path, c->config->mirror);
	}
	return 0;
}

/* A log that belongs to a mirror is named; anything else that is not empty is not
 * overwritten either. */
static int check_log_content(struct creation *c)
{
	const char *path = c->config->site[c->site].writelog;
	struct agent_log_file *f = calloc(1, sizeof *f);
	int error;

	if (f == NULL)
		return refuse(c, -ENOMEM, "no memory");
	error = agent_log_file_open(path, f, c->text, c->text_size);
	if (error == 0) {
		char id[AGENT_UUID_TEXT_BYTES];

		agent_uuid_format(&f->sb.mirror, id);
		error = refuse(
			c, -EEXIST,
			"%s is the writelog of site %s of mirror %s (%s) "
			"already; `hamirror scan --log %s` shows it. To give it up for "
			"ever, wipe it: dd if=/dev/zero of=%s bs=128K count=1 conv=notrunc",
			path, f->sb.sites[f->sb.site].name, f->sb.mirror_name, id, path,
			path);
	} else if (error == -ENODATA && f->slots != NULL) {
		error = 0;
		for (size_t i = 0; i < MIRROR_SUPERBLOCK_AREA_BYTES && error == 0; i++)
			if (f->slots[i] != 0)
				error = refuse(
					c, -EEXIST,
					"%s is not empty and not a writelog: "
					"it may be something else's. If it is not, wipe it: "
					"dd if=/dev/zero of=%s bs=128K count=1 conv=notrunc",
					path, path);
	} else if (error == -ENODATA) {
		error = refuse(c, -ENOSPC,
			       "%s is too small for a writelog: %u bytes at least", path,
			       MIRROR_LOG_BYTES_MIN);
	}
	agent_log_file_close(f);
	free(f);
	return error;
}

static int open_devices(struct creation *c)
{
	const int error = disk_set_open(&c->config->site[c->site], &c->devices,
					&c->found);

	return error == 0 ? 0 : refuse(c, error, "%s", c->found.text);
}

/* ---- identity ---------------------------------------------------------------------- */

static int parse_identity(struct creation *c)
{
	char text[2 * AGENT_UUID_TEXT_BYTES];
	const size_t middle = AGENT_UUID_TEXT_BYTES - 1;

	snprintf(text, sizeof text, "%s", c->o->identity);
	if (strlen(c->o->identity) == 2 * middle + 1 && text[middle] == ':') {
		text[middle] = '\0';
		if (agent_uuid_parse(text, &c->sb.mirror) == 0 &&
		    agent_uuid_parse(text + middle + 1, &c->sb.lineage) == 0)
			return 0;
	}
	return refuse(c, -EINVAL,
		      "\"%s\" is no identity: it is MIRROR:LINEAGE, the members id "
		      "and lineage of `hamirror status %s --json` there",
		      c->o->identity, c->config->mirror);
}

/* A daemon that was just started is still opening its devices. */
static int ask_until_open(struct creation *c, uint32_t peer)
{
	const struct timespec pause = { .tv_nsec = PROBE_PAUSE_MS * 1000000 };
	int error = -EAGAIN;

	for (int i = 0; i < PROBE_COUNT_MAX && error == -EAGAIN; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		error = agent_probe(c->config, c->o->node, peer, &c->peer, c->text,
				    c->text_size);
	}
	return error;
}

static int ask_identity(struct creation *c)
{
	char whose[CONFIG_NAME_MAX + 16], text[400];
	uint32_t peer = 0;
	int error;

	while (peer < c->config->node_count &&
	       strcmp(c->config->node[peer].name, c->o->copy_of) != 0)
		peer++;
	if (peer == c->config->node_count || c->config->node[peer].site < 0)
		return refuse(c, -EINVAL, "%s is no host of mirror %s", c->o->copy_of,
			      c->config->mirror);
	if (c->config->node[peer].site == (int32_t)c->site)
		return refuse(c, -EINVAL,
			      "%s is a host of this same site, %s: it has this "
			      "writelog; just start the mirror here",
			      c->o->copy_of, c->config->site[c->site].name);
	error = ask_until_open(c, peer);
	if (error != 0)
		return error;
	if (c->peer.config_hash != c->config->hash) {
		snprintf(whose, sizeof whose, "the file of %s", c->o->copy_of);
		config_difference(whose, c->peer.agreed, "the one here",
				  c->config->agreed, text, sizeof text);
		return refuse(c, -EINVAL, "%s: make it the same on every node", text);
	}
	c->sb.mirror = c->peer.mirror;
	c->sb.lineage = c->peer.lineage;
	return 0;
}

/* The disks as clients are to see them: as large as at the site that is copied. */
static int fill_disks(struct creation *c)
{
	const struct config_site *site = &c->config->site[c->site];
	struct mirror_disk_table *t = &c->sb.disks;

	t->count = site->disk_count;
	for (uint32_t i = 0; i < t->count; i++) {
		struct mirror_disk *d = &t->entry[i];

		snprintf(d->name, sizeof d->name, "%s", site->disk[i].name);
		d->size_bytes = c->found.disk_bytes[i];
		d->sector_bytes = c->found.disk_sector_bytes[i];
		memcpy(c->sb.evidence.identity[i], c->found.disk_identity[i],
		       MIRROR_IDENTITY_BYTES);
	}
	c->sb.evidence.disk_count = t->count;
	if (c->o->copy_of == NULL)
		return 0;
	if (mirror_hello_check_disks(&c->peer.disks, t, c->text, c->text_size) != 0)
		return -EINVAL;
	for (uint32_t i = 0; i < t->count; i++) {
		t->entry[i].size_bytes = c->peer.disks.entry[i].size_bytes;
		t->entry[i].sector_bytes = c->peer.disks.entry[i].sector_bytes;
	}
	return 0;
}

static int fill_generation(struct creation *c)
{
	struct generation *g = &c->sb.history.entry[0];
	int error = agent_uuid_make(&c->sb.mirror);

	if (error == 0)
		error = agent_uuid_make(&c->sb.lineage);
	if (error == 0)
		error = agent_uuid_make(&g->id);
	g->ordinal = 1;
	g->reason = GENERATION_CREATED;
	g->site = c->site;
	c->sb.history.count = 1;
	return error == 0 ? 0 : refuse(c, error, "the kernel gives no random numbers");
}

static int fill_superblock(struct creation *c)
{
	struct mirror_superblock *sb = &c->sb;
	int error = c->o->identity != NULL ? parse_identity(c) :
		    c->copy                ? ask_identity(c) :
					     fill_generation(c);

	if (error == 0)
		error = fill_disks(c);
	if (error == 0 &&
	    (agent_uuid_make(&sb->site_id) != 0 || agent_uuid_make(&sb->log) != 0))
		error = refuse(c, -EIO, "the kernel gives no random numbers");
	if (error != 0)
		return error;
	snprintf(sb->mirror_name, sizeof sb->mirror_name, "%s", c->config->mirror);
	sb->site = c->site;
	sb->site_count = c->config->site_count;
	for (uint32_t i = 0; i < sb->site_count; i++) {
		snprintf(sb->sites[i].name, sizeof sb->sites[i].name, "%s",
			 c->config->site[i].name);
		/* Nothing is proven of any other site, nor of a copy's own disks. */
		sb->sites[i].map_state = i == sb->site && !c->copy ? MIRROR_MAP_VALID :
								     MIRROR_MAP_ALL_DIRTY;
	}
	sb->log_epoch = 1;
	sb->tail_sequence = 1;
	sb->tail_epoch = 1;
	sb->next_sequence = 1;
	sb->blank = c->copy;
	return mirror_superblock_layout(sb, c->found.log_bytes, c->text, c->text_size);
}

/* The first view (D1). Its lease and drift come from the file, or from corosync. */
static int fill_voter(struct creation *c)
{
	struct cluster_self self = { .node = c->o->node,
				     .lease_ms = c->config->lease_ms };
	uint32_t token_ms, consensus_ms;
	int error = agent_self_fill(&self, c->text, c->text_size);

	if (error == 0 && c->config->cluster && self.lease_ms == 0) {
		error = cluster_totem_times_get(&token_ms, &consensus_ms, c->text,
						c->text_size);
		if (error == 0)
			self.lease_ms = cluster_lease_default_ms(token_ms, consensus_ms);
	}
	if (error != 0)
		return error;
	self.drift_ms = cluster_drift_default_ms(self.lease_ms);
	c->voter_bytes = cluster_first_voter(c->config, &self, &c->sb.mirror,
					     &c->sb.lineage, &c->sb.history.entry[0],
					     c->voter);
	return 0;
}

/* ---- writing -------------------------------------------------------------------------- */

static int write_log(struct creation *c, uint64_t offset, size_t length)
{
	const int fd = c->devices.log.fd;

	if (pwrite(fd, c->block, length, (off_t)offset) != (ssize_t)length)
		return refuse(c, errno != 0 ? -errno : -EIO,
			      "writelog %s cannot be written: %s",
			      c->config->site[c->site].writelog, strerror(errno));
	return 0;
}

static int sync_log(struct creation *c)
{
	return fsync(c->devices.log.fd) == 0 ?
		       0 :
		       refuse(c, -errno, "writelog %s cannot be flushed: %s",
			      c->config->site[c->site].writelog, strerror(errno));
}

static int write_maps(struct creation *c)
{
	struct mirror_map *map = mirror_map_create(&c->sb);
	uint64_t at;
	uint32_t site;
	int error = 0;

	if (map == NULL)
		return refuse(c, -ENOMEM, "no memory for the tracking maps");
	for (site = 0; site < c->sb.site_count; site++) {
		mirror_map_rewrite(map, site);
		if (c->sb.sites[site].map_state == MIRROR_MAP_ALL_DIRTY)
			mirror_map_set_all(map, site);
	}
	while (error == 0 && mirror_map_take_dirty(map, &site, c->block, &at))
		error = write_log(c, at, MIRROR_MAP_BLOCK_BYTES);
	mirror_map_destroy(map);
	return error == 0 ? sync_log(c) : error;
}

static int write_superblocks(struct creation *c)
{
	int error = 0;

	for (uint32_t i = 0; i < MIRROR_SUPERBLOCK_SLOT_COUNT && error == 0; i++) {
		size_t length;

		c->sb.write_counter++;
		length = mirror_superblock_encode(&c->sb, c->block);
		error = write_log(c, mirror_superblock_slot_bytes(&c->sb), length);
	}
	return error == 0 ? sync_log(c) : error;
}

static void wipe_superblocks(struct creation *c)
{
	memset(c->block, 0, MIRROR_SUPERBLOCK_BYTES);
	for (uint32_t i = 0; i < MIRROR_SUPERBLOCK_SLOT_COUNT; i++)
		if (pwrite(c->devices.log.fd, c->block, MIRROR_SUPERBLOCK_BYTES,
			   (off_t)(i * (off_t)MIRROR_SUPERBLOCK_BYTES)) < 0)
			return;
	fsync(c->devices.log.fd);
}

static int write_voter(struct creation *c)
{
	char directory[PATH_MAX];
	int error = agent_path(&c->instance, AGENT_PATH_STATE, directory);

	if (error == 0)
		error = cluster_voter_slot_write(directory, 0, c->voter, c->voter_bytes);
	if (error != 0)
		refuse(c, error, "the voter file in %s cannot be written: %s", directory,
		       strerror(-error));
	return error;
}

/* ---- all of it --------------------------------------------------------------------------- */

static int write_all(struct creation *c)
{
	int error = write_maps(c);

	if (error == 0)
		error = write_superblocks(c);
	if (error == 0 && !c->copy) {
		error = write_voter(c);
		if (error != 0)
			wipe_superblocks(c);
	}
	return error;
}

static void tell(struct creation *c)
{
	char id[AGENT_UUID_TEXT_BYTES];

	agent_uuid_format(&c->sb.mirror, id);
	if (c->copy)
		snprintf(
			c->text, c->text_size,
			"the writelog of site %s of mirror %s (%s) is made; "
			"its disks are filled when it is connected. Next: `hamirror start %s`",
			c->config->site[c->site].name, c->config->mirror, id,
			c->instance.name);
	else
		snprintf(c->text, c->text_size,
			 "mirror %s (%s) is made, with its disks at site %s "
			 "as they are. Next: `hamirror start %s`",
			 c->config->mirror, id, c->config->site[c->site].name,
			 c->instance.name);
}

int agent_create(const struct create_options *o, char *text, size_t text_size)
{
	struct creation *c = calloc(1, sizeof *c);
	int error;

	if (c == NULL) {
		snprintf(text, text_size, "no memory");
		return -ENOMEM;
	}
	c->o = o;
	c->config = o->config;
	c->text = text;
	c->text_size = text_size;
	c->lock_fd = -1;
	c->block = aligned_alloc(MIRROR_BLOCK_BYTES, MIRROR_SUPERBLOCK_BYTES);
	error = c->block == NULL ? refuse(c, -ENOMEM, "no memory") : check_place(c);
	if (error == 0)
		error = agent_instance_take(c->o->instance, &c->instance, &c->lock_fd,
					    c->text, c->text_size);
	/* A copy's host may have been a member, and a voter, before. */
	if (error == 0 && !c->copy)
		error = check_voter_file(c);
	if (error == 0)
		error = agent_scout_site(&c->config->site[c->site], text, text_size);
	if (error == 0)
		error = check_log_content(c);
	if (error == 0)
		error = open_devices(c);
	if (error == 0) {
		error = fill_superblock(c);
		if (error == 0 && !c->copy)
			error = fill_voter(c);
		if (error == 0)
			error = write_all(c);
		disk_set_close(&c->devices);
	}
	if (error == 0)
		tell(c);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	free(c->block);
	free(c);
	return error;
}
