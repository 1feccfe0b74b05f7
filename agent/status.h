/* status.h - `hamirror status --json`: the state and its reasons, as one JSON object.
 *
 * docs/control.md lists the members, and which of them every instance shows alike.
 */
#ifndef AGENT_STATUS_H
#define AGENT_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "cluster/cluster.h"
#include "common/config.h"

#define AGENT_STATUS_DEVICE_BYTES 256

/* A disk as this node shows it to applications, while it serves. */
struct status_device {
	char path[AGENT_STATUS_DEVICE_BYTES];   /* "" while not attached */
	char front_end[8];                      /* then: "ublk", "nbd" or "fuse" */
	char socket[AGENT_STATUS_DEVICE_BYTES]; /* its NBD socket */
};

struct agent_event;
struct agent_last_run;
struct agent_protection;
struct mirror_status;
struct mirror_status_queue;

struct status_input {
	const struct config *config;
	const char *instance;
	uint32_t node; /* ours: index in config->node */
	uint64_t wall_ns;
	uint64_t event; /* this knows of all events up to that number */
	const struct cluster_status *cluster;
	const struct mirror_status *mirror;  /* NULL: the I/O thread gave none */
	const struct status_device *devices; /* per disk, or NULL */
	const char *listen_text;             /* why the line is not listened on, or "" */
	const char *corosync_text;           /* which of its times do not fit, or "" */
	const char *votes_text;              /* cluster_quorum_judge() */
	const char *attach_text;             /* why devices do not stand, or "" */
	const struct agent_protection *protections; /* protect.h; NULL: not known */
	const struct agent_last_run *last_run;      /* last_run.h; NULL: not known */
	bool fencer_connected;
	uint64_t voter_write_last_us, voter_write_max_us; /* 0: none yet */
	uint32_t queue_count;
	const struct mirror_status_queue *queue; /* the control thread's queues */
};

/* The whole status; NULL when memory is short. The caller's reference. */
json_t *agent_status_json(const struct status_input *in);

/* The configuration file as the daemon has read it: "file", "crc" of its bytes, and
 * "settings_crc" of what they say to the daemon. */
json_t *agent_status_config(const struct status_input *in);

/* The list "why" alone: a sentence for every state that is not the good one. */
json_t *agent_status_why(const struct status_input *in);
/* Add the sentences about waits and their remaining times; for agent_status_why(). */
void agent_status_waits(const struct status_input *in, json_t *list);

/* Of site `s`: its location, and the figures of the link from here to it, as members. */
void agent_status_link(const struct status_input *in, uint32_t s, json_t *o);

/* The promise of an answered write: as members of the status; a sentence of `why` while
 * another promise is wanted; one of `notes` where the file says another. */
void agent_status_promise(const struct status_input *in, json_t *o);
void agent_status_promise_wanted(const struct status_input *in, json_t *list);
void agent_status_promise_file(const struct status_input *in, json_t *list);

/* M8: as members of the status; a sentence of `why` while a required copy is missing. */
void agent_status_block(const struct status_input *in, json_t *o);
void agent_status_block_why(const struct status_input *in, json_t *list);

/* The list "disks", each with its device here and its figures. */
json_t *agent_status_disks(const struct status_input *in);
/* The engine's counters, and that which slows it on purpose (throttle.h): as objects for the
 * status, of the latter null while nothing does; and a sentence of `why` for each of its parts. */
json_t *agent_status_counters(const struct mirror_status *m);
json_t *agent_status_throttle(const struct mirror_status *m);
void agent_status_throttle_why(const struct mirror_status *m, json_t *list);

/* The protections for the day on which memory is short: all as a list for the status, a
 * sentence of `why` for each that the kernel refused, and the text of one such sentence. */
json_t *agent_status_protections(const struct status_input *in);
void agent_status_memory(const struct status_input *in, json_t *list);
void agent_protection_format(const struct agent_protection *p, uint32_t id, char *text,
			     size_t text_size);

/* How the run before this one ended: as an object for the status, or null where there was
 * none; and, if it was not in order, a sentence for `notes` of `why`: the past is not a bad
 * state of now. */
json_t *agent_status_last_run(const struct agent_last_run *last);
json_t *agent_status_notes(const struct status_input *in);

/* The needs of host `node` to serve its site: the writelog, each disk and its address, each
 * with "reachable". A new reference. */
json_t *agent_status_needs(const struct status_input *in, uint32_t node);

/* Production and its current copies have every acknowledged write. */
bool agent_status_is_current(const struct status_input *in, uint32_t site);
/* Without a cluster only production knows which copies writes wait for. */
bool agent_status_current_is_known(const struct status_input *in, uint32_t site);

/* The present state as events of the verb `exists`, for `hamirror events`: each is
 * handed to `add` with `data`. The object of the last one is "-". */
void agent_status_exists(const struct status_input *in,
			 void (*add)(void *data, const struct agent_event *event),
			 void *data);

#endif
