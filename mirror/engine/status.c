/* engine/status.c - a snapshot for `hamirror status`, and marks by the operator. */
#include <stdio.h>

#include "mirror/engine/state.h"

static void add_queue(struct mirror_status *s, const char *name, uint64_t count,
		      uint64_t count_max)
{
	struct mirror_status_queue *q = &s->queue[s->queue_count++];

	assert(s->queue_count <= MIRROR_STATUS_QUEUE_MAX);
	snprintf(q->name, sizeof q->name, "%s", name);
	q->count = count;
	q->count_max = count_max;
}

static uint64_t request_count(const struct mirror_request_list *list)
{
	uint64_t count = 0;

	for (const struct mirror_request *q = list->head; q != NULL; q = q->next)
		count++;
	return count;
}

static void fill_queues(const struct mirror_engine *m, struct mirror_status *s)
{
	uint64_t frames = 0;

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX; i++)
		frames += m->link[i].frame_count;
	add_queue(s, "records not yet home",
		  m->open.marks.last - m->open.marks.home_flushed, RECORDS_MAX);
	add_queue(s, "records held at the gate", m->open.home.gate.held_count,
		  m->open.home.gate.held_count_max);
	add_queue(s, "home writes", mirror_tasks_op_count(m->memory.tasks),
		  mirror_tasks_op_count_max(m->memory.tasks));
	add_queue(s, "frames on the line", frames, FRAMES_MAX);
	add_queue(s, "pool bytes",
		  mirror_pool_bytes_total(m->buffers.pool) -
			  mirror_pool_bytes_free(m->buffers.pool),
		  mirror_pool_bytes_total(m->buffers.pool));
	add_queue(s, "requests unanswered", m->open.requests.pending_count, RECORDS_MAX);
	add_queue(s, "requests unstamped",
		  request_count(&m->open.requests.waiting) +
			  request_count(&m->open.throttle.delayed),
		  RECORDS_MAX);
}

/* All up to here a site has confirmed. */
static uint64_t confirmed(const struct engine_peer *p)
{
	if (p->held || p->marks.logged < p->proven_durable)
		return p->proven_durable;
	return p->marks.logged;
}

void mirror_lag_note(struct mirror_engine *m, const struct mirror_header *leaves)
{
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		struct engine_peer *p = &m->open.peer[s];

		if (leaves->sequence != confirmed(p) + 1)
			continue;
		p->missed.generation = leaves->generation;
		p->missed.group = leaves->group;
		p->missed.time_ns = leaves->time_ns;
		p->missed.stamped_ns = mirror_ack_stamped_ns(&m->open.requests.ack,
							     leaves->sequence);
	}
}

/* Of the first record that a site lacks. Its stamp is of this machine's own clock, which
 * nobody sets; of a recovered one only the wall clock's time is known. */
static void fill_age(const struct mirror_engine *m, struct mirror_status_site *s,
		     uint64_t generation, uint64_t group, uint64_t time_ns,
		     uint64_t stamped_ns)
{
	const uint64_t before = generation == m->open.marks.generation ? group - 1 : 0;
	const uint64_t now_ns = stamped_ns != 0 ? m->now_ns : m->wall_ns;
	const uint64_t then_ns = stamped_ns != 0 ? stamped_ns : time_ns;

	s->lag_ms = now_ns > then_ns ? (now_ns - then_ns) / NS_PER_MS : 0;
	s->lag_groups = m->open.marks.group - before;
}

/* Age and size of the records that a site has not confirmed. Groups count from the
 * generation's beginning; earlier ones are not counted. */
static void fill_lag(const struct mirror_engine *m, uint32_t site,
		     struct mirror_status_site *s)
{
	const struct engine_peer *p = &m->open.peer[site];
	const uint64_t from = confirmed(p);
	uint64_t q = from < m->open.marks.home_flushed ? m->open.marks.home_flushed :
							 from;
	struct mirror_ring_entry entry;

