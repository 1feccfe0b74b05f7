#!/bin/bash
# examples.sh - the configurations of crm-examples/, applied as they are: each must
# bring the file system up where the mirror is promoted, follow a switch, and serve
# the data written before.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

EXAMPLES=$SYSTEM/../../crm-examples

started_on() { node "$1" crm_mon -1 | grep -Eq "$2[[:space:]].*Started $1\$"; }

# The example is up: promoted somewhere, the group there too. Sets `primary`.
expect_up() {
	await 90 is_promoted_somewhere data || fail "$1: nothing was promoted"
	primary=$(promoted_node data)
	await 90 started_on "$primary" address || fail "$1: the service did not start on $primary"
	node "$primary" sh -c 'mountpoint -q /srv/db && ip addr show eth0 | grep -q 192.0.2.10' ||
		fail "$1: mounts or address are missing on $primary"
	say "$1: up on $primary"
}

# A planned switch to another host: the data goes with it.
expect_switch() {
	local before=$primary mark=$1.$$
	node "$primary" sh -c "echo $mark > /srv/db/mark"
	node "$primary" pcs node standby "$before" > /dev/null 2>&1 || fail "pcs node standby"
	await 90 is_promoted_elsewhere data "$before" || fail "$1: $before was not left"
	expect_up "$1"
	[ "$(node "$primary" cat /srv/db/mark)" = "$mark" ] || fail "$1: the file is not there"
	node "$primary" pcs node unstandby "$before" > /dev/null 2>&1 || fail "pcs node unstandby"
}

# Stop the example's resources and restore the configuration from before it.
remove() {
	node n1 sh -e > "$LAB/remove.out" 2>&1 <<-END ||
	crm_resource --resource service --meta -p target-role -v Stopped
	crm_resource --resource data-clone --meta -p target-role -v Stopped
	crm_resource --wait --timeout 120
	cibadmin --replace --scope constraints --xml-text '<constraints/>'
	cibadmin --replace --scope resources --xml-file /root/resources.xml
	END
		{ cat "$LAB/remove.out"; fail "$1: not removed"; }
}

lab_begin
fencing_create > /dev/null 2>&1
mirror_create data 64 32 > /dev/null || fail "no mirror"
node n1 hamirror promote data || fail "hamirror promote"
node n1 mkfs.ext4 -q /dev/hamirror/data/db || fail "mkfs.ext4"
node n1 hamirror stop data || fail "hamirror stop"

node n1 sh -c 'cibadmin --query --scope resources > /root/resources.xml'
node n1 sh < "$EXAMPLES/two-sites.pcs" > "$LAB/pcs.out" 2>&1 ||
	{ cat "$LAB/pcs.out"; fail "two-sites.pcs"; }
expect_up pcs
expect_switch pcs
remove pcs

node n1 sh -c 'cat > /root/two-sites.crm' < "$EXAMPLES/two-sites.crm"
node n1 crm configure load update /root/two-sites.crm > "$LAB/crm.out" 2>&1 ||
	{ cat "$LAB/crm.out"; fail "two-sites.crm"; }
expect_up crm
expect_switch crm
