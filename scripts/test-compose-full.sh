#!/usr/bin/env bash
# Checks docker/compose.full.yaml without its images: podman-compose reads it, and each
# service promises what docs/containers.md says. Then its own files run on this machine's
# Redis, HAProxy and nginx, at its own addresses in a network of their own: Sentinels
# choose a new master when the first is killed, and the roles are led there.
#   scripts/test-compose-full.sh
#
# Needs root, Python, redis-server, redis-sentinel, haproxy, prometheus. Where the public
# images can be pulled, "docker compose -f docker/compose.full.yaml up" is the test.
# Prints a PASS or FAIL line for each fact, and leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

[ "$(id -u)" -eq 0 ] || fail "run it as root: the addresses are made in a network namespace"
for needed in redis-server redis-cli haproxy promtool python3 ip unshare; do
    command -v "$needed" >/dev/null || fail "$needed is missing; install it with: apt-get install redis-server haproxy prometheus python3-venv iproute2"
done
composer=$PWD/target/python/bin/podman-compose
if [ ! -x "$composer" ]; then
    step "Fetching podman-compose"
    { python3 -m venv target/python && target/python/bin/pip install --quiet podman-compose; } ||
        fail "podman-compose could not be fetched from PyPI; see above"
fi

# In a network of its own from here on.
if [ -z "${SECKILL_IN_NAMESPACE:-}" ]; then
    SECKILL_IN_NAMESPACE=1 exec unshare --net "$0" "$@"
