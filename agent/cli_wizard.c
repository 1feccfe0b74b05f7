/* cli_wizard.c - `hamirror config wizard`: a configuration by questions.
 *
 * The draft is whole at every moment: what is not answered yet has a stand-in. So each answer
 * is judged by the checks of `config check`, on the file that it would make, and what these
 * name is the fault of that answer. Nothing is written before the last question.
 */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/cli_config.h"
#include "agent/cli_names.h"
#include "agent/cli_progress.h"
#include "agent/cli_wizard.h"
#include "agent/config_write.h"
#include "agent/device_info.h"

#define COROSYNC_FILE "/etc/corosync/corosync.conf"
#define MIB (1ull << 20)
#define LOG_MIB_MIN 64ull
#define LOG_MIB_MAX (64ull << 10)
#define LOG_MIB_USUAL 1024ull /* where no disk could be looked at */
#define LOG_SHARE 10          /* a tenth of the disks */
#define WHAT_MAX 256

/* Load the draft into w->config. False: w->errors says why not, and w->config is as it was. */
static bool load_draft(struct wizard *w)
{
	const int fd = memfd_create("draft", MFD_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	char path[32];
	bool valid = false;

	if (file != NULL)
		wizard_print(w, file);
	if (file != NULL && fflush(file) == 0) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		valid = config_load(path, w->spare, w->errors) == 0;
	} else {
		*w->errors = (struct config_errors){ .count = 1 };
		snprintf(w->errors->entry[0].text, CONFIG_ERROR_TEXT_MAX,
			 "draft: it cannot be checked: %s", strerror(errno));
	}
	if (file != NULL)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	if (valid) {
		struct config *old = w->config;

		w->config = w->spare;
		w->spare = old;
	}
	return valid;
}

/* The first error of the draft, without its path, line and column: a name that stands in every
 * site is wrong in each. */
static void complain(const struct wizard *w)
{
	const char *text = w->errors->entry[0].text, *blank = strchr(text, ' ');

	fprintf(stderr, "  no: %s\n", blank != NULL ? blank + 1 : text);
}

/* ---- questions --------------------------------------------------------------- */

/* The next answer without the blanks around it. Returns 1, or 0: it is none, ask again, or -1:
 * they have ended. */
static int read_answer(const char *what, char answer[WIZARD_MAX])
{
	char *line = NULL, *at;
	size_t size = 0, length;
	const ssize_t n = getline(&line, &size, stdin);
	bool fits;

	if (n < 0) {
		free(line);
		cli_fail(CLI_REFUSED,
			 "the answers end before \"%s\": nothing was written", what);
		return -1;
	}
	at = line + strspn(line, " \t");
	length = strcspn(at, "\r\n");
	while (length > 0 && strchr(" \t", at[length - 1]) != NULL)
		length--;
	fits = strlen(line) == (size_t)n && length < WIZARD_MAX;
	if (!isatty(STDIN_FILENO)) /* no echo of a terminal */
		printf("%.*s\n", (int)length, at);
	snprintf(answer, WIZARD_MAX, "%.*s", fits ? (int)length : 0, at);
	if (!fits)
		fprintf(stderr, "  no: that is too long, or no text\n");
	free(line);
	return fits;
}

/* Ask until the draft with the answer is valid, and `fits` (NULL: always) takes it; then it is
 * in `answer`, a part of the draft. `proposed` stands for an empty one; NULL: there is none.
 * False: the answers have ended. */
