/* block.c - on-copy-loss: block (M8). The required copies are a field of the view, so that
 * the next production waits for them too:
 *
 *   a site                                              required
 *   is named current, while the configuration says      yes
 *     block
 *   is put out, by `disconnect` or by `bypass on`       no
 *   is promoted, or production moved away from it       no, until it is current as a copy
 *   the configuration says continue                     no
 *
 * A view may lack a required copy: so it can enter again, and a generation can begin.
 * Production only answers no write and no flush under such a view.
 */
#include "cluster/block.h"

#include <stdio.h>

bool cluster_block_plan(const struct cluster_core *c, struct view *next)
{
	const uint32_t before = next->required;

	next->required = (before | cluster_view_current_sites(next)) &
			 ~cluster_view_out_sites(next);
	/* A mode of before the file's change may still be async: it requires no copy. */
	if (c->config->on_copy_loss != CONFIG_COPY_LOSS_BLOCK ||
	    next->promise.mode == CONFIG_ASYNC)
		next->required = 0;
	return next->required != before;
}

/* The site that production comes from is gone, or a copy that is still behind: to wait for it
 * would make every takeover stand still. */
void cluster_block_takeover(const struct cluster_core *c, const struct view *best,
			    struct view *next)
{
	cluster_block_plan(c, next);
	next->required &= ~(1u << best->production_site | 1u << next->production_site);
}

void cluster_block_in_effect(struct cluster_core *c, const struct view *before)
{
	const struct view *v = cluster_view_in_effect(c);
	const uint32_t missing = cluster_view_missing(v);
	const uint32_t old = before != NULL ? cluster_view_missing(before) : 0;

	if (missing == 0)
		c->missing_wall_ns = 0;
	else if (old == 0 && before != NULL)
		c->missing_wall_ns = c->wall_ns;
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if (((missing ^ old) >> s & 1) != 0)
			cluster_tell(c, "site", cluster_site_name(c, (int32_t)s),
				     "M8-block",
				     (missing >> s & 1) != 0 ?
					     "not current: no write is answered" :
					     "writes do not stand still for it any more");
}

void cluster_block_text(const struct cluster_core *c, char *text, size_t size)
{
	const struct view *v = cluster_view_in_effect(c);
	const uint32_t missing = v != NULL ? cluster_view_missing(v) : 0;
	char sites[CONFIG_SITE_COUNT_MAX * CONFIG_NAME_MAX];
	char instance[2 * CONFIG_NAME_MAX];
	uint32_t first = 0;

	text[0] = 0;
	if (missing == 0 || (c->role.serve != SERVE_SERVING &&
			     cluster_status_serving_node(c) == VIEW_NONE))
		return;
	while ((missing >> first & 1) == 0)
		first++;
	cluster_status_sites(c, missing, sites, sizeof sites);
	cluster_instance_of(c, v->production_node, instance);
	snprintf(
		text, size,
		"on-copy-loss is block, and not current is %.200s: reads go on, and writes "
		"once it is; `hamirror disconnect %s %s` on production's host goes on "
		"without %s",
		sites, instance, cluster_site_name(c, (int32_t)first),
		cluster_site_name(c, (int32_t)first));
}
