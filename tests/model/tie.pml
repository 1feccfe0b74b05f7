/* tie.pml - D2: where exactly half of the voters answer, fencing breaks the tie.
 *
 * Two voters. A view is known by the ballot under which it was first proposed, and says
 * which one it follows. The adversary cuts the two apart, lets a process or a machine
 * crash, and fences: a node that cannot see the other has it ended for certain, and is
 * told so; the first one wins. Bounds: ROUNDS begun, CRASHES, FENCINGS, CUTS.
 *
 * It must hold that each view in effect follows the one that was in effect before
 * (SplitBrain). view.pml says the same steps with more of a view's decisions.
 */
#ifndef ROUNDS
#define ROUNDS 4
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef FENCINGS
#define FENCINGS 2
#endif
#ifndef CUTS
#define CUTS 3
#endif

#define bit(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)

hidden byte SplitBrain; /* always 0: a name */
#define must(name, condition) assert(name || (condition))

byte promised[2], accepted_ballot[2], accepted[2]; /* durable: the voter file */
byte known[2];                 /* likewise: the newest view known to be in effect */
byte follows[16];              /* of each view */
bool up[2], linked = true;     /* linked: they are in one ring */
bool in_this_ring[2];          /* struct tally: accepted was accepted in this ring */
bool heard[2];                 /* the other has announced itself in this ring (place.c: place()) */
byte boot[2];
#define NONE 0
#define PROMISE 1
#define ACCEPT 2
byte phase[2], ballot[2], proposal[2], voted[2];
bool together[2];              /* struct together: all agreed in one ring ... */
byte seen_boot[2];             /* ... the other being of this boot */
byte fenced[2];                /* the boot + 1 of the other that has ended for certain */
byte rounds, crashes, fencings, cuts;
byte effect;                   /* the newest view in effect */
hidden byte base, is_decided;  /* inside one step only */

#define other(n) (1 - (n))
#define in_ring(n) (linked && up[0] && up[1])

/* majority.c: breaks_tie() */
#ifdef MUT_NO_FENCING
#define other_is_out(n) true
#else
#define other_is_out(n) (fenced[n] == seen_boot[n] + 1)
#endif
#ifdef MUT_AFTER_RESTART
#define is_sure(n) true
#else
#define is_sure(n) together[n]
#endif
#define breaks_tie(n) (up[n] && !heard[n] && is_sure(n) && other_is_out(n))
/* majority.c: cluster_is_majority() */
#define majority(n, set) ((set) == 3 || ((set) == bit(n) && breaks_tie(n)))

inline give_up(n)
{
	phase[n] = NONE; ballot[n] = 0; proposal[n] = 0; voted[n] = 0
}

/* round.c: promised(): adopt an undecided view, else follow the newest. `base` is set before. */
inline propose(n)
{
	if :: is_decided -> proposal[n] = ballot[n]; follows[ballot[n]] = base
	   :: else -> proposal[n] = base
	fi;
	phase[n] = ACCEPT; voted[n] = 0; base = 0; is_decided = 0;
	printf("  node %d proposes view %d under ballot %d\n", n, proposal[n], ballot[n])
}

#define newest(n) (accepted_ballot[n] >= accepted_ballot[1 - n] -> accepted[n] : accepted[1 - n])
#define both_accepted (accepted_ballot[0] == accepted_ballot[1])
#define is_known(n, v) (known[n] == (v) || known[1 - n] == (v))

inline in_effect(n, v)
{
	printf("  view %d is in effect, which follows %d\n", v, follows[v]);
	must(SplitBrain, v == effect || follows[v] == effect);
	effect = v; known[n] = v
}

/* A view that both have accepted is decided, though nobody has counted it yet. */
inline learn(n, v)
{
	if :: v != effect -> in_effect(n, v) :: else -> known[n] = v fi
}

inline take_effect(n)
{
	in_effect(n, proposal[n]); give_up(n)
}

inline accept(n, v)
{
	promised[v] = ballot[n]; accepted_ballot[v] = ballot[n]; accepted[v] = proposal[n];
	in_this_ring[v] = true;
	/* a node that has not announced itself does not count yet (join.c:
	 * cluster_join_sender()) */
	if :: v == n || heard[n] -> voted[n] = voted[n] | bit(v) :: else fi;
	printf("  ballot %d of node %d is accepted by %d\n", ballot[n], n, v);
	if :: v != n -> give_up(v) :: else fi;
	if :: majority(n, voted[n]) -> take_effect(n) :: else fi
}

