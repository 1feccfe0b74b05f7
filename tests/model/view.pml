/* view.pml - view, promotion, lease and return of an old production, in sync mode.
 *
 * Three nodes, all of them voters. Nodes below SITES host the site of their number, a
 * node beyond is a witness. Node 0 is production of generation 1, all others are linked
 * to it; the current set is full or empty. A step is the work of one core in one
 * cluster_step() or mirror_step(), or of a disk or a voter file: it is atomic,
 * and names the rule of docs/rules.md and the function that it stands for. Late things, a
 * process that pauses or a message that is queued, are simply not scheduled.
 *
 *   round of a node       NONE -> PROMISE -> ACCEPT (-> OPEN: its own generation)
 *                                        \-> ENGINE -> OPEN
 *   role of a node        IDLE -> PREPARED (in effect) -> SERVING -> IDLE
 *
 * The adversary crashes and restarts nodes (POWER: unflushed records may be lost),
 * cuts one node off and heals that, and chooses the node that goes on. The bounds are
 *
 *   WRITES    writes of clients           ROUNDS    rounds begun, by anyone
 *   CRASHES   crashes, of anyone          CUTS      changes of the network
 *
 * Each -DMUT_NAME takes one rule away; `check` wants a violation of it. must(NAME, ...)
 * says the guarantees: G1 G3 G4 of docs/rules.md, SplitBrain (D8), Diverged: two sites
 * hold different records at one place, Returned: a write comes back that a production
 * had ended without.
 */
#ifndef SITES
#define SITES 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef CUTS
#define CUTS 1
#endif

#define bit(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)
#define min(a, b) ((a) < (b) -> (a) : (b))
#define max(a, b) ((a) > (b) -> (a) : (b))

hidden byte G1, G3, G4, SplitBrain, Diverged, Returned; /* always 0: names */
#define must(name, condition) assert(name || (condition))

/* A view (cluster/view.h): its generation, its production, the current set, and the members of
 * the set that have not restarted since (the code compares incarnations). */
#define VIEW(g, p, set, fresh) ((g) | (p) << 3 | (set) << 5 | (fresh) << 8)
#define GEN(v) ((v) & 7)
#define PROD(v) (((v) >> 3) & 3)
#define SET(v) (((v) >> 5) & 7)
#define FRESH(v) (((v) >> 8) & 7)

/* A record's identity is its generation and its place; beside it, which write it is. */
#define RECORD(g, write) ((g) | (write) << 3)
#define WRITE(r) ((r) >> 3)
#define rec(n, i) record[(n) * WRITES + (i)]

/* ---- durable ------------------------------------------------------------------ */

byte promised[3];                       /* D1: the voter file (cluster/voter_format.h) */
byte accepted_ballot[3];
short accepted[3];
byte length[3], record[SITES * WRITES]; /* the writelog */
#ifdef POWER
byte durable[3];                        /* so much of it is flushed */
#define DURABLE(n) durable[n]
#else
#define DURABLE(n) length[n]
#endif
byte history[3];                        /* the newest generation that the log knows */
byte refused[3], refused_ballot[3];     /* D4: every other generation's links; its ballot */
byte cut[8], chain[8];                  /* of each generation: its cut; it and before */

/* ---- volatile ----------------------------------------------------------------- */

bool up[3];
#define NONE 0
#define PROMISE 1
#define ENGINE 2
#define ACCEPT 3
#define OPEN 4
byte phase[3], ballot[3], voted[3];     /* round.c: own round; voters that accepted */
short proposal[3];                      /* ENGINE: voted: which sources were reached */
#define IDLE 0
#define PREPARED 1
#define SERVING 2
byte role[3], generation[3];
short known[3];                         /* production: the view in effect, as it knows */
byte undecided[3], undecided_ballot[3]; /* D3: sets that were proposed and may stand */
byte candidate[3], mark[3];             /* D3: node + 1 that is to enter, from where on */
byte answered[3];                       /* so many records are acknowledged or shown */
byte stream[3];                         /* a copy: node + 1 of its production */
byte heard[9], heard_durable[9];        /* [production * 3 + copy]: its marks */
bool whole[3];                           /* D4: promises more than the flushed data */
/* D7. Time is only: did that renewal's sending come before this wait's beginning. */
bool lease[3], renewing[3];
byte granted[3];                        /* voters that answered the renewal */
byte covers[3], covers_renewal[3];      /* [waiter]: bits of the leases, of the renewals */

