/* cli_top_notice.c - `hamirror top`: changes that ring, mail or run a command. */
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli_top.h"

#define TOP_WHY 3u

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

/* How long the figure at `at` is, one that stands alone: "7", "1.5", and the end of "7 s."; 0: it
 * is none, or belongs to a name, an address or a time, where it matters. */
static size_t figure_length(const char *text, const char *at)
{
	static const char joined[] = "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.:-";
	const size_t length = strspn(at, joined);
	size_t digits = strspn(at, "0123456789");

	if (digits == 0 || (at > text && strchr(joined, at[-1]) != NULL))
		return 0;
	if (at[digits] == '.' && at[digits + 1] >= '0' && at[digits + 1] <= '9')
		digits += 1 + strspn(at + digits + 1, "0123456789");
	return length == digits || (length == digits + 1 && strchr(".:", at[digits])) ?
		       digits :
		       0;
}

/* The sentences; for comparing, without their figures. */
static void sentences(json_t *state, bool figures, char out[TOP_SEEN_BYTES])
{
	size_t at = 0, i;
	json_t *text;

	json_array_foreach(json_object_get(state, "why"), i, text)
	{
		const char *whole = json_string_value(text);

		if (at > 0 && at + 1 < TOP_SEEN_BYTES)
			out[at++] = ' ';
		for (const char *c = whole; *c != '\0' && at + 1 < TOP_SEEN_BYTES; c++) {
			const size_t skip = figures ? 0 : figure_length(whole, c);

			if (skip > 0)
				c += skip - 1;
			else
				out[at++] = *c;
		}
	}
	out[at] = '\0';
}

/* What is compared: a word for role, data and link, and the sentences. */
static void look(json_t *state, char seen[TOP_CHANGE_COUNT][TOP_SEEN_BYTES])
{
	const char *data = json_string_value(json_object_get(state, "data"));

	snprintf(seen[0], TOP_SEEN_BYTES, "%s", top_role(state));
	snprintf(seen[1], TOP_SEEN_BYTES, "%s", data != NULL ? data : "-");
	snprintf(seen[2], TOP_SEEN_BYTES, "%s", top_link(state));
	sentences(state, false, seen[TOP_WHY]);
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
	char seen[TOP_CHANGE_COUNT][TOP_SEEN_BYTES], why[TOP_SEEN_BYTES];

	if (t->notice_count == 0 || m->state_count == f->seen_count)
		return;
	look(m->state, seen);
	sentences(m->state, true, why);
	for (unsigned c = 0; c < TOP_CHANGE_COUNT; c++)
		if (f->seen_count != 0 && strcmp(seen[c], f->seen[c]) != 0)
			tell(t, m->instance.name, c,
			     c != TOP_WHY   ? seen[c] :
			     why[0] != '\0' ? why :
					      "All is well.");
	memcpy(f->seen, seen, sizeof seen);
	f->seen_count = m->state_count;
}
