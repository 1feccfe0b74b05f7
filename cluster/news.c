/* news.c - lines of one member's event log, told to the others (P4-98). They are for people:
 * nothing is decided by them. */
#include <stdio.h>

#include "cluster/internal.h"

void cluster_news_send(struct cluster_core *c, const struct cluster_event *e)
{
	struct message *m = cluster_message(c, MESSAGE_NEWS);

	snprintf(m->news.object, sizeof m->news.object, "%s", e->news.object);
	snprintf(m->news.text, sizeof m->news.text, "%s", e->news.text);
	snprintf(m->news.rule, sizeof m->news.rule, "%s", e->news.rule);
	cluster_send(c);
}

bool cluster_news_may(const struct cluster_core *c)
{
	return c->joined;
}

void cluster_news_take(struct cluster_core *c, uint32_t node, const struct message *m)
{
	if (node == c->self.node)
		return;
	cluster_tell(c, "member", cluster_node_name(c, (int32_t)node), m->news.rule,
		     "%s %s", m->news.object, m->news.text);
}
