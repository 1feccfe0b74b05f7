/* pair_client.c - concurrent, overlapping writes with known contents, and the contents
 * that the sites must have because of them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pair_private.h"

#define SECTOR 512u

void pair_make_client(struct pair *p)
{
	p->journal = calloc(PAIR_JOURNAL_MAX, sizeof *p->journal);
	p->span_bytes = 64u * 1024;
	pair_order_make(p);
}

void pair_free_client(struct pair *p)
{
	pair_order_free(p);
	free(p->journal);
}

static void fill(uint8_t *at, uint64_t length, uint64_t number)
{
	for (uint64_t i = 0; i < length; i += 8)
		memcpy(at + i, &number, 8);
}

/* P0-3: a write after an answer is of a later group. */
static void expect_later_group(struct pair *p, uint32_t slot)
{
	const struct pair_write *w = &p->journal[p->request[slot].sequence];
	const struct pair_write *before = &p->journal[p->request_after[slot]];

	if (before->group != 0 && before->generation == w->generation &&
	    before->group >= w->group)
		ck_abort_msg("sequence %llu is in group %llu, and was written after an "
			     "answer to %llu of group %llu",
			     (unsigned long long)p->request[slot].sequence,
			     (unsigned long long)w->group,
			     (unsigned long long)p->request_after[slot],
			     (unsigned long long)before->group);
}

static void note(struct pair *p, uint32_t slot)
{
	const struct mirror_request *q = &p->request[slot];
	const struct mirror_engine *m;
	const struct mirror_header *h;

	if (q->sequence == 0 || q->type == MIRROR_REQUEST_READ ||
	    p->request_site[slot] != p->client_site)
		return; /* records that a deposed production still stamps are no history */
	if (p->journal[q->sequence % PAIR_JOURNAL_MAX].group != 0)
		return;
	ck_assert_uint_lt(q->sequence, PAIR_JOURNAL_MAX);
	m = p->site[p->client_site].engine;
	h = &m->memory.records[q->sequence % RECORDS_MAX].header;
	ck_assert_uint_eq(h->sequence, q->sequence);
	p->journal[q->sequence] = (struct pair_write){
		.generation = h->generation,
		.group = h->group,
		.stamped_ns = p->now_ns,
		.disk = q->disk,
		.offset_bytes = q->offset_bytes,
		.length_bytes = q->length_bytes,
		.number = q->type == MIRROR_REQUEST_WRITE ? p->request_number[slot] : 0,
	};
	if (q->sequence > p->journal_last)
		p->journal_last = q->sequence;
	expect_later_group(p, slot);
}

/* Put all writes that are stamped by now into the journal. */
void pair_note_all(struct pair *p)
{
	for (uint32_t i = 0; i < PAIR_REQUESTS; i++)
		if (p->request_busy[i] && p->site[p->client_site].engine != NULL)
			note(p, i);
}

