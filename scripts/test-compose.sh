#!/usr/bin/env bash
# Runs docker/compose.yaml with podman and sells through it: a race of 3,000 buyers,
# in which each container is killed once; then counts.
#
#   scripts/test-compose.sh        BUYERS and ITEMS change 3,000 and 500
#
# Needs root, podman, Python, debootstrap, and a network for packages; no registry of
# images. Debian 12's podman-compose is too old: PyPI's is fetched into target/python. Builds the images first. Prints a PASS or FAIL line for each fact, and
# leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/containers.sh
. scripts/lib/containers.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

buyers=${BUYERS:-3000} items=${ITEMS:-500}
for needed in podman python3; do
    command -v "$needed" >/dev/null || fail "$needed is missing; install it with: apt-get install $needed python3-venv"
done
composer=$PWD/target/python/bin/podman-compose
if [ ! -x "$composer" ]; then
    step "Fetching podman-compose"
    { python3 -m venv target/python && target/python/bin/pip install --quiet podman-compose; } ||
        fail "podman-compose could not be fetched from PyPI; see above"
fi
CONTAINER_TOOL=podman scripts/images.sh --bare
CONTAINER_TOOL=podman choose_tool
step "Building a Redis image"
image redis docker/test/redis.Dockerfile docker/test --build-arg BASE=localhost/debian:12

work=$PWD/target/compose
project=seckilltest
rm -rf "$work"
mkdir -p "$work"
cp -r docker "$work/"
cd "$work/docker"
./secrets.sh
printf 'demo_login = true\n' >>seckill.toml
SECKILL_PORT=$(free_ports 1) SECKILL_CONSOLE_PORT=$(free_ports 1)
export SECKILL_PORT SECKILL_CONSOLE_PORT
export SECKILL_IMAGE=localhost/seckill EDGE_IMAGE=localhost/seckill-edge REDIS_IMAGE=localhost/redis

compose() { "$composer" --in-pod false -p "$project" -f compose.yaml "$@" >>"$work/compose.log" 2>&1; }
container() { podman ps -a --filter "label=io.podman.compose.project=$project" --filter "label=com.docker.compose.service=$1" --format '{{.Names}}' | head -n 1; }
in_container() { podman exec "$(container "$1")" "${@:2}"; }
is_running() { [ "$(podman inspect --format '{{.State.Running}}' "$(container "$1")" 2>/dev/null)" = true ]; }
tidy() { compose down -v || true; }
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

answers() { curl -fsS -o "$work/answer" "http://127.0.0.1:$SECKILL_PORT/api/$1" 2>/dev/null; }
orders() { in_container ops seckill status --json 2>/dev/null | perl -0ne 'print $1 if /"orders": (\d+)/'; }
has_orders() { [ "$(orders)" = "$1" ]; }

# --- Bad input -------------------------------------------------------------

step "Containers that lack something"
said=$(podman run --rm --network none localhost/seckill 2>&1) && status=0 || status=$?
fact "back end without a key ring: its exit status and reason" "1 the key ring" "$status $(grep -o 'the key ring' <<<"$said" | head -n 1)"
said=$(podman run --rm --network none --read-only --tmpfs /tmp localhost/seckill-edge 2>&1) && status=0 || status=$?
fact "edge without a key ring: its exit status and reason" "2 the key ring" "$status $(grep -o 'the key ring' <<<"$said" | head -n 1)"
said=$(podman run --rm --network none --read-only --read-only-tmpfs=false -v "$PWD/secrets/edge-keys:/run/secrets/seckill-keys:ro" localhost/seckill-edge 2>&1) && status=0 || status=$?
fact "edge that may write nowhere: its exit status and cure" "2 mount a tmpfs" "$status $(grep -o 'mount a tmpfs' <<<"$said" | head -n 1)"
said=$(podman run --rm --network none --read-only --tmpfs /tmp -e 'SECKILL_EDGE_REDIS=redis;deny' -v "$PWD/secrets/edge-keys:/run/secrets/seckill-keys:ro" localhost/seckill-edge 2>&1) && status=0 || status=$?
fact "edge with an address that is none: its exit status" 2 "$status"

