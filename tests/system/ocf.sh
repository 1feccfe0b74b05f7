#!/bin/bash
# ocf.sh - the resource agent by hand in real nodes: each action in both roles with its
# exit code; then ocf-tester, and the agent's metadata as pcs and crmsh show it.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

AGENT=/usr/lib/ocf/resource.d/mirror/disk
SUCCESS=0 ERR_GENERIC=1 ERR_UNIMPLEMENTED=3 ERR_INSTALLED=5 ERR_CONFIGURED=6
NOT_RUNNING=7 RUNNING_PROMOTED=8 FAILED_PROMOTED=9
wrong=0

complain() { printf 'FAILED: %s\n' "$*"; wrong=$((wrong + 1)); }

# Run action $2 on node $1, with parameters $4..., as Pacemaker does; expect exit code $3.
# Its output goes to `said`.
agent() {
	local node=$1 action=$2 expected=$3 status; shift 3
	[ $# -gt 0 ] || set -- OCF_RESKEY_mirror=data
	said=$(node "$node" env OCF_ROOT=/usr/lib/ocf OCF_RA_VERSION_MAJOR=1 \
		OCF_RA_VERSION_MINOR=1 OCF_RESOURCE_INSTANCE=data OCF_RESOURCE_TYPE=disk \
		OCF_RESKEY_CRM_meta_timeout=30000 OCF_RESKEY_crm_feature_set=3.16.2 \
		"$@" "$AGENT" "$action" 2>&1)
	status=$?
	if [ $status = "$expected" ]; then
		say "$node: $action returns $status"
	else
		complain "$node: $action returned $status, not $expected: $said"
	fi
}

reason() {
	[[ $said == *ocf-exit-reason:*"$1"* ]] || complain "no reason with '$1' in: $said"
}

# Attribute $2 of node $1 as the cluster has it.
attribute() {
	node "$1" attrd_updater -Q -n "$2" -N "$1" 2> /dev/null | sed 's/.*value="//; s/"$//'
}

attribute_is() { [ "$(attribute "$1" "$2")" = "$3" ]; }

# Scores and attributes follow the mirror's events, not the actions.
expect_attribute() {
	await 5 attribute_is "$@" ||
		complain "$1: attribute $2 is not '$3' but '$(attribute "$1" "$2")'"
}

kill_daemon() {
	# shellcheck disable=SC2016
	node "$1" sh -c 'pid=$(cat /run/hamirror/data/pid) && kill -9 "$pid" &&
		while [ -d "/proc/$pid" ] && ! grep -qs "^State:.Z" "/proc/$pid/status"; do
			sleep 0.02
		done' || fail "no daemon to kill on $1"
}

# The cluster's commands take $SLOW seconds longer while /run/slow says so, and note the
# values that are pushed: laid over the nodes before they start.
lay_slow_commands() {
	local command
	mkdir -p "$LAB/tree/usr/sbin"
	for command in attrd_updater crm_attribute crm_resource; do
		cp -L "$(type -P $command)" "$LAB/tree/usr/sbin/$command.real"
		cat > "$LAB/tree/usr/sbin/$command" <<-END
		#!/bin/sh
		[ ! -e /run/slow ] || sleep \$(cat /run/slow)
		[ ! -e /run/refusing ] || { echo >> /run/refusing; exit 1; }
		case " \$* " in *" --fail "*) echo "\$*" >> /run/pushed ;; esac
		exec /usr/sbin/$command.real "\$@"
		END
		chmod 755 "$LAB/tree/usr/sbin/$command"
	done
}

nothing_is_pushed() {
	node "$1" test ! -e /run/pushed ||
		complain "$1: a failure was pushed: $(node "$1" cat /run/pushed)"
	node "$1" rm -f /run/pushed
}

# The score of node $1 in the cluster's configuration, which outlives its attribute daemon.
survivor() { node n5 crm_attribute -N "$1" -p data -l forever -G -q 2> /dev/null; }
survivor_is() { [ "$(survivor "$1")" = "$2" ]; }

