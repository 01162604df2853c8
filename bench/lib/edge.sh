# shellcheck shell=bash
# What benchmarks of the edge share: a private Redis, one nginx worker on a core
# of its own, wrk (and Redis) on another. Sourced, never run;
# scripts/lib/steps.sh comes before it.

# shellcheck source=bench/lib/results.sh
. bench/lib/results.sh

# shellcheck disable=SC2034 # used by who sources this
rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-4}
connections=${CONNECTIONS:-64}
module=${SECKILL_MODULE:-$PWD/target/nginx/ngx_http_seckill_module.so}

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

# Installs and builds what is missing. A module named by SECKILL_MODULE is taken as it is.
prepare() {
    scripts/install.sh test
    [ -n "${SECKILL_MODULE:-}" ] || scripts/module.sh
    [ -f "$module" ] || fail "$module is missing; build it with: make module"
}

cli() { redis-cli -s "$work/redis.sock" "$@"; }

# Redis runs beside the load: what it costs is not the edge's.
start_redis() {
    taskset -c "$load_cpu" redis-server --port 0 --unixsocket "$work/redis.sock" --unixsocketperm 777 \
        --save '' --dir "$work" >"$work/redis.log" 2>&1 &
    pids+=($!)
    pings() { [ "$(cli PING 2>/dev/null)" = PONG ]; }
    poll_until 10 pings || { cat "$work/redis.log" >&2; fail "redis-server did not start; its words are above"; }
}

# start_nginx [NAME]: runs $work/NAME.conf (nginx.conf); its only worker is $worker.
start_nginx() {
    taskset -c "$server_cpu" nginx -e "$work/error.log" -p "$work" -c "$work/${1:-nginx}.conf" >"$work/nginx.log" 2>&1 &
    pids+=($!)
    local master=$!
    has_worker() { worker=$(pgrep -P "$master" | head -n 1) && [ -n "$worker" ]; }
    poll_until 10 has_worker || { cat "$work/nginx.log" "$work/error.log" >&2; fail "nginx did not start; its words are above"; }
}

cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$worker/stat"; }

# measure NAME PORT CLICKS: loads the port for a while and appends to
# $work/NAME.runs: requests a second, microseconds of the worker's CPU a request,
# share of the core that the worker used, answers that were not 2xx or 3xx, all.
measure() {
    local before after
    before=$(cpu_ticks)
    taskset -c "$load_cpu" wrk -t 1 -c "$connections" -d "${seconds}s" -s bench/lib/clicks.lua \
        "http://127.0.0.1:$2" -- "$work/$3.clicks" >"$work/wrk.out"
    after=$(cpu_ticks)
    awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v seconds="$seconds" '
        /requests in/ { count = $1 }
        /^Requests\/sec:/ { rate = $2 }
        /Non-2xx/ { refused = $NF }
        END { if (!count) exit 1; printf "%.0f %.2f %.2f %d %d\n", rate, ticks / hz * 1e6 / count, ticks / hz / seconds, refused, count }
    ' "$work/wrk.out" >>"$work/$1.runs" || fail "no response to $3 came in $seconds s; wrk says: $(tail -n 3 "$work/wrk.out" | paste -sd ' ')"
}

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# rate NAME, cpu NAME, share NAME: the median of its runs.
rate() { cut -d' ' -f1 "$work/$1.runs" | median; }
cpu() { cut -d' ' -f2 "$work/$1.runs" | median; }
share() { cut -d' ' -f3 "$work/$1.runs" | median; }

# ratio NAME PEER: of the rates, the median of each round's own: what disturbs
# the machine disturbs both. cpu_ratio: of the requests that a second of CPU serves.
ratio() { paste -d' ' "$work/$1.runs" "$work/$2.runs" | awk '{ printf "%.3f\n", $1 / $6 }' | median; }
cpu_ratio() { paste -d' ' "$work/$1.runs" "$work/$2.runs" | awk '{ printf "%.3f\n", $7 / $2 }' | median; }