/* ---- the world, and the memory of the checks ---------------------------------------- */

#define NOBODY 3
byte isolated = NOBODY;
byte writes, rounds, crashes, cuts, generations = 1;
short effect; byte effect_ballot;       /* the newest view in effect */
byte newest_serving = 1;                /* the newest generation that ever served */
byte promised_writes, flushed_writes;   /* acknowledged or shown; flushed */
byte ended_writes;                      /* a production began without them */
hidden byte i, j, k; hidden short view;  /* inside one step only */

#define connected(a, b) (up[a] && up[b] && \
	((a) == (b) || isolated == NOBODY || ((a) != isolated && (b) != isolated)))
#define majority(set) ((set) == 3 || (set) >= 5)

/* What a promotion is based on: the newest view that this node or voter v accepted. */
#define best_ballot(n, v) max(accepted_ballot[n], accepted_ballot[v])
#define best(n, v) (accepted_ballot[n] >= accepted_ballot[v] -> accepted[n] : accepted[v])
#ifdef MUT_NO_ADOPTION
#define decided(n, v) true
#else
#define decided(n, v) (best_ballot(n, v) == effect_ballot)
#endif

#define preparing(n) (phase[n] == ENGINE || phase[n] == OPEN || role[n] != IDLE)

/* ---- parts of steps ------------------------------------------------------------ */

inline give_up(n) /* round.c: cluster_round_give_up() */
{
	phase[n] = NONE; ballot[n] = 0; voted[n] = 0; proposal[n] = 0;
	if :: role[n] == IDLE -> covers[n] = 0; covers_renewal[n] = 0; whole[n] = false
	   :: else
	fi
}

inline end_lease(n)
{
	lease[n] = false;
	for (i : 0 .. 2) { covers[i] = covers[i] & (7 - bit(n)) }
	i = 0
}

inline end_renewal(n)
{
	renewing[n] = false; granted[n] = 0;
	for (i : 0 .. 2) { covers_renewal[i] = covers_renewal[i] & (7 - bit(n)) }
	i = 0
}

inline step_down(n) /* role.c: depose(); engine/demote.c: mirror_depose() */
{
	role[n] = IDLE; generation[n] = 0; known[n] = 0;
	undecided[n] = 0; undecided_ballot[n] = 0; candidate[n] = 0; mark[n] = 0; answered[n] = 0;
	end_lease(n); end_renewal(n);
	covers[n] = 0; covers_renewal[n] = 0; whole[n] = false;
	for (k : 0 .. 2) {
		heard[n * 3 + k] = 0; heard_durable[n * 3 + k] = 0;
		if :: stream[k] == n + 1 -> stream[k] = 0 :: else fi
	}
	k = 0
}

/* D8 (history.c: mirror_history_judge()): how much of n's log the chain `theirs` keeps:
 * up to the lowest cut of all generations after its own. Into j. */
inline judge(n, theirs)
{
	must(SplitBrain, has(theirs, history[n]));
	j = length[n];
	for (k : 1 .. 7) {
		if :: k > history[n] && has(theirs, k) ->
			j = min(j, cut[k]);
#ifdef MUT_FIRST_CUT
			break
#endif
		   :: else
		fi
	}
	k = 0
}

inline shorten(n, to) /* engine/cut.c: mirror_cut_start() */
{
	do :: length[n] > to -> length[n]--; rec(n, length[n]) = 0 :: else -> break od;
#ifdef POWER
	durable[n] = min(durable[n], length[n])
#endif
}

inline same_records(n, t)
{
	for (k : 0 .. WRITES - 1) {
		must(Diverged, k >= length[n] || k >= length[t] || rec(n, k) == rec(t, k))
	}
	k = 0
}

inline propose(n) /* round.c: propose(); D3: from here on its set is waited for */
{
	proposal[n] = view; phase[n] = ACCEPT; voted[n] = 0;
#ifndef MUT_NO_UNDECIDED
	if :: role[n] != IDLE && GEN(view) == generation[n] ->
		undecided[n] = undecided[n] | SET(view); undecided_ballot[n] = ballot[n]
	   :: else
	fi;
#endif
	candidate[n] = 0; mark[n] = 0; view = 0
}

