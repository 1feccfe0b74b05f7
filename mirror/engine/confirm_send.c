/* engine/confirm_send.c - the copy confirms the records of its log to production, with
 * cumulative marks (docs/write-path.md, copy, step 2). engine/confirm_take.c is the other end.
 */
#include "mirror/engine/state.h"

void mirror_confirm_send(struct mirror_engine *m, struct engine_link *l)
{
	struct mirror_confirm c = {
		.marks = { m->open.marks.logged, m->open.marks.durable,
			   m->open.marks.home_flushed },
		.held_count = m->open.home.gate.held_count,
		.held = mirror_hold_stands(m),
	};
	/* Nobody waits for a flush record to be logged, only for the records before
	 * it. */
	const bool news = m->open.marks.logged < l->confirmed.logged ||
			  mirror_log_flush_target(m, m->open.marks.logged + 1) >
				  l->confirmed.logged ||
			  c.marks.durable != l->confirmed.durable ||
			  c.held != l->confirmed_held;
	struct mirror_frame *f;

	if (!news && m->now_ns < l->last_sent_ns + HEARTBEAT_NS) {
		mirror_engine_wake(m, l->last_sent_ns + HEARTBEAT_NS);
		return;
	}
	if (m->open.leap.step == LEAP_SUPERBLOCK)
		return; /* the marks leap when the hold stands */
	f = mirror_frame_get(m, m->open.copy.stream_link);
	if (f == NULL)
		return;
	mirror_wire_confirm(f, &c);
	mirror_frame_send(m, f);
	l->confirmed = c.marks;
	l->confirmed_held = c.held;
}

void mirror_confirm_home(struct mirror_engine *m, struct engine_link *l)
{
	const struct mirror_home_mark home = { m->open.marks.home };
	struct mirror_frame *f;

	if (!m->open.copy.home_at_once || home.sequence <= l->home_told ||
	    mirror_hold_stands(m) || m->open.leap.step != LEAP_NONE)
		return;
	f = mirror_frame_get(m, m->open.copy.stream_link);
	if (f == NULL)
		return;
	mirror_wire_home(f, &home);
	mirror_frame_send(m, f);
	l->home_told = home.sequence;
}
