/* members.h - several cores of the members in one process, for the tests: a total
 * order of messages per ring as corosync's cpg gives it, voter files, clocks that
 * drift, and a toy I/O side (members_io.c) that answers orders with facts and keeps
 * a toy log per site. Crashes, partitions and delays come from the test or a seed.
 *
 * The guarantees are checked all the time (members_violation), so a test only names the
 * events that have to come.
 */
#ifndef TESTS_UNIT_MEMBERS_H
#define TESTS_UNIT_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"
#include "tests/unit/property.h"

#define MEMBERS_MAX 8
#define MEMBERS_SITES_MAX 3
#define MEMBERS_LOG_MAX 65536
#define MEMBERS_COMMANDS_MAX 1024
#define MEMBERS_NS_PER_MS 1000000ull

struct members_message {
	uint32_t nodeid, pid;
	size_t length;
	uint8_t *data;
};

enum members_item_type { ITEM_MESSAGE, ITEM_CONFCHG, ITEM_QUORUM, ITEM_FACT, ITEM_ORDER };

struct members_item {
	enum members_item_type type;
	uint64_t due_ns;
	uint64_t ring, ordinal; /* MESSAGE */
	struct members_message message;
	struct cluster_address members[MEMBERS_MAX], left[MEMBERS_MAX],
		joined[MEMBERS_MAX];
	uint32_t member_count, left_count, joined_count;
	bool quorate;
	struct fact *fact;
	struct order *order;
	struct members_item *next;
};

struct members_queue {
	struct members_item *head, *tail;
};

/* A site's log: one per site, for every host that opens it. */
struct members_log {
	bool exists;
	struct uuid log;
	struct history history;
	uint64_t length;
	uint32_t write[MEMBERS_LOG_MAX]; /* which write stands at each sequence */
	struct uuid refuse_generation;   /* D4, durable */
	uint64_t refuse_ballot;
	bool clean;
	int32_t open_node; /* -1: closed */
};

struct members_link {
	bool wanted, up;
	int32_t node;
	uint64_t incarnation, confirmed;
	bool waited, candidate, told_ready, told_lost;
	uint64_t candidate_from, ready_count;
};

enum members_engine { ENGINE_IDLE, ENGINE_PREPARED, ENGINE_SERVING, ENGINE_DEMOTING };

struct members_io {
	bool open;
	uint32_t site;
	uint64_t incarnation;
	enum members_engine engine;
	struct uuid generation;  /* prepared or served */
	uint64_t lease_until_ns; /* in the node's clock */
	uint64_t acknowledged, served_ns;
	uint32_t served_sites;         /* waited for from the start of the generation */
	uint64_t told_length, told_ns; /* FACT_MARKS */
	struct uuid told_newest;       /* ... generation of the log */
	uint64_t ready_count;
	uint64_t demote_id, demote_deadline_ns;
	uint32_t demote_sites;
	struct members_link link[MEMBERS_SITES_MAX];
	int32_t stream_from;  /* copy: production's node, -1 */
	int32_t open_error;   /* the next opens fail so */
	struct order prepare; /* under way until prepare_ns; 0: none */
	uint64_t prepare_ns;
};

struct members_node {
	bool machine; /* it is switched on */
	bool running; /* its process */
	uint32_t pid, process_count;
	uint64_t boot;
	int64_t drift_ppm;
	struct cluster_core *core;
	struct cluster_self self;
	const struct config *config;
	uint8_t file[CLUSTER_VOTER_FILE_BYTES];
	size_t file_bytes;
	bool persisting;
	uint64_t persist_counter, persist_due_ns;
	uint8_t persist[CLUSTER_VOTER_FILE_BYTES];
	size_t persist_bytes;
	uint32_t component; /* of corosync's network */
	uint32_t line;      /* likewise of the lines between the sites */
	uint64_t ring;
	uint64_t delivered;                       /* ordinal */
	struct cluster_address list[MEMBERS_MAX]; /* of the ring, as it will be told */
	uint32_t list_count;
	struct members_queue inbox;
	struct members_queue out; /* sent, not ordered yet */
	struct members_queue facts, orders;
	uint64_t checked_ballot;
	uint64_t wake_ns;
	uint64_t frozen_until_ns; /* SIGSTOP: nothing of it runs */
	bool quorate_told;
	struct members_io io;
	uint32_t order_count[32]; /* by type, of this process */
	uint32_t step_count;
};

