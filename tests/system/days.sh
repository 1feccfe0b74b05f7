#!/bin/bash
# days.sh - the bad days of a pair, one after the other. Each must end in a message that
# names the fault and the remedy, in the right exit status, and without any change that
# must not be. `days.sh DAY...` runs only the days named.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

vandal=$SYSTEM/vandal
loop=''
mounted=''
pair_begin nbdcopy sha256sum

pair_cleanup() {
	[ -z "$loop" ] || losetup -d "$loop"
	[ -z "$mounted" ] || umount "$mounted" 2> /dev/null || umount -l "$mounted"
}

# ---- verbs ----------------------------------------------------------------------------

sums() { sha256sum "$@" | sha256sum; }

# `$2...` must say $1 and exit with 1.
says() {
	local words=$1 status; shift
	said=$("$@" 2>&1)
	status=$?
	[ $status = 1 ] || fail "$*: $status, not refused: $said"
	[[ $said == *$words* ]] || fail "$*: no '$words' in: $said"
}

# Host $1 cannot open its devices, and the start says why. A device in use may become free:
# so the daemon runs, and `why` and a promotion name the reason.
does_not_open() {
	local host=$1 words=$2 before
	before=$(sums "$DIR/log.$host" "$DIR/db.$host")
	if hamirror start "data@$host" > "$DIR/start" 2>&1; then
		await 10 why_says "$host" "$words" ||
			fail "why does not say '$words': $(hamirror why "data@$host")"
		refused "$words" promote "$host"
		refused "$words" promote "$host" --force
		run stop "$host"
	else
		grep -qF -- "$words" "$DIR/start" || fail "no '$words' in: $(cat "$DIR/start")"
		await 10 test ! -e "$DIR/run/data@$host/pid" || fail "$host still runs"
	fi
	[ "$before" = "$(sums "$DIR/log.$host" "$DIR/db.$host")" ] ||
		fail "refused ($words), yet something changed"
}

# ---- days of the configuration ----------------------------------------------------------

# The configuration changed by sed script $1 is refused at line $2 (a pattern of the
# changed file; its number is checked) for key $3, with the words $4.
configuration_is_wrong() {
	local script=$1 at=$2 key=$3 words=$4 file=$DIR/etc/wrong.yaml line
	pair_yaml | sed "s/^mirror: data/mirror: wrong/; $script" > "$file"
	line=$(grep -n -- "$at" "$file" | tail -n 1 | cut -d : -f 1)
	[ -n "$line" ] || fail "no line '$at' in the test's own $file"
	says "$words" hamirror config check "$file"
	[[ $said == *"$file:$line:"[0-9]*": "*"$key"* ]] ||
		fail "no '$file:$line:COLUMN: ... $key' in: $said"
	says "$words" hamirror start wrong@a
	says "$words" hamirror create wrong@a
	says "$words" hamirrord wrong@a
}

day_configuration() {
	local before
	pair_devices
	before=$(sums "$DIR"/log.? "$DIR"/db.?)
	configuration_is_wrong '/^mode/d' '^mirror' mode 'is missing'
	configuration_is_wrong '/writelog.*log.b/d' 'name: lyon' writelog 'is missing'
	configuration_is_wrong 's/^mode: sync/&\nspeed: 9/' '^speed' speed 'is not a key here'
	configuration_is_wrong 's/^attach: none/&\nmode: sync/' '^mode: sync$' mode 'twice'
	configuration_is_wrong 's/^copy-timeout.*/copy-timeout: soon/' \
		'^copy-timeout' copy-timeout '"soon"'
	configuration_is_wrong 's/^mode: sync/mode: async\nnear-sync: {ms: 5}/' '^near-sync' \
		near-sync 'is the bound of mode near-sync'
	configuration_is_wrong 's/hosts: \[b\]/hosts: [a]/' 'hosts: \[a\]' \
		hosts \
		'"a" stands in paris already'
	configuration_is_wrong 's,db.b,db.a,' 'disks:.*db.a' disks "is a path of site paris"
	configuration_is_wrong "s,path: .*db.b},&\, {name: wal\, path: $DIR/db.b}," \
		'name: wal' disks 'the path of the disk in line'
	configuration_is_wrong 's/a: "127/z: "127/' '^addresses' addresses '"z"'
	pair_yaml | sed "s,^mirror: data,mirror: wrong," > "$DIR/etc/wrong.yaml"
	says "\"c\"" hamirror start wrong@c
	[ "$before" = "$(sums "$DIR"/log.? "$DIR"/db.?)" ] ||
		fail "a wrong configuration changed devices"
	[ ! -e "$DIR/state/wrong@a/voter.0" ] || fail "a wrong configuration left a voter file"
	rm "$DIR/etc/wrong.yaml"
}

