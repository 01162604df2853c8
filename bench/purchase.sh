#!/usr/bin/env bash
# What a purchase costs behind the gate, beside what it cannot cost less than:
#
#   role        purchases over HTTP, answered by the purchase role, against
#               redis-benchmark running the same script with the same arguments
#   end to end  purchases through nginx with the shipped configuration, the gate,
#               the role and the script, every click by a buyer of its own, against
#               the same nginx passing the same clicks, ungated, to a back end that
#               answers at once
#   traced      end to end again, where one purchase in a hundred is traced and its spans
#               go to a collector, against the same without
#   memory      of the role while 10,000 connections buy
#
# All parts of a row share all cores, and the load generator too. Only purchases
# that stand in Redis count as accepted. ROUNDS, SECONDS_EACH, CONNECTIONS and
# BUYERS change how long it takes; SECKILL_BIN and SECKILL_MODULE name what is
# built already. Writes bench/results/purchase.json; the exit status does not
# depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

buyers=${BUYERS:-400000}
many=10000
stock=100000000
target=${CARGO_TARGET_DIR:-target}
bin=${SECKILL_BIN:-$target/release/seckill}
# Everybody on every core that there is to use.
all_cpus=$(IFS=, && echo "${cpus[*]}")
server_cpu=$all_cpus load_cpu=$all_cpus

prepare
[ -n "${SECKILL_BIN:-}" ] || cargo build --release --locked --quiet -p seckill ||
    fail "the back end did not build; the compiler's message above says where"