test_parameters() {
	agent n1 validate-all $ERR_CONFIGURED OCF_RESKEY_mirror=
	reason "parameter mirror is missing"
	agent n1 validate-all $ERR_CONFIGURED OCF_RESKEY_mirror='../data'
	reason "letters, digits"
	agent n1 validate-all $ERR_INSTALLED OCF_RESKEY_mirror=none
	reason "none"
	mirror_yaml broken | sed 's/mode: sync/mode: often/' |
		node n1 sh -c 'cat > /etc/hamirror/broken.yaml'
	agent n1 validate-all $ERR_INSTALLED OCF_RESKEY_mirror=broken
	reason "mode"
	agent n1 start $ERR_INSTALLED OCF_RESKEY_mirror=broken
	reason "mode"
	mirror_yaml other | sed 's/, n2\]/]/' | node n2 sh -c 'cat > /etc/hamirror/other.yaml'
	agent n2 validate-all $ERR_INSTALLED OCF_RESKEY_mirror=other
	reason "neither a host nor a witness"
	agent n1 start $ERR_INSTALLED OCF_RESKEY_mirror=none
	agent n1 monitor $NOT_RUNNING OCF_RESKEY_mirror=none
	agent n1 validate-all $SUCCESS
	agent n1 fly $ERR_UNIMPLEMENTED
	agent n1 usage $SUCCESS
}

test_stopped() {
	agent n1 monitor $NOT_RUNNING
	agent n1 demote $SUCCESS
	agent n1 notify $SUCCESS
	agent n1 stop $SUCCESS
}

test_unpromoted() {
	agent n1 start $SUCCESS
	agent n1 start $SUCCESS
	agent n1 monitor $SUCCESS
	agent n1 demote $SUCCESS
	agent n1 notify $SUCCESS
	[ -n "$(attribute n1 master-data)" ] || complain "n1 has no promotion score"
	expect_attribute n1 hamirror-data-state Consistent   # nothing is production yet
}

test_promoted() {
	agent n1 promote $SUCCESS
	agent n1 monitor $RUNNING_PROMOTED
	# shellcheck disable=SC2016 # only a process that may lower it can be asked for it
	node n1 sh -c '(echo -1000 > /proc/self/oom_score_adj) 2> /dev/null || exit 0
		for p in /proc/[0-9]*; do
		case $(cat "$p/comm" 2> /dev/null) in hamirrord | nbdfuse)
			[ "$(cat "$p/oom_score_adj")" = -1000 ] || exit 1 ;; esac; done' ||
		complain "the daemon or a helper may be killed when memory is short"
	agent n1 promote $SUCCESS
	agent n1 notify $SUCCESS
	node n1 test -b /dev/hamirror/data/db || complain "no device while promoted"
	expect_attribute n1 master-data 10000
	expect_attribute n1 hamirror-data-state UpToDate
	agent n1 demote $SUCCESS
	agent n1 monitor $SUCCESS
	agent n1 demote $SUCCESS
	node n1 test -e /dev/hamirror/data/db && complain "the device outlived the demote"
	agent n1 promote $SUCCESS
	agent n1 stop $SUCCESS
	agent n1 monitor $NOT_RUNNING
	expect_attribute n1 master-data ""
	expect_attribute n1 hamirror-data-state ""
}

# A value that the cluster refuses for a while is published again, without an event or a
# monitor.
test_refusing_cluster() {
	agent n1 start $SUCCESS
	node n1 touch /run/refusing
	agent n1 promote $SUCCESS
	await 60 is_asked_again || fail "n1: a refused value is not published again"
	node n1 rm /run/refusing
	await 60 attribute_is n1 master-data 10000 || complain "n1: no score of production"
	agent n1 stop $SUCCESS
}

# Many more times than there are events of a promotion.
is_asked_again() { [ "$(node n1 sh -c 'wc -l < /run/refusing')" -gt 60 ]; }

# A slow publication delays no judgement, and an answer from before a promotion judges
# nothing after it.
test_slow_cluster() {
	agent n1 start $SUCCESS
	node n1 sh -c 'echo 2 > /run/slow'
	agent n1 promote $SUCCESS
	agent n1 demote $SUCCESS
	agent n1 promote $SUCCESS
	await 120 attribute_is n1 master-data 10000 || complain "n1: no score of production"
	node n1 rm /run/slow
	agent n1 monitor $RUNNING_PROMOTED
	nothing_is_pushed n1
	agent n1 demote $SUCCESS
	expect_attribute n1 master-data 9900
	agent n1 stop $SUCCESS
	nothing_is_pushed n1
}

kill_attribute_daemon() {
	# shellcheck disable=SC2016
	node "$1" sh -c 'for p in /proc/[0-9]*; do
		[ "$(cat "$p/comm" 2> /dev/null)" != pacemaker-attrd ] || kill -9 "${p#/proc/}"
	done'
}

