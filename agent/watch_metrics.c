/* watch_metrics.c - see watch_metrics.h. */
#include "agent/watch_metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/json_path.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

enum kind {
	NUMBER, /* null: NaN */
	YES,    /* true 1, false 0, null NaN */
	THERE,  /* null 0, else 1 */
	LENGTH, /* of a list */
};

/* One family of metrics; `path` as of `hamirror status --field`, within the status, a site, a
 * node or a disk. */
struct metric {
	const char *name, *type, *help, *path;
	enum kind kind;
	double scale; /* the status counts in milliseconds, Prometheus in seconds */
};

#define MS 1e-3

static const struct metric of_mirror[] = {
	{ "serving", "gauge", "Clients are served on this node.", "serving", YES, 1 },
	{ "promoting", "gauge", "A promotion of this node is under way.", "promoting",
	  YES, 1 },
	{ "quorate", "gauge", "The members have quorum.", "quorate", YES, 1 },
	{ "frozen", "gauge", "Writes wait for a copy, a disk or the lease.", "frozen",
	  YES, 1 },
	{ "faults", "gauge", "States that are not the good one: the sentences of why.",
	  "why", LENGTH, 1 },
	{ "device_failed", "gauge", "A device of this site has failed.", "device_failed",
	  THERE, 1 },
	{ "device_hang_seconds", "gauge",
	  "So long a device of this site has not answered.", "device_hangs_ms", NUMBER,
	  MS },
	{ "promotion_score", "gauge", "The promotion score of this node.", "score",
	  NUMBER, 1 },
	{ "lease_left_seconds", "gauge", "So long this node may serve without news.",
	  "lease_left_ms", NUMBER, MS },
	{ "generation", "gauge", "Ordinal of the generation; each promotion makes one.",
	  "generation.ordinal", NUMBER, 1 },
	{ "lag_bytes", "gauge", "The largest lag of any copy.", "lag_bytes", NUMBER, 1 },
	{ "log_size_bytes", "gauge", "Size of the writelog.", "log.bytes", NUMBER, 1 },
	{ "log_used_bytes", "gauge", "Bytes of the writelog in use.", "log.used_bytes",
	  NUMBER, 1 },
	{ "log_oldest_seconds", "gauge",
	  "Age of the oldest record in the writelog that is still needed.",
	  "log.oldest_ms", NUMBER, MS },
	{ "records_logged", "gauge", "Sequence of the last record in the writelog.",
	  "log.logged", NUMBER, 1 },
	{ "records_durable", "gauge", "Sequence up to which the writelog is flushed.",
	  "log.durable", NUMBER, 1 },
	{ "records_home", "gauge", "Sequence up to which all is on the disks.",
	  "log.home", NUMBER, 1 },
	{ "records_acknowledged", "gauge", "Sequence up to which clients have an answer.",
	  "acknowledged", NUMBER, 1 },
	{ "clients_refused_total", "counter", "Clients that got no disk.",
	  "clients_refused", NUMBER, 1 },
	{ "writes_total", "counter", "Clients' writes.", "counters.writes", NUMBER, 1 },
	{ "reads_total", "counter", "Clients' reads.", "counters.reads", NUMBER, 1 },
	{ "flushes_total", "counter", "Clients' flushes.", "counters.flushes", NUMBER,
	  1 },
	{ "written_bytes_total", "counter", "Bytes that clients have written.",
	  "counters.write_bytes", NUMBER, 1 },
	{ "read_bytes_total", "counter", "Bytes that clients have read.",
	  "counters.read_bytes", NUMBER, 1 },
	{ "groups_total", "counter", "Groups of writes.", "counters.groups", NUMBER, 1 },
	{ "log_writes_total", "counter", "Writes to the writelog's device.",
	  "counters.log_writes", NUMBER, 1 },
	{ "log_flushes_total", "counter", "Flushes of the writelog's device.",
	  "counters.log_flushes", NUMBER, 1 },
	{ "disk_flushes_total", "counter", "Flushes of the disks.",
	  "counters.disk_flushes", NUMBER, 1 },
	{ "home_writes_total", "counter", "Writes to the disks.", "counters.home_writes",
	  NUMBER, 1 },
	{ "records_sent_total", "counter", "Records sent to copies.",
	  "counters.records_sent", NUMBER, 1 },
	{ "records_received_total", "counter", "Records received from production.",
	  "counters.records_received", NUMBER, 1 },
	{ "records_homed_total", "counter", "Records brought to the disks.",
	  "counters.records_homed", NUMBER, 1 },
	{ "records_overwritten_total", "counter",
	  "Records that a newer one went over before they were written to the disks.",
	  "counters.records_overwritten", NUMBER, 1 },
};

