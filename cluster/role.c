/* role.c - whether this node serves as production. It ends when another generation is in
 * effect. The facts of the I/O side go to the part that each concerns.
 *
 *   serve      PREPARE    FACT_      SERVE     FACT_          DEMOTE    FACT_    DEPOSE
 *                         PREPARED             SERVING                  DEMOTED
 *   none       preparing  -          -         -              -         -        -
 *   preparing  again      prepared   -         -              -         -        none
 *   prepared   again      -          starting  -              -         -        none
 *   starting   -          -          -         serving, none  -         -        none
 *   serving    -          -          -         -              demoting  -        none
 *   demoting   -          -          -         -              -         none     none
 */
#include <assert.h>
#include <stdio.h>

#include "cluster/commands.h"
#include "cluster/switch.h"

static bool serve_change_is_legal(enum serve_state from, enum serve_state to)
{
	switch (to) {
	case SERVE_NONE:
		return true;
	case SERVE_PREPARING:
		return from <= SERVE_PREPARED;
	case SERVE_PREPARED:
		return from == SERVE_PREPARING;
	case SERVE_STARTING:
		return from == SERVE_PREPARED;
	case SERVE_SERVING:
		return from == SERVE_STARTING || from == SERVE_DEMOTING;
	case SERVE_DEMOTING:
		return from == SERVE_SERVING;
	}
	return false;
}

void cluster_role_set_serve(struct cluster_core *c, enum serve_state state)
{
	assert(serve_change_is_legal(c->role.serve, state));
	c->role.serve = state;
	if (state == SERVE_NONE) {
		memset(&c->role.generation, 0, sizeof c->role.generation);
		cluster_lease_reset(c);
	}
}

void cluster_role_fact(struct cluster_core *c, const struct fact *f)
{
	switch (f->type) {
	case FACT_OPENED:
	case FACT_CLOSED:
	case FACT_DEVICE_FAILED:
	case FACT_DEVICE_HANGS:
		cluster_devices_fact(c, f);
		break;
	case FACT_PREPARED:
	case FACT_SERVING:
		cluster_promote_fact(c, f);
		break;
	case FACT_DEMOTED:
		cluster_demote_fact(c, f);
		break;
	case FACT_LINK:
	case FACT_COPY_READY:
	case FACT_COPY_LOST:
	case FACT_PROMISE:
		cluster_copies_fact(c, f);
		break;
	case FACT_DATA:
		c->role.data = f->data;
		snprintf(c->role.data_text, sizeof c->role.data_text, "%.127s", f->text);
		break;
	case FACT_MARKS:
		c->role.marks = f->marks;
		if (f->history.count > 0)
			c->role.log_newest = *history_newest(&f->history);
		break;
	case FACT_REFRESH:
		cluster_command_refreshed(c, f);
		break;
	case FACT_HANDED_OVER:
		cluster_switch_fact(c);
		break;
	case FACT_UNDO:
		cluster_undo_fact(c, f);
		break;
	case FACT_STORED:
		cluster_undo_stored(c, f);
		break;
	case FACT_PEER:
	case FACT_RECOVERED:
	case FACT_STATUS:
	case FACT_EVENT:
		break; /* answers to orders that the members do not give */
	}
}

/* D7: end serving if another generation than ours is in effect. */
static void depose(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);

	if (v == NULL ||
	    (c->role.serve < SERVE_STARTING && c->promote.state != PROMOTE_LEASE) ||
	    uuid_equal(&cluster_view_generation(v)->id, &c->role.generation))
		return;
	cluster_tell(c, "mirror", c->config->mirror, "D7-deposed",
		     "generation %llu of %s is in "
		     "effect: this node answers nothing more",
		     (unsigned long long)cluster_view_generation(v)->ordinal,
		     cluster_site_name(c, (int32_t)cluster_view_generation(v)->site));
	cluster_order(c, ORDER_DEPOSE);
	cluster_copies_reset(c);
	cluster_role_set_serve(c, SERVE_NONE);
	c->role.closing_wanted = true;
	cluster_promote_end(c, 1, "another host was promoted meanwhile");
}

static void view_pump(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);
	struct order *o;

	if (v == NULL || c->role.devices != DEVICES_OPEN ||
	    c->role.view_told == v->ballot)
		return;
	c->role.view_told = v->ballot;
	o = cluster_order(c, ORDER_VIEW);
	o->ballot = v->ballot;
	o->history = v->history;
}

/* on-no-quorum: fail. Otherwise frozen requests wait for quorum, a demote or a stop. */
static void frozen_pump(struct cluster_core *c)
{
	if (c->role.serve != SERVE_SERVING || c->quorate || cluster_lease_is_valid(c) ||
	    c->config->on_no_quorum != CONFIG_NO_QUORUM_FAIL)
		return;
	if (c->now_ns >= c->role.frozen_told_ns + TICK_NS) {
		c->role.frozen_told_ns = c->now_ns;
		cluster_order(c, ORDER_FAIL_FROZEN);
	}
	cluster_wake(c, c->role.frozen_told_ns + TICK_NS);
}

void cluster_role_pump(struct cluster_core *c)
{
	depose(c);
	cluster_devices_pump(c);
	view_pump(c);
	frozen_pump(c);
	cluster_copies_pump(c);
}
