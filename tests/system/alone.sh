#!/bin/bash
# alone.sh - two sites without a cluster, both on this machine: made, written, switched
# over, cut off, killed and started again, by the command alone.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

DISK_MIB=32 LOG_MIB=16
pair_begin nbdcopy

export_is_disk() {
	nbdcopy "$(uri a)" - | cmp -s -n $((DISK_MIB << 20)) - "$DIR/db.a"
}

# ---- the story ------------------------------------------------------------------------

configure() {
	pair_yaml "" > "$DIR/etc/data.yaml"
	pair_devices
	# data on the first disk is kept, data on the other is overwritten
	head -c 3M /dev/urandom | dd of="$DIR/db.a" bs=1M seek=5 conv=notrunc status=none
	head -c 3M /dev/urandom | dd of="$DIR/db.b" bs=1M seek=9 conv=notrunc status=none
	cp "$DIR/db.a" "$DIR/adopted"
	hamirror config check data@a || fail "config check"
}

create_both() {
	run create a
	mv "$DIR/db.a" "$DIR/away"
	refused "$DIR/db.a" start a
	mv "$DIR/away" "$DIR/db.a"
	refused "voter.0" create a
	refused "does not answer" create b --copy-of a
	run start a
	refused 'hamirror create data@b --copy-of HOST' start b
	run create b --copy-of a
	refused "writelog of site lyon" create b --copy-of a
	run start b
	run start a
	# a second daemon is told that the first one runs
	second=$(hamirrord data@a 2>&1) && fail "a second daemon runs"
	[[ $second == *"process $(daemon_pid a)"* ]] || fail "no process named in: $second"
}

test_first_promotion() {
	run promote a
	current_again a lyon
	await 10 images_are_equal || fail "the copy is not like the original after its refresh"
	cmp "$DIR/db.a" "$DIR/adopted" || fail "adopting changed the disk"
	say "ok: adopted, refreshed, current"
}

test_writes() {
	write a 0x11 1M 2M
	write a 0x22 2M 64k
	write a 0x33 4097k 512
	reads a 0x11 1M 1M || fail "not read back"
	# answered writes go home once the log has proven them
	await 10 export_is_disk || fail "nbdcopy differs"
	current_again a lyon
	await 10 images_are_equal || fail "images differ after writes"
	refused "" promote b
	say "ok: written and mirrored"
}

# A control socket that goes is made again, and each host hears it of the other, once.
test_news() {
	local of other=b
	for of in a b; do
		rm "$DIR/run/data@$of/control"
		await 3 event_says $other "change member $of control" ||
			fail "$other does not hear of $of"
		! event_says $of "member $of" || fail "$of hears itself"
		await 10 test -S "$DIR/run/data@$of/control" || fail "no control socket"
		other=$of
	done
	current_again a lyon
	say "ok: each hears of the other"
}

test_switch_over() {
	run demote a
	[ "$(field a '' serving)" = False ] || fail "a serves after its demotion"
	run promote b
	reads b 0x11 1M 1M || fail "b lost writes of a"
	write b 0x44 6M 1M
	current_again b paris
	await 10 images_are_equal || fail "images differ after the switch"
	run demote b
	run promote a
	current_again a lyon
	reads a 0x44 6M 1M || fail "a lost writes of b"
	say "ok: switched over and back"
}

test_production_killed() {
	write a 0x55 8M 1M
	kill_daemon a
	run start a
	run promote a
	reads a 0x55 8M 1M || fail "a lost a flushed write by its kill"
	current_again a lyon
	await 10 images_are_equal || fail "images differ after the kill"
	say "ok: production killed and started again"
}

