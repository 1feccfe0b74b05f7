/* alone.h - `cluster: none` from inside, shared by the alone*.c files. */
#ifndef CLUSTER_ALONE_H
#define CLUSTER_ALONE_H

#include "cluster/internal.h"

enum alone_state {
	ALONE_CLOSED,
	ALONE_OPENING,
	ALONE_OPEN,
	ALONE_PROBING,
	ALONE_REREADING,
	ALONE_PREPARING,
	ALONE_STARTING,
	ALONE_SERVING,
	ALONE_DEMOTING,
	ALONE_CLOSING,
};

enum alone_relation { PEER_SAME, PEER_OLDER, PEER_NEWER, PEER_FORKED };

struct alone {
	enum alone_state state;
	uint32_t site;
	uint64_t open_at_ns;
	uint32_t open_failures; /* in a row, of devices that no one holds */
	uint64_t open_id, close_id, prepare_id, serve_id, demote_id, mark_id;
	bool failed, stopping;
	bool held;              /* the devices were: another process has them */
	uint64_t held_until_ns; /* a promotion waits for their release until then */
	bool force;
	uint64_t incarnation;
	/* our log */
	bool clean;
	struct uuid mirror, lineage;
	struct history history;
	struct site_marks marks;
	enum data_state data;
	/* the peers, by site */
	uint32_t disconnected; /* put out by the operator, durable in the log */
	uint32_t probed;       /* bit per site that was asked and has answered */
	uint64_t probe_id[CONFIG_SITE_COUNT_MAX];
	uint64_t probe_until_ns; /* one that opens its devices is asked again */
	uint64_t probe_at_ns;    /* ... then; 0: its answer is awaited */
	struct fact peer[CONFIG_SITE_COUNT_MAX];
	uint32_t sources; /* rolled forward from */
	uint32_t waited;  /* writes wait for these */
	uint32_t lost;    /* ... though they are gone */
	uint32_t linked;
	enum link_state link[CONFIG_SITE_COUNT_MAX];
	uint64_t ready_count;
	uint32_t reason; /* of the generation being opened */
	/* the one command under way, a DEMOTE that calls a promotion off, and STOP */
	bool busy, has_next, has_stop;
	bool called_off; /* while our log was being read again */
	struct cluster_command command, next;
	uint64_t stop_id;
	uint32_t mark_sites; /* CONNECT, DISCONNECT: as they will be */
	char text[256];      /* what is wrong, or "" */
	char loss_text[200]; /* what the force may lose */
};

void cluster_alone_set_state(struct alone *a, enum alone_state state);
/* The command under way ends, if there is one. */
void cluster_alone_reply(struct cluster_core *c, int32_t exit_status, const char *text);
uint32_t cluster_alone_peers(const struct cluster_core *c);
void cluster_alone_peer_fill(const struct cluster_core *c, uint32_t site,
			     struct order_peer *to);
void cluster_alone_close(struct cluster_core *c);
/* Start and stop mirroring as the state calls for. */
void cluster_alone_links(struct cluster_core *c);

/* ---- alone_promote.c --------------------------------------------------------- */

void cluster_alone_promote(struct cluster_core *c, const struct cluster_command *command);
/* End a promotion under way, unless it starts to serve already. */
void cluster_alone_call_off(struct cluster_core *c, const char *why);
/* Our log was read again: may we be promoted. */
void cluster_alone_judge(struct cluster_core *c);
void cluster_alone_peer(struct cluster_core *c, const struct fact *f);
/* Probing: ask again, when it is time. */
void cluster_alone_probe_pump(struct cluster_core *c);
void cluster_alone_prepared(struct cluster_core *c, const struct fact *f);
void cluster_alone_serving(struct cluster_core *c, const struct fact *f);

#endif
