# shellcheck shell=bash
# pair.sh - shared by the tests of a pair: two sites without a cluster, both on this
# machine, hosts a (paris) and b (lyon); to be sourced. $DIR holds everything.
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lab.sh"

DISK_MIB=${DISK_MIB:-16}
LOG_MIB=${LOG_MIB:-8}
DISKS=${DISKS:-db} # names
ATTACH=none COPY_TIMEOUT=2000 MEMORY=64M UNPROTECTED=allowed # as in a container

daemon_pid() { cat "$DIR/run/data@$1/pid" 2> /dev/null; }

# A new folder; its processes end with this test. $@: further commands needed.
pair_begin() {
	local tool
	for tool in qemu-io cmp python3 "$@"; do
		[ -n "$(command -v "$tool")" ] ||
			skip "$tool is not installed (tests/packages lists all)"
	done
	[ -x "$BUILD/hamirrord" ] || fail "no hamirrord in $BUILD"
	# Under a path that needs no quoting in NBD URIs.
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/hamirror-pair.XXXXXX") || exit 1
	trap pair_end EXIT
	trap 'exit 130' INT TERM HUP
	export HAMIRROR_CONFIG_DIR=$DIR/etc HAMIRROR_STATE_DIR=$DIR/state
	export HAMIRROR_RUN_DIR=$DIR/run HAMIRROR_LOG_DIR=$DIR/log HAMIRROR_DEV_DIR=$DIR/dev
	BUILD=$(readlink -f "$BUILD")
	PATH=$BUILD:$PATH
	mkdir -p "$DIR/etc"
	PORT_A=$(free_port) PORT_B=$(free_port)
	: "$PORT_A $PORT_B" # of pair_yaml and of the tests
}

# May be defined anew by a test that has more to clean up.
pair_cleanup() { :; }

