#!/bin/bash
# bench.sh - tests/bench/compare still measures each of its sides, and tests/bench/guests us
# beside DRBD. No figure is judged.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

for tool in fio qemu-storage-daemon; do
	[ -n "$(command -v $tool)" ] || skip "$tool is not installed (tests/packages lists all)"
done
[ -x "$BUILD/hamirrord" ] || fail "no hamirrord in $BUILD"

said=$("$SYSTEM/../bench/compare" --quick --bindir "$BUILD" --works mix-16k-70-30-d16 --json \
	--sides null,raw,export,quorum,quorum-line,bound,bound-home,bound-durable,hamirror) ||
	fail "compare: status $?"
python3 -c '
import json, sys
runs = json.loads(sys.argv[1])["works"]["mix-16k-70-30-d16"]
for side in ("null", "raw", "export", "quorum", "quorum-line", "bound", "bound-home",
             "bound-durable", "hamirror"):
    assert runs[side][0]["operations"] > 0, side
' "$said" || fail "$said"

said=$("$SYSTEM/../bench/guests" --build "$BUILD" --rounds 1 --seconds 1 --works write-4k-d1 \
	--targets drbd-A,async 2> /dev/null)
status=$?
[ $status != 77 ] || skip "${said#SKIP: }"
[ $status = 0 ] || fail "guests: status $status: $said"
echo "$said" | grep -q '^  async/drbd-A  *[0-9]' || fail "$said"
