/* members_io.c - a toy I/O side: the rules of docs/rules.md on a log of write numbers.
 *
 * A site's log is a plain order of records, durable as soon as they are logged. Links exist
 * within a part of the network. The checkers of G1, G3, G4, D5, D6 live here, where
 * the facts are.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/members.h"

/* A copy that has not been linked so long after the start of a generation is lost. */
#define LINK_GRACE_NS (200 * MEMBERS_NS_PER_MS)

static void answer(struct members *m, uint32_t node, enum fact_type type, uint64_t id,
		   int32_t error)
{
	struct fact f = { .type = type, .order_id = id, .error = error };

	f.site = m->node[node].io.site;
	members_fact(m, node, &f);
}

static int32_t find(const struct history *h, const struct uuid *id)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (uuid_equal(&h->entry[i].id, id))
			return (int32_t)i;
	return -1;
}

/* ---- devices (D6) ---- */

static void open_site(struct members *m, uint32_t node, const struct order *o)
{
	struct members_io *io = &m->node[node].io;
	struct members_log *log = &m->log[o->site];
	struct fact f = { .type = FACT_OPENED, .order_id = o->id, .site = o->site };

	if (io->open_error != 0) {
		io->site = o->site;
		answer(m, node, FACT_OPENED, o->id, io->open_error);
		return;
	}
	if (io->open)
		members_violate(m, "n%u was told to open twice", node + 1);
	if (log->open_node >= 0)
		members_violate(m, "D6: n%u opens site %u, which n%u has open", node + 1,
				o->site, (uint32_t)log->open_node + 1);
	log->open_node = (int32_t)node;
	*io = (struct members_io){
		.open = true,
		.site = o->site,
		.incarnation = o->incarnation,
		.stream_from = -1,
	};
	f.history = log->history;
	f.marks.logged = f.marks.durable = f.marks.home = log->length;
	f.clean = log->clean;
	f.data = DATA_CONSISTENT;
	f.log = log->log;
	members_fact(m, node, &f);
}

static void close_site(struct members *m, uint32_t node)
{
	struct members_io *io = &m->node[node].io;

	if (io->open)
		m->log[io->site].open_node = -1;
	*io = (struct members_io){ .site = io->site, .stream_from = -1 };
}

void members_io_crash(struct members *m, uint32_t node)
{
	close_site(m, node);
}

/* ---- judging (D8) ---- */

/* `theirs` is an older part of that history. */
static bool is_ahead(const struct history *own, const struct history *theirs)
{
	const struct uuid *id = &history_newest(theirs)->id;

	return find(own, id) >= 0 && !uuid_equal(&history_newest(own)->id, id);
}

/* Cut `log` as a generation with the chain `theirs` permits. */
static void cut_by(struct members *m, struct members_log *log,
		   const struct history *theirs)
{
	const struct generation *own = history_newest(&log->history);
	const int32_t at = find(theirs, &own->id);

	if (at < 0) {
		if (!m->forced)
			members_violate(m, "D8: SplitBrain without a force");
		log->length = 0;
		return;
	}
	for (uint32_t i = (uint32_t)at + 1; i < theirs->count; i++)
		if (theirs->entry[i].cut < log->length)
			log->length = theirs->entry[i].cut;
}

/* A refusal stands until a view of greater ballot leaves its generation out. */
static bool refuses(const struct members_log *log, const struct history *theirs)
{
	return log->refuse_ballot != 0 && find(theirs, &log->refuse_generation) < 0;
}

static void take_view(struct members *m, uint32_t node, const struct order *o)
{
	struct members_log *log = &m->log[m->node[node].io.site];

	if (!m->node[node].io.open)
		return;
	if (log->refuse_ballot != 0 && o->ballot > log->refuse_ballot &&
	    find(&o->history, &log->refuse_generation) < 0)
		log->refuse_ballot = 0;
}

/* ---- promotion ---- */

