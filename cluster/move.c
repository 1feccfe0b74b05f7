/* move.c - see move.h. */
#include "cluster/move.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cluster/internal.h"

static void set_state(struct cluster_move *m, enum cluster_move_state state)
{
	static const uint8_t legal[] = {
		[MOVE_NONE] = 1 << MOVE_CATCH_UP | 1 << MOVE_FOLLOW,
		[MOVE_CATCH_UP] = 1 << MOVE_NONE | 1 << MOVE_DEMOTE,
		[MOVE_DEMOTE] = 1 << MOVE_NONE | 1 << MOVE_FOLLOW | 1 << MOVE_BACK,
		[MOVE_FOLLOW] = 1 << MOVE_NONE | 1 << MOVE_BACK,
		[MOVE_BACK] = 1 << MOVE_NONE,
	};

	assert((legal[m->state] >> state & 1) != 0);
	m->state = state;
}

static const char *site_name(const struct cluster_move *m)
{
	return m->config->site[m->site].name;
}

static void look_at(struct cluster_move_action *a, uint64_t at_ns)
{
	a->type = MOVE_ACTION_LOOK;
	a->look_at_ns = at_ns;
}

static void command(const struct cluster_move *m, struct cluster_move_action *a,
		    enum cluster_command_type type, int32_t site)
{
	a->type = MOVE_ACTION_COMMAND;
	a->command = (struct cluster_command){
		.type = type, .id = m->id, .site = site, .wait_ms = MOVE_DEMOTE_MS
	};
}

__attribute__((format(printf, 4, 5))) static void end(struct cluster_move *m,
						      struct cluster_move_action *a,
						      int32_t exit_status,
						      const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(a->text, sizeof a->text, format, ap);
	va_end(ap);
	a->type = MOVE_ACTION_END;
	a->exit_status = exit_status;
	set_state(m, MOVE_NONE);
}

/* The site serves, by a generation of its own. */
static bool follows(const struct cluster_move *m, const struct cluster_status *status)
{
	const struct generation *newest = history_newest(&status->history);

	return status->production_site == (int32_t)m->site &&
	       status->production_node >= 0 && newest != NULL && newest->site == m->site;
}

/* From the last answer here; or, where clients were idle, from the demotion on. */
static void end_followed(struct cluster_move *m, const struct cluster_move_event *e,
			 struct cluster_move_action *a)
{
	const uint64_t since_ns = e->answered_ns > m->begun_ns ? e->answered_ns :
								 m->begun_ns;

	a->stall_ms = (int64_t)((e->now_ns - since_ns) / NS_PER_MS);
	end(m, a, 0, "%s is production: no write was answered for %lld ms", site_name(m),
	    (long long)a->stall_ms);
}

__attribute__((format(printf, 4, 5))) static void go_back(
	struct cluster_move *m, const struct cluster_move_event *e,
	struct cluster_move_action *a, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(m->text, sizeof m->text, format, ap);
	va_end(ap);
	if (m->demoted) {
		end(m, a, 1, "%s; this host was demoted meanwhile, and stays so",
		    m->text);
		return;
	}
	set_state(m, MOVE_BACK);
	m->until_ns = e->now_ns + MOVE_BACK_MS * NS_PER_MS;
	command(m, a, CLUSTER_COMMAND_PROMOTE, VIEW_NONE);
	a->look_at_ns = m->until_ns;
}

/* ---- the states ---------------------------------------------------------------- */

static void catch_up(struct cluster_move *m, const struct cluster_move_event *e,
		     struct cluster_move_action *a)
{
	if (e->near == 0 && m->part == MOVE_ONLY_CATCH_UP) {
		end(m, a, 0, "%s is near enough", site_name(m));
	} else if (e->near == 0) {
		set_state(m, MOVE_DEMOTE);
		m->begun_ns = e->now_ns;
		command(m, a, CLUSTER_COMMAND_DEMOTE, (int32_t)m->site);
	} else if (e->near != -EAGAIN && !(e->near == -ENOTCONN && m->waited)) {
		end(m, a, e->near == -EALREADY ? 0 : 1, "%s", e->near_text);
	} else if (e->now_ns >= m->until_ns) {
		end(m, a, 1,
		    "%s was not near enough in the time given: %s; nothing has changed, and "
		    "--wait gives it more time",
		    site_name(m), e->near_text);
	} else {
		m->waited = true;
		look_at(a, e->now_ns + MOVE_CATCH_UP_LOOK_MS * NS_PER_MS);
	}
}

