/* cli_table.c - see cli_table.h. */
#include "agent/cli_table.h"

#include <string.h>

#define CELL_MAX 320

static const struct {
	const char *word, *colour;
} colours[] = {
	{ "UpToDate", CLI_GREEN },    { "Consistent", CLI_YELLOW },
	{ "Outdated", CLI_YELLOW },   { "Inconsistent", CLI_RED },
	{ "Diskless", CLI_RED },      { "connected", CLI_GREEN },
	{ "connecting", CLI_YELLOW }, { "catching-up", CLI_YELLOW },
	{ "refreshing", CLI_YELLOW }, { "down", CLI_RED },
	{ "no", CLI_YELLOW },         { "production", CLI_BOLD },
	{ "refresh", CLI_RED }, /* refused */
};

/* The colour of a cell's first word, or NULL. */
static const char *colour_of(const char *text)
{
	const size_t length = strcspn(text, " ");

	for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
		if (strlen(colours[i].word) == length &&
		    strncmp(colours[i].word, text, length) == 0)
			return colours[i].colour;
	return NULL;
}

void cli_coloured_print(FILE *out, bool coloured, const char *colour, const char *text)
{
	if (coloured && colour != NULL)
		fprintf(out, "\033[%sm%s\033[0m", colour, text);
	else
		fputs(text, out);
}

/* The last column is not filled up. */
static void print_cell(FILE *out, bool coloured, const char *colour, const char *text,
		       size_t width, bool last)
{
	cli_coloured_print(out, coloured, colour, text);
	fprintf(out, last ? "\n" : "%*s", (int)(width - strlen(text)) + 2, "");
}

void cli_table_print(FILE *out, bool coloured, const struct cli_table *table,
		     json_t *rows)
{
	size_t width[CLI_COLUMN_COUNT_MAX] = { 0 }, i;
	char text[CELL_MAX];
	int last = 0;
	json_t *row;

	for (int c = 0; table->title[c] != NULL; c++) {
		width[c] = strlen(table->title[c]);
		json_array_foreach(rows, i, row)
		{
			table->cell(row, c, text, sizeof text);
			if (strlen(text) > width[c])
				width[c] = strlen(text);
		}
		last = c;
	}
	for (int c = 0; c <= last; c++)
		print_cell(out, coloured, CLI_BOLD, table->title[c], width[c], c == last);
	json_array_foreach(rows, i, row)
	{
		for (int c = 0; c <= last; c++) {
			table->cell(row, c, text, sizeof text);
			print_cell(out, coloured, colour_of(text), text, width[c],
				   c == last);
		}
	}
}
