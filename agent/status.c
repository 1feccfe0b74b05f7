/* status.c - see status.h. */
#include "agent/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/events.h"
#include "agent/words.h"
#include "mirror/log/map.h"
#include "mirror/status.h"

/* ---- small pieces of JSON ---------------------------------------------------- */

static void put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static void put_count(json_t *object, const char *key, uint64_t value)
{
	put(object, key, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *key, const char *text)
{
	put(object, key, agent_text_json(text));
}

static json_t *text_or_null(const char *text)
{
	return text[0] == '\0' ? json_null() : agent_text_json(text);
}

static void put_uuid(json_t *object, const char *key, const struct uuid *uuid)
{
	char text[AGENT_UUID_TEXT_BYTES];

	agent_uuid_format(uuid, text);
	put_text(object, key, text);
}

static void put_time(json_t *object, const char *key, uint64_t wall_ns)
{
	char text[32];

	agent_event_time_format(wall_ns, text);
	put(object, key, wall_ns == 0 ? json_null() : json_string(text));
}

static void put_marks(json_t *o, const struct site_marks *m)
{
	put_count(o, "logged", m->logged);
	put_count(o, "durable", m->durable);
	put_count(o, "home", m->home);
}

static const char *site_name(const struct status_input *in, uint32_t site)
{
	return site < in->config->site_count ? in->config->site[site].name : "?";
}

static json_t *site_or_null(const struct status_input *in, int32_t site)
{
	return site < 0 ? json_null() : agent_text_json(site_name(in, (uint32_t)site));
}

static json_t *node_name(const struct status_input *in, int32_t node)
{
	return node < 0 || (uint32_t)node >= in->config->node_count ?
		       json_null() :
		       agent_text_json(in->config->node[node].name);
}

/* The serving engine's view of a copy, or NULL. */
static const struct mirror_status_site *served_copy(const struct status_input *in,
						    uint32_t s)
{
	return in->mirror != NULL && in->mirror->serving && s != in->mirror->site &&
			       s < in->mirror->site_count ?
		       &in->mirror->sites[s] :
		       NULL;
}

/* ---- the status --------------------------------------------------------------- */

static json_t *generation(const struct status_input *in, const struct generation *g)
{
	json_t *o;

	if (g == NULL)
		return json_null();
	o = json_object();
	put_count(o, "ordinal", g->ordinal);
	put_uuid(o, "id", &g->id);
	put_text(o, "reason", agent_reason_text(g->reason));
	put_text(o, "site", site_name(in, g->site));
	put_count(o, "cut", g->cut);
	return o;
}

static json_t *history(const struct status_input *in, const struct history *h)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < h->count; i++)
		json_array_append_new(list, generation(in, &h->entry[i]));
	return list;
}

static json_t *production(const struct status_input *in)
{
	const int32_t site = in->cluster->production_site;
	json_t *o;

	if (site < 0)
		return json_null();
	o = json_object();
	put_text(o, "site", site_name(in, (uint32_t)site));
	put(o, "host", node_name(in, in->cluster->production_node));
	return o;
}

/* A copy's lag, which only production knows. */
static void put_lag(json_t *o, const struct mirror_status_site *m)
{
	static const char *const key[] = {
		"since",   "lag_bytes", "lag_groups", "lag_ms",      "tracked_bytes",
		"refresh", "waited",    "lost_count", "back_off_ms", "refresh_retry_ms",
	};

	for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
		put(o, key[i], json_null());
	if (m == NULL)
		return;
	put_time(o, "since", m->since_ns);
	put_count(o, "lag_bytes", m->lag_bytes);
	put_count(o, "lag_groups", m->lag_groups);
	put_count(o, "lag_ms", m->lag_ms);
	put_count(o, "tracked_bytes", m->map_extents * MIRROR_EXTENT_BYTES);
	put(o, "waited", json_boolean(m->waited));
	put_count(o, "lost_count", m->lost_count);
	put_count(o, "back_off_ms", m->back_off_ms);
	if (m->bypass)
		put_count(o, "refresh_retry_ms", m->retry_ms);
	if (m->refresh_total_extents > 0)
		put(o, "refresh",
		    json_pack("{s:I, s:I, s:b, s:b}", "done_bytes",
			      (json_int_t)m->refresh_done_extents * MIRROR_EXTENT_BYTES,
			      "total_bytes",
			      (json_int_t)m->refresh_total_extents * MIRROR_EXTENT_BYTES,
			      "refused", m->refresh_refused, "paced", m->paced));
}

