#!/usr/bin/env bash
# What the everyday shop notices of a sale beside it: mall.example.com by
# conf/sites/mall.conf, an nginx of its own on a core of its own, and on another core a
# whole shop in which buyers race. The mall's latency at a steady pace, without the race
# and with it in turn; then with the sale on the mall's core, to see what isolation saves.
#
# ROUNDS (5) of SECONDS_EACH (4). Needs two cores and wrk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh

rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-4}
command -v wrk >/dev/null || fail "wrk is missing; install it with: apt-get install wrk"
mapfile -t cpus < <(cores)
[ "${#cpus[@]}" -ge 2 ] || { step "One core: nothing to isolate"; exit 0; }
mall_cpu=${cpus[0]} sale_cpu=${cpus[1]}
work=$PWD/target/drills/mall
rm -rf "$work"
mkdir -p "$work/temp"
mall_pid='' race_pid=''
finish() {
    for pid in $race_pid $mall_pid; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    shop_stop || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

read -r port first second < <(free_ports 3 | paste -sd ' ')
cat >"$work/nginx.conf" <<CONF
daemon off;
worker_processes 1;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
pid $work/pid;
error_log $work/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $work/temp/a; proxy_temp_path $work/temp/b; fastcgi_temp_path $work/temp/c;
    uwsgi_temp_path $work/temp/d; scgi_temp_path $work/temp/e;
    server { listen 127.0.0.1:$first; listen 127.0.0.1:$second; location / { return 200 shop; } }
$(sed -e "s/listen 443 .*/listen 127.0.0.1:$port;/; /ssl_certificate/d; /tls.conf;/d" \
    -e "s/10.0.1.1:8080/127.0.0.1:$first/; s/10.0.1.[23]:8080/127.0.0.1:$second/" conf/sites/mall.conf)
}
CONF
taskset -c "$mall_cpu" nginx -p "$work/" -c "$work/nginx.conf" -e "$work/error.log" &
mall_pid=$!
mall_answers() { [ "$(curl -s "http://127.0.0.1:$port/")" = shop ]; }
poll_until 10 mall_answers || fail "the mall's nginx does not answer; see $work/error.log"

# on CPU: the shop and everything that it starts is there from now on.
on() { for pid in $(family "$shop_pid"); do taskset -acp "$1" "$pid" >>"$work/taskset.log" 2>&1 || true; done; }
family() { echo "$1"; for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do family "$child"; done; }

shop_place "$work/shop"
shop_start
on "$sale_cpu"

cat >"$work/paced.lua" <<'LUA'
function delay() return 5 end
function done(summary, latency)
    io.write(string.format("latency_us %d %d %d\n", latency:percentile(50), latency:percentile(99), summary.requests))
    io.write(string.format("not_2xx %d\n", summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
LUA
# mall KIND: appends "p50 p99 requests failed" of some seconds.
mall() {
    taskset -c "$mall_cpu" wrk -t 1 -c 4 -d "${seconds}s" -s "$work/paced.lua" "http://127.0.0.1:$port/" >"$work/wrk.out" 2>&1 ||
        fail "wrk failed; see $work/wrk.out"
    awk '/^latency_us/ { a = $2 " " $3 " " $4 } /^not_2xx/ { print a, $2 }' "$work/wrk.out" >>"$work/$1"
}
# race_on NAME CPU: buyers click without a pause, also when all is sold.
race_on() {
    sell_in_shop "$1" +1s +10m 500
    taskset -c "$2" "$seckill" load race --base "$shop_url" --round "$1" --product 1 --buyers 20000 --concurrency 64 \
        --retry-busy --until-sold-out 600 --limit 600 >"$work/race.json" 2>"$work/race.err" &
    race_pid=$!
    poll_until 60 somebody_bought "$1" || fail "nobody buys; see $work/race.err"
}
somebody_bought() { [ "$(redis-cli -s "$SECKILL_DATA/run/redis.sock" --raw HGET "seckill::{$1::1::01}::stock" sale_stock_amount)" != 500 ]; }
race_over() {
    kill -TERM "$race_pid" 2>/dev/null || true
    wait "$race_pid" 2>/dev/null || true
    race_pid=''
}
step "The mall, with and without a sale on another core"
for n in $(seq "$rounds"); do
    mall quiet
    race_on "far$n" "$sale_cpu"
    mall far
    race_over
done
step "The same on the mall's core"
on "$mall_cpu"
for n in $(seq "$rounds"); do
    race_on "near$n" "$mall_cpu"
    mall near
    race_over
done
# The middle of the rounds: a machine that is busy with something else spoils some of them.
middle() { cut -d ' ' -f "$2" "$work/$1" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
for kind in quiet far near; do
    printf '   %-6s p50 %6d us   p99 %6d us   %d requests in a round\n' "$kind" "$(middle $kind 1)" "$(middle $kind 2)" "$(middle $kind 3)"
done
fact "requests of the mall that failed" 0 "$(cat "$work/quiet" "$work/far" "$work/near" | awk '{ n += $4 } END { print n + 0 }')"
within "p99 of the mall during a sale beside it, in us" 0 "$((2 * $(middle quiet 2) + 2000))" "$(middle far 2)"
exit "$failed"
