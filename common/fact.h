/* fact.h - facts: reports of the I/O side to the members' side. The mirror core emits
 * facts; agent/node.c carries them to the cluster core. They answer orders
 * (common/order.h) or report events that nobody ordered. */
#ifndef COMMON_FACT_H
#define COMMON_FACT_H

#include "common/config.h"
#include "common/identity.h"

#define FACT_TEXT_MAX 256

enum fact_type {
	FACT_OPENED,        /* answers ORDER_OPEN: error (and closed), marks, history */
	FACT_CLOSED,        /* answers ORDER_CLOSE: all I/O done, devices closed (D6) */
	FACT_PEER,          /* answers ORDER_PROBE: error, or the values of the peer's hello */
	FACT_PREPARED,      /* answers ORDER_PREPARE: error, or cut and reached_sites */
	FACT_SERVING,       /* answers ORDER_SERVE: error, or clients may connect */
	FACT_DEMOTED,       /* answers ORDER_DEMOTE: error, and it serves on; or clean,
			       marks.logged is the end; not clean: text says why, or "" */
	FACT_STORED,        /* answers ORDER_MARK: durable in the log's superblock */
	FACT_REFRESH,       /* answers ORDER_REFRESH: error when none is refreshed; text
			       says what happens to each copy */
	FACT_RECOVERED,     /* answers ORDER_RECOVER: error, or all of the log is at home */
	FACT_STATUS,        /* answers ORDER_STATUS: the order's struct is filled */
	FACT_LINK,          /* a link of `site` changed: link, text says why */
	FACT_COPY_READY,    /* D3: copy `site` confirmed all below `sequence` durable,
			       and writes wait for it since; incarnation is its host's */
	FACT_COPY_LOST,     /* a copy that is waited for went away: text says why; or,
			       `behind`, it is there and is proven to lack something */
	FACT_PROMISE,       /* answers an ORDER_WAIT that changed the promise (M3): every
			       copy that is waited for satisfies the new one for all that
			       was answered before */
	FACT_DATA,          /* our own data state changed: data, text says why */
	FACT_MARKS,         /* our marks, at most every 200 ms while they move;
			       at once with a newer history */
	FACT_DEVICE_FAILED, /* a device failed: text names it; the site must detach */
	FACT_HANDED_OVER,   /* production ended cleanly, durably known here, and wants this
			       site to be promoted */
	FACT_UNDO,          /* text names writes that following production `site` would
			       undo; waits for ORDER_MARK; "": none */
	FACT_DEVICE_HANGS,  /* text names a device of this site that has not answered for
			       age_ms; 0: all answer again. DEVICE_FAILED with
			       -ETIMEDOUT follows after device-timeout */
	FACT_EVENT,         /* for the event log only: object, text, rule */
};

enum link_state {
	LINK_DOWN,          /* not connected, or refused: text says why */
	LINK_CONNECTING,
	LINK_CATCHING_UP,   /* records come from the log */
	LINK_REFRESHING,
	LINK_CONNECTED,     /* every record reaches the copy as it is stamped */
};

/* Cumulative marks of one site: all records up to and including each are ... */
struct site_marks {
	uint64_t logged;    /* ... in its log */
	uint64_t durable;   /* ... there on stable storage */
	uint64_t home;      /* ... at home and flushed */
};

struct fact {
	enum fact_type type;
	int32_t error;              /* 0 or -errno; text then names thing and remedy */
	uint32_t site;              /* the site it is about */
	uint64_t order_id;          /* of the order that it answers, else 0 */
	uint64_t sequence;          /* COPY_READY: the mark s; PREPARED: the cut */
	uint64_t incarnation;       /* COPY_READY, PEER: of the copy's host */
	uint64_t ready_count;       /* COPY_READY: how many of these there were so far,
				       this one included; see order.ready_seen */
	uint32_t reached_sites;     /* PREPARED: bit per site rolled forward from */
	uint64_t age_ms;            /* DEVICE_HANGS; DEMOTED: since a write was answered,
				       UINT64_MAX: none was */
	uint32_t level_sites;       /* PREPARED: ... those that hold all of it too, or
				       will at once; DEMOTED: those told that they do */
	uint32_t busy_sites;        /* PREPARED: those that may answer another time */
	bool clean;                 /* DEMOTED, PEER, OPENED: drained and marked clean */
	bool serving;               /* PEER: it is production itself */
	bool reached;               /* PEER: a process answers there, even if it refuses */
	bool promoting;             /* PEER: its own promotion is being prepared */
	bool handed_over;           /* PEER of our own site: another may have been promoted
				       since without asking it */
	uint64_t tracked_extents;   /* PEER: we miss so many that its log does not hold;
				       UINT64_MAX: not known */
	uint64_t ballot;            /* PEER: the greatest that it knows */
	bool behind;                /* COPY_LOST: our log's marks, durable, say that it
				       is not current: nothing need wait for it */
	enum link_state link;       /* LINK */
	enum data_state data;       /* DATA, OPENED, PEER */
	struct site_marks marks;    /* OPENED, PEER, MARKS, DEMOTED */
	struct uuid log;            /* OPENED: the writelog's identity */
	struct uuid mirror;         /* OPENED: the mirror's identity */
	struct uuid lineage;        /* OPENED, PEER */
	uint64_t disconnected;      /* OPENED, PEER: bit per site that it has put out ... */
	uint64_t bypass;            /* ... and of those, that are in bypass (M6) */
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];   /* OPENED: of the devices; 0: none */
	bool heard;                 /* EVENT: of the log of the host of `site`, not ours */
	char object[CONFIG_NAME_MAX];   /* EVENT: "disk db", "link lyon", ... */
	char rule[CONFIG_NAME_MAX];     /* EVENT: "" or the rule that decided */
	char text[FACT_TEXT_MAX];       /* a sentence, for people */
	struct history history;         /* OPENED, PEER, PREPARED; MARKS: if it has a newer
					   generation than was told, else empty */
};

#endif
