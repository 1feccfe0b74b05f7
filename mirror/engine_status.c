/* engine_status.c - a snapshot for `hamirror status`, and marks by the operator. */
#include <stdio.h>

#include "mirror/internal.h"
#include "mirror/parts.h"

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
	add_queue(s, "records not yet home", m->last_sequence - m->home_flushed,
		  RECORDS_MAX);
	add_queue(s, "records held at the gate", m->gate.held_count,
		  m->gate.held_count_max);
	add_queue(s, "home writes", mirror_tasks_op_count(m->tasks),
		  mirror_tasks_op_count_max(m->tasks));
	add_queue(s, "frames on the line", frames, FRAMES_MAX);
	add_queue(s, "pool bytes",
		  mirror_pool_bytes_total(m->pool) - mirror_pool_bytes_free(m->pool),
		  mirror_pool_bytes_total(m->pool));
	add_queue(s, "requests unanswered", m->pending_count, RECORDS_MAX);
	add_queue(s, "requests unstamped", request_count(&m->requests_waiting),
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
		struct engine_peer *p = &m->peer[s];

		if (leaves->sequence != confirmed(p) + 1)
			continue;
		p->missed.generation = leaves->generation;
		p->missed.group = leaves->group;
		p->missed.time_ns = leaves->time_ns;
	}
}

static void fill_age(const struct mirror_engine *m, struct mirror_status_site *s,
		     uint64_t generation, uint64_t group, uint64_t time_ns)
{
	const uint64_t before = generation == m->last_generation ? group - 1 : 0;

	s->lag_ms = m->wall_ns > time_ns ? (m->wall_ns - time_ns) / NS_PER_MS : 0;
	s->lag_groups = m->last_group - before;
}

/* Age and size of what a site has not confirmed. Groups count from the generation's
 * beginning; what went before it is not counted. */
static void fill_lag(const struct mirror_engine *m, uint32_t site,
		     struct mirror_status_site *s)
{
	const struct engine_peer *p = &m->peer[site];
	const uint64_t from = confirmed(p);
	uint64_t q = from < m->home_flushed ? m->home_flushed : from, position, tail,
		 epoch;

	if (from >= m->last_sequence)
		return;
	s->lag_records = m->last_sequence - from;
	if (q < m->last_sequence) {
		const struct mirror_header *h = &m->records[(q + 1) % RECORDS_MAX].header;

		fill_age(m, s, h->generation, h->group, h->time_ns);
	}
	while (q++ < m->last_sequence)
		s->lag_bytes += m->records[q % RECORDS_MAX].header.length_bytes;
	if (from >= m->home_flushed)
		return;
	if (p->missed.generation != 0)
		fill_age(m, s, p->missed.generation, p->missed.group, p->missed.time_ns);
	mirror_ring_tail(m->ring, &position, &tail, &epoch);
	s->lag_bytes += tail > from + 1 ?
				mirror_map_count(m->map, site) * MIRROR_EXTENT_BYTES :
				(m->home_flushed - from) * MIRROR_BLOCK_BYTES;
}

static void fill_site(const struct mirror_engine *m, uint32_t site,
		      struct mirror_status_site *s)
{
	const struct engine_peer *p = &m->peer[site];

	s->link = p->state;
	snprintf(s->link_text, sizeof s->link_text, "%s", p->text);
	s->waited = p->waited || p->candidate_from != 0;
	s->marks = p->marks;
	s->map_extents = mirror_map_count(m->map, site);
	s->refresh_done_extents = p->refresh_done;
	s->refresh_total_extents = p->phase == REFRESH_NONE ? 0 : p->refresh_total;
	s->refresh_refused = p->phase == REFRESH_REFUSED;
	s->since_ns = p->since_wall_ns;
	s->lost_count = p->trust.lost_count;
	s->back_off_ms = m->now_ns < p->trust.again_ns ?
				 (p->trust.again_ns - m->now_ns) / NS_PER_MS + 1 :
				 0;
	if (m->state >= ENGINE_STARTING && m->state <= ENGINE_DEMOTING)
		fill_lag(m, site, s);
}

/* G7: nothing waits where nobody can see for what. */
static void fill_frozen(const struct mirror_engine *m, struct mirror_status *s)
{
	if (m->pending_count == 0 && m->answers_held.head == NULL)
		return;
	if (m->now_ns >= m->lease_until_ns) {
		s->frozen = true;
		snprintf(s->frozen_text, sizeof s->frozen_text,
			 "no lease: a majority of the voters has not answered");
		return;
	}
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if (i != m->site && mirror_ack_waits_for(&m->ack, i) &&
		    m->peer[i].state != LINK_CONNECTED &&
		    m->peer[i].state != LINK_CATCHING_UP) {
			s->frozen = true;
			snprintf(s->frozen_text, sizeof s->frozen_text,
				 "writes wait for copy %s, whose link is down: %.150s",
				 mirror_engine_site_name(m, i), m->peer[i].text);
		}
}

