#!/bin/bash
# throttle.sh - throttles over a pair: the paper's worked example, a bandwidth by time of day,
# each figure that crosses its bound, at production and at the copy, each action, a file that
# changes, a daemon that stands still, and a watcher that is killed, stopped or ended while it
# slows the mirror.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

EXAMPLE=$(dirname "$(dirname "$SYSTEM")")/agent/throttles.yaml
pair_begin qemu-img curl
PORT_WATCH=$(free_port)
watcher='' load=''
mkdir -p "$DIR/bin"
printf '#!/bin/sh\n{ echo "$@"; cat; } > %s/mail\n' "$DIR" > "$DIR/bin/sendmail"
chmod +x "$DIR/bin/sendmail"

# A pair whose file has the lines $1 too, and the watcher of host $2 (a).
begin() {
	kill_all
	rm -f "$DIR/watch.log"
	pair_clean
	pair_yaml "$1" > "$DIR/etc/data.yaml"
	pair_devices
	hamirror config check data@a > "$DIR/check" 2>&1 || fail "$(cat "$DIR/check")"
	pair_up
	watch "${2:-a}"
}
watch() {
	HAMIRROR_THROTTLE=other PATH=$DIR/bin:$PATH \
		hamirror-watch "data@$1" --listen "127.0.0.1:$PORT_WATCH" 2>> "$DIR/watch.log" &
	watcher=$!
}
end_watch() {
	kill "$watcher"
	wait "$watcher" || fail "a signal is no failure: $?"
}
watch_says() { grep -qF -- "$1" "$DIR/watch.log"; }

# Write 8 KiB at a time for as long as the test wants.
begin_load() {
	qemu-img bench -w -f raw -d 16 -s 8192 -c 100000000 "$(uri a)" > "$DIR/bench" 2>&1 &
	load=$!
}
end_load() { kill "$load"; wait "$load" 2> /dev/null; }

# Of host $2 (a)
value() { hamirror status "data@${2:-a}" --field "$1"; }
value_is() { [ "$(value "$1")" = "$2" ]; }
is_slowed() { [ "$(value throttle.left_ms "$1")" != "" ]; }
is_free() { value_is throttle ''; }
# KiB a second that are sent to the copy, over $1 seconds; 0 where the clock jumped.
rate() {
	local before=${EPOCHREALTIME/./} sent
	sent=$(value counters.sent_bytes)
	sleep "$1"
	echo $((($(value counters.sent_bytes) - sent) * 1000000 / 1024 /
		(${EPOCHREALTIME/./} - before)))
}
lies_between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }
settles() { kbps=$(rate 2); lies_between "$kbps" 200 300; }

test_refusals() {
	pair_yaml "throttles:
  - {test: pctwl, operator: rises, value: 85, actions: [{extend: 1}]}" > "$DIR/etc/data.yaml"
	hamirror config check data@a > "$DIR/check" 2>&1 && fail "extend is accepted"
	grep -q "data.yaml:[0-9]*:[0-9]*: throttles\[0\].actions\[0\].extend" "$DIR/check" ||
		fail "no line and key in: $(cat "$DIR/check")"
	say "ok: extend is refused by name"
}

# From rest: it settles, and stays. A machine that does other things may keep the writer from
# writing for a part of a period; then the example slows it once more, and that is for good.
settles_for_good() {
	begin_load
	await 3 settles && settles && settles && return
	end_load
	await 20 is_free || fail "idle, the sleep is $(value throttle.sleep_us)"
	return 1
}

test_example() {
	begin "throttle-period: 500
$(cat "$EXAMPLE")"
	await 60 settles_for_good || fail "does not settle: $kbps KiB/s"
	lies_between "$(value throttle.sleep_us)" 15000 60000 ||
		fail "the sleep: $(value throttle.sleep_us)"
	why_says a "us lie between two records" || fail "why does not say it"
	end_load
	await 20 is_free || fail "idle, the sleep is $(value throttle.sleep_us)"
	end_watch
	say "ok: the worked example settles at $kbps KiB/s"
}

# A busy machine may write less for a while, and never more.
fills_bound() {
	kbps=$(rate 3)
	[ "$kbps" -le 1126 ] || fail "the bound is 1024 KiB/s: $kbps"
	[ "$kbps" -ge 922 ]
}
is_unbounded() { [ "$(rate 1)" -gt 1500 ]; }

