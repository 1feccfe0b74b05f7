/* engine/confirm_take.h - production takes a copy's confirmation. */
#ifndef MIRROR_ENGINE_CONFIRM_TAKE_H
#define MIRROR_ENGINE_CONFIRM_TAKE_H

#include <stdbool.h>

#include "mirror/io.h"

struct mirror_engine;

/* A frame of a copy came. False: the link is to be closed. */
bool mirror_production_received(struct mirror_engine *m, const struct mirror_received *r);

#endif
