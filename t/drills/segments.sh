#!/usr/bin/env bash
# Stock on three Redis masters (the course's 3,000, 3,000 and 4,000, to scale),
# through the whole system:
#
#   1. Five times as many buyers as items: exactly all items are sold, to as many
#      different buyers, whichever segment each of them belongs to.
#   2. All the stock on the third master, and `kill -9` of the back end in the
#      middle, while stock moves between the masters: still exactly all.
#   3. The amount is raised after the last item was sold, and the rest sold too.
#   4. One master is killed in the middle of a race and started again: what was
#      sold stays sold, and in the end exactly all is.
#
# 3,000 buyers for 600 items; --full: 50,000 buyers for 10,000. BUYERS for others.
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

case ${1:-} in
    --full) buyers=${BUYERS:-50000} ;;
    '') buyers=${BUYERS:-3000} ;;
    *) fail "unknown argument \"$1\"; there is --full" ;;
esac
items=$((buyers / 50 * 10))
work=$PWD/target/drills/segments
load=${CARGO_TARGET_DIR:-target}/release/seckill-load
masters=()

finish() {
    shop_stop || true
    [ ${#masters[@]} -eq 0 ] || kill "${masters[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The masters -----------------------------------------------------------

# start_master N: on files of its own, which it finds again when started again.
start_master() {
    mkdir -p "$work/master$1"
    redis-server --port 0 --unixsocket "$work/m$1.sock" --save '' --appendonly yes \
        --dir "$work/master$1" >>"$work/master$1.log" 2>&1 &
    masters[$1 - 1]=$!
    master_answers() { [ "$(redis-cli -s "$work/m$1.sock" PING 2>/dev/null)" = PONG ]; }
    poll_until 10 master_answers "$1" || fail "master $1 did not start; see $work/master$1.log"
}

# --- What the system holds -------------------------------------------------

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
permits() { ask_redis GET "seckill::{$1::1}::permits"; }
has_permits() { [ "$(permits "$1")" = "$2" ]; }
count_orders() {
    sqlite3 -readonly "$SECKILL_DATA/seckill.db" \
        "SELECT count($2) FROM orders WHERE round = '$1' AND product = '1' AND state IN ('created', 'paid')"
}
has_orders() { [ "$(count_orders "$1" '*')" -ge "$2" ]; }
# stock ROUND EXPRESSION: of `seckill stock show`, $j being the product.
stock() {
    "$seckill" stock show "$1" 1 --json >"$work/stock.json" 2>>"$work/stock.err" || true
    json "$work/stock.json" "\$j = \$j->[0]; $2"
}
amounts() { stock "$1" 'join " ", @$j{qw(sale locked saled in_transit)}'; }
is_settled() { [ "$(stock "$1" '$j->{in_transit}')" = 0 ]; }

# offer ROUND STARTS SEGMENTS: so many items on each master.
offer() { sell_in_shop "$1" "$2" +30m "$items" "segments = [$3]"; }

# race ROUND OPTION...: writes the summary to $work/ROUND.json.
race() {
    local round=$1
    shift
    "$load" race --base "$shop_url" --round "$round" --product 1 --buyers "$buyers" --retry-busy --limit 240 "$@" \
        >"$work/$round.json" 2>"$work/$round.err" ||
        fact "$round: the load generator" "ended well" "$(tail -n 1 "$work/$round.err")"
}

# sold_exactly ROUND ITEMS
sold_exactly() {
    poll_until 120 has_orders "$1" "$2" || true
    poll_until 15 is_settled "$1" || true
    fact "$1: orders" "$2" "$(count_orders "$1" '*')"
    fact "$1: different buyers with an order" "$2" "$(count_orders "$1" 'DISTINCT user')"
    fact "$1: stock for sale, locked, sold, in transit" "0 $2 0 0" "$(amounts "$1")"
    poll_until 20 has_permits "$1" "$2" || true
    fact "$1: permits granted" "$2" "$(permits "$1")"
}
breaches() { fact "$1: breaches that buyers saw" "" "$(json "$work/$1.json" 'join ", ", @{$j->{breaches}}')"; }
transfers() {
    local n sum=0
    for n in 1 2 3; do
        sum=$((sum + $(redis-cli -s "$work/m$n.sock" HLEN "seckill::{$1::1::0$n}::transfers")))
    done
    echo $((sum / 2))
}

# --- The drill -------------------------------------------------------------

rm -rf "$work"
mkdir -p "$work"
cargo build --release --locked --quiet -p seckill-load ||
    fail "the load generator did not build; the compiler's message above says where"
for n in 1 2 3; do start_master "$n"; done
export SECKILL_REDIS_SEGMENTS="unix://$work/m1.sock,unix://$work/m2.sock,unix://$work/m3.sock"
export SECKILL_ORDERS_PER_SECOND=5000
shop_place "$work/data"
shop_start

third=$((items * 3 / 10))
rest=$((items - 2 * third))
step "$buyers buyers, three masters with $third, $third and $rest items"
offer even +10s "$third, $third, $rest"
race even --until-sold-out 5
sold_exactly even "$items"
breaches even
printf '     transfers between the masters: %s; the edge said: %s; %s ms in all\n' "$(transfers even)" \
    "$(json "$work/even.json" 'join ", ", map {"$_ $j->{codes}{$_}"} sort keys %{$j->{codes}}')" \
    "$(json "$work/even.json" '$j->{elapsed_ms}')"

# Follows the third master's stock until some of it is sold. One connection that
# looks each millisecond, since a race is over in a second.
until_some_sold() {
    local locked
    while read -r locked; do
        [ "${locked:-0}" -lt $((items / 30)) ] || return 0
    done < <(redis-cli -s "$work/m3.sock" -r 60000 -i 0.001 HGET "seckill::{$1::1::03}::stock" locked_stock_amount)
}

step "The same with all of it on the third master, and kill -9 while it is sold"
offer skewed +10s "0, 0, $items"
# Two connections only, so that the race lasts long enough to be hit.
race skewed --prefix skewed --concurrency 2 --until-sold-out 12 &
racers=$!
until_some_sold skewed
# Frozen for the moment that it takes to end it: it sells nothing more.
kill -STOP "$shop_pid"
shop_kill
at_kill=$(for n in 1 2 3; do redis-cli -s "$work/m$n.sock" HGET "seckill::{skewed::1::0$n}::stock" locked_stock_amount; done |
    awk '{ n += $1 } END { print n }')
shop_start
wait "$racers"
sold_exactly skewed "$items"
within "skewed: sold when it was killed" 1 $((items - 1)) "$at_kill"
printf '     transfers between the masters: %s\n' "$(transfers skewed)"

step "The amount is raised by 30 after the last was sold"
"$seckill" stock adjust even 1 $((items + 30)) >>"$shop_log" 2>&1 || fact "raise: the command" "done" "$(tail -n 1 "$shop_log")"
race even --prefix late --until-sold-out 5
sold_exactly even $((items + 30))
refused=$("$seckill" stock adjust even 1 10 2>&1 || true)
fact "raise: an amount below what is sold" "refused with the numbers" \
    "$(case $refused in *"cannot have 10 items: $((items + 30)) are sold"*) echo refused with the numbers ;; *) echo "$refused" ;; esac)"

step "One master is killed in the middle of a race, and started again"
offer away +10s "$third, $third, $rest"
race away --prefix away --concurrency 2 --until-sold-out 12 &
racers=$!
until_some_sold away
kill -KILL "${masters[1]}"
wait "${masters[1]}" 2>/dev/null || true
others_sell() { [ "$(stock away '$j->{locked}')" -gt "$1" ]; }
seen=$(stock away '$j->{locked}')
poll_until 10 others_sell "$seen" && sells=yes || sells="no, $(amounts away)"
fact "away: the other masters sell on" yes "$sells"
start_master 2
wait "$racers"
sold_exactly away "$items"

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
exit "$failed"
