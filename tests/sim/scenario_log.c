/* scenario_log.c - traces of the writelog and of its records' way home (G1, G8, W1, W4, D8).
 */
#include <errno.h>
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define SECTOR 170u

/* ---- a power cut -------------------- */

/* The power of a site fails. Of the blocks in this device's cache, the one at `lost` is gone,
 * all others stay. */
static void lose_block(struct sim *w, uint32_t site, struct sim_device *d, uint64_t lost)
{
	for (uint64_t i = 0; i < d->bytes / SIM_SECTOR; i++) {
		const bool goes = i * SIM_SECTOR / MIRROR_BLOCK_BYTES ==
				  lost / MIRROR_BLOCK_BYTES;

		if (d->dirty[i] != 0)
			memcpy((goes ? d->now : d->stable) + i * SIM_SECTOR,
			       (goes ? d->stable : d->now) + i * SIM_SECTOR, SIM_SECTOR);
		d->dirty[i] = 0;
	}
	sim_site_power(w, site);
}

/* ---- a home write that outlives its record -------------------- */

static bool goes_home(struct sim_scene *s)
{
	for (uint32_t i = 0; i < SIM_OPS_MAX; i++)
		if (s->w->op[i].used && s->w->op[i].node == 2 &&
		    s->w->op[i].device == 0 && s->w->op[i].op == MIRROR_IO_WRITE &&
		    s->w->op[i].offset == SECTOR * SIM_SECTOR)
			return true;
	return false;
}

static bool is_all_home(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 2);

	return m->marks->home_flushed == sim_scene_engine(s, 0)->marks->last;
}

static bool is_judged(struct sim_scene *s)
{
	return sim_scene_engine(s, 2)->greeting_link != MIRROR_LINK_NONE;
}

static bool keeps_record(struct sim_scene *s)
{
	return goes_home(s) && sim_scene_engine(s, 2)->marks->last >= s->sequence;
}

static bool is_cut(struct sim_scene *s)
{
	return sim_scene_engine(s, 2)->stream_link != MIRROR_LINK_NONE;
}

/* A copy is bringing home a record that production never acknowledged, when another site takes
 * over without it. The write is still under way when the new history undoes the record. */
static void home_outlives(struct sim_scene *s)
{
	UNTIL(s, 3000, is_all_home, "all is home at the third site");
	sim_stall(s->w, 0, 1, true);
	sim_hold_device(s->w, 2, 0, 1u << MIRROR_IO_WRITE);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	s->sequence = s->write->request.sequence;
	UNTIL(s, 1000, goes_home, "it goes home at the third site");
	EXPECT(s, !s->write->told, "it is not acknowledged");
	sim_machine_reset(s->w, 0);
	sim_part(s->w, 1 << 2, true, true);
	sim_stall(s->w, 0, 1, false);
	if (!sim_scene_takeover(s, 1))
		return;
	EXPECT(s, sim_scene_engine(s, 1)->marks->last < s->sequence,
	       "another takes over without it");
	s->write = sim_scene_write(s, 1, SECTOR + 1);
	EXPECT(s, s->write != NULL, "another write is taken");
	UNTIL(s, 1000, sim_told, "and acknowledged");
	sim_part(s->w, 0, true, true);
	UNTIL(s, 5000, is_judged, "the third site hears of the new history");
	WHILE(s, 500, keeps_record, "it waits for the write");
	sim_hold_device(s->w, 2, 0, 0);
	UNTIL(s, 5000, is_cut, "the record is undone");
	EXPECT(s,
	       mirror_map_covers(sim_scene_engine(s, 2)->map, 2, 0, SECTOR * SIM_SECTOR,
				 SIM_SECTOR),
	       "its extent is marked to be sent again");
}

/* ---- damage in the middle of a log -------------------- */

static bool is_marked(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return m->mark_logged >= s->sequence;
}

static bool is_refused(struct sim_scene *s)
{
	const struct role *r = &sim_scene_core(s, 0)->role;

	return r->devices == DEVICES_CLOSED && r->text[0] != 0;
}

static bool stays_closed(struct sim_scene *s)
{
	return s->w->site[0].open_node < 0 ||
	       sim_scene_engine(s, 0)->state != ENGINE_IDLE;
}

/* Bits flip in a descriptor, or in the data of a record; others that were durable follow
 * it. */
