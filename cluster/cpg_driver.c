/* cpg_driver.c - see cpg_driver.h.
 *
 *   state     join taken     corosync busy    send             corosync gone
 *   joining   joined         retry by timer   queue            lost
 *   joined    (impossible)   queue, timer     send or queue    lost
 *   lost      -              -                drop             -
 *
 * A message sent before the first configuration change would be delivered before
 * the join, which cpg forbids; so nothing leaves before `joined`.
 */
#include "cluster/cpg_driver.h"

#include <assert.h>
#include <corosync/corotypes.h>
#include <corosync/cpg.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <qb/qbloop.h>

/* Four of the largest messages. Corosync holds back senders for milliseconds;
 * it will not take a queue that has grown so long. */
#define QUEUE_BYTES_MAX (4 * (size_t)CLUSTER_MESSAGE_MAX)
#define RETRY_NS (5 * 1000000ull)

enum cpg_state { CPG_JOINING, CPG_JOINED, CPG_LOST };

struct cluster_cpg {
	struct qb_loop *loop;
	struct cluster_cpg_owner owner;
	cpg_handle_t handle;
	int fd; /* -1: not in the loop */
	enum cpg_state state;
	struct cpg_name group;
	uint32_t nodeid;
	bool timer_set;
	qb_loop_timer_handle timer;
	size_t queued_bytes; /* of `queue`: {u32 length, data} each */
	uint8_t queue[QUEUE_BYTES_MAX];
};

static void retry(void *data);

static void lost(struct cluster_cpg *cpg, const char *what, cs_error_t error)
{
	char text[160];

	if (cpg->state == CPG_LOST)
		return;
	cpg->state = CPG_LOST;
	if (cpg->fd >= 0)
		qb_loop_poll_del(cpg->loop, cpg->fd);
	cpg->fd = -1;
	snprintf(text, sizeof text, "corosync was lost: %s: %s", what,
		 cs_strerror(error));
	cpg->owner.lost(cpg->owner.owner, text);
}

static void retry_later(struct cluster_cpg *cpg)
{
	if (cpg->timer_set)
		return;
	cpg->timer_set = qb_loop_timer_add(cpg->loop, QB_LOOP_HIGH, RETRY_NS, cpg, retry,
					   &cpg->timer) == 0;
	if (!cpg->timer_set)
		lost(cpg, "no timer to try again", CS_ERR_NO_MEMORY);
}

/* Hand one message to corosync. */
static cs_error_t multicast(struct cluster_cpg *cpg, const uint8_t *data, size_t length)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = length };

	return cpg_mcast_joined(cpg->handle, CPG_TYPE_AGREED, &iov, 1);
}

/* Send queued messages, oldest first, as far as corosync takes them. */
static void send_queued(struct cluster_cpg *cpg)
{
	size_t at = 0;
	cs_error_t e = CS_OK;
	uint32_t length;

	while (at < cpg->queued_bytes) {
		memcpy(&length, cpg->queue + at, sizeof length);
		e = multicast(cpg, cpg->queue + at + sizeof length, length);
		if (e != CS_OK)
			break;
		at += sizeof length + length;
	}
	cpg->queued_bytes -= at;
	memmove(cpg->queue, cpg->queue + at, cpg->queued_bytes);
	if (e == CS_ERR_TRY_AGAIN)
		retry_later(cpg);
	else if (e != CS_OK)
		lost(cpg, "sending to the group", e);
}

static void join(struct cluster_cpg *cpg)
{
	const cs_error_t e = cpg_join(cpg->handle, &cpg->group);

	if (e == CS_ERR_TRY_AGAIN)
		retry_later(cpg);
	else if (e != CS_OK)
		lost(cpg, "joining the group", e);
}

static void retry(void *data)
{
	struct cluster_cpg *cpg = data;

	cpg->timer_set = false;
	switch (cpg->state) {
	case CPG_JOINING:
		join(cpg);
		break;
	case CPG_JOINED:
		send_queued(cpg);
		break;
	case CPG_LOST:
		break;
	}
}

void cluster_cpg_send(struct cluster_cpg *cpg, const uint8_t *data, size_t length)
{
	const uint32_t prefix = (uint32_t)length;
	cs_error_t e = CS_ERR_TRY_AGAIN;

	assert(length > 0 && length <= CLUSTER_MESSAGE_MAX);
	if (cpg->state == CPG_LOST)
		return;
	if (cpg->state == CPG_JOINED && cpg->queued_bytes == 0)
		e = multicast(cpg, data, length);
	if (e == CS_OK)
		return;
	if (e != CS_ERR_TRY_AGAIN) {
		lost(cpg, "sending to the group", e);
		return;
	}
	if (sizeof prefix + length > QUEUE_BYTES_MAX - cpg->queued_bytes) {
		lost(cpg, "it takes no more messages", CS_ERR_QUEUE_FULL);
		return;
	}
	memcpy(cpg->queue + cpg->queued_bytes, &prefix, sizeof prefix);
	memcpy(cpg->queue + cpg->queued_bytes + sizeof prefix, data, length);
	cpg->queued_bytes += sizeof prefix + length;
	if (cpg->state == CPG_JOINED)
		retry_later(cpg);
}

/* ---- corosync's callbacks ------------------------------------------------- */

static struct cluster_cpg *cpg_of(cpg_handle_t handle)
{
	void *context = NULL;

	cpg_context_get(handle, &context);
	assert(context != NULL);
	return context;
}

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
		    uint32_t pid, void *data, size_t length)
{
	struct cluster_cpg *cpg = cpg_of(handle);
	struct cluster_event event = {
		.type = CLUSTER_EVENT_MESSAGE,
		.message = {
			.nodeid = nodeid, .pid = pid, .data = data, .length = length,
		},
	};

	(void)group;
	if (cpg->state == CPG_JOINED)
		cpg->owner.event(cpg->owner.owner, &event);
}