# The cluster forgets the values when a daemon of its own dies.
test_forgetful_cluster() {
	agent n1 start $SUCCESS
	agent n1 promote $SUCCESS
	await 10 survivor_is n1 9950 || complain "nothing of n1 survives: '$(survivor n1)'"
	kill_attribute_daemon n1
	await 10 attribute_is n1 master-data "" || complain "the cluster forgot nothing"
	survivor_is n1 9950 || complain "n1's score did not survive"
	agent n1 monitor $RUNNING_PROMOTED
	expect_attribute n1 master-data 10000
	expect_attribute n1 hamirror-data-state UpToDate
	agent n1 demote $SUCCESS
	await 10 survivor_is n1 "" || complain "n1 is demoted, its score survives: $(survivor n1)"
	agent n1 promote $SUCCESS
	await 10 survivor_is n1 9950 || complain "nothing of n1 survives"
	agent n1 stop $SUCCESS
	survivor_is n1 "" || complain "n1 is stopped, its score survives: $(survivor n1)"
	nothing_is_pushed n1
}

# A promotion that takes too long has ended when the agent says so: nothing becomes
# production behind Pacemaker's back.
test_promotion_takes_too_long() {
	# shellcheck disable=SC2016
	node n1 sh -c 'exec 9<> /srv/site/data-log; flock 9; echo $$ > /run/holder
		exec sleep 60' &
	await 10 log_is_held || fail "the log was not locked"
	agent n1 start $SUCCESS
	agent n1 promote $ERR_GENERIC OCF_RESKEY_mirror=data \
		OCF_RESKEY_CRM_meta_timeout=3000
	reason "called off"
	agent n1 monitor $SUCCESS
	# shellcheck disable=SC2016
	node n1 sh -c 'kill $(cat /run/holder)'
	await 20 is_open || fail "n1 does not open its devices"
	agent n1 monitor $SUCCESS
	agent n1 stop $SUCCESS
}
log_is_held() { node n1 test -s /run/holder && ! node n1 flock -n /srv/site/data-log true; }
is_open() { attribute_is n1 hamirror-data-state Consistent; }

test_killed() {
	agent n1 start $SUCCESS
	kill_daemon n1
	agent n1 monitor $NOT_RUNNING
	agent n1 start $SUCCESS
	agent n1 promote $SUCCESS
	kill_daemon n1
	agent n1 monitor $FAILED_PROMOTED
	reason "died while it was promoted"
	agent n1 demote $SUCCESS
	agent n1 stop $SUCCESS
	agent n1 monitor $NOT_RUNNING
	agent n1 start $SUCCESS
	agent n1 promote $SUCCESS
	agent n1 monitor $RUNNING_PROMOTED
	agent n1 stop $SUCCESS
}

# Readers of events have every place that they may, then the run directory is removed: the
# agent is heard, and none takes the daemon for dead. One that hears nothing is ended.
test_cannot_be_asked() {
	local pid
	agent n1 start $SUCCESS
	agent n1 promote $SUCCESS
	# shellcheck disable=SC2016
	node n1 sh -c 'for i in $(seq 45); do
		hamirror events data > /dev/null 2>> /run/readers & done; wait' &
	await 20 readers_are_refused || fail "no reader is refused"
	agent n1 monitor $RUNNING_PROMOTED
	agent n1 demote $SUCCESS
	agent n1 promote $SUCCESS
	pid=$(node n1 cat /run/hamirror/data/pid)
	node n1 rm -rf /run/hamirror/data 2> /dev/null
	agent n1 monitor $RUNNING_PROMOTED
	agent n1 start $SUCCESS
	[ "$(node n1 cat /run/hamirror/data/pid)" = "$pid" ] || complain "not the same daemon"
	node n1 kill -STOP "$pid"
	agent n1 stop $SUCCESS
	node n1 test ! -e "/proc/$pid" || complain "the stopped daemon is left"
	agent n1 monitor $NOT_RUNNING
}
readers_are_refused() { node n1 grep -q 'too many requests' /run/readers; }

