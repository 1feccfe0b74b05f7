/* quorum_driver.c - see quorum_driver.h. */
#include "cluster/quorum_driver.h"

#include <assert.h>
#include <corosync/cmap.h>
#include <corosync/corotypes.h>
#include <corosync/quorum.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <qb/qbloop.h>

struct cluster_quorum {
	struct qb_loop *loop;
	struct cluster_quorum_owner owner;
	quorum_handle_t handle;
	bool open;
	int fd; /* -1: not in the loop */
};

static void notify(quorum_handle_t handle, uint32_t quorate, uint64_t ring_seq,
		   uint32_t count, uint32_t *list)
{
	struct cluster_event event = {
		.type = CLUSTER_EVENT_QUORUM,
		.quorate = quorate != 0,
	};
	const void *context = NULL;
	const struct cluster_quorum *q;

	(void)ring_seq;
	quorum_context_get(handle, &context);
	assert(context != NULL);
	q = context;
	q->owner.members(q->owner.owner, list, count);
	q->owner.event(q->owner.owner, &event);
}

static int32_t readable(int32_t fd, int32_t revents, void *data)
{
	struct cluster_quorum *q = data;
	const cs_error_t e = quorum_dispatch(q->handle, CS_DISPATCH_ALL);
	char text[128];

	(void)fd;
	(void)revents;
	if (e == CS_OK || e == CS_ERR_TRY_AGAIN)
		return 0;
	snprintf(text, sizeof text, "corosync was lost: reading its quorum: %s",
		 cs_strerror(e));
	qb_loop_poll_del(q->loop, q->fd);
	q->fd = -1;
	q->owner.lost(q->owner.owner, text);
	return -1;
}

static cs_error_t connect_corosync(struct cluster_quorum *q, uint32_t *type)
{
	quorum_model_v0_data_t model = {
		.model = QUORUM_MODEL_V0,
		.quorum_notify_fn = notify,
	};
	cs_error_t e = quorum_model_initialize(&q->handle, QUORUM_MODEL_V0,
					       (quorum_model_data_t *)&model, type, q);

	if (e != CS_OK)
		return e;
	q->open = true;
	if (*type == QUORUM_FREE)
		return CS_ERR_NOT_EXIST;
	e = quorum_fd_get(q->handle, &q->fd);
	if (e != CS_OK) {
		q->fd = -1;
		return e;
	}
	if (qb_loop_poll_add(q->loop, QB_LOOP_HIGH, q->fd, POLLIN, q, readable) != 0) {
		q->fd = -1;
		return CS_ERR_NO_MEMORY;
	}
	return quorum_trackstart(q->handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES);
}

int cluster_quorum_open(struct qb_loop *loop, const struct cluster_quorum_owner *owner,
			struct cluster_quorum **out, char *text, size_t text_size)
{
	struct cluster_quorum *q = calloc(1, sizeof *q);
	uint32_t type = QUORUM_SET;
	cs_error_t e;

	if (q == NULL) {
		snprintf(text, text_size, "no memory to follow the quorum");
		return -ENOMEM;
	}
	q->loop = loop;
	q->owner = *owner;
	q->fd = -1;
	e = connect_corosync(q, &type);
	if (e == CS_OK) {
		*out = q;
		return 0;
	}
	cluster_quorum_close(q);
	if (type == QUORUM_FREE) {
		snprintf(text, text_size,
			 "corosync has no quorum provider: set "
			 "quorum.provider to corosync_votequorum in corosync.conf");
		return -ENOENT;
	}
	snprintf(text, text_size, "corosync's quorum cannot be used: %s", cs_strerror(e));
	return e == CS_ERR_LIBRARY || e == CS_ERR_TRY_AGAIN ? -ECONNREFUSED :
	       e == CS_ERR_NO_MEMORY                        ? -ENOMEM :
							      -EIO;
}

void cluster_quorum_close(struct cluster_quorum *q)
{
	if (q == NULL)
		return;
	if (q->fd >= 0)
		qb_loop_poll_del(q->loop, q->fd);
	if (q->open)
		quorum_finalize(q->handle);
	free(q);
}

