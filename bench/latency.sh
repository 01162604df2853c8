#!/usr/bin/env bash
# What the gate adds to the time of a proxied purchase, at 70 % of the load that
# the same nginx bears without it: one worker on one core, wrk and the back end on
# the other, gated and ungated in alternating rounds.
#
# The back end answers at once (an nginx of its own), so that the gate is all that
# differs. ROUNDS and SECONDS_EACH change how long it takes. Writes
# bench/results/latency.json; the exit status does not depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

buyers=${BUYERS:-20000}
shoppers=256

prepare
start_redis
(umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
mapfile -t ports < <(free_ports 2)
declare -A port=([ungated]=${ports[0]} [gated]=${ports[1]})
now=$(($(date +%s) * 1000))
cli HSET "seckill::{1::153}::info" limit 1000000000000 >>"$work/redis.out"
cli HSET seckill::catalogue 1::153 \
    "{\"opens_ms\":$((now - 10000)),\"ends_ms\":$((now + 86400000)),\"limit\":1000000000000,\"per_buyer\":1,\"segments\":1,\"price_cents\":1}" version 1 >>"$work/redis.out"

user=$([ "$(id -u)" -ne 0 ] || echo 'user root;')
paths() { echo "client_body_temp_path $work/$1b; proxy_temp_path $work/$1p; fastcgi_temp_path $work/$1f; uwsgi_temp_path $work/$1u; scgi_temp_path $work/$1s;"; }
mkdir -p "$work/back"
cat >"$work/back.conf" <<CONF
daemon off; worker_processes 1; pid $work/back.pid; error_log $work/back.log warn; $user
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000; $(paths back)
    server { listen unix:$work/back.sock; location / { default_type application/json; return 202 '{"status":"processing"}'; } }
}
CONF
cat >"$work/nginx.conf" <<CONF
load_module $module;
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/error.log warn; $user
events { worker_connections 2048; }
http {
    access_log off; keepalive_requests 1000000000; $(paths edge)
    seckill_zone bench:8m;
    seckill_redis unix:$work/redis.sock timeout=1s;
    seckill_keys $work/keys;
    upstream back { server unix:$work/back.sock; keepalive 64; keepalive_requests 1000000000; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server { listen 127.0.0.1:${port[ungated]}; location /buy/ { proxy_pass http://back; } }
    server {
        listen 127.0.0.1:${port[gated]};
        location /buy/ { seckill_gate on; seckill_rate rate=900000r/s burst=900000; proxy_pass http://back; }
    }
}
CONF
taskset -c "$load_cpu" nginx -e "$work/back.log" -p "$work/back" -c "$work/back.conf" >"$work/back.out" 2>&1 &
pids+=($!)
start_nginx

sign_clicks() { perl bench/lib/clicks.pl good 153 "$buyers" >"$work/clicks"; }
admits() {
    local path token
    IFS=$'\t' read -r path token <"$work/clicks"
    [ "$(curl -s -o "$work/answer" -w '%{http_code}' -X POST -H "Cookie: seckill_session=$token" -H 'Idempotency-Key: bench' \
        "http://127.0.0.1:${port[gated]}$path")" = 202 ]
}
sign_clicks
poll_until 10 admits || fail "the gate does not let a good click pass; it says: $(cat "$work/answer")"

# paced KIND PAUSE_MS: appends "p50 p99 requests/s not-2xx" to $work/KIND.runs.
paced() {
    taskset -c "$load_cpu" wrk -t 1 -c "$shoppers" -d "${seconds}s" -s bench/lib/paced.lua \
        "http://127.0.0.1:${port[$1]}" -- "$work/clicks" "$2" >"$work/wrk.out"
    awk -v seconds="$seconds" '/^latency_us/ { p50 = $2; p99 = $3; n = $4 } /^not_2xx/ { bad = $2 }
        END { printf "%d %d %.0f %d\n", p50, p99, n / seconds, bad }' "$work/wrk.out" >>"$work/$1.runs"
}

step "What nginx bears without the gate"
paced ungated 0
capacity=$(cut -d' ' -f3 "$work/ungated.runs")
rm "$work/ungated.runs"
pause=$(awk -v c="$capacity" -v n="$shoppers" 'BEGIN { printf "%.0f", 1000 * n / (0.7 * c) }')
step "It bears $capacity requests/s; $rounds rounds of 2 x $seconds s at 70 % of that"
for ((round = 0; round <= rounds; round++)); do
    sign_clicks
    paced ungated "$pause"
    paced gated "$pause"
    # The first warms up.
    [ "$round" -gt 0 ] || rm "$work"/*.runs
done

column() { cut -d' ' -f"$2" "$work/$1.runs" | median; }
# added COLUMN: the median of each round's own difference, in ms.
added() { paste -d' ' "$work/gated.runs" "$work/ungated.runs" | awk -v at="$1" '{ printf "%.3f\n", ($at - $(at + 4)) / 1000 }' | median; }
printf '\n%-12s %12s %10s %10s\n' "" "requests/s" "p50 ms" "p99 ms"
for kind in ungated gated; do
    printf '%-12s %12s %10.3f %10.3f\n' "$kind" "$(column $kind 3)" \
        "$(awk -v us="$(column $kind 1)" 'BEGIN { print us / 1000 }')" "$(awk -v us="$(column $kind 2)" 'BEGIN { print us / 1000 }')"
done
printf '%-12s %12s %10s %10s   (goal: 0.2 or less)\n\n' "added" "" "$(added 1)" "$(added 2)"
bad=$(awk '{ n += $4 } END { print n + 0 }' "$work/gated.runs")
[ "$bad" -eq 0 ] || step "Beware: $bad gated clicks were refused"
row "proxied purchase at 70 % load: p99 that the gate adds" "$(added 2)" ms 0.2 lower "$(awk -v us="$(column ungated 2)" 'BEGIN { print us / 1000 }') ms ungated"
row "proxied purchase at 70 % load: p50 that the gate adds" "$(added 1)" ms null lower "$(awk -v us="$(column ungated 1)" 'BEGIN { print us / 1000 }') ms ungated"
write_results latency
