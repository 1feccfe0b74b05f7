/* notify.c - see notify.h. */
#include "agent/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mirror/drivers/io_driver.h"

void agent_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t length;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    strlen(path) >= sizeof to.sun_path)
		return;
	length = strlen(path);
	memcpy(to.sun_path, path, length);
	if (path[0] == '@') /* of the abstract name space */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

uint32_t agent_sockets_given(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const unsigned long given = count != NULL ? strtoul(count, NULL, 10) : 0;

	/* Another process's, if we were started by the one that they were for. */
	if (pid == NULL || strtoul(pid, NULL, 10) != (unsigned long)getpid())
		return 0;
	return given < UINT16_MAX ? (uint32_t)given : 0;
}

/* The port on which socket `fd` listens, 0: it is no TCP socket that does. */
static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;
	const struct sockaddr_in *v4 = (const void *)&address;
	const struct sockaddr_in6 *v6 = (const void *)&address;
	socklen_t size = sizeof address, one = sizeof(int);
	int listens = 0, type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &one) != 0 || !listens ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &one) != 0 ||
	    type != SOCK_STREAM ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		return 0;
	return address.ss_family == AF_INET  ? ntohs(v4->sin_port) :
	       address.ss_family == AF_INET6 ? ntohs(v6->sin6_port) :
					       0;
}

int agent_sockets_check(uint32_t count, uint16_t port, char *text, size_t text_size)
{
	if (count > IO_SOCKET_COUNT_MAX) {
		snprintf(text, text_size,
			 "%u sockets were given by the service manager; expected %u at "
			 "most, all of the mirror's port",
			 count, IO_SOCKET_COUNT_MAX);
		return -EINVAL;
	}
	for (int fd = IO_SOCKET_FIRST; fd < IO_SOCKET_FIRST + (int)count; fd++) {
		const uint16_t its = port_of(fd);
		const int flags = fcntl(fd, F_GETFL);

		if (its == port && flags >= 0 &&
		    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
		    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			continue;
		snprintf(text, text_size,
			 "socket %d of the service manager listens on TCP port %u (0: on "
			 "none); expected %u, as this host has in the configuration",
			 fd, its, port);
		return -EINVAL;
	}
	return 0;
}
