#!/usr/bin/env bash
# The money side of a sale: the stock lies on three Redis masters (3,000, 3,000
# and 4,000 items, to scale) and two order workers run beside the shop.
#
#   1. Five times as many buyers as items: exactly all items become orders.
#   2. A third of the orders is paid, a third cancelled, a third left unpaid until
#      its time is over: the three amounts and the permits are right.
#   3. Other buyers get all that came back; `seckill verify` passes.
#
# Each scenario is all of this in a new place:
#
#   streams    Redis Streams and SQLite; nothing goes wrong
#   rocketmq   RocketMQ and MariaDB; nothing goes wrong
#   node       the same, and RocketMQ's node is stopped for 20 s
#   workers    the same, and the order workers are killed with -9 every 2 s
#   database   the same, and MariaDB is killed and started again
#
# What goes wrong does so while orders are placed; the workers are killed thirty times.
# Prints a PASS or FAIL line for
# each fact, with the numbers. Without arguments only streams. 3,000 buyers for 600
# items; --full: all scenarios unless some are named, 50,000 buyers for 10,000.
# BUYERS and PAY_WITHIN (seconds) for others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=scripts/lib/mariadb.sh
. scripts/lib/mariadb.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=t/drills/lib/kinds.sh
. t/drills/lib/kinds.sh
# shellcheck source=t/drills/lib/masters.sh
. t/drills/lib/masters.sh
# shellcheck source=t/drills/lib/order_workers.sh
. t/drills/lib/order_workers.sh

all=(streams rocketmq node workers database)
chosen=() buyers=${BUYERS:-}
for argument in "$@"; do
    case $argument in
        --full) buyers=${buyers:-50000} full=yes ;;
        streams | rocketmq | node | workers | database) chosen+=("$argument") ;;
        *) fail "unknown argument \"$argument\"; there are --full and the scenarios ${all[*]}" ;;
    esac
done
buyers=${buyers:-3000}
[ ${#chosen[@]} -gt 0 ] || { [ -n "${full:-}" ] && chosen=("${all[@]}") || chosen=(streams); }

items=$((buyers / 50 * 10))
third=$((items * 3 / 10))
# Of orders: every first of three is paid, every second cancelled.
paid=$(((items + 2) / 3))
back=$((items - paid))
unpaid=$((items / 3))
# Ten seconds of placing, with two workers: the course's 500 a second each.
export SECKILL_ORDERS_PER_SECOND=$((items / 20))
work=
load=$(trial_program seckill-load)

finish() {
    trouble_stop
    workers_stop
    shop_stop || true
    kind_stop
    masters_stop
    wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The place -------------------------------------------------------------

# open_shop SCENARIO: a new one, with masters, queue, database and workers.
open_shop() {
    rm -rf "$work"
    mkdir -p "$work"
    use_three_masters
    kind_place "$1"
    shop_start --roles purchase,relay,ops
    workers_start
}

# orders ROUND STATE...: how many are in these states.
orders() {
    local round=$1 states
    shift
    states=$(printf "'%s', " "$@")
    ask_database "SELECT COUNT(*) FROM orders WHERE round = '$round' AND state IN (${states%, })" 2>>"$work/ask.err" || echo away
}
has_orders() { [ "$(orders "$2" created paid cancelled)" -ge "$1" ] 2>/dev/null; }
has_none_open() { [ "$(orders "$1" created)" = 0 ]; }

# --- What goes wrong --------------------------------------------------------

# trouble SCENARIO: what goes wrong while orders of round "sale" are placed; says
# in $work/struck when it did.
trouble() {
    case $1 in
        streams | rocketmq) return 0 ;;
        *) poll_until 600 has_orders $((items / 10)) sale || return 0 ;;
    esac
    case $1 in
        workers) kill_workers_every_2_seconds 30 ;;
        node)
            scripts/rocketmq.sh kill "$mq_folder"
            orders sale created >"$work/struck"
            sleep 20 # that is how long it is to be away
            follow_placing &
            scripts/rocketmq.sh start "$mq_folder"
            echo $(($(date +%s%3N) - $(cat "$work/back"))) >"$work/ready"
            wait
            ;;
        database)
            kill -KILL "$mariadb_pid"
            poll_until 20 has_ended "$mariadb_pid"
            mariadb_start
            orders sale created >"$work/struck"
            echo "$mariadb_pid" >"$work/mariadb.pid"
            ;;
    esac
}
# Notes how long after the node's start the next order is placed.
follow_placing() {
    local before
    date +%s%3N >"$work/back"
    before=$(orders sale created)
    poll_until 180 has_orders $((before + 1)) sale || true
    echo $(($(date +%s%3N) - $(cat "$work/back"))) >"$work/resumed"
}
trouble_pid=
trouble_begin() {
    trouble "$1" >>"$work/trouble.log" 2>&1 &
    trouble_pid=$!
}
trouble_stop() {
    [ -n "$trouble_pid" ] || return 0
    wait "$trouble_pid" || true
    trouble_pid=
    # It was started again in a shell of its own.
    [ ! -e "$work/mariadb.pid" ] || mariadb_pid=$(cat "$work/mariadb.pid")
}

# --- The sale ----------------------------------------------------------------

