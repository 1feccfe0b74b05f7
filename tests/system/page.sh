#!/bin/bash
# page.sh - the web page of hamirror-watch in Chromium: what it shows, and how soon; charts by
# keys; narrow and wide, light and dark; a token; throttles and the file; and what it refuses.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

pair_begin chromium curl

PORT_WATCH=$(free_port) PORT_TOKEN=$(free_port) places=()
mv "$DIR/etc" "$DIR/etc<b>x" # of which the daemon tells
ln -s "etc<b>x" "$DIR/etc"

answers() { curl -sf --max-time 30 -o /dev/null "$URL"; }
code() { curl -s -o /dev/null -w '%{http_code}' --max-time 5 "$@"; }

pair_clean
pair_yaml "" | sed 's/- name: paris/&\n    location: a <i>cellar<\/i>/' > "$DIR/etc/data.yaml"
pair_devices
pair_up
echo 'demote-drain: 9000' >> "$DIR/etc/data.yaml"
hamirror-watch data@a --listen "127.0.0.1:$PORT_WATCH" --period 1 2> "$DIR/watch.log" &
watcher=$!
URL=http://127.0.0.1:$PORT_WATCH/
await 10 answers || fail "no page: $(cat "$DIR/watch.log")"

headers=$(curl -sD- -o /dev/null "$URL")
[[ $headers == *"Content-Security-Policy: default-src 'none'"* ]] || fail "no policy: $headers"
[ "$(code -H 'Host: evil.example' "${URL}events")" = 403 ] || fail "another name is answered"
[ "$(code -H 'Host: localhost.evil.example' "${URL}perf/data@a")" = 403 ] || fail "or that one"
[ "$(code -H 'Host: evil.example' "${URL}metrics")" = 403 ] || fail "or figures to it"
[ "$(code "${URL}perf/..%2f..%2fetc")" = 404 ] || fail "a path is a name"
[ "$(code "${URL}log/data@c")" = 404 ] || fail "a log that is not there"
[ "$(code "${URL}other")" = 404 ] || fail "another page"
[ "$(code -d '{"name":"data@a","command":"demote"}' "${URL}action")" = 403 ] ||
	fail "a command without a token"
[ "$(code "${URL}config/..%2f..%2fetc")" = 404 ] || fail "a path is a name of a file"
[ "$(code -H 'Host: evil.example' "${URL}config/data@a")" = 403 ] || fail "a file to another name"
was=$(cksum < "$DIR/etc/data.yaml")
change=$(python3 -c 'import json, sys; print(json.dumps({"name": "data@a", "command": "config",
	"was": open(sys.argv[1]).read(), "key": "port", "value": "7000"}))' "$DIR/etc/data.yaml")
[ "$(code -d "$change" "${URL}action")" = 403 ] || fail "a file is changed without a token"
chmod o-r "$DIR/etc/data.yaml"
curl -s "${URL}config/data@a" | grep -q "with --token only" || fail "a file that its mode hides"
chmod o+r "$DIR/etc/data.yaml"
curl -s "${URL}config/data@a" | grep -q "\"config\":{" || fail "a file that all may read"
say "ok: what is refused"

# A daemon that hangs keeps those waiting who ask for its figures, and nobody else: so long as
# the watcher has not given it up, pages and the other daemon's figures come first. A machine
# too busy for that gets further chances.
others_first() {
	local path status
	exec 5<> "/dev/tcp/127.0.0.1/$PORT_WATCH"
	printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&5
	for path in "$URL" "${URL}config.js" "${URL}log/data@b" "${URL}config/data@a" \
		"http://127.0.0.1:$PORT_TOKEN/metrics"; do
		[ "$(code --max-time 60 "$path")" = 200 ] || fail "$path while a daemon hangs"
	done
	! read -rt 0 <&5
	status=$?
	read -r said <&5
	[[ $said == *" 200 "* ]] || fail "no figures of a daemon that hangs: $said"
	exec 5>&-
	return $status
}
hamirror-watch data@b --listen "127.0.0.1:$PORT_TOKEN" --period 0 2> "$DIR/watch.b.log" &
watcher_b=$!
await 10 curl -sf -o /dev/null "http://127.0.0.1:$PORT_TOKEN/metrics" ||
	fail "no figures of b: $(cat "$DIR/watch.b.log")"
kill -STOP "$(daemon_pid a)"
for _ in {1..5}; do
	others_first && break
done || fail "a daemon that hangs holds the pages"
kill -CONT "$(daemon_pid a)"
kill $watcher_b
wait $watcher_b || fail "the watcher of b: $?"
current_again a lyon
say "ok: a daemon that hangs holds its figures alone"