/* voter.c: cluster_voter_prepare(): v promises; with its own promise n has a majority. */
inline promise(n, v)
{
	promised[v] = ballot[n];
	give_up(v);
#ifdef MUT_NO_ADOPTION
	if :: role[n] != IDLE && GEN(best(n, v)) == generation[n] ->
		known[n] = best(n, v); undecided[n] = 0
	   :: else
	fi;
#endif
}

/* ---- the members --------------------------------------------------------------- */

#define asks(n, v) (phase[n] == PROMISE && connected(n, v) && promised[v] < ballot[n])
#define produces(n, v) (role[n] == SERVING && decided(n, v) && GEN(best(n, v)) == generation[n])

/* D4 (promote.c: cluster_promote_reason()): production's site, or a current one. */
#ifdef MUT_ANY_SITE
#define may_take_over(n, v) true
#else
#define may_take_over(n, v) (PROD(best(n, v)) == n || has(SET(best(n, v)), n))
#endif

/* promote.c: cluster_promote_promised(); engine/prepare.c: judge_self(), refuse() */
inline take_over(n, v)
{
	generations++;
	proposal[n] = VIEW(generations, n, SET(best(n, v)) & (7 - bit(n)),
		FRESH(best(n, v)) & (7 - bit(n)));
	whole[n] = has(SET(best(n, v)), n) && has(FRESH(best(n, v)), n);
	chain[generations] = chain[GEN(best(n, v))] | bit(generations);
	promise(n, v);
	phase[n] = ENGINE; voted[n] = 0; stream[n] = 0;
#ifndef MUT_NO_OWN_CUT
	judge(n, chain[generations] & (bit(generations) - 1));
	shorten(n, j);
#endif
#if !defined(MUT_NO_REFUSAL) && !defined(MUT_LATE_REFUSAL)
	refused[n] = generations; refused_ballot[n] = ballot[n];
#endif
	/* D7: older leases are waited out from the promises on */
	for (k : 0 .. 2) {
		covers[n] = covers[n] | (lease[k] -> bit(k) : 0);
		covers_renewal[n] = covers_renewal[n] | (renewing[k] -> bit(k) : 0)
	}
	i = 0; j = 0; k = 0
}

/* D5 (engine/greet.c: check_generation(), store(); engine/receive.c): n takes the records of
 * current copy t beyond n's log; t stores the refusal and drops older links. */
#define base_chain(n) (chain[GEN(proposal[n])] & (bit(GEN(proposal[n])) - 1))
#define is_ahead(t, theirs) (!has(theirs, history[t]) && ((theirs) & ~chain[history[t]]) == 0)
#define may_roll(n, t) (phase[n] == ENGINE && has(SET(proposal[n]), t) && \
	!has(voted[n], t) && connected(n, t) && !preparing(t) && \
	(refused[t] == 0 || has(base_chain(n), refused[t]) || ballot[n] > refused_ballot[t]) && \
	!is_ahead(t, base_chain(n)))
inline roll_forward(n, t)
{
	judge(t, base_chain(n));
	same_records(n, t);
#ifndef MUT_NO_ROLL
	do :: length[n] < j -> rec(n, length[n]) = rec(t, length[n]); length[n]++ :: else -> break od;
#endif
#ifndef MUT_NO_ROLL_REFUSAL
	refused[t] = GEN(proposal[n]); refused_ballot[t] = ballot[n]; stream[t] = 0;
#endif
	if :: has(FRESH(proposal[n]), t) -> voted[n] = voted[n] | bit(t) :: else fi;
	printf("  node %d rolls forward from %d: its log has %d records\n", n, t, length[n]);
	j = 0
}

