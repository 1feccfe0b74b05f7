#!/bin/bash
# service.sh - the systemd unit: systemd finds nothing wrong in it, and it describes the
# daemon as it is: its command line, readiness, the end, exit codes, names.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin systemd-analyze systemd-socket-activate
[ -e "$BUILD/agent/hamirror@.service" ] || fail "no unit in $BUILD"

# The units of the build, with the programs of the build.
unit=$DIR/hamirror@.service
for name in hamirror@.service hamirror@.socket hamirror-watch@.service; do
	sed "s,=[^ =]*/\(hamirrord*\|hamirror-watch\) ,=$BUILD/\1 ," "$BUILD/agent/$name" \
		> "$DIR/$name"
done

setting() { sed -n "s/^$1=//p" "$unit"; }

# The command of setting $1 as systemd runs it for instance $2, to `line`.
command_of() { read -r -a line <<< "$(setting "$1" | sed "s/%i/$2/g")"; }

test_verify() {
	said=$(systemd-analyze verify --man=no "$unit" 2>&1) || fail "systemd-analyze: $said"
	[ -z "$said" ] || fail "systemd-analyze: $said"
	said=$(systemd-analyze verify --man=no "$DIR/hamirror-watch@.service" 2>&1) ||
		fail "systemd-analyze: $said"
	[ -z "$said" ] || fail "systemd-analyze: $said"
	said=$(systemd-analyze verify --man=no "$DIR/hamirror@.socket" 2>&1) ||
		fail "systemd-analyze: $said"
	[ -z "$said" ] || fail "systemd-analyze: $said"
	grep -qx "ListenStream=7790" "$DIR/hamirror@.socket" || fail "not the port by default"
	! grep -v '^#' "$unit" | grep -q '%[^i]' || fail "a specifier other than %i changes names"
	[ "$(setting Type)" = notify ] || fail "this test knows of Type=notify only"
	say "ok: systemd-analyze finds nothing"
}

# The command of instance $1 under a socket for notifications: its messages go to
# $DIR/told, its exit status to $DIR/status.
run_service() {
	rm -f "$DIR/told" "$DIR/status"
	command_of ExecStart "$1"
	python3 - "$DIR" "${line[@]}" > "$DIR/service" 2>&1 <<-'END' &
	import os, socket, subprocess, sys
	directory, command = sys.argv[1], sys.argv[2:]
	listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	path = directory + "/notify"
	if os.path.exists(path):
	    os.unlink(path)
	listener.bind(path)
	listener.settimeout(0.1)
	process = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": path})
	while process.poll() is None:
	    try:
	        told = listener.recv(4096).decode()
	    except TimeoutError:
	        continue
	    with open(directory + "/told", "a") as file:
	        file.write(told + "\n")
	with open(directory + "/status", "w") as file:
	    file.write(str(process.returncode))
	END
	service=$!
}

ends_with() {
	wait $service
	[ "$(cat "$DIR/status")" = "$1" ] ||
		fail "ended with $(cat "$DIR/status"), not $1: $(cat "$DIR/service")"
}

prevents_restart() { [[ " $(setting RestartPreventExitStatus) " == *" $1 "* ]]; }

# The unit takes away nothing that the daemon asks for when memory is short.
test_memory() {
	[ "$(setting LimitMEMLOCK)" = infinity ] || fail "memory cannot be locked"
	[ "$(setting OOMScoreAdjust)" = -1000 ] || fail "it may be killed for memory"
	[[ -z "$(setting CapabilityBoundingSet)" ||
		"$(setting CapabilityBoundingSet)" == *CAP_SYS_RESOURCE* ]] ||
		fail "no CAP_SYS_RESOURCE: $(setting CapabilityBoundingSet)"
	[ -z "$(setting User)$(setting PrivateUsers)" ] || fail "it does not run as root"
	say "ok: it may ask for all that it needs when memory is short"
}

test_ready() {
	pair_yaml "" > "$DIR/etc/data.yaml"
	pair_devices
	run create a
	run_service data@a
	await 20 grep -qsx READY=1 "$DIR/told" || fail "not ready: $(cat "$DIR/service")"
	[ "$(field a '' data)" = Consistent ] || fail "ready, but its disks are not open"
	command_of ExecStop data@a
	"${line[@]}" > "$DIR/stop" 2>&1 || fail "${line[*]}: $(cat "$DIR/stop")"
	ends_with 0
	run_service data@a
	await 20 grep -qsx READY=1 "$DIR/told" || fail "not ready: $(cat "$DIR/service")"
	kill -TERM "$(daemon_pid a)"
	ends_with 0
	say "ok: ready when the disks are open, stopped by command and by signal"
}

