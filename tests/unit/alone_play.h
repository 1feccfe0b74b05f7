/* alone_play.h - the core of `cluster: none`, and a test that plays the I/O side of its
 * site and the answers of the other one: paris, whose peer is lyon, or the other way. */
#ifndef TESTS_UNIT_ALONE_PLAY_H
#define TESTS_UNIT_ALONE_PLAY_H

#include "cluster/alone.h"
#include "tests/unit/solo.h"

#define LYON 1

extern struct config config;
extern struct cluster_core *core;
extern struct cluster_actions actions;
extern uint64_t now_ns;
extern struct order order[64];
extern uint32_t order_count;
extern struct cluster_action reply; /* the newest */
extern bool replied;
extern struct history history; /* of our log */
extern struct fact opened; /* ... when it is opened */
extern struct fact own; /* our log's answer to a question for its records */
extern struct fact gone; /* the answer of a peer that is not reached */

void step(struct cluster_event *e);
void tick(uint64_t ms);
void fact(struct fact *f);
void command(enum cluster_command_type type, bool force);
const struct order *ordered(enum order_type type);
void answer(enum order_type to, struct fact *f);
struct generation made(uint8_t id, uint8_t parent, uint64_t ordinal, uint32_t site);
void create(uint32_t node);
void setup(void);
void teardown(void);
void peer(struct fact *f);
void asked(struct fact *f);
void promotes(bool force, struct fact *f);
void prepared_as(uint32_t reached, uint32_t level, uint32_t busy);
void refused(const char *why);
void serve(uint32_t reached, struct fact *f);
void promoted(void);
void unreachable(bool force);

#endif