fi
ip link set lo up
work=$(mktemp -d)
pids=()
tidy() {
    # Without what bash has to say of each that was killed.
    { kill -KILL "${pids[@]}" || true; wait || true; } 2>/dev/null
    rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cp -r docker "$work/"
"$work/docker/secrets.sh" full
secrets=$work/docker/secrets

# --- What the file promises --------------------------------------------------

step "Reading docker/compose.full.yaml"
"$composer" -f "$work/docker/compose.full.yaml" config >"$work/read.yaml" 2>"$work/said" && said="read" || said=$(tail -n 1 "$work/said")
fact "podman-compose" read "$said"
"$(dirname "$composer")/python" - "$work/read.yaml" "$work/docker" >"$work/lacks" <<'PYTHON'
import os, sys, yaml
services = yaml.safe_load(open(sys.argv[1]))["services"]
known = {"balancer", "edge-1", "edge-2", "purchase-1", "purchase-2", "orders-1", "orders-2", "ops",
         "redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3", "redis-master",
         "namesrv", "broker", "topics", "mariadb", "prometheus"}
for name in sorted(known ^ set(services)):
    print(name, "is there or lacking")
addresses = [s["networks"]["inside"]["ipv4_address"] for s in services.values()]
if len(set(addresses)) != len(addresses):
    print("an address is given twice")
owners = {}
for name, it in services.items():
    user = str(it.get("user", "0")).split(":")[0]
    if user in ("0", "root"): print(name, "runs as root")
    if not it.get("read_only"): print(name, "has a root file system that can be written")
    if it.get("cap_drop") != ["ALL"]: print(name, "keeps capabilities")
    if "no-new-privileges:true" not in it.get("security_opt", []): print(name, "may gain privileges")
    if not it.get("stop_signal"): print(name, "has no stop signal")
    if name != "topics" and not it.get("stop_grace_period"): print(name, "has no time to drain")
    if not it.get("healthcheck"): print(name, "has no health check")
    for after in it.get("depends_on", {}):
        if after not in services: print(name, "waits for", after)
    for port in it.get("ports", []):
        if name != "balancer" and not str(port).startswith("127.0.0.1:"): print(name, "is published to everybody")
    for secret in it.get("secrets", []):
        owners.setdefault(secret if isinstance(secret, str) else secret["source"], set()).add(user)
# A secret is a file that its readers' user owns and nobody else reads.
texts = []
for secret, users in owners.items():
    path = os.path.join(sys.argv[2], "secrets", secret)
    stat = os.stat(path)
    texts.append(open(path).read().strip())
    if users != {str(stat.st_uid)}: print(secret, "belongs to", stat.st_uid, "and is read by", users)
    if stat.st_mode & 0o077: print(secret, "is open to others")
shown = open(sys.argv[1]).read()
if any(text in shown for text in texts): print("a secret stands in the file")
PYTHON
fact "what the services lack" "" "$(tr '\n' ';' <"$work/lacks")"
before=$(cat "$secrets"/* | sha256sum)
"$work/docker/secrets.sh" full
fact "secrets made twice" "the same" "$([ "$before" = "$(cat "$secrets"/* | sha256sum)" ] && echo "the same" || echo changed)"
for file in balancer redis-master; do
    haproxy -c -q -f "docker/full/$file.cfg" 2>"$work/said" && said=valid || said=$(tail -n 1 "$work/said")
    fact "HAProxy takes $file.cfg" valid "$said"
done
mkdir -p "$work/prometheus"
cp docker/full/prometheus.yml conf/prometheus/seckill.rules.yml "$work/prometheus/"
promtool check config "$work/prometheus/prometheus.yml" >"$work/said" 2>&1 && said=valid || said=$(tail -n 1 "$work/said")
fact "Prometheus takes prometheus.yml" valid "$said"

# --- Redis and its Sentinels -------------------------------------------------

step "Redis, two replicas and three Sentinels at their addresses"
for address in 20 21 22 23 24 25 26; do ip address add "10.89.78.$address/24" dev lo; done
declare -A pid_of
launch() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    pid_of[$name]=$!
    pids+=("$!")
}
part() {
    local name=$1 what=$2 address=$3 master=$4
    mkdir -p "$work/$name"
    launch "$name" env "SECKILL_ADDRESS=10.89.78.$address" "SECKILL_LISTEN=10.89.78.$address" "SECKILL_FIRST_MASTER=$master" "SECKILL_FOLDER=$work/$name" \
        "SECKILL_PASSWORD_FILE=$secrets/redis-password" SECKILL_MAXMEMORY=64mb sh docker/full/redis.sh "$what"
}
first=10.89.78.21
part redis-1 server 21 ''
part redis-2 server 22 "$first"
part redis-3 server 23 "$first"
launch redis-master haproxy -W -db -f docker/full/redis-master.cfg
password=$(cat "$secrets/redis-password")
ask() { REDISCLI_AUTH=$password redis-cli -h "$@" 2>/dev/null; }
has_replicas() { ask "$first" info replication | grep -q '^connected_slaves:2'; }
poll_until 30 has_replicas || true
for at in 1 2 3; do part "sentinel-$at" sentinel "$((23 + at))" "$first"; done
know_each_other() { for at in 24 25 26; do redis-cli -h "10.89.78.$at" -p 26379 sentinel master shop 2>/dev/null | grep -A1 num-other-sentinels | grep -qx 2 || return 1; done; }
poll_until 30 know_each_other && said=3 || said="fewer than 3"
fact "Sentinels that know each other" 3 "$said"
sold() { [ "$(ask 10.89.78.20 set sold "$1")" = OK ]; }
poll_until 30 sold before || true
fact "a write through redis-master" before "$(ask "$first" get sold)"
fact "Redis without the password" "NOAUTH" "$(redis-cli -h "$first" get sold 2>&1 | grep -o NOAUTH)"
fact "what the user of the health check may read" "NOPERM" "$(redis-cli --no-auth-warning --user health --pass none -h "$first" get sold 2>&1 | grep -o NOPERM | head -n 1)"

step "Killing the master"
kill -KILL "${pid_of[redis-1]}"
wait "${pid_of[redis-1]}" 2>/dev/null || true
poll_until 60 sold after && said=yes || said=no
fact "writes go on at another master" yes "$said"
named=$(redis-cli -h 10.89.78.24 -p 26379 sentinel get-master-addr-by-name shop | head -n 1)
fact "it is the one that the Sentinels name" "after" "$(ask "$named" get sold)"
fact "the first is no longer named" "other" "$([ "$named" != "$first" ] && echo other || echo "$named")"
part redis-1 server 21 ''
follows() { ask "$first" role | head -n 1 | grep -qx slave; }
poll_until 60 follows && said=replica || said="$(ask "$first" role | head -n 1)"
fact "the killed one comes back as a" replica "$said"
agrees() { [ "$(ask "$first" get sold)" = after ]; }
poll_until 30 agrees || true
fact "and has what was sold meanwhile" after "$(ask "$first" get sold)"
fact "the configurations hold the password for their user only" 600 "$(stat -c %a "$work/redis-1/server.conf")"
exit "$failed"
