#!/bin/bash
# wan.sh - five members on real Corosync; lyon's hosts stand behind a line of 100 ms each
# way that loses packets. Sync mode: a copy stays current as long as the line holds, without
# a refresh; the lag that the status shows is bounded. Near-sync: read from both sites, writes
# that production has answered are never beyond the bound; line and modes change meanwhile.
# Async, over a line that is slower than the client: no write waits, the copy goes into bypass
# when the writelog is full, and its refresh ends once the client rests. With a bound lyon is
# near, and takes over when paris is lost. A client judges every acknowledged record
# (nbd_records.c).
#
# SECONDS_EACH of each part (15; an hour is 3600), LINE_KEYS of the line, SLOW_KEYS in async.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"
export STACK=corosync TOKEN=5000

SECONDS_EACH=${SECONDS_EACH:-15}
LINE_KEYS=${LINE_KEYS:-delay=100 jitter=5 rate=100000 loss=1}
SLOW_KEYS=${SLOW_KEYS:-delay=100 rate=20000}
client=

# ---- looks --------------------------------------------------------------------------

# Member $2 of the status on node $1.
field() { node "$1" hamirror status data --field "$2" 2> /dev/null; }
current() { [ "$(field n1 sites.lyon.current)" = true ]; }
level() { current && [ "$(field n1 sites.lyon.lag_bytes)" = 0 ]; }
events() { node "$1" cat /var/log/hamirror/data.log; }
count_events() { events n1 | grep -c "$1"; }

# Of all that production had answered, lyon's log lacks no more than the bound. It is asked
# after production, so it may have taken in more meanwhile, never less.
within_bound() {
	local answered logged
	current || return 1
	answered=$(field n1 acknowledged)
	logged=$(field "$lyon" log.logged)
	if [ -n "$answered" ] && [ -n "$logged" ]; then
		[ $((answered - logged)) -gt "$RECORDS" ] || return 0
	fi
	echo "answered $answered, lyon has $logged" >&2
	return 1
}
# Writes are answered however far lyon is behind.
answers_more() { [ "$(acknowledged)" -gt "$1" ]; }
goes_on() {
	! current && await 10 answers_more "$(acknowledged)"
}
# The members may not have seen yet that production is gone.
is_promoted_here() { node "$1" hamirror promote data --wait 60 > "$LAB/said" 2>&1; }
is_beyond() { ! current; }
paris_is_near() { [ "$(field "$lyon" sites.paris.current)" = true ]; }
was_outrun() { [ "$(count_events 'rule=outrun')" != 0 ]; }
follows() {
	[ "$(field n1 sites.lyon.link) $(field n1 sites.lyon.lag_bytes)" = "connected 0" ]
}
# Over this line the members may need longer to agree than a command waits.
mode_is_told() { node n1 hamirror mode data "$@" > "$LAB/said" 2>&1; }
change_mode() {
	await 30 mode_is_told "$@" || fail "hamirror mode data $*: $(cat "$LAB/said")"
	await 30 mode_is "$1" || fail "the mode is not $1: $(node n1 hamirror why data)"
}
mode_is() { [ "$(field n1 mode)" = "$1" ]; }

# ---- the client ---------------------------------------------------------------------

acknowledged() { sed -n 's/^acknowledged \([0-9]*\) .*/\1/p' "$LAB/progress" 2> /dev/null; }
client_begin() {
	local pid
	read -r pid _ < "$LAB/n1/pid"
	"$BUILD/tests/system/nbd_records" "$LAB/progress" 7 \
		"nbd+unix:///db?socket=/proc/$pid/root/run/hamirror/data/nbd" \
		> "$LAB/client" 2>&1 &
	client=$!
	await 10 test -s "$LAB/progress" || fail "the client did not start"
}
client_end() {
	kill -TERM "$client"
	wait "$client" || fail "the client found a loss: $(cat "$LAB/client")"
	client=
}
wan_end() {
	local status=$?
	[ -z "$client" ] || kill -9 "$client" 2> /dev/null
	(exit $status)
	lab_end
}

