#!/bin/bash
# news.sh - what goes wrong at one member stands in the event log of every other within two
# seconds, bounded, and goes round once. A throttle changes the mode of all.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_begin
export LC_ALL=C

# How many lines of node $1's log have the words $2?
lines() { node "$1" grep -cF -- "$2" /var/log/hamirror/data.log; }
has() { [ "$(lines "$1" "$2")" -ge "$3" ]; }
is_linked() { node n1 hamirror status data --field sites.lyon.link | grep -q connected; }

begin() {
	local node
	mirror_create data 16 16
	for node in n2 n3 n4 n5; do node $node hamirror start data || fail "no start on $node"; done
	await 30 node n1 hamirror promote data || fail "n1 is not promoted"
	await 30 is_linked || fail "lyon is not linked: $(node n1 hamirror why data)"
}

# A control socket that goes is made again within a second, and an event tells it: that of the
# copy's host, and that of the witness.
test_each_hears() {
	local of node
	for of in n3 n5; do
		node $of rm /run/hamirror/data/control
		for node in n1 n2 n4; do
			await 3 has $node "member $of control" 1 ||
				fail "$node does not hear of $of"
		done
		[ "$(lines $of "member $of control")" = 0 ] || fail "$of hears itself"
	done
	say "ok: each member hears of each"
}

# A copy that is put out and let in again and again writes many lines.
test_bounded() {
	local before told own seconds=$SECONDS
	before=$(lines n2 "member n3")
	own=$(lines n3 "")
	for _ in {1..25}; do
		node n1 hamirror disconnect data lyon > /dev/null
		node n1 hamirror connect data lyon > /dev/null
	done
	await 60 has n2 "lines stand in its own log alone" 1 || fail "none was left out"
	told=$(($(lines n2 "member n3") - before)) own=$(($(lines n3 "") - own))
	seconds=$((SECONDS - seconds + 1))
	[ $told -lt $own ] || fail "all $own lines were told"
	[ $told -le $((16 + 2 * seconds + 2)) ] || fail "$told lines in $seconds s"
	await 30 is_linked || fail "lyon is not linked again"
	say "ok: a flood is bounded: $told of $own lines in $seconds s"
}

# A member that stands still holds nobody up, and hears the rest when it goes on.
test_slow() {
	local pid
	pid=$(node n4 cat /run/hamirror/data/pid)
	node n4 kill -STOP "$pid"
	node n5 rm /run/hamirror/data/control
	await 3 has n1 "member n5 control" 2 || fail "n1 waits for n4"
	node n4 kill -CONT "$pid"
	await 20 has n4 "member n5 control" 2 || fail "n4 has lost a line"
	say "ok: a slow member"
}

watch_says() { node "$1" grep -qF -- "$2" /run/watch.log; }
has_mode() {
	[ "$(node "$1" hamirror status data --field promise.mode,promise.records | xargs)" = "$2" ]
}

# Production's watcher changes the mode, once; the copy's leaves that to it, and says so.
test_mode_by_throttle() {
	local node
	for node in n3 n1; do
		node $node sh -c "cat >> /etc/hamirror/data.yaml; \
			hamirror-watch data 2> /run/watch.log &" <<-END
			throttle-period: 200
			throttles:
			  - {name: far, test: pctwl, operator: ">=", value: 0,
			     actions: [{mode: near-sync, records: 77}]}
		END
		[ $node = n1 ] || await 20 watch_says n3 "throttle far: mode is left out" ||
			fail "the copy's watcher: $(node n3 cat /run/watch.log)"
	done
	for node in n1 n3 n5; do
		await 20 has_mode $node "near-sync 77" ||
			fail "$node: $(node n1 cat /run/watch.log; node $node hamirror why data)"
	done
	run n1 mode near-sync --records 78
	await 20 has_mode n1 "near-sync 77" || fail "another mode stays"
	say "ok: a throttle changes the mode"
}

begin
test_each_hears
test_bounded
test_slow
test_mode_by_throttle
