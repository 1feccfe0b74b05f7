/* engine/link.c - the life of a connection, and the frames that arrive on it.
 *
 *   use         connector                    acceptor
 *   opening     CONNECT ordered              -
 *   greeting    HELLO sent                   HELLO awaited or being judged
 *   stream out  production sends records     -
 *   stream in   -                            a copy takes records
 *   roll in     D5: takes a copy's records   -
 *   roll out    -                            a copy sends its records
 *   ending      close ordered, its DOWN is awaited
 */
#include <stdio.h>

#include "common/fifo.h"
#include "mirror/engine/state.h"

/* ---- frames -------------------------------------------------------------- */

/* A frame for `link`, or NULL: none is free now, try again after a step. */
struct mirror_frame *mirror_frame_get(struct mirror_engine *m, uint32_t link)
{
	struct mirror_frame *f = m->memory.frames_free;

	if (f == NULL || m->link[link].frame_count >= LINK_FRAMES_MAX)
		return NULL;
	m->memory.frames_free = f->next;
	f->next = NULL;
	f->link = link;
	f->owner = NULL;
	f->refresh = false;
	f->data = NULL;
	f->data_bytes = 0;
	return f;
}

void mirror_frame_send(struct mirror_engine *m, struct mirror_frame *f)
{
	struct engine_link *l = &m->link[f->link];

	l->frame_count++;
	l->byte_count += f->head_bytes + f->data_bytes;
	l->last_sent_ns = m->now_ns;
	m->open.counters.sent_bytes += f->head_bytes + f->data_bytes;
	fifo_push(&m->out->send, f);
}

void mirror_frame_sent(struct mirror_engine *m, struct mirror_frame *f)
{
	struct engine_link *l = &m->link[f->link];

	l->frame_count--;
	l->byte_count -= f->head_bytes + f->data_bytes;
	if (f->refresh)
		mirror_refresh_sent(l, f->data_bytes);
	if (f->owner == l)
		l->read_pin_count--;
	else if (f->owner == m)
		mirror_buffer_unref(m, (uint8_t *)(uintptr_t)f->data);
	mirror_frame_drop(m, f);
}

/* Give back a frame that is not to be sent after all. */
void mirror_frame_drop(struct mirror_engine *m, struct mirror_frame *f)
{
	f->next = m->memory.frames_free;
	m->memory.frames_free = f;
}

static void link_lost(struct mirror_engine *m, uint32_t number, const char *text);

/* ---- open and close ------------------------------------------------------ */

static bool is_reusable(const struct engine_link *l)
{
	return l->use == LINK_FREE && !l->reading && l->read_pin_count == 0 &&
	       l->frame_count == 0;
}

static void link_reset(struct engine_link *l)
{
	uint8_t *buffer = l->read_buffer;

	memset(l, 0, sizeof *l);
	l->read_buffer = buffer;
	l->site = CONFIG_SITE_COUNT_MAX;
	l->send_end = UINT64_MAX;
}

static struct mirror_link_order *link_order(struct mirror_engine *m, uint32_t number)
{
	struct mirror_link_order *o;

	assert(m->out->link_order_count < MIRROR_LINK_COUNT_MAX);
	o = &m->out->link_order[m->out->link_order_count++];
	memset(o, 0, sizeof *o);
	o->link = number;
	return o;
}

uint32_t mirror_link_connect(struct mirror_engine *m, const struct order_peer *peer,
			     enum mirror_hello_purpose purpose)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX / 2; i++) {
		struct mirror_link_order *o;

		if (!is_reusable(&m->link[i]))
			continue;
		link_reset(&m->link[i]);
		m->link[i].use = LINK_OPENING;
		m->link[i].site = peer->site;
		m->link[i].purpose = purpose;
		m->link[i].last_heard_ns = m->now_ns;
		o = link_order(m, i);
		o->action = MIRROR_LINK_CONNECT;
		o->port = peer->port;
		snprintf(o->address, sizeof o->address, "%s", peer->address);
		return i;
	}
	return MIRROR_LINK_NONE;
}

void mirror_link_close(struct mirror_engine *m, uint32_t number, const char *text)
{
	struct engine_link *l = &m->link[number];
	struct mirror_link_order *o;

	if (l->use == LINK_FREE || l->use == LINK_ENDING)
		return;
	o = link_order(m, number);
	o->action = MIRROR_LINK_CLOSE;
	snprintf(o->text, sizeof o->text, "%s", text);
	link_lost(m, number, text);
	l->use = LINK_ENDING;
}

void mirror_links_close_all(struct mirror_engine *m, const char *text)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		mirror_link_close(m, i, text);
}

bool mirror_links_are_gone(const struct mirror_engine *m)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		if (!is_reusable(&m->link[i]))
			return false;
	return true;
}

void mirror_peer_set(struct mirror_engine *m, uint32_t site, enum link_state state,
		     const char *text)
{
	struct engine_peer *p = &m->open.peer[site];
	struct fact *f;

	if (p->state == state && strcmp(p->text, text) == 0)
		return;
	p->state = state;
	p->since_wall_ns = m->wall_ns;
	snprintf(p->text, sizeof p->text, "%s", text);
	f = mirror_engine_fact(m, FACT_LINK);
	f->site = site;
	f->link = state;
	snprintf(f->text, sizeof f->text, "%s", text);
}

