#!/bin/bash
# hang.sh - the days on which a device of a pair does not answer: production's writelog or
# disk, or the copy's. The device is a loop device on a FUSE file whose server is stopped:
# its requests end when the server goes on. `hang.sh DAY...` runs only the days named.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

loop='' mounted='' servers=() writer=''
pair_begin qemu-nbd nbdfuse losetup
[ "$(id -u)" = 0 ] || skip "loop devices need root"
[ -w /dev/fuse ] || skip "no /dev/fuse here"

device_end() {
	[ -z "$writer" ] || kill "$writer" 2> /dev/null
	[ ${#servers[@]} = 0 ] || kill -CONT "${servers[0]}" 2> /dev/null
	[ -z "$loop" ] || losetup -d "$loop"
	[ -z "$mounted" ] || umount -l "$mounted" 2> /dev/null
	[ ${#servers[@]} = 0 ] || kill -9 "${servers[@]}" 2> /dev/null
	loop='' mounted='' servers=() writer=''
}
pair_cleanup() { device_end; }

# $DIR/$1, as made by pair_devices, becomes a device that can be stopped.
stoppable() {
	mv "$DIR/$1" "$DIR/raw"
	mkdir -p "$DIR/mnt"
	rm -f "$DIR/raw.socket"
	qemu-nbd -t -f raw -k "$DIR/raw.socket" -x '' "$DIR/raw" > "$DIR/qemu-nbd" 2>&1 &
	servers=($!)
	await 10 test -S "$DIR/raw.socket" || fail "qemu-nbd: $(cat "$DIR/qemu-nbd")"
	nbdfuse "$DIR/mnt/nbd" "nbd+unix:///?socket=$DIR/raw.socket" > "$DIR/nbdfuse" 2>&1 &
	servers+=($!)
	await 10 test -e "$DIR/mnt/nbd" || skip "FUSE does not work here: $(cat "$DIR/nbdfuse")"
	mounted=$DIR/mnt
	loop=$(losetup -f --show "$DIR/mnt/nbd") || skip "no loop device can be had"
	ln -s "$loop" "$DIR/$1"
}

# A pair as of pair_new whose device $1 ("log.a", "db.b" ...) can be stopped.
hang_pair() {
	pair_clean
	pair_yaml "device-timeout: 4000" > "$DIR/etc/data.yaml"
	pair_devices
	stoppable "$1"
	pair_up
}

# A client of a writes until it gets an error.
write_on() {
	while qemu-io -f raw -c "write -P 9 0 64k" -c flush "$(uri a)"; do :; done \
		> "$DIR/writer" 2>&1 < /dev/null &
	writer=$!
}

hang() { kill -STOP "${servers[0]}"; }
answer() { kill -CONT "${servers[0]}"; }
writer_has_ended() { daemon_is_gone "$writer"; }
has_failed() { [ "$(field "$1" '' device_failed)" != None ]; }

# ---- production ------------------------------------------------------------------------

# The device is named after seconds, then given up; the writer gets an error; demote and stop
# end in their time and name it; when it answers the site is as it was.
production() {
	local before daemon
	hang_pair "$1"
	write a 0x11 0 1M
	write_on
	hang
	await 10 why_says a "$2" || fail "why does not name it: $(hamirror why data@a)"
	why_says a "hangs: a " || fail "why does not say that it hangs: $(hamirror why data@a)"
	await 10 has_failed a || fail "it is not given up"
	await 10 writer_has_ended || fail "the writer is not told"
	before=$SECONDS
	run demote a
	[ $((SECONDS - before)) -lt 5 ] || fail "the demotion waits for the device"
	[[ $said == *"$2"* ]] || fail "the demotion does not name it: $said"
	daemon=$(daemon_pid a)
	refused "$2" stop a --wait 2
	answer
	await 40 daemon_is_gone "$daemon" || fail "the daemon stays"
	run start a
	run promote a
	current_again a lyon
	reads a 0x11 512k 512k || fail "acknowledged data is not there"
	device_end
}
day_production_disk() { production db.a "disk db ($DIR/db.a)"; }
day_production_log() { production log.a "writelog $DIR/log.a"; }

# It answers before it is given up: all goes on.
day_answers_in_time() {
	hang_pair log.a
	write_on
	hang
	await 10 event_says a "writelog $DIR/log.a hangs" || fail "$(hamirror why data@a)"
	await 3 event_says b "member a devices writelog $DIR/log.a hangs" ||
		fail "b does not hear of it"
	answer
	await 10 event_says a "answer again" || fail "that it answers is not said"
	! has_failed a || fail "it was given up"
	write a 0x12 0 1M
	device_end
}

# ---- the copy --------------------------------------------------------------------------

day_copy() {
	hang_pair log.b
	write_on
	hang
	await 10 why_says b "writelog $DIR/log.b hangs" || fail "$(hamirror why data@b)"
	await 10 has_failed b || fail "it is not given up"
	await 10 is_frozen || fail "production does not say that it waits"
	run disconnect a
	write a 0x13 1M 1M
	answer
	refused "" promote b
	device_end
}

# ---- commands --------------------------------------------------------------------------

# `hamirror $2...` ends in its time, refused, and names the writelog of a.
ends() {
	local words=$1 command
	shift
	hamirror "$@" > "$DIR/said" 2>&1 &
	command=$!
	await 20 daemon_is_gone $command || { answer_all; fail "hamirror $*: hangs"; }
	wait $command
	[ $? = 1 ] || fail "hamirror $*: not refused: $(cat "$DIR/said")"
	grep -qF "$words" "$DIR/said" || fail "hamirror $*: no '$words' in: $(cat "$DIR/said")"
}
answer_all() { kill -CONT "${servers[@]}"; }

# A file system that does not answer holds no command.
day_commands() {
	local named="writelog ($DIR/log.a) has not answered"
	pair_clean
	pair_yaml "" > "$DIR/etc/data.yaml"
	pair_devices
	stoppable log.a
	ln -sfn "$DIR/mnt/nbd" "$DIR/log.a"
	kill -STOP "${servers[1]}"
	ends "$named" config check data@a
	ends "$named" create data@a
	ends "$named" scan data@a
	ends "$named" accept data@a db
	answer_all
	hamirror config check data@a > "$DIR/said" 2>&1 ||
		fail "it answers, and is not valid: $(cat "$DIR/said")"
	device_end
}

run_days "${*:-production_disk production_log answers_in_time copy commands}"
