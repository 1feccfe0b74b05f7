/* engine/close.c - close a site (D6): all I/O ends, links and clients go, then the
 * devices are closed; only then is the close reported. Records that are not home stay in
 * the log, and the next open finds them. */
#include "mirror/engine/state.h"

void mirror_close_order(struct mirror_engine *m, const struct order *o)
{
	if (m->state == ENGINE_CLOSED) {
		mirror_engine_fact(m, FACT_CLOSED)->order_id = o->id;
		return;
	}
	m->open.closing.order_id = o->id;
	if (m->state == ENGINE_CLOSING)
		return;
	if (m->state >= ENGINE_STARTING && m->state <= ENGINE_DEMOTING) {
		mirror_requests_fail(m, -ESHUTDOWN);
		mirror_reads_fail(m, -ESHUTDOWN);
		m->clients.wanted = false;
	}
	/* Store how far records are home: the next open need not read these, nor doubt
	 * them. */
	if (m->open.opening.step == OPEN_DONE &&
	    m->open.marks.home_flushed > m->open.sb.home.sequence)
		mirror_superblock_want(m);
	mirror_links_close_all(m, "this host closes the site");
	mirror_engine_set_state(m, ENGINE_CLOSING);
}

void mirror_close_pump(struct mirror_engine *m)
{
	if (m->state != ENGINE_CLOSING || m->open.watch.count > 0 ||
	    m->open.closing.asked ||
	    (!m->open.failed && m->open.opening.step == OPEN_DONE &&
	     m->open.writer.wanted != m->open.writer.written) ||
	    m->open.opening.devices_asked || /* their answer comes first */
	    !mirror_links_are_gone(m))
		return;
	m->open.closing.asked = true;
	m->out->close_devices = true;
}

void mirror_closed(struct mirror_engine *m)
{
	const uint64_t id = m->open.closing.order_id;

	mirror_engine_set_state(m, ENGINE_CLOSED);
	mirror_open_refused(m);
	mirror_engine_reset(m);
	if (id != 0)
		mirror_engine_fact(m, FACT_CLOSED)->order_id = id;
}
