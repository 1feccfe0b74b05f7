#!/bin/bash
# switch.sh - planned moves of production between two sites without a cluster: a demote
# drains to a copy that catches up, and names the sites that may be promoted.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

DISK_MIB=64 LOG_MIB=128
pair_begin cmp

# The names in `may_promote` of $said.
may_promote() {
	python3 -c 'import json, sys; print(*json.load(sys.stdin)["may_promote"])' <<< "$said"
}
is_linked() { [[ $(field "$1" "$2" link) =~ ^(catching-up|connected)$ ]]; }

# The copy was out while much was written; it is level when the demote ends.
test_drain() {
	run disconnect a lyon
	write a 0x21 0 48M
	run connect a lyon
	await 20 is_linked a lyon || fail "lyon has no link"
	run demote a --json
	[ "$(may_promote)" = "paris lyon" ] || fail "not both may be promoted: $said"
	[ "$(field a paris may_promote) $(field a lyon may_promote)" = "True True" ] ||
		fail "the status names others"
	kill_daemon a
	run promote b
	reads b 0x21 0 48M || fail "b lacks what was written on a"
	run start a
	current_again b paris
	say "ok: a demote drains to a copy that catches up"
}

# A copy that was put out has not all of it, and is not named.
test_not_named() {
	run disconnect b paris
	write b 0x22 0 1M
	run demote b --json
	[ "$(may_promote)" = lyon ] || fail "not lyon alone: $said"
	run promote b
	run connect b paris
	current_again b paris
	say "ok: a copy that was put out is not named"
}

pair_new
test_drain
test_not_named
alike
