#!/bin/bash
# commands.sh - the commands that look at a mirror: a pair without a cluster on this machine,
# real daemons, real devices.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"
pair_begin losetup curl

LOOP=''
pair_cleanup() {
	ip netns del hamirror-$$-1 2> /dev/null
	ip netns del hamirror-$$-2 2> /dev/null
	[ ! -e /dev/mapper/hamirror-commands ] || dmsetup remove hamirror-commands
	[ -z "$LOOP" ] || losetup -d "$LOOP"
}

# ---- devinfo, hostinfo ------------------------------------------------------------------

# $1: arguments, $2: list of fields, $3: what they are
fields_are() {
	local seen
	# shellcheck disable=SC2086
	seen=$(hamirror $1 --field "$2" | tr '\n' ' ')
	[ "$seen" = "$3 " ] || fail "hamirror $1 --field $2: \"$seen\", not \"$3 \""
}

test_devinfo_of_a_mirror() {
	fields_are "devinfo data@a" \
		devices.writelog.kind,devices.db.sectors,devices.db.reachable,devices.db.owned \
		"file $((DISK_MIB * 2048)) true true"
	mv "$DIR/db.b" "$DIR/away"
	hamirror devinfo data@b --json > "$DIR/out" && fail "a missing disk is no error"
	grep -q '"reachable":false,"error":"db ([^"]*No such file' "$DIR/out" ||
		fail "the missing disk is not named: $(cat "$DIR/out")"
	mv "$DIR/away" "$DIR/db.b"
	say "ok: devinfo of a mirror"
}

