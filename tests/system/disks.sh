#!/bin/bash
# disks.sh - disks that change places, are replaced, copied or moved while their site is
# down: what is not what it was is refused by name, and what is, is taken.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_yaml() {
	cat <<-END
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
	    disks: [{name: db, path: $DIR/db.a}, {name: wal, path: $DIR/wal.a}]
	  - name: lyon
	    hosts: [b]
	    writelog: $DIR/log.b
	    disks: [{name: db, path: $DIR/db.b}, {name: wal, path: $DIR/wal.b}]
	addresses: {a: "127.0.0.1:$PORT_A", b: "127.0.0.1:$PORT_B"}
	END
}

pair_devices() {
	rm -f "$DIR"/db.? "$DIR"/wal.? "$DIR"/log.?
	truncate -s "${DISK_MIB}M" "$DIR"/{db,wal}.{a,b}
	truncate -s "${LOG_MIB}M" "$DIR"/log.{a,b}
}

# Write byte $3 to all of the first MiB of disk $2, through host $1.
fill() {
	qemu-io -f raw -c "write -P $3 0 1M" -c flush \
		"nbd+unix:///$2?socket=$DIR/run/data@$1/nbd" > "$DIR/out" 2>&1 ||
		fail "disk $2 of $1 takes no write: $(cat "$DIR/out")"
}

# Does disk $2 of host $1 begin with a MiB of byte $3?
holds() {
	qemu-io -f raw -r -c "read -P $3 0 1M" \
		"nbd+unix:///$2?socket=$DIR/run/data@$1/nbd" > "$DIR/out" 2>&1 &&
		! grep -q "Pattern verification failed" "$DIR/out"
}

swap() {
	mv "$DIR/db.$1" "$DIR/x" && mv "$DIR/wal.$1" "$DIR/db.$1" &&
		mv "$DIR/x" "$DIR/wal.$1"
}

blank() { truncate -s 0 "$1" && truncate -s "${DISK_MIB}M" "$1"; }

equal() { cmp "$DIR/db.a" "$DIR/db.b" && cmp "$DIR/wal.a" "$DIR/wal.b"; }

pair_begin dd truncate
pair_new
[ "$(du -k "$DIR/db.b" | cut -f1)" -lt 1024 ] || fail "a first refresh fills holes at the copy"
[ "$(du -k "$DIR/db.a" | cut -f1)" -lt 1024 ] || fail "a first refresh fills holes"
fill a db 0x11
fill a wal 0x22
await 20 is_level a lyon || fail "lyon is not level: $(hamirror why data@a)"

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
await 20 is_level a lyon || fail "lyon is not level again: $(hamirror why data@a)"
holds a db 0x11 || fail "db is not what was written: $(cat "$DIR/out")"
holds a wal 0x22 || fail "wal is not what was written: $(cat "$DIR/out")"

# A copy of a file is the same disk, and so is a file by another path.
run stop b
cp --sparse=always "$DIR/db.b" "$DIR/x" && mv "$DIR/x" "$DIR/db.b"
mv "$DIR/wal.b" "$DIR/elsewhere" && ln -s elsewhere "$DIR/wal.b"
[[ $(hamirror scan data@b) == *"disk     db: "*"; file:"*", known by "*" blocks"* ]] ||
	fail "scan does not say by what db is known: $(hamirror scan data@b)"
run start b
await 20 is_level a lyon || fail "lyon is not level: $(hamirror why data@a)"
event_says b rule=disk-moved || fail "no event says that db is another file"
run stop b
mv "$DIR/elsewhere" "$DIR/wal.b"

# One is blank: refused, and mended once that is said. What is open cannot be accepted.
blank "$DIR/db.b"
refused "blocks that were brought home are not there" start b
refused "has no disk \"dbb\"" accept b dbb
refused "$DIR/log.a" accept a db
run accept b db --blank
run start b
await 20 is_level a lyon || fail "lyon is not mended: $(hamirror why data@a)"

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
await 20 is_level b paris || fail "paris is not mended: $(hamirror why data@b)"
holds b wal 0x22 || fail "wal was lost"
await 20 is_home a paris || fail "a does not bring all home"
run demote b
run stop a
run stop b
equal || fail "the sites differ"

# What an operator accepts counts.
dd if=/dev/zero of="$DIR/db.a" bs=4096 count=1 seek=3 conv=notrunc status=none
cp "$DIR/db.a" "$DIR/x" && mv "$DIR/x" "$DIR/db.a"
dd if=/dev/urandom of="$DIR/db.a" bs=1M count=16 conv=notrunc status=none
refused "blocks that were brought home are not there" start a
run accept a db
run start a
