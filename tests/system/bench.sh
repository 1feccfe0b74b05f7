#!/bin/bash
# bench.sh - tests/bench/compare still measures each of its sides. No figure is judged.
set -u
# shellcheck source-path=SCRIPTDIR source=lab.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/lab.sh"

for tool in fio qemu-storage-daemon; do
	[ -n "$(command -v $tool)" ] || skip "$tool is not installed (tests/packages lists all)"
done
[ -x "$BUILD/hamirrord" ] || fail "no hamirrord in $BUILD"

said=$("$SYSTEM/../bench/compare" --quick --bindir "$BUILD" --works mix-16k-70-30-d16 --json \
	--sides null,raw,export,quorum,quorum-line,bound,bound-home,hamirror) ||
	fail "compare: status $?"
python3 -c '
import json, sys
runs = json.loads(sys.argv[1])["works"]["mix-16k-70-30-d16"]
for side in ("null", "raw", "export", "quorum", "quorum-line", "bound", "bound-home",
             "hamirror"):
    assert runs[side][0]["operations"] > 0, side
' "$said" || fail "$said"