/* generation.c: cluster_generation_fill(): the view names the cut and the reached sites. */
inline open_generation(n)
{
#ifndef MUT_KEEP_SET
	proposal[n] = VIEW(GEN(proposal[n]), n, SET(proposal[n]) & voted[n],
		FRESH(proposal[n]) & voted[n]);
#endif
	whole[n] = whole[n] || voted[n] != 0;
	cut[GEN(proposal[n])] = length[n];
#ifdef POWER
	durable[n] = length[n];
#endif
	phase[n] = OPEN; voted[n] = 0;
	printf("  node %d proposes generation %d, cut %d, current set %d\n", n,
		GEN(proposal[n]), length[n], SET(proposal[n]))
}

inline all_writes(n) /* of n's log, into i */
{
	i = 0;
	for (k : 0 .. WRITES - 1) {
		if :: k < length[n] -> i = i | bit(WRITE(rec(n, k))) :: else fi
	}
	k = 0
}

inline check_set() /* G1, G4: a current copy may be promoted, so it holds all promised writes */
{
#ifndef POWER
	for (j : 0 .. SITES - 1) {
		if :: has(SET(effect) & FRESH(effect), j) ->
			all_writes(j);
			must(G4, (promised_writes & (255 - i)) == 0)
		   :: else
		fi
	}
	i = 0; j = 0;
#endif
	skip
}

/* in_effect.c: cluster_in_effect_take() */
inline take_effect(n)
{
	if :: ballot[n] > effect_ballot ->
		effect = proposal[n]; effect_ballot = ballot[n];
		check_set()
	   :: else
	fi;
	printf("  ballot %d is in effect: generation %d of node %d, current set %d\n", ballot[n],
		GEN(proposal[n]), PROD(proposal[n]), SET(proposal[n]));
	if :: phase[n] == OPEN ->
		role[n] = PREPARED; generation[n] = GEN(proposal[n]); known[n] = proposal[n];
#ifdef MUT_LATE_REFUSAL
		refused[n] = GEN(proposal[n]); refused_ballot[n] = ballot[n]
#endif
	   :: phase[n] != OPEN && role[n] != IDLE ->
		if :: GEN(proposal[n]) == generation[n] ->
			known[n] = proposal[n]; undecided[n] = 0; undecided_ballot[n] = 0
		   :: else -> step_down(n)
		fi
	   :: else
	fi;
	phase[n] = NONE; ballot[n] = 0; voted[n] = 0; proposal[n] = 0
}

/* voter.c: cluster_voter_propose(): v accepts, on stable storage. */
#ifdef MUT_BELOW_PROMISE
#define keeps_promise(v, ballot) (accepted_ballot[v] < (ballot))
#else
#define keeps_promise(v, ballot) (promised[v] <= (ballot))
#endif
#define accepts(n, v) (phase[n] >= ACCEPT && !has(voted[n], v) && connected(n, v) && \
	keeps_promise(v, ballot[n]))
inline accept(n, v)
{
	promised[v] = ballot[n]; accepted_ballot[v] = ballot[n]; accepted[v] = proposal[n];
	voted[n] = voted[n] | bit(v);
	printf("  ballot %d of node %d is accepted by %d\n", ballot[n], n, v);
	if :: v != n -> give_up(v) :: else fi;
	if :: majority(voted[n]) -> take_effect(n) :: else fi
}

/* D7 (lease.c: may_grant()): not after a promise that has not come to a view of the same
 * generation. A promise to production itself is no exception: it may have come on top of
 * one to another node, which no longer needs this voter (MUT_GRANT_PROPOSER). */
#ifdef MUT_GRANT_ALWAYS
#define may_grant(v, n) (GEN(accepted[v]) == generation[n])
#elif defined(MUT_GRANT_PROPOSER)
#define may_grant(v, n) (GEN(accepted[v]) == generation[n] && \
	(promised[v] % 3 == n || promised[v] == accepted_ballot[v]))
#else
#define may_grant(v, n) (GEN(accepted[v]) == generation[n] && promised[v] == accepted_ballot[v])
#endif
#define grants(v, n) (connected(n, v) && may_grant(v, n) -> bit(v) : 0)
#define granting(n) (grants(0, n) | grants(1, n) | grants(2, n))
#ifdef MUT_OWN_ANSWER
#define lease_is_granted(set) ((set) != 0)
#else
#define lease_is_granted(set) majority(set)
#endif
/* All answers to a RENEW are of its place in the order of messages, and are taken at
 * once; with APART they are of different moments, and may be taken later. */
