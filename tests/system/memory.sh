#!/bin/bash
# memory.sh - a kernel, as in a container, that refuses a daemon its reserves for short
# memory. The event log and the status say so, and `why` while a device exists, which it does
# only where the configuration allows that. (The guests test the effects.)
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin setpriv nbdfuse fio
[ "$(id -u)" = 0 ] || skip "capabilities are taken away from root here"
[ -w /dev/fuse ] || skip "no /dev/fuse here"

# hamirror start of host $1 without the capabilities that are needed. Its limit of locked
# memory is below its size, and enough for io_uring.
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

# Host a, without the capabilities and with a device; `unprotected` is $1.
begin_with_a_device() {
	pair_new
	stop_all
	ATTACH=fuse UNPROTECTED=$1 pair_yaml "" > "$DIR/etc/data.yaml"
	start_bare a
	run start b
}

day_with_a_device() {
	begin_with_a_device allowed
	run promote a
	[ -b "$DIR/dev/data/db" ] || fail "no device"
	current_again a lyon
	why_says a "by fuse, and io-flusher was asked for and is off" ||
		fail "io-flusher: $(hamirror why data@a)"
	why_says a "by fuse, and memory-lock was asked for and is not locked" ||
		fail "memory-lock: $(hamirror why data@a)"
	why_lacks b "asked for" || fail "b has no device: $said"
	run demote a
	why_lacks a "asked for" || fail "the device is gone: $said"
	stop_all
}

# It serves, and its NBD clients work; the devices do not come, and the remedy is told.
day_refused() {
	begin_with_a_device refused
	refused "its devices do not stand: io-flusher is refused" promote a
	[[ $said == *"CAP_SYS_RESOURCE"*"CapabilityBoundingSet"* ]] || fail "no remedy: $said"
	[ ! -e "$DIR/dev/data/db" ] || fail "a device stands"
	why_says a "io-flusher is refused" || fail "why: $(hamirror why data@a)"
	write a 0x31 0 64k
	stop_all
}

# All memory of production's writes is there before the first of them: then only a client's
# connection costs a page. (The ring's index does, one in some thousand writes.)
day_without_new_pages() {
	local pid before count
	pair_new
	pid=$(daemon_pid a)
	before=$(page_faults "$pid")
	fio --name=w --ioengine=nbd "--uri=nbd+unix:///db?socket=$DIR/run/data@a/nbd" \
		--rw=randwrite --bs=4k --iodepth=32 --size="${DISK_MIB}m" --io_size=64m \
		> "$DIR/fio.log" 2>&1 || fail "fio: $(cat "$DIR/fio.log")"
	count=$(($(page_faults "$pid") - before))
	[ $count -lt 400 ] || fail "16384 writes needed $count new pages"
}

page_faults() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 8; }

run_days "${*:-without_a_device with_a_device refused without_new_pages}"
