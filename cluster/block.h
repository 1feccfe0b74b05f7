/* block.h - on-copy-loss: the copies without which production answers nothing (M8). */
#ifndef CLUSTER_BLOCK_H
#define CLUSTER_BLOCK_H

#include "cluster/internal.h"

/* Production plans `next`, whose current set and put-out sites are filled in. True: the
 * required copies changed. */
bool cluster_block_plan(const struct cluster_core *c, struct view *next);
/* This node's site is promoted after `best`; the current set of `next` is filled in. */
void cluster_block_takeover(const struct cluster_core *c, const struct view *best,
			    struct view *next);
/* The view that is in effect now follows `before`; NULL: it is the first. */
void cluster_block_in_effect(struct cluster_core *c, const struct view *before);
/* The missing copies, and the command that goes on without them; "": writes do not wait for
 * that, or nothing serves. */
void cluster_block_text(const struct cluster_core *c, char *text, size_t size);

#endif