inline answer(n) /* lease.c: cluster_lease_renew() */
{
	granted[n] = granted[n] | granting(n)
}

inline take_lease(n) /* lease.c: cluster_lease_grant() */
{
	/* D7: it runs from the sending */
	for (k : 0 .. 2) {
#ifdef MUT_FROM_ANSWER
		covers[k] = covers[k] & (7 - bit(n));
#else
		covers[k] = (covers[k] & (7 - bit(n))) | (covers_renewal[k] & bit(n));
#endif
		covers_renewal[k] = covers_renewal[k] & (7 - bit(n))
	}
	k = 0;
	lease[n] = true; renewing[n] = false; granted[n] = 0;
	printf("  node %d has a lease for generation %d\n", n, generation[n]);
	must(G3, generation[n] >= newest_serving || role[n] != SERVING)
}

/* promote.c: older_leases_ended(), lease_wait(); engine/prepare.c: mirror_serve_order() */
inline serve(n)
{
	for (k : 0 .. 2) {
#ifndef MUT_NO_WAIT
		if :: has(covers[n], k) -> end_lease(k) :: else fi;
		if :: has(covers_renewal[n], k) -> end_renewal(k) :: else fi;
#endif
		must(G3, k == n || !lease[k] || role[k] != SERVING)
	}
	covers[n] = 0; covers_renewal[n] = 0;
	history[n] = generation[n]; role[n] = SERVING;
	newest_serving = max(newest_serving, generation[n]);
	all_writes(n);
	printf("  node %d serves generation %d: its log has writes %d, promised %d, flushed %d\n",
		n, generation[n], i, promised_writes, flushed_writes);
#ifdef POWER
#ifdef MUT_FULL_PROMISE
	whole[n] = true;
#endif
	if :: whole[n] -> must(G4, (promised_writes & (255 - i)) == 0)
	   :: else -> must(G4, (flushed_writes & (255 - i)) == 0); promised_writes = promised_writes & i
	fi;
#else
	must(G4, (promised_writes & (255 - i)) == 0);
#endif
	must(Returned, (i & ended_writes) == 0);
	ended_writes = ended_writes | ((bit(writes) - 1) & (255 - i));
	whole[n] = false;
	/* D5 (begin_answers()): a recovered record waits like a new write */
#ifdef MUT_SHOW_RECOVERED
	answered[n] = length[n];
	promised_writes = promised_writes | i;
#endif
	i = 0; k = 0
}

/* ---- a write's way ------------------------------------------------------------------ */

inline stamp(n) /* engine/request.c: stamp_request(), and the log write */
{
	rec(n, length[n]) = RECORD(generation[n], writes);
	printf("  node %d logs write %d as generation %d, place %d\n", n, writes,
		generation[n], length[n]);
	length[n]++;
	if :: generation[n] < newest_serving -> ended_writes = ended_writes | bit(writes)
	   :: else
	fi;
	writes++
}

/* D3 (copies.c: cluster_copies_waited(); acknowledged.c): the set in effect, all that may still
 * take effect, and the copy that is to enter. */
#define standing(n) (SET(known[n]) | undecided[n])
#ifdef MUT_LEAVE_EARLY
#define counting(n) (phase[n] == ACCEPT && GEN(proposal[n]) == generation[n] -> \
	SET(proposal[n]) : standing(n))
#else
#define counting(n) standing(n)
#endif
#define waited(n) ((counting(n)) | (candidate[n] != 0 -> bit(candidate[n] - 1) : 0))
#define confirmed(n, t) (!has(waited(n), t) || heard[n * 3 + (t)] > answered[n])
inline acknowledge(n) /* engine/answer.c: mirror_answer_pump() */
{
	promised_writes = promised_writes | bit(WRITE(rec(n, answered[n])));
	printf("  node %d acknowledges or shows place %d, write %d\n", n, answered[n],
		WRITE(rec(n, answered[n])));
	for (k : 0 .. SITES - 1) {
		must(G1, GEN(effect) != generation[n] || !has(SET(effect) & FRESH(effect), k) ||
			(length[k] > answered[n] && rec(k, answered[n]) == rec(n, answered[n])))
	}
	k = 0;
	answered[n]++
}

