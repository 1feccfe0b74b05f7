/* engine/test_view.c - the engine as tests see it: the only one that looks at all its parts. */
#include "mirror/engine/test_view.h"
#include "mirror/engine/state.h"

static void fill_peer(const struct mirror_engine *m, uint32_t site,
		      struct mirror_view_peer *v)
{
	const struct engine_peer *p = &m->open.peer[site];

	*v = (struct mirror_view_peer){
		.link = p->link,
		.state = p->state,
		.waited = p->waited,
		.answers_wait = mirror_ack_waits_for(&m->open.requests.ack, site),
		.candidate_from = p->candidate_from,
		.logged = p->marks.logged,
		.proven_durable = p->proven_durable,
		.again_ns = p->trust.again_ns,
		.lost_count = p->trust.lost_count,
		.phase = p->refresh.phase,
		.bypass = p->outrun.bypass,
		.outrun_count = p->outrun.count,
		.retry_ns = p->outrun.again_ns,
	};
}

static void fill_steps(const struct mirror_engine *m, struct mirror_view *v)
{
	const struct engine_open *o = &m->open;

	v->opened = o->opening.step == OPEN_DONE;
	v->preparing = o->prepare.step != PREPARE_NONE;
	v->cutting = o->cut.step != CUT_NONE;
	v->cut_keep = o->cut.keep;
	v->cut_home = o->cut.home;
	v->undo_text = o->undo.text;
	v->leaping = o->leap.step != LEAP_NONE;
	v->bypassing = o->bypass.step != BYPASS_NONE;
	v->bypass_sites = v->bypassing ? o->bypass.sites : 0;
	v->greeting = o->greeting.step != GREETING_NONE;
	v->log_parts = o->log.parts;
	v->mark_written = o->log.mark_written;
	v->mark_logged = o->log.mark_logged;
	v->epoch_stands = mirror_superblock_has(m, o->copy.lift_ticket);
	v->lift_is_due = mirror_hold_lift_is_due(m);
	v->holds = mirror_hold_stands(m);
	v->behind = o->copy.behind;
	v->stream_link = o->copy.stream_link;
	v->greeting_link = o->greeting.link;
	v->roll_link = o->prepare.roll_link;
	v->probe_link = o->probe.link;
	v->prepare = &o->prepare.order;
	v->tried = o->prepare.tried;
	v->ack = &o->requests.ack;
	v->clients_wait = mirror_pace_waits(m);
	v->missing = o->requests.missing;
	v->view_ballot = o->serve.view_ballot;
}

void mirror_view_fill(const struct mirror_engine *m, struct mirror_view *v)
{
	v->state = m->state;
	v->site = m->open.site;
	v->incarnation = m->open.incarnation;
	v->failed = m->open.failed;
	v->data = m->open.data;
	v->config = m->config;
	v->marks = &m->open.marks;
	v->sb = &m->open.sb;
	v->sb_wanted = m->open.writer.wanted;
	v->sb_written = m->open.writer.written;
	v->map = m->open.map;
	v->ring = m->open.ring;
	v->records = m->memory.records;
	fill_steps(m, v);
	for (uint32_t s = 0; s < CONFIG_SITE_COUNT_MAX; s++)
		fill_peer(m, s, &v->peer[s]);
	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		v->link[i] = (struct mirror_view_link){
			.greets = m->link[i].use == LINK_GREETING,
			.streams_out = m->link[i].use == LINK_STREAM_OUT,
			.sends = m->link[i].use == LINK_STREAM_OUT && m->link[i].sending,
			.site = m->link[i].site,
			.frame_count = m->link[i].frame_count,
			.next_send = m->link[i].next_send,
			.hello = &m->link[i].hello,
		};
}

const struct mirror_record *mirror_view_record(const struct mirror_view *v,
					       uint64_t sequence)
{
	assert(sequence > v->marks->home_flushed && sequence <= v->marks->last);
	return &v->records[sequence % RECORDS_MAX];
}

uint64_t mirror_view_stamp_mark(struct mirror_engine *m)
{
	const struct mirror_header h = { .type = MIRROR_RECORD_FLUSH };

	return mirror_record_stamp(m, &h, NULL)->header.sequence;
}

bool mirror_view_is_superblock(const struct mirror_io *io)
{
	return io->purpose == IO_SUPERBLOCK;
}

const struct mirror_record *mirror_view_homing(const struct mirror_io *io, uint32_t i)
{
	const struct engine_home_op *h = io->owner;

	if (io->purpose != IO_HOME || i >= h->op_count)
		return NULL;
	return h->op[i]->owner;
}

bool mirror_view_refresh_read(const struct mirror_engine *m, uint64_t *offset_bytes)
{
	for (uint32_t i = 0; i < READS_MAX; i++)
		if (m->memory.reads[i].used && m->memory.reads[i].request == NULL) {
			*offset_bytes = m->memory.reads[i].offset_bytes;
			return true;
		}
	return false;
}
