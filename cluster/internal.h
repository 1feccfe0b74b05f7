/* internal.h - the members' core from inside, shared by the files of cluster/.
 *
 * The core is level-triggered: an event changes state, then the parts' pumps run in a fixed
 * order (cluster.c), and each does what that state calls for. A pump may run at any time and
 * does nothing when there is nothing to do, so no wake-up between parts is lost, and a retry
 * is just the next pump. For an action that must happen once, the state keeps the value that
 * was told last, and compares.
 *
 * Reading order: join.c (members) -> voter.c and round.c (decisions) ->
 * plan.c (the next view) -> in_effect.c (it takes effect) -> devices_open.c, role.c (this
 * node's part in it) -> promote.c, demote.c (roles that change), commands.c -> lease.c,
 * majority.c, fence.c, devices_pass.c -> score, status.
 */
#ifndef CLUSTER_INTERNAL_H
#define CLUSTER_INTERNAL_H

#include "cluster/cluster.h"
#include "cluster/message.h"
#include "cluster/voter_format.h"

#define NS_PER_MS 1000000ull

/* Bounds and times, each with its reason. */
#define PEERS_MAX 64u   /* processes in the group, known or not */
#define COMMANDS_MAX 8u /* that wait for their reply */
#define RENEWALS_MAX 8u /* under way; one leaves every lease / 4 */
#define EVENT_ACTIONS_MAX (CLUSTER_ACTIONS_MAX - 24u) /* the rest is for the rest */
#define ARENA_BYTES (4u * CLUSTER_MESSAGE_MAX)        /* data of one step's actions */
#define TICK_NS (1000 * NS_PER_MS)                    /* when nothing is awaited */
#define RESEND_NS (500 * NS_PER_MS)                   /* a round's messages, unanswered */
#define ROUND_NS (5000 * NS_PER_MS)                   /* then the round is given up */
#define YIELD_NS (3000 * NS_PER_MS)          /* others leave a proposer alone so long */
#define WORK_OVERDUE_NS (3000 * NS_PER_MS)   /* the coordinator sleeps: others step in */
#define BACKOFF_NS (20 * NS_PER_MS)          /* after a lost race, by backup order */
#define ANNOUNCE_NS (30000 * NS_PER_MS)      /* again, though nothing changed */
#define BEHIND_NS (1000 * NS_PER_MS)         /* a member announces a new view within */
#define ANNOUNCE_MARKS_NS (2000 * NS_PER_MS) /* again, when only marks moved */
#define OPEN_HELD_NS (100 * NS_PER_MS)       /* ... and a promotion waits for them, */
#define HELD_WAIT_NS (5000 * NS_PER_MS)      /* so long at most */
#define OPEN_RETRY_NS (1000 * NS_PER_MS)     /* devices that are still held, or failed */
#define OPEN_RETRY_MAX_NS (5000 * NS_PER_MS) /* ... and fail again, doubled up to this */
#define OPEN_OFTEN 24u /* ... so often in a row, some two minutes: tried far less often */
#define DECIDE_NS (5000 * NS_PER_MS) /* a demote or stop waits for its view */
#define SETTLE_NS (2000 * NS_PER_MS) /* members that meet announce themselves first */

/* ---- the members: join.c ---- */

/* A process in the cpg group. */
struct peer {
	uint32_t nodeid, pid;
	int32_t node; /* in the configuration; VIEW_NONE: not said yet */
	bool refused; /* takes no part; its node's text says why */
};

/* A notice of the fencer about one node (cluster_event, FENCED). */
struct fencing {
	uint64_t wall_ns, since_ns;
	bool live;
};

/* A configured node: its announcement while it is a member, and the knowledge of it that
 * stays afterwards. */
