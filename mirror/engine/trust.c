/* engine/trust.c - how long clients wait for a copy, and when they wait for it again (D3, G7).
 *
 * copy-timeout belongs to the records that a copy has not confirmed. It begins when there
 * are records that the copy could have, and only a confirmation of more than ever before
 * begins it anew. A link that is made, greets and sends heartbeats proves nothing about
 * records, which may be too large for the path.
 *
 *   mark      it could confirm                 nothing new for copy-timeout
 *   logged    all that is sent to copies       lost
 *   durable   all that is durable here         lost
 *   home      with confirm: home, all that     lost
 *             is logged wherever waited for
 *
 * A copy that is out is let in when it has confirmed all records that existed when its
 * link began, and takes the records that it is sent. Clients do not wait for a while for
 * a copy that was lost more than once in a short time, twice as long each time; nor is
 * its refresh begun, for which clients may have to wait. It makes good for one loss in
 * GOOD_TIMES copy-timeout of being waited for. An operator's `refresh` forgives all of
 * them. While the copy is missing (M8) clients wait in any case, so it is let in at once.
 */
#include <stdio.h>

#include "mirror/engine/state.h"

#define BACK_OFF_DOUBLED_MAX 4u /* copy-timeout, then 2, 4, 8, 16 times that */
#define GOOD_TIMES 32u

static uint64_t timeout_ns(const struct mirror_engine *m)
{
	return m->config->copy_timeout_ms * NS_PER_MS;
}

/* ---- confirmations that it owes -------------------------------------------- */

/* True: it has confirmed more than ever before. */
static bool has(struct mirror_engine *m, struct engine_owed *o, uint64_t mark)
{
	if (mark <= o->has)
		return false;
	o->has = mark;
	if (o->since_ns != 0)
		o->since_ns = m->now_ns;
	return true;
}

static void lacks(struct mirror_engine *m, struct engine_owed *o, uint64_t wanted)
{
	if (o->has >= wanted)
		o->since_ns = 0;
	else if (o->since_ns == 0)
		o->since_ns = m->now_ns;
}

/* With confirm: home clients wait for it to be home there, too. */
static uint64_t home_owed(const struct mirror_engine *m, uint32_t site)
{
	const struct mirror_ack *ack = &m->open.requests.ack;

	return ack->promise.home && mirror_ack_waits_for(ack, site) ?
		       mirror_ack_everywhere(ack)->logged :
		       0;
}

/* A record that is not even in a log write is not owed: it is not sent before. */
static void look(struct mirror_engine *m, uint32_t site)
{
	struct engine_trust *t = &m->open.peer[site].trust;

	lacks(m, &t->logged, m->open.marks.next_to_log - 1);
	lacks(m, &t->durable, m->open.marks.durable);
	lacks(m, &t->home, home_owed(m, site));
	if (t->logged.since_ns == 0 && t->durable.since_ns == 0 &&
	    t->home.since_ns == 0 && mirror_trust_flows(m, site))
		m->open.peer[site].lost_told = false;
}

/* A new generation: the copy's marks are not known yet. */
void mirror_trust_serve(struct mirror_engine *m, uint32_t site)
{
	struct engine_trust *t = &m->open.peer[site].trust;

	t->logged = t->durable = t->home = (struct engine_owed){ 0 };
	t->good_ns = 0;
}

/* The copy's welcome tells its marks. Another process of its host may have less than the
 * one before, as may a copy that nobody waits for; but its coming is no progress. */
void mirror_trust_begins(struct mirror_engine *m, uint32_t number)
{
	struct engine_peer *p = &m->open.peer[m->link[number].site];
	struct engine_trust *t = &p->trust;

	m->link[number].began_at = m->open.marks.last;
	t->behind_told = false;
	has(m, &t->logged, p->marks.logged);
	has(m, &t->durable, p->marks.durable);
	t->logged.has = p->marks.logged;
	t->durable.has = p->marks.durable;
	if (t->home_incarnation != p->incarnation)
		t->home.has = 0; /* it counts anew; else a greeting is no progress */
	t->home_incarnation = p->incarnation;
}

