#!/bin/bash
# last_words.sh - the days on which a daemon of a pair ends: its last words, and how status
# and `why` report them, before and after the next start. `last_words.sh DAY...` runs only
# the days named.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin stat
words() { echo "$DIR/log/data@a.crash"; }

# Host a alone, production, with something written.
begin() {
	pair_clean
	ATTACH=${1:-none} pair_yaml "" > "$DIR/etc/data.yaml"
	pair_devices
	run create a
	run start a
	run promote a --force
	run disconnect a
	write a 0x21 0 1M
}

ended() { hamirror status data@a --json | python3 -c '
import json, sys
print((json.load(sys.stdin)["last_run"] or {"ended": None})["ended"])'; }

ended_as() { [ "$(ended 2> /dev/null)" = "$1" ]; }

# The last run ended as $1, and both views say $2, while no daemon runs and later.
is_told() {
	await 10 ended_as "$1" || fail "not '$1' while it is down: $(hamirror status data@a)"
	hamirror status data@a | grep -qF -- "$2" || fail "no '$2': $(hamirror status data@a)"
	run start a
	ended_as "$1" || fail "not '$1' when it runs again: $(hamirror status data@a)"
	hamirror status data@a | grep -qF -- "$2" || fail "no '$2': $(hamirror status data@a)"
}

die_by() {
	local pid
	pid=$(daemon_pid a)
	kill "$1" "$pid" || fail "no daemon"
	await 10 daemon_is_gone "$pid" || fail "it does not end"
}

leaves() { grep -qE -- "$1" "$(words)" || fail "no '$1' in: $(cat "$(words)")"; }

leaves_all() {
	leaves '^hamirrord .* data@a died: '
	leaves '^  .*hamirrord\(\+0x[0-9a-f]+\)'
	leaves '^  [0-9.]+ change mirror data production of generation'
	leaves '^  writes [1-9]'
	leaves '^  io_turns [1-9]'
	[ "$(tail -n 1 "$(words)")" = end ] || fail "no end: $(tail -n 3 "$(words)")"
	[ "$(stat -c %a "$(words)")" = 600 ] || fail "others may read it"
}

day_in_order() {
	begin
	[ "$(ended)" = None ] || fail "a first run tells of one before: $(hamirror status data@a)"
	run stop a
	is_told "in order" "ended in order at "
	why_lacks a "The last run" || fail "why tells of nothing: $(hamirror why data@a)"
	[ ! -e "$(words)" ] || fail "words of no death: $(cat "$(words)")"
	run stop a
}

day_aborted() {
	begin
	die_by -ABRT
	leaves_all
	is_told died "Aborted (SIGABRT), sent by process $$"
	why_says a "$(words) tells more" || fail "why does not tell: $(hamirror why data@a)"
	run promote a --force
	reads a 0x21 0 1M || fail "written data is not read"
	run stop a
}

# A fault in a thread of its own ends it likewise.
day_segmentation_fault() {
	begin
	die_by -SEGV
	leaves_all
	is_told died "Segmentation fault (SIGSEGV)"
	run stop a
}

# A kernel that breaks its word: no eventfd is written any more, with an error that no
# manual knows of. That is a bug to the daemon, which asserts that there is none.
break_word() {
	cat > "$DIR/break.c" <<-'END'
	#define _GNU_SOURCE
	#include <errno.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/syscall.h>
	#include <unistd.h>
	ssize_t write(int fd, const void *data, size_t n)
	{
		char path[64], target[64] = "";
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (access(getenv("BROKEN"), F_OK) == 0 &&
		    readlink(path, target, sizeof target - 1) > 0 &&
		    strstr(target, "eventfd") != NULL) {
			errno = EIO;
			return -1;
		}
		return syscall(SYS_write, fd, data, n);
	}
	END
	"${CC:-cc}" -shared -fPIC -o "$DIR/break.so" "$DIR/break.c"
}

day_assertion() {
	local pid
	command -v "${CC:-cc}" > /dev/null || { lacking "no compiler"; return; }
	break_word || fail "a library that breaks its word cannot be made"
	export BROKEN=$DIR/broken LD_PRELOAD=$DIR/break.so
	begin
	unset LD_PRELOAD
	pid=$(daemon_pid a)
	touch "$BROKEN"
	hamirror why data@a > /dev/null 2>&1
	await 10 daemon_is_gone "$pid" || fail "it does not end"
	rm "$BROKEN"
	leaves_all
	leaves "^assertion .*agent/io_thread.c:[0-9]+: .*agent_io_order.*: .errno == EAGAIN. is not"
	is_told died "an assertion failed: "
	why_says a "errno == EAGAIN" || fail "why does not tell: $(hamirror why data@a)"
	run stop a
}

day_killed() {
	begin
	die_by -KILL
	[ ! -e "$(words)" ] || fail "words of one that was killed: $(cat "$(words)")"
	is_told killed "it was killed (kill -9"
	why_says a "ended without a word" || fail "why does not tell: $(hamirror why data@a)"
	run stop a
}

# A machine that stops takes the boot with it.
day_machine() {
	begin
	die_by -KILL
	sed -i 's/^\(run [0-9]* [0-9]*\) .*/\1 00000000-0000-0000-0000-000000000000/' \
		"$DIR/state/data@a/run"
	is_told machine "the machine stopped or was reset"
	run stop a
}

# A start that fails says so to its caller; the death before it stays known.
day_failed_start() {
	begin
	die_by -ABRT
	mv "$DIR/db.a" "$DIR/db.away"
	refused "" start a
	mv "$DIR/db.away" "$DIR/db.a"
	is_told died "Aborted (SIGABRT)"
	run stop a
}

# The process whose command line has $1 and this test's folder.
pid_of() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		if tr '\0' ' ' 2> /dev/null < "$file" | grep -q -- "$1.*$DIR"; then
			basename "$(dirname "$file")"
		fi
	done
}

begin_with_a_device() {
	if [ "$(id -u)" != 0 ] || ! [ -w /dev/fuse ] || ! command -v nbdfuse > /dev/null; then
		lacking "no devices by fuse here"
		return 1
	fi
	begin fuse
	await 10 test -e "$DIR/dev/data/db" || fail "no device"
}

day_helper() {
	begin_with_a_device || return 0
	kill -ABRT "$(pid_of "[-]-attach-disk")" || fail "no helper"
	await 10 why_says a "its helper was ended by signal 6 (Aborted)" ||
		fail "no word of the helper: $(hamirror why data@a)"
	grep -q "^helper of disk db died: Aborted" "$(words).db" || fail "the helper left none"
	[ "$(tail -n 1 "$(words).db")" = end ] || fail "no end: $(cat "$(words).db")"
	run stop a
}

# The program that serves the device for the helper.
day_server() {
	begin_with_a_device || return 0
	kill -KILL "$(pid_of "^nbdfuse")" || fail "no server"
	await 10 why_says a "its server was ended by signal 9 (Killed)" ||
		fail "no word of the server: $(hamirror why data@a)"
	run stop a
}

all="in_order aborted segmentation_fault assertion killed machine failed_start helper server"
run_days "${*:-$all}"
