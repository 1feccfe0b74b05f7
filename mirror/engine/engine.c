/* engine.c - one event in, actions out: see engine.h and engine/state.h.
 *
 *   state      OPEN     PREPARE    SERVE     DEMOTE    DEPOSE   CLOSE
 *   closed     opening  refused    refused   done      -        done
 *   opening    refused  refused    refused   done      -        closing
 *   idle       refused  preparing  refused   done      -        closing
 *   preparing  refused  again      starting  idle      idle     closing
 *   starting   refused  refused    refused   demoting  idle     closing
 *   serving    refused  refused    refused   demoting  idle     closing
 *   demoting   refused  refused    refused   -         idle     closing
 *   closing    refused  refused    refused   -         -        -
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/fifo.h"
#include "mirror/engine/state.h"

static bool state_change_is_legal(enum engine_state from, enum engine_state to)
{
	switch (to) {
	case ENGINE_CLOSED:
		return from == ENGINE_CLOSING || from == ENGINE_OPENING;
	case ENGINE_OPENING:
		return from == ENGINE_CLOSED;
	case ENGINE_IDLE:
		return from != ENGINE_CLOSED && from != ENGINE_CLOSING;
	case ENGINE_PREPARING:
		return from == ENGINE_IDLE;
	case ENGINE_STARTING:
		return from == ENGINE_PREPARING;
	case ENGINE_SERVING:
		return from == ENGINE_STARTING || from == ENGINE_DEMOTING;
	case ENGINE_DEMOTING:
		return from == ENGINE_SERVING || from == ENGINE_STARTING;
	case ENGINE_CLOSING:
		return from != ENGINE_CLOSED;
	}
	return false;
}

void mirror_engine_set_state(struct mirror_engine *m, enum engine_state state)
{
	assert(state_change_is_legal(m->state, state));
	m->state = state;
	mirror_engine_changed(m);
}

void mirror_engine_submit(struct mirror_engine *m, struct mirror_io *io)
{
	io->result = 0;
	fifo_push(&m->out->io, io);
	mirror_watch_begin(m, io);
}

void mirror_engine_transfer(struct mirror_engine *m, struct mirror_io *io,
			    enum mirror_io_op op, uint32_t device, uint64_t offset_bytes,
			    struct iovec *iov, uint32_t purpose, void *owner)
{
	*io = (struct mirror_io){
		.op = op,
		.device = device,
		.offset_bytes = offset_bytes,
		.length_bytes = iov->iov_len,
		.iov = iov,
		.iov_count = 1,
		.purpose = purpose,
		.owner = owner,
	};
	mirror_engine_submit(m, io);
}

void mirror_engine_flush(struct mirror_engine *m, struct mirror_io *io, uint32_t device,
			 uint32_t purpose)
{
	*io = (struct mirror_io){
		.op = MIRROR_IO_FLUSH,
		.device = device,
		.purpose = purpose,
	};
	mirror_engine_submit(m, io);
}

void mirror_engine_wake(struct mirror_engine *m, uint64_t at_ns)
{
	if (at_ns < m->out->wake_at_ns)
		m->out->wake_at_ns = at_ns;
}

/* Facts wait in a small ring between steps when one step has more of them than
 * the actions can carry; the ring is emptied first by the next step. */
struct fact *mirror_engine_fact(struct mirror_engine *m, enum fact_type type)
{
	struct fact *f;

	assert(m->facts.tail - m->facts.head < FACTS_WAITING_MAX);
	f = &m->facts.waiting[m->facts.tail++ % FACTS_WAITING_MAX];
	memset(f, 0, sizeof *f);
	f->type = type;
	f->site = m->open.site;
	return f;
}

static void facts_out(struct mirror_engine *m)
{
	while (m->facts.head != m->facts.tail &&
	       m->out->fact_count < MIRROR_FACTS_PER_STEP_MAX)
		m->out->fact[m->out->fact_count++] =
			m->facts.waiting[m->facts.head++ % FACTS_WAITING_MAX];
	if (m->facts.head != m->facts.tail)
		mirror_engine_wake(m, m->now_ns);
}

