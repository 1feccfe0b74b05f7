/* check_g8.c - G8, no guessing: a log that rotted is refused or holds, after its site was
 * opened, nothing but its history.
 */
#include "mirror/internal.h"
#include "tests/sim/sim.h"

static void fact(struct sim *w, uint32_t node, const struct fact *f)
{
	struct sim_site *s = &w->site[w->node[node].site];

	if (f->type != FACT_OPENED || f->error != 0 || !s->tainted || !s->rotten)
		return;
	s->tainted = false; /* it was taken for good: then it has to be */
	sim_image_check(w, node, "G8");
	s->tainted = true;
}

const struct sim_checker sim_check_g8 = { .name = "G8", .fact = fact };
