#!/usr/bin/env bash
# Varnish in front of the shop, as conf/cdn/varnish.vcl sets it up: pages are cached, what
# is personal is passed, a purge shows an edit at once, the cached copy outlives the
# origin; what the origin refuses one visitor is not what others get; and when the CDN's
# budget is used up, the origin serves pages and sale alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh
# shellcheck source=t/drills/lib/sale.sh
. t/drills/lib/sale.sh

visits=${VISITS:-2000} buyers=${BUYERS:-300}
command -v varnishd >/dev/null || fail "varnishd is missing; install it with: apt-get install varnish"
work=$PWD/target/drills/varnish
rm -rf "$work"
mkdir -p "$work"
varnish_pid='' product_pid='' before_product_pid='' spender_pid='' pages_pid=''
finish() {
    for pid in $before_product_pid $product_pid $varnish_pid $spender_pid $pages_pid; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ -z "$shop_pid" ] || shop_stop || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

shop_place "$work/shop"
cdn_port=$(free_ports 1)
cdn=http://127.0.0.1:$cdn_port
export SECKILL_PURGE_URLS=$cdn SECKILL_PREWARM_URLS=$cdn
sed -e 's/\.host = "10.0.0.5"/.host = "127.0.0.1"/' -e "s/\.port = \"8080\"/.port = \"$SECKILL_PORT\"/" conf/cdn/varnish.vcl >"$work/varnish.vcl"
# As the file says that it is to be started.
read -ra varnish_options < <(tr -d '\n#' <conf/cdn/varnish.vcl | grep -oE '( *-p [a-z_]+=[0-9]+k)+')
varnish_start() {
    # Its own folder in the work folder, and no second user: nothing of the system's.
    varnishd -F -j none -a "127.0.0.1:$cdn_port" -f "$work/varnish.vcl" -n "$work/varnish" -s malloc,64m "${varnish_options[@]}" >>"$work/varnish.log" 2>&1 &
    varnish_pid=$!
    poll_until 30 curl -fsS -o "$work/answer" "$cdn/api/time" 2>/dev/null || fail "varnishd does not answer; see $work/varnish.log"
}
shop_start --demo
varnish_start

cli() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
page=/product/1-153.html
header() { curl -sS -o "$work/answer" -D - "${@:3}" "$1" | tr -d '\r' | sed -n "s/^$2: //Ip"; }
cache() { header "$cdn$1" X-Cache "${@:2}"; }
shows() { curl -fsS -o "$work/shown" "$cdn$page" 2>/dev/null && grep -q "$1" "$work/shown"; }
waiting() { "$seckill" status --json | sed -n 's/.*"purges": *\([0-9]*\).*/\1/p' | head -n 1; }
none_waits() { [ "$(waiting)" = 0 ]; }
edit() {
    cli HSET 'seckill::{1::153}::info' title "$1" >"$work/answer"
    cli XADD seckill::products::messages '*' round 1 >"$work/answer"
}
counter() { varnishstat -n "$work/varnish" -1 -f "MAIN.$1" | awk '{ print $2 }'; }

step "Pages are cached, what is personal is passed"
poll_until 60 none_waits || fail "purges wait: $("$seckill" status | grep -A1 purges)"
fact "the first visitor finds the page in the cache" HIT "$(cache "$page")"
fact "a campaign's address is the same page" HIT "$(cache "$page?from=mail")"
fact "a visitor with a session is served the same copy" HIT "$(cache "$page" -H 'Cookie: seckill_session=stolen' -H 'Authorization: Bearer x')"
curl -fsS -o "$work/answer" "$cdn/"
fact "the start page" HIT "$(cache /)"
for path in /api/time /api/rounds /api/session /api/orders /api/rounds/1/products/153/state /api/rounds/1/products/153/result; do
    cache "$path" >/dev/null
    fact "$path, the second time" PASS "$(cache "$path")"
done
curl -fsS -o "$work/answer" -c "$work/li" -H 'Content-Type: application/json' -d '{"user":"li"}' "$cdn/api/session"
curl -fsS -o "$work/answer" -c "$work/wang" -H 'Content-Type: application/json' -d '{"user":"wang"}' "$cdn/api/session"
for user in li wang; do
    curl -fsS -o "$work/answer" -b "$work/$user" "$cdn/api/session"
    fact "whose session $user reads" "$user" "$(grep -o "\"user\":\"[a-z]*\"" "$work/answer" | cut -d '"' -f 4)"