static const struct metric of_site[] = {
	{ "site_current", "gauge",
	  "The site has every acknowledged write, within the bound.", "current", YES, 1 },
	{ "site_bypass", "gauge", "The site is in bypass by command.", "bypass", YES, 1 },
	{ "site_required", "gauge", "No write is answered without the site.", "required",
	  YES, 1 },
	{ "site_waited", "gauge", "Writes wait for the site.", "waited", YES, 1 },
	{ "site_may_promote", "gauge", "The site could be promoted without a force.",
	  "may_promote", YES, 1 },
	{ "site_members", "gauge", "Members that reach the site's disks.", "members",
	  LENGTH, 1 },
	{ "site_lag_bytes", "gauge",
	  "Production's writes that the copy has not confirmed.", "lag_bytes", NUMBER,
	  1 },
	{ "site_lag_groups", "gauge", "The same in groups of writes.", "lag_groups",
	  NUMBER, 1 },
	{ "site_lag_seconds", "gauge", "Age of the oldest write not confirmed.", "lag_ms",
	  NUMBER, MS },
	{ "site_tracked_bytes", "gauge",
	  "Bytes that the tracking map holds for the site.", "tracked_bytes", NUMBER, 1 },
	{ "site_refreshing", "gauge", "A refresh of the site runs or waits.", "refresh",
	  THERE, 1 },
	{ "site_refresh_done_bytes", "gauge", "Bytes that the refresh has done.",
	  "refresh.done_bytes", NUMBER, 1 },
	{ "site_refresh_size_bytes", "gauge", "Bytes that the refresh has to do.",
	  "refresh.total_bytes", NUMBER, 1 },
	{ "site_lost", "gauge", "Losses while writes waited, less those made good.",
	  "lost_count", NUMBER, 1 },
	{ "link_rtt_seconds", "gauge",
	  "Round trip to the site over the link, the shortest of the last minutes.",
	  "rtt_us", NUMBER, 1e-6 },
	{ "site_back_off_seconds", "gauge",
	  "So long writes do not wait for the site again.", "back_off_ms", NUMBER, MS },
};

static const struct metric of_node[] = {
	{ "node_member", "gauge", "The node is in the members' group.", "member", YES,
	  1 },
	{ "node_voter", "gauge", "The node counts in majorities.", "voter", YES, 1 },
	{ "node_sites_reached", "gauge", "Sites whose disks the node reaches.", "reaches",
	  LENGTH, 1 },
};

static const struct metric of_disk[] = {
	{ "disk_size_bytes", "gauge", "Size of the disk.", "bytes", NUMBER, 1 },
	{ "disk_sent_bytes_total", "counter", "Bytes sent to copies, with headers.",
	  "sent_bytes", NUMBER, 1 },
	{ "disk_sent_data_bytes_total", "counter", "Bytes of data sent to copies.",
	  "sent_data_bytes", NUMBER, 1 },
	{ "disk_sent_records_total", "counter", "Records sent to copies.", "sent_records",
	  NUMBER, 1 },
	{ "disk_waiting_records", "gauge",
	  "Records in the writelog not yet sent to the copy that is behind most.",
	  "waiting_records", NUMBER, 1 },
	{ "disk_attached", "gauge", "The disk has a device on this node.", "device",
	  THERE, 1 },
};