# ---- days of the devices -----------------------------------------------------------------

day_disks() {
	local before
	pair_yaml > "$DIR/etc/data.yaml"
	pair_devices
	rm "$DIR/db.b"
	ln "$DIR/db.a" "$DIR/alias"
	sed -i "s,\(disks:.*db.a}\)\],\1\, {name: wal\, path: $DIR/alias}],
		s,\(disks:.*db.b}\)\],\1\, {name: wal\, path: $DIR/wal.b}]," "$DIR/etc/data.yaml"
	before=$(sums "$DIR/log.a" "$DIR/db.a")
	refused "is the same device as $DIR/db.a" create a
	[ "$before" = "$(sums "$DIR/log.a" "$DIR/db.a")" ] || fail "refused, yet changed"
	rm "$DIR/alias"

	# a counterpart that is smaller
	pair_yaml > "$DIR/etc/data.yaml"
	pair_devices
	truncate -s "$((DISK_MIB - 1))M" "$DIR/db.b"
	run create a
	run start a
	before=$(sums "$DIR/log.b" "$DIR/db.b")
	refused "db" create b --copy-of a
	[[ $said == *"disk 'db' has $((DISK_MIB << 20)) bytes at production"* ]] || fail "$said"
	[ "$before" = "$(sums "$DIR/log.b" "$DIR/db.b")" ] || fail "refused, yet changed"
	# ... and was not asked
	run create b --identity "$(field a '' id):$(field a '' lineage)"
	run start b
	run promote a
	await 20 why_says a "disk 'db' has $((DISK_MIB << 20)) bytes at production and only" ||
		fail "a does not say why: $(hamirror why data@a)"
	why_says a "use a device at least as large" || fail "no help: $(hamirror why data@a)"
	stop_all
	# ... or has shrunk since
	truncate -s "$((DISK_MIB - 2))M" "$DIR/db.b"
	does_not_open b "smaller than the $((DISK_MIB - 1 << 20)) of the mirror: use a device"

	# a file that another process holds
	truncate -s "${DISK_MIB}M" "$DIR/db.b"
	(flock 9 && exec sleep 60) 9<> "$DIR/db.a" &
	await 5 is_locked "$DIR/db.a" || fail "the file was not locked"
	does_not_open a "disk db: $DIR/db.a: in use by process"
	kill $!
	wait $! 2> /dev/null
	rm -rf "$DIR/state" "$DIR/run"
}
is_locked() { ! flock -n "$1" true; }

day_mounted() {
	if ! [ "$(id -u)" = 0 ] || ! command -v mkfs.ext4 > /dev/null; then
		lacking "a mounted disk needs root and mkfs.ext4"
		return
	fi
	pair_devices
	if ! loop=$(losetup --find --show "$DIR/db.a" 2> /dev/null); then
		loop=''
		lacking "a mounted disk needs a loop device"
		return
	fi
	pair_yaml | sed "s,path: $DIR/db.a,path: $loop," > "$DIR/etc/data.yaml"
	mkfs.ext4 -q -F "$loop" || fail "mkfs.ext4"
	mkdir -p "$DIR/mnt"
	mount "$loop" "$DIR/mnt" || fail "mount"
	mounted=$DIR/mnt
	before=$(sums "$DIR/log.a")
	refused "mounted on $DIR/mnt" create a
	[ "$before" = "$(sums "$DIR/log.a")" ] || fail "refused, yet changed"
	umount "$mounted"
	mounted=''
	run create a
	# and a file that a loop device stands on
	pair_yaml > "$DIR/etc/data.yaml"
	truncate -s 0 "$DIR/log.a"
	truncate -s "${LOG_MIB}M" "$DIR/log.a"
	rm -rf "$DIR/state" "$DIR/run"
	refused "$loop" create a
	losetup -d "$loop"
	loop=''
}