static bool reaches(const struct members *m, uint32_t a, uint32_t b)
{
	return m->node[a].running && m->node[b].running &&
	       m->node[a].line == m->node[b].line;
}

static int32_t host_by_incarnation(const struct members *m, uint32_t site,
				   uint64_t incarnation)
{
	const int32_t n = m->log[site].open_node;

	return n >= 0 && m->node[n].io.incarnation == incarnation ? n : -1;
}

static bool roll_forward(struct members *m, uint32_t node, const struct order *o,
			 const struct order_peer *peer)
{
	const int32_t from = host_by_incarnation(m, peer->site, peer->incarnation);
	struct members_log *mine = &m->log[o->site], *theirs = &m->log[peer->site];
	struct history *chain = &theirs->history;

	if (from < 0 || !reaches(m, node, (uint32_t)from))
		return false;
	if (find(&o->history, &history_newest(chain)->id) < 0)
		return false;
	theirs->refuse_generation = o->generation;
	theirs->refuse_ballot = o->ballot;
	m->node[from].io.stream_from = -1;
	cut_by(m, theirs, &o->history);
	for (uint64_t i = 0; i < theirs->length && i < mine->length; i++)
		if (mine->write[i] != theirs->write[i])
			members_violate(m, "D5: two records have one sequence");
	for (; mine->length < theirs->length; mine->length++)
		mine->write[mine->length] = theirs->write[mine->length];
	return true;
}

static void prepare(struct members *m, uint32_t node)
{
	struct members_io *io = &m->node[node].io;
	struct members_log *log = &m->log[io->site];
	const struct order *o = &io->prepare;
	struct fact f = { .type = FACT_PREPARED, .order_id = o->id, .site = io->site };

	io->prepare_ns = 0;
	if (!io->open || io->engine >= ENGINE_SERVING) {
		answer(m, node, FACT_PREPARED, o->id, -EBUSY);
		return;
	}
	if (is_ahead(&log->history, &o->history)) {
		answer(m, node, FACT_PREPARED, o->id, -ESTALE);
		return;
	}
	cut_by(m, log, &o->history);
	io->stream_from = -1;
	log->refuse_generation = o->generation;
	log->refuse_ballot = o->ballot;
	for (uint32_t i = 0; i < o->source_count; i++)
		if (roll_forward(m, node, o, &o->source[i]))
			f.reached_sites |= 1u << o->source[i].site;
	io->engine = ENGINE_PREPARED;
	io->generation = o->generation;
	f.sequence = log->length;
	members_fact(m, node, &f);
}

/* G4: everything acknowledged is here. G3: nobody else may answer any more. */
static void check_serve(struct members *m, uint32_t node)
{
	const struct members_log *log = &m->log[m->node[node].io.site];
	static bool here[MEMBERS_LOG_MAX];

	memset(here, 0, sizeof here);
	for (uint64_t i = 0; i < log->length; i++)
		here[log->write[i]] = true;
	for (uint32_t w = 1; w <= m->write_count; w++)
		if (m->acked[w] && !here[w] && !m->forced)
			members_violate(m, "G4: n%u serves without write %u", node + 1,
					w);
	for (uint32_t n = 0; n < m->node_count && !m->parted; n++)
		if (n != node && m->node[n].running &&
		    m->node[n].io.engine >= ENGINE_SERVING &&
		    members_clock(m, n) < m->node[n].io.lease_until_ns)
			members_violate(m, "G3: n%u serves while n%u has a lease",
					node + 1, n + 1);
}

