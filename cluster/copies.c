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
 * may still take effect, and for a copy that is to enter (D3). Answers satisfy the promise
 * in effect, that of every such proposal, and the wanted one (M3): when all copies satisfy
 * a stricter one for what was answered before, the I/O side says so, and it is proposed.
 * For a copy in bypass the map takes over once the view in effect says so (M6). While a
 * required copy is not current, by the view in effect or by such a proposal, nothing is
 * answered (M8).
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
	r->undecided_sites = r->undecided_missing = 0;
	r->undecided = false;
	r->wait_due = false;
	r->bypass = r->missing = 0;
	r->promise_id = 0;
	r->promise_kept = false;
	r->mode_asked = false;
}

void cluster_copies_proposed(struct cluster_core *c, const struct view *v)
{
	struct role *r = &c->role;

	r->undecided_sites |= cluster_view_current_sites(v);
	r->undecided_missing |= cluster_view_missing(v);
	r->undecided_promise = r->undecided ? promise_strictest(&r->undecided_promise,
								&v->promise) :
					      v->promise;
	r->undecided = true;
	r->undecided_ballot = v->ballot;
}

bool cluster_copies_unsettled(const struct cluster_core *c, const struct view *v)
{
	const struct role *r = &c->role;

	return (r->undecided_sites & ~cluster_view_current_sites(v)) != 0 ||
	       (r->undecided_missing & ~cluster_view_missing(v)) != 0 ||
	       (r->undecided && !promise_covers(&v->promise, &r->undecided_promise));
}

/* M3: the promise that answers have to satisfy while it is being changed. */
static struct promise to_satisfy(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	const struct role *r = &c->role;
	struct promise p = promise_strictest(&v->promise,
					     r->mode_asked ? &r->mode : &v->wanted);

	return r->undecided ? promise_strictest(&p, &r->undecided_promise) : p;
}

uint32_t cluster_copies_waited(const struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
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
	const struct view *v = cluster_view_in_effect(c);
	struct role *r = &c->role;

	r->ready_count = f->ready_count;
	if (r->serve != SERVE_SERVING || r->link[f->site].incarnation != f->incarnation ||
	    (cluster_view_out_sites(v) >> f->site & 1) != 0 ||
	    !promise_counts(&r->promised)) {
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

	if (f->type == FACT_PROMISE) {
		if (f->order_id == r->promise_id)
			r->promise_kept = true;
		return;
	}
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
	const struct promise promise = to_satisfy(c);
	uint32_t sites, bypass, missing;
	struct order *o;

	/* In async without a bound none is to enter. */
	for (uint32_t s = 0; s < c->config->site_count; s++)
		r->copy[s].ready &= promise_counts(&promise);
	sites = cluster_copies_waited(c);
	/* M6: the view in effect says so, and the link has ended (mirroring.c). */
	bypass = v->bypass & ~sites;
	missing = cluster_view_missing(v) | r->undecided_missing;
	if (sites == r->waited && promise_equal(&promise, &r->promised) &&
	    bypass == r->bypass && missing == r->missing && !r->wait_due)
		return;
	r->waited = sites;
	r->bypass = bypass;
	r->missing = missing;
	r->wait_due = false;
	o = cluster_order(c, ORDER_WAIT);
	if (!promise_equal(&promise, &r->promised)) {
		r->promise_id = o->id;
		r->promise_kept = false;
	}
	r->promised = promise;
	o->promise = promise;
	o->sites = sites;
	o->bypass = bypass;
	o->missing = missing;
	o->ballot = v->ballot;
	o->ready_seen = r->ready_count;
}

void cluster_copies_pump(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
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
