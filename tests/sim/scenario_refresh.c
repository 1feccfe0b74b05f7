/* scenario_refresh.c - traces of a copy that missed more than a log holds (G6, W2, W6). */
#include <errno.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

/* ---- cut short -------------------- */

static bool is_dropped(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 1);

	return s->w->node[1].open && m->state == ENGINE_IDLE && !m->sb->hold.active &&
	       !m->cutting && m->marks->last == s->count;
}

static bool keeps_hold(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->sb->hold.active;
}

/* The stream went on beside the refresh, and is logged above the hold. Then the line is
 * cut, or the copy's power, and no link comes again yet. */
static void cut_short(struct sim_scene *s)
{
	const bool power = s->w->seed % 2 == 0;

	if (!sim_scene_refresh(s))
		return;
	s->write = sim_scene_write(s, 0, s->w->plan.disk_bytes / SIM_SECTOR - 1);
	EXPECT(s, s->write != NULL && s->write->request.sequence != 0,
	       "a write has its number beside the refresh");
	s->sequence = s->write->request.sequence;
	s->node = 1;
	UNTIL(s, 2000, sim_durable, "the copy has it, above its hold");
	UNTIL(s, 1000, sim_told, "it is acknowledged without the copy");
	s->count = sim_scene_engine(s, 1)->sb->hold.sequence;
	EXPECT(s,
	       sim_scene_engine(s, 1)->sb->hold.active && s->count < s->sequence &&
		       sim_scene_engine(s, 0)->peer[1].phase == REFRESH_COPYING,
	       "the refresh goes on");
	WHILE(s, 500, keeps_hold, "where it stays");
	sim_look(s->w);
	sim_part(s->w, 1, false, true);
	if (power)
		sim_site_power(s->w, 1);
	sim_lines_reset(s->w);
	if (power)
		sim_node_start(s->w, 1);
	UNTIL(s, 8000, is_dropped, "all above the hold is dropped");
	EXPECT(s, sim_image_check(s->w, 1, "W6"), "the copy has its old image");
	sim_part(s->w, 0, true, true);
}

/* ---- a log that overflows -------------------- */

#define EXTENT_SECTORS (MIRROR_EXTENT_BYTES / SIM_SECTOR)

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

/* One write in each extent from this one on. */
static bool write_extents(struct sim_scene *s, uint64_t first)
{
	for (uint64_t i = first; i < s->w->plan.disk_bytes / MIRROR_EXTENT_BYTES; i++) {
		s->write = sim_scene_write(s, 0, i * EXTENT_SECTORS);
		if (!sim_scene_expect(s, s->write != NULL, "the write is taken") ||
		    !sim_scene_until(s, 5000, sim_told, "it is answered"))
			return false;
	}
	s->sequence = s->write->request.sequence;
	return true;
}

static bool has_freed(struct sim_scene *s, uint32_t node)
{
	const struct mirror_view *m = sim_scene_engine(s, node);

	return mirror_ring_oldest_sequence(m->ring) > s->sequence &&
	       m->sb->sites[1].map_position >= s->sequence;
}

/* Site 1 goes, and misses a write of each extent from this one on, which the logs of the
 * others do not hold any more in the end. */
static bool miss_extents(struct sim_scene *s, uint64_t first)
{
	s->write = sim_scene_flush(s, 0);
	if (!sim_scene_expect(s, s->write != NULL, "a flush is taken") ||
	    !sim_scene_until(s, 1000, sim_told, "all is durable everywhere"))
		return false;
	sim_node_kill(s->w, 1);
	if (!sim_scene_until(s, 8000, is_out, "a copy is not current any more") ||
	    !write_extents(s, first))
		return false;
	for (uint32_t n = 0; n < s->w->node_count; n++)
		while (n != 1 && s->w->node[n].open && !has_freed(s, n))
			if (!sim_scene_writes(s, 0, 50))
				return false;
	return true;
}

static bool is_idle(struct sim_scene *s)
{
	return s->w->node[1].open && sim_scene_engine(s, 1)->state == ENGINE_IDLE;
}

