#!/usr/bin/env bash
# Bots among shoppers: 500 of them among 2,000 people, on a whole system of its
# own, over two sales of 600 items; once without the analysis of access logs, once
# with it and the policy "ban".
#
# The people browse, wait, react and pay as people do; half of them sit on campuses
# of 250 behind one address, and a quarter is hard to tell from bots: they log in in
# the last moment, take a locked phone out for the opening, click on two devices,
# drum on the button, or do without a mouse. The bots come in nine kinds in equal
# parts ("seckill load shop --help"). One of them, "careful", has the page open and
# reacts as people do: it cannot be found by its requests, and nothing is asked of
# the rules for it. Everybody comes from a loopback address of their own, campuses and
# farms from one each.
#
# Prints who was banned and who bought, and PASS or FAIL for what must hold: not one
# person banned or refused, at most one in a thousand so much as proposed; of the
# other eight kinds nine in ten banned after the first sale and 19 in 20 after the
# second, in which they get at most one in 20 of the items that they got without the
# analysis; a ban in force within a second of its decision, and gone within a second
# once it is lifted.
#
# SEED chooses another crowd; SHOPPERS, BOTS, IN_OFFICES, OFFICE, HARD, ITEMS its
# size; WICKEDNESS other bots.
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

seckill=${SECKILL_PROGRAM:-$seckill}
shoppers=${SHOPPERS:-2000} bots=${BOTS:-500} in_offices=${IN_OFFICES:-1000} items=${ITEMS:-600} seed=${SEED:-1}
office=${OFFICE:-250} hard=${HARD:-25}
work=$PWD/target/drills/cheat
stay=35

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# sale ROUND LEAD: everybody shops for $items that go on sale LEAD seconds from now.
sale() {
    local round=$1 more=()
    # The same product cannot be in two rounds at a time.
    sell_in_shop "$round" "+${2}s" "+${stay}s" "$items"
    [ -z "${WICKEDNESS:-}" ] || more=(--wickedness "$WICKEDNESS")
    "$seckill" load shop --base "$shop_url" --round "$round" --product 1 \
        --shoppers "$shoppers" --in-offices "$in_offices" --office "$office" --hard "$hard" --bots "$bots" --farm 50 \
        --seed "$seed" --seconds "$stay" --report "$work/$round" "${more[@]}" \
        >"$work/$round.txt" 2>"$work/$round.err" ||
        fail "the load generator failed: $(tail -n 1 "$work/$round.err")"
    sed 's/^/     /' "$work/$round.txt"
}

sold_to_bots() { json "$work/$1.json" '$j->{bots}{ordered}'; }
sold_to_people() { json "$work/$1.json" '$j->{people}{ordered}'; }
# Whoever clicked last is judged five seconds later, when no page of theirs went on.
nobody_new_is_banned() {
    local before=$now_banned
    now_banned=$("$seckill" bans list --json | grep -c '"value"' || true)
    [ "$before" = "$now_banned" ]
}
all_are_judged() {
    now_banned=none
    local deadline=$((SECONDS + 30)) same=0
    while ((same < 20 && SECONDS < deadline)); do
        if nobody_new_is_banned; then same=$((same + 1)); else same=0; fi
        sleep 0.1
    done
}

mkdir -p "$work"
[ -n "${SECKILL_PROGRAM:-}" ] || scripts/build.sh --quiet

# --- Without ---------------------------------------------------------------

step "$bots bots among $shoppers people, without the analysis"
shop_place "$work/data"
export SECKILL_ANALYSIS=off
shop_start
sale without 85
banned without >"$work/without.banned"
shop_stop || true

# --- With ------------------------------------------------------------------

step "The same crowd, with the analysis, in two sales"
shop_place "$work/data"
export SECKILL_ANALYSIS=ban
shop_start
# The absence of page requests counts only where the log was watched for 65 s.
sale first 150
all_are_judged
banned first >"$work/first.banned"
sale second 85
all_are_judged
banned second >"$work/second.banned"
found second >"$work/second.found"

step "Who was banned after both (group, banned, of, items in the second sale)"
sed 's/^/     /' "$work/second.banned"
people_found
printf '     items for bots: %s without, %s and %s with the analysis (first and second sale), of %s\n' \
    "$(sold_to_bots without)" "$(sold_to_bots first)" "$(sold_to_bots second)" "$items"
printf '     items for people: %s without, %s and %s with it\n' \
    "$(sold_to_people without)" "$(sold_to_people first)" "$(sold_to_people second)"
printf '     items for careful bots: %s without, %s and %s with it; %s of them were found\n' \
    "$(of_careful "$work/without.banned" 4)" "$(of_careful "$work/first.banned" 4)" \
    "$(of_careful "$work/second.banned" 4)" "$(of_careful "$work/second.found" 2)"
printf '     bots refused before the opening: %s in the first sale, %s in the second\n' \
    "$(json "$work/first.json" '$j->{bots}{blocked_before}')" "$(json "$work/second.json" '$j->{bots}{blocked_before}')"

fact "people banned after the first sale" 0 "$(of_people "$work/first.banned" 2)"
fact "people banned after the second sale" 0 "$(of_people "$work/second.banned" 2)"
fact "people who were refused as banned" 0 "$(($(json "$work/first.json" '$j->{people}{blocked}') + $(json "$work/second.json" '$j->{people}{blocked}')))"
within "people proposed" 0 $((shoppers / 1000)) "$(of_people "$work/second.found" 2)"
# The careful ones aside.
all=$(of_bots "$work/second.banned" 3)
within "bots of $all banned after the first sale" $((all * 90 / 100)) "$all" "$(of_bots "$work/first.banned" 2)"
within "bots of $all banned after the second sale" $((all * 95 / 100)) "$all" "$(of_bots "$work/second.banned" 2)"
within "items for these bots in the second sale" 0 $(($(of_bots "$work/without.banned" 4) / 20)) "$(of_bots "$work/second.banned" 4)"

# --- Banning and lifting ---------------------------------------------------

step "A program is banned while it goes on, and the ban is lifted"
sell_in_shop third +1s +120s 10
is_banned_while_it_goes_on third one-more-bot
session=$(session one-more-bot)
# The second sale is over, as the edge answers whoever is not banned.
fact "the edge's answer while it is banned" blocked "$(verdict_of "$session" second)"
"$seckill" findings dismiss user one-more-bot >>"$shop_log" 2>&1
lifted=$(date +%s%3N)
is_let_in() { [ "$(verdict_of "$session" second)" = ended ]; }
poll_until 10 is_let_in || true
within "ms until the edge lets it in again" 0 1000 $(($(date +%s%3N) - lifted))
stays_let_in() {
    local until=$((SECONDS + 4))
    while ((SECONDS < until)); do is_let_in || return 1; done
}
fact "whether it is let in for three seconds from then on" yes "$(stays_let_in && echo yes)"

step "Stopping"
shop_stop && stopped=cleanly || stopped="with status $?"
fact "the system stopped" cleanly "$stopped"
exit "$failed"
