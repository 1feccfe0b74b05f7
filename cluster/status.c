/* status.c - the members' part of `hamirror status`: every state that is not
 * the good one has a sentence. */
#include <stdio.h>

#include "cluster/block.h"
#include "cluster/generation.h"

int32_t cluster_status_serving_node(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct announce *a;

	if (v == NULL || v->production_node == VIEW_NONE ||
	    v->production_node >= (int32_t)c->config->node_count)
		return VIEW_NONE;
	a = &c->node[v->production_node].said;
	if (!c->node[v->production_node].member || (a->flags & ANNOUNCE_SERVING) == 0 ||
	    !uuid_equal(&a->serving, &cluster_view_generation(v)->id))
		return VIEW_NONE;
	return v->production_node;
}

void cluster_status_sites(const struct cluster_core *c, uint32_t sites, char *text,
			  size_t size)
{
	size_t at = 0;

	snprintf(text, size, "none");
	for (uint32_t s = 0; s < c->config->site_count && at < size; s++)
		if ((sites >> s & 1) != 0)
			at += (size_t)snprintf(text + at, size - at, "%s%s",
					       at > 0 ? ", " : "",
					       cluster_site_name(c, (int32_t)s));
}

/* It has all up to the clean end: production's host saw that, or it says so itself. */
static bool has_clean_end(const struct cluster_core *c, const struct view *v, uint32_t s)
{
	const struct role *r = &c->role;
	const struct node *host = cluster_join_host_of(c, s);

	return v->clean &&
	       (((r->demoted_level >> s & 1) != 0 &&
		 uuid_equal(&cluster_view_generation(v)->id, &r->demoted_generation)) ||
		(host != NULL && cluster_generation_reaches_end(v, &host->said)));
}

uint32_t cluster_status_heirs(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	uint32_t sites = 0;

	for (uint32_t s = 0; v != NULL && s < v->site_count; s++)
		if (v->production_site == (int32_t)s ||
		    cluster_promote_is_current(v, s, v->site[s].host.incarnation) ||
		    has_clean_end(c, v, s))
			sites |= 1u << s;
	return sites;
}

/* Names of the voters that are not here: "n1, n3". */
static void voters_away(const struct cluster_core *c, const struct view *v, char *text,
			size_t size)
{
	size_t at = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < v->voters.count && at < size; i++)
		if (!c->node[v->voters.voter[i].node].member)
			at += (size_t)snprintf(
				text + at, size - at, "%s%s", at > 0 ? ", " : "",
				cluster_node_name(c, v->voters.voter[i].node));
}

static void undecided_text(const struct cluster_core *c, const struct view *v,
			   uint32_t here, char *text, size_t size)
{
	char away[200];

	voters_away(c, v, away, sizeof away);
	if (v->voters.count == 1)
		snprintf(text, size,
			 "%s alone has a vote, since the others left in order before it: "
			 "it is awaited; if it is lost for good, see "
			 "hamirror-maintenance(7)",
			 away);
	else
		snprintf(
			text, size,
			"%u of %u voters are here, not %s: a majority, or a fencing that "
			"breaks the tie, is awaited; `hamirror fenced %s NODE` tells of "
			"one that was confirmed by hand",
			here, v->voters.count, away, c->config->instance);
}

static uint32_t voters_here(const struct cluster_core *c, const struct view *v)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < v->voters.count; i++)
		if (c->node[v->voters.voter[i].node].member)
			count++;
	return count;
}

/* Have all voters that are not here ended for certain? */
static bool missing_are_fenced(const struct cluster_core *c, const struct view *v)
{
	for (uint32_t i = 0; i < v->voters.count; i++) {
		const struct node *n = &c->node[v->voters.voter[i].node];

		if (!n->member &&
		    (n->fenced_boot == 0 || n->unsaid || n->fenced_boot != n->seen_boot))
			return false;
	}
	return true;
}