static void serve(struct members *m, uint32_t node, const struct order *o)
{
	struct members_io *io = &m->node[node].io;
	struct members_log *log = &m->log[io->site];
	const struct generation *g = history_newest(&o->history);

	if (io->engine != ENGINE_PREPARED || g->cut != log->length ||
	    !uuid_equal(&g->id, &io->generation)) {
		members_violate(m, "n%u was told to serve an unprepared generation",
				node + 1);
		return;
	}
	check_serve(m, node);
	log->history = o->history;
	log->clean = false;
	io->engine = ENGINE_SERVING;
	io->acknowledged = 0;
	io->served_ns = m->now_ns;
	io->served_sites = o->sites;
	m->newest_served = g->id;
	m->serve_count++;
	for (uint32_t s = 0; s < MEMBERS_SITES_MAX; s++)
		io->link[s] = (struct members_link){ .waited = (o->sites >> s & 1) != 0 };
	answer(m, node, FACT_SERVING, o->id, 0);
}

static void end_serving(struct members *m, uint32_t node)
{
	struct members_io *io = &m->node[node].io;

	io->engine = ENGINE_IDLE;
	io->prepare_ns = 0;
	for (uint32_t s = 0; s < MEMBERS_SITES_MAX; s++)
		io->link[s] = (struct members_link){ 0 };
}

/* The hosts of these sites are told of the clean end, and asked to go on. */
static void hand_over(struct members *m, uint32_t sites)
{
	const struct fact f = { .type = FACT_HANDED_OVER };

	for (uint32_t n = 0; n < m->config.node_count; n++)
		if (m->node[n].running && m->node[n].io.open &&
		    (sites >> m->node[n].io.site & 1) != 0)
			members_fact(m, n, &f);
}

static void demoted(struct members *m, uint32_t node, bool clean)
{
	struct members_io *io = &m->node[node].io;
	struct fact f = { .type = FACT_DEMOTED,
			  .order_id = io->demote_id,
			  .site = io->site };

	f.clean = clean;
	f.marks.logged = f.marks.durable = m->log[io->site].length;
	m->log[io->site].clean = clean;
	for (uint32_t s = 0; clean && s < m->config.site_count; s++)
		if (s != io->site && io->link[s].up &&
		    io->link[s].confirmed == m->log[io->site].length)
			f.level_sites |= 1u << s;
	end_serving(m, node);
	members_fact(m, node, &f);
	hand_over(m, io->demote_sites & f.level_sites);
}

/* ---- links and copies ---- */

static void link_order(struct members *m, uint32_t node, const struct order *o)
{
	struct members_io *io = &m->node[node].io;
	struct members_link *l = &io->link[o->site];

	if (io->engine < ENGINE_SERVING)
		return;
	if (o->type == ORDER_UNLINK) {
		l->wanted = l->up = l->candidate = false;
		return;
	}
	if (l->wanted)
		members_violate(m, "site %u was linked twice", o->site);
	l->wanted = true;
	l->incarnation = o->peer.incarnation;
	l->told_ready = false;
	assert(m->started_count < sizeof m->started / sizeof m->started[0]);
	m->started[m->started_count].generation = io->generation;
	m->started[m->started_count].site = o->site;
	m->started[m->started_count++].incarnation = o->peer.incarnation;
}

static void wait_order(struct members *m, uint32_t node, const struct order *o)
{
	struct members_io *io = &m->node[node].io;

	for (uint32_t s = 0; s < MEMBERS_SITES_MAX; s++) {
		struct members_link *l = &io->link[s];
		const bool in = (o->sites >> s & 1) != 0;

		if (!in && !l->waited && l->candidate &&
		    (!l->told_ready || l->ready_count > o->ready_seen))
			continue;
		l->waited = in;
		l->candidate = l->told_ready = false;
		l->told_lost = false;
	}
}

static void link_lost(struct members *m, uint32_t node, uint32_t s)
{
	struct members_link *l = &m->node[node].io.link[s];
	struct fact f = { .type = FACT_COPY_LOST, .site = s };

	l->up = false;
	l->confirmed = 0;
	if (!l->candidate && !l->waited)
		return;
	if (l->candidate && !l->told_ready)
		l->candidate = false;
	if ((l->waited || l->candidate) && !l->told_lost) {
		l->told_lost = true;
		snprintf(f.text, sizeof f.text, "the link is down");
		members_fact(m, node, &f);
	}
}