struct node {
	bool member;          /* it is here, has announced itself, and takes part */
	bool known;           /* `said` and `incarnation` are of its last announcement */
	uint64_t incarnation; /* of its process */
	struct announce said;
	uint64_t seen_boot;       /* the boot of it that was heard of last ... */
	uint64_t seen_ns;         /* ... and when first; 0: before this process began */
	uint64_t fenced_boot;     /* this boot of it was ended for certain; 0: none */
	uint32_t nodeid;          /* corosync's, while `known` */
	bool unsaid;              /* D2: a process of it came and has not announced ... */
	uint64_t came_ns;         /* ... itself; a fencing since then ends that */
	struct fencing notice;    /* that came while it was here; wall_ns 0: none */
	uint64_t notice_until_ns; /* it counts if the node leaves before */
	bool uncounted;           /* an event told of a fencing that did not count */
	uint64_t history_wall_ns; /* of a history's entry to be judged; 0: none */
	uint64_t renewed_ns;      /* its last RENEW came here */
	uint64_t since_ns, since_wall_ns; /* of `member` */
	bool refused;
	uint64_t parted_boot; /* its boot when its lineage was refused; 0: none */
	char text[256];       /* why it takes no part */
};

/* ---- decisions: voter.c, round.c ---- */

enum round_state {
	ROUND_IDLE,
	ROUND_PERSIST, /* our own promise is being made durable */
	ROUND_PROMISE, /* PREPARE sent, promises are counted */
	ROUND_ENGINE,  /* D4, D5: our site refuses older links and rolls forward */
	ROUND_ACCEPT,  /* PROPOSE sent, until it is in effect */
};

enum round_kind {
	ROUND_CONFIRM, /* adopt, or go on with the plan of plan.c */
	ROUND_PROMOTE, /* a promotion of this node */
	ROUND_FORCE,   /* D2: the same without a majority: a new lineage */
};

struct round {
	enum round_state state;
	enum round_kind kind;
	uint64_t ballot;
	uint64_t persist_counter; /* PERSIST: awaited */
	uint64_t begun_ns, resend_at_ns;
	uint64_t promised_ns; /* when the majority of promises was here */
	uint64_t epoch[CONFIG_NODE_COUNT_MAX];           /* of the voters that promised */
	uint64_t accepted_ballot[CONFIG_NODE_COUNT_MAX]; /* ... and had accepted */
	bool has_best;
	struct view best; /* the newest view among the promises */
	bool adopting;    /* `next` is `best` under our ballot */
	struct view next; /* our proposal */
};

/* Proposals are multicast, others' and ours: every member counts their acceptances. */
struct tally {
	bool has;
	struct view view;                      /* of the greatest ballot proposed */
	uint64_t ring;                         /* in which it was last said */
	uint64_t epoch[CONFIG_NODE_COUNT_MAX]; /* of the voters that accepted it */
};

/* D2: when all voters last agreed in one ring. */
struct together {
	uint64_t after; /* only an agreement on a view of a greater number counts */
	bool has;
	struct view_voters voters;
	uint64_t incarnation[CONFIG_NODE_COUNT_MAX], boot[CONFIG_NODE_COUNT_MAX];
};

/* ---- this node's part: devices_open.c, role.c, promote.c, demote.c, lease.c ---- */

enum devices_state { DEVICES_CLOSED, DEVICES_OPENING, DEVICES_OPEN, DEVICES_CLOSING };

enum serve_state {
	SERVE_NONE,
	SERVE_PREPARING, /* ORDER_PREPARE is out */
	SERVE_PREPARED,  /* its generation is proposed, or in effect */
	SERVE_STARTING,  /* ORDER_SERVE is out */
	SERVE_SERVING,
	SERVE_DEMOTING, /* ORDER_DEMOTE is out */
};

struct link_told {
	uint64_t incarnation; /* of the devices linked to; 0: no link */
	int32_t node;
};

