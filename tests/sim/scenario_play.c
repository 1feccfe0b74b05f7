/* scenario_play.c - see scenario.h: the parts of which plays are made. */
#include <stdio.h>
#include <string.h>

#include "cluster/alone.h"
#include "cluster/internal.h"
#include "mirror/engine/test_view.h"
#include "tests/sim/scenario.h"

#define BEGIN_MS 60000u
#define QUIET_MS 5000u
#define SPREAD 137u /* sectors between writes: half of the extents are touched */

/* ---- time -------------------------------------------------------------------------- */

static bool step(struct sim *w, uint64_t end_ns)
{
	const uint64_t at = w->heap.event[0].at_ns;

	if (w->violation[0] != 0 || at > end_ns)
		return false;
	sim_run(w, at);
	return true;
}

bool sim_scene_until(struct sim_scene *s, uint64_t ms, sim_condition *is,
		     const char *what)
{
	const uint64_t end_ns = s->w->now_ns + ms * SIM_MS;

	while (s->w->violation[0] == 0 && !is(s))
		if (!step(s->w, end_ns))
			sim_violate(s->w, "scene", "did not come in %llu ms: %s",
				    (unsigned long long)ms, what);
	if (s->w->violation[0] == 0)
		sim_trace(s->w, "REACHED: %s", what);
	return s->w->violation[0] == 0;
}

bool sim_scene_while(struct sim_scene *s, uint64_t ms, sim_condition *is,
		     const char *what)
{
	const uint64_t end_ns = s->w->now_ns + ms * SIM_MS;

	do {
		if (!is(s))
			sim_violate(s->w, "scene", "is not so: %s", what);
	} while (step(s->w, end_ns));
	if (s->w->violation[0] == 0)
		sim_run(s->w, end_ns);
	return s->w->violation[0] == 0;
}

bool sim_scene_expect(struct sim_scene *s, bool is, const char *what)
{
	if (!is)
		sim_violate(s->w, "scene", "is not so: %s", what);
	return s->w->violation[0] == 0;
}

/* ---- the beginning -------------------- */

static bool is_together(struct sim_scene *s)
{
	return sim_is_together(s->w);
}

static bool is_idle(struct sim_scene *s)
{
	return sim_requests_idle(s->w);
}

bool sim_scene_clients(struct sim_scene *s, uint64_t ms)
{
	struct sim *w = s->w;

	w->client_off = false;
	for (uint32_t n = 0; n < w->node_count; n++)
		if (w->node[n].running)
			sim_client_wake(w, n);
	sim_run(w, w->now_ns + ms * SIM_MS);
	w->client_off = true;
	return sim_scene_until(s, QUIET_MS, is_idle, "all requests are answered");
}

/* No command is under way, and the copies have confirmed all. */
static bool is_settled(struct sim_scene *s)
{
	const struct mirror_view *m = sim_view(s->w, 0);

	for (uint32_t n = 0; s->scenario->alone && n < s->w->node_count; n++)
		if (s->w->node[n].core->alone->busy)
			return false;
	for (uint32_t site = 1; site < s->w->plan.site_count; site++)
		if (m->peer[site].logged < m->marks->last)
			return false;
	return true;
}

bool sim_scene_begin(struct sim_scene *s)
{
	struct sim *w = s->w;

	w->client_off = true;
	for (uint32_t n = 0; n < w->node_count; n++)
		sim_node_start(w, n);
	if (!sim_scene_until(s, BEGIN_MS, is_together, "all are together") ||
	    !sim_scene_clients(s, 20))
		return false;
	w->pacemaker.off = w->person.off = true;
	if (!sim_scene_until(s, QUIET_MS, is_settled, "all is settled"))
		return false;
	s->node = 0;
	return sim_scene_expect(s, sim_serving(w) == 0, "n1 serves");
}

/* ---- clients and operators -------------------- */

static struct sim_request *ask(struct sim_scene *s, uint32_t node,
			       enum mirror_request_type type, uint64_t sector)
{
	const struct mirror_request q = {
		.type = type,
		.offset_bytes = sector * SIM_SECTOR,
		.length_bytes = type == MIRROR_REQUEST_FLUSH ? 0 : SIM_SECTOR,
	};
	struct sim_request *r = sim_ask(s->w, node, &q);