/* The last extents were written once each: no other record stands for them. */
static void overflow(struct sim_scene *s)
{
	const uint64_t extents = s->w->plan.disk_bytes / MIRROR_EXTENT_BYTES;

	if (!miss_extents(s, extents / 2))
		return;
	sim_part(s->w, 1 << 1, false, true);
	sim_node_start(s->w, 1);
	UNTIL(s, 8000, is_idle, "the copy is there again, and nobody is linked to it");
	sim_look(s->w);
	for (uint32_t n = 0; n < 3; n += 2)
		for (uint64_t i = extents / 2; i < extents; i++)
			EXPECT(s,
			       mirror_map_covers(sim_scene_engine(s, n)->map, 1, 0,
						 i * MIRROR_EXTENT_BYTES, SIM_SECTOR),
			       "the maps stand for all that it missed");
	sim_part(s->w, 0, true, true);
}

/* ---- a map that does not get to its device -------------------- */

static bool has_detached(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return m->failed || m->state == ENGINE_CLOSED;
}

static bool has_no_map(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return !m->failed && m->sb->sites[1].map_position < s->sequence &&
	       mirror_ring_oldest_sequence(m->ring) <= s->sequence;
}

static bool has_map(struct sim_scene *s)
{
	return !has_no_map(s) && !sim_scene_engine(s, 0)->bypassing;
}

static bool begins_or_told(struct sim_scene *s)
{
	return s->write->told || sim_scene_engine(s, 0)->bypassing;
}

/* The log overflows while a site is away, and writes of its map do not end, or fail. */
static void unwritten(struct sim_scene *s)
{
	const bool fails = s->w->seed % 2 == 0;
	struct sim_device *log = &s->w->site[0].log;
	const struct mirror_view *m = sim_scene_engine(s, 0);

	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	sim_only_there(log, m->sb->sites[1].map_start_bytes, m->sb->sites[1].map_bytes);
	log->fail = fails ? -EIO : 0;
	log->fail_ops = 1u << MIRROR_IO_WRITE;
	sim_hold_device(s->w, 0, MIRROR_IO_LOG, fails ? 0 : 1u << MIRROR_IO_WRITE);
	s->sequence = m->marks->last + 1;
	while (!m->bypassing) {
		s->write = sim_scene_write(s, 0, 0);
		EXPECT(s, s->write != NULL, "the write is taken");
		UNTIL(s, 5000, begins_or_told, "it is answered, or the log is full");
	}
	if (fails) {
		UNTIL(s, 1000, has_detached,
		      "a site that cannot write its map gives up its log");
		return;
	}
	sim_run(s->w, s->w->now_ns + 2 * SIM_S);
	EXPECT(s, has_no_map(s), "its map stands for nothing yet, and nothing is freed");
	sim_release_all(s->w);
	UNTIL(s, 1000, has_map, "the map takes over");
}

/* ---- a cut below a map's records -------------------------- */

static bool is_copy(struct sim_scene *s)
{
	return s->w->node[0].open &&
	       sim_scene_engine(s, 0)->stream_link != MIRROR_LINK_NONE;
}

/* A force gives up the writes that it missed. The map of the old production stands for some of
 * these records, and others will have their numbers. */
static void forced_back(struct sim_scene *s)
{
	if (!miss_extents(s, 0))
		return;
	sim_machine_reset(s->w, 0);
	sim_node_start(s->w, 1);
	s->node = 1;
	UNTIL(s, 8000, sim_agree, "the others agree");
	UNTIL(s, 8000, is_idle, "the copy is there again");
	s->id = sim_command(s->w, 1, CLUSTER_COMMAND_PROMOTE, true, -1);
	UNTIL(s, 20000, sim_serves, "it is promoted by force");
	s->count = history_newest(&sim_scene_engine(s, 1)->sb->history)->cut;
	EXPECT(s, s->count < s->sequence, "without the records that it missed");
	sim_node_start(s->w, 0);
	if (!sim_scene_give_up(s, 0))
		return;
	UNTIL(s, 8000, is_copy, "the old production is a copy");
	sim_look(s->w);
	EXPECT(s, sim_scene_engine(s, 0)->sb->sites[1].map_position <= s->count,
	       "its map stands for nothing that is still to come");
}

/* ---- a refresh without room -------------------- */

static bool is_refused(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->peer[1].phase == REFRESH_REFUSED;
}

static bool keeps_image(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 1);

	return !m->sb->blank && !m->sb->hold.active && m->marks->last < s->sequence;
}

/* Its log cannot hold the data of the refresh. */
static void without_room(struct sim_scene *s)
{
	if (!miss_extents(s, 0))
		return;
	sim_node_start(s->w, 1);
	UNTIL(s, 8000, is_idle, "the copy is there again");
	UNTIL(s, 8000, is_refused, "its refresh is refused");
	WHILE(s, 8000, keeps_image, "it stays as it is while nobody allows otherwise");
	EXPECT(s, sim_image_check(s->w, 1, "G6"), "it has its last consistent image");
}

