/* probe.c - see probe.h. */
#include "agent/probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_S 5

int agent_probe_connect(const struct config_node *peer, char *text, size_t text_size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct addrinfo *list = NULL;
	char service[8];
	int fd = -1, error = EHOSTUNREACH, rc;

	snprintf(service, sizeof service, "%u", peer->port);
	rc = getaddrinfo(peer->address, service, &hints, &list);
	if (rc != 0) {
		snprintf(text, text_size, "%s: the address %s is not known: %s",
			 peer->name, peer->address, gai_strerror(rc));
		return -EHOSTDOWN;
	}
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
		if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			continue;
		error = errno == EINPROGRESS ? ETIMEDOUT : errno;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0) {
		snprintf(text, text_size,
			 "%s does not answer at %s:%u: %s; does the mirror's "
			 "daemon run there?",
			 peer->name, peer->address, peer->port, strerror(error));
		return -EHOSTDOWN;
	}
	return fd;
}

static int receive(int fd, void *to, size_t length)
{
	size_t at = 0;

	while (at < length) {
		const ssize_t n = recv(fd, (char *)to + at, length - at, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EHOSTDOWN;
		at += (size_t)n;
	}
	return 0;
}

static int send_hello(int fd, const struct config *config, uint32_t self)
{
	struct mirror_hello *hello = calloc(1, sizeof *hello);
	struct mirror_frame *frame = calloc(1, sizeof *frame);
	uint8_t *data = malloc(MIRROR_WIRE_DATA_MAX);
	const struct config_node *node = &config->node[self];
	int error = hello == NULL || frame == NULL || data == NULL ? -ENOMEM : 0;
	size_t bytes;

	if (error != 0)
		goto out;
	hello->version_min = hello->version_max = MIRROR_WIRE_VERSION;
	hello->purpose = MIRROR_HELLO_PROBE;
	hello->site = (uint32_t)node->site;
	hello->config_hash = config->hash;
	hello->next_sequence = 1;
	snprintf(hello->mirror_name, sizeof hello->mirror_name, "%s", config->mirror);
	snprintf(hello->site_name, sizeof hello->site_name, "%s",
		 config->site[node->site].name);
	snprintf(hello->host, sizeof hello->host, "%s", node->name);
	if (getrandom(hello->nonce, sizeof hello->nonce, 0) < 0)
		error = -errno;
	bytes = mirror_wire_hello_data(hello, data);
	mirror_wire_hello(frame, MIRROR_FRAME_HELLO, hello, data, bytes);
	if (error == 0 && (send(fd, frame->head, frame->head_bytes,
				MSG_NOSIGNAL | MSG_MORE) != (ssize_t)frame->head_bytes ||
			   send(fd, data, bytes, MSG_NOSIGNAL) != (ssize_t)bytes))
		error = -EHOSTDOWN;
out:
	free(hello);
	free(frame);
	free(data);
	return error;
}

/* The frame that answers: its header, body and data. */
struct reply {
	struct mirror_wire_header header;
	uint8_t body[MIRROR_FRAME_BODY_MAX];
	uint8_t data[MIRROR_WIRE_DATA_MAX];
};

static int receive_reply(int fd, struct reply *r)
{
	uint8_t head[MIRROR_WIRE_HEADER_BYTES];
	int error = receive(fd, head, sizeof head);

	if (error == 0)
		error = mirror_wire_decode_header(head, &r->header);
	if (error == 0)
		error = receive(fd, r->body, r->header.body_bytes);
	if (error == 0)
		error = mirror_wire_check_body(&r->header, r->body);
	if (error == 0)
		error = receive(fd, r->data, r->header.data_bytes);
	return error;
}

static int understand(const struct reply *r, const char *peer,
		      struct mirror_hello *answer, char *text, size_t text_size)
{
	struct mirror_refuse refuse;

	if (r->header.type == MIRROR_FRAME_REFUSE &&
	    mirror_wire_decode_refuse(r->body, r->header.body_bytes, &refuse) == 0) {
		snprintf(text, text_size, "%s refuses: %s", peer, refuse.text);
		return refuse.code == MIRROR_REFUSE_NOT_COPY ? -EAGAIN : -EREMOTEIO;
	}
	if (r->header.type == MIRROR_FRAME_WELCOME &&
	    mirror_wire_decode_hello(r->body, r->header.body_bytes, r->data,
				     r->header.data_bytes, answer) == 0)
		return 0;
	snprintf(text, text_size,
		 "%s gives an answer that this version does not understand", peer);
	return -EPROTO;
}

int agent_probe(const struct config *config, uint32_t self, uint32_t peer,
		struct mirror_hello *answer, char *text, size_t text_size)
{
	const struct config_node *node = &config->node[peer];
	struct reply *reply = calloc(1, sizeof *reply);
	const int fd = agent_probe_connect(node, text, text_size);
	int error = fd < 0 ? fd : 0;

	if (error == 0 && reply == NULL)
		error = -ENOMEM;
	if (error == 0)
		error = send_hello(fd, config, self);
	if (error == 0)
		error = receive_reply(fd, reply);
	if (error == 0)
		error = understand(reply, node->name, answer, text, text_size);
	else if (fd >= 0)
		snprintf(text, text_size,
			 "%s at %s:%u does not answer as hamirror does: %s", node->name,
			 node->address, node->port, strerror(-error));
	if (fd >= 0)
		close(fd);
	free(reply);
	return error;
}
