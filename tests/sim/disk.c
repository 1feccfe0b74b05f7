/* disk.c - devices with a volatile cache. An operation has its effect, whole, when it
 * ends; one that a power cut or a reset finds under way leaves some of its sectors.
 * A flush makes stable the writes that ended before it began.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/engine/test_view.h"
#include "tests/sim/sim.h"

void sim_device_make(struct sim_device *d, uint64_t bytes)
{
	d->bytes = bytes;
	d->now = calloc(1, bytes);
	d->stable = calloc(1, bytes);
	d->dirty = calloc(bytes / SIM_SECTOR, sizeof *d->dirty);
	assert(d->now != NULL && d->stable != NULL && d->dirty != NULL);
	d->dirty_from = UINT64_MAX;
}

void sim_device_free(struct sim_device *d)
{
	free(d->now);
	free(d->stable);
	free(d->dirty);
}

struct sim_device *sim_device(struct sim *w, uint32_t site, uint32_t device)
{
	return device == MIRROR_IO_LOG ? &w->site[site].log : &w->site[site].disk[device];
}

/* Write one sector. Data that a flush under way is to cover becomes stable first. */
static void put_sector(struct sim_device *d, uint64_t sector, const uint8_t *from)
{
	uint8_t *at = d->now + sector * SIM_SECTOR;

	if (d->dirty[sector] != 0 && d->dirty[sector] <= d->flush_covers)
		memcpy(d->stable + sector * SIM_SECTOR, at, SIM_SECTOR);
	if (from != NULL)
		memcpy(at, from, SIM_SECTOR);
	else
		memset(at, 0, SIM_SECTOR);
	d->dirty[sector] = d->write_count;
	d->dirty_from = sector < d->dirty_from ? sector : d->dirty_from;
	d->dirty_to = sector + 1 > d->dirty_to ? sector + 1 : d->dirty_to;
}

static void put(struct sim_device *d, uint64_t at, const uint8_t *from, uint64_t length)
{
	d->write_count++;
	for (uint64_t i = 0; i < length; i += SIM_SECTOR)
		put_sector(d, (at + i) / SIM_SECTOR, from != NULL ? from + i : NULL);
}

static void flush(struct sim_device *d, uint32_t covers)
{
	uint64_t from = UINT64_MAX, to = 0;

	for (uint64_t i = d->dirty_from; i < d->dirty_to; i++) {
		if (d->dirty[i] == 0)
			continue;
		if (d->dirty[i] <= covers) {
			memcpy(d->stable + i * SIM_SECTOR, d->now + i * SIM_SECTOR,
			       SIM_SECTOR);
			d->dirty[i] = 0;
			continue;
		}
		from = i < from ? i : from;
		to = i + 1;
	}
	d->dirty_from = from;
	d->dirty_to = to;
}

/* ---- operations ------------------------------------------------------------- */