struct role {
	enum devices_state devices;
	enum serve_state serve;
	uint32_t site;             /* of the devices */
	uint64_t incarnation;      /* of the devices, unless closed */
	uint64_t incarnation_next; /* for the next opening */
	uint64_t incarnation_count;
	uint64_t released; /* the last given back */
	uint64_t open_id, close_id, prepare_id, serve_id, demote_id; /* orders out */
	uint64_t open_at_ns;                                         /* not before */
	uint64_t opened_ns;                                          /* the last time */
	uint32_t open_failures; /* in a row, of openings of devices that no one holds */
	uint32_t failures;      /* in a row, of devices that were open */
	bool failed;    /* a device: the site is not opened here before `open_at_ns` */
	bool foreign;   /* ... nor later: the log is another mirror's */
	uint32_t hangs; /* ANNOUNCE_HANGS: one does not answer, none closes; 0 */
	bool barred;    /* our disks are not those of the site's host */
	bool closing_wanted; /* deposed, handed over, or to stop */
	char text[256];      /* why devices are not open, or "" */
	/* from the open log */
	struct uuid log, log_lineage;
	struct generation log_newest;
	struct site_marks marks;
	enum data_state data;
	char data_text[128];
	uint64_t disk_bytes[CONFIG_DISK_COUNT_MAX];
	/* production */
	struct uuid generation;     /* being opened or served; zero: none */
	struct uuid whole;          /* D4: of that generation ... */
	uint64_t whole_incarnation; /* ... this opening has all, or the loss was told */
	uint64_t ready_count;       /* of the newest COPY_READY */
	struct {
		bool ready; /* D3: may enter the current set ... */
		uint64_t ready_incarnation, ready_from;
		bool lost; /* ... or has to leave it */
		char lost_text[128];
		enum link_state link;
	} copy[CONFIG_SITE_COUNT_MAX];
	uint32_t undecided_sites;   /* D3: of proposals of ours that may stand ... */
	uint32_t undecided_missing; /* M8: ... that lack these required copies ... */
	bool undecided; /* M3: ... there is one, and the strictest promise ... */
	struct promise undecided_promise;
	uint64_t undecided_ballot; /* ... and the greatest ballot of those */
	bool wait_due;             /* ORDER_WAIT, though the set is the same */
	uint32_t waited;           /* as told */
	uint32_t bypass, missing;  /* M6, M8: as told */
	struct promise promised;   /* as told */
	uint64_t promise_id; /* the order that told it so; FACT_PROMISE is awaited */
	bool promise_kept;   /* M3: it has come */
	bool mode_asked;     /* by a command, until a view wants it */
	struct promise mode;
	struct link_told link[CONFIG_SITE_COUNT_MAX];
	uint64_t view_told;      /* ballot of the last ORDER_VIEW */
	uint64_t frozen_told_ns; /* last ORDER_FAIL_FROZEN */
	/* a production that ended here, until a view says so */
	bool demoted, demoted_clean;
	char demoted_text[200]; /* why it was not drained, or "" */
	bool demoted_waited;    /* it had waited older leases out */
	uint64_t demoted_end, demoted_incarnation;
	uint32_t demoted_level; /* sites that have all up to that end */
	struct uuid demoted_generation;
	/* To follow that production here undoes this, and asks first (undo.c); "": nothing. */
	uint32_t undo_site;
	char undo_text[FACT_TEXT_MAX];
};

enum promote_state {
	PROMOTE_NONE,
	PROMOTE_DEVICES, /* our site's devices are to be ours and open */
	PROMOTE_ROUND,   /* a round of kind PROMOTE runs or waits for its turn */
	PROMOTE_LEASE,   /* in effect; the lease granted, the older one waited out */
	PROMOTE_START,   /* the I/O side starts to serve */
};

enum promote_reason { /* D4: why it may be promoted */
		      PROMOTE_NOT,
		      PROMOTE_SAME_SITE,
		      PROMOTE_CURRENT,
		      PROMOTE_CLEAN,
		      PROMOTE_FORCED,
};

struct promote {
	enum promote_state state;
	bool force;
	enum promote_reason reason;
	uint64_t wait_until_ns; /* D7: older leases have ended then */
	uint64_t lost_count;    /* FORCED: records that may be lost, as far as known */
	bool lost_known;
	bool parted;            /* D2: a forced view made this node its site's host */
	uint32_t reached_sites; /* rolled forward from */
	uint64_t sources[CONFIG_SITE_COUNT_MAX]; /* incarnations that were asked */
	char wait_text[240];                     /* the cause of its waiting */
	char done_text[240];                     /* added to the reply */
};

struct lease {
	uint64_t counter;
	uint64_t until_ns; /* D7: granted until */
	uint64_t told_ns;  /* as the I/O side knows */
	uint64_t renew_at_ns;
	struct {
		uint64_t counter, sent_ns;
		uint64_t epoch[CONFIG_NODE_COUNT_MAX];
	} renewal[RENEWALS_MAX];
};

