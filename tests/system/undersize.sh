#!/bin/bash
# undersize.sh - writelogs that are small for what happens: the smallest one under load,
# and a copy that returns after several times its log was written.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin sha256sum
[ -x "$BUILD/tests/system/nbd_records" ] ||
	skip "no nbd_records in $BUILD/tests/system: make check TESTS= builds it"

has_written() {
	local now
	now=$(sed -n 's/^acknowledged \([0-9]*\).*/\1/p' "$DIR/progress" 2> /dev/null)
	[ "${now:-0}" -ge "$1" ]
}

# $1 records through host a, each judged.
load() {
	"$BUILD/tests/system/nbd_records" "$DIR/progress" "$1" "$(uri a)" 2> "$DIR/writer.err" &
	local writer=$!
	await 60 has_written "$1" || fail "too slow: $(cat "$DIR/progress"; hamirror why data@a)"
	kill -TERM $writer
	wait $writer || fail "the client: $(cat "$DIR/writer.err")"
}

test_smallest() {
	LOG_MIB=2
	pair_new
	load 3000
	current_again a lyon
	alike
	say "ok: a log of 2 MiB; $(xargs < "$DIR/progress")"
}

# The extents that the copy misses do not fit into its log: it keeps its image until the
# operator consents.
test_bypass() {
	local before
	LOG_MIB=4
	pair_new
	run disconnect a lyon
	run stop b
	before=$(sha256sum "$DIR/db.b")
	load 2000
	event_says a "rule=bypass" || fail "the map did not take over"
	run start b
	run connect a lyon
	await 20 why_says a "--allow-inconsistent" || fail "not refused: $(hamirror why data@a)"
	why_says a "its writelog needs" || fail "no size: $(hamirror why data@a)"
	why_says b "its writelog needs" || fail "b says nothing: $(hamirror why data@b)"
	[ "$before" = "$(sha256sum "$DIR/db.b")" ] ||
		fail "the copy's image changed without consent"
	run refresh a lyon --allow-inconsistent
	current_again a lyon
	alike
	say "ok: bypassed, refused by name, refreshed with consent; $(xargs < "$DIR/progress")"
}

test_smallest
test_bypass
