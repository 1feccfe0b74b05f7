/* action.c - the actions of a step: messages, orders, replies, lines for the log.
 *
 * A step's actions are bounded. Lines for people give way when it gets tight. The protocol's
 * own actions always fit: at most a link and an unlink per site, a handful of messages and a
 * reply per waiting command.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "cluster/internal.h"

static struct cluster_action *action(struct cluster_core *c,
				     enum cluster_action_type type)
{
	struct cluster_action *a;

	assert(c->out->count < CLUSTER_ACTIONS_MAX);
	a = &c->out->action[c->out->count++];
	memset(a, 0, sizeof *a);
	a->type = type;
	return a;
}

struct order *cluster_order(struct cluster_core *c, enum order_type type)
{
	struct order *o = &action(c, CLUSTER_ACTION_ORDER)->order;

	o->type = type;
	o->id = ++c->order_count;
	return o;
}

struct message *cluster_message(struct cluster_core *c, enum message_type type)
{
	memset(&c->send, 0, sizeof c->send);
	c->send.type = type;
	return &c->send;
}

void cluster_send(struct cluster_core *c)
{
	struct cluster_action *a;

	/* Before the first configuration change nobody could hear it. */
	if (!c->joined)
		return;
	assert(ARENA_BYTES - c->arena_used >= CLUSTER_MESSAGE_MAX);
	c->send.node = c->self.node;
	c->send.incarnation = c->self.incarnation;
	c->send.config_hash = c->config->hash;
	c->send.mirror = c->voter.mirror;
	a = action(c, CLUSTER_ACTION_SEND);
	a->data = c->arena + c->arena_used;
	a->length = cluster_message_encode(c->config, &c->send, a->data);
	c->arena_used += a->length;
}

void cluster_persist(struct cluster_core *c, uint64_t counter)
{
	struct cluster_action *a = action(c, CLUSTER_ACTION_PERSIST);

	assert(ARENA_BYTES - c->arena_used >= CLUSTER_VOTER_FILE_BYTES);
	a->counter = counter;
	a->data = c->arena + c->arena_used;
	a->length = cluster_voter_encode(c->config, &c->voter, a->data);
	c->arena_used += a->length;
}

void cluster_reply(struct cluster_core *c, uint64_t id, int32_t exit_status,
		   const char *format, ...)
{
	struct cluster_action *a = action(c, CLUSTER_ACTION_REPLY);
	va_list args;

	a->command_id = id;
	a->exit_status = exit_status;
	va_start(args, format);
	vsnprintf(a->text, sizeof a->text, format, args);
	va_end(args);
}

void cluster_tell(struct cluster_core *c, const char *kind, const char *name,
		  const char *rule, const char *format, ...)
{
	struct cluster_action *a;
	va_list args;

	if (c->out->count >= EVENT_ACTIONS_MAX)
		return;
	a = action(c, CLUSTER_ACTION_EVENT);
	snprintf(a->verb, sizeof a->verb, "change");
	snprintf(a->object, sizeof a->object, "%s%s%s", kind, name[0] != 0 ? " " : "",
		 name);
	snprintf(a->rule, sizeof a->rule, "%s", rule);
	va_start(args, format);
	vsnprintf(a->text, sizeof a->text, format, args);
	va_end(args);
}

void cluster_wake(struct cluster_core *c, uint64_t at_ns)
{
	if (at_ns < c->out->wake_at_ns)
		c->out->wake_at_ns = at_ns;
}

/* splitmix64 over the seed (S. Vigna, 2015). Never 0: that says "none". */
uint64_t cluster_random(struct cluster_core *c)
{
	uint64_t z;

	c->random_count++;
	z = c->self.random[c->random_count % 4] + c->self.incarnation +
	    c->random_count * 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return z != 0 ? z : 1;
}

void cluster_uuid_make(struct cluster_core *c, struct uuid *uuid)
{
	const uint64_t half[2] = { cluster_random(c), cluster_random(c) };

	memcpy(uuid->byte, half, sizeof uuid->byte);
	/* RFC 9562, 5.4: version 4, variant 10. */
	uuid->byte[6] = (uint8_t)((uuid->byte[6] & 0x0f) | 0x40);
	uuid->byte[8] = (uint8_t)((uuid->byte[8] & 0x3f) | 0x80);
}

const char *cluster_node_name(const struct cluster_core *c, int32_t node)
{
	if (node < 0 || node >= (int32_t)c->config->node_count)
		return "a node that is not configured any more";
	return c->config->node[node].name;
}

void cluster_instance_of(const struct cluster_core *c, int32_t node,
			 char name[2 * CONFIG_NAME_MAX])
{
	if (node == VIEW_NONE || strchr(c->config->instance, '@') == NULL)
		snprintf(name, 2 * CONFIG_NAME_MAX, "%s", c->config->mirror);
	else
		snprintf(name, 2 * CONFIG_NAME_MAX, "%s@%s", c->config->mirror,
			 cluster_node_name(c, node));
}

const char *cluster_site_name(const struct cluster_core *c, int32_t site)
{
	if (site < 0 || site >= (int32_t)c->config->site_count)
		return "a site that is not configured any more";
	return c->config->site[site].name;
}

uint32_t cluster_site_bit(const struct cluster_core *c, int32_t site)
{
	return site >= 0 && site < (int32_t)c->config->site_count ? 1u << site : 0;
}