/* majority.c: cluster_majority_pump() */
#ifdef MUT_ONE_RING
#define may_be_together(n) heard[n]
#else
#define may_be_together(n) (heard[n] && both_accepted && in_this_ring[0] && in_this_ring[1] && \
	known[n] == accepted[n])
#endif

/* A node that is seen again was not ended, or has begun anew: an older fencing says nothing,
 * though it has not announced itself (join.c: peer_joins()). */
inline ring_change()
{
	in_this_ring[0] = false; in_this_ring[1] = false; heard[0] = false; heard[1] = false;
#if !defined(MUT_OLD_FENCING) && !defined(MUT_UNSAID)
	if :: in_ring(0) -> fenced[0] = 0; fenced[1] = 0 :: else fi
#else
	skip
#endif
}

inline hear(n) /* place.c: place() */
{
	heard[n] = true;
#ifndef MUT_OLD_FENCING
	fenced[n] = 0
#endif
}

inline stop(n)
{
	up[n] = false; give_up(n); together[n] = false; seen_boot[n] = 0; fenced[n] = 0;
	ring_change()
}

proctype Node(byte me)
{
	do
	:: d_step { up[me] && rounds < ROUNDS ->
		give_up(me);
		rounds++; ballot[me] = rounds * 2 + me; promised[me] = ballot[me]; phase[me] = PROMISE;
		printf("  node %d begins ballot %d\n", me, ballot[me]) }
	:: d_step { in_ring(me) && !heard[me] -> hear(me) }
	:: d_step { phase[me] == PROMISE && heard[0] && heard[1] && promised[other(me)] < ballot[me] ->
		base = newest(me); is_decided = both_accepted || is_known(me, newest(me));
		if :: is_decided -> learn(me, base) :: else fi;
		promised[other(me)] = ballot[me]; give_up(other(me));
		printf("  ballot %d of node %d is promised by the other\n", ballot[me], me);
		propose(me) }
	:: d_step { phase[me] == PROMISE && breaks_tie(me) ->
		printf("  node %d goes on alone\n", me);
		in_effect(me, accepted[me]); /* best_is_decided(): it is half of the voters */
		base = accepted[me]; is_decided = true;
		propose(me) }
	:: d_step { phase[me] == ACCEPT && !has(voted[me], me) && promised[me] <= ballot[me] ->
		accept(me, me) }
	:: d_step { phase[me] == ACCEPT && !has(voted[me], other(me)) && heard[other(me)] &&
	   (heard[me] || accepted_ballot[other(me)] != ballot[me]) &&
	   promised[other(me)] <= ballot[me] -> accept(me, other(me)) }
	/* told of a fencing after it has accepted: the tie is broken now */
	:: d_step { phase[me] == ACCEPT && voted[me] == bit(me) && breaks_tie(me) -> take_effect(me) }
	:: d_step { heard[me] && both_accepted && known[me] != accepted[me] ->
		learn(me, accepted[me]) } /* COMMIT, STATE */
	:: d_step { may_be_together(me) && !(together[me] && seen_boot[me] == boot[other(me)]) ->
		printf("  node %d knows that all agreed\n", me);
		together[me] = true; seen_boot[me] = boot[other(me)] }
	/* fence.c: mark_fenced(); the other half may have been faster */
	:: d_step { up[me] && !in_ring(me) && fencings < FENCINGS ->
		fencings++;
		printf("  node %d fences the other\n", me);
		fenced[me] = boot[other(me)] + 1;
		if :: up[other(me)] -> stop(other(me)) :: else fi;
		boot[other(me)]++ }
	od
}

proctype World()
{
	do
	:: d_step { up[0] && crashes < CRASHES -> crashes++; stop(0); printf("  node 0 crashes\n") }
	:: d_step { up[1] && crashes < CRASHES -> crashes++; stop(1); printf("  node 1 crashes\n") }
	:: d_step { !up[0] -> up[0] = true; ring_change(); printf("  node 0 is back\n") }
	:: d_step { !up[1] -> up[1] = true; ring_change(); printf("  node 1 is back\n") }
	:: d_step { cuts < CUTS -> cuts++; linked = !linked; ring_change(); printf("  linked: %d\n", linked) }
	od
}

init {
	atomic { up[0] = true; up[1] = true; run Node(0); run Node(1); run World() }
}
