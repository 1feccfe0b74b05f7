/* presence.c - see presence.h. */
#include "agent/presence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <qb/qbloop.h>

#include "agent/files.h"

#define LOOK_NS 1000000000ull

/* A trouble that lasts is told once. */
static void tell_once(struct agent_presence *p, uint32_t file, int rc, const char *text)
{
	if (rc > 0 || (rc < 0 && rc != p->told[file]))
		p->tell(p->owner, text);
	p->told[file] = rc < 0 ? rc : 0;
}

static int keep_socket(struct agent_presence *p, char *text, size_t text_size)
{
	int rc = agent_control_check(p->control);

	if (rc == -ENOENT &&
	    agent_make_directory_for(p->instance, AGENT_PATH_RUN, text, text_size) == 0)
		rc = agent_control_check(p->control);
	if (rc < 0)
		snprintf(text, text_size, "the socket cannot be made again: %s",
			 strerror(-rc));
	else if (rc > 0)
		snprintf(text, text_size, "the socket was gone and is made again");
	return rc;
}

static void look(void *data)
{
	struct agent_presence *p = data;
	char text[PATH_MAX + 256];

	tell_once(p, 0, agent_lock_keep(p->instance, p->lock_fd, text, sizeof text),
		  text);
	tell_once(p, 1, agent_pid_keep(p->instance, text, sizeof text), text);
	tell_once(p, 2, keep_socket(p, text, sizeof text), text);
	if (agent_presence_keep(p) != 0)
		p->tell(p->owner, "no memory for a timer: removed files stay removed");
}

int agent_presence_keep(struct agent_presence *p)
{
	qb_loop_timer_handle timer;

	return qb_loop_timer_add(p->loop, QB_LOOP_LOW, LOOK_NS, p, look, &timer) == 0 ?
		       0 :
		       -ENOMEM;
}