/* Of any copy; null where only production knows. */
static json_t *largest_lag(const struct status_input *in)
{
	const struct mirror_status_site *m;
	uint64_t most = 0;
	bool known = false;

	for (uint32_t s = 0; s < in->config->site_count; s++) {
		m = served_copy(in, s);
		if (m == NULL)
			continue;
		known = true;
		if (m->lag_bytes > most)
			most = m->lag_bytes;
	}
	return known ? json_integer((json_int_t)most) : json_null();
}

static json_t *site(const struct status_input *in, uint32_t s)
{
	const struct cluster_status_site *c = &in->cluster->sites[s];
	json_t *o = json_object(), *members = json_array(), *marks = json_object();

	for (uint32_t n = 0; n < in->config->node_count; n++) {
		const char *name = in->config->node[n].name;

		if (in->cluster->nodes[n].member &&
		    (in->cluster->nodes[n].reach >> s & 1) != 0)
			json_array_append_new(members, agent_text_json(name));
	}
	put_text(o, "name", site_name(in, s));
	put_text(o, "role", agent_role_text(c->role));
	put(o, "host", node_name(in, c->host));
	put(o, "members", members);
	put_text(o, "data", agent_data_text(c->data));
	put(o, "current",
	    agent_status_current_is_known(in, s) ?
		    json_boolean(agent_status_is_current(in, s)) :
		    json_null());
	put(o, "bypass", json_boolean(c->bypass));
	put(o, "required", json_boolean(c->required));
	put(o, "may_promote", json_boolean(c->may_promote));
	put(o, "link",
	    c->role == CLUSTER_SITE_COPY ? json_string(agent_link_text(c->link)) :
					   json_null());
	put_marks(marks, &c->marks);
	put(o, "marks", marks);
	put_text(o, "why", c->text);
	put_lag(o, served_copy(in, s));
	agent_status_link(in, s, o);
	return o;
}

/* Without members a host is there as long as its link. */
static uint64_t up_since(const struct status_input *in, uint32_t n)
{
	const int32_t site = in->config->node[n].site;
	const struct mirror_status_site *m = site >= 0 ? served_copy(in, (uint32_t)site) :
							 NULL;

	return in->config->cluster ? in->cluster->nodes[n].since_wall_ns :
	       m != NULL           ? m->since_ns :
				     0;
}

static json_t *node(const struct status_input *in, uint32_t n)
{
	const struct config_node *configured = &in->config->node[n];
	const struct cluster_status_node *c = &in->cluster->nodes[n];
	json_t *o = json_object(), *reaches = json_array();
	const bool ipv6 = strchr(configured->address, ':') != NULL;
	char address[CONFIG_ADDRESS_MAX + 16];

	snprintf(address, sizeof address, "%s%s%s:%u", ipv6 ? "[" : "",
		 configured->address, ipv6 ? "]" : "", (unsigned)configured->port);
	for (uint32_t s = 0; s < in->config->site_count; s++)
		if ((c->reach >> s & 1) != 0)
			json_array_append_new(reaches, agent_text_json(site_name(in, s)));
	put_text(o, "name", configured->name);
	put(o, "site", site_or_null(in, configured->site));
	put_text(o, "address", address);
	put(o, "order", configured->site < 0 ? json_null() : json_integer(n + 1));
	put(o, "member", json_boolean(c->member));
	put(o, "voter", json_boolean(c->voter));
	put(o, "reaches", reaches);
	put(o, "needs", agent_status_needs(in, n));
	put_time(o, "since", up_since(in, n));
	put_text(o, "why", c->text);
	return o;
}

