/* cli_top.c - `hamirror top`: keys, and commands that are run for them. */
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli_top.h"
#include "agent/cli_all.h"
#include "common/clock_driver.h"

#define KEY_ESCAPE 27

static volatile sig_atomic_t ended;
static int woken; /* an eventfd: ends the next wait where a signal came before it */
static struct sigaction curses; /* what ncurses does when the terminal changes its size */

static void on_signal(int number)
{
	if (number == SIGWINCH)
		curses.sa_handler(number);
	else
		ended = 1;
	eventfd_write(woken, 1);
}

/* The command that runs now; its output is read until it ends. */
struct running {
	pid_t pid; /* 0: none */
	int fd;
	int epoll; /* of our input, of signals, and of `fd` */
	char output[512];
	size_t length;
};

static const struct {
	int key;
	const char *command; /* before the mirror's name, and behind it */
	const char *more;
} actions[] = {
	{ 'p', "promote", NULL }, { 'd', "demote", NULL },
	{ 'c', "connect", NULL }, { 'x', "disconnect", NULL },
	{ 'b', "bypass", "on" },  { 'B', "bypass end at", "off" },
	{ 'r', "refresh", NULL },
};

/* ---- commands -------------------------------------------------------------- */

static void become(const char *command, const char *more, const char *name, int out)
{
	char verb[32];
	const char *argv[] = { "hamirror", verb, name, more, NULL };

	snprintf(verb, sizeof verb, "%.*s", (int)strcspn(command, " "), command);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close(STDIN_FILENO);
	execv("/proc/self/exe", (char *const *)(void *)argv);
	_exit(CLI_REFUSED);
}

static void run(struct top *t, struct running *r, const char *command, const char *more)
{
	const char *name = t->feed.mirror[t->order[t->chosen]].instance.name;
	struct epoll_event event = { .events = EPOLLIN };
	int ends[2];

	if (r->pid != 0) {
		snprintf(t->note, sizeof t->note, "another command runs still");
		return;
	}
	if (pipe2(ends, O_CLOEXEC) != 0)
		return;
	r->pid = fork();
	if (r->pid == 0)
		become(command, more, name, ends[1]);
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	if (r->pid < 0) {
		r->pid = 0;
		close(ends[0]);
		return;
	}
	r->fd = event.data.fd = ends[0];
	r->length = 0;
	epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->fd, &event);
	snprintf(t->note, sizeof t->note, "%s %s ...", command, name);
}

/* Its output, and when that ends, its exit. */
static void follow(struct top *t, struct running *r)
{
	const size_t room = sizeof r->output - 1 - r->length;
	char waste[256];
	ssize_t n;
	int status;

	if (r->pid == 0)
		return;
	n = read(r->fd, room > 0 ? r->output + r->length : waste,
		 room > 0 ? room : sizeof waste);
	if (n < 0)
		return;
	r->length += room > 0 ? (size_t)n : 0;
	if (n > 0)
		return;
	close(r->fd); /* and with it epoll forgets it */
	waitpid(r->pid, &status, 0);
	r->pid = 0;
	r->output[r->length] = '\0';
	for (size_t i = 0; i < r->length; i++)
		if (r->output[i] == '\n')
			r->output[i] = ' ';
	snprintf(t->note, sizeof t->note, "%s",
		 r->length > 0                                 ? r->output :
		 WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "done" :
								 "refused");
	cli_feed_ask(&t->feed, NULL);
}

/* ---- keys ------------------------------------------------------------------ */

/* The place in `actions` of the question that waits. */
static size_t action_of(const char *ask)
{
	size_t i = 0;

	while (actions[i].command != ask)
		i++;
	return i;
}

static void choose(struct top *t, int by)
{
	if (by < 0 && t->chosen > 0)
		t->chosen--;
	if (by > 0 && t->chosen + 1 < t->feed.count)
		t->chosen++;
}

static void take_sort_or_action(struct top *t, int key)
{
	static const char sorts[] = "ntlwu";
	const char *sort = key > 0 && key < 128 ? strchr(sorts, key) : NULL;

	if (sort != NULL)
		t->sort = (enum top_sort)(sort - sorts);
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (actions[i].key == key)
			t->ask = actions[i].command;
	top_sort(t);
}

static void take_key(struct top *t, struct running *r, int key)
{
	const char *ask = t->ask;
	size_t action;

	t->ask = NULL;
	t->help = false;
	if (ask != NULL) {
		action = action_of(ask);
		if (key == 'y')
			run(t, r, actions[action].command, actions[action].more);
		return;
	}
	t->note[0] = '\0';
	switch (key) {
	case 'q':
		ended = 1;
		break;
	case 'h':
	case '?':
		t->help = true;
		break;
	case KEY_UP:
	case 'k':
		choose(t, -1);
		break;
	case KEY_DOWN:
	case 'j':
		choose(t, 1);
		break;
	case KEY_ENTER:
	case '\n':
	case '\r':
		t->page = true;
		break;
	case KEY_ESCAPE:
	case KEY_LEFT:
	case KEY_BACKSPACE:
		t->page = false;
		break;
	default:
		take_sort_or_action(t, key);
		break;
	}
}

