/* engine/greet.c - hello and welcome: the two ends of a link, and their histories.
 *
 * The acceptor judges, because its log may have to give way: identity, configuration,
 * disks, refusal (D4), then D8 by the connector's chain. Drops and stores that follow are
 * durable before it answers. One greeting at a time.
 *
 *   step    what is awaited                     next
 *   judge   the hello                           quiet; refuse; (probe) welcome
 *   quiet   an older stream to fall             cut or adopt
 *   cut     the cut that D8 asks for            welcome
 *   store   history or refusal durable, own     welcome
 *           map durable
 */
#include <stdio.h>

#include "common/config_difference.h"
#include "mirror/engine/state.h"

#define SPLIT_BRAIN                                                                      \
	"SplitBrain: both sites have written since they were last together; "            \
	"decide whose writes to keep"

/* Fill in our own state. */
static void fill_hello(struct mirror_engine *m, uint32_t number, struct mirror_hello *h,
		       enum mirror_hello_purpose purpose)
{
	const struct generation *g = history_newest(&m->open.sb.history);

	*h = (struct mirror_hello){
		.version_min = MIRROR_WIRE_VERSION,
		.version_max = MIRROR_WIRE_VERSION,
		.features = MIRROR_WIRE_FEATURES |
			    (m->config->cluster ? 0 : MIRROR_WIRE_FEATURE_NEWS),
		.purpose = purpose,
		.mirror = m->open.sb.mirror,
		.lineage = m->open.sb.lineage,
		.site_id = m->open.sb.site_id,
		.log = m->open.sb.log,
		.site = m->open.site,
		.incarnation = m->open.incarnation,
		.ballot = m->open.serve.view_ballot,
		.config_hash = m->config->hash,
		.marks = { m->open.marks.logged, m->open.marks.durable,
			   m->open.marks.home_flushed },
		.oldest_sequence = mirror_ring_oldest_sequence(m->open.ring),
		.next_sequence = m->open.marks.last + 1,
		.data = m->open.data,
		.serving = m->state >= ENGINE_STARTING && m->state <= ENGINE_DEMOTING,
		.blank = m->open.sb.blank,
		.own_map_extents = mirror_map_count(m->open.map, m->open.site),
		.data_max_bytes = MIRROR_RECORD_DATA_MAX,
		.history = m->open.sb.history,
		.disks = m->open.sb.disks,
	};
	memcpy(h->agreed, m->config->agreed, sizeof h->agreed);
	for (uint32_t i = 0; i < sizeof h->nonce; i += 8) {
		uint64_t r = mirror_engine_random(m);

		memcpy(h->nonce + i, &r, 8);
	}
	mirror_rights_hello(m, number, h);
	snprintf(h->mirror_name, sizeof h->mirror_name, "%s", m->open.sb.mirror_name);
	snprintf(h->site_name, sizeof h->site_name, "%s",
		 mirror_engine_site_name(m, m->open.site));
	if (g != NULL) {
		h->generation = g->id;
		h->generation_ordinal = g->ordinal;
	}
	if (purpose == MIRROR_HELLO_ROLL && m->state == ENGINE_PREPARING) {
		h->generation = m->open.prepare.order.generation;
		h->ballot = m->open.prepare.order.ballot;
		h->history = m->open.prepare.order.history;
	}
}

/* False: no frame or buffer now, try again after a step. */
static bool send_hello(struct mirror_engine *m, uint32_t number,
		       enum mirror_frame_type type, enum mirror_hello_purpose purpose)
{
	struct mirror_frame *f = mirror_frame_get(m, number);
	uint8_t *data;

	if (f == NULL)
		return false;
	data = mirror_buffer_get(m, MIRROR_WIRE_DATA_MAX);
	if (data == NULL) {
		mirror_frame_drop(m, f);
		return false;
	}
	fill_hello(m, number, &m->memory.hello_scratch, purpose);
	mirror_buffer_ref(m, data);
	mirror_wire_hello(f, type, &m->memory.hello_scratch, data,
			  mirror_wire_hello_data(&m->memory.hello_scratch, data));
	f->owner = m;
	mirror_frame_send(m, f);
	return true;
}