struct command {
	enum cluster_command_type type;
	uint64_t id;
	uint64_t begun_ns;
	uint32_t sites;         /* CONNECT to BYPASS_OFF: awaited in the view */
	uint32_t wait_ms;       /* DEMOTE, STOP: of the drain */
	bool demoted;           /* DEMOTE, STOP: production ended for it */
	uint64_t order_id;      /* REFRESH, CONNECT --discard: whose fact is awaited */
	struct promise promise; /* MODE */
	bool used;
};

/* Bit per site that an operator wants so, or not so: until a view says it. */
struct wish {
	uint32_t on, off;
};

struct alone;

struct cluster_core {
	const struct config *config;
	struct cluster_self self;
	struct alone *alone; /* `cluster: none`: that instead of all below */
	/* this step */
	uint64_t now_ns, wall_ns;
	struct cluster_actions *out;
	size_t arena_used;
	uint64_t order_count; /* ids */
	uint64_t random_count;
	/* members */
	bool joined; /* the first configuration change has come */
	bool quorate;
	uint64_t ring;    /* counts configuration changes */
	uint64_t ring_ns; /* the last change of it, or of the quorum */
	uint32_t peer_count;
	struct peer peer[PEERS_MAX];
	struct node node[CONFIG_NODE_COUNT_MAX];
	bool announce_due;
	uint64_t announced_ns;
	struct announce announced; /* as last sent */
	bool state_due;            /* joiners have not got the state yet */
	uint64_t state_ring;       /* the ring in which we sent it */
	uint64_t behind_ns; /* when we look again for a member without the newest view */
	bool ends_due;      /* we know of an end that the state lacked */
	bool disks_due;
	bool stopping;
	bool release_due;       /* STOP: the release is on its way to us */
	char refused_text[320]; /* the others seem to refuse us */
	/* decisions */
	struct voter voter;
	bool voter_dirty;           /* `voter` differs from the copy handed out last */
	uint64_t persist_counter;   /* handed out last */
	uint64_t persisted_counter; /* on stable storage */
	uint64_t persisting_epoch, persisted_epoch;
	bool persisting;
	uint64_t persist_retry_ns;
	bool persist_failed;
	uint64_t promise_pending; /* ballot of the promise that is to be sent ... */
	uint64_t promise_known;
	uint64_t promise_counter; /* ... once this is durable; 0: none */
	uint64_t accept_pending;  /* likewise */
	uint64_t accept_counter;
	uint64_t seen_number; /* greatest number of any ballot seen */
	struct round round;
	struct tally tally;
	struct together together;
	struct {
		uint64_t ballot; /* of another proposer, left alone till then; 0: none */
		uint64_t until_ns;
	} yield;
	bool confirm_due;       /* the ring changed: a round is to confirm the view */
	bool confirm_own;       /* we gave up a promotion: free the voters' promises */
	uint64_t work_since_ns; /* a round is called for since; 0: none */
	uint64_t round_at_ns;   /* not before */
	struct wish disconnect, bypass;
	uint64_t missing_wall_ns; /* M8: a required copy is not current since; 0: none */
	struct uuid handed_over;  /* generation to be followed by ours; or zero */
	/* this node's part */
	struct role role;
	struct promote promote;
	struct lease lease;
	struct command command[COMMANDS_MAX];
	/* scratch, too large for the stack */
	struct message in, send;
	struct view plan, before;
	uint64_t bad_message_ns; /* when one was last told of */
	uint8_t arena[ARENA_BYTES];
};

/* ---- action.c: the actions of a step ---- */

#define PRINTF(at, first) __attribute__((format(printf, at, first)))

struct order *cluster_order(struct cluster_core *c, enum order_type type);
/* `c->send`, whose type and body are filled. */
void cluster_send(struct cluster_core *c);
struct message *cluster_message(struct cluster_core *c, enum message_type type);
void cluster_persist(struct cluster_core *c, uint64_t counter);
void cluster_reply(struct cluster_core *c, uint64_t id, int32_t exit_status,
		   const char *format, ...) PRINTF(4, 5);
