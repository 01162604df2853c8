#!/usr/bin/env bash
# Lets a backlog of orders build up, and counts how it is drained: as the course
# says, each of two workers places 500 orders a second and lets another 1,000 go,
# so that their buyers may grab again.
#
#   1. 50,000 purchases wait in the queue for longer than they may.
#   2. Two workers drain them; nobody is forgotten, nobody is counted twice, and
#      the stock follows.
#
# Prints a PASS or FAIL line for each fact, with the numbers. PURCHASES changes
# 50,000; SECKILL names another program than the optimised one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh

purchases=${PURCHASES:-50000}
seckill=${SECKILL:-$(trial_program seckill)}
work=$PWD/target/drills/backlog
rm -rf "$work"
mkdir -p "$work"
# Longer than this is too long here: a drill does not wait for two minutes.
export SECKILL_DATA=$work/data SECKILL_REDIS_URL=unix://$work/redis.sock SECKILL_BACKLOG_AFTER=5

pids=()
start() {
    "$@" >>"$work/log" 2>&1 </dev/null &
    pids+=($!)
}
stop_all() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

redis() { redis-cli -s "$work/redis.sock" "$@"; }
redis_answers() { redis PING >/dev/null 2>&1; }
stock() { redis --raw HMGET 'seckill::{1::1::01}::stock' sale_stock_amount locked_stock_amount saled_stock_amount | paste -sd ' '; }
orders() { sqlite3 -readonly "$SECKILL_DATA/seckill.db" "SELECT count(*) FROM orders WHERE state = '$1'"; }
in_queue() { redis XLEN seckill::queue::orders; }
# Or more: an event is published again when nobody knows what became of it.
all_wait() { [ "$(in_queue)" -ge "$purchases" ]; }
none_waits() { [ "$(in_queue)" = 0 ] && [ "$(redis ZCARD '{seckill::queue::orders}::delayed')" = 0 ]; }
stock_followed() { [ "$(stock)" = "$(orders failed) $(orders created) 0" ]; }

step "$purchases purchases that nobody makes orders of"
start redis-server --port 0 --save '' --unixsocket "$work/redis.sock" --dir "$work"
poll_until 60 redis_answers || fail "redis-server did not start; see $work/log"
approve "$work/log" 1 +0s +1h "$purchases"
start "$seckill" serve --roles relay
script=$(redis SCRIPT LOAD "$(cat lua/stock/prelude.lua lua/stock/purchase.lua)")
perl -e '
    my ($script, $count) = @ARGV;
    for my $n (1 .. $count) {
        my $tag = "seckill::{1::1::01}";
        my @words = ("EVALSHA", $script, 4, "$tag\::stock", "$tag\::buyers", "$tag\::spent", "$tag\::outbox",
            "buyer$n", "request$n", 1, "", "", 1, 1, 1, 100, 0);
        print "*", scalar @words, "\r\n", map { "\$" . length($_) . "\r\n$_\r\n" } @words;
    }' "$script" "$purchases" | redis --pipe >>"$work/log" 2>&1 || fail "the purchases were not made; see $work/log"
poll_until 300 all_wait || fail "only $(in_queue) purchases reached the queue; see $work/log"
sleep $((SECKILL_BACKLOG_AFTER + 1)) # they have to wait: that is what is tested

step "Two workers drain them"
began=$(date +%s%N)
start "$seckill" serve --roles orders
start "$seckill" serve --roles orders
poll_until 180 none_waits || true
took_ms=$((($(date +%s%N) - began) / 1000000))
fact "every purchase is decided" "$purchases" "$(($(orders created) + $(orders failed)))"
within "orders placed meanwhile" $((purchases / 10)) $((purchases / 2)) "$(orders created)"
within "purchases let go, to shorten the wait" $((purchases / 2)) $((purchases * 9 / 10)) "$(orders failed)"
poll_until 60 stock_followed || true
fact "the stock has followed (sale, locked, sold)" "$(orders failed) $(orders created) 0" "$(stock)"
fact "dead letters" 0 "$(redis XLEN seckill::queue::dead_letters)"
printf '%s purchases drained in %s ms: %s a second, of which %s orders were placed\n' \
    "$purchases" "$took_ms" $((purchases * 1000 / took_ms)) "$(orders created)"
stop_all
exit "$failed"
