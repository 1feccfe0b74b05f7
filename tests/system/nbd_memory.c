/* nbd_memory.c - serve two disks of memory over NBD with hamirrord's front-end and
 * I/O thread: `nbd_memory SOCKET MIB`, until standard input ends. At the end it prints
 * the cost: system calls of the I/O thread. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/nbd_memory.h"

int main(int argc, char **argv)
{
	static struct nbd_memory memory;
	const struct io_driver_counters *io;
	const struct nbd_driver_counters *nbd;
	char byte;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: nbd_memory SOCKET MIB\n");
		return 2;
	}
	rc = nbd_memory_start(&memory, argv[1], strtoull(argv[2], NULL, 10) << 20, NULL,
			      0);
	if (rc < 0) {
		fprintf(stderr, "nbd_memory: cannot start: error %d\n", -rc);
		return 1;
	}
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	nbd_memory_order(&memory, ORDER_DEMOTE);
	nbd_memory_expect(&memory, "clients 0");
	io = io_driver_counters(memory.io);
	nbd = nbd_driver_counters(memory.nbd);
	printf("connections %lu requests %lu receives %lu sends %lu io_uring_enter %lu\n",
	       (unsigned long)nbd->accepted_count, (unsigned long)nbd->request_count,
	       (unsigned long)nbd->receive_count, (unsigned long)nbd->send_count,
	       (unsigned long)io->enter_count);
	nbd_memory_stop(&memory);
	return 0;
}