static void damage(struct sim_scene *s)
{
	struct sim_device *log = &s->w->site[0].log;
	const struct mirror_view *m = sim_scene_engine(s, 0);
	uint64_t at;

	if (!sim_scene_writes(s, 0, 9))
		return;
	s->node = 0;
	s->sequence = m->marks->last;
	UNTIL(s, 1000, is_marked, "all is durable, and marked so (W4)");
	EXPECT(s, m->marks->home_flushed + 6 < m->marks->last, "it is not home");
	at = m->records[(m->marks->last - 5) % RECORDS_MAX].log_position;
	if (s->w->seed % 2 == 0)
		at -= MIRROR_BLOCK_BYTES;
	sim_node_kill(s->w, 0);
	log->now[at + 40] ^= 4;
	memcpy(log->stable + at, log->now + at, SIM_SECTOR);
	s->w->site[0].tainted = s->w->site[0].rotten = true;
	sim_node_start(s->w, 0);
	UNTIL(s, 5000, is_refused, "its site cannot be opened");
	EXPECT(s, strstr(sim_scene_core(s, 0)->role.text, "damage") != NULL,
	       "because its log is damaged");
	WHILE(s, 2000, stays_closed, "it stays closed");
	sim_scene_takeover(s, 1);
}

/* ---- damage at the end of a log -------------------- */

static bool is_home(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->marks->home >= s->sequence;
}

static void keep_all(struct sim_device *d)
{
	memcpy(d->stable, d->now, d->bytes);
	memset(d->dirty, 0, d->bytes / SIM_SECTOR * sizeof *d->dirty);
}

/* As soon as the newest two groups are at home the process dies, or the power fails, and
 * the log loses all that it may; then bits flip in the first of them. It is not taken for the
 * end of the log, since the disk holds both. */
static void damage_at_end(struct sim_scene *s)
{
	struct sim_device *log = &s->w->site[0].log, *disk = &s->w->site[0].disk[0];
	const struct mirror_view *m = sim_scene_engine(s, 0);
	uint64_t at;

	if (!sim_scene_writes(s, 0, 2))
		return;
	s->sequence = s->write->request.sequence;
	UNTIL(s, 1000, is_home, "both are at home");
	EXPECT(s, m->marks->home_flushed < s->sequence - 1, "their records are needed");
	at = m->records[(s->sequence - 1) % RECORDS_MAX].log_position;
	if (s->w->seed % 2 == 0) {
		sim_node_kill(s->w, 0);
	} else {
		keep_all(disk);
		s->w->worst = true;
		sim_site_power(s->w, 0);
		s->w->worst = false;
	}
	log->now[at + 40] ^= 4;
	memcpy(log->stable + at, log->now + at, SIM_SECTOR);
	s->w->site[0].tainted = s->w->site[0].rotten = true;
	sim_node_start(s->w, 0);
	s->node = 0;
	UNTIL(s, 5000, is_refused, "its site cannot be opened");
	EXPECT(s, strstr(sim_scene_core(s, 0)->role.text, "damage") != NULL,
	       "because its log is damaged");
	sim_scene_takeover(s, 1);
}

/* ---- a flush or a write of the log that fails -------------------- */

static bool has_detached(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, s->node);

	return m->failed || m->state == ENGINE_CLOSED;
}

static bool is_without(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

/* Once, at production or at the copy: the next one would succeed, and could not make up
 * for it. */
static void failed_flush(struct sim_scene *s)
{
	const uint32_t site = s->w->seed % 2;
	const bool writes = s->w->seed / 2 % 2 == 1;
	struct sim_device *log = &s->w->site[site].log;

	log->fail = -EIO;
	log->fail_ops = 1u << (writes ? MIRROR_IO_WRITE : MIRROR_IO_FLUSH);
	s->node = site;
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "the write is taken");
	EXPECT(s, !writes || sim_scene_flush(s, 0) != NULL, "and a flush");
	UNTIL(s, 1000, has_detached, "a site whose log fails gives it up");
	log->fail = 0;
	WHILE(s, 1000, has_detached, "and does not go on with it");
	if (site == 0) {
		sim_node_kill(s->w, 0);
		sim_scene_takeover(s, 1);
		return;
	}
	UNTIL(s, 8000, is_without, "the copy is not current any more");
	UNTIL(s, 1000, sim_told, "the write is acknowledged without it");
}

