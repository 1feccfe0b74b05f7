/* switch.c - a planned move of production (M5).
 *
 *   at production       the agent asks cluster_switch_check() until the copy is near enough,
 *                       then gives DEMOTE with that site (move.c)
 *   at the copy's host  FACT_HANDED_OVER; when the view says that production ended cleanly,
 *                       a promotion like that of a command. It is Pacemaker's own where
 *                       Pacemaker moves the resource: then production asks for none.
 */
#include <errno.h>
#include <stdio.h>

#include "cluster/alone.h"
#include "cluster/block.h"
#include "cluster/switch.h"

/* By its link; `why`: what is known of a link that is down. */
static int check_link(const struct cluster_core *c, uint32_t site, enum link_state link,
		      const char *why, char *text, size_t size)
{
	const char *name = cluster_site_name(c, (int32_t)site);

	switch (link) {
	case LINK_DOWN:
	case LINK_CONNECTING:
		snprintf(text, size, "%s is not linked%s%s", name,
			 why[0] != 0 ? ": " : "", why);
		return -ENOTCONN;
	case LINK_CATCHING_UP:
		snprintf(text, size, "%s is catching up from the writelog", name);
		return -EAGAIN;
	case LINK_REFRESHING:
		snprintf(text, size, "%s is being refreshed", name);
		return -EAGAIN;
	case LINK_CONNECTED:
		break;
	}
	return 0;
}

/* An operator keeps it away. */
static int put_out(const struct cluster_core *c, uint32_t site, bool bypass, char *text,
		   size_t size)
{
	const char *name = cluster_site_name(c, (int32_t)site);

	if (bypass)
		snprintf(text, size,
			 "%s is in bypass: `hamirror bypass %s off %s` lets it be "
			 "refreshed",
			 name, c->config->instance, name);
	else
		snprintf(text, size,
			 "%s was put out: `hamirror connect %s %s` allows it again", name,
			 c->config->instance, name);
	return -EPERM;
}

static int check_alone(const struct cluster_core *c, uint32_t site, char *text,
		       size_t size)
{
	const struct alone *a = c->alone;

	if (a->state != ALONE_SERVING) {
		snprintf(text, size,
			 "this site is not production: say it on production's host");
		return -EPERM;
	}
	if ((a->disconnected >> site & 1) != 0)
		return put_out(c, site, (a->bypass >> site & 1) != 0, text, size);
	return check_link(c, site, a->link[site], "", text, size);
}

static int check_members(const struct cluster_core *c, uint32_t site, char *text,
			 size_t size)
{
	const struct view *v = cluster_view_in_effect(c);
	const int32_t serving = cluster_status_serving_node(c);

	if (c->role.serve != SERVE_SERVING) {
		snprintf(text, size, "only production's host does that: %s",
			 serving == VIEW_NONE ? "none serves at this moment" :
						cluster_node_name(c, serving));
		return -EPERM;
	}
	if (!c->quorate || !cluster_round_can_decide(c)) {
		if (c->quorate)
			cluster_status_undecided(c, v, text, size);
		else
			snprintf(text, size, "no quorum: nothing is decided here");
		return -EPERM;
	}
	if ((cluster_view_out_sites(v) >> site & 1) != 0)
		return put_out(c, site, (v->bypass >> site & 1) != 0, text, size);
	/* M8: writes that stand still would fail, or the demote would come to nothing. */
	if (cluster_view_missing(v) != 0) {
		cluster_block_text(c, text, size);
		return (cluster_view_missing(v) & ~(1u << site)) != 0 ? -EPERM : -EAGAIN;
	}
	return check_link(c, site, c->role.copy[site].link,
			  v->site[site].host.node == VIEW_NONE ?
				  "no member that reaches its disks is here" :
				  "",
			  text, size);
}

int cluster_switch_check(const struct cluster_core *c, uint32_t site, char *text,
			 size_t size)
{
	const uint32_t own = c->alone != NULL ? c->alone->site : c->role.site;
	const int error = c->alone != NULL ? check_alone(c, site, text, size) :
					     check_members(c, site, text, size);

	if (error == -EPERM || site != own)
		return error;
	snprintf(text, size, "%s is production already",
		 cluster_site_name(c, (int32_t)own));
	return -EALREADY;
}

void cluster_switch_fact(struct cluster_core *c)
{
	const struct view *v = cluster_view_in_effect(c);

	if (v != NULL)
		c->handed_over = cluster_view_generation(v)->id;
}

void cluster_switch_pump(struct cluster_core *c)
{
	const struct cluster_command promote = { .type = CLUSTER_COMMAND_PROMOTE,
						 .site = VIEW_NONE };
	const struct view *v = cluster_view_in_effect(c);

	if (uuid_is_zero(&c->handed_over))
		return;
	if (!uuid_equal(&cluster_view_generation(v)->id, &c->handed_over) ||
	    c->role.serve != SERVE_NONE) {
		c->handed_over = (struct uuid){ 0 };
		return;
	}
	if (v->production_node != VIEW_NONE || !v->clean)
		return;
	c->handed_over = (struct uuid){ 0 };
	cluster_tell(c, "mirror", c->config->mirror, "M5-handed-over",
		     "%s was demoted cleanly and wants this site to be promoted",
		     cluster_site_name(c, v->production_site));
	cluster_promote_command(c, &promote);
}