static int cmap_open(cmap_handle_t *handle, char *text, size_t text_size)
{
	const cs_error_t e = cmap_initialize(handle);

	if (e == CS_OK)
		return 0;
	snprintf(text, text_size,
		 "corosync's cmap cannot be used: %s; does "
		 "corosync run on this node?",
		 cs_strerror(e));
	return e == CS_ERR_LIBRARY || e == CS_ERR_TRY_AGAIN ? -ECONNREFUSED : -EIO;
}

int cluster_totem_times_get(uint32_t *token_ms, uint32_t *consensus_ms, char *text,
			    size_t text_size)
{
	cmap_handle_t handle;
	const int error = cmap_open(&handle, text, text_size);
	cs_error_t e;

	if (error != 0)
		return error;
	e = cmap_get_uint32(handle, "runtime.config.totem.token", token_ms);
	if (e == CS_OK)
		e = cmap_get_uint32(handle, "runtime.config.totem.consensus",
				    consensus_ms);
	cmap_finalize(handle);
	if (e != CS_OK) {
		snprintf(text, text_size,
			 "corosync does not tell totem's token and "
			 "consensus times: %s",
			 cs_strerror(e));
		return -EIO;
	}
	return 0;
}

int cluster_names_get(struct cluster_names *names, char *text, size_t text_size)
{
	cmap_handle_t handle;
	const int error = cmap_open(&handle, text, text_size);
	char key[64], *name;
	uint32_t nodeid;

	names->count = 0;
	if (error != 0)
		return error;
	for (uint32_t i = 0; i < CLUSTER_NAMES_MAX; i++) {
		snprintf(key, sizeof key, "nodelist.node.%u.nodeid", i);
		if (cmap_get_uint32(handle, key, &nodeid) != CS_OK)
			continue;
		snprintf(key, sizeof key, "nodelist.node.%u.name", i);
		if (cmap_get_string(handle, key, &name) != CS_OK)
			continue;
		names->entry[names->count].nodeid = nodeid;
		snprintf(names->entry[names->count++].name, CLUSTER_NAME_BYTES, "%s",
			 name);
		free(name);
	}
	cmap_finalize(handle);
	return 0;
}

/* Is an option on by which the quorum is not a majority of the expected votes? */
static bool other_quorum(cmap_handle_t handle)
{
	static const char *const options[] = { "quorum.two_node",
					       "quorum.last_man_standing",
					       "quorum.allow_downscale",
					       "quorum.auto_tie_breaker" };
	char *model;
	uint8_t on;

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		if (cmap_get_uint8(handle, options[i], &on) == CS_OK && on != 0)
			return true;
	if (cmap_get_string(handle, "quorum.device.model", &model) != CS_OK)
		return false;
	free(model);
	return true;
}

int cluster_quorum_votes_get(struct cluster_quorum_votes *votes, char *text,
			     size_t text_size)
{
	cmap_handle_t handle;
	const int error = cmap_open(&handle, text, text_size);
	uint32_t nodeid, of_one, sum = 0;
	char key[64];

	votes->count = votes->expected = 0;
	if (error != 0)
		return error;
	for (uint32_t i = 0; i < CLUSTER_QUORUM_VOTES_MAX; i++) {
		snprintf(key, sizeof key, "nodelist.node.%u.nodeid", i);
		if (cmap_get_uint32(handle, key, &nodeid) != CS_OK)
			continue;
		snprintf(key, sizeof key, "nodelist.node.%u.quorum_votes", i);
		if (cmap_get_uint32(handle, key, &of_one) != CS_OK)
			of_one = 1;
		votes->entry[votes->count].nodeid = nodeid;
		votes->entry[votes->count++].votes = of_one;
		sum += of_one;
	}
	if (!other_quorum(handle) &&
	    cmap_get_uint32(handle, "quorum.expected_votes", &votes->expected) != CS_OK)
		votes->expected = sum;
	cmap_finalize(handle);
	return 0;
}