/* A connection ends, by us or by the peer, and so does its use. Called once for each, at
 * the first of close and down. */
static void link_lost(struct mirror_engine *m, uint32_t number, const char *text)
{
	struct engine_link *l = &m->link[number];
	struct engine_peer *p;

	if (number == m->open.copy.stream_link)
		mirror_copy_stream_lost(m, text);
	if (number == m->open.greeting.link)
		mirror_greeting_lost(m);
	if (number == m->open.prepare.roll_link)
		mirror_prepare_rolled(m, l->site, false, true, text);
	if (number == m->open.probe.link)
		mirror_probe_done(m, NULL,
				  l->use == LINK_OPENING ? -EHOSTUNREACH : -EPROTO, text);
	if (l->accepted || l->site >= CONFIG_SITE_COUNT_MAX)
		return;
	p = &m->open.peer[l->site];
	if (p->link != number)
		return;
	mirror_outrun_lost(m, l->site);
	p->link = MIRROR_LINK_NONE;
	p->held = false;
	p->retry_at_ns = m->now_ns + RETRY_NS;
	if (l->use == LINK_STREAM_OUT) /* a mere attempt does not put it off */
		p->lost_at_ns = m->now_ns + LOST_GRACE_NS;
	mirror_refresh_stop(m, l->site);
	p->near.since_ns = 0;
	mirror_peer_set(m, l->site, LINK_DOWN, text);
}

void mirror_link_up(struct mirror_engine *m, uint32_t number, bool accepted)
{
	struct engine_link *l = &m->link[number];

	if (accepted && !is_reusable(l)) {
		/* A read or frames of the connection before are still under way. */
		l->use = LINK_GREETING;
		l->accepted = true;
		l->site = CONFIG_SITE_COUNT_MAX;
		mirror_link_close(m, number, "this connection's number is not free yet");
		return;
	}
	if (accepted) {
		link_reset(l);
		l->accepted = true;
		l->use = LINK_GREETING;
	} else if (l->use == LINK_OPENING) {
		l->use = LINK_GREETING;
		l->hello_due = true;
	}
	l->last_heard_ns = m->now_ns;
	l->progress_ns = m->now_ns;
}

void mirror_link_down(struct mirror_engine *m, uint32_t number, const char *text)
{
	struct engine_link *l = &m->link[number];

	if (l->use != LINK_ENDING)
		link_lost(m, number, text != NULL ? text : "the connection ended");
	l->use = LINK_FREE;
}

/* ---- orders -------------------------------------------------------------- */

void mirror_link_order(struct mirror_engine *m, const struct order *o)
{
	struct engine_peer *p = &m->open.peer[o->site];

	if (o->type == ORDER_UNLINK) {
		p->wanted = false;
		if (p->link != MIRROR_LINK_NONE)
			mirror_link_close(m, p->link, "this link is not wanted any more");
		mirror_peer_set(m, o->site, LINK_DOWN, "not linked");
		return;
	}
	if (p->wanted && p->link != MIRROR_LINK_NONE &&
	    memcmp(&p->address, &o->peer, sizeof o->peer) != 0)
		mirror_link_close(m, p->link, "the copy has another host now");
	p->wanted = true;
	p->address = o->peer;
	p->address.site = o->site;
	p->retry_at_ns = 0;
}

void mirror_probe_order(struct mirror_engine *m, const struct order *o)
{
	struct order_peer peer = o->peer;

	if (m->open.probe.link != MIRROR_LINK_NONE)
		mirror_link_close(m, m->open.probe.link,
				  "another question took its place");
	m->open.probe.order_id = o->id;
	m->open.probe.site = o->site;
	peer.site = o->site;
	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING) {
		mirror_probe_done(m, NULL, -ENODEV,
				  "the devices of this site are not open");
		return;
	}
	if (o->site == m->open.site) {
		mirror_rights_probe(m);
		return;
	}
	m->open.probe.link = mirror_link_connect(m, &peer, MIRROR_HELLO_PROBE);
	if (m->open.probe.link == MIRROR_LINK_NONE)
		mirror_probe_done(m, NULL, -EAGAIN, "no link is free now");
}

/* `hello`: the peer's hello, or NULL with an error. */
void mirror_probe_done(struct mirror_engine *m, const struct mirror_hello *hello,
		       int32_t error, const char *text)
{
	struct fact *f = mirror_engine_fact(m, FACT_PEER);

	m->open.probe.link = MIRROR_LINK_NONE;
	f->order_id = m->open.probe.order_id;
	f->site = m->open.probe.site;
	f->error = error;
	f->reached = error != -EHOSTUNREACH && error != -ENODEV;
	snprintf(f->text, sizeof f->text, "%s", text);
	if (hello == NULL)
		return;
	f->promoting = hello->promoting;
	f->tracked_extents = hello->tracked_extents;
	f->ballot = hello->ballot;
	f->incarnation = hello->incarnation;
	f->serving = hello->serving;
	f->clean = hello->clean;
	f->data = hello->data;
	f->marks = hello->marks;
	f->lineage = hello->lineage;
	f->history = hello->history;
}