	sim_trace(s->w, "n%u is asked for %s of sector %llu%s", node + 1,
		  type == MIRROR_REQUEST_WRITE ? "a write" :
		  type == MIRROR_REQUEST_READ  ? "a read" :
						 "a flush",
		  (unsigned long long)sector, r == NULL ? ", and takes none" : "");
	return r;
}

struct sim_request *sim_scene_write(struct sim_scene *s, uint32_t node, uint64_t sector)
{
	return ask(s, node, MIRROR_REQUEST_WRITE, sector);
}

struct sim_request *sim_scene_read(struct sim_scene *s, uint32_t node, uint64_t sector)
{
	return ask(s, node, MIRROR_REQUEST_READ, sector);
}

struct sim_request *sim_scene_flush(struct sim_scene *s, uint32_t node)
{
	return ask(s, node, MIRROR_REQUEST_FLUSH, 0);
}

bool sim_scene_writes(struct sim_scene *s, uint32_t node, uint32_t count)
{
	const uint64_t sectors = s->w->plan.disk_bytes / SIM_SECTOR;

	for (uint32_t i = 0; i < count; i++) {
		s->write = sim_scene_write(s, node, SPREAD * i % (sectors / 2));
		if (!sim_scene_expect(s, s->write != NULL, "the write is taken") ||
		    !sim_scene_until(s, 5000, sim_told, "it is answered"))
			return false;
	}
	return true;
}

static bool is_out(struct sim_scene *s)
{
	return !sim_scene_view(s, 0)->site[1].current;
}

static bool is_refreshed(struct sim_scene *s)
{
	return sim_scene_engine(s, 0)->peer[1].phase == REFRESH_COPYING &&
	       sim_scene_engine(s, 1)->sb->hold.active;
}

bool sim_scene_refresh(struct sim_scene *s)
{
	s->write = sim_scene_flush(s, 0);
	if (!sim_scene_expect(s, s->write != NULL, "a flush is taken") ||
	    !sim_scene_until(s, 1000, sim_told, "all is durable at the copy"))
		return false;
	sim_node_kill(s->w, 1);
	if (!sim_scene_until(s, 8000, is_out, "the copy is not current any more"))
		return false;
	while (sim_scene_engine(s, 0)->sb->sites[1].map_position == 0)
		if (!sim_scene_writes(s, 0, 50))
			return false;
	sim_hold_device(s->w, 0, 0, 1u << MIRROR_IO_READ);
	sim_node_start(s->w, 1);
	return sim_scene_until(s, 8000, is_refreshed, "the copy is being refreshed");
}

bool sim_scene_tail(struct sim_scene *s, uint32_t node, uint64_t sector)
{
	for (uint32_t n = 0; n < s->w->node_count; n++)
		sim_stall(s->w, node, n, true);
	s->write = sim_scene_write(s, node, sector);
	if (!sim_scene_expect(s, s->write != NULL, "the write is taken"))
		return false;
	s->node = node;
	s->sequence = s->write->request.sequence;
	return sim_scene_until(s, 1000, sim_durable, "the write is durable there") &&
	       sim_scene_expect(s, !s->write->told, "it is not acknowledged");
}

static bool asks(struct sim_scene *s)
{
	return s->w->node[s->node].open &&
	       sim_scene_core(s, s->node)->role.undo_text[0] != 0;
}

bool sim_scene_give_up(struct sim_scene *s, uint32_t node)
{
	const struct cluster_command c = { .type = CLUSTER_COMMAND_CONNECT,
					   .site = -1,
					   .discard = true };

	s->node = node;
	if (!sim_scene_until(s, 10000, asks, "it asks before it undoes its tail"))
		return false;
	s->id = sim_operator(s->w, node, &c);
	return sim_scene_until(s, 8000, sim_replied, "the command is answered") &&
	       sim_scene_expect(s, s->w->reply[s->id].exit_status == 0,
				"the records are given up");
}

