#!/bin/bash
# perf.sh - the performance file of a pair: its rows, checked by awk against what was written,
# its two generations, and what becomes of it when it cannot be written.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin curl fio

PORT_WATCH=$(free_port)
FILE=$DIR/state/data@a.prf
PERIOD=2

# $1: of awk, over all rows; true when it says so
rows() { awk "$1" "$FILE" 2> /dev/null; }
rows_say() { [ "$(rows "$1")" = yes ]; }

start_watcher() {
	hamirror-watch data@a --listen "127.0.0.1:$PORT_WATCH" --period $PERIOD \
		2>> "$DIR/watch.log" &
	watcher=$!
}

stop_watcher() {
	kill "$watcher"
	wait "$watcher" || fail "a signal is no failure: $?"
}

sent() { hamirror status data@a --field "disks.db.sent_$1"; }

# The period's rate, times the time between its row and the one before, is what was sent.
test_figures() {
	local before records data total
	await 20 rows_say 'END { if (NR >= 2) print "yes" }' ||
		fail "no rows: $(cat "$DIR/watch.log")"
	before=$(rows 'END { print NR }')
	data=$(sent data_bytes) records=$(sent records) total=$(sent bytes)
	fio --name=w --ioengine=nbd "--uri=nbd+unix:///db?socket=$DIR/run/data@a/nbd" --rw=write \
		--bs=64k --size=8M --iodepth=16 > "$DIR/fio.log" 2>&1 ||
		fail "fio: $(cat "$DIR/fio.log")"
	current_again a lyon
	data=$(($(sent data_bytes) - data)) records=$(($(sent records) - records))
	total=$(($(sent bytes) - total))
	[ $data = 8388608 ] || fail "8 MiB were written, $data bytes sent"
	[ $records = 128 ] || fail "128 writes, $records records sent"
	await 20 rows_say "NR > $before { kb += \$4; ended = kb > 0 && \$4 == 0 }
		END { if (ended) print \"yes\" }" || fail "no row of the writes"
	# within a fourth, since a busy machine makes periods longer
	rows_say "NR > $before { all += \$3; kb += \$4; n += \$5 }
		function near(a, b) { return a > 0.75 * b && a < 1.05 * b }
		END { if (near(kb * $PERIOD, 8192) && near(n * $PERIOD, 128) &&
			near(all * $PERIOD, $total / 1024)) print \"yes\" }" ||
		fail "other figures than 8192 KB, 128 records, $total bytes: $(cat "$FILE")"
	curl -s "http://127.0.0.1:$PORT_WATCH/metrics" |
		grep -q "^hamirror_disk_sent_data_bytes_total{.*} $(sent data_bytes)\$" ||
		fail "the metrics differ"
	say "ok: figures of what fio wrote"
}

# P0-26: writes of 16 at a time share groups, and the counters tell how many (docs/sources.md).
test_groups() {
	fio --name=w --ioengine=nbd "--uri=nbd+unix:///db?socket=$DIR/run/data@a/nbd" \
		--rw=randwrite --bs=4k --size=1M --numjobs=16 --runtime=3 --time_based \
		> "$DIR/fio.log" 2>&1 || fail "fio: $(cat "$DIR/fio.log")"
	curl -s "http://127.0.0.1:$PORT_WATCH/metrics" | awk '
		/^hamirror_writes_total/ { writes = $2 }
		/^hamirror_groups_total/ { groups = $2 }
		END { print writes / groups; exit writes / groups < 8 }' > "$DIR/mean" ||
		fail "a group has $(cat "$DIR/mean") writes"
	current_again a lyon
	say "ok: a group has $(cat "$DIR/mean") writes"
}

# The sectors of the log as the status has them.
test_log() {
	local used
	used=$(hamirror status data@a --field log.used_bytes)
	await 20 rows_say "{ is = \$7 == $used / 512 && \$9 == 0 }
		END { if (is) print \"yes\" }" ||
		fail "log.used_bytes is $used: $(tail -n 1 "$FILE")"
	kill_daemon b
	run disconnect a
	write a 0x22 1M 64k
	await 20 rows_say "\$6 > 0 && \$7 > 0 && \$8 > 0 && \$9 > 0 { is = 1 }
		END { if (is) print \"yes\" }" ||
		fail "nothing waits for a copy that is away: $(tail -n 3 "$FILE")"
	run start b
	run connect a
	current_again a lyon
	await 20 rows_say "{ is = \$6 == 0 } END { if (is) print \"yes\" }" ||
		fail "something waits: $(tail -n 1 "$FILE")"
	say "ok: the log's figures, and what waits"
}

test_command() {
	local count
	hamirror perf data@a > "$DIR/table" || fail "no table"
	count=$(rows 'END { print NR }')
	[ "$(wc -l < "$DIR/table")" -gt "$count" ] || fail "rows are missing: $(cat "$DIR/table")"
	hamirror perf data@a db --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)
assert max(r["data_kb_s"] for r in rows) > 0 and all(r["disk"] == "db" for r in rows)' ||
		fail "no rows in JSON"
	hamirror perf data@a --svg > "$DIR/perf.svg" || fail "no SVG"
	python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$DIR/perf.svg" ||
		fail "the SVG is no XML"
	[ "$(hamirror perf data@a --plot | grep -c 'at most')" = 7 ] || fail "not seven charts"
	LC_ALL=C.UTF-8 hamirror perf data@a --plot | grep -q '⣿' || fail "no braille"
	hamirror perf data@a other > "$DIR/said" 2>&1 && fail "a disk that is not there"
	grep -q 'no figures of disk other' "$DIR/said" || fail "$(cat "$DIR/said")"
	hamirror perf data@a --since yesterday > "$DIR/said" 2>&1
	[ $? = 2 ] || fail "a time that is none: $(cat "$DIR/said")"
	hamirror perf data@b > "$DIR/said" 2>&1
	[ $? = 1 ] || fail "no file: $(cat "$DIR/said")"
	grep -q hamirror-watch "$DIR/said" || fail "no remedy: $(cat "$DIR/said")"
	hamirror perf other > "$DIR/said" 2>&1
	[ $? = 3 ] || fail "no such mirror: $(cat "$DIR/said")"
	say "ok: hamirror perf"
}

# Half a row, as a crash leaves it; then a full file.
test_limit() {
	local size
	stop_watcher
	printf '2026-03-01T12:00:0' >> "$FILE"
	start_watcher
	await 20 rows_say "END { if (\$1 > \"2026-03-02\") print \"yes\" }" ||
		fail "no row after half a one"
	rows_say '{ bad += NF != 9 } END { if (!bad) print "yes" }' ||
		fail "a half row: $(cat "$FILE")"
	stop_watcher
	for ((size = $(stat -c %s "$FILE"); size + 60 < 65536; size = $(stat -c %s "$FILE"))); do
		yes '2026-03-01T12:00:00Z db 2.0 1.0 3.0 7 512 25.00 2.5' |
			head -n $(((65536 - size) / 52)) >> "$FILE"
	done
	start_watcher
	await 20 test -e "$FILE.1" || fail "it grows beyond its limit: $(stat -c %s "$FILE")"
	await 20 test -s "$FILE" || fail "nothing in the new one"
	for size in "$FILE"*; do
		[ "$(stat -c %s "$size")" -le 65536 ] || fail "$size is beyond the limit"
	done
	[ "$(find "$DIR/state" -name '*.prf*' | wc -l)" = 2 ] || fail "$(ls "$DIR/state")"
	say "ok: half a row, and the limit"
}

said() { [ "$(grep -c "$1" "$DIR/watch.log")" = "$2" ]; }

periods_since() { [ $((SECONDS - $1)) -gt $(($2 * PERIOD)) ]; }

test_refused() {
	local since
	rm "$FILE"
	await 20 test -s "$FILE" || fail "a removed file is not made again"
	mv "$FILE" "$DIR/moved.prf"
	mkdir "$FILE" || fail "cannot replace $FILE"
	await 20 said 'no figures are written to .*: Is a directory' 1 ||
		fail "$(cat "$DIR/watch.log")"
	curl -sf "http://127.0.0.1:$PORT_WATCH/metrics" > /dev/null || fail "no metrics"
	since=$SECONDS
	await 20 periods_since "$since" 2 # nothing tells that nothing is said
	said 'no figures are written' 1 || fail "said more than once: $(cat "$DIR/watch.log")"
	rmdir "$FILE"
	await 20 said 'is written again' 1 || fail "$(cat "$DIR/watch.log")"
	: > "$DIR/second.log"
	hamirror-watch data@a --listen "127.0.0.1:$(free_port)" --period 1 \
		2> "$DIR/second.log" &
	await 20 grep -q 'another watcher writes it' "$DIR/second.log" ||
		fail "two write: $(cat "$DIR/second.log")"
	kill $!
	hamirror-watch data@a --period x > "$DIR/said" 2>&1
	[ $? = 2 ] || fail "--period x: $(cat "$DIR/said")"
	hamirror-watch data@a --perf-size 1K > "$DIR/said" 2>&1
	[ $? = 2 ] || fail "--perf-size 1K: $(cat "$DIR/said")"
	say "ok: said once, and on"
}

pair_new
start_watcher
test_figures
test_log
test_groups
test_command
test_limit
test_refused
stop_watcher
