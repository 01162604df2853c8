#!/usr/bin/env bash
# An edge is reloaded again and again in the middle of a sale, and its binary is upgraded
# (USR2) while it sells. No request fails, exactly as many are sold as there are items, no
# worker outlives worker_shutdown_timeout, and the master's memory stays what it was.
#
# Every click is on a connection of its own: a connection that is kept alive may be closed
# by a worker that leaves just when the next request is on its way, which HTTP allows.
#
# Prints a PASS or FAIL line for each fact, with the numbers. RELOADS (50) and PERMITS
# (20 a reload, and 1000 so that some are left after it on a slow machine) change the size.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh
# shellcheck source=t/drills/lib/edges.sh
. t/drills/lib/edges.sh

reloads=${RELOADS:-50}
permits=${PERMITS:-$((20 * reloads + 1000))}
# What conf/ of an edge says, in lib/edges.sh; and a second for the signal to arrive.
leaves_ms=6000
work=$PWD/target/drills/reloads
seckill=${SECKILL:-$(trial_program seckill)}
load=''
rm -rf "$work"
mkdir -p "$work"

is_gone() { ! kill -0 "$1" 2>/dev/null; }

finish() {
    touch "$work/stop"
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    edges_end
    # It is no child of this shell.
    [ -z "${master:-}" ] || poll_until 20 is_gone "$(cat "$work/edge1/nginx.pid" 2>/dev/null || echo "$master")" || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The site --------------------------------------------------------------

edges_begin

edge_http() { purchase_upstream; }
# Permits are left until the upgrade, so that workers hold leases whenever they leave.
edge_server() { buy_location "seckill_fallback pass; seckill_rate rate=40r/s burst=10;"; }

# --- Load ------------------------------------------------------------------

# Clicks until $work/stop exists, in pieces of two seconds.
clicks() {
    until [ -e "$work/stop" ]; do
        wrk -t 1 -c 8 -d 2s --timeout 10s -s t/drills/lib/short.lua "http://127.0.0.1:${edge_port[1]}" \
            -- "$work/edge1/clicks" >>"$work/wrk.out" 2>&1 || echo "responses 0, failed 1" >>"$work/wrk.out"
    done
}
sum_of() { awk -v at="$1" '/^responses / { n += $at } END { print n + 0 }' "$work/wrk.out"; }

# --- Reloads ---------------------------------------------------------------

now_ms() { date +%s%3N; }
rss_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
declare -A left_at=()
overdue=0 most=0

# A worker of this master that was not there before.
has_new_worker() {
    local pid
    for pid in $(pgrep -P "$1"); do [ -n "${left_at[$pid]:-}" ] || return 0; done
    return 1
}

# Counts workers that are still there too long after they were to leave.
look_for_old() {
    local pid now count=0
    now=$(now_ms)
    for pid in "${!left_at[@]}"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            unset "left_at[$pid]"
        elif ((now - left_at[$pid] > leaves_ms)); then
            overdue=$((overdue + 1))
            unset "left_at[$pid]"
        else
            count=$((count + 1))
        fi
    done
    ((count <= most)) || most=$count
}

# reload MASTER: until it has new workers.
reload() {
    local pid now
    now=$(now_ms)
    for pid in $(pgrep -P "$1"); do left_at[$pid]=${left_at[$pid]:-$now}; done
    kill -HUP "$1"
    poll_until 20 has_new_worker "$1" || fail "no new worker came 20 s after a reload; see $work/edge1/error.log"
    look_for_old
}

# upgrade: the binary, as "Upgrading Executable on the Fly" of nginx's manual does it.
upgrade() {
    local old=${edge_pid[1]} pid='' now
    kill -USR2 "$old"
    # For a moment, between the old one's file and the new one's, there is none.
    has_new_master() { pid=$(cat "$work/edge1/nginx.pid" 2>/dev/null) && [ -n "$pid" ] && [ "$pid" != "$old" ]; }
    poll_until 20 has_new_master || fail "no new master came 20 s after USR2; see $work/edge1/error.log"
    works() { pgrep -P "$pid" >/dev/null; }
    poll_until 20 works || fail "the new master has no worker; see $work/edge1/error.log"
    now=$(now_ms)
    for worker in $(pgrep -P "$old"); do [ "$worker" = "$pid" ] || left_at[$worker]=$now; done
    kill -QUIT "$old"
    poll_until 20 is_gone "$old" || fail "the old master is still there; see $work/edge1/error.log"
    edge_pid[1]=$pid
}

# --- What came of it -------------------------------------------------------

segment='seckill::{reloads::1::01}'
sold() { cli HGET "$segment::stock" locked_stock_amount; }
is_sold_out() { [ "$(sold)" = "$permits" ]; }
all_left() { look_for_old; [ ${#left_at[@]} -eq 0 ]; }

# A master in the foreground takes itself for the new one of an upgrade under way, and
# ignores USR2: so it runs as a daemon.
edge_start_alone() {
    local home=$work/edge1
    edge_start 1
    poll_until 60 test -s "$home/nginx.pid" || fail "the edge did not start; see $home/error.log"
    edges_stop
    sed -i 's/^daemon off;$//' "$home/nginx.conf"
    # By its path, with which it starts the new one.
    "$(command -v nginx)" -e "$home/error.log" -p "$home" -c "$home/nginx.conf" >>"$home/nginx.log" 2>&1 || fail "the edge did not start; see $home/nginx.log"
    poll_until 60 test -s "$home/nginx.pid" || fail "the edge did not start; see $home/error.log"
    edge_pid[1]=$(cat "$home/nginx.pid")
}

edge_start_alone
# More buyers than items: demand is left at the end.
sign_clicks 1 reloads $((permits + permits / 2 + 200))
approve "$work/back-end.log" reloads +0s +2h "$permits"
poll_until 60 edge_sells 1 reloads 1 || fail "the edge does not sell; see $work/edge1/error.log"

step "$reloads reloads and an upgrade while $permits items are sold"
clicks &
load=$!
master=${edge_pid[1]}
# The first reloads fill what the master keeps between two of them.
for ((n = 1; n <= reloads; n++)); do
    reload "$master"
    ((n != reloads / 5 + 1)) || before_kb=$(rss_kb "$master")
done
after_kb=$(rss_kb "$master")
sold_before=$(sold)
upgrade
# What the leases of the old zone held returns, and the rest is sold at the edge's rate.
poll_until $((180 + permits / 40)) is_sold_out || true
touch "$work/stop"
wait "$load" || true
load=''
poll_until 10 all_left || true

within "sold before the upgrade" 1 $((permits - 1)) "$sold_before"
fact "sold" "$permits" "$(sold)"
fact "buyers" "$permits" "$(cli HLEN "$segment::buyers")"
fact "requests that failed, of $(sum_of 2)" 0 "$(sum_of 4)"
fact "workers that outlived worker_shutdown_timeout (at most $most were leaving at once)" 0 "$overdue"
within "the master's memory after the reloads, in thousandths of what it was" 0 1010 $((after_kb * 1000 / before_kb))
fact "lines in the error log that say error or worse" 0 "$(grep -cE '\[(error|crit|alert|emerg)\]' "$work/edge1/error.log" || true)"
exit "$failed"