/* ---- received ------------------------------------------------------------ */

static bool take_frame(struct mirror_engine *m, const struct mirror_received *r)
{
	struct engine_link *l = &m->link[r->link];

	switch (l->use) {
	case LINK_GREETING:
		return mirror_greeting_received(m, r);
	case LINK_STREAM_OUT:
		return mirror_production_received(m, r);
	case LINK_STREAM_IN:
	case LINK_ROLL_IN:
		return mirror_copy_received(m, r);
	case LINK_ROLL_OUT:
		return false;
	case LINK_FREE:
	case LINK_OPENING:
	case LINK_ENDING:
		return true; /* closed already: of no interest */
	}
	return false;
}

void mirror_link_received(struct mirror_engine *m, const struct mirror_received *r)
{
	struct mirror_received kept = *r;
	char text[128];

	m->link[r->link].last_heard_ns = m->now_ns;
	m->received_data = kept.data;
	if (!take_frame(m, &kept)) {
		snprintf(text, sizeof text,
			 "protocol error: %s frame out of place or malformed",
			 mirror_wire_type_name(r->type));
		mirror_engine_event(m, "link", "protocol", "%s", text);
		mirror_link_close(m, r->link, text);
	}
	/* A function that keeps the buffer clears received_data. */
	if (m->received_data != NULL)
		mirror_pool_put(m->buffers.pool, m->received_data);
	m->received_data = NULL;
}

bool mirror_engine_takes_frames(const struct mirror_engine *m, uint32_t link)
{
	const struct engine_link *l = &m->link[link];

	if (l->use != LINK_STREAM_IN && l->use != LINK_ROLL_IN)
		return true;
	return m->open.marks.last - m->open.marks.home_flushed < RECORDS_MAX - 16 &&
	       m->open.marks.last - m->open.marks.logged < RECORDS_MAX / 8 &&
	       m->open.cut.step == CUT_NONE && m->open.leap.step == LEAP_NONE;
}

/* ---- time ---------------------------------------------------------------- */

/* A refresh that stands still is one that clients may have waited for. */
static void close_stalled(struct mirror_engine *m, uint32_t number)
{
	const uint32_t site = m->link[number].site;

	if (m->open.peer[site].refresh.phase >= REFRESH_ASKED &&
	    m->open.peer[site].refresh.phase <= REFRESH_ENDING)
		mirror_trust_lost(m, site);
	mirror_link_close(m, number, "nothing was confirmed for copy-timeout");
}

/* A promotion that no operator forces does not wait long for a connection to a site that it
 * does not need: one that no view counts, and in async any. */
static bool opens_at_once(const struct mirror_engine *m, const struct engine_link *l)
{
	const struct order *o = &m->open.prepare.order;

	return l->use == LINK_OPENING && l->purpose == MIRROR_HELLO_ROLL && !o->force &&
	       (o->sites >> l->site & 1) != 0;
}

static void check_times(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	const uint64_t limit = m->config->copy_timeout_ms * NS_PER_MS;

	if (l->use == LINK_FREE || l->use == LINK_ENDING)
		return;
	if (number == m->open.greeting.link)
		l->last_heard_ns = m->now_ns; /* it waits because of us */
	if (opens_at_once(m, l) && m->now_ns >= l->last_heard_ns + ROLL_OPENING_NS)
		mirror_link_close(m, number, "no connection to it within a second");
	else if (m->now_ns >= l->last_heard_ns + limit)
		mirror_link_close(m, number, "nothing was heard for copy-timeout");
	else if (l->use == LINK_STREAM_OUT && m->now_ns >= l->progress_ns + limit)
		close_stalled(m, number);
	else
		mirror_engine_wake(m, l->last_heard_ns + (opens_at_once(m, l) ?
								  ROLL_OPENING_NS :
								  limit));
}

static void connect_peer(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	if (!p->wanted || p->link != MIRROR_LINK_NONE)
		return;
	if (m->now_ns < p->retry_at_ns) {
		mirror_engine_wake(m, p->retry_at_ns);
		return;
	}
	p->link = mirror_link_connect(m, &p->address, MIRROR_HELLO_STREAM);
	p->retry_at_ns = m->now_ns + RETRY_NS;
	if (p->state == LINK_DOWN && strcmp(p->text, "not linked") == 0)
		mirror_peer_set(m, site, LINK_CONNECTING, "connecting");
}

void mirror_links_pump(struct mirror_engine *m)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		check_times(m, i);
	mirror_greetings_pump(m);
	if (m->state == ENGINE_SERVING || m->state == ENGINE_STARTING ||
	    m->state == ENGINE_DEMOTING) {
		for (uint32_t s = 0; s < m->config->site_count; s++) {
			if (s == m->open.site || m->open.failed)
				continue;
			if (m->state == ENGINE_SERVING)
				connect_peer(m, s);
		}
		mirror_trust_pump(m);
	}
	mirror_send_pump(m);
}
