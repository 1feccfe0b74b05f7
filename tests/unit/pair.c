/* pair.c - see pair.h. */
#include "tests/unit/pair.h"

#include <assert.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fifo.h"
#include "mirror/line/wire.h"
#include "tests/unit/pair_private.h"

uint64_t pair_random(struct pair *p, uint64_t below)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random % below;
}

/* ---- a step of one engine, and its actions ------------------------------- */

static void take_fact(struct pair *p, uint32_t site, const struct fact *f)
{
	struct pair_site *s = &p->site[site];

	/* D6: a device that this host could not open is open at another one */
	if (f->type == FACT_OPENED && f->error != 0)
		ck_assert(!s->open && !s->opening);
	s->last[f->type] = *f;
	s->fact_count[f->type]++;
	if (p->verbose && f->type != FACT_MARKS)
		fprintf(stderr, "  %u: fact %d site %u error %d seq %llu %s %s %s\n",
			site, f->type, f->site, f->error, (unsigned long long)f->sequence,
			f->object, f->rule, f->text);
	if (f->type == FACT_COPY_READY) {
		s->waited |= 1u << f->site;
		s->ready_seen = f->ready_count;
		s->wait_due = true;
	} else if (f->type == FACT_COPY_LOST && (!p->alone || f->behind)) {
		s->waited &= ~(1u << f->site);
		s->wait_due = true;
	}
}

static void take_link_orders(struct pair *p, uint32_t site, struct mirror_actions *out)
{
	for (uint32_t i = 0; i < out->link_order_count; i++) {
		const struct mirror_link_order *o = &out->link_order[i];

		if (o->action == MIRROR_LINK_CONNECT)
			pair_connect(p, site, o->link,
				     (uint32_t)strtoul(o->address, NULL, 10));
		else
			pair_hang_up(p, site, o->link);
	}
}

static void take_actions(struct pair *p, uint32_t site, struct mirror_actions *out)
{
	struct pair_site *s = &p->site[site];
	struct mirror_request *q;

	for (struct mirror_io *io = out->io.head; io != NULL; io = io->next) {
		assert(s->io_count < PAIR_IO_MAX);
		s->io[s->io_count++] = io;
	}
	s->opening |= out->open_devices;
	s->closing |= out->close_devices;
	if (out->clients != MIRROR_CLIENTS_KEEP) {
		/* the driver has one answer under way at a time */
		ck_assert(!s->clients_due);
		s->clients_due = true;
		s->clients = out->clients == MIRROR_CLIENTS_OPEN;
	}
	while ((q = fifo_pop(&out->answer)) != NULL)
		pair_answered(p, site, q);
	while (out->send.head != NULL) {
		struct mirror_frame *f = out->send.head;

		out->send.head = f->next;
		f->next = NULL;
		pair_send(p, site, f);
	}
	take_link_orders(p, site, out);
	for (uint32_t i = 0; i < out->fact_count; i++)
		take_fact(p, site, &out->fact[i]);
	/* One that has passed would make the driver spin. */
	ck_assert_uint_ge(out->wake_at_ns, p->now_ns);
	s->wake_at_ns = out->wake_at_ns;
}

void pair_step(struct pair *p, uint32_t site, struct mirror_event *e)
{
	static struct mirror_actions out[PAIR_SITES_MAX];

	e->now_ns = p->now_ns;
	e->wall_ns = p->now_ns + p->wall_ahead_ns + 1;
	mirror_step(p->site[site].engine, e, &out[site]);
	if (pair_random(p, 64) == 0)
		mirror_engine_check(p->site[site].engine);
	p->site[site].io_first_count += out[site].io_first;
	take_actions(p, site, &out[site]);
	pair_order_watch(p, site);
}

void pair_order(struct pair *p, uint32_t site, const struct order *o)
{
	struct mirror_event e = { .type = MIRROR_EVENT_ORDER, .order = o };

	if (o->type == ORDER_LEASE)
		p->site[site].lease_until_ns = o->until_ns;

	pair_step(p, site, &e);
}