# ---- days of the writelog -----------------------------------------------------------------

# Position of the descriptor, that a scan of log $1 finds at $2 (tail or head).
position() { hamirror scan --log "$1" --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["ring"][sys.argv[1] + "_position"])' "$2"; }

restore() { cp --sparse=always "$DIR/saved.a" "$DIR/log.a"; }

day_writelog() {
	local tail head
	pair_new
	# these writes stay in the log: lyon lacks them
	run disconnect a
	write a 0x11 1M 2M
	refused "process $(daemon_pid a)" create a
	says "process $(daemon_pid a)" hamirrord data@a
	kill_all
	refused "voter.0" create a
	run start a
	refused "writelog of site lyon" create b --copy-of a
	kill_all
	cp --sparse=always "$DIR/log.a" "$DIR/saved.a"
	tail=$(position "$DIR/log.a" tail) head=$(position "$DIR/log.a" head)
	[ $((head - tail)) -gt 2000000 ] || fail "the log holds too little: $tail to $head"

	"$vandal" newer "$DIR/log.a"
	does_not_open a "newer version of hamirror"
	says "newer version of hamirror" hamirror scan --log "$DIR/log.a"
	restore
	"$vandal" tear "$DIR/log.a" 0 1
	does_not_open a "torn: its checksum is wrong"
	restore
	"$vandal" sector "$DIR/log.a" $(((tail + head) / 2 / 4096 * 4096))
	does_not_open a "damaged"
	says "DAMAGED" damage_of "$DIR/log.a"
	restore
	truncate -s "$((LOG_MIB - 1))M" "$DIR/log.a"
	does_not_open a "truncated"
	restore
	cp --sparse=always "$DIR/log.b" "$DIR/saved.b"
	cp --sparse=always "$DIR/saved.b" "$DIR/log.a"
	does_not_open a "lyon"
	restore
	dd if=/dev/zero of="$DIR/log.a" bs=128K count=1 conv=notrunc status=none
	does_not_open a "not a hamirror log; \`hamirror create data@a\` makes it one"
	restore
	(flock 9 && exec sleep 60) 9<> "$DIR/log.a" &
	await 5 is_locked "$DIR/log.a" || fail "the log was not locked"
	does_not_open a "writelog: $DIR/log.a: in use by process"
	kill $!
	wait $! 2> /dev/null
	other_mirrors_log

	# one torn superblock loses nothing, nor do bytes at the very end
	for slot in 0 1; do
		restore
		"$vandal" tear "$DIR/log.a" $slot
		opens_with_all
	done
	restore
	"$vandal" sector "$DIR/log.a" "$head"
	opens_with_all
	run start b
	run connect a
	current_again a lyon
	alike
}

# A scan exits with 0 even over damage; its output shows the damage.
damage_of() { hamirror scan --log "$1" 2>&1; return 1; }

opens_with_all() {
	[ -n "$(daemon_pid a)" ] || run start a
	run promote a
	reads a 0x11 1M 2M || fail "writes are gone"
	kill_daemon a
	run start a
	run promote a
}

other_mirrors_log() {
	mkdir "$DIR/elsewhere"
	pair_yaml | sed "s/^mirror: data/mirror: other/; s,$DIR/\(db\|log\),$DIR/elsewhere/\1," \
		> "$DIR/etc/other.yaml"
	truncate -s "${DISK_MIB}M" "$DIR/elsewhere/db.a"
	truncate -s "${LOG_MIB}M" "$DIR/elsewhere/log.a"
	hamirror create other@a > /dev/null || fail "create other@a"
	cp --sparse=always "$DIR/elsewhere/log.a" "$DIR/log.a"
	does_not_open a "other"
	rm -r "$DIR/elsewhere" "$DIR/etc/other.yaml" "$DIR/state/other@a"
}

