/* host.pml - D6: a site's devices pass to another host, and D2: a force takes them.
 *
 * Nodes 0 and 1 can have the site's devices open, node 2 is a witness that decides with
 * one of them. Views come one after the other (view.pml proves that):
 * here a view names only the host, its opening and its boot. Others know a host by its last
 * message: a member that decides may be behind. Node 0 may be forced.
 *
 * The adversary crashes processes (their I/O goes on in the kernel), resets machines,
 * fences (and tells of it late), cuts a node off, and forces. Bounds: OPENINGS that get a
 * number, VIEWS, CRASHES of processes, RESETS of machines, CUTS, FORCES.
 *
 * It must hold (D6) that nobody opens devices that are open at another node, or that a dead
 * process of another node still does I/O to. On one node the kernel sees to it.
 */
#ifndef OPENINGS
#define OPENINGS 4
#endif
#ifndef VIEWS
#define VIEWS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RESETS
#define RESETS 1
#endif
#ifndef CUTS
#define CUTS 1
#endif
#ifndef FORCES
#define FORCES 0
#endif

#define bit(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)

hidden byte D6; /* always 0: a name */
#define must(name, condition) assert(name || (condition))

#define NOBODY 2
/* A view: its number, the host, its opening, its boot. */
#define VIEW(number, host, opening, boot) ((number) | (host) << 3 | (opening) << 5 | (boot) << 8)
#define NUMBER(v) ((v) & 7)
#define HOST(v) (((v) >> 3) & 3)
#define OPENING(v) (((v) >> 5) & 7)
#define BOOT(v) (((v) >> 8) & 3)

short effect = VIEW(0, NOBODY, 0, 0);
short known[3];                     /* durable: the newest view in effect, as each knows */
byte released[3];                   /* durable: openings that are over, as each has heard */
bool up[3], leaving[2], forced[2];
byte boot[2], next[2];              /* the opening that a process would use next; 0: none */
byte opened[2], closing[2];         /* the one that is in use; that is given back early */
bool kernel[2];                     /* a dead process has I/O under way */
bool heard[6];                      /* [listener * 2 + of]: it has announced itself in this ring */
byte said_boot[6], said_opened[6], said_next[6];
byte fenced[6];                     /* the boot + 1 that was ended for certain */
byte notice[2];                     /* the boot + 1 that a fencing ended, not told to all */
byte openings, crashes, resets, cuts, forces, isolated = 3;
hidden byte i;

#define connected(a, b) (up[a] && up[b] && \
	((a) == (b) || isolated == 3 || ((a) != isolated && (b) != isolated)))
#define others(m, q) ((q) != (m) && connected(m, q))
#define at(m, h) ((m) * 2 + (h))

/* ---- devices_pass.c: cluster_devices_pass() ------------------------------------------------- */

#define is_released(m, v) (OPENING(v) != 0 && has(released[m], OPENING(v)))
#define is_fenced(m, v) (fenced[at(m, HOST(v))] == BOOT(v) + 1)
#define uses(m, v) (said_opened[at(m, HOST(v))] == OPENING(v) || \
	said_next[at(m, HOST(v))] == OPENING(v))
#define is_back(m, v) (heard[at(m, HOST(v))] && said_boot[at(m, HOST(v))] != BOOT(v))
#define is_restarted(m, v) (heard[at(m, HOST(v))] && !is_back(m, v) && !uses(m, v))
#ifdef MUT_PASS_GONE
#define is_gone(m, v) (!heard[at(m, HOST(v))])
#else
#define is_gone(m, v) (!heard[at(m, HOST(v))] && is_fenced(m, v))
#endif
#ifdef MUT_RESTART_FREES
#define is_free(m, v) (HOST(v) == NOBODY || is_released(m, v) || is_gone(m, v) || \
	is_back(m, v) || is_restarted(m, v))
#else
#define is_free(m, v) (HOST(v) == NOBODY || is_released(m, v) || is_gone(m, v) || is_back(m, v))
#endif

/* ---- steps -------------------------------------------------------------------------- */

inline fresh(n) /* devices_open.c: cluster_devices_fresh_incarnation() */
{
	if :: openings < OPENINGS -> openings++; next[n] = openings :: else -> next[n] = 0 fi
}

/* An announcement of h, and the state that comes with it (place.c: place()). */
inline hear(m, h)
{
	/* It lives: a fencing said before was of another boot of it. */
	if :: !heard[at(m, h)] && fenced[at(m, h)] == boot[h] + 1 -> fenced[at(m, h)] = 0 :: else fi;
	heard[at(m, h)] = true; said_boot[at(m, h)] = boot[h];
	said_opened[at(m, h)] = opened[h]; said_next[at(m, h)] = next[h];
	released[m] = released[m] | released[h]
}