void mirror_engine_event(struct mirror_engine *m, const char *object, const char *rule,
			 const char *format, ...)
{
	struct fact *f;
	va_list args;

	/* An event is for people: one that finds no room is dropped, a fact that
	 * the members wait for never is. */
	if (m->facts.tail - m->facts.head >= FACTS_WAITING_MAX / 2)
		return;
	f = mirror_engine_fact(m, FACT_EVENT);
	snprintf(f->object, sizeof f->object, "%s", object);
	snprintf(f->rule, sizeof f->rule, "%s", rule);
	va_start(args, format);
	vsnprintf(f->text, sizeof f->text, format, args);
	va_end(args);
}

/* A sentence for people: one that is too long is cut. */
void mirror_text(char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
}

const char *mirror_engine_site_name(const struct mirror_engine *m, uint32_t site)
{
	return m->config->site[site].name;
}

static void fail(struct mirror_engine *m, int32_t error, const char *links,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* G1: a device that failed once is not trusted again. Everything stops; the host detaches
 * (FACT_DEVICE_FAILED) and another of its site may take over. */
static void fail(struct mirror_engine *m, int32_t error, const char *links,
		 const char *format, ...)
{
	struct fact *f;
	va_list args;

	if (m->open.failed)
		return;
	m->open.failed = true;
	va_start(args, format);
	vsnprintf(m->open.failed_text, sizeof m->open.failed_text, format, args);
	va_end(args);
	f = mirror_engine_fact(m, FACT_DEVICE_FAILED);
	f->error = error;
	snprintf(f->text, sizeof f->text, "%s", m->open.failed_text);
	mirror_links_close_all(m, links);
}

void mirror_device_name(const struct mirror_engine *m, uint32_t device, char *name,
			size_t size)
{
	const struct config_site *site = &m->config->site[m->open.site];

	if (device == MIRROR_IO_LOG)
		snprintf(name, size, "writelog %s", site->writelog);
	else
		snprintf(name, size, "disk %s (%s)", site->disk[device].name,
			 site->disk[device].path);
}

void mirror_engine_fail(struct mirror_engine *m, uint32_t device, int32_t error,
			const char *what)
{
	char name[MIRROR_DEVICE_NAME_MAX];

	mirror_device_name(m, device, name, sizeof name);
	fail(m, error, "closed from here, since a device here failed",
	     "%.180s: %s failed: %s", name, what, strerror(-error));
}

/* The device may still carry out old writes after the site has given it up. No other host
 * opens it before they have ended or this node was fenced (D6). */
void mirror_engine_hung(struct mirror_engine *m, const char *text)
{
	fail(m, -ETIMEDOUT, "closed from here, since a device here hangs",
	     "%.150s for %u ms: given up (device-timeout)%s", text,
	     m->config->device_timeout_ms,
	     m->config->cluster ? "; the site's disks pass on when it answers or this "
				  "node is fenced" :
				  "");
}

/* The log contradicts itself: never guessed around (G8). */
void mirror_engine_damage(struct mirror_engine *m, const char *text)
{
	fail(m, -EBADMSG, "the writelog of this site is damaged", "writelog %.100s: %s",
	     m->config->site[m->open.site].writelog, text);
}

void mirror_engine_set_data(struct mirror_engine *m, enum data_state data,
			    const char *text)
{
	struct fact *f;

	if (m->open.data == data && strcmp(m->open.data_text, text) == 0)
		return;
	m->open.data = data;
	snprintf(m->open.data_text, sizeof m->open.data_text, "%s", text);
	if (m->state == ENGINE_OPENING)
		return; /* FACT_OPENED says it */
	f = mirror_engine_fact(m, FACT_DATA);
	f->data = data;
	snprintf(f->text, sizeof f->text, "%s", text);
}

/* splitmix64 over the seed: for uuids, nonces and priorities. */
uint64_t mirror_engine_random(struct mirror_engine *m)
{
	uint64_t z;

	m->random_counter++;
	z = m->seed.random[m->random_counter % 4] +
	    m->random_counter * 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

struct mirror_record *mirror_engine_record(struct mirror_engine *m, uint64_t sequence)
{
	assert(sequence > m->open.marks.home_flushed && sequence <= m->open.marks.last);
	return &m->memory.records[sequence % RECORDS_MAX];
}

/* ---- events -------------------------------------------------------------- */

static void io_done(struct mirror_engine *m, struct mirror_io *io)
{
	mirror_watch_end(m, io);
	switch ((enum io_purpose)io->purpose) {
	case IO_OPEN:
		mirror_open_io(m, io);
		break;
	case IO_SAMPLE:
		mirror_disks_io(m, io);
		break;
	case IO_SUPERBLOCK:
	case IO_SUPERBLOCK_FLUSH:
		mirror_superblock_io(m, io);
		break;
	case IO_LOG_WRITE:
	case IO_LOG_PAD:
	case IO_LOG_FLUSH:
		mirror_log_io(m, io);
		break;
	case IO_MAP:
	case IO_MAP_FLUSH:
		mirror_maps_io(m, io);
		break;
	case IO_HOME:
		mirror_home_io(m, io);
		break;
	case IO_REPLAY:
		mirror_replay_io(m, io);
		break;
	case IO_DISK_FLUSH:
		mirror_free_io(m, io);
		break;
	case IO_GATE_FLUSH:
		mirror_gate_io(m, io);
		break;
	case IO_READ:
		mirror_read_io(m, io);
		break;
	case IO_LINK_READ:
		mirror_send_io(m, io);
		break;
	case IO_HEADERS:
		mirror_headers_io(m, io);
		break;
	}
}

static void take_order(struct mirror_engine *m, const struct order *o)
{
	switch (o->type) {
	case ORDER_OPEN:
		mirror_open_order(m, o);
		break;
	case ORDER_CLOSE:
		mirror_close_order(m, o);
		break;
	case ORDER_PROBE:
		mirror_probe_order(m, o);
		break;
	case ORDER_PREPARE:
		mirror_prepare_order(m, o);
		break;
	case ORDER_SERVE:
		mirror_serve_order(m, o);
		break;
	case ORDER_DEMOTE:
		mirror_demote_order(m, o);
		break;
	case ORDER_DEPOSE:
		mirror_depose(m, "another host was promoted");
		break;
	case ORDER_LEASE:
		m->open.requests.lease_until_ns = o->until_ns;
		break;
	case ORDER_WAIT:
		mirror_wait_order(m, o);
		break;
	case ORDER_LINK:
	case ORDER_UNLINK:
		mirror_link_order(m, o);
		break;
	case ORDER_VIEW:
		mirror_view_order(m, o);
		break;
	case ORDER_MARK:
		mirror_mark_order(m, o);
		break;
	case ORDER_REFRESH:
		mirror_refresh_order(m, o);
		break;
	case ORDER_RECOVER:
		mirror_recover_order(m, o);
		break;
	case ORDER_THROTTLE:
		mirror_throttle_order(m, o);
		break;
	case ORDER_FAIL_FROZEN:
		mirror_requests_fail(m, -EIO);
		break;
	case ORDER_STATUS:
		mirror_status_fill(m, o->status);
		mirror_engine_fact(m, FACT_STATUS)->order_id = o->id;
		break;
	}
}

static void take_event(struct mirror_engine *m, const struct mirror_event *e)
{
	switch (e->type) {
	case MIRROR_EVENT_TICK:
		break;
	case MIRROR_EVENT_ORDER:
		take_order(m, e->order);
		break;
	case MIRROR_EVENT_DEVICES:
		mirror_open_devices(m, e->devices);
		break;
	case MIRROR_EVENT_DEVICES_CLOSED:
		mirror_closed(m);
		break;
	case MIRROR_EVENT_IO:
		io_done(m, e->io);
		break;
	case MIRROR_EVENT_REQUEST:
		mirror_request_take(m, e->request);
		break;
	case MIRROR_EVENT_CLIENT_GONE:
		mirror_client_gone(m, e->client);
		break;
	case MIRROR_EVENT_CLIENTS:
		mirror_clients_done(m, e->error);
		break;
	case MIRROR_EVENT_LINK_UP:
		mirror_link_up(m, e->link.link, e->link.accepted);
		break;
	case MIRROR_EVENT_LINK_DOWN:
		mirror_link_down(m, e->link.link, e->link.text);
		break;
	case MIRROR_EVENT_RECEIVED:
		mirror_link_received(m, e->received);
		break;
	case MIRROR_EVENT_SENT:
		mirror_frame_sent(m, e->frame);
		break;
	}
}

/* Let each part do all it can do now, in the order of a write. */
static void pump(struct mirror_engine *m)
{
	mirror_open_pump(m);
	mirror_cut_pump(m);
	mirror_prepare_pump(m);
	mirror_throttle_pump(m);
	mirror_requests_pump(m);
	mirror_log_pump(m);
	mirror_answer_pump(m);
	mirror_home_pump(m);
	mirror_outrun_pump(m);
	mirror_free_pump(m);
	mirror_maps_pump(m);
	mirror_refresh_pump(m);
	mirror_links_pump(m);
	mirror_copy_pump(m);
	mirror_recover_pump(m);
	mirror_clients_pump(m);
	mirror_demote_pump(m);
	mirror_superblock_pump(m);
	mirror_close_pump(m);
	mirror_marks_pump(m);
	mirror_watch_pump(m);
}

static void pump_all(struct mirror_engine *m)
{
	uint32_t rounds = 0;

	do {
		m->changed = false;
		pump(m);
	} while (m->changed && ++rounds < PUMP_ROUNDS_MAX);
	if (rounds == PUMP_ROUNDS_MAX)
		mirror_engine_wake(m, m->now_ns);
}

void mirror_step(struct mirror_engine *m, const struct mirror_event *event,
		 struct mirror_actions *out)
{
	out->open_devices = false;
	out->close_devices = false;
	out->clients = MIRROR_CLIENTS_KEEP;
	out->io = (struct mirror_io_list){ 0 };
	out->io_first = false;
	out->answer = (struct mirror_request_list){ 0 };
	out->send = (struct mirror_frame_list){ 0 };
	out->link_order_count = 0;
	out->fact_count = 0;
	out->wake_at_ns = UINT64_MAX;
	m->out = out;
	m->now_ns = event->now_ns;
	m->wall_ns = event->wall_ns;
	take_event(m, event);
	if (event->more)
		mirror_engine_wake(m, m->now_ns);
	else
		pump_all(m);
	facts_out(m);
	out->site = m->open.site;
	m->out = NULL;
}

struct mirror_pool *mirror_engine_pool(struct mirror_engine *m)
{
	return m->buffers.pool;
}

bool mirror_engine_takes_requests(const struct mirror_engine *m)
{
	return m->open.requests.waiting.head == NULL;
}

uint64_t mirror_engine_lease_until_ns(const struct mirror_engine *m)
{
	return m->open.requests.lease_until_ns;
}

uint64_t mirror_engine_unconfirmed(const struct mirror_engine *m)
{
	return m->state == ENGINE_IDLE ? m->open.marks.last - m->open.marks.logged : 0;
}

uint64_t mirror_engine_disk_bytes(const struct mirror_engine *m, uint32_t disk)
{
	if (m->state < ENGINE_STARTING || m->state > ENGINE_DEMOTING ||
	    disk >= m->open.disk_count)
		return 0;
	return m->open.sb.disks.entry[disk].size_bytes;
}

uint32_t mirror_engine_disk_sector_bytes(const struct mirror_engine *m, uint32_t disk)
{
	const uint32_t bytes = m->open.sb.disks.entry[disk].sector_bytes;

	return bytes > MIRROR_SECTOR_BYTES ? bytes : MIRROR_SECTOR_BYTES;
}
