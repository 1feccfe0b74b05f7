/* alone_status.c - the status without members, for `hamirror status`. */
#include <stdio.h>

#include "cluster/alone.h"

int32_t cluster_alone_production(const struct cluster_core *c)
{
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if (c->alone->link[s] >= LINK_CATCHING_UP)
			return (int32_t)s;
	return VIEW_NONE;
}

/* The first site that is gone and waited for. */
static const char *lost_name(const struct cluster_core *c)
{
	uint32_t s = 0;

	while ((c->alone->lost >> s & 1) == 0)
		s++;
	return cluster_site_name(c, (int32_t)s);
}

/* It does not serve, and has no link. */
static void unlinked_text(const struct cluster_core *c, char *text, size_t size)
{
	uint32_t out = 0;

	while (out < c->config->site_count && (c->alone->disconnected >> out & 1) == 0)
		out++;
	if (out < c->config->site_count && (c->alone->bypass >> out & 1) != 0)
		snprintf(
			text, size,
			"this site is not promoted, and takes no link from %s, which is in "
			"bypass here: `hamirror bypass %s off %s` allows it again",
			cluster_site_name(c, (int32_t)out), c->config->instance,
			cluster_site_name(c, (int32_t)out));
	else if (out < c->config->site_count)
		snprintf(
			text, size,
			"this site is not promoted, and takes no link from %s, which was "
			"put out here: `hamirror connect %s %s` allows it again",
			cluster_site_name(c, (int32_t)out), c->config->instance,
			cluster_site_name(c, (int32_t)out));
	else
		snprintf(text, size,
			 "this site is not promoted, and no link comes from another one: "
			 "whether that serves is not known here");
}

static void alone_text(const struct cluster_core *c, char *text, size_t size)
{
	const struct alone *a = c->alone;

	if (a->text[0] != 0)
		snprintf(text, size, "%.255s", a->text);
	else if (a->state == ALONE_OPENING || a->state == ALONE_CLOSED)
		snprintf(text, size, "the devices of this site are being opened");
	else if (a->state == ALONE_DEMOTING)
		snprintf(text, size,
			 "this site is being demoted: requests under way end first%s%s",
			 a->lost != 0 ?
				 ", or fail when their time is over: they wait for " :
				 "",
			 a->lost != 0 ? lost_name(c) : "");
	else if (a->lost != 0)
		snprintf(text, size,
			 "writes wait for %s, which cannot be reached: `hamirror "
			 "disconnect %s %s` goes on without it",
			 lost_name(c), c->config->instance, lost_name(c));
	else if (a->state == ALONE_PROBING)
		snprintf(text, size, "promoting: asking the other site");
	else if (a->state == ALONE_PREPARING || a->state == ALONE_CONFIRMING ||
		 a->state == ALONE_STARTING)
		snprintf(text, size, "promoting: preparing the writelog");
	else if (a->undo_text[0] != 0 && a->state != ALONE_SERVING)
		snprintf(text, size,
			 "%s: `hamirror connect %s %s --discard` gives them up",
			 a->undo_text, c->config->instance,
			 cluster_site_name(c, (int32_t)a->undo_site));
	else if (a->state != ALONE_SERVING && cluster_alone_production(c) == VIEW_NONE)
		unlinked_text(c, text, size);
}

/* A link tells which node is at its other end: a node of that site, and production itself
 * where we are not production. */
static void peer_fill(const struct cluster_core *c, uint32_t s, bool serves,
		      struct cluster_status *status)
{
	const struct alone *a = c->alone;
	struct cluster_status_site *to = &status->sites[s];
	const uint32_t bit = 1u << s;
	const bool linked = a->link[s] >= LINK_CATCHING_UP;