void cluster_tell(struct cluster_core *c, const char *kind, const char *name,
		  const char *rule, const char *format, ...) PRINTF(5, 6);
void cluster_wake(struct cluster_core *c, uint64_t at_ns);
uint64_t cluster_random(struct cluster_core *c);
void cluster_uuid_make(struct cluster_core *c, struct uuid *uuid);
const char *cluster_node_name(const struct cluster_core *c, int32_t node);
/* The place of a host in the backup order of the whole mirror, 0 the first: as
 * `backup-order` lists them, then the others by site and host as the file lists them. */
uint32_t cluster_backup_place(const struct config *config, uint32_t node);
const char *cluster_site_name(const struct cluster_core *c, int32_t site);
/* 0: there is no such site. */
uint32_t cluster_site_bit(const struct cluster_core *c, int32_t site);
/* The mirror as commands on `node` name it: NAME, or NAME@HOST where ours is one. Of
 * VIEW_NONE: NAME. */
void cluster_instance_of(const struct cluster_core *c, int32_t node,
			 char name[2 * CONFIG_NAME_MAX]);

/* ---- join.c ---- */

void cluster_join_confchg(struct cluster_core *c, const struct cluster_event *e);
/* The sender's node, or VIEW_NONE: the message is none of ours. */
int32_t cluster_join_sender(struct cluster_core *c, uint32_t nodeid, uint32_t pid,
			    const struct message *m);
void cluster_join_state(struct cluster_core *c, const struct message *m);
void cluster_join_in_effect(struct cluster_core *c, const struct view *before);
void cluster_join_pump(struct cluster_core *c);
bool cluster_join_is_host(const struct cluster_core *c, uint32_t site, int32_t node,
			  uint64_t incarnation);
/* The last announcement of the log of `site`'s host: NULL when it is unhosted. */
const struct node *cluster_join_host_of(const struct cluster_core *c, uint32_t site);

struct peer *cluster_peer_find(struct cluster_core *c, uint32_t nodeid, uint32_t pid);
void cluster_member_set(const struct cluster_core *c, struct node *n, bool member);

/* ---- place.c ---- */

void cluster_place_announce(struct cluster_core *c, uint32_t nodeid, uint32_t pid,
			    const struct message *m, int error);

/* ---- site_disks.c ---- */

/* Our site's host sends its disks. */
void cluster_site_disks_take(struct cluster_core *c, const struct message *m);
void cluster_site_disks_pump(struct cluster_core *c);

/* ---- mirroring.c ---- */

/* Production says that it starts. */
void cluster_mirroring_told(struct cluster_core *c, const struct message *m);
void cluster_mirroring_pump(struct cluster_core *c, const struct view *v, uint32_t s);

/* ---- voter.c: the voter ---- */

void cluster_voter_prepare(struct cluster_core *c, const struct message *m);
void cluster_voter_propose(struct cluster_core *c, const struct message *m);
void cluster_voter_persisted(struct cluster_core *c, uint64_t counter, int32_t error);
void cluster_voter_pump(struct cluster_core *c);
void cluster_voter_promise_own(struct cluster_core *c, uint64_t ballot);
/* The greatest view that this voter knows: accepted or in effect; NULL: none. */
const struct view *cluster_view_newest(const struct cluster_core *c);
const struct view *cluster_view_in_effect(const struct cluster_core *c);
/* May that view follow the one that we know in effect (mirror, lineage). */
bool cluster_voter_view_fits(const struct cluster_core *c, const struct view *v);

/* ---- round.c: the proposer ---- */

void cluster_round_promise(struct cluster_core *c, uint32_t node,
			   const struct message *m);
void cluster_round_refuse(struct cluster_core *c, const struct message *m);
void cluster_round_seen(struct cluster_core *c, uint64_t ballot);
void cluster_round_others(struct cluster_core *c, uint64_t ballot);
void cluster_round_prepared(struct cluster_core *c);
void cluster_round_give_up(struct cluster_core *c, uint64_t pause_ns);
/* A view of that ballot is in effect: our round ended well, or was overtaken. */
void cluster_round_finish(struct cluster_core *c, uint64_t ballot);
void cluster_round_pump(struct cluster_core *c);
bool cluster_round_can_decide(const struct cluster_core *c);