/* plan.c: choose_host(), can_host() */
#define can_host(p, c) (heard[at(p, c)] && said_opened[at(p, c)] == 0 && said_next[at(p, c)] != 0)
#define may_name(p, c) (can_host(p, c) && (is_free(p, effect) || \
	(HOST(effect) == (c) && is_restarted(p, effect))))
#define decides(p, q) (connected(p, q) && (p >= 2 || !forced[p]) && (q >= 2 || !forced[q]) && \
	NUMBER(effect) < VIEWS)
inline name(p, q, c)
{
	effect = VIEW(NUMBER(effect) + 1, c, said_next[at(p, c)], said_boot[at(p, c)]);
	known[p] = effect; known[q] = effect;
	printf("  node %d decides with %d: the host is %d, opening %d\n", p, q, c, OPENING(effect))
}

/* The devices close; then it is said (devices_open.c: release()). */
inline give_back(n)
{
	released[n] = released[n] | bit(opened[n]);
	printf("  node %d has closed opening %d\n", n, opened[n]);
	opened[n] = 0
}

inline end_process(n)
{
	up[n] = false; opened[n] = 0; closing[n] = 0; next[n] = 0; leaving[n] = false;
	for (i : 0 .. 1) { heard[at(n, i)] = false; fenced[at(n, i)] = 0;
		said_boot[at(n, i)] = 0; said_opened[at(n, i)] = 0; said_next[at(n, i)] = 0 }
	for (i : 0 .. 2) { heard[at(i, n)] = false }
	i = 0
}

inline reset(n)
{
	end_process(n); kernel[n] = false; boot[n]++
}

/* D6 under a force (devices_pass.c: cluster_devices_mate_held()): the mate may be host by a view that was
 * not heard of here. */
#ifdef MUT_FORCE_STALE
#define mate_has_ended(n) true
#else
#define mate_has_ended(n) (heard[at(n, 1 - (n))] -> \
	said_opened[at(n, 1 - (n))] == 0 && known[1 - (n)] == known[n] : \
	fenced[at(n, 1 - (n))] != 0 && fenced[at(n, 1 - (n))] == said_boot[at(n, 1 - (n))] + 1)
#endif
#define may_force(n) (up[n] && forces < FORCES && isolated == (n) && opened[n] == 0 && \
	next[n] != 0 && heard[at(n, n)] && said_next[at(n, n)] == next[n] && \
	(is_free(n, known[n]) || (HOST(known[n]) == (n) && is_restarted(n, known[n]))) && \
	mate_has_ended(n))

proctype Host(byte me)
{
	do
	/* devices_open.c: open_devices(): the view names the opening that it would use next; the
	 * kernel opens devices that no process of this node has open */
	:: d_step { up[me] && !leaving[me] && opened[me] == 0 && !kernel[me] && next[me] != 0 &&
	   HOST(known[me]) == me && OPENING(known[me]) == next[me] ->
		printf("  node %d opens the devices, opening %d\n", me, next[me]);
		must(D6, opened[1 - me] == 0 && !kernel[1 - me]);
		opened[me] = next[me];
#ifndef MUT_REUSE
		fresh(me)
#endif
	   }
#ifdef MUT_RELEASE_EARLY
	:: d_step { up[me] && opened[me] != 0 && closing[me] == 0 ->
		closing[me] = 1; released[me] = released[me] | bit(opened[me]);
		printf("  node %d says that it closes opening %d\n", me, opened[me]) }
	:: d_step { up[me] && closing[me] != 0 -> closing[me] = 0; give_back(me) }
#else
	:: d_step { up[me] && opened[me] != 0 -> give_back(me) }
#endif
	/* devices_open.c: renounce(): a node that leaves gives back the opening that a view
	 * may name yet */
	:: d_step { up[me] && opened[me] == 0 && next[me] != 0 && !leaving[me] ->
		printf("  node %d renounces opening %d\n", me, next[me]);
		released[me] = released[me] | bit(next[me]);
#ifndef MUT_RENOUNCED
		leaving[me] = true; next[me] = 0
#endif
	   }
	:: d_step { others(me, 2) && !forced[me] && NUMBER(known[2]) > NUMBER(known[me]) ->
		known[me] = known[2]; released[me] = released[me] | released[2] }
	:: d_step { me == 0 && may_force(me) -> forces++; forced[me] = true;
		known[me] = VIEW(NUMBER(known[me]), me, next[me], boot[me]);
		printf("  by force node %d is the host, opening %d\n", me, next[me]) }
	:: d_step { !up[me] -> up[me] = true; fresh(me); printf("  node %d is back\n", me) }
	:: d_step { kernel[me] -> kernel[me] = false; printf("  the last I/O of node %d has ended\n", me) }
	:: d_step { up[me] && crashes < CRASHES -> crashes++;
		kernel[me] = kernel[me] || opened[me] != 0;
		printf("  the process of node %d ends\n", me); end_process(me) }
	:: d_step { resets < RESETS -> resets++; printf("  the machine of node %d is reset\n", me);
		reset(me) }
	/* the others fence it, and may be told late */
	:: d_step { resets < RESETS && notice[me] == 0 -> resets++; notice[me] = boot[me] + 1;
		printf("  node %d is fenced\n", me); reset(me) }
	od
}

