# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # what a drill gives, and what it reads
# A site whose every part is a process of its own, as on many boxes: nginx with the module,
# Redis, a database, and each role, some of them twice. Sourced after scripts/lib/steps.sh
# and scripts/lib/mariadb.sh.
#
# What a drill gives: $work, an empty folder with a short path; $port, of the edge;
# $database, "mariadb" or "sqlite"; $all, the names of its roles (purchase1 and so on); and
# of each version that it runs (it may be one) three functions: program VERSION, home
# VERSION (the tree with conf/ and html/), module VERSION.

declare -A pid_of=() version_of=()
redis_pid='' edge_pid=''

# What a drill does at its end, however it ends.
site_stop() {
    local name
    for name in "${!pid_of[@]}"; do kill -TERM "${pid_of[$name]}" 2>/dev/null || true; done
    [ ! -s "$work/edge/nginx.pid" ] || kill -TERM "$(cat "$work/edge/nginx.pid")" 2>/dev/null || true
    for name in "${!pid_of[@]}"; do wait "${pid_of[$name]}" 2>/dev/null || true; done
    [ -z "$redis_pid" ] || { kill "$redis_pid" 2>/dev/null || true; wait "$redis_pid" 2>/dev/null || true; }
    mariadb_stop
    [ -z "$mariadb_home" ] || rm -rf "$mariadb_home"
    pid_of=() redis_pid=''
}

# --- Redis and the database ----------------------------------------------------

cli() { redis-cli -s "$work/redis.sock" --raw "$@"; }
redis_pings() { [ "$(cli PING 2>/dev/null)" = PONG ]; }

# Starts both, and says to all that is started from here on where they are.
site_place() {
    mkdir -p "$work/run"
    (umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
    # It does not wait for the disk: what is held here is another thing, and a disk that is
    # busy makes everybody wait for Redis.
    redis-server --port 0 --unixsocket "$work/redis.sock" --unixsocketperm 777 --save '' --appendonly yes --appendfsync no --dir "$work" \
        >"$work/redis.log" 2>&1 &
    redis_pid=$!
    poll_until 60 redis_pings || fail "redis-server did not start; see $work/redis.log"
    case $database in
        sqlite) export SECKILL_DATABASE_URL=sqlite:$work/shop.db ;;
        mariadb)
            # A socket's path must be short.
            mariadb_place "$(mktemp -d)" shop
            export SECKILL_DATABASE_URL=$mariadb_url
            ;;
        *) fail "DATABASE is \"$database\"; there are mariadb and sqlite" ;;
    esac
    export SECKILL_REDIS_URL=unix://$work/redis.sock SECKILL_KEYS=$work/keys SECKILL_DEMO_LOGIN=on SECKILL_CAPTCHA=off
    export SECKILL_PORT=$port SECKILL_EDGES=http://127.0.0.1:$port/metrics SECKILL_ACCESS_LOGS=$work/access.log
}

ask_database() {
    case $database in
        sqlite) sqlite3 "$work/shop.db" ".timeout 5000" "$1" ;;
        *) mariadb_ask shop "$1" ;;
    esac
}

# --- Roles -----------------------------------------------------------------------