# ---- days of the line -------------------------------------------------------------------------

day_peer() {
	pair_new
	write a 0x21 0 1M
	current_again a lyon
	run stop b
	# another configuration there, the same mirror
	mkdir -p "$DIR/etc2"
	pair_yaml "lease: 7777" > "$DIR/etc2/data.yaml"
	HAMIRROR_CONFIG_DIR=$DIR/etc2 run start b
	await 20 why_says a "has lease: default, that of lyon 7777" ||
		fail "a does not say why: $(hamirror why data@a)"
	why_says a "make them alike" || fail "no help: $(hamirror why data@a)"
	run stop b

	# another mirror of the same name
	mv "$DIR/log.b" "$DIR/log.b.kept"
	mv "$DIR/db.b" "$DIR/db.b.kept"
	truncate -s "${LOG_MIB}M" "$DIR/log.b"
	truncate -s "${DISK_MIB}M" "$DIR/db.b"
	run create b --identity \
		"$(cat /proc/sys/kernel/random/uuid):$(cat /proc/sys/kernel/random/uuid)"
	run start b
	await 20 why_says a "another mirror" || fail "a does not say why: $(hamirror why data@a)"
	run stop b
	mv "$DIR/log.b.kept" "$DIR/log.b"
	mv "$DIR/db.b.kept" "$DIR/db.b"
	run start b
	current_again a lyon
	alike
}

day_port() {
	pair_new
	run stop b
	python3 -c '
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
sys.stdin.read()' "$PORT_B" < <(sleep 60) > "$DIR/ready" &
	await 5 test -s "$DIR/ready" || fail "the port was not taken"
	if said=$(hamirror start data@b 2>&1); then
		await 10 why_says b "$PORT_B" ||
			fail "b does not say which port: $(hamirror why data@b)"
	else
		[[ $said == *"$PORT_B"*"in use"* ]] || fail "start b: $said"
	fi
	kill $!
	wait $! 2> /dev/null
	[ -z "$(daemon_pid b)" ] || run stop b
	run start b
	current_again a lyon
	alike
}

day_garbage() {
	local writer
	pair_new
	"$BUILD/tests/system/nbd_records" "$DIR/progress" 1 "$(uri a)" 2> "$DIR/writer.err" &
	writer=$!
	await 10 test -s "$DIR/progress" || fail "the client: $(cat "$DIR/writer.err")"
	# beside each half hello, which is held for seconds, writes are acknowledged
	"$vandal" line "$PORT_A" "$DIR/progress" &
	"$vandal" line "$PORT_B" "$DIR/progress" || fail "vandal line $PORT_B"
	wait $! || fail "vandal line $PORT_A"
	kill -0 $writer || fail "the client gave up: $(cat "$DIR/writer.err")"
	[ "$(field a lyon link)" = connected ] || fail "the link broke: $(hamirror why data@a)"
	kill -TERM $writer
	wait $writer || fail "the client: $(cat "$DIR/writer.err")"
	for host in a b; do
		event_says $host "longer than any may be" || fail "$host names no absurd length"
		event_says $host "no complete hello" || fail "$host names no half hello"
	done
	current_again a lyon
	alike
}

# ---- days of the operator -----------------------------------------------------------------------

