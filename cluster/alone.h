/* alone.h - `cluster: none` from inside, shared by the alone*.c files. */
#ifndef CLUSTER_ALONE_H
#define CLUSTER_ALONE_H

#include "cluster/internal.h"

enum alone_state {
	ALONE_CLOSED,
	ALONE_OPENING,
	ALONE_OPEN,
	ALONE_PROBING,
	ALONE_PREPARING,
	ALONE_CONFIRMING,
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
	bool force, forced;     /* allowed by the operator; something had to be */
	uint64_t incarnation;
	/* our log */
	bool clean, handed_over; /* engine/rights.c */
	struct uuid mirror, lineage;
	struct history history;
	struct site_marks marks;
	enum data_state data;
	/* the peers, by site */
	uint32_t
		disconnected; /* put out by the operator, durable in the log; so is ... */
	uint32_t bypass;      /* ... which of these are in bypass (M6) */
	uint32_t probed;      /* bit per site that was asked and has answered */
	uint64_t probe_id;
	uint64_t probe_until_ns; /* one that may answer otherwise is asked again */
	uint64_t probe_at_ns;    /* ... then; 0: an answer is awaited */
	bool prepare_again;      /* ... and rolled forward from anew */
	struct fact peer[CONFIG_SITE_COUNT_MAX];
	uint64_t ballot;  /* the greatest that was seen, then our own */
	uint32_t sources; /* of our generation */
	/* by FACT_PREPARED */
	uint32_t rolled, level, busy_sites;
	uint64_t cut;
	char prepare_text[FACT_TEXT_MAX];
	struct generation opened; /* by ORDER_SERVE */
	uint32_t waited;          /* writes wait for these */
	uint32_t lost;            /* ... though they are gone */
	uint32_t linked;
	uint32_t heirs; /* sites that were told of our clean end */
	enum link_state link[CONFIG_SITE_COUNT_MAX];
	uint64_t ready_count;
	uint32_t reason; /* of the generation being opened */
	/* the one command under way, a DEMOTE that calls a promotion off, and STOP */
	bool busy, has_next, has_stop;
	struct cluster_command command, next;
	uint64_t stop_id;
	uint32_t mark_sites, mark_bypass; /* CONNECT to BYPASS_OFF: as they will be */
	char text[256];                   /* the fault here, or "" */
	char undo_text
		[FACT_TEXT_MAX]; /* the loss that waits for `connect --discard`, or "" */
	uint32_t undo_site;
	char loss_text[300]; /* the loss that the force accepts */
};

void cluster_alone_set_state(struct alone *a, enum alone_state state);
/* The command under way ends, if there is one. */
void cluster_alone_reply(struct cluster_core *c, int32_t exit_status, const char *text);
uint32_t cluster_alone_peers(const struct cluster_core *c);
int32_t cluster_alone_node(const struct cluster_core *c, uint32_t site);
void cluster_alone_peer_fill(const struct cluster_core *c, uint32_t site,
			     struct order_peer *to);
/* The site that a link to this one comes from: only production makes one. VIEW_NONE:
 * there is none. */
int32_t cluster_alone_production(const struct cluster_core *c);
/* Start and stop mirroring as the state calls for. */
void cluster_alone_links(struct cluster_core *c);

/* ---- alone_copies.c ---------------------------------------------------------- */

void cluster_alone_copy_changed(struct cluster_core *c, const struct fact *f);
/* The sites that a command is about; 0: none that it may name. */
uint32_t cluster_alone_sites(const struct cluster_core *c,
			     const struct cluster_command *command);
/* The reply to a command about a site that it may not name. */
void cluster_alone_refuse_site(struct cluster_core *c);
/* CONNECT to BYPASS_OFF: begin, and their mark is durable. */
void cluster_alone_mark(struct cluster_core *c, const struct cluster_command *command);
void cluster_alone_stored(struct cluster_core *c, const struct fact *f);

/* ---- alone_promote.c --------------------------------------------------------- */

void cluster_alone_promote(struct cluster_core *c, const struct cluster_command *command);
/* End a promotion under way, unless it starts to serve already. */
void cluster_alone_call_off(struct cluster_core *c, const char *why);
void cluster_alone_peer(struct cluster_core *c, const struct fact *f);
/* Ask again, when it is time. */
void cluster_alone_probe_pump(struct cluster_core *c);
void cluster_alone_prepared(struct cluster_core *c, const struct fact *f);
void cluster_alone_serving(struct cluster_core *c, const struct fact *f);

#endif
