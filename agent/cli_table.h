/* cli_table.h - tables for people, in colours. */
#ifndef AGENT_CLI_TABLE_H
#define AGENT_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>
#include <jansson.h>

#define CLI_COLUMN_COUNT_MAX 12

#define CLI_BOLD "1"
#define CLI_RED "31"
#define CLI_GREEN "32"
#define CLI_YELLOW "33"

struct cli_table {
	const char *title[CLI_COLUMN_COUNT_MAX]; /* ends with NULL */
	void (*cell)(json_t *row, int column, char *text, size_t size);
};

/* Print a line for each of `rows` below the titles. With `coloured` a cell has the colour of
 * its first word, where that has one. */
void cli_table_print(FILE *out, bool coloured, const struct cli_table *table,
		     json_t *rows);

/* Print `text`, with `coloured` in that colour (NULL: none). */
void cli_coloured_print(FILE *out, bool coloured, const char *colour, const char *text);

#endif