/* ---- a hold that takes its time -------------------- */

static bool takes_over(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->sb->sites[1].map_position > 0;
}

static bool is_copied(struct sim_scene *s)
{
	const struct mirror_view_peer *p = &sim_scene_engine(s, 0)->peer[1];

	return p->phase == REFRESH_COPYING || p->phase == REFRESH_ENDING;
}

/* Clients write all the time, more than a hold has room for while the copy's log takes
 * its time to prepare one: they wait for it, or it would be asked anew for ever. */
static void slow_hold(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	s->w->plan.quiet_ns = 50 * SIM_US;
	s->w->client_off = false;
	sim_client_wake(s->w, 0);
	UNTIL(s, 20000, takes_over, "the map takes over");
	sim_device(s->w, 1, MIRROR_IO_LOG)->slow_ns = 120 * SIM_MS;
	sim_node_start(s->w, 1);
	UNTIL(s, 12000, is_copied, "the copy is being refreshed");
	sim_device(s->w, 1, MIRROR_IO_LOG)->slow_ns = 0;
}

/* ---- records of a refresh -------------------------- */

static bool is_home(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 0);

	return m->marks->home_flushed == m->marks->last;
}

/* Its refresh is over, and production has all of it at home, for its part. */
static bool is_in(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[1].current &&
	       sim_scene_engine(s, 0)->peer[1].phase == REFRESH_NONE && is_home(s);
}

static bool prepares(struct sim_scene *s)
{
	return sim_scene_engine(s, 1)->state == ENGINE_PREPARING;
}

/* Production has the data that a refresh reads, and writes nothing of it to its disk. The copy
 * brings it home, even if it is production by then. */
static void brought(struct sim_scene *s)
{
	const struct sim_device *disk = &s->w->site[0].disk[0];
	uint32_t writes;

	if (!sim_scene_refresh(s))
		return;
	UNTIL(s, 5000, is_home, "all that clients wrote is at home");
	writes = disk->write_count;
	sim_hold_device(s->w, 1, 0,
			1u << MIRROR_IO_WRITE | 1u << MIRROR_IO_ZERO |
				1u << MIRROR_IO_TRIM);
	sim_hold_device(s->w, 0, 0, 0);
	UNTIL(s, 10000, is_in, "the refresh ends and the copy is current");
	EXPECT(s, disk->write_count == writes, "production's own disk was not written");
	s->sequence = sim_scene_engine(s, 0)->marks->last;
	sim_machine_reset(s->w, 0);
	s->node = 1;
	UNTIL(s, 5000, sim_agree, "the copy's host agrees with the witness");
	sim_scene_promote(s, 1);
	UNTIL(s, 5000, prepares, "it is being promoted");
	EXPECT(s, sim_scene_engine(s, 1)->marks->home + 8 < s->sequence,
	       "with much that is not at home yet");
	sim_hold_device(s->w, 1, 0, 0);
	UNTIL(s, 5000, sim_serves, "it serves");
}

/* ---- a log that is made anew -------------------- */

static bool is_whole(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[1].current &&
	       !sim_scene_engine(s, 1)->sb->blank;
}

/* The logs are smaller than the disk, and clients write all the time. */
static void made_anew(struct sim_scene *s)
{
	if (!write_extents(s, 0))
		return;
	sim_node_kill(s->w, 1);
	sim_io_settle(s->w, 1);
	sim_setup_log_again(s->w, 1);
	s->w->site[1].durable = s->w->site[1].refused_ballot = 0;
	s->w->client_off = false;
	sim_client_wake(s->w, 0);
	sim_node_start(s->w, 1);
	UNTIL(s, 30000, is_out, "the copy is not current any more");
	UNTIL(s, 30000, is_whole, "its disk is filled, and it is current");
}

/* ---- the power goes as a first refresh ends -------------------- */

static bool is_ending(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, 1);

	return !m->sb->blank && !m->sb->hold.active && m->holds;
}

/* Its superblock says so in memory, and on the device perhaps. */
static void ends_in_dark(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	sim_io_settle(s->w, 1);
	sim_setup_log_again(s->w, 1);
	s->w->site[1].durable = s->w->site[1].refused_ballot = 0;
	sim_node_start(s->w, 1);
	UNTIL(s, 30000, is_out, "the copy is not current any more");
	UNTIL(s, 30000, is_ending, "all of the refresh is there");
	EXPECT(s, sim_scene_engine(s, 0)->peer[1].phase == REFRESH_ENDING,
	       "production does not count it yet");
	sim_site_power(s->w, 1);
	sim_node_start(s->w, 1);
	UNTIL(s, 30000, is_whole, "it is filled, and current");
}

