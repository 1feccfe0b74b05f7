/* alone.pml - `cluster: none`: two sites, and an operator who stands for the majority.
 *
 * A site's log is the set of writes that it has and the newest generation of its history;
 * it may have given writes up that only its disks still hold. The operator promotes,
 * demotes, forces, puts the other site out and lets it in, on either side; the adversary
 * cuts the line and lets a process crash. A promotion asks, prepares, rolls forward and
 * serves in steps of its own. Bounds: WRITES, PROMOTIONS, FORCES, CRASHES, CUTS.
 *
 * It must hold:
 *   G3  two sites serve at once only if one of them was promoted without hearing the other
 *   G4  a site that serves has all acknowledged writes, but for those that a force gave up,
 *       and those of a rival if one of the two was promoted without hearing the other
 *   D3  a copy that is waited for has all that was acknowledged, and needs no refresh
 *
 * Not here: power loss, images that are not whole, refusals (of two sites the one that
 * promised is also the one to be asked), progress.
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef PROMOTIONS
#define PROMOTIONS 3
#endif
#ifndef FORCES
#define FORCES 0
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef CUTS
#define CUTS 1
#endif
#define GENERATIONS (PROMOTIONS + FORCES + 1)

#define bit(n) (1 << (n))
#define has_bit(set, n) (((set) >> (n)) & 1)
#define other(s) (1 - (s))

hidden byte G3, G4, D3; /* always 0: names */
#define must(name, condition) assert(name || (condition))

/* durable: the logs */
byte has[2], freed[2]; /* writes; of these, those that the log has given up */
byte gen[2];           /* its newest generation; 0: the first */
bool clean[2];         /* demoted, drained: nothing is missing here up to the end */
bool out[2];           /* the other one was put out here */
/* of each generation */
byte parent[GENERATIONS], site[GENERATIONS];
bool forced[GENERATIONS], alone[GENERATIONS];
byte generations = 1;
byte writer[WRITES]; /* of each write: its generation */
byte writes, acked;
/* processes */
#define DOWN 0
#define IDLE 1
#define ASKED 2    /* the other one was asked, or could not be */
#define PREPARED 3 /* it takes no stream any more, and is to roll forward */
#define ROLLED 4
#define SERVING 5
byte state[2] = { IDLE, IDLE };
bool heard[2], force[2], reached[2];
bool was_there[2]; /* the other one could be heard, even if it was not believed */
bool waits, linked; /* of the site that serves: for the copy; to the copy */
bool lone[2];
bool line = true;
byte promotions, forces, crashes, cuts;
hidden byte g, h, k, chain, excuse, w; /* inside one step only */

#define hears(s) (line && state[other(s)] != DOWN)
#define busy(s) (state[s] == ASKED || state[s] == PREPARED || state[s] == ROLLED)
#define missing(s, o) (has[s] & ~has[o])
#define needs_refresh(s, o) ((missing(s, o) & freed[s]) != 0)

/* `chain`: the generations of the history that ends with `last`. */
inline find_chain(last) {
	k = last; chain = bit(k);
	do
	:: k != 0 -> k = parent[k]; chain = chain | bit(k)
	:: else -> break
	od
}

/* alone_promote.c: may a site be promoted that cannot hear the other? */
#ifdef MUT_OUT_ANYWHERE
#define permitted(s) (clean[s] || out[s])
#else
#define permitted(s) (clean[s] || (out[s] && site[gen[s]] == s && gen[s] != 0))
#endif

inline forget(s) {
	heard[s] = false; force[s] = false; reached[s] = false; was_there[s] = false
}

inline refuse(s) {
	state[s] = IDLE; forget(s)
}

/* ---- a promotion ---- */

#ifdef MUT_BUSY_ABSENT
#define answers(s) (hears(s) && !busy(other(s)))
#else
#define answers(s) hears(s)
#endif
#ifdef MUT_FORCE_SERVING
#define yields_to_serving(s) (!force[s])
#else
#define yields_to_serving(s) true
#endif
#ifdef MUT_NEWER_IGNORED
#define is_behind(s) false
#else
#define is_behind(s) (!has_bit(chain, gen[other(s)]))
#endif

inline ask(s) {
	heard[s] = answers(s); was_there[s] = hears(s);
	find_chain(gen[s]);
	if
	:: heard[s] && state[other(s)] == SERVING && yields_to_serving(s) -> refuse(s)
	:: heard[s] && busy(other(s)) -> refuse(s) /* one yields; if it asks again it is the same */
	:: heard[s] && !busy(other(s)) && !(state[other(s)] == SERVING && yields_to_serving(s)) &&
	   is_behind(s) && !force[s] -> refuse(s) /* outdated, or SplitBrain */
	:: !heard[s] && !permitted(s) && !force[s] -> refuse(s)
	:: else -> state[s] = ASKED
	fi
}

