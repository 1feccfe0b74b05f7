/* cluster.c - one event in, actions out: see cluster.h and internal.h.
 *
 * First the part that the event concerns takes it in. Then each part is asked to act on
 * the new state. The order below is that of cause and effect, so that most events
 * need one step only.
 */
#include <assert.h>
#include <errno.h>

#include "cluster/commands.h"
#include "cluster/switch.h"

#define BAD_MESSAGE_NS (10000 * NS_PER_MS) /* between lines about refused messages */

/* ---- messages ---------------------------------------------------------------- */

static void take_release(struct cluster_core *c, const struct message *m)
{
	cluster_devices_released(c, m->node, m->release.incarnation);
	if (m->node == c->self.node && m->release.incarnation == c->role.released)
		c->release_due = false;
}

static void take_member_message(struct cluster_core *c, uint32_t node,
				const struct message *m)
{
	switch (m->type) {
	case MESSAGE_STATE:
		cluster_join_state(c, m);
		break;
	case MESSAGE_DISKS:
		cluster_site_disks_take(c, m);
		break;
	case MESSAGE_START:
		cluster_mirroring_told(c, m);
		break;
	case MESSAGE_PREPARE:
		cluster_voter_prepare(c, m);
		break;
	case MESSAGE_PROMISE:
		cluster_round_promise(c, node, m);
		break;
	case MESSAGE_PROPOSE:
		cluster_voter_propose(c, m);
		break;
	case MESSAGE_ACCEPTED:
		cluster_in_effect_accepted(c, node, m);
		break;
	case MESSAGE_REFUSE:
		cluster_round_refuse(c, m);
		break;
	case MESSAGE_COMMIT:
		cluster_in_effect_commit(c, m);
		break;
	case MESSAGE_OBJECT:
		cluster_promote_objected(c, node, m->vote.ballot);
		break;
	case MESSAGE_RENEW:
		cluster_lease_renew(c, node, m);
		break;
	case MESSAGE_GRANT:
		cluster_lease_grant(c, node, m);
		break;
	case MESSAGE_RELEASE:
		take_release(c, m);
		break;
	case MESSAGE_FENCED:
		cluster_fence_message(c, m);
		break;
	case MESSAGE_NEWS:
		cluster_news_take(c, node, m);
		break;
	case MESSAGE_ANNOUNCE:
	case MESSAGE_TYPE_END:
		break;
	}
}

static void take_message(struct cluster_core *c, const struct cluster_event *e)
{
	struct message *m = &c->in;
	char text[160];
	const int error = cluster_message_decode(c->config, e->message.data,
						 e->message.length, m, text, sizeof text);
	int32_t node;

	if (error == 0 || (error == -ESTALE && m->type == MESSAGE_ANNOUNCE)) {
		if (m->type == MESSAGE_ANNOUNCE) {
			cluster_place_announce(c, e->message.nodeid, e->message.pid, m,
					       error);
			return;
		}
		node = cluster_join_sender(c, e->message.nodeid, e->message.pid, m);
		if (node == VIEW_NONE)
			return;
		cluster_fence_heard(c, (uint32_t)node);
		take_member_message(c, (uint32_t)node, m);
	} else if (error != -ESTALE && c->now_ns >= c->bad_message_ns) {
		c->bad_message_ns = c->now_ns + BAD_MESSAGE_NS;
		cluster_tell(c, "message", "", "refused",
			     "a message of corosync's node %u was "
			     "refused: %s",
			     e->message.nodeid, text);
	}
}

/* ---- the other events ------------------------------------------------------------ */

static void take_quorum(struct cluster_core *c, bool quorate)
{
	if (c->quorate == quorate)
		return;
	c->quorate = quorate;
	c->ring_ns = c->now_ns;
	c->confirm_due = true;
	cluster_tell(c, "quorum", "", "",
		     quorate ? "gained" :
			       "lost: production answers until its lease ends");
}

