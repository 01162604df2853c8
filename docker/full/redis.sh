#!/bin/sh
# Starts a Redis or a Sentinel of compose.full.yaml: redis.sh server | sentinel
#
#   SECKILL_ADDRESS        this container's address
#   SECKILL_LISTEN         where it listens       (this address and 127.0.0.1)
#   SECKILL_FIRST_MASTER   the master at the very first start; none for that one itself
#   SECKILL_PASSWORD_FILE  the password           (/run/secrets/redis-password)
#   SECKILL_FOLDER         what is written        (/data)
#
# The configuration is made once. Afterwards it is Redis's own: a failover writes there
# who is master now, and a server that comes back finds it.
set -eu
what=$1
address=$SECKILL_ADDRESS
listen=${SECKILL_LISTEN:-$address 127.0.0.1}
master=${SECKILL_FIRST_MASTER:-}
folder=${SECKILL_FOLDER:-/data}
password=$(cat "${SECKILL_PASSWORD_FILE:-/run/secrets/redis-password}")
[ -n "$password" ] || { echo "redis.sh: the file with the password is empty; run docker/secrets.sh full" >&2; exit 2; }
conf=$folder/$what.conf
umask 077
[ -s "$conf" ] || case $what in
server)
    cat >"$conf.new" <<CONF
bind $listen
port 6379
dir $folder
appendonly yes
appendfsync everysec
save ""
maxmemory ${SECKILL_MAXMEMORY:-1gb}
maxmemory-policy noeviction
tcp-keepalive 60
repl-backlog-size 64mb
replica-announce-ip $address
masterauth $password
requirepass $password
# Whether it is master: for health checks, nothing else.
user health on nopass resetkeys resetchannels -@all +ping +info +auth +quit
# A master that no replica hears sells nothing: what it sold would be lost when the
# others choose a new one.
min-replicas-to-write ${SECKILL_MIN_REPLICAS:-1}
min-replicas-max-lag 10
CONF
    [ -z "$master" ] || echo "replicaof $master 6379" >>"$conf.new"
    mv "$conf.new" "$conf"
    ;;
sentinel)
    cat >"$conf.new" <<CONF
bind $listen
port 26379
dir $folder
protected-mode no
sentinel announce-ip $address
sentinel monitor shop $master 6379 2
sentinel auth-pass shop $password
sentinel down-after-milliseconds shop 2000
sentinel failover-timeout shop 10000
sentinel parallel-syncs shop 1
CONF
    mv "$conf.new" "$conf"
    ;;
*)
    echo "redis.sh: write server or sentinel, not \"$what\"" >&2
    exit 2
    ;;
esac
case $what in
server) exec redis-server "$conf" ;;
sentinel) exec redis-server "$conf" --sentinel ;;
esac