test_refused() {
	truncate -s 0 "$DIR/log.a"
	run_service data@a
	ends_with 1
	prevents_restart 1 || fail "a refusal would be tried again for ever"
	[ ! -e "$DIR/told" ] || fail "refused, yet it told: $(cat "$DIR/told")"
	prevents_restart 2 || fail "a usage error would be tried again for ever"
	say "ok: a refusal is told by its exit status, and not tried again"
}

# A witness whose corosync is not there yet tries again for as long as it takes.
test_tried_again() {
	if pgrep -x corosync > /dev/null; then
		say "SKIP: corosync runs on this machine"
		return
	fi
	grep -v "cluster: none\|addresses:" "$DIR/etc/data.yaml" > "$DIR/etc/my-data.yaml"
	sed -i "s/^mirror: data/mirror: my-data/; \$a witnesses: [$(uname -n)]" \
		"$DIR/etc/my-data.yaml"
	run_service my-data
	ends_with 75
	grep -qi corosync "$DIR/service" || fail "no reason: $(cat "$DIR/service")"
	! prevents_restart 75 || fail "a passing failure would not be tried again"
	[ "$(setting StartLimitIntervalSec)" = 0 ] || fail "it would be given up after some tries"
	say "ok: without corosync it ends with 75 and is tried again"
}

# The daemon of the copy is not there; production's first connection starts it, and is served.
test_on_demand() {
	local variable options=()
	pair_new
	write a 0x33 0 64k
	run stop b
	for variable in CONFIG STATE RUN LOG DEV; do options+=(-E "HAMIRROR_${variable}_DIR"); done
	command_of ExecStart data@b
	systemd-socket-activate -l "127.0.0.1:$PORT_B" "${options[@]}" "${line[@]}" \
		> "$DIR/activated" 2>&1 &
	service=$!
	current_again a lyon
	[ "$(daemon_pid b)" = "$service" ] || fail "b is not what was started on demand"
	run stop b
	wait $service || fail "ended with $?: $(cat "$DIR/activated")"
	say "ok: started by the first connection"
}

# Give the daemon of $1 these sockets, of python, as a service manager does.
give() {
	python3 - "$BUILD/hamirrord" "$1" "$2" "$DIR/inode" > "$DIR/given" 2>&1 <<-'END' &
	import os, socket, sys
	port = int(sys.argv[3].split()[1])
	given = []
	for what in sys.argv[3].split()[0]:
	    one = socket.socket(socket.AF_INET6 if what == "6" else socket.AF_INET)
	    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	    if what == "6":
	        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
	    one.bind(("::" if what == "6" else "127.0.0.1", port))
	    one.setblocking(False)
	    if what != "-":
	        one.listen()
	    given.append(one)
	copies = [os.dup(one.fileno()) for one in given]
	copies = [os.fdopen(os.dup2(copy, 30 + i), "r+b", 0) for i, copy in enumerate(copies)]
	for i, copy in enumerate(copies):
	    os.dup2(copy.fileno(), 3 + i)
	with open(sys.argv[4], "w", encoding="utf-8") as file:
	    file.write(str(os.fstat(3).st_ino))
	os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)))
	os.execv(sys.argv[1], ["hamirrord", sys.argv[2], "--foreground"])
	END
	service=$!
}

test_given() {
	local other
	give data@b "64 $PORT_B"
	current_again a lyon
	[ "$(daemon_pid b)" = "$service" ] || fail "b is not what was started"
	[ "$(stat -L -c %i "/proc/$service/fd/3")" = "$(cat "$DIR/inode")" ] ||
		fail "it listens on a socket of its own"
	event_says b "cannot listen" && fail "a socket that does not block is not listened on"
	run stop b
	wait $service || fail "ended with $?: $(cat "$DIR/given")"
	other=$(free_port)
	give data@b "4 $other"
	wait $service
	[ $? = 1 ] || fail "a socket of another port: $(cat "$DIR/given")"
	grep -q "listens on TCP port $other .* expected $PORT_B" "$DIR/given" ||
		fail "it is not named: $(cat "$DIR/given")"
	give data@b "- $PORT_B"
	wait $service
	[ $? = 1 ] || fail "a socket that does not listen: $(cat "$DIR/given")"
	LISTEN_FDS=1 LISTEN_PID=1 run start b
	current_again a lyon
	say "ok: sockets that do not block, of both families; others are refused"
}

test_verify
test_memory
test_ready
test_refused
test_tried_again
test_on_demand
test_given