# hamirror-watch comes with the daemon and goes with it; killed, it comes again by the monitor.
test_watcher() {
	local pid
	agent n1 start $SUCCESS
	await 20 has_figures || complain "no figures with the daemon"
	pid=$(watcher_pid)
	node n1 grep -zq HAMIRROR_FROM "/proc/$pid/environ" &&
		complain "the watcher asks as the cluster does"
	node n1 kill -9 "$pid"
	agent n1 monitor $SUCCESS
	await 20 has_figures_of_another "$pid" || complain "the watcher did not come again"
	agent n1 monitor $SUCCESS
	pid=$(watcher_pid)
	agent n1 stop $SUCCESS
	await 20 is_gone_from_n1 "$pid" || complain "the watcher outlives the daemon"
	# options that are no shell keep the watcher from running, and nothing else
	node n1 sh -c 'echo "OPTIONS=\"" > /etc/default/hamirror-watch-data'
	agent n1 start $SUCCESS
	agent n1 monitor $SUCCESS
	agent n1 stop $SUCCESS
	node n1 rm /etc/default/hamirror-watch-data
	agent n1 start $SUCCESS OCF_RESKEY_mirror=data OCF_RESKEY_watcher=false
	agent n1 monitor $SUCCESS OCF_RESKEY_mirror=data OCF_RESKEY_watcher=false
	node n1 flock -n /run/resource-agents/hamirror-data.watcher true ||
		complain "a watcher that was not asked for"
	agent n1 stop $SUCCESS
}
watcher_pid() { node n1 cat /run/resource-agents/hamirror-data.watcher.pid; }
is_gone_from_n1() { ! node n1 test -d "/proc/$1"; }
has_figures() {
	node n1 curl -sf --max-time 5 http://127.0.0.1:8790/metrics | grep -q '^hamirror_up'
}
has_figures_of_another() { [ "$(watcher_pid)" != "$1" ] && has_figures; }

test_witness() {
	agent n5 start $SUCCESS
	agent n5 monitor $SUCCESS
	expect_attribute n5 master-data ""
	agent n5 promote $ERR_GENERIC
	reason ""
	agent n5 monitor $SUCCESS
	agent n5 stop $SUCCESS
	agent n5 monitor $NOT_RUNNING
}

test_tools() {
	local output
	# DTD, permissions, and all actions once more as others understand them
	output=$(node n1 ocf-tester -n data -o mirror=data $AGENT 2>&1) ||
		complain "ocf-tester: $output"
	[[ $output == *"passed all tests"* ]] || complain "ocf-tester: $output"
	output=$(node n1 pcs resource describe ocf:mirror:disk 2>&1) ||
		complain "pcs resource describe: $output"
	[[ $output == *"mirror (required)"*"role=Promoted"* ]] || complain "pcs describes: $output"
	output=$(node n1 crm ra info ocf:mirror:disk 2>&1) || complain "crm ra info: $output"
	[[ $output == *"mirror* (string)"* ]] || complain "crm describes: $output"
	node n1 crm_resource --validate --class ocf --provider mirror --agent disk \
		--option mirror=data > /dev/null 2>&1 || complain "crm_resource --validate"
	say "ocf-tester, pcs, crmsh and crm_resource accept it"
}

# The agent pushes nothing while Pacemaker manages nothing; otherwise it reports commands by
# hand.
test_by_hand() {
	local promoted
	fencing_create > /dev/null 2>&1 # without, Pacemaker promotes nothing
	node n1 pcs resource create data ocf:mirror:disk mirror=data \
		promotable promoted-max=1 meta is-managed=false > /dev/null 2>&1 ||
		complain "pcs resource create"
	node n1 rm -f /run/pushed      # of the daemons that were killed
	agent n1 start $SUCCESS
	agent n1 promote $SUCCESS
	node n1 hamirror demote data > /dev/null || complain "demote by hand"
	expect_attribute n1 master-data 9900
	nothing_is_pushed n1
	agent n1 stop $SUCCESS
	node n1 crm_resource -r data-clone --meta -p is-managed -v true > /dev/null
	await 60 is_promoted_somewhere data || fail "Pacemaker promotes nothing"
	promoted=$(promoted_node data)
	await 20 attribute_is "$promoted" master-data 10000 || complain "$promoted has no score"
	node "$promoted" hamirror demote data > /dev/null || complain "demote by hand"
	await 10 node "$promoted" test -e /run/pushed ||
		complain "a demotion behind Pacemaker's back is not told"
}

lab_needs
trap lab_end EXIT
trap 'exit 130' INT TERM HUP
lab_new
lay_slow_commands
lab_start
mirror_create data 64 32
node n1 hamirror stop data || fail "hamirror stop"
test_parameters
test_stopped
test_unpromoted
test_promoted
test_refusing_cluster
test_slow_cluster
test_forgetful_cluster
test_promotion_takes_too_long
test_killed
test_cannot_be_asked
test_watcher
test_witness
test_tools
test_by_hand
[ $wrong = 0 ] || fail "$wrong complaints"