/* Say no, by name, then close. */
static void refuse(struct mirror_engine *m, uint32_t number, enum mirror_refuse_code code,
		   const char *text)
{
	struct mirror_refuse r = { .code = code };
	struct mirror_frame *f = mirror_frame_get(m, number);

	snprintf(r.text, sizeof r.text, "%s", text);
	if (f != NULL) {
		mirror_wire_refuse(f, &r);
		mirror_frame_send(m, f);
	}
	/* A refused site comes again twice a second: the same refusal is told once. */
	if (strcmp(m->open.greeting.refused_text, text) != 0)
		mirror_engine_event(m, "link", "refuse-hello", "%s", text);
	snprintf(m->open.greeting.refused_text, sizeof m->open.greeting.refused_text,
		 "%s", text);
	if (m->open.greeting.link == number)
		m->open.greeting.link = MIRROR_LINK_NONE;
	m->link[number].closing = true;
	snprintf(m->link[number].closing_text, sizeof m->link[number].closing_text, "%s",
		 text);
}

/* ---- acceptor ------------------------------------------------------------ */

static void name_difference(struct mirror_engine *m, const struct mirror_hello *h,
			    char *text, size_t size)
{
	char theirs[CONFIG_NAME_MAX + 16], own[CONFIG_NAME_MAX + 16];
	char difference[FACT_TEXT_MAX];

	snprintf(theirs, sizeof theirs, "the file of %s", h->site_name);
	snprintf(own, sizeof own, "that of %s", mirror_engine_site_name(m, m->open.site));
	config_difference(theirs, h->agreed, own, m->config->agreed, difference,
			  sizeof difference);
	snprintf(text, size, "%s: make them alike and start hamirror there again",
		 difference);
}

/* Judge by the hello alone. 0, or a code and the sentence, which is read on both sides and
 * so names both. */
static int check_identity(struct mirror_engine *m, const struct mirror_hello *h,
			  char *text, size_t size)
{
	const bool maker = h->purpose == MIRROR_HELLO_PROBE && uuid_is_zero(&h->mirror);
	const char *own = mirror_engine_site_name(m, m->open.site);

	if (h->version_min > MIRROR_WIRE_VERSION ||
	    h->version_max < MIRROR_WIRE_VERSION) {
		snprintf(text, size,
			 "%s speaks versions %u to %u of the line's protocol, "
			 "%s version %u: upgrade the older one",
			 h->site_name, h->version_min, h->version_max, own,
			 MIRROR_WIRE_VERSION);
		return MIRROR_REFUSE_OTHER_VERSION;
	}
	if (strcmp(h->mirror_name, m->open.sb.mirror_name) != 0 ||
	    (!maker && !uuid_equal(&h->mirror, &m->open.sb.mirror))) {
		snprintf(text, size,
			 "%s is of mirror %s, and %s of another mirror, %s: "
			 "one of them was created apart",
			 h->site_name, h->mirror_name, own, m->open.sb.mirror_name);
		return MIRROR_REFUSE_OTHER_MIRROR;
	}
	if (maker)
		return 0;
	if (!uuid_equal(&h->lineage, &m->open.sb.lineage)) {
		snprintf(text, size, "%s and %s are of different lineages of this mirror",
			 h->site_name, own);
		return MIRROR_REFUSE_OTHER_LINEAGE;
	}
	/* A question is answered even so: the asker must hear that we serve. */
	if (h->config_hash != m->config->hash && h->purpose != MIRROR_HELLO_PROBE) {
		name_difference(m, h, text, size);
		return MIRROR_REFUSE_OTHER_CONFIG;
	}
	if (h->site >= m->config->site_count || h->site == m->open.site) {
		snprintf(text, size,
			 "one that calls itself site %s called %s, in whose file that is "
			 "no other site",
			 h->site_name, own);
		return MIRROR_REFUSE_UNKNOWN_PEER;
	}
	return 0;
}

/* Without members a production is followed, if the operator gives up a promotion of this very
 * site that it knows nothing of: both sites have served, on an operator's word. */
static bool may_give_up(const struct mirror_engine *m, const struct mirror_hello *h,
			const struct mirror_judgement *j)
{
	return h->purpose == MIRROR_HELLO_STREAM && mirror_promise_is_own(m) &&
	       (j->verdict == MIRROR_VERDICT_FORKED ||
		j->verdict == MIRROR_VERDICT_AHEAD);
}