__attribute__((format(printf, 5, 6))) static bool ask(
	struct wizard *w, char answer[WIZARD_MAX], const char *proposed,
	bool (*fits)(struct wizard *w, const char *answer), const char *format, ...)
{
	char what[WHAT_MAX], given[WIZARD_MAX], before[WIZARD_MAX], proposal[WIZARD_MAX];
	va_list ap;
	int got;

	va_start(ap, format);
	vsnprintf(what, sizeof what, format, ap);
	va_end(ap);
	strcpy(before, answer);
	snprintf(proposal, sizeof proposal, "%s", proposed != NULL ? proposed : "");
	for (;;) {
		printf(proposed != NULL ? "%s [%s]: " : "%s%s: ", what, proposal);
		fflush(stdout);
		got = read_answer(what, given);
		if (got < 0)
			return false;
		if (got == 0)
			continue;
		if (given[0] == '\0' && proposed == NULL) {
			fprintf(stderr, "  no: an answer is needed here\n");
			continue;
		}
		strcpy(answer, given[0] != '\0' ? given : proposal);
		if (!load_draft(w))
			complain(w);
		else if (fits == NULL || fits(w, answer))
			return true;
		strcpy(answer, before);
	}
}

static bool fits_count(struct wizard *w, const char *answer)
{
	const unsigned long count = strtoul(answer, NULL, 10);

	if (answer[strspn(answer, "0123456789")] == '\0' && count >= 1 &&
	    count <= CONFIG_SITE_COUNT_MAX) {
		w->site_count = (uint32_t)count;
		return true;
	}
	fprintf(stderr, "  no: \"%s\" is no number of sites; expected 1 to %d\n", answer,
		CONFIG_SITE_COUNT_MAX);
	return false;
}

/* ---- devices ----------------------------------------------------------------- */

static bool is_own_site(const struct wizard *w)
{
	const int32_t node = config_node_find(w->config, w->instance.host);

	return node >= 0 && w->config->node[node].site == (int32_t)w->at_site;
}

/* What the path at question is: a size, or 0 where it is not here. False: it must be here and
 * is not, or cannot be used. */
static bool look(struct wizard *w, const char *name, const char *path, uint64_t *bytes)
{
	const bool own = is_own_site(w);
	char text[32];
	json_t *info;
	bool fine;

	*bytes = 0;
	if (!own && access(path, F_OK) != 0)
		return true;
	info = agent_device_info(name, path);
	fine = json_is_true(json_object_get(info, "reachable"));
	*bytes = (uint64_t)json_integer_value(json_object_get(info, "bytes"));
	cli_bytes_format((double)*bytes, text, sizeof text);
	if (fine)
		printf("  a %s of %s\n", json_string_value(json_object_get(info, "kind")),
		       text);
	else
		fprintf(stderr, "  no: %s\n",
			json_string_value(json_object_get(info, "error")));
	if (!fine && own && access(path, F_OK) != 0)
		fprintf(stderr,
			"  This host needs it: make it elsewhere, then answer again\n");
	json_decref(info);
	return fine;
}

static bool fits_disk(struct wizard *w, const char *answer)
{
	const uint64_t first = w->site[0].disk_bytes[w->at_disk];
	uint64_t *bytes = &w->site[w->at_site].disk_bytes[w->at_disk];

	if (!look(w, w->config->site[0].disk[w->at_disk].name, answer, bytes))
		return false;
	if (w->at_site == 0 || *bytes == 0 || first == 0 || *bytes >= first)
		return true;
	fprintf(stderr,
		"  no: the disk of %s has %llu bytes more; a copy's is as large or "
		"larger\n",
		w->config->site[0].name, (unsigned long long)(first - *bytes));
	return false;
}

/* The log that we propose for these disks, in MiB. */
static uint64_t log_mib(const struct wizard *w)
{
	uint64_t bytes = 0, mib;

	for (uint32_t s = 0; s < w->site_count && bytes == 0; s++)
		for (uint32_t i = 0; i < w->config->site[0].disk_count; i++)
			bytes += w->site[s].disk_bytes[i];
	mib = bytes == 0 ? LOG_MIB_USUAL : bytes / LOG_SHARE / MIB;
	return mib < LOG_MIB_MIN ? LOG_MIB_MIN : mib > LOG_MIB_MAX ? LOG_MIB_MAX : mib;
}

static void add_fault(void *data, enum config_remark remark, const char *text)
{
	if (remark != CONFIG_FAULT)
		return;
	fprintf(stderr, "  no: %s\n", text);
	*(bool *)data = false;
}

