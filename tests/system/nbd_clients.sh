#!/bin/bash
# nbd_clients.sh - real NBD clients: nbdinfo, nbdcopy, qemu-io, qemu-img, fio.
#
#   nbd_clients.sh                 over disks of memory, then over a pair of hamirrord
#   nbd_clients.sh SOCKET [DISK]   over the server that listens there; it overwrites the disk
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

MIB=64
for tool in nbdinfo nbdcopy qemu-io qemu-img fio cmp; do
	[ -n "$(command -v $tool)" ] || skip "$tool is not installed (tests/packages lists all)"
done
fio --enghelp | grep -qw nbd || skip "this fio has no NBD engine"

# Under a path that needs no quoting in NBD URIs.
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hamirror-clients.XXXXXX") || exit 1
MEMORY_PID=

end() {
	local status=$? host
	trap - EXIT
	[ -z "$MEMORY_PID" ] || kill "$MEMORY_PID" 2> /dev/null
	for host in a b; do
		kill -9 "$(cat "$DIR/run/data@$host/pid" 2> /dev/null)" 2> /dev/null
	done
	if [ $status != 0 ] && [ $status != 77 ]; then
		tail -n 20 "$DIR"/log/* 2> /dev/null >&2
		echo "everything is in $DIR" >&2
	else
		rm -rf "$DIR"
	fi
	exit $status
}
trap end EXIT
trap 'exit 130' INT TERM HUP

# ---- the clients ----------------------------------------------------------------------

use() { SOCKET=$1 DISK=$2 URI="nbd+unix:///$2?socket=$1"; }

# Run a client, quietly; its output is shown when it fails.
client() {
	timeout 300 "$@" > "$DIR/said" 2>&1 || { cat "$DIR/said" >&2; fail "$*"; }
}

test_info() {
	local can
	client nbdinfo --list "nbd+unix:///?socket=$SOCKET"
	grep -q "^export=\"$DISK\":" "$DIR/said" || fail "$DISK is not listed"
	client nbdinfo "$URI"
	grep -q "structured packets" "$DIR/said" || fail "no structured replies"
	for can in df flush fua multi_conn trim zero; do
		grep -q "can_$can: true" "$DIR/said" || fail "not announced: $can"
	done
	grep -q "block_size_minimum: 1$" "$DIR/said" || fail "minimum block size"
	! timeout 20 nbdinfo "nbd+unix:///nosuch?socket=$SOCKET" > "$DIR/said" 2>&1 ||
		fail "an export that is not there was found"
	say "ok: nbdinfo"
}

# There and back, over several connections, with an odd end.
test_copy() {
	head -c $((40 * 1048576 + 777)) /dev/urandom > "$DIR/image"
	client nbdcopy "$DIR/image" "$URI"
	client nbdcopy --requests=8 "$URI" "$DIR/back"
	cmp -n "$(stat -c %s "$DIR/image")" "$DIR/image" "$DIR/back" || fail "nbdcopy: differs"
	[ "$(stat -c %s "$DIR/back")" = "$(nbdinfo --size "$URI")" ] || fail "size"
	say "ok: nbdcopy both ways"
}

# Any offset and length; clients that share a sector each keep their bytes.
test_unaligned() {
	client qemu-io -f raw \
		-c "write -P 0x11 0 64k" -c "write -P 0x22 100 5000" \
		-c "read -P 0x11 0 100" -c "read -P 0x22 100 5000" -c "read -P 0x11 5100 3000" \
		-c "write -P 0x33 511 2" -c "read -P 0x33 511 2" -c "read -P 0x22 510 1" \
		-c "write -z 1000 3000" -c "read -P 0 1000 3000" -c "read -P 0x22 4000 1100" \
		-c "write -z -u 10k 3k" -c "read -P 0 10k 3k" \
		-c "discard 20k 1000" -c "read -P 0 20k 512" -c "read -P 0x11 21480 100" \
		-c "write -f -P 0x44 7777 1" -c "read -P 0x44 7777 1" -c flush "$URI"
	! grep -q "Pattern verification failed" "$DIR/said" || { cat "$DIR/said"; fail "qemu-io"; }
	say "ok: qemu-io, unaligned"
}

test_large() {
	client qemu-io -f raw -c "write -P 0x55 1 32M" -c "read -P 0x55 1 32M" \
		-c "write -P 0x66 100k 8M" -c "aio_write -P 0x77 20M 4M" -c "aio_read 0 16M" \
		-c "aio_write -P 0x88 24M 4M" -c "aio_flush" -c "read -P 0x77 20M 4M" \
		-c "read -P 0x88 24M 4M" -c "read -P 0x66 100k 8M" "$URI"
	! grep -q "Pattern verification failed" "$DIR/said" || { cat "$DIR/said"; fail "qemu-io"; }
	say "ok: qemu-io, 32 MiB"
}

test_convert() {
	truncate -s "$(nbdinfo --size "$URI")" "$DIR/image"
	client qemu-img convert -n -f raw -O raw "$DIR/image" "$URI"
	client qemu-img compare -f raw -F raw "$DIR/image" "$URI"
	say "ok: qemu-img"
}

# Several connections, each over its own part, many requests in flight, checked.
test_verify() {
	client fio --name=verify --ioengine=nbd --uri="$URI" --rw=randrw --blockalign=512 \
		--bsrange=512-256k --iodepth=16 --numjobs=4 --size=$((MIB / 4))M \
		--offset_increment=$((MIB / 4))M --fsync=64 --verify=crc32c --verify_fatal=1 \
		--verify_state_save=0 --do_verify=1 --group_reporting
	say "ok: fio, four connections, verified"
}

# A client that is killed in the middle is nobody else's problem.
test_killed_client() {
	local pid
	fio --name=victim --ioengine=nbd --uri="$URI" --rw=randrw --bs=64k --iodepth=32 \
		--size=${MIB}M --time_based --runtime=60 --thread > "$DIR/victim" 2>&1 &
	pid=$!
	sleep 1
	kill -9 "$pid"
	wait "$pid" 2> /dev/null
	client qemu-io -f raw -c "write -P 0x99 0 1M" -c "read -P 0x99 0 1M" "$URI"
	say "ok: a client killed"
}

all_clients() {
	test_info
	test_copy
	test_unaligned
	test_large
	test_convert
	test_verify
	test_killed_client
}

# ---- the servers --------------------------------------------------------------------------

over_memory() {
	local server=$BUILD/tests/system/nbd_memory
	[ -x "$server" ] || fail "no $server: make check builds it"
	mkfifo "$DIR/end"
	"$server" "$DIR/nbd" $MIB < "$DIR/end" > "$DIR/counters" &
	MEMORY_PID=$!
	exec 9> "$DIR/end"
	await 10 [ -S "$DIR/nbd" ] || fail "nbd_memory does not listen"
	say "over disks of memory"
	use "$DIR/nbd" db
	all_clients
	exec 9>&-
	wait $MEMORY_PID || fail "nbd_memory: $?"
	MEMORY_PID=
	cat "$DIR/counters"
}

run() { hamirror "$@" > "$DIR/said" 2>&1 || { cat "$DIR/said" >&2; fail "hamirror $*"; }; }
is_current() { hamirror status data@a --json 2> /dev/null | grep -q '"current": *true'; }

pair_up() {
	export HAMIRROR_CONFIG_DIR=$DIR/etc HAMIRROR_STATE_DIR=$DIR/state
	export HAMIRROR_RUN_DIR=$DIR/run HAMIRROR_LOG_DIR=$DIR/log HAMIRROR_DEV_DIR=$DIR/dev
	PATH=$(readlink -f "$BUILD"):$PATH
	mkdir -p "$DIR/etc"
	cat > "$DIR/etc/data.yaml" <<-END
	mirror: data
	cluster: none
	mode: sync
	attach: none
	sites:
	  - {name: paris, hosts: [a], writelog: $DIR/log.a, disks: [{name: db, path: $DIR/db.a}]}
	  - {name: lyon, hosts: [b], writelog: $DIR/log.b, disks: [{name: db, path: $DIR/db.b}]}
	addresses: {a: "127.0.0.1:$(free_port)", b: "127.0.0.1:$(free_port)"}
	END
	truncate -s ${MIB}M "$DIR/db.a" "$DIR/db.b"
	truncate -s 64M "$DIR/log.a" "$DIR/log.b"
	run create data@a
	run start data@a
	run create data@b --copy-of a
	run start data@b
	run promote data@a
	await 20 is_current || fail "the copy does not become current: $(hamirror why data@a)"
}

over_pair() {
	[ -x "$BUILD/hamirrord" ] || fail "no hamirrord in $BUILD"
	pair_up
	say "over a pair without a cluster"
	use "$DIR/run/data@a/nbd" db
	all_clients
	nbdcopy "$URI" "$DIR/back" || fail "nbdcopy"
	run demote data@a
	run stop data@a
	run stop data@b
	cmp "$DIR/back" "$DIR/db.a" || fail "the disk differs from the data that clients saw"
	cmp "$DIR/db.a" "$DIR/db.b" || fail "the copy differs from production"
	say "ok: both disks hold the data that clients saw"
}

if [ $# -gt 0 ]; then
	use "$1" "${2:-}"
	all_clients
else
	over_memory
	over_pair
fi
