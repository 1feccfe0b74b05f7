#!/bin/bash
# members.sh - five members on real Corosync, without Pacemaker: nobody fences, so all
# rests on votes, leases and the order of promotions. A client with several connections
# judges every acknowledged record after each break (nbd_records.c).
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"
export STACK=corosync

# ---- verbs --------------------------------------------------------------------------

# hamirror COMMAND data ... on node $2: must be refused (1), with the words $1.
refused() {
	local words=$1 on=$2 command=$3 status; shift 3
	said=$(node "$on" hamirror "$command" data "$@" 2>&1)
	status=$?
	[ $status = 1 ] || fail "$on: hamirror $command data $*: $status, not refused: $said"
	[[ $said == *$words* ]] || fail "$on: hamirror $command data $*: no '$words' in: $said"
}

# Is $2 in what `why` of node $1 says?
why_says() { node "$1" hamirror why data 2>&1 | grep -qF -- "$2"; }
await_why() {
	await 30 why_says "$1" "$2" || fail "$1: no '$2' in: $(node "$1" hamirror why data)"
}

# Field $3 of site $2 as node $1 sees it; of the status itself with $2 empty.
field() {
	node "$1" hamirror status data --json 2> /dev/null | python3 -c '
import json, sys
status = json.load(sys.stdin)
for part in [s for s in status["sites"] if s["name"] == sys.argv[1]] or [status]:
    print(part[sys.argv[2]])
' "$2" "$3" 2> /dev/null
}

current() { [ "$(field "$1" "$2" data) $(field "$1" "$2" current)" = "UpToDate True" ]; }
await_current() {
	await 60 current "$1" "$2" ||
		fail "$2 did not become current: $(node "$1" hamirror why data)"
}

# Promote node $1 as soon as it is no longer refused because another serves.
promote_after() {
	await 30 node "$1" sh -c 'hamirror promote data --wait 30 > /run/said 2>&1' ||
		fail "$1 is not promoted: $(node "$1" cat /run/said)"
}

signal() { node "$1" sh -c "kill -$2 \$(cat /run/hamirror/data/pid)"; }

# Does node $1 answer a client?
serves() { qemu-io -f raw -r -c "read 0 4k" "$(uri_of "$1")" > "$LAB/qemu-io" 2>&1; }

socket_of() { read -r pid _ < "$LAB/$1/pid"; echo "/proc/$pid/root/run/hamirror/data/nbd"; }
uri_of() { echo "nbd+unix:///db?socket=$(socket_of "$1")"; }

# ---- the client ---------------------------------------------------------------------

acknowledged() { sed -n 's/^acknowledged \([0-9]*\) .*/\1/p' "$LAB/progress" 2> /dev/null; }
has_written() { [ "$(acknowledged)" -ge "$1" ]; }

client_alive() {
	kill -0 "$client" 2> /dev/null ||
		fail "the client found a loss: $(cat "$LAB/client")"
}

# At least $1 more records are acknowledged.
writes() {
	local target=$(($(acknowledged) + $1))
	await 60 has_written $target || { client_alive; fail "writes do not go on"; }
	client_alive
}

is_out() { [ "$(field n3 paris current)" = False ]; }

client_begin() {
	"$BUILD/tests/system/nbd_records" "$LAB/progress" 7 "$(uri_of n1)" "$(uri_of n2)" \
		"$(uri_of n3)" "$(uri_of n4)" > "$LAB/client" 2>&1 &
	client=$!
	await 10 test -s "$LAB/progress" || fail "the client did not start"
	writes 200
}

client_end() {
	kill -TERM "$client"
	wait "$client" || fail "the client found a loss: $(cat "$LAB/client")"
	client=
}

# ---- confirm: home --------------------------------------------------------------------

promised() {
	node "$1" hamirror status data --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["promise"]["confirm"])'
}

# Has the disk of site $1 4 KiB of byte $2 at 1 MiB?
holds() {
	dd if="$LAB/site/$1/data-db" bs=4k skip=256 count=1 status=none |
		cmp -s - <(head -c 4096 /dev/zero | tr '\0' "\\$(printf '%03o' "$2")")
}

