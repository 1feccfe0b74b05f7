/* scenario_home.c - confirm: home (M9). A write is answered when it is on the disk of production
 * and of each copy that is counted: through slow disks, overlapping writes, a change of the
 * promise, a copy that enters, and one whose disk hangs. A takeover undoes what another copy has
 * brought home alone.
 */
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define HOME                                                                             \
	{                                                                                \
		.home = true                                                             \
	}
#define SECTOR 40u
#define OTHER_SECTOR 80u
#define WRITES (1u << MIRROR_IO_WRITE)
#define FLUSHES (1u << MIRROR_IO_FLUSH)

static bool is_not_told(struct sim_scene *s)
{
	return !s->write->told;
}

static bool is_current(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->site[1].current;
}

static bool is_out(struct sim_scene *s)
{
	return !is_current(s);
}

/* Both sites of hosts n1 and n2. */
static bool is_logged(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->marks->logged >= s->sequence &&
	       sim_scene_engine(s, 1)->marks->logged >= s->sequence;
}

static bool is_home(struct sim_scene *s)
{
	return sim_scene_engine(s, s->node)->marks->home >= s->sequence;
}

static bool is_promised(struct sim_scene *s)
{
	return sim_scene_view(s, 0)->promise.home == (s->count != 0);
}

static bool is_not_promised(struct sim_scene *s)
{
	return !is_promised(s);
}

/* By command: at home, or logged only. */
static void change(struct sim_scene *s, bool home)
{
	struct promise p = promise_make(CONFIG_SYNC, 0, 0);

	p.home = home;
	s->count = home;
	sim_mode(s->w, 0, p);
}

static bool write_sector(struct sim_scene *s)
{
	s->write = sim_scene_write(s, 0, SECTOR);
	if (!sim_scene_expect(s, s->write != NULL, "a write is taken"))
		return false;
	s->sequence = s->write->request.sequence;
	return true;
}

/* The disk of one of the two sites takes nothing: a write is logged on both and on the other's
 * disk, and not answered. A read does not show it, though production's disk may have it. */
static void home_answers(struct sim_scene *s)
{
	const uint32_t slow = s->w->seed % 2;
	struct sim_request *of_it;

	sim_hold_device(s->w, slow, 0, WRITES);
	if (!write_sector(s))
		return;
	s->node = 1 - slow;
	UNTIL(s, 1000, is_logged, "it is logged on both sites");
	UNTIL(s, 1000, is_home, "the other disk has it");
	of_it = sim_scene_read(s, 0, SECTOR);
	s->read = sim_scene_read(s, 0, OTHER_SECTOR);
	EXPECT(s, of_it != NULL && s->read != NULL, "reads are taken");
	UNTIL(s, 1000, sim_read_told, "reads go on");
	WHILE(s, 1500, is_not_told, "the write waits for the disk");
	EXPECT(s, !of_it->told, "and so does a read of it");
	sim_release_all(s->w);
	UNTIL(s, 1000, sim_told, "it is answered");
	s->read = of_it;
	UNTIL(s, 1000, sim_read_told, "and read");
	if (!write_sector(s))
		return;
	UNTIL(s, 20, sim_told, "the next one is answered at once");
	sim_scene_clients(s, 200);
}

/* Two writes of one sector, before the first may go home: it is not left out for the second,
 * which waits for its disk. So it is at one of the two sites. */
static void home_overwritten(struct sim_scene *s)
{
	const uint32_t slow = s->w->seed % 2;

	sim_hold_device(s->w, slow, MIRROR_IO_LOG, FLUSHES);
	sim_hold_device(s->w, slow, 0, WRITES);
	if (!write_sector(s))
		return;
	s->read = sim_scene_write(s, 0, SECTOR);
	EXPECT(s, s->read != NULL, "a second write is taken");
	s->sequence = s->read->request.sequence;
	UNTIL(s, 1000, is_logged, "both are logged on both sites");
	WHILE(s, 1000, is_not_told, "and not answered");
	sim_hold_device(s->w, slow, MIRROR_IO_LOG, 0);
	WHILE(s, 1000, is_not_told, "the first waits for its own write of the disk");
	sim_release_all(s->w);
	UNTIL(s, 1000, sim_told, "it is answered");
	sim_scene_clients(s, 200);
}

