#!/usr/bin/env bash
# From nothing to an order in a shop that nobody here wrote: sets up Vendure and a sale in
# front of it as docs/vendure.md says (examples/vendure/run.sh), and buys there, first by
# the calls that its check makes, then as a person in a browser.
#   scripts/test-vendure.sh [--whole]   until what is unsold is back: a quarter of an hour
#
# Fetches Vendure (425 packages) if it is not there. Everything is in target/vendure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

if [ -z "${SECKILL_TEST_CONTAINED:-}" ]; then
    export SECKILL_TEST_CONTAINED=yes
    exec perl scripts/lib/contain.pl "$BASH" "$0" "$@"
fi
scripts/install.sh test
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet
[ -d t/e2e/node_modules ] || npm ci --silent --prefix t/e2e
work=$PWD/target/vendure
rm -rf "$work"
mkdir -p "$work"
mapfile -t ports < <(free_ports 1)
export SECKILL_DATA=$work/data SECKILL=${SECKILL:-$(trial_program seckill)}
SECKILL_PORT=$(free_ports_in_a_row 2) VENDURE_PORT=${ports[0]}
export SECKILL_PORT VENDURE_PORT
began=$SECONDS
examples/vendure/run.sh >"$work/run.log" 2>&1 </dev/null &
shop=$!
tidy() {
    kill -TERM "$shop" 2>/dev/null || true
    wait "$shop" 2>/dev/null || true
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

is_up() { curl -fsS -o "$work/answer" "http://localhost:$SECKILL_PORT/api/rounds" 2>/dev/null && curl -fsS -o "$work/answer" "http://localhost:$VENDURE_PORT/health" 2>/dev/null; }
is_up_or_gone() { is_up || ! kill -0 "$shop" 2>/dev/null; }
step "Setting up Vendure and a sale in front of it"
poll_until 600 is_up_or_gone || true
is_up || { tail -n 20 "$work/run.log" >&2; fail "Vendure or the sale did not come up; the last lines of $work/run.log are above"; }
# shellcheck source=/dev/null
. "$SECKILL_DATA/env"
up=$((SECONDS - began))
step "By calls"
node examples/vendure/check.mjs "$@" || fail "the check failed; see above and $work/run.log"
step "By a person in a browser"
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || fail "no Chromium found; run: scripts/install.sh test"
export BASE_URL=$SECKILL_SITE_URL CHROMIUM SCREENSHOTS=$work/screenshots
npm run --silent vendure --prefix t/e2e || fail "the browser test failed; see above and $work/run.log"
step "Vendure and the sale were up after $up s, and had two orders after $((SECONDS - began)) s"
step "$(cat examples/vendure/*.mjs | grep -cvE '^ *(//|$)') lines of the shop's own, with the check; $(grep -cE '^[^#[:space:]]' examples/vendure/order-form.toml) of the order form"
