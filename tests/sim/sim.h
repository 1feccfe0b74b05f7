/* sim.h - a whole mirror in one process, one thread, without real time: nodes with
 * both cores that ship (cluster_step() and mirror_step()), Corosync's rings, lines,
 * disks, clients, a Pacemaker and operators, driven by one seed.
 *
 * The code of cluster/ and mirror/ runs; the work of their drivers and of agent/node.c is
 * played here. All that happens is an event with a time
 * (world.c); nothing depends on anything but the seed, so that a seed and a commit
 * replay a run exactly.
 *
 * The fault model, as docs/fault-model.md promises it:
 *   processes  killed at any event; stopped and woken with all that queued meanwhile;
 *              told to leave, and back later
 *   machines   reset by a fence or a power cut, and BOOTTIME with them; stopped whole
 *              (token lost); clocks that drift within the view's bound; wall clocks
 *              that jump
 *   cpg        total order in each ring, agreed delivery, partitions into any
 *              subsets, merges, messages lost with their sender or delivered to a
 *              part of the old ring only
 *   lines      whole frames: delay, stall in one direction, reset with any of the
 *              last ones lost, late heal; a record of another time in the place of one.
 *              Bytes are below the cores: see docs/fault-model.md
 *   disks      a volatile cache that a power cut empties in part, in any order,
 *              torn at sectors; read, write and flush errors, for once or for good,
 *              after which an operation is done in part; slow and stuck ones, and one
 *              that answers nothing more to a node, or to all; locked
 *              or missing ones; rot, lost and misdirected writes in the log
 *   people     promote, demote, force, disconnect, connect, refresh, move production at bad
 *              moments; and give up
 *   Pacemaker  fences late, not at the first attempt, or never; promotes late, before a
 *              fencing, twice, or though somebody serves; each fencer has its
 *              own stamps, and one that starts hears late of older fencings
 *
 * Without a cluster (plan.alone) there are no rings and no Pacemaker: two sites of one
 * host each, and an operator who is the majority (operator.c).
 *
 * near-sync, async and on-copy-loss: block are played in runs of their own (plan.modes), and
 * near-sync and async in a third of the pairs.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"
#include "common/config.h"
#include "mirror/engine/bounds.h"
#include "mirror/engine/test_view.h"
#include "mirror/engine/pool.h"
#include "tests/sim/checker.h"
#include "tests/sim/device.h"
#include "tests/sim/hold.h"
#include "tests/sim/move.h"
#include "tests/sim/operator.h"
#include "tests/sim/plan.h"
#include "tests/sim/random.h"

#define SIM_DISKS_MAX 4u
#define SIM_OPS_MAX 4096u
#define SIM_REQUESTS_MAX 24u
#define SIM_GENERATIONS_MAX 1024u
#define SIM_COMMANDS_MAX 2048u
#define SIM_STALE_MAX 64u
#define SIM_RENEWALS_MAX 16u
#define SIM_ACCEPTED_MAX 32u
#define SIM_SECTOR 512u
#define SIM_US 1000ull
#define SIM_MS 1000000ull
#define SIM_S 1000000000ull

/* ---- events ---- */

enum sim_event_type {
	/* of a process: void when it is gone, put off while it is stopped */
	SIM_CLUSTER_TICK,
	SIM_MIRROR_TICK,
	SIM_INBOX,     /* cpg and quorum have something for it */
	SIM_SEND,      /* its multicasts may get their places in the ring's order */
	SIM_ORDER,     /* cluster core -> engine */
	SIM_FACT,      /* engine -> cluster core */
	SIM_PERSISTED, /* the voter file is written */
	SIM_DEVICES,
	SIM_CLOSED,
	SIM_CLIENTS,
	SIM_SENT,
	SIM_OFFER,    /* answers that may leave now, if the lease allows */
	SIM_SUBMIT,   /* a client's next request */
	SIM_GIVE_UP,  /* a promotion is not waited for any longer: number, its command */
	SIM_MOVE_DUE, /* its planned move goes on: number, enum sim_due */
	SIM_EXIT, /* it has left, or its time to do so is over: number, enum sim_exit */
	/* of the world */
	SIM_IO,
	SIM_LINE,
	SIM_PACEMAKER,
	SIM_FAULT,
	SIM_FLOWS, /* a line comes out of a stall: number, the node that it leads to */
	SIM_AWAY,  /* a machine that stands still loses the token (1), wakes (0) */
	SIM_LOOK,  /* the checkers look at everything */
	SIM_EVENT_TYPES,
};

