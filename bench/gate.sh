#!/usr/bin/env bash
# What the gate costs, beside nginx itself and beside the Lua edge: one worker on
# one core, wrk on the other, in alternating rounds.
#
#   refusals    each kind against the same worker's `return 403`; of bans and
#               second clicks the Lua edge knows nothing
#   admission   passed by the gate and answered from a small file, against the
#               same file ungated; the limit is far away
#   login       admission again by tokens of the shop's own login (RS256, in a header),
#               against the edge's own cookie
#   weight      admission again with 10,000 products on sale and with BANS bans
#               (1,000,000), each on an edge of its own, against one product and none
#   Redis       commands that an edge sends for each admitted request
#
# Each is measured for the module and for the Lua edge (lua/edge), in one nginx.
# ROUNDS, SECONDS_EACH, CONNECTIONS, BUYERS and BANS change how long it takes;
# SECKILL_MODULE names a module that is built already. It prints a table, writes
# bench/results/gate.json, and its exit status does not depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

buyers=${BUYERS:-20000}
refusals=(bad_signature expired no_session sold_out busy)
# What only the module knows of.
own_refusals=(banned second_click)
edges=(module lua)
bans=${BANS:-1000000} products=10000
limit=1000000000000

# --- The server ------------------------------------------------------------