/* ---- in_effect.c ---- */

void cluster_in_effect_accepted(struct cluster_core *c, uint32_t node,
				const struct message *m);
void cluster_in_effect_commit(struct cluster_core *c, const struct message *m);
/* A view took effect, as everyone counts or was told. */
void cluster_in_effect_take(struct cluster_core *c, const struct view *v);

/* ---- majority.c: D2 ---- */

/* Are the voters of `v` that answered, under `epoch`, a majority of them, or half of them
 * and a tie that is broken? `joint`: and of the set before too. */
bool cluster_is_majority(const struct cluster_core *c, const struct view *v, bool joint,
			 const uint64_t epoch[CONFIG_NODE_COUNT_MAX]);
void cluster_majority_pump(struct cluster_core *c);

/* ---- fence.c: which processes have ended ---- */

void cluster_fence_init(struct cluster_core *c);
void cluster_fence_event(struct cluster_core *c, const struct cluster_event *e);
void cluster_fence_message(struct cluster_core *c, const struct message *m);

/* news.c */
void cluster_news_send(struct cluster_core *c, const struct cluster_event *e);
void cluster_news_take(struct cluster_core *c, uint32_t node, const struct message *m);
/* The member has said something: its boot lives. */
void cluster_fence_heard(struct cluster_core *c, uint32_t node);
/* The node's process has left the ring. */
void cluster_fence_left(struct cluster_core *c, uint32_t node);
void cluster_fence_pump(struct cluster_core *c);

/* ---- devices_pass.c: D6 ---- */

void cluster_devices_released(struct cluster_core *c, uint32_t node,
			      uint64_t incarnation);
bool cluster_devices_are_released(const struct cluster_core *c, int32_t node,
				  uint64_t incarnation);

/* Does a node that may have the site's disks follow another lineage, and was not fenced?
 * No view of ours knows which devices it has open. */
bool cluster_devices_parted_mate(const struct cluster_core *c, uint32_t site);

enum devices_pass { HOST_HELD, HOST_RESTARTED, HOST_FREE };

/* May the devices of `host` pass on: no; only to the same node; yes. */
enum devices_pass cluster_devices_pass(const struct cluster_core *c,
				       const struct view_host *host);
/* Another node that reaches the site, and may have its devices by a view that this one
 * has not heard of; VIEW_NONE: there is none for certain. */
int32_t cluster_devices_mate_held(const struct cluster_core *c, uint32_t site);
/* D7: true when that holder of a lease for certain answers nothing now. */
bool cluster_devices_holder_is_gone(const struct cluster_core *c, int32_t node,
				    uint64_t incarnation, uint64_t boot);

/* ---- plan.c: the next view ---- */

/* Fill `next` with the view after `base`, as this member is to propose it: with changes of
 * its own affairs, and as `coordinator` those of all. True when it changes more than the
 * ballot. */
bool cluster_plan_next(struct cluster_core *c, const struct view *base, bool coordinator,
		       struct view *next);
/* This node leaves, and a production that stays is to have its vote back first. */
bool cluster_plan_awaits_leave(const struct cluster_core *c);
/* Note the members that are here: not worth a round of its own. */
void cluster_plan_members(const struct cluster_core *c, struct view *next);

/* ---- devices_open.c: this node opens and closes its site's devices ---- */

void cluster_devices_fact(struct cluster_core *c, const struct fact *f);
void cluster_devices_pump(struct cluster_core *c);
bool cluster_devices_are_open(const struct cluster_core *c);
uint32_t cluster_devices_reach(const struct cluster_core *c);
/* Devices did not open, for `error`: how long until the next try. Counts `failures`. */
uint64_t cluster_open_retry_ns(int32_t error, uint32_t *failures);
/* The site whose devices this node is to have, or VIEW_NONE. */
int32_t cluster_devices_site(const struct cluster_core *c);
void cluster_devices_fresh_incarnation(struct cluster_core *c);

/* ---- role.c: whether this node serves ---- */

