# shellcheck shell=bash
# shellcheck disable=SC2154 # $work and $seckill are the drill's
# The Redis masters that hold a product's stock, for drills, and what lies on
# them. Sourced after scripts/lib/steps.sh, scripts/lib/shop.sh and
# t/drills/lib/sale.sh.
#
# What a drill gives: $work, an empty folder with a short path.

masters=()

# start_master N: on files of its own, which it finds again when started again.
start_master() {
    mkdir -p "$work/master$1"
    redis-server --port 0 --unixsocket "$work/m$1.sock" --save '' --appendonly yes \
        --dir "$work/master$1" >>"$work/master$1.log" 2>&1 &
    masters[$1 - 1]=$!
    poll_until 60 master_answers "$1" || fail "master $1 did not start; see $work/master$1.log"
}
master() { redis-cli -s "$work/m$1.sock" "${@:2}"; }
master_answers() { [ "$(master "$1" PING 2>/dev/null)" = PONG ]; }

# kill_master N: at once.
kill_master() {
    kill -KILL "${masters[$1 - 1]}"
    wait "${masters[$1 - 1]}" 2>/dev/null || true
}

masters_stop() {
    [ ${#masters[@]} -eq 0 ] || kill "${masters[@]}" 2>/dev/null || true
    masters=()
}

# Three masters, for whatever is started from here on.
use_three_masters() {
    local n
    for n in 1 2 3; do start_master "$n"; done
    export SECKILL_REDIS_SEGMENTS="unix://$work/m1.sock,unix://$work/m2.sock,unix://$work/m3.sock"
}

# --- What lies on them, of product 1 of a round -----------------------------

# stock ROUND EXPRESSION: of `seckill stock show`, $j being the product.
stock() {
    "$seckill" stock show "$1" 1 --json >"$work/stock.json" 2>>"$work/stock.err" || true
    json "$work/stock.json" "\$j = \$j->[0]; $2"
}
# For sale, locked, sold, and under way between two masters.
amounts() { stock "$1" 'join " ", @$j{qw(sale locked saled in_transit)}'; }
has_amounts() { [ "$(amounts "$1")" = "$2" ]; }
is_settled() { [ "$(stock "$1" '$j->{in_transit}')" = 0 ]; }

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
permits() { permits_used "$1::1"; }
# Purchases on any of the masters.
spent_of() {
    local n sum=0 spent
    for n in 1 2 3; do
        spent=$(master "$n" --raw HGET "seckill::{$1::0$n}::spent" "$2")
        spent=${spent#closed:}
        sum=$((sum + ${spent:-0}))
    done
    echo "$sum"
}
has_permits() { [ "$(permits "$1")" = "$2" ]; }

# How often stock went from one master to another.
transfers() {
    local n sum=0
    for n in 1 2 3; do sum=$((sum + $(master "$n" HLEN "seckill::{$1::1::0$n}::transfers"))); done
    echo $((sum / 2))
}

# until_sold ROUND MASTER ITEMS: waits until this master has sold so many. One
# connection that looks each millisecond, since a race may be over in a second.
until_sold() {
    local locked
    while read -r locked; do
        [ "${locked:-0}" -lt "$3" ] || return 0
    done < <(master "$2" -r 120000 -i 0.001 HGET "seckill::{$1::1::0$2}::stock" locked_stock_amount)
}
