#!/usr/bin/env bash
# A shop on PostgreSQL, as docs/postgres.md sets it up: a role that owns its database and
# may do nothing else.
#
#  1. PostgreSQL is killed while the shop makes its tables. Started again, it has them all.
#  2. Half of the items are sold, and PostgreSQL is killed in the middle of it: no order is
#     lost or doubled.
#  3. A backup is taken while the shop runs, as docs/postgres.md says; then database, Redis
#     and pages are gone.
#  4. In another folder and another database, the shop is started with nothing but the
#     backup: stock and orders are as they were, and other buyers get what is left.
#
# After each sale, `seckill verify` passes. Prints a PASS or FAIL line for each fact, with
# the numbers. ITEMS changes 200.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=scripts/lib/postgres.sh
. scripts/lib/postgres.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=t/drills/lib/restored.sh
. t/drills/lib/restored.sh

items=${ITEMS:-200}
work=$PWD/target/drills/postgres
round=kept
blocker='' racers=''

finish() {
    [ -z "$racers" ] || kill "$racers" 2>/dev/null || true
    [ -z "$blocker" ] || kill "$blocker" 2>/dev/null || true
    shop_stop || true
    postgres_stop
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ask_database() { postgres_ask "$database" "$1"; }
# In what docs/postgres.md calls the steps.
place_database() {
    postgres_ask postgres "CREATE DATABASE $1 OWNER seckill ENCODING 'UTF8' TEMPLATE template0" >"$work/answer"
    database=$1
    SECKILL_DATABASE_URL=$(postgres_url "$1")
    export SECKILL_DATABASE_URL
}
migrations() { postgres_ask "$database" "SELECT count(*) FROM _sqlx_migrations" 2>/dev/null || echo none; }

rm -rf "$work"
mkdir -p "$work"
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
postgres_place "$(mktemp -d)"
postgres_ask postgres "ALTER ROLE seckill NOCREATEDB" >"$work/answer"
place_database shop
shop_place "$work/before"

step "PostgreSQL is killed while the tables are made"
# A table of the name of the last one, which is not committed: the migration waits for it.
mkfifo "$work/blocker"
psql --no-psqlrc --host="$postgres_home" --username=super --dbname=shop --quiet <"$work/blocker" >"$work/blocker.log" 2>&1 &
blocker=$!
exec 3>"$work/blocker"
printf 'BEGIN;\nCREATE TABLE board_history (x BIGINT);\n' >&3
"$seckill" up >>"$shop_log" 2>&1 </dev/null &
shop_pid=$!
waits() { [ "$(postgres_ask postgres "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'shop' AND wait_event_type = 'Lock'")" = t ]; }
poll_until 30 waits || fail "no migration waits; see $shop_log"
postgres_kill
exec 3>&-
wait "$blocker" 2>/dev/null || true
blocker=
postgres_start
poll_until 60 shop_answers_or_is_gone || true
shop_answers || { shop_pid=; shop_start; }
has_tables() { [ "$(migrations)" = "$(find backend/migrations/postgres -name '*.sql' | wc -l)" ]; }
poll_until 30 has_tables || true
fact "migrations" "$(find backend/migrations/postgres -name '*.sql' | wc -l)" "$(migrations)"

step "Half of $items items are sold, and PostgreSQL is killed meanwhile"
sell_in_shop "$round" +5s +1h "$items"
poll_until 20 is_open
race first $((items / 2)) &
racers=$!
poll_until 30 has_live $((items / 10)) || fail "no orders are placed; see $shop_log"
postgres_kill
postgres_start
wait "$racers"
racers=
poll_until 60 has_live $((items / 2)) || true
fact "orders though PostgreSQL was killed" $((items / 2)) "$(live)"
fact "buyers with an order" $((items / 2)) "$(buyers)"
is_sound

step "The backup is taken while the shop runs"
backup=$work/backup
mkdir -m 700 "$backup"
pg_dump --format=custom --no-owner --file="$backup/seckill.dump" "$SECKILL_DATABASE_URL"
cp -p "$SECKILL_DATA/keys" "$SECKILL_DATA/payment-keys" "$backup/"
take_away
postgres_ask postgres "DROP DATABASE shop" >"$work/answer"

step "Another folder and database, with nothing but the backup"
place_database again
shop_place "$work/after"
cp -p "$backup/keys" "$backup/payment-keys" "$SECKILL_DATA/"
pg_restore --exit-on-error --single-transaction --no-owner --dbname="$SECKILL_DATABASE_URL" "$backup/seckill.dump"
shop_start
is_as_before

others_buy_the_rest
end_cleanly
exit "$failed"
