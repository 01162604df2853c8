#!/bin/sh
# Makes docker/secrets: a key ring, and copies of it that the containers' users can
# read and nobody else. Run it as root, once; what is there stays.
#   docker/secrets.sh          for compose.yaml
#   docker/secrets.sh full     for compose.full.yaml: passwords of Redis and MariaDB too
set -eu
cd "$(dirname "$0")"
case ${1:-} in
    '' | full) ;;
    *) echo "secrets.sh: unknown argument \"$1\"; write nothing, or full" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "secrets.sh: run it as root: the files get the owners that the containers have" >&2; exit 1; }
umask 077
mkdir -p secrets
chmod 711 secrets

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
# give OWNER FILE: a secret without a line end, for one container's user.
give() {
    chown "$1:$1" "secrets/$2"
    chmod 400 "secrets/$2"
}
# make OWNER FILE TEXT
make() {
    [ -s "secrets/$2" ] || printf '%s' "$3" >"secrets/$2"
    give "$1" "$2"
}

[ -s secrets/seckill-keys ] || printf 'k1 %s\n' "$(random 32)" >secrets/seckill-keys
cp secrets/seckill-keys secrets/edge-keys
give 10001 seckill-keys
give 10002 edge-keys
[ "${1:-}" = full ] || exit 0

# Each container's user has a file of its own; those that hold the same password agree.
make 999 redis-password "$(random 24)"
redis=$(cat secrets/redis-password)
printf '%s' "$redis" >secrets/edge-redis-password
printf 'redis://:%s@10.89.78.20:6379' "$redis" >secrets/redis-url
make 999 database-root-password "$(random 24)"
make 999 database-password "$(random 24)"
printf 'mysql://seckill:%s@10.89.78.40/shop' "$(cat secrets/database-password)" >secrets/database-url
give 10002 edge-redis-password
give 10001 redis-url
give 10001 database-url