start_redis
(umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
mapfile -t ports < <(free_ports 5)
edge_port=${ports[0]} instant_port=${ports[1]} role_port=${ports[2]} traced_port=${ports[3]} collector_port=${ports[4]}

# --- A product on sale -------------------------------------------------------

item='1::153'
segment="seckill::{$item::01}"
began_ms=$(($(date +%s) * 1000))
cli HSET seckill::catalogue "$item" \
    "{\"opens_ms\":$((began_ms - 10000)),\"ends_ms\":$((began_ms + 86400000)),\"limit\":$stock,\"per_buyer\":1,\"segments\":1,\"price_cents\":99900}" version 1 >>"$work/redis.out"
cli HSET "seckill::{$item}::info" round 1 product 153 limit "$stock" per_buyer 1 segments 1 >>"$work/redis.out"

# Puts all of it up for sale again, and forgets all buyers.
restock() {
    cli UNLINK "$segment::buyers" "$segment::spent" "$segment::outbox" >>"$work/redis.out"
    cli HSET "$segment::stock" sale_stock_amount "$stock" locked_stock_amount 0 saled_stock_amount 0 >>"$work/redis.out"
}
accepted() { cli HLEN "$segment::buyers"; }
restock
script=$(cli SCRIPT LOAD "$(cat lua/stock/prelude.lua lua/stock/purchase.lua)")

# --- The servers ---------------------------------------------------------------

# start_role NAME LISTEN [SETTING...]: the purchase role; its process is $role.
start_role() {
    mkdir -p "$work/$1"
    (
        ulimit -n "$(ulimit -Hn)"
        exec env "${@:3}" SECKILL_DATA="$work/$1" SECKILL_REDIS_URL="unix://$work/redis.sock" SECKILL_KEYS="$work/keys" \
            SECKILL_PURCHASE_LISTEN="$2" SECKILL_CAPTCHA=off taskset -c "$server_cpu" "$bin" serve --roles purchase
    ) >"$work/$1.log" 2>&1 &
    role=$!
    pids+=("$role")
}
answers() { curl -s -o "$work/answer" "$@" && grep -q '"ok"' "$work/answer"; }
start_role http "127.0.0.1:$role_port"
http_role=$role
poll_until 20 answers "http://127.0.0.1:$role_port/healthz" ||
    { cat "$work/http.log" >&2; fail "the purchase role did not start; its words are above"; }
start_role behind "unix:$work/role.sock"
behind_role=$role
poll_until 20 answers --unix-socket "$work/role.sock" http://role/healthz ||
    { cat "$work/behind.log" >&2; fail "the purchase role did not start; its words are above"; }
start_role traced "unix:$work/traced.sock" "SECKILL_OTLP_URL=http://127.0.0.1:$collector_port"
traced_role=$role
poll_until 20 answers --unix-socket "$work/traced.sock" http://role/healthz ||
    { cat "$work/traced.log" >&2; fail "the purchase role did not start; its words are above"; }

user=$([ "$(id -u)" -ne 0 ] || echo 'user root;')
paths() { echo "client_body_temp_path $work/$1b; proxy_temp_path $work/$1p; fastcgi_temp_path $work/$1f; uwsgi_temp_path $work/$1u; scgi_temp_path $work/$1s;"; }
mkdir -p "$work/instant"
cat >"$work/instant.conf" <<CONF
daemon off; worker_processes 1; pid $work/instant.pid; error_log $work/instant.log warn; $user
events { worker_connections 2048; }
http {
    access_log off; keepalive_requests 1000000000; $(paths instant)
    server {
        listen unix:$work/instant.sock;
        location / { default_type application/json; return 202 '{"status":"processing","request":"bench"}'; }
    }
    # The collector of traces.
    server {
        listen 127.0.0.1:$collector_port;
        access_log $work/spans.log;
        location = /v1/traces { default_type application/json; client_max_body_size 64m; return 200 '{}'; }
    }
}
CONF
# edge NAME PORT SOCKET [DIRECTIVE]: an edge as shipped in front of this purchase role.
edge() {
    cat <<CONF
load_module $module;
daemon off; worker_processes 1; pid $work/$1.pid; error_log $work/error.log error; $user
events { worker_connections 4096; }
http {
    $(paths "$1")
    seckill_zone bench:128m;
    seckill_redis unix:$work/redis.sock timeout=1s;
    seckill_keys $work/keys;
    seckill_rate rate=900000r/s burst=900000;
    include $PWD/conf/seckill/http.conf;
    access_log $work/access.log seckill_json buffer=64k flush=1s;
    upstream seckill_purchase { server unix:$3; keepalive 256; }
    upstream seckill_ops { server unix:$3; }
    upstream instant { server unix:$work/instant.sock; keepalive 256; }
    ${4:-}
    server {
        listen 127.0.0.1:$2;
        set \$seckill_static $work;
        set \$seckill_pages $work;
        include $PWD/conf/seckill/server.conf;
    }
CONF
}
edge traced "$traced_port" "$work/traced.sock" 'seckill_trace on ratio=0.01;' >"$work/traced.conf"
echo '}' >>"$work/traced.conf"
{ edge nginx "$edge_port" "$work/role.sock"; cat <<CONF; } >"$work/nginx.conf"
    server {
        listen 127.0.0.1:$instant_port;
        location / {
            proxy_pass            http://instant;
            proxy_http_version    1.1;
            proxy_set_header      Connection "";
            proxy_set_header      Host \$host;
            proxy_set_header      X-Real-IP \$remote_addr;
            proxy_set_header      X-Request-Id \$seckill_request;
        }
    }
}
CONF
taskset -c "$server_cpu" nginx -e "$work/instant.log" -p "$work/instant" -c "$work/instant.conf" >"$work/instant.out" 2>&1 &
instant=$!
pids+=("$instant")
start_nginx traced
traced_worker=$worker
start_nginx
redis=$(cli INFO server | sed -n 's/^process_id:\([0-9]*\).*/\1/p')

step "Signing the clicks of $buyers buyers"
perl bench/lib/clicks.pl good 153 "$buyers" >"$work/clicks"
perl bench/lib/clicks.pl admitted 153 "$buyers" >"$work/admitted"
# What an edge admitted buys here, and its permit counts.
sells() {
    local path token user request permit admission
    IFS=$'\t' read -r path token user request permit admission <"$work/admitted"
    [ "$(curl -s -o "$work/answer" -w '%{http_code} %header{x-seckill-outcome}' -X POST -H "X-Seckill-User: $user" -H "X-Request-Id: $request" \
        -H "X-Seckill-Permit: $permit" -H "X-Seckill-Admission: $admission" "http://127.0.0.1:$role_port$path")" = '202 used' ]
}
poll_until 10 sells || fail "the purchase role does not sell what an edge admitted; it says: $(cat "$work/answer")"
restock
admits() {
    local path token
    IFS=$'\t' read -r path token <"$work/clicks"
    [ "$(curl -s -o "$work/answer" -w '%{http_code}' -X POST -H "Cookie: seckill_session=$token" -H 'Idempotency-Key: bench' \
        "http://127.0.0.1:$1$path")" = 202 ]
}
for port in "$edge_port" "$traced_port"; do
    restock
    poll_until 10 admits "$port" || fail "a good click does not become a purchase; the edge says: $(cat "$work/answer")"
done

# --- Measuring -----------------------------------------------------------------

# cpu_us PID...: microseconds of CPU that they have used, without their children.
cpu_us() {
    local pid sum=0
    for pid in "$@"; do sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat"))); done
    echo $((sum * 1000000 / $(getconf CLK_TCK)))
}

# note NAME COUNT SECONDS CPU_US: appends requests/s and microseconds of CPU a
# request, in the form that lib/edge.sh sums up.
note() { awk -v n="$2" -v s="$3" -v us="$4" 'BEGIN { printf "%.0f %.2f 0 0 %d\n", n / s, us / (n > 0 ? n : 1), n }' >>"$work/$1.runs"; }

# wrk_to PORT SCRIPT ARGS...: loads it; $answered answers came in $took seconds.
wrk_to() {
    taskset -c "$load_cpu" wrk -t 1 -c "$connections" -d "${seconds}s" -s "bench/lib/$2.lua" \
        "http://127.0.0.1:$1" -- "${@:3}" >"$work/wrk.out" || fail "wrk broke off; its words are above"
    read -r answered took < <(awk '/requests in/ { t = $4; sub(/,/, "", t);
        print $1, t ~ /ms$/ ? t / 1000 : t ~ /m$/ ? t * 60 : t + 0 }' "$work/wrk.out")
}

redis_script() {
    local count=$1 before
    restock
    before=$(cpu_us "$redis")
    redis-benchmark -s "$work/redis.sock" -c "$connections" -n "$count" -r 1000000000 --csv \
        EVALSHA "$script" 4 "$segment::stock" "$segment::buyers" "$segment::spent" "$segment::outbox" \
        buyer:__rand_int__ bench 1 bench.l1.__rand_int__ bench.l1 1 153 1 99900 0 >"$work/benchmark.csv" 2>>"$work/redis.out"
    peer_rate=$(tail -n 1 "$work/benchmark.csv" | cut -d, -f2 | tr -d '"')
    note script "$(accepted)" "$(awk -v n="$count" -v r="$peer_rate" 'BEGIN { print n / r }')" $(($(cpu_us "$redis") - before))
}

# buys NAME PROCESSES -- WRK...: what became purchases, and what that cost.
buys() {
    local name=$1 before role_before; shift
    local processes=()
    while [ "$1" != -- ]; do processes+=("$1"); shift; done
    shift
    restock
    before=$(cpu_us "${processes[@]}")
    role_before=$(cpu_us "${processes[-2]}")
    wrk_to "$@"
    note "$name.role" "$(accepted)" "$took" $(($(cpu_us "${processes[-2]}") - role_before))
    note "$name" "$(accepted)" "$took" $(($(cpu_us "${processes[@]}") - before))
    [ "$(accepted)" -lt "$buyers" ] || step "Beware: all $buyers buyers have bought before the time was over; more are needed (BUYERS)"
}

passes() {
    local before
    before=$(cpu_us "$worker" "$instant_worker")
    wrk_to "$instant_port" clicks "$work/clicks"
    note instant "$answered" "$took" $(($(cpu_us "$worker" "$instant_worker") - before))
}
instant_worker=$(pgrep -P "$instant" | head -n 1)

step "$rounds rounds of 5 x $seconds s, $connections at once"
redis_script 50000
count=$(awk -v r="$peer_rate" -v s="$seconds" 'BEGIN { printf "%.0f", r * s }')
rm "$work/script.runs"
for ((round = 0; round <= rounds; round++)); do
    redis_script "$count"
    buys role "$http_role" "$redis" -- "$role_port" purchases "$work/admitted"
    passes
    buys edge "$worker" "$behind_role" "$redis" -- "$edge_port" clicks "$work/clicks"
    buys traced "$traced_worker" "$traced_role" "$redis" -- "$traced_port" clicks "$work/clicks"
    # The first warms up.
    [ "$round" -gt 0 ] || rm "$work"/*.runs
done
is_traced() { grep -q 'POST /v1/traces .* 200 ' "$work/spans.log"; }
poll_until 20 is_traced || fail "no span has reached the collector; the traced role says: $(tail -n 3 "$work/traced.log")"

step "Memory of the role while $many connections buy"
restock
rss_mib() { awk '/^VmRSS/ { printf "%.1f\n", $2 / 1024 }' "/proc/$http_role/status"; }
idle_mib=$(rss_mib)
head -n 40000 "$work/admitted" >"$work/some.admitted"
(
    ulimit -n "$(ulimit -Hn)"
    exec taskset -c "$load_cpu" wrk -t 1 -c $((many + 100)) -d 20s --timeout 20s -s bench/lib/purchases.lua "http://127.0.0.1:$role_port" -- "$work/some.admitted"
) >"$work/many.out" 2>&1 &
many_pid=$!
open=0 most_mib=0
while kill -0 "$many_pid" 2>/dev/null; do
    now_open=$(find "/proc/$http_role/fd" -mindepth 1 2>/dev/null | wc -l)
    if [ "$now_open" -ge "$many" ]; then
        open=$now_open
        most_mib=$(awk -v a="$(rss_mib)" -v b="$most_mib" 'BEGIN { print (a > b ? a : b) }')
    fi
    sleep 0.2
done
wait "$many_pid" || { cat "$work/many.out" >&2; fail "wrk could not open $many connections; its words are above"; }
bought=$(accepted)
if [ "$open" -lt "$many" ]; then
    step "Beware: the role never had $many connections open; raise the limit of open files (ulimit -Hn is $(ulimit -Hn))"
    most_mib=null
fi

# --- Results -----------------------------------------------------------------------

printf '\n%-34s %12s %14s\n' "" "accepted/s" "CPU us each"
for kind in script role instant edge traced; do
    case $kind in
    script) label="the script, redis-benchmark" ;;
    role) label="purchase role over HTTP" ;;
    instant) label="nginx, answered at once" ;;
    edge) label="gate, role and script" ;;
    traced) label="the same, one in a hundred traced" ;;
    esac
    printf '%-34s %12s %14s\n' "$label" "$(rate $kind)" "$(cpu $kind)"
done
printf '\n%-58s %8s   (goal: 0.35 or more)\n' "role / script" "$(ratio role script)"
printf '%-58s %8s   (goal: 0.45 or more)\n' "end to end / nginx answered at once" "$(ratio edge instant)"
printf '%-58s %8s   (goal: 0.97 or more; by rate %s)\n' "traced / end to end, by CPU of the servers" "$(cpu_ratio traced edge)" "$(ratio traced edge)"
printf '%-58s %8s   (goal: 10,000 or more)\n' "end to end, accepted/s" "$(rate edge)"
printf '%-58s %8s   (goal: 100 or less; %s idle, %s sold meanwhile)\n\n' "role at $many connections, MiB" "$most_mib" "$idle_mib" "$bought"

row "purchase role over HTTP / the script by redis-benchmark" "$(ratio role script)" "ratio of rates" 0.35 higher "$(rate script)/s by redis-benchmark"
row "purchase role over HTTP / the script, by CPU of the servers" "$(cpu_ratio role script)" "ratio of requests a CPU second" null higher "$(cpu script) us"
row "purchase role over HTTP, accepted" "$(rate role)" "1/s" null higher "$(rate script)/s by redis-benchmark"
row "purchase role over HTTP, CPU of role and Redis" "$(cpu role)" "us/purchase" null lower "$(cpu script) us of Redis by redis-benchmark"
row "purchase role over HTTP, CPU of the role" "$(cpu role.role)" "us/purchase" null lower ""
row "the script by redis-benchmark, CPU of Redis" "$(cpu script)" "us/purchase" null lower ""
row "end to end, CPU of the role" "$(cpu edge.role)" "us/purchase" null lower ""
row "end to end / nginx answered at once" "$(ratio edge instant)" "ratio of rates" 0.45 higher "$(rate instant)/s answered at once"
row "end to end / nginx answered at once, by CPU of the servers" "$(cpu_ratio edge instant)" "ratio of requests a CPU second" null higher "$(cpu instant) us"
row "end to end, accepted" "$(rate edge)" "1/s" 10000 higher "$(rate instant)/s answered at once"
row "end to end, CPU of edge, role and Redis" "$(cpu edge)" "us/purchase" null lower "$(cpu instant) us answered at once"
row "end to end, one purchase in a hundred traced / none, by CPU of the servers" "$(cpu_ratio traced edge)" "ratio of requests a CPU second" 0.97 higher "$(cpu edge) us without"
row "end to end, one purchase in a hundred traced / none" "$(ratio traced edge)" "ratio of rates" null higher "$(rate edge)/s without"
row "purchase role at $many open connections, resident memory" "$most_mib" MiB 100 lower "$idle_mib MiB idle"
write_results purchase