	if (from >= m->open.marks.last)
		return;
	s->lag_records = m->open.marks.last - from;
	if (q < m->open.marks.last) {
		const struct mirror_header *h =
			&m->memory.records[(q + 1) % RECORDS_MAX].header;

		fill_age(m, s, h->generation, h->group, h->time_ns,
			 mirror_ack_stamped_ns(&m->open.requests.ack, q + 1));
	}
	while (q++ < m->open.marks.last)
		s->lag_bytes += m->memory.records[q % RECORDS_MAX].header.length_bytes;
	if (from >= m->open.marks.home_flushed)
		return;
	if (p->missed.generation != 0)
		fill_age(m, s, p->missed.generation, p->missed.group, p->missed.time_ns,
			 p->missed.stamped_ns);
	if (mirror_ring_find(m->open.ring, from + 1, &entry) == 0)
		s->lag_bytes = mirror_ring_head_position(m->open.ring) - entry.position;
	else
		s->lag_bytes += mirror_map_count(m->open.map, site) * MIRROR_EXTENT_BYTES;
}

/* 1 + the number of the link to that site; 0: there is none. Production's is a stream in. */
static uint32_t link_place(const struct mirror_engine *m, uint32_t site)
{
	uint32_t link = m->open.peer[site].link;

	for (uint32_t i = 0; i < MIRROR_LINK_COUNT_MAX && link == MIRROR_LINK_NONE; i++)
		if (m->link[i].use == LINK_STREAM_IN && m->link[i].site == site)
			link = i;
	return link != MIRROR_LINK_NONE ? link + 1 : 0;
}

static void fill_site(const struct mirror_engine *m, uint32_t site,
		      struct mirror_status_site *s)
{
	const struct engine_peer *p = &m->open.peer[site];
	const uint64_t again_ns = mirror_trust_again_ns(m, site);

	s->link = p->state;
	snprintf(s->link_text, sizeof s->link_text, "%s", p->text);
	s->waited = p->waited || p->candidate_from != 0;
	s->marks = p->marks;
	s->map_extents = mirror_map_count(m->open.map, site);
	s->refresh_done_extents = p->refresh.done;
	s->refresh_total_extents = p->refresh.phase == REFRESH_NONE ? 0 :
								      p->refresh.total;
	s->refresh_refused = p->refresh.phase == REFRESH_REFUSED;
	s->since_ns = p->since_wall_ns;
	s->link_place = link_place(m, site);
	s->lost_count = p->trust.lost_count;
	s->bypass = p->outrun.bypass;
	s->paced = p->outrun.paced;
	s->outrun_count = p->outrun.count;
	s->retry_ms = mirror_outrun_left_ms(m, site);
	s->back_off_ms = m->now_ns < again_ns ? (again_ns - m->now_ns) / NS_PER_MS + 1 :
						0;
	if (m->state >= ENGINE_STARTING && m->state <= ENGINE_DEMOTING)
		fill_lag(m, site, s);
}

/* ---- what the performance file has of the log and of each disk (P4-95) --------- */

/* Records that the log keeps for a copy, and that have not been sent to it. */
static uint64_t unsent(const struct mirror_engine *m, uint32_t site)
{
	const uint32_t link = m->open.peer[site].link;
	uint64_t from = mirror_free_covered(m, site);

	if (link != MIRROR_LINK_NONE && m->link[link].sending &&
	    m->link[link].next_send > from + 1)
		from = m->link[link].next_send - 1;
	return from < m->open.marks.last ? m->open.marks.last - from : 0;
}

/* A line that was lost has taken records with it, so the count by disk is only of use to tell
 * the disks' shares. */
static void fill_waiting(const struct mirror_engine *m, uint32_t site,
			 struct mirror_status *s)
{
	const uint64_t all = unsent(m, site);

	for (uint32_t d = 0; d < m->open.disk_count; d++) {
		const uint64_t last = m->open.marks.disk[d];
		const uint64_t sent = m->open.peer[site].sent[d];
		uint64_t waiting = last > sent ? last - sent : 0;

		if (m->open.disk_count == 1 || waiting > all)
			waiting = all;
		if (s->disk[d].waiting_records < waiting)
			s->disk[d].waiting_records = waiting;
	}
}

