/* view.h - the replicated, numbered state of the members.
 *
 * A view is a value: it is proposed, persisted by voters, takes effect and is
 * followed by another; it is never changed. Nodes and sites stand in it by their
 * index in the configuration; the encoding carries their names too, so that
 * a view written under another configuration is refused by name, not misread.
 *
 * Source: docs/rules.md (D1-D8).
 */
#ifndef CLUSTER_VIEW_H
#define CLUSTER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/codec.h"
#include "common/config.h"
#include "common/identity.h"
#include "common/promise.h"

#define VIEW_NONE (-1) /* no node, no site */
#define VIEW_HOLDER_COUNT_MAX 4
#define VIEW_BYTES_MAX 8192u /* bound on the encoding, asserted */

/* A voter is a node with one life of its voter file: a node that lost the file
 * comes back under another epoch, and its old promises do not count (D1). */
struct view_voters {
	uint32_t count;
	struct {
		uint8_t node;
		uint64_t epoch; /* random, never 0 */
	} voter[CONFIG_NODE_COUNT_MAX];
};

/* The opening that may have a site's devices (D6). */
struct view_host {
	int32_t node;         /* or VIEW_NONE: released, nobody */
	uint64_t incarnation; /* of that opening of the devices */
	uint64_t boot;        /* of that node's machine */
};

struct view_site {
	struct view_host host;
	uint32_t reach;               /* bit per node that reaches its disks */
	bool current;                 /* D3: in the current set ... */
	uint64_t current_incarnation; /* ... as this incarnation of its host */
	uint64_t current_from;        /* ... from this sequence on (the mark s) */
};

struct view {
	uint64_t ballot;   /* number << 8 | the proposer's node */
	uint64_t proposer; /* incarnation of the proposer's process */
	struct uuid mirror;
	struct uuid lineage; /* changed only by a force */
	struct {             /* where this lineage left another; else zero */
		struct uuid lineage;
		uint64_t ballot;
		struct uuid generation;
	} fork;
	uint64_t config_hash;
	struct view_voters voters;
	struct view_voters old; /* voters before, while they change; else none */
	struct {
		uint64_t incarnation, boot; /* last seen; 0: never */
	} member[CONFIG_NODE_COUNT_MAX];
	uint32_t site_count;
	struct view_site site[CONFIG_SITE_COUNT_MAX];
	int32_t production_site;         /* stays when production is none */
	int32_t production_node;         /* VIEW_NONE: demoted, or never promoted */
	uint64_t production_incarnation; /* of its devices' opening */
	struct history history; /* the chain; newest: the generation of this view */
	struct promise promise; /* M3: what answered writes have behind them ... */
	struct promise wanted;  /* ... and will have, by the last command */
	uint32_t sync_copies;   /* of M copies, so many answer; 0: all */
	uint32_t disconnected;  /* bit per site put out by `disconnect` */
	uint32_t bypass;    /* M6: ... and by `bypass`: the map stands for its records */
	uint32_t required;  /* M8: bit per copy without which nothing is answered */
	bool clean;         /* production ended by a drained demote ... */
	uint64_t clean_end; /* ... its log ends with this sequence */
	uint32_t lease_ms, drift_ms;
	/* D7: productions that may still answer under a lease of an older
	 * generation, because no later production has waited it out. More than
	 * fit: `many`. */
	uint32_t holder_count;
	bool holder_many;
	struct {
		int32_t node;
		uint64_t incarnation, boot;
	} holder[VIEW_HOLDER_COUNT_MAX];
};

static inline uint32_t cluster_view_ballot_node(uint64_t ballot)
{
	return (uint32_t)(ballot & 0xff);
}

static inline uint64_t cluster_view_ballot_number(uint64_t ballot)
{
	return ballot >> 8;
}

static inline uint64_t cluster_view_ballot_make(uint64_t number, uint32_t node)
{
	return number << 8 | node;
}

/* The generation that the view is about. A view always has one. */
static inline const struct generation *cluster_view_generation(const struct view *v)
{
	return &v->history.entry[v->history.count - 1];
}

/* Bit per site that an operator keeps away: no link to it, and it is not current. */
static inline uint32_t cluster_view_out_sites(const struct view *v)
{
	return v->disconnected | v->bypass;
}

/* The view knows nothing of that node any more. True: it did. */
bool cluster_view_forget(struct view *v, uint32_t node);

/* Bit per site of the current set. */
uint32_t cluster_view_current_sites(const struct view *v);

/* M8: bit per required copy that is not current. */
static inline uint32_t cluster_view_missing(const struct view *v)
{
	return v->required & ~cluster_view_current_sites(v);
}

/* The epoch under which `node` votes in `voters`, 0: it does not. */
uint64_t cluster_view_voters_epoch(const struct view_voters *voters, uint32_t node);

/* How many of `voters` answered; `epoch` holds, per node, the epoch under which
 * it answered, 0: it did not. */
uint32_t cluster_view_voters_answered(const struct view_voters *voters,
				      const uint64_t epoch[CONFIG_NODE_COUNT_MAX]);

/* Let `node` vote under `epoch`, instead of any other epoch of it. */
void cluster_view_voters_set(struct view_voters *voters, uint32_t node, uint64_t epoch);

/* `node` votes no longer. */
void cluster_view_voters_drop(struct view_voters *voters, uint32_t node);

/* The same for sets of the same nodes under the same epochs, in any order. */
uint64_t cluster_view_voters_hash(const struct view_voters *voters);

/* The place of generation `id` in the chain, or -1. */
int32_t cluster_view_history_find(const struct history *h, const struct uuid *id);

/* Put or take a view. `config` gives the names of the nodes; taken, they are
 * compared with it. Sets bytes.bad when the encoding is cut off or no view can
 * say that; else true, or false: another configuration's nodes or sites, named in `text`. */
bool cluster_view_codec(struct codec *c, const struct config *config, struct view *v,
			char *text, size_t text_size);

/* True when a view may say so: counts, indices and the chain are sound. */
bool cluster_view_is_sound(const struct view *v);

#endif
