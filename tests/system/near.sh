#!/bin/bash
# near.sh - Pacemaker and a copy in async. With `--lag-bytes` the copy is near: when all hosts
# of production's site are lost, Pacemaker promotes it without a force, and what its log lacks
# of the acknowledged records is within the bound. Without the policy its score is withheld,
# nothing is promoted, and `why` names the command and the loss.
set -u
# shellcheck source-path=SCRIPTDIR source=drill disable=SC1091
. "$(dirname "$(readlink -f "$0")")/drill"

BOUND_MIB=16

noted() { wc -l < "$LAB/$NOTES"; }
has_noted() { [ "$(noted)" -ge "$1" ]; }
has_no_score() { ! has_score "$1"; }
daemon() { node "$1" pkill "-$2" -x hamirrord; }
# Counted: its data is level only in the moments when no write is under way.
is_near() { [ "$(site_field data "$1" current)" = True ]; }
# Pacemaker has nothing left to do.
settled() { node n5 crm_resource --wait --timeout 60 > /dev/null 2>&1; }
writes_again() {
	await 180 writer_moved "$1" || { show; fail "no record was acknowledged any more"; }
}

mode() {
	said=$(node "$primary" hamirror mode data "$@" 2>&1) || fail "hamirror mode data $*: $said"
	step "$said"
}

# Records that were acknowledged and are not there; a record's end is one block at least.
count() {
	local counts block
	counts=$(node "$primary" "$SYSTEM/writer" check $MOUNT/records "/run/$NOTES" \
		2> "$LAB/lost") || fail "the records cannot be read"
	block=$(node "$primary" stat -f -c %S $MOUNT)
	lost=${counts#* } lost_bytes=$((${counts#* } * block))
	step "$primary: ${counts% *} records acknowledged, $lost lost, $lost_bytes bytes at least"
}

# Both hosts of production's site are lost while the copy's host lags.
lose_site_of_near() {
	local site copy moment
	site=$(site_of "$primary")
	await 120 is_near "$(other_site "$site")" || { show; fail "the copy is not near"; }
	copy=$(site_field data "$(other_site "$site")" host)
	await 60 has_score "$copy" || { show; fail "$copy has no promotion score"; }
	daemon "$copy" STOP
	await 10 has_noted $(($(noted) + 20)) || fail "clients wait for the near copy"
	# shellcheck disable=SC2046
	"$TESTBED" kill $(hosts_of "$site") || fail "kill"
	daemon "$copy" CONT
	moment=$(date +%s.%N)
	# shellcheck disable=SC2046
	await 60 is_promoted_elsewhere data $(hosts_of "$site") ||
		{ show; fail "the near copy is not promoted"; }
	primary=$(promoted_node data)
	[ "$(node "$primary" hamirror status data --field generation.reason)" = async ] ||
		fail "not promoted as a near copy: $(node "$primary" hamirror status data)"
	writes_again "$moment"
	count
	[ "$lost" -gt 0 ] || fail "the copy lacked nothing: that proves no bound"
	[ "$lost_bytes" -le $((BOUND_MIB << 20)) ] || fail "$lost_bytes bytes are lost"
	# shellcheck disable=SC2046
	power_on $(hosts_of "$site")
	await 180 is_near "$site" || { show; fail "$site does not come near"; }
	step "ok: Pacemaker promoted the near copy; $site is near again"
}

lose_site_without_policy() {
	local site other host before=$lost moment
	site=$(site_of "$primary") other=$(other_site "$(site_of "$primary")")
	mode async
	for host in $(hosts_of "$other"); do
		await 60 has_no_score "$host" || fail "$host has a promotion score in async"
	done
	host=$(site_field data "$other" host)
	# shellcheck disable=SC2046
	"$TESTBED" kill $(hosts_of "$site") || fail "kill"
	await 60 says_why "$host" "hamirror promote data --force" || fail "why: $said"
	for words in "in async no copy is current" "promote $site, or use --force: then"; do
		says_why "$host" "$words" || fail "no '$words' in: $said"
	done
	step "why on $host: $(grep -m 1 -e --force <<< "$said")"
	await 60 settled || fail "Pacemaker does not settle"
	[ -z "$(promoted_node data)" ] || { show; fail "$(promoted_node data) is promoted"; }
	has_no_score "$host" || fail "$host has a promotion score"
	moment=$(date +%s.%N)
	# shellcheck disable=SC2046
	power_on $(hosts_of "$site")
	writes_again "$moment"
	primary=$(promoted_node data)
	[ "$(site_of "$primary")" = "$site" ] || fail "$primary is promoted"
	count
	[ "$lost" = "$before" ] || fail "$((lost - before)) records more are lost"
	step "ok: nothing was promoted without the policy, and nothing was lost"
}
says_why() {
	said=$(node "$1" hamirror why data 2>&1)
	[[ $said == *"$2"* ]]
}

lab_needs
trap lab_end EXIT
trap 'exit 130' INT TERM HUP
lab_new
INPUT=$SYSTEM build_cluster
mode async --lag-bytes ${BOUND_MIB}M
lose_site_of_near
lose_site_without_policy