enum sim_exit {
	SIM_EXIT_DONE,   /* its stop was answered */
	SIM_EXIT_FROZEN, /* that takes too long: frozen requests fail */
	SIM_EXIT_LATE,   /* still not: it ends all the same */
};

struct sim_event {
	uint64_t at_ns, order; /* ties in the order of making */
	enum sim_event_type type;
	uint32_t node, process; /* process 0: of the world */
	uint64_t number;
	void *data;
};

struct sim_heap {
	struct sim_event *event;
	size_t count, room;
};

/* ---- devices: device.h ---- */
struct sim_site {
	struct sim_device log, disk[SIM_DISKS_MAX];
	int32_t open_node;                      /* the node that has it open; -1: none */
	uint32_t power_cuts, opened_power_cuts; /* ... when it was opened last */
	bool tainted; /* a fault that no checksum finds has touched it */
	bool allowed; /* an operator allows it to be inconsistent ... */
	bool consent; /* ... and it was, or may be */
	bool rotten;
	uint64_t durable; /* check_w.c: its host's durable mark when it last looked */
	int32_t durable_generation;
	uint64_t home_checked;            /* check_w.c: flushed at home up to here */
	uint64_t home_proven;             /* ... a mark on the device proves up to here */
	uint64_t mark_since_ns;           /* check_w.c: a durable mark is due; 0: none */
	uint64_t lost_offset, lost_bytes; /* check_w.c: in its log a write is missing */
	uint64_t marked; /* check_w.c: a mark stands behind the rot, or that */
	int32_t marked_generation;
	uint32_t marked_power_cuts;
	uint64_t refresh_end;    /* check_w.c: that its refresh was told ... */
	bool bare;               /* check_bare.c: its disks alone obey G2 ... */
	uint64_t bare_from;      /* ... once all up to here is home */
	int32_t bare_generation; /* ... in the history of this one */
	uint32_t bare_power_cuts;
	struct uuid refused;      /* check_d.c: its refusal, durable */
	uint64_t refused_ballot;  /* 0: none */
	bool held, refresh_ended; /* ... if so, while a hold stands */
	bool had_image, was_held; /* check_g6.c */
	struct uuid handed_over;  /* check_alone.c: after this generation, durable */
	int32_t tail_generation;  /* check_undo.c: that its log was of, -1: not open; */
	uint64_t tail_last;       /* ... and up to where */
	bool cut_seen, given_up;  /* a cut is judged; an operator gave its tail up */
};

/* ---- members: ring.c ---- */
struct sim_item {
	struct sim_item *next;
	uint64_t due_ns;
	enum { SIM_ITEM_MESSAGE, SIM_ITEM_CONFCHG, SIM_ITEM_QUORUM } type;
	uint64_t ring, ordinal; /* MESSAGE */
	uint32_t nodeid, pid;
	size_t length;
	uint8_t *data;
	struct cluster_address members[SIM_NODES_MAX], left[SIM_NODES_MAX],
		joined[SIM_NODES_MAX];
	uint32_t member_count, left_count, joined_count;
	bool quorate;
};

struct sim_queue {
	struct sim_item *head, *tail;
	uint64_t due_ns; /* of the newest: they stay in order */
};

/* ---- clients: client.c ---- */
struct sim_request {
	struct mirror_request request; /* first: the core knows only this */
	bool busy, noted;
	bool gone, stamped_before; /* its connection ended; it had its number then */
	bool again;                /* another one said the same before */
	bool told;                 /* the client has its answer */
	uint64_t decided_ns;       /* check_m.c: the core has answered, by its clock */
	uint64_t number;           /* the content that a write leaves in its sectors */
	uint64_t shown;            /* by a read, in its first sector */
	uint64_t asked_ns;
	uint32_t generation;       /* in which it was stamped */
	uint32_t floor_generation; /* newest answered before it was asked ... */
	uint64_t floor_sequence;
	uint32_t answered_generation; /* likewise, with the marks of flushes */
	uint64_t answered_sequence;
};

