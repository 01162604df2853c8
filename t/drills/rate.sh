#!/usr/bin/env bash
# Offers three times the site's rate for ten seconds and counts what passes:
#
#   one edge      rate x time + burst
#   two edges     the same for both together
#   one of two    the same, though one is killed in the middle
#   small burst   the same as the last, too small to make up for the whole
#                 time until a death is noticed
#
# Each within 1 %. A bucket that is full gains nothing while nobody asks, so that less may
# pass where a busy machine stopped those who click; where it could not offer the load at
# all, that is tried again. Prints a PASS or FAIL line for each fact, with the numbers.
# RATE changes 1,000 requests a second, SECONDS_EACH the ten seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/edges.sh
. t/drills/lib/edges.sh

rate=${RATE:-1000}
seconds=${SECONDS_EACH:-10}
work=$PWD/target/drills/rate
load=$(trial_program seckill-load)
scripts/build.sh --quiet
rm -rf "$work"
mkdir -p "$work"

trap edges_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(umask 077 && perl bench/lib/clicks.pl keys >"$work/keys")
redis_start
put_on_sale 1 153 1000000000
perl bench/lib/clicks.pl good 153 2000 >"$work/clicks"

# Every click is logged with the moment of its verdict.
edge_http() { echo "log_format drill '\$msec \$seckill_verdict';"; }
# A GIF is not for POST, so that nginx turns to its error page for who passed.
edge_server() {
    cat <<CONF
access_log $work/edge$1/clicks.log drill;
        location /buy/ {
            seckill_gate on;
            seckill_rate rate=${rate}r/s burst=$burst scope=site;
            empty_gif;
            error_page 405 = @passed;
        }
        location @passed { return 202; }
CONF
}

all_alive() { [ "$(metric 1 seckill_edges)" = "$edges" ]; }
bucket_is_full() { [ "$(metric "$1" seckill_bucket_level)" -ge $((burst / edges)) ]; }

# measure EDGES BURST [DIES]: loads the edges; edge DIES is killed in the middle. Sets how
# many clicks were offered and passed, how many passed at the least if each moment in which
# somebody asked counts, and how long it took.
measure() {
    local dies=${3:-} number
    edges=$1 burst=$2
    for ((number = 1; number <= edges; number++)); do
        edge_start "$number"
        poll_until 60 edge_sells "$number" 1 153 || fail "edge $number does not sell; see $work/edge$number/error.log"
    done
    poll_until 60 all_alive || fail "the edges do not see each other: $(metric 1 seckill_edges) instead of $edges"
    for number in "${!edge_pid[@]}"; do poll_until 10 bucket_is_full "$number"; done

    local addresses=()
    for number in "${!edge_pid[@]}"; do addresses+=("127.0.0.1:${edge_port[$number]}"); done
    "$load" pace --rate $((3 * rate)) --seconds "$seconds" --clicks "$work/clicks" "${addresses[@]}" \
        >"$work/load.json" 2>"$work/load.err" &
    local loading=$!
    if [ -n "$dies" ]; then
        # The moment is the drill's own, no waiting for a condition.
        sleep $((seconds / 2))
        edge_kill "$dies"
    fi
    wait "$loading" || fail "the load generator failed: $(cat "$work/load.err")"
    edges_stop

    # From the first click to the last, at any edge; the least is what one bucket would have
    # let through of these clicks.
    read -r offered passed least took < <(sort -n "$work"/edge*/clicks.log |
        awk -v rate="$rate" -v burst="$burst" '
            $2 == "-" { next }
            !n { first = last = $1; level = burst }
            { level += rate * ($1 - last); if (level > burst) level = burst; last = $1; n++ }
            level >= 1 { level--; least++ }
            $2 == "admitted" { passed++ }
            END { printf "%d %d %d %.3f\n", n, passed, least, last - first }')
    rm -f "$work"/edge*/clicks.log
}

# Three clicks where one may pass, all the time: else the machine was measured.
is_offered() { awk -v n="$offered" -v t="$took" -v r="$rate" -v s="$seconds" 'BEGIN { exit !(n >= 2.97 * r * s && t <= s + 0.1) }'; }

# try TITLE EDGES BURST [DIES]
try() {
    local title=$1 attempt offered passed least took right
    for attempt in 1 2 3; do
        measure "${@:2}"
        ! is_offered || break
        printf '     %s clicks in %s s: the machine could not offer more; attempt %s of 3\n' "$offered" "$took" "$attempt"
    done
    right=$(awk -v rate="$rate" -v took="$took" -v burst="$burst" 'BEGIN { printf "%.0f", rate * took + burst }')
    within "$title: passed in $took s" $((least * 99 / 100)) $((right * 101 / 100)) "$passed"
    printf '     offered %s, %s times the rate; off by %s %%\n' "$offered" \
        "$(awk -v n="$offered" -v s="$seconds" -v r="$rate" 'BEGIN { printf "%.2f", n / s / r }')" \
        "$(awk -v p="$passed" -v r="$right" 'BEGIN { printf "%.2f", 100 * (p - r) / r }')"
}

step "Three times $rate requests a second for $seconds s"
try "one edge" 1 $((rate / 2))
try "two edges" 2 $((rate / 2))
try "one of two dies" 2 $((rate / 2)) 2
try "one of two dies, small burst" 2 $((rate / 10)) 2
exit "$failed"
