#!/bin/bash
# full.sh - the days on which something of a pair is full: a disk, on either site, or
# the writelog while the copy is away. `full.sh DAY...` runs only those named.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

loop=''
mounted=''
pair_begin fallocate losetup

pair_cleanup() {
	[ -z "$loop" ] || losetup -d "$loop"
	[ -z "$mounted" ] || umount "$mounted" 2> /dev/null || umount -l "$mounted"
}

# ---- a disk ---------------------------------------------------------------------------

# $DIR/small is soon a full file system of $2 MiB; the disk of host $1 lies there, with
# `loop` as $3 under a loop device, which then answers with errors of its own.
small_site() {
	[ "$(id -u)" = 0 ] || return 1
	mkdir -p "$DIR/small"
	mount -t tmpfs -o size=64M small "$DIR/small" 2> /dev/null || return 1
	mounted=$DIR/small
	pair_yaml "" > "$DIR/etc/data.yaml"
	disk=$DIR/small/db.$1
	ln -sfn "$disk" "$DIR/small/disk"
	sed -i "s,path: $DIR/db.$1,path: $DIR/small/disk," "$DIR/etc/data.yaml"
	pair_clean
	pair_devices
	truncate -s "${DISK_MIB}M" "$disk"
	pair_up
	# The first refresh is at home, and the log knows: it is not replayed.
	await 20 is_home a paris || fail "a does not bring all home: $(field a paris marks)"
	await 20 is_home b lyon || fail "b does not bring all home: $(field b lyon marks)"
	write a 0 0 4k
	current_again a lyon
	stop_all
	# all zeroes so far, so the hole loses nothing
	fallocate --punch-hole --offset 0 --length "${DISK_MIB}MiB" "$disk" ||
		fail "no hole in $disk"
	mount -o "remount,size=${2}M" "$mounted" || fail "the file system stays large"
	if [ "${3:-}" = loop ]; then
		loop=$(losetup --find --show "$disk" 2> /dev/null) || { leave_small; return 1; }
		ln -sfn "$loop" "$DIR/small/disk"
		run accept "$1" db # it is the same file, and looks like another disk
	fi
	run start a
	run start b
	run promote a
	current_again a lyon
}

leave_small() {
	stop_all
	[ -z "$loop" ] || losetup -d "$loop"
	loop=''
	umount "$mounted"
	mounted=''
}

day_copy_is_full() {
	small_site b 4 || { lacking "a full disk needs root and tmpfs"; return; }
	qemu-io -f raw -t none -c "write -P 0x71 0 8M" -c flush "$(uri a)" > "$DIR/frozen" 2>&1 &
	writer=$!
	await 20 why_says b "No space left on device" ||
		fail "b does not say: $(hamirror why data@b)"
	why_says b "disk db ($DIR/small/disk)" || fail "b does not name it: $(hamirror why data@b)"
	await 3 event_says a "member b devices disk db ($DIR/small/disk)" ||
		fail "a does not hear of it"
	[ "$(field b lyon data)" = Diskless ] || fail "b is not Diskless: $(field b lyon data)"
	run disconnect a lyon
	wait $writer || fail "production failed too: $(cat "$DIR/frozen")"
	reads a 0x71 0 8M || fail "production lost something"
	# room is made: it comes back
	run stop b
	mount -o remount,size=64M "$mounted"
	run start b
	run connect a lyon
	current_again a lyon
	await 20 cmp -s "$DIR/db.a" "$DIR/small/db.b" || fail "the disks differ"
	stop_all
	cmp "$DIR/db.a" "$DIR/small/db.b" || fail "the disks differ"
	leave_small
}

day_copy_fails() {
	if ! small_site b 4 loop; then
		lacking "a failing disk needs root, tmpfs and a loop device"
		return
	fi
	qemu-io -f raw -t none -c "write -P 0x74 0 8M" -c flush "$(uri a)" > "$DIR/frozen" 2>&1 &
	writer=$!
	await 20 why_says b "disk db ($DIR/small/disk)" ||
		fail "b does not say: $(hamirror why data@b)"
	await 3 event_says a "member b devices disk db ($DIR/small/disk)" ||
		fail "a does not hear of it"
	why_says b "failed: " || fail "b does not name it: $(hamirror why data@b)"
	run disconnect a lyon
	wait $writer || fail "production failed too: $(cat "$DIR/frozen")"
	reads a 0x74 0 8M || fail "production lost something"
	leave_small
	lacking "a disk that fails to read needs the device mapper's error target"
}