struct sim_node {
	bool machine, running;
	uint32_t process, pid; /* process counts them: 0 was never */
	uint64_t boot;
	int64_t drift_ppm, offset_ns, wall_offset_ns;
	uint64_t frozen_until_ns, frozen_ns; /* and by its clock: stopped last */
	/* members */
	struct cluster_core *core;
	struct cluster_self self;
	uint8_t *file, *persist;
	size_t file_bytes, persist_bytes;
	struct sim_accepted { /* check_d.c: views that its file has held, each with its boot */
		uint64_t epoch, ballot, boot;
		uint32_t process;
	} accepted[SIM_ACCEPTED_MAX]; /* the newest last */
	uint32_t accepted_count, persisted_count, persisted_seen;
	uint64_t epoch[SIM_ACCEPTED_MAX]; /* likewise, in its file */
	uint32_t epoch_count;
	bool file_fails; /* it cannot be written */
	uint32_t misled; /* by a history's entry, stamped by a clock that was ahead */
	uint64_t prepare_seen; /* the newest order to prepare that was judged */
	bool persisting;
	uint64_t persist_counter;
	uint32_t component, line; /* of the members' network, and of the lines' */
	uint32_t part;            /* component, unless it is away */
	bool away;                /* stopped whole: its token is lost */
	uint64_t ring, delivered;
	struct cluster_address list[SIM_NODES_MAX];
	uint32_t list_count;
	struct sim_queue inbox, out;
	bool quorate_told;
	uint64_t cluster_wake_ns, mirror_wake_ns;
	uint64_t orders_due_ns, facts_due_ns;
	uint32_t lost_file; /* times */
	uint64_t leave_id;  /* of its stop, once asked for; 0: none */
	uint32_t held;      /* bit per enum sim_hold */
	/* engine */
	struct mirror_engine *engine;
	struct mirror_view view; /* of it, since its last step */
	uint32_t site;
	bool open, clients, closing;
	struct mirror_request_list late;
	bool offer_due;
	/* its clients: gone with the process or the clients' sockets */
	struct sim_request request[SIM_REQUESTS_MAX];
	bool submit_due;
	uint64_t served_generation; /* index + 1; 0: none */
	uint64_t checked_ballot;
	uint64_t promised_before,
		proposed_ballot;             /* this step's; check_m.c: its newest */
	uint32_t together_sum, bypass_sites; /* check_d.c, check_m.c */
	uint64_t ring_seen, ballot_seen, quiet_since_ns; /* check_d.c: nothing moves */
	bool cut;                                        /* check_d.c: one is under way */
	uint32_t reached_sites; /* check_d5.c: by its last preparation */
	uint64_t sb_seen;       /* check_g5.c: the superblock that was looked at */
	/* check_g3.c: when it asked for the lease, and which nodes have granted it */
	struct {
		struct uuid generation;
		uint64_t counter, sent_ns;
		uint32_t granted,
			counted; /* bit per node; of the voters that it counts */
	} renewal[SIM_RENEWALS_MAX];
	uint64_t lease_seen_ns;
	bool heard; /* check_alone.c: the other site has answered the last question */
	bool lone;  /* check_alone.c: this production began without that */
	uint64_t demoting_since_ns; /* check_m.c: by its clock; 0: it is not ... */
	bool drained;               /* ... its end is marked */
	uint64_t linked;            /* check_alone.c: the copy's incarnation, the last */
	struct sim_move move;
};

/* ---- the truth: journal.c ---- */
struct sim_write {
	uint64_t number, group, offset_bytes, length_bytes;
	uint32_t disk;
	bool known;
	uint64_t stamped_ns; /* check_m.c: by its production's clock */
};

struct sim_generation {
	struct uuid id;
	int32_t parent; /* index, -1 */
	uint64_t cut, ordinal;
	uint32_t reason, site;
	uint32_t node, process; /* check_g3.c: its owner; process 0: none yet */
	bool served;
	uint64_t served_ns;
	uint64_t last;           /* newest sequence that a client's request has got */
	struct sim_write *write; /* by sequence - cut - 1 */
	uint64_t room;
	uint64_t acknowledged, flushed, seen; /* greatest told to clients; 0: none */
	uint64_t answered;                    /* likewise, with the marks of flushes */
	uint64_t told[SIM_SITES_MAX]; /* likewise, while writes waited for that site */
	uint32_t told_power_cuts[SIM_SITES_MAX]; /* ... and its power cuts then */
	bool forced; /* without a cluster: the operator has accepted a loss */
	uint64_t said,
		said_flushed; /* greatest ever told to clients, even if lost since */
	uint32_t power_cuts[SIM_SITES_MAX]; /* of each site at the newest answer */
	uint64_t sync_acknowledged;         /* check_m.c: while in sync */
	uint64_t decided_ns; /* check_m.c: when the newest was, by its clock ... */
	bool counted;        /* check_alone.c: ... and waited for the copy, with */
	uint32_t counted_power_cuts; /* so many power cuts */
};

