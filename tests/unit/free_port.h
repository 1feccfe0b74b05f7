/* free_port.h - a port of this machine that nobody listens on. The kernel's choice would be
 * one of those that it gives to clients, too: to one of another test, before ours listens,
 * or to the client that calls a server which is away, and then reaches itself.
 */
#ifndef TESTS_UNIT_FREE_PORT_H
#define TESTS_UNIT_FREE_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_PORT_FIRST 10000u

static inline unsigned free_port_end(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	unsigned low = 0;

	if (f == NULL || fscanf(f, "%u", &low) != 1)
		low = 0;
	if (f != NULL)
		fclose(f);
	return low > FREE_PORT_FIRST + 1000 ? low : 32768;
}

static inline uint16_t free_port(void)
{
	static unsigned count;
	const unsigned ports = free_port_end() - FREE_PORT_FIRST;
	struct sockaddr_in address = { .sin_family = AF_INET };
	int error, fd;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	do { /* tests that run at once look at different places */
		const unsigned place = (unsigned)getpid() * 31 + count++;

		address.sin_port = htons((uint16_t)(FREE_PORT_FIRST + place % ports));
		fd = socket(AF_INET, SOCK_STREAM, 0);
		error = bind(fd, (struct sockaddr *)&address, sizeof address);
		close(fd);
	} while (error != 0);
	return ntohs(address.sin_port);
}

#endif