static void gather(struct sim_op *o, const struct mirror_io *io)
{
	uint64_t at = 0;

	o->data = malloc(io->length_bytes);
	assert(o->data != NULL);
	for (uint32_t i = 0; i < io->iov_count; i++) {
		memcpy(o->data + at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	assert(at == io->length_bytes);
}

static uint64_t latency(struct sim *w, const struct sim_device *d)
{
	const uint64_t due = sim_soon(w, w->plan.io_us) + d->slow_ns;

	return due < d->stuck_until_ns ? d->stuck_until_ns + sim_random(w, SIM_MS) : due;
}

void sim_io_submit(struct sim *w, uint32_t node, struct mirror_io *io)
{
	const uint32_t site = w->node[node].site;
	struct sim_device *d = sim_device(w, site, io->device);
	uint32_t i = w->op_next;

	assert(io->op == MIRROR_IO_FLUSH ||
	       (io->offset_bytes % SIM_SECTOR == 0 &&
		io->offset_bytes + io->length_bytes <= d->bytes));
	for (uint32_t tried = 0; w->op[i].used; i = (i + 1) % SIM_OPS_MAX)
		assert(++tried < SIM_OPS_MAX);
	w->op_next = (i + 1) % SIM_OPS_MAX;
	w->op[i] = (struct sim_op){
		.used = true,
		.io = io,
		.op = io->op,
		.node = node,
		.process = w->node[node].process,
		.begun_ns = w->now_ns,
		.site = site,
		.device = io->device,
		.offset = io->offset_bytes,
		.length = io->length_bytes,
		.flush_covers = d->write_count,
	};
	if (io->op == MIRROR_IO_WRITE)
		gather(&w->op[i], io);
	if (io->op == MIRROR_IO_FLUSH)
		d->flush_covers = d->write_count;
	w->count.io++;
	sim_at(w, latency(w, d), SIM_IO, node, i, NULL);
}

/* It is where something is wrong with the device. */
static bool is_there(const struct sim_device *d, const struct sim_op *o)
{
	return d->only_to == 0 ||
	       (o->offset < d->only_to && o->offset + o->length > d->only_from);
}

static bool fails(const struct sim_device *d, const struct sim_op *o)
{
	return d->fail != 0 && (d->fail_ops == 0 || (d->fail_ops >> o->op & 1) != 0) &&
	       is_there(d, o);
}

/* The data that should be there is not: only its checksums can tell. */
static void note_lost(struct sim *w, const struct sim_op *o)
{
	struct sim_site *s = &w->site[o->site];

	s->lost_offset = o->offset;
	s->lost_bytes = o->length;
	s->marked = 0;
	sim_trace(w, "site %u: the write to %llu of its log is lost", o->site,
		  (unsigned long long)o->offset);
}

/* It has failed: some of its sectors are written all the same, or some that it was to make
 * stable are. */
static void apply_some(struct sim *w, struct sim_device *d, const struct sim_op *o)
{
	const uint64_t share = sim_random(w, 4); /* 0: nothing is */

	if (o->op == MIRROR_IO_READ || share == 0)
		return;
	if (o->op == MIRROR_IO_FLUSH) {
		for (uint64_t i = d->dirty_from; i < d->dirty_to; i++)
			if (d->dirty[i] != 0 && d->dirty[i] <= o->flush_covers &&
			    sim_random(w, 4) < share) {
				memcpy(d->stable + i * SIM_SECTOR,
				       d->now + i * SIM_SECTOR, SIM_SECTOR);
				d->dirty[i] = 0;
			}
		return;
	}
	d->write_count++;
	for (uint64_t at = 0; at < o->length; at += SIM_SECTOR)
		if (sim_random(w, 4) < share)
			put_sector(d, (o->offset + at) / SIM_SECTOR,
				   o->data != NULL ? o->data + at : NULL);
}

static int32_t fail(struct sim *w, struct sim_device *d, const struct sim_op *o)
{
	const int32_t error = d->fail;

	if (!w->worst)
		apply_some(w, d, o);
	if (d->fail_count > 0 && --d->fail_count == 0) {
		d->fail = 0;
		sim_trace(w, "site %u device %d failed ONCE, op %d", o->site,
			  (int)o->device, (int)o->op);
	}
	return error;
}

/* A write gone astray would change blocks that an open has read already, unseen until the next
 * open. */
static bool is_opening(const struct sim *w, const struct sim_op *o)
{
	const struct sim_node *n = &w->node[o->node];

	return n->running && n->process == o->process && n->view.state < ENGINE_IDLE;
}

/* A block of a map that is lost is not found (docs/fault-model.md). Of a process that is gone
 * nobody knows where the maps are. */
static bool may_be_map(const struct sim *w, const struct sim_op *o)
{
	const struct sim_node *n = &w->node[o->node];
	const struct mirror_superblock *sb = n->view.sb;

	return !n->running || n->process != o->process ||
	       (o->offset >= sb->sites[0].map_start_bytes &&
		o->offset < sb->ring_start_bytes);
}

static void apply_write(struct sim *w, struct sim_device *d, const struct sim_op *o)
{
	uint64_t at = o->offset;

	if (o->device == MIRROR_IO_LOG && d->lose_writes > 0 && !may_be_map(w, o)) {
		d->lose_writes--;
		note_lost(w, o);
		return;
	}
	if (o->device == MIRROR_IO_LOG && d->misdirect_writes > 0 && !is_opening(w, o) &&
	    !may_be_map(w, o)) {
		d->misdirect_writes--;
		note_lost(w, o);
		at = sim_random(w, (d->bytes - o->length) / 4096 + 1) * 4096;
	}
	put(d, at, o->data, o->length);
}

static void apply(struct sim *w, struct sim_device *d, const struct sim_op *o)
{
	uint64_t at = o->offset;

	switch (o->op) {
	case MIRROR_IO_READ:
		for (uint32_t i = 0; o->io != NULL && i < o->io->iov_count; i++) {
			memcpy(o->io->iov[i].iov_base, d->now + at,
			       o->io->iov[i].iov_len);
			at += o->io->iov[i].iov_len;
		}
		break;
	case MIRROR_IO_WRITE:
		apply_write(w, d, o);
		break;
	case MIRROR_IO_ZERO:
	case MIRROR_IO_TRIM:
		put(d, at, NULL, o->length);
		break;
	case MIRROR_IO_FLUSH:
		flush(d, o->flush_covers);
		break;
	}
}

void sim_io_done(struct sim *w, uint64_t number)
{
	struct sim_op *o = &w->op[number];
	const struct sim_op done = *o;
	struct sim_device *d;
	struct mirror_event e = { .type = MIRROR_EVENT_IO, .io = done.io };
	int32_t result;

	if (!done.used)
		return;
	d = sim_device(w, done.site, done.device);
	if ((d->held_ops >> done.op & 1) != 0 && is_there(d, &done)) {
		sim_at(w, w->now_ns + SIM_MS / 4, SIM_IO, done.node, number, NULL);
		return;
	}
	if ((d->hung >> done.node & 1) != 0) {
		o->hangs = true;
		return;
	}
	if (w->now_ns < d->stuck_until_ns) {
		sim_at(w, d->stuck_until_ns + sim_random(w, SIM_MS), SIM_IO, done.node,
		       number, NULL);
		return;
	}
	if (done.io != NULL && w->now_ns < w->node[done.node].frozen_until_ns) {
		/* done on the device, seen by the process when it wakes */
		sim_at(w, w->node[done.node].frozen_until_ns, SIM_IO, done.node, number,
		       NULL);
		return;
	}
	result = fails(d, &done) ? fail(w, d, &done) : 0;
	if (result == 0)
		apply(w, d, &done);
	*o = (struct sim_op){ 0 };
	free(done.data);
	if (done.io == NULL)
		return;
	done.io->next = NULL;
	done.io->result = result;
	sim_mirror_step(w, done.node, &e);
	for (uint32_t i = 0; sim_checkers[i] != NULL; i++)
		if (sim_checkers[i]->io_ended != NULL)
			sim_checkers[i]->io_ended(w, done.node, &done, result);
}

void sim_device_hang(struct sim *w, uint32_t site, uint32_t device, uint32_t nodes)
{
	sim_device(w, site, device)->hung = nodes;
	for (uint32_t i = 0; i < SIM_OPS_MAX && nodes == 0; i++) {
		struct sim_op *o = &w->op[i];

		if (!o->used || !o->hangs || o->site != site || o->device != device)
			continue;
		o->hangs = false;
		sim_at(w, sim_soon(w, 1000), SIM_IO, o->node, i, NULL);
	}
}

bool sim_io_hangs(const struct sim *w, uint32_t node)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++)
		if (w->op[i].used && w->op[i].hangs && w->op[i].node == node)
			return true;
	return false;
}