	to->host = linked ? cluster_alone_node(c, s) : VIEW_NONE;
	if (to->host != VIEW_NONE) {
		status->nodes[to->host].member = true;
		status->nodes[to->host].reach = bit;
	}
	if (!serves) {
		to->role = linked ? CLUSTER_SITE_PRODUCTION : CLUSTER_SITE_UNKNOWN;
		if (linked) {
			to->current = true;
			to->data = DATA_UP_TO_DATE;
			status->production_site = (int32_t)s;
			status->production_node = to->host;
		}
		return;
	}
	to->role = CLUSTER_SITE_COPY;
	to->current = (a->waited & bit) != 0;
	to->link = a->link[s];
	to->data = to->current && linked ? DATA_UP_TO_DATE : DATA_UNKNOWN;
	to->bypass = (a->bypass & bit) != 0;
	if (to->bypass)
		snprintf(to->text, sizeof to->text,
			 "in bypass, and the tracking map stands for the writes that it "
			 "misses: `hamirror bypass %s off %s` lets it be refreshed",
			 c->config->instance, cluster_site_name(c, (int32_t)s));
	else if ((a->disconnected & bit) != 0)
		snprintf(to->text, sizeof to->text,
			 "put out by a disconnect: `hamirror connect %s %s` allows it "
			 "again",
			 c->config->instance, cluster_site_name(c, (int32_t)s));
	else if ((a->lost & bit) != 0)
		snprintf(to->text, sizeof to->text,
			 "cannot be reached, and writes wait for it");
	else if (c->config->mode == CONFIG_ASYNC && to->link == LINK_CONNECTED)
		return; /* writes wait for no copy */
	else if (!to->current)
		snprintf(to->text, sizeof to->text, "%s: writes do not wait for it",
			 c->config->mode == CONFIG_ASYNC ? "in async" : "not caught up");
}

static void own_fill(const struct cluster_core *c, bool serves,
		     struct cluster_status_site *to)
{
	const struct alone *a = c->alone;
	const int32_t production = cluster_alone_production(c);

	to->role = serves ? CLUSTER_SITE_PRODUCTION : CLUSTER_SITE_COPY;
	to->host = a->data != DATA_DISKLESS ? (int32_t)c->self.node : VIEW_NONE;
	to->current = serves;
	if (!serves && production != VIEW_NONE)
		to->link = a->link[production];
	/* Only production is sure to have all. */
	to->data = !serves && a->data == DATA_UP_TO_DATE ? DATA_CONSISTENT : a->data;
	to->marks = a->marks;
}

void cluster_alone_status(const struct cluster_core *c, struct cluster_status *status)
{
	const struct alone *a = c->alone;
	const struct generation *newest = history_newest(&a->history);
	const bool serves = a->state == ALONE_SERVING || a->state == ALONE_DEMOTING;

	status->quorate = true;
	status->view_in_effect = newest != NULL ||
				 cluster_alone_production(c) != VIEW_NONE;
	status->mirror = a->mirror;
	status->lineage = a->lineage;
	status->history = a->history;
	status->promise = status->wanted = promise_of_config(c->config);
	status->production_site = serves ? (int32_t)a->site : VIEW_NONE;
	status->production_node = serves ? (int32_t)c->self.node : VIEW_NONE;
	status->serving_here = a->state == ALONE_SERVING;
	status->promoting_here = a->state >= ALONE_PROBING && a->state <= ALONE_STARTING;
	status->promotion_score = INT32_MIN;
	alone_text(c, status->text, sizeof status->text);
	status->nodes[c->self.node].member = true;
	status->nodes[c->self.node].voter = true;
	status->nodes[c->self.node].reach = 1u << a->site;
	for (uint32_t s = 0; s < c->config->site_count; s++)
		status->sites[s].may_promote = s == a->site ?
						       serves || a->clean ||
							       (newest != NULL &&
								newest->site == s) :
						       (a->heirs >> s & 1) != 0;
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if (s == a->site)
			own_fill(c, serves, &status->sites[s]);
		else
			peer_fill(c, s, serves, status);
}