void mirror_trust_confirmed(struct mirror_engine *m, uint32_t site, bool refreshed)
{
	struct engine_peer *p = &m->open.peer[site];
	struct engine_trust *t = &p->trust;
	const bool logged = has(m, &t->logged, p->marks.logged);

	if (refreshed)
		t->logged.since_ns = t->durable.since_ns = t->home.since_ns = 0;
	if (has(m, &t->durable, p->marks.durable) || logged)
		p->lost_told = false;
}

void mirror_trust_homed(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	if (has(m, &p->trust.home, m->open.requests.ack.home[site]))
		p->lost_told = false;
}

bool mirror_trust_flows(const struct mirror_engine *m, uint32_t site)
{
	const struct engine_peer *p = &m->open.peer[site];

	if (p->link == MIRROR_LINK_NONE || m->link[p->link].use != LINK_STREAM_OUT)
		return false;
	return p->refresh.phase != REFRESH_NONE || p->trust.logged.since_ns == 0 ||
	       m->now_ns < p->trust.logged.since_ns + FLOW_NS;
}

/* ---- back off ---------------------------------------------------------------- */

void mirror_trust_lost(struct mirror_engine *m, uint32_t site)
{
	struct engine_trust *t = &m->open.peer[site].trust;
	uint32_t doubled;

	t->good_ns = 0;
	if (t->lost_count++ == 0)
		return;
	doubled = t->lost_count - 2 < BACK_OFF_DOUBLED_MAX ? t->lost_count - 2 :
							     BACK_OFF_DOUBLED_MAX;
	if (t->lost_count > BACK_OFF_DOUBLED_MAX + 2)
		t->lost_count = BACK_OFF_DOUBLED_MAX + 2;
	t->again_ns = m->now_ns + (timeout_ns(m) << doubled);
	mirror_engine_event(
		m, mirror_engine_site_name(m, site), "back-off",
		"lost again: once it is out, writes do not wait for it for %llu s",
		(unsigned long long)((t->again_ns - m->now_ns) / NS_PER_MS / 1000));
}

void mirror_trust_forgive(struct mirror_engine *m, uint32_t site)
{
	m->open.peer[site].trust.lost_count = 0;
	m->open.peer[site].trust.again_ns = 0;
}

uint64_t mirror_trust_again_ns(const struct mirror_engine *m, uint32_t site)
{
	return (m->open.requests.missing >> site & 1) != 0 ?
		       0 :
		       m->open.peer[site].trust.again_ns;
}

bool mirror_trust_allows(struct mirror_engine *m, uint32_t site)
{
	const uint64_t again_ns = mirror_trust_again_ns(m, site);

	if (m->now_ns >= again_ns)
		return true;
	mirror_engine_wake(m, again_ns);
	return false;
}

bool mirror_trust_may_enter(struct mirror_engine *m, uint32_t site)
{
	const struct engine_peer *p = &m->open.peer[site];

	return mirror_trust_allows(m, site) && mirror_trust_flows(m, site) &&
	       p->marks.logged >= m->link[p->link].began_at &&
	       (!m->open.requests.ack.promise.home ||
		m->open.requests.ack.home[site] >= m->link[p->link].began_at);
}

/* It is waited for: with time it makes good. */
static void make_good(struct mirror_engine *m, struct engine_trust *t)
{
	if (t->lost_count == 0)
		return;
	if (t->good_ns == 0)
		t->good_ns = m->now_ns;
	if (m->now_ns < t->good_ns + GOOD_TIMES * timeout_ns(m))
		return;
	t->good_ns = m->now_ns;
	t->lost_count--;
}

/* ---- lost -------------------------------------------------------------------- */

/* D3, backwards: a copy that writes wait for is gone. */
static void tell_lost(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];
	struct fact *f;

	if ((!p->waited && p->candidate_count == 0) || p->lost_told)
		return;
	p->lost_told = true;
	f = mirror_engine_fact(m, FACT_COPY_LOST);
	f->site = site;
	f->ready_count = m->ready_count;
	snprintf(f->text, sizeof f->text, "%s",
		 p->text[0] != 0 ? p->text : "no link to it could be made");
}