prepare
start_redis
(umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
mapfile -t ports < <(free_ports 8)
plain_port=${ports[0]}
declare -A port=([module]=${ports[1]} [lua]=${ports[2]} [module_busy]=${ports[3]} [lua_busy]=${ports[4]}
    [products]=${ports[5]} [bans]=${ports[6]} [jwt]=${ports[7]})

node bench/lib/tokens.mjs "$buyers" "$work/jwks.json" >"$work/tokens"

began_ms=$(($(date +%s) * 1000))
times="\"opens_ms\":$((began_ms - 10000)),\"ends_ms\":$((began_ms + 86400000))"
# offer PRODUCT LIMIT: puts it on sale.
offer() {
    cli HSET "seckill::{1::$1}::info" round 1 product "$1" limit "$2" per_buyer 1 segments 1 >>"$work/redis.out"
    cli HSET seckill::catalogue "1::$1" "{$times,\"limit\":$2,\"per_buyer\":1,\"segments\":1,\"price_cents\":1}" >>"$work/redis.out"
    cli HINCRBY seckill::catalogue version 1 >>"$work/redis.out"
}
offer 153 $limit
offer 154 1
# Whom the banned clicks are by.
cli EVAL 'for n = 1, 1000 do redis.call("HSET", "seckill::{bans}::list", "user:banned" .. n, "0|1|ops|bench") end' 0 >>"$work/redis.out"
# Sold out: its one permit is out, and no lease is open.
cli SET "seckill::{1::154}::permits" 1 >>"$work/redis.out"

# The edges that carry weight have databases of their own: 1 has many products,
# 2 many bans (a thousand users, and addresses, 4 % of them networks of four lengths).
cli -n 1 EVAL 'for n = 1, tonumber(ARGV[1]) do
    local id = n == 1 and "153" or "p" .. n
    redis.call("HSET", "seckill::catalogue", "1::" .. id, ARGV[2])
    redis.call("HSET", "seckill::{1::" .. id .. "}::info", "round", 1, "product", id, "limit", ARGV[3], "per_buyer", 1, "segments", 1)
end
redis.call("HSET", "seckill::catalogue", "version", 1)' 0 "$products" \
    "{$times,\"limit\":$limit,\"per_buyer\":1,\"segments\":1,\"price_cents\":1}" "$limit" >>"$work/redis.out"
cli -n 2 EVAL 'redis.call("HSET", "seckill::catalogue", "1::153", ARGV[2], "version", 1)
redis.call("HSET", "seckill::{1::153}::info", "round", 1, "product", "153", "limit", ARGV[3], "per_buyer", 1, "segments", 1)
for n = 1, 1000 do redis.call("HSET", "seckill::{bans}::list", "user:banned" .. n, "0|1|ops|bench") end
for n = 1, tonumber(ARGV[1]) - 1000 do
    local length = n % 25 == 0 and ({ 24, 25, 26, 28 })[n / 25 % 4 + 1] or 32
    local ban = string.format("address:%d.%d.%d.%d/%d", 130 + n % 90, n / 90 % 256, n / 23040 % 256, n % 251, length)
    redis.call("HSET", "seckill::{bans}::list", ban, "0|1|ops|bench")
end' 0 "$bans" "{$times,\"limit\":$limit,\"per_buyer\":1,\"segments\":1,\"price_cents\":1}" "$limit" >>"$work/redis.out"

# The answer of whoever was admitted. A file is not for POST, so that nginx turns
# to its error page: the gated location and the open one take the same way.
mkdir -p "$work/html"
head -c 1024 /dev/zero | tr '\0' 'x' >"$work/html/ok.html"
answer='empty_gif; error_page 405 =200 /ok.html;'
ok="location = /ok.html { root $work/html; open_file_cache max=10; }"
# begin NAME: what every nginx here begins with. One that is paused most of the
# time believes that Redis was away, which is none of its faults.
begin() {
    cat <<CONF
load_module $module;
daemon off;
worker_processes 1;
pid $work/$1.pid;
error_log $work/error.log $(if [ "$1" = nginx ]; then echo warn; else echo error; fi);
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    seckill_zone $1:64m;
    seckill_keys $work/keys;
CONF
}
gated='seckill_gate on; seckill_rate rate=900000r/s burst=900000;'
for weight in products bans; do
    db=$([ "$weight" = products ] && echo 1 || echo 2)
    { begin "$weight"; cat <<CONF; } >"$work/$weight.conf"
    seckill_redis unix:$work/redis.sock timeout=1s db=$db;
    server {
        listen 127.0.0.1:${port[$weight]};
        location /buy/ { $gated $answer }
        location = /metrics { seckill_status; }
        $ok
    }
}
CONF
done
cat >"$work/nginx.conf" <<CONF
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
$(begin nginx)
    include $PWD/conf/lua-edge/http.conf;

    seckill_redis unix:$work/redis.sock timeout=1s;
    lua_package_path "$PWD/lua/?.lua;;";
    init_by_lua_block {
        require("edge.settings").open{
            redis = "unix:$work/redis.sock timeout=1s", keys = "$work/keys", options = "rate=900000",
        }
    }
    server {
        listen 127.0.0.1:$plain_port;
        location /buy/ { $answer }
        location /forbidden/ { return 403; }
        $ok
    }
    server {
        listen 127.0.0.1:${port[module]};
        location /buy/ { $gated $answer }
        location /api/ { seckill_state; }
        $ok
    }
    server {
        listen 127.0.0.1:${port[jwt]};
        seckill_jwt jwks=$work/jwks.json issuer=https://login.example.com/ audience=shop;
        location /buy/ { $gated $answer }
        $ok
    }
    server {
        listen 127.0.0.1:${port[module_busy]};
        location /buy/ { seckill_gate on; seckill_rate rate=1r/s burst=1; $answer }
        $ok
    }
    server {
        listen 127.0.0.1:${port[lua]};
        location /buy/ { access_by_lua_block { require("edge.gate").pass() } $answer }
        location /api/ { content_by_lua_block { require("edge.state").answer() } }
        $ok
    }
    server {
        listen 127.0.0.1:${port[lua_busy]};
        location /buy/ { access_by_lua_block { require("edge.gate").pass("rate=1") } $answer }
        $ok
    }
}
CONF
start_nginx
server=$worker
declare -A worker_of
for weight in products bans; do
    start_nginx "$weight"
    worker_of[$weight]=$worker
