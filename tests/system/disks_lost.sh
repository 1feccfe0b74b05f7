#!/bin/bash
# disks_lost.sh - the devices of production's site fail for all of its hosts, and no node
# dies: first the writelog, then the disk. Pacemaker promotes the current copy each time, no
# acknowledged record is lost, and once the devices work again the site is a copy without an
# operator.
# `disks_lost.sh DEVICE...` runs only those named. They are loop devices on a FUSE file of
# nbdkit, which answers EIO on demand.
set -u
SYSTEM=$(dirname "$(readlink -f "$0")")
# shellcheck source-path=SCRIPTDIR source=drill disable=SC1091
. "$SYSTEM/drill"
INPUT=$SYSTEM # a few files

servers=() loops=() mounts=()

lost_end() {
	local status=$? path
	for path in ${loops[@]+"${loops[@]}"}; do losetup -d "$path"; done
	for path in ${mounts[@]+"${mounts[@]}"}; do umount -l "$path" 2> /dev/null; done
	[ ${#servers[@]} = 0 ] || kill -9 "${servers[@]}" 2> /dev/null
	(exit $status)
	lab_end
}

# /srv/site/data-$1 of paris, of $2 MiB, becomes a device that fails while $LAB/broken-$1
# exists.
fallible() {
	local raw=$LAB/raw-$1 mount=$LAB/mount-$1 loop
	truncate -s "$2M" "$raw" || fail "no room for $raw"
	mkdir "$mount"
	nbdkit -f -U "$raw.socket" --filter=error file "$raw" error=EIO error-rate=100% \
		error-file="$LAB/broken-$1" > "$raw.nbdkit" 2>&1 &
	servers+=($!)
	disown
	await 10 test -S "$raw.socket" || fail "nbdkit: $(cat "$raw.nbdkit")"
	nbdfuse "$mount/nbd" "nbd+unix:///?socket=$raw.socket" > "$raw.nbdfuse" 2>&1 &
	servers+=($!)
	disown
	mounts+=("$mount")
	await 10 test -e "$mount/nbd" || skip "FUSE does not work here: $(cat "$raw.nbdfuse")"
	loop=$(losetup -f --show "$mount/nbd") || skip "no loop device can be had"
	loops+=("$loop")
	ln -s "$loop" "$LAB/site/paris/data-$1"
}

# Production is at paris, and lyon is current.
at_paris() {
	if [ "$(site_of "$primary")" != paris ]; then
		await 120 is_current data paris || { show; fail "paris does not become current"; }
		said=$(node "$primary" hamirror switch data paris 2>&1) || fail "switch: $said"
		await 60 is_promoted_elsewhere data n3 n4 || { show; fail "not moved to paris"; }
		primary=$(promoted_node data)
	fi
	copy_is_ready
}

# Device $1 of paris fails for n1 and n2.
lose_device() {
	local moment
	at_paris
	step "the $1 of paris fails, for n1 and for n2"
	moment=$(date +%s.%N)
	touch "$LAB/broken-$1"
	await 60 is_promoted_elsewhere data n1 n2 || { show; fail "lyon does not take over"; }
	await 60 writer_moved "$(date +%s.%N)" || { show; fail "the writer does not go on"; }
	primary=$(promoted_node data)
	step "$primary is promoted: an outage of $("$SYSTEM/writer" gap "$LAB/$NOTES" "$moment") s"
	verify "after the loss of the $1"
	await 60 why_names "$1" || { show; fail "why does not name the device: $said"; }
}

# Somebody at paris is told which device it is.
why_names() {
	said=$(for n in n1 n2; do node $n hamirror why data; done 2>&1)
	[[ $said == *"/srv/site/data-$1"* ]]
}

mend_device() {
	local name
	rm "$LAB/broken-$1"
	for name in n1 n2; do
		[ "$(cat "$LAB/bmc/$name.power")" = on ] || power_on "$name"
	done
	await 120 is_current data paris || { show; fail "paris does not become current"; }
	step "the $1 works again: paris is a current copy"
}

lab_needs
for tool in nbdkit losetup; do
	[ -n "$(command -v $tool)" ] || skip "$tool is not installed (tests/packages lists all)"
done
[ -w /dev/fuse ] || skip "no /dev/fuse here"
trap lost_end EXIT
trap 'exit 130' INT TERM HUP
lab_new
mkdir -p "$LAB/site/paris"
fallible db "$(disk_mib)"
fallible log 256
build_cluster
copy_input
[ $# -gt 0 ] || set -- log db
for device; do
	lose_device "$device"
	mend_device "$device"
done
verify "with paris back"
