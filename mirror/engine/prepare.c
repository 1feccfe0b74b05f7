/* engine/prepare.c - becoming production: ORDER_PREPARE and ORDER_SERVE.
 *
 * D5's order: apply the cuts of the view's chain to the own log; store the refusal (D4);
 * roll forward the records that reachable copies hold beyond it; then the members
 * propose the view; serve once it is in effect.
 *
 *   step     what is awaited                               next
 *   quiet    home writes, log writes, a cut under way      cut
 *   cut      the log cut back to a hold, or by D8          refuse
 *   refuse   the refusal durable in the superblock         roll
 *   roll     each source: connected, all sent; or gone     flush
 *   flush    all of it durable here                        FACT_PREPARED
 */
#include <stdio.h>

#include "mirror/engine/state.h"

static void prepared(struct mirror_engine *m, int32_t error, const char *text)
{
	struct fact *f = mirror_engine_fact(m, FACT_PREPARED);

	f->order_id = m->open.prepare.order.id;
	f->error = error;
	f->sequence = m->open.marks.last;
	f->reached_sites = m->open.prepare.reached;
	f->level_sites = m->open.prepare.level & m->open.prepare.reached;
	f->busy_sites = m->open.prepare.busy & ~m->open.prepare.reached;
	f->history = m->open.prepare.order.history;
	snprintf(f->text, sizeof f->text, "%s", text);
	MIRROR_SET(m, prepare.step, PREPARE_NONE);
	m->open.prepare.done = error == 0;
	if (error != 0 && m->state == ENGINE_PREPARING) {
		mirror_engine_set_state(m, ENGINE_IDLE);
		mirror_records_drop_unlogged(m, 0);
		mirror_refusal_review(m);
	}
}

/* What the sources have brought and the log has not is dropped. It could wait for room without
 * end: nothing goes home now, and the next promotion begins with a log that is idle. */
void mirror_prepare_call_off(struct mirror_engine *m, const char *text)
{
	mirror_links_close_all(m, text);
	mirror_records_drop_unlogged(m, 0);
	mirror_become_idle(m);
}

void mirror_prepare_order(struct mirror_engine *m, const struct order *o)
{
	m->open.prepare.order = *o;
	m->open.prepare.reached = 0;
	m->open.prepare.rolled = 0;
	m->open.prepare.tried = 0;
	m->open.prepare.level = m->open.prepare.busy = 0;
	m->open.prepare.text[0] = '\0';
	if (m->open.failed) {
		prepared(m, -EIO, m->open.failed_text);
		return;
	}
	if (m->state != ENGINE_IDLE && m->state != ENGINE_PREPARING) {
		prepared(m, -EBUSY,
			 m->state == ENGINE_CLOSED || m->state == ENGINE_OPENING ?
				 "the disks of this site are not open on this node" :
				 "this node serves already");
		return;
	}
	if (m->state == ENGINE_IDLE)
		mirror_engine_set_state(m, ENGINE_PREPARING);
	m->open.prepare.done = false;
	MIRROR_SET(m, prepare.step, PREPARE_QUIET);
	mirror_links_close_all(m, "this site is being promoted");
}

/* The order is older than the view in effect: a production of that view greeted this site,
 * this site followed it, and then the order came. One history continues the other, so no
 * site has written apart. */
static void overtaken(struct mirror_engine *m)
{
	char text[FACT_TEXT_MAX];

	mirror_text(
		text, sizeof text,
		"this site has followed generation %llu, and this promotion began when "
		"generation %llu was the newest: another host was promoted meanwhile",
		(unsigned long long)history_newest(&m->open.sb.history)->ordinal,
		(unsigned long long)history_newest(&m->open.prepare.order.history)
			->ordinal);
	prepared(m, -ESTALE, text);
}

