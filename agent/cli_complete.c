/* cli_complete.c - see cli_complete.h.
 *
 * The operands are those of the synopsis: "NAME [SITE] | --all [--wait SECONDS]" has two.
 */
#include "agent/cli_complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli_all.h"

#define OPTION_BITS 30
#define TOKEN_MAX 64

struct line {
	const struct cli_command *command;
	const char *word;   /* the begun one */
	const char *option; /* before it, if that takes an argument; else NULL */
	const char *name;   /* the first operand, or NULL */
	int operand_count;  /* before it */
};

/* Print the word if it goes on as it was begun. */
static void offer(const struct line *l, const char *word)
{
	if (strncmp(word, l->word, strlen(l->word)) == 0)
		puts(word);
}

/* The words of "on|off". */
static void offer_each(const struct line *l, const char *words)
{
	char word[TOKEN_MAX];

	for (size_t length; *words != '\0'; words += length + (words[length] == '|')) {
		length = strcspn(words, "|");
		snprintf(word, sizeof word, "%.*s", (int)length, words);
		offer(l, word);
	}
}

static void offer_names(const struct line *l)
{
	struct cli_names *names = cli_names_find(false);

	for (size_t i = 0; names != NULL && i < names->count; i++)
		offer(l, names->name[i]);
	free(names);
}

enum part { PART_SITE, PART_NODE, PART_DISK };

/* Names in the file of the mirror that the line names. */
static void offer_parts(const struct line *l, enum part part)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	struct agent_instance instance;
	char text[256], path[PATH_MAX];

	if (config == NULL || errors == NULL || l->name == NULL ||
	    agent_instance_parse(l->name, &instance, text, sizeof text) != 0 ||
	    agent_path(&instance, AGENT_PATH_CONFIG, path) != 0 ||
	    config_load(path, config, errors) != 0)
		goto out;
	for (uint32_t i = 0; part == PART_SITE && i < config->site_count; i++)
		offer(l, config->site[i].name);
	for (uint32_t i = 0; part == PART_NODE && i < config->node_count; i++)
		offer(l, config->node[i].name);
	for (uint32_t i = 0; part == PART_DISK && i < config->site[0].disk_count; i++)
		offer(l, config->site[0].disk[i].name);
out:
	config_free(config);
	free(errors);
}

/* An operand as the synopsis calls it. FILE, DEVICE and PATH are the shell's. */
static void offer_operand(const struct line *l, const char *called)
{
	if (strncmp(called, "NAME", 4) == 0)
		offer_names(l);
	else if (strcmp(called, "SITE") == 0)
		offer_parts(l, PART_SITE);
	else if (strcmp(called, "DISK") == 0)
		offer_parts(l, PART_DISK);
	else if (strcmp(called, "HOST") == 0 || strcmp(called, "NODE") == 0)
		offer_parts(l, PART_NODE);
	else if (strcmp(called, "MODE") == 0)
		offer_each(l, "sync|near-sync|async");
	else if (called[0] >= 'a' && called[0] <= 'z')
		offer_each(l, called);
}

/* The next token of a synopsis, without brackets; `*closed`: a bracket closes behind it. */
static bool next_token(const char **at, char token[TOKEN_MAX], bool *closed)
{
	size_t length;

	*at += strspn(*at, " [");
	length = strcspn(*at, " ");
	if (length == 0)
		return false;
	*closed = (*at)[length - 1] == ']';
	snprintf(token, TOKEN_MAX, "%.*s", (int)strcspn(*at, " ]"), *at);
	*at += length;
	return true;
}

/* What stands behind option `name` in the synopsis: "--wait SECONDS". */
static void offer_argument(const struct line *l)
{
	const char *at = l->command->synopsis;
	char token[TOKEN_MAX];
	bool closed, found = false;

	while (!found && next_token(&at, token, &closed))
		found = strcmp(token, l->option) == 0;
	if (strcmp(l->option, "--confirm") == 0)
		offer_each(l, "logged|home");
	else if (found && next_token(&at, token, &closed))
		offer_operand(l, token);
}

static void offer_next_operand(const struct line *l)
{
	const char *at = l->command->synopsis;
	char token[TOKEN_MAX];
	int index = 0;
	bool closed;

	while (next_token(&at, token, &closed)) {
		if (strcmp(token, "|") == 0)
			continue;
		if (strncmp(token, "--", 2) == 0) {
			/* its argument, if it has one, stands before the bracket */
			if (!closed && *at == ' ' && at[1] >= 'A' && at[1] <= 'Z')
				next_token(&at, token, &closed);
			continue;
		}
		if (index++ == l->operand_count) {
			offer_operand(l, token);
			return;
		}
	}
}

static void offer_options(const struct line *l,
			  const char *(*option_name)(enum cli_option option,
						     bool *has_argument))
{
	bool has_argument;

	for (int bit = 0; bit < OPTION_BITS; bit++)
		if ((l->command->options >> bit & 1) != 0)
			offer(l,
			      option_name((enum cli_option)(1u << bit), &has_argument));
	offer(l, "--help");
}

/* The first words of commands, or the second ones behind `first`. */
static void offer_commands(const char *word, const char *first,
			   const struct cli_command *(*command_at)(size_t index))
{
	const struct line l = { .word = word };
	const struct cli_command *c;
	char name[TOKEN_MAX], last[TOKEN_MAX] = "";

	for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
		const size_t length = strcspn(c->name, " ");

		snprintf(name, sizeof name, "%.*s", (int)length, c->name);
		if (first != NULL && c->name[length] == ' ' && strcmp(name, first) == 0)
			offer(&l, c->name + length + 1);
		else if (first == NULL && strcmp(name, last) != 0)
			offer(&l, name);
		strcpy(last, name);
	}
	if (first == NULL)
		offer_each(&l, "help|--help|--version");
}

/* The command of the line, and how many words name it; NULL: none yet. */
static const struct cli_command *find(int count, char **words, int *used,
				      const struct cli_command *(*command_at)(size_t))
{
	const struct cli_command *c;
	char name[2 * TOKEN_MAX];

	for (*used = 1; *used <= 2 && *used < count; ++*used) {
		snprintf(name, sizeof name, *used == 1 ? "%s" : "%s %s", words[0],
			 words[1]);
		for (size_t i = 0; (c = command_at(i)) != NULL; i++)
			if (strcmp(c->name, name) == 0)
				return c;
	}
	return NULL;
}

void cli_complete(int count, char **words,
		  const struct cli_command *(*command_at)(size_t index),
		  const char *(*option_name)(enum cli_option option, bool *has_argument))
{
	struct line l = { .word = count > 0 ? words[count - 1] : "" };
	bool has_argument;
	int used;

	l.command = find(count, words, &used, command_at);
	if (l.command == NULL) {
		if (count <= 2)
			offer_commands(l.word, count == 2 ? words[0] : NULL, command_at);
		return;
	}
	for (int i = used; i < count - 1; i++) {
		const bool was_argument = l.option != NULL;

		l.option = NULL;
		if (was_argument)
			continue;
		if (words[i][0] != '-') {
			l.name = l.operand_count++ == 0 ? words[i] : l.name;
			continue;
		}
		for (int bit = 0; bit < OPTION_BITS; bit++)
			if ((l.command->options >> bit & 1) != 0 &&
			    strcmp(option_name((enum cli_option)(1u << bit),
					       &has_argument),
				   words[i]) == 0 &&
			    has_argument)
				l.option = words[i];
	}
	if (l.option != NULL)
		offer_argument(&l);
	else if (l.word[0] == '-')
		offer_options(&l, option_name);
	else
		offer_next_operand(&l);
}
