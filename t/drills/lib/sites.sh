# shellcheck shell=bash
# shellcheck disable=SC2154 # $work, $seckill and $lost_after are the drill's
# Two whole sites in network namespaces, and the line between them. Sourced after
# scripts/lib/steps.sh and t/drills/lib/sale.sh.

declare -A address=([east]=10.198.0.1 [west]=10.198.0.2) other=([east]=west [west]=east)
declare -A port pid
line_pid=
# Namespaces and devices of two runs beside each other have names of their own.
net=sk$$

at() { ip netns exec "$net-$1" "${@:2}"; }
now_ms() { date +%s%3N; }

# A line between two namespaces, 40 ms long.
network() {
    local site
    for site in east west; do
        ip netns add "$net-$site"
        at $site ip link set lo up
    done
    perl t/drills/lib/line.pl "$net-east" "$net-west" 40 "$work/cut" >"$work/line" 2>&1 &
    line_pid=$!
    poll_until 10 grep -q ready "$work/line" || fail "the line between the sites cannot be made: $(cat "$work/line")"
    for site in east west; do
        ip link set "$net-$site" netns "$net-$site"
        at $site ip address add "${address[$site]}/24" dev "$net-$site"
        at $site ip link set "$net-$site" up
    done
}
cut_line() { touch "$work/cut"; }
mend_line() { rm -f "$work/cut"; }

# The shortest of ten round trips, in whole ms: a TCP connection takes one.
round_trip() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        at east curl -s -o "$work/answer" -w '%{time_connect}\n' -m 5 "http://${address[west]}:7004/" || true
    done | sort -n | awk 'NR == 1 { printf "%d\n", $1 * 1000 }'
}

# --- The sites --------------------------------------------------------------

# seckill_at SITE COMMAND...: with this site's settings.
seckill_at() {
    local site=$1
    shift
    at "$site" env SECKILL_DATA="$work/$site" SECKILL_PORT="${port[$site]}" \
        SECKILL_CONSOLE_PORT=$((port[$site] + 1)) SECKILL_DEMO_LOGIN=on SECKILL_CAPTCHA=off \
        SECKILL_ORDERS_PER_SECOND=5000 SECKILL_SITE="$site" SECKILL_SITE_HOME=east \
        SECKILL_SITE_PEERS="${other[$site]} http://${address[${other[$site]}]}:7004" \
        SECKILL_SITE_LISTEN="${address[$site]}:7004" SECKILL_SITE_KEYS="$work/site-keys" \
        SECKILL_SITE_LOST_AFTER="$lost_after" "$seckill" "$@"
}

site_answers() { at "$1" curl -fsS -o "$work/answer" "http://127.0.0.1:${port[$1]}/api/rounds" 2>/dev/null; }
site_start() {
    # Not by seckill_at in the background: that would be a shell's process id.
    seckill_at "$1" up >>"$work/$1.log" 2>&1 </dev/null &
    pid[$1]=$!
    poll_until 60 site_answers "$1" || fail "site $1 did not come up; see $work/$1.log"
}
sites_start() {
    printf 's1 %s\n' "$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$work/site-keys"
    local site
    for site in east west; do
        mkdir -p "$work/$site"
        port[$site]=$(free_ports_in_a_row 2)
        site_start $site
    done
}
# The program itself: the process in the background is the shell that waits for it.
program_of() { pgrep -P "${pid[$1]}" -x seckill || echo "${pid[$1]}"; }
site_kill() {
    local program
    program=$(program_of "$1")
    kill -KILL "$program"
    wait "${pid[$1]}" 2>/dev/null || true
}
sites_stop() {
    local site status=0
    for site in "${!pid[@]}"; do
        kill -TERM "$(program_of "$site")" 2>/dev/null || true
        wait "${pid[$site]}" || status=$?
    done
    pid=()
    return "$status"
}
sites_tidy() {
    sites_stop 2>/dev/null || true
    [ -z "$line_pid" ] || kill "$line_pid" 2>/dev/null || true
    line_pid=
    local site
    for site in east west; do
        ip netns del "$net-$site" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}

# offer ROUND STARTS ENDS AMOUNT [LINE]: the same file at both sites, whose edges know it
# in the end.
offer() {
    local site starts
    # One moment for both.
    starts=$(date -d "@$(($(date +%s) + ${2//[+s]/}))" +%Y-%m-%dT%H:%M:%S%:z)
    sale_file "$1" "$starts" "$3" "$4" "${5:-}" >"$work/$1.toml"
    for site in east west; do
        seckill_at $site sale import "$work/$1.toml" --approve --overlapping >>"$work/$site.log" 2>&1 ||
            fail "the drill's sale could not be imported; see $work/$site.log"
        poll_until 60 knows $site "$1" || fail "the edge of $site does not know round $1; see $work/$site.log"
    done
}
knows() { at "$1" curl -fsS -o "$work/answer" "http://127.0.0.1:${port[$1]}/api/rounds/$2/products/1/state" 2>/dev/null; }
state_at() {
    knows "$1" "$2" || true
    json "$work/answer" '$j->{state}'
}

# buy_at SITE ROUND BUYER: what one click is answered.
buy_at() {
    at "$1" "$load" race --base "http://127.0.0.1:${port[$1]}" --round "$2" --product 1 --prefix "$3" \
        --buyers 1 --limit 10 >"$work/buy.json" 2>>"$work/buy.err" || true
    json "$work/buy.json" 'join " ", keys %{$j->{codes}}'
}

# --- What they hold ----------------------------------------------------------

ask_database() { sqlite3 -readonly "$work/$1/seckill.db" "$2"; }
orders_at() { ask_database "$1" "SELECT count($3) FROM orders WHERE round = '$2' AND product = '1' AND state IN ('created', 'paid')"; }
share_of() { ask_database "$1" "SELECT amount FROM frozen_stock WHERE round = '$2' AND product = '1'"; }
for_sale() { redis-cli -s "$work/$1/run/redis.sock" HGET "seckill::{$2::1::01}::stock" sale_stock_amount; }
transfers() { ask_database "$1" "SELECT count(*) FROM site_transfers WHERE round = '$2' AND items > 0"; }
moved() { ask_database "$1" "SELECT coalesce(sum(items), 0) FROM site_transfers WHERE round = '$2'"; }
