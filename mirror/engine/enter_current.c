/* engine/enter_current.c - production waits for a copy that is level enough, and names it for
 * the current set (D3).
 */
#include "mirror/engine/state.h"

/* So much is logged there, and with confirm: home (M9) on its disks. */
static uint64_t has_of(const struct mirror_engine *m, uint32_t site)
{
	const uint64_t logged = m->open.peer[site].marks.logged;
	const uint64_t home = m->open.requests.ack.home[site];

	return m->open.requests.ack.promise.home && home < logged ? home : logged;
}

/* All before that mark is safe there, so that it may be named. */
static bool is_proven(const struct mirror_engine *m, uint32_t site, uint64_t mark)
{
	return m->open.peer[site].proven_durable + 1 >= mark &&
	       (!m->open.requests.ack.promise.home ||
		m->open.requests.ack.home[site] + 1 >= mark);
}

/* Production may have so much at home. With confirm: home, and where async has just replaced
 * it, that is more than was answered. */
static uint64_t may_be_home(const struct mirror_engine *m)
{
	const struct mirror_ack *ack = &m->open.requests.ack;
	const uint64_t answered = mirror_ack_acknowledged(ack);
	const uint64_t logged = mirror_ack_everywhere(ack)->logged;

	return logged > answered ? logged : answered;
}

/* The copy is level enough: writes wait for it from here on, and when it has confirmed
 * all below durable, the members are told. Recovered records are below, acknowledged
 * again by now or not, because the generation before may have acknowledged them. */
static void enter(struct mirror_engine *m, uint32_t site)
{
	const uint64_t recovered = history_newest(&m->open.sb.history)->cut;
	struct engine_peer *p = &m->open.peer[site];
	struct fact *f;

	if (p->candidate_from == 0) {
		mirror_requests_wait(m, site, true);
		p->candidate_from = may_be_home(m) + 1;
		if (p->candidate_from <= recovered)
			p->candidate_from = recovered + 1;
	}
	if (p->candidate_count != 0 || !is_proven(m, site, p->candidate_from))
		return;
	p->candidate_count = ++m->ready_count;
	f = mirror_engine_fact(m, FACT_COPY_READY);
	f->site = site;
	f->sequence = p->candidate_from;
	f->incarnation = p->incarnation;
	f->ready_count = p->candidate_count;
}

bool mirror_chase_is_short(uint64_t behind, uint64_t taken, uint64_t count,
			   uint64_t timeout_ms)
{
	const uint64_t chase_ms = CHASE_NS / NS_PER_MS;
	uint64_t wait_ms = count * chase_ms;

	if (wait_ms > chase_ms && wait_ms > timeout_ms)
		wait_ms = timeout_ms > chase_ms ? timeout_ms : chase_ms;
	return behind * chase_ms <= taken * wait_ms;
}

/* The copy is no faster than the clients, so it would not come nearer by itself: in none
 * of the last `chase_count` periods of CHASE_NS has it halved its backlog. Then clients
 * wait until it has about that much work done, copy-timeout at most (G7). */
static bool is_outrun(struct mirror_engine *m, struct engine_peer *p, uint64_t behind)
{
	const uint64_t limit_ms = m->config->copy_timeout_ms;
	const uint64_t taken = p->marks.logged - p->refresh.chase_logged;

	if (p->refresh.chase_ns != 0 && m->now_ns < p->refresh.chase_ns + CHASE_NS) {
		mirror_engine_wake(m, p->refresh.chase_ns + CHASE_NS);
		return false;
	}
	if (p->refresh.chase_ns == 0 || behind <= p->refresh.chase_behind / 2)
		p->refresh.chase_count = 0;
	else if (p->refresh.chase_count * CHASE_NS < limit_ms * NS_PER_MS)
		p->refresh.chase_count++;
	p->refresh.chase_ns = m->now_ns;
	p->refresh.chase_behind = behind;
	p->refresh.chase_logged = p->marks.logged;
	return mirror_chase_is_short(behind, taken, p->refresh.chase_count, limit_ms);
}

/* Level enough, or outrun by clients; in async, where no client waits for one that is
 * behind: near (M4). */
static bool is_close(struct mirror_engine *m, uint32_t site, uint64_t behind)
{
	struct engine_peer *p = &m->open.peer[site];

	if (m->open.requests.ack.promise.mode == CONFIG_ASYNC)
		return mirror_near_may_enter(m, site);
	return behind <= LEVEL_RECORDS || is_outrun(m, p, behind);
}

void mirror_enter_pump(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];
	struct engine_peer *p = &m->open.peer[l->site];
	const bool async = m->open.requests.ack.promise.mode == CONFIG_ASYNC;
	uint64_t behind;
	bool close;

	if (l->use != LINK_STREAM_OUT || p->refresh.phase != REFRESH_NONE ||
	    !l->sending || m->state != ENGINE_SERVING)
		return;
	behind = m->open.marks.last - has_of(m, l->site);
	close = ((async && !p->waited) || p->state != LINK_CONNECTED) &&
		is_close(m, l->site, behind);
	if (p->state != LINK_CONNECTED && (close || behind <= LEVEL_RECORDS)) {
		mirror_peer_set(m, l->site, LINK_CONNECTED, "");
		mirror_outrun_level(m, l->site);
	}
	if (p->state == LINK_CONNECTED && !p->waited && (close || !async) &&
	    !m->open.sb.sites[l->site].disconnected &&
	    (p->candidate_from != 0 || mirror_trust_may_enter(m, l->site)))
		enter(m, l->site);
}
