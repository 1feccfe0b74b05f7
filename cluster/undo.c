/* undo.c - a copy holds writes that production lacks. After a force they may have been
 * acknowledged, so they are undone on an operator's word only (D8).
 *
 *   event                          what happens
 *   FACT_UNDO                      kept, and announced: status and `why` name it
 *   CONNECT                        refused, by name
 *   CONNECT of another site        refused: it names the site that asks
 *   CONNECT --discard              ORDER_MARK; FACT_STORED answers; the next stream of
 *                                    that production undoes it
 *   the devices are closed         forgotten: the next opening asks again
 */
#include <stdio.h>

#include "cluster/commands.h"

void cluster_undo_fact(struct cluster_core *c, const struct fact *f)
{
	struct role *r = &c->role;

	if (r->devices != DEVICES_OPEN || f->site >= c->config->site_count)
		return;
	if (f->text[0] != 0 && strcmp(r->undo_text, f->text) != 0)
		cluster_tell(c, "site", cluster_site_name(c, (int32_t)r->site), "D8-asks",
			     "%s: `hamirror connect %s %s --discard` here gives them up",
			     f->text, c->config->instance,
			     cluster_site_name(c, (int32_t)f->site));
	r->undo_site = f->site;
	memcpy(r->undo_text, f->text, sizeof r->undo_text);
}

uint32_t cluster_undo_flag(const struct cluster_core *c)
{
	return c->role.undo_text[0] != 0 ? ANNOUNCE_ASKS : 0;
}

void cluster_undo_command(struct cluster_core *c, const struct cluster_command *command)
{
	const struct role *r = &c->role;
	struct command *w;
	struct order *o;

	if (r->devices != DEVICES_OPEN || r->undo_text[0] == 0) {
		cluster_reply(c, command->id, 1,
			      "nothing that is held here waits to be given up");
		return;
	}
	if (command->site >= 0 && command->site != (int32_t)r->undo_site) {
		cluster_reply(c, command->id, 1,
			      "%s asks, and not %s: %s: `hamirror connect %s %s "
			      "--discard` gives them up",
			      cluster_site_name(c, (int32_t)r->undo_site),
			      cluster_site_name(c, command->site), r->undo_text,
			      c->config->instance,
			      cluster_site_name(c, (int32_t)r->undo_site));
		return;
	}
	if (!command->discard) {
		cluster_reply(c, command->id, 1,
			      "%s: `hamirror connect %s %s --discard` gives them up",
			      r->undo_text, c->config->instance,
			      cluster_site_name(c, (int32_t)r->undo_site));
		return;
	}
	w = cluster_command_add(c, command, 1u << r->undo_site);
	if (w == NULL)
		return;
	o = cluster_order(c, ORDER_MARK);
	o->discard = 1u << r->undo_site;
	w->order_id = o->id;
}

void cluster_undo_stored(struct cluster_core *c, const struct fact *f)
{
	char text[320];

	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *w = &c->command[i];

		if (!w->used || w->type != CLUSTER_COMMAND_CONNECT ||
		    w->order_id != f->order_id)
			continue;
		snprintf(text, sizeof text, "%s%s", f->error == 0 ? "given up: " : "",
			 f->error == 0 ? c->role.undo_text : f->text);
		cluster_command_end(c, w, f->error == 0 ? 0 : 1, text);
	}
}