/* The last path of a site: all of them can be looked at together. */
static bool fits_log(struct wizard *w, const char *answer)
{
	const uint64_t mib = log_mib(w);
	bool fine;
	uint64_t bytes;

	fine = look(w, "writelog", answer, &bytes);
	if (fine && is_own_site(w))
		config_warn(w->config, config_node_find(w->config, w->instance.host),
			    add_fault, &fine);
	if (fine && bytes > 0 && bytes < mib * MIB)
		printf("  That is less than the %llu MiB that we propose: a copy that is "
		       "away is refreshed\n  sooner, instead of getting what it missed\n",
		       (unsigned long long)mib);
	return fine;
}

static bool ask_devices(struct wizard *w)
{
	struct wizard_site *site = &w->site[w->at_site];
	const char *name = w->config->site[w->at_site].name;
	char proposal[WIZARD_MAX], folder[WIZARD_MAX];
	const uint32_t count = w->config->site[0].disk_count;

	for (w->at_disk = 0; w->at_disk < count; w->at_disk++)
		if (!ask(w, site->disk[w->at_disk],
			 w->at_site > 0 ? w->site[0].disk[w->at_disk] : NULL, fits_disk,
			 "Path of disk %s at %s",
			 w->config->site[0].disk[w->at_disk].name, name))
			return false;
	strcpy(folder, site->disk[0]);
	snprintf(proposal, sizeof proposal, "%.*s/%s-log", WIZARD_MAX / 2,
		 dirname(folder), w->instance.mirror);
	printf("The writelog keeps what a copy misses while it is away. For these disks we "
	       "propose\n%llu MiB, on a device of its own.\n",
	       (unsigned long long)log_mib(w));
	return ask(w, site->writelog, w->at_site > 0 ? w->site[0].writelog : proposal,
		   fits_log, "Path of the writelog at %s", name);
}

/* ---- sites ------------------------------------------------------------------- */

static bool ask_addresses(struct wizard *w)
{
	for (uint32_t i = 0; i < w->config->node_count; i++) {
		const char *name = w->config->node[i].name;

		if (w->config->node[i].site == (int32_t)w->at_site &&
		    !ask(w, w->address[i], name, NULL, "Address of %s", name))
			return false;
	}
	return true;
}

static bool ask_site(struct wizard *w, uint32_t s)
{
	struct wizard_site *site = &w->site[s];

	w->at_site = s;
	printf("\nSite %u%s.\n", s + 1, s == 0 ? ", production at first" : "");
	return ask(w, site->name, NULL, NULL, "Name of site %u", s + 1) &&
	       ask(w, site->location, "none", NULL, "Where %s is, for people",
		   site->name) &&
	       ask(w, site->hosts, s == 0 ? w->instance.host : NULL, NULL,
		   "%s of %s, as `uname -n` says%s",
		   w->config->cluster ? "Hosts" : "Host", site->name,
		   w->config->cluster ? ", in backup order" : "") &&
	       ask_addresses(w) && ask_devices(w);
}

/* One that no other mirror of this node has. */
static void propose_port(const struct wizard *w, char port[8])
{
	struct cli_names *names = cli_names_list(NULL);
	struct agent_instance other;
	char path[PATH_MAX], text[WHAT_MAX];
	struct config *c = NULL;
	unsigned highest = 7789;

	for (size_t i = 0; names != NULL && i < names->count; i++) {
		config_free(c);
		c = calloc(1, sizeof *c);
		if (c == NULL ||
		    agent_instance_parse(names->name[i], &other, text, sizeof text) !=
			    0 ||
		    strcmp(other.mirror, w->instance.mirror) == 0 ||
		    agent_path(&other, AGENT_PATH_CONFIG, path) != 0 ||
		    config_load(path, c, w->errors) != 0)
			continue;
		for (uint32_t k = 0; k < c->node_count; k++)
			if (c->node[k].port > highest && c->node[k].port < UINT16_MAX)
				highest = c->node[k].port;
	}
	config_free(c);
	snprintf(port, 8, "%u", highest + 1);
	free(names);
}