pair_end() {
	local status=$? host pid
	trap - EXIT
	trap '' INT TERM HUP
	for host in a b; do
		pid=$(daemon_pid $host)
		[ -z "$pid" ] || kill -9 "$pid" 2> /dev/null
	done
	for pid in $(jobs -p); do kill -9 "$pid" 2> /dev/null; done
	wait 2> /dev/null
	pair_cleanup
	if [ $status != 0 ] && [ $status != 77 ]; then
		tail -n 40 "$DIR"/log/* >&2
		echo "everything is in $DIR" >&2
	else
		rm -rf "$DIR"
	fi
	exit $status
}

# Host $1's part of the configuration.
pair_site() {
	local disk list=''
	for disk in $DISKS; do list="$list, {name: $disk, path: $DIR/$disk.$1}"; done
	cat <<-END
	    hosts: [$1]
	    writelog: $DIR/log.$1
	    disks: [${list#, }]
	END
}

# The configuration to stdout; $1: lines added at the top level.
pair_yaml() {
	cat <<-END
	mirror: data
	cluster: none
	mode: sync
	attach: $ATTACH
	unprotected: $UNPROTECTED
	memory: $MEMORY
	frozen-timeout: 5000
	copy-timeout: $COPY_TIMEOUT
	sites:
	  - name: paris
	$(pair_site a)
	  - name: lyon
	$(pair_site b)
	addresses: {a: "127.0.0.1:$PORT_A", b: "127.0.0.1:$PORT_B"}
	${1:-}
	END
}

pair_devices() {
	local disk
	rm -f "$DIR"/log.?
	for disk in $DISKS; do
		rm -f "$DIR/$disk".?
		truncate -s "${DISK_MIB}M" "$DIR/$disk.a" "$DIR/$disk.b"
	done
	truncate -s "${LOG_MIB}M" "$DIR/log.a" "$DIR/log.b"
}

# Remove all that an earlier pair left but its devices.
pair_clean() { rm -rf "$DIR/state" "$DIR/run" "$DIR/log" "$DIR/progress"; }

# A pair that is made, a promoted and b current.
pair_new() {
	pair_clean
	pair_yaml "" > "$DIR/etc/data.yaml"
	pair_devices
	pair_up
}

# ... of the devices and the configuration that are there.
pair_up() {
	run create a
	run start a
	run create b --copy-of a
	run start b
	run promote a
	current_again a lyon
}

# ---- looks -----------------------------------------------------------------------------

# Has host $1 brought home, and flushed, all that its log of site $2 holds?
is_home() { field "$1" "$2" marks | grep -q "'logged': \([0-9]*\),.*'home': \1}"; }

# ---- verbs --------------------------------------------------------------------------

# hamirror COMMAND data@HOST ...: must succeed. Its output is in $said.
run() {
	local command=$1 host=$2 status; shift 2
	said=$(hamirror "$command" "data@$host" "$@" 2>&1)
	status=$?
	[ $status = 0 ] || fail "hamirror $command data@$host $*: $status: $said"
}

# ... must be refused (1), with the words $1.
refused() {
	local words=$1 command=$2 host=$3 status; shift 3
	said=$(hamirror "$command" "data@$host" "$@" 2>&1)
	status=$?
	[ $status = 1 ] || fail "hamirror $command data@$host $*: $status, not refused: $said"
	[[ $said == *$words* ]] || fail "hamirror $command data@$host $*: no '$words' in: $said"
}

# Is $2 in the output of `why` at host $1?
why_says() { hamirror why "data@$1" 2>&1 | grep -qF -- "$2"; }
# ... and not: `why` answers, and says other things.
why_lacks() { said=$(hamirror why "data@$1" 2>&1) && [ -n "$said" ] && [[ $said != *"$2"* ]]; }
# Is $2 among the events of host $1?
event_says() { grep -qsF -- "$2" "$DIR/log/data@$1.log"; }

daemon_is_gone() {
	! [ -d "/proc/$1" ] || grep -qs "^State:.Z" "/proc/$1/status"
}

# SIGKILL to the daemon of $1, and all that it held is free.
kill_daemon() {
	local pid
	pid=$(daemon_pid "$1")
	kill -9 "$pid" || fail "no daemon to kill on $1"
	await 10 daemon_is_gone "$pid" || fail "the daemon of $1 does not end"
}

# The disk $2 (db) of host $1.
uri() { echo "nbd+unix:///${2:-db}?socket=$DIR/run/data@$1/nbd"; }

# Write pattern $2 over $4 from $3 on, as a client of host $1, and flush. $5: the disk.
write() {
	qemu-io -f raw -c "write -P $2 $3 $4" -c flush "$(uri "$1" "${5:-}")" \
		> "$DIR/qemu-io" 2>&1 || { cat "$DIR/qemu-io"; fail "write on $1"; }
}
reads() {
	qemu-io -f raw -r -c "read -P $2 $3 $4" "$(uri "$1" "${5:-}")" \
		> "$DIR/qemu-io" 2>&1 &&
		! grep -q "Pattern verification failed" "$DIR/qemu-io"
}

# Member $3 of site $2 as host $1 sees it; of the status itself with $2 empty.
field() {
	hamirror status "data@$1" --json 2> /dev/null | python3 -c '
import json, sys
status = json.load(sys.stdin)
for part in [s for s in status["sites"] if s["name"] == sys.argv[1]] or [status]:
    print(part[sys.argv[2]])
' "$2" "$3" 2> /dev/null
}

is_current() { [ "$(field "$1" "$2" current) $(field "$1" "$2" data)" = "True UpToDate" ]; }
is_level() { is_current "$1" "$2" && [ "$(field "$1" "$2" lag_bytes)" = 0 ]; }
is_frozen() { [ "$(field a '' frozen)" = True ]; }
serves() { [ "$(field "$1" '' serving)" = True ]; }
images_are_equal() { cmp -s "$DIR/db.a" "$DIR/db.b"; }

# Both sites report the same of every site, as far as each knows; otherwise the differences
# are printed.
agree() {
	local host status
	: > "$DIR/agree"
	for host in a b; do
		hamirror status data@$host --json > "$DIR/status.$host" 2>&1
		status=$?
		[ $status != 3 ] || return 0 # no daemon runs there
		[ $status = 0 ] || return 1
	done
	"$SYSTEM/agree" "$DIR/status.a" "$DIR/status.b" > "$DIR/agree"
}
agree_soon() { await 10 agree || fail "the sites contradict each other: $(cat "$DIR/agree")"; }

current_again() {
	await 30 is_level "$1" "$2" || fail "$2 did not become level: $(hamirror why "data@$1")"
	agree_soon
}

stop_all() {
	local host
	for host in a b; do
		[ -z "$(daemon_pid $host)" ] || run stop $host
	done
}
# End both, hard, in any state.
kill_all() {
	local host
	for host in a b; do
		[ -z "$(daemon_pid $host)" ] || kill_daemon $host
	done
}

# They agree, and so do their disks once all is home: records not home at a stop stay in the
# log.
alike() {
	local disk
	agree_soon
	for disk in $DISKS; do
		await 20 cmp -s "$DIR/$disk.a" "$DIR/$disk.b" || fail "the disks differ"
	done
	stop_all
	for disk in $DISKS; do
		cmp "$DIR/$disk.a" "$DIR/$disk.b" || fail "the disks differ"
	done
}

# ---- days ---------------------------------------------------------------------------

# A part of a day that cannot be had here.
lacking() { say "SKIP: $*"; }

# Each day of list $1: the function day_NAME.
run_days() {
	local day started
	for day in $1; do
		started=${EPOCHREALTIME/./}
		"day_$day"
		agree_soon
		kill_all
		printf 'ok: %-20s %5d ms\n' "$day" $(((${EPOCHREALTIME/./} - started) / 1000))
	done
}