bool cluster_status_undecided(const struct cluster_core *c, const struct view *v,
			      char *text, size_t size)
{
	const bool fenced = missing_are_fenced(c, v);

	if (fenced)
		snprintf(
			text, size,
			"%u of %u voters are here, and the others were fenced; but a voter "
			"that is here has restarted since all last agreed, and may have "
			"missed a decision of the others: start one of them, or `hamirror promote "
			"%s --force` goes on without the data that only they have",
			voters_here(c, v), v->voters.count, c->config->instance);
	else
		undecided_text(c, v, voters_here(c, v), text, size);
	return fenced;
}

/* ---- the whole ------------------------------------------------------------------- */

/* In async no copy is current: this site's host may be promoted by force only. */
static bool needs_force(const struct cluster_core *c, const struct view *v)
{
	const int32_t site = c->config->node[c->self.node].site;

	return v->promise.mode == CONFIG_ASYNC && site != VIEW_NONE &&
	       site < (int32_t)v->site_count && site != v->production_site &&
	       cluster_devices_are_open(c) && cluster_promote_reason(c, v) == PROMOTE_NOT;
}

static void async_text(const struct cluster_core *c, const struct view *v, char *text,
		       size_t size)
{
	char loss[480];

	cluster_promote_outdated(c, v, loss, sizeof loss);
	snprintf(
		text, size,
		"nothing serves: `hamirror promote %s --force` promotes this site; %.400s",
		c->config->instance, loss);
}

static void whole_text(const struct cluster_core *c, char *text, size_t size)
{
	const struct view *v = cluster_view_in_effect(c);
	const int32_t serving = cluster_status_serving_node(c);

	if (c->persist_failed)
		snprintf(text, size,
			 "the voter file cannot be written: this node does not vote");
	else if (!c->joined)
		snprintf(text, size,
			 "this node waits until Corosync takes it into the group of the "
			 "mirror's nodes");
	else if (c->refused_text[0] != 0 && c->peer_count > 1 &&
		 !c->node[c->self.node].member)
		snprintf(text, size, "%s", c->refused_text);
	else if (c->promote.state != PROMOTE_NONE && c->promote.wait_text[0] != 0)
		snprintf(text, size, "promoting: %s", c->promote.wait_text);
	else if (!c->quorate)
		snprintf(text, size, "no quorum: %s",
			 c->role.serve != SERVE_SERVING ?
				 "nothing is decided here" :
			 cluster_lease_is_valid(c) ?
				 "production answers until its lease ends" :
				 "the lease has ended, requests wait for quorum");
	else if (v == NULL)
		snprintf(text, size,
			 "no view is known: waiting for a member that has one");
	else if (!cluster_round_can_decide(c))
		cluster_status_undecided(c, v, text, size);
	else if (c->role.serve == SERVE_SERVING && !cluster_lease_is_valid(c))
		snprintf(text, size,
			 "the lease has ended: requests wait until a majority of "
			 "the voters grants it again");
	else if (c->role.text[0] != 0 && c->now_ns < c->role.open_at_ns)
		snprintf(
			text, size, "%.255s; tried again in %u s", c->role.text,
			(uint32_t)((c->role.open_at_ns - c->now_ns) / (1000 * NS_PER_MS) +
				   1));
	else if (c->role.text[0] != 0)
		snprintf(text, size, "%.255s", c->role.text);
	else if (c->role.undo_text[0] != 0)
		snprintf(text, size,
			 "%s: `hamirror connect %s %s --discard` gives them up",
			 c->role.undo_text, c->config->instance,
			 cluster_site_name(c, (int32_t)c->role.undo_site));
	else if (serving == VIEW_NONE && needs_force(c, v))
		async_text(c, v, text, size);
	else if (serving == VIEW_NONE)
		snprintf(text, size,
			 "nothing serves: no host of %s, or of a current copy, is "
			 "promoted",
			 cluster_site_name(c, v->production_site));
}

/* ---- sites ----------------------------------------------------------------------------- */

