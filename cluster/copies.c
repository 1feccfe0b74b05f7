/* copies.c - at production: the links to the copies, and the copies that writes wait for.
 *
 *   event                        in the set       to enter        else
 *   COPY_READY of its host       not lost          enters (D3)    enters
 *   COPY_READY of another        -                 -              not waited for
 *   COPY_LOST                    leaves            not any more   -
 *   host left, restarted         leaves            not any more   -
 *   a view takes effect          as it says        as it says     as it says
 *
 * Writes wait for the set in effect, for every set that a proposal of ours named and that
 * may still take effect, and for a copy that is to enter (D3).
 */
#include <stdio.h>

#include "cluster/internal.h"

void cluster_copies_reset(struct cluster_core *c)
{
	struct role *r = &c->role;

	for (uint32_t s = 0; s < c->config->site_count; s++) {
		if (r->link[s].incarnation != 0)
			cluster_order(c, ORDER_UNLINK)->site = s;
		r->link[s].incarnation = 0;
		memset(&r->copy[s], 0, sizeof r->copy[s]);
	}
	r->undecided_sites = 0;
	r->wait_due = false;
}

uint32_t cluster_copies_waited(const struct cluster_core *c)
{
	const struct view *v = cluster_vote_in_effect(c);
	uint32_t sites = c->role.undecided_sites;

	if (v != NULL && uuid_equal(&cluster_view_generation(v)->id, &c->role.generation))
		sites |= cluster_view_current_sites(v);
	for (uint32_t s = 0; s < c->config->site_count; s++)
		if (c->role.copy[s].ready)
			sites |= 1u << s;
	return sites;
}

static void copy_ready(struct cluster_core *c, const struct fact *f)
{
	const struct view *v = cluster_vote_in_effect(c);
	struct role *r = &c->role;

	r->ready_count = f->ready_count;
	if (r->serve != SERVE_SERVING || r->link[f->site].incarnation != f->incarnation ||
	    (v->disconnected >> f->site & 1) != 0) {
		r->wait_due = true; /* it need not be waited for */
		return;
	}
	r->copy[f->site].ready = true;
	r->copy[f->site].ready_incarnation = f->incarnation;
	r->copy[f->site].ready_from = f->sequence;
	r->copy[f->site].lost = false;
	r->copy[f->site].lost_text[0] = 0;
}

void cluster_copies_fact(struct cluster_core *c, const struct fact *f)
{
	struct role *r = &c->role;

	if (f->site >= c->config->site_count || f->site == r->site)
		return;
	if (f->type == FACT_LINK) {
		r->copy[f->site].link = f->link;
	} else if (f->type == FACT_COPY_READY) {
		copy_ready(c, f);
	} else if (r->serve != SERVE_NONE) {
		r->copy[f->site].ready = false;
		r->copy[f->site].lost = true;
		snprintf(r->copy[f->site].lost_text, sizeof r->copy[f->site].lost_text,
			 "%.127s", f->text);
	}
}

static void wait_pump(struct cluster_core *c, const struct view *v)
{
	struct role *r = &c->role;
	const uint32_t sites = cluster_copies_waited(c);
	struct order *o;

	if (sites == r->waited && !r->wait_due)
		return;
	r->waited = sites;
	r->wait_due = false;
	o = cluster_order(c, ORDER_WAIT);
	o->sites = sites;
	o->ballot = v->ballot;
	o->ready_seen = r->ready_count;
}

void cluster_copies_pump(struct cluster_core *c)
{
	const struct view *v = cluster_vote_in_effect(c);
	const uint32_t standing = c->role.undecided_sites |
				  (v != NULL ? cluster_view_current_sites(v) : 0);

	if (c->role.serve != SERVE_SERVING ||
	    !uuid_equal(&cluster_view_generation(v)->id, &c->role.generation))
		return;
	for (uint32_t s = 0; s < c->config->site_count && s < v->site_count; s++) {
		if (s == c->role.site)
			continue;
		cluster_mirroring_pump(c, v, s);
		if ((standing >> s & 1) == 0) {
			c->role.copy[s].lost = false;
			c->role.copy[s].lost_text[0] = 0;
		}
	}
	wait_pump(c, v);
}
