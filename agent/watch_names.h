/* watch_names.h - the mirrors of a node. */
#ifndef AGENT_WATCH_NAMES_H
#define AGENT_WATCH_NAMES_H

#include "agent/cli_all.h"

/* Those with a configuration, those whose daemon runs, and `own`, in order; not the plain name
 * of a mirror whose hosts are instances here. To be freed; NULL: no memory. */
struct cli_names *watch_names(const struct agent_instance *own);

#endif
