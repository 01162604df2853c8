# shellcheck shell=bash
# A MariaDB of a drill's own: private data, a unix socket, the current user.
# Sourced after steps.sh.

mariadb_pid=
mariadb_home=

# Runs a statement: mariadb_ask DATABASE STATEMENT
mariadb_ask() { mariadb --no-defaults --user=root --socket="$mariadb_home/socket" --batch --skip-column-names "$1" -e "$2"; }
mariadb_answers() { mariadb_ask mysql "SELECT 1" >"$mariadb_home/answer" 2>&1; }

# Starts the server in mariadb_home and waits until it answers.
mariadb_start() {
    TMPDIR=$mariadb_home mariadbd --no-defaults --user="$(id -un)" --skip-networking --skip-name-resolve \
        --datadir="$mariadb_home/data" --socket="$mariadb_home/socket" \
        --pid-file="$mariadb_home/pid" --log-error="$mariadb_home/log" >>"$mariadb_home/out" 2>&1 </dev/null &
    mariadb_pid=$!
    poll_until 60 mariadb_answers || fail "mariadbd did not start; see $mariadb_home/log"
}

# Makes a new server with one empty database: mariadb_place FOLDER DATABASE
mariadb_place() {
    mariadb_home=$1
    mkdir -p "$1"
    # A server that starts removes the temporary files of all others there.
    TMPDIR=$1 mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db \
        --skip-name-resolve --user="$(id -un)" --datadir="$1/data" >"$1/install" 2>&1 ||
        fail "mariadb-install-db failed; see $1/install"
    mariadb_start
    mariadb_ask mysql "CREATE DATABASE $2"
    mariadb_url="mysql://root@localhost/$2?socket=$1/socket"
    export mariadb_url
}

# Ends it without a chance to tidy up, and starts it again on the same files.
mariadb_restart() {
    kill -KILL "$mariadb_pid"
    wait "$mariadb_pid" 2>/dev/null || true
    mariadb_start
}

mariadb_stop() {
    [ -n "$mariadb_pid" ] || return 0
    kill -TERM "$mariadb_pid" 2>/dev/null || true
    wait "$mariadb_pid" 2>/dev/null || true
    mariadb_pid=
}