done
fact "cookies that a cached page sets" "" "$(header "$cdn$page" Set-Cookie -b "$work/li")"
fact "a POST to a page is passed" PASS "$(cache "$page" -d x)"
fact "its browser asks again each time" no-cache "$(header "$cdn$page" Cache-Control)"
fact "purging what is not cached: status" 404 "$(curl -s -o "$work/answer" -w '%{http_code}' -X PURGE "$cdn/api/orders")"
fact "a purge by a stranger: status" 403 "$(curl -s -o "$work/answer" -w '%{http_code}' --interface 127.0.0.2 -X PURGE "$cdn$page")"

for path in /left.json /announcement.json; do
    twice() { cache "$path" >/dev/null; [ "$(cache "$path")" = HIT ]; }
    poll_until 10 twice && said=HIT || said=$(cache "$path")
    fact "$path, twice within a second" HIT "$said"
done
fact "cookies of 9,000 bytes: status" 200 \
    "$(curl -s -o "$work/answer" -w '%{http_code}' -H "Cookie: c=$(head -c 9000 /dev/zero | tr '\0' x)" "$cdn/api/time")"

step "$visits visitors meet the cache"
before=$(counter cache_hit) missed=$(counter cache_miss)
seq "$visits" | xargs -P 4 -n 100 sh -c 'for n; do echo "url = '"$cdn$page"'?visit=$n"; echo "output = /dev/null"; done | curl -fsS -K -' sh
are_counted() { [ "$(($(counter cache_hit) + $(counter cache_miss) - before - missed))" -ge "$visits" ]; }
poll_until 10 are_counted || true
hits=$(($(counter cache_hit) - before))
within "visits of $visits that the cache answered" $((visits * 98 / 100)) "$visits" "$hits"
printf '   hit ratio %s %%\n' "$(awk -v a="$hits" -v b="$visits" 'BEGIN { printf "%.2f", 100 * a / b }')"

step "An edit is visible after one purge"
edit "Edited once"
poll_until 30 shows "Edited once" || true
fact "the cache shows the edit" yes "$(shows "Edited once" && echo yes)"
poll_until 30 none_waits || true
fact "purges that wait" 0 "$(waiting)"

step "A page that is removed does not come back"
gone=/product/1-gone.html
printf '<p>Removed soon</p>' >"$SECKILL_DATA/pages$gone"
cache "$gone" >/dev/null
fact "the page before" "200 HIT" "$(curl -s -o "$work/answer" -w '%{http_code}' "$cdn$gone") $(cache "$gone")"
rm "$SECKILL_DATA/pages$gone"
fact "its purge: status" 404 "$(curl -s -o "$work/answer" -w '%{http_code}' -X PURGE "$cdn$gone")"
# The 404 is kept for five seconds.
comes_back() { [ "$(curl -s -o "$work/answer" -w '%{http_code}' "$cdn$gone")" != 404 ]; }
poll_until 8 comes_back && said=yes || said=no
fact "it comes back within eight seconds" no "$said"

step "A visitor is refused: by conf/sites/product.conf behind another Varnish"
read -r product_port front_port < <(free_ports 2 | paste -sd ' ')
product=http://127.0.0.1:$product_port front=http://127.0.0.1:$front_port
mkdir -p "$work/product/temp" "$work/product/pages/"{product,pictures,shop}
printf 'small' >"$work/product/pages/pictures/small.png"
printf '{}' >"$work/product/pages/shop/version.json"
for name in kept {1..50}; do printf '<p>%s</p>' "$name" >"$work/product/pages/product/1-$name.html"; done
cat >"$work/product/nginx.conf" <<CONF
daemon off;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
pid $work/product/pid;
error_log $work/product/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $work/product/temp/a; proxy_temp_path $work/product/temp/b; fastcgi_temp_path $work/product/temp/c;
    uwsgi_temp_path $work/product/temp/d; scgi_temp_path $work/product/temp/e;