struct sim_touch {
	uint32_t generation;
	uint64_t sequence, number, group;
	bool twice; /* another one of the sector left that number too */
};

struct sim_sector {
	struct sim_touch *touch; /* by sequence */
	uint32_t count, room;
};

/* ---- lines: line.c ---- */
struct sim_parcel {
	struct sim_parcel *next;
	uint64_t due_ns;
	struct mirror_frame *frame; /* NULL: its sender was told, or is gone */
	uint32_t head_bytes, data_bytes;
	uint8_t bytes[];
};

struct sim_end {
	uint32_t node, process, link;
	bool told_up, told_down;
	bool hung_up;                   /* by its own process */
	uint64_t due_ns;                /* of the newest parcel */
	struct sim_parcel *head, *tail; /* on their way to this end */
};

struct sim_connection {
	struct sim_connection *next;
	uint64_t id;
	struct sim_end end[2]; /* 0: the side that connected */
	bool closed;
	uint64_t cut_since_ns, patience_ns;
};

/* ---- a run ---- */
struct sim_reply {
	bool done;
	int32_t exit_status;
	char text[512];
};

struct sim_counts {
	uint64_t events, steps_cluster, steps_mirror, faults, requests, answers, errors,
		reads, serves, messages, frames, io, looks, images, crashes;
};

struct sim {
	uint64_t seed;
	struct sim_plan plan;
	struct sim_random random;
	struct config config;
	uint64_t now_ns, event_count, last_fault_ns;
	struct sim_heap heap;
	uint32_t node_count;
	struct sim_node node[SIM_NODES_MAX];
	struct sim_site site[SIM_SITES_MAX];
	struct sim_op op[SIM_OPS_MAX];
	uint32_t op_next;
	struct sim_connection *connections;
	uint64_t connection_count;
	struct {
		uint64_t generation, sequence;
		struct sim_parcel *parcel;
	} stale[SIM_STALE_MAX]; /* records that were delivered */
	struct sim_random stale_random;
	uint64_t stale_count;
	uint32_t log_count;
	uint64_t ring_count, ordinal;
	uint32_t votes_needed;
	struct sim_pacemaker pacemaker;
	struct sim_person person;
	struct sim_reply reply[SIM_COMMANDS_MAX];
	uint64_t command_count;
	bool client_off;
	bool stalled[SIM_NODES_MAX][SIM_NODES_MAX], hole[SIM_NODES_MAX][SIM_NODES_MAX];
	bool worst; /* a crash or a new ring loses all that it may */
	/* the truth */
	uint32_t generation_count, newest; /* newest: index of the last served */
	struct sim_generation generation[SIM_GENERATIONS_MAX];
	struct sim_sector *sector; /* disk * sectors + sector */
	uint64_t write_count;
	bool voter_file_lost;
	uint32_t armed_count;
	bool forced, parted; /* an operator accepted a loss; two lineages live */
	bool beyond;         /* ... the fault model: nothing is judged any more */
	bool patched; /* ... and made a state true that no history has: the sites can only
			 be asked to come to hold the same */
	/* checkers */
	struct {
		uint64_t boot[SIM_NODES_MAX];
		uint32_t process[SIM_NODES_MAX];
		bool has;
	} together; /* check_d.c: when all voters last agreed */
	struct {
		uint64_t ballot;
		uint32_t hash;
	} view[4096];
	uint32_t view_count;
	struct sim_block block;
	uint64_t calm_since_ns, crashes_seen, served_seen_ns; /* check_g7.c */
	struct sim_counts count;
	char violation[400]; /* the first, or "" */
	char guarantee[8];
	bool trace, settling;
	uint32_t sum; /* of the engines' actions, while they are traced */
};

/* ---- world.c ---- */

struct sim *sim_create(uint64_t seed, const struct sim_plan *plan);
void sim_destroy(struct sim *w);
void sim_at(struct sim *w, uint64_t at_ns, enum sim_event_type type, uint32_t node,
	    uint64_t number, void *data);