#define flushed_by(n, t) (!has(waited(n), t) || heard_durable[n * 3 + (t)] >= answered[n])

inline flush(n)
{
	i = 0;
	for (k : 0 .. WRITES - 1) {
		if :: k < answered[n] -> i = i | bit(WRITE(rec(n, k))) :: else fi
	}
	flushed_writes = flushed_writes | (promised_writes & i);
	printf("  node %d answers a flush: %d\n", n, flushed_writes);
	i = 0; k = 0
}

/* A copy's marks arrive as it logs: only the actions upon them may be late. */
inline hear(t)
{
	if :: stream[t] != 0 ->
		heard[(stream[t] - 1) * 3 + t] = length[t];
		heard_durable[(stream[t] - 1) * 3 + t] = DURABLE(t)
	   :: else
	fi
}

/* D4, D8 (engine/greet.c: check_generation(), judge(), store()): t takes n's stream. */
#define may_link(n, t) (role[n] == SERVING && connected(n, t) && !preparing(t) && \
	stream[t] != n + 1 && (refused[t] == 0 || has(chain[generation[n]], refused[t])) && \
	!is_ahead(t, chain[generation[n]]))
inline link(n, t)
{
	printf("  node %d links to %d: its log has %d records of %d\n", n, t, length[t], length[n]);
#ifndef MUT_NO_CUT
	judge(t, chain[generation[n]]);
	shorten(t, j);
#endif
	same_records(n, t);
	must(Diverged, length[t] <= length[n]);
	history[t] = generation[n]; refused[t] = 0; refused_ballot[t] = 0;
	stream[t] = n + 1;
	hear(t);
	j = 0
}

/* ---- the actors, and their steps -------------------------------------------------------- */

#define without(v, t) VIEW(GEN(v), PROD(v), SET(v) & (7 - bit(t)), FRESH(v) & (7 - bit(t)))
#define with(v, t) VIEW(GEN(v), PROD(v), SET(v) | bit(t), FRESH(v) | bit(t))

/* D3 (engine/enter_current.c: enter()): all below the mark is durable there. */
#ifdef MUT_NO_MARK
#define is_level(n) true
#else
#define is_level(n) (heard_durable[n * 3 + candidate[n] - 1] >= mark[n])
#endif
#define may_enter(n) (candidate[n] != 0 && stream[candidate[n] - 1] == n + 1 && is_level(n))

/* A voter v promises to n: the newest view of the two is adopted or confirmed under n's
 * ballot, or followed by n's next view (plan.c: plan_copy()). */
#ifdef CONFIRM
#define may_confirm(n) true
#else
#define may_confirm(n) (role[n] != IDLE)
#endif
inline round_with(n, v, t, u)
{
	if
	:: d_step { asks(n, v) && (!decided(n, v) || may_confirm(n)) ->
		printf("  ballot %d of node %d is promised by %d: adopts or confirms\n", ballot[n], n, v);
		view = best(n, v); promise(n, v); propose(n) }
	:: d_step { asks(n, v) && produces(n, v) && has(SET(best(n, v)), t) ->
		printf("  ballot %d of node %d is promised by %d: %d is to leave\n", ballot[n], n, v, t);
		view = without(best(n, v), t); promise(n, v); propose(n) }
	:: d_step { asks(n, v) && produces(n, v) && has(SET(best(n, v)), u) ->
		printf("  ballot %d of node %d is promised by %d: %d is to leave\n", ballot[n], n, v, u);
		view = without(best(n, v), u); promise(n, v); propose(n) }
	:: d_step { asks(n, v) && produces(n, v) && may_enter(n) &&
	   !has(SET(best(n, v)), candidate[n] - 1) ->
		printf("  ballot %d of node %d is promised by %d: %d is to enter\n", ballot[n], n, v,
			candidate[n] - 1);
		view = with(best(n, v), candidate[n] - 1); promise(n, v); propose(n) }
	:: d_step { asks(n, v) && n < SITES && role[n] == IDLE && decided(n, v) && may_take_over(n, v) ->
		printf("  ballot %d of node %d is promised by %d: takes over\n", ballot[n], n, v);
		take_over(n, v) }
	:: d_step { accepts(n, v) -> accept(n, v) }
	fi
}