/* One more request, if a slot is free. */
bool pair_submit(struct pair *p)
{
	struct mirror_engine *m = p->site[p->client_site].engine;
	const uint32_t slot = (uint32_t)pair_random(p, PAIR_REQUESTS);
	struct mirror_request *q = &p->request[slot];
	struct mirror_event e = { .type = MIRROR_EVENT_REQUEST, .request = q };
	const uint64_t kind = pair_random(p, 16);

	if (p->request_busy[slot] || !p->site[p->client_site].serving ||
	    !mirror_engine_takes_requests(m))
		return false;
	memset(q, 0, sizeof *q);
	q->disk = (uint32_t)pair_random(p, PAIR_DISKS);
	q->length_bytes = SECTOR * (1 + pair_random(p, pair_random(p, 8) == 0 ? 64 : 8));
	q->offset_bytes = p->first_bytes +
			  SECTOR * pair_random(p, (p->span_bytes - p->first_bytes -
						   q->length_bytes) /
								  SECTOR +
							  1);
	q->type = p->only_reads ? MIRROR_REQUEST_READ :
		  kind < 10     ? MIRROR_REQUEST_WRITE :
		  kind < 11     ? MIRROR_REQUEST_ZERO :
		  kind < 13     ? MIRROR_REQUEST_FLUSH :
				  MIRROR_REQUEST_READ;
	if (q->type == MIRROR_REQUEST_FLUSH)
		q->offset_bytes = q->length_bytes = 0;
	if (q->type == MIRROR_REQUEST_WRITE || q->type == MIRROR_REQUEST_READ) {
		q->data = mirror_pool_get(mirror_engine_pool(m),
					  (uint32_t)q->length_bytes);
		if (q->data == NULL)
			return false;
	}
	q->fua = kind == 0;
	q->may_deallocate = pair_random(p, 2) == 0;
	p->request_number[slot] = ++p->write_number;
	p->request_floor[slot] = p->acknowledged;
	p->request_after[slot] = p->answered;
	if (q->type == MIRROR_REQUEST_WRITE)
		fill(q->data, q->length_bytes, p->write_number);
	p->request_site[slot] = p->client_site;
	p->request_busy[slot] = true;
	pair_step(p, p->client_site, &e);
	if (p->request_busy[slot])
		note(p, slot);
	return true;
}

/* Is that write kept back for a missing copy (M8)? */
static bool is_held(const struct pair *p, uint64_t number)
{
	const struct pair_site *s = &p->site[p->client_site];

	for (uint32_t i = 0; i < PAIR_REQUESTS && s->engine->open.requests.missing != 0;
	     i++)
		if (p->request_busy[i] && p->request_number[i] == number &&
		    p->request[i].type == MIRROR_REQUEST_WRITE)
			return true;
	return false;
}

/* Did this write fail, and is it still not what a copy that is missing, or whose disks are
 * waited for, has (M8, M9)? */
static bool is_failed(const struct pair *p, uint64_t sequence)
{
	const struct engine_requests *r = &p->site[p->client_site].engine->open.requests;

	return p->journal[sequence].failed && sequence > p->whole &&
	       (r->missing != 0 || r->ack.promise.home);
}

/* A read shows whole sectors, and in each the newest write that was answered before
 * the read was asked, or a later one, which then must not be lost any more. */
static void check_read(struct pair *p, uint32_t slot)
{
	const struct mirror_request *q = &p->request[slot];

	pair_order_update(p);
	for (uint64_t i = 0; i < q->length_bytes; i += SECTOR) {
		const uint64_t sector = (q->offset_bytes + i) / SECTOR;
		uint64_t number, shown;

		memcpy(&number, q->data + i, 8);
		if (memcmp(q->data + i, q->data + i + 8, SECTOR - 8) != 0)
			ck_abort_msg("a read shows a mixed sector");
		shown = pair_order_find(p, q->disk, sector, number, UINT64_MAX);
		if (shown == UINT64_MAX)
			ck_abort_msg("a read shows a number that was never written: %llu",
				     (unsigned long long)number);
		if (shown < pair_order_find(p, q->disk, sector, UINT64_MAX,
					    p->request_floor[slot]))
			ck_abort_msg("a read shows write %llu, older than one answered",
				     (unsigned long long)number);
		if (is_held(p, number))
			ck_abort_msg("a read shows write %llu, which is held back",
				     (unsigned long long)number);
		if (number != 0 && is_failed(p, shown))
			ck_abort_msg("a read shows write %llu, which has failed",
				     (unsigned long long)number);
		if (number != 0 && shown > p->seen)
			p->seen = shown;
	}
}

/* The record that has to be safe for this answer. For a flush: the last one acknowledged
 * when it was asked for. */
static uint64_t promised(const struct pair *p, const struct mirror_request *q)
{
	return q->type == MIRROR_REQUEST_FLUSH ? p->request_floor[q - p->request] :
						 q->sequence;
}

