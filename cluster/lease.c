/* lease.c - production answers only under a lease (D7).
 *
 *   event          at production                    at a voter
 *   lease / 4      RENEW, its sending time noted    -
 *   RENEW          -                                GRANT, unless it promised
 *                                                     a proposal still open or knows
 *                                                     of another generation
 *   GRANT          a majority of one renewal:       -
 *                    the lease runs from its
 *                    sending, ORDER_LEASE
 *   no quorum      no renewal; the lease ends       -
 *
 * A voter still grants after a promise whose proposal has become a view of the same
 * generation. That ballot can bring nothing else, and a promotion needs a greater one and
 * waits from its promises on. Any other promise keeps the grant back, even a promise to
 * the asker: it may have replaced a promise to a rival, and voters that have heard of
 * neither may still complete the rival's majority. So a voter grants when the newest view
 * that it knows has the ballot that it promised, or a greater one, and is of the
 * generation renewed (tests/model, `grant-proposer`).
 *
 * Each view changes one voter, so majorities of two sets that are one view apart share a
 * voter. Majorities of sets further apart need not. A production that has missed views
 * counts an older set, so a voter grants only to a production that is at most one view
 * behind. Every later view took effect after the grant, and a promotion by it waits for
 * the lease.
 *
 * Source: docs/rules.md (D7); C. Gray, D. Cheriton, "Leases" (1989).
 */
#include "cluster/internal.h"

/* ---- the voter ------------------------------------------------------------------ */

/* Does the asker count the voters of `v`, or those of the view before? */
static bool counts_alike(const struct view *v, uint64_t voters)
{
	return cluster_view_voters_hash(&v->voters) == voters ||
	       (v->old.count > 0 && cluster_view_voters_hash(&v->old) == voters);
}

static bool may_grant(const struct cluster_core *c, uint32_t node,
		      const struct message *m)
{
	const struct view *v = cluster_view_newest(c);

	/* Production's own grant to itself promises nothing that a file has to keep. */
	if (v == NULL || (c->persist_failed && node != c->self.node) ||
	    !uuid_equal(&cluster_view_generation(v)->id, &m->lease.generation) ||
	    v->production_node != (int32_t)node || !counts_alike(v, m->lease.voters))
		return false;
	return c->voter.promised <= v->ballot;
}

void cluster_lease_renew(struct cluster_core *c, uint32_t node, const struct message *m)
{
	const struct uuid generation = m->lease.generation;
	const uint64_t counter = m->lease.counter;
	struct message *answer;

	c->node[node].renewed_ns = c->now_ns;
	if (!may_grant(c, node, m))
		return;
	answer = cluster_message(c, MESSAGE_GRANT);
	answer->lease.generation = generation;
	answer->lease.counter = counter;
	answer->lease.epoch = c->voter.epoch;
	cluster_send(c);
}

/* ---- production --------------------------------------------------------------------- */

/* Its generation is in effect and may answer, or soon will. */
static bool holds_generation(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);

	return v != NULL && c->role.serve >= SERVE_PREPARED &&
	       v->production_node == (int32_t)c->self.node &&
	       uuid_equal(&cluster_view_generation(v)->id, &c->role.generation);
}

bool cluster_lease_is_valid(const struct cluster_core *c)
{
	return c->now_ns < c->lease.until_ns;
}

void cluster_lease_reset(struct cluster_core *c)
{
	const uint64_t counter = c->lease.counter;

	memset(&c->lease, 0, sizeof c->lease);
	c->lease.counter = counter;
}

void cluster_lease_grant(struct cluster_core *c, uint32_t node, const struct message *m)
{
	const struct view *v = cluster_view_in_effect(c);
	struct lease *l = &c->lease;
	uint32_t i = 0;
	uint64_t until_ns;

	if (!holds_generation(c) ||
	    !uuid_equal(&m->lease.generation, &c->role.generation))
		return;
	while (i < RENEWALS_MAX &&
	       (l->renewal[i].counter != m->lease.counter || l->renewal[i].counter == 0))
		i++;
	if (i == RENEWALS_MAX)
		return;
	l->renewal[i].epoch[node] = m->lease.epoch;
	if (!cluster_is_majority(c, v, false, l->renewal[i].epoch))
		return;
	until_ns = l->renewal[i].sent_ns + v->lease_ms * NS_PER_MS;
	if (until_ns > l->until_ns)
		l->until_ns = until_ns;
}

static void renew(struct cluster_core *c, const struct view *v)
{
	struct lease *l = &c->lease;
	struct message *m = cluster_message(c, MESSAGE_RENEW);
	const uint32_t i = (uint32_t)(++l->counter % RENEWALS_MAX);

	memset(&l->renewal[i], 0, sizeof l->renewal[i]);
	l->renewal[i].counter = l->counter;
	l->renewal[i].sent_ns = c->now_ns;
	l->renew_at_ns = c->now_ns + v->lease_ms * NS_PER_MS / 4;
	m->lease.generation = c->role.generation;
	m->lease.counter = l->counter;
	m->lease.voters = cluster_view_voters_hash(&v->voters);
	cluster_send(c);
}

void cluster_lease_pump(struct cluster_core *c)
{
	struct lease *l = &c->lease;

	if (!holds_generation(c))
		return;
	if (c->quorate && c->now_ns >= l->renew_at_ns)
		renew(c, cluster_view_in_effect(c));
	if (c->quorate)
		cluster_wake(c, l->renew_at_ns);
	if (l->until_ns != l->told_ns) {
		l->told_ns = l->until_ns;
		cluster_order(c, ORDER_LEASE)->until_ns = l->until_ns;
	}
	if (cluster_lease_is_valid(c))
		cluster_wake(c, l->until_ns);
}
