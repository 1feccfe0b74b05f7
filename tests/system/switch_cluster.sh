#!/bin/bash
# switch_cluster.sh - `hamirror switch` in a real cluster: by the members alone, where
# nothing manages the mirror, and by Pacemaker, where it does.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

serves() { [ "$(node "$1" hamirror status data --field serving)" = true ]; }
level() { [ "$(node "$1" hamirror status data --field "sites.$2.current")" = true ]; }
no_constraint() { ! node n5 cibadmin -Q -o constraints | grep -q cli-prefer; }

# `hamirror switch` on node $1 to site $2: done, with a stall in it. $3: it serves then.
moved() {
	await 60 level "$1" "$2" || fail "$2 is not current"
	said=$(node "$1" hamirror switch data "$2" 2>&1) || fail "switch on $1: $said"
	[[ $said =~ no\ write\ was\ answered\ for\ ([0-9]+)\ ms ]] || fail "no stall: $said"
	await 20 serves "$3" || fail "$3 does not serve: $said"
	say "ok: $1 to $3, no write was answered for ${BASH_REMATCH[1]} ms"
}

refused() {
	said=$(node "$1" hamirror switch data "$2" 2>&1) && fail "$1: not refused: $said"
	[[ $said == *"$3"* ]] || fail "$1: no '$3' in: $said"
}

test_members_alone() {
	local name
	node n3 hamirror start data || fail "start on n3"
	await 20 hosts_lyon || fail "n3 does not host lyon"
	for name in n2 n4 n5; do node $name hamirror start data || fail "start on $name"; done
	await 20 node n1 hamirror promote data > /dev/null || fail "promote on n1"
	moved n1 lyon n3
	refused n1 lyon "only production's host does that: n3"
	refused n3 rome "no site rome"
	moved n3 paris n1
	put_into_bypass
	"$TESTBED" partition n1,n2,n5 n3,n4
	await 20 not_linked || fail "lyon is linked still"
	refused n1 lyon "lyon is not linked"
	serves n1 || fail "n1 does not serve on"
	"$TESTBED" heal
	await 60 level n1 lyon || fail "lyon is not current again"
	for name in $NODES; do node "$name" hamirror stop data || fail "stop on $name"; done
	say "ok: by the members alone"
}
hosts_lyon() { [ "$(node n3 hamirror status data --field sites.lyon.host)" = n3 ]; }
not_linked() {
	[[ $(node n1 hamirror status data --field sites.lyon.link) =~ ^(down|connecting)$ ]]
}

# lyon in bypass is not promoted, on no host; it is level again when that ends.
put_into_bypass() {
	node n1 hamirror bypass data on lyon > /dev/null || fail "bypass on"
	refused n1 lyon "lyon is in bypass"
	node n4 hamirror why data | grep -q "bypass data off lyon" || fail "n4 does not say why"
	node n1 dd if=/dev/urandom of=/dev/hamirror/data/db bs=64k count=16 oflag=direct \
		2> /dev/null || fail "a write in bypass"
	node n1 hamirror demote data > /dev/null || fail "demote"
	said=$(node n3 hamirror promote data 2>&1) && fail "n3 is promoted: $said"
	[[ $said == *"lyon is in bypass"* ]] || fail "n3 does not say so: $said"
	node n1 hamirror promote data > /dev/null || fail "promote n1 again"
	node n1 hamirror bypass data off lyon > /dev/null || fail "bypass off"
	await 60 level n1 lyon || fail "lyon is not current again"
	moved n1 lyon n3
	moved n3 paris n1
	say "ok: a copy in bypass"
}

test_pacemaker() {
	local from to
	fencing_create > /dev/null 2>&1
	node n1 pcs resource create data ocf:mirror:disk mirror=data \
		promotable promoted-max=1 notify=true > /dev/null 2>&1 || fail "pcs"
	await 60 is_promoted_somewhere data || fail "nothing is promoted"
	for _ in 1 2; do
		from=$(promoted_node data)
		case $from in n1 | n2) to=lyon ;; *) to=paris ;; esac
		refused "$from" rome "no site rome"
		await 60 level "$from" $to || fail "$to is not current"
		said=$(node "$from" hamirror switch data $to 2>&1) || fail "switch: $said"
		[[ $said == *"$to is production: no write was answered"* ]] || fail "$said"
		await 30 is_promoted_elsewhere data "$from" || fail "Pacemaker did not move it"
		[ "$(site_of "$(promoted_node data)")" = $to ] || fail "not moved to $to"
		no_constraint || fail "a constraint is left"
		said=${said##*for }
		say "ok: Pacemaker moved $from to $to: $said"
	done
	! node n5 crm_mon -1 --output-as=xml | grep -q '<failure ' || fail "failures"
	say "ok: by Pacemaker"
}

lab_begin
mirror_create data 64 64
test_members_alone
test_pacemaker
