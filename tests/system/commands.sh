#!/bin/bash
# commands.sh - the commands that look at a mirror: a pair without a cluster on this machine,
# real daemons, real devices.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"
pair_begin losetup

LOOP=''
pair_cleanup() {
	[ ! -e /dev/mapper/hamirror-commands ] || dmsetup remove hamirror-commands
	[ -z "$LOOP" ] || losetup -d "$LOOP"
}

# ---- devinfo, hostinfo ------------------------------------------------------------------

# $1: arguments, $2: list of fields, $3: what they are
fields_are() {
	local seen
	# shellcheck disable=SC2086
	seen=$(hamirror $1 --field "$2" | tr '\n' ' ')
	[ "$seen" = "$3 " ] || fail "hamirror $1 --field $2: \"$seen\", not \"$3 \""
}

test_devinfo_of_a_mirror() {
	fields_are "devinfo data@a" \
		devices.writelog.kind,devices.db.sectors,devices.db.reachable,devices.db.owned \
		"file $((DISK_MIB * 2048)) true true"
	mv "$DIR/db.b" "$DIR/away"
	hamirror devinfo data@b --json > "$DIR/out" && fail "a missing disk is no error"
	grep -q '"reachable":false,"error":"db ([^"]*No such file' "$DIR/out" ||
		fail "the missing disk is not named: $(cat "$DIR/out")"
	mv "$DIR/away" "$DIR/db.b"
	say "ok: devinfo of a mirror"
}

test_devinfo_of_devices() {
	local whole=$DIR/whole sys
	truncate -s 8M "$whole"
	fields_are "devinfo $whole" devices.0.kind,devices.0.bytes,devices.0.sectors \
		"file 8388608 16384"
	# a table with one partition of 4096 sectors, from 2048 on
	printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0' |
		dd of="$whole" bs=1 seek=446 conv=notrunc status=none
	printf '\x55\xaa' | dd of="$whole" bs=1 seek=510 conv=notrunc status=none
	if ! LOOP=$(losetup -f --show -P "$whole" 2> /dev/null); then
		say "left out: no loop devices here"
		return
	fi
	fields_are "devinfo $LOOP" devices.0.kind,devices.0.sectors "loop 16384"
	sys=/sys/class/block/${LOOP#/dev/}p1/dev
	if [ -e "$sys" ]; then
		# where no udev makes the node
		[ -b "${LOOP}p1" ] ||
			mknod "${LOOP}p1" b "$(cut -d: -f1 "$sys")" "$(cut -d: -f2 "$sys")"
		fields_are "devinfo ${LOOP}p1" \
			devices.0.kind,devices.0.sectors,devices.0.logical_block \
			"partition 4096 512"
	else
		say "left out: this kernel finds no partitions"
	fi
	if echo "0 8192 linear $LOOP 0" | dmsetup create hamirror-commands \
		--uuid LVM-of-this-test 2> /dev/null; then
		fields_are "devinfo /dev/mapper/hamirror-commands" \
			devices.0.kind,devices.0.sectors,devices.0.identity \
			"lvm 8192 dm:LVM-of-this-test"
	else
		say "left out: no device mapper here"
	fi
	say "ok: devinfo of devices"
}

test_hostinfo() {
	fields_are "hostinfo data@a" \
		hosts.a.needs.0.reachable,hosts.a.needs.1.reachable,hosts.a.needs.2.reachable \
		"true true true"
	fields_are "hostinfo data@a b" hosts.b.site,hosts.b.needs.2.reachable "lyon true"
	fields_are "hostinfo data@a b" hosts.0.identity ""
	[ -n "$(hamirror hostinfo data@a --field hosts.a.identity.kernel)" ] ||
		fail "this host has no identity"
	fields_are "status data@a" \
		nodes.a.needs.0.reachable,nodes.a.needs.0.kind,nodes.b.needs.2.reachable \
		"true log true"
	run stop b
	fields_are "hostinfo data@a b" hosts.b.needs.2.reachable "false"
	hamirror hostinfo data@a | grep -q 'b does not answer at 127' ||
		fail "hostinfo does not say why"
	run start b
	hamirror hostinfo data@a c && fail "a host that there is not"
	say "ok: hostinfo"
}

pair_new
test_devinfo_of_a_mirror
test_devinfo_of_devices
test_hostinfo
