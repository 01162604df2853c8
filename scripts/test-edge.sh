#!/usr/bin/env bash
# Runs what the image seckill-edge starts, docker/edge/edge.sh, on this machine's nginx:
# values that make no sense are refused with their variable and what would be right, those
# on several lines and in IPv6 are taken, and the log of requests keeps within its size.
#
# Needs nginx and curl. Everything is in target/edge and on loopback addresses. Prints a
# PASS or FAIL line for each fact.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

for tool in nginx curl; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with: apt-get install nginx curl"
done
module=$PWD/target/nginx/ngx_http_seckill_module.so
[ -e "$module" ] || scripts/build.sh --quiet

work=$PWD/target/edge
rm -rf "$work"
mkdir -p "$work/logs" "$work/run" "$work/pages"
edge_pid=
stop() {
    [ -n "$edge_pid" ] || return 0
    kill -TERM "$edge_pid" 2>/dev/null || true
    wait "$edge_pid" 2>/dev/null || true
    edge_pid=
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The script and its template, with the paths and ports of this machine.
mapfile -t ports < <(free_ports 3)
port=${ports[0]} log=$work/logs/seckill.json
sed -e "s|/etc/seckill/nginx.conf|$work/template.conf|; s|/var/log/nginx|$work/logs|" docker/edge/edge.sh >"$work/edge.sh"
{
    [ "$(id -u)" -ne 0 ] || echo 'user root;'
    sed -e "s|^include /etc/nginx/modules-enabled/.*|load_module $module;|; s|/usr/share/seckill|$PWD|; s|/var/lib/seckill/pages|$work/pages|" \
        -e "s|listen 8080|listen $port|; s|listen 8081|listen ${ports[1]}|; s|listen 9145|listen ${ports[2]}|" docker/edge/nginx.conf
} >"$work/template.conf"
printf 'k1 %064d\n' 1 >"$work/keys"
chmod 600 "$work/keys"
# In a process of its own, which becomes nginx.
edge() {
    exec env SECKILL_EDGE_WORK="$work/run" SECKILL_EDGE_KEYS="$work/keys" SECKILL_EDGE_REDIS=127.0.0.1:1 SECKILL_EDGE_PURCHASE=127.0.0.1:1 \
        SECKILL_EDGE_OPS=127.0.0.1:1 "$@" sh "$work/edge.sh"
}

# --- Values that make no sense -----------------------------------------------

# refused VALUE CURE: the reason names variable, value and cure, at once.
refused() {
    local said status=0
    said=$(timeout 10 env SECKILL_EDGE_WORK="$work/run" SECKILL_EDGE_KEYS="$work/keys" "$1" sh "$work/edge.sh" 2>&1) || status=$?
    fact "$1" "2 ${1%%=*} $2" "$status $(grep -o "^edge: ${1%%=*}" <<<"$said" | cut -d ' ' -f 2) $(grep -o -e "$2" <<<"$said" | head -n 1)"
}
refused 'SECKILL_EDGE_REDIS=redis;deny' 'write HOST:PORT'
refused 'SECKILL_EDGE_PURCHASE=a:7001,b:7001' 'several with spaces in between'
refused 'SECKILL_EDGE_OPS=ops' 'write HOST:PORT'
refused 'SECKILL_EDGE_RATE=50,000' 'a second such as 50000'
refused 'SECKILL_EDGE_ZONE=64 MB' 'a size such as 64m'
refused 'SECKILL_EDGE_PROXIES=10.0.0.0/33' 'networks such as 10.0.0.0/24'
refused 'SECKILL_EDGE_PROXIES=10.0.0.1,10.0.0.2' 'several with spaces in between'
refused 'SECKILL_EDGE_METRICS=prometheus' 'names are not looked up'
refused 'SECKILL_EDGE_SENTINEL=shop two' 'the name that the Sentinels have'
refused 'SECKILL_EDGE_LOG_MB=1GB' 'megabytes such as 512'

# --- Values that do ------------------------------------------------------------

serves() { curl -fsS -g -o "$work/answer" "http://$1/api/time" 2>/dev/null; }
start() {
    edge "$@" 2>"$work/said" &
    edge_pid=$!
    poll_until 20 serves "127.0.0.1:$port" || fail "the edge does not serve: $(cat "$work/said")"
}
start SECKILL_EDGE_PURCHASE=$'127.0.0.1:1\n[::1]:7001 ' SECKILL_EDGE_REDIS='[::1]:1' SECKILL_EDGE_PROXIES=$'10.0.0.0/8\nfd00::/8' \
    SECKILL_EDGE_METRICS='10.0.0.0/8 fd00::5' SECKILL_EDGE_LOG_MB=1
fact "values on two lines and in IPv6" 2 "$(grep -c server "$work/run/purchase.conf")"
if [ -e /proc/net/if_inet6 ]; then
    fact "it serves by IPv6" yes "$(serves "[::1]:$port" && echo yes)"
fi

fact "the clock beside the figures" yes "$(serves "127.0.0.1:${ports[2]}" && echo yes)"

# --- The log -------------------------------------------------------------------

# A renamed log takes the place of the one before. So no more is sent than fills one, for a
# slow machine renames it long before the last request.
agent=$(head -c 900 /dev/zero | tr '\0' a) sent=0
logged() { cat "$log" "$log.1" 2>/dev/null | wc -l; }
is_logged() { [ "$(logged)" -ge "$sent" ]; }
# crowd COUNT: that many requests, until they are in the log.
crowd() {
    for _ in $(seq "$1"); do echo "url = http://127.0.0.1:$port/api/time"; echo "output = /dev/null"; done | curl -sS -A "$agent" -K -
    sent=$((sent + $1))
    poll_until 60 is_logged || true
}
is_full() { [ -e "$log.1" ] || [ "$(stat -c %s "$log")" -ge 1000000 ]; }
until is_full || [ "$sent" -ge 2000 ]; do crowd 200; done
is_renamed() { [ -e "$log.1" ] && [ -e "$log" ]; }
poll_until 60 is_renamed && said=yes || said=no
fact "a log of more than a megabyte is renamed" yes "$said"
is_let_go() {
    local pid
    for pid in "$edge_pid" $(pgrep -P "$edge_pid"); do
        [ -z "$(find "/proc/$pid/fd" -lname "$log.1" 2>/dev/null)" ] || return 1
    done
}
poll_until 60 is_let_go || true
crowd 500
within "lines in both, none lost" "$sent" $((sent + 100)) "$(logged)"
is_in_new() { [ "$(wc -l <"$log")" -ge 500 ]; }
fact "what comes later is in the new one" yes "$(poll_until 10 is_in_new && echo yes)"
stop
rm "$log" "$log.1"
start SECKILL_EDGE_LOG_MB=0
stop
fact "no log, if none is wanted" "" "$(ls "$work/logs")"
exit "$failed"
