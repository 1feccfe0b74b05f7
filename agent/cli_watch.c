/* cli_watch.c - see cli_watch.h. */
#include "agent/cli_watch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/cli_all.h"
#include "agent/cli_feed.h"
#include "agent/cli_json.h"
#include "agent/cli_show.h"

/* The cursor hidden, long lines cut; and as it was. */
#define TERMINAL_BEGIN "\033[?25l\033[?7l\033[H\033[2J"
#define TERMINAL_END "\033[?7h\033[?25h"

static volatile sig_atomic_t ended, resized;
static int woken;     /* an eventfd: ends the next wait where a signal came before it */
static bool terminal; /* stdout is one that can be drawn on */

static void on_signal(int number)
{
	eventfd_write(woken, 1);
	if (number == SIGWINCH) {
		resized = 1;
	} else if (ended++) {
		if (terminal &&
		    write(STDOUT_FILENO, TERMINAL_END, strlen(TERMINAL_END)) < 0)
			_exit(CLI_REFUSED);
		_exit(CLI_DONE);
	}
}

/* A wait is to be interrupted, so no SA_RESTART. A second signal ends the process at once, in
 * case that something holds us up. */
static bool signals_begin(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (woken < 0)
		return false;
	sigaction(SIGWINCH, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return true;
}

struct picture {
	char *text;
	size_t length;
};

/* Every state, as it is printed. Returns CLI_DONE, or CLI_USAGE after a message. */
static enum cli_exit make(const struct cli_arguments *a, const struct cli_feed *feed,
			  struct cli_progress *progress, struct picture *p)
{
	struct cli_show show = cli_show_stdout();

	p->text = NULL;
	show.out = open_memstream(&p->text, &p->length);
	if (show.out == NULL)
		return cli_fail(CLI_REFUSED, "no memory");
	show.figures = terminal;
	for (size_t i = 0; i < feed->count; i++) {
		json_t *state = feed->mirror[i].state;

		if ((a->given & CLI_JSON) != 0) {
			if (state == NULL)
				continue;
			json_dumpf(state, show.out, JSON_COMPACT);
			fputc('\n', show.out);
			continue;
		}
		if (ftell(show.out) > 0)
			fputc('\n', show.out);
		if (state == NULL) {
			fprintf(show.out, "%s: waiting for its answer\n",
				feed->mirror[i].instance.name);
			continue;
		}
		show.progress = &progress[i];
		cli_status_show(&show, state);
	}
	fclose(show.out);
	return p->text != NULL ? CLI_DONE : CLI_REFUSED;
}

/* Over the last one; what does not fit on the terminal is left out. */
static void draw(const struct picture *p)
{
	struct winsize size = { .ws_row = 24 };
	const char *line = p->text;
	size_t length;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	fputs("\033[H", stdout);
	for (int row = 1; *line != '\0' && row < size.ws_row; row++) {
		length = strcspn(line, "\n");
		printf("%.*s\033[0m\033[K\n", (int)length, line);
		line += length + (line[length] == '\n');
	}
	fputs(*line != '\0' ? "...\033[K\033[J" : "\033[J", stdout);
	fflush(stdout);
}

static bool is_whole(const struct cli_feed *feed)
{
	for (size_t i = 0; i < feed->count; i++)
		if (feed->mirror[i].state == NULL)
			return false;
	return true;
}

/* Is there anything to show? */
static bool wait_for_news(struct cli_feed *feed)
{
	const bool news = cli_feed_turn(feed, woken);
	eventfd_t count;

	eventfd_read(woken, &count); /* before `ended` and `resized` are looked at */
	return news || resized;
}

static enum cli_exit show_changes(const struct cli_arguments *a, struct cli_feed *feed,
				  struct cli_progress *progress)
{
	struct picture last = { NULL, 0 }, p;
	enum cli_exit status = CLI_DONE;
	bool anew;

	while (!ended && status == CLI_DONE) {
		if (!wait_for_news(feed))
			continue;
		if (!terminal && !is_whole(feed))
			continue;
		status = make(a, feed, progress, &p);
		anew = resized;
		resized = 0;
		if (status == CLI_DONE && last.text != NULL && !anew &&
		    strcmp(last.text, p.text) == 0) {
			free(p.text);
			continue;
		}
		if (status == CLI_DONE && terminal)
			draw(&p);
		else if (status == CLI_DONE)
			printf("%s%s",
			       last.text != NULL && (a->given & CLI_JSON) == 0 ? "\n" :
										 "",
			       p.text);
		if (fflush(stdout) != 0 || ferror(stdout))
			status = CLI_REFUSED;
		free(last.text);
		last = p;
	}
	free(last.text);
	return status;
}

enum cli_exit cli_watch(const struct cli_arguments *a)
{
	struct cli_names *names = a->count > 0 ? calloc(1, sizeof *names) :
						 cli_names_find(true);
	enum cli_exit status = CLI_REFUSED;
	struct cli_progress *progress = NULL;
	struct cli_feed feed;

	if ((a->given & CLI_FIELD) != 0 || names == NULL) {
		free(names);
		return (a->given & CLI_FIELD) != 0 ?
			       cli_fail(CLI_USAGE, "--watch takes no --field") :
			       CLI_NONE;
	}
	if (a->count > 0)
		strcpy(names->name[names->count++], a->instance.name);
	terminal = cli_show_stdout().escapes && (a->given & CLI_JSON) == 0;
	if (signals_begin() && cli_feed_open(&feed, names, a->interval_s)) {
		progress = calloc(feed.count + 1, sizeof *progress);
		fputs(terminal ? TERMINAL_BEGIN : "", stdout);
		if (progress != NULL)
			status = show_changes(a, &feed, progress);
		fputs(terminal ? TERMINAL_END : "", stdout);
		fflush(stdout);
		cli_feed_close(&feed);
	}
	free(progress);
	free(names);
	return status;
}