# Watch production and its copy for SECONDS_EACH: $1 has to hold all the time.
# Prints the most that the copy lagged, in ms and bytes.
watch() {
	local end=$((SECONDS + SECONDS_EACH)) ms bytes most_ms=0 most_bytes=0
	while [ $SECONDS -lt $end ]; do
		kill -0 "$client" 2> /dev/null ||
			fail "the client found a loss: $(cat "$LAB/client")"
		"$1" || fail "$1 does not hold: $(node n1 hamirror why data)"
		ms=$(field n1 sites.lyon.lag_ms) bytes=$(field n1 sites.lyon.lag_bytes)
		[ "$ms" = null ] || [ "$ms" -le "$most_ms" ] || most_ms=$ms
		[ "$bytes" = null ] || [ "$bytes" -le "$most_bytes" ] || most_bytes=$bytes
	done
	echo "$most_ms ms and $most_bytes bytes"
}

# ---- the story ----------------------------------------------------------------------

lab_needs
for program in nbd_records line; do
	[ -x "$BUILD/tests/system/$program" ] ||
		make -s -C "$BUILD" tests/system/$program || fail "no $program in $BUILD"
done
export LINE=$BUILD/tests/system/line
trap wan_end EXIT
trap 'exit 130' INT TERM HUP
lab_new
lab_start
mirror_create data 16 128 "attach: none
refresh-retry: 5000"
for n in n5 n4 n3 n2; do run $n start; done
run n1 promote --wait 30
await 60 current || fail "lyon did not become current: $(node n1 hamirror why data)"

# shellcheck disable=SC2086
"$TESTBED" line n1,n2,n5 n3,n4 $LINE_KEYS || fail "no line"
refreshes=$(count_events refresh)
client_begin
most=$(watch current) || exit 1
writes=$(acknowledged)
[ "$(count_events refresh)" = "$refreshes" ] || fail "lyon was refreshed"
echo "ok: sync over $LINE_KEYS: $writes writes, lyon lagged $most at most, no refresh"

RECORDS=100
lyon=$(field n1 sites.lyon.host)
change_mode near-sync --records $RECORDS --ms 2000
before=$(acknowledged)
most=$(watch within_bound) || exit 1
writes=$(($(acknowledged) - before))
change_mode sync
change_mode near-sync --records $RECORDS
[ "$(count_events refresh)" = "$refreshes" ] || fail "lyon was refreshed"
echo "ok: near-sync of $RECORDS writes: $writes writes, lyon lagged $most at most"

change_mode async
"$TESTBED" heal
# shellcheck disable=SC2086
"$TESTBED" line n1,n2,n5 n3,n4 $SLOW_KEYS || fail "no line"
before=$(acknowledged)
most=$(watch goes_on) || exit 1
await 300 was_outrun || fail "the writelog is never full: $(node n1 hamirror status data)"
writes=$(($(acknowledged) - before))
kill -STOP "$client"
await 300 follows || fail "lyon is not refreshed: $(node n1 hamirror why data)"
echo "ok: async over $SLOW_KEYS: $writes writes, lyon lagged $most at most, was outrun" \
	"$(count_events 'rule=outrun') times, and is refreshed"

change_mode async --lag-bytes 16M
await 60 current || fail "lyon is not near: $(node n1 hamirror why data)"
kill -CONT "$client"
await 120 is_beyond || fail "lyon is near all the time: $(cat "$LAB/client")"
client_end
await 120 current || fail "lyon is not near again: $(node n1 hamirror why data)"
echo "ok: async with a bound: lyon left the near copies while clients wrote, and came back"

"$TESTBED" kill n1 n2
await 60 is_promoted_here "$lyon" || fail "lyon is not promoted: $(cat "$LAB/said")"
[ "$(field "$lyon" generation.reason)" = async ] ||
	fail "the generation is not of async: $(node "$lyon" hamirror status data)"
"$TESTBED" boot n1 n2
"$TESTBED" wait 5 || fail "n1 and n2 are not back"
for n in n2 n1; do run $n start; done
await 120 paris_is_near || fail "paris is not near: $(node "$lyon" hamirror why data)"
echo "ok: lyon took over as a near copy, and paris came back as one"

run "$lyon" demote
for n in $NODES; do run $n stop; done
cmp "$LAB/site/paris/data-db" "$LAB/site/lyon/data-db" || fail "the disks differ"
echo "ok: stopped, the disks are equal"
