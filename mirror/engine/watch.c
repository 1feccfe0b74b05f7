/* engine/watch.c - the age of our own device operations (G7): a device that hangs.
 *
 *   the oldest operation is      what is said                   what is done
 *   younger than DEVICE_HANGS    -                              -
 *   older                        FACT_DEVICE_HANGS, status      -
 *   older than device-timeout    FACT_DEVICE_FAILED             as after an error
 *
 * Operations under way are a list in the order in which they began. A look each second,
 * while there are any, walks it: they are bounded (engine/bounds.h). Their memory stays
 * ours until they end, even if they were given up, and the devices are not closed before
 * (D6).
 *
 * A large zeroing takes long on a good device. It is allowed more time by its size, as
 * much as a slow device would need to write it.
 */
#include "mirror/engine/state.h"

#define ZERO_BYTES_PER_MS (10u * 1024) /* 10 MiB a second */

void mirror_watch_begin(struct mirror_engine *m, struct mirror_io *io)
{
	io->begun_ns = m->now_ns;
	io->newer = NULL;
	io->older = m->open.watch.newest;
	if (m->open.watch.newest != NULL)
		m->open.watch.newest->newer = io;
	else
		m->open.watch.oldest = io;
	m->open.watch.newest = io;
	m->open.watch.count++;
	if (m->open.watch.look_at_ns == 0)
		m->open.watch.look_at_ns = m->now_ns + DEVICE_LOOK_NS;
}

void mirror_watch_end(struct mirror_engine *m, struct mirror_io *io)
{
	assert(m->open.watch.count > 0);
	m->open.watch.count--;
	if (io->older != NULL)
		io->older->newer = io->newer;
	else
		m->open.watch.oldest = io->newer;
	if (io->newer != NULL)
		io->newer->older = io->older;
	else
		m->open.watch.newest = io->older;
}

static uint64_t allowed_more_ns(const struct mirror_io *io)
{
	return io->op == MIRROR_IO_ZERO || io->op == MIRROR_IO_TRIM ?
		       io->length_bytes / ZERO_BYTES_PER_MS * NS_PER_MS :
		       0;
}

static uint64_t age_ns(const struct mirror_engine *m, uint64_t since_ns, uint64_t more_ns)
{
	return m->now_ns > since_ns + more_ns ? m->now_ns - since_ns - more_ns : 0;
}

/* The operation that is late the longest; NULL: none is under way. */
static const struct mirror_io *latest(const struct mirror_engine *m, uint64_t *late_ns)
{
	const struct mirror_io *found = NULL;

	*late_ns = 0;
	for (const struct mirror_io *io = m->open.watch.oldest; io != NULL;
	     io = io->newer) {
		const uint64_t age = age_ns(m, io->begun_ns, allowed_more_ns(io));

		if (found == NULL || age > *late_ns) {
			found = io;
			*late_ns = age;
		}
	}
	return found;
}

/* So late, it is told: before it is given up. */
static uint64_t told_ns(const struct mirror_engine *m)
{
	const uint64_t half_ns = m->config->device_timeout_ms * NS_PER_MS / 2;

	return half_ns > 0 && half_ns < DEVICE_HANGS_NS ? half_ns : DEVICE_HANGS_NS;
}

uint64_t mirror_watch_text(const struct mirror_engine *m, char *text, size_t size)
{
	static const char *const names[] = {
		[MIRROR_IO_READ] = "a read",    [MIRROR_IO_WRITE] = "a write",
		[MIRROR_IO_ZERO] = "a zeroing", [MIRROR_IO_TRIM] = "a trim",
		[MIRROR_IO_FLUSH] = "a flush",
	};
	char name[MIRROR_DEVICE_NAME_MAX];
	uint64_t late_ns;
	const struct mirror_io *io = latest(m, &late_ns);

	text[0] = 0;
	if (m->open.opening.devices_asked) {
		late_ns = age_ns(m, m->open.opening.devices_asked_ns, 0);
		if (late_ns >= told_ns(m))
			mirror_text(text, size,
				    "a device of site %s hangs: its open has not been "
				    "answered",
				    mirror_engine_site_name(m, m->open.site));
		return late_ns;
	}
	if (io == NULL || late_ns < told_ns(m))
		return late_ns;
	mirror_device_name(m, io->device, name, sizeof name);
	mirror_text(text, size, "%.170s hangs: %s has not been answered", name,
		    names[io->op]);
	return late_ns;
}

static void look(struct mirror_engine *m)
{
	const uint64_t limit_ns = m->config->device_timeout_ms * NS_PER_MS;
	char text[FACT_TEXT_MAX];
	const uint64_t late_ns = mirror_watch_text(m, text, sizeof text);
	struct fact *f;

	if (m->open.watch.told != (text[0] != 0)) {
		m->open.watch.told = !m->open.watch.told;
		f = mirror_engine_fact(m, FACT_DEVICE_HANGS);
		f->age_ms = m->open.watch.told ? late_ns / NS_PER_MS : 0;
		mirror_text(f->text, sizeof f->text, "%s",
			    m->open.watch.told ? text : "all of them answer again");
	}
	/* An open is given up by the driver, which knows its device. */
	if (limit_ns > 0 && late_ns >= limit_ns && !m->open.opening.devices_asked)
		mirror_engine_hung(m, text);
}

/* Clients are told at once, because the device answers nothing more. Reads under way have
 * lent it their buffers and end with it. */
static void fail_clients(struct mirror_engine *m)
{
	if (m->state < ENGINE_STARTING || m->state > ENGINE_DEMOTING)
		return;
	mirror_requests_fail(m, -EIO);
	mirror_reads_fail(m, -EIO);
}

void mirror_watch_pump(struct mirror_engine *m)
{
	if (m->open.watch.look_at_ns != 0 && m->now_ns >= m->open.watch.look_at_ns) {
		look(m);
		m->open.watch.look_at_ns =
			m->open.watch.count > 0 || m->open.opening.devices_asked ||
					m->open.watch.told ?
				m->now_ns + DEVICE_LOOK_NS :
				0;
	}
	if (m->open.watch.look_at_ns != 0)
		mirror_engine_wake(m, m->open.watch.look_at_ns);
	if (m->open.failed)
		fail_clients(m);
}