static void follow(struct cluster_move *m, const struct cluster_move_event *e,
		   struct cluster_move_action *a)
{
	if (follows(m, e->status))
		end_followed(m, e, a);
	else if (e->now_ns < m->until_ns)
		look_at(a, e->now_ns + MOVE_FOLLOW_LOOK_MS * NS_PER_MS);
	else if (m->part == MOVE_ONLY_FOLLOW)
		end(m, a, 1, "%s is not production in the time given", site_name(m));
	else
		go_back(m, e, a,
			"%s did not begin to serve within %d s; the events there tell "
			"the cause",
			site_name(m), MOVE_FOLLOW_MS / 1000);
}

static void look(struct cluster_move *m, const struct cluster_move_event *e,
		 struct cluster_move_action *a)
{
	switch (m->state) {
	case MOVE_CATCH_UP:
		catch_up(m, e, a);
		break;
	case MOVE_FOLLOW:
		follow(m, e, a);
		break;
	case MOVE_BACK:
		if (e->now_ns >= m->until_ns)
			a->type = MOVE_ACTION_GIVE_UP;
		else
			look_at(a, m->until_ns);
		break;
	case MOVE_NONE:
	case MOVE_DEMOTE:
		break;
	}
}

static void demoted(struct cluster_move *m, const struct cluster_move_event *e,
		    struct cluster_move_action *a)
{
	if (e->reply.exit_status != 0) {
		end(m, a, 1, "%s; this host serves on", e->reply.text);
	} else if (!e->status->sites[m->site].may_promote) {
		go_back(m, e, a, "%s has not all of it: %s", site_name(m), e->reply.text);
	} else {
		set_state(m, MOVE_FOLLOW);
		m->until_ns = e->now_ns + MOVE_FOLLOW_MS * NS_PER_MS;
		follow(m, e, a);
	}
}

static void went_back(struct cluster_move *m, const struct cluster_move_event *e,
		      struct cluster_move_action *a)
{
	if (e->reply.exit_status == 0)
		end(m, a, 1, "%s; this host serves again", m->text);
	else if (follows(m, e->status))
		end_followed(m, e, a);
	else
		end(m, a, 1, "%s; and this host is not production any more: %s", m->text,
		    e->reply.text);
}

static void begin(struct cluster_move *m, const struct cluster_move_event *e,
		  struct cluster_move_action *a)
{
	assert(m->state == MOVE_NONE);
	m->id = e->begin.id;
	m->site = e->begin.site;
	m->part = e->begin.part;
	m->waited = m->demoted = false;
	m->begun_ns = e->now_ns;
	m->until_ns = e->now_ns + e->begin.wait_ms * NS_PER_MS;
	set_state(m, m->part == MOVE_ONLY_FOLLOW ? MOVE_FOLLOW : MOVE_CATCH_UP);
	look(m, e, a);
}

static void gone(struct cluster_move *m, struct cluster_move_action *a)
{
	if (m->state != MOVE_CATCH_UP &&
	    !(m->state == MOVE_FOLLOW && m->part == MOVE_ONLY_FOLLOW))
		return;
	a->type = MOVE_ACTION_CALLED_OFF;
	set_state(m, MOVE_NONE);
}

void cluster_move_init(struct cluster_move *m, const struct config *config)
{
	*m = (struct cluster_move){ .config = config };
}

void cluster_move_step(struct cluster_move *m, const struct cluster_move_event *event,
		       struct cluster_move_action *a)
{
	*a = (struct cluster_move_action){ .type = MOVE_ACTION_NONE, .stall_ms = -1 };
	switch (event->type) {
	case MOVE_EVENT_BEGIN:
		begin(m, event, a);
		break;
	case MOVE_EVENT_LOOK:
		look(m, event, a);
		break;
	case MOVE_EVENT_REPLY:
		if (m->state == MOVE_DEMOTE)
			demoted(m, event, a);
		else if (m->state == MOVE_BACK)
			went_back(m, event, a);
		break;
	case MOVE_EVENT_GONE:
		gone(m, a);
		break;
	case MOVE_EVENT_DEMOTED:
		/* Who ended production here does not want it back. On the way back the
		 * core calls the promotion off. */
		m->demoted |= m->state == MOVE_DEMOTE || m->state == MOVE_FOLLOW;
		break;
	}
}
