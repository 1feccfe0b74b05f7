/* message.h - the messages of the members, multicast in cpg's total order.
 *
 * Every message has the same header: magic, version, incompatible features,
 * type, length, CRC32C, then its sender and the sender's configuration. A message that is
 * damaged, newer or foreign is refused by name (G8), and nothing is changed.
 *
 * Source: docs/rules.md (D1-D8); docs/sources.md (paper 003, Figs. 4 and 5) for
 * ANNOUNCE, STATE, DISKS, START.
 */
#ifndef CLUSTER_MESSAGE_H
#define CLUSTER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"
#include "cluster/voter_format.h"

enum message_type {
	MESSAGE_ANNOUNCE = 1, /* myself: reach, host, state (Fig. 4, 72-76) */
	MESSAGE_STATE,        /* the group's state, to joiners (Fig. 4, 72) */
	MESSAGE_DISKS,        /* a host's disks, to its site (Fig. 4, 80, 84) */
	MESSAGE_START,        /* mirroring starts (Fig. 4, 88, 96) */
	MESSAGE_PREPARE,      /* D1: promise me this ballot */
	MESSAGE_PROMISE,
	MESSAGE_PROPOSE, /* D1: accept this view */
	MESSAGE_ACCEPTED,
	MESSAGE_REFUSE, /* I promised a greater ballot */
	MESSAGE_COMMIT, /* the view of this ballot is in effect */
	MESSAGE_OBJECT, /* I am production: do not promote */
	MESSAGE_RENEW,  /* D7 */
	MESSAGE_GRANT,
	MESSAGE_RELEASE, /* D6: my devices are closed */
	MESSAGE_FENCED,  /* a fencing was confirmed */
	MESSAGE_NEWS,    /* a line of my event log, for people */
	MESSAGE_TYPE_END
};

#define ANNOUNCE_OPEN (1u << 0)    /* the devices of `site` are open */
#define ANNOUNCE_SERVING (1u << 1) /* generation `serving` answers clients */
#define ANNOUNCE_STOPPING (1u << 2)
#define ANNOUNCE_WANTS (1u << 3) /* to be host: it is to be promoted */
#define ANNOUNCE_HANGS (1u << 4) /* a device of `site` does not answer */
#define ANNOUNCE_ASKS (1u << 5)  /* to follow production would undo something there */
#define ANNOUNCE_FLAGS                                                                   \
	(ANNOUNCE_OPEN | ANNOUNCE_SERVING | ANNOUNCE_STOPPING | ANNOUNCE_WANTS |         \
	 ANNOUNCE_HANGS | ANNOUNCE_ASKS)

struct announce {
	char name[CONFIG_NAME_MAX];
	uint64_t boot;
	uint32_t flags;
	uint32_t reach;            /* bit per site */
	int32_t site;              /* that it hosts, or VIEW_NONE */
	uint64_t incarnation_open; /* of those devices; 0: none */
	uint64_t incarnation_next; /* under which it would open next */
	uint64_t released;         /* the last that it gave back; 0: none */
	uint64_t epoch;            /* as a voter */
	uint64_t promised;         /* ballot */
	uint64_t ballot;           /* of the newest view that it knows in effect */
	struct uuid lineage;       /* of that view */
	struct uuid fork_lineage;  /* from which that lineage parted ... */
	uint64_t fork_ballot;      /* ... after the view of this ballot */
	struct uuid serving;       /* generation, zero: none */
	struct uuid log;           /* its writelog; zero while closed */
	struct uuid log_lineage;
	struct generation log_newest; /* of its writelog's history */
	struct site_marks marks;
	uint32_t data;                       /* enum data_state */
	uint8_t link[CONFIG_SITE_COUNT_MAX]; /* production: enum link_state */
	char text[128];                      /* the fault here, or "" */
};

/* Releases and fencings, of nodes that may be gone: they must outlive the members that
 * have learned them. */
struct message_state {
	bool has_view;
	struct view view; /* in effect */
	uint64_t released[CONFIG_NODE_COUNT_MAX][RELEASED_COUNT_MAX];
	uint64_t fenced_boot[CONFIG_NODE_COUNT_MAX];
};

struct message_disks {
	uint32_t site;
	struct uuid log;
	uint32_t count;
	struct {
		char name[CONFIG_NAME_MAX];
		uint64_t bytes; /* 0: not known */
	} disk[CONFIG_DISK_COUNT_MAX];
};

struct message_promise {
	uint64_t ballot;
	uint64_t epoch;
	uint64_t accepted_ballot;  /* 0: none */
	uint64_t in_effect_ballot; /* of the newest known in effect; 0: none */
	bool has_accepted;         /* the views themselves, when the proposer ... */
	bool has_in_effect;        /* ... may not know them (and they differ) */
	struct view accepted, in_effect;
};

struct message {
	enum message_type type;
	uint32_t node;        /* the sender's index */
	uint64_t incarnation; /* of the sender's process */
	uint64_t config_hash;
	struct uuid mirror; /* zero: not known yet */
	union {
		struct {
			struct announce announce;
			/* its configuration's, to name the difference */
			char agreed[CONFIG_AGREED_BYTES];
		};
		struct message_state state;
		struct message_disks disks;
		struct {
			struct uuid generation;
			uint32_t site;        /* the copy */
			uint32_t node;        /* its host */
			uint64_t incarnation; /* of its devices */
		} start;
		struct {
			uint64_t ballot;
			uint32_t kind;  /* enum round_kind */
			uint64_t known; /* ballot in effect that I know */
		} prepare;
		struct message_promise promise;
		struct {
			struct view view;
		} propose;
		struct {
			uint64_t ballot;
			uint64_t epoch;    /* ACCEPTED */
			uint64_t promised; /* REFUSE */
		} vote;                    /* ACCEPTED, REFUSE, COMMIT, OBJECT */
		struct {
			struct uuid generation;
			uint64_t counter;
			uint64_t epoch;  /* GRANT */
			uint64_t voters; /* RENEW: hash of those that it counts */
		} lease;                 /* RENEW, GRANT */
		struct {
			uint32_t site;
			uint64_t incarnation;
		} release;
		struct {
			uint32_t node;
			uint64_t boot; /* that was ended */
		} fenced;
		struct {
			char object[CONFIG_NAME_MAX], text[256], rule[CONFIG_NAME_MAX];
		} news;
	};
};

/* Encode `m` into `data`, which holds CLUSTER_MESSAGE_MAX. Returns the length. */
size_t cluster_message_encode(const struct config *config, const struct message *m,
			      uint8_t *data);

/* Decode. Returns 0, or
 *   -EBADMSG  damaged, cut off, or nothing that a member can say
 *   -EPROTONOSUPPORT  of a newer version, or with a feature that we do not know
 *   -ESTALE   of another configuration: only the header is filled, and, of an
 *             ANNOUNCE, all
 * with a sentence in `text`. */
int cluster_message_decode(const struct config *config, const uint8_t *data,
			   size_t length, struct message *m, char *text,
			   size_t text_size);

#endif
