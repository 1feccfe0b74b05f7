#!/bin/bash
# kill.sh - production and copy are killed at random instants under load, again and
# again: every acknowledged record is there afterwards, at either site.
# KILLS rounds (12), SEED of the random choices. A client of its own judges the records
# after each break (nbd_records.c); at the end both disks must be alike.
set -u
# The log holds all that is written while a site is away.
LOG_MIB=${LOG_MIB:-128}
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

KILLS=${KILLS:-12}
SEED=${SEED:-1}
RANDOM=$SEED
pair_begin nbdcopy
[ -x "$BUILD/tests/system/nbd_records" ] ||
	skip "no nbd_records in $BUILD/tests/system: make check TESTS= builds it"
say "SEED=$SEED KILLS=$KILLS"

production=a copy=b writer=
site_name() { if [ "$1" = a ]; then echo paris; else echo lyon; fi; }

progress() { sed -n "s/.*$1 \([0-9]*\).*/\1/p" "$DIR/progress" 2> /dev/null; }
has_acknowledged() {
	local now
	kill -0 "$writer" 2> /dev/null || fail "the client gave up: $(cat "$DIR/writer.err")"
	now=$(progress acknowledged)
	[ "${now:-0}" -ge "$1" ]
}
# The client is served, $1 more writes of it.
await_writes() {
	local from
	from=$(progress acknowledged)
	await 20 has_acknowledged $((${from:-0} + $1)) ||
		fail "no writes are answered: $(hamirror why data@$production)"
}

# Some hundreds of writes later, anywhere within one.
random_instant() {
	await_writes $((1 + RANDOM % 400))
	python3 -c "import time; time.sleep($((RANDOM % 30000)) / 1e6)"
}

swap() { local was=$production; production=$copy copy=$was; }

# A production that was left out by force asks before it gives up its own records.
is_current_again() {
	is_current $production "$(site_name $copy)" && return
	[ -z "$forced" ] || [[ $(hamirror why "data@$copy") != *"--discard"* ]] ||
		hamirror connect "data@$copy" "$(site_name $production)" --discard > /dev/null
	return 1
}

await_current() {
	await 30 is_current_again ||
		fail "$(site_name $copy) did not become current: $(hamirror why data@$production)"
}

production_comes_back() {
	kill_daemon $production
	run start $production
	run promote $production
}

# The other side takes over; the killed one returns as its copy. The kill leaves it to
# the operator whether production was current here: it must be said by --force.
other_side_takes_over() {
	kill_daemon $production
	refused "cannot be reached" promote $copy
	run promote $copy --force
	forced=yes
	[[ $said == *"may hold more"* ]] || fail "the force names no loss: $said"
	swap
	run start $copy
}

# The killed one returns first: then nothing needs to be forced.
other_side_takes_over_gently() {
	kill_daemon $production
	run start $production
	run promote $copy
	swap
}

copy_comes_back() {
	kill_daemon $copy
	run start $copy
}

copy_is_put_out() {
	kill_daemon $copy
	run disconnect $production "$(site_name $copy)"
	await_writes $((RANDOM % 3000))
	run start $copy
	run connect $production "$(site_name $copy)"
}

both_die() {
	kill_daemon $production
	kill_daemon $copy
	run start $copy
	run start $production
	run promote $production
}

# Killed again while it starts, replays or is promoted.
killed_twice() {
	kill_daemon $production
	run start $production
	hamirror promote data@$production > /dev/null 2>&1 &
	local promotion=$!
	python3 -c "import time; time.sleep($((RANDOM % 40000)) / 1e6)"
	kill_daemon $production
	wait $promotion
	run start $production
	run promote $production
}

# The copy dies again while it catches up or is refreshed.
copy_killed_twice() {
	copy_is_put_out
	python3 -c "import time; time.sleep($((RANDOM % 60000)) / 1e6)"
	kill_daemon $copy
	run start $copy
}

pair_new
"$BUILD/tests/system/nbd_records" "$DIR/progress" "$SEED" "$(uri a)" "$(uri b)" \
	2> "$DIR/writer.err" &
writer=$!
forced= # by the last round
ways=(production_comes_back copy_comes_back other_side_takes_over copy_is_put_out both_die
	other_side_takes_over_gently killed_twice copy_killed_twice)
for ((round = 0; round < KILLS; round++)); do
	# each way once, in turn, then any of them
	way=${ways[round < ${#ways[@]} ? round : RANDOM % ${#ways[@]}]}
	random_instant
	started=${EPOCHREALTIME/./}
	"$way"
	await_writes 50
	await_current
	forced=
	printf '%-30s production %s, writes and copy again after %d ms\n' "$way" "$production" \
		$(((${EPOCHREALTIME/./} - started) / 1000))
done
await_writes 100

kill -TERM $writer
wait $writer || fail "the client: $(cat "$DIR/writer.err")"
writer=
await 20 is_level $production "$(site_name $copy)" || fail "the copy is not level"
run stop $production
run stop $copy
cmp "$DIR/db.a" "$DIR/db.b" || fail "the disks differ after the stop"
for host in a b; do
	hamirror scan --log "$DIR/log.$host" > "$DIR/scan" || fail "scan of the log of $host"
	! grep -q DAMAGED "$DIR/scan" || fail "the log is damaged: $(cat "$DIR/scan")"
done
say "kills: $KILLS rounds; $(xargs < "$DIR/progress"); lost 0; disks alike"
