#!/usr/bin/env bash
# Runs the browser tests against a demo shop of their own. The packages and the
# programs must be there already (scripts/test.sh sees to that).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh

trap 'shop_stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

status=0
step "What the pages decide without a browser"
npm run --silent unit --prefix t/e2e || status=1
mkdir -p target/e2e
shop_place "$PWD/target/e2e/data"
# What orders of one product need from their buyers.
cat >"$SECKILL_DATA/order-form.toml" <<'FORM'
[[field]]
name = "strap"
label = { zh = "表带", en = "Strap" }
kind = "select"
options = [{ value = "black", label = { zh = "黑色", en = "Black" } }, { value = "red", label = { zh = "红色", en = "Red" } }]
required = true
products = ["155"]

[[field]]
name = "address"
label = { zh = "收货地址", en = "Address" }
kind = "textarea"
max_length = 200
required = true
autocomplete = "street-address"
products = ["155"]
FORM
shop_start --demo
step "A person in a browser"
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || fail "no Chromium found; run: scripts/install.sh test"
export BASE_URL=$shop_url CHROMIUM SCREENSHOTS=$PWD/target/e2e/screenshots
# To look at every state of every page takes as long as the others together, which
# mostly wait.
npm run --silent states --prefix t/e2e >target/e2e/states.log 2>&1 &
states=$!
FORM_PRODUCT=155 SECKILL=$seckill npm run --silent shop --prefix t/e2e || status=1
wait "$states" || status=1
cat target/e2e/states.log
npm run --silent weight --prefix t/e2e || status=1
step "Operators and supervisors at the console"
password_of() { sed -n "s,^  Login  *$1 / ,,p" "$shop_log"; }
CONSOLE_URL=http://127.0.0.1:$SECKILL_CONSOLE_PORT BASE_URL=$shop_url CHROMIUM=$CHROMIUM SCREENSHOTS=$PWD/target/e2e/screenshots \
    OPERATOR_PASSWORD=$(password_of operator) SUPERVISOR_PASSWORD=$(password_of supervisor) FORM_PRODUCT=155 \
    npm run --silent console --prefix t/e2e || status=1
step "Operators who watch a sale"
OPERATOR_PASSWORD=$(password_of operator) SUPERVISOR_PASSWORD=$(password_of supervisor) CONSOLE_URL=http://127.0.0.1:$SECKILL_CONSOLE_PORT \
    SECKILL=$seckill BASE_URL=$shop_url CHROMIUM=$CHROMIUM SCREENSHOTS=$PWD/target/e2e/screenshots \
    npm run --silent board --prefix t/e2e || status=1
shop_stop || fail "the demo shop did not stop cleanly; see $shop_log"

step "The puzzle at the click"
shop_place "$PWD/target/e2e/captcha"
export SECKILL_CAPTCHA=slider
shop_start
cat >"$SECKILL_DATA.toml" <<'SALE'
[[round]]
id = "puzzle"
name = "Puzzle"
starts = "+1s"
ends = "+2h"

[[round.product]]
id = "1"
title = "Puzzled"
amount = 1000
price_cents = 100
list_price_cents = 200
per_buyer = 1
SALE
"$seckill" sale import "$SECKILL_DATA.toml" --approve >>"$shop_log" 2>&1 || fail "the sale could not be imported; see $shop_log"
BASE_URL=$shop_url CHROMIUM=$CHROMIUM SCREENSHOTS=$PWD/target/e2e/screenshots ROUND=puzzle PRODUCT=1 \
    REDIS_SOCKET=$SECKILL_DATA/run/redis.sock npm run --silent captcha --prefix t/e2e || status=1
shop_stop || fail "the shop with the puzzle did not stop cleanly; see $shop_log"

step "A shopper with the shop's own login"
shop_place "$PWD/target/e2e/login"
export SECKILL_CAPTCHA=off SECKILL_DEMO_LOGIN=off SECKILL_CURRENCY=USD
provider_port=$(free_ports 1) login_port=$(free_ports 1)
node t/e2e/login/provider.mjs "$provider_port" "$login_port" "$SECKILL_CONSOLE_PORT" >target/e2e/provider.log 2>&1 &
provider=$!
trap 'kill "$provider" 2>/dev/null || true; shop_stop || true' EXIT
export SECKILL_JWT_JWKS=http://127.0.0.1:$provider_port/jwks SECKILL_JWT_ISSUER=http://127.0.0.1:$provider_port
export SECKILL_JWT_AUDIENCE=shop SECKILL_JWT_COOKIE=token
export SECKILL_LOGIN_URL="http://127.0.0.1:$login_port/login?to={return}" SECKILL_LOGOUT_URL="http://127.0.0.1:$login_port/logout?to={return}"
export SECKILL_CONSOLE_URL=http://127.0.0.1:$SECKILL_CONSOLE_PORT SECKILL_CONSOLE_OIDC_ISSUER=http://127.0.0.1:$provider_port
export SECKILL_CONSOLE_OIDC_CLIENT_ID=console SECKILL_CONSOLE_OIDC_CLIENT_SECRET="a secret of the console: 100 % random"
export SECKILL_CONSOLE_OIDC_NAME="Example ID" SECKILL_CONSOLE_OIDC_SCOPE="openid profile groups" SECKILL_CONSOLE_OIDC_CREATE=on
export SECKILL_CONSOLE_OIDC_OPERATORS=ops SECKILL_CONSOLE_OIDC_SUPERVISORS=boss
shop_start
cat >"$SECKILL_DATA.toml" <<'SALE'
[[round]]
id = "login"
name = "Login"
starts = "+1s"
ends = "+2h"

[[round.product]]
id = "1"
title = "For members"
amount = 10
price_cents = 100
list_price_cents = 200
per_buyer = 1
SALE
"$seckill" sale import "$SECKILL_DATA.toml" --approve >>"$shop_log" 2>&1 || fail "the sale could not be imported; see $shop_log"
BASE_URL=$shop_url CHROMIUM=$CHROMIUM SCREENSHOTS=$PWD/target/e2e/screenshots ROUND=login PRODUCT=1 CONSOLE_URL=$SECKILL_CONSOLE_URL \
    npm run --silent login --prefix t/e2e || status=1
kill "$provider" 2>/dev/null || true
shop_stop || fail "the shop with its own login did not stop cleanly; see $shop_log"
exit "$status"