/* A mirror has the larger sectors from its beginning, whichever site serves later. */
static uint32_t sector_bytes(uint32_t site)
{
	return site == 0 ? 4096 : 512;
}

/* ---- things that may happen ---------------------------------------------- */

static void answer_devices(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];
	static struct mirror_devices d;
	struct mirror_event e = { .type = MIRROR_EVENT_DEVICES, .devices = &d };

	memset(&d, 0, sizeof d);
	d.log_bytes = s->log.bytes;
	for (uint32_t i = 0; i < PAIR_DISKS; i++) {
		d.disk_bytes[i] = s->disk[i].bytes;
		d.disk_sector_bytes[i] = sector_bytes(site);
	}
	s->opening = false;
	s->open = true;
	pair_step(p, site, &e);
}

static bool happen_site(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];
	struct mirror_event e = { 0 };

	if (s->opening) {
		answer_devices(p, site);
	} else if (s->closing && s->io_count == 0) {
		s->closing = s->open = false;
		e.type = MIRROR_EVENT_DEVICES_CLOSED;
		pair_step(p, site, &e);
	} else if (s->clients_due) {
		s->clients_due = false;
		e.type = MIRROR_EVENT_CLIENTS;
		s->serving = s->clients;
		pair_step(p, site, &e);
	} else if (s->wait_due) {
		struct order o = { .type = ORDER_WAIT,
				   .id = 9,
				   .sites = s->waited,
				   .promise = p->promise,
				   .missing = p->missing,
				   .ready_seen = s->ready_seen };

		s->wait_due = false;
		pair_order(p, site, &o);
	} else {
		return pair_finish_some_io(p, site);
	}
	return true;
}

static bool tick(struct pair *p, bool far)
{
	uint64_t earliest = UINT64_MAX;
	bool ticked = false;

	for (uint32_t i = 0; i < p->site_count; i++)
		if (p->site[i].up && p->site[i].wake_at_ns < earliest)
			earliest = p->site[i].wake_at_ns;
	if (earliest == UINT64_MAX && !far)
		return false;
	if (far && earliest != UINT64_MAX && earliest > p->now_ns)
		p->now_ns = earliest;
	else
		p->now_ns += pair_random(p, 1000000);
	for (uint32_t i = 0; i < p->site_count; i++)
		if (p->site[i].up && p->site[i].wake_at_ns <= p->now_ns) {
			struct mirror_event e = { .type = MIRROR_EVENT_TICK };

			pair_step(p, i, &e);
			ticked = true;
		}
	return ticked;
}

static bool happen(struct pair *p)
{
	const uint32_t first = (uint32_t)pair_random(p, p->site_count);
	const uint64_t what = pair_random(p, 8);

	p->now_ns += pair_random(p, 20000);
	if (what == 0 && tick(p, false))
		return true;
	if (what <= 2 && p->client_on && pair_submit(p))
		return true;
	if (what <= 4 && pair_deliver(p))
		return true;
	for (uint32_t i = 0; i < p->site_count; i++) {
		const uint32_t site = (first + i) % p->site_count;

		if (p->site[site].up && happen_site(p, site))
			return true;
	}
	if (pair_deliver(p) || (p->client_on && pair_submit(p)))
		return true;
	return tick(p, true);
}

void pair_run(struct pair *p, uint32_t steps)
{
	for (uint32_t i = 0; i < steps; i++) {
		happen(p);
		if (p->bare_check_every > 0 && pair_random(p, p->bare_check_every) == 0)
			for (uint32_t s = 0; s < p->site_count; s++)
				pair_expect_bare(p, s);
	}
}

bool pair_run_until(struct pair *p, uint32_t steps,
		    bool (*done)(struct pair *p, uint32_t site), uint32_t site)
{
	for (uint32_t i = 0; i < steps; i++) {
		if (done(p, site))
			return true;
		pair_run(p, 1);
	}
	return done(p, site);
}

