/* order.h - orders of the members' side to the I/O side. The cluster core
 * decides; agent/node.c carries the order to the mirror core. */
#ifndef COMMON_ORDER_H
#define COMMON_ORDER_H

#include "common/config.h"
#include "common/identity.h"
#include "common/promise.h"

enum order_type {
	ORDER_OPEN,        /* open this site's log and disks, replay: FACT_OPENED */
	ORDER_CLOSE,       /* finish or drop all I/O, close them: FACT_CLOSED */
	ORDER_PROBE,       /* ask the peer at `address` for its hello, or our own log, when
			      `site` is ours: FACT_PEER */
	ORDER_PREPARE,     /* D4, D5: cut by `history`, store the refusal, roll
			      forward from `sources`: FACT_PREPARED */
	ORDER_SERVE,       /* the generation (newest of `history`) is in effect:
			      FACT_SERVING */
	ORDER_DEMOTE,      /* stop serving; drained: mark clean: FACT_DEMOTED */
	ORDER_DEPOSE,      /* another was promoted: answer nothing more, drop clients */
	ORDER_LEASE,       /* answers allowed until `until_ns` (D7) */
	ORDER_WAIT,        /* writes wait for exactly the copies in `sites` (D3) and
			      for a candidate that COPY_READY has named since, and are
			      answered by `promise`: FACT_PROMISE, where that is another
			      one than before */
	ORDER_LINK,        /* production: connect to the copy `site` at `address` and
			      keep trying until ORDER_UNLINK */
	ORDER_UNLINK,      /* production: close and forget that link */
	ORDER_VIEW,        /* a view took effect: `ballot`, its `history`; lifts a
			      refusal of lower ballot that it outdates (D4) */
	ORDER_MARK,        /* `discard`, and `cluster: none`: store `sites` as put out:
			      FACT_STORED */
	ORDER_REFRESH,     /* refresh the copies in `sites` that wait for it, though
			      `inconsistent`: FACT_REFRESH */
	ORDER_RECOVER,     /* a copy alone: bring home all that its log holds:
			      FACT_RECOVERED */
	ORDER_THROTTLE,    /* slow clients and the line until `until_ns`: `sleep_us`,
			      `delay_us`, `bytes_per_s` (mirror/engine/throttle.h) */
	ORDER_FAIL_FROZEN, /* fail every request that waits for a copy or the lease */
	ORDER_STATUS,      /* fill `status`: FACT_STATUS */
};

struct mirror_status;

/* An address to roll forward from or to link to. */
struct order_peer {
	uint32_t site;
	uint16_t port;
	char host[CONFIG_NAME_MAX];
	char address[CONFIG_ADDRESS_MAX];
	uint64_t incarnation;      /* of that host as last announced; 0: any */
};

struct order {
	enum order_type type;
	uint64_t id;               /* comes back as fact.order_id */
	uint32_t site;             /* OPEN: ours; LINK, UNLINK, PROBE: the copy */
	uint64_t incarnation;      /* OPEN: of this host, fresh for each open */
	uint64_t ballot;           /* PREPARE, SERVE, WAIT, VIEW: number << 8 | node */
	uint64_t until_ns;         /* LEASE, THROTTLE: CLOCK_BOOTTIME; UINT64_MAX: for
				      ever */
	uint32_t sleep_us, delay_us; /* THROTTLE; 0: none; so is ... */
	uint64_t bytes_per_s;      /* ... this */
	uint32_t sites;            /* WAIT, SERVE, MARK, REFRESH: bit per site; DEMOTE: the
				      one that is to be promoted, if it is level then;
				      PREPARE: of `source`, those that it can do without */
	uint32_t spare;            /* PREPARE: ... and those that are not asked ... */
	uint64_t clean_end;        /* ... where our log reaches this; 0: they are */
	uint64_t ready_seen;       /* WAIT: ready_count of the last COPY_READY that the
				      sender had taken in: a candidate named later is
				      waited for even if `sites` leaves it out. A COPY_LOST
				      is always answered by a WAIT in the end. */
	uint32_t bypass;           /* SERVE, WAIT, MARK: bit per site whose map takes over
				      (M6) */
	uint32_t missing;          /* SERVE, WAIT: bit per required copy that is not
				      current: no write or flush is answered (M8) */
	struct promise promise;    /* SERVE, WAIT: what an answer satisfies (M1) */
	uint32_t wait_ms;          /* DEMOTE: fail frozen I/O after */
	bool inconsistent;         /* REFRESH: --allow-inconsistent */
	bool pace;                 /* REFRESH: clients wait for it in async too (M7) */
	uint32_t discard; /* MARK: bit per site that may undo writes that are here only */
	bool force;                /* PREPARE: roll-forward sources may be missing */
	struct uuid generation;    /* PREPARE: id of the one to be opened */
	struct order_peer peer;    /* LINK, PROBE */
	uint32_t source_count;     /* PREPARE */
	struct order_peer source[CONFIG_SITE_COUNT_MAX];
	struct history history;    /* PREPARE: the view's chain so far; SERVE, VIEW:
				      with the new generation */
	struct mirror_status *status;   /* STATUS: caller's, filled before the fact */
};

#endif
