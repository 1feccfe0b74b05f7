# shellcheck shell=bash
# lab.sh - shared by the drill and the system tests; to be sourced.
#
# A lab of five nodes: sites paris (n1 n2) and lyon (n3 n4), witness n5, with the
# project installed as `make install` does it. The build directory is $BUILD.

SYSTEM=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
TESTBED=$SYSTEM/testbed
BUILD=${BUILD:-$(dirname "$(dirname "$SYSTEM")")/build}
NODES="n1 n2 n3 n4 n5"
export LAB

say() { printf '%s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'SKIP: %s\n' "$*"; exit 77; }
node() { "$TESTBED" exec "$@"; }

# A port that no other test has, until this one ends.
free_port() { "$SYSTEM/free_port" $$; }

# Wait until command $2... holds, which takes less than $1 seconds on a quiet machine. One
# that does ten other things has ten times as long: a test judges no time.
await() {
	local end=$((SECONDS + 10 * $1)); shift
	until "$@"; do
		[ $SECONDS -lt "$end" ] || return 1
		sleep 0.1
	done
}

lab_needs() {
	local tool
	[ -e "$BUILD/Makefile" ] || fail "no build in $BUILD: run ./try build, or set BUILD"
	[ "$(id -u)" = 0 ] || skip "namespaces need root"
	for tool in corosync pacemakerd pcs crm nbdfuse losetup nft fuser python3; do
		[ -n "$(command -v $tool)" ] || skip "$tool is not installed (tests/packages lists all)"
	done
}

# A lab of this process with the project laid over its nodes; not yet started.
lab_new() {
	"$TESTBED" sweep
	LAB=$("$TESTBED" new $$) || exit 1
	make -s -C "$BUILD" install DESTDIR="$LAB/tree" > "$LAB/install.log" 2>&1 ||
		{ cat "$LAB/install.log"; fail "make install in $BUILD"; }
}

lab_start() {
	"$TESTBED" start 5 paris=n1,n2 lyon=n3,n4 || fail "the nodes did not start"
}

# Five nodes out of nothing; they end with this process.
lab_begin() {
	lab_needs
	trap lab_end EXIT
	trap 'exit 130' INT TERM HUP
	lab_new
	lab_start
}

# Ends the lab. Remains of a failure that are worth reading go to $LOGS.
lab_end() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [ $status != 0 ] && [ $status != 77 ] && [ $status -lt 128 ] && [ -e "${LAB:-}/hub" ]; then
		LOGS=${LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/hamirror-logs.XXXXXX")}
		"$TESTBED" logs "$LOGS"
		echo "the nodes' logs are in $LOGS" >&2
	fi
	[ ! -d "${LAB:-}" ] || "$TESTBED" stop
	exit $status
}

# ---- the mirror -----------------------------------------------------------------

# The configuration of mirror $1 to stdout; $2: lines added at the top level.
mirror_yaml() {
	cat <<-END
	mirror: $1
	mode: sync
	unprotected: allowed # the nodes are containers
	sites:
	  - name: paris
	    hosts: [n1, n2]
	    writelog: /srv/site/$1-log
	    disks:
	      - {name: db, path: /srv/site/$1-db}
	  - name: lyon
	    hosts: [n3, n4]
	    writelog: /srv/site/$1-log
	    disks:
	      - {name: db, path: /srv/site/$1-db}
	witnesses: [n5]
	${2:-}
	END
}

# Make mirror $1 with a disk of $2 MiB and a log of $3 MiB on both sites, empty. A device
# that is there already stays.
mirror_create() {
	local site node
	for node in $NODES; do
		mirror_yaml "$1" "${4:-}" |
			node "$node" sh -c "mkdir -p /etc/hamirror; cat > /etc/hamirror/$1.yaml"
	done
	for site in paris lyon; do
		[ -b "$LAB/site/$site/$1-db" ] ||
			truncate -s "$2M" "$LAB/site/$site/$1-db" || fail "no room for a disk"
		[ -b "$LAB/site/$site/$1-log" ] ||
			truncate -s "$3M" "$LAB/site/$site/$1-log" || fail "no room for a log"
	done
	node n1 hamirror create "$1" || fail "hamirror create $1 on n1"
	# the copy's log takes the identity from the running daemon
	node n1 hamirror start "$1" || fail "hamirror start $1 on n1"
	node n3 hamirror create "$1" --copy-of n1 || fail "hamirror create $1 on n3"
}

# Fencing for all nodes. Off, not reboot: the scripts decide when a node returns.
fencing_create() {
	node n1 pcs stonith create fencing fence_testbed \
		pcmk_host_list="$NODES" || fail "pcs stonith create"
	node n1 pcs property set stonith-action=off || fail "pcs property set"
}

# hamirror COMMAND data ... on node $1: must succeed. Its output is in $said.
run() {
	local on=$1 command=$2; shift 2
	said=$(node "$on" hamirror "$command" data "$@" 2>&1) ||
		fail "$on: hamirror $command data $*: $said"
}

# ---- state -------------------------------------------------------------------------

# The first node that is up.
any_node() {
	local node
	for node in $NODES; do
		if [ "$(cat "$LAB/bmc/$node.power" 2> /dev/null)" = on ]; then
			echo "$node"
			return
		fi
	done
	return 1
}

# The node where resource $1 is promoted, as Pacemaker sees it; empty when none.
promoted_node() {
	node "$(any_node)" crm_mon -1 --output-as=xml 2> /dev/null | awk -v id="$1" '
		/<resource / { mine = $0 ~ " id=\"" id "[:\"]" && $0 ~ /role="(Promoted|Master)"/ }
		mine && /<node / { sub(/.* name="/, ""); sub(/".*/, ""); print; exit }'
}

is_promoted() { [ "$(promoted_node "$1")" = "$2" ]; }
is_promoted_somewhere() { [ -n "$(promoted_node "$1")" ]; }
is_promoted_elsewhere() {
	local now
	now=$(promoted_node "$1")
	[ -n "$now" ] && [[ " ${*:2} " != *" $now "* ]]
}

site_of() {
	case $1 in
	n1 | n2) echo paris ;;
	n3 | n4) echo lyon ;;
	*) return 1 ;;
	esac
}

other_site() { if [ "$1" = paris ]; then echo lyon; else echo paris; fi; }
hosts_of() { if [ "$1" = paris ]; then echo n1 n2; else echo n3 n4; fi; }

# Field $3 of site $2 in mirror $1, as its production host says.
site_field() {
	node "$(promoted_node "$1")" hamirror status "$1" --json 2> /dev/null | python3 -c '
import json, sys
status = json.load(sys.stdin)
print(*[site[sys.argv[2]] for site in status["sites"] if site["name"] == sys.argv[1]])
' "$2" "$3" 2> /dev/null
}

# Is site $2 a current copy of mirror $1, and has confirmed everything?
is_current() { [ "$(site_field "$1" "$2" data) $(site_field "$1" "$2" current)" = "UpToDate True" ]; }
