/* probe.h - ask the daemon of another host, over the line, which mirror it has. */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "mirror/line/wire.h"

/* Ask host `peer`, in the name of `self` (indices in config->node), which has no
 * log yet. Waits up to some seconds. Returns 0 and its answer, or
 *   -EHOSTDOWN  it did not answer: its daemon does not run, or the line is cut
 *   -EAGAIN     its devices are not open, or not yet
 *   -EREMOTEIO  it refused, and said why
 *   -EPROTO     the listener is not hamirror, or of another version
 * with a sentence in `text`. */
int agent_probe(const struct config *config, uint32_t self, uint32_t peer,
		struct mirror_hello *answer, char *text, size_t text_size);

/* Does anything listen at the address of host `peer`? Waits up to some seconds. Returns a
 * connection, which is the caller's, or -EHOSTDOWN with a sentence in `text`. */
int agent_probe_connect(const struct config_node *peer, char *text, size_t text_size);

#endif
