/* scenario_disks.c - disks that are not those that they were (G8). */
#include <stdio.h>
#include <string.h>

#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define FOREIGN "of another machine"

/* ---- changes of disks ------------------------ */

static void exchange(struct sim_site *s)
{
	const struct sim_device other = s->disk[0];

	s->disk[0] = s->disk[1];
	s->disk[1] = other;
}

static void keep_all(struct sim_device *d)
{
	memcpy(d->stable, d->now, d->bytes);
	memset(d->dirty, 0, d->bytes / SIM_SECTOR * sizeof *d->dirty);
}

static void make_blank(struct sim_device *d)
{
	memset(d->now, 0, d->bytes);
	keep_all(d);
	d->is_disk = 0;
}

static void name(struct sim_device *d, const char *identity)
{
	snprintf(d->identity, sizeof d->identity, "%s", identity);
}

/* Change the log as `hamirror accept --blank` does. */
static void accept_blank(struct sim_scene *s, uint32_t disk)
{
	static struct mirror_superblock sb, scratch;
	struct sim_device *log = &s->w->site[s->site].log;
	char text[256];
	uint32_t slot;

	keep_all(log);
	EXPECT(s,
	       mirror_superblock_choose(log->now, log->now + MIRROR_SUPERBLOCK_BYTES,
					&scratch, &sb, &slot, text, sizeof text) == 0,
	       "its log is whole");
	mirror_evidence_forget_disk(&sb.evidence, disk);
	sb.blank = true;
	sb.write_counter++;
	mirror_superblock_encode(&sb, log->now + mirror_superblock_slot_bytes(&sb));
	keep_all(log);
	s->w->site[s->site].had_image = false;
}

/* ---- conditions -------------------- */

static const struct mirror_evidence *evidence(struct sim_scene *s)
{
	return &sim_scene_engine(s, s->site)->sb->evidence;
}

/* Of both disks something is known that can be told from the other. */
static bool is_sampled(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, s->site);

	return m->opened && m->sb_wanted == m->sb_written &&
	       mirror_evidence_count(evidence(s), 0) > 0 &&
	       mirror_evidence_count(evidence(s), 1) > 0;
}

static bool is_refused(struct sim_scene *s)
{
	const struct role *r = &sim_scene_core(s, s->site)->role;

	return r->devices == DEVICES_CLOSED && strstr(r->text, "not what it was") != NULL;
}

/* It may try again, and give up again. */
static bool stays_closed(struct sim_scene *s)
{
	const struct mirror_view *m = sim_scene_engine(s, s->site);

	return m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING;
}

static bool is_open(struct sim_scene *s)
{
	s->node = s->site;
	return sim_is_open(s);
}

/* ---- plays -------------------- */

/* The site's host dies once it has brought home the blocks that its disks will be known by. */
static bool go_down(struct sim_scene *s)
{
	s->site = s->w->seed % 2;
	if (!sim_scene_clients(s, 200) ||
	    !sim_scene_until(s, 5000, is_sampled, "its disks can be told apart"))
		return false;
	sim_node_kill(s->w, s->site);
	sim_io_settle(s->w, s->site);
	s->w->site[s->site].bare = false; /* its disks alone are nothing for a while */
	return true;
}

static bool come_back_refused(struct sim_scene *s)
{
	sim_node_start(s->w, s->site);
	return sim_scene_until(s, 8000, is_refused, "its disks are refused") &&
	       sim_scene_while(s, 2000, stays_closed, "it stays closed");
}

/* Two equal disks change places; the system says so, or nothing. */
static void exchanged(struct sim_scene *s)
{
	struct sim_device *disk;
	char names[2][MIRROR_IDENTITY_BYTES];
	bool silent;

	if (!go_down(s))
		return;
	disk = s->w->site[s->site].disk;
	silent = s->w->seed / 2 % 2 == 1;
	memcpy(names[0], disk[0].identity, sizeof names[0]);
	memcpy(names[1], disk[1].identity, sizeof names[1]);
	exchange(&s->w->site[s->site]);
	if (silent)
		disk[0].identity[0] = disk[1].identity[0] = 0;
	if (!come_back_refused(s))
		return;
	EXPECT(s,
	       silent ||
		       strstr(sim_scene_core(s, s->site)->role.text, "was disk") != NULL,
	       "and it is said which one stands there");
	sim_node_kill(s->w, s->site);
	exchange(&s->w->site[s->site]);
	memcpy(disk[0].identity, names[0], sizeof names[0]);
	memcpy(disk[1].identity, names[1], sizeof names[1]);
	sim_node_start(s->w, s->site);
	UNTIL(s, 8000, is_open, "put right, they are taken again");
}

/* A disk fails and is replaced, by one of another name or of the same (a volume that was
 * made anew). The site is mended from the other one. */
static void blank(struct sim_scene *s)
{
	struct sim_device *disk;

	if (!go_down(s))
		return;
	disk = &s->w->site[s->site].disk[0];
	make_blank(disk);
	if (s->w->seed / 2 % 2 == 1)
		name(disk, FOREIGN);
	if (!come_back_refused(s))
		return;
	sim_node_kill(s->w, s->site);
	disk->is_disk = 1;
	accept_blank(s, 0);
	if (s->site == 0 && !sim_scene_takeover(s, 1))
		return;
	sim_node_start(s->w, s->site);
	UNTIL(s, 8000, is_open, "it is opened, as a blank one");
	EXPECT(s,
	       sim_scene_engine(s, s->site)->sb->blank ||
		       sim_scene_engine(s, s->site)->stream_link != MIRROR_LINK_NONE,
	       "and is to be refreshed");
}

/* The same content on another device: a path that was migrated, a file that was copied. */
static void moved(struct sim_scene *s)
{
	if (!go_down(s))
		return;
	name(&s->w->site[s->site].disk[0], FOREIGN);
	sim_node_start(s->w, s->site);
	UNTIL(s, 8000, is_open, "it is known by its content");
	EXPECT(s, strcmp(evidence(s)->identity[0], FOREIGN) == 0,
	       "and by its new name from now on");
}

const struct sim_scenario sim_scenarios_disks[] = {
	{ "disks-exchanged",
	  "two disks of a site that change places while it is down",
	  { 1, 1 },
	  1,
	  12,
	  .play = exchanged,
	  .disks = 2 },
	{ "disk-blank",
	  "a disk that is replaced by a blank one while its site is down",
	  { 1, 1 },
	  1,
	  12,
	  .play = blank,
	  .disks = 2 },
	{ "disk-moved",
	  "a disk whose content stands on another device",
	  { 1, 1 },
	  1,
	  12,
	  .play = moved,
	  .disks = 2 },
	{ 0 },
};