static bool ask_mirror(struct wizard *w)
{
	char port[8];

	puts("With corosync, Corosync and Pacemaker find out who is there and promote; with "
	     "none\ntwo systems mirror, and an operator promotes.");
	if (!ask(w, w->cluster, access(COROSYNC_FILE, F_OK) == 0 ? "corosync" : "none",
		 NULL, "Cluster, corosync or none"))
		return false;
	puts("\nIn sync no answered write is lost with a site. In near-sync some may be, so "
	     "many at\nmost; in async no write waits for a copy. See hamirror-modes(7).");
	if (!ask(w, w->mode, "sync", NULL, "Mode, sync, near-sync or async"))
		return false;
	if (w->config->mode == CONFIG_NEAR_SYNC &&
	    !ask(w, w->records, "1000", NULL, "How many writes a copy may lack"))
		return false;
	propose_port(w, port);
	putchar('\n');
	return ask(w, w->port, port, NULL, "TCP port of the line between the sites") &&
	       ask(w, w->count, "2", fits_count, "How many sites") &&
	       ask(w, w->disks, "db", NULL, "Names of the disks, the same in every site");
}

static bool ask_cluster(struct wizard *w)
{
	if (!w->config->cluster)
		return true;
	puts("\nWitnesses are nodes without disks that vote. With two sites one at a third "
	     "place\ndecides which site goes on when the line between them is cut.");
	if (!ask(w, w->witnesses, "none", NULL, "Witnesses"))
		return false;
	fputs("\nPacemaker has to be able to fence", stdout);
	for (uint32_t i = 0; i < w->config->node_count; i++)
		printf("%s %s", i > 0 ? "," : "", w->config->node[i].name);
	puts(": a host that does not answer\nis switched off before another takes over. "
	     "`pcs stonith create`, or `crm configure\nprimitive` with a stonith: agent, makes "
	     "a device for each; `hamirror check NAME` looks\nfor them.");
	return true;
}

/* ---- the end ---------------------------------------------------------------- */

/* A command for the host at `node`, as it is to be pasted there. */
static void print_step(const struct wizard *w, const char *command, uint32_t node,
		       const char *copy_of)
{
	const bool played = strchr(w->instance.name, '@') != NULL;
	const char *host = w->config->node[node].name;

	printf("  hamirror %s %s%s%s%s%s    # on %s\n", command, w->instance.mirror,
	       played ? "@" : "", played ? host : "",
	       copy_of != NULL ? " --copy-of " : "", copy_of != NULL ? copy_of : "",
	       host);
}

/* What comes next. */
static void print_next(const struct wizard *w)
{
	const struct config *c = w->config;
	const char *name = w->instance.mirror;
	int32_t site = -1;

	puts("\nNext:");
	for (uint32_t i = 0; i < c->node_count; i++) {
		const bool ipv6 = strchr(c->node[i].address, ':') != NULL;

		if (strchr(w->instance.name, '@') == NULL &&
		    strcmp(c->node[i].name, w->instance.host) != 0)
			printf("  scp %s %s%s%s:%s\n", w->path, ipv6 ? "[" : "",
			       c->node[i].address, ipv6 ? "]" : "", w->path);
	}
	for (uint32_t i = 0; i < c->node_count; i++) {
		if (c->node[i].site == site || c->node[i].site < 0)
			continue;
		site = c->node[i].site;
		print_step(w, "create", i, site > 0 ? c->node[0].name : NULL);
		print_step(w, "start", i, NULL);
	}
	if (c->cluster)
		printf("  pcs resource create %s ocf:mirror:disk mirror=%s promotable "
		       "promoted-max=1 notify=true\n",
		       name, name);
	else
		print_step(w, "promote", 0, NULL);
	for (uint32_t i = 0; i < c->node_count; i++)
		print_step(w, "check", i, NULL);
}