/* D8 on ourselves, by the view's chain. */
static void judge_self(struct mirror_engine *m)
{
	struct mirror_judgement j;
	char text[FACT_TEXT_MAX];

	mirror_history_judge(&m->open.sb.history, m->open.marks.last,
			     &m->open.prepare.order.history, &j);
	switch (j.verdict) {
	case MIRROR_VERDICT_CONTINUES:
		if (mirror_undo_keeps(m, &j, text, sizeof text)) {
			prepared(m, -EXDEV, text);
			break;
		}
		if (j.keep_sequence < m->open.marks.last) {
			mirror_engine_event(
				m, "writelog", "cut-own-tail",
				"records %llu to %llu lie beyond the cut of a later generation",
				(unsigned long long)j.keep_sequence + 1,
				(unsigned long long)m->open.marks.last);
			mirror_cut_start(m, j.keep_sequence, true,
					 &m->open.prepare.order.history);
		}
		MIRROR_SET(m, prepare.step, PREPARE_REFUSE);
		break;
	case MIRROR_VERDICT_AHEAD:
		overtaken(m);
		break;
	case MIRROR_VERDICT_FORKED:
		prepared(m, -EXDEV,
			 "SplitBrain: this site has a generation that the "
			 "members' history does not know");
		break;
	case MIRROR_VERDICT_UNKNOWN:
		/* What others hold may not follow on an image that is so old. */
		m->open.prepare.order.source_count = 0;
		if (m->open.prepare.order.force)
			MIRROR_SET(m, prepare.step, PREPARE_REFUSE);
		else
			prepared(m, -ESTALE,
				 "this site has no generation in common with "
				 "the members' history; it needs a full refresh");
		break;
	}
}

static void step_quiet(struct mirror_engine *m)
{
	if (!mirror_home_is_quiet(m) || !mirror_log_is_idle(m) ||
	    m->open.cut.step != CUT_NONE)
		return;
	/* By force neither: a mixture would be served as an image. */
	if (m->open.sb.blank) {
		prepared(
			m, -ENODATA,
			"its refresh has not ended, and its disks hold a mixture of old "
			"and new (Inconsistent), which --force does not make an image: "
			"promote another site, or restore a backup and create the mirror "
			"anew");
		return;
	}
	if (!m->config->cluster)
		m->open.prepare.order.history =
			m->open.sb.history; /* there is no view's chain */
	mirror_home_reset(m);
	MIRROR_SET(m, home.reset_due, false);
	MIRROR_SET(m, prepare.step, PREPARE_CUT);
	if (m->open.sb.hold.active)
		mirror_cut_to_hold(m, "a promotion ends the refresh that was under way");
}

/* A promise to a later proposal stands. A refusal under a lower ballot could be lifted by a
 * view between the two, and would let in a production that the later proposal has left
 * behind. */
static void refuse(struct mirror_engine *m)
{
	if (m->config->cluster && !m->open.prepare.order.force &&
	    m->open.sb.refusal.ballot > m->open.prepare.order.ballot) {
		prepared(m, -ESTALE,
			 "this site has promised to follow a later promotion: wait for "
			 "that, or promote again");
		return;
	}
	mirror_store_refusal(m, &m->open.prepare.order.generation,
			     m->open.prepare.order.ballot);
	m->open.prepare.ticket = mirror_superblock_want(m);
	MIRROR_SET(m, prepare.step, PREPARE_ROLL);
}

/* Do our disks still hold blocks of an abandoned generation that the log cannot
 * overwrite? Another site has the right ones. */
static bool is_patchy(struct mirror_engine *m)
{
	if (mirror_map_count(m->open.map, m->open.site) == 0 ||
	    m->open.prepare.order.force)
		return false;
	prepared(m, -ENODATA,
		 "part of this site's disks belongs to a history that was given up; it "
		 "is mended as a copy: promote another site first");
	return true;
}

/* A log that reaches the clean end lacks nothing that this source has. */
static bool is_needless(const struct mirror_engine *m, const struct order_peer *source)
{
	const struct order *o = &m->open.prepare.order;

	return (o->spare >> source->site & 1) != 0 && o->clean_end != 0 &&
	       m->open.marks.last >= o->clean_end;
}

/* The next source that has not been tried yet; NULL when none is left. */
static const struct order_peer *next_source(struct mirror_engine *m)
{
	const struct order *o = &m->open.prepare.order;

	for (uint32_t i = 0; i < o->source_count; i++)
		if ((m->open.prepare.tried >> i & 1) == 0 &&
		    !is_needless(m, &o->source[i])) {
			m->open.prepare.tried |= 1u << i;
			return &o->source[i];
		}
	return NULL;
}

static void step_roll(struct mirror_engine *m)
{
	const struct order_peer *source;

	if (!mirror_superblock_has(m, m->open.prepare.ticket) ||
	    m->open.prepare.roll_link != MIRROR_LINK_NONE)
		return;
	source = next_source(m);
	if (source == NULL) {
		MIRROR_SET(m, prepare.step, PREPARE_FLUSH);
		return;
	}
	MIRROR_SET(m, prepare.roll_link,
		   mirror_link_connect(m, source, MIRROR_HELLO_ROLL));
}