# role_start NAME VERSION: NAME is the role and a number. Waits until it says that it should
# get work.
role_start() {
    local name=$1 role=${1%[0-9]} data=$work/$1
    # Pages are on one file system for all.
    [ "$role" != ops ] || data=$work/ops
    mkdir -p "$data"
    local listen=SECKILL_STATUS_LISTEN
    case $role in purchase | ops) listen=SECKILL_${role^^}_LISTEN ;; esac
    env "SECKILL_DATA=$data" "SECKILL_HOME=$(home "$2")" "$listen=unix:$work/run/$name.sock" \
        "$(program "$2")" serve --roles "$role" >>"$work/$name.$2.log" 2>&1 </dev/null &
    pid_of[$name]=$!
    version_of[$name]=$2
    poll_until 60 role_is_ready "$name" || fail "$name of the $2 program is not ready after 60 s; see $work/$name.$2.log"
}
role_is_ready() { curl -fsS -o "$work/answer" --unix-socket "$work/run/$1.sock" http://role/readyz 2>/dev/null; }

# role_stop NAME: as an operator does. In $role_end: how it ended.
role_stop() {
    local status=0 began=$SECONDS
    kill -TERM "${pid_of[$1]}"
    poll_until 10 has_ended "${pid_of[$1]}" || kill -KILL "${pid_of[$1]}"
    wait "${pid_of[$1]}" || status=$?
    unset "pid_of[$1]"
    role_end=cleanly
    [ "$status" -eq 0 ] && [ $((SECONDS - began)) -le 7 ] || role_end="with status $status after $((SECONDS - began)) s"
}

# --- The edge ----------------------------------------------------------------------

# The module under a new inode, and the files of that version.
edge_files() {
    mkdir -p "$work/edge"
    cp "$(module "$1")" "$work/edge/module.new"
    mv "$work/edge/module.new" "$work/edge/module.so"
    ln -sfn "$(home "$1")" "$work/edge/home.new"
    mv -T "$work/edge/home.new" "$work/edge/home"
}

# upstream_servers ROLE FIRST OTHERS: those of $all, with what follows the address.
upstream_servers() {
    local name options=$2
    for name in "${all[@]}"; do
        [ "${name%[0-9]}" = "$1" ] || continue
        printf 'server unix:%s/run/%s.sock %s; ' "$work" "$name" "$options"
        options=$3
    done
}

# edge_start VERSION
edge_start() {
    local folder=$work/edge
    edge_files "$1"
    cat >"$folder/nginx.conf" <<CONF
load_module $folder/module.so;
worker_processes 2;
pid $folder/nginx.pid;
error_log $folder/error.log info;
worker_shutdown_timeout 30s;
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
events { worker_connections 4096; }
http {
    client_body_temp_path $folder/body; proxy_temp_path $folder/proxy; fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi; scgi_temp_path $folder/scgi;
    seckill_zone seckill:64m;
    seckill_redis unix:$work/redis.sock timeout=500ms;
    seckill_keys $work/keys;
    seckill_rate rate=50000r/s burst=5000 scope=site;
    upstream seckill_purchase {
        $(upstream_servers purchase "max_fails=3 fail_timeout=2s" "max_fails=3 fail_timeout=2s")
        keepalive 256;
    }
    upstream seckill_ops {
        $(upstream_servers ops "" backup)
    }
    include $folder/home/conf/seckill/http.conf;
    access_log $work/access.log seckill_json buffer=64k flush=1s;
    server {
        listen 127.0.0.1:$port backlog=4096;
        set \$seckill_static $folder/home/html/static;
        set \$seckill_pages $work/ops/pages;
        include $folder/home/conf/seckill/server.conf;
    }
}
CONF
    # A daemon: a master in the foreground ignores USR2. By its path, with which it starts
    # the next one.
    "$(command -v nginx)" -e "$folder/error.log" -p "$folder" -c "$folder/nginx.conf" >>"$folder/nginx.log" 2>&1 ||
        fail "the edge did not start; see $folder/nginx.log"
    poll_until 60 test -s "$folder/nginx.pid" || fail "the edge did not start; see $folder/error.log"
    edge_pid=$(cat "$folder/nginx.pid")
}

# edge_replace VERSION: as "Upgrading Executable on the Fly" of nginx's manual does it.
edge_replace() {
    local before=$edge_pid
    edge_files "$1"
    kill -USR2 "$before"
    # The file is away for a moment.
    has_new_master() {
        edge_pid=$(cat "$work/edge/nginx.pid" 2>/dev/null) || return 1
        [ -n "$edge_pid" ] && [ "$edge_pid" != "$before" ]
    }
    poll_until 20 has_new_master || fail "no new master came 20 s after USR2; see $work/edge/error.log"
    works() { pgrep -P "$edge_pid" >/dev/null; }
    poll_until 20 works || fail "the new master has no worker; see $work/edge/error.log"
    kill -QUIT "$before"
    is_gone() { ! kill -0 "$before" 2>/dev/null; }
    poll_until 60 is_gone || fail "the master before is still there; see $work/edge/error.log"
}

# Reloads the configuration, until no worker of before serves.
edge_reload() {
    local before
    before=$(pgrep -P "$edge_pid" | tr '\n' ' ')
    kill -HUP "$edge_pid"
    have_left() {
        local pid
        for pid in $before; do has_ended "$pid" || return 1; done
    }
    poll_until 40 have_left || fail "workers from before a reload are still there; see $work/edge/error.log"
}