$(sed -e "s/listen 443 .*/listen 127.0.0.1:$product_port;/; /ssl_certificate/d; /tls.conf;/d; s|/var/lib/seckill/pages|$work/product/pages|" conf/sites/product.conf)
}
CONF
nginx -p "$work/product/" -c "$work/product/nginx.conf" -e "$work/product/error.log" &
product_pid=$!
# Without a probe, which needs an edge.
sed -e '/\.probe = {/,/^    }/d' -e "s/\.port = \"$SECKILL_PORT\"/.port = \"$product_port\"/" "$work/varnish.vcl" >"$work/product.vcl"
varnishd -F -j none -a "127.0.0.1:$front_port" -f "$work/product.vcl" -n "$work/front" -s malloc,16m "${varnish_options[@]}" >>"$work/front.log" 2>&1 &
before_product_pid=$!
status() { curl -s -o "$work/answer" -w '%{http_code}' "$@"; }
is_served() { [ "$(status "$1")" = 200 ]; }
poll_until 30 is_served "$front/product/1-kept.html" || fail "the second varnishd does not answer; see $work/front.log"
fact "a picture on somebody's page: status" 403 "$(status -e https://thief.example.net/ "$front/pictures/small.png")"
fact "the same picture for the next visitor: status" 200 "$(status "$front/pictures/small.png")"
# All visitors of this Varnish are one to that nginx: somebody uses up their share.
(while :; do seq 200 | sed "s|.*|url = $product/version.json\noutput = /dev/null|" | curl -sS -K - 2>/dev/null || true; done) &
spender_pid=$!
purge_is_refused() { [ "$(status -X PURGE "$front/product/1-kept.html")" = 429 ]; }
poll_until 20 purge_is_refused && said=429 || said="not refused"
fact "a purge that the origin refuses: status" 429 "$said"
fact "the copy that is kept, then: status" 200 "$(status "$front/product/1-kept.html")"
# A request now and then is lucky, and its page in the cache.
page_is_refused() { fresh=$((fresh % 50 + 1)); [ "$(status "$front/product/1-$fresh.html")" = 429 ]; }
fresh=0
poll_until 20 page_is_refused && said=429 || said="not refused"
fact "a page that is not in the cache, while it refuses: status" 429 "$said"
kill -TERM "$spender_pid" 2>/dev/null || true
wait "$spender_pid" 2>/dev/null || true
spender_pid=''
# The origin may refuse this visitor anew, with what is left of the share; a refusal that
# the cache kept is what nobody may get.
said=
gets_the_page() {
    local code
    code=$(status -D "$work/head" "$front/product/1-$fresh.html")
    [ "$code" != 429 ] || ! grep -qi '^x-cache: *hit' "$work/head" || said="a refusal from the cache"
    [ -n "$said" ] || [ "$code" = 200 ]
}
poll_until 20 gets_the_page || said="refused for 20 s"
fact "the same page for the next visitor" served "${said:-served}"

step "The origin is away"
shop_stop || true
fact "the cached page is served" 200 "$(curl -s -o "$work/answer" -w '%{http_code}' "$cdn$page")"
fact "a purchase is not, and not by a cache" 503 "$(curl -s -o "$work/answer" -w '%{http_code}' -d x "$cdn/buy/1/153/1/n/k1.d")"
shop_start --demo
poll_until 60 curl -fsS -o "$work/answer" "$cdn/api/time" 2>/dev/null || true

step "The CDN's budget is used up: $buyers buyers race while pages and pictures come from the origin"
items=50
sell_in_shop burnt +2s +20m $items
# Every page and asset, over and over, from the origin itself.
curl -fsS -o "$work/page" "$shop_url$page"
grep -o '/assets/[^"#]*' "$work/page" | sort -u >"$work/paths"
echo "$page" >>"$work/paths"
(while :; do sed "s|^|url = $shop_url|; a output = /dev/null" "$work/paths" | curl -sS -K - -w '%{http_code}\n' >>"$work/pages" 2>/dev/null || true; done) &
pages_pid=$!
"$seckill" load race --base "$shop_url" --round burnt --product 1 --buyers "$buyers" --concurrency 8 --retry-busy --until-sold-out 60 --limit 200 >"$work/race.json" 2>"$work/race.err" || true
kill -TERM "$pages_pid" 2>/dev/null || true
wait "$pages_pid" 2>/dev/null || true
pages_pid=
sold() { [ "$(cli --raw HGET 'seckill::{burnt::1::01}::stock' sale_stock_amount)" = 0 ]; }
poll_until 60 sold || true
fact "items that are left" 0 "$(cli --raw HGET 'seckill::{burnt::1::01}::stock' sale_stock_amount)"
fact "breaches that buyers saw" "" "$(json "$work/race.json" 'join ", ", @{$j->{breaches}}')$(tail -n 1 "$work/race.err")"
fact "pages that the origin did not serve" 0 "$(grep -cv '^200$' "$work/pages" || true)"
within "pages that it served meanwhile" 10 100000000 "$(grep -c '^200$' "$work/pages" || true)"
fact "seckill verify" PASS "$("$seckill" verify 2>&1 | grep -oE '^(PASS|FAIL)' | head -n 1)"
exit "$failed"