/* Some sectors of it are there. */
static void tear(struct sim *w, struct sim_op *o)
{
	struct sim_device *d = sim_device(w, o->site, o->device);

	if (o->op != MIRROR_IO_READ && o->op != MIRROR_IO_FLUSH && !fails(d, o) &&
	    !w->worst) {
		d->write_count++;
		for (uint64_t at = 0; at < o->length; at += SIM_SECTOR)
			if (sim_random(w, 2) == 0)
				put_sector(d, (o->offset + at) / SIM_SECTOR,
					   o->data != NULL ? o->data + at : NULL);
	}
	free(o->data);
	*o = (struct sim_op){ 0 };
}

void sim_io_orphan(struct sim *w, uint32_t node, bool machine)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++) {
		struct sim_op *o = &w->op[i];

		if (!o->used || o->node != node)
			continue;
		o->io = NULL;
		if (machine)
			tear(w, o);
	}
}

void sim_io_settle(struct sim *w, uint32_t node)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++) {
		struct sim_op *o = &w->op[i];
		struct sim_device *d;

		if (!o->used || o->node != node)
			continue;
		d = sim_device(w, o->site, o->device);
		if (!fails(d, o))
			apply(w, d, o);
		free(o->data);
		*o = (struct sim_op){ 0 };
	}
}

