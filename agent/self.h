/* self.h - the identity of this process: the machine's boot, and fresh random numbers. */
#ifndef AGENT_SELF_H
#define AGENT_SELF_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"

/* Fill incarnation, boot, pid and random. Returns 0, or -errno and a sentence. */
int agent_self_fill(struct cluster_self *self, char *text, size_t text_size);

/* Random bytes of the kernel, for a uuid of version 4. Returns 0 or -errno. */
int agent_uuid_make(struct uuid *uuid);

#endif
