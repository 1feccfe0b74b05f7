/* notify.h - what the service manager that started us wants to hear, and has for us: how we are
 * (sd_notify(3)), and sockets that listen already (sd_listen_fds(3)).
 *
 * A datagram and two variables; libsystemd would be a library for these alone. */
#ifndef AGENT_NOTIFY_H
#define AGENT_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

/* Tell `state` ("READY=1") to the service manager. Nothing happens if no manager asked for
 * it. A state that the manager does not take is lost: it then sees a start that takes too
 * long. */
void agent_notify(const char *state);

/* How many sockets this process was given: 3, 4 and so on. Before any fork. */
uint32_t agent_sockets_given(void);

/* Are these few TCP sockets that listen on `port`? They are made fit for us: blocking, since an
 * older io_uring does not wait otherwise, and closed in programs that we run. Returns 0, or
 * -EINVAL with a sentence. */
int agent_sockets_check(uint32_t count, uint16_t port, char *text, size_t text_size);

#endif
