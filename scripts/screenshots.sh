#!/usr/bin/env bash
# Takes the pictures of README.md anew: docs/pictures/shop.png and board.png. The
# shop is a demo of its own, with private data and ports, under load while the
# pictures are taken. PICTURES names another folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ -n "${SECKILL:-}" ] || scripts/build.sh
[ -d t/e2e/node_modules ] || npm ci --silent --prefix t/e2e --no-audit --no-fund --ignore-scripts ||
    fail "the browser's driver could not be fetched; see whether npm reaches its registry"
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || fail "no Chromium found; run: scripts/install.sh test"

step "Starting a demo shop"
mkdir -p target/screenshots
shop_place "$PWD/target/screenshots/data"
shop_start --demo
password() { sed -n 's,^  Login  *supervisor / ,,p' "$shop_log"; }
has_password() { [ -n "$(password)" ]; }
poll_until 30 has_password || fail "the demo printed no login for the console; see $shop_log"

step "Taking the pictures, while a crowd buys"
PICTURES=${PICTURES:-$PWD/docs/pictures}
mkdir -p "$PICTURES"
BASE_URL=$shop_url CONSOLE_URL=http://127.0.0.1:$SECKILL_CONSOLE_PORT SUPERVISOR_PASSWORD=$(password) \
    SECKILL=$seckill PICTURES=$PICTURES CHROMIUM=$CHROMIUM node t/e2e/pictures.mjs ||
    fail "the pictures could not be taken; see above, and $shop_log"
step "Look at them: $PICTURES/shop.png and $PICTURES/board.png"
