#!/usr/bin/env bash
# Sets up a Vendure shop and a flash sale in front of it, on one box, and runs both until
# Ctrl-C. Needs node 20 or newer, nginx, redis-server, and the program seckill.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
seckill=${SECKILL:-$(command -v seckill || echo "$here/../../target/trial/seckill")}
[ -x "$seckill" ] || { echo "there is no program $seckill; run \"make run\" once, or name it in SECKILL" >&2; exit 1; }
command -v node > /dev/null || { echo "node is missing; install nodejs 20 or newer" >&2; exit 1; }

export SECKILL_DATA=${SECKILL_DATA:-$here/data}
export SECKILL_PORT=${SECKILL_PORT:-8080} VENDURE_PORT=${VENDURE_PORT:-3000}
export SECKILL_SITE_URL=http://localhost:$SECKILL_PORT VENDURE_URL=http://localhost:$VENDURE_PORT
mkdir -p "$SECKILL_DATA"

# What the two share: a secret for each direction.
umask 077
for ring in inventory notify payment login; do
    [ -s "$SECKILL_DATA/$ring-keys" ] || echo "v1 $(openssl rand -hex 32)" > "$SECKILL_DATA/$ring-keys"
done
for secret in vendure-admin vendure-cookie; do
    [ -s "$SECKILL_DATA/$secret" ] || openssl rand -hex 16 > "$SECKILL_DATA/$secret"
done
cat > "$SECKILL_DATA/payments.toml" <<TOML
[signed]
pay_url = "$VENDURE_URL/seckill/pay?order={order}&amount={amount_cents}&back={return_url}"
TOML

cp "$here/order-form.toml" "$SECKILL_DATA/order-form.toml"

# How the sale reaches the shop.
export SECKILL_CURRENCY=USD
# Buyers have a minute to pay here, so that the round is soon over; usually ten.
export SECKILL_PAY_WITHIN=${SECKILL_PAY_WITHIN:-60}
export SECKILL_INVENTORY_URL=$VENDURE_URL/seckill/inventory
export SECKILL_ORDERS_WEBHOOK=$VENDURE_URL/seckill/orders
export SECKILL_LOGIN_URL="$VENDURE_URL/seckill/login?to={return}"

# For check.mjs and for commands in another terminal.
export SECKILL=$seckill
export -p | grep -E '^declare -x (SECKILL|VENDURE)' > "$SECKILL_DATA/env"

cd "$here"
[ -d node_modules ] || { echo "installing Vendure"; npm install --no-audit --no-fund --loglevel=error; }
node server.mjs &
shop=$!
"$seckill" up &
sale=$!
trap 'kill "$shop" "$sale" 2> /dev/null || true; wait' EXIT
trap 'exit 0' INT TERM
wait -n "$shop" "$sale" && status=0 || status=$?
echo "the shop or the sale has ended (status $status)" >&2
exit 1
