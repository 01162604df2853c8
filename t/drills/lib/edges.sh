# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is the drill's
# Several nginx edges on one Redis, for drills: each an nginx of its own with two
# workers and a port, all of one site. Sourced after scripts/lib/steps.sh.
#
# What a drill gives: $work, an empty folder, and two functions that print lines
# for the blocks of an edge's configuration: edge_http NUMBER, edge_server NUMBER.

declare -A edge_pid edge_port
redis_pid='' back_end=''

module=${SECKILL_MODULE:-$PWD/target/nginx/ngx_http_seckill_module.so}
cli() { redis-cli -s "$work/redis.sock" --raw "$@"; }

# --- Redis -----------------------------------------------------------------

redis_pings() { [ "$(cli PING 2>/dev/null)" = PONG ]; }

# Starts it on what its append-only file holds.
redis_start() {
    redis-server --port 0 --unixsocket "$work/redis.sock" --unixsocketperm 777 \
        --appendonly yes --appendfsync everysec --save '' --dir "$work" >>"$work/redis.log" 2>&1 &
    redis_pid=$!
    poll_until 60 redis_pings || fail "redis-server did not start; see $work/redis.log"
}

# Stops it as an operator would, so that its file is whole.
redis_stop() {
    kill -TERM "$redis_pid"
    wait "$redis_pid" || true
}

# --- The back end ----------------------------------------------------------

# edges_begin: Redis, the keys, and a back end that makes purchases and relays their
# orders. Its log is $work/back-end.log.
edges_begin() {
    mkdir -p "$work/run"
    (umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
    export SECKILL_DATA=$work SECKILL_REDIS_URL=unix://$work/redis.sock SECKILL_KEYS=$work/keys SECKILL_CAPTCHA=off
    redis_start
    # shellcheck disable=SC2154 # $seckill is the drill's
    "$seckill" serve --roles purchase,relay >>"$work/back-end.log" 2>&1 &
    back_end=$!
    listens() { [ -S "$work/run/purchase.sock" ]; }
    poll_until 60 listens || fail "the back end did not start; see $work/back-end.log"
}

# For edge_http: the back end that edges_begin began.
purchase_upstream() { echo "upstream purchase { server unix:$work/run/purchase.sock; keepalive 32; }"; }

# buy_location DIRECTIVES: for edge_server, clicks that the gate admits go to it.
buy_location() {
    cat <<CONF
location /buy/ {
            seckill_gate on;
            $1
            proxy_pass http://purchase;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ignore_client_abort on;
        }
CONF
}

# --- Edges -----------------------------------------------------------------

# edge_start NUMBER: an nginx of that number on a free port, with its metrics at
# /metrics and a product's state where shoppers find it.
edge_start() {
    local number=$1 home=$work/edge$1
    mkdir -p "$home"
    # A killed one leaves its sockets lying about.
    rm -f "$home"/*.sock
    edge_port[$number]=$(free_ports 1)
    cat >"$home/nginx.conf" <<CONF
load_module $module;
daemon off;
worker_processes 2;
pid $home/nginx.pid;
error_log $home/error.log info;
worker_shutdown_timeout 5s;
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path $home/body; proxy_temp_path $home/proxy; fastcgi_temp_path $home/fastcgi;
    uwsgi_temp_path $home/uwsgi; scgi_temp_path $home/scgi;
    seckill_zone drill:16m;
    seckill_redis unix:$work/redis.sock timeout=500ms;
    seckill_keys $work/keys;
    seckill_node edge$number;
    $(edge_http "$number")
    server {
        listen 127.0.0.1:${edge_port[$number]} backlog=4096;
        location ~ /state\$ { seckill_state; }
        location = /metrics { seckill_status; }
        $(edge_server "$number")
    }
}
CONF
    nginx -e "$home/error.log" -p "$home" -c "$home/nginx.conf" >>"$home/nginx.log" 2>&1 &
    edge_pid[$number]=$!
}

edge_workers() { pgrep -P "${edge_pid[$1]}"; }

# metric EDGE NAME: the sum of its samples.
metric() {
    curl -fsS "http://127.0.0.1:${edge_port[$1]}/metrics" 2>/dev/null |
        awk -v name="$2" '{ split($1, part, "{") } part[1] == name { n += $2 } END { print n + 0 }'
}

# metric_of_all NAME: over the edges that live.
metric_of_all() {
    local number total=0
    for number in "${!edge_pid[@]}"; do total=$((total + $(metric "$number" "$1"))); done
    echo "$total"
}

edge_sells() { curl -fsS "http://127.0.0.1:${edge_port[$1]}/api/rounds/$2/products/$3/state" 2>/dev/null | grep -q '"state":"open"'; }

# edge_kill NUMBER: master and workers at once, for good.
edge_kill() {
    # shellcheck disable=SC2046 # several process ids
    kill -KILL "${edge_pid[$1]}" $(edge_workers "$1") 2>/dev/null || true
    wait "${edge_pid[$1]}" 2>/dev/null || true
    unset "edge_pid[$1]"
}

edges_stop() {
    local number
    for number in "${!edge_pid[@]}"; do kill -QUIT "${edge_pid[$number]}" 2>/dev/null || true; done
    for number in "${!edge_pid[@]}"; do wait "${edge_pid[$number]}" 2>/dev/null || true; done
    edge_pid=()
}

# What a drill does at its end, however it ends.
edges_end() {
    [ -z "$back_end" ] || kill "$back_end" 2>/dev/null || true
    edges_stop
    [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
    wait 2>/dev/null || true
}

# --- What is sold, without a back end --------------------------------------

# put_on_sale ROUND PRODUCT LIMIT: open since a minute ago, for two hours.
put_on_sale() {
    local now
    now=$(date +%s%3N)
    cli HSET "seckill::{$1::$2}::info" limit "$3" >>"$work/redis.out"
    cli HSET seckill::catalogue "$1::$2" \
        "{\"opens_ms\":$((now - 60000)),\"ends_ms\":$((now + 7200000)),\"limit\":$3,\"per_buyer\":1,\"segments\":1,\"price_cents\":100}" >>"$work/redis.out"
    cli HINCRBY seckill::catalogue version 1 >>"$work/redis.out"
}

# --- Load ------------------------------------------------------------------

# sign_clicks EDGE ROUND NUMBER: of as many buyers, who come to this edge only.
sign_clicks() { perl bench/lib/clicks.pl good 1 "$3" "$2" "e$1-" | sed "s/\$/\t-/" >"$work/edge$1/clicks"; }

# flood EDGE SECONDS CONNECTIONS: these clicks, round and round.
flood() {
    wrk -t 1 -c "$3" -d "${2}s" -s bench/lib/clicks.lua "http://127.0.0.1:${edge_port[$1]}" \
        -- "$work/edge$1/clicks" >>"$work/edge$1/wrk.out" 2>&1 || true
}

# flood_all SECONDS CONNECTIONS: at every edge that lives.
flood_all() {
    local number floods=()
    for number in "${!edge_pid[@]}"; do
        flood "$number" "$1" "$2" &
        floods+=($!)
    done
    wait "${floods[@]}" || true
}
