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
# shellcheck source=t/drills/lib/masters.sh
. t/drills/lib/masters.sh

case ${1:-} in
    --full) buyers=${BUYERS:-50000} ;;
    '') buyers=${BUYERS:-3000} ;;
    *) fail "unknown argument \"$1\"; there is --full" ;;
esac
items=$((buyers / 50 * 10))
work=$PWD/target/drills/segments
load=$(trial_program seckill-load)

finish() {
    shop_stop || true
    masters_stop
    wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- What the system holds -------------------------------------------------

count_orders() {
    sqlite3 -readonly "$SECKILL_DATA/seckill.db" \
        "SELECT count($2) FROM orders WHERE round = '$1' AND product = '1' AND state IN ('created', 'paid')"
}
has_orders() { [ "$(count_orders "$1" '*')" -ge "$2" ]; }

# offer ROUND STARTS SEGMENTS: so many items on each master.
offer() { sell_in_shop "$1" "$2" +30m "$items" "segments = [$3]"; }

# race ROUND OPTION...: writes the summary to $work/ROUND.json.
race() {
    local round=$1
    shift
    "$load" race --base "$shop_url" --round "$round" --product 1 --retry-busy --limit 240 "$@" \
        >"$work/$round.json" 2>"$work/$round.err" ||
        fact "$round: the load generator" "ended well" "$(tail -n 1 "$work/$round.err")"
}

# The same with twice as many buyers as items, who come so slowly that the last
# item is not sold for five seconds, however fast the machine: time to strike.
# Its status is for whoever waits for it.
race_slowly() {
    race "$1" --prefix "$1" --buyers $((2 * items)) --rate $((items / 5)) --until-sold-out 12
    return "$failed"
}

# sold_exactly ROUND ITEMS
sold_exactly() {
    poll_until 120 has_orders "$1" "$2" || true
    poll_until 15 is_settled "$1" || true
    fact "$1: orders" "$2" "$(count_orders "$1" '*')"
    fact "$1: different buyers with an order" "$2" "$(count_orders "$1" 'DISTINCT user')"
    fact "$1: stock for sale, locked, sold, in transit" "0 $2 0 0" "$(amounts "$1")"
    poll_until 20 has_permits "$1" "$2" || true
    fact "$1: permits used" "$2" "$(permits "$1")"
}
breaches() { fact "$1: breaches that buyers saw" "" "$(json "$work/$1.json" 'join ", ", @{$j->{breaches}}')"; }

# --- The drill -------------------------------------------------------------

rm -rf "$work"
mkdir -p "$work"
scripts/build.sh --quiet
use_three_masters
export SECKILL_ORDERS_PER_SECOND=5000
shop_place "$work/data"
shop_start

third=$((items * 3 / 10))
rest=$((items - 2 * third))
step "$buyers buyers, three masters with $third, $third and $rest items"
offer even +10s "$third, $third, $rest"
race even --buyers "$buyers" --until-sold-out 5
sold_exactly even "$items"
breaches even
printf '     transfers between the masters: %s; the edge said: %s; %s ms in all\n' "$(transfers even)" \
    "$(json "$work/even.json" 'join ", ", map {"$_ $j->{codes}{$_}"} sort keys %{$j->{codes}}')" \
    "$(json "$work/even.json" '$j->{elapsed_ms}')"

step "The same with all of it on the third master, and kill -9 while it is sold"
offer skewed +10s "0, 0, $items"
race_slowly skewed &
racers=$!
until_sold skewed 3 $((items / 10))
# Frozen for the moment that it takes to end it: it sells nothing more.
kill -STOP "$shop_pid"
shop_kill
at_kill=$(for n in 1 2 3; do master "$n" HGET "seckill::{skewed::1::0$n}::stock" locked_stock_amount; done |
    awk '{ n += $1 } END { print n }')
shop_start
wait "$racers" || failed=1
sold_exactly skewed "$items"
within "skewed: sold when it was killed" 1 $((items - 1)) "$at_kill"
printf '     transfers between the masters: %s\n' "$(transfers skewed)"

step "The amount is raised by 30 after the last was sold"
"$seckill" stock adjust even 1 $((items + 30)) --alone "the drill" >>"$shop_log" 2>&1 || fact "raise: the command" "done" "$(tail -n 1 "$shop_log")"
race even --buyers "$buyers" --prefix late --until-sold-out 5
sold_exactly even $((items + 30))
refused=$("$seckill" stock adjust even 1 10 2>&1 || true)
fact "raise: an amount below what is sold" "refused with the numbers" \
    "$(case $refused in *"cannot have 10 items: $((items + 30)) are sold"*) echo refused with the numbers ;; *) echo "$refused" ;; esac)"

step "One master is killed in the middle of a race, and started again"
offer away +10s "$third, $third, $rest"
race_slowly away &
racers=$!
until_sold away 3 $((items / 30))
kill_master 2
others_sell() { [ "$(stock away '$j->{locked}')" -gt "$1" ]; }
seen=$(stock away '$j->{locked}')
poll_until 20 others_sell "$seen" && sells=yes || sells="no, $(amounts away)"
fact "away: the other masters sell on" yes "$sells"
start_master 2
wait "$racers" || failed=1
sold_exactly away "$items"

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
exit "$failed"
