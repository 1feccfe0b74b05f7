/* engine/refresh_order.c - the operator's word on a refresh, and the answer to it. */
#include <errno.h>
#include <string.h>

#include "mirror/engine/state.h"

/* One copy's part of the answer; true when it is being refreshed. Consent counts for the
 * refresh that waits or is under way, never for a later one; so does its pace. */
static bool order_one(struct mirror_engine *m, uint32_t site, const struct order *o,
		      char *text, size_t size)
{
	struct engine_peer *p = &m->open.peer[site];
	const char *name = mirror_engine_site_name(m, site);

	if (m->state != ENGINE_SERVING) {
		mirror_text(text, size,
			    "%s: this site is not production, which alone refreshes",
			    name);
		return false;
	}
	mirror_trust_forgive(m, site);
	mirror_outrun_forgive(m, site, o->pace);
	if (p->refresh.phase == REFRESH_NONE) {
		mirror_text(text, size,
			    p->state == LINK_CONNECTED ?
				    "%s: every record reaches it, so "
				    "there is nothing to refresh" :
			    p->state == LINK_CATCHING_UP ? "%s: the writelog holds all "
							   "that it misses, so it "
							   "needs no refresh" :
							   "%s: its link is down; it is "
							   "refreshed when that is up",
			    name);
		return false;
	}
	if (o->inconsistent)
		p->refresh.inconsistent_ok = true;
	if (p->refresh.phase != REFRESH_REFUSED) {
		mirror_text(text, size, "%s: it is being refreshed%s", name,
			    o->pace ? ", and clients wait for it" : "");
		return true;
	}
	mirror_text(text, size, "%s: its refresh is tried again", name);
	mirror_refresh_map(m, site);
	return true;
}

void mirror_refresh_order(struct mirror_engine *m, const struct order *o)
{
	struct fact *f = mirror_engine_fact(m, FACT_REFRESH);
	size_t used = 0;

	f->order_id = o->id;
	f->error = -EALREADY;
	for (uint32_t s = 0; s < m->config->site_count; s++) {
		char text[CONFIG_NAME_MAX + 80];

		if ((o->sites >> s & 1) == 0)
			continue;
		if (order_one(m, s, o, text, sizeof text))
			f->error = 0;
		mirror_text(f->text + used, sizeof f->text - used, "%s%s",
			    used > 0 ? "; " : "", text);
		used = strlen(f->text);
	}
}
