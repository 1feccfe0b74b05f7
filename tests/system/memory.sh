#!/bin/bash
# memory.sh - what the kernel does not give a daemon for the day on which memory is short, as
# in a container: told in the event log and the status, and in `why` while a device stands.
# (What comes of it is for the guests.)
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin setpriv nbdfuse
[ "$(id -u)" = 0 ] || skip "capabilities are taken away from root here"
[ -w /dev/fuse ] || skip "no /dev/fuse here"

# hamirror start of host $1 without the capabilities that are needed. What it may lock is
# less than it has, and enough for io_uring.
start_bare() {
	local limit
	limit=$(ulimit -l)
	[ "$limit" != unlimited ] && [ "$limit" -le 16384 ] || limit=16384
	said=$(ulimit -l "$limit" && setpriv --bounding-set=-sys_resource,-ipc_lock \
		hamirror start "data@$1" 2>&1) || fail "start: $said"
}

got() {
	hamirror status "data@$1" --json | python3 -c '
import json, sys
for p in json.load(sys.stdin)["protections"]:
    if p["name"] == sys.argv[1]:
        print(p["got"], "-", p["error"])' "$2"
}

day_without_a_device() {
	pair_new
	run stop a
	start_bare a
	run promote a
	current_again a lyon
	[ "$(got a io-flusher)" = "off - Operation not permitted" ] || fail "$(got a io-flusher)"
	[ "$(got a memory-lock)" = "not locked - Cannot allocate memory" ] ||
		fail "$(got a memory-lock)"
	[ "$(got a pool)" = "in memory - None" ] || fail "$(got a pool)"
	event_says a "change memory io-flusher was asked for and is off" || fail "no event"
	[ "$(hamirror why data@a)" = "All is well." ] || fail "$(hamirror why data@a)"
}

day_with_a_device() {
	pair_new
	stop_all
	sed -i 's/^attach: none/attach: fuse/' "$DIR/etc/data.yaml"
	start_bare a
	run start b
	run promote a
	[ -b "$DIR/dev/data/db" ] || fail "no device"
	current_again a lyon
	why_says a "by fuse, and io-flusher was asked for and is off" ||
		fail "io-flusher: $(hamirror why data@a)"
	why_says a "by fuse, and memory-lock was asked for and is not locked" ||
		fail "memory-lock: $(hamirror why data@a)"
	! why_says b "asked for" || fail "b has no device: $(hamirror why data@b)"
	run demote a
	! why_says a "asked for" || fail "the device is gone: $(hamirror why data@a)"
	stop_all
}

run_days "${*:-without_a_device with_a_device}"
