/* engine/send.h - records from memory or from the log to the copies. */
#ifndef MIRROR_ENGINE_SEND_H
#define MIRROR_ENGINE_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/identity.h"
#include "mirror/io.h"

struct mirror_engine;

void mirror_send_pump(struct mirror_engine *m);
void mirror_send_io(struct mirror_engine *m, struct mirror_io *io);
/* The clean end, to `sites`; those of `promote` are to be promoted. */
void mirror_links_send_demoted(struct mirror_engine *m, uint32_t sites, uint32_t promote);
bool mirror_links_sent_all(const struct mirror_engine *m);

#endif
