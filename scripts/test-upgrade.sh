#!/usr/bin/env bash
# A site is upgraded and taken back while it sells, one process at a time, as
# docs/upgrade.md says: two real programs, the one of an earlier commit and this one.
#   scripts/test-upgrade.sh [REF]
#
# REF is the earlier one: by default the newest tag before this commit, or without tags the
# commit before the last one that changed the tables. It is built under target/upgrade/
# and kept there for the next run.
#
# The site: nginx with the module, Redis, MariaDB (DATABASE=sqlite for a file), and each
# role as a process of its own, two of purchase, relay, orders and ops. Buyers come all
# the time (RATE a second, 30), pay, cancel, or let the time pass; of two products one
# never ends and one is sold out and returns again and again.
#
#   1. All is old. Then the new program, role by role, the purchase roles first: what they
#      write is read by the old relays and orders roles. Then the edge, by USR2.
#   2. All is new; a key is added to the ring, and a round is approved.
#   3. The way back, role by role, on the tables of the new one. The round that the new
#      program approved is sold by the old one. (Not to programs from before the tables of
#      a later one were of use to them.)
#
# Prints a PASS or FAIL line for each fact, with the numbers, and leaves nothing running.
# Needs no root. EDGE_FIRST=yes replaces the edge before the roles, for a version of which
# the changelog wants that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/mariadb.sh
. scripts/lib/mariadb.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=t/drills/lib/site.sh
. t/drills/lib/site.sh

rate=${RATE:-30}
database=${DATABASE:-mariadb}
plenty=1000000 few=${FEW:-60}
work=$PWD/target/upgrade/site
old_home=
new_home=$PWD
load_pid=

# --- The two programs --------------------------------------------------------

# The commit of the earlier program.
earlier() {
    local tag changed
    if [ -n "${1:-}" ]; then
        git rev-parse --verify --quiet "$1^{commit}" || fail "\"$1\" is no commit of this repository"
        return
    fi
    if tag=$(git describe --tags --abbrev=0 HEAD 2>/dev/null); then
        git rev-parse "$tag^{commit}"
        return
    fi
    changed=$(git log -1 --format=%H -- backend/migrations/mysql backend/migrations/sqlite)
    [ -n "$changed" ] || fail "no commit here has changed the tables; name the earlier one: scripts/test-upgrade.sh REF"
    git rev-parse "$changed^"
}

# build_old COMMIT: its tree, program and module, in a folder of its own.
build_old() {
    old_home=$PWD/target/upgrade/$1
    [ ! -x "$old_home/built/seckill" ] || return 0
    step "Building the program of $(git log -1 --format='%h, %s' "$1")"
    rm -rf "$old_home"
    mkdir -p "$old_home/built"
    git archive "$1" | tar -x -C "$old_home"
    local target=$PWD/target/upgrade/cargo
    CARGO_TARGET_DIR=$target "$old_home/scripts/module.sh" \
        cargo build --profile trial --locked --quiet -p seckill -p seckill-nginx-module ||
        fail "the earlier program did not build; the compiler's message above says where"
    cp "$target/trial/libngx_http_seckill_module.so" "$old_home/built/"
    cp "$target/trial/seckill" "$old_home/built/seckill.new"
    mv "$old_home/built/seckill.new" "$old_home/built/seckill"
}

program() {
    case $1 in
        old) echo "$old_home/built/seckill" ;;
        new) echo "$seckill" ;;
    esac
}
home() { case $1 in old) echo "$old_home" ;; new) echo "$new_home" ;; esac; }
module() {
    case $1 in
        old) echo "$old_home/built/libngx_http_seckill_module.so" ;;
        new) echo "$new_home/target/nginx/ngx_http_seckill_module.so" ;;
    esac
}