inline prepare(s) {
	state[s] = PREPARED;
	linked = false
}

/* A step that was refused or cut off has not been done. */
#ifdef MUT_CUT_OFF_IS_DONE
#define goes_on(s) true
#else
#define goes_on(s) force[s]
#endif
/* Its answer to the question is old by now: the log that is asked judges again. */
#ifdef MUT_OLD_ANSWER
#define is_behind_by_now(s) false
#else
#define is_behind_by_now(s) is_behind(s)
#endif
/* It is promoted by its records, not by the name of its generation. */
#ifdef MUT_IDENTITY
#define may_lack(s) true
#else
#define may_lack(s) force[s]
#endif

inline roll(s) {
	if
	:: !heard[s] -> state[s] = ROLLED
	:: heard[s] && hears(s) && state[other(s)] == IDLE ->
		find_chain(gen[s]);
		reached[s] = gen[other(s)] == gen[s];
		if
		:: is_behind_by_now(s) && !force[s] -> refuse(s)
		:: !is_behind_by_now(s) && reached[s] && needs_refresh(other(s), s) &&
		   !may_lack(s) -> refuse(s)
		:: else ->
			if
			:: reached[s] ->
				has[s] = has[s] | (missing(other(s), s) & ~freed[other(s)])
			:: else
			fi;
			state[s] = ROLLED
		fi
	:: heard[s] && !(hears(s) && state[other(s)] == IDLE) ->
		/* by force: not heard, after all; never one that serves */
		if
		:: goes_on(s) && !(hears(s) && state[other(s)] == SERVING) ->
			state[s] = ROLLED
		:: else -> refuse(s)
		fi
	fi
}

/* `excuse`: between the write's generation and `g` lies one that the operator answers for. */
inline find_excuse(from) {
	find_chain(g);
	excuse = 0;
	h = from;
	do
	:: !has_bit(chain, h) ->
		excuse = excuse || forced[h] || alone[h];
		h = parent[h]
	:: else -> break
	od;
	k = g;
	do
	:: k != h ->
		excuse = excuse || forced[k] || (alone[k] && h != from);
		k = parent[k]
	:: else -> break
	od
}

inline check_serving(s) {
	must(G3, state[other(s)] != SERVING || lone[s] || lone[other(s)]);
	w = 0;
	do
	:: w < writes ->
		if
		:: has_bit(acked, w) && !has_bit(has[s], w) ->
			find_excuse(writer[w]);
			must(G4, excuse)
		:: else
		fi;
		w++
	:: else -> break
	od;
	w = 0; h = 0; k = 0; chain = 0; excuse = 0
}

#ifdef MUT_WAIT_UNMARKED
#define may_wait(s) reached[s]
#else
#define may_wait(s) (reached[s] && !needs_refresh(s, other(s)) && \
		     (acked & missing(s, other(s))) == 0)
#endif

inline serve(s) {
	g = generations; generations++;
	parent[g] = gen[s]; site[g] = s;
	lone[s] = !was_there[s];
	forced[g] = force[s]; alone[g] = lone[s];
	gen[s] = g;
	clean[s] = false;
	if
	:: state[other(s)] != SERVING -> waits = may_wait(s) && !out[s]; linked = false
	:: else /* two histories: the waits of the older one are of no interest any more */
	fi;
	state[s] = SERVING;
	check_serving(s);
	must(D3, !waits || state[other(s)] == SERVING ||
	     !needs_refresh(s, other(s)));
	forget(s); g = 0
}

/* ---- production ---- */

inline write(s) {
	writer[writes] = gen[s];
	has[s] = has[s] | bit(writes);
	writes++
}

#define alone_serves(s) (state[s] == SERVING && state[other(s)] != SERVING)
#define may_ack(s, n) (!waits || state[other(s)] == SERVING || \
		       (missing(s, other(s)) & (bit((n) + 1) - 1)) == 0)

inline join(s) { /* a site that follows undoes the writes that its production lacks */
	find_chain(gen[s]);
	if
	:: has_bit(chain, gen[other(s)]) ->
		linked = true;
#ifndef MUT_CLEAN_STAYS
		clean[other(s)] = false;
#endif
		has[other(s)] = has[other(s)] & has[s];
		gen[other(s)] = gen[s]
	:: else
	fi;
	k = 0; chain = 0
}

#ifdef MUT_READY_EARLY
#define is_level(s) true
#else
#define is_level(s) (missing(s, other(s)) == 0)
#endif
#ifdef MUT_CLEAN_UNEVEN
#define has_the_end(s) true
#else
#define has_the_end(s) (missing(s, other(s)) == 0)
#endif

inline demote(s) {
	state[s] = IDLE;
	if
	:: !waits || missing(s, other(s)) == 0 ->
		clean[s] = true;
		if
		:: linked && has_the_end(s) -> clean[other(s)] = true
		:: else
		fi
	:: else /* frozen writes have failed */
	fi;
	lone[s] = false; waits = false; linked = false
}