struct members_reply {
	bool done;
	int32_t exit_status;
	char text[512];
};

struct members {
	struct config config;
	uint64_t now_ns;
	struct random random;
	uint32_t node_count;
	struct members_node node[MEMBERS_MAX];
	struct members_log log[MEMBERS_SITES_MAX];
	uint64_t ring_count, ordinal;
	uint32_t delay_max_ms;
	bool writes;             /* the serving node writes */
	uint32_t prepare_max_ms; /* a roll-forward takes up to so long */
	uint32_t votes_needed;   /* corosync's quorum */
	/* commands */
	uint64_t command_count;
	struct members_reply reply[MEMBERS_COMMANDS_MAX];
	/* the checkers */
	uint32_t write_count;
	bool acked[MEMBERS_LOG_MAX]; /* by write */
	struct uuid newest_served;
	bool forced; /* losses were accepted */
	bool parted; /* ... and two productions, in two lineages */
	uint32_t serve_count;
	struct {
		struct uuid generation;
		uint32_t site;
		uint64_t incarnation;
	} started[256];
	uint32_t started_count; /* ORDER_LINK, all nodes */
	struct {
		uint64_t ballot;
		uint64_t hash;
	} view[4096];
	uint32_t view_count;
	char violation[256]; /* the first, or "" */
	bool trace;
};

/* A configuration: `hosts[s]` nodes for site s, `witnesses` more. */
void members_config(struct config *config, uint32_t site_count, const uint32_t *hosts,
		    uint32_t witnesses);
/* Nothing runs; node 0 has the first voter file, each site its log. */
struct members *members_create(uint64_t seed, uint32_t site_count, const uint32_t *hosts,
			       uint32_t witnesses);
void members_destroy(struct members *m);

void members_start(struct members *m, uint32_t node);
/* kill -9, or the machine: the boot changes with `reboot`. */
void members_kill(struct members *m, uint32_t node, bool reboot);
/* Split the network: after "01|234" n0 and n1 hear only each other, and so do the rest. */
void members_network(struct members *m, const char *parts);
/* The lines alone; members_network() moves both. */
void members_lines(struct members *m, const char *parts);
void members_lose_file(struct members *m, uint32_t node);
/* Every running node of the component of `by` is told that `node` was fenced. */
void members_fenced(struct members *m, uint32_t node);
void members_run(struct members *m, uint64_t ms);

uint64_t members_command(struct members *m, uint32_t node, enum cluster_command_type type,
			 bool force, int32_t site);
/* The time of that command is over. */
void members_give_up(struct members *m, uint32_t node, uint64_t id);
/* Run until the reply is there, at most `ms`. False: none came. */
bool members_wait(struct members *m, uint64_t id, uint64_t ms);
/* Promote, wait, and say whether it was done. */
bool members_promote(struct members *m, uint32_t node, bool force);

void members_status(struct members *m, uint32_t node, struct cluster_status *status);
/* The node that serves, or -1. */
int32_t members_serving(struct members *m);
/* Every running node agrees: all are voters, every site that can be is hosted and,
 * when someone serves, every hosted copy is current. */
bool members_converged(struct members *m);
bool members_run_until_converged(struct members *m, uint64_t ms);
uint64_t members_clock(const struct members *m, uint32_t node);
uint32_t members_mates(const struct members *m, uint32_t node);

/* members_ring.c */
struct members_item *members_item_new(enum members_item_type type, uint64_t due_ns);
void members_item_free(struct members_item *i);
void members_queue_push(struct members_queue *q, struct members_item *i);
struct members_item *members_queue_pop(struct members_queue *q);
void members_queue_empty(struct members_queue *q);
uint64_t members_soon(struct members *m);
/* Processes or the network changed: new rings, told to their members. */
void members_reform(struct members *m);
/* The token comes by: messages that are due get their places in the ring's order. */
void members_order(struct members *m, uint32_t node);

/* members_io.c */
void members_io_order(struct members *m, uint32_t node, const struct order *o);
void members_io_tick(struct members *m, uint32_t node);
void members_io_crash(struct members *m, uint32_t node);
void members_fact(struct members *m, uint32_t node, const struct fact *f);
void members_violate(struct members *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