timeout 600 python3 "$SYSTEM/page_config.py" "$URL" look || fail "the file, to be read"
[ "$(cksum < "$DIR/etc/data.yaml")" = "$was" ] || fail "the file was changed"
say "ok: the file is shown, and not changed"

write a 0x11 1M 256k
timeout 600 python3 "$SYSTEM/page.py" "$URL" "$(daemon_pid a)" "$(daemon_pid b)" $watcher ||
	fail "the page"
wait $watcher 2> /dev/null
say "ok: the page in Chromium"

echo "open sesame" > "$DIR/token"
hamirror-watch data@a --listen "127.0.0.1:$PORT_TOKEN" --token "$DIR/token" \
	2> "$DIR/watch.log" &
watcher=$!
URL=http://127.0.0.1:$PORT_TOKEN/
await 10 answers || fail "no page: $(cat "$DIR/watch.log")"
run start b
current_again a lyon
for path in events perf/data@a log/data@a config/data@a metrics; do
	[ "$(code "$URL$path")" = 401 ] || fail "/$path without a token"
done
header='Authorization: Bearer open sesame'
[ "$(code -d '{"name":"data@a","command":"demote"}' "${URL}action")" = 401 ] ||
	fail "a command without the token"
[ "$(code -d "$change" "${URL}action")" = 401 ] || fail "a change without the token"
[ "$(code -H "${header}x" -d "$change" "${URL}action")" = 401 ] || fail "a wrong token"
[ "$(cksum < "$DIR/etc/data.yaml")" = "$was" ] || fail "the file was changed"
head -c 6M /dev/zero | tr '\0' ' ' > "$DIR/long"
said=$(curl -s --max-time 30 -H "$header" -d "@$DIR/long" "${URL}action")
[[ $said == *"too long"* ]] || fail "6 MiB are taken: $said"
rm "$DIR/long"
[ "$(code -H "$header" "${URL}action")" = 405 ] || fail "a command by GET"
for body in '{"name":"data@a","command":"stop"}' '{"command":"demote"}' x \
	'{"name":"../x","command":"demote"}' "{\"name\":\"$(printf '%5000s' x)\"}"; do
	[ "$(code -H "$header" -d "$body" "${URL}action")" = 400 ] || fail "taken: $body"
done

# Without the token no body is waited for, and nobody takes all places.
exec 5<> "/dev/tcp/127.0.0.1/$PORT_TOKEN"
printf 'POST /action HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n' >&5
read -rt 5 said <&5 || said="no answer"
[[ $said == *401* ]] || fail "a body is waited for: $said"
exec 5>&-
for _ in {1..40}; do
	exec {place}<> "/dev/tcp/127.0.0.1/$PORT_TOKEN" && places+=("$place")
done
[ "$(code --interface 127.0.0.2 "$URL")" = 200 ] || fail "one address has taken all places"
for place in "${places[@]}"; do
	exec {place}>&-
done
await 10 answers || fail "places are not given back"

timeout 600 python3 "$SYSTEM/page_config.py" "$URL" "$DIR/etc/data.yaml" "$DIR/watch.log" ||
	fail "throttles and the file"

# A line that looks like an item of the list and is none: the change would be of another one.
cp "$DIR/etc/data.yaml" "$DIR/kept"
cat >> "$DIR/etc/data.yaml" <<'END'
throttles:
  - {test: pctwl, operator: ">", value: 99, actions: [{log: "one
  - two"}]}
  - {test: pctwl, operator: ">", value: 98, actions: [{log: three}]}
END
was=$(cksum < "$DIR/etc/data.yaml")
change=$(python3 -c 'import json, sys; print(json.dumps({"name": "data@a", "command": "config",
	"was": open(sys.argv[1]).read(), "throttle": 2, "item": {"test": "pctwl",
	"operator": ">", "value": "97", "actions": [{"log": "four"}]}}))' "$DIR/etc/data.yaml")
said=$(curl -s --max-time 30 -H "$header" -d "$change" "${URL}action")
[[ $said == *"would change more"* ]] || fail "another throttle is changed: $said"
[ "$(cksum < "$DIR/etc/data.yaml")" = "$was" ] || fail "it is written"
cp "$DIR/kept" "$DIR/etc/data.yaml"
say "ok: throttles and the file"

timeout 600 python3 "$SYSTEM/page.py" "$URL" token "$(daemon_pid a)" "$(daemon_pid b)" ||
	fail "the page with a token"
curl -sN -H "$header" "${URL}events" > "$DIR/stream" &
await 10 test -s "$DIR/stream" || fail "no stream"
kill $watcher
wait $watcher || fail "a signal is no failure while a page is open: $?"
say "ok: a token"