/* Clients' writes in (from, to], and the oldest of them. */
static uint64_t lacked(const struct pair *p, uint64_t from, uint64_t to, uint64_t *oldest)
{
	uint64_t count = 0;

	*oldest = 0;
	for (uint64_t s = from + 1; s <= to; s++) {
		if (p->journal[s % PAIR_JOURNAL_MAX].group == 0)
			continue;
		if (count++ == 0)
			*oldest = s;
	}
	return count;
}

bool pair_may_cut(const struct pair *p, uint64_t cut)
{
	const uint64_t last = p->acknowledged > p->seen ? p->acknowledged : p->seen;
	uint64_t oldest;

	return p->promise.mode == CONFIG_ASYNC ||
	       lacked(p, cut, last, &oldest) <= p->promise.records;
}

/* Production streams to this process of the site. */
static bool is_linked(const struct mirror_engine *m, uint32_t s,
		      const struct mirror_engine *at)
{
	const struct engine_peer *peer = &m->open.peer[s];

	return at != NULL && at->state == ENGINE_IDLE && peer->link != MIRROR_LINK_NONE &&
	       m->link[peer->link].use == LINK_STREAM_OUT &&
	       m->link[peer->link].hello.incarnation == at->open.incarnation;
}

/* M9: at the moment of its answer a write is on the disks of all that are waited for, once that
 * promise holds for all that was answered before. */
static void check_home(const struct pair *p, uint32_t site, uint64_t sequence)
{
	const struct mirror_engine *m = p->site[site].engine;

	if (!m->open.requests.ack.promise.home || m->open.requests.promise_id != 0)
		return;
	for (uint32_t s = 0; s < p->site_count; s++) {
		const struct mirror_engine *at = p->site[s].engine;

		if (s != site && (!m->open.peer[s].waited || !is_linked(m, s, at)))
			continue;
		if (at->open.marks.home < sequence)
			ck_abort_msg(
				"write %llu is answered, and %llu is home at site %u",
				(unsigned long long)sequence,
				(unsigned long long)at->open.marks.home, s);
	}
}

/* M1, M2: at the moment of an answer with `sequence`, no copy that is waited for lacks
 * more than the bound. One that has lost power may lack what it had confirmed, until a link
 * tells. */
static void check_bound(struct pair *p, uint32_t site, uint64_t sequence)
{
	const struct mirror_engine *m = p->site[site].engine;
	const struct promise *b = &m->open.requests.ack.promise;
	uint64_t count, oldest;

	for (uint32_t s = 0; s < p->site_count; s++) {
		const struct mirror_engine *copy = p->site[s].engine;

		if (s == site || !m->open.peer[s].waited || copy == NULL ||
		    copy->state != ENGINE_IDLE || copy->open.sb.hold.active ||
		    copy->open.sb.blank)
			continue;
		if (is_linked(m, s, copy))
			p->site[s].lost_power = false;
		if (p->site[s].lost_power)
			continue;
		count = lacked(p, copy->open.marks.logged, sequence, &oldest);
		if (b->mode != CONFIG_ASYNC && count > b->records)
			ck_abort_msg("sequence %llu is answered, and site %u lacks %llu",
				     (unsigned long long)sequence, s,
				     (unsigned long long)count);
		if (count > 0 && b->ms != PROMISE_UNBOUNDED &&
		    p->now_ns - p->journal[oldest].stamped_ns > b->ms * NS_PER_MS)
			ck_abort_msg(
				"sequence %llu is answered, and site %u lacks %llu "
				"since %llu ms",
				(unsigned long long)sequence, s,
				(unsigned long long)oldest,
				(unsigned long long)((p->now_ns -
						      p->journal[oldest].stamped_ns) /
						     NS_PER_MS));
	}
}

static void note_whole(struct pair *p)
{
	const struct engine_requests *r = &p->site[p->client_site].engine->open.requests;

	if (r->missing == 0 && mirror_ack_acknowledged(&r->ack) > p->whole)
		p->whole = mirror_ack_acknowledged(&r->ack);
}

