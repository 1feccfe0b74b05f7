#!/bin/bash
# top.sh - `hamirror top` on a real terminal, tmux, at 80x24 and 200x50: a pair without a
# cluster on this machine.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"
pair_begin tmux
export LC_ALL=C.UTF-8 TERM=screen-256color

terminal() { tmux -S "$DIR/tmux" -f /dev/null "$@"; }
pair_cleanup() { terminal kill-server 2> /dev/null; }
screen() { terminal capture-pane -p; }
shows() { screen | grep -q -- "$1"; }
shows_soon() { await "${2:-5}" shows "$1" || fail "no '$1' on: $(screen)"; }
lacks() { ! shows "$1"; }
keys() { terminal send-keys "$@"; }

# In a shell, so that we see what is left of the terminal.
begin() {
	pair_new
	terminal new-session -d -x 80 -y 24 "exec bash --norc"
	keys 'PS1="here: "; stty -g > '"$DIR"'/before; clear' Enter
	shows_soon '^here: *$'
	# shellcheck disable=SC2016 # of the command that is run
	printf 'echo $HAMIRROR_MIRROR $HAMIRROR_TEXT >> %s/told\n' "$DIR" > "$DIR/tell"
	keys "hamirror top --on link=run:'. $DIR/tell'" Enter
	shows_soon 'hamirror: 2 mirrors, by name'
}

test_list() {
	shows_soon '^data@a  *production paris  *UpToDate connected .* 0 '
	shows_soon '^data@b  *copy '
	write a 0x11 1M 1M
	keys w
	shows_soon 'by writes'
	screen | sed -n 3p | grep -q '^data@a' || fail "the busy one is not first: $(screen)"
	keys n h
	shows_soon 'sort by name, trouble'
	keys h
	[ "$(screen | wc -L)" -le 80 ] || fail "wider than the terminal"
	say "ok: the list at 80x24"
}

test_page() {
	keys Up Up Enter
	shows_soon '^data@a: sync'
	shows_soon '^paris  *production a '
	shows_soon '^lyon  *copy  *b .*connected'
	shows_soon '^writelog .*log.a of .* used'
	shows_soon 'All is well'
	write a 0x22 2M 1M
	shows_soon '^writes/s .*█'
	terminal resize-window -x 200 -y 50
	shows_soon 'EVENTS'
	await 5 test "$(screen | wc -l)" = 50 || fail "not as large as the terminal"
	say "ok: a page, at 80x24 and 200x50"
}

test_actions() {
	keys d
	shows_soon 'demote data@a? y: do it'
	keys n
	await 5 lacks 'y: do it' || fail "the question stays"
	keys x y # refused if it had been demoted
	shows_soon 'put out: writes go on'
	shows_soon '^WHY'
	shows_soon 'rule=alone-disconnect'
	shows_soon '^lyon .* down'
	keys c y
	shows_soon 'All is well' 30
	keys Escape
	shows_soon '^data@b  *copy'
	keys Down p y # production serves: a refusal is shown
	shows_soon 'hamirror: data@b: ' 40
	keys Up
	say "ok: keys for actions"
}

# A copy that dies is seen within two seconds.
test_death() {
	local pid
	pid=$(daemon_pid b)
	kill -9 "$pid"
	shows_soon '^data@a .* down' 2
	shows_soon '^data@b  *stopped'
	await 5 grep -q '^data@a down' "$DIR/told" || fail "no command was run for it"
	run start b
	shows_soon '^data@b  *copy' 30
	say "ok: a copy that dies"
}

test_end() {
	keys q
	shows_soon '^here: '
	keys 'stty -g > '"$DIR"'/after; echo en''ded' Enter
	shows_soon '^ended'
	cmp "$DIR/before" "$DIR/after" || fail "the terminal is not as it was"
	for said in frob=beep why=frob why= link=mail: =beep why; do
		hamirror top --on "$said" > "$DIR/out" 2>&1 && fail "$said is taken"
		grep -q 'CHANGE=ACTION' "$DIR/out" || fail "$said: $(cat "$DIR/out")"
	done
	hamirror top < /dev/null > "$DIR/out" 2>&1 && fail "top without a terminal"
	grep -q 'needs a terminal' "$DIR/out" || fail "$(cat "$DIR/out")"
	say "ok: the end"
}

begin
test_list
test_page
test_actions
test_death
test_end