/* A change from logged to home waits for the homes of what was answered before. */
static void home_change(struct sim_scene *s)
{
	change(s, false);
	UNTIL(s, 2000, is_promised, "logged is agreed");
	sim_hold_device(s->w, s->w->seed % 2, 0, WRITES);
	if (!sim_scene_writes(s, 0, 5))
		return;
	change(s, true);
	WHILE(s, 1500, is_not_promised, "home is not agreed, for one disk lacks some");
	sim_release_all(s->w);
	UNTIL(s, 3000, is_promised, "home is agreed");
	sim_scene_clients(s, 200);
}

/* A copy that was away has all in its log, and its disk takes nothing: it is not current. */
static void home_enters(struct sim_scene *s)
{
	sim_node_kill(s->w, 1);
	UNTIL(s, 8000, is_out, "the copy is out");
	if (!sim_scene_writes(s, 0, 5))
		return;
	s->sequence = s->write->request.sequence;
	sim_hold_device(s->w, 1, 0, WRITES);
	sim_node_start(s->w, 1);
	s->node = 1;
	UNTIL(s, 8000, sim_durable, "it is back, and has all in its log");
	WHILE(s, 1500, is_out, "it is not current");
	sim_release_all(s->w);
	UNTIL(s, 20000, is_current, "it is current");
	EXPECT(s, is_home(s), "and has all at home");
	sim_scene_clients(s, 200);
}

/* The disk of a copy hangs, and its log and line do not: writes go on without it. */
static void home_hangs(struct sim_scene *s)
{
	sim_hold_device(s->w, 1, 0, WRITES);
	if (!write_sector(s))
		return;
	UNTIL(s, 5000, sim_told, "the write is answered");
	EXPECT(s, is_out(s), "without the copy");
	sim_release_all(s->w);
	s->node = 1;
	UNTIL(s, 5000, is_home, "the copy's disk has it");
	UNTIL(s, 20000, is_current, "it is current again");
	sim_scene_clients(s, 200);
}

/* One copy has brought a write home that the other never got. Production and that copy die, and
 * the other takes over: the write is undone where it is at home. */
static void home_undone(struct sim_scene *s)
{
	sim_stall(s->w, 0, 2, true);
	if (!write_sector(s))
		return;
	s->node = 1;
	UNTIL(s, 1000, is_home, "a copy's disk has it");
	EXPECT(s, is_not_told(s), "it is not answered");
	sim_machine_reset(s->w, 0);
	sim_machine_reset(s->w, 1);
	sim_release_all(s->w);
	if (!sim_scene_takeover(s, 2) || !sim_scene_writes(s, 2, 3))
		return;
	sim_node_start(s->w, 0);
	sim_node_start(s->w, 1);
}

const struct sim_scenario sim_scenarios_home[] = {
	{ "home-answers",
	  "a write that one of the disks has not taken yet",
	  { 1, 1 },
	  1,
	  10,
	  .play = home_answers,
	  .promise = HOME },
	{ "home-overwritten",
	  "two writes of one sector that one of the disks has not taken yet",
	  { 1, 1 },
	  1,
	  10,
	  .play = home_overwritten,
	  .promise = HOME },
	{ "home-change",
	  "confirm changes to home while a disk lacks what was answered",
	  { 1, 1 },
	  1,
	  10,
	  .play = home_change,
	  .promise = HOME },
	{ "home-enters",
	  "a copy has all in its log, and not on its disk",
	  { 1, 1 },
	  1,
	  10,
	  .play = home_enters,
	  .promise = HOME },
	{ "home-hangs",
	  "the disk of a copy takes nothing any more",
	  { 1, 1 },
	  1,
	  10,
	  .play = home_hangs,
	  .promise = HOME },
	{ "home-undone",
	  "a copy has a write at home that the one which takes over never got",
	  { 1, 1, 1 },
	  2,
	  10,
	  .play = home_undone,
	  .promise = HOME },
	{ "home-pair",
	  "without a cluster, a write that one of the disks has not taken yet",
	  { 1, 1 },
	  0,
	  10,
	  .play = home_answers,
	  .alone = true,
	  .promise = HOME },
	{ 0 },
};
