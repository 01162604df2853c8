#!/usr/bin/env bash
# The back end's suites with their databases on a PostgreSQL of their own, in place of
# SQLite, and the drill of a shop on it: scripts/test-postgres.sh [FILTER...]
#
# With a filter, only the suites that it names, without the drill.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/postgres.sh
. scripts/lib/postgres.sh

suites=(analysis board console fence flow_path flow_queue journal leases notifications
    ops_approval ops_inventory ops_many ops_orders order_desk order_feed orders_role payments
    postgres regrab retention retirement segments stock_ stop_switch store_orders traces verify)
filter=("${suites[@]}")
[ $# -eq 0 ] || filter=("$@")

command -v initdb >/dev/null || fail "postgresql is not installed; run scripts/install.sh test"
trap postgres_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# Each test has up to 8 connections to a database of its own.
postgres_place "$(mktemp -d)" -c max_connections=1000 -c fsync=off

TEST_POSTGRES=$(postgres_url '{}') \
    cargo test --profile trial --locked -p seckill --test it --no-fail-fast -- "${filter[@]}"
[ $# -gt 0 ] || t/drills/postgres.sh