/* ---- a site's process ---------------------------------------------------- */

static bool is_open(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_OPENED] > 0;
}

void pair_start(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];
	const struct mirror_seed seed = {
		.random = { pair_random(p, UINT64_MAX), pair_random(p, UINT64_MAX), 3, 4 }
	};
	struct order o = { .type = ORDER_OPEN,
			   .id = 1,
			   .site = site,
			   .incarnation = pair_random(p, UINT64_MAX) };

	s->engine = mirror_engine_create(p->config, &seed);
	s->up = true;
	s->wake_at_ns = UINT64_MAX;
	memset(s->fact_count, 0, sizeof s->fact_count);
	s->waited = 0;
	s->ready_seen = 0;
	s->serving = false;
	s->lease_until_ns = 0;
	pair_order_started(p, site);
	pair_order(p, site, &o);
	ck_assert(pair_run_until(p, 20000, is_open, site));
}

void pair_crash(struct pair *p, uint32_t site, bool power)
{
	struct pair_site *s = &p->site[site];
	const bool bare = pair_is_bare(p, site) &&
			  (!power || p->config->order == CONFIG_ORDER_FLUSH) &&
			  p->bare_check_every > 0;

	pair_drop_connections(p, site);
	for (uint32_t i = 0; i < s->io_count; i++)
		pair_tear_io(p, site, s->io[i]);
	s->io_count = 0;
	s->sent_count = 0;
	pair_forget_requests(p, site);
	mirror_engine_destroy(s->engine);
	s->engine = NULL;
	s->up = s->open = s->opening = s->closing = s->clients_due = s->serving = false;
	s->wait_due = false;
	if (power && site == p->client_site && s->waited == 0)
		p->flushed_only = true;
	if (power) {
		pair_power_cut(p, &s->log);
		s->lost_power = true;
	}
	for (uint32_t i = 0; i < PAIR_DISKS && power; i++)
		pair_power_cut(p, &s->disk[i]);
	if (bare)
		pair_expect_bare_image(p, site);
}

/* ---- the members' part --------------------------------------------------- */

static bool is_prepared(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_PREPARED] > 0;
}

static bool is_serving(struct pair *p, uint32_t site)
{
	return p->site[site].fact_count[FACT_SERVING] > 0;
}

bool pair_promote(struct pair *p, uint32_t site, uint32_t sources, bool force)
{
	struct pair_site *s = &p->site[site];
	struct generation g = { .reason = force ? GENERATION_FORCED : GENERATION_CURRENT,
				.site = site };
	struct order o = { .type = ORDER_PREPARE,
			   .id = 2,
			   .ballot = ++p->ballot << 8,
			   .force = force,
			   .history = p->history };

	for (uint32_t i = 0; i < 16; i++)
		g.id.byte[i] = (uint8_t)pair_random(p, 256);
	o.generation = g.id;
	for (uint32_t i = 0; i < p->site_count; i++)
		if ((sources >> i & 1) != 0) {
			o.source[o.source_count].site = i;
			snprintf(o.source[o.source_count++].address, CONFIG_ADDRESS_MAX,
				 "%u", i);
		}
	s->fact_count[FACT_PREPARED] = s->fact_count[FACT_SERVING] = 0;
	pair_order(p, site, &o);
	if (!pair_run_until(p, 100000, is_prepared, site) ||
	    s->last[FACT_PREPARED].error != 0)
		return false;
	g.cut = s->last[FACT_PREPARED].sequence;
	g.ordinal = history_newest(&p->history)->ordinal + 1;
	g.parent = history_newest(&p->history)->id;
	history_append(&p->history, &g);
	if (p->flushed_only) { /* D4 */
		ck_assert(force || g.cut >= p->flushed);
		p->flushed_only = false;
	} else if (!force && !pair_may_cut(p, g.cut))
		ck_abort_msg("promoted at %llu, but %llu was answered and %llu was read",
			     (unsigned long long)g.cut,
			     (unsigned long long)p->acknowledged,
			     (unsigned long long)p->seen);
	p->acknowledged = p->acknowledged < g.cut ? p->acknowledged : g.cut;
	p->flushed = p->flushed < g.cut ? p->flushed : g.cut;
	p->answered = p->answered < g.cut ? p->answered : g.cut;
	p->seen = p->seen < g.cut ? p->seen : g.cut;
	pair_cut_journal(p, g.cut);
	p->client_site = site;
	o = (struct order){ .type = ORDER_LEASE, .until_ns = UINT64_MAX };
	pair_order(p, site, &o);
	o = (struct order){ .type = ORDER_SERVE,
			    .id = 3,
			    .ballot = p->ballot << 8,
			    .history = p->history,
			    .promise = p->promise,
			    .missing = p->missing,
			    .sites = p->promise.mode == CONFIG_ASYNC ?
					     0 :
					     s->last[FACT_PREPARED].reached_sites };
	s->waited = o.sites;
	pair_order(p, site, &o);
	return pair_run_until(p, 100000, is_serving, site) &&
	       s->last[FACT_SERVING].error == 0;
}