test_bandwidth() {
	local from to
	from=$(date -d '+6 seconds' +%T) to=$(date -d '+30 seconds' +%T)
	begin "throttle-period: 300
bandwidth: {max: 1M, from: \"$from\", to: \"$to\"}"
	begin_load
	await 20 value_is throttle.bytes_per_s 1048576 || fail "the window does not open"
	await 1 fills_bound || fail "the bound is 1024 KiB/s: $kbps"
	why_says a "at most 1024 KiB a second" || fail "why does not say it"
	await 20 is_free || fail "the window does not close"
	await 2 is_unbounded || fail "after the window: $(rate 1) KiB/s"
	end_load
	end_watch
	say "ok: $kbps KiB/s in the window of 1024"
}

is_there() { [ -s "$DIR/$1" ]; }
count() { if [ -e "$DIR/$1" ]; then wc -l < "$DIR/$1"; else echo 0; fi; }
counts() { [ "$(count "$1")" = "$2" ]; }
has_ticked() { [ "$(count ticks)" -ge "$1" ]; }

test_actions() {
	begin "throttle-period: 200
throttles:
  - {name: tick, test: pctwl, operator: \">=\", value: 0, actions: [{exec: \"echo >> $DIR/ticks\"}]}
  - {name: cut, test: link, operator: falls, value: up, actions: [
     {exec: \"env >> $DIR/cut; echo >> $DIR/cuts\"}, {log: \"%m@%h: %t is %v\"},
     {mail: \"the line of %m\", to: ops@example.org}]}
  - {name: heal, test: link, operator: rises, value: down, actions: [
     {exec: \"echo >> $DIR/heals\"}, {console: \"%m: %t is %v\"}, {mode: near-sync, records: 77}]}"
	await 10 has_ticked 2 || fail "no period"
	kill_daemon b
	await 20 is_there cuts || fail "the cut was not told: $(cat "$DIR/watch.log")"
	grep -qx HAMIRROR_LINK=down "$DIR/cut" || fail "no figures: $(grep HAMIRROR "$DIR/cut")"
	grep -qx HAMIRROR_THROTTLE=cut "$DIR/cut" || fail "no name of the throttle"
	await 10 watch_says "data@a: link is down" || fail "no line in the log"
	await 10 is_there mail || fail "no mail"
	grep -q "ops@example.org" "$DIR/mail" || fail "the mail: $(cat "$DIR/mail")"
	grep -q "the line of data" "$DIR/mail" || fail "the mail: $(cat "$DIR/mail")"
	await 10 has_ticked $(($(count ticks) + 3)) || fail "no more periods"
	counts cuts 1 || fail "told $(count cuts) times"
	run start b
	await 20 is_there heals || fail "the end of it was not told"
	# which a pair refuses
	await 10 watch_says "without a cluster the mode is" || fail "no mode was asked for"
	await 10 watch_says "mode of throttle heal: exit status 1" || fail "its end is not told"
	[ -w /dev/console ] || await 10 watch_says "for the console: data: link is up" ||
		fail "no line for the console"
	counts heals 1 || fail "told $(count heals) times"
	end_watch
	say "ok: exec, log, mail, console and mode, once a crossing"
}

# What was logged of figure $1: each period, and its crossings.
figures_of() { grep -o "\(seen\|crossed\) $1 .*" "$DIR/watch.log"; }
is_seen() { figures_of "$1" | grep -q "seen $1 [0-9]$"; }
has_crossed() { figures_of "$1" | grep crossed | tail -n 1 | grep -q "crossed $1 $2 "; }
# Throttles that log figure $1, and how it crosses $2.
follow() {
	local item='  - {test: %s, operator: "%s", value: %s, actions: [{log: "%s"}]}\n'
	# shellcheck disable=SC2059
	printf "$item" "$1" ">=" 0 "seen %t %v" "$1" rises "$2" "crossed %t up %v" \
		"$1" falls "$2" "crossed %t down %v"
}
# Each crossing of $2 that was seen of figure $1, and no other, was told, once.
each_told() {
	figures_of "$1" | awk -v bound="$2" '
		$1 == "seen" {
			bad = bad || due != ""
			due = !known ? "" : last <= bound && $3 > bound ? "up" :
				last >= bound && $3 < bound ? "down" : ""
			known = 1; last = $3
			next
		}
		{ bad = bad || $3 != due || $4 != last; due = ""; count[$3]++ }
		END { exit bad || due != "" || !count["up"] || !count["down"] }' ||
		fail "$1 at $2: $(figures_of "$1")"
}

# Production's log fills while the copy is out.
test_crossings() {
	begin "throttle-period: 500
throttles:
$(follow netkbps 100; follow pctcpu 5; follow pctwl 70)"
	await 10 is_seen netkbps || fail "nothing is seen: $(cat "$DIR/watch.log")"
	begin_load
	await 20 has_crossed netkbps up || fail "netkbps does not rise"
	await 20 has_crossed pctcpu up || fail "pctcpu does not rise"
	run disconnect a lyon
	await 30 has_crossed pctwl up || fail "pctwl does not rise: $(value log.used_percent) %"
	end_load
	run connect a lyon
	for figure in netkbps pctcpu pctwl; do
		await 20 has_crossed $figure down || fail "$figure does not fall"
	done
	end_watch
	each_told netkbps 100
	each_told pctcpu 5
	each_told pctwl 70
	say "ok: netkbps, pctcpu and pctwl cross their bounds, each told once"
}

# So often it was said that throttle $1 slows nothing at a copy.
is_told() { [ "$(grep -c "throttle $1: .* is left out" "$DIR/watch.log")" = "$2" ]; }

# The copy's own log; what slows is production's alone, and told so once.
test_copy() {
	begin "throttle-period: 200
throttles:
  - {name: full, test: pctwl, operator: rises, value: 5, actions: [{sleep-set: 400000},
     {delay-set: 400000}, {mode: async}, {exec: \"env > $DIR/env; mv $DIR/env $DIR/full\"},
     {mail: \"the log of %h\", to: ops@example.org}]}
  - {name: slow, test: pctcpu, operator: \">=\", value: 0, actions: [{sleep-set: 300000}]}
$(follow pctwl 5; follow netkbps 1; follow lag-ms 1)" b
	rm -f "$DIR/mail"
	begin_load
	await 20 has_crossed pctwl up || fail "pctwl does not rise: $(cat "$DIR/watch.log")"
	await 10 is_there full || fail "no exec"
	for name in HOST=b PART=copy NETKBPS=; do
		grep -qx "HAMIRROR_$name" "$DIR/full" || fail "no $name: $(cat "$DIR/full")"
	done
	await 10 is_there mail || fail "no mail"
	end_load
	await 20 has_crossed pctwl down || fail "pctwl does not fall"
	{ is_told full 3 && is_told slow 1; } ||
		fail "not told once each that nothing is slowed: $(cat "$DIR/watch.log")"
	figures_of "[nl].*" && fail "figures of production are tested at the copy"
	value_is promise_wanted.mode sync || fail "the copy has changed the mode"
	is_free || fail "the copy has slowed production"
	each_told pctwl 5
	# it serves: from now on its throttles slow it
	run demote a
	run promote b
	await 10 is_slowed b || fail "the new production is not slowed: $(cat "$DIR/watch.log")"
	run demote b
	run promote a
	await 10 is_told slow 2 || fail "not told again as a copy"
	end_watch
	say "ok: the copy's log crosses its bound there"
}

gone() { ! kill -0 "$1" 2> /dev/null; }

test_hanging_script() {
	begin "throttle-period: 200
throttles:
  - {name: hang, test: pctwl, operator: \">=\", value: 0, actions: [
     {exec: \"sleep 1000 & echo \$\$ \$! > $DIR/pids; wait\", seconds: 1}]}"
	await 10 is_there pids || fail "the script was not begun"
	read -r shell child < "$DIR/pids"
	write a 0x11 1M 64k
	await 10 watch_says "exec of throttle hang: not begun, since it still runs" ||
		fail "two at a time: $(cat "$DIR/watch.log")"
	await 10 watch_says "exec of throttle hang: killed after 1 s" || fail "not killed"
	await 10 gone "$shell" || fail "it lives"
	await 10 gone "$child" || fail "its child lives"
	end_watch
	say "ok: a script that hangs is killed with its child"
}

# A daemon that stands still: the watcher asks it again and again, and does all else in time.
test_daemon_stands_still() {
	local daemon
	rm -f "$DIR/pids"
	begin "throttle-period: 200
throttles:
  - {name: hang, test: pctwl, operator: \">=\", value: 0, actions: [
     {exec: \"echo \$\$ > $DIR/pids; exec sleep 1000\", seconds: 5}]}"
	await 10 is_there pids || fail "the script was not begun"
	daemon=$(daemon_pid a)
	kill -STOP "$daemon"
	read -r shell < "$DIR/pids"
	await 20 gone "$shell" || fail "the script is not killed"
	kill "$watcher"
	await 10 gone "$watcher" || fail "the watcher does not end"
	wait "$watcher" || fail "a signal is no failure: $?"
	kill -CONT "$daemon"
	say "ok: a daemon that stands still"
}

test_delay() {
	begin "throttle-period: 200
throttles:
  - {test: pctwl, operator: \">=\", value: 0, actions: [{delay-set: 300000}, {sleep-set: 400000}]}"
	await 10 is_slowed a || fail "no delay"
	local before=${EPOCHREALTIME/./}
	qemu-io -f raw -c "write -P 0x22 2M 4k" "$(uri a)" > /dev/null || fail "write"
	[ $((${EPOCHREALTIME/./} - before)) -ge 300000 ] || fail "a write is not delayed"
	why_says a "each write takes 300000 us longer" || fail "why does not say it"
	# a second watcher does nothing to what the first one has set
	for _ in 1 2 3 4 5 6 7 8; do
		hamirror-watch data@a --listen "127.0.0.1:$PORT_WATCH" 2>> "$DIR/watch.log" &&
			fail "two watchers at one port"
		is_slowed a || fail "the second watcher has ended the delay"
	done
	say "ok: a delay"
}

replace() { printf '%s\n' "$1" > "$DIR/new" && mv "$DIR/new" "$DIR/etc/data.yaml"; }

# The file changes under a watcher that began without throttles.
test_file_changes() {
	begin ""
	await 10 answers || fail "no watcher: $(cat "$DIR/watch.log")"
	replace "$(pair_yaml "throttle-period: 200
throttles:
  - {test: pctwl, operator: \">=\", value: 0, actions: [{sleep-set: 400000}]}")"
	await 10 is_slowed a || fail "a new throttle is not taken up: $(cat "$DIR/watch.log")"
	{ cat "$DIR/etc/data.yaml"; echo "# other words"; } > "$DIR/same"
	replace "$(cat "$DIR/same")"
	echo "throttle-period: soon" >> "$DIR/etc/data.yaml"
	await 10 watch_says "throttles stay as they were: " || fail "a faulty file is not told"
	is_slowed a || fail "a faulty file has ended the throttles"
	[ "$(grep -c "throttles now" "$DIR/watch.log")" = 1 ] || fail "a comment is taken up"
	replace "$(pair_yaml "")"
	await 10 watch_says "it has 0 throttles now" || fail "its throttles stay"
	await 2 is_free || fail "the sleep of a throttle that is gone stays"
	end_watch
	say "ok: a file that changes"
}
answers() { curl -sf --max-time 30 -o /dev/null "http://127.0.0.1:$PORT_WATCH/"; }

# ... and it goes on at full speed without its watcher.
test_without_watcher() {
	local how
	for how in KILL STOP; do
		await 10 is_slowed a || fail "not slowed before $how"
		kill -$how "$watcher"
		await 10 is_free || fail "slow for ever after SIG$how"
		event_says a "change throttle ended: hamirror-watch" || fail "no event of it"
		write a 0x33 3M 64k
		[ $how = STOP ] && kill -KILL "$watcher"
		wait "$watcher" 2> /dev/null
		watch a
	done
	await 10 is_slowed a || fail "not slowed again"
	end_watch
	is_free || fail "slowed after the watcher's end"
	alike
	say "ok: killed, stopped and ended, it leaves no slow mirror"
}

test_refusals
test_example
test_bandwidth
test_crossings
test_actions
test_copy
test_hanging_script
test_daemon_stands_still
test_file_changes
test_delay
test_without_watcher
