/* setup.c - a mirror as `hamirror create` leaves it: one voter, the first site's log,
 * and the others' blank ones.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/log/map.h"
#include "mirror/log/superblock.h"
#include "tests/sim/sim.h"

static const struct uuid mirror_id = { { 1, 2, 3 } }, lineage_id = { { 4, 5, 6 } };
static const struct generation first = {
	.ordinal = 1,
	.id = { { 9 } },
	.reason = GENERATION_CREATED,
};

static void add_node(struct config *c, int32_t site)
{
	struct config_node *n = &c->node[c->node_count++];

	snprintf(n->name, sizeof n->name, "n%u", c->node_count);
	snprintf(n->address, sizeof n->address, "n%u", c->node_count);
	n->port = 7790;
	n->site = site;
}

void sim_setup_config(struct sim *w)
{
	static const char *const names[] = { "paris", "lyon", "nice", "brest" };
	struct config *c = &w->config;
	const struct sim_plan *p = &w->plan;

	snprintf(c->mirror, sizeof c->mirror, "data");
	snprintf(c->instance, sizeof c->instance, "data");
	c->cluster = !p->alone;
	c->mode = (enum config_mode)p->promise.mode;
	if (c->mode == CONFIG_NEAR_SYNC) {
		c->near_sync_records = p->promise.records % PROMISE_UNBOUNDED;
		c->near_sync_ms = p->promise.ms % PROMISE_UNBOUNDED;
	}
	if (c->mode == CONFIG_ASYNC && promise_counts(&p->promise)) {
		c->lag_bytes = p->promise.bytes;
		c->lag_ms = p->promise.ms % PROMISE_UNBOUNDED;
	}
	c->confirm = p->promise.home ? CONFIG_CONFIRM_HOME : CONFIG_CONFIRM_LOGGED;
	c->order = (enum config_order)p->order;
	c->on_copy_loss = p->block ? CONFIG_COPY_LOSS_BLOCK : CONFIG_COPY_LOSS_CONTINUE;
	c->port = 7790;
	c->copy_timeout_ms = 3000;
	c->frozen_timeout_ms = 3000;
	c->demote_drain_ms = 2000;
	c->device_timeout_ms = p->device_timeout_ms;
	c->bypass_at_percent = 80;
	c->refresh_retry_ms = 2000;
	c->task_range_count = 2;
	c->task_per_range_count = 4;
	c->memory_bytes = 4u << 20;
	c->hash = 0x1234;
	c->site_count = p->site_count;
	for (uint32_t s = 0; s < p->site_count; s++) {
		snprintf(c->site[s].name, sizeof c->site[s].name, "%s", names[s]);
		c->site[s].disk_count = p->disk_count;
		for (uint32_t d = 0; d < p->disk_count; d++)
			snprintf(c->site[s].disk[d].name, CONFIG_NAME_MAX, "d%u", d);
		for (uint32_t h = 0; h < p->hosts[s]; h++)
			add_node(c, (int32_t)s);
	}
	for (uint32_t i = 0; i < p->witnesses; i++)
		add_node(c, -1);
}

void sim_setup_self(struct sim *w, uint32_t node)
{
	struct cluster_self *s = &w->node[node].self;
	const int32_t site = w->config.node[node].site;

	memset(s, 0, sizeof *s);
	s->nodeid = node + 1;
	s->pid = w->node[node].pid;
	s->node = node;
	s->incarnation = sim_random_next(&w->random) | 1;
	s->boot = w->node[node].boot;
	for (uint32_t i = 0; i < 4; i++)
		s->random[i] = sim_random_next(&w->random);
	s->lease_ms = 1000;
	s->drift_ms = 70;
	s->reach = site >= 0 ? 1u << site : 0;
}

static void fill_superblock(struct sim *w, struct mirror_superblock *sb, uint32_t site,
			    bool blank)
{
	char text[256];

	sb->mirror = mirror_id;
	sb->lineage = lineage_id;
	sb->log.byte[0] = (uint8_t)(site + 1);
	sb->log.byte[1] = (uint8_t)++w->log_count;
	sb->site_id.byte[0] = (uint8_t)(site + 1);
	snprintf(sb->mirror_name, sizeof sb->mirror_name, "%s", w->config.mirror);
	sb->site = site;
	sb->site_count = w->config.site_count;
	sb->disks.count = w->plan.disk_count;
	for (uint32_t i = 0; i < sb->site_count; i++) {
		snprintf(sb->sites[i].name, sizeof sb->sites[i].name, "%s",
			 w->config.site[i].name);
		if (i != site)
			sb->sites[i].map_state = MIRROR_MAP_ALL_DIRTY;
	}
	for (uint32_t i = 0; i < sb->disks.count; i++) {
		snprintf(sb->disks.entry[i].name, CONFIG_NAME_MAX, "d%u", i);
		sb->disks.entry[i].size_bytes = w->plan.disk_bytes;
		sb->disks.entry[i].sector_bytes = SIM_SECTOR;
		memcpy(sb->evidence.identity[i], w->site[site].disk[i].identity,
		       MIRROR_IDENTITY_BYTES);
	}
	if (mirror_superblock_layout(sb, w->plan.log_bytes, text, sizeof text) != 0)
		abort();
	sb->log_epoch = sb->next_sequence = sb->tail_sequence = sb->tail_epoch = 1;
	sb->write_counter = 1;
	sb->blank = blank;
	if (!blank) {
		sb->history.count = 1;
		sb->history.entry[0] = first;
	}
}

static void make_log(struct sim *w, uint32_t site, bool blank)
{
	struct mirror_superblock *sb = calloc(1, sizeof *sb);
	struct sim_device *log = &w->site[site].log;
	uint8_t block[MIRROR_MAP_BLOCK_BYTES];
	struct mirror_map *map;
	uint64_t offset;
	uint32_t of;

	assert(sb != NULL);
	fill_superblock(w, sb, site, blank);
	mirror_superblock_encode(sb, log->now + MIRROR_SUPERBLOCK_BYTES);
	map = mirror_map_create(sb);
	assert(map != NULL);
	for (uint32_t i = 0; i < sb->site_count; i++)
		mirror_map_rewrite(map, i);
	while (mirror_map_take_dirty(map, &of, block, &offset))
		memcpy(log->now + offset, block, sizeof block);
	memcpy(log->stable, log->now, log->bytes);
	mirror_map_destroy(map);
	free(sb);
}

void sim_setup_log_again(struct sim *w, uint32_t site)
{
	struct sim_device *log = &w->site[site].log;

	memset(log->now, 0, log->bytes);
	memset(log->dirty, 0, log->bytes / SIM_SECTOR * sizeof *log->dirty);
	make_log(w, site, true);
	w->site[site].had_image = false;
}

void sim_setup_logs(struct sim *w)
{
	const struct history h = { .count = 1, .entry = { first } };

	sim_generation_add(w, &h);
	for (uint32_t s = 0; s < w->config.site_count; s++)
		make_log(w, s, s != 0);
	sim_setup_self(w, 0);
	w->node[0].file_bytes = cluster_first_voter(&w->config, &w->node[0].self,
						    &mirror_id, &lineage_id, &first,
						    w->node[0].file);
}