void pair_answered(struct pair *p, uint32_t site, struct mirror_request *q)
{
	const uint32_t slot = (uint32_t)(q - p->request);

	ck_assert(p->request_busy[slot]);
	if (site == p->client_site) {
		note(p, slot);
		note_whole(p);
	}
	p->request_busy[slot] = false;
	if (q->data != NULL) {
		if (q->type == MIRROR_REQUEST_READ && q->result == 0)
			check_read(p, slot);
		mirror_pool_put(mirror_engine_pool(p->site[site].engine), q->data);
		q->data = NULL;
	}
	if (q->result != 0) {
		if (site == p->client_site && q->sequence != 0)
			p->journal[q->sequence].failed = true;
		p->error_count++;
		return;
	}
	if (p->now_ns >= p->site[site].lease_until_ns)
		ck_abort_msg("answered without a lease");
	p->answered_count++;
	if (q->type != MIRROR_REQUEST_READ && site == p->client_site)
		check_bound(p, site, promised(p, q));
	if (q->type != MIRROR_REQUEST_READ && q->type != MIRROR_REQUEST_FLUSH)
		check_home(p, site, q->sequence);
	if (q->type == MIRROR_REQUEST_READ)
		p->read_count++;
	else if (promised(p, q) > p->acknowledged)
		p->acknowledged = promised(p, q);
	if (q->sequence > p->answered)
		p->answered = q->sequence;
	if ((q->type == MIRROR_REQUEST_FLUSH || q->fua) && promised(p, q) > p->flushed)
		p->flushed = promised(p, q);
}

void pair_forget_requests(struct pair *p, uint32_t site)
{
	for (uint32_t i = 0; i < PAIR_REQUESTS; i++) {
		if (p->request_site[i] != site)
			continue;
		if (p->request_busy[i])
			note(p, i);
		p->request_busy[i] = false;
	}
}

/* A generation begins: records beyond its cut never happened. */
void pair_cut_journal(struct pair *p, uint64_t cut)
{
	pair_note_all(p);
	for (uint64_t s = cut + 1; s <= p->journal_last; s++)
		memset(&p->journal[s], 0, sizeof p->journal[s]);
	if (p->journal_last > cut)
		p->journal_last = cut;
	pair_order_cut(p, cut);
}

void pair_expect_idle(struct pair *p, uint32_t site)
{
	struct mirror_engine *m = p->site[site].engine;
	const uint64_t count = p->config->memory_bytes / MIRROR_POOL_BUFFER_MIN;
	uint32_t frames = 0;
	uint64_t missing;

	for (uint64_t i = 0; i < count; i++)
		if (m->buffers.refs[i] != 0)
			ck_abort_msg("site %u: buffer %llu has %u references", site,
				     (unsigned long long)i, m->buffers.refs[i]);
	missing = mirror_pool_bytes_total(m->buffers.pool) -
		  mirror_pool_bytes_free(m->buffers.pool);
	if (m->buffers.reserve_count != RESERVE_BUFFERS ||
	    missing != RESERVE_BUFFERS * MIRROR_POOL_BUFFER_MAX)
		ck_abort_msg("site %u: the pool misses %llu bytes, %u kept", site,
			     (unsigned long long)missing, m->buffers.reserve_count);
	for (const struct mirror_frame *f = m->memory.frames_free; f != NULL; f = f->next)
		frames++;
	ck_assert_uint_eq(frames, FRAMES_MAX);
	ck_assert_uint_eq(m->open.watch.count, 0);
	for (uint32_t i = 0; i < READS_MAX; i++)
		ck_assert(!m->memory.reads[i].used);
	mirror_engine_check(m);
}

bool pair_quiesce(struct pair *p, uint32_t steps)
{
	p->client_on = false;
	for (uint32_t i = 0; i < PAIR_REQUESTS; i++)
		for (; p->request_busy[i]; steps--) {
			if (steps == 0)
				return false;
			pair_run(p, 1);
		}
	return true;
}

