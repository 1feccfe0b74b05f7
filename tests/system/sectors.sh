#!/bin/bash
# sectors.sh - disks whose sectors are larger than 512 bytes at one site: the device has
# the larger ones, at both sites.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

LOOP=

ATTACH=fuse COPY_TIMEOUT=20000

pair_devices() {
	truncate -s "${DISK_MIB}M" "$DIR/db.b"
	truncate -s "${LOG_MIB}M" "$DIR/log.a" "$DIR/log.b"
	ln -s "$LOOP" "$DIR/db.a"
}

pair_cleanup() { [ -z "$LOOP" ] || losetup -d "$LOOP"; }

sectors_are() {
	[ "$(blockdev --getss "$DIR/dev/data/db")" = "$1" ] ||
		fail "the device of $2 has sectors of $(blockdev --getss "$DIR/dev/data/db")"
}

# A file system and a file on it, by the device that stands.
fill() {
	dd if=/dev/urandom of="$DIR/dev/data/db" bs=4k count=100 seek=17 oflag=direct \
		status=none || fail "the device takes no write of whole sectors"
	! dd if=/dev/zero of="$DIR/dev/data/db" bs=512 count=1 oflag=direct status=none \
		2> /dev/null || fail "the device takes a part of a sector"
}

pair_begin losetup blockdev dd nbdfuse
[ "$(id -u)" = 0 ] || skip "devices need root"
[ -w /dev/fuse ] || skip "no /dev/fuse here"
truncate -s "${DISK_MIB}M" "$DIR/under.a"
LOOP=$(losetup --find --show --sector-size 4096 "$DIR/under.a") ||
	skip "no loop device with sectors of 4096 bytes"
pair_new
sectors_are 4096 paris
fill
qemu-io -f raw -c "write -P 7 512 512" "$(uri a)" > "$DIR/out" 2>&1 ||
	fail "an NBD client: $(cat "$DIR/out")"
run demote a
run promote b
sectors_are 4096 lyon
fill
await 20 is_level b paris || fail "not level: $(hamirror why data@b)"
run demote b
await 20 cmp -s "$DIR/under.a" "$DIR/db.b" || fail "the disks differ"
stop_all
cmp "$DIR/under.a" "$DIR/db.b" || fail "the disks differ"
say "ok: sectors of 4096 bytes, of a site that has them and of one that has not"
