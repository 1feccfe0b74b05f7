/* check_w.c - the write-ahead rules: W1 a home write starts after its record is durable in
 * this log, by the marks and on the device; W3 a site that restarts has all that it had
 * said to be durable; W6 nothing above a hold goes home. W2 is watched by check_g5.c, W4
 * and W5 by check_g2.c after each restart and by check_g8.c.
 */
#include <string.h>

#include "mirror/internal.h"
#include "tests/sim/sim.h"

static void io(struct sim *w, uint32_t node, const struct mirror_io *io)
{
	const struct mirror_engine *m = w->node[node].engine;
	const struct sim_site *s = &w->site[w->node[node].site];
	const struct engine_home *h = io->owner;
	const struct mirror_record *r;

	if (io->purpose != IO_HOME || io->device == MIRROR_IO_LOG)
		return;
	r = h->op->owner;
	if (r->header.sequence > m->durable)
		sim_violate(w, "W1", "sequence %llu goes home, and %llu is durable",
			    (unsigned long long)r->header.sequence,
			    (unsigned long long)m->durable);
	else if (io->op == MIRROR_IO_WRITE && !s->tainted &&
		 memcmp(s->log.stable + r->log_position, r->data, r->header.data_bytes) !=
			 0)
		sim_violate(w, "W1",
			    "sequence %llu goes home, and its record is not on "
			    "stable storage",
			    (unsigned long long)r->header.sequence);
	if (m->sb.hold.active && !m->sb.blank && !s->consent &&
	    r->header.sequence > m->sb.hold.sequence)
		sim_violate(w, "W6", "sequence %llu goes home above the hold at %llu",
			    (unsigned long long)r->header.sequence,
			    (unsigned long long)m->sb.hold.sequence);
}

static int32_t generation_of(const struct sim *w, const struct mirror_engine *m)
{
	return m->sb.history.count == 0 ?
		       -1 :
		       sim_generation_find(w, &history_newest(&m->sb.history)->id);
}

static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_engine *m = w->node[node].engine;
	struct sim_site *s = &w->site[w->node[node].site];

	if (!w->node[node].open || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING)
		return;
	s->durable_generation = generation_of(w, m);
	s->durable = m->sb.hold.active && m->sb.hold.sequence < m->durable ?
			     m->sb.hold.sequence :
			     m->durable;
	if (m->cut_step != CUT_NONE || m->leap_step != LEAP_NONE || m->sb.blank)
		s->durable = 0;
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	const struct sim_site *s = &w->site[w->node[node].site];

	if (f->type != FACT_OPENED || f->error != 0 || s->tainted || s->durable == 0 ||
	    generation_of(w, w->node[node].engine) != s->durable_generation)
		return;
	if (f->marks.durable < s->durable)
		sim_violate(w, "W3", "site %u had %llu durable, and opens with %llu",
			    w->node[node].site, (unsigned long long)s->durable,
			    (unsigned long long)f->marks.durable);
}

const struct sim_checker sim_check_w = {
	.name = "W",
	.io = io,
	.mirror = mirror,
	.fact = fact,
};