/* The mark from which writes wait for a copy that is to enter: beyond all answered writes, and
 * beyond the recovered ones: a generation before may have answered those. */
#ifdef MUT_MARK_AT_ANSWERED
#define mark_of(n) (waited(n) == 0 -> length[n] : answered[n])
#else
#define mark_of(n) max(answered[n], cut[generation[n]])
#endif

inline copy_of(n, t) /* a copy t, as production n sees it */
{
	if
	:: d_step { t < SITES && may_link(n, t) -> link(n, t) }
	:: d_step { role[n] == SERVING && candidate[n] == 0 && stream[t] == n + 1 && !has(waited(n), t) ->
		mark[n] = mark_of(n); candidate[n] = t + 1;
		printf("  node %d lets writes wait for %d from place %d on\n", n, t, mark[n]) }
	:: d_step { t < SITES && up[n] && may_roll(n, t) -> roll_forward(n, t) }
	fi
}

#define is_covered(n) has(covers[0] | covers[1] | covers[2], n)
#define renewal_is_covered(n) has(covers_renewal[0] | covers_renewal[1] | covers_renewal[2], n)
#ifdef APART
#define may_renew(n) (!renewing[n] || renewal_is_covered(n))
#else /* one that changes nothing */
#define may_renew(n) ((!lease[n] || is_covered(n)) && (!renewing[n] || renewal_is_covered(n)))
#endif
#define knows_newest(n, v) (connected(n, v) && accepted_ballot[v] >= effect_ballot)

#ifdef MUT_LIFT_EARLY
#define may_lift(n) (!has(chain[GEN(effect)], refused[n]))
#else
#define may_lift(n) (!has(chain[GEN(effect)], refused[n]) && effect_ballot > refused_ballot[n])
#endif

#define p1 ((me + 1) % 3)
#define p2 ((me + 2) % 3)
inline lives(me)
{
	if
	:: d_step { rounds < ROUNDS && (connected(me, p1) || connected(me, p2)) -> /* round.c: begin() */
		give_up(me);
		rounds++; ballot[me] = rounds * 3 + me; promised[me] = ballot[me]; phase[me] = PROMISE;
		printf("  node %d begins ballot %d\n", me, ballot[me]) }
	:: d_step { up[me] && phase[me] == ENGINE -> open_generation(me) }
	:: d_step { accepts(me, me) -> accept(me, me) }
	/* D4 (engine/prepare.c: mirror_view_order()): a later view keeps the older generation */
	:: d_step { up[me] && refused[me] != 0 && !preparing(me) && may_lift(me) ->
		printf("  node %d lifts its refusal of all but generation %d\n", me, refused[me]);
		refused[me] = 0; refused_ballot[me] = 0 }
	/* others tell of the view in effect (cluster_in_effect_take(), depose()) */
	:: d_step { role[me] != IDLE && known[me] != effect &&
	   (knows_newest(me, p1) || knows_newest(me, p2)) ->
		printf("  node %d is told that generation %d is in effect\n", me, GEN(effect));
		if :: GEN(effect) != generation[me] -> give_up(me); step_down(me)
		   :: else ->
			known[me] = effect;
			if :: ballot[me] < effect_ballot -> give_up(me) :: else fi;
			if :: undecided_ballot[me] <= effect_ballot ->
				undecided[me] = 0; undecided_ballot[me] = 0
			   :: else
			fi
		fi }
	:: d_step { role[me] != IDLE && may_renew(me) ->
		end_renewal(me); renewing[me] = true } /* lease.c: renew() */
#ifdef APART
	:: d_step { renewing[me] && (granting(me) & ~granted[me]) != 0 -> answer(me) }
	:: d_step { renewing[me] && lease_is_granted(granted[me]) -> take_lease(me) }
#else
	:: d_step { renewing[me] && lease_is_granted(granting(me)) -> take_lease(me) }
#endif
	:: d_step { role[me] == PREPARED && lease[me] -> serve(me) }
	:: d_step { role[me] == SERVING && writes < WRITES -> stamp(me) }
	:: d_step { role[me] == SERVING && lease[me] && answered[me] < length[me] &&
	   confirmed(me, 0) && confirmed(me, 1) && confirmed(me, 2) -> acknowledge(me) }
	:: d_step { candidate[me] != 0 -> candidate[me] = 0; mark[me] = 0 } /* its link was lost */
	/* engine/receive.c: take_record() */
	:: d_step { stream[me] != 0 && length[me] < length[stream[me] - 1] ->
		printf("  copy %d logs place %d from %d\n", me, length[me], stream[me] - 1);
		rec(me, length[me]) = rec(stream[me] - 1, length[me]); length[me]++; hear(me) }
#ifdef POWER
	:: d_step { up[me] && me < SITES && durable[me] < length[me] ->
		durable[me] = length[me]; hear(me) }
	/* G1: all that was acknowledged is durable wherever it is waited for */
	:: d_step { role[me] == SERVING && lease[me] && durable[me] >= answered[me] &&
	   (promised_writes & (255 - flushed_writes)) != 0 &&
	   flushed_by(me, 0) && flushed_by(me, 1) && flushed_by(me, 2) -> flush(me) }
#endif
	fi
}