/* D4 and the members' view. */
static int check_generation(struct mirror_engine *m, const struct mirror_hello *h,
			    char *text, size_t size)
{
	const struct generation *known = history_newest(&m->open.serve.view_history);
	struct mirror_judgement j;

	if (!uuid_is_zero(&m->open.sb.refusal.generation) && !mirror_promise_is_void(m) &&
	    mirror_history_find(&h->history, &m->open.sb.refusal.generation) == NULL &&
	    !mirror_promise_allows(m, h->site) &&
	    (h->purpose != MIRROR_HELLO_ROLL || h->ballot <= m->open.sb.refusal.ballot)) {
		mirror_history_judge(&m->open.sb.history, m->open.marks.last, &h->history,
				     &j);
		if (may_give_up(m, h, &j))
			return 0; /* see mirror_undo_waits() */
		if (j.verdict == MIRROR_VERDICT_FORKED) {
			snprintf(text, size, "%s", SPLIT_BRAIN);
			return MIRROR_REFUSE_SPLIT_BRAIN;
		}
		snprintf(text, size,
			 "generation %llu of %s is older than the one that %s has "
			 "promised to follow",
			 (unsigned long long)h->generation_ordinal, h->site_name,
			 mirror_engine_site_name(m, m->open.site));
		return MIRROR_REFUSE_GENERATION;
	}
	/* Without members there is no view; our log is judged instead. */
	if (mirror_undo_overtaken(m, h))
		known = history_newest(&m->open.sb.history);
	else if (!m->config->cluster)
		return 0;
	if (known != NULL && mirror_history_find(&h->history, &known->id) == NULL) {
		snprintf(text, size,
			 "generation %llu of %s was followed by generation %llu",
			 (unsigned long long)h->generation_ordinal, h->site_name,
			 (unsigned long long)known->ordinal);
		return MIRROR_REFUSE_GENERATION;
	}
	return 0;
}

static void put_out_text(const struct mirror_engine *m, uint32_t site, char *text,
			 size_t size)
{
	const char *name = mirror_engine_site_name(m, site);
	const char *own = mirror_engine_site_name(m, m->open.site);

	if (m->open.sb.sites[site].bypass)
		snprintf(
			text, size,
			"%s was put into bypass on %s: `hamirror bypass %s off %s` there "
			"allows it again",
			name, own, m->config->instance, name);
	else
		snprintf(text, size,
			 "%s was put out on %s by a disconnect: `hamirror connect %s %s` "
			 "there allows it again",
			 name, own, m->config->instance, name);
}

static int check_state(struct mirror_engine *m, const struct mirror_hello *h, char *text,
		       size_t size)
{
	if (m->open.failed) {
		snprintf(text, size, "%s", m->open.failed_text);
		return MIRROR_REFUSE_DAMAGED;
	}
	if (m->state != ENGINE_IDLE || m->open.recover.active) {
		snprintf(text, size, "site %s %s",
			 mirror_engine_site_name(m, m->open.site),
			 m->open.recover.active       ? "is being recovered" :
			 m->state == ENGINE_PREPARING ? "is being promoted" :
			 m->state == ENGINE_CLOSING   ? "is being closed" :
							"is production");
		return MIRROR_REFUSE_NOT_COPY;
	}
	if (h->purpose == MIRROR_HELLO_STREAM && m->open.sb.sites[h->site].disconnected) {
		put_out_text(m, h->site, text, size);
		return MIRROR_REFUSE_DISCONNECTED;
	}
	return mirror_hello_check_disks(&h->disks, &m->open.sb.disks, text, size) == 0 ?
		       0 :
		       MIRROR_REFUSE_DISKS_DIFFER;
}