bool sim_io_pending(const struct sim *w, uint32_t node)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++)
		if (w->op[i].used && w->op[i].node == node)
			return true;
	return false;
}

static void cut_power(struct sim *w, struct sim_device *d)
{
	for (uint64_t i = 0; i < d->bytes / SIM_SECTOR; i++) {
		uint8_t *now = d->now + i * SIM_SECTOR,
			*stable = d->stable + i * SIM_SECTOR;

		if (d->dirty[i] == 0)
			continue;
		if (w->worst || sim_random(w, 2) == 0)
			memcpy(now, stable, SIM_SECTOR);
		else
			memcpy(stable, now, SIM_SECTOR);
		d->dirty[i] = 0;
	}
}

/* Its hosts are off already. */
void sim_power_cut(struct sim *w, uint32_t site)
{
	cut_power(w, &w->site[site].log);
	for (uint32_t d = 0; d < w->plan.disk_count; d++)
		cut_power(w, &w->site[site].disk[d]);
	w->site[site].power_cuts++;
}

/* Where a record is that is not at home yet; else anywhere. */
static uint64_t rot_sector(struct sim *w, uint32_t site)
{
	const int32_t host = w->site[site].open_node;
	const uint64_t any = sim_random(w, w->site[site].log.bytes / SIM_SECTOR);
	const uint64_t back = sim_random(w, 8);
	const struct mirror_view *m;
	const struct mirror_record *r;

	if (host < 0)
		return any;
	m = sim_view(w, host);
	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING ||
	    m->marks->durable <= m->marks->home_flushed + back)
		return any;
	r = mirror_view_record(m, m->marks->durable - back);
	if (r->header.data_bytes == 0)
		return any;
	if (m->mark_logged >= r->header.sequence &&
	    !m->sb->hold.active) { /* W4: a mark stands behind it */
		w->site[site].marked = m->mark_logged;
		w->site[site].marked_generation = sim_generation_of(w, m);
		w->site[site].marked_power_cuts = w->site[site].power_cuts;
	}
	return r->log_position / SIM_SECTOR;
}

/* Bits of a log flip where records are. False: nothing is there yet. */
bool sim_rot(struct sim *w, uint32_t site)
{
	struct sim_device *d = &w->site[site].log;

	w->site[site].marked = 0;
	for (uint32_t i = 0; i < 64; i++) {
		const uint64_t sector = rot_sector(w, site);
		uint8_t *at = d->now + sector * SIM_SECTOR;
		uint64_t word;

		memcpy(&word, at, sizeof word);
		if (word == 0)
			continue;
		for (uint64_t k = 1 + sim_random(w, 8); k > 0; k--)
			at[sim_random(w, SIM_SECTOR)] ^= (uint8_t)(1 << sim_random(w, 8));
		memcpy(d->stable + sector * SIM_SECTOR, at, SIM_SECTOR);
		return true;
	}
	return false;
}
