/* link_rate_driver.c - figures of a link for the status: its round trip, and bytes a second. */
#include <linux/tcp.h> /* newer than netinet/tcp.h */
#include <netinet/in.h>

#include "mirror/drivers/link_private_driver.h"
#include "mirror/status.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000.0

void link_rate_add(struct link_rate *r, uint64_t now_ns, uint32_t bytes)
{
	if (now_ns >= r->from_ns + LINK_RATE_MS * NS_PER_MS) {
		r->before_ns = now_ns - r->from_ns;
		r->before_bytes = r->bytes;
		r->from_ns = now_ns;
		r->bytes = 0;
	}
	r->bytes += bytes;
}

uint64_t link_rate_of(const struct link_rate *r, uint64_t now_ns)
{
	uint64_t ns = now_ns - r->from_ns, bytes = r->bytes;

	if (ns < LINK_RATE_MS * NS_PER_MS) {
		ns += r->before_ns;
		bytes += r->before_bytes;
	}
	return ns == 0 ? 0 : (uint64_t)((double)bytes * NS_PER_S / (double)ns);
}

void link_driver_figures(const struct link_driver *d, struct mirror_status_site *s)
{
	const struct link *l;
	const uint64_t now_ns = io_driver_now_ns(d->io);
	struct tcp_info info = { 0 };
	socklen_t bytes = sizeof info;

	if (s->link_place == 0 || s->link_place > MIRROR_LINK_COUNT_MAX)
		return;
	l = &d->link[s->link_place - 1];
	if (l->phase != LINK_PHASE_OPEN)
		return;
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0)
		s->rtt_us =
			info.tcpi_min_rtt; /* the smoothed one has delayed ACKs in it */
	s->sent_per_s = link_rate_of(&l->sent, now_ns);
	s->received_per_s = link_rate_of(&l->received, now_ns);
}
