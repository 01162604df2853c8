#!/usr/bin/env bash
# A thousand rounds of a hundred products, held one after the other on one site, and what
# is left of those that are over: of each round every product is bought, some orders are
# paid, some cancelled, the others run out of time; then the round retires. After the 10th,
# the 100th, the 500th and the 1,000th, when nothing is on sale: what Redis, the edge and
# the roles hold in memory, and what they do every second though nobody comes.
#
# A day passes for a round by moving its end in the database to the day before; all else
# is as it is in years. Each role is a process of its own, on MariaDB.
#
# ROUNDS (1000) and PRODUCTS (100) change the numbers, WINDOW how long a round sells
# (20 s). Writes bench/results/years.json, and fails if anything grew from the tenth round
# to the last by more than is said below.
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
# shellcheck source=bench/lib/results.sh
. bench/lib/results.sh

last_round=${ROUNDS:-1000}
products=${PRODUCTS:-100}
seconds=${SECONDS_EACH:-20}
window=${WINDOW:-20}
# Rounds that are held at once: what retires in one pass.
at_once=20
database=mariadb
work=$PWD/target/years
# shellcheck disable=SC2034 # t/drills/lib/site.sh starts them
all=(purchase1 relay1 orders1 ops1 analysis1)

program() { echo "$seckill"; }
home() { echo "$PWD"; }
module() { echo "$PWD/target/nginx/ngx_http_seckill_module.so"; }

trap site_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Rounds ------------------------------------------------------------------------

sells() { curl -fsS "http://127.0.0.1:$port/api/rounds/y$1/products/$products/state" 2>/dev/null | grep -q '"state":"open"'; }
count() { ask_database "SELECT COUNT(*) FROM orders WHERE $1" 2>>"$work/ask.err"; }
has_orders() { [ "$(count "1 = 1")" -ge "$1" ]; }
is_decided() { [ "$(count "state = 'created' OR stock_due IS NOT NULL")" = 0 ]; }

imported() { SECKILL_DATA=$work/ops "$seckill" sale import "$work/sale.toml" --approve --overlapping >"$work/import.log" 2>&1; }

# hold FIRST LAST: from the approval until every order is decided.
hold() {
    local at n=$((($2 - $1 + 1) * products))
    perl bench/lib/years.pl sale "$1" "$2" "$products" "$window" >"$work/sale.toml"
    # Again if need be: half a minute of a busy machine's Redis is not what is measured.
    poll_until 60 imported || fail "the rounds were not imported; see $work/import.log"
    poll_until 30 sells "$2" || fail "the edge does not sell round y$2; see $work/edge/error.log"
    perl bench/lib/years.pl clicks "$1" "$2" "$products" >"$work/clicks"
    "$load" pace --rate $((n / 2)) --seconds 3 --clicks "$work/clicks" "127.0.0.1:$port" >"$work/load.json" 2>"$work/load.err" ||
        fail "the load generator failed: $(cat "$work/load.err")"
    # Half of them click twice.
    [ "$(json "$work/load.json" '$j->{sent} >= '"$n"' && $j->{codes}{202} == $j->{sent} ? 1 : 0')" = 1 ] || fail "not each of $n clicks bought: $(tr -d '\n' <"$work/load.json")"
    poll_until 120 has_orders $(($2 * products)) || fail "only $(count "1 = 1") of $(($2 * products)) orders were placed"
    # Of one round, some pay and some cancel.
    for at in 1 2 3 4 5 6; do echo "y$1-$at"; done >"$work/users"
    "$load" decide --base "http://127.0.0.1:$port" --round "y$1" --users "$work/users" --plan thirds >"$work/decided.json" 2>>"$work/load.err" ||
        fail "the load generator failed: $(cat "$work/load.err")"
    poll_until 120 is_decided || fail "$(count "state = 'created'") orders are still open"
}
# A day passes for those that were held. (They retire when their window is over at the
# edges, too, which keep a few permits until then.)
over() {
    ask_database "UPDATE rounds SET opens_ms = opens_ms - 86400000, ends_ms = ends_ms - 86400000
        WHERE retired_ms IS NULL AND ends_ms > $(date +%s%3N) - 43200000"
}
all_retired() { [ "$(ask_database "SELECT COUNT(*) FROM rounds WHERE cleared = 0")" = 0 ]; }
pages_are_gone() { [ -z "$(ls -A "$work/ops/pages/product")" ]; }
is_quiet() { all_retired && pages_are_gone && [ "$(cli HLEN seckill::catalogue)" = 1 ]; }

# --- What is left ------------------------------------------------------------------

