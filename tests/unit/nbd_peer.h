/* nbd_peer.h - the bytes of a client of an NBD server, for tests: each waits as long as a
 * loaded machine may take. */
#ifndef TESTS_UNIT_NBD_PEER_H
#define TESTS_UNIT_NBD_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Receive so many, or fail the test. */
void nbd_peer_get(int fd, void *to, size_t bytes);
void nbd_peer_put(int fd, const void *from, size_t bytes);

/* The next thing that is heard is the connection's end. */
bool nbd_peer_has_ended(int fd);

/* Nothing is heard for so long. */
bool nbd_peer_is_silent(int fd, int ms);

/* Connect to the unix socket PATH SUFFIX: the descriptor, or -1. */
int nbd_peer_connect(const char *path, const char *suffix);

#endif
