#!/usr/bin/env bash
# Bots among shoppers: 500 of them among 2,000 people, on a whole system of its
# own, over two sales of 600 items; once without the analysis of access logs, once
# with it and the policy "ban".
#
# The people browse, wait, react and pay as people do; some sit in offices of 40
# behind one address, some drum on the button. The bots come in nine kinds in equal
# parts ("seckill load shop --help"), among them one that behaves as people do and
# cannot be found by its requests. Everybody comes from a loopback address of his
# own, offices and farms from one each.
#
# Prints who was banned and who bought, and PASS or FAIL for what must hold:
# no person banned, the book's bots banned, many others at least proposed, fewer
# items for bots, a ban in force at the edge within a second of its decision, and
# gone within a second once it is lifted.
#
# SEED chooses another crowd; SHOPPERS, BOTS, IN_OFFICES, ITEMS its size; WICKEDNESS
# other bots.
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
# shellcheck source=t/drills/lib/banned.sh
. t/drills/lib/banned.sh

seckill=${SECKILL_PROGRAM:-$seckill}
shoppers=${SHOPPERS:-2000} bots=${BOTS:-500} in_offices=${IN_OFFICES:-240} items=${ITEMS:-600} seed=${SEED:-1}
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
        --shoppers "$shoppers" --in-offices "$in_offices" --office 40 --bots "$bots" --farm 50 \
        --seed "$seed" --seconds "$stay" --report "$work/$round" "${more[@]}" \
        >"$work/$round.txt" 2>"$work/$round.err" ||
        fail "the load generator failed: $(tail -n 1 "$work/$round.err")"
    sed 's/^/     /' "$work/$round.txt"
}

# Who is banned, by group, once a sale is over: "group banned of all" a line.
banned() {
    "$seckill" bans list --json >"$work/bans.json"
    perl -MJSON::PP -e '
        sub slurp { local (@ARGV, $/) = @_; decode_json(<>) }
        my ($bans, $report) = map { slurp($_) } @ARGV;
        my %banned = map { my $v = $_->{value}; $v =~ s{/32$}{}; ("$_->{kind} $v" => 1) } @$bans;
        my (%n, %all);
        for (@{$report->{actors}}) {
            $all{$_->{group}}++;
            $n{$_->{group}}++ if $banned{"user $_->{user}"} || $banned{"address " . ($_->{address} // "")};
        }
        printf "%s %d %d\n", $_, $n{$_} // 0, $all{$_} for sort keys %all;' "$work/bans.json" "$work/$1.json"
}
# How many bots are findings, they or their addresses, whatever was decided.
found() {
    perl -MJSON::PP -e '
        sub slurp { local (@ARGV, $/) = @_; decode_json(<>) }
        my ($findings, $report) = map { slurp($_) } @ARGV;
        my %found = map { ("$_->{kind} $_->{subject}" => 1) } @$findings;
        print scalar grep { $found{"user $_->{user}"} || $found{"address " . ($_->{address} // "")} }
            grep { $_->{group} ne "shopper" && $_->{group} ne "office" } @{$report->{actors}};' \
        "$work/findings.json" "$work/$1.json"
}
# people FILE / bots FILE: a group's first number, summed.
people_of() { awk '$1 == "shopper" || $1 == "office" { n += $2 } END { print n + 0 }' "$1"; }
bots_of() { awk '$1 != "shopper" && $1 != "office" { n += $2 } END { print n + 0 }' "$1"; }
sold_to_bots() { json "$work/$1.json" '$j->{bots}{ordered}'; }
sold_to_people() { json "$work/$1.json" '$j->{people}{ordered}'; }
blocked_before() { json "$work/$1.json" '$j->{bots}{blocked_before}'; }

mkdir -p "$work"
[ -n "${SECKILL_PROGRAM:-}" ] || cargo build --release --locked --quiet -p seckill ||
    fail "seckill did not build; the compiler's message above says where"

# --- Without ---------------------------------------------------------------

step "$bots bots among $shoppers people, without the analysis"
shop_place "$work/data"
export SECKILL_ANALYSIS=off
shop_start
sale without 85
shop_stop || true

# --- With ------------------------------------------------------------------

step "The same crowd, with the analysis, in two sales"
shop_place "$work/data"
export SECKILL_ANALYSIS=ban
shop_start
# The absence of page requests counts only where the log was watched for 65 s.
sale first 150
banned first >"$work/first.banned"
sale second 85
banned second >"$work/second.banned"

step "Who was banned after both (group, banned, of)"
sed 's/^/     /' "$work/second.banned"
"$seckill" findings list --limit 100000 --json >"$work/findings.json"
printf '     findings: %s banned, %s proposed; people among them: %s\n' \
    "$(json "$work/findings.json" 'scalar grep { $_->{state} eq "banned" } @$j')" \
    "$(json "$work/findings.json" 'scalar grep { $_->{state} eq "proposed" } @$j')" \
    "$(json "$work/findings.json" 'scalar grep { $_->{kind} eq "user" && $_->{subject} =~ /^s/ } @$j')"
printf '     items for bots: %s without, %s and %s with the analysis (first and second sale), of %s\n' \
    "$(sold_to_bots without)" "$(sold_to_bots first)" "$(sold_to_bots second)" "$items"
printf '     items for people: %s without, %s and %s with it\n' \
    "$(sold_to_people without)" "$(sold_to_people first)" "$(sold_to_people second)"
printf '     bots refused before the opening: %s in the first sale, %s in the second\n' \
    "$(blocked_before first)" "$(blocked_before second)"

fact "people banned after the first sale" 0 "$(people_of "$work/first.banned")"
fact "people banned after the second sale" 0 "$(people_of "$work/second.banned")"
# Many kinds give one reason only, which a policy must not ban for; a person decides.
within "bots found, banned or proposed" $((bots * 4 / 10)) "$bots" "$(found second)"
printf '     bots banned: %s of %s\n' "$(bots_of "$work/second.banned")" "$bots"
[ -n "${WICKEDNESS:-}" ] || fact "bots of the book's kind (one address, no page, hammering) not banned" 0 \
    "$(awk '$1 == "classic" { print $3 - $2 }' "$work/second.banned")"
within "items for bots in the second sale" 0 "$(($(sold_to_bots without) / 2))" "$(sold_to_bots second)"

# --- Banning and lifting ---------------------------------------------------

step "A program is banned while it goes on, and the ban is lifted"
sell_in_shop third +1s +120s 10
is_banned_while_it_goes_on third one-more-bot
session=$(session one-more-bot)
# The second sale is over, which is told to whoever is not banned.
fact "what it is told while it is banned" blocked "$(told "$session" second)"
"$seckill" findings dismiss user one-more-bot >>"$shop_log" 2>&1
lifted=$(date +%s%3N)
is_let_in() { [ "$(told "$session" second)" = ended ]; }
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