proctype Node(byte me)
{
	do
	:: lives(me)
	:: round_with(me, p1, p1, p2)
	:: round_with(me, p2, p1, p2)
	:: copy_of(me, p1)
	:: copy_of(me, p2)
	od
}

/* ---- the adversary ----------------------------------------------------------------------- */

inline restarted(n) /* a view that calls it current speaks of a process that is gone */
{
	for (k : 0 .. 2) {
		accepted[k] = accepted[k] & (2047 - (bit(n) << 8));
		known[k] = known[k] & (2047 - (bit(n) << 8));
		proposal[k] = proposal[k] & (2047 - (bit(n) << 8));
		if :: candidate[k] == n + 1 -> candidate[k] = 0; mark[k] = 0 :: else fi
	}
	effect = effect & (2047 - (bit(n) << 8));
	k = 0
}

inline crash(n)
{
	crashes++; up[n] = false;
	step_down(n); give_up(n); stream[n] = 0; restarted(n);
#ifdef MUT_VOLATILE_PROMISE
	promised[n] = accepted_ballot[n];
#endif
#ifdef MUT_VOLATILE_REFUSAL
	refused[n] = 0; refused_ballot[n] = 0;
#endif
}

inline may_crash(n)
{
	if
	:: d_step { up[n] && crashes < CRASHES -> printf("  node %d crashes\n", n); crash(n) }
#ifdef POWER
	:: d_step { up[n] && crashes < CRASHES && n < SITES && durable[n] < length[n] ->
		printf("  node %d loses power, and its log from place %d on\n", n, durable[n]);
		shorten(n, durable[n]); crash(n) }
#endif
	:: d_step { !up[n] -> up[n] = true;
#ifdef POWER
		if :: n < SITES -> durable[n] = length[n] :: else fi; /* W3 */
#endif
		printf("  node %d is back\n", n) }
	fi
}

#define cut_off(n) d_step { cuts < CUTS && isolated != n -> cuts++; isolated = n; \
	printf("  node %d is cut off\n", n) }

proctype World()
{
	do
	:: may_crash(0)
	:: may_crash(1)
	:: may_crash(2)
	:: cut_off(0)
	:: cut_off(1)
	:: cut_off(2)
	:: d_step { isolated != NOBODY && cuts < CUTS -> cuts++; isolated = NOBODY;
		printf("  nobody is cut off\n") }
	od
}

inline begin(set)
{
	effect = VIEW(1, 0, set, set);
	for (k : 0 .. 2) { up[k] = true; accepted[k] = effect; history[k] = 1 }
	for (k : 1 .. SITES - 1) { stream[k] = 1 }
	k = 0;
	chain[1] = bit(1); known[0] = effect; generation[0] = 1; role[0] = SERVING; lease[0] = true
}

init {
	atomic {
		if
#ifndef EMPTY
		:: d_step { true -> begin(bit(SITES) - 2) }
#endif
#ifndef CURRENT
		:: d_step { true -> begin(0) }
#endif
#ifdef PARTLY
		:: d_step { true -> begin(2) }
#endif
		fi;
		run Node(0); run Node(1);
#if SITES == 3
		run Node(2);
#endif
		run World()
	}
}
