/* switch.c - see switch.h. */
#include "agent/switch.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <qb/qbloop.h>

#include "common/clock_driver.h"

#define NS_PER_MS 1000000ull
#define CATCH_UP_LOOK_MS 50
#define FOLLOW_LOOK_MS 5
#define FOLLOW_MS 10000 /* a promotion of a site that has all takes a second at most */
#define BACK_MS 30000
#define DEMOTE_MS 5000 /* then this host serves on */

enum switch_state {
	SWITCH_NONE,
	SWITCH_CATCH_UP,
	SWITCH_DEMOTE,
	SWITCH_FOLLOW,
	SWITCH_BACK,
};

struct agent_switch {
	struct qb_loop *loop;
	const struct config *config;
	struct agent_switch_owner owner;
	enum switch_state state;
	struct agent_node *node;
	uint64_t id;
	uint32_t site;
	enum agent_switch_part part;
	bool waited;       /* in the catch-up */
	uint64_t until_ns; /* of the state */
	uint64_t begun_ns; /* the demotion */
	bool timed;
	qb_loop_timer_handle timer;
	char text[512]; /* BACK: why */
};

static void look(void *data);

static uint64_t now_ns(void)
{
	return common_clock_ns(CLOCK_BOOTTIME);
}

static void set_state(struct agent_switch *s, enum switch_state state)
{
	static const uint8_t legal[] = {
		[SWITCH_NONE] = 1 << SWITCH_CATCH_UP | 1 << SWITCH_FOLLOW,
		[SWITCH_CATCH_UP] = 1 << SWITCH_NONE | 1 << SWITCH_DEMOTE,
		[SWITCH_DEMOTE] = 1 << SWITCH_NONE | 1 << SWITCH_FOLLOW |
				  1 << SWITCH_BACK,
		[SWITCH_FOLLOW] = 1 << SWITCH_NONE | 1 << SWITCH_BACK,
		[SWITCH_BACK] = 1 << SWITCH_NONE,
	};

	assert((legal[s->state] >> state & 1) != 0);
	s->state = state;
}

static void stop_looking(struct agent_switch *s)
{
	if (s->timed)
		qb_loop_timer_del(s->loop, s->timer);
	s->timed = false;
}

static void look_in(struct agent_switch *s, uint64_t ms)
{
	stop_looking(s);
	s->timed = qb_loop_timer_add(s->loop, QB_LOOP_HIGH, ms * NS_PER_MS, s, look,
				     &s->timer) == 0;
}

static const char *site_name(const struct agent_switch *s)
{
	return s->config->site[s->site].name;
}

__attribute__((format(printf, 4, 5))) static void end(struct agent_switch *s,
						      int exit_status, int64_t stall_ms,
						      const char *format, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	stop_looking(s);
	set_state(s, SWITCH_NONE);
	s->owner.ended(s->owner.owner, s->id, exit_status, stall_ms, text);
}

static void command(struct agent_switch *s, enum cluster_command_type type, int32_t site)
{
	const struct cluster_command c = {
		.type = type, .id = s->id, .site = site, .wait_ms = DEMOTE_MS
	};

	agent_node_command(s->node, &c);
}

static bool follows(const struct agent_switch *s, bool *may_promote)
{
	struct cluster_status *status = calloc(1, sizeof *status);
	const struct generation *newest;
	bool serves = false;

	*may_promote = false;
	if (status != NULL) {
		agent_node_members_get(s->node, status);
		newest = history_newest(&status->history);
		*may_promote = status->sites[s->site].may_promote;
		serves = status->production_site == (int32_t)s->site &&
			 status->production_node >= 0 && newest != NULL &&
			 newest->site == s->site;
	}
	free(status);
	return serves;
}

/* From the last answer here; or, where clients were idle, from the demotion on. */
static int64_t stall_ms(const struct agent_switch *s)
{
	const uint64_t answered_ns = agent_node_answered_ns(s->node);

	return (int64_t)((now_ns() -
			  (answered_ns > s->begun_ns ? answered_ns : s->begun_ns)) /
			 NS_PER_MS);
}

static void end_followed(struct agent_switch *s)
{
	const int64_t ms = stall_ms(s);

	end(s, 0, ms, "%s is production: no write was answered for %lld ms", site_name(s),
	    (long long)ms);
}

__attribute__((format(printf, 2, 3))) static void go_back(struct agent_switch *s,
							  const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(s->text, sizeof s->text, format, ap);
	va_end(ap);
	set_state(s, SWITCH_BACK);
	s->until_ns = now_ns() + BACK_MS * NS_PER_MS;
	look_in(s, BACK_MS);
	command(s, CLUSTER_COMMAND_PROMOTE, -1);
}

