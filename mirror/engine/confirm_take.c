/* engine/confirm_take.c - production takes a copy's confirmation (docs/write-path.md, step
 * 5). engine/confirm_send.c is the other end.
 */
#include "mirror/engine/state.h"

static void confirmed(struct mirror_engine *m, uint32_t number,
		      const struct mirror_confirm *c)
{
	struct engine_link *l = &m->link[number];
	struct engine_peer *p = &m->open.peer[l->site];

	if (c->marks.logged > p->marks.logged || l->next_send == c->marks.logged + 1 ||
	    !l->sending)
		l->progress_ns = m->now_ns;
	p->marks = c->marks;
	if (c->held)
		return; /* nothing of it counts before the end (W6) */
	if (c->marks.durable > p->proven_durable)
		p->proven_durable = c->marks.durable;
	mirror_trust_confirmed(m, l->site, false);
	mirror_refresh_confirmed(m, l->site, c->marks.durable);
}

static bool take_confirm(struct mirror_engine *m, uint32_t number,
			 const struct mirror_received *r)
{
	struct engine_link *l = &m->link[number];
	struct mirror_confirm c;

	if (mirror_wire_decode_confirm(r->body, r->body_bytes, &c) != 0)
		return false;
	/* A copy whose hold leaps sends marks of a stream that does not count yet. */
	if (!c.held && m->open.peer[l->site].refresh.phase != REFRESH_ASKED &&
	    (c.marks.logged >= l->next_send ||
	     mirror_ack_set_site(&m->open.requests.ack, l->site, c.marks.logged,
				 c.marks.durable) != 0))
		return false;
	confirmed(m, number, &c);
	return true;
}

static bool take_home(struct mirror_engine *m, uint32_t number,
		      const struct mirror_received *r)
{
	const struct engine_link *l = &m->link[number];
	struct mirror_home_mark home;

	if (mirror_wire_decode_home(r->body, r->body_bytes, &home) != 0 ||
	    home.sequence >= l->next_send)
		return false;
	mirror_ack_set_home(&m->open.requests.ack, l->site, home.sequence);
	mirror_trust_homed(m, l->site);
	return true;
}

bool mirror_production_received(struct mirror_engine *m, const struct mirror_received *r)
{
	switch ((enum mirror_frame_type)r->type) {
	case MIRROR_FRAME_CONFIRM:
		return take_confirm(m, r->link, r);
	case MIRROR_FRAME_HOME:
		return take_home(m, r->link, r);
	case MIRROR_FRAME_MAP:
	case MIRROR_FRAME_REFRESH_READY:
		return mirror_refresh_received(m, r);
	case MIRROR_FRAME_HELLO:
	case MIRROR_FRAME_WELCOME:
	case MIRROR_FRAME_REFUSE:
	case MIRROR_FRAME_RECORD:
	case MIRROR_FRAME_MARKS:
	case MIRROR_FRAME_REFRESH_BEGIN:
	case MIRROR_FRAME_REFRESH_END:
	case MIRROR_FRAME_DEMOTED:
	case MIRROR_FRAME_FLUSH:
	case MIRROR_FRAME_ROLL_END:
	case MIRROR_FRAME_NEWS:
		return false;
	}
	return false;
}