static void take_command(struct cluster_core *c, const struct cluster_command *command)
{
	switch (command->type) {
	case CLUSTER_COMMAND_PROMOTE:
		cluster_promote_command(c, command);
		break;
	case CLUSTER_COMMAND_DEMOTE:
	case CLUSTER_COMMAND_STOP:
		cluster_demote_command(c, command);
		break;
	case CLUSTER_COMMAND_CONNECT:
	case CLUSTER_COMMAND_DISCONNECT:
	case CLUSTER_COMMAND_BYPASS_ON:
	case CLUSTER_COMMAND_BYPASS_OFF:
	case CLUSTER_COMMAND_REFRESH:
		cluster_command_site(c, command);
		break;
	case CLUSTER_COMMAND_MODE:
		cluster_command_mode(c, command);
		break;
	}
}

static void take(struct cluster_core *c, const struct cluster_event *e)
{
	switch (e->type) {
	case CLUSTER_EVENT_TICK:
		break;
	case CLUSTER_EVENT_CONFCHG:
		cluster_join_confchg(c, e);
		break;
	case CLUSTER_EVENT_QUORUM:
		take_quorum(c, e->quorate);
		break;
	case CLUSTER_EVENT_MESSAGE:
		take_message(c, e);
		break;
	case CLUSTER_EVENT_PERSISTED:
		cluster_voter_persisted(c, e->persisted.counter, e->persisted.error);
		break;
	case CLUSTER_EVENT_FACT:
		cluster_role_fact(c, e->fact);
		break;
	case CLUSTER_EVENT_COMMAND:
		take_command(c, e->command);
		break;
	case CLUSTER_EVENT_FENCED:
		cluster_fence_event(c, e);
		break;
	case CLUSTER_EVENT_NEWS:
		cluster_news_send(c, e);
		break;
	case CLUSTER_EVENT_GIVE_UP:
		cluster_command_give_up(c, e->command_id);
		break;
	}
}

void cluster_step(struct cluster_core *c, const struct cluster_event *event,
		  struct cluster_actions *out)
{
	out->count = 0;
	out->wake_at_ns = event->now_ns + TICK_NS;
	c->out = out;
	c->arena_used = 0;
	c->now_ns = event->now_ns;
	c->wall_ns = event->wall_ns;
	if (c->alone != NULL) {
		cluster_alone_step(c, event);
	} else {
		take(c, event);
		cluster_fence_pump(c);
		cluster_majority_pump(c);
		cluster_lease_pump(c);
		cluster_switch_pump(c);
		cluster_promote_pump(c);
		cluster_role_pump(c);
		cluster_demote_pump(c);
		cluster_command_pump(c);
		cluster_round_pump(c);
		cluster_voter_pump(c);
		cluster_join_pump(c);
	}
	cluster_check(c);
	c->out = NULL;
}

void cluster_check(const struct cluster_core *c)
{
	const struct role *r = &c->role;
	const struct view *v = cluster_view_in_effect(c);

	if (c->alone != NULL) {
		cluster_alone_check(c);
		return;
	}
	assert(c->voter.epoch != 0 && c->voter.counter >= c->persisted_counter);
	assert(!c->voter.has_accepted || c->voter.promised >= c->voter.accepted.ballot);
	assert(v == NULL || cluster_view_is_sound(v));
	assert(r->serve == SERVE_NONE || r->devices == DEVICES_OPEN);
	assert((r->serve == SERVE_NONE) == uuid_is_zero(&r->generation));
	assert(c->promote.state != PROMOTE_LEASE || r->serve == SERVE_PREPARED);
	assert(c->promote.state != PROMOTE_START || r->serve == SERVE_STARTING);
	/* D3: production waits for every copy that a current set may name. */
	if (r->serve == SERVE_SERVING && v != NULL &&
	    uuid_equal(&cluster_view_generation(v)->id, &r->generation))
		assert((cluster_copies_waited(c) & ~r->waited) == 0 || r->wait_due ||
		       c->out != NULL);
}