rss_kib() { awk '/^VmRSS/ { n += $2 } END { print n + 0 }' /proc/"$1"/status; }
anon_kib() { local pid n=0; for pid in "$@"; do n=$((n + $(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status"))); done; echo "$n"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
# The sum of those of MariaDB's counters whose names begin so.
status_of() { mariadb_ask shop "SHOW GLOBAL STATUS LIKE '$1%'" | awk '{ n += $2 } END { print n + 0 }'; }
# What Redis keeps of the products of a day for four weeks, and of the last 100,000 buyers
# who may buy again: here all rounds are of one day.
bounded_bytes() {
    local key n=0
    while read -r key; do n=$((n + $(cli MEMORY USAGE "$key" SAMPLES 0))); done \
        < <(cli --scan --pattern 'seckill::{*}::hot'; cli --scan --pattern seckill::regrabs)
    echo "$n"
}
info_of() { cli INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"; }
edge_metric() { curl -fsS "http://127.0.0.1:$port/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

# note NAME VALUE UNIT: a figure after $held rounds.
note() {
    printf '%s\t%s\t%s\t%s\n' "$held" "$1" "$2" "$3" >>"$work/figures"
    printf '     %-52s %s %s\n' "$1" "$2" "$3"
}
measure() {
    local name before=() commands statements rows counted
    poll_until 400 is_quiet || fail "after 400 s the rounds have not retired, or their pages are still there"
    # Allocators return what they hold in their own time, and the last sweeps pass.
    sleep 10
    commands=$(info_of stats total_commands_processed) statements=$(status_of Questions) rows=$(status_of Handler_read)
    for name in "${all[@]}"; do before+=("$(ticks "${pid_of[$name]}")"); done
    sleep "$seconds" # that is how long is counted
    counted=$(($(info_of stats total_commands_processed) - commands))
    note "Redis, commands a second" "$(per_second "$counted")" "/s"
    note "MariaDB, statements a second" "$(per_second $(($(status_of Questions) - statements)))" "/s"
    note "MariaDB, rows read a second" "$(per_second $(($(status_of Handler_read) - rows)))" "/s"
    local at=0
    for name in "${all[@]}"; do
        note "${name%1} role, processor time" "$(per_second $(($(ticks "${pid_of[$name]}") - before[at])))" "% of a core"
        at=$((at + 1))
    done
    local bounded
    bounded=$(bounded_bytes)
    note "Redis, memory" "$((($(info_of memory used_memory) - bounded) / 1024))" KiB
    note "Redis, memory of what a day and the last buyers leave" "$((bounded / 1024))" KiB
    note "Redis, keys" "$(cli DBSIZE)" keys
    for name in "${all[@]}"; do note "${name%1} role, memory" "$(rss_kib "${pid_of[$name]}")" KiB; done
    # shellcheck disable=SC2046 # several process ids
    note "nginx workers, memory of their own" "$(anon_kib $(pgrep -P "$edge_pid"))" KiB
    note "zone, products in its table" "$(edge_metric 'seckill_table_entries{table="products"}')" products
}
per_second() { awk -v n="$1" -v s="$seconds" 'BEGIN { printf "%.1f", n / s }'; }

# --- The run ------------------------------------------------------------------------

# SECKILL names a program that is built.
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
seckill=${SECKILL:-$(trial_program seckill)}
load=$(trial_program seckill-load)
rm -rf "$work"
mkdir -p "$work"
port=$(free_ports 1)
export SECKILL_PAY_WITHIN=3 SECKILL_PAY_GRACE=0 SECKILL_ORDERS_PER_SECOND=100000 SECKILL_RETIRE_HOURS=1
export SECKILL_PAGE_KEEP_HOURS=0 SECKILL_ASSET_KEEP_HOURS=0 SECKILL_SITE_RATE=100000
site_place
for name in "${all[@]}"; do role_start "$name" this; done
edge_start this

held=0
for upto in 10 100 500 "$last_round"; do
    [ "$upto" -le "$last_round" ] && [ "$upto" -gt "$held" ] || continue
    step "Rounds until the ${upto}th"
    while [ "$held" -lt "$upto" ]; do
        to=$((held + at_once < upto ? held + at_once : upto))
        hold $((held + 1)) "$to"
        over
        held=$to
        # No more than two lots wait to retire: until then their outboxes are read.
        few_wait() { [ "$(ask_database "SELECT COUNT(*) FROM rounds WHERE cleared = 0")" -le $((2 * at_once)) ]; }
        poll_until 120 few_wait || fail "rounds do not retire: $(tail -n 3 "$work/ops1.this.log")"
    done
    measure
done

# figure ROUND NAME
figure() { awk -F '\t' -v at="$1" -v name="$2" '$1 == at && $2 == name { print $3 }' "$work/figures"; }
# same NAME PERCENT MORE: of the last round, at most so much above the tenth.
same() {
    local before now
    before=$(figure 10 "$1") now=$(figure "$last_round" "$1")
    fact "$1 after $last_round rounds ($now) and after 10 ($before)" "as much" \
        "$(awk -v a="$before" -v b="$now" -v p="$2" -v more="$3" 'BEGIN { print b <= a * (1 + p / 100) + more ? "as much" : "more" }')"
}
[ "$last_round" -gt 10 ] || exit 0
same "Redis, commands a second" 5 2
same "MariaDB, statements a second" 5 2
same "MariaDB, rows read a second" 5 20
same "Redis, memory" 10 1024
same "Redis, keys" 10 20
same "zone, products in its table" 0 0
same "nginx workers, memory of their own" 10 1024
for name in "${all[@]}"; do
    same "${name%1} role, memory" 25 8192
    same "${name%1} role, processor time" 25 0.5
done
while IFS=$'\t' read -r at name value unit; do
    row "$name, after $at rounds" "$value" "$unit" null lower ""
done <"$work/figures"
write_results years
exit "$failed"
