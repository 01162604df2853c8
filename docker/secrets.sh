#!/bin/sh
# Makes docker/secrets: a key ring, and copies of it that the containers' users can
# read and nobody else. Run it as root, once; what is there stays.
set -eu
cd "$(dirname "$0")"
[ "$(id -u)" -eq 0 ] || { echo "secrets.sh: run it as root: the files get the owners that the containers have" >&2; exit 1; }
umask 077
mkdir -p secrets
chmod 711 secrets
[ -s secrets/seckill-keys ] || printf 'k1 %s\n' "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >secrets/seckill-keys
cp secrets/seckill-keys secrets/edge-keys
chown 10001:10001 secrets/seckill-keys
chown 10002:10002 secrets/edge-keys
chmod 400 secrets/seckill-keys secrets/edge-keys