/* A hello has come on an accepted link. */
static bool take_hello(struct mirror_engine *m, const struct mirror_received *r)
{
	struct engine_link *l = &m->link[r->link];
	char text[FACT_TEXT_MAX], undo[FACT_TEXT_MAX];
	int code;

	if (r->type != MIRROR_FRAME_HELLO ||
	    mirror_wire_decode_hello(r->body, r->body_bytes, r->data, r->data_bytes,
				     &l->hello) != 0)
		return false;
	if (m->open.ring == NULL || m->state == ENGINE_OPENING) {
		refuse(m, r->link, MIRROR_REFUSE_NOT_COPY,
		       "the devices of this site are not open on this node");
		return true;
	}
	l->site = l->hello.site;
	l->purpose = l->hello.purpose;
	code = check_identity(m, &l->hello, text, sizeof text);
	if (code == 0 && l->purpose == MIRROR_HELLO_PROBE) {
		l->welcome_due = true;
		return true;
	}
	snprintf(m->open.greeting.unlike_text, sizeof m->open.greeting.unlike_text, "%s",
		 code != 0 ? text : "");
	if (code == 0)
		code = check_state(m, &l->hello, text, sizeof text);
	if (code == 0)
		code = check_generation(m, &l->hello, text, sizeof text);
	if ((code == 0 || code == MIRROR_REFUSE_DISCONNECTED) &&
	    mirror_undo_waits(m, &l->hello, undo, sizeof undo) && code == 0) {
		snprintf(text, sizeof text, "%s", undo);
		code = MIRROR_REFUSE_UNDO;
	}
	if (code == 0 && m->open.greeting.link != MIRROR_LINK_NONE) {
		snprintf(text, sizeof text, "another connection is being judged");
		code = MIRROR_REFUSE_BUSY;
	}
	if (code != 0) {
		refuse(m, r->link, (enum mirror_refuse_code)code, text);
		return true;
	}
	m->open.greeting.link = r->link;
	MIRROR_SET(m, greeting.step, GREETING_QUIET);
	if (m->open.copy.stream_link != MIRROR_LINK_NONE)
		mirror_link_close(m, m->open.copy.stream_link,
				  "a newer connection takes its place");
	return true;
}

void mirror_greeting_lost(struct mirror_engine *m)
{
	m->open.greeting.link = MIRROR_LINK_NONE;
	MIRROR_SET(m, greeting.step, GREETING_NONE);
}

/* No generation in common: nothing here is proven to be production's. */
static void adopt_foreign(struct mirror_engine *m, const struct mirror_hello *h)
{
	mirror_engine_event(m, "writelog", "D8-unknown",
			    "no generation in common with "
			    "production: a full refresh is needed");
	if (!m->open.sb.blank)
		mirror_maps_set_all(m, m->open.site);
	mirror_cut_start(m, 0, false, &h->history);
}

/* This site has generations that the other one does not know. */
static void judge_apart(struct mirror_engine *m, struct engine_link *l,
			const struct mirror_judgement *j)
{
	const bool forked = j->verdict == MIRROR_VERDICT_FORKED;
	char text[FACT_TEXT_MAX];

	if (l->purpose == MIRROR_HELLO_STREAM && mirror_undo_takes(m, &l->hello)) {
		if (j->keep_sequence < m->open.marks.last)
			mirror_engine_event(m, "writelog", "discard",
					    "records %llu to %llu are given up",
					    (unsigned long long)j->keep_sequence + 1,
					    (unsigned long long)m->open.marks.last);
		mirror_cut_start(m, j->keep_sequence, true, &l->hello.history);
		return;
	}
	mirror_text(text, sizeof text, "the history of %s is an older part of that of %s",
		    l->hello.site_name, mirror_engine_site_name(m, m->open.site));
	refuse(m, m->open.greeting.link,
	       forked ? MIRROR_REFUSE_SPLIT_BRAIN : MIRROR_REFUSE_GENERATION,
	       forked ? SPLIT_BRAIN : text);
	MIRROR_SET(m, greeting.step, GREETING_NONE);
}