/* Hello: the copy judges (D8), or refuses (D4). */
static void link_try(struct members *m, uint32_t node, uint32_t s)
{
	struct members_io *io = &m->node[node].io;
	struct members_link *l = &io->link[s];
	const int32_t peer = host_by_incarnation(m, s, l->incarnation);
	struct members_log *mine = &m->log[io->site], *theirs = &m->log[s];

	if (peer < 0 || !reaches(m, node, (uint32_t)peer) ||
	    m->node[peer].io.engine != ENGINE_IDLE || refuses(theirs, &mine->history))
		return;
	if (is_ahead(&theirs->history, &mine->history))
		return; /* it follows a newer generation already */
	cut_by(m, theirs, &mine->history);
	for (uint64_t i = 0; i < theirs->length; i++)
		if (i >= mine->length || theirs->write[i] != mine->write[i])
			members_violate(m, "D8: the copy of site %u is no prefix", s);
	theirs->history = mine->history;
	theirs->clean = false;
	m->node[peer].io.stream_from = (int32_t)node;
	l->up = true;
	l->node = peer;
	l->confirmed = theirs->length;
}

static void link_move(struct members *m, uint32_t node, uint32_t s)
{
	struct members_io *io = &m->node[node].io;
	struct members_link *l = &io->link[s];
	struct members_log *mine = &m->log[io->site], *theirs = &m->log[s];
	struct fact f = { .type = FACT_COPY_READY,
			  .site = s,
			  .incarnation = l->incarnation };

	if (m->node[l->node].io.stream_from != (int32_t)node ||
	    host_by_incarnation(m, s, l->incarnation) != l->node ||
	    !reaches(m, node, (uint32_t)l->node)) {
		link_lost(m, node, s);
		return;
	}
	if (theirs->length < mine->length && random_below(&m->random, 2) == 0) {
		theirs->write[theirs->length] = mine->write[theirs->length];
		theirs->length++;
	}
	l->confirmed = theirs->length;
	if (!l->waited && !l->candidate) {
		l->candidate = true;
		l->candidate_from = mine->length;
		l->told_ready = false;
	}
	if (l->candidate && !l->told_ready && l->confirmed >= l->candidate_from) {
		l->told_ready = true;
		l->told_lost = false;
		l->ready_count = f.ready_count = ++io->ready_count;
		f.sequence = l->candidate_from;
		members_fact(m, node, &f);
	}
}

/* ---- production ---- */

static void write_one(struct members *m, uint32_t node)
{
	struct members_log *log = &m->log[m->node[node].io.site];

	if (m->write_count + 1 >= MEMBERS_LOG_MAX || log->length + 1 >= MEMBERS_LOG_MAX)
		return;
	log->write[log->length++] = ++m->write_count;
}

static void acknowledge(struct members *m, uint32_t node)
{
	struct members_io *io = &m->node[node].io;
	const struct members_log *log = &m->log[io->site];
	uint64_t upto = log->length;

	for (uint32_t s = 0; s < m->config.site_count; s++)
		if ((io->link[s].waited || io->link[s].candidate) && s != io->site) {
			const uint64_t c = io->link[s].up ? io->link[s].confirmed : 0;

			upto = c < upto ? c : upto;
		}
	if (members_clock(m, node) >= io->lease_until_ns || upto <= io->acknowledged)
		return;
	if (!uuid_equal(&io->generation, &m->newest_served) && !m->parted)
		members_violate(m, "G3: n%u acknowledges after another was promoted",
				node + 1);
	for (; io->acknowledged < upto; io->acknowledged++)
		m->acked[log->write[io->acknowledged]] = true;
}