static void unhosted_text(const struct cluster_core *c, const struct view_host *h,
			  char *text, size_t size)
{
	const bool held = cluster_devices_pass(c, h) == HOST_HELD;

	if (h->node == VIEW_NONE)
		snprintf(text, size, "no member that reaches its disks is here");
	else if (held && !c->node[h->node].member)
		snprintf(text, size,
			 "held by %s, which is gone: waiting for its release, "
			 "fencing or restart",
			 cluster_node_name(c, h->node));
	else if (c->node[h->node].member && c->node[h->node].said.text[0] != 0)
		snprintf(text, size, "%s: %s", cluster_node_name(c, h->node),
			 c->node[h->node].said.text);
	else if (!held)
		snprintf(text, size,
			 "its host %s has ended or released it: a view that names one "
			 "again is awaited",
			 cluster_node_name(c, h->node));
	else
		snprintf(text, size, "its host %s is opening its devices",
			 cluster_node_name(c, h->node));
}

static void copy_text(const struct cluster_core *c, const struct view *v, uint32_t s,
		      enum link_state link, char *text, size_t size)
{
	const bool current = v->site[s].current;
	const struct node *host = cluster_join_host_of(c, s);
	char instance[2 * CONFIG_NAME_MAX];

	if (host != NULL && (host->said.flags & ANNOUNCE_ASKS) != 0) {
		cluster_instance_of(c, v->site[s].host.node, instance);
		snprintf(text, size,
			 "holds writes that production lacks since a force, and asks "
			 "before it undoes them: `hamirror why %s` on %s names them",
			 instance, cluster_node_name(c, v->site[s].host.node));
	} else if ((v->bypass >> s & 1) != 0) {
		cluster_instance_of(c, v->production_node, instance);
		snprintf(text, size,
			 "in bypass, and the tracking map stands for the writes that it "
			 "misses: `hamirror bypass %s off %s` on production's host lets "
			 "it be refreshed",
			 instance, cluster_site_name(c, (int32_t)s));
	} else if ((v->disconnected >> s & 1) != 0) {
		cluster_instance_of(c, v->production_node, instance);
		snprintf(text, size,
			 "put out by a disconnect: `hamirror connect %s %s` on "
			 "production's host allows it again",
			 instance, cluster_site_name(c, (int32_t)s));
	} else if (cluster_status_serving_node(c) == VIEW_NONE && current)
		snprintf(text, size, "current, but nothing serves");
	else if (cluster_status_serving_node(c) == VIEW_NONE)
		snprintf(text, size, "not current, and nothing serves");
	else if (link == LINK_CATCHING_UP)
		snprintf(text, size, "catching up from the writelog");
	else if (link == LINK_REFRESHING)
		snprintf(text, size, "being refreshed");
	else if (current && link != LINK_CONNECTED && v->promise.mode != CONFIG_ASYNC)
		snprintf(text, size, "current, but its link is down: writes wait");
	else if (v->promise.mode == CONFIG_ASYNC && link == LINK_CONNECTED)
		return; /* no copy is current */
	else if (v->promise.mode == CONFIG_ASYNC)
		snprintf(text, size, "its link is down");
	else if (!current && link == LINK_CONNECTED)
		snprintf(text, size, "connected, not current yet");
	else if (!current)
		snprintf(text, size, "not current: its link is down");
}