/* ---- clients and a refresh -------------------- */

#define YIELD_BYTES (192u * 1024) /* a window of one read, grown by a few answers */

static uint64_t refresh_bytes(const struct sim_scene *s)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < SIM_OPS_MAX; i++) {
		const struct sim_op *o = &s->w->op[i];

		if (o->used && o->node == 0 && o->device == 0 && o->op == MIRROR_IO_READ)
			bytes += o->length;
	}
	return bytes;
}

static bool is_read(struct sim_scene *s)
{
	return refresh_bytes(s) > 0;
}

static bool is_all_read(struct sim_scene *s)
{
	return refresh_bytes(s) > 2 * YIELD_BYTES;
}

/* A flush needs no room that the refresh would have to make first (engine/pace.c). */
static bool ask_flush(struct sim_scene *s)
{
	s->write = sim_scene_flush(s, 0);
	return sim_scene_expect(s, s->write != NULL, "a flush is taken") &&
	       sim_scene_until(s, 5000, sim_told, "it is answered");
}

/* While clients ask, about one read of the refresh is under way; when they have been quiet for a
 * second, many are. */
static void refresh_yields(struct sim_scene *s)
{
	sim_run(s->w, s->w->now_ns + 1200 * SIM_MS); /* the first refresh is long over */
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is not current any more");
	while (sim_scene_engine(s, 0)->sb->sites[1].map_position == 0)
		if (!sim_scene_writes(s, 0, 50))
			return;
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_READ);
	sim_node_start(s->w, 1);
	for (s->count = 0; !is_read(s); s->count++)
		if (!sim_scene_expect(s, s->count < 200000, "the refresh begins") ||
		    !ask_flush(s))
			return;
	for (s->count = 0; s->count < 5; s->count++) {
		sim_run(s->w, s->w->now_ns + 20 * SIM_MS);
		if (!ask_flush(s))
			return;
		EXPECT(s, refresh_bytes(s) <= YIELD_BYTES, "clients go first");
	}
	UNTIL(s, 3000, is_all_read, "clients are quiet, and the refresh has all");
	sim_release_all(s->w);
}

const struct sim_scenario sim_scenarios_refresh[] = {
	{ "refresh-cut-short",
	  "a refresh cut short after the stream went on",
	  { 1, 1 },
	  1,
	  10,
	  .play = cut_short },
	{ "refresh-yields",
	  "a refresh beside clients, who are quiet later",
	  { 1, 1 },
	  1,
	  5,
	  .play = refresh_yields,
	  .disk_bytes = 1u << 20,
	  .log_bytes = 6u << 20 },
	{ "log-overflow",
	  "logs that overflow while a site is away",
	  { 1, 1, 1 },
	  2,
	  5,
	  .play = overflow },
	{ "unwritten-map",
	  "a tracking map whose writes fail or do not end when it is to take over",
	  { 1, 1 },
	  1,
	  10,
	  .play = unwritten },
	{ "forced-back",
	  "a copy that missed more than a log holds, promoted by force",
	  { 1, 1 },
	  1,
	  5,
	  .play = forced_back },
	{ "refresh-without-room",
	  "a refresh that is more than the copy's log can hold",
	  { 1, 1 },
	  1,
	  5,
	  .play = without_room,
	  .disk_bytes = 4u << 20 },
	{ "log-made-anew",
	  "a copy whose log is made anew, with logs smaller than the disk",
	  { 1, 1 },
	  1,
	  3,
	  .play = made_anew,
	  .disk_bytes = 4u << 20 },
	{ "slow-hold",
	  "clients that write more, while a hold is prepared, than that has room for",
	  { 1, 1 },
	  1,
	  5,
	  .play = slow_hold },
	{ "refresh-ends-in-dark",
	  "the power of a copy goes as its first refresh ends",
	  { 1, 1 },
	  1,
	  8,
	  .play = ends_in_dark },
	{ "refresh-brought-home",
	  "a copy that is promoted before its refresh is at home",
	  { 1, 1 },
	  1,
	  5,
	  .play = brought,
	  .disk_bytes = 2u << 20 },
	{ 0 },
};
