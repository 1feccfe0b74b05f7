/* cli_top_notice.c - `hamirror top`: changes that ring, mail or run a command. */
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli_top.h"

static const char *const changes[TOP_CHANGE_COUNT] = { "role", "data", "link", "why" };

/* One of the changes, or "any"; then "=" and what is done. */
bool top_notice_parse(const char *text, struct top_notice *n)
{
	const char *action = strchr(text, '=');
	const size_t length = action != NULL ? (size_t)(action - text) : 0;

	*n = (struct top_notice){ 0 };
	for (unsigned c = 0; c < TOP_CHANGE_COUNT; c++)
		if ((length == strlen(changes[c]) &&
		     strncmp(text, changes[c], length) == 0) ||
		    (length == 3 && strncmp(text, "any", 3) == 0))
			n->changes |= 1u << c;
	if (n->changes == 0)
		return false;
	n->action = action + 1;
	return strcmp(n->action, "beep") == 0 ||
	       (strncmp(n->action, "mail:", 5) == 0 && n->action[5] != '\0') ||
	       (strncmp(n->action, "run:", 4) == 0 && n->action[4] != '\0');
}

/* In a process that is nobody's child when it ends, so that nobody waits for it. */
static void run(const char *action, const char *mirror, const char *change,
		const char *text)
{
	const bool mails = strncmp(action, "mail:", 5) == 0;
	pid_t pid = fork();

	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (pid != 0)
		return;
	if (fork() != 0)
		_exit(0);
	if (freopen("/dev/null", "r", stdin) == NULL ||
	    freopen("/dev/null", "w", stdout) == NULL ||
	    freopen("/dev/null", "w", stderr) == NULL)
		_exit(1);
	setsid();
	setenv("HAMIRROR_MIRROR", mirror, 1);
	setenv("HAMIRROR_CHANGE", change, 1);
	setenv("HAMIRROR_TEXT", text, 1);
	setenv("HAMIRROR_MAIL", mails ? action + 5 : "", 1);
	execl("/bin/sh", "sh", "-c",
	      mails ? "printf 'To: %s\\nSubject: hamirror %s: %s\\n\\n%s\\n' "
		      "\"$HAMIRROR_MAIL\" \"$HAMIRROR_MIRROR\" \"$HAMIRROR_CHANGE\" "
		      "\"$HAMIRROR_TEXT\" | PATH=$PATH:/usr/sbin:/usr/lib sendmail -t" :
		      action + 4,
	      (char *)NULL);
	_exit(1);
}

/* What is compared: a word for role, data and link, the sentences without their numbers. */
static void look(json_t *state, char seen[TOP_CHANGE_COUNT][TOP_SEEN_BYTES])
{
	const char *data = json_string_value(json_object_get(state, "data"));
	size_t at = 0, i;
	json_t *text;

	snprintf(seen[0], TOP_SEEN_BYTES, "%s", top_role(state));
	snprintf(seen[1], TOP_SEEN_BYTES, "%s", data != NULL ? data : "-");
	snprintf(seen[2], TOP_SEEN_BYTES, "%s", top_link(state));
	json_array_foreach(json_object_get(state, "why"), i, text)
	{
		for (const char *c = json_string_value(text); *c != '\0'; c++)
			if ((*c < '0' || *c > '9') && at + 2 < TOP_SEEN_BYTES)
				seen[3][at++] = *c;
		seen[3][at++] = ' ';
		if (at + 2 > TOP_SEEN_BYTES)
			break;
	}
	seen[3][at < TOP_SEEN_BYTES ? at : TOP_SEEN_BYTES - 1] = '\0';
}

static void tell(const struct top *t, const char *mirror, unsigned change,
		 const char *text)
{
	for (uint32_t n = 0; n < t->notice_count; n++) {
		if ((t->notice[n].changes >> change & 1) == 0)
			continue;
		if (strcmp(t->notice[n].action, "beep") == 0)
			beep();
		else
			run(t->notice[n].action, mirror, changes[change], text);
	}
}

void top_notice_take(struct top *t, size_t i)
{
	struct cli_feed_mirror *m = &t->feed.mirror[i];
	struct top_figures *f = &t->figures[i];
	char seen[TOP_CHANGE_COUNT][TOP_SEEN_BYTES];

	if (t->notice_count == 0 || m->state_count == f->seen_count)
		return;
	look(m->state, seen);
	for (unsigned c = 0; c < TOP_CHANGE_COUNT; c++)
		if (f->seen_count != 0 && strcmp(seen[c], f->seen[c]) != 0)
			tell(t, m->instance.name, c,
			     seen[c][0] != '\0' ? seen[c] : "All is well.");
	memcpy(f->seen, seen, sizeof seen);
	f->seen_count = m->state_count;
}
