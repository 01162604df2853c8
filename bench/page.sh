#!/usr/bin/env bash
# How soon the product page responds to a tap on a slow phone on slow 4G, beside a
# page of one file that does nothing but respond; and how late its buy button opens
# by the edge's clock, in a browser whose own clock is five minutes off.
#
# ROUNDS changes how often. Writes bench/results/page.json; the exit status does not
# depend on the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=bench/lib/edge.sh
. bench/lib/edge.sh
SECKILL=${SECKILL:-${CARGO_TARGET_DIR:-$PWD/target}/release/seckill}
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh

prepare
build_release
npm ci --silent --no-audit --no-fund --prefix t/e2e
trap 'shop_stop || true; cleanup' EXIT
shop_place "$work/data"
shop_start --demo

step "The product page and a page of one file, $rounds rounds"
figures=$(BASE_URL=$shop_url CHROMIUM=$(command -v chromium) node bench/lib/page.mjs "$rounds") ||
    fail "the pages could not be measured; the words above say why"
number() { printf '%s' "$figures" | sed "s/.*\"$1\":\([0-9.]*\).*/\1/"; }
row "product page responds to a tap" "$(number page)" ms 1000 lower "a page of one file: $(number peer) ms"
row "product page, by time until it responds" "$(number ratio)" x null lower "a page of one file"
row "buy button opens after the edge's clock" "$(number late)" ms 50 lower ""
write_results page
cat bench/results/page.json
