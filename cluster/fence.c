/* fence.c - which processes of other nodes have ended for certain, by the boots of those
 * nodes and the notices of the fencer.
 */
#include "cluster/internal.h"

#define NOTICE_NS (10000 * NS_PER_MS) /* a fenced node leaves the ring within */
#define AHEAD_NS (1000 * NS_PER_MS)   /* a good clock is not ahead of ours by more */

/* The boot of `node` that was heard of last, of itself or in a view; 0: none. */
static uint64_t boot_of(const struct cluster_core *c, uint32_t node)
{
	const struct view *v = cluster_view_in_effect(c);

	if (c->node[node].known)
		return c->node[node].said.boot;
	return v == NULL ? 0 : v->member[node].boot;
}

/* The voter file's entries were learned before this process began. */
void cluster_fence_init(struct cluster_core *c)
{
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		c->node[n].fenced_boot = c->voter.fenced[n].boot;
		c->node[n].seen_boot = boot_of(c, n);
	}
}

static void note_boots(struct cluster_core *c)
{
	for (uint32_t n = 0; n < c->config->node_count; n++) {
		const uint64_t boot = boot_of(c, n);

		if (boot == c->node[n].seen_boot)
			continue;
		c->node[n].seen_boot = boot;
		c->node[n].seen_ns = c->now_ns;
	}
}

static void mark_fenced(struct cluster_core *c, uint32_t node, uint64_t boot)
{
	struct node *n = &c->node[node];

	if (boot == 0 || n->fenced_boot == boot)
		return;
	n->fenced_boot = boot;
	c->voter.fenced[node].boot = boot;
	c->voter_dirty = true;
	cluster_tell(c, "member", cluster_node_name(c, (int32_t)node), "fenced",
		     "a fencing was confirmed: what ran there has ended");
}

/* A process of the node is in the ring, announced or not. */
static bool is_here(const struct cluster_core *c, uint32_t node)
{
	const struct node *n = &c->node[node];

	for (uint32_t i = 0; i < c->peer_count; i++)
		if (c->peer[i].node == (int32_t)node ||
		    (n->known && c->peer[i].nodeid == n->nodeid))
			return true;
	return false;
}

/* Keep the newest notice: an entry of a history counts only if it is newer. */
static void remember(struct cluster_core *c, uint32_t node, uint64_t wall_ns)
{
	if (wall_ns == UINT64_MAX || wall_ns <= c->voter.fenced[node].wall_ns)
		return;
	c->voter.fenced[node].wall_ns = wall_ns;
	c->voter_dirty = true;
}

static void judged(struct cluster_core *c, uint32_t node, uint64_t wall_ns)
{
	c->node[node].notice.wall_ns = 0;
	remember(c, node, wall_ns);
}

/* Said once of each node: a history is long. */
static void not_counted(struct cluster_core *c, uint32_t node, uint64_t boot)
{
	const char *name = cluster_node_name(c, (int32_t)node);

	if (boot == 0 || c->node[node].fenced_boot == boot || c->node[node].uncounted)
		return;
	c->node[node].uncounted = true;
	cluster_tell(
		c, "member", name, "fenced-unsure",
		"a fencing of it is not counted: it may be of an earlier start of it "
		"than the last that was seen here; if %s was fenced since, `hamirror "
		"fenced %s %s` counts it",
		name, c->config->instance, name);
}

/* The last sign of life of the boot that was seen last, by our wall clock as it was then
 * and as it is now, whichever is later. UINT64_MAX: our voter file knows of none, and a
 * view's time is that of a clock which may be far behind the fencer's. */
static uint64_t alive_wall_ns(const struct cluster_core *c, uint32_t node)
{
	const struct voter_heard *h = &c->voter.heard[node];
	const uint64_t since_ns = c->now_ns - h->now_ns;

	if (h->boot != c->node[node].seen_boot)
		return UINT64_MAX;
	if (h->own_boot == c->self.boot && c->wall_ns > since_ns &&
	    c->wall_ns - since_ns > h->wall_ns)
		return c->wall_ns - since_ns;
	return h->wall_ns;
}

void cluster_fence_heard(struct cluster_core *c, uint32_t node)
{
	c->voter.heard[node] = (struct voter_heard){
		.boot = c->node[node].said.boot,
		.own_boot = c->self.boot,
		.now_ns = c->now_ns,
		.wall_ns = c->wall_ns,
	};
}

/* Was that boot seen before the notice? A stamp in the future is of a clock that tells us
 * nothing: it would be later than any sign of life. */
static bool is_later(const struct cluster_core *c, uint32_t node, const struct fencing *f)
{
	if (f->live)
		return f->since_ns >= c->node[node].seen_ns;
	return f->wall_ns == UINT64_MAX || (f->wall_ns <= c->wall_ns + AHEAD_NS &&
					    f->wall_ns >= alive_wall_ns(c, node));
}

