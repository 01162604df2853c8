#!/usr/bin/env bash
# Purchases that the database will not take, in the middle of a sale:
#
#   1. Of 30 buyers the database refuses 3, by a fault of its own; and 2 messages
#      in the queue can be read by nobody. The others get their orders meanwhile.
#   2. The 3 purchases and what was unreadable end among the dead letters, each
#      with its reason; nothing is lost or blocked.
#   3. The fault is mended and the letters are sent again: the 3 buyers get their
#      orders, what was unreadable comes back; `seckill verify` passes.
#
# With the queue in Redis and SQLite (streams), and with RocketMQ and MariaDB
# (rocketmq); one may be named, both without a word. Unreadable messages are only
# put into the queue in Redis. Prints a PASS or FAIL line for each fact.
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

chosen=("${@:-streams}")
[ $# -gt 0 ] || chosen=(streams rocketmq)
load=$(trial_program seckill-load)
buyers=30 refused=3
work=

finish() {
    shop_stop || true
    kind_stop
    wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ask_redis() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
letters() { ask_redis XLEN seckill::queue::dead_letters; }
has_letters() { [ "$(letters)" = "$1" ]; }
orders() { ask_database "SELECT COUNT(*) FROM orders WHERE state = 'created'"; }
has_orders() { [ "$(orders)" = "$1" ]; }
# reasons PATTERN: letters whose reason says so.
reasons() { "$seckill" orders dead-letters list --json | perl -MJSON::PP -e 'local $/; print scalar grep { $_->{reason} =~ /$ARGV[0]/ } @{decode_json(<STDIN>)}' "$1"; }

# The fault: a rule of the database that refuses three buyers.
break_database() {
    local rule="NEW.user IN ('buyer00001', 'buyer00011', 'buyer00021')"
    case $kind in
        streams) ask_database "CREATE TRIGGER fault BEFORE INSERT ON orders WHEN $rule BEGIN SELECT RAISE(ABORT, 'faulty rule'); END" ;;
        *) ask_database "DELIMITER //
CREATE TRIGGER fault BEFORE INSERT ON orders FOR EACH ROW IF $rule THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'faulty rule'; END IF//" ;;
    esac
}
mend_database() { ask_database "DROP TRIGGER fault"; }

run() {
    local unreadable=0
    work=$PWD/target/drills/poison/$1
    rm -rf "$work"
    mkdir -p "$work"
    kind_place "$1"
    export SECKILL_ORDER_ATTEMPTS=2 SECKILL_REDRIVE_MINUTES=0
    shop_start
    step "$1: $buyers buyers, of whom the database refuses $refused"
    sell_in_shop sale +5s +10m "$buyers"
    break_database
    if [ "$1" = streams ]; then
        unreadable=2
        ask_redis XADD seckill::queue::orders '*' body 'no JSON' key lost >>"$work/log"
        ask_redis XADD seckill::queue::orders '*' body '{"v":99}' key newer >>"$work/log"
    fi
    # Buyers whose purchase is not decided are asked for no longer than needed.
    "$load" race --base "$shop_url" --round sale --product 1 --buyers "$buyers" --retry-busy --limit 20 \
        >"$work/race.json" 2>"$work/race.err" &
    local racers=$!
    poll_until 60 has_orders $((buyers - refused)) || true
    fact "$1: orders of the others" $((buyers - refused)) "$(orders)"
    poll_until 60 has_letters $((refused + unreadable)) || true
    fact "$1: dead letters" $((refused + unreadable)) "$(letters)"
    fact "$1: of them for the database's reason" "$refused" "$(reasons 'faulty rule')"
    fact "$1: of them unreadable" "$unreadable" "$(reasons 'parse|version')"
    "$seckill" verify >"$work/verify" 2>&1 && outcome=PASS || outcome=FAIL
    fact "$1: seckill verify, with letters" PASS "$outcome"

    step "$1: the fault is mended, and the letters are sent again"
    mend_database
    "$seckill" orders redrive --all >"$work/redrive" 2>&1 || fact "$1: the command" "done" "$(tail -n 1 "$work/redrive")"
    poll_until 60 has_orders "$buyers" || true
    fact "$1: orders" "$buyers" "$(orders)"
    poll_until 30 has_letters "$unreadable" || true
    fact "$1: dead letters left" "$unreadable" "$(letters)"
    wait "$racers" || true
    fact "$1: buyers who see their order" "$buyers" "$(json "$work/race.json" '$j->{ordered}')"
    fact "$1: stock for sale, locked, sold" "0 $buyers 0" \
        "$(ask_redis --raw HMGET "seckill::{sale::1::01}::stock" sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' ')"
    "$seckill" verify >"$work/verify" 2>&1 && outcome=PASS || outcome=FAIL
    fact "$1: seckill verify" PASS "$outcome"
    sed 's/^/     /' "$work/verify"
    finish
}

scripts/build.sh --quiet
for one in "${chosen[@]}"; do
    case $one in
        streams | rocketmq) run "$one" ;;
        *) fail "unknown argument \"$one\"; there are streams and rocketmq" ;;
    esac
done
exit "$failed"