/* D2: a fencing ends the boot that runs when it is confirmed (fence.c:
 * cluster_fence_event()). */
#ifdef MUT_LATE_NOTICE
#define ended(m, h) (said_boot[at(m, h)] + 1)
#else
#define ended(m, h) (said_boot[at(m, h)] < notice[h] -> said_boot[at(m, h)] + 1 : 0)
#endif

inline member(m, q, r)
{
	if
	:: d_step { m != 2 && connected(m, m) -> hear(m, m) }
	:: d_step { q != 2 && others(m, q) -> hear(m, q) }
	:: d_step { r != 2 && others(m, r) -> hear(m, r) }
	:: d_step { others(m, q) && (released[q] & ~released[m]) != 0 -> released[m] = released[m] | released[q] }
	/* the view in effect is told (join.c: state_pump()) */
	:: d_step { others(m, q) && NUMBER(known[q]) > NUMBER(known[m]) && (m == 2 || !forced[m]) &&
	   (q == 2 || !forced[q]) -> known[m] = known[q] }
	:: d_step { others(m, r) && NUMBER(known[r]) > NUMBER(known[m]) && (m == 2 || !forced[m]) &&
	   (r == 2 || !forced[r]) -> known[m] = known[r] }
	:: d_step { q != m && decides(m, q) && may_name(m, 0) -> name(m, q, 0) }
	:: d_step { q != m && decides(m, q) && may_name(m, 1) -> name(m, q, 1) }
	:: d_step { r != m && decides(m, r) && may_name(m, 0) -> name(m, r, 0) }
	:: d_step { r != m && decides(m, r) && may_name(m, 1) -> name(m, r, 1) }
	:: d_step { m != 0 && up[m] && notice[0] != 0 && ended(m, 0) != 0 && fenced[at(m, 0)] != ended(m, 0) ->
		fenced[at(m, 0)] = ended(m, 0); printf("  node %d is told that 0 was fenced\n", m) }
	:: d_step { m != 1 && up[m] && notice[1] != 0 && ended(m, 1) != 0 && fenced[at(m, 1)] != ended(m, 1) ->
		fenced[at(m, 1)] = ended(m, 1); printf("  node %d is told that 1 was fenced\n", m) }
	fi
}

proctype Member(byte me)
{
	do
	:: member(me, ((me + 1) % 3), ((me + 2) % 3))
	od
}

inline part()
{
	for (i : 0 .. 1) {
		if :: isolated != 3 && isolated != i -> heard[at(isolated, i)] = false :: else fi;
		if :: isolated == i ->
			heard[at((i + 1) % 3, i)] = false; heard[at((i + 2) % 3, i)] = false
		   :: else
		fi
	}
	i = 0
}

proctype World()
{
	do
	:: d_step { cuts < CUTS && isolated == 3 -> cuts++; isolated = 0; part(); printf("  node 0 is cut off\n") }
	:: d_step { cuts < CUTS && isolated == 3 -> cuts++; isolated = 1; part(); printf("  node 1 is cut off\n") }
	:: d_step { cuts < CUTS && isolated != 3 -> cuts++; isolated = 3; printf("  nobody is cut off\n") }
	od
}

init {
	atomic {
		up[0] = true; up[1] = true; up[2] = true;
		known[0] = effect; known[1] = effect; known[2] = effect;
		openings = 2; next[0] = 1; next[1] = 2;
		run Host(0); run Host(1); run Member(2); run World();
#if FORCES
		run Member(0)
#endif
	}
}