# race PREFIX BUYERS: everybody clicks until nothing is left.
race() {
    "$load" race --base "$shop_url" --round sale --product 1 --prefix "$1" --buyers "$2" --retry-busy \
        --until-sold-out 5 --limit 300 >"$work/$1.json" 2>"$work/$1.err" ||
        fact "$1: the load generator" "ended well" "$(tail -n 1 "$work/$1.err")"
    fact "$1: breaches that buyers saw" "" "$(json "$work/$1.json" 'join ", ", @{$j->{breaches}}')"
}

# stands TITLE SALE LOCKED SOLD PERMITS: how stock and permits stand in the end.
stands() {
    poll_until 60 has_amounts sale "$2 $3 $4 0" || true
    fact "$1: stock for sale, locked, sold, in transit" "$2 $3 $4 0" "$(amounts sale)"
    poll_until 60 has_permits sale "$5" || true
    fact "$1: permits used" "$5" "$(permits sale)"
}

verified() {
    "$seckill" verify >"$work/verify" 2>&1 && outcome=PASS || outcome=FAIL
    fact "$1: seckill verify" PASS "$outcome"
    sed 's/^/     /' "$work/verify"
}

everything_is_sold() {
    sell_in_shop sale +15s +60m "$items" "segments = [$third, $third, $((items - 2 * third))]"
    trouble_begin "$1"
    race buyers "$buyers"
    poll_until 600 has_orders "$items" sale || true
    fact "$1: orders" "$items" "$(orders sale created paid cancelled)"
    fact "$1: different buyers with an order" "$items" "$(ask_database "SELECT COUNT(DISTINCT user) FROM orders WHERE round = 'sale'")"
    fact "$1: buyers who see their order" "$items" "$(json "$work/buyers.json" '$j->{ordered}')"
    stands "$1" 0 "$items" 0 "$items"
    printf '     the edge said: %s; %s ms; %s transfers between the masters\n' \
        "$(json "$work/buyers.json" 'join ", ", map {"$_ $j->{codes}{$_}"} sort keys %{$j->{codes}}')" \
        "$(json "$work/buyers.json" '$j->{elapsed_ms}')" "$(transfers sale)"
}

a_third_each() {
    ask_database "SELECT user FROM orders WHERE round = 'sale'" >"$work/users"
    "$load" decide --base "$shop_url" --round sale --users "$work/users" --plan thirds \
        >"$work/decided.json" 2>"$work/decided.err" ||
        fact "$1: the load generator" "ended well" "$(tail -n 1 "$work/decided.err")"
    printf '     answers: %s\n' "$(json "$work/decided.json" 'join ", ", map {"$_ $j->{codes}{$_}"} sort keys %{$j->{codes}}')"
    poll_until $((pay_within + 60)) has_none_open sale || true
    fact "$1: orders paid, cancelled, open" "$paid $back 0" "$(orders sale paid) $(orders sale cancelled) $(orders sale created)"
    fact "$1: cancelled since nobody paid" "$unpaid" \
        "$(ask_database "SELECT COUNT(*) FROM orders WHERE round = 'sale' AND reason = 'unpaid'")"
    fact "$1: payments, each of one order" "$paid $paid" \
        "$(ask_database "SELECT COUNT(*), COUNT(DISTINCT order_id) FROM payments WHERE state = 'paid'" | tr '|\t' '  ')"
    stands "$1" "$back" 0 "$paid" "$paid"
}

others_get_what_came_back() {
    race others $((2 * items))
    poll_until 600 has_orders $((items + back)) sale || true
    fact "$1: orders of others" "$back" "$(ask_database "SELECT COUNT(DISTINCT user) FROM orders WHERE round = 'sale' AND user LIKE 'others%'")"
    fact "$1: orders of both" $((items + back)) "$(orders sale created paid cancelled)"
    stands "$1" 0 "$back" "$paid" "$items"
}

# Where the trouble fell, so that nobody takes a calm run for a brave one.
trouble_was_in_the_middle() {
    case $1 in
        workers) within "$1: times that both workers were killed" 30 30 "$(cat "$work/kills" || echo 0)" ;;
        node | database) within "$1: orders placed when it was struck" 1 $((items - 1)) "$(cat "$work/struck" || echo 0)" ;;
    esac
    [ ! -e "$work/resumed" ] || printf '     the node was ready %s ms after its start, and orders were placed again after %s ms\n' \
        "$(cat "$work/ready")" "$(cat "$work/resumed")"
}

run() {
    local began=$SECONDS
    pay_within=${PAY_WITHIN:-$((15 + items / 50))}
    # The time to be paid runs while the trouble lasts.
    [ -n "${PAY_WITHIN:-}" ] || case $1 in node | workers) pay_within=$((pay_within + 60)) ;; database) pay_within=$((pay_within + 15)) ;; esac
    export SECKILL_PAY_WITHIN=$pay_within
    work=$PWD/target/drills/orders/$1
    step "$1: $buyers buyers for $items items, $pay_within s to pay"
    open_shop "$1"
    everything_is_sold "$1"
    a_third_each "$1"
    trouble_stop
    trouble_was_in_the_middle "$1"
    verified "$1: paid, cancelled, unpaid"
    others_get_what_came_back "$1"
    verified "$1: sold again"
    fact "$1: dead letters" 0 "$(ask_redis XLEN seckill::queue::dead_letters)"
    workers_stop
    shop_stop && stopped=cleanly || stopped="with status $?"
    fact "$1: the system stopped" cleanly "$stopped"
    finish
    printf '     %s: %s s in all\n' "$1" $((SECONDS - began))
}

scripts/build.sh --quiet
for scenario in "${chosen[@]}"; do run "$scenario"; done
exit "$failed"