/* A record is needed until it is at home here, and its copies have it or a map stands. */
static void fill_oldest(const struct mirror_engine *m, struct mirror_status *s)
{
	struct mirror_status_site here = { 0 };
	const uint64_t first = m->open.marks.home_flushed + 1;

	if (first <= m->open.marks.last) {
		const struct mirror_header *h =
			&m->memory.records[first % RECORDS_MAX].header;

		fill_age(m, &here, h->generation, h->group, h->time_ns,
			 mirror_ack_stamped_ns(&m->open.requests.ack, first));
	}
	s->log_oldest_ms = here.lag_ms;
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if (i != m->open.site && s->sites[i].lag_ms > s->log_oldest_ms &&
		    mirror_free_covered(m, i) < m->open.marks.last)
			s->log_oldest_ms = s->sites[i].lag_ms;
}

static void fill_performance(const struct mirror_engine *m, struct mirror_status *s)
{
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if (i != m->open.site && m->state >= ENGINE_STARTING &&
		    m->state <= ENGINE_DEMOTING)
			fill_waiting(m, i, s);
	fill_oldest(m, s);
}

/* ---- waits --------------------------------------------------------------------- */

/* With confirm: home (M9) the disk of a copy has stood still for a while, and writes for it. */
static void fill_home(const struct mirror_engine *m, struct mirror_status *s)
{
	for (uint32_t i = 0; i < m->config->site_count && !s->frozen; i++) {
		const uint64_t since_ns = m->open.peer[i].trust.home.since_ns;

		if (since_ns == 0 || m->now_ns < since_ns + HOME_SLOW_NS)
			continue;
		s->frozen = true;
		snprintf(s->frozen_text, sizeof s->frozen_text,
			 "copy %s has logged a write, and its disk has not taken it for "
			 "%llu s (confirm: home)",
			 mirror_engine_site_name(m, i),
			 (unsigned long long)((m->now_ns - since_ns) / 1000 / NS_PER_MS));
	}
}

/* G7: the status tells the cause of every wait. */
static void fill_frozen(const struct mirror_engine *m, struct mirror_status *s)
{
	if (m->open.requests.pending_count == 0 &&
	    m->open.requests.answers_held.head == NULL)
		return;
	if (m->now_ns >= m->open.requests.lease_until_ns) {
		s->frozen = true;
		snprintf(s->frozen_text, sizeof s->frozen_text,
			 "no lease: a majority of the voters has not answered");
		return;
	}
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if ((m->open.requests.missing >> i & 1) != 0) {
			s->frozen = true;
			snprintf(s->frozen_text, sizeof s->frozen_text,
				 "copy %s is not current, and on-copy-loss is block",
				 mirror_engine_site_name(m, i));
			return;
		}
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if (i != m->open.site && mirror_ack_waits_for(&m->open.requests.ack, i) &&
		    m->open.requests.ack.promise.mode != CONFIG_ASYNC &&
		    m->open.peer[i].state != LINK_CONNECTED &&
		    m->open.peer[i].state != LINK_CATCHING_UP) {
			s->frozen = true;
			snprintf(s->frozen_text, sizeof s->frozen_text,
				 "writes wait for copy %s, whose link is down: %.150s",
				 mirror_engine_site_name(m, i), m->open.peer[i].text);
		}
	fill_home(m, s);
}

static void fill_open(const struct mirror_engine *m, struct mirror_status *s)
{
	s->history = m->open.sb.history;
	s->marks = (struct site_marks){ m->open.marks.logged, m->open.marks.durable,
					m->open.marks.home_flushed };
	s->log_bytes = mirror_ring_bytes(m->open.ring);
	s->log_used_bytes = mirror_ring_used_bytes(m->open.ring);
	s->disk_count = m->open.disk_count;
	for (uint32_t i = 0; i < m->open.disk_count; i++)
		s->disk_bytes[i] = m->open.sb.disks.entry[i].size_bytes;
	s->site_count = m->config->site_count;
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if (i != m->open.site)
			fill_site(m, i, &s->sites[i]);
	fill_performance(m, s);
	fill_queues(m, s);
	fill_frozen(m, s);
}