printf 'FROM scratch\nCOPY secrets /\n' | podman build --isolation chroot -q -f - . >>"$work/compose.log" 2>&1 && said=taken || said=ignored
fact "secrets, in a build beside them" ignored "$said"

# --- It runs ---------------------------------------------------------------

step "Starting"
compose up -d || fail "podman-compose could not start it: see $work/compose.log"
poll_until 120 answers time || fail "the edge does not answer: see $work/compose.log, and podman logs"
poll_until 60 answers rounds || true
for service in redis purchase orders ops edge; do
    name=$(container "$service")
    fact "$service: user, root file system" "no root, read-only" \
        "$([ "$(podman exec "$name" id -u)" != 0 ] && echo "no root"), $([ "$(podman inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$name")" = true ] && echo read-only)"
done
fact "secrets in the environment of a container" "" "$(podman inspect --format '{{.Config.Env}}' "$(container purchase)" "$(container edge)" | grep -oE 'k1 [0-9a-f]{8}' || true)"
for service in redis purchase orders ops edge; do
    healthy() { podman healthcheck run "$(container "$service")" >/dev/null 2>&1; }
    poll_until 90 healthy && said=healthy || said=unhealthy
    fact "$service: health check" healthy "$said"
done

podman exec -i "$(container ops)" sh -c 'cat >/tmp/sale.toml' <<SALE
[[round]]
id = "box"
name = "Containers"
starts = "+8s"
ends = "+20m"
[[round.product]]
id = "1"
title = "A thing"
amount = $items
price_cents = 100
list_price_cents = 200
per_buyer = 1
SALE
in_container ops seckill sale import /tmp/sale.toml --approve >"$work/import.log" 2>&1 || fail "the sale was not imported: see $work/import.log"

step "$buyers buyers race for $items items; each container is killed once"
podman run --rm --name "$project-load" --network "container:$(container edge)" localhost/seckill load race --base http://127.0.0.1:8080 \
    --round box --product 1 --buyers "$buyers" --concurrency 8 --retry-busy --until-sold-out 60 --limit 300 >"$work/race.json" 2>"$work/race.err" &
racers=$!
sold() { local n; n=$(in_container redis redis-cli --raw HGET 'seckill::{box::1::01}::stock' locked_stock_amount 2>/dev/null) && [ "${n:-0}" -ge "$1" ]; }
kill_container() {
    podman kill -s KILL "$(container "$1")" >>"$work/compose.log" 2>&1 || fail "$1 cannot be killed: see $work/compose.log"
    # By its restart policy; some versions of podman leave that to a start.
    poll_until 5 is_running "$1" || podman start "$(container "$1")" >>"$work/compose.log" 2>&1 ||
        fail "$1 does not start again: see $work/compose.log"
}
at=$((items / 10))
poll_until 120 sold "$at" || true
for service in purchase orders ops redis; do
    kill_container "$service"
    poll_until 30 is_running "$service" || true
    at=$((at + items / 10))
    poll_until 60 sold "$at" || true
done
wait "$racers" || true
poll_until 120 has_orders "$items" || true
fact "orders" "$items" "$(orders)"
fact "breaches that buyers saw" "" "$(perl -MJSON::PP -0ne 'print join ", ", @{decode_json($_)->{breaches}}' "$work/race.json" 2>/dev/null || tail -n 1 "$work/race.err")"
# The load shares the edge's network, so that the edge is killed after it.
kill_container edge
poll_until 60 answers time && said=answers || said="does not answer"
fact "edge, killed and back" answers "$said"
fact "seckill verify" PASS "$(in_container orders seckill verify 2>&1 | grep -oE '^(PASS|FAIL)' | head -n 1)"
began=$SECONDS
podman stop "$(container purchase)" >>"$work/compose.log" 2>&1
fact "purchase: stops by SIGTERM, exit status" 0 "$(podman inspect --format '{{.State.ExitCode}}' "$(container purchase)")"
printf '     it took %s s; buyers clicked for %s, the last minute on what was sold out\n' "$((SECONDS - began))" "$(perl -MJSON::PP -0ne 'print decode_json($_)->{elapsed_ms} / 1000, " s"' "$work/race.json" 2>/dev/null)"
exit "$failed"
