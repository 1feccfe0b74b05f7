/* solo.h - one core of the members, and a test that plays all the others by hand: it sends
 * their messages, and reads the core's messages, orders and persist requests.
 */
#ifndef TESTS_UNIT_SOLO_H
#define TESTS_UNIT_SOLO_H

#include <check.h>

#include "cluster/internal.h"

#define SOLO_SENT_MAX 256
#define SOLO_MS 1000000ull
#define SOLO_EPOCH(node) (100u + (node))
#define SOLO_BOOT(node) (1000u + (node))
#define SOLO_PROCESS(node) (5000u + (node))

struct solo {
	struct config config;
	struct cluster_self self;
	struct cluster_core *core;
	uint64_t now_ns;
	struct cluster_actions actions;
	uint32_t sent_count, order_count;
	struct message sent[SOLO_SENT_MAX]; /* since solo_clear() */
	struct order order[SOLO_SENT_MAX];
	bool persist_asked;
	uint64_t persist_counter;
	struct cluster_action reply; /* the last one */
	uint32_t reply_count;
	bool by_hand; /* otherwise the core's own messages come back to it */
};

/* Two sites of two hosts and a witness. */
void solo_config(struct config *config);
/* A view with the voters 0..voters-1, in effect at each of them: ballot 1.0. */
void solo_view(const struct config *config, uint32_t voters, struct view *v);

/* A core for `node`. `v` (or NULL) stands in its voter file, accepted and, when
 * `in_effect`, known to be in effect. It is in a ring with nobody else, quorate. */
void solo_create(struct solo *t, uint32_t node, const struct view *v, bool in_effect);
void solo_destroy(struct solo *t);

void solo_step(struct solo *t, struct cluster_event *e);
void solo_tick(struct solo *t, uint64_t ms);
void solo_clear(struct solo *t);
/* The members from now on: bit per node, this one included. */
void solo_ring(struct solo *t, uint32_t nodes);
void solo_say(struct solo *t, uint32_t node, struct message *m);
/* `node` announces itself as it is by default: reaches its site, hosts nothing. */
void solo_announce(struct solo *t, uint32_t node);
void solo_announce_as(struct solo *t, uint32_t node, const struct announce *a);
void solo_announce_fill(const struct solo *t, uint32_t node, struct announce *a);
/* ... as host of its site under `incarnation`, which the view must name. */
void solo_announce_host(struct solo *t, uint32_t node, uint64_t incarnation);
void solo_persisted(struct solo *t);
void solo_fact(struct solo *t, const struct fact *f);
void solo_command(struct solo *t, enum cluster_command_type type, bool force);

/* The last message of a type that was sent, or NULL; how many were. */
const struct message *solo_sent(const struct solo *t, enum message_type type);
uint32_t solo_sent_count(const struct solo *t, enum message_type type);
const struct order *solo_ordered(const struct solo *t, enum order_type type);
uint32_t solo_ordered_count(const struct solo *t, enum order_type type);

/* Messages of the other members in a round. */
void solo_prepare(struct solo *t, uint32_t node, uint64_t ballot, enum round_kind kind);
void solo_promise(struct solo *t, uint32_t node, uint64_t ballot,
		  const struct view *accepted, uint64_t in_effect_ballot);
void solo_propose(struct solo *t, uint32_t node, const struct view *v);
void solo_accepted(struct solo *t, uint32_t node, uint64_t ballot);
/* Carry the round under way through, with node 1. */
void solo_agree(struct solo *t);

/* Node 0 serves the generation of `v` at the first site under 55. Node 2 hosts the copy at the
 * second one under 77, as `v` says from now on, and is here as node 1 is. */
void solo_serves(struct solo *t, struct view *v);

#endif
