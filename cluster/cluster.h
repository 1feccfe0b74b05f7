/* cluster.h - the members' core: members, their sites, their roles.
 *
 * Pure logic. cluster_step() takes one event, with the time in it, and adds
 * actions to `out`: messages to multicast, the voter file to persist,
 * orders for the I/O side, answers to commands, lines for the event log. It
 * performs no I/O, reads no clock, allocates nothing after create, logs nothing.
 *
 * Source: docs/sources.md (paper 003, Figs. 4 and 5); docs/rules.md (D1-D8);
 * docs/join.md walks through it. With `cluster: none` the operator is the majority: alone.c.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include <stddef.h>

#include "common/config.h"
#include "common/fact.h"
#include "common/order.h"
#include "common/promise.h"

struct cluster_core;

#define CLUSTER_MESSAGE_MAX 65536u
#define CLUSTER_VOTER_FILE_BYTES 65536u    /* one slot, encoded (voter_format.h) */

enum cluster_event_type {
	CLUSTER_EVENT_TICK,
	CLUSTER_EVENT_CONFCHG,      /* cpg's membership changed */
	CLUSTER_EVENT_QUORUM,       /* corosync's quorum changed */
	CLUSTER_EVENT_MESSAGE,      /* in cpg's total order, our own too */
	CLUSTER_EVENT_PERSISTED,    /* the voter file is on stable storage */
	CLUSTER_EVENT_FACT,         /* from the I/O side */
	CLUSTER_EVENT_COMMAND,      /* from the operator or the agent */
	CLUSTER_EVENT_FENCED,       /* Pacemaker confirmed a fencing */
	CLUSTER_EVENT_NEWS,         /* a line of our event log, for the other members */
	CLUSTER_EVENT_GIVE_UP,      /* the time of command `command_id` is over: a
				       promotion that nobody else waits for is called
				       off, which its reply says; one that starts to
				       serve already goes on */
};

/* As cpg gives it (cpg_confchg_fn): reasons are corosync's CPG_REASON_*. */
struct cluster_address {
	uint32_t nodeid;
	uint32_t pid;
	uint32_t reason;            /* joined and left only */
};

enum cluster_command_type {
	CLUSTER_COMMAND_PROMOTE,
	CLUSTER_COMMAND_DEMOTE,
	CLUSTER_COMMAND_STOP,       /* leave: release what we host, then answer */
	CLUSTER_COMMAND_CONNECT,    /* of copy `site`: allow the link again */
	CLUSTER_COMMAND_DISCONNECT, /* put copy `site` out on purpose */
	CLUSTER_COMMAND_BYPASS_ON,  /* M6: the map takes over for copy `site` */
	CLUSTER_COMMAND_BYPASS_OFF, /* ... it may be refreshed and enter again */
	CLUSTER_COMMAND_REFRESH,    /* start a refresh that needs consent */
	CLUSTER_COMMAND_MODE,       /* answers are to satisfy `promise` (M3) */
};

struct cluster_command {
	enum cluster_command_type type;
	uint64_t id;                /* comes back in the reply */
	int32_t site;               /* CONNECT to REFRESH; -1: all copies. DEMOTE:
				       it is to be promoted, if it has all then; -1: none */
	bool handed_over;           /* PROMOTE: production has asked for it */
	bool force;                 /* PROMOTE: the operator accepts the named loss */
	bool inconsistent, pace;    /* REFRESH */
	uint32_t wait_ms;           /* DEMOTE, STOP: then frozen writes fail;
				       0: frozen-timeout */
	bool discard;               /* CONNECT: give up the writes of this site alone */
	struct promise promise;     /* MODE */
};

struct cluster_event {
	enum cluster_event_type type;
	uint64_t now_ns;                    /* CLOCK_BOOTTIME */
	uint64_t wall_ns;                   /* CLOCK_REALTIME */
	union {
		struct {
			const struct cluster_address *members, *left, *joined;
			uint32_t member_count, left_count, joined_count;
		} confchg;
		bool quorate;
		struct {
			uint32_t nodeid, pid;
			const uint8_t *data;
			size_t length;
		} message;
		struct {
			int32_t error;      /* 0 or -errno */
			uint64_t counter;   /* of the action that asked for it */
		} persisted;
		const struct fact *fact;
		const struct cluster_command *command;
		uint64_t command_id;
		struct {
			const char *object, *text, *rule;
		} news;
		struct {
			const char *node;   /* its name */
			uint64_t wall_ns;   /* when, by a fencer's clock, which
					       may be apart from ours;
					       UINT64_MAX: now, an operator says */
			bool live;          /* the fencer has just told it; else it
					       stands in a history ... */
			bool late;          /* ... to which another fencer has brought
					       it since that was read */
			uint64_t since_ns;  /* live: by the clock of now_ns, a time at
					       which the fencer had not told it yet */
		} fenced;
	};
};

enum cluster_action_type {
	CLUSTER_ACTION_SEND,        /* multicast data[0..length), agreed order */
	CLUSTER_ACTION_PERSIST,     /* write data[0..length) to the older slot, fsync,
				       then PERSISTED with `counter` */
	CLUSTER_ACTION_ORDER,       /* hand `order` to the I/O side */
	CLUSTER_ACTION_REPLY,       /* command `id` ended: exit status and text */
	CLUSTER_ACTION_EVENT,       /* a line for the event log */
};

