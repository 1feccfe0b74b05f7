#!/bin/bash
# disks.sh - disks that change places, are replaced, copied or moved while their site is
# down: a disk with other content is refused by name, and one with its own content is taken.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

DISKS="db wal"

# Write byte $3 to all of the first MiB of disk $2, through host $1.
fill() { write "$1" "$3" 0 1M "$2"; }

swap() {
	mv "$DIR/db.$1" "$DIR/x" && mv "$DIR/wal.$1" "$DIR/db.$1" &&
		mv "$DIR/x" "$DIR/wal.$1"
}

blank() { truncate -s 0 "$1" && truncate -s "${DISK_MIB}M" "$1"; }

pair_begin dd truncate
pair_new
[ "$(du -k "$DIR/db.b" | cut -f1)" -lt 1024 ] || fail "a first refresh fills holes at the copy"
[ "$(du -k "$DIR/db.a" | cut -f1)" -lt 1024 ] || fail "a first refresh fills holes"
fill a db 0x11
fill a wal 0x22
current_again a lyon

# Two that are equal change places, at the copy and at production.
for host in b a; do
	run stop $host
	swap $host
	refused "disk db ($DIR/db.$host) is not what it was: this device was disk wal" \
		start $host
	refused "\`hamirror accept data@$host db\`" start $host
	swap $host
	run start $host
done
run promote a
current_again a lyon
reads a 0x11 0 1M db || fail "db reads other data: $(cat "$DIR/qemu-io")"
reads a 0x22 0 1M wal || fail "wal reads other data: $(cat "$DIR/qemu-io")"

# A copy of a file is the same disk, and so is a file by another path. Known by its blocks:
# by those at home, which no start brings there again.
await 20 is_home b lyon || fail "b does not bring all home: $(field b lyon marks)"
run stop b
cp --sparse=always "$DIR/db.b" "$DIR/x" && mv "$DIR/x" "$DIR/db.b"
mv "$DIR/wal.b" "$DIR/elsewhere" && ln -s elsewhere "$DIR/wal.b"
[[ $(hamirror scan data@b) == *"disk     db: "*"; file:"*", known by "*" blocks"* ]] ||
	fail "scan does not say how db is known: $(hamirror scan data@b)"
run start b
current_again a lyon
event_says b rule=disk-moved || fail "no event says that db is another file"
await 20 is_home b lyon || fail "b does not bring all home: $(field b lyon marks)"
run stop b
mv "$DIR/elsewhere" "$DIR/wal.b"

# One is blank: it is refused, and refreshed once it is accepted. An open one cannot be
# accepted.
blank "$DIR/db.b"
refused "blocks that were brought home are not there" start b
refused "has no disk \"dbb\"" accept b dbb
refused "$DIR/log.a" accept a db
run accept b db --blank
run start b
current_again a lyon

# The same at production: it is not promoted, the other site is, and mends it.
await 20 is_home a paris || fail "a does not bring all home"
run demote a
run stop a
blank "$DIR/wal.a"
refused "disk wal ($DIR/wal.a) is not what it was" start a
run accept a wal --blank
run start a
refused "can send by a refresh only" promote a
run promote b
current_again b paris
reads b 0x22 0 1M wal || fail "wal was lost"
await 20 is_home a paris || fail "a does not bring all home"
run demote b
alike

# A disk that an operator accepts is taken.
dd if=/dev/zero of="$DIR/db.a" bs=4096 count=1 seek=3 conv=notrunc status=none
cp "$DIR/db.a" "$DIR/x" && mv "$DIR/x" "$DIR/db.a"
dd if=/dev/urandom of="$DIR/db.a" bs=1M count=16 conv=notrunc status=none
refused "blocks that were brought home are not there" start a
run accept a db
run start a
