/* link_frame_driver.c - frames in and out of an open link. */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#include "common/fifo.h"
#include "mirror/drivers/link_private_driver.h"
#include "mirror/engine/pool.h"
#include "mirror/line/wire.h"

/* Below this much room at its end the buffer is moved to the front first: a recv
 * is to bring many frames. */
#define ROOM_BYTES_MIN (64u * 1024)

static const char *fault_text(int error)
{
	switch (error) {
	case -EPROTO:
		return "the peer sent something that is not a frame of hamirror";
	case -EBADMSG:
		return "a frame was damaged on the way (CRC)";
	case -EPROTONOSUPPORT:
		return "the peer speaks a newer version of the protocol; upgrade this host";
	case -EMSGSIZE:
		return "a frame is longer than any may be";
	default:
		return strerror(-error);
	}
}

/* ---- in ------------------------------------------------------------------ */

static void receive_arm(struct link *l)
{
	struct io_uring_sqe *sqe;

	if (l->receiving || l->ended ||
	    (l->phase != LINK_PHASE_GREETING && l->phase != LINK_PHASE_OPEN))
		return;
	if (l->draining)
		l->begin = l->end = 0;
	if (l->begin > 0 && LINK_BUFFER_BYTES - l->end < ROOM_BYTES_MIN) {
		memmove(l->buffer, l->buffer + l->begin, l->end - l->begin);
		l->end -= l->begin;
		l->begin = 0;
	}
	/* Full: only while paused, since a whole frame fits. */
	if (l->end == LINK_BUFFER_BYTES)
		return;
	l->receiving = true;
	l->driver->counters.recv_count++;
	sqe = io_driver_sqe(l->driver->io, &l->recv);
	io_uring_prep_recv(sqe, l->fd, l->buffer + l->end, LINK_BUFFER_BYTES - l->end, 0);
	if (l->emptied)
		io_driver_poll_first(l->driver->io, sqe);
}

/* The first complete, intact hello: now the core hears of an accepted link. */
static void greet(struct link *l)
{
	struct mirror_event event = { .type = MIRROR_EVENT_LINK_UP };

	link_set_phase(l, LINK_PHASE_OPEN);
	io_driver_timer_set(l->driver->io, &l->timer, UINT64_MAX);
	l->up = true;
	event.link.link = l->number;
	event.link.accepted = true;
	event.link.text = l->peer;
	io_driver_step(l->driver->io, &event);
}

/* Is a whole frame there, and intact? Ends the link when the bytes there can never become a
 * frame; that is seen as soon as the header is there. */
static bool frame_ready(struct link *l, struct mirror_wire_header *h)
{
	const uint8_t *at = l->buffer + l->begin;
	const uint32_t bytes = l->end - l->begin;
	int rc;

	if (bytes < MIRROR_WIRE_HEADER_BYTES)
		return false;
	rc = mirror_wire_decode_header(at, h);
	if (rc == 0 && l->phase == LINK_PHASE_GREETING && h->type != MIRROR_FRAME_HELLO) {
		link_end(l, "the first frame is %s, not a hello",
			 mirror_wire_type_name(h->type));
		return false;
	}
	if (rc == 0 && bytes < MIRROR_WIRE_HEADER_BYTES + h->body_bytes + h->data_bytes)
		return false;
	if (rc == 0)
		rc = mirror_wire_check_body(h, at + MIRROR_WIRE_HEADER_BYTES);
	if (rc < 0)
		link_end(l, "%s", fault_text(rc));
	return rc == 0;
}

static bool is_receiving_phase(const struct link *l)
{
	return (l->phase == LINK_PHASE_GREETING || l->phase == LINK_PHASE_OPEN) &&
	       !l->draining;
}

static void take_away(struct link *l, const struct mirror_wire_header *h)
{
	l->begin += MIRROR_WIRE_HEADER_BYTES + h->body_bytes + h->data_bytes;
	l->driver->counters.frames_received_count++;
}

/* Give one frame to the core. Returns false when it, or the pool, has no room:
 * the frame stays where it is. */