static void fill_open(const struct mirror_engine *m, struct mirror_status *s)
{
	s->history = m->sb.history;
	s->marks = (struct site_marks){ m->logged, m->durable, m->home_flushed };
	s->log_bytes = mirror_ring_bytes(m->ring);
	s->log_used_bytes = mirror_ring_used_bytes(m->ring);
	s->disk_count = m->disk_count;
	for (uint32_t i = 0; i < m->disk_count; i++)
		s->disk_bytes[i] = m->sb.disks.entry[i].size_bytes;
	s->site_count = m->config->site_count;
	for (uint32_t i = 0; i < m->config->site_count; i++)
		if (i != m->site)
			fill_site(m, i, &s->sites[i]);
	fill_queues(m, s);
	fill_frozen(m, s);
}

/* How far the log has been read, as far as the superblock tells where it ends. */
static void fill_scan(const struct mirror_engine *m, struct mirror_status *s)
{
	const uint64_t tail = m->scan->result.tail_position;

	if (m->state != ENGINE_OPENING || m->open_step != OPEN_SCAN ||
	    m->sb.head_position <= tail || m->scan->position <= tail)
		return;
	s->scan_total_bytes = m->sb.head_position - tail;
	s->scan_done_bytes = m->scan->position - tail;
	if (s->scan_done_bytes > s->scan_total_bytes)
		s->scan_total_bytes = s->scan_done_bytes;
	s->scan_ms = (m->now_ns - m->scan_since_ns) / NS_PER_MS;
}

void mirror_status_fill(const struct mirror_engine *m, struct mirror_status *s)
{
	uint64_t late_ns;

	*s = m->counters;
	late_ns = mirror_watch_text(m, s->hangs_text, sizeof s->hangs_text);
	if (s->hangs_text[0] != 0)
		s->hangs_ms = late_ns / NS_PER_MS;
	if (m->failed)
		memcpy(s->failed_text, m->failed_text, sizeof s->failed_text);
	s->open = m->state >= ENGINE_IDLE && m->state < ENGINE_CLOSING;
	s->serving = m->state == ENGINE_SERVING;
	s->site = m->site;
	s->data = m->failed ? DATA_DISKLESS : m->data;
	snprintf(s->data_text, sizeof s->data_text, "%s",
		 m->failed ? m->failed_text : m->data_text);
	s->data_time_ns = m->last_time_ns;
	s->sequence = m->last_sequence;
	s->group = m->stamp.group;
	s->acknowledged = mirror_ack_acknowledged(&m->ack);
	s->group_in_progress = m->stamp.in_progress;
	fill_scan(m, s);
	if (m->ring != NULL && s->open)
		fill_open(m, s);
}

/* `disconnect` and `connect` of `cluster: none`: which sites are put out, stored
 * before anything relies on it (G5: the log, then the map, stands for them). */
void mirror_mark_order(struct mirror_engine *m, const struct order *o)
{
	struct fact *f;

	if (m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING || m->failed) {
		f = mirror_engine_fact(m, FACT_STORED);
		f->order_id = o->id;
		f->error = -ENODEV;
		snprintf(f->text, sizeof f->text,
			 "the devices of this site are not open");
		return;
	}
	for (uint32_t s = 0; s < m->config->site_count; s++)
		if (s != m->site) {
			m->sb.sites[s].disconnected = (o->sites >> s & 1) != 0;
			m->sb.sites[s].current &= !m->sb.sites[s].disconnected;
		}
	m->undo_allowed = o->discard;
	m->mark_order_id = o->id;
	m->mark_ticket = mirror_superblock_want(m);
}

void mirror_mark_pump(struct mirror_engine *m)
{
	if (m->mark_ticket == 0 || !mirror_superblock_has(m, m->mark_ticket))
		return;
	m->mark_ticket = 0;
	mirror_engine_fact(m, FACT_STORED)->order_id = m->mark_order_id;
}

void mirror_engine_check(const struct mirror_engine *m)
{
	if (m->ring == NULL)
		return;
	assert(m->home_flushed <= m->home_done || m->open_step != OPEN_DONE);
	assert(m->home_done <= m->last_sequence);
	assert(m->durable <= m->logged && m->logged <= m->last_sequence);
	assert(m->last_sequence - m->home_flushed <= RECORDS_MAX);
	mirror_pool_check(m->pool);
	mirror_ring_check(m->ring);
	mirror_group_check(&m->gate);
	mirror_tasks_check(m->tasks);
	mirror_ack_check(&m->ack);
	for (uint32_t i = 0; i < m->disk_count; i++)
		mirror_index_check(&m->index[i]);
}

const struct mirror_status *mirror_engine_counters(const struct mirror_engine *m)
{
	return &m->counters;
}
