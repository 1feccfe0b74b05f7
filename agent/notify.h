/* notify.h - tell the service manager that started us how we are (sd_notify(3)).
 *
 * One datagram; libsystemd would be a library for that alone. */
#ifndef AGENT_NOTIFY_H
#define AGENT_NOTIFY_H

/* Tell `state` ("READY=1") to the service manager. Nothing happens if no manager asked for
 * it. A state that the manager does not take is lost: it then sees a start that takes too
 * long. */
void agent_notify(const char *state);

#endif
