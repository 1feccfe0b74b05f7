#!/bin/bash
# watch.sh - hamirror-watch beside a pair: what Prometheus gets, and the alerts that follow.
# Whatever becomes of the watcher, clients write on.
set -u
# shellcheck source-path=SCRIPTDIR source=pair.sh disable=SC1091
. "$(dirname "$(readlink -f "$0")")/pair.sh"

RULES=$(dirname "$(dirname "$SYSTEM")")/agent/prometheus-rules.yaml
pair_begin curl openssl prometheus promtool

PORT_WATCH=$(free_port) PORT_TLS=$(free_port) PORT_PROMETHEUS=$(free_port)

scrape() { curl -sf --max-time 30 "http://127.0.0.1:$PORT_WATCH/metrics" > "$DIR/metrics"; }
value() { scrape && sed -n "s/^hamirror_$1{[^}]*$2[^}]*} //p" "$DIR/metrics" | head -n 1; }
is() { [ "$(value "$1" "$2")" = "$3" ]; }
series() { sed '/^#/d; s/ [^ ]*$//' "$DIR/metrics"; }

begin() {
	pair_new
	hamirror-watch data@a --listen "127.0.0.1:$PORT_WATCH" 2> "$DIR/watch.log" &
	watcher=$!
	await 10 scrape || fail "no metrics: $(cat "$DIR/watch.log")"
}

test_figures() {
	local before queue said
	promtool check metrics < "$DIR/metrics" || fail "promtool refuses the metrics"
	before=$(value writes_total '')
	write a 0x11 1M 64k
	await 10 is writes_total '' $((before + 1)) || fail "a write does not count"
	is site_current 'site="lyon"' 1 || fail "lyon is not current"
	is serving '' 1 || fail "a does not serve"
	hamirror status data@a --json | python3 -c '
import json, sys
for queue in json.load(sys.stdin)["queues"]: print(queue["name"])' > "$DIR/queues"
	[ -s "$DIR/queues" ] || fail "no queues"
	while read -r queue; do
		grep -q "^hamirror_queue_entries{.*queue=\"$queue\"} [0-9]" "$DIR/metrics" ||
			fail "no figure of the queue '$queue'"
	done < "$DIR/queues"
	said=$(curl -s -o /dev/null -w '%{http_code}' -d x "http://127.0.0.1:$PORT_WATCH/metrics")
	[ "$said" = 405 ] || fail "POST: $said"
	said=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT_WATCH/other")
	[ "$said" = 404 ] || fail "another page: $said"
	say "ok: figures"
}

test_refusals() {
	local said
	said=$(hamirror-watch data@a --listen 0.0.0.0:1 2>&1) && fail "beyond loopback in the clear"
	[[ $said == *"--token"* ]] || fail "no remedy in: $said"
	said=$(hamirror-watch data@a --listen "127.0.0.1:$PORT_WATCH" 2>&1) && fail "two on a port"
	[[ $said == *"$PORT_WATCH"*"in use"* ]] || fail "no port in: $said"
	said=$(hamirror-watch other 2>&1) && fail "a mirror that is not there"
	[[ $said == *"other.yaml"* ]] || fail "no file in: $said"
	said=$(hamirror-watch data@a --token "$DIR/none" 2>&1) && fail "a token that is not there"
	[[ $said == *"$DIR/none"* ]] || fail "no file in: $said"
	say "ok: refusals"
}

secret() { curl -s -o /dev/null -w '%{http_code}' --cacert "$DIR/cert" "$@" \
	"https://localhost:$PORT_TLS/metrics"; }
secret_is() { [ "$(secret "${@:2}")" = "$1" ]; }