/* Run until `until_ns`, or a violation. */
void sim_run(struct sim *w, uint64_t until_ns);
bool sim_run_until(struct sim *w, uint64_t for_ns, bool (*done)(struct sim *w));
uint64_t sim_random(struct sim *w, uint64_t below);
/* The engine of a node as it is after its last step; NULL: its process is not there. */
const struct mirror_view *sim_view(const struct sim *w, uint32_t node);
uint64_t sim_soon(struct sim *w, uint64_t us_max);
/* CLOCK_BOOTTIME of a node, and when it will show `clock_ns`. */
uint64_t sim_clock(const struct sim *w, uint32_t node);
uint64_t sim_wall(const struct sim *w, uint32_t node); /* set by anyone to anything */
uint64_t sim_time_of(const struct sim *w, uint32_t node, uint64_t clock_ns);
void sim_violate(struct sim *w, const char *guarantee, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void sim_trace(struct sim *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void sim_look(struct sim *w);

/* ---- setup.c ---- */

void sim_setup_config(struct sim *w);
void sim_setup_logs(struct sim *w);
/* `hamirror create --copy-of`, over a log that cannot be used. */
void sim_setup_log_again(struct sim *w, uint32_t site);
void sim_setup_self(struct sim *w, uint32_t node);

/* ---- sum.c ---- */

/* Count a step, and add its actions to the transcript's sum; before they are taken. */
void sim_sum(struct sim *w, uint32_t node, const struct mirror_actions *out);
void sim_sum_tell(struct sim *w);

/* ---- node.c ---- */

void sim_node_start(struct sim *w, uint32_t node);
void sim_node_kill(struct sim *w, uint32_t node);
/* It stops in order, and its process ends when that is answered, or is overdue. */
void sim_node_leave(struct sim *w, uint32_t node);
/* The machine goes: its process, and the operations of its devices. */
void sim_machine_reset(struct sim *w, uint32_t node);
void sim_site_power(struct sim *w, uint32_t site);
void sim_node_stop(struct sim *w, uint32_t node, uint64_t ns);
void sim_node_event(struct sim *w, const struct sim_event *e);
/* An order to the engine, at once. */
void sim_node_order(struct sim *w, uint32_t node, const struct order *o);
void sim_cluster_step(struct sim *w, uint32_t node, struct cluster_event *e);
/* Does the driver take in more before the core acts on an event of this type? */
bool sim_is_followed(const struct sim *w, enum mirror_event_type type);
void sim_mirror_step(struct sim *w, uint32_t node, struct mirror_event *e);
/* The node that serves with a lease, or -1. */
int32_t sim_serving(const struct sim *w);
bool sim_node_serves(const struct sim *w, uint32_t node);
/* A device failed it: it opens nothing any more. */
bool sim_node_failed(const struct sim *w, uint32_t node);
bool sim_node_stopping(const struct sim *w, uint32_t node);

/* ---- command.c ---- */

/* Its id, and place in w->reply; 0: there is nobody to be told. */
uint64_t sim_operator(struct sim *w, uint32_t node,
		      const struct cluster_command *command);
uint64_t sim_command(struct sim *w, uint32_t node, enum cluster_command_type type,
		     bool force, int32_t site);
void sim_mode(struct sim *w, uint32_t node, struct promise promise);

/* ---- ring.c ---- */

void sim_multicast(struct sim *w, uint32_t node, const uint8_t *data, size_t length);
void sim_inbox(struct sim *w, uint32_t node);
void sim_order_out(struct sim *w, uint32_t node);
void sim_reform(struct sim *w);
void sim_queue_empty(struct sim_queue *q);
void sim_away(struct sim *w, uint32_t node, bool away);
/* Split the network: the part of each node. */
void sim_part_into(struct sim *w, const uint32_t *part, bool members, bool lines);
/* The same in two: bit per node of one of them. */
void sim_part(struct sim *w, uint64_t mask, bool members, bool lines);

/* ---- disk.c ---- */

void sim_device_make(struct sim_device *d, uint64_t bytes);
void sim_device_free(struct sim_device *d);
struct sim_device *sim_device(struct sim *w, uint32_t site, uint32_t device);
void sim_io_submit(struct sim *w, uint32_t node, struct mirror_io *io);
void sim_io_done(struct sim *w, uint64_t number);
/* The process has gone; its operations under way may still be done. With the machine: they
 * are torn, here and now. */
void sim_io_orphan(struct sim *w, uint32_t node, bool machine);
/* Operations of a dead process of the node end now. */
void sim_io_settle(struct sim *w, uint32_t node);
bool sim_io_pending(const struct sim *w, uint32_t node);
/* The device answers nothing to these nodes (bits) any more; 0: it answers all, and the
 * operations that it has kept end. */
void sim_device_hang(struct sim *w, uint32_t site, uint32_t device, uint32_t nodes);
/* Has the node asked for something that so does not end? */
bool sim_io_hangs(const struct sim *w, uint32_t node);
void sim_power_cut(struct sim *w, uint32_t site);
bool sim_rot(struct sim *w, uint32_t site);

/* ---- line.c ---- */

void sim_connect(struct sim *w, uint32_t node, const struct mirror_link_order *o);
void sim_hang_up(struct sim *w, uint32_t node, uint32_t link);
void sim_frame_send(struct sim *w, uint32_t node, struct mirror_frame *f);
void sim_line_event(struct sim *w, uint64_t id, uint32_t end);
/* The process of the node is gone; silently, when its machine is too. */
void sim_lines_drop(struct sim *w, uint32_t node, bool silently);
void sim_lines_reset(struct sim *w);
void sim_lines_free(struct sim *w);

/* ---- client.c ---- */

void sim_submit(struct sim *w, uint32_t node);
void sim_answer(struct sim *w, uint32_t node, struct mirror_request *q);
void sim_offer(struct sim *w, uint32_t node);
void sim_fail_late(struct sim *w, uint32_t node);
void sim_clients_gone(struct sim *w, uint32_t node, bool process);
void sim_client_wake(struct sim *w, uint32_t node);
bool sim_requests_idle(const struct sim *w);

/* Ask this at once. NULL: it takes no more now. */
struct sim_request *sim_ask(struct sim *w, uint32_t node, const struct mirror_request *q);
/* The connection of `r` breaks; its client says the same on another. That request, or
 * NULL. */
struct sim_request *sim_ask_again(struct sim *w, uint32_t node, struct sim_request *r);

/* ---- journal.c ---- */

int32_t sim_generation_find(const struct sim *w, const struct uuid *id);
/* Take in the chain of an order; the index of its newest. */
uint32_t sim_generation_add(struct sim *w, const struct history *h);
void sim_note(struct sim *w, uint32_t node, struct sim_request *r);
void sim_note_all(struct sim *w, uint32_t node);
/* How far each generation counts in the history that ends with `generation`:
 * limit[g] is its last sequence, 0 when it is no part of it. */
void sim_limits(const struct sim *w, uint32_t generation, uint64_t *limit);
/* The newest write of a sector in that history up to `last`: NULL: none. */
const struct sim_touch *sim_newest_touch(const struct sim *w, uint32_t disk,
					 uint64_t sector, const uint64_t *limit,
					 uint64_t last);
struct sim_sector *sim_sector(const struct sim *w, uint32_t disk, uint64_t sector);
/* The newest touch of the sector that left `number` there: a client may have said the
 * same twice. NULL: none. */
const struct sim_touch *sim_shown_touch(const struct sim_sector *s, uint64_t number,
					const uint64_t *limit);
/* The next touch of the sector after `t` (NULL: its first) in that history. NULL: none. */
const struct sim_touch *sim_next_touch(const struct sim_sector *s,
				       const struct sim_touch *t, const uint64_t *limit);
/* More than one touch, of any history, left `number` in the sector. */
bool sim_says_twice(const struct sim_sector *s, uint64_t number);
/* The generation that the site of an open engine is in: index, -1: unknown. */
int32_t sim_generation_of(const struct sim *w, const struct mirror_view *m);
/* It holds an image of its history: not blank, not being cut. */
bool sim_is_image(const struct mirror_view *m);
/* Compare the data of an open engine's site with its history. False: not now. */
bool sim_image_check(struct sim *w, uint32_t node, const char *guarantee);

/* ---- pacemaker.c, plan.c, fault.c ---- */

void sim_pacemaker(struct sim *w);
void sim_fault_event(struct sim *w, uint64_t number);
void sim_fault_watch(struct sim *w, uint32_t node);
/* Its process is killed, and its voter file is gone. */
void sim_voter_file_lose(struct sim *w, uint32_t node);
/* Networks and devices work again; no process or machine is touched. */
void sim_repair(struct sim *w);
/* All is repaired: everything comes together, or it is a violation. */
void sim_settle(struct sim *w);
/* One view, every site hosted and current, and somebody serves. */
bool sim_is_together(struct sim *w);
/* Somebody asks the node to promote, and gives up after a time of his own. */
uint64_t sim_promote(struct sim *w, uint32_t node, bool force);
/* A fencing of the node, confirmed to all that run. */
void sim_fence(struct sim *w, uint32_t node);
/* Its machine starts: it learns of fencings from others. */
void sim_pacemaker_boot(struct sim *w, uint32_t node);
/* Its Pacemaker alone is stopped, or started again. */
void sim_pacemaker_stop(struct sim *w, uint32_t node, bool stop);

#endif
