/* promise.pml - M3: the promise changes while production serves.
 *
 * A production, a copy, three voters. A view names the promise and whether the copy is
 * current. The production proposes views of another promise, puts the copy out and lets it
 * in; another node proposes what it finds once more. A proposal may take effect, or be found
 * and taken over, long before the production hears of it. Clients write, and are answered as
 * the promise asks.
 *
 * A promise is the number of answered writes that a current copy may lack: 0 in sync, 1 in
 * near-sync; ASYNC names no copy. M3: whatever view a majority would show to a takeover
 * now, the copy that it calls current lacks no more than it promises, and in async it calls
 * none current.
 */
#ifndef BALLOTS
#define BALLOTS 2
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef ASKS
#define ASKS 2
#endif
#define VOTERS 3
#define ASYNC 2

bool M3 = false;

/* views, by ballot */
byte promise[BALLOTS + 1];
bool current[BALLOTS + 1];
bool mine[BALLOTS + 1]; /* the production has proposed it */
byte last;              /* the greatest ballot */

byte accepted[VOTERS], promised[VOTERS]; /* ballots */

/* the production */
byte known; /* the view in effect, as it knows */
byte asked; /* the promise that is wanted */
byte asks;
byte answered;
byte had; /* so many writes are at the copy */

byte acts, b, v, best, p;
bool waits, in;

#define LACKS (answered > had -> answered - had : 0)

/* What answers satisfy, and whether they wait for the copy: by the view in effect and by
 * every proposal of its own that may take effect yet. */
inline find_acts()
{
	waits = false;
	d_step {
	acts = (promise[known] < asked -> promise[known] : asked);
	waits = current[known];
	b = known + 1;
	do
	:: b <= last && mine[b] ->
#ifdef MUT_NEW_ONLY
		acts = promise[b];
#elif !defined(MUT_UNDECIDED_FREE)
		acts = (promise[b] < acts -> promise[b] : acts);
#endif
		waits = waits || current[b];
		b++
	:: b <= last && !mine[b] -> b++
	:: else -> break
	od;
	b = 0 }
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

inline propose(what, is_current, own)
{
	last++;
	promise[last] = what;
	current[last] = is_current;
	mine[last] = own
}

/* The promise of the next view: the wanted one, if it may follow. */
inline plan_promise()
{
	p = promise[known];
	if
	:: asked >= promise[known] -> p = asked
#ifdef MUT_STRICTER_AT_ONCE
	:: asked < promise[known] -> p = asked
#else
	:: asked < promise[known] && (!waits || LACKS <= asked) -> p = asked
#endif
	:: else
	fi
}

/* The copy stays, is put out, or enters when it has all that was answered. */
inline plan_copy()
{
	in = current[known];
	if
	:: true
	:: in = false
	:: !current[known] && LACKS == 0 -> in = true
#ifdef MUT_ENTERS_BEHIND
	:: !current[known] -> in = true
#endif
	fi;
#ifndef MUT_ASYNC_KEEPS
	in = in && p != ASYNC;
#endif
}

/* What a takeover would find with these two voters. */
#define FOUND(x, y) (accepted[x] > accepted[y] -> accepted[x] : accepted[y])
#define IS_KEPT(w)                                                                       \
	(!current[w] || (promise[w] != ASYNC && LACKS <= promise[w]))

inline check()
{
	assert(M3 || (IS_KEPT(FOUND(0, 1)) && IS_KEPT(FOUND(1, 2)) && IS_KEPT(FOUND(0, 2))))
}

active proctype world()
{
	select(p : 0 .. 1);
	promise[0] = p;
	asked = p;
	current[0] = true;
	p = 0;
	do
	:: atomic { asks < ASKS -> /* another promise is asked for */
		asks++;
		select(p : 0 .. 2);
		asked = p;
		p = 0 }
	:: atomic { last < BALLOTS -> /* the production's round */
		prepare();
		find_acts();
		if
		:: best > known -> propose(promise[best], current[best], true)
		:: else ->
			plan_promise();
			plan_copy();
			propose(p, in, true)
		fi;
		acts = 0; waits = false; in = false; p = 0; best = 0 }
	:: atomic { last < BALLOTS -> /* another node's: it changes neither */
		prepare();
		propose(promise[best], current[best], false);
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
		:: !waits || acts == ASYNC || answered + 1 <= had + acts ->
			answered++;
			check()
		:: else
		fi;
		acts = 0; waits = false }
	od
}