/* The link of a roll-forward ended, well or not; `busy`: another time it may. */
void mirror_prepare_rolled(struct mirror_engine *m, uint32_t site, bool complete,
			   bool busy, const char *text)
{
	MIRROR_SET(m, prepare.roll_link, MIRROR_LINK_NONE);
	if (complete) {
		m->open.prepare.reached |= 1u << site;
		m->open.prepare.rolled = m->open.marks.last;
	} else {
		mirror_records_drop_unlogged(m, m->open.prepare.rolled);
		mirror_roll_failed(m, site, busy, text);
	}
	mirror_engine_event(m, mirror_engine_site_name(m, site), "roll-forward", "%s",
			    complete ? "this site holds all that it holds" : text);
}

void mirror_prepare_pump(struct mirror_engine *m)
{
	if (m->state != ENGINE_PREPARING || m->open.failed)
		return;
	if (m->open.prepare.step == PREPARE_QUIET)
		step_quiet(m);
	if (m->open.prepare.step == PREPARE_CUT && m->open.cut.step == CUT_NONE)
		judge_self(m);
	if (m->open.prepare.step == PREPARE_REFUSE && m->open.cut.step == CUT_NONE &&
	    !is_patchy(m))
		refuse(m);
	if (m->open.prepare.step == PREPARE_ROLL)
		step_roll(m);
	if (m->open.prepare.step == PREPARE_FLUSH &&
	    m->open.marks.durable == m->open.marks.last)
		prepared(m, 0, m->open.prepare.text);
	else if (m->open.prepare.step == PREPARE_FLUSH)
		m->open.log.flush_now = true;
}

/* ---- serve --------------------------------------------------------------- */

void mirror_serve_failed(struct mirror_engine *m, uint64_t order_id, int32_t error,
			 const char *text)
{
	struct fact *f = mirror_engine_fact(m, FACT_SERVING);

	f->order_id = order_id;
	f->error = error;
	snprintf(f->text, sizeof f->text, "%s", text);
}

/* D5: recovered and rolled-forward records are not acknowledged before every copy that is
 * waited for has logged them. Some may be at home already, where reads do not see that
 * they are new: all reads wait for that much. */
static void begin_answers(struct mirror_engine *m, const struct promise *promise)
{
	uint64_t base = m->open.marks.home_flushed;

	memset(m->open.requests.failed, 0, sizeof m->open.requests.failed);
	m->open.requests.read_floor = m->open.marks.home_flushed;
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= m->open.marks.last; s++)
		if (mirror_engine_record(m, s)->state == MIRROR_RECORD_HOME)
			m->open.requests.read_floor = s;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.peer[s].waited && m->open.peer[s].proven_durable < base)
			base = m->open.peer[s].proven_durable;
	mirror_ack_reset(&m->open.requests.ack, base);
	mirror_ack_records(&m->open.requests.ack, m->memory.acks, RECORDS_MAX,
			   m->open.marks.home_flushed);
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= m->open.marks.last; s++) {
		const struct mirror_header *h = &mirror_engine_record(m, s)->header;

		mirror_ack_note(&m->open.requests.ack, s, mirror_record_is_clients(h),
				h->length_bytes, 0);
	}
	mirror_ack_promise(&m->open.requests.ack, promise);
	mirror_near_prove(m);
	m->open.requests.promise_id = 0;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (m->open.peer[s].waited)
			mirror_requests_wait(m, s, true);
}

/* By force the disks' content counts. The other sites miss it where it had been given up
 * before: their maps are durable before ours forgets (engine/demote.c). */
static void make_true(struct mirror_engine *m)
{
	m->open.serve.map_ticket = 0;
	if (mirror_map_count(m->open.map, m->open.site) == 0)
		return;
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site) {
			mirror_maps_merge(m, s, m->open.site);
			mirror_store_map_due(m, s);
		}
	m->open.serve.map_ticket = mirror_maps_want(m);
	mirror_engine_event(
		m, "generation", "force",
		"%llu extents of a history that was given up are true again: "
		"the other sites are sent them",
		(unsigned long long)mirror_map_count(m->open.map, m->open.site));
}