asks_or_is_current() { why_says a "--discard" || is_level b paris; }

day_production_is_full() {
	local LOG_MIB=32 # a refresh of all that a has logged fits above a hold
	small_site a 4 || { lacking "a full disk needs root and tmpfs"; return; }
	write a 0x72 0 1M
	qemu-io -f raw -t none -c "write -P 0x73 1M 8M" -c flush "$(uri a)" > "$DIR/frozen" 2>&1 &
	writer=$!
	await 20 why_says a "No space left on device" ||
		fail "a does not say: $(hamirror why data@a)"
	# nothing more is answered; the stop lets the client go, within frozen-timeout
	run stop a
	await 15 daemon_is_gone $writer || fail "the client hangs after the stop"
	wait $writer 2> /dev/null
	run promote b --force
	reads b 0x72 0 1M || fail "a flushed write is gone"
	mount -o remount,size=64M "$mounted"
	run start a
	# a gives up records that it alone has logged and never answered when it is told so.
	# Where the disk failed after b had all of the log, there is nothing to give up.
	await 20 asks_or_is_current || fail "a neither asks nor is mirrored: $(hamirror why data@a)"
	! why_says a "--discard" || run connect a lyon --discard
	current_again b paris
	await 20 cmp -s "$DIR/small/db.a" "$DIR/db.b" || fail "the disks differ"
	stop_all
	cmp "$DIR/small/db.a" "$DIR/db.b" || fail "the disks differ"
	leave_small
}

# ---- the writelog -------------------------------------------------------------------------

keep_writing() {
	while [ ! -e "$DIR/enough" ]; do write a $((RANDOM % 255 + 1)) 0 1M; done
}
# Until a line of $events holds $1: at once, not at the next look.
event_comes() {
	local line
	while read -r -t 20 -u "$events" line; do [[ $line != *"$1"* ]] || return 0; done
	return 1
}
holds() { hamirror scan --log "$DIR/log.b" --json | grep -q '"hold": *true'; }

# The copy is away under I/O until the tracking map takes over; it returns, and is killed
# amid its refresh until we have seen that once: its disk has its old image (G6). Left
# alone the refresh ends, and the disks are equal.
day_bypass() {
	local DISK_MIB=128 LOG_MIB=64 round writer events cut=''
	pair_new
	for round in 1 2 3 4 5 6 7 8; do
		write a 0x81 0 16M
		current_again a lyon
		await 20 is_home b lyon || fail "b does not bring all home: $(field b lyon marks)"
		run disconnect a lyon
		kill_daemon b
		cp --sparse=always "$DIR/db.b" "$DIR/before"
		rm -f "$DIR/enough"
		keep_writing &
		writer=$!
		for _ in 1 2 3 4 5; do write a $((0x90 + round)) 0 16M; done
		await 10 event_says a "rule=bypass" || fail "the map does not take over"
		run start b
		exec {events}< <(hamirror events data@b 2> /dev/null)
		event_comes "exists -" || fail "b tells no events"
		run connect a lyon
		event_comes "being refreshed; it keeps its last consistent image" ||
			fail "no refresh under a hold: $(hamirror why data@a)"
		kill_daemon b
		exec {events}<&-
		if holds; then
			cmp "$DIR/before" "$DIR/db.b" || fail "amid the refresh the image changed"
			cut=yes
			break
		fi
		# it had ended: writes may wait for b
		run start b
		touch "$DIR/enough"
		wait $writer || fail "the writer"
	done
	[ -n "$cut" ] || fail "no refresh was met amid its way"
	run start b
	touch "$DIR/enough"
	wait $writer || fail "the writer"
	current_again a lyon
	alike
	rm "$DIR/before" "$DIR/enough"
}

run_days "${*:-copy_is_full copy_fails production_is_full bypass}"