static void site_fill(const struct cluster_core *c, uint32_t s,
		      struct cluster_status_site *to)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct node *host = cluster_join_host_of(c, s);
	const int32_t serving = cluster_status_serving_node(c);

	to->host = VIEW_NONE;
	to->data = DATA_UNKNOWN;
	to->link = LINK_DOWN;
	if (v == NULL || s >= v->site_count) {
		snprintf(to->text, sizeof to->text, "no view is known");
		return;
	}
	to->role = v->production_site == (int32_t)s ? CLUSTER_SITE_PRODUCTION :
						      CLUSTER_SITE_COPY;
	to->current = v->site[s].current;
	to->bypass = (v->bypass >> s & 1) != 0;
	to->required = (v->required >> s & 1) != 0;
	if (serving != VIEW_NONE)
		to->link = (enum link_state)c->node[serving].said.link[s];
	if (host == NULL) {
		unhosted_text(c, &v->site[s].host, to->text, sizeof to->text);
		return;
	}
	to->host = v->site[s].host.node;
	to->data = (enum data_state)host->said.data;
	/* Its host knows that the image is consistent; the view knows that nothing is
	 * acknowledged without it. */
	if (to->role == CLUSTER_SITE_COPY && to->current && to->data == DATA_CONSISTENT &&
	    v->promise.mode != CONFIG_ASYNC)
		to->data = DATA_UP_TO_DATE;
	to->marks = host->said.marks;
	if (to->role == CLUSTER_SITE_COPY)
		copy_text(c, v, s, to->link, to->text, sizeof to->text);
	else if (serving == VIEW_NONE)
		snprintf(to->text, sizeof to->text, "hosted by %s, not promoted",
			 cluster_node_name(c, to->host));
	if (to->text[0] == 0)
		snprintf(to->text, sizeof to->text, "%s", host->said.text);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void node_fill(const struct cluster_core *c, uint32_t n,
		      struct cluster_status_node *to)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct node *from = &c->node[n];

	to->member = from->member;
	to->voter = v != NULL && cluster_view_voters_epoch(&v->voters, n) != 0;
	to->reach = from->member ? from->said.reach : 0;
	to->since_wall_ns = from->since_wall_ns;
	if (from->refused)
		snprintf(to->text, sizeof to->text, "%s", from->text);
	else if (!from->member)
		snprintf(to->text, sizeof to->text, "%s",
			 from->fenced_boot != 0 && !from->unsaid &&
					 from->fenced_boot == from->seen_boot ?
				 "it was fenced" :
			 !from->known || (from->said.flags & ANNOUNCE_STOPPING) == 0 ?
				 "" :
			 to->voter ? "it left in order; its vote is missed" :
				     "it left in order; its vote is not missed");
	else if (from->said.epoch == 0 && from->said.ballot != 0)
		snprintf(to->text, sizeof to->text, "its voter file is not written");
	else if (v != NULL &&
		 cluster_view_voters_epoch(&v->voters, n) != from->said.epoch)
		snprintf(to->text, sizeof to->text, "is not admitted as a voter yet");
	else if (from->said.text[0] != 0)
		snprintf(to->text, sizeof to->text, "%s", from->said.text);
	else if (from->said.reach == 0 && c->config->node[n].site != VIEW_NONE)
		snprintf(to->text, sizeof to->text, "does not reach the disks of %s",
			 cluster_site_name(c, c->config->node[n].site));
}

void cluster_status_get(const struct cluster_core *c, uint64_t now_ns,
			struct cluster_status *status)
{
	const struct view *v = cluster_view_in_effect(c);
	uint32_t heirs;

	memset(status, 0, sizeof *status);
	status->node_count = c->config->node_count;
	status->site_count = c->config->site_count;
	if (c->alone != NULL) {
		cluster_alone_status(c, status);
		return;
	}
	status->quorate = c->quorate;
	status->view_in_effect = v != NULL && c->quorate && !c->confirm_due;
	status->production_site = status->production_node = VIEW_NONE;
	if (v != NULL) {
		status->ballot = v->ballot;
		status->mirror = v->mirror;
		status->lineage = v->lineage;
		status->history = v->history;
		status->promise = v->promise;
		status->wanted = v->wanted;
		status->production_site = v->production_site;
		status->production_node = cluster_status_serving_node(c);
	}
	status->serving_here = c->role.serve == SERVE_SERVING;
	status->promoting_here = c->promote.state != PROMOTE_NONE;
	status->lease_left_ms = c->lease.until_ns > now_ns ?
					(c->lease.until_ns - now_ns) / NS_PER_MS :
					0;
	status->promotion_score = cluster_score_of(c);
	whole_text(c, status->text, sizeof status->text);
	cluster_block_text(c, status->missing_text, sizeof status->missing_text);
	status->missing_wall_ns = c->missing_wall_ns;
	for (uint32_t n = 0; n < c->config->node_count; n++)
		node_fill(c, n, &status->nodes[n]);
	heirs = cluster_status_heirs(c);
	for (uint32_t s = 0; s < c->config->site_count; s++) {
		site_fill(c, s, &status->sites[s]);
		status->sites[s].may_promote = (heirs >> s & 1) != 0;
	}
}
