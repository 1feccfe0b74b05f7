/* cli_line.h - a connection to a daemon's control socket, for the command. */
#ifndef AGENT_CLI_LINE_H
#define AGENT_CLI_LINE_H

#include <stddef.h>
#include <sys/types.h>
#include <jansson.h>

#include "agent/paths.h"

struct cli_line {
	int fd;     /* -1: closed */
	pid_t pid;  /* of the daemon; 0 where the kernel does not say */
	char *text; /* read and not yet given out */
	size_t length, size;
};

/* Connect to the instance's daemon. Returns 0, or
 *   -ENOENT   no daemon runs: its lock is free
 *   -EBUSY    one runs, and takes no connection; a socket that was removed is waited
 *             for, since the daemon makes it again
 *   -errno    the socket cannot be used, or the lock not be looked at
 * with a sentence in `text`, and the line is closed. */
int cli_line_open(const struct agent_instance *instance, struct cli_line *line,
		  char *text, size_t text_size);

/* The same, but nothing is waited for: -EBUSY also where a socket was removed just now, and a
 * request that does not fit at once is not sent whole. */
int cli_line_try(const struct agent_instance *instance, struct cli_line *line, char *text,
		 size_t text_size);

/* Send a request; takes the reference. Returns 0 or -errno. */
int cli_line_send(struct cli_line *line, json_t *request);

/* The next object of the daemon into `*object`, which is the caller's. Waits
 * `wait_ms` at most, -1: for ever. Returns 0, or
 *   -ETIMEDOUT  nothing came
 *   -EPIPE      the daemon closed the connection
 *   -EPROTO     a line that is no JSON object
 *   -errno      of read(2) */
int cli_line_next(struct cli_line *line, int wait_ms, json_t **object);

/* Idempotent. */
void cli_line_close(struct cli_line *line);

#endif
