/* commands.h - the commands that wait until they are done (commands.c). */
#ifndef CLUSTER_COMMANDS_H
#define CLUSTER_COMMANDS_H

#include "cluster/internal.h"

/* It is answered, and its place is free. */
void cluster_command_end(struct cluster_core *c, struct command *w, int32_t exit_status,
			 const char *text);
/* NULL: there is no place, and the command was answered so. */
struct command *cluster_command_add(struct cluster_core *c,
				    const struct cluster_command *command,
				    uint32_t sites);
/* FACT_REFRESH: the command that asked for it ends. */
void cluster_command_refreshed(struct cluster_core *c, const struct fact *f);
void cluster_command_reply_all(struct cluster_core *c, enum cluster_command_type type,
			       int32_t exit_status, const char *text);
/* The time of that promotion is over. */
void cluster_command_give_up(struct cluster_core *c, uint64_t id);
/* A demote or stop waits for the view that says so, within its time. */
bool cluster_command_waits_view(const struct cluster_core *c);
/* The view that `w` waits for may still come within its time. */
bool cluster_command_is_waiting(const struct cluster_core *c, const struct command *w);
void cluster_command_site(struct cluster_core *c, const struct cluster_command *command);
void cluster_command_mode(struct cluster_core *c, const struct cluster_command *command);
void cluster_command_pump(struct cluster_core *c);

#endif