void sim_scene_promote(struct sim_scene *s, uint32_t node)
{
	s->node = node;
	s->id = sim_command(s->w, node, CLUSTER_COMMAND_PROMOTE, false, -1);
}

bool sim_scene_takeover(struct sim_scene *s, uint32_t node)
{
	s->node = node;
	if (!sim_scene_until(s, 5000, sim_agree, "the nodes that are there agree") ||
	    !sim_scene_until(s, 5000, sim_is_open, "the devices are open there"))
		return false;
	sim_scene_promote(s, node);
	return sim_scene_until(s, 5000, sim_serves, "it serves");
}

/* ---- the state ------------------------ */

struct cluster_core *sim_scene_core(struct sim_scene *s, uint32_t node)
{
	return s->w->node[node].core;
}

const struct mirror_view *sim_scene_engine(struct sim_scene *s, uint32_t node)
{
	return sim_view(s->w, node);
}

const struct view *sim_scene_filed(struct sim_scene *s, uint32_t node)
{
	static struct voter voter[SIM_NODES_MAX];
	char text[128];

	return s->w->node[node].file_bytes > 0 &&
			       cluster_voter_decode(
				       &s->w->config, node, s->w->node[node].file,
				       s->w->node[node].file_bytes, &voter[node], text,
				       sizeof text) == 0 &&
			       voter[node].has_accepted ?
		       &voter[node].accepted :
		       NULL;
}

const struct view *sim_scene_view(struct sim_scene *s, uint32_t node)
{
	return cluster_view_in_effect(s->w->node[node].core);
}

const struct uuid *sim_scene_generation(struct sim_scene *s, uint32_t node)
{
	return &cluster_view_generation(sim_scene_view(s, node))->id;
}

int32_t sim_scene_score(struct sim_scene *s, uint32_t node)
{
	static struct cluster_status status;

	cluster_status_get(sim_scene_core(s, node), sim_clock(s->w, node), &status);
	return status.promotion_score;
}

/* ---- conditions ---------------------------------------------------------------------------- */

bool sim_told(struct sim_scene *s)
{
	return s->write->told;
}

bool sim_read_told(struct sim_scene *s)
{
	return s->read->told;
}

bool sim_read_not_told(struct sim_scene *s)
{
	return !s->read->told;
}

bool sim_replied(struct sim_scene *s)
{
	return s->w->reply[s->id].done;
}

bool sim_durable(struct sim_scene *s)
{
	return sim_view(s->w, s->node)->marks->durable >= s->sequence;
}

bool sim_lacks(struct sim_scene *s)
{
	return sim_view(s->w, s->node)->marks->last < s->sequence;
}

bool sim_serves(struct sim_scene *s)
{
	return sim_node_serves(s->w, s->node) &&
	       sim_clock(s->w, s->node) <
		       mirror_engine_lease_until_ns(s->w->node[s->node].engine);
}

bool sim_is_open(struct sim_scene *s)
{
	return cluster_devices_are_open(s->w->node[s->node].core) &&
	       s->w->node[s->node].core->role.serve == SERVE_NONE;
}

bool sim_is_uninvited(struct sim_scene *s)
{
	return sim_scene_score(s, s->node) == INT32_MIN;
}

bool sim_agree(struct sim_scene *s)
{
	const uint32_t component = s->w->node[s->node].component;
	const struct cluster_core *first = s->w->node[s->node].core;
	uint32_t count = 0;

	for (uint32_t n = 0; n < s->w->node_count; n++)
		count += s->w->node[n].running && s->w->node[n].component == component;
	for (uint32_t n = 0; n < s->w->node_count; n++) {
		const struct cluster_core *c = s->w->node[n].core;

		if (!s->w->node[n].running || s->w->node[n].component != component)
			continue;
		if (!c->voter.has_in_effect || c->confirm_due ||
		    c->round.state != ROUND_IDLE || c->peer_count != count ||
		    c->voter.in_effect.ballot != first->voter.in_effect.ballot)
			return false;
	}
	return true;
}
