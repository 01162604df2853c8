#!/usr/bin/env bash
# What the captcha costs the purchase role: puzzles handed out, and puzzles handed out and
# answered, a second and core, beside the same role answering at once.
#
# One process of the purchase role has a core; wrk and Redis have another. The
# figures are ratios of the same round, so that a busy machine disturbs both.
# ROUNDS and SECONDS_EACH change how long it takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh

scripts/install.sh test
seckill=${SECKILL_BINARY:-${CARGO_TARGET_DIR:-target}/release/seckill}
[ -n "${SECKILL_BINARY:-}" ] || cargo build --release --locked --quiet -p seckill ||
    fail "the back end did not build; the compiler's message above says where"
start_redis
cli CONFIG SET save '' >/dev/null

# Buyers enough that nobody meets their limit, each with a session.
perl bench/lib/clicks.pl keys >"$work/keys"
chmod 600 "$work/keys"
perl bench/lib/clicks.pl good 153 "${BUYERS:-60000}" | sed 's/.*\t/seckill_session=/' >"$work/sessions"

# put_on_sale: and what an earlier round has counted must not refuse this one.
put_on_sale() {
    local now
    now=$(date +%s%3N)
    cli FLUSHDB >/dev/null
    cli HSET seckill::catalogue 1::153 "{\"opens_ms\":$((now - 1000)),\"ends_ms\":$((now + 86400000)),\"limit\":1,\"per_buyer\":1,\"segments\":1,\"price_cents\":1}" version "$now" >/dev/null
}
put_on_sale

port=$(free_ports 1)
SECKILL_DATA=$work/data SECKILL_REDIS_URL=unix://$work/redis.sock SECKILL_KEYS=$work/keys \
    SECKILL_PURCHASE_LISTEN=127.0.0.1:$port SECKILL_CAPTCHA=slider SECKILL_DATABASE_URL=sqlite:$work/none/none.db \
    taskset -c "$server_cpu" "$seckill" serve --roles purchase >"$work/serve.log" 2>&1 &
worker=$!
pids+=("$worker")
serves() { curl -fsS -o /dev/null "http://127.0.0.1:$port/healthz" 2>/dev/null; }
poll_until 20 serves || { cat "$work/serve.log" >&2; fail "the purchase role did not start; its words are above"; }

# load NAME CONNECTIONS: one round of it: requests a second, microseconds of the role's
# CPU a request, all requests, puzzles and verdicts a second; and answers that were
# neither, in a file of their own.
load() {
    local before after
    before=$(cpu_ticks)
    WHAT=$1 SESSIONS=$work/sessions taskset -c "$load_cpu" wrk -t 1 -c "$2" -d "${seconds}s" \
        -s bench/lib/captcha.lua "http://127.0.0.1:$port" >"$work/wrk.out"
    after=$(cpu_ticks)
    awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v seconds="$seconds" '
        /requests in/ { count = $1 }
        /^Requests\/sec:/ { rate = $2 }
        /^puzzles:/ { puzzles = $2 }
        /^verdicts:/ { verdicts = $2 }
        END { printf "%.0f %.2f %d %d %d\n", rate, ticks / hz * 1e6 / count, count, puzzles / seconds, verdicts / seconds }
    ' "$work/wrk.out" >>"$work/$1.runs"
    sed -n 's/^others: //p' "$work/wrk.out" >>"$work/others"
}

# An answer has to come from the puzzle's own buyer to be judged whole, and wrk only
# knows whose puzzle it is with one connection.
step "Answering at once, puzzles, puzzles and verdicts: $rounds rounds of 3 x $seconds s"
for _ in $(seq "$rounds"); do
    load way "$connections"
    load puzzle "$connections"
    load verdict 1
    put_on_sale
done
column() { cut -d' ' -f"$2" "$work/$1.runs" | median; }
per_core() { awk -v us="$(column "$1" 2)" 'BEGIN { printf "%.0f\n", 1e6 / us }'; }
others=$(sort -n "$work/others" | tail -n 1)
[ "${others:-0}" -eq 0 ] || step "$others answers of a round were neither puzzle nor verdict; BUYERS makes more buyers"
row "answered at once" "$(per_core way)" "requests/s of a core" null higher "-"
row "puzzles" "$(per_core puzzle)" "puzzles/s of a core" null higher "answered at once: $(per_core way)"
row "puzzles by rate" "$(ratio puzzle way)" "x" null higher "answered at once"
row "puzzles with their verdicts" "$(awk -v us="$(column verdict 2)" 'BEGIN { printf "%.0f\n", 5e5 / us }')" "pairs/s of a core" null higher "answered at once: $(per_core way)"
row "CPU of a puzzle" "$(column puzzle 2)" "us" null lower "answered at once: $(column way 2) us"
row "CPU of a puzzle and its verdict" "$(awk -v us="$(column verdict 2)" 'BEGIN { printf "%.1f\n", 2 * us }')" "us" null lower "answered at once: $(column way 2) us"
sed 's/^ *{"name": "\([^"]*\)", "value": \([^,]*\), "unit": "\([^"]*\)".*"peer": "\([^"]*\)".*/   \1: \2 \3 (\4)/' "$work/rows"
write_results captcha