test_devinfo_of_devices() {
	local whole=$DIR/whole sys
	truncate -s 8M "$whole"
	fields_are "devinfo $whole" devices.0.kind,devices.0.bytes,devices.0.sectors \
		"file 8388608 16384"
	# a table with one partition of 4096 sectors, from 2048 on
	printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0' |
		dd of="$whole" bs=1 seek=446 conv=notrunc status=none
	printf '\x55\xaa' | dd of="$whole" bs=1 seek=510 conv=notrunc status=none
	if ! LOOP=$(losetup -f --show -P "$whole" 2> /dev/null); then
		say "left out: no loop devices here"
		return
	fi
	fields_are "devinfo $LOOP" devices.0.kind,devices.0.sectors "loop 16384"
	sys=/sys/class/block/${LOOP#/dev/}p1/dev
	if [ -e "$sys" ]; then
		# where no udev makes the node
		[ -b "${LOOP}p1" ] ||
			mknod "${LOOP}p1" b "$(cut -d: -f1 "$sys")" "$(cut -d: -f2 "$sys")"
		fields_are "devinfo ${LOOP}p1" \
			devices.0.kind,devices.0.sectors,devices.0.logical_block \
			"partition 4096 512"
	else
		say "left out: this kernel finds no partitions"
	fi
	if echo "0 8192 linear $LOOP 0" | dmsetup create hamirror-commands \
		--uuid LVM-of-this-test 2> /dev/null; then
		fields_are "devinfo /dev/mapper/hamirror-commands" \
			devices.0.kind,devices.0.sectors,devices.0.identity \
			"lvm 8192 dm:LVM-of-this-test"
	else
		say "left out: no device mapper here"
	fi
	say "ok: devinfo of devices"
}

test_hostinfo() {
	fields_are "hostinfo data@a" \
		hosts.a.needs.0.reachable,hosts.a.needs.1.reachable,hosts.a.needs.2.reachable \
		"true true true"
	fields_are "hostinfo data@a b" hosts.b.site,hosts.b.needs.2.reachable "lyon true"
	fields_are "hostinfo data@a b" hosts.0.identity ""
	[ -n "$(hamirror hostinfo data@a --field hosts.a.identity.kernel)" ] ||
		fail "this host has no identity"
	fields_are "status data@a" \
		nodes.a.needs.0.reachable,nodes.a.needs.0.kind,nodes.b.needs.2.reachable \
		"true log true"
	run stop b
	fields_are "hostinfo data@a b" hosts.b.needs.2.reachable "false"
	hamirror hostinfo data@a | grep -q 'b does not answer at 127' ||
		fail "hostinfo does not say why"
	run start b
	current_again a lyon
	hamirror hostinfo data@a c 2> "$DIR/out" && fail "a host that there is not"
	grep -q 'no host or witness "c"' "$DIR/out" || fail "it is not named"
	say "ok: hostinfo"
}

# ---- the line ---------------------------------------------------------------------------

# Each end measures it. A location that only one file has does not part them.
test_line() {
	sent_is() { [ "$(hamirror status data@a --field sites.lyon.sent_bytes_per_s)" -ge "$1" ]; }
	sed 's/- name: lyon/&\n    location: "Lyon, 3"/' "$DIR/etc/data.yaml" > "$DIR/located.yaml"
	run stop b
	hamirror status data@a | grep -q '^b  *lyon  *-  *127.* down  *20' || fail "b is not down"
	run start b --config "$DIR/located.yaml"
	current_again a lyon
	write a 0x22 0 1M
	# 1 MiB in ten seconds
	await 10 sent_is 104857 || fail "what is sent is not counted"
	[ "$(hamirror status data@b --field sites.paris.received_bytes_per_s)" -ge 104857 ] ||
		fail "what is received is not counted"
	[ "$(hamirror status data@a --field sites.lyon.rtt_us)" -gt 0 ] || fail "no round trip at a"
	[ "$(hamirror status data@b --field sites.paris.rtt_us)" -gt 0 ] ||
		fail "no round trip at b"
	hamirror status data@b | grep -q '^b  *lyon  *Lyon, 3  *127.* up ' || fail "no location"
	fields_are "status data@a" sites.lyon.location,sites.paris.rtt_us " "
	hamirror status data@a | grep -q "^b  *lyon  *-  *127.*:$PORT_B  *up  *20.* ms .*/s" ||
		fail "no figures in: $(hamirror status data@a)"
	run stop b
	fields_are "status data@a" sites.lyon.rtt_us,nodes.b.member " false"
	run start b
	current_again a lyon
	say "ok: the line"
}

# ---- check ------------------------------------------------------------------------------

# Run check at host $1; its lines are in $DIR/check.
check() { hamirror check "data@$1" --config "${2:-$DIR/etc/data.yaml}" > "$DIR/check" 2>&1; }
# $1: result, $2: name, $3: words of the line
line_is() {
	grep -q "^$1  *$2  *.*$3" "$DIR/check" ||
		fail "no line '$1 $2 ... $3' in: $(cat "$DIR/check")"
}

test_check() {
	local watcher
	dd if=/dev/zero of="$DIR/db.a" bs=1M count="$DISK_MIB" conv=notrunc status=none
	check a && fail "no watcher, and all is well"
	line_is ok version "daemon and command"
	line_is ok daemon "all is well"
	line_is '?' 'log speed' "log.a) is a file with holes"
	line_is ok space "MiB are free"
	line_is 'do' watcher "no hamirror-watch of data@a"
	line_is ok port "b answers"
	line_is ok file "that of b agrees"
	line_is ok size "fit"
	line_is ok mtu "b whole"
	printf 'bandwidth: {max: 100M}\n' | cat "$DIR/etc/data.yaml" - > "$DIR/other.yaml"
	check a "$DIR/other.yaml"
	line_is 'do' watcher "bandwidth do not hold"
	hamirror-watch data@a --listen "127.0.0.1:$(free_port)" 2> "$DIR/watch.log" &
	watcher=$!
	has_watcher() { check a; grep -q '^ok *watcher' "$DIR/check"; }
	await 10 has_watcher || fail "the watcher is not seen"
	kill $watcher
	say "ok: check where it goes well"
}

test_check_finds() {
	sed 's/^mode: .*/mode: near-sync/' "$DIR/etc/data.yaml" > "$DIR/other.yaml"
	check a "$DIR/other.yaml"
	line_is 'do' file "b has mode: sync, a near-sync"
	line_is 'do' file "was changed since the daemon"
	run stop b
	check a && fail "b is down, and all is well"
	line_is 'do' port "b does not answer"
	line_is 'do' daemon "lyon"
	truncate -s $((DISK_MIB + 1))M "$DIR/db.b"
	check b
	line_is 'do' daemon "no daemon of data@b"
	line_is ok size "fit"
	truncate -s $((DISK_MIB - 1))M "$DIR/db.b"
	check b
	line_is 'do' size "db"
	truncate -s "${DISK_MIB}M" "$DIR/db.b"
	mv "$DIR/db.b" "$DIR/away"
	check b
	line_is 'do' device "db"
	line_is '?' size "cannot be looked at"
	mv "$DIR/away" "$DIR/db.b"
	run start b
	current_again a lyon
	say "ok: check where it does not"
}

# Two network namespaces; the other end takes smaller packets than ours.
test_check_mtu() {
	local one=hamirror-$$-1 two=hamirror-$$-2
	if ! ip netns add $one 2> /dev/null; then
		say "left out: no network namespaces here"
		return
	fi
	ip netns add $two
	ip link add hm$$ netns $one type veth peer name hm$$ netns $two
	ip -n $one address add 10.99.0.1/24 dev hm$$
	ip -n $two address add 10.99.0.2/24 dev hm$$
	ip -n $one link set hm$$ up
	ip -n $two link set hm$$ up
	sed "s/b: .127.0.0.1:/b: \"10.99.0.2:/" "$DIR/etc/data.yaml" > "$DIR/mtu.yaml"
	ip netns exec $one hamirror check data@a --config "$DIR/mtu.yaml" > "$DIR/check"
	line_is ok mtu "packets of 1500 bytes reach b whole"
	ip -n $two link set hm$$ mtu 1400
	ip netns exec $one hamirror check data@a --config "$DIR/mtu.yaml" > "$DIR/check"
	line_is 'do' mtu "packets of 1500 bytes get lost on the way to b"
	ip -n $two link set hm$$ down
	ip netns exec $one hamirror check data@a --config "$DIR/mtu.yaml" > "$DIR/check"
	line_is '?' mtu "b answers no datagrams"
	ip netns del $one
	ip netns del $two
	say "ok: check of packets"
}

# ---- start ------------------------------------------------------------------------------

# In a session of its own, on a terminal that is hung up then: what was started there runs on.
test_hangup() {
	local daemon watcher port
	port=$(free_port)
	run stop b
	python3 - "data@b" "127.0.0.1:$port" "$DIR" <<-'END' || fail "the session does not end"
	import os, pty, signal, sys
	pid, master = pty.fork()
	if pid == 0:
	    os.execvp("sh", ["sh", "-c", 'hamirror start "$1"; '
	        'hamirror-watch "$1" --listen "$2" & echo $! > "$3/watcher"; '
	        'curl -so "$3/out" --retry 9 --retry-connrefused --retry-delay 1 "$2/metrics"; '
	        'echo rea""dy; read x', "sh", *sys.argv[1:]])
	said = b""
	while b"ready" not in said:
	    said += os.read(master, 4096)
	os.close(master)
	end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
	sys.exit(end != -signal.SIGHUP)
	END
	daemon=$(daemon_pid b)
	watcher=$(cat "$DIR/watcher")
	await 10 curl -sf -o /dev/null "http://127.0.0.1:$port/metrics" ||
		fail "the watcher has gone with its terminal"
	daemon_is_gone "$daemon" && fail "the daemon has gone with its terminal"
	current_again a lyon
	kill "$watcher"
	await 10 daemon_is_gone "$watcher" || fail "the watcher does not end"
	say "ok: what is started outlives the terminal"
}

pair_new
test_devinfo_of_a_mirror
test_devinfo_of_devices
test_hostinfo
test_line
test_check
test_check_finds
test_check_mtu
test_hangup