void pair_link(struct pair *p, uint32_t from, uint32_t to)
{
	struct order o = { .type = ORDER_LINK, .site = to };

	o.peer.site = to;
	o.peer.port = 1;
	snprintf(o.peer.address, sizeof o.peer.address, "%u", to);
	pair_order(p, from, &o);
}

void pair_promise(struct pair *p, uint32_t site, uint32_t mode, uint32_t records,
		  uint32_t ms)
{
	p->promise = promise_make(mode, records, ms);
	if (mode == CONFIG_ASYNC)
		p->site[site].waited = 0;
	p->site[site].fact_count[FACT_PROMISE] = 0;
	p->site[site].wait_due = true;
}

bool pair_is_level(struct pair *p, uint32_t site)
{
	return (p->site[site].waited & ~(1u << site)) ==
		       ((1u << p->site_count) - 1) - (1u << site) &&
	       !p->site[site].wait_due;
}

/* ---- create -------------------------------------------------------------- */

static void make_log(struct pair *p, uint32_t site, uint64_t log_bytes)
{
	struct mirror_superblock *sb = calloc(1, sizeof *sb);
	struct pair_device *log = &p->site[site].log;
	uint8_t block[MIRROR_MAP_BLOCK_BYTES];
	struct mirror_map *map;
	uint64_t offset;
	uint32_t of;
	char text[256];

	sb->mirror.byte[0] = sb->lineage.byte[0] = 7;
	sb->log.byte[0] = (uint8_t)(site + 1);
	sb->site_id.byte[0] = (uint8_t)(site + 1);
	snprintf(sb->mirror_name, sizeof sb->mirror_name, "%s", p->config->mirror);
	sb->site = site;
	sb->site_count = p->site_count;
	sb->disks.count = PAIR_DISKS;
	for (uint32_t i = 0; i < p->site_count; i++) {
		snprintf(sb->sites[i].name, sizeof sb->sites[i].name, "%s",
			 p->config->site[i].name);
		if (i != site)
			sb->sites[i].map_state = MIRROR_MAP_ALL_DIRTY;
	}
	for (uint32_t i = 0; i < PAIR_DISKS; i++) {
		snprintf(sb->disks.entry[i].name, CONFIG_NAME_MAX, "d%u", i);
		sb->disks.entry[i].size_bytes = PAIR_DISK_BYTES;
		sb->disks.entry[i].sector_bytes = sector_bytes(site);
	}
	if (mirror_superblock_layout(sb, log_bytes, text, sizeof text) != 0)
		ck_abort_msg("%s", text);
	sb->log_epoch = 1;
	sb->next_sequence = 1;
	sb->tail_sequence = 1;
	sb->tail_epoch = 1;
	sb->write_counter = 1;
	sb->blank = site != 0;
	if (site == 0)
		sb->history = p->history;
	mirror_superblock_encode(sb, log->now + MIRROR_SUPERBLOCK_BYTES);
	map = mirror_map_create(sb);
	for (uint32_t i = 0; i < p->site_count; i++)
		mirror_map_rewrite(map, i);
	while (mirror_map_take_dirty(map, &of, block, &offset))
		memcpy(log->now + offset, block, sizeof block);
	memcpy(log->stable, log->now, log->bytes);
	mirror_map_destroy(map);
	free(sb);
}