done
worker=$server
pause() { kill "-$1" "${worker_of[@]}" 2>/dev/null || true; }
trap 'pause CONT; cleanup' EXIT

# --- The load --------------------------------------------------------------

clicks() { perl bench/lib/clicks.pl "$@"; }
# An address is good for ten minutes: they are signed again for each round.
sign_clicks() {
    clicks good 153 "$buyers" >"$work/admitted.clicks"
    clicks good 154 1000 >"$work/sold_out.clicks"
    cp "$work/admitted.clicks" "$work/busy.clicks"
    paste <(cut -f1 "$work/admitted.clicks") <(sed 's/^/Bearer:/' "$work/tokens") >"$work/jwt.clicks"
    clicks bad_signature 153 1000 >"$work/bad_signature.clicks"
    clicks expired 153 1000 >"$work/expired.clicks"
    clicks no_session 153 1000 >"$work/no_session.clicks"
    clicks good 153 1000 1 banned >"$work/banned.clicks"
    # Without an id of its own a click is like no other.
    clicks good 153 1000 1 twice >"$work/first_click.clicks"
    sed 's/$/\t-/' "$work/first_click.clicks" >"$work/second_click.clicks"
    sed 's/^\/buy/\/forbidden/' "$work/bad_signature.clicks" >"$work/forbidden.clicks"
}
port_of() {
    case $2 in
        busy) echo "${port[$1_busy]}" ;;
        jwt) echo "${port[jwt]}" ;;
        *) echo "${port[$1]}" ;;
    esac
}

# verdict_of EDGE KIND: the code in the response to one click of this kind.
verdict_of() {
    local path token id headers
    IFS=$'\t' read -r path token id <"$work/$2.clicks"
    case $token in
        Bearer:*) headers=(-H "Authorization: Bearer ${token#Bearer:}") ;;
        *) headers=(-H "Cookie: seckill_session=$token") ;;
    esac
    [ -n "$id" ] || headers+=(-H 'Idempotency-Key: bench')
    curl -sS -X POST "${headers[@]}" "http://127.0.0.1:$(port_of "$1" "$2")$path" |
        sed 's/.*"code":"\([a-z_]*\)".*/\1/; s/^xx*$/admitted/'
}
says() { [ "$(verdict_of "$1" "$2")" = "$3" ]; }
code_of() {
    case $1 in
        no_session) echo login_required ;;
        banned) echo blocked ;;
        second_click) echo duplicate ;;
        *) echo "$1" ;;
    esac
}
# refusals_of EDGE: the kinds that it knows.
refusals_of() { if [ "$1" = module ]; then echo "${refusals[*]} ${own_refusals[*]}"; else echo "${refusals[*]}"; fi; }

sign_clicks
for edge in "${edges[@]}"; do
    poll_until 10 says "$edge" admitted admitted ||
        fail "the $edge edge does not admit a good click; it says: $(verdict_of "$edge" admitted)"
    for kind in $(refusals_of "$edge"); do
        # The first click may take the only item or token.
        poll_until 10 says "$edge" "$kind" "$(code_of "$kind")" ||
            fail "the $edge edge should say $(code_of "$kind"), and says: $(verdict_of "$edge" "$kind")"
    done
done

poll_until 10 says module jwt admitted || fail "the edge does not admit a click with a token; it says: $(verdict_of module jwt)"

