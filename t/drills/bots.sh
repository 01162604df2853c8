#!/usr/bin/env bash
# The short form of t/drills/cheat.sh, for every run of the tests: 60 bots of four
# kinds among 140 people of whom half are hard to tell from bots, one sale, the
# policy "ban". Facts: not one person banned, refused or proposed, nine in ten bots
# banned, and a ban in force within a second of its decision.
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
# shellcheck source=t/drills/lib/crowd.sh
. t/drills/lib/crowd.sh

shoppers=140 bots=60 seed=${SEED:-1}
work=$PWD/target/drills/bots
trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "$bots bots among $shoppers people"
mkdir -p "$work"
shop_place "$work/data"
export SECKILL_ANALYSIS=ban
# Nobody has been here for ten minutes: what a log does not show counts only once it
# was watched for more than one.
mkdir -p "$SECKILL_DATA/logs"
chmod 700 "$SECKILL_DATA" "$SECKILL_DATA/logs"
printf '{"msec":%s.000,"address":"127.0.0.1","method":"GET","uri":"/","status":200,"seconds":0.000}\n' \
    $(($(date +%s) - 600)) >"$SECKILL_DATA/logs/access.log"
shop_start
sell_in_shop only +9s +19s 60
"$seckill" load shop --base "$shop_url" --round only --product 1 --seed "$seed" --seconds 9 \
    --shoppers "$shoppers" --in-offices 70 --office 35 --hard 50 \
    --bots "$bots" --farm 15 --wickedness classic,hammer,forger,early \
    --report "$work/only" >"$work/only.txt" 2>"$work/only.err" ||
    fail "the load generator failed: $(tail -n 1 "$work/only.err")"
most_are_banned() {
    banned only >"$work/only.banned"
    [ "$(of_bots "$work/only.banned" 2)" -ge $((bots * 9 / 10)) ]
}
poll_until 10 most_are_banned || true
found only >"$work/only.found"
sed 's/^/     /' "$work/only.banned"
people_found
within "bots of $bots banned" $((bots * 9 / 10)) "$bots" "$(of_bots "$work/only.banned" 2)"
fact "people of $shoppers banned or proposed" 0 "$(of_people "$work/only.found" 2)"
fact "people who were refused as banned" 0 "$(json "$work/only.json" '$j->{people}{blocked}')"

step "A program is banned while it goes on"
sell_in_shop next +1s +60s 10
is_banned_while_it_goes_on next one-more-bot

shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
exit "$failed"