/* The file with the draft in it, and no part of it without the rest. */
static enum cli_exit write_file(struct wizard *w)
{
	const bool force = (w->a->given & CLI_FORCE) != 0;
	char draft[PATH_MAX], why[PATH_MAX + 512] = "no memory: nothing was written",
					     *text = NULL;
	sigset_t all, before;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int error = -ENOMEM;

	if (out != NULL) {
		wizard_print(w, out);
		fclose(out);
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &before);
		error = config_draft_write(w->path, text, draft);
		snprintf(why, sizeof why, "%s: nothing was written", strerror(-error));
		if (error == 0) {
			error = config_draft_accept(w->path, draft, NULL, force, why,
						    sizeof why);
			if (error != 0)
				unlink(draft);
		}
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	free(text);
	if (error != 0)
		return cli_fail(CLI_REFUSED, "%s: %s", w->path, why);
	printf("%s is written.\n", w->path);
	if (config_node_find(w->config, w->instance.host) < 0)
		printf("This node, %s, is not in it.\n", w->instance.host);
	print_next(w);
	return CLI_DONE;
}

static bool fits_yes(struct wizard *w, const char *answer)
{
	(void)w;
	if (strcmp(answer, "yes") == 0 || strcmp(answer, "no") == 0)
		return true;
	fprintf(stderr, "  no: expected yes or no\n");
	return false;
}

static enum cli_exit play(struct wizard *w)
{
	char answer[WIZARD_MAX] = "";

	printf("An empty answer takes what stands in brackets. Ctrl-C leaves; nothing is "
	       "written\nbefore the last question.\n\n");
	if (!ask_mirror(w))
		return CLI_REFUSED;
	for (uint32_t s = 0; s < w->site_count; s++)
		if (!ask_site(w, s))
			return CLI_REFUSED;
	if (!ask_cluster(w))
		return CLI_REFUSED;
	putchar('\n');
	wizard_print(w, stdout);
	putchar('\n');
	if (!ask(w, answer, "yes", fits_yes, "Write this to %s", w->path))
		return CLI_REFUSED;
	return strcmp(answer, "yes") == 0 ? write_file(w) :
					    cli_fail(CLI_REFUSED, "nothing was written");
}

/* Where the file goes, and may it? */
static enum cli_exit find_path(struct wizard *w)
{
	char real[PATH_MAX], folder[PATH_MAX];

	if (w->a->output != NULL)
		snprintf(w->path, sizeof w->path, "%s", w->a->output);
	else if (agent_path(&w->instance, AGENT_PATH_CONFIG, w->path) != 0)
		return cli_fail(CLI_REFUSED, "HAMIRROR_CONFIG_DIR is too long");
	if (access(w->path, F_OK) == 0 && (w->a->given & CLI_FORCE) == 0)
		return cli_fail(CLI_REFUSED,
				"%s exists: `hamirror config edit NAME` changes it, and "
				"--force replaces it",
				w->path);
	if (realpath(w->path, real) != NULL)
		strcpy(w->path, real);
	strcpy(folder, w->path);
	if (access(dirname(folder), W_OK) != 0)
		return cli_fail(CLI_REFUSED, "%s cannot be written: %s", w->path,
				strerror(errno));
	return CLI_DONE;
}

enum cli_exit cli_wizard(const struct cli_arguments *a)
{
	struct wizard *w = calloc(1, sizeof *w);
	enum cli_exit status;

	if (w == NULL)
		return cli_fail(CLI_REFUSED, "no memory");
	w->a = a;
	w->instance = a->instance;
	w->site_count = 2;
	w->config = calloc(1, sizeof *w->config);
	w->spare = calloc(1, sizeof *w->spare);
	w->errors = calloc(1, sizeof *w->errors);
	status = w->config == NULL || w->spare == NULL || w->errors == NULL ?
			 cli_fail(CLI_REFUSED, "no memory") :
			 find_path(w);
	if (status == CLI_DONE)
		status = play(w);
	free(w->errors);
	config_free(w->spare);
	config_free(w->config);
	free(w);
	return status;
}