void cluster_role_fact(struct cluster_core *c, const struct fact *f);
void cluster_role_pump(struct cluster_core *c);
void cluster_role_set_serve(struct cluster_core *c, enum serve_state state);

/* ---- copies.c: links and the current set, at production ---- */

void cluster_copies_fact(struct cluster_core *c, const struct fact *f);
void cluster_copies_pump(struct cluster_core *c);
void cluster_copies_reset(struct cluster_core *c);
uint32_t cluster_copies_waited(const struct cluster_core *c);
/* D3, M3: a proposal of ours leaves. */
void cluster_copies_proposed(struct cluster_core *c, const struct view *v);
/* M3: does an undecided proposal of ours ask more of answers than `v`, which is in effect? */
bool cluster_copies_unsettled(const struct cluster_core *c, const struct view *v);

/* ---- promote.c, demote.c: roles that change ---- */

void cluster_promote_command(struct cluster_core *c,
			     const struct cluster_command *command);
void cluster_promote_pump(struct cluster_core *c);
void cluster_promote_fact(struct cluster_core *c, const struct fact *f);
/* The promises are here and `best` stands: go on, or end it. */
void cluster_promote_promised(struct cluster_core *c);
void cluster_promote_in_effect(struct cluster_core *c);
void cluster_promote_objected(struct cluster_core *c, uint32_t node, uint64_t ballot);
void cluster_promote_end(struct cluster_core *c, int32_t exit_status, const char *text);
enum promote_reason cluster_promote_reason(const struct cluster_core *c,
					   const struct view *v);
/* M4: is the copy `site` current by `v`, as the incarnation of its host that is open now?
 * In sync any incarnation will do: D4. */
bool cluster_promote_is_current(const struct view *v, uint32_t site,
				uint64_t incarnation);

void cluster_demote_command(struct cluster_core *c,
			    const struct cluster_command *command);
void cluster_demote_fact(struct cluster_core *c, const struct fact *f);
void cluster_demote_pump(struct cluster_core *c);
/* The DEMOTE or STOP `w` is answered if it is done, or if its time is over. */
void cluster_demote_end(struct cluster_core *c, struct command *w);
void cluster_demote_stopped(struct cluster_core *c, struct command *w);

/* ---- undo.c ---- */

void cluster_undo_fact(struct cluster_core *c, const struct fact *f);
/* CONNECT of a node that does not serve: it is answered. */
void cluster_undo_command(struct cluster_core *c, const struct cluster_command *command);
/* ANNOUNCE_ASKS, or 0. */
uint32_t cluster_undo_flag(const struct cluster_core *c);
/* FACT_STORED: the command that gave something up ends. */
void cluster_undo_stored(struct cluster_core *c, const struct fact *f);

/* ---- lease.c ---- */

void cluster_lease_renew(struct cluster_core *c, uint32_t node, const struct message *m);
void cluster_lease_grant(struct cluster_core *c, uint32_t node, const struct message *m);
void cluster_lease_pump(struct cluster_core *c);
void cluster_lease_reset(struct cluster_core *c);
bool cluster_lease_is_valid(const struct cluster_core *c);

/* ---- status.c, score.c, alone.c, alone_status.c ---- */

int32_t cluster_score_of(const struct cluster_core *c);
/* The node that answers clients as production of the view in effect, or VIEW_NONE. */
int32_t cluster_status_serving_node(const struct cluster_core *c);

/* Names of `sites`, or "none"; those that need no force once nothing serves (D4). */
void cluster_status_sites(const struct cluster_core *c, uint32_t sites, char *text,
			  size_t size);
uint32_t cluster_status_heirs(const struct cluster_core *c);

/* Why the voters here are no majority of `v`, and a remedy. True: the text names the force. */
bool cluster_status_undecided(const struct cluster_core *c, const struct view *v,
			      char *text, size_t size);

size_t cluster_alone_bytes(void);
void cluster_alone_init(struct cluster_core *c);
void cluster_alone_step(struct cluster_core *c, const struct cluster_event *e);
void cluster_alone_status(const struct cluster_core *c, struct cluster_status *status);
void cluster_alone_check(const struct cluster_core *c);

#endif