/* The notice ends the boot that was seen last, if that boot was seen before the notice. */
static void judge(struct cluster_core *c, uint32_t node, const struct fencing *f)
{
	struct node *n = &c->node[node];
	const uint64_t boot = n->seen_boot;
	struct message *m;

	judged(c, node, f->wall_ns);
	if (boot == 0 || !is_later(c, node, f)) {
		not_counted(c, node, boot);
		return;
	}
	if (f->wall_ns == UINT64_MAX || (f->live && f->since_ns >= n->came_ns))
		n->unsaid = false;
	n->parted_boot = 0;
	if (n->fenced_boot == boot)
		return;
	mark_fenced(c, node, boot);
	m = cluster_message(c, MESSAGE_FENCED);
	m->fenced.node = node;
	m->fenced.boot = boot;
	cluster_send(c);
}

/* The fencer says that a node was fenced: just now, or from its history, which names
 * older fencings too, of boots that are long over. Clocks differ and jump, so times are
 * compared only where there is nothing else, and never to drop a notice that has just come.
 * No entry of a history is known again for certain: it has no name, each fencer stamps a
 * fencing by its own clock, and one that restarts is given the stamps of another. So a
 * stamp may only tell that an entry does not count:
 *
 *   the notice is                            it says
 *   of a history, and not newer than one     nothing (the voter file remembers)
 *     that was judged
 *   of a history, brought there late by      nothing: it may be older than any boot
 *     another fencer                           that we have seen
 *   of a history, and not all peers here     nothing yet
 *     have announced themselves
 *   of a history, of a node that is here     nothing: an older boot was fenced
 *   live, of a node that is here             nothing: a fenced node is not here. But it
 *                                              may be about to go: if it goes soon, the
 *                                              notice counts as for a node away
 *   live, of a node that is not here         its boot that was seen last has ended, if
 *                                              that boot was seen before the fencer told
 *                                              of this fencing
 *   of a history, of a node that is not      likewise, if by the clocks the last sign of
 *     here                                     life of that boot was before, and the
 *                                              notice is not still to come
 */
void cluster_fence_event(struct cluster_core *c, const struct cluster_event *e)
{
	const struct fencing f = { .wall_ns = e->fenced.wall_ns,
				   .since_ns = e->fenced.since_ns,
				   .live = e->fenced.live };
	uint32_t node = 0;
	struct node *n;

	while (node < c->config->node_count &&
	       strcmp(c->config->node[node].name, e->fenced.node) != 0)
		node++;
	if (node == c->config->node_count || node == c->self.node)
		return;
	n = &c->node[node];
	if (!f.live && f.wall_ns <= c->voter.fenced[node].wall_ns)
		return;
	if (e->fenced.late) {
		remember(c, node, f.wall_ns);
		if (!is_here(c, node))
			not_counted(c, node, n->seen_boot);
	} else if (!f.live && f.wall_ns != UINT64_MAX) {
		if (f.wall_ns > n->history_wall_ns)
			n->history_wall_ns = f.wall_ns;
	} else if (!is_here(c, node)) {
		judge(c, node, &f);
	} else {
		n->notice = f;
		n->notice_until_ns = c->now_ns + NOTICE_NS;
	}
}

static bool all_have_said(const struct cluster_core *c)
{
	for (uint32_t i = 0; i < c->peer_count; i++)
		if (c->peer[i].node == VIEW_NONE && !c->peer[i].refused)
			return false;
	return c->joined;
}

static void history_pump(struct cluster_core *c)
{
	for (uint32_t i = 0; i < c->config->node_count && all_have_said(c); i++) {
		const struct fencing f = { .wall_ns = c->node[i].history_wall_ns };

		c->node[i].history_wall_ns = 0;
		if (f.wall_ns <= c->voter.fenced[i].wall_ns)
			continue;
		if (is_here(c, i))
			remember(c, i, f.wall_ns);
		else
			judge(c, i, &f);
	}
}

void cluster_fence_pump(struct cluster_core *c)
{
	note_boots(c);
	history_pump(c);
}

void cluster_fence_left(struct cluster_core *c, uint32_t node)
{
	struct node *n = &c->node[node];
	const struct fencing f = n->notice;

	if (f.wall_ns == 0 || is_here(c, node))
		return;
	if (c->now_ns < n->notice_until_ns)
		judge(c, node, &f);
	else
		judged(c, node, f.wall_ns);
}

void cluster_fence_message(struct cluster_core *c, const struct message *m)
{
	const uint32_t node = m->fenced.node;

	if (node < c->config->node_count && node != c->self.node &&
	    !(c->node[node].member && c->node[node].said.boot == m->fenced.boot))
		mark_fenced(c, node, m->fenced.boot);
}
