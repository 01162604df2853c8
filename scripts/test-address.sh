#!/usr/bin/env bash
# Two balancers with conf/haproxy and conf/keepalived in network namespaces, an edge
# behind them, and a race: the active balancer dies in the middle, the address moves,
# and exactly what there is is sold.
#
#   scripts/test-address.sh        SECKILL names another program than scripts/build.sh's
#
# Needs root, keepalived and haproxy (apt-get install keepalived haproxy). Everything is
# in namespaces that it makes and removes. Prints a PASS or FAIL line for each fact.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh

[ "$(id -u)" -eq 0 ] || fail "this makes network namespaces; run it as root"
for tool in keepalived haproxy ip curl; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with: apt-get install keepalived haproxy iproute2 curl"
done
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet

buyers=${BUYERS:-1500} items=${ITEMS:-300}
# The longest time that the address may answer nobody, in ms.
longest=3000
work=$PWD/target/address
# Two runs beside each other have machines and a network of their own.
net=s$$ lan=10.199.$(($$ % 256))
rm -rf "$work"
mkdir -p "$work"
pids=()
declare -A processes
tidy() {
    # Without what bash has to say of each that was killed.
    [ ${#pids[@]} -eq 0 ] || { kill -KILL "${pids[@]}" || true; wait "${pids[@]}" || true; } 2>/dev/null
    for name in client lb1 lb2; do
        # The kernel takes its time over a namespace; its cable goes at once.
        ip link del "$net-$name" 2>/dev/null || true
        ip netns del "$net-$name" 2>/dev/null || true
    done
    ip link del "$net-br" 2>/dev/null || true
    shop_stop || true
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- By themselves ---------------------------------------------------------

said=$(haproxy -c -f conf/haproxy/haproxy.cfg 2>&1) && said=fine || said=${said##*$'\n'}
fact "haproxy -c" fine "$said"
for method in DR TUN NAT; do
    sed "s/lvs_method DR.*/lvs_method $method/" conf/keepalived/lvs.conf >"$work/lvs.conf"
    # As a session of its own: a keepalived that refuses a file ends its whole group.
    setsid -w keepalived -t -f "$work/lvs.conf" >"$work/said" 2>&1 && said=fine || said=$(tail -n 1 "$work/said")
    fact "keepalived reads the LVS configuration, $method" fine "$said"
done

# --- The network -----------------------------------------------------------

# A bridge here, the edge on it, and three machines.
ip link add "$net-br" type bridge
ip address add "$lan.1/24" dev "$net-br"
ip link set "$net-br" up
machine() {
    ip netns add "$net-$1"
    ip link add "$net-$1" type veth peer name eth0 netns "$net-$1"
    ip link set "$net-$1" master "$net-br" up
    ip -n "$net-$1" link set lo up
    ip -n "$net-$1" address add "$2/24" dev eth0
    ip -n "$net-$1" link set eth0 up
}
machine client "$lan.50"
machine lb1 "$lan.8"
machine lb2 "$lan.9"

shop_place "$work/data"
shop_start

balancer() {
    local name=$1 address=$2 peer=$3 priority=$4 folder=$work/$1
    mkdir -p "$folder"
    cp conf/keepalived/serves.sh conf/keepalived/notify.sh "$folder/"
    sed -e "s|10.0.0.1:80 |$lan.1:$SECKILL_PORT |" -e '/server edge-2/d' -e 's/maxconn 50000/maxconn 4000/' -e 's/log stdout.*/log stderr format raw local0 err/' \
        conf/haproxy/haproxy.cfg >"$folder/haproxy.cfg"
    sed -e "s|/etc/keepalived/|$folder/|" -e "s/priority 100 .*/priority $priority/" -e "s/10\.0\.0\.100/$lan.100/" \
        -e "s/unicast_src_ip .*/unicast_src_ip $address/" -e "s/^ *10\.0\.0\.9$/        $peer/" -e "s/balancer-1.*/$name/" \
        conf/keepalived/balancer.conf >"$folder/keepalived.conf"
    ip netns exec "$net-$name" haproxy -db -f "$folder/haproxy.cfg" >"$folder/haproxy.log" 2>&1 &
    pids+=("$!")
    processes[$name]=$!
    ip netns exec "$net-$name" keepalived -n -l -f "$folder/keepalived.conf" -p "$folder/pid" -r "$folder/vrrp.pid" >"$folder/keepalived.log" 2>&1 &
    pids+=("$!")
    processes[$name]+=" $!"
}
has_address() { ip -n "$net-$1" -4 address show dev eth0 2>/dev/null | grep -q "inet $lan.100/"; }
holder() {
    local name
    for name in lb1 lb2; do if has_address "$name"; then echo "$name"; fi; done | paste -sd ' '
}
one_holds() { [ "$(holder | wc -w)" = 1 ]; }
in_client() { ip netns exec "$net-client" "$@"; }
answers() { in_client curl -fsS -m 1 -o "$work/answer" "http://$lan.100/api/time" 2>/dev/null; }

step "Two balancers start"
start_balancer() {
    case $1 in
        lb1) balancer lb1 "$lan.8" "$lan.9" 100 ;;
        lb2) balancer lb2 "$lan.9" "$lan.8" 90 ;;
    esac
}
start_balancer lb1
start_balancer lb2
poll_until 20 one_holds || true
active=$(holder)
fact "balancers that have the address" 1 "$(wc -w <<<"$active")"
other=lb1
[ "$active" = lb2 ] || other=lb2
poll_until 20 answers || true

# --- The race --------------------------------------------------------------

sell_in_shop moving +5s +10m "$items"
step "$buyers buyers race for $items items; the active balancer dies"
# Asks ten times a second and writes when an answer came, in ms.
ip netns exec "$net-client" bash -c 'while :; do curl -fsS -m 0.5 -o /dev/null "$1" 2>/dev/null && date +%s%3N; sleep 0.05; done' - "http://$lan.100/api/time" >"$work/answered" &
pids+=("$!")
load=$(dirname "$seckill")/seckill-load
[ -x "$load" ] || load="$seckill load"
# shellcheck disable=SC2086 # a program with its first argument
ip netns exec "$net-client" $load race --base "http://$lan.100:80" --round moving --product 1 --buyers "$buyers" --concurrency 8 --retry-busy \
    --until-sold-out 60 --limit 200 >"$work/race.json" 2>"$work/race.err" &
racers=$!
pids+=("$racers")
locked() { redis-cli -s "$SECKILL_DATA/run/redis.sock" --raw HGET "seckill::{moving::1::01}::stock" locked_stock_amount; }
sold() { local n; n=$(locked); [ "${n:-0}" -ge "$1" ]; }
poll_until 60 sold $((items / 4)) || true
at=$(locked)
# The machine is gone: no last word, and its cable is out.
ip link set "$net-$active" down
# shellcheck disable=SC2086 # two processes
{ kill -KILL ${processes[$active]}; wait ${processes[$active]} || true; } 2>/dev/null
moved() { has_address "$other"; }
poll_until 10 moved && said=$other || said=nobody
fact "who has the address now (sold when the other died: $at of $items)" "$other" "$said"
wait "$racers" || true
orders() { sqlite3 -readonly "$SECKILL_DATA/seckill.db" "SELECT count(*) FROM orders WHERE round = 'moving' AND state <> 'cancelled'"; }
has_orders() { [ "$(orders)" = "$items" ]; }
poll_until 60 has_orders || true
fact "orders" "$items" "$(orders)"
fact "breaches that buyers saw" "" "$(json "$work/race.json" 'join ", ", @{$j->{breaches}}')"
gap=$(awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { print gap + 0 }' "$work/answered")
within "longest time without an answer at the address, in ms" 0 "$longest" "$gap"
fact "seckill verify" PASS "$("$seckill" verify 2>&1 | grep -oE '^(PASS|FAIL)' | head -n 1)"
# It returns, and leaves the address where it is: one interruption and not two.
ip -n "$net-$active" address del "$lan.100/24" dev eth0 2>/dev/null || true # as its reboot does
ip link set "$net-$active" up
start_balancer "$active"
is_backup() { grep -q 'Entering BACKUP STATE' "$work/$active/keepalived.log"; }
poll_until 20 is_backup || true
fact "who has the address when the first is back" "$other" "$(holder)"
exit "$failed"
