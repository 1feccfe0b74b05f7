/* cli_top.h - `hamirror top`: shared by its files.
 *
 * cli_top.c reads keys and runs commands, cli_top_draw.c draws the list of mirrors and the page
 * of one, cli_top_figures.c keeps the figures of the last minutes. */
#ifndef AGENT_CLI_TOP_H
#define AGENT_CLI_TOP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/cli.h"
#include "agent/cli_feed.h"

#define TOP_SAMPLE_COUNT 240

enum top_figure {
	TOP_WRITES, /* a second, as are the next ... */
	TOP_WRITE_BYTES,
	TOP_READS,
	TOP_READ_BYTES,
	TOP_GROUPS, /* ... and this */
	TOP_LAG,    /* bytes, of the last copy */
	TOP_LOG,    /* percent */
	TOP_FIGURE_COUNT
};

#define TOP_CHANGE_COUNT 4 /* role, data, link, why */
#define TOP_SEEN_BYTES 2048

/* A change that is told, and how: "beep", "mail:ADDRESS" or "run:COMMAND". */
struct top_notice {
	unsigned changes; /* bit for each */
	const char *action;
};

/* The figures of one mirror, zeroed at first. */
struct top_figures {
	uint32_t seen_count; /* state_count of `seen`; 0: none */
	char seen[TOP_CHANGE_COUNT][TOP_SEEN_BYTES];
	uint32_t state_count; /* of the feed, when the newest was taken */
	uint64_t ms;          /* ... at that time */
	double counter[TOP_FIGURE_COUNT];
	uint32_t next; /* the number of samples so far; they lie at that, modulo */
	double sample[TOP_SAMPLE_COUNT][TOP_FIGURE_COUNT];
};

enum top_sort { TOP_BY_NAME, TOP_BY_TROUBLE, TOP_BY_LAG, TOP_BY_WRITES, TOP_BY_LOG };

struct top {
	struct cli_feed feed;
	struct top_figures *figures; /* per mirror of the feed */
	uint32_t *order;             /* indices in it, as they are shown */
	enum top_sort sort;
	uint32_t chosen; /* place in `order` */
	bool page;       /* of the chosen one, instead of the list */
	bool help;
	bool unicode;    /* the terminal shows blocks */
	const char *ask; /* command that waits for a yes, or NULL */
	char note[512];  /* the answer to the last command */
	struct top_notice notice[CLI_ON_MAX];
	uint32_t notice_count;
};

/* Take a sample of mirror `i` if its state is new, and old enough. */
void top_figures_take(struct top *t, size_t i, uint64_t now_ms);

/* The newest, or 0. */
double top_figure(const struct top_figures *f, enum top_figure figure);

/* "CHANGE=ACTION" as the option --on has it; false: it is none. */
bool top_notice_parse(const char *text, struct top_notice *n);

/* Tell what has changed at mirror `i` since its last state. */
void top_notice_take(struct top *t, size_t i);

/* The place of this node in the mirror, and the link of the copy that is worst off. */
const char *top_role(json_t *state);
const char *top_link(json_t *state);

/* Sort `order` anew; the chosen mirror stays chosen. */
void top_sort(struct top *t);

/* Draw all of it on the screen of ncurses. */
void top_draw(const struct top *t);

#endif