# ---- on-copy-loss: block --------------------------------------------------------------

is_frozen() { [ "$(field n1 "" frozen)" = True ]; }
is_answered() { ! kill -0 "$client" 2> /dev/null; }
stands_still() {
	"$TESTBED" partition n1,n2,n5 n3,n4
	await_why n1 'hamirror disconnect data lyon'
	await_why n5 "not current is lyon"
	qemu-io -f raw -c "write 1M 4k" "$(uri_of n1)" > "$LAB/held" 2>&1 &
	client=$!
	await 10 is_frozen || fail "the write does not wait: $(cat "$LAB/held")"
	for _ in 1 2 3; do serves n1 || fail "reads do not go on: $(cat "$LAB/qemu-io")"; done
	! is_answered || fail "the write was answered: $(cat "$LAB/held")"
}
goes_on() {
	await 60 is_answered || fail "the write still waits: $(node n1 hamirror why data)"
	wait "$client" || fail "the write failed: $(cat "$LAB/held")"
	client=
	! why_says n1 "Writes wait" || fail "n1 says: $(node n1 hamirror why data)"
}

# ---- the story ----------------------------------------------------------------------

lab_needs
[ -x "$BUILD/tests/system/nbd_records" ] ||
	make -s -C "$BUILD" tests/system/nbd_records || fail "no nbd_records in $BUILD"
client=
begin_lab() {
	trap members_end EXIT
	trap 'exit 130' INT TERM HUP
	lab_new
	lab_start
}
members_end() {
	local status=$?
	[ -z "$client" ] || kill -9 "$client" 2> /dev/null
	(exit $status)
	lab_end
}
begin_lab
mirror_create data 16 128 "attach: none"

# Everyone at once, copy's hosts before production's: mirroring starts by itself.
for n in n5 n4 n3 n2; do run $n start; done
refused "witness" n5 promote
run n1 promote --wait 30
await_current n1 lyon
client_begin
echo "ok: five members, lyon current, $(acknowledged) records"

refused "n1 serves" n3 promote --force
refused "n1 serves" n2 promote
refused "witness" n5 promote
echo "ok: no second production for any node that asks"

# A stopped production process: the node is alive, so the members notice only that no lease
# is renewed. Another is promoted; the old one answers nothing more when it wakes up.
signal n1 STOP
refused "n1 serves" n3 promote
promote_after n3
before=$(acknowledged)
[ "$(field n3 "" production)" != None ] || fail "n3 does not say that it serves"
signal n1 CONT
writes 200
[ "$(field n3 lyon role)" = production ] || fail "lyon is not production"
await_current n3 paris
echo "ok: production stopped at $before records, another promoted, it returned and is level"

# Cut off with the copy's site: the majority goes on, the minority loses its lease.
run n3 demote
run n1 promote --wait 60
await_current n1 lyon
writes 200
"$TESTBED" partition n3,n4,n5 n1,n2
promote_after n3
serves n3 || fail "n3 does not serve"
refused "no quorum" n2 promote
await_why n4 "Corosync has 3 of 5 votes, and needs 3"
"$TESTBED" heal
await_current n3 paris
! why_says n4 "Corosync has" || fail "n4 counts votes yet: $(node n4 hamirror why data)"
writes 200
echo "ok: production cut off, the majority's copy promoted, healed and level"

# The copy cut off: writes freeze until the view without it, then go on, tracked.
"$TESTBED" partition n3,n4,n5 n1,n2
await 30 is_out || fail "paris counts as current though cut off"
writes 200
"$TESTBED" heal
await_current n3 paris
echo "ok: copy cut off and back"

# Power off everything at once; nobody may serve before a majority is back.
client_end
for n in $NODES; do "$TESTBED" kill "$n"; done
"$TESTBED" boot n1
await 30 node n1 corosync-cmapctl -g runtime.votequorum.this_node_id > "$LAB/cmap" 2>&1 ||
	fail "corosync does not start on n1"
