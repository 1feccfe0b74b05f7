/* voter_format.h - the format of the voter file: a voter's promise, the view that it
 * accepted, and the view that it knows in effect. Two slots are written in turn
 * (voter_file_driver.h); this encodes and decodes one.
 *
 * Source: docs/rules.md (D1); L. Lamport, "Paxos Made Simple"
 * (2001), 2.3: the memory of an acceptor.
 */
#ifndef CLUSTER_VOTER_FORMAT_H
#define CLUSTER_VOTER_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"
#include "cluster/view.h"

#define RELEASED_COUNT_MAX 4 /* of each node, newest first */

struct voter {
	uint64_t counter;   /* of writes: the greater valid slot is the newer */
	struct uuid mirror; /* zero until a view is known */
	uint32_t node;
	uint64_t epoch;    /* of this voter's life; never 0 */
	uint64_t promised; /* ballot: none below it is accepted */
	bool has_accepted;
	bool has_in_effect;
	struct view accepted;
	struct view in_effect; /* the newest one known to be in effect */
	/* D6: openings of devices that are over, as their hosts have said. A view that
	 * names such a host may be found by members that were not there. */
	uint64_t released[CONFIG_NODE_COUNT_MAX][RELEASED_COUNT_MAX];
	/* D6: of each node the boot that was ended for certain, and the newest notice
	 * of a fencing that was judged: those up to it say nothing new. */
	struct {
		uint64_t boot, wall_ns;
	} fenced[CONFIG_NODE_COUNT_MAX];
	/* D6: of each node the boot that was heard last, and when, by this node's clocks;
	 * `now_ns` (CLOCK_BOOTTIME) holds in `own_boot` only. Older fencings say nothing. */
	struct voter_heard {
		uint64_t boot, own_boot, now_ns, wall_ns;
	} heard[CONFIG_NODE_COUNT_MAX];
};

/* Encode into `data`, which holds CLUSTER_VOTER_FILE_BYTES. Returns the length. */
size_t cluster_voter_encode(const struct config *config, const struct voter *v,
			    uint8_t *data);

/* Decode a slot. Returns 0, or
 *   -EBADMSG          damaged, cut off, or never written
 *   -EPROTONOSUPPORT  of a newer version, or with a feature that we do not know
 *   -ESTALE           of another configuration's nodes, or one that is not listed any more
 *                     hosts a site and is not known to have ended (D6)
 *   -ENXIO            of another node
 * with a sentence in `text`. */
int cluster_voter_decode(const struct config *config, uint32_t node, const uint8_t *data,
			 size_t length, struct voter *v, char *text, size_t text_size);

/* Which of the two slots is the newer valid one: 0 or 1; or -1: none is whole. It looks at
 * magic, length and CRC only, so that cluster_voter_decode() then refuses a newer version,
 * which would otherwise be passed over. */
int cluster_voter_newest(const uint8_t *slot0, size_t length0, const uint8_t *slot1,
			 size_t length1);

#endif