static void judge(struct mirror_engine *m, struct engine_link *l)
{
	struct mirror_judgement j;
	char text[FACT_TEXT_MAX];

	mirror_history_judge(&m->open.sb.history, m->open.marks.last, &l->hello.history,
			     &j);
	MIRROR_SET(m, greeting.step, GREETING_STORE);
	switch (j.verdict) {
	case MIRROR_VERDICT_CONTINUES:
		if (j.keep_sequence < m->open.marks.last &&
		    l->purpose == MIRROR_HELLO_STREAM) {
			mirror_undo_takes(m, &l->hello);
			mirror_undo_tell(m, &j, &l->hello.history);
			mirror_cut_start(m, j.keep_sequence, true, &l->hello.history);
		}
		l->send_end = j.keep_sequence < m->open.marks.last ? j.keep_sequence :
								     m->open.marks.last;
		break;
	case MIRROR_VERDICT_AHEAD:
	case MIRROR_VERDICT_FORKED:
		judge_apart(m, l, &j);
		break;
	case MIRROR_VERDICT_UNKNOWN:
		if (l->purpose == MIRROR_HELLO_STREAM) {
			mirror_undo_takes(m, &l->hello);
			adopt_foreign(m, &l->hello);
		} else {
			mirror_text(text, sizeof text,
				    "%s and %s have no generation in common",
				    l->hello.site_name,
				    mirror_engine_site_name(m, m->open.site));
			refuse(m, m->open.greeting.link, MIRROR_REFUSE_GENERATION, text);
			MIRROR_SET(m, greeting.step, GREETING_NONE);
		}
		break;
	}
}

/* On both sites a mirror has the sectors of its first site: no copy may have larger ones.
 * Otherwise the sites would no longer fit after they change roles. */
static void take_sectors(struct mirror_engine *m, const struct mirror_hello *h)
{
	for (uint32_t i = 0; i < m->open.sb.disks.count; i++)
		mirror_store_sector(m, i, h->disks.entry[i].sector_bytes);
}

static void store(struct mirror_engine *m, struct engine_link *l)
{
	if (l->purpose == MIRROR_HELLO_ROLL) {
		mirror_store_refusal(m, &l->hello.generation, l->hello.ballot);
		mirror_store_handed_over(m, !m->config->cluster);
		mirror_refusal_review(m); /* a later view may be in effect by now */
	} else {
		mirror_store_history(m, &l->hello.history);
		take_sectors(m, &l->hello);
		mirror_proven_limit(m);
		mirror_store_not_clean(m);
		m->open.copy.clean_due = m->open.copy.promote_due = false;
		if (mirror_history_find(&l->hello.history,
					&m->open.sb.refusal.generation) != NULL ||
		    mirror_promise_allows(m, l->hello.site) || mirror_promise_is_void(m))
			mirror_store_no_refusal(m);
	}
	m->open.greeting.ticket = mirror_superblock_want(m);
	m->open.greeting.map_ticket = mirror_maps_want(m);
	MIRROR_SET(m, greeting.step, GREETING_ANSWER);
}

static void answer(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];

	if (!send_hello(m, number, MIRROR_FRAME_WELCOME, l->purpose))
		return;
	m->open.greeting.link = MIRROR_LINK_NONE;
	MIRROR_SET(m, greeting.step, GREETING_NONE);
	l->last_heard_ns = m->now_ns;
	if (l->purpose == MIRROR_HELLO_ROLL) {
		l->use = LINK_ROLL_OUT;
		l->next_send = l->hello.next_sequence;
		mirror_roll_answered(m, number);
	} else {
		l->use = LINK_STREAM_IN;
		m->open.greeting.refused_text[0] = '\0';
		mirror_copy_stream_begins(m, number);
	}
}

static void pump_greeting(struct mirror_engine *m)
{
	struct engine_link *l;

	if (m->open.greeting.link == MIRROR_LINK_NONE || m->open.failed)
		return;
	l = &m->link[m->open.greeting.link];
	if (m->open.greeting.step == GREETING_QUIET && m->open.cut.step == CUT_NONE &&
	    m->open.leap.step == LEAP_NONE && !m->open.home.reset_due &&
	    mirror_log_is_idle(m)) {
		if (m->open.sb.hold.active)
			mirror_cut_to_hold(m, "a new connection begins");
		else
			judge(m, l);
	}
	if (m->open.greeting.step == GREETING_STORE && m->open.cut.step == CUT_NONE)
		store(m, l);
	if (m->open.greeting.step == GREETING_ANSWER &&
	    mirror_superblock_has(m, m->open.greeting.ticket) &&
	    mirror_maps_have(m, m->open.greeting.map_ticket))
		answer(m, m->open.greeting.link);
}

