/* lease.pml - D7 where voters change: the productions that a voter grants the lease.
 *
 * A production serves one generation while views of it change the voters, one a view; it
 * may not have heard of them. Somebody takes promises for a takeover. From the moment at
 * which these are a majority older renewals are waited out. The model has only renewals that
 * are sent from then on: no majority may grant one, under any view that the production counts
 * then.
 *
 * A view takes effect when majorities of its voters and of those before have accepted it.
 * A voter that has promised the takeover accepts and grants nothing any more. Sets are bits.
 */
#define NODES 5
#ifndef VIEWS
#define VIEWS 2
#endif

#define BIT(set, n) (((set) >> n) & 1)
#define COUNT(set) (BIT(set, 0) + BIT(set, 1) + BIT(set, 2) + BIT(set, 3) + BIT(set, 4))
#define MAJORITY(some, set) (2 * COUNT((some) & (set)) > COUNT(set))

bool G3 = false;
byte voters[VIEWS + 1]; /* of each view */
byte newest;            /* proposed */
byte accepted[VIEWS + 1]; /* the voters that accepted it */
byte knows[NODES];        /* the newest view that it has accepted */
byte counts;  /* the view by which production counts */
byte promised, taken;
bool renews;
byte sent, granted; /* the voters that the renewal names; those that granted it */

#define IN_EFFECT(v)                                                                     \
	(v == 0 || (MAJORITY(accepted[v], voters[v]) &&                                  \
		    MAJORITY(accepted[v], voters[v - 1])))

#ifdef MUT_NOT_COUNTED
#define COUNTS_ALIKE(v) true
#elif defined MUT_TWO_BEHIND
#define COUNTS_ALIKE(v)                                                                  \
	(voters[v] == sent || (v > 0 && voters[v - 1] == sent) ||                        \
	 (v > 1 && voters[v - 2] == sent))
#else
#define COUNTS_ALIKE(v) (voters[v] == sent || (v > 0 && voters[v - 1] == sent))
#endif

byte n, best;

/* The newest view among those that promised. */
inline find_best()
{
	best = 0;
	n = 0;
	do
	:: n < NODES ->
		if
		:: BIT(promised, n) && knows[n] > best -> best = knows[n]
		:: else
		fi;
		n++
	:: else -> break
	od;
	n = 0
}

active proctype world()
{
	voters[0] = 7;
	do
	:: atomic { newest < VIEWS && IN_EFFECT(newest) -> /* one voter more, or less */
		select(n : 0 .. 4);
		if
		:: COUNT(voters[newest]) > 1 || !BIT(voters[newest], n) ->
			voters[newest + 1] = voters[newest] ^ (1 << n);
			newest++
		:: else
		fi;
		n = 0 }
	:: atomic { newest > 0 -> /* one of both sets accepts */
		select(n : 0 .. 4);
		if
		:: BIT((voters[newest] | voters[newest - 1]), n) && !BIT(promised, n) ->
			knows[n] = newest;
			accepted[newest] = accepted[newest] | (1 << n)
		:: else
		fi;
		n = 0 }
	:: atomic { counts < newest && IN_EFFECT(counts + 1) -> counts++ }
	:: atomic { !taken -> /* a takeover is promised */
		select(n : 0 .. 4);
		promised = promised | (1 << n);
		find_best();
		taken = MAJORITY(promised, voters[best]) &&
			(best == 0 || IN_EFFECT(best) ||
			 MAJORITY(promised, voters[best - 1]));
		best = 0 }
	:: atomic { taken && !renews -> renews = true; sent = voters[counts] }
	:: atomic { renews ->
		select(n : 0 .. 4);
		if
		:: !BIT(promised, n) && COUNTS_ALIKE(knows[n]) -> granted = granted | (1 << n)
		:: else
		fi;
		n = 0;
		assert(G3 || !MAJORITY(granted, voters[counts])) }
	od
}