static bool deliver(struct link *l, const struct mirror_wire_header *h)
{
	struct mirror_engine *engine = io_driver_engine(l->driver->io);
	struct mirror_pool *pool = mirror_engine_pool(engine);
	const uint8_t *body = l->buffer + l->begin + MIRROR_WIRE_HEADER_BYTES;
	struct mirror_received received = {
		.link = l->number,
		.type = h->type,
		.body = body,
		.body_bytes = h->body_bytes,
		.data_bytes = h->data_bytes,
	};
	struct mirror_event event = { .type = MIRROR_EVENT_RECEIVED,
				      .received = &received };

	if (h->type == MIRROR_FRAME_NEWS) {
		take_away(l, h);
		link_news_take(l, h, body);
		return true;
	}
	if (!mirror_engine_takes_frames(engine, l->number))
		return false;
	if (h->data_bytes > 0) {
		received.data = mirror_pool_get(pool, h->data_bytes);
		if (received.data == NULL)
			return false;
		memcpy(received.data, body + h->body_bytes, h->data_bytes);
	}
	link_news_hello(l, h, body);
	take_away(l, h);
	io_driver_step(l->driver->io, &event);
	if (h->type == MIRROR_FRAME_WELCOME && is_receiving_phase(l))
		link_news_open(l);
	return true;
}

void link_frame_receive(struct link *l)
{
	const bool was_paused = l->paused;
	struct mirror_wire_header h;

	l->paused = false;
	while (is_receiving_phase(l) && frame_ready(l, &h)) {
		if (l->phase == LINK_PHASE_GREETING)
			greet(l);
		if (!is_receiving_phase(l))
			break;
		if (!deliver(l, &h)) {
			l->paused = true;
			l->driver->counters.paused_count += !was_paused;
			break;
		}
	}
	/* Not under a recv: it was told to put its bytes behind `end` as it was. */
	if (l->begin == l->end && !l->receiving)
		l->begin = l->end = 0;
	if (l->ended && !l->paused && l->phase != LINK_PHASE_CLOSING)
		link_end(l, "%s%s", l->fault,
			 l->begin < l->end ? ", in the middle of a frame" : "");
	receive_arm(l);
}

static void set_fault(struct link *l, const char *text)
{
	snprintf(l->fault, sizeof l->fault, "%s", text);
}

static void receive_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct link *l = io_driver_container(c, struct link, recv);

	l->receiving = false;
	l->emptied = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
	if (l->phase == LINK_PHASE_CLOSING) {
		link_finish_later(l);
		return;
	}
	if (result == -EINTR || result == -EAGAIN) {
		receive_arm(l);
		return;
	}
	if (result <= 0) {
		/* Frames that came before are still delivered. */
		l->ended = true;
		if (l->fault[0] == '\0')
			set_fault(l,
				  result == 0 ? "closed by the peer" : strerror(-result));
	} else {
		l->end += (uint32_t)result;
		l->driver->counters.bytes_received += (uint32_t)result;
		link_rate_add(&l->received, io_driver_now_ns(l->driver->io),
			      (uint32_t)result);
	}
	link_frame_receive(l);
}

/* ---- out ----------------------------------------------------------------- */

void link_frame_give_back(struct link *l, bool left)
{
	struct mirror_frame *f = fifo_pop(&l->queue);
	struct mirror_event event = { .type = MIRROR_EVENT_SENT, .frame = f };

	l->head_sent_bytes = 0;
	l->driver->counters.frames_queued_count--;
	if (f == &l->news.frame)
		link_news_gone(l, left);
	else
		io_driver_step(l->driver->io, &event);
}

/* Add bytes[skip..count) to the message; returns what is left of `skip`. */
static uint32_t gather(struct link *l, const uint8_t *bytes, uint32_t count,
		       uint32_t skip)
{
	if (skip >= count)
		return skip - count;
	l->iov[l->message.msg_iovlen++] = (struct iovec){
		/* sendmsg(2) does not write to it. */
		.iov_base = (void *)(uintptr_t)(bytes + skip),
		.iov_len = count - skip,
	};
	return 0;
}