static json_t *log_state(const struct status_input *in)
{
	const struct mirror_status *m = in->mirror;
	json_t *o;

	if (m == NULL || !m->open)
		return json_null();
	o = json_object();
	put_text(o, "path", in->config->site[m->site].writelog);
	put_count(o, "bytes", m->log_bytes);
	put_count(o, "used_bytes", m->log_used_bytes);
	put_count(o, "used_percent",
		  m->log_bytes == 0 ? 0 : m->log_used_bytes * 100 / m->log_bytes);
	put_count(o, "oldest_ms", m->log_oldest_ms);
	put_marks(o, &m->marks);
	return o;
}

static void add_queues(json_t *list, const struct mirror_status_queue *q, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		json_t *o = json_object();

		put_text(o, "name", q[i].name);
		put_count(o, "count", q[i].count);
		put_count(o, "count_max", q[i].count_max);
		json_array_append_new(list, o);
	}
}

static json_t *queues(const struct status_input *in)
{
	json_t *list = json_array();

	if (in->mirror != NULL)
		add_queues(list, in->mirror->queue, in->mirror->queue_count);
	add_queues(list, in->queue, in->queue_count);
	return list;
}

/* Several may hold at once (docs/control.md). */
static json_t *modes(const struct status_input *in)
{
	const struct cluster_status *c = in->cluster;
	bool all = true, refresh = false, tracking = false, bypass = false;
	json_t *list = json_array();

	for (uint32_t s = 0; s < in->config->site_count; s++) {
		const struct mirror_status_site *m = served_copy(in, s);

		if (c->sites[s].role != CLUSTER_SITE_COPY)
			continue;
		all = all && c->sites[s].link == LINK_CONNECTED;
		refresh = refresh || c->sites[s].link == LINK_REFRESHING;
		tracking = tracking || (m != NULL && m->map_extents > 0);
		bypass = bypass || c->sites[s].bypass || (m != NULL && m->bypass);
	}
	if (uuid_is_zero(&c->mirror))
		json_array_append_new(list, json_string("setup"));
	else if (c->production_site >= 0)
		json_array_append_new(list,
				      json_string(all ? "connected" : "accumulating"));
	if (refresh)
		json_array_append_new(list, json_string("refresh"));
	if (bypass)
		json_array_append_new(list, json_string("bypass"));
	if (tracking)
		json_array_append_new(list, json_string("tracking"));
	return list;
}

/* Knowledge of this instance alone: of the members, then of its own I/O. */
static void put_here(json_t *o, const struct status_input *in)
{
	const struct cluster_status *c = in->cluster;
	json_t *tasks = json_object(), *voter_file;

	put(o, "quorate", json_boolean(c->quorate));
	put(o, "serving", json_boolean(c->serving_here));
	put(o, "promoting", json_boolean(c->promoting_here));
	put(o, "score",
	    c->promotion_score == INT32_MIN ? json_null() :
					      json_integer(c->promotion_score));
	put(o, "lease_left_ms",
	    in->config->cluster ? json_integer((json_int_t)c->lease_left_ms) :
				  json_null());
	put(o, "fencer",
	    in->config->cluster ? json_boolean(in->fencer_connected) : json_null());
	voter_file = in->config->cluster ? json_object() : json_null();
	put_count(voter_file, "write_last_us", in->voter_write_last_us);
	put_count(voter_file, "write_max_us", in->voter_write_max_us);
	put(o, "voter_file", voter_file);
	put_count(tasks, "ranges", in->config->task_range_count);
	put_count(tasks, "per_range", in->config->task_per_range_count);
	put(o, "tasks", tasks);
	put(o, "disks", agent_status_disks(in));
	put(o, "log", log_state(in));
	put(o, "queues", queues(in));
	put(o, "protections", agent_status_protections(in));
}

static void put_engine(json_t *o, const struct mirror_status *m)
{
	const bool open = m != NULL && m->open;

	put(o, "frozen", json_boolean(m != NULL && m->frozen));
	put(o, "device_hangs", text_or_null(m != NULL ? m->hangs_text : ""));
	put_count(o, "device_hangs_ms", m != NULL ? m->hangs_ms : 0);
	put(o, "device_failed", text_or_null(m != NULL ? m->failed_text : ""));
	put_count(o, "clients_refused", m != NULL ? m->clients_refused : 0);
	put(o, "data", open ? json_string(agent_data_text(m->data)) : json_null());
	put_time(o, "data_time", open ? m->data_time_ns : 0);
	put(o, "sequence", open ? json_integer((json_int_t)m->sequence) : json_null());
	put(o, "group", open ? json_integer((json_int_t)m->group) : json_null());
	put(o, "acknowledged",
	    open ? json_integer((json_int_t)m->acknowledged) : json_null());
	put(o, "group_in_progress",
	    open ? json_boolean(m->group_in_progress) : json_null());
	if (!open) {
		put(o, "counters", json_null());
		return;
	}
	put(o, "counters", agent_status_counters(m));
}

