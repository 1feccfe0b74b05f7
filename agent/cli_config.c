/* cli_config.c - `hamirror config set` and `config edit`: a file is replaced by one that
 * `config check` accepts, or not at all. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli_config.h"
#include "agent/cli_json.h"
#include "agent/cli_wizard.h"
#include "agent/config_write.h"

#define TEXT_MAX 1024

struct change {
	const struct cli_arguments *a;
	char path[PATH_MAX];  /* of the file itself, not of a link to it */
	char draft[PATH_MAX]; /* "": none */
	char *text;           /* the file as it was */
	uint32_t fault_count;
};

/* Where the file is meant, people know it by its name. */
static void complain(const struct change *c, const char *text)
{
	const size_t length = strlen(c->draft);

	if (strncmp(text, c->draft, length) == 0)
		fprintf(stderr, "%s%s\n", c->path, text + length);
	else
		fprintf(stderr, "%s: on this node: %s\n", c->path, text);
}

static void add_remark(void *data, enum config_remark remark, const char *text)
{
	struct change *c = data;

	if (remark == CONFIG_UNWISE)
		return;
	complain(c, text);
	c->fault_count++;
}

/* As `config check`. */
static bool is_valid(struct change *c)
{
	struct config *config = calloc(1, sizeof *config);
	struct config_errors *errors = calloc(1, sizeof *errors);
	bool valid = false;

	c->fault_count = 0;
	if (config != NULL && errors != NULL) {
		valid = config_load(c->draft, config, errors) == 0;
		for (uint32_t i = 0; i < errors->count; i++)
			complain(c, errors->entry[i].text);
		if (valid)
			config_warn(config, cli_config_own_node(config, c->a->operand[0]),
				    add_remark, c);
	}
	free(errors);
	free(config);
	return valid && c->fault_count == 0;
}

static enum cli_exit begin(const struct cli_arguments *a, struct change *c)
{
	struct agent_instance instance;
	char path[PATH_MAX];
	int error = 0;

	*c = (struct change){ .a = a };
	if (cli_config_file(a->operand[0], path, &instance) < 0)
		return CLI_USAGE;
	if (realpath(path, c->path) == NULL)
		error = -errno;
	if (error == 0)
		c->text = config_file_read(c->path, &error);
	return error == 0 ? CLI_DONE :
			    cli_fail(error == -ENOENT ? CLI_NONE : CLI_REFUSED, "%s: %s",
				     path, strerror(-error));
}

/* Somebody else may have changed the file since. */
static enum cli_exit accept_draft(struct change *c)
{
	int error;
	char *now = config_file_read(c->path, &error);
	const bool same = now != NULL && strcmp(now, c->text) == 0;

	free(now);
	if (!same)
		return cli_fail(CLI_REFUSED,
				"%s was changed meanwhile: nothing was written; begin "
				"again",
				c->path);
	error = config_draft_accept(c->path, c->draft, true);
	if (error != 0)
		return cli_fail(CLI_REFUSED, "%s: %s", c->path, strerror(-error));
	c->draft[0] = '\0';
	return cli_answer(c->a, CLI_DONE,
			  "%s is written; it takes effect when the daemon is started "
			  "anew; all hosts need the same",
			  c->path);
}

static void end(struct change *c)
{
	if (c->draft[0] != '\0')
		unlink(c->draft);
	free(c->text);
}

static enum cli_exit write_draft(struct change *c, const char *text)
{
	const int error = config_draft_write(c->path, text, c->draft);

	if (error == 0)
		return CLI_DONE;
	c->draft[0] = '\0';
	return cli_fail(CLI_REFUSED, "beside %s: %s", c->path, strerror(-error));
}

static enum cli_exit config_set(const struct cli_arguments *a)
{
	struct change c;
	enum cli_exit status = begin(a, &c);
	char why[TEXT_MAX], *text = NULL;