test_tls() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout "$DIR/key" \
		-out "$DIR/cert" 2> "$DIR/openssl" || fail "$(cat "$DIR/openssl")"
	echo "open sesame" > "$DIR/token"
	hamirror-watch data@a --listen "0.0.0.0:$PORT_TLS" --certificate "$DIR/cert" \
		--key "$DIR/key" --token "$DIR/token" 2> "$DIR/tls.log" &
	await 10 secret_is 401 || fail "without a token: $(secret) $(cat "$DIR/tls.log")"
	secret_is 401 -H "Authorization: Bearer open sesam" || fail "half of the token is enough"
	secret_is 200 -H "Authorization: Bearer open sesame" || fail "the token is not enough"
	kill $!
	wait $! || fail "a signal is no failure: $?"
	say "ok: TLS, and a token"
}

# The watcher stands still, and dies.
test_without_watcher() {
	kill -STOP "$watcher"
	write a 0x22 2M 64k
	run demote a
	run promote a
	current_again a lyon
	kill -KILL "$watcher"
	wait "$watcher" 2> /dev/null
	write a 0x33 3M 64k
	hamirror-watch data@a --listen "127.0.0.1:$PORT_WATCH" 2> "$DIR/watch.log" &
	watcher=$!
	await 10 scrape || fail "no metrics: $(cat "$DIR/watch.log")"
	say "ok: stopped and killed under a write and a promotion"
}

alerts() {
	curl -s "http://127.0.0.1:$PORT_PROMETHEUS/api/v1/alerts" | python3 -c '
import json, sys
for a in json.load(sys.stdin)["data"]["alerts"]:
    if a["state"] == "firing": print(a["labels"]["alertname"])' 2> /dev/null
}
fires() { alerts | grep -qx "$1"; }
is_scraped() {
	curl -s "http://127.0.0.1:$PORT_PROMETHEUS/api/v1/query?query=hamirror_up" |
		grep -q '"host":"a".*"1"'
}

test_alerts() {
	local pid
	promtool check rules "$RULES" > "$DIR/rules" || fail "$(cat "$DIR/rules")"
	sed "s|RULES|$RULES|" "$SYSTEM/watch_rules.yaml" > "$DIR/rules_test.yaml"
	promtool test rules "$DIR/rules_test.yaml" > "$DIR/rules" 2>&1 || fail "$(cat "$DIR/rules")"
	cat > "$DIR/prometheus.yml" <<-END
	global: {scrape_interval: 5s, evaluation_interval: 1s}
	rule_files: [$RULES]
	scrape_configs:
	  - {job_name: hamirror, static_configs: [{targets: ["127.0.0.1:$PORT_WATCH"]}]}
	END
	prometheus --config.file="$DIR/prometheus.yml" --storage.tsdb.path="$DIR/tsdb" \
		--web.listen-address="127.0.0.1:$PORT_PROMETHEUS" > "$DIR/prometheus.log" 2>&1 &
	await 60 is_scraped || fail "not scraped: $(tail -n 3 "$DIR/prometheus.log")"
	[ -z "$(alerts)" ] || fail "fires while all is well: $(alerts)"

	# the copy is gone, and writes wait for it
	scrape
	series > "$DIR/series"
	kill_daemon b
	qemu-io -f raw -c "write -P 0x44 4M 4k" "$(uri a)" > /dev/null 2>&1 &
	await 60 fires HamirrorFrozen || fail "no alert while writes wait: $(alerts)"
	run disconnect a
	wait $!

	# the daemon stands still: the figures are not known, and nobody hangs
	pid=$(daemon_pid a)
	kill -STOP "$pid"
	is up '' 0 || fail "a daemon that stands still answers"
	is serving '' NaN || fail "an old answer"
	series | cmp - "$DIR/series" || fail "series have gone"
	await 60 fires HamirrorDown || fail "no alert of a daemon that hangs: $(alerts)"
	kill -CONT "$pid"
	await 20 is up '' 1 || fail "it answers again, and is called down"
	say "ok: alerts"
}

begin
test_figures
test_refusals
test_tls
test_without_watcher
test_alerts
kill "$watcher"
wait "$watcher" || fail "a signal is no failure: $?"