/* ---- the screen ------------------------------------------------------------ */

static bool screen_begin(struct top *t)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const char *no_color = getenv("NO_COLOR");

	setlocale(LC_ALL, "");
	t->unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (newterm(NULL, stdout, stdin) == NULL)
		return false;
	sigaction(SIGWINCH, &action, &curses);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	if (has_colors() && (no_color == NULL || no_color[0] == '\0')) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_GREEN, -1);
		init_pair(2, COLOR_YELLOW, -1);
		init_pair(3, COLOR_RED, -1);
	}
	return true;
}

static void turn(struct top *t, struct running *r)
{
	bool news = cli_feed_turn(&t->feed, r->epoll);
	eventfd_t count;
	int key;

	eventfd_read(woken, &count);
	for (size_t i = 0; news && i < t->feed.count; i++) {
		top_notice_take(t, i);
		top_figures_take(t, i, common_clock_ns(CLOCK_BOOTTIME) / 1000000);
	}
	follow(t, r);
	while ((key = getch()) != ERR)
		if (key != KEY_RESIZE)
			take_key(t, r, key);
	top_sort(t);
	top_draw(t);
}

/* Takes no room in `t` for a wrong one: they were checked. */
static void take_notices(const struct cli_arguments *a, struct top *t)
{
	for (uint32_t i = 0; i < a->on_count; i++)
		if (top_notice_parse(a->on[i], &t->notice[t->notice_count]))
			t->notice_count++;
}

static enum cli_exit run_top(const struct cli_arguments *a, const struct cli_names *names)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct epoll_event event = { .events = EPOLLIN };
	struct running r = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	struct top t = { .sort = TOP_BY_NAME };
	enum cli_exit status = CLI_DONE;

	take_notices(a, &t);
	if (!cli_feed_open(&t.feed, names, a->interval_s))
		return cli_fail(CLI_REFUSED, "no memory");
	t.figures = calloc(t.feed.count, sizeof *t.figures);
	t.order = calloc(t.feed.count, sizeof *t.order);
	t.page = t.feed.count == 1;
	woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (t.figures == NULL || t.order == NULL || r.epoll < 0 ||
	    epoll_ctl(r.epoll, EPOLL_CTL_ADD, woken, &event) != 0 ||
	    epoll_ctl(r.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) {
		status = cli_fail(CLI_REFUSED, "no memory");
	} else if (!screen_begin(&t)) {
		status = cli_fail(CLI_REFUSED,
				  "the terminal \"%s\" is not known: set TERM",
				  getenv("TERM") != NULL ? getenv("TERM") : "");
	} else {
		top_draw(&t);
		while (!ended)
			turn(&t, &r);
		endwin();
	}
	close(r.epoll);
	close(woken);
	free(t.figures);
	free(t.order);
	cli_feed_close(&t.feed);
	return status;
}

static enum cli_exit top(const struct cli_arguments *a)
{
	struct cli_names *names;
	struct top_notice notice;
	enum cli_exit status;

	for (uint32_t i = 0; i < a->on_count; i++)
		if (!top_notice_parse(a->on[i], &notice))
			return cli_fail(
				CLI_USAGE,
				"top: --on takes CHANGE=ACTION: role, data, link, "
				"why or any; beep, mail:ADDRESS or run:COMMAND; "
				"not \"%s\"",
				a->on[i]);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_fail(CLI_USAGE,
				"top needs a terminal; `hamirror status --watch` "
				"prints into a pipe");
	names = a->count > 0 ? calloc(1, sizeof *names) : cli_names_find(true);
	if (names == NULL)
		return CLI_NONE;
	if (a->count > 0)
		strcpy(names->name[names->count++], a->instance.name);
	status = run_top(a, names);
	free(names);
	return status;
}

const struct cli_command cli_top_commands[] = {
	{ .name = "top",
	  .synopsis = "[NAME] [--interval SECONDS] [--on CHANGE=ACTION]...",
	  .summary = "Watch all mirrors of this node, or one, and act by keys",
	  .help = "  --interval S   look every S seconds, also without an event (1)\n"
		  "  --on C=A       at a change C: role, data, link, why or any, do A: beep,\n"
		  "                 mail:ADDRESS or run:COMMAND; up to 8 times\n"
		  "Keys: h shows them.\n",
	  .options = CLI_INTERVAL | CLI_ON,
	  .count_max = 1,
	  .named = true,
	  .run = top },
	{ 0 },
};