/* ---- the actors ---- */

inline steps(s) {
	/* the operator */
	if
	:: state[s] == IDLE && promotions < PROMOTIONS ->
		promotions++;
		printf("  promote at %d; has %d %d\n", s, has[0], has[1]);
		ask(s)
	:: state[s] == IDLE && forces < FORCES ->
		forces++; force[s] = true;
		printf("  force at %d; has %d %d\n", s, has[0], has[1]);
		ask(s)
	:: alone_serves(s) ->
		printf("  demote at %d; has %d %d\n", s, has[0], has[1]);
		demote(s)
	:: (alone_serves(s) || state[s] == IDLE) && !out[s] ->
		printf("  disconnect at %d; has %d %d\n", s, has[0], has[1]);
		out[s] = true;
		if
		:: state[s] == SERVING || state[other(s)] == SERVING -> linked = false
		:: else
		fi;
		if
		:: state[s] == SERVING -> waits = false
		:: else
		fi
	:: out[s] && state[s] != DOWN ->
		printf("  connect at %d; has %d %d\n", s, has[0], has[1]);
		out[s] = false
	/* the promotion goes on */
	:: state[s] == ASKED ->
		printf("  prepare at %d; has %d %d\n", s, has[0], has[1]);
		prepare(s)
	:: state[s] == PREPARED ->
		printf("  roll forward at %d; has %d %d\n", s, has[0], has[1]);
		roll(s)
	:: state[s] == ROLLED ->
		printf("  serve at %d; has %d %d\n", s, has[0], has[1]);
		serve(s)
	/* production, and its copy */
	:: state[s] == SERVING && writes < WRITES ->
		printf("  write at %d; has %d %d\n", s, has[0], has[1]);
		write(s)
	:: state[s] == SERVING && has_bit(has[s], 0) && writes > 0 && !has_bit(acked, 0) &&
	   may_ack(s, 0) ->
		printf("  acknowledge 0 at %d; has %d %d\n", s, has[0], has[1]);
		acked = acked | 1
	:: state[s] == SERVING && has_bit(has[s], 1) && writes > 1 && !has_bit(acked, 1) &&
	   may_ack(s, 1) ->
		printf("  acknowledge 1 at %d; has %d %d\n", s, has[0], has[1]);
		acked = acked | 2
	:: alone_serves(s) && !linked && hears(s) && state[other(s)] == IDLE && !out[s] &&
	   !out[other(s)] ->
		printf("  link at %d; has %d %d\n", s, has[0], has[1]);
		join(s)
	:: alone_serves(s) && linked && has_bit(missing(s, other(s)) & ~freed[s], 0) ->
		printf("  send 0 at %d; has %d %d\n", s, has[0], has[1]);
		has[other(s)] = has[other(s)] | 1
	:: alone_serves(s) && linked && has_bit(missing(s, other(s)) & ~freed[s], 1) &&
	   !has_bit(missing(s, other(s)), 0) ->
		printf("  send 1 at %d; has %d %d\n", s, has[0], has[1]);
		has[other(s)] = has[other(s)] | 2
	:: alone_serves(s) && linked && needs_refresh(s, other(s)) ->
		printf("  refresh at %d; has %d %d\n", s, has[0], has[1]);
		has[other(s)] = has[s]
	:: alone_serves(s) && linked && !waits && is_level(s) ->
		printf("  wait for the copy at %d; has %d %d\n", s, has[0], has[1]);
		waits = true;
		must(D3, (acked & missing(s, other(s))) == 0)
	:: state[s] == SERVING && (has[s] & ~freed[s] & acked) != 0 &&
	   (!waits || missing(s, other(s)) == 0) ->
		printf("  free the log at %d; has %d %d\n", s, has[0], has[1]);
		freed[s] = freed[s] | (has[s] & acked)
	/* the adversary */
	:: state[s] != DOWN && crashes < CRASHES ->
		printf("  crash at %d; has %d %d\n", s, has[0], has[1]);
		crashes++;
		if
		:: state[s] == SERVING && state[other(s)] != SERVING -> waits = false; linked = false
		:: state[other(s)] == SERVING -> linked = false
		:: else
		fi;
		refuse(s); lone[s] = false; state[s] = DOWN
	:: state[s] == DOWN ->
		printf("  start at %d; has %d %d\n", s, has[0], has[1]);
		state[s] = IDLE
	fi
}

init {
	/* as created: the first site was never promoted, and the second has nothing to miss */
	do
	:: atomic { steps(0) }
	:: atomic { steps(1) }
	:: atomic { line && cuts < CUTS ->
		printf("  cut; has %d %d\n", has[0], has[1]);
		cuts++; line = false; linked = false
	}
	:: atomic { !line ->
		printf("  heal; has %d %d\n", has[0], has[1]);
		line = true
	}
	od
}
