/* control.h - the control socket: requests of the command, of the resource agent
 * and of applications, one JSON object per line each way (docs/control.md).
 *
 * Everything is bounded: connections, the length of a request, and the bytes that a client
 * may leave unread. A client that breaks a bound is closed. Only root may connect
 * (the socket's mode), as only root may use the devices.
 *
 * The cluster judges by the answers it gets here, so no other client may keep it from
 * being heard: AGENT_CLIENTS_RESERVED places are for urgent requests alone; a connection
 * that asks nothing is closed after a while, and the longest silent one at once where
 * a new one needs its place. Each that is closed or refused is told with its process.
 */
#ifndef AGENT_CONTROL_H
#define AGENT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#define AGENT_CLIENTS_MAX 40
#define AGENT_CLIENTS_RESERVED 8
#define AGENT_IDLE_MS 60000
#define AGENT_REQUEST_BYTES_MAX 4096
#define AGENT_UNREAD_BYTES_MAX (1024 * 1024) /* the largest status is a fifth */

struct qb_loop;
struct agent_control;
struct agent_client;

struct agent_control_owner {
	/* A request; `request` is an object, valid for the call. It is answered
	 * by agent_client_reply(), now or later; until then the client's next
	 * line is not read. */
	void (*request)(void *owner, struct agent_client *c, json_t *request);
	/* The client hung up or was closed: forget it. Its request, if one is
	 * under way, goes on. */
	void (*gone)(void *owner, struct agent_client *c);
	/* May `request` take a reserved place? Valid for the call. */
	bool (*is_urgent)(void *owner, const json_t *request);
	/* A client was closed or refused; `text` says which process, and why. */
	void (*dropped)(void *owner, const char *text);
	void *owner;
};

/* Listen at `path` (a socket left by a dead process is replaced: the caller holds
 * the instance's lock). Returns 0 and `*control`, or -errno and a sentence. */
int agent_control_open(struct qb_loop *loop, const char *path,
		       const struct agent_control_owner *owner,
		       struct agent_control **control, char *text, size_t text_size);

/* Lines follow the reply (`on`), or no longer do. While they do, the client's requests are
 * not read. */
void agent_client_stream(struct agent_client *c, bool on);

/* Send a line of a stream. Takes the reference. */
void agent_client_send(struct agent_client *c, json_t *line);

/* Answer the request: `reply` (may be NULL: an empty object) gets "exit" and, if
 * `text` is not NULL, "text". Takes the reference. */
void agent_client_reply(struct agent_client *c, json_t *reply, int exit_status,
			const char *text);

uint32_t agent_control_client_count(const struct agent_control *control);

/* Listen anew if the socket's name is gone or is another's; clients stay. Returns 1: done,
 * 0: there was no need, or -errno of the attempt. Also closes clients that were silent for
 * too long. Call it once a second. */
int agent_control_check(struct agent_control *control);

/* Closes every client and removes the socket. Answers that wait are sent as far as the
 * clients take them at once. NULL is fine. */
void agent_control_close(struct agent_control *control);

#endif