/* How far the log has been read, as far as the superblock tells where it ends. */
static void fill_scan(const struct mirror_engine *m, struct mirror_status *s)
{
	const uint64_t tail = m->memory.scan->result.tail_position;

	if (m->state != ENGINE_OPENING || m->open.opening.step != OPEN_SCAN ||
	    m->open.sb.head_position <= tail || m->memory.scan->position <= tail)
		return;
	s->scan_total_bytes = m->open.sb.head_position - tail;
	s->scan_done_bytes = m->memory.scan->position - tail;
	if (s->scan_done_bytes > s->scan_total_bytes)
		s->scan_total_bytes = s->scan_done_bytes;
	s->scan_ms = (m->now_ns - m->open.opening.scan_since_ns) / NS_PER_MS;
}

void mirror_status_fill(const struct mirror_engine *m, struct mirror_status *s)
{
	uint64_t late_ns;

	*s = m->open.counters;
	late_ns = mirror_watch_text(m, s->hangs_text, sizeof s->hangs_text);
	if (s->hangs_text[0] != 0)
		s->hangs_ms = late_ns / NS_PER_MS;
	if (m->open.failed)
		memcpy(s->failed_text, m->open.failed_text, sizeof s->failed_text);
	s->open = m->state >= ENGINE_IDLE && m->state < ENGINE_CLOSING;
	s->serving = m->state == ENGINE_SERVING;
	s->site = m->open.site;
	s->data = m->open.failed ? DATA_DISKLESS : m->open.data;
	snprintf(s->data_text, sizeof s->data_text, "%s",
		 m->open.failed ? m->open.failed_text : m->open.data_text);
	snprintf(s->unlike_text, sizeof s->unlike_text, "%s",
		 m->open.greeting.unlike_text);
	s->data_time_ns = m->open.marks.time_ns;
	s->sequence = m->open.marks.last;
	s->group = m->open.requests.stamp.group;
	s->acknowledged = mirror_ack_acknowledged(&m->open.requests.ack);
	s->group_in_progress = m->open.requests.stamp.in_progress;
	mirror_throttle_status(m, s);
	fill_scan(m, s);
	if (m->open.ring != NULL && s->open)
		fill_open(m, s);
}

/* `disconnect`, `connect` and `bypass` of `cluster: none`: which sites are put out, stored
 * before anything relies on it (G5: the log, then the map, stands for them). */
void mirror_mark_order(struct mirror_engine *m, const struct order *o)
{
	struct fact *f;

	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING || m->open.failed) {
		f = mirror_engine_fact(m, FACT_STORED);
		f->order_id = o->id;
		f->error = -ENODEV;
		snprintf(f->text, sizeof f->text,
			 "the devices of this site are not open");
		return;
	}
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->open.site)
			mirror_store_disconnected(m, s, (o->sites >> s & 1) != 0,
						  (o->bypass >> s & 1) != 0);
	m->open.undo.allowed = o->discard;
	m->open.mark.order_id = o->id;
	m->open.mark.ticket = mirror_superblock_want(m);
}

void mirror_mark_pump(struct mirror_engine *m)
{
	if (m->open.mark.ticket == 0 || !mirror_superblock_has(m, m->open.mark.ticket))
		return;
	m->open.mark.ticket = 0;
	mirror_engine_fact(m, FACT_STORED)->order_id = m->open.mark.order_id;
}

void mirror_engine_check(const struct mirror_engine *m)
{
	if (m->open.ring == NULL)
		return;
	assert(m->open.marks.home_flushed <= m->open.marks.home ||
	       m->open.opening.step != OPEN_DONE);
	assert(m->open.marks.home <= m->open.marks.last);
	assert(m->open.marks.durable <= m->open.marks.logged &&
	       m->open.marks.logged <= m->open.marks.last);
	assert(m->open.marks.last - m->open.marks.home_flushed <= RECORDS_MAX);
	mirror_pool_check(m->buffers.pool);
	mirror_ring_check(m->open.ring);
	mirror_gate_check(&m->open.home.gate);
	mirror_tasks_check(m->memory.tasks);
	mirror_ack_check(&m->open.requests.ack);
	for (uint32_t i = 0; i < m->open.disk_count; i++)
		mirror_index_check(&m->open.index[i]);
}

const struct mirror_status *mirror_engine_counters(const struct mirror_engine *m)
{
	return &m->open.counters;
}
