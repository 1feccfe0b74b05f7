#!/bin/bash
# alone.sh - two sites without a cluster, both on this machine: made, written, switched
# over, cut off, killed and started again, by the command alone.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

DISK_MIB=32
for tool in qemu-io nbdcopy cmp python3; do
	[ -n "$(command -v $tool)" ] || skip "$tool is not installed (tests/packages lists all)"
done
[ -x "$BUILD/hamirrord" ] || fail "no hamirrord in $BUILD"

# Under a path that needs no quoting in NBD URIs.
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hamirror-alone.XXXXXX") || exit 1
export HAMIRROR_CONFIG_DIR=$DIR/etc HAMIRROR_STATE_DIR=$DIR/state HAMIRROR_RUN_DIR=$DIR/run
export HAMIRROR_LOG_DIR=$DIR/log HAMIRROR_DEV_DIR=$DIR/dev
PATH=$(readlink -f "$BUILD"):$PATH

daemon_pid() { cat "$DIR/run/data@$1/pid" 2> /dev/null; }

end() {
	local status=$? host
	trap - EXIT
	for host in a b; do
		kill -9 "$(daemon_pid $host)" 2> /dev/null
	done
	if [ $status != 0 ] && [ $status != 77 ]; then
		tail -n 40 "$DIR"/log/* >&2
		for host in a b; do
			[ ! -e "$DIR/$host.err" ] || tail -n 20 "$DIR/$host.err" >&2
		done
		echo "everything is in $DIR" >&2
	else
		rm -rf "$DIR"
	fi
	exit $status
}
trap end EXIT
trap 'exit 130' INT TERM HUP

# ---- verbs --------------------------------------------------------------------------

# hamirror COMMAND data@HOST ...: must succeed.
run() {
	local command=$1 host=$2; shift 2
	hamirror "$command" "data@$host" "$@" || fail "hamirror $command data@$host $*: $?"
}

# ... must be refused (1), with the words $1.
refused() {
	local words=$1 command=$2 host=$3 said status; shift 3
	said=$(hamirror "$command" "data@$host" "$@" 2>&1)
	status=$?
	[ $status = 1 ] || fail "hamirror $command data@$host $*: $status, not refused: $said"
	[[ $said == *$words* ]] || fail "hamirror $command data@$host $*: no '$words' in: $said"
}

uri() { echo "nbd+unix:///db?socket=$DIR/run/data@$1/nbd"; }

# Write pattern $2 over $4 from $3 on, as a client of host $1, and flush.
write() {
	qemu-io -f raw -t writeback -c "write -P $2 $3 $4" -c flush "$(uri "$1")" \
		> "$DIR/qemu-io" || { cat "$DIR/qemu-io"; fail "write on $1"; }
}
reads() { qemu-io -f raw -r -c "read -P $2 $3 $4" "$(uri "$1")" > "$DIR/qemu-io" &&
	! grep -q "Pattern verification failed" "$DIR/qemu-io"; }

# Member $3 of site $2 as host $1 sees it; of the status itself with $2 empty.
field() {
	hamirror status "data@$1" --json 2> /dev/null | python3 -c '
import json, sys
status = json.load(sys.stdin)
for part in [s for s in status["sites"] if s["name"] == sys.argv[1]] or [status]:
    print(part[sys.argv[2]])
' "$2" "$3" 2> /dev/null
}

is_current() { [ "$(field "$1" "$2" current) $(field "$1" "$2" data)" = "True UpToDate" ]; }
is_level() { is_current "$1" "$2" && [ "$(field "$1" "$2" lag_bytes)" = 0 ]; }

# Both images alike, once what is under way is home.
images_are_equal() { cmp -s "$DIR/db.a" "$DIR/db.b"; }

export_is_disk() {
	nbdcopy "$(uri a)" - | cmp -s -n $((DISK_MIB << 20)) - "$DIR/db.a"
}

# ---- the story ------------------------------------------------------------------------

configure() {
	mkdir -p "$HAMIRROR_CONFIG_DIR"
	cat > "$HAMIRROR_CONFIG_DIR/data.yaml" <<-END
	mirror: data
	cluster: none
	mode: sync
	attach: none
	frozen-timeout: 5000
	copy-timeout: 2000
	sites:
	  - name: paris
	    hosts: [a]
	    writelog: $DIR/log.a
	    disks: [{name: db, path: $DIR/db.a}]
	  - name: lyon
	    hosts: [b]
	    writelog: $DIR/log.b
	    disks: [{name: db, path: $DIR/db.b}]
	addresses: {a: "127.0.0.1:$(free_port)", b: "127.0.0.1:$(free_port)"}
	END
	truncate -s ${DISK_MIB}M "$DIR/db.a" "$DIR/db.b"
	truncate -s 16M "$DIR/log.a" "$DIR/log.b"
	# what is on the first disk is kept, what is on the other is overwritten
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
	# a second daemon is told who is there
	second=$(hamirrord data@a 2>&1) && fail "a second daemon runs"
	[[ $second == *"process $(daemon_pid a)"* ]] || fail "no process named in: $second"
}

test_first_promotion() {
	run promote a
	await 20 is_current a lyon || fail "lyon did not become current: $(hamirror why data@a)"
	await 10 images_are_equal || fail "the copy is not like the original after its refresh"
	cmp "$DIR/db.a" "$DIR/adopted" || fail "adopting changed the disk"
	say "ok: adopted, refreshed, current"
}

test_writes() {
	write a 0x11 1M 2M
	write a 0x22 2M 64k
	write a 0x33 4097k 512
	reads a 0x11 1M 1M || fail "not read back"
	# what is answered goes home once the log has proven it
	await 10 export_is_disk || fail "nbdcopy differs"
	await 10 is_level a lyon || fail "lyon did not catch up"
	await 10 images_are_equal || fail "images differ after writes"
	refused "" promote b
	say "ok: written and mirrored"
}

test_switch_over() {
	run demote a
	[ "$(field a '' serving)" = False ] || fail "a serves after its demotion"
	run promote b
	reads b 0x11 1M 1M || fail "b lost what was written on a"
	write b 0x44 6M 1M
	await 20 is_current b paris || fail "paris did not become current: $(hamirror why data@b)"
	await 10 images_are_equal || fail "images differ after the switch"
	run demote b
	run promote a
	await 20 is_current a lyon || fail "lyon did not come back: $(hamirror why data@a)"
	reads a 0x44 6M 1M || fail "a lost what was written on b"
	say "ok: switched over and back"
}

kill_daemon() {
	local pid
	pid=$(daemon_pid "$1")
	kill -9 "$pid" || fail "no daemon to kill on $1"
	while [ -d "/proc/$pid" ] && ! grep -qs "^State:.Z" "/proc/$pid/status"; do sleep 0.02; done
}

test_production_killed() {
	write a 0x55 8M 1M
	kill_daemon a
	run start a
	run promote a
	reads a 0x55 8M 1M || fail "a lost a flushed write by its kill"
	await 20 is_current a lyon || fail "lyon did not come back: $(hamirror why data@a)"
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
	await 20 is_current a lyon || fail "lyon did not come back: $(hamirror why data@a)"
	await 10 images_are_equal || fail "images differ after the disconnection"
	say "ok: copy killed, put out, taken back"
}

is_frozen() { [ "$(field a '' frozen)" = True ]; }

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
	await 20 is_level a lyon || fail "lyon is not level: $(hamirror why data@a)"
	say "ok: promoted together, one yields"
}

# What was written without the copy is not there: by force only, and then nothing of it
# is undone unasked.
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
	await 30 is_level b paris || fail "paris is not level: $(hamirror why data@b)"
	await 10 images_are_equal || fail "images differ after what was given up"
	run demote b
	run promote a
	await 20 is_level a lyon || fail "lyon is not level: $(hamirror why data@a)"
	say "ok: forced, asked, given up"
}

# A link that is not up yet is no reason to give up.
is_refreshed_or_level() {
	is_level b paris || hamirror refresh data@b --allow-inconsistent > /dev/null 2>&1
}

asks_before_it_undoes() { hamirror why data@a | grep -q -- "--discard"; }

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
test_switch_over
test_production_killed
test_copy_killed
test_promoted_together
test_nothing_undone_unasked
test_stop