/* The copy would have the records that clients wait for only at the end of its refresh.
 * The refresh needs room in this log, and records of the log to go home; both come by
 * answers. So clients do not wait for it, as for any copy that is not current: the map
 * and the superblock say so, durably (G5). */
void mirror_trust_behind(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];
	struct fact *f;

	if ((!p->waited && p->candidate_count == 0) || p->trust.behind_told)
		return;
	p->lost_told = p->trust.behind_told = true;
	f = mirror_engine_fact(m, FACT_COPY_LOST);
	f->site = site;
	f->ready_count = m->ready_count;
	f->behind = true;
	snprintf(f->text, sizeof f->text,
		 "it lacks more than the log holds, and is refreshed");
}

/* A connection that ended is known at once, and costs clients little: that is not held
 * against the copy. */
static bool waited_long(const struct mirror_engine *m, const struct engine_owed *o)
{
	return o->since_ns != 0 && m->now_ns >= o->since_ns + timeout_ns(m) / 2;
}

/* A near copy without a link stays while what it lacks is within the bound: nothing waits for
 * it, and near.c sees when it leaves (M4). */
static bool is_near(const struct mirror_engine *m)
{
	const struct promise *p = &m->open.requests.ack.promise;

	return p->mode == CONFIG_ASYNC && promise_counts(p);
}

/* It has no link for longer than a new one takes. */
static void check_link(struct mirror_engine *m, uint32_t site)
{
	struct engine_peer *p = &m->open.peer[site];

	if ((p->link != MIRROR_LINK_NONE && m->link[p->link].use == LINK_STREAM_OUT) ||
	    (!p->waited && p->candidate_count == 0) || p->lost_told || is_near(m))
		return;
	if (m->now_ns < p->lost_at_ns) {
		mirror_engine_wake(m, p->lost_at_ns);
		return;
	}
	if (waited_long(m, &p->trust.logged) || waited_long(m, &p->trust.durable) ||
	    waited_long(m, &p->trust.home))
		mirror_trust_lost(m, site);
	tell_lost(m, site);
}

static bool is_overdue(struct mirror_engine *m, const struct engine_owed *o)
{
	if (o->since_ns == 0)
		return false;
	if (m->now_ns >= o->since_ns + timeout_ns(m))
		return true;
	mirror_engine_wake(m, o->since_ns + timeout_ns(m));
	return false;
}

/* Clients wait for it, and it has confirmed nothing for copy-timeout. The next link has
 * as much time again to bring something. */
static void check_owed(struct mirror_engine *m, uint32_t site)
{
	static const char text[] = "nothing was confirmed for copy-timeout";
	struct engine_peer *p = &m->open.peer[site];
	struct engine_trust *t = &p->trust;

	if (!mirror_ack_waits_for(&m->open.requests.ack, site) ||
	    p->refresh.phase != REFRESH_NONE ||
	    (!is_overdue(m, &t->logged) && !is_overdue(m, &t->durable) &&
	     !is_overdue(m, &t->home)))
		return;
	if (t->logged.since_ns != 0)
		t->logged.since_ns = m->now_ns;
	if (t->durable.since_ns != 0)
		t->durable.since_ns = m->now_ns;
	if (t->home.since_ns != 0)
		t->home.since_ns = m->now_ns;
	if (!p->lost_told && !is_near(m))
		mirror_trust_lost(m, site);
	if (p->link != MIRROR_LINK_NONE && m->link[p->link].use == LINK_STREAM_OUT)
		mirror_link_close(m, p->link, text);
	if (!is_near(m))
		tell_lost(m, site);
}

void mirror_trust_pump(struct mirror_engine *m)
{
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		if (s == m->open.site || m->open.failed)
			continue;
		if (m->state != ENGINE_STARTING)
			look(m, s);
		if (mirror_ack_waits_for(&m->open.requests.ack, s))
			make_good(m, &m->open.peer[s].trust);
		check_owed(m, s);
		check_link(m, s);
	}
}
