/* check_g2.c - G2, order: at any instant a site's content, home and log together, is its
 * history up to one sequence, across all disks (journal.c compares); at a restart that is
 * W5, and while a refresh is held, G6. And the groups themselves: a client that writes
 * after an answer writes a later group (P0-3).
 */
#include "mirror/engine/view.h"
#include "tests/sim/sim.h"

static void look(struct sim *w)
{
	for (uint32_t n = 0; n < w->node_count && w->violation[0] == 0; n++) {
		const bool held = w->node[n].open && sim_view(w, n)->sb->hold.active;

		sim_image_check(w, n, held ? "G6" : "G2");
	}
}

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	if (f->type == FACT_OPENED && f->error == 0)
		sim_image_check(w, node, "W5");
}

static const struct sim_write *find(const struct sim *w, uint32_t generation,
				    uint64_t sequence)
{
	const struct sim_generation *g = &w->generation[generation];
	const uint64_t at = sequence - g->cut - 1;

	return sequence > g->cut && at < g->room && g->write[at].known ? &g->write[at] :
									 NULL;
}

static void answered(struct sim *w, uint32_t node, const struct sim_request *r)
{
	const struct sim_write *mine, *before;

	(void)node;
	if (!r->noted || r->answered_sequence == 0 ||
	    r->answered_generation != r->generation)
		return;
	mine = find(w, r->generation, r->request.sequence);
	before = find(w, r->generation, r->answered_sequence);
	if (mine != NULL && before != NULL && mine->group <= before->group)
		sim_violate(
			w, "G2",
			"sequence %llu is in group %llu, and was asked after an answer "
			"to %llu of group %llu",
			(unsigned long long)r->request.sequence,
			(unsigned long long)mine->group,
			(unsigned long long)r->answered_sequence,
			(unsigned long long)before->group);
}

const struct sim_checker sim_check_g2 = {
	.name = "G2",
	.look = look,
	.fact = fact,
	.answered = answered,
};