# Losing the copy freezes writes until the operator puts it out.
test_copy_killed() {
	kill_daemon b
	qemu-io -f raw -c "write -P 0x66 10M 64k" "$(uri a)" > "$DIR/frozen" 2>&1 &
	local writer=$!
	await 10 is_frozen || fail "a does not say that it is frozen"
	run disconnect a lyon
	wait $writer || fail "the frozen write failed: $(cat "$DIR/frozen")"
	write a 0x77 12M 2M
	run start b
	[ "$(field a lyon current)" = False ] || fail "lyon came back though it is put out"
	run connect a lyon
	current_again a lyon
	await 10 images_are_equal || fail "images differ after the disconnection"
	say "ok: copy killed, put out, taken back"
}

# By command, while a client writes: the map takes over though the log has room, the copy is
# not promoted, and is brought level again.
test_bypass() {
	local writer
	(while :; do write a 0x67 14M 256k; done) > /dev/null 2>&1 &
	writer=$!
	run bypass a on lyon
	refused "in bypass" connect a lyon
	refused "in bypass" switch a lyon
	[ "$(field a lyon bypass) $(field a lyon current)" = "True False" ] || fail "$said"
	write a 0x68 15M 1M
	await 10 tracks_lyon || fail "nothing is tracked: $(field a '' modes)"
	kill $writer
	wait $writer 2> /dev/null
	refused "only production puts a copy into bypass" bypass b on paris
	run demote a
	refused "paris tracks" promote b
	run stop a
	run start a
	run promote a
	[ "$(field a lyon bypass)" = True ] || fail "forgotten by a restart"
	run bypass a off lyon
	current_again a lyon
	await 10 images_are_equal || fail "images differ after the bypass"
	say "ok: a copy in bypass, and level again"
}
tracks_lyon() { [[ $(field a '' modes) == *bypass*tracking* ]]; }

# Both are told at once, the line whole: one at most serves, and it is the level image.
test_promoted_together() {
	local n=0 on
	while [ $((n += 1)) -le 6 ]; do
		for on in a b; do
			[ "$(field $on '' serving)" = False ] || run demote $on
		done
		hamirror promote data@a > "$DIR/pa" 2>&1 &
		local one=$!
		hamirror promote data@b > "$DIR/pb" 2>&1
		wait $one
		on=$(field a '' serving)$(field b '' serving)
		[ "$on" != TrueTrue ] || fail "both serve: $(cat "$DIR/pa" "$DIR/pb")"
		[ "$on" != FalseFalse ] || fail "neither serves: $(cat "$DIR/pa" "$DIR/pb")"
	done
	[ "$(field a '' serving)" = True ] || { run demote b; run promote a; }
	current_again a lyon
	say "ok: promoted together, one yields"
}

# Writes made without the copy are not there: a promotion needs force, and then none of
# them is undone unasked.
test_nothing_undone_unasked() {
	run disconnect a lyon
	write a 0x88 4M 24M
	run demote a
	refused "paris tracks" promote b
	kill_daemon a
	refused "cannot be reached" promote b
	run promote b --force
	run start a
	await 20 asks_before_it_undoes || fail "a does not ask: $(hamirror why data@a)"
	refused "--discard" connect a lyon
	[ "$(field b paris current)" = False ] || fail "a was undone unasked"
	run connect a lyon --discard
	await 20 is_refreshed_or_level || fail "b does not refresh: $(hamirror why data@b)"
	current_again b paris
	await 10 images_are_equal || fail "images differ after records were given up"
	run demote b
	run promote a
	current_again a lyon
	say "ok: forced, asked, given up"
}

# A link that is not up yet is no reason to give up.
is_refreshed_or_level() {
	is_level b paris || hamirror refresh data@b --allow-inconsistent > /dev/null 2>&1
}

asks_before_it_undoes() { hamirror why data@a | grep -q -- "--discard"; }

# Both files say mode $1; both daemons start anew, and a is production again.
restart_in() {
	run stop a
	run stop b
	pair_yaml "refresh-retry: 2000" | sed "s/^mode: .*/mode: $1/" > "$DIR/etc/data.yaml"
	run start a
	run start b
	run promote a
}