static uint32_t addresses(struct cluster_address *to, const struct cpg_address *from,
			  size_t count)
{
	assert(count <= CPG_MEMBERS_MAX);
	for (size_t i = 0; i < count; i++)
		to[i] = (struct cluster_address){
			.nodeid = from[i].nodeid,
			.pid = from[i].pid,
			.reason = from[i].reason,
		};
	return (uint32_t)count;
}

static void confchg(cpg_handle_t handle, const struct cpg_name *group,
		    const struct cpg_address *member, size_t member_count,
		    const struct cpg_address *left, size_t left_count,
		    const struct cpg_address *joined, size_t joined_count)
{
	struct cluster_cpg *cpg = cpg_of(handle);
	struct cluster_address m[CPG_MEMBERS_MAX], l[CPG_MEMBERS_MAX], j[CPG_MEMBERS_MAX];
	struct cluster_event event = { .type = CLUSTER_EVENT_CONFCHG };

	(void)group;
	if (cpg->state == CPG_LOST)
		return;
	event.confchg.members = m;
	event.confchg.member_count = addresses(m, member, member_count);
	event.confchg.left = l;
	event.confchg.left_count = addresses(l, left, left_count);
	event.confchg.joined = j;
	event.confchg.joined_count = addresses(j, joined, joined_count);
	cpg->state = CPG_JOINED;
	cpg->owner.event(cpg->owner.owner, &event);
	if (cpg->state == CPG_JOINED && cpg->queued_bytes > 0)
		send_queued(cpg);
}

static int32_t readable(int32_t fd, int32_t revents, void *data)
{
	struct cluster_cpg *cpg = data;
	cs_error_t e;

	(void)fd;
	(void)revents;
	e = cpg_dispatch(cpg->handle, CS_DISPATCH_ALL);
	if (e != CS_OK && e != CS_ERR_TRY_AGAIN)
		lost(cpg, "reading from the group", e);
	return cpg->state == CPG_LOST ? -1 : 0;
}

/* ---- open and close -------------------------------------------------------- */

static int error_of(cs_error_t e)
{
	if (e == CS_ERR_LIBRARY || e == CS_ERR_NOT_EXIST || e == CS_ERR_TRY_AGAIN)
		return -ECONNREFUSED;
	if (e == CS_ERR_ACCESS || e == CS_ERR_SECURITY)
		return -EACCES;
	return e == CS_ERR_NO_MEMORY ? -ENOMEM : -EIO;
}

static cs_error_t connect_corosync(struct cluster_cpg *cpg)
{
	cpg_model_v1_data_t model = {
		.model = CPG_MODEL_V1,
		.cpg_deliver_fn = deliver,
		.cpg_confchg_fn = confchg,
	};
	cs_error_t e = cpg_model_initialize(&cpg->handle, CPG_MODEL_V1,
					    (cpg_model_data_t *)&model, cpg);

	if (e != CS_OK) {
		cpg->handle = 0;
		return e;
	}
	e = cpg_local_get(cpg->handle, &cpg->nodeid);
	if (e == CS_OK)
		e = cpg_fd_get(cpg->handle, &cpg->fd);
	if (e != CS_OK)
		cpg->fd = -1;
	return e;
}

int cluster_cpg_open(struct qb_loop *loop, const char *mirror,
		     const struct cluster_cpg_owner *owner, struct cluster_cpg **out,
		     char *text, size_t text_size)
{
	struct cluster_cpg *cpg = calloc(1, sizeof *cpg);
	cs_error_t e;

	if (cpg == NULL) {
		snprintf(text, text_size, "no memory for the members' group");
		return -ENOMEM;
	}
	cpg->loop = loop;
	cpg->owner = *owner;
	cpg->fd = -1;
	cpg->group.length = (uint32_t)snprintf(cpg->group.value, sizeof cpg->group.value,
					       "hamirror-%s", mirror);
	e = connect_corosync(cpg);
	if (e == CS_OK &&
	    qb_loop_poll_add(loop, QB_LOOP_HIGH, cpg->fd, POLLIN, cpg, readable) != 0) {
		cpg->fd = -1;
		e = CS_ERR_NO_MEMORY;
	}
	if (e != CS_OK) {
		snprintf(text, text_size, "corosync's cpg cannot be used: %s%s",
			 cs_strerror(e),
			 error_of(e) == -ECONNREFUSED ?
				 "; does corosync run on this node?" :
				 "");
		cluster_cpg_close(cpg);
		return error_of(e);
	}
	join(cpg);
	*out = cpg;
	return 0;
}

uint32_t cluster_cpg_nodeid(const struct cluster_cpg *cpg)
{
	return cpg->nodeid;
}

size_t cluster_cpg_queued_bytes(const struct cluster_cpg *cpg)
{
	return cpg->queued_bytes;
}

size_t cluster_cpg_queue_bytes_max(void)
{
	return QUEUE_BYTES_MAX;
}

void cluster_cpg_close(struct cluster_cpg *cpg)
{
	if (cpg == NULL)
		return;
	if (cpg->timer_set)
		qb_loop_timer_del(cpg->loop, cpg->timer);
	if (cpg->fd >= 0)
		qb_loop_poll_del(cpg->loop, cpg->fd);
	if (cpg->handle != 0) {
		if (cpg->state == CPG_JOINED)
			cpg_leave(cpg->handle, &cpg->group);
		cpg_finalize(cpg->handle);
	}
	free(cpg);
}