day_promote() {
	local promotion
	pair_new
	# the other site hangs: a promotion that is called off does not happen later
	run demote a
	kill -STOP "$(daemon_pid b)"
	refused "not promoted in the time given" promote a --wait 1
	[ "$(field a '' promoting)" = False ] || fail "a still promotes"
	hamirror promote data@a > "$DIR/promote" 2>&1 &
	promotion=$!
	await 5 is_promoting a || fail "a does not promote"
	run demote a
	! wait $promotion || fail "promoted, though demoted: $(cat "$DIR/promote")"
	grep -q "called off by a demote" "$DIR/promote" || fail "$(cat "$DIR/promote")"
	kill -CONT "$(daemon_pid b)"
	run promote a
	current_again a lyon
	write a 0x31 0 1M
	refused "paris serves: \`hamirror demote data@a\` there first" promote b
	refused "--force does not override" promote b --force
	# a goes on alone, and is promoted again meanwhile: b is outdated
	run disconnect a lyon
	write a 0x32 1M 1M
	run demote a
	run promote a
	write a 0x34 4M 64k
	run demote a
	refused "outdated: paris was promoted since" promote b
	run stop a
	refused "may hold more than this site" promote b
	run start a
	run promote a
	run connect a lyon
	current_again a lyon
	reads a 0x32 1M 1M || fail "lost"
	# the same by force: the loss is named, both have written
	run disconnect a lyon
	write a 0x33 2M 1M
	kill_daemon a
	run promote b --force
	[[ $said == *"may hold more"* ]] || fail "the loss is not named: $said"
	write b 0x44 3M 1M
	run start a
	refused "" promote a
	kill_daemon b
	run promote a --force
	run start b
	run connect a lyon
	await 20 split_is_named || fail "no SplitBrain: $(hamirror why data@a)"
	before=$(sums "$DIR/db.b")
	run demote a
	refused "SplitBrain" promote b
	refused "SplitBrain" promote a
	[ "$before" = "$(sums "$DIR/db.b")" ] || fail "a split was merged"
	run promote a --force
	[[ $said == *"one side's writes since then are lost"* ]] || fail "no loss named: $said"
}
is_promoting() { [ "$(field "$1" '' promoting)" = True ]; }
split_is_named() { why_says a SplitBrain || why_says b SplitBrain; }

# ---- days of a stopped process -----------------------------------------------------------------

day_copy_hangs() {
	local pid writer
	pair_new
	pid=$(daemon_pid b)
	kill -STOP "$pid"
	qemu-io -f raw -c "write -P 0x51 0 64k" "$(uri a)" > "$DIR/frozen" 2>&1 &
	writer=$!
	await 10 is_frozen || fail "a does not freeze"
	kill -0 $writer || fail "a write was answered that the copy does not have"
	await 10 why_says a "hamirror disconnect" || fail "no help: $(hamirror why data@a)"
	run disconnect a lyon
	wait $writer || fail "the frozen write failed: $(cat "$DIR/frozen")"
	write a 0x52 1M 1M
	kill -CONT "$pid"
	run connect a lyon
	current_again a lyon
	alike
}

# Without members there is no lease: the operator's word stands for it. The old
# production holds no answer back from reads, but writes wait for the copy that has
# gone over to another generation: none is ever answered with success again.
day_production_hangs() {
	local pid writer
	pair_new
	write a 0x61 0 1M
	current_again a lyon
	pid=$(daemon_pid a)
	kill -STOP "$pid"
	qemu-io -f raw -c "write -P 0x62 1M 64k" "$(uri a)" > "$DIR/frozen" 2>&1 &
	writer=$!
	refused "answers, and does not say" promote b
	run promote b --force --wait 30
	[[ $said == *"may hold more"* ]] || fail "the loss is not named: $said"
	write b 0x63 2M 1M
	kill -CONT "$pid"
	await 10 is_frozen || fail "a does not freeze: $(hamirror why data@a)"
	await 10 why_says a "site lyon is production" || fail "a says only: $(hamirror why data@a)"
	run demote a
	wait $writer 2> /dev/null
	! grep -q "^wrote" "$DIR/frozen" || fail "the old production answered a write"
	# it cannot know that nobody was told of that write
	await 10 why_says a "--discard" || fail "a does not ask: $(hamirror why data@a)"
	run connect a lyon --discard
	current_again b paris
	reads b 0x61 0 1M || fail "writes that both had are gone"
	reads b 0x63 2M 1M || fail "writes of the new production are gone"
	alike
}

run_days "${*:-configuration disks mounted writelog peer port garbage promote copy_hangs
	production_hangs}"