static const struct metric of_queue[] = {
	{ "queue_entries", "gauge", "Entries, or bytes, of a bounded queue.", "count",
	  NUMBER, 1 },
	{ "queue_entries_limit", "gauge", "The bound of that queue.", "count_max", NUMBER,
	  1 },
};

/* The values of a member that is a word: one series for each, 1 for that which is so. */
struct words {
	const char *name, *label, *help, *path;
	const char *word[8];
};

static const struct words mirror_words[] = {
	{ "mode",
	  "mode",
	  "The promise that holds.",
	  "mode",
	  { "sync", "near-sync", "async" } },
};

static const struct words site_words[] = {
	{ "site_role",
	  "role",
	  "Role of the site.",
	  "role",
	  { "production", "copy", "unknown" } },
	{ "site_data",
	  "data",
	  "State of the site's data.",
	  "data",
	  { "UpToDate", "Consistent", "Outdated", "Inconsistent", "Diskless",
	    "Unknown" } },
	{ "site_link",
	  "link",
	  "State of production's link to the site.",
	  "link",
	  { "connected", "catching-up", "refreshing", "connecting", "down" } },
};

/* The daemon's, as its status names them: known also while it is down. */
static const char *const queue_names[] = {
	"records not yet home",
	"records held at the gate",
	"home writes",
	"frames on the line",
	"pool bytes",
	"requests unanswered",
	"requests unstamped",
	"disk operations",
	"facts",
	"clients",
	"connections of the front-end",
	"bytes held for clients",
	"orders",
	"facts to the members' side",
	"control connections",
};

/* The member at `path`; NULL: it is null, or is not there. */
static const json_t *member(const json_t *object, const char *path)
{
	const json_t *value = agent_json_find((json_t *)(uintptr_t)object, path);

	return json_is_null(value) ? NULL : value;
}

static double value_of(const json_t *object, const struct metric *m)
{
	const json_t *value = member(object, m->path);

	if (object == NULL)
		return NAN;
	switch (m->kind) {
	case NUMBER:
		return json_is_number(value) ? json_number_value(value) * m->scale : NAN;
	case YES:
		return json_is_boolean(value) ? json_is_true(value) : NAN;
	case THERE:
		return value != NULL;
	case LENGTH:
		return json_is_array(value) ? (double)json_array_size(value) : NAN;
	}
	return NAN;
}

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP hamirror_%s %s\n# TYPE hamirror_%s %s\n", name, help, name,
		type);
}

struct output {
	FILE *out;
	const struct config *config;
	const char *host;
	const json_t *status;
};

/* A label besides the mirror and the host; names of sites, nodes and disks need no escape:
 * see agent_name_is_valid(). */
struct label {
	const char *name, *value;
};

static void put(const struct output *o, const char *name, struct label a, struct label b,
		double value)
{
	fprintf(o->out, "hamirror_%s{mirror=\"%s\",host=\"%s\"", name, o->config->mirror,
		o->host);
	if (a.name != NULL)
		fprintf(o->out, ",%s=\"%s\"", a.name, a.value);
	if (b.name != NULL)
		fprintf(o->out, ",%s=\"%s\"", b.name, b.value);
	if (isnan(value))
		fputs("} NaN\n", o->out);
	else
		fprintf(o->out, "} %.15g\n", value);
}

/* A family with one series. */
static void put_one(const struct output *o, const char *name, const char *type,
		    const char *help, double value)
{
	const struct label none = { 0 };

	put_head(o->out, name, type, help);
	put(o, name, none, none, value);
}

static const char *site_name(const struct config *c, uint32_t i)
{
	return c->site[i].name;
}

static const char *node_name(const struct config *c, uint32_t i)
{
	return c->node[i].name;
}

static const char *disk_name(const struct config *c, uint32_t i)
{
	return c->site[0].disk[i].name;
}

