#!/usr/bin/env bash
# Ten million requests of every kind through one edge of two workers, and then:
# has its memory grown, and has it complained?
#
# Prints a PASS or FAIL line for each fact, with the numbers. REQUESTS changes
# 10,000,000.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/edges.sh
. t/drills/lib/edges.sh

requests=${REQUESTS:-10000000}
work=$PWD/target/drills/soak
rm -rf "$work"
mkdir -p "$work"

trap edges_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
redis_start
put_on_sale 1 153 1000000000
put_on_sale 1 154 10

# The log is written for its cost, not to be read: it is cut off each round.
edge_http() {
    cat <<CONF
log_format soak "\$msec \$seckill_verdict \$seckill_user \$seckill_round \$seckill_product \$seckill_arrival \$seckill_permit";
    upstream back { server unix:$work/edge$1/back.sock; keepalive 32; keepalive_requests 1000000000; }
    server { listen unix:$work/edge$1/back.sock; keepalive_requests 1000000000; location / { return 202; } }
CONF
}
edge_server() {
    cat <<CONF
location /buy/ {
            seckill_gate on;
            seckill_rate rate=3000r/s burst=1000 scope=site;
            proxy_pass http://back;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            access_log $work/edge$1/clicks.log soak buffer=64k;
        }
        location ~ /path\$ { seckill_path; }
        location = /api/time { seckill_time; }
CONF
}
edge_start 1
poll_until 60 edge_sells 1 1 153 || fail "the edge does not sell; see $work/edge1/error.log"
base=http://127.0.0.1:${edge_port[1]}

# Every kind of click in one file, and reads between them.
sign_every_kind() {
    local kind
    {
        perl bench/lib/clicks.pl good 153 20000
        perl bench/lib/clicks.pl good 154 5000
        for kind in bad_signature expired no_session; do perl bench/lib/clicks.pl "$kind" 153 5000; done
    } | shuf >"$work/clicks"
}
cat >"$work/soak.lua" <<'LUA'
assert(loadfile("bench/lib/clicks.lua"))()
local clicks, session = request, nil
local reads, at = {}, 0
local read_clicks = init
function init(args)
    read_clicks(args)
    for line in io.lines(args[1]) do
        session = session or line:match("\t(%S+)$")
    end
    local cookie = { Cookie = "seckill_session=" .. session }
    for _, path in ipairs { "/api/time", "/api/rounds/1/products/153/state", "/api/rounds/1/products/153/path", "/metrics" } do
        reads[#reads + 1] = wrk.format("GET", path, cookie)
    end
end
function request()
    at = at + 1
    if at % 8 == 0 then return reads[at / 8 % #reads + 1] end
    return clicks()
end
LUA

memory_kib() {
    local pid total=0
    for pid in $(edge_workers 1); do
        total=$((total + $(awk '/^Rss(Anon)/ { print $2 }' "/proc/$pid/status")))
    done
    echo "$total"
}

step "$requests requests of every kind"
sent=0 half='' three='' round=0
while [ "$sent" -lt "$requests" ]; do
    round=$((round + 1))
    # A hidden URL is good for ten minutes.
    sign_every_kind
    wrk -t 1 -c 64 -d 20s -s "$work/soak.lua" "$base" -- "$work/clicks" >"$work/wrk.out"
    now=$(awk '/requests in/ { print $1 }' "$work/wrk.out")
    sent=$((sent + now))
    : >"$work/edge1/clicks.log"
    cli DEL "seckill::{1::153}::leases" >>"$work/redis.out"
    if [ -z "$half" ] && [ "$sent" -ge $((requests / 2)) ]; then half=$(memory_kib); fi
    if [ -z "$three" ] && [ "$sent" -ge $((requests / 4 * 3)) ]; then three=$(memory_kib); fi
    printf '     %s requests, %s KiB in the workers\n' "$sent" "$(memory_kib)"
done
# Heaps grow to what the busiest moment needs: half a MiB in the first millions, and a step
# whenever the machine is busier than before. A leak goes on in every quarter: one byte a
# request is 2,500 KiB.
third=$((three - half)) fourth=$(($(memory_kib) - three))
within "growth of the workers' own memory in the third and in the last quarter, the lesser, KiB" -1000000 32 $((third < fourth ? third : fourth))
fact "workers that live since the start" 2 "$(edge_workers 1 | wc -l)"
fact "workers that died" 0 "$(grep -c 'exited on signal' "$work/edge1/error.log" || true)"
fact "lines of the error log above info" 0 "$(grep -cE '\[(warn|error|crit|alert|emerg)\]' "$work/edge1/error.log" || true)"
printf '     answers: %s\n' "$(curl -fsS "$base/metrics" | awk '/^seckill_(admitted|refused)_total/ { printf "%s %s  ", $1, $2 }')"
exit "$failed"