json_t *agent_status_config(const struct status_input *in)
{
	json_t *o = json_object();

	put_text(o, "file", in->config->file);
	put_count(o, "crc", in->config->file_crc);
	put_count(o, "settings_crc", in->config->settings_crc);
	return o;
}

json_t *agent_status_json(const struct status_input *in)
{
	const struct cluster_status *c = in->cluster;
	json_t *o = json_object(), *view = json_object(), *list;

	put_text(o, "mirror", in->config->mirror);
	put_text(o, "instance", in->instance);
	put_text(o, "version", PACKAGE_VERSION);
	put_count(o, "event", in->event);
	put_text(o, "host", in->config->node[in->node].name);
	put(o, "site", site_or_null(in, in->config->node[in->node].site));
	put_text(o, "cluster", in->config->cluster ? "corosync" : "none");
	put_uuid(o, "id", &c->mirror);
	put_uuid(o, "lineage", &c->lineage);
	agent_status_promise(in, o);
	agent_status_block(in, o);
	put(o, "modes", modes(in));
	put(o, "config", agent_status_config(in));
	put(o, "generation", generation(in, history_newest(&c->history)));
	put(view, "in_effect", json_boolean(c->view_in_effect));
	put_count(view, "ballot", c->ballot);
	put(o, "view", view);
	put(o, "production", production(in));
	list = json_array();
	for (uint32_t s = 0; s < in->config->site_count; s++)
		json_array_append_new(list, site(in, s));
	put(o, "lag_bytes", largest_lag(in));
	put(o, "sites", list);
	list = json_array();
	for (uint32_t n = 0; n < in->config->node_count; n++)
		json_array_append_new(list, node(in, n));
	put(o, "nodes", list);
	put(o, "history", history(in, &c->history));
	put_here(o, in);
	put_engine(o, in->mirror);
	put(o, "throttle", agent_status_throttle(in->mirror));
	put(o, "why", agent_status_why(in));
	put(o, "last_run", agent_status_last_run(in->last_run));
	return o;
}

/* ---- why ------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void say(json_t *list, const char *format,
						      ...)
{
	char text[768];
	size_t length;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text - 1, format, ap);
	va_end(ap);
	length = strlen(text);
	if (length > 0 && strchr(".!?", text[length - 1]) == NULL)
		memcpy(text + length, ".", 2);
	json_array_append_new(list, agent_text_json(text));
}

static void why_members(const struct status_input *in, json_t *list)
{
	for (uint32_t n = 0; n < in->config->node_count; n++) {
		const struct cluster_status_node *c = &in->cluster->nodes[n];
		const char *name = in->config->node[n].name;

		/* Without a cluster there are no members: the sites say it. */
		if (!c->member && in->config->cluster)
			say(list, "%s is not a member%s%s.", name,
			    c->text[0] != '\0' ? ": " : "", c->text);
		else if (c->text[0] != '\0' && strcmp(c->text, in->cluster->text) != 0)
			say(list, "%s: %s", name, c->text);
	}
}

/* A site at the other end of a link that is down, without a cluster. */
static void unlinked(json_t *list, const char *name, const char *text,
		     const struct mirror_status_site *m)
{
	const char *link = m != NULL ? m->link_text : "";

	if (text[0] != '\0' || link[0] != '\0')
		say(list, "Site %s: %s%s%s", name, text,
		    text[0] != '\0' && link[0] != '\0' ? "; its link: " : "", link);
}

/* In async without a bound none is current: one that is linked has no fault. */
static bool is_behind(const struct status_input *in, const struct cluster_status_site *c)
{
	return c->role == CLUSTER_SITE_COPY && !c->current &&
	       (in->config->cluster || in->cluster->serving_here) &&
	       (c->link != LINK_CONNECTED || promise_counts(&in->cluster->promise));
}