	if (status == CLI_DONE) {
		text = config_text_set(c.text, a->operand[1], a->operand[2], why,
				       sizeof why);
		if (text == NULL)
			status = cli_fail(CLI_REFUSED, "%s: %s: %s", c.path,
					  a->operand[1], why);
	}
	if (status == CLI_DONE)
		status = write_draft(&c, text);
	if (status == CLI_DONE)
		status = is_valid(&c) ? accept_draft(&c) :
					cli_fail(CLI_REFUSED, "%s is as it was", c.path);
	free(text);
	end(&c);
	return status;
}

/* Returns true when the editor has ended well. Ctrl-C and Ctrl-\ are the editor's; neither we nor
 * the shell between end of them. */
static bool run_editor(const struct change *c)
{
	const char *editor = getenv("VISUAL");
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction interrupt, quit;
	char command[PATH_MAX];
	pid_t pid;
	int status = 1;

	if (editor == NULL || editor[0] == '\0')
		editor = getenv("EDITOR");
	snprintf(command, sizeof command, "trap : INT QUIT; %s \"$1\"",
		 editor != NULL && editor[0] != '\0' ? editor : "vi");
	fflush(NULL);
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	pid = fork();
	if (pid == 0) {
		sigaction(SIGINT, &interrupt, NULL);
		sigaction(SIGQUIT, &quit, NULL);
		execl("/bin/sh", "sh", "-c", command, "sh", c->draft, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool wants_again(void)
{
	char answer[16];

	if (!isatty(STDIN_FILENO))
		return false;
	fputs("Edit it again? (y, or give the change up) ", stderr);
	return fgets(answer, sizeof answer, stdin) != NULL && answer[0] == 'y';
}

static enum cli_exit edit_draft(struct change *c)
{
	char *text;
	int error;
	bool same;

	do {
		if (!run_editor(c))
			return cli_fail(CLI_REFUSED,
					"the editor failed: %s is as it was; VISUAL or "
					"EDITOR names another one",
					c->path);
		text = config_file_read(c->draft, &error);
		same = text != NULL && strcmp(text, c->text) == 0;
		free(text);
		if (same)
			return cli_answer(c->a, CLI_DONE, "%s is as it was", c->path);
		if (is_valid(c))
			return accept_draft(c);
	} while (wants_again());
	return cli_fail(CLI_REFUSED, "%s is as it was", c->path);
}

static enum cli_exit config_edit(const struct cli_arguments *a)
{
	struct change c;
	enum cli_exit status = begin(a, &c);

	if (status == CLI_DONE)
		status = write_draft(&c, c.text);
	if (status == CLI_DONE)
		status = edit_draft(&c);
	end(&c);
	return status;
}

const struct cli_command cli_config_commands[] = {
	{ .name = "config set",
	  .synopsis = "NAME|FILE KEY VALUE [--json | --field LIST]",
	  .summary = "Change one setting; comments stay",
	  .help = "  KEY      as in the file: copy-timeout; of a setting with parts, one of\n"
		  "           them: failover.lag-bytes\n"
		  "  VALUE    as it would stand in the file\n"
		  "  --json   as one JSON object\n",
	  .options = CLI_JSON | CLI_FIELD,
	  .count_min = 3,
	  .count_max = 3,
	  .run = config_set },
	{ .name = "config edit",
	  .synopsis = "NAME|FILE",
	  .summary = "Change a configuration with an editor; a faulty one is not kept",
	  .help = "",
	  .options = 0,
	  .count_min = 1,
	  .count_max = 1,
	  .run = config_edit },
	{ .name = "config wizard",
	  .synopsis = "NAME [--output FILE] [--force]",
	  .summary = "Make a configuration by questions; each answer is checked",
	  .help = "  --output FILE   instead of /etc/hamirror/NAME.yaml\n"
		  "  --force         replace the file that is there\n",
	  .options = CLI_OUTPUT | CLI_FORCE,
	  .count_min = 1,
	  .count_max = 1,
	  .named = true,
	  .run = cli_wizard },
	{ 0 },
};
