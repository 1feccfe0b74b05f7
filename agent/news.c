/* news.c - see news.h. */
#include "agent/news.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <qb/qbloop.h>

#include "agent/events.h"
#include "agent/node.h"
#include "common/clock_driver.h"

#define WAITING_MAX 16u
#define TOKENS_MAX 16u
#define TOKEN_NS 500000000ull /* until another line may be told */
/* Corosync is busy, or nobody is there: twice as long each time, until an event comes. */
#define RETRY_NS 200000000ull
#define RETRY_NS_MAX 60000000000ull

struct line {
	char object[CONFIG_NAME_MAX], text[256], rule[CONFIG_NAME_MAX];
};

struct agent_news {
	struct agent_follower follower; /* first: it is cast */
	struct qb_loop *loop;
	struct agent_events *events;
	struct agent_node *node;
	struct line waiting[WAITING_MAX]; /* a ring, from `first` on */
	uint32_t first, count;
	uint32_t tokens, left_out;
	uint64_t token_ns; /* CLOCK_BOOTTIME of the last one */
	uint64_t retry_ns;
	qb_loop_timer_handle timer;
	bool timer_set, waits; /* the timer is that of a line that was not taken */
};

static void flush(void *data);

static void flush_after(struct agent_news *n, uint64_t ns)
{
	if (!n->timer_set)
		n->timer_set = qb_loop_timer_add(n->loop, QB_LOOP_LOW, ns, n, flush,
						 &n->timer) == 0;
}

/* An event: it may be that of a peer that is there now. */
static void try_again_soon(struct agent_news *n)
{
	n->retry_ns = RETRY_NS;
	if (!n->waits)
		return;
	qb_loop_timer_del(n->loop, n->timer);
	n->timer_set = false;
	n->waits = false;
	flush_after(n, RETRY_NS);
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Each member counts votes and hears of fencings by itself. */
static bool is_known_to_all(const struct agent_event *event)
{
	return event->others_know || begins_with(event->object, "member ") ||
	       strcmp(event->object, "quorum") == 0;
}

static void added(struct agent_follower *f, const struct agent_event *event)
{
	struct agent_news *n = (struct agent_news *)f;
	struct line *line;

	try_again_soon(n);
	if (is_known_to_all(event))
		return;
	if (n->count == WAITING_MAX) {
		n->first++;
		n->count--;
		n->left_out++;
	}
	line = &n->waiting[(n->first + n->count++) % WAITING_MAX];
	snprintf(line->object, sizeof line->object, "%s", event->object);
	snprintf(line->text, sizeof line->text, "%s", event->text);
	snprintf(line->rule, sizeof line->rule, "%s", event->rule);
	if (n->node != NULL)
		flush_after(n, 0);
}

static void fill_tokens(struct agent_news *n)
{
	const uint64_t now_ns = common_clock_ns(CLOCK_BOOTTIME);
	const uint64_t more = (now_ns - n->token_ns) / TOKEN_NS;

	n->token_ns += more * TOKEN_NS;
	n->tokens = more >= TOKENS_MAX - n->tokens ? TOKENS_MAX :
						     n->tokens + (uint32_t)more;
}

/* Tell how many were left out, once there is room again. Returns false: later. */
static bool tell_left_out(struct agent_news *n)
{
	char text[64];

	if (n->left_out == 0 || n->count > 0)
		return true;
	snprintf(text, sizeof text, "%u more lines stand in its own log alone",
		 n->left_out);
	if (!agent_node_tell(n->node, "events", text, ""))
		return false;
	n->left_out = 0;
	n->tokens--;
	return true;
}

static void flush(void *data)
{
	struct agent_news *n = data;
	bool taken = true;

	n->timer_set = false;
	n->waits = false;
	if (n->node == NULL)
		return;
	fill_tokens(n);
	while (n->count > 0 && n->tokens > 0 && taken) {
		const struct line *line = &n->waiting[n->first % WAITING_MAX];

		taken = agent_node_tell(n->node, line->object, line->text, line->rule);
		if (taken) {
			n->first++;
			n->count--;
			n->tokens--;
		}
	}
	if (taken && n->tokens > 0)
		taken = tell_left_out(n);
	if (n->count == 0 && n->left_out == 0)
		return;
	if (taken) {
		n->retry_ns = RETRY_NS;
		flush_after(n, TOKEN_NS);
	} else if (!n->timer_set) {
		flush_after(n, n->retry_ns);
		n->waits = true;
		n->retry_ns = n->retry_ns < RETRY_NS_MAX / 2 ? n->retry_ns * 2 :
							       RETRY_NS_MAX;
	}
}

struct agent_news *agent_news_open(struct qb_loop *loop, struct agent_events *events)
{
	struct agent_news *n = calloc(1, sizeof *n);

	if (n == NULL)
		return NULL;
	n->follower.added = added;
	n->loop = loop;
	n->events = events;
	n->tokens = TOKENS_MAX;
	n->retry_ns = RETRY_NS;
	n->token_ns = common_clock_ns(CLOCK_BOOTTIME);
	agent_events_follow(events, &n->follower);
	return n;
}

void agent_news_set_node(struct agent_news *n, struct agent_node *node)
{
	n->node = node;
	if (node != NULL && n->count > 0)
		flush_after(n, 0);
}

void agent_news_close(struct agent_news *n)
{
	if (n == NULL)
		return;
	agent_events_unfollow(n->events, &n->follower);
	if (n->timer_set)
		qb_loop_timer_del(n->loop, n->timer);
	free(n);
}