static void why_sites(const struct status_input *in, json_t *list)
{
	for (uint32_t s = 0; s < in->config->site_count; s++) {
		const struct cluster_status_site *c = &in->cluster->sites[s];
		const struct mirror_status_site *m = served_copy(in, s);
		const char *name = in->config->site[s].name;
		/* Production's sentence about its link says more than the members',
		 * as long as there is a host at its other end. */
		const char *text = c->host >= 0 && m != NULL &&
						   m->link != LINK_CONNECTED &&
						   m->link_text[0] != '\0' ?
					   m->link_text :
					   c->text;

		if (c->host < 0 && !in->config->cluster)
			unlinked(list, name, text, m);
		else if (c->host < 0 && m != NULL && m->link_text[0] != '\0')
			say(list, "Site %s has no host%s%s; its link: %s", name,
			    text[0] != '\0' ? ": " : "", text, m->link_text);
		else if (c->host < 0)
			say(list, "Site %s has no host%s%s", name,
			    text[0] != '\0' ? ": " : ".", text);
		else if (text[0] != '\0')
			say(list, "Site %s: %s", name, text);
		else if (is_behind(in, c))
			say(list, "Site %s is not %s: its link is %s and its data is %s.",
			    name,
			    in->cluster->promise.mode == CONFIG_ASYNC ? "near" :
									"current",
			    agent_link_text(c->link), agent_data_text(c->data));
	}
}

static void why_here(const struct status_input *in, json_t *list)
{
	const struct mirror_status *m = in->mirror;

	if (in->cluster->serving_here && in->attach_text != NULL &&
	    in->attach_text[0] != '\0')
		say(list, "%s", in->attach_text);
	if (in->corosync_text != NULL && in->corosync_text[0] != '\0')
		say(list, "%s", in->corosync_text);
	if (in->votes_text != NULL && in->votes_text[0] != '\0')
		say(list, "%s", in->votes_text);
	if (in->listen_text != NULL && in->listen_text[0] != '\0')
		say(list, "No other site can reach this one: %s", in->listen_text);
	if (m == NULL) {
		say(list,
		    "The I/O thread of this node did not answer in time: a device or the "
		    "system under it hangs.");
		return;
	}
	if (m->hangs_text[0] != '\0')
		say(list, "%s for %" PRIu64 " s.", m->hangs_text, m->hangs_ms / 1000);
	if (m->failed_text[0] != '\0' && strcmp(in->cluster->text, m->failed_text) != 0)
		say(list, "A device of this site has failed: %s", m->failed_text);
	/* Where there is a cluster, its agent does so. */
	if (m->failed_text[0] != '\0' && !in->config->cluster)
		say(list,
		    "A device that failed is not tried again: mend it, then `hamirror stop "
		    "%s` and `hamirror start %s`.",
		    in->instance, in->instance);
	if (m->frozen)
		say(list, "Writes are frozen: %s", m->frozen_text);
	if (m->clients_text[0] != '\0')
		say(list, "%s", m->clients_text);
	/* Where there is a cluster, the members say so. */
	if (m->unlike_text[0] != '\0' && !in->config->cluster)
		say(list, "The other site was refused: %s", m->unlike_text);
	if (m->open && m->data < DATA_CONSISTENT && m->data_text[0] != '\0' &&
	    m->failed_text[0] == '\0')
		say(list, "The data here is %s: %s", agent_data_text(m->data),
		    m->data_text);
}

json_t *agent_status_why(const struct status_input *in)
{
	json_t *list = json_array();

	if (!in->cluster->quorate)
		say(list,
		    "This node is in a part of the cluster without quorum: nothing can be "
		    "decided here. Bring back the other nodes or the network to them.");
	if (in->cluster->text[0] != '\0')
		say(list, "%s", in->cluster->text);
	else if (!in->cluster->view_in_effect)
		say(list, "No view is in effect: too few of the voters have been heard.");
	agent_status_block_why(in, list);
	why_members(in, list);
	why_sites(in, list);
	why_here(in, list);
	agent_status_memory(in, list);
	agent_status_waits(in, list);
	agent_status_promise_wanted(in, list);
	return list;
}