run n1 start
refused "" n1 promote --wait 3
for n in n2 n3 n4 n5; do "$TESTBED" boot "$n"; done
"$TESTBED" wait 5
for n in n2 n3 n4 n5; do run $n start; done
await 60 node n3 sh -c 'hamirror promote data --wait 30' || fail "nobody could be promoted"
serves n3 || fail "n3 does not serve"
await_current n3 paris
echo "ok: all power lost, a majority back, the last production serves again"

run n3 demote
for n in $NODES; do run $n stop; done
cmp "$LAB/site/paris/data-db" "$LAB/site/lyon/data-db" || fail "the disks differ"
echo "ok: stopped, the disks are equal"

# A host whose site has no writelog yet: it says so, and names the command that makes one.
truncate -s 0 "$LAB/site/lyon/data-log"
truncate -s 128M "$LAB/site/lyon/data-log"
for n in n1 n3 n5; do run $n start; done
await_why n3 'no writelog of this mirror yet'
await_why n3 'hamirror create data --copy-of HOST'
await_why n1 'hamirror create data --copy-of HOST'
refused 'hamirror create data --copy-of HOST' n3 promote --force
run n1 promote --wait 30
run n3 stop
run n3 create --copy-of n1
run n3 start
await_current n1 lyon
echo "ok: a site without a writelog was told of, made and filled"

# A host whose disk differs from that of its site's host may not take over.
node n2 sh -c 'truncate -s 8M /srv/small && mount --bind /srv/small /srv/site/data-db' ||
	fail "no other disk for n2"
run n2 start
await_why n2 'disk db has 8388608 bytes here and 16777216 on n1, the host: use the same device'
await_why n1 'n2: disk db has 8388608 bytes here and 16777216 on n1'
refused 'disk db has 8388608 bytes here' n2 promote
run n1 demote
run n1 stop
refused 'disk db has 8388608 bytes here' n2 promote --force
run n2 stop
node n2 umount /srv/site/data-db
run n2 start
promote_after n2
echo "ok: a host with another disk took over only once it had the right one"

for n in n2 n3 n5; do run $n stop; done
cmp "$LAB/site/paris/data-db" "$LAB/site/lyon/data-db" || fail "the disks differ"

# With on-copy-loss: block a write stands still while lyon is away, and reads go on. It is
# answered when lyon is current again, or when the operator puts lyon out.
for n in $NODES; do
	node "$n" sh -c 'echo "on-copy-loss: block" >> /etc/hamirror/data.yaml'
done
for n in n5 n4 n3 n2 n1; do run $n start; done
promote_after n1
await_current n1 lyon
[ "$(field n1 lyon required)" = True ] || fail "lyon is not required"
stands_still
"$TESTBED" heal
goes_on
current n1 lyon || fail "the write was answered without lyon"
stands_still
run n1 disconnect lyon
goes_on
"$TESTBED" heal
run n1 connect lyon
await_current n1 lyon
echo "ok: a write stood still for the copy, until it was back, and until it was put out"

# With confirm: home (M9) an answered write is on the disks of both sites at once.
run n1 mode sync --confirm home
[ "$(promised n1)" = home ] || fail "the members did not agree on confirm: home"
said=$(node n1 hamirror mode data near-sync --confirm home 2>&1) && fail "near-sync took it"
[[ $said == *'confirm goes with mode sync only'* ]] || fail "no reason in: $said"
for byte in $(seq 1 50); do
	qemu-io -f raw -c "write -P $byte 1M 4k" "$(uri_of n1)" > "$LAB/qemu-io" 2>&1 ||
		fail "no write: $(cat "$LAB/qemu-io")"
	for site in paris lyon; do
		holds "$site" "$byte" || fail "$site: write $byte is answered, and not home"
	done
done
echo "ok: each answered write was on both disks at once"
run n1 demote
for n in $NODES; do run $n stop; done
cmp "$LAB/site/paris/data-db" "$LAB/site/lyon/data-db" || fail "the disks differ"