void mirror_serve_order(struct mirror_engine *m, const struct order *o)
{
	const struct generation *g = history_newest(&o->history);

	if (m->state != ENGINE_PREPARING || !m->open.prepare.done || m->open.failed ||
	    g == NULL || g->cut != m->open.marks.last) {
		mirror_serve_failed(m, o->id, -EINVAL,
				    m->open.failed ?
					    m->open.failed_text :
					    "nothing was prepared for this generation");
		return;
	}
	mirror_engine_set_state(m, ENGINE_STARTING);
	m->open.serve.order_id = o->id;
	mirror_store_history(m, &o->history);
	mirror_proven_limit(m);
	mirror_store_not_clean(m);
	m->open.serve.view_ballot = o->ballot;
	m->open.serve.view_history = o->history;
	mirror_stamp_init(&m->open.requests.stamp, g->ordinal, m->open.marks.last,
			  m->open.marks.disk, m->open.disk_count);
	MIRROR_SET(m, home.reset_due, true); /* from a copy's order to production's */
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		struct engine_peer *p = &m->open.peer[s];

		p->waited = s != m->open.site && (o->sites >> s & 1) != 0;
		mirror_store_current(m, s, !m->config->cluster && p->waited);
		p->candidate_from = 0;
		p->candidate_count = 0;
		p->near = (struct engine_near){ 0 };
		p->lost_told = false;
		p->lost_at_ns = m->now_ns + m->config->copy_timeout_ms * NS_PER_MS;
		mirror_trust_serve(m, s);
		mirror_outrun_serve(m, s);
		p->marks = (struct site_marks){ 0 };
		memset(&p->missed, 0, sizeof p->missed);
	}
	mirror_bypass_order(m, o->bypass);
	mirror_requests_missing(m, o->missing);
	begin_answers(m, &o->promise);
	make_true(m);
	m->open.serve.ticket = mirror_superblock_want(m);
	mirror_engine_set_data(m, DATA_UP_TO_DATE, "");
	mirror_engine_event(m, "generation", "serve",
			    "generation %llu begins after "
			    "sequence %llu",
			    (unsigned long long)g->ordinal, (unsigned long long)g->cut);
}

/* ---- the set that is waited for (D3) ------------------------------------- */

/* A candidate that the sender has not heard of. Where no copy is counted none comes that was
 * not named yet. */
static bool is_unheard(const struct engine_peer *p, const struct order *o)
{
	if (p->candidate_count != 0)
		return p->candidate_count > o->ready_seen;
	return p->link != MIRROR_LINK_NONE && promise_counts(&o->promise);
}

void mirror_wait_order(struct mirror_engine *m, const struct order *o)
{
	mirror_requests_promise(m, &o->promise, o->id);
	mirror_bypass_order(m, o->bypass);
	mirror_requests_missing(m, o->missing);
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		struct engine_peer *p = &m->open.peer[s];
		const bool in = (o->sites >> s & 1) != 0;

		if (s == m->open.site || (p->waited == in && p->candidate_from == 0))
			continue;
		if (!in && !p->waited && is_unheard(p, o))
			continue;
		p->candidate_from = 0;
		p->candidate_count = 0;
		p->waited = in;
		p->near = (struct engine_near){ 0 };
		if (!m->config->cluster) {
			mirror_store_current(m, s, in);
			mirror_superblock_want(m);
		}
		if (in) {
			mirror_requests_wait(m, s, true);
		} else {
			mirror_requests_wait(m, s, false);
			mirror_engine_event(m, mirror_engine_site_name(m, s), "wait-set",
					    "writes no longer wait for this copy");
		}
	}
}

static void lift_refusal(struct mirror_engine *m)
{
	mirror_store_no_refusal(m);
	mirror_superblock_want(m);
}

void mirror_refusal_review(struct mirror_engine *m)
{
	if (m->state <= ENGINE_OPENING || m->state == ENGINE_PREPARING ||
	    uuid_is_zero(&m->open.sb.refusal.generation))
		return;
	if (mirror_promise_is_void(m)) {
		lift_refusal(m);
		return;
	}
	if (m->open.serve.view_ballot <= m->open.sb.refusal.ballot ||
	    mirror_history_find(&m->open.serve.view_history,
				&m->open.sb.refusal.generation) != NULL)
		return;
	lift_refusal(m);
	mirror_engine_event(m, "refusal", "lift-refusal",
			    "a later view keeps the older generation");
}

void mirror_view_order(struct mirror_engine *m, const struct order *o)
{
	if (o->ballot < m->open.serve.view_ballot)
		return;
	m->open.serve.view_ballot = o->ballot;
	m->open.serve.view_history = o->history;
	mirror_refusal_review(m);
}
