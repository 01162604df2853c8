#!/usr/bin/env bash
# What the gate costs: one nginx worker on one core refuses a bad signature,
# beside the same worker answering `return 403`, in alternating rounds.
#
# Writes bench/results/edge.json and prints a table. ROUNDS and SECONDS_EACH
# change how long it takes; the exit status does not depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-4}
connections=64

scripts/install.sh test
scripts/module.sh

work=$(mktemp -d)
pids=()
cleanup() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mapfile -t cpus < <(cores)
[ ${#cpus[@]} -ge 2 ] || step "Only one core is usable: server and load share it, and the figures mean little"
server_cpu=${cpus[0]} load_cpu=${cpus[1]:-${cpus[0]}}
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')

# --- The server ------------------------------------------------------------

redis-server --port 0 --unixsocket "$work/redis.sock" --unixsocketperm 777 --save '' --dir "$work" >"$work/redis.log" 2>&1 &
pids+=($!)
(umask 077 && echo "bench $(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$work/keys")
cat >"$work/nginx.conf" <<CONF
load_module $PWD/target/nginx/ngx_http_seckill_module.so;
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log $work/error.log warn;
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    seckill_zone bench:8m;
    seckill_redis unix:$work/redis.sock;
    seckill_keys $work/keys;
    server {
        listen 127.0.0.1:$port;
        location /plain/ { return 403; }
        location /buy/ { seckill_gate on; proxy_pass http://127.0.0.1:1; }
    }
}
CONF
taskset -c "$server_cpu" nginx -e "$work/error.log" -p "$work" -c "$work/nginx.conf" >"$work/nginx.log" 2>&1 &
pids+=($!)
answers() { curl -sS -o "$work/answer" "http://127.0.0.1:$port/plain/" 2>/dev/null; }
poll_until 10 answers || { cat "$work/nginx.log" "$work/error.log" >&2; fail "nginx did not start; its words are above"; }
worker=$(pgrep -P "${pids[1]}" | head -n 1)

# --- The load --------------------------------------------------------------

# A click that is right in everything but the digest, so that the gate has to
# compute it.
expires=$(($(date +%s) * 1000 + 600000))
path=/buy/1/153/$expires/0123456789abcdef/bench.$(printf 'A%.0s' {1..43})
cookie="seckill_session=li.$expires.bench.$(printf 'A%.0s' {1..43})"
# request PATH: a wrk script that posts there, formatted once.
request() {
    cat <<LUA
wrk.method = "POST"
wrk.path = "$1"
wrk.headers["Cookie"] = "$cookie"
wrk.headers["Content-Length"] = "0"
local text
init = function() text = wrk.format() end
request = function() return text end
LUA
}
request "$path" >"$work/gate.lua"
request "/plain/${path#/buy/}" >"$work/plain.lua"

curl -sS -X POST -H "Cookie: $cookie" "http://127.0.0.1:$port$path" | grep -q bad_signature ||
    fail "the gate does not answer bad_signature; it says: $(curl -sS -X POST -H "Cookie: $cookie" "http://127.0.0.1:$port$path")"

ticks=$(getconf CLK_TCK)
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$worker/stat"; }

# measure KIND: "requests-a-second microseconds-of-CPU-a-request".
measure() {
    local before after
    before=$(cpu_ticks)
    taskset -c "$load_cpu" wrk -t 1 -c "$connections" -d "${seconds}s" -s "$work/$1.lua" "http://127.0.0.1:$port" >"$work/wrk.out"
    after=$(cpu_ticks)
    awk -v ticks=$((after - before)) -v hz="$ticks" '
        /requests in/ { count = $1 }
        /^Requests\/sec:/ { rate = $2 }
        END { printf "%.0f %.2f\n", rate, ticks / hz * 1e6 / count }' "$work/wrk.out"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

step "Refusing a bad signature beside return 403: $rounds rounds of 2 x $seconds s"
measure plain >"$work/warm"
measure gate >"$work/warm"
for ((round = 1; round <= rounds; round++)); do
    measure plain >>"$work/plain"
    measure gate >>"$work/gate"
done
[ ! -s "$work/error.log" ] || { tail -n 5 "$work/error.log" >&2; step "nginx had something to say (above)"; }

plain_rate=$(cut -d' ' -f1 "$work/plain" | median)
gate_rate=$(cut -d' ' -f1 "$work/gate" | median)
plain_cpu=$(cut -d' ' -f2 "$work/plain" | median)
gate_cpu=$(cut -d' ' -f2 "$work/gate" | median)
# Each round's own ratio: what disturbs the machine disturbs both halves.
ratio=$(paste -d' ' "$work/plain" "$work/gate" | awk '{ printf "%.3f\n", $3 / $1 }' | median)

# --- The result ------------------------------------------------------------

printf '\n%-28s %14s %18s\n' "one worker, one core" "requests/s" "CPU us/request"
printf '%-28s %14s %18s\n' "return 403" "$plain_rate" "$plain_cpu"
printf '%-28s %14s %18s\n' "refuse a bad signature" "$gate_rate" "$gate_cpu"
printf '%-28s %14s   (goal: 0.9 or more)\n\n' "ratio, median of $rounds" "$ratio"

mkdir -p bench/results
cpu_model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
cat >bench/results/edge.json <<JSON
{
  "machine": {
    "cpu": "${cpu_model:-unknown}",
    "cores": ${#cpus[@]},
    "kernel": "$(uname -r)",
    "nginx": "$(nginx -v 2>&1 | sed 's/.*nginx\///')",
    "commit": "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)",
    "at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  },
  "rows": [
    {"name": "refuse a bad signature / return 403", "value": $ratio, "unit": "ratio of rates", "goal": 0.9, "better": "higher", "peer": "return 403"},
    {"name": "refuse a bad signature", "value": $gate_rate, "unit": "requests/s", "goal": null, "better": "higher", "peer": "$plain_rate"},
    {"name": "refuse a bad signature, CPU", "value": $gate_cpu, "unit": "us/request", "goal": null, "better": "lower", "peer": "$plain_cpu"}
  ]
}
JSON
step "Written to bench/results/edge.json"
