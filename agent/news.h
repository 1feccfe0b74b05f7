/* news.h - our own events go to the other members of the cluster; without one, over the line
 * to the hosts that we are linked with.
 *
 * A line of our event log that no other member writes by itself, such as the failure of a
 * device or a link that is refused, is told to the members' group: each of them has it in its
 * own log, as one of "member NAME". What the members' core tells everywhere is not told again,
 * nor what was heard, so no line goes round.
 *
 * It is bounded: 16 lines at once, then two a second; the rest is counted, and the number is
 * told. While Corosync takes no messages, or the line is not up, they wait, the oldest give
 * way; it is tried less and less often, and soon again after an event, such as that of a link
 * that is up. Source: docs/sources.md (P4-98).
 */
#ifndef AGENT_NEWS_H
#define AGENT_NEWS_H

struct qb_loop;
struct agent_events;
struct agent_news;
struct agent_node;

/* Follow `events`; these and `loop` outlive it. NULL: no memory. */
struct agent_news *agent_news_open(struct qb_loop *loop, struct agent_events *events);

/* Tell them through `node` from now on, and those that wait; NULL: no more. */
void agent_news_set_node(struct agent_news *n, struct agent_node *node);

/* NULL is fine. */
void agent_news_close(struct agent_news *n);

#endif
