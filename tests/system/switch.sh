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
	reads b 0x21 0 48M || fail "b lacks writes of a"
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

# A client of host $1 that writes as fast as it can, until it is refused.
client() {
	while qemu-io -f raw -c "write -P 0x31 0 64k" "$(uri "$1")" > "$DIR/client" 2>&1 &&
		grep -q wrote "$DIR/client"; do touch "$DIR/wrote"; done
}

# Production moves to site $2, on host $3, from host $1, while clients write.
moved() {
	rm -f "$DIR/wrote"
	client "$1" &
	local writer=$!
	await 20 test -e "$DIR/wrote" || fail "no client writes: $(cat "$DIR/client")"
	run switch "$1" "$2" --json
	wait $writer
	[[ $said =~ \"stall_ms\":\ ?([0-9]+) ]] || fail "no stall in: $said"
	serves "$3" || fail "$3 does not serve: $said"
	! serves "$1" || fail "$1 serves still"
	reads "$3" 0x31 0 64k || fail "$3 lacks writes"
	say "ok: $1 to $3, no write for ${BASH_REMATCH[1]} ms"
}

test_moves() {
	moved a lyon b
	current_again b paris
	run switch b lyon
	[[ $said == *"production already"* ]] || fail "lyon is production, but: $said"
	moved b paris a
	current_again a lyon
}

# The copy is level before clients are let go.
test_catches_up() {
	run disconnect a lyon
	refused "lyon was put out" switch a lyon
	write a 0x32 0 48M
	run connect a lyon
	await 20 is_linked a lyon || fail "lyon has no link"
	run switch a lyon
	reads b 0x32 0 48M || fail "b lacks writes of a"
	current_again b paris
	run switch b paris
	current_again a lyon
	say "ok: the copy catches up first"
}

# Nothing changes where it cannot be done.
test_refused() {
	refused "has no site rome" switch a rome
	refused "not production" switch b paris
	kill_daemon b
	await 20 is_unlinked a lyon || fail "lyon is linked still"
	refused "lyon is not linked" switch a lyon
	serves a || fail "a was demoted"
	run start b
	current_again a lyon
	say "ok: refused, and a serves"
}
is_unlinked() { [[ $(field "$1" "$2" link) =~ ^(down|connecting)$ ]]; }

# The copy hangs when production is to end: it serves on.
test_copy_hangs() {
	local pid
	pid=$(daemon_pid b)
	kill -STOP "$pid"
	refused "this host serves on" switch a lyon
	kill -CONT "$pid"
	serves a || fail "a does not serve"
	write a 0x33 0 64k
	current_again a lyon
	say "ok: a copy that hangs ends the move, and a serves on"
}

pair_new
test_drain
test_not_named
run demote b
run promote a
current_again a lyon
test_moves
test_catches_up
test_refused
test_copy_hangs
alike
