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
#include "agent/config_change.h"
#include "agent/config_write.h"

#define TEXT_MAX 1024

static void complain(void *data, enum config_remark remark, uint32_t line,
		     const char *text)
{
	const struct config_change *c = data;

	(void)line;
	if (remark == CONFIG_FAULT)
		fprintf(stderr, "%s%s\n", c->path, text);
}

/* `*instance` lasts as long as the change. */
static enum cli_exit begin(const struct cli_arguments *a, struct config_change *c,
			   struct agent_instance *instance)
{
	char path[PATH_MAX];
	int kind, error;

	*c = (struct config_change){ .complain = complain, .data = c };
	kind = cli_config_file(a->operand[0], path, instance);
	if (kind < 0)
		return CLI_USAGE;
	if (kind == 0)
		c->instance = instance;
	error = config_change_begin(c, path);
	return error == 0 ? CLI_DONE :
			    cli_fail(error == -ENOENT ? CLI_NONE : CLI_REFUSED, "%s: %s",
				     path, strerror(-error));
}

static enum cli_exit accept_draft(const struct cli_arguments *a, struct config_change *c)
{
	if (config_change_accept(c) != 0)
		return cli_fail(CLI_REFUSED, "%s: %s", c->path, c->why);
	return cli_answer(a, CLI_DONE,
			  "%s is written; throttles take effect at once, all else when "
			  "the daemon is started anew; all hosts need the same",
			  c->path);
}

static enum cli_exit write_draft(struct config_change *c, const char *text)
{
	const int error = config_change_draft(c, text);

	return error == 0 ?
		       CLI_DONE :
		       cli_fail(CLI_REFUSED, "beside %s: %s", c->path, strerror(-error));
}

static enum cli_exit config_set(const struct cli_arguments *a)
{
	struct agent_instance instance;
	struct config_change c;
	enum cli_exit status = begin(a, &c, &instance);
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
		status = config_change_check(&c) ?
				 accept_draft(a, &c) :
				 cli_fail(CLI_REFUSED, "%s is as it was", c.path);
	free(text);
	config_change_end(&c);
	return status;
}

/* Returns true when the editor has ended well. Ctrl-C and Ctrl-\ are the editor's; neither we nor
 * the shell between end of them. */
static bool run_editor(const struct config_change *c)
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

static enum cli_exit edit_draft(const struct cli_arguments *a, struct config_change *c)
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
			return cli_answer(a, CLI_DONE, "%s is as it was", c->path);
		if (config_change_check(c))
			return accept_draft(a, c);
	} while (wants_again());
	return cli_fail(CLI_REFUSED, "%s is as it was", c->path);
}

static enum cli_exit config_edit(const struct cli_arguments *a)
{
	struct agent_instance instance;
	struct config_change c;
	enum cli_exit status = begin(a, &c, &instance);

	if (status == CLI_DONE)
		status = write_draft(&c, c.text);
	if (status == CLI_DONE)
		status = edit_draft(a, &c);
	config_change_end(&c);
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