/* ---- the states ---------------------------------------------------------------- */

static void catch_up(struct agent_switch *s)
{
	char text[512];
	const int error = agent_node_switch_check(s->node, s->site, text, sizeof text);

	if (error == 0 && s->part == SWITCH_ONLY_CATCH_UP) {
		end(s, 0, -1, "%s is near enough", site_name(s));
	} else if (error == 0) {
		set_state(s, SWITCH_DEMOTE);
		s->begun_ns = now_ns();
		command(s, CLUSTER_COMMAND_DEMOTE, (int32_t)s->site);
	} else if (error != -EAGAIN && !(error == -ENOTCONN && s->waited)) {
		end(s, error == -EALREADY ? 0 : 1, -1, "%s", text);
	} else if (now_ns() >= s->until_ns) {
		end(s, 1, -1,
		    "%s was not near enough in the time given: %s; nothing has changed, and "
		    "--wait gives it more time",
		    site_name(s), text);
	} else {
		s->waited = true;
		look_in(s, CATCH_UP_LOOK_MS);
	}
}

static void follow(struct agent_switch *s)
{
	bool may_promote;

	if (follows(s, &may_promote))
		end_followed(s);
	else if (now_ns() < s->until_ns)
		look_in(s, FOLLOW_LOOK_MS);
	else if (s->part == SWITCH_ONLY_FOLLOW)
		end(s, 1, -1, "%s is not production in the time given", site_name(s));
	else
		go_back(s,
			"%s did not begin to serve within %d s; the events there tell "
			"the cause",
			site_name(s), FOLLOW_MS / 1000);
}

static void look(void *data)
{
	struct agent_switch *s = data;

	s->timed = false;
	switch (s->state) {
	case SWITCH_CATCH_UP:
		catch_up(s);
		break;
	case SWITCH_FOLLOW:
		follow(s);
		break;
	case SWITCH_BACK:
		agent_node_give_up(s->node, s->id);
		break;
	case SWITCH_NONE:
	case SWITCH_DEMOTE:
		break;
	}
}

static void demoted(struct agent_switch *s, int exit_status, const char *text)
{
	bool may_promote;

	if (exit_status != 0) {
		end(s, 1, -1, "%s; this host serves on", text);
		return;
	}
	follows(s, &may_promote);
	if (!may_promote) {
		go_back(s, "%s has not all of it: %s", site_name(s), text);
		return;
	}
	set_state(s, SWITCH_FOLLOW);
	s->until_ns = now_ns() + FOLLOW_MS * NS_PER_MS;
	follow(s);
}

static void went_back(struct agent_switch *s, int exit_status, const char *text)
{
	bool may_promote;

	if (exit_status == 0)
		end(s, 1, -1, "%s; this host serves again", s->text);
	else if (follows(s, &may_promote))
		end_followed(s);
	else
		end(s, 1, -1, "%s; and this host is not production any more: %s", s->text,
		    text);
}

/* ---- from outside ------------------------------------------------------------------ */

void agent_switch_begin(struct agent_switch *s, struct agent_node *node, uint64_t id,
			uint32_t site, uint32_t wait_ms, enum agent_switch_part part)
{
	assert(s->state == SWITCH_NONE);
	s->node = node;
	s->id = id;
	s->site = site;
	s->waited = false;
	s->text[0] = '\0';
	s->part = part;
	s->begun_ns = now_ns();
	s->until_ns = s->begun_ns + wait_ms * NS_PER_MS;
	set_state(s, part == SWITCH_ONLY_FOLLOW ? SWITCH_FOLLOW : SWITCH_CATCH_UP);
	look(s);
}

void agent_switch_reply(struct agent_switch *s, int exit_status, const char *text)
{
	if (s->state == SWITCH_DEMOTE)
		demoted(s, exit_status, text);
	else if (s->state == SWITCH_BACK)
		went_back(s, exit_status, text);
}

bool agent_switch_gone(struct agent_switch *s)
{
	if (s->state != SWITCH_CATCH_UP && s->part != SWITCH_ONLY_FOLLOW)
		return false;
	stop_looking(s);
	set_state(s, SWITCH_NONE);
	return true;
}

uint64_t agent_switch_id(const struct agent_switch *s)
{
	return s->state != SWITCH_NONE ? s->id : 0;
}

struct agent_switch *agent_switch_open(struct qb_loop *loop, const struct config *config,
				       const struct agent_switch_owner *owner)
{
	struct agent_switch *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->config = config;
	s->owner = *owner;
	return s;
}

void agent_switch_close(struct agent_switch *s)
{
	if (s != NULL)
		stop_looking(s);
	free(s);
}