/* FACT_MARKS, at most every 200 ms while they move; a new generation at once. */
static void marks(struct members *m, uint32_t node)
{
	struct members_io *io = &m->node[node].io;
	const uint64_t length = m->log[io->site].length;
	const struct history *h = &m->log[io->site].history;
	struct fact f = { .type = FACT_MARKS, .site = io->site };

	if (!io->open)
		return;
	if (h->count > 0 && !uuid_equal(&history_newest(h)->id, &io->told_newest)) {
		io->told_newest = history_newest(h)->id;
		f.history = *h;
	} else if (length == io->told_length ||
		   m->now_ns < io->told_ns + 200 * MEMBERS_NS_PER_MS) {
		return;
	}
	io->told_length = length;
	io->told_ns = m->now_ns;
	f.marks.logged = f.marks.durable = f.marks.home = length;
	members_fact(m, node, &f);
}

void members_io_tick(struct members *m, uint32_t node)
{
	struct members_io *io = &m->node[node].io;
	struct members_log *log = &m->log[io->site];

	if (io->prepare_ns != 0 && m->now_ns >= io->prepare_ns)
		prepare(m, node);
	marks(m, node);
	if (io->engine != ENGINE_SERVING && io->engine != ENGINE_DEMOTING)
		return;
	if (io->engine == ENGINE_SERVING && m->writes && random_below(&m->random, 8) == 0)
		write_one(m, node);
	for (uint32_t s = 0; s < m->config.site_count; s++) {
		if (s == io->site)
			continue;
		if (io->link[s].wanted && !io->link[s].up)
			link_try(m, node, s);
		if (io->link[s].up)
			link_move(m, node, s);
		else if ((io->link[s].waited || io->link[s].candidate) &&
			 m->now_ns >= io->served_ns + LINK_GRACE_NS)
			link_lost(m, node, s);
	}
	acknowledge(m, node);
	if (io->engine == ENGINE_DEMOTING && io->acknowledged == log->length)
		demoted(m, node, true);
	else if (io->engine == ENGINE_DEMOTING &&
		 members_clock(m, node) >= io->demote_deadline_ns)
		demoted(m, node, false);
}

static void demote(struct members *m, uint32_t node, const struct order *o)
{
	struct members_io *io = &m->node[node].io;

	io->demote_id = o->id;
	io->demote_sites = o->sites;
	if (io->engine != ENGINE_SERVING) {
		demoted(m, node, false);
		return;
	}
	io->engine = ENGINE_DEMOTING;
	io->demote_deadline_ns = members_clock(m, node) + o->wait_ms * MEMBERS_NS_PER_MS;
}

void members_io_order(struct members *m, uint32_t node, const struct order *o)
{
	struct members_io *io = &m->node[node].io;

	switch (o->type) {
	case ORDER_OPEN:
		open_site(m, node, o);
		break;
	case ORDER_CLOSE:
		close_site(m, node);
		answer(m, node, FACT_CLOSED, o->id, 0);
		break;
	case ORDER_PREPARE:
		io->prepare = *o;
		io->prepare_ns = m->now_ns +
				 random_below(&m->random, m->prepare_max_ms + 1) *
					 MEMBERS_NS_PER_MS;
		break;
	case ORDER_SERVE:
		serve(m, node, o);
		break;
	case ORDER_DEMOTE:
		demote(m, node, o);
		break;
	case ORDER_DEPOSE:
		end_serving(m, node);
		break;
	case ORDER_LEASE:
		io->lease_until_ns = o->until_ns;
		break;
	case ORDER_WAIT:
		wait_order(m, node, o);
		break;
	case ORDER_LINK:
	case ORDER_UNLINK:
		link_order(m, node, o);
		break;
	case ORDER_VIEW:
		take_view(m, node, o);
		break;
	case ORDER_PROBE:
	case ORDER_MARK:
	case ORDER_REFRESH:
	case ORDER_THROTTLE:
	case ORDER_RECOVER:
	case ORDER_FAIL_FROZEN:
	case ORDER_STATUS:
		break;
	}
}