void pair_blank(struct pair *p, uint32_t site)
{
	struct pair_site *s = &p->site[site];
	struct pair_device *d = &s->log;

	for (uint32_t i = 0; i <= PAIR_DISKS; i++) {
		memset(d->now, 0, d->bytes);
		memset(d->stable, 0, d->bytes);
		memset(d->dirty, 0, d->bytes / 512);
		d = &s->disk[i < PAIR_DISKS ? i : 0];
	}
	make_log(p, site, s->log.bytes);
}

static void make_config(struct pair *p)
{
	struct config *c = p->config;

	snprintf(c->mirror, sizeof c->mirror, "pair");
	snprintf(c->instance, sizeof c->instance, "pair");
	c->cluster = true; /* the rules below are the members' */
	c->copy_timeout_ms = 10000;
	c->frozen_timeout_ms = 1000;
	c->demote_drain_ms = 1000;
	c->bypass_at_percent = 80;
	c->refresh_retry_ms = 1000;
	c->task_range_count = 128; /* of 16 KiB: borders lie where clients write */
	c->task_per_range_count = 4;
	c->memory_bytes = 16u << 20;
	c->site_count = p->site_count;
	for (uint32_t i = 0; i < p->site_count; i++) {
		snprintf(c->site[i].name, sizeof c->site[i].name, "s%u", i);
		c->site[i].disk_count = PAIR_DISKS;
		for (uint32_t d = 0; d < PAIR_DISKS; d++)
			snprintf(c->site[i].disk[d].name, CONFIG_NAME_MAX, "d%u", d);
	}
}

static void make_device(struct pair_device *d, uint64_t bytes)
{
	d->bytes = bytes;
	d->now = calloc(1, bytes);
	d->stable = calloc(1, bytes);
	d->dirty = calloc(1, bytes / 512);
}

struct pair *pair_create(uint64_t seed, uint32_t site_count, uint64_t log_bytes)
{
	struct pair *p = calloc(1, sizeof *p);
	const struct generation first = { .ordinal = 1,
					  .id = { { 1 } },
					  .reason = GENERATION_CREATED };

	p->random = seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
	p->now_ns = 1000000000;
	p->site_count = site_count;
	p->config = calloc(1, sizeof *p->config);
	make_config(p);
	p->history.count = 1;
	p->history.entry[0] = first;
	pair_make_client(p);
	for (uint32_t i = 0; i < site_count; i++) {
		make_device(&p->site[i].log, log_bytes);
		for (uint32_t d = 0; d < PAIR_DISKS; d++)
			make_device(&p->site[i].disk[d], PAIR_DISK_BYTES);
		make_log(p, i, log_bytes);
	}
	return p;
}

static void free_device(struct pair_device *d)
{
	free(d->now);
	free(d->stable);
	free(d->dirty);
}

void pair_destroy(struct pair *p)
{
	for (uint32_t i = 0; i < p->site_count; i++)
		if (p->site[i].up)
			pair_crash(p, i, false);
	pair_sweep(p);
	for (uint32_t i = 0; i < p->site_count; i++) {
		free_device(&p->site[i].log);
		for (uint32_t d = 0; d < PAIR_DISKS; d++)
			free_device(&p->site[i].disk[d]);
	}
	pair_free_client(p);
	free(p->config);
	free(p);
}