/* ---- connector ----------------------------------------------------------- */

static void refused(struct mirror_engine *m, uint32_t number,
		    const struct mirror_refuse *r)
{
	struct engine_link *l = &m->link[number];

	if (number == m->open.probe.link) {
		m->open.probe.link = MIRROR_LINK_NONE;
		mirror_probe_done(m, NULL,
				  r->code == MIRROR_REFUSE_NOT_COPY ? -EAGAIN :
								      -ECONNREFUSED,
				  r->text);
	}
	if (number == m->open.prepare.roll_link)
		mirror_prepare_rolled(m, l->site, false,
				      r->code == MIRROR_REFUSE_NOT_COPY ||
					      r->code == MIRROR_REFUSE_BUSY,
				      r->text);
	if (l->purpose == MIRROR_HELLO_STREAM) {
		struct engine_peer *p = &m->open.peer[l->site];

		if (strcmp(p->text, r->text) != 0)
			mirror_engine_event(m, mirror_engine_site_name(m, l->site),
					    "refused", "%s", r->text);
	}
	mirror_link_close(m, number, r->text);
}

static void welcomed(struct mirror_engine *m, uint32_t number)
{
	struct engine_link *l = &m->link[number];

	switch ((enum mirror_hello_purpose)l->purpose) {
	case MIRROR_HELLO_PROBE:
		mirror_probe_done(m, &l->hello, 0, "");
		mirror_link_close(m, number, "the question was answered");
		break;
	case MIRROR_HELLO_ROLL:
		if (mirror_roll_welcomed(m, number))
			l->use = LINK_ROLL_IN;
		break;
	case MIRROR_HELLO_STREAM:
		l->use = LINK_STREAM_OUT;
		mirror_production_begins(m, number);
		break;
	}
}

static bool take_welcome(struct mirror_engine *m, const struct mirror_received *r)
{
	struct engine_link *l = &m->link[r->link];
	struct mirror_refuse refuse_body;
	char text[FACT_TEXT_MAX];

	if (r->type == MIRROR_FRAME_REFUSE) {
		if (mirror_wire_decode_refuse(r->body, r->body_bytes, &refuse_body) != 0)
			return false;
		refused(m, r->link, &refuse_body);
		return true;
	}
	if (r->type != MIRROR_FRAME_WELCOME ||
	    mirror_wire_decode_hello(r->body, r->body_bytes, r->data, r->data_bytes,
				     &l->hello) != 0)
		return false;
	if (l->hello.site != l->site ||
	    check_identity(m, &l->hello, text, sizeof text) != 0 ||
	    (l->purpose == MIRROR_HELLO_STREAM &&
	     mirror_hello_check_disks(&m->open.sb.disks, &l->hello.disks, text,
				      sizeof text) != 0)) {
		if (l->hello.site != l->site)
			snprintf(text, sizeof text,
				 "site %s answers where %s was expected",
				 l->hello.site_name, mirror_engine_site_name(m, l->site));
		mirror_link_close(m, r->link, text);
		return true;
	}
	welcomed(m, r->link);
	return true;
}

bool mirror_greeting_received(struct mirror_engine *m, const struct mirror_received *r)
{
	if (!m->link[r->link].accepted)
		return take_welcome(m, r);
	if (r->link == m->open.greeting.link || m->link[r->link].closing ||
	    m->link[r->link].welcome_due)
		return false; /* it speaks before it was answered */
	return take_hello(m, r);
}

/* ---- both ---------------------------------------------------------------- */

void mirror_greetings_pump(struct mirror_engine *m)
{
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++) {
		struct engine_link *l = &m->link[i];

		if (l->use != LINK_GREETING)
			continue;
		if (l->hello_due && send_hello(m, i, MIRROR_FRAME_HELLO, l->purpose))
			l->hello_due = false;
		if (l->welcome_due &&
		    send_hello(m, i, MIRROR_FRAME_WELCOME, l->purpose)) {
			l->welcome_due = false;
			l->closing = true;
			snprintf(l->closing_text, sizeof l->closing_text,
				 "the question was answered");
		}
		if (l->closing && l->frame_count == 0)
			mirror_link_close(m, i, l->closing_text);
	}
	pump_greeting(m);
}
