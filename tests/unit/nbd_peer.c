/* nbd_peer.c - see nbd_peer.h. */
#include "tests/unit/nbd_peer.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/patience.h"

void nbd_peer_get(int fd, void *to, size_t bytes)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t at = 0;

	while (at < bytes) {
		ssize_t n;

		ck_assert_msg(poll(&p, 1, PATIENCE_MS) == 1, "no answer");
		n = recv(fd, (uint8_t *)to + at, bytes - at, 0);
		ck_assert_msg(n > 0, "the connection ended");
		at += (size_t)n;
	}
}

void nbd_peer_put(int fd, const void *from, size_t bytes)
{
	ck_assert_int_eq(send(fd, from, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

bool nbd_peer_has_ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t byte;

	ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
	return recv(fd, &byte, 1, 0) <= 0;
}

bool nbd_peer_is_silent(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 0;
}

int nbd_peer_connect(const char *path, const char *suffix)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s%s", path, suffix);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}
