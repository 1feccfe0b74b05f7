/* near.pml - M4: a copy that a view counts near; M8 (-DBLOCK): a copy that is required.
 *
 * A production, a copy, three voters, as in promise.pml; the promise does not change. A view says
 * whether it counts the copy, and whether the copy is required. The production lets the copy in,
 * puts it out, or, when an operator asks for it, disconnects it. Another node proposes what it
 * finds once more.
 *
 * BOUND is the number of answered writes that a counted copy may lack: 1 in async, of which
 * nothing waits for it, but an answer beyond it waits for a view without the copy; with BLOCK 0,
 * for that is sync.
 *
 * M4: whatever view a majority would show to a takeover now, the copy that it counts lacks no
 * more than the bound. M8: nor does one that it requires, counted or not.
 */
#ifndef BALLOTS
#define BALLOTS 3
#endif
#ifndef WRITES
#define WRITES 3
#endif
#define VOTERS 3
#ifdef BLOCK
#define BOUND 0
#else
#define BOUND 1
#endif

bool M4 = false, M8 = false;

/* views, by ballot */
bool current[BALLOTS + 1], required[BALLOTS + 1];
bool owed[BALLOTS + 1]; /* once counted, and not put out by command: the truth */
bool mine[BALLOTS + 1]; /* the production has proposed it */
byte last;              /* the greatest ballot */

byte accepted[VOTERS], promised[VOTERS]; /* ballots */

/* the production */
byte known; /* the view in effect, as it knows */
byte answered;
byte had; /* so many writes are at the copy */

byte b, v, best, p;
bool waits, blocks, in, must, owes;

#define LACKS (answered > had -> answered - had : 0)

/* Do answers keep the copy within the bound, or wait until it is counted? By the view in effect
 * and by every proposal of its own that may take effect yet. */
inline find_acts()
{
	waits = false;
	blocks = false;
	d_step {
	waits = current[known];
	blocks = required[known] && !current[known];
	b = known + 1;
	do
	:: b <= last && mine[b] ->
#ifdef MUT_LEAVES_AT_ONCE
		waits = current[b];
#elif !defined(MUT_UNDECIDED_FREE)
		waits = waits || current[b];
#endif
#ifdef MUT_OUT_AT_ONCE
		if
		:: !required[b] -> waits = false; blocks = false
		:: else -> blocks = blocks || !current[b]
		fi;
#else
		blocks = blocks || (required[b] && !current[b]);
#endif
		b++
	:: b <= last && !mine[b] -> b++
	:: else -> break
	od;
	b = 0 }
#ifdef MUT_ANSWERS
	blocks = false;
#endif
}

/* The promises of two voters: the newest view that they have accepted. */
inline prepare()
{
	select(p : 0 .. 2); /* the one that does not answer */
	best = 0;
	d_step {
	v = 0;
	do
	:: v < VOTERS && v != p ->
		promised[v] = last + 1;
		best = (accepted[v] > best -> accepted[v] : best);
		v++
	:: v < VOTERS && v == p -> v++
	:: else -> break
	od;
	v = 0 }
}

inline propose(is_current, is_required, is_owed, own)
{
	last++;
	current[last] = is_current;
	required[last] = is_required;
	owed[last] = is_owed;
	mine[last] = own
}

/* The copy stays, is put out, enters, or is disconnected. Once counted it is required. */
inline plan_copy()
{
	in = current[known];
	must = required[known];
	owes = owed[known];
	if
	:: true
	:: in = false
#ifdef BLOCK
	:: in = false; must = false; owes = false /* by command */
#endif
	:: !current[known] && LACKS <= BOUND -> in = true
#ifdef MUT_ENTERS_BEHIND
	:: !current[known] -> in = true
#endif
	fi;
#ifdef BLOCK
	must = must || in;
	owes = owes || in;
#ifdef MUT_FORGETS
	must = in;
#endif
#endif
}

/* What a takeover would find with these two voters. */
#define FOUND(x, y) (accepted[x] > accepted[y] -> accepted[x] : accepted[y])
#define NEAR(w) (!current[w] || LACKS <= BOUND)
#define THERE(w) (!owed[w] || LACKS <= BOUND)

inline check()
{
	assert(M8 || (THERE(FOUND(0, 1)) && THERE(FOUND(1, 2)) && THERE(FOUND(0, 2))));
	assert(M4 || (NEAR(FOUND(0, 1)) && NEAR(FOUND(1, 2)) && NEAR(FOUND(0, 2))))
}

active proctype world()
{
	current[0] = true;
#ifdef BLOCK
	required[0] = true;
	owed[0] = true;
#endif
	do
	:: atomic { last < BALLOTS -> /* the production's round */
		prepare();
		if
		:: best > known -> propose(current[best], required[best], owed[best], true)
		:: else ->
			plan_copy();
			propose(in, must, owes, true)
		fi;
		in = false; must = false; owes = false; p = 0; best = 0 }
	:: atomic { last < BALLOTS -> /* another node's: it changes nothing */
		prepare();
		propose(current[best], required[best], owed[best], false);
		p = 0; best = 0 }
	:: atomic { last > 0 -> /* a voter accepts */
		select(v : 0 .. 2);
		select(b : 1 .. last);
		if
		:: b >= promised[v] && b > accepted[v] ->
			accepted[v] = b;
			promised[v] = b;
			check()
		:: else
		fi;
		v = 0; b = 0 }
	:: atomic { known < last -> /* it hears that a view is in effect */
		select(b : 1 .. last);
		if
		:: b > known && (accepted[0] == b) + (accepted[1] == b) + (accepted[2] == b) > 1 ->
			known = b
		:: else
		fi;
		b = 0 }
	:: atomic { had < WRITES && had <= answered -> had++ }
	:: atomic { answered < WRITES -> /* a write is answered */
		find_acts();
		if
		:: !blocks && (!waits || answered + 1 <= had + BOUND) ->
			answered++;
			check()
		:: else
		fi;
		waits = false; blocks = false }
	od
}