has_bans() { [ "$(curl -sS "http://127.0.0.1:${port[bans]}/metrics" | sed -n 's/^seckill_bans //p')" -ge "$bans" ]; }
poll_until 60 has_bans || fail "the edge with $bans bans does not know them after a minute; see the metric seckill_bans"
# Only one edge works at a time: even at rest the others would take a share of the core.
pause STOP

# Leases of a run that is over would only fill Redis's memory.
forget_leases() {
    local db
    for db in 0 1 2; do cli -n "$db" UNLINK 'seckill::{1::153}::leases' >>"$work/redis.out"; done
}

# weigh NAME WEIGHT CLICKS: measures at the edge that carries this weight.
weigh() {
    worker=${worker_of[$2]}
    kill -CONT "$worker"
    poll_until 10 says "$2" admitted admitted || fail "the edge with many $2 says: $(verdict_of "$2" admitted)"
    measure "$1" "${port[$2]}" "$3"
    kill -STOP "$worker"
    worker=$server
}

one_round() {
    local edge kind weight
    sign_clicks
    measure forbidden "$plain_port" forbidden
    for kind in "${refusals[@]}"; do
        for edge in "${edges[@]}"; do measure "$edge.$kind" "$(port_of "$edge" "$kind")" "$kind"; done
    done
    # Buyers are remembered for half a minute.
    measure first_click "${port[module]}" first_click
    measure module.second_click "${port[module]}" second_click
    measure module.banned "${port[module]}" banned
    measure open "$plain_port" admitted
    for edge in "${edges[@]}"; do
        measure "$edge.admitted" "${port[$edge]}" admitted
        forget_leases
    done
    measure module.jwt "${port[jwt]}" jwt
    forget_leases
    for weight in products bans; do
        weigh "$weight.admitted" "$weight" admitted
        forget_leases
    done
}

runs=$((8 + ${#edges[@]} * (${#refusals[@]} + 1)))
step "The gate beside return 403, an ungated file and the Lua edge: $rounds rounds of $runs x $seconds s, after one of $runs x 1 s"
asked_seconds=$seconds
seconds=1
one_round
rm -f "$work"/*.runs
seconds=$asked_seconds
for ((round = 1; round <= rounds; round++)); do one_round; done

# Commands that reach Redis from an edge for each admitted request, scripts
# counted as one, and the reading of the catalogue included. MONITOR slows Redis
# down: this run counts only.
count_commands() {
    redis-cli -s "$work/redis.sock" MONITOR >"$work/$1.monitor" &
    local monitor=$! sent
    pids+=("$monitor")
    listens() { [ -s "$work/$1.monitor" ]; }
    poll_until 5 listens "$1"
    seconds=2 measure "$1.counted" "${port[$1]}" admitted
    kill "$monitor"
    wait "$monitor" 2>/dev/null || true
    forget_leases
    # What a script does inside is marked "lua"; the first line is MONITOR's own.
    sent=$(grep -vc -e ' lua\] ' -e '^OK' "$work/$1.monitor" || true)
    commands[$1]=$(awk -v sent="$sent" '{ printf "%.3f\n", sent / ($5 - $4) }' "$work/$1.counted.runs")
}
declare -A commands
for edge in "${edges[@]}"; do count_commands "$edge"; done

# --- The result ------------------------------------------------------------

declare -A unexpected
for edge in "${edges[@]}"; do
    unexpected[$edge]=$(awk '{ n += $4 } END { print n + 0 }' "$work/$edge.admitted.runs")
    [ "${unexpected[$edge]}" -eq 0 ] ||
        step "Beware: the $edge edge refused ${unexpected[$edge]} clicks that it should have admitted"
    for kind in $(refusals_of "$edge"); do
        # A token a second passes where it is busy.
        passed=$(awk -v each=$((seconds + 2)) '{ n += $5 - $4 - each; } END { print (n > 0 ? n : 0) }' "$work/$edge.$kind.runs")
        [ "$passed" -eq 0 ] || step "Beware: the $edge edge admitted $passed clicks as $kind"
    done
done
[ ! -s "$work/error.log" ] || { tail -n 5 "$work/error.log" >&2; step "nginx had something to say (above)"; }

line() { printf '%-30s %10s %9s %7s %9s %9s %7s\n' "$@"; }
# show TITLE NAME PEER GOAL: a line of the table.
show() { line "$1" "$(rate "$2")" "$(cpu "$2")" "$(share "$2")" "$(ratio "$2" "$3")" "$(cpu_ratio "$2" "$3")" "$4"; }

printf '\n'
line "one worker, one core" "requests/s" "us CPU" "of core" "by rate" "by CPU" "goal"
show "return 403" forbidden forbidden ""
for edge in "${edges[@]}"; do
    for kind in $(refusals_of "$edge"); do
        goal=$([ "$edge" = module ] && echo 0.95 || echo null)
        show "  $edge: $kind" "$edge.$kind" forbidden "${goal/null/}"
        row "refused: $kind, $edge / return 403" "$(ratio "$edge.$kind" forbidden)" "ratio of rates" "$goal" higher "return 403"
        row "refused: $kind, $edge / return 403, by CPU" "$(cpu_ratio "$edge.$kind" forbidden)" "ratio of requests per CPU second" null higher "return 403"
        row "refused: $kind, $edge" "$(rate "$edge.$kind")" "requests/s" null higher "$(rate forbidden)"
        row "refused: $kind, $edge, CPU" "$(cpu "$edge.$kind")" "us/request" null lower "$(cpu forbidden)"
    done
done
show "small file, ungated" open open ""
for edge in "${edges[@]}"; do
    goal=$([ "$edge" = module ] && echo 0.95 || echo null)
    show "  $edge: admitted, same file" "$edge.admitted" open "${goal/null/}"
    row "admitted, $edge / ungated" "$(ratio "$edge.admitted" open)" "ratio of rates" "$goal" higher "ungated"
    row "admitted, $edge / ungated, by CPU" "$(cpu_ratio "$edge.admitted" open)" "ratio of requests per CPU second" null higher "ungated"
    row "admitted, $edge" "$(rate "$edge.admitted")" "requests/s" null higher "$(rate open)"
    row "admitted, $edge, CPU" "$(cpu "$edge.admitted")" "us/request" null lower "$(cpu open)"
    row "Redis commands per admitted request, $edge" "${commands[$edge]}" "commands" \
        "$([ "$edge" = module ] && echo 0.02 || echo null)" lower "${commands[lua]}"
done
show "  module: token, not cookie" module.jwt module.admitted 0.9
row "admitted, token / cookie" "$(ratio module.jwt module.admitted)" "ratio of rates" 0.9 higher "admitted, module"
row "admitted, token / cookie, by CPU" "$(cpu_ratio module.jwt module.admitted)" "ratio of requests per CPU second" null higher "admitted, module"
declare -A weighs=([products]="$products products, not 1" [bans]="$bans bans, not 0")
for weight in products bans; do
    show "  module: ${weighs[$weight]}" "$weight.admitted" module.admitted 0.95
    row "admitted, ${weighs[$weight]}" "$(ratio "$weight.admitted" module.admitted)" "ratio of rates" 0.95 higher "admitted, module"
    row "admitted, ${weighs[$weight]}, by CPU" "$(cpu_ratio "$weight.admitted" module.admitted)" "ratio of requests per CPU second" null higher "admitted, module"
done
printf '\n%-42s %9s   by CPU %s   (goal: 4 or more)\n' "admitted, module / Lua edge, by rate" \
    "$(ratio module.admitted lua.admitted)" "$(cpu_ratio module.admitted lua.admitted)"
row "admitted, module / Lua edge" "$(ratio module.admitted lua.admitted)" "ratio of rates" 4 higher "Lua edge"
row "admitted, module / Lua edge, by CPU" "$(cpu_ratio module.admitted lua.admitted)" "ratio of requests per CPU second" null higher "Lua edge"
for edge in "${edges[@]}"; do
    printf '%-42s %9s   %s\n' "Redis commands per admitted request, $edge" "${commands[$edge]}" \
        "$([ "$edge" = module ] && echo '(goal: 0.02 or less)' || true)"
done
printf 'Where the worker used less than the whole core, the load (or Redis) was the limit; compare by CPU.\n\n'
write_results gate
