/* check_g6.c - G6, no way down to Inconsistent: a site that once had an image keeps one,
 * unless its operator allowed otherwise. (That the image is one while it is refreshed,
 * check_g2.c sees; here, as soon as the hold has ended, well or not.)
 */
#include "mirror/engine/view.h"
#include "tests/sim/sim.h"

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	const struct mirror_view *m = sim_view(w, node);
	const struct sim_site *s = &w->site[w->node[node].site];

	if ((f->type != FACT_DATA && f->type != FACT_OPENED) || f->error != 0 ||
	    f->data != DATA_INCONSISTENT || m->sb->blank || s->consent || s->tainted)
		return;
	sim_violate(w, "G6", "site %u became Inconsistent: %s", w->node[node].site,
		    f->text);
}

/* "Blank" is for a site that never had an image, not for one that gives it up. */
static void mirror(struct sim *w, uint32_t node)
{
	const struct mirror_view *m = sim_view(w, node);
	struct sim_site *s = &w->site[w->node[node].site];

	if (!w->node[node].open || m->state < ENGINE_IDLE || m->state == ENGINE_CLOSING) {
		s->was_held = false;
		return;
	}
	if (s->was_held && !m->sb->hold.active)
		sim_image_check(w, node, "G6");
	s->was_held = m->sb->hold.active;
	if (sim_is_image(m) && !m->holds) /* on the device too */
		s->had_image = true;
	else if (m->sb->blank && s->had_image && s->allowed)
		s->consent = true;
	else if (m->sb->blank && s->had_image && !s->consent && !s->tainted)
		sim_violate(w, "G6", "site %u gives up the image that it had",
			    w->node[node].site);
}

const struct sim_checker sim_check_g6 = {
	.name = "G6",
	.fact = fact,
	.mirror = mirror,
};
