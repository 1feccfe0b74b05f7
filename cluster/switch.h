/* switch.h - at a copy's host: production has handed over to it. */
#ifndef CLUSTER_SWITCH_H
#define CLUSTER_SWITCH_H

#include "cluster/internal.h"

/* FACT_HANDED_OVER. */
void cluster_switch_fact(struct cluster_core *c);
void cluster_switch_pump(struct cluster_core *c);

#endif
