#!/bin/bash
# limits.sh - as many clients, disks and files as a configuration has room for, and one
# more: a refused client is told so, and so is the operator; devices have places of their
# own.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

# The first $1 names of disks.
disks() { local i; for ((i = 0; i < $1; i++)); do echo "d$i"; done; }

DISKS=$(disks 40)
DISK_MIB=1 COPY_TIMEOUT=20000

pair_cleanup() { rm -f "$DIR/hold"; }

# $1 clients of disk d0 at once, kept until `let_go`. Their replies are in $DIR/held.
hold() {
	rm -f "$DIR/hold" "$DIR/held"
	mkfifo "$DIR/hold"
	"$SYSTEM/nbd_hold" "$DIR/run/data@a/nbd" d0 "$1" < "$DIR/hold" > "$DIR/held" 2>&1 &
	HOLDER=$!
	exec 9> "$DIR/hold"
	await 20 grep -qs "^held" "$DIR/held" || fail "the clients: $(cat "$DIR/held")"
}
let_go() { exec 9>&-; wait $HOLDER; }

# So many clients it has room for, as it says.
room() {
	hamirror config check data@a --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["limits"]["clients"])'
}

why_is_well() { hamirror why data@a | grep -qx "All is well."; }

# With memory $1 for so many clients as $2.
test_clients() {
	local most
	MEMORY=$1 ATTACH=none
	stop_all
	pair_new
	most=$(room)
	[ "$most" = "$2" ] || fail "memory: $1 has room for $most clients, not $2"
	hold $((most + 3))
	grep -qx "held $most" "$DIR/held" || fail "not $most clients: $(cat "$DIR/held")"
	[ "$(grep -c "^refused 0x80000002 all $most places" "$DIR/held")" = 3 ] ||
		fail "a refused client is not told so: $(cat "$DIR/held")"
	event_says a "all $most places for NBD clients are taken" || fail "no event"
	event_says a "rule=clients-full" || fail "no rule"
	why_says a "NBD clients are refused, 3 so far" || fail "why: $(hamirror why data@a)"
	let_go
	await 10 why_is_well || fail "why, with room again: $(hamirror why data@a)"
	hold 1
	grep -qx "held 1" "$DIR/held" || fail "no place is free again: $(cat "$DIR/held")"
	let_go
	say "ok: $most clients with memory: $1, three more are refused"
}

test_names() {
	local i
	for i in 1 2 3; do
		! qemu-io -f raw -c "read 0 512" \
			"nbd+unix:///nosuch?socket=$DIR/run/data@a/nbd" > "$DIR/out" 2>&1 ||
			fail "a disk that is not there was found"
	done
	event_says a 'it asks for a disk "nosuch", and there is none' || fail "no event"
	[ "$(grep -c rule=no-such-disk "$DIR/log/data@a.log")" = 1 ] ||
		fail "three refusals of a kind are three events"
	why_says a 'it asks for a disk "nosuch"' || fail "why: $(hamirror why data@a)"
	say "ok: a client with a wrong name is told of"
}

# Root that may not raise its limits.
bounded() { setpriv --bounding-set=-sys_resource "$@"; }

test_files() {
	local limit
	run stop a
	said=$(bounded prlimit --nofile=100:100 hamirrord data@a 2>&1) &&
		fail "started with 100 files"
	[[ $said == *"may need "*" open files, and 100 are allowed (RLIMIT_NOFILE"* ]] ||
		fail "the limit is not named: $said"
	said=$(bounded prlimit --nofile=100:100 hamirror config check data@a 2>&1)
	[[ $said == *"warning: "*"100 are allowed (RLIMIT_NOFILE"* ]] ||
		fail "config check says nothing of the limit: $said"
	bounded prlimit --nofile=100:4000 hamirrord data@a || fail "not started with 4000"
	limit=$(sed -n 's/^Max open files *\([0-9]*\) .*/\1/p' "/proc/$(daemon_pid a)/limits")
	[ "$limit" -gt 100 ] || fail "the limit was not raised: $limit"
	say "ok: the limit of open files is computed, raised and named"
}

stands() { [ "$(find "$DIR/dev/data" -type l 2> /dev/null | wc -l)" = 40 ]; }

# With all places of other clients taken the devices come, work, go and come again.
test_devices() {
	local most disk
	stop_all
	ATTACH=fuse MEMORY=8M
	pair_new
	stands || fail "not 40 devices: $(ls "$DIR/dev/data")"
	most=$(room)
	hold $((most + 1))
	grep -qx "held $most" "$DIR/held" || fail "not $most clients: $(cat "$DIR/held")"
	for disk in $DISKS; do
		dd if=/dev/urandom of="$DIR/dev/data/$disk" bs=64k count=1 oflag=direct \
			status=none || fail "device $disk takes no write"
	done
	run demote a
	let_go
	run promote a
	stands || fail "not 40 devices again: $(ls "$DIR/dev/data")"
	await 20 is_level a lyon || fail "not level: $(hamirror why data@a)"
	run demote a
	for disk in $DISKS; do
		await 20 cmp -s "$DIR/$disk.a" "$DIR/$disk.b" || fail "$disk differs"
	done
	stop_all
	say "ok: 40 devices by fuse with memory: 8M, beside $most clients"
}

test_refused() {
	DISKS=$(disks 60)
	pair_yaml "" > "$DIR/etc/data.yaml"
	said=$(hamirror config check data@a 2>&1) && fail "60 devices fit into 8M: $said"
	[[ $said == *": memory: is 8M, too little for the devices of 60 disks"* ]] ||
		fail "the key is not named: $said"
	said=$(hamirrord data@a 2>&1) && fail "started with 60 devices in 8M"
	[[ $said == *"expected 12M or more"* ]] || fail "start does not say so: $said"
	say "ok: more disks than memory has room for are refused by check and start"
}

pair_begin setpriv prlimit dd mkfifo losetup nbdfuse
[ "$(id -u)" = 0 ] || skip "devices need root"
[ -w /dev/fuse ] || skip "no /dev/fuse here"
test_clients 64M 256
test_clients 8M 85
test_names
test_files
test_devices
test_refused