# The copy stands still, and nobody waits for it, also when the log is full. It is level
# again by itself; without that it is promoted by force only, and after a clean end alone.
test_async() {
	local pid n
	refused "restart both" mode a async
	restart_in async
	await 30 is_connected a lyon || fail "no link in async: $(hamirror why data@a)"
	[ "$(field a '' mode) $(field a lyon current)" = "async False" ] || fail "a is not async"
	agree_soon
	pid=$(daemon_pid b)
	kill -STOP "$pid"
	for n in 1 2 3 4 5; do # more than the log holds, and little to refresh
		write a "0x9$n" 4M 4M
	done
	write a 0x98 3M 512k
	[ "$(field a '' frozen)" = False ] || fail "frozen in async: $(hamirror why data@a)"
	why_says a "in async" || fail "why: $(hamirror why data@a)"
	await 20 tracks a lyon || fail "no map for lyon: $(hamirror status data@a)"
	kill_daemon a
	kill -CONT "$pid"
	refused "without a bound" promote b
	run start a
	refused "paris tracks" promote b
	run promote a
	await 30 is_connected a lyon || fail "lyon stays behind: $(hamirror why data@a)"
	await 10 images_are_equal || fail "images differ after the refresh in async"
	agree_soon
	reads a 0x98 3M 512k || fail "a lost answered writes"
	write a 0x93 5M 1M
	run demote a
	kill_daemon a
	run promote b
	reads b 0x93 5M 1M || fail "b lost writes of a after its clean end"
	run start a
	await 30 is_connected b paris || fail "paris stays behind: $(hamirror why data@b)"
	run switch b paris
	await 10 serves a || fail "a does not serve after the switch"
	restart_in sync
	current_again a lyon
	await 10 images_are_equal || fail "images differ after async"
	say "ok: async, outrun, killed, level again, and back in sync"
}
is_connected() { [ "$(field "$1" "$2" link) $(field "$1" "$2" lag_bytes)" = "connected 0" ]; }
tracks() { [ "$(field "$1" "$2" tracked_bytes)" -gt 0 ]; }

# Both daemons are killed in the middle of writes; the copy's disk alone is used then.
test_recover() {
	refused "process $(daemon_pid b)" recover b
	(for i in $(seq 0 199); do write a 0x71 $((16384 + i * 4))k 4k || exit; done) &
	local writer=$!
	await 10 reads a 0x71 16M 100k
	write a 0x72 24M 64k
	kill_daemon a
	kill_daemon b
	kill $writer 2> /dev/null
	wait $writer 2> /dev/null
	refused "was production" recover a
	{ for _ in 1 2 3; do # cut off
		timeout --foreground -s KILL 0.05 hamirror recover data@b
	done; } > /dev/null 2>&1
	run recover b
	[[ $said == *"the end of the writelog"* ]] || fail "recover says: $said"
	run recover b
	[[ $said == *" 0 records came home"* ]] || fail "the second one says: $said"
	qemu-io -f raw -r -c "read -P 0x72 24M 64k" "$DIR/db.b" | grep -q pattern.failed &&
		fail "an answered write is not on the disk of lyon"
	run start a
	run promote a --force
	run start b
	current_again a lyon
	await 10 images_are_equal || fail "images differ after the recovery"
	say "ok: a copy's disks recovered, and it is a copy again"
}

test_stop() {
	run stop a
	run stop b
	[ -z "$(daemon_pid a)$(daemon_pid b)" ] || fail "a pid file is left"
	cmp "$DIR/db.a" "$DIR/db.b" || fail "images differ after the stop"
	hamirror scan --log "$DIR/log.a" > "$DIR/scan" || fail "scan"
	! grep -q DAMAGED "$DIR/scan" || fail "the log is damaged: $(cat "$DIR/scan")"
	say "ok: stopped, alike, and the log is whole"
}

configure
create_both
test_first_promotion
test_writes
test_news
test_switch_over
test_production_killed
test_copy_killed
test_bypass
test_promoted_together
test_nothing_undone_unasked
test_async
test_recover
test_stop