static uint32_t gather_queue(struct link *l)
{
	uint32_t skip = l->head_sent_bytes, bytes = 0;

	l->message = (struct msghdr){ .msg_iov = l->iov };
	for (struct mirror_frame *f = l->queue.head;
	     f != NULL && l->message.msg_iovlen + 2 <= LINK_SEND_IOV_MAX; f = f->next) {
		bytes += f->head_bytes + f->data_bytes;
		skip = gather(l, f->head, f->head_bytes, skip);
		skip = gather(l, f->data, f->data_bytes, skip);
	}
	return bytes - l->head_sent_bytes;
}

static void count_sent(struct link *l, uint32_t bytes)
{
	l->driver->counters.bytes_sent += bytes;
	link_rate_add(&l->sent, io_driver_now_ns(l->driver->io), bytes);
	while (bytes > 0) {
		struct mirror_frame *f = l->queue.head;
		const uint32_t rest = f->head_bytes + f->data_bytes - l->head_sent_bytes;

		if (bytes < rest) {
			l->head_sent_bytes += bytes;
			return;
		}
		bytes -= rest;
		l->driver->counters.frames_sent_count++;
		link_frame_give_back(l, true);
	}
}

/* Nothing more can be sent, but the peer's last words (a refusal) may still be on
 * their way in: read on to the end, for a moment. Not when that has to wait for the
 * core, which may itself wait for a frame that is queued here. */
static void send_broken(struct link *l, const char *why)
{
	if (l->paused || l->ended || l->draining) {
		link_end(l, "%s", why);
		return;
	}
	l->broken = true;
	set_fault(l, why);
	shutdown(l->fd, SHUT_RDWR);
	link_end_after(l, LINK_DRAIN_TIMEOUT_MS);
}

/* All frames that the core sent before its CLOSE are with the kernel. A close now, with bytes
 * of the peer's unread, would reset the connection and could destroy frames that are still on
 * the way: say that we are done and read, for nothing, until the peer has closed too
 * or the time is up. */
static void drained(struct link *l)
{
	shutdown(l->fd, SHUT_WR);
	receive_arm(l);
}

/* `result` of a send: bytes, or -errno. */
static void take_sent(struct link *l, int32_t result)
{
	if (result > 0)
		count_sent(l, (uint32_t)result);
	if (l->phase == LINK_PHASE_CLOSING)
		link_finish_later(l);
	else if (result < 0 && result != -EINTR && result != -EAGAIN)
		send_broken(l, strerror(-result));
	else if (l->draining && l->queue.head == NULL)
		drained(l);
}

static void send_done(struct io_completion *c, int32_t result, uint32_t flags)
{
	struct link *l = io_driver_container(c, struct link, send);

	(void)flags;
	l->sending = false;
	take_sent(l, result);
}

/* By a call of its own: the peer begins before our devices do, and no turn of the loop is
 * spent on the completion. The ring gets the bytes that the socket has no room for. One
 * message a pass: a peer that takes all at once does not keep the loop from hearing it. */
void link_frame_send(struct link *l)
{
	ssize_t sent;
	uint32_t bytes;

	if (l->phase != LINK_PHASE_OPEN || l->sending || l->broken)
		return;
	bytes = gather_queue(l);
	sent = sendmsg(l->fd, &l->message, MSG_NOSIGNAL | MSG_DONTWAIT);
	l->driver->counters.sendmsg_count++;
	take_sent(l, sent >= 0 ? (int32_t)sent : -errno);
	if (sent == (ssize_t)bytes || l->phase != LINK_PHASE_OPEN || l->broken)
		return;
	gather_queue(l);
	l->sending = true;
	/* WAITALL: the kernel goes on by itself when the socket has room again. */
	io_uring_prep_sendmsg(io_driver_sqe(l->driver->io, &l->send), l->fd, &l->message,
			      MSG_NOSIGNAL | MSG_WAITALL);
}

void link_frame_start(struct link *l)
{
	l->recv.done = receive_done;
	l->send.done = send_done;
}