/* ---- a record that was left over -------------------- */

static bool ends_with_mark(struct sim_scene *s)
{
	return is_marked(s) && sim_scene_engine(s, 0)->marks->durable == s->sequence;
}

static bool is_logged(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->marks->logged > s->sequence;
}

static bool opens_again(struct sim_scene *s, const char *what)
{
	sim_node_start(s->w, 0);
	s->node = 0;
	return sim_scene_until(s, 5000, sim_agree, "all agree") &&
	       sim_scene_until(s, 5000, sim_is_open, "its devices are open again") &&
	       sim_scene_expect(s, sim_scene_engine(s, 0)->marks->last == s->sequence,
				what);
}

/* A mark is lost and the record behind it is not: the log ends before both. The next open
 * puts its own mark there, and a new generation begins; then the record that was left over
 * stands right behind the end, with the number that comes next. */
static void leftover(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);
	uint64_t mark, behind;

	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_without, "the copy is not current any more");
	if (!sim_scene_writes(s, 0, 1))
		return;
	s->sequence = m->marks->last;
	s->node = 0;
	UNTIL(s, 1000, sim_durable, "a write is durable");
	sim_hold_device(s->w, 0, MIRROR_IO_LOG, 1u << MIRROR_IO_FLUSH);
	UNTIL(s, 1000, ends_with_mark, "the log ends with a mark");
	mark = mirror_ring_device_offset(m->ring, mirror_ring_previous_position(m->ring));
	behind = mirror_ring_head_position(m->ring);
	s->write = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->write != NULL, "another write is taken");
	UNTIL(s, 1000, is_logged, "its record is in the log behind the mark");
	EXPECT(s,
	       m->marks->durable == s->sequence &&
		       s->w->site[0].log.dirty[mark / SIM_SECTOR] != 0,
	       "neither is durable");
	s->w->worst = true;
	lose_block(s->w, 0, &s->w->site[0].log, mark);
	sim_release_all(s->w);
	if (!opens_again(s, "the log ends before the mark") || !sim_scene_takeover(s, 0))
		return;
	m = sim_scene_engine(s, 0);
	EXPECT(s, mirror_ring_head_position(m->ring) == behind,
	       "the leftover lies where its log goes on");
	sim_node_kill(s->w, 0);
	opens_again(s, "the leftover is no part of the log");
}

/* ---- a cache that keeps the newer of two groups -------------------- */

static bool is_bare(struct sim_scene *s)
{
	return s->w->site[1].bare;
}

static bool is_done(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->marks->home >= s->sequence;
}

/* With `order: flush` the first one is on stable storage before the second is written. */
static void bare_disk(struct sim_scene *s)
{
	UNTIL(s, 3000, is_bare, "all is home at the copy");
	if (!sim_scene_writes(s, 0, 2))
		return;
	s->sequence = s->write->request.sequence;
	UNTIL(s, 3000, is_done, "two groups are written there");
	lose_block(s->w, 1, &s->w->site[1].disk[0], 0); /* where the first one is */
	EXPECT(s, is_bare(s), "its disk alone keeps the order");
	sim_look(s->w);
}

const struct sim_scenario sim_scenarios_log[] = {
	{ "home-outlives-record",
	  "a home write that outlives its log record",
	  { 1, 1, 1 },
	  2,
	  10,
	  .play = home_outlives },
	{ "damage-in-log",
	  "damage in the middle of a log",
	  { 1, 1 },
	  1,
	  10,
	  .play = damage },
	{ "damage-at-end",
	  "damage at the end of a log, in records at home",
	  { 1, 1 },
	  1,
	  10,
	  .play = damage_at_end },
	{ "failed-flush",
	  "a flush or a write of the log that fails, once",
	  { 1, 1 },
	  1,
	  10,
	  .play = failed_flush },
	{ "bare-disk",
	  "a power cut that leaves of two groups only the second in a disk's cache",
	  { 1, 1 },
	  1,
	  10,
	  .play = bare_disk,
	  .order = CONFIG_ORDER_FLUSH },
	{ "leftover-record",
	  "a record of an earlier epoch right behind the end of a log",
	  { 1, 1 },
	  1,
	  10,
	  .play = leftover },
	{ 0 },
};