/* ---- the content of a site ----------------------------------------------- */

static void expected(struct pair *p, uint64_t last, uint8_t *image[PAIR_DISKS])
{
	for (uint64_t s = 1; s <= last; s++) {
		const struct pair_write *w = &p->journal[s];

		if (w->length_bytes == 0)
			continue;
		fill(image[w->disk] + w->offset_bytes, w->length_bytes, w->number);
	}
}

/* Records above the hold of a refresh do not count yet (W6). */
static uint64_t last_held(const struct mirror_engine *m)
{
	return m->open.sb.hold.active ? m->open.sb.hold.sequence : m->open.marks.logged;
}

/* Home, with the log laid over it, read straight from the engine's tables. */
static void actual(struct pair *p, uint32_t site, uint8_t *image[PAIR_DISKS])
{
	struct mirror_engine *m = p->site[site].engine;

	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		memcpy(image[d], p->site[site].disk[d].now, p->span_bytes);
	for (uint64_t s = m->open.marks.home_flushed + 1; s <= last_held(m); s++) {
		const struct mirror_record *r = mirror_engine_record(m, s);
		uint8_t *at = image[r->header.disk] + r->header.offset_bytes;

		/* one that is home may have an older, partly home one below it */
		if (r->header.type == MIRROR_RECORD_FLUSH)
			continue;
		if (r->header.offset_bytes >= p->span_bytes)
			continue;
		if (r->header.type == MIRROR_RECORD_ZERO)
			memset(at, 0, r->header.length_bytes);
		else
			memcpy(at,
			       r->data != NULL ? r->data :
						 p->site[site].log.now + r->log_position,
			       r->header.data_bytes);
	}
}

/* The disks of `site`, its log laid over them, or bare, hold all writes up to `last`. */
static void expect_content(struct pair *p, uint32_t site, uint64_t last, bool bare)
{
	uint8_t *want[PAIR_DISKS], *have[PAIR_DISKS];

	for (uint32_t d = 0; d < PAIR_DISKS; d++) {
		want[d] = calloc(1, PAIR_DISK_BYTES);
		have[d] = calloc(1, PAIR_DISK_BYTES);
	}
	expected(p, last, want);
	if (!bare)
		actual(p, site, have);
	for (uint32_t d = 0; d < PAIR_DISKS; d++) {
		const uint8_t *at = bare ? p->site[site].disk[d].now : have[d];

		for (uint64_t i = 0; i < p->span_bytes; i += SECTOR)
			if (memcmp(want[d] + i, at + i, SECTOR) != 0) {
				uint64_t a, b;

				memcpy(&a, want[d] + i, 8);
				memcpy(&b, at + i, 8);
				ck_abort_msg(
					"site %u disk %u sector %llu: write %llu expected, "
					"%llu found (it ends at %llu)",
					site, d, (unsigned long long)i / SECTOR,
					(unsigned long long)a, (unsigned long long)b,
					(unsigned long long)last);
			}
		free(want[d]);
		free(have[d]);
	}
}

void pair_expect_history(struct pair *p, uint32_t site)
{
	expect_content(p, site, last_held(p->site[site].engine), false);
}

void pair_expect_disks(struct pair *p, uint32_t site, uint64_t last)
{
	expect_content(p, site, last, true);
}

bool pair_is_home(struct pair *p, uint32_t site)
{
	const struct mirror_engine *m = p->site[site].engine;

	return m->open.marks.home_flushed == m->open.marks.last &&
	       p->site[site].io_count == 0;
}

void pair_expect_equal(struct pair *p, uint32_t a, uint32_t b)
{
	for (uint32_t d = 0; d < PAIR_DISKS; d++)
		ck_assert_mem_eq(p->site[a].disk[d].now, p->site[b].disk[d].now,
				 p->span_bytes);
}
