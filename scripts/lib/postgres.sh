# shellcheck shell=bash
# A PostgreSQL of a script's own: private data, a unix socket, beside any other one.
# Sourced after steps.sh.
#
# postgres refuses to be run by root: then the user "postgres" runs it, whom Debian's
# package makes.

postgres_pid=
postgres_home=
postgres_as=()

# Debian keeps its programs in a folder for each version.
postgres_programs=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
PATH=$PATH${postgres_programs:+:$postgres_programs}

# Runs a statement as the superuser: postgres_ask DATABASE STATEMENT
postgres_ask() { psql --no-psqlrc --host="$postgres_home" --username=super --dbname="$1" --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$2"; }
postgres_answers() { postgres_ask postgres "SELECT 1" >"$postgres_home.answer" 2>&1; }

# Starts the server in postgres_home, with these arguments beside its own, and waits until
# it answers.
postgres_start() {
    (
        cd /
        exec "${postgres_as[@]}" "$(command -v postgres)" -D "$postgres_home/data" \
            -c unix_socket_directories="$postgres_home" -c listen_addresses= "$@"
    ) >>"$postgres_home.log" 2>&1 </dev/null &
    postgres_pid=$!
    poll_until 60 postgres_answers || fail "postgres did not start: $(tail -n 2 "$postgres_home.log")"
}

# Makes a new server: postgres_place FOLDER [ARGUMENT...]. The folder's name is short, since
# its socket's is. Everybody may log in: as "super", the superuser, or "seckill".
postgres_place() {
    postgres_home=$1
    shift
    [ "$(id -u)" -ne 0 ] || postgres_as=(setpriv --reuid=postgres --regid=postgres --init-groups)
    mkdir -p "$postgres_home"
    chmod 755 "$postgres_home"
    [ ${#postgres_as[@]} -eq 0 ] || chown postgres: "$postgres_home"
    (cd / && exec "${postgres_as[@]}" "$(command -v initdb)" --username=super --auth=trust --encoding=UTF8 \
        --no-sync --locale=C.UTF-8 --pgdata="$postgres_home/data") >"$postgres_home.initdb" 2>&1 </dev/null ||
        fail "initdb failed: $(tail -n 1 "$postgres_home.initdb")"
    postgres_start "$@"
    postgres_ask postgres "CREATE ROLE seckill LOGIN CREATEDB" >"$postgres_home.answer"
}

# The address of a database on it: postgres_url DATABASE
postgres_url() { printf 'postgres://seckill@localhost/%s?host=%s' "$1" "$postgres_home"; }

# process_is PID STATES: whether it is in one of these states; X if it is gone.
process_is() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
    [[ $2 == *${state:-X}* ]]
}

# Ends it and the processes of its connections without a chance to tidy up. A signal is
# sent before it acts: one that is still there makes new ones, and one of a connection
# holds the memory that the next server wants.
postgres_kill() {
    local children child
    kill -STOP "$postgres_pid"
    poll_until 10 process_is "$postgres_pid" T || fail "postgres does not stand still 10 s after SIGSTOP"
    children=$(cat "/proc/$postgres_pid/task/$postgres_pid/children")
    # shellcheck disable=SC2086 # one word for each
    kill -KILL "$postgres_pid" $children 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
    for child in $children; do
        poll_until 10 process_is "$child" XZ || fail "process $child of postgres is there 10 s after SIGKILL"
    done
}

# Ends it, and removes what it left.
postgres_stop() {
    [ -n "$postgres_pid" ] || return 0
    kill -INT "$postgres_pid" 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
    postgres_pid=
    rm -rf "$postgres_home" "$postgres_home".{log,answer,initdb}
}
