#!/usr/bin/env bash
# Two whole sites, 80 ms apart, that sell one round between them:
#
#   1. Buyers race at both, three times as many at west, which has a third of the
#      items. In the middle the line between them is cut: both sell on what they hold.
#      Once it is whole again, items move, and together exactly all is sold.
#   2. West's relay role is killed with -9 again and again while items move to it:
#      nothing is lost or doubled.
#   3. West is cut off for good: it stops by itself; the home takes over what it had,
#      and west, when it is back, takes that off its own sale first.
#
# 15 s of cut; CUT for others, such as CUT=60. BUYERS and ITEMS for other numbers.
# Needs root: everything is in two network namespaces that it makes and removes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=t/drills/lib/sites.sh
. t/drills/lib/sites.sh

cut=${CUT:-15} items=${ITEMS:-600} buyers=${BUYERS:-1200}
# After so many seconds a site counts as lost here.
lost_after=12
work=$PWD/target/drills/sites
load=$(trial_program seckill-load)
seckill=${SECKILL:-$(trial_program seckill)}
trap sites_tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ "$(id -u)" -eq 0 ] || fail "this makes network namespaces; run it as root"
for tool in ip curl sqlite3; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with: apt-get install iproute2 curl sqlite3"
done
rm -rf "$work"
mkdir -p "$work"
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
sites_tidy
network

# race SITE ROUND BUYERS RATE: the load at one site's edge; its summary is
# $work/SITE-ROUND.json.
race() {
    at "$1" "$load" race --base "http://127.0.0.1:${port[$1]}" --round "$2" --product 1 --prefix "$1" \
        --buyers "$3" --rate "$4" --retry-busy --until-sold-out 6 --limit 300 \
        >"$work/$1-$2.json" 2>"$work/$1-$2.err" || true
}
sold_at() { orders_at "$1" "$2" '*'; }
codes() { json "$work/$1.json" 'join ", ", map {"$_ $j->{codes}{$_}"} sort keys %{$j->{codes}}'; }
breaches() { fact "$1: breaches that buyers saw" "" "$(json "$work/$1.json" 'join ", ", @{$j->{breaches}}')"; }
all_sold() { [ $(($(sold_at east "$1") + $(sold_at west "$1"))) -ge "$2" ]; }

# sound ROUND ITEMS: both sites add up, alone and together.
sound() {
    poll_until 90 all_sold "$1" "$2" || true
    fact "$1: orders at both sites" "$2" "$(($(sold_at east "$1") + $(sold_at west "$1")))"
    local site said
    for site in east west; do
        said=$(seckill_at $site verify 2>&1) || true
        fact "$1: verify at $site" PASS "${said%% *}"
        [ "${said%% *}" = PASS ] || printf '%s\n' "$said"
    done
    said=$(seckill_at east site verify 2>&1) || true
    fact "$1: site verify" PASS "${said%% *}"
    printf '     %s\n' "$said"
}

step "Two sites, 80 ms apart"
sites_start
within "a round trip between them, ms" 78 200 "$(round_trip)"

step "Buyers race at both, and the line is cut for $cut s"
share=$((items / 3))
offer noon +12s +30m "$items" "sites = { east = $((items - share)), west = $share }"
fact "noon: shares" "$((items - share)) $share" "$(share_of east noon) $(share_of west noon)"
began=$SECONDS
race east noon $((buyers / 4)) $((items / 40 + 1)) &
racers=($!)
race west noon $((buyers * 3 / 4)) $((items / 12 + 1)) &
racers+=($!)
has_sold() { [ "$(sold_at west noon)" -ge "$1" ]; }
poll_until 60 has_sold $((share / 4)) || true
cut_line
before=$(now_ms)
sold_before="$(sold_at east noon) $(sold_at west noon)"
sleep "$cut"
printf '     cut for %s ms; sold until then (east west): %s, and meanwhile to: %s\n' \
    "$(($(now_ms) - before))" "$sold_before" "$(sold_at east noon) $(sold_at west noon)"
for site in east west; do
    [ "$site" = east ] && was=${sold_before% *} || was=${sold_before#* }
    fact "noon: $site sold on while it was cut off" yes "$([ "$(sold_at $site noon)" -gt "$was" ] && echo yes || echo no)"
done
# What waits for nothing: west has sold what it held, and east may have more.
said=$(state_at west noon)
fact "noon: what west says meanwhile is not \"sold out\"" open "$said"
mend_line
wait "${racers[@]}" || true
printf '     both raced for %s s; east said %s; west said %s\n' "$((SECONDS - began))" "$(codes east-noon)" "$(codes west-noon)"
sound noon "$items"
breaches east-noon
breaches west-noon
printf '     sold at east %s, at west %s of a share of %s; %s transfers moved %s items\n' "$(sold_at east noon)" \
    "$(sold_at west noon)" "$share" "$(transfers west noon)" "$(moved west noon)"
within "noon: west sold more than it began with" $((share + 1)) "$items" "$(sold_at west noon)"

step "West is killed with -9 while items move to it"
offer dusk +8s +30m "$items" "sites = { east = $((items - 1)), west = 1 }"
race east dusk 10 5 &
racers=($!)
race west dusk $((buyers * 3 / 4)) $((items / 10 + 1)) &
racers+=($!)
kills=0
for n in 1 2 3; do
    at_least() { [ "$(sold_at west dusk)" -ge "$1" ]; }
    poll_until 60 at_least $((items * n / 6)) || break
    site_kill west
    site_start west
    kills=$((kills + 1))
done
fact "dusk: kills" 3 "$kills"
wait "${racers[@]}" || true
sound dusk "$items"
breaches west-dusk

step "West is lost, and comes back"
offer night +6s +30m 160
is_open() { [ "$(state_at west night)" = open ] && [ "$(state_at east night)" = open ]; }
poll_until 40 is_open || true
race west night 5 50
poll_until 20 all_sold night 5 || true
cut_line
began=$(now_ms)
last=$began said="sells on"
# The last click that was accepted began before the site counts as lost.
for ((n = 0; n < 60 && $(now_ms) - began < 60000; n++)); do
    clicked=$(now_ms)
    case $(buy_at west night "late$n") in
        202) last=$clicked ;;
        unavailable) said=stopped && break ;;
    esac
done
fact "night: west, whom nobody hears" stopped "$said"
within "night: ms after the cut until its last sale" 1000 $((lost_after * 1000)) "$((last - began))"
fact "night: a click at east" 202 "$(buy_at east night early)"
taken=$(for_sale west night)
refused=$(seckill_at west site lost east 2>&1 || true)
fact "night: only the home declares others lost" refused "$(case $refused in *"only the home site, east"*) echo refused ;; *) echo "$refused" ;; esac)"
lost() { seckill_at east site lost west night 1 "$taken" >"$work/lost" 2>&1; }
poll_until 60 lost || true
fact "night: items that east took over" "$taken items" "$(cut -d' ' -f1,2 "$work/lost" | head -n 1)"
mend_line
sells() { [ "$(buy_at west night again$RANDOM)" = 202 ]; }
poll_until 60 sells && said="sells on" || said="$(buy_at west night again)"
fact "night: west, which is back" "sells on" "$said"
said=$(seckill_at east site verify 2>&1) || true
fact "night: site verify" PASS "${said%% *}"
printf '     %s\n' "$said"

step "Stopping"
sites_stop && stopped=cleanly || stopped="with status $?"
fact "both sites stopped" cleanly "$stopped"
exit "$failed"