static const char *queue_name(const struct config *c, uint32_t i)
{
	(void)c;
	return queue_names[i];
}

/* A family for each metric, with a series for each of `count` elements of `list`. */
static void put_list(const struct output *o, const struct metric *m, size_t metrics,
		     const char *label, const char *list, uint32_t count,
		     const char *(*name)(const struct config *c, uint32_t i))
{
	for (size_t k = 0; k < metrics; k++) {
		put_head(o->out, m[k].name, m[k].type, m[k].help);
		for (uint32_t i = 0; i < count; i++) {
			const struct label of = { label, name(o->config, i) };

			put(o, m[k].name, of, (struct label){ 0 },
			    value_of(agent_json_named(member(o->status, list), of.value),
				     &m[k]));
		}
	}
}

/* One series for each word, of `object`. */
static void put_words(const struct output *o, const struct words *w, struct label of,
		      const json_t *object)
{
	const char *is = json_string_value(member(object, w->path));

	for (uint32_t i = 0; i < COUNT_OF(w->word) && w->word[i] != NULL; i++)
		put(o, w->name, of, (struct label){ w->label, w->word[i] },
		    object == NULL ? NAN : is != NULL && strcmp(is, w->word[i]) == 0);
}

static void put_all_words(const struct output *o)
{
	for (size_t k = 0; k < COUNT_OF(mirror_words); k++) {
		put_head(o->out, mirror_words[k].name, "gauge", mirror_words[k].help);
		put_words(o, &mirror_words[k], (struct label){ 0 }, o->status);
	}
	for (size_t k = 0; k < COUNT_OF(site_words); k++) {
		put_head(o->out, site_words[k].name, "gauge", site_words[k].help);
		for (uint32_t s = 0; s < o->config->site_count; s++) {
			const char *name = site_name(o->config, s);

			put_words(o, &site_words[k], (struct label){ "site", name },
				  agent_json_named(member(o->status, "sites"), name));
		}
	}
}

static void put_process(const struct output *o, const struct watch_process *p)
{
	put_one(o, "daemon_cpu_seconds_total", "counter", "Processor time of the daemon.",
		p != NULL ? p->cpu_seconds : NAN);
	put_one(o, "daemon_resident_bytes", "gauge", "Resident memory of the daemon.",
		p != NULL ? p->resident_bytes : NAN);
	put_one(o, "daemon_start_time_seconds", "gauge",
		"Start of the daemon, since 1970.", p != NULL ? p->started_seconds : NAN);
}

static void put_all(const struct output *o, const struct watch_process *process)
{
	const struct config *c = o->config;

	put_one(o, "up", "gauge", "The mirror's daemon on this node answers.",
		o->status != NULL);
	for (size_t k = 0; k < COUNT_OF(of_mirror); k++)
		put_one(o, of_mirror[k].name, of_mirror[k].type, of_mirror[k].help,
			value_of(o->status, &of_mirror[k]));
	put_all_words(o);
	put_list(o, of_site, COUNT_OF(of_site), "site", "sites", c->site_count,
		 site_name);
	put_list(o, of_node, COUNT_OF(of_node), "node", "nodes", c->node_count,
		 node_name);
	put_list(o, of_disk, COUNT_OF(of_disk), "disk", "disks", c->site[0].disk_count,
		 disk_name);
	put_list(o, of_queue, COUNT_OF(of_queue), "queue", "queues",
		 COUNT_OF(queue_names), queue_name);
	put_process(o, process);
}

char *watch_metrics(const struct config *config, const char *host, const json_t *status,
		    const struct watch_process *process)
{
	char *text = NULL;
	size_t size;
	struct output o = {
		.out = open_memstream(&text, &size),
		.config = config,
		.host = host,
		.status = status,
	};

	if (o.out == NULL)
		return NULL;
	put_all(&o, process);
	if (fclose(o.out) == 0)
		return text;
	free(text);
	return NULL;
}