finish() {
    touch "$work/stop" 2>/dev/null || true
    [ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null || true
    site_stop
    wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Old and new of each, replaced as docs/upgrade.md says.
all=(purchase1 purchase2 relay1 relay2 orders1 orders2 ops1 ops2 analysis1)
replace() {
    local before=${version_of[$1]}
    role_stop "$1"
    [ "$role_end" = cleanly ] || fact "$1 of the $before program ended" cleanly "$role_end"
    role_start "$1" "$2"
    # For that long nginx leaves out who was away (fail_timeout), and says nowhere when it
    # asks again.
    [[ $1 != purchase* ]] || sleep 3
}

# --- What is sold --------------------------------------------------------------

sale_of() {
    cat <<SALE
[[round]]
id = "$1"
name = "Upgrade $1"
starts = "+0s"
ends = "+6h"
[[round.product]]
id = "plenty"
title = "Plenty"
amount = $plenty
price_cents = 100
list_price_cents = 200
per_buyer = 1
[[round.product]]
id = "few"
title = "Few"
amount = $few
price_cents = 100
list_price_cents = 200
per_buyer = 1
SALE
}
# put_on_sale ROUND VERSION: approved by that program's command.
put_on_sale() {
    sale_of "$1" >"$work/$1.toml"
    # Again if need be: a busy machine's Redis may not respond in time.
    imported() { SECKILL_DATA=$work/ops "$(program "$2")" sale import "$work/$1.toml" --approve --overlapping >>"$work/import.log" 2>&1; }
    poll_until 30 imported "$@" || fail "the $2 program did not import the sale; see $work/import.log"
    poll_until 10 sells "$1" || fail "the edge does not sell round $1; see $work/edge/error.log"
    poll_until 20 test -s "$work/ops/pages/product/$1-plenty.html" || fail "the page of round $1 is not rendered"
}
sells() { curl -fsS "http://127.0.0.1:$port/api/rounds/$1/products/plenty/state" 2>/dev/null | grep -q '"state":"open"'; }

# Buyers of a round until $work/stop exists.
buyers_come() {
    rm -f "$work/stop"
    "$load" steady --base "http://127.0.0.1:$port" --round "$1" --products plenty,few --rate "$rate" --prefix "$1-" \
        --until "$work/stop" >"$work/$1.json" 2>"$work/$1.err" &
    load_pid=$!
}
buyers_leave() {
    touch "$work/stop"
    wait "$load_pid" || fail "the load generator failed: $(cat "$work/$1.err")"
    load_pid=
}

count() { ask_database "SELECT COUNT(*) FROM orders WHERE $1" 2>>"$work/ask.err"; }
# Orders of buyers who pay or cancel, in this order; those that nobody paid are cancelled
# by the orders role.
done_so_far() { echo "$(count "1 = 1") $(count "state = 'paid'") $(count "reason = 'cancelled'") $(count "reason = 'unpaid'")"; }
# goes_on WHEN: from now on, more of each.
goes_on() {
    local at want=("$rate" 5 5 3) before now outcome=yes
    read -ra before < <(done_so_far)
    has_more() {
        read -ra now < <(done_so_far)
        for at in 0 1 2 3; do ((now[at] >= before[at] + want[at])) || return 1; done
    }
    poll_until 90 has_more || outcome=no
    fact "$1: more orders, paid, cancelled, cancelled unpaid" yes "$outcome"
    printf '     %s orders, %s paid, %s cancelled, %s unpaid; %s s\n' "${now[@]}" "$SECONDS"
}

# --- Who stays logged in ---------------------------------------------------------

# log_in NAME: keeps the session's cookie.
log_in() {
    curl -fsS -D - -o "$work/answer" -H 'Content-Type: application/json' -d "{\"user\":\"$1\"}" "http://127.0.0.1:$port/api/session" |
        sed -n 's/^[Ss]et-[Cc]ookie: *\([^;]*\).*/\1/p' >"$work/session.$1"
}
# The edge and each purchase role take the session.
are_logged_in() {
    local name status
    for name in "$@"; do
        status=$(curl -s -o "$work/answer" -w '%{http_code}' -b "$(cat "$work/session.$name")" "http://127.0.0.1:$port/api/rounds/first/products/plenty/path")
        [ "$status" = 200 ] || { echo "$name: $status by the edge"; return; }
        for at in 1 2; do
            status=$(curl -s -o "$work/answer" -w '%{http_code}' -b "$(cat "$work/session.$name")" --unix-socket "$work/run/purchase$at.sock" http://role/api/orders)
            [ "$status" = 200 ] || { echo "$name: $status by purchase$at"; return; }
        done
    done
    echo yes
}

# --- From one version to another ---------------------------------------------------

# roll VERSION: all of them, one after another.
roll() {
    local to=$1 role
    [ -z "${EDGE_FIRST:-}" ] || [ "$to" = old ] || edge_replace "$to"
    for role in purchase relay orders; do
        replace "${role}1" "$to"
        # Half of them.
        goes_on "${role}1 is $to"
        replace "${role}2" "$to"
        goes_on "all $role are $to"
    done
    replace ops1 "$to"
    replace ops2 "$to"
    replace analysis1 "$to"
    if [ -z "${EDGE_FIRST:-}" ] || [ "$to" = old ]; then edge_replace "$to"; fi
    goes_on "all is $to"
}

# failures ROUND: what a shopper would have noticed, in two lines: while Redis and the
# database responded; and within seconds of a time when a role logged that one did not,
# because this machine had too much to do.
failures() {
    sed 's/\x1b\[[0-9;]*m//g' "$work"/*.old.log "$work"/*.new.log |
        { grep -E 'did not reply|timed out|slow statement|time to acquire exceeded' || true; } | cut -c1-23 | sort -u >"$work/stalls"
    perl -MJSON::PP -MTime::Local=timegm -e '
        my ($report, $stalls) = @ARGV;
        open my $file, "<", $stalls or die;
        my @stalls = map { /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)/ ? timegm(0, $5, $4, $3, $2 - 1, $1) + $6 : () } <$file>;
        local $/;
        open $file, "<", $report or die;
        my %said = (0 => [], 1 => []);
        my $told = decode_json(<$file>);
        my @failures = @{$told->{failures}};
        # The report lists so many and no more.
        push @{$said{0}}, $told->{failed} - @failures . " that are not listed" if $told->{failed} > @failures;
        for my $it (@failures) {
            my $at = $it->{at_ms} / 1000;
            my $excused = grep { $at > $_ - 3 && $at < $_ + 5 } @stalls;
            push @{$said{$excused ? 1 : 0}}, "$it->{step} $it->{code} ($it->{product}, $it->{user})";
        }
        print join(", ", @{$said{$_}}), "\n" for 0, 1' "$work/$1.json" "$work/stalls"
}
# odd_ends ROUND PRODUCT REGEX: ends of buyers that are none of these, nor follow from what
# failures tells. A buyer whose click is answered "busy" for a minute has another end.
odd_ends() { json "$work/$1.json" "my \$e = \$j->{ends}{$2}; join ', ', map { \"\$_ \$e->{\$_}\" } grep { !/^(?:lost|left at (?!click)\\w+|$3)\$/ } sort keys %\$e"; }
ordered='ordered, (?:not paid|then pay: paid|then cancel: cancelled)'
shopped() {
    local noticed excused buyers many
    { read -r noticed; read -r excused; } < <(failures "$1")
    buyers=$(json "$work/$1.json" '$j->{buyers}')
    fact "$1: what a shopper would notice, of $buyers buyers, while Redis and the database responded" "" "$noticed"
    [ -z "$excused" ] || printf '     while they did not: %s\n' "$excused"
    # A machine that stalls all the time shows nothing.
    many=$(awk -F ', ' -v most=$((buyers / 100)) 'NF > most { print NF " failures" }' <<<"$excused")
    fact "$1: more than one buyer in a hundred while they did not" "" "$many"
    fact "$1: other ends than an order, of what never ends" "" "$(odd_ends "$1" plenty "$ordered")"
    fact "$1: other ends than an order or \"sold out\", of what is scarce" "" "$(odd_ends "$1" few "sold_out|$ordered")"
}
# stands ROUND PRODUCT AMOUNT: nothing is lost and nothing is sold twice.
stands() {
    local paid
    paid=$(count "round = '$1' AND product = '$2' AND state = 'paid'")
    amounts() {
        SECKILL_DATA=$work/ops "$(program new)" stock show "$1" "$2" --json >"$work/stock.json" 2>>"$work/stock.err" || true
        json "$work/stock.json" '$j = $j->[0]; join " ", @$j{qw(sale locked saled in_transit)}'
    }
    has_settled() { [ "$(amounts "$1" "$2")" = "$(($3 - paid)) 0 $paid 0" ]; }
    poll_until 60 has_settled "$@" || true
    fact "$1, $2: for sale, locked, sold, in transit" "$(($3 - paid)) 0 $paid 0" "$(amounts "$1" "$2")"
}
none_is_open() { [ "$(count "state = 'created'")" = 0 ] && [ "$(count "stock_due IS NOT NULL")" = 0 ]; }
verified() {
    local outcome
    SECKILL_DATA=$work/ops "$(program "$2")" verify >"$work/verify.$2" 2>&1 && outcome=PASS || outcome=FAIL
    fact "$1: seckill verify of the $2 program" PASS "$outcome"
    [ "$outcome" = PASS ] || sed 's/^/     /' "$work/verify.$2"
}

# Whether the old program takes tables that a later one has brought up to date.
can_return() { grep -q 'set_ignore_missing(true)' "$old_home/backend/src/store/migrations.rs"; }

# --- The run -------------------------------------------------------------------------

commit=$(earlier "${1:-}")
build_old "$commit"
# SECKILL names a program that is built.
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
seckill=${SECKILL:-$(trial_program seckill)}
load=$(trial_program seckill-load)
[ "$(program old)" != "$(program new)" ] && ! cmp -s "$(program old)" "$(program new)" ||
    fail "both programs are the same; name an earlier commit: scripts/test-upgrade.sh REF"

rm -rf "$work"
mkdir -p "$work"
port=$(free_ports 1)
site_place
export SECKILL_PAY_WITHIN=20 SECKILL_PAY_GRACE=2

step "A site of the old program ($(git log -1 --format=%h "$commit"), $database)"
# The tables first, by one process: a program from before upgrades of the tables waited for
# each other fails if several begin.
SECKILL_DATA=$work/ops "$(program old)" sale export >>"$work/import.log" 2>&1 || fail "the old program did not make its tables; see $work/import.log"
for name in "${all[@]}"; do role_start "$name" old; done
edge_start old
put_on_sale first old
log_in early
buyers_come first
goes_on "all is old"

step "To the new program, one at a time"
roll new
fact "still logged in, since the old program" yes "$(are_logged_in early)"
log_in middle
key="k9 $(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')"
# key_ring LINES: as docs/many-boxes.md says, edges reloaded; the purchase roles read the
# file by themselves.
key_ring() {
    (umask 077 && printf '%s\n' "$1" >"$work/keys.new")
    mv "$work/keys.new" "$work/keys"
    edge_reload
}
ring=$(cat "$work/keys")
key_ring "$ring"$'\n'"$key"
key_ring "$key"$'\n'"$ring"
put_on_sale second new
goes_on "with a new key"
log_in late
fact "still logged in" yes "$(are_logged_in early middle late)"

if can_return; then
    step "Back to the old program, one at a time"
    roll old
    fact "still logged in, since the new program" yes "$(are_logged_in early middle late)"
else
    step "No way back: the old program does not start on the tables of a later one"
fi
buyers_leave first
buyers_come second
goes_on "a round that the new program approved is sold"
buyers_leave second

step "What came of it"
poll_until 90 none_is_open || true
fact "orders that are open, or that stock is to follow" "0 0" "$(count "state = 'created'") $(count "stock_due IS NOT NULL")"
for round in first second; do
    shopped "$round"
    stands "$round" plenty "$plenty"
    stands "$round" few "$few"
done
fact "dead letters" 0 "$(cli XLEN seckill::queue::dead_letters)"
! can_return || verified "in the end" old
verified "in the end" new
fact "lines of the roles' logs that say error, but that Redis or the database did not respond" 0 \
    "$(cat "$work"/*.old.log "$work"/*.new.log | sed 's/\x1b\[[0-9;]*m//g' | grep -E ' ERROR |panicked' | grep -cvE 'did not reply|timed out' || true)"
# A role that is stopped is not there: nginx says so of each try, and takes the other one.
fact "lines of the edge's log that say error or worse, but that a role is not there" 0 \
    "$(grep -E '\[(error|crit|alert|emerg)\]' "$work/edge/error.log" | grep -cvE 'connect\(\) to unix:[^ ]+\.sock failed|upstream timed out' || true)"
printf '     %s s in all\n' "$SECONDS"
exit "$failed"
