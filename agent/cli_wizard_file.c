/* cli_wizard_file.c - the answers of `hamirror config wizard` as YAML, in the order of the
 * example in hamirror.yaml(5). */
#include <string.h>

#include "agent/cli_wizard.h"
#include "agent/config_throttles.h"

#define SEPARATORS ", \t"

/* The next item of a list as people write it. False: there is none. */
static bool next_item(const char **at, char item[WIZARD_MAX])
{
	size_t length;

	*at += strspn(*at, SEPARATORS);
	length = strcspn(*at, SEPARATORS);
	snprintf(item, WIZARD_MAX, "%.*s", (int)length, *at);
	*at += length;
	return length > 0;
}

/* Of a question that may go without an answer. */
static bool is_given(const char *answer)
{
	return answer[0] != '\0' && strcmp(answer, "none") != 0;
}

static void print_list(const char *list, FILE *out)
{
	const char *separator = "[";
	char item[WIZARD_MAX];

	while (next_item(&list, item)) {
		fputs(separator, out);
		config_print_text(item, out);
		separator = ", ";
	}
	fputs(separator[0] == '[' ? "[]\n" : "]\n", out);
}

static void print_site(const struct wizard *w, uint32_t s, FILE *out)
{
	const struct wizard_site *site = &w->site[s];
	const char *names = w->disks[0] != '\0' ? w->disks : "db";
	char item[WIZARD_MAX], stand_in[WIZARD_MAX];

	snprintf(stand_in, sizeof stand_in, "stand-in-%u", s);
	fputs("  - name: ", out);
	config_print_text(site->name[0] != '\0' ? site->name : stand_in, out);
	if (is_given(site->location)) {
		fputs("\n    location: ", out);
		config_print_quoted(site->location, out);
	}
	fputs("\n    hosts: ", out);
	print_list(site->hosts[0] != '\0' ? site->hosts : stand_in, out);
	snprintf(stand_in, sizeof stand_in, "/stand-in/%u/log", s);
	fputs("    writelog: ", out);
	config_print_text(site->writelog[0] != '\0' ? site->writelog : stand_in, out);
	fputs("\n    disks:\n", out);
	for (uint32_t i = 0; next_item(&names, item); i++) {
		const bool known = i < CONFIG_DISK_COUNT_MAX && site->disk[i][0] != '\0';

		snprintf(stand_in, sizeof stand_in, "/stand-in/%u/%u", s, i);
		fputs("      - {name: ", out);
		config_print_text(item, out);
		fputs(", path: ", out);
		config_print_text(known ? site->disk[i] : stand_in, out);
		fputs("}\n", out);
	}
}

static void print_addresses(const struct wizard *w, FILE *out)
{
	const char *title = "addresses:\n";

	for (uint32_t i = 0; i < w->config->node_count; i++) {
		const char *name = w->config->node[i].name;

		if (w->address[i][0] == '\0' || strcmp(w->address[i], name) == 0)
			continue;
		fprintf(out, "%s  ", title);
		config_print_text(name, out);
		fputs(": ", out);
		config_print_quoted(w->address[i], out);
		fputc('\n', out);
		title = "";
	}
}

void wizard_print(const struct wizard *w, FILE *out)
{
	fprintf(out, "mirror: %s\nmode: ", w->instance.mirror);
	config_print_text(w->mode[0] != '\0' ? w->mode : "sync", out);
	if (w->records[0] != '\0') {
		fputs("\nnear-sync: {records: ", out);
		config_print_text(w->records, out);
		fputc('}', out);
	}
	if (strcmp(w->cluster, "corosync") != 0) {
		fputs("\ncluster: ", out);
		config_print_text(w->cluster[0] != '\0' ? w->cluster : "none", out);
	}
	if (w->port[0] != '\0' && strcmp(w->port, "7790") != 0) {
		fputs("\nport: ", out);
		config_print_text(w->port, out);
	}
	fputs("\nsites:\n", out);
	for (uint32_t s = 0; s < w->site_count; s++)
		print_site(w, s, out);
	if (is_given(w->witnesses)) {
		fputs("witnesses: ", out);
		print_list(w->witnesses, out);
	}
	print_addresses(w, out);
}