struct cluster_action {
	enum cluster_action_type type;
	uint8_t *data;              /* the core's, valid until the next step */
	size_t length;
	uint64_t counter;           /* PERSIST */
	uint64_t command_id;        /* REPLY */
	int32_t exit_status;        /* REPLY: 0 done, 1 refused (CLI's exit status) */
	char text[512];             /* REPLY, EVENT: a sentence */
	char verb[16];              /* EVENT: create, change, destroy */
	char object[CONFIG_NAME_MAX];   /* EVENT: "member n1", "site paris", ... */
	char rule[CONFIG_NAME_MAX]; /* EVENT: the rule that decided, or "" */
	struct order order;
};

#define CLUSTER_ACTIONS_MAX 64

struct cluster_actions {
	uint32_t count;
	struct cluster_action action[CLUSTER_ACTIONS_MAX];
	uint64_t wake_at_ns;        /* send a TICK then */
};

/* The identity of this process. */
struct cluster_self {
	uint32_t nodeid, pid;       /* as cpg knows us; any, alike, for cluster: none */
	uint32_t node;              /* index in config->node */
	uint64_t incarnation;       /* random, of this process */
	uint64_t boot;              /* of this machine's boot (boot_id, hashed) */
	uint64_t random[4];         /* for generation ids */
	uint32_t lease_ms, drift_ms;/* for a first view */
	uint32_t reach;             /* bit per site whose log and disks this node
				       found when it looked, before create */
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];   /* of its own site's disks, as
				       found; 0: not known */
	char reach_text[200];       /* why its own site is not reached, or "" */
	bool reach_later;           /* ... and that may change by itself: a device is
				       not there, or failed */
	uint32_t failures;          /* of a device of its own site, in a row, in
				       earlier processes of this boot ... */
	uint64_t failed_ns;         /* ... the last one then, by CLOCK_BOOTTIME */
	char failed_text[200];      /* ... and which */
};

/* Make a core. `voter` is the newest valid slot of the voter file (NULL: none,
 * a member that is not yet a voter). `config` must outlive it. On error: NULL
 * and a sentence in `text`. */
struct cluster_core *cluster_create(const struct config *config,
				    const struct cluster_self *self, const uint8_t *voter,
				    size_t voter_bytes, char *text, size_t text_size);
void cluster_destroy(struct cluster_core *c);

/* In a cluster: how often in a row a device of this node's site has failed here, in this
 * boot; 0: none has lately. */
uint32_t cluster_device_failures(const struct cluster_core *c);

/* Can other members hear CLUSTER_EVENT_NEWS? Not before the group was joined. */
bool cluster_news_may(const struct cluster_core *c);

/* Take one event. `out` is emptied first. */
void cluster_step(struct cluster_core *c, const struct cluster_event *event,
		  struct cluster_actions *out);

/* The voter file of the first voter for `hamirror create`: the first view, with
 * one voter (D1). `data` holds CLUSTER_VOTER_FILE_BYTES. Returns the length. */
size_t cluster_first_voter(const struct config *config, const struct cluster_self *self,
			   const struct uuid *mirror, const struct uuid *lineage,
			   const struct generation *first, uint8_t *data);

/* The members as `hamirror status` shows them. */
enum cluster_site_role {
	CLUSTER_SITE_UNKNOWN,
	CLUSTER_SITE_PRODUCTION,
	CLUSTER_SITE_COPY
};

struct cluster_status_node {
	bool member;                /* in the cpg group now */
	bool voter;
	uint32_t reach;             /* bit per site whose disks it reaches */
	uint64_t since_wall_ns;
	char text[256];             /* why it is not a member, or what is wrong */
};

struct cluster_status_site {
	enum cluster_site_role role;
	int32_t host;               /* index in config->node, -1: unhosted */
	bool current;               /* in the view's current set */
	bool bypass;                /* by command (M6) */
	bool required;              /* nothing is answered while it is not current (M8) */
	bool may_promote;           /* without a force, once nothing serves */
	enum data_state data;       /* as its host says */
	enum link_state link;       /* as production says */
	struct site_marks marks;
	char text[256];             /* why it is not in the good state, or "" */
};

struct cluster_status {
	bool quorate;
	bool view_in_effect;
	uint64_t ballot;
	struct uuid mirror, lineage;
	struct history history;     /* the view's chain */
	struct promise promise;     /* in effect, by the view ... */
	struct promise wanted;      /* ... and by the last command */
	int32_t production_site, production_node;
	bool serving_here;
	bool promoting_here;        /* a promotion is under way; text says why it waits */
	uint64_t lease_left_ms;
	int32_t promotion_score;    /* of this node; INT32_MIN: remove it */
	char text[512];             /* why nothing serves, or why it waits, or "" */
	char missing_text[512];     /* M8: which copies writes stand still for, or "" */
	uint64_t missing_wall_ns;   /* ... and since when; 0: not known */
	uint32_t node_count, site_count;
	struct cluster_status_node nodes[CONFIG_NODE_COUNT_MAX];
	struct cluster_status_site sites[CONFIG_SITE_COUNT_MAX];
};

void cluster_status_get(const struct cluster_core *c, uint64_t now_ns,
			struct cluster_status *status);

/* May production be moved from here to `site` now, by DEMOTE? 0, or the reason in `text`:
 *   -EAGAIN    it is not near enough yet
 *   -ENOTCONN  it is not linked at this moment
 *   -EALREADY  it is production
 *   -EPERM     anything else that does not pass by itself */
int cluster_switch_check(const struct cluster_core *c, uint32_t site, char *text,
			 size_t size);

/* Abort if an invariant is broken. */
void cluster_check(const struct cluster_core *c);

#endif
