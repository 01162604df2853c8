# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is the drill's
# Shops of two kinds, for drills: "streams" with the queue in Redis and the
# database in a file; "rocketmq", or whatever else a drill calls its scenarios,
# with RocketMQ and MariaDB. Sourced after scripts/lib/{steps,shop,mariadb}.sh.
#
# What a drill gives: $work, an empty folder with a short path.

kind=
mq_folder=

# kind_place KIND: queue and database of a shop that is to be started.
kind_place() {
    kind=$1
    shop_place "$work/data"
    unset SECKILL_DATABASE_URL SECKILL_QUEUE SECKILL_ROCKETMQ_ENDPOINT
    [ "$1" != streams ] || return 0
    # A socket's path must be short.
    mariadb_place "$(mktemp -d)" shop
    ROCKETMQ_PORT=$(free_ports_in_a_row 9)
    export ROCKETMQ_PORT SECKILL_DATABASE_URL=$mariadb_url SECKILL_QUEUE=rocketmq
    export SECKILL_ROCKETMQ_ENDPOINT=127.0.0.1:$ROCKETMQ_PORT
    mq_folder=$work/rocketmq
    scripts/rocketmq.sh start "$mq_folder"
}

# ask_database STATEMENT
ask_database() {
    case $kind in
        streams) sqlite3 "$SECKILL_DATA/seckill.db" ".timeout 5000" "$1" ;;
        *) mariadb_ask shop "$1" ;;
    esac
}

kind_stop() {
    [ -z "$mq_folder" ] || scripts/rocketmq.sh kill "$mq_folder" || true
    mq_folder=
    [ -z "$mariadb_home" ] || { mariadb_stop && rm -rf "$mariadb_home"; }
    mariadb_home=
}
