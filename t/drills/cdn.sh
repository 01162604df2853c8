#!/usr/bin/env bash
# A real cache in front of the shop, nginx with proxy_cache as conf/cdn.conf sets
# it up: pages come warm out of it, an edit is visible after one
# purge, while the cache is away purges wait and survive a kill -9, and what the
# page leads to can be kept for ever.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

visits=${VISITS:-2000}
work=$PWD/target/drills/cdn
rm -rf "$work"
mkdir -p "$work/cache"
cdn_pid=

cdn_start() {
    nginx -p "$work/" -c "$work/cdn.conf" -e "$work/cdn.log" &
    cdn_pid=$!
    poll_until 60 curl -fsS -o "$work/answer" "$cdn/api/time" 2>/dev/null || fail "the cache does not answer; see $work/cdn.log"
}
cdn_stop() {
    [ -n "$cdn_pid" ] || return 0
    kill -TERM "$cdn_pid" 2>/dev/null || true
    wait "$cdn_pid" 2>/dev/null || true
    cdn_pid=
}
finish() {
    cdn_stop
    [ -z "$shop_pid" ] || shop_stop || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

shop_place "$work/shop"
cdn_port=$(free_ports 1)
cdn=http://127.0.0.1:$cdn_port
cat >"$work/cdn.conf" <<CONF
daemon off;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
pid $work/cdn.pid;
error_log $work/cdn.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    log_format cache '\$upstream_cache_status';
    proxy_cache_path $work/cache keys_zone=seckill_cdn:4m;
    upstream seckill_origin { server 127.0.0.1:$SECKILL_PORT; keepalive 16; }
$(sed -e "s/127.0.0.1:80\\\$/127.0.0.1:$cdn_port\\\$/" -e "s/listen 80;/listen 127.0.0.1:$cdn_port;\n    access_log $(printf '%s' "$work" | sed 's/[\/&]/\\&/g')\/seen cache if=\$upstream_cache_status;/" conf/cdn.conf)
}
CONF
export SECKILL_PURGE_URLS=$cdn SECKILL_PREWARM_URLS=$cdn
shop_start --demo
cdn_start

cli() { redis-cli -s "$SECKILL_DATA/run/redis.sock" "$@"; }
page=/product/1-153.html
header() { curl -fsS -o "$work/page" -D - "$1" | tr -d '\r' | sed -n "s/^$2: //Ip"; }
status_of() { header "$cdn$page" X-Cache; }
shows() { curl -fsS -o "$work/shown" "$cdn$page" 2>/dev/null && grep -q "$1" "$work/shown"; }
waiting() { "$seckill" status --json | sed -n 's/.*"purges": *\([0-9]*\).*/\1/p' | head -n 1; }
none_waits() { [ "$(waiting)" = 0 ]; }
some_wait() { [ "$(waiting)" -gt 0 ]; }
# An edit of the published round: what the console writes, and its message.
edit() {
    cli HSET 'seckill::{1::153}::info' title "$1" >"$work/answer"
    cli XADD seckill::products::messages '*' round 1 >"$work/answer"
}

step "Pages that were published are warm, and $visits visitors meet the cache"
poll_until 60 none_waits || fail "purges wait: $("$seckill" status | grep -A1 purges)"
fact "the first visitor finds the page in the cache" HIT "$(status_of)"
: >"$work/seen.before"
cp "$work/seen" "$work/seen.before"
assets=$(grep -o '/assets/[^"#]*' "$work/page" | sort -u)
for path in $page $assets; do curl -fsS -o "$work/answer" "$cdn$path"; done
seq "$visits" | xargs -P 4 -n 100 sh -c 'for n; do echo "url = '"$cdn$page"'"; echo "output = /dev/null"; done | curl -fsS -K -' sh
# A request is logged once it is over, which may be after its client has gone on.
asked=$((visits + $(printf '%s\n' $page $assets | wc -l)))
seen() { tail -n +"$(($(wc -l <"$work/seen.before") + 1))" "$work/seen"; }
all_are_logged() { [ "$(seen | wc -l)" -ge "$asked" ]; }
poll_until 10 all_are_logged || true
hits=$(seen | grep -c HIT || true) all=$(seen | wc -l)
fact "requests that the cache logged" "$asked" "$all"
within "requests of $all that the cache answered" $((all * 98 / 100)) "$all" "$hits"

step "What the page leads to can be kept for ever, the page itself by no browser"
immutable=0 packed=0 count=0
for path in $assets; do
    count=$((count + 1))
    [ "$(header "$shop_url$path" Cache-Control)" != "public, max-age=31536000, immutable" ] || immutable=$((immutable + 1))
    # Into a file: grep leaves a pipe at its first match, and curl fails then.
    curl -fsS --compressed -D "$work/headers" -o "$work/answer" "$shop_url$path"
    ! grep -qi '^content-encoding: gzip' "$work/headers" || packed=$((packed + 1))
done
fact "assets that are immutable" "$count" "$immutable"
fact "assets that come packed" "$count" "$packed"
fact "the page is asked for again each time" no-cache "$(header "$cdn$page" Cache-Control)"
weight=$(for path in $page $assets; do curl -fsS -H 'Accept-Encoding: gzip' -o "$work/answer" -w '%{size_download} %{size_header}\n' "$shop_url$path"; done | awk '{ sum += $1 + $2 } END { print sum }')
within "bytes of the product page over the wire" 1 61440 "$weight"
etag=$(header "$shop_url$page" ETag)
fact "an unchanged page is confirmed by its ETag" 304 "$(curl -sS -o "$work/answer" -w '%{http_code}' -H "If-None-Match: $etag" "$shop_url$page")"

step "What open pages poll is kept for a second, and what buyers send is theirs"
for path in /left.json /announcement.json; do
    twice() { header "$cdn$path" X-Cache >/dev/null; [ "$(header "$cdn$path" X-Cache)" = HIT ]; }
    poll_until 10 twice && said=HIT || said=$(header "$cdn$path" X-Cache)
    fact "$path, twice within a second" HIT "$said"
done
fact "a login that a browser sends through the cache: status" 200 \
    "$(curl -s -o "$work/answer" -w '%{http_code}' -H "Origin: $cdn" -H 'Content-Type: application/json' -d '{"user":"li"}' "$cdn/api/session")"

# Where a folder would be listed, and of a page that is not there.
for path in "403 MISS /product/" "404 HIT /product/1-none.html"; do
    read -r status seen path <<<"$path"
    curl -s -o "$work/answer" "$cdn$path"
    fact "a $status, the second time" "$status $seen" "$(curl -s -o "$work/answer" -D - "$cdn$path" | tr -d '\r' | sed -n 's|^HTTP/1.1 \([0-9]*\).*|\1|p; s/^X-Cache: //Ip' | paste -sd ' ')"
done

step "An edit is visible after one purge"
edit "Edited once"
began=$(date +%s%N)
poll_until 20 shows "Edited once" || true
fact "the cache shows the edit" yes "$(shows "Edited once" && echo yes)"
printf '   visible after %s ms\n' $((($(date +%s%N) - began) / 1000000))
old_assets_there=0
for path in $assets; do ! curl -fsS -o "$work/answer" "$shop_url$path" || old_assets_there=$((old_assets_there + 1)); done
fact "assets of pages that were open are still there" "$count" "$old_assets_there"

step "While the cache is away purges wait, over a kill -9"
poll_until 20 none_waits || true
cdn_stop
edit "Edited twice"
poll_until 20 some_wait || true
within "purges that wait" 1 10 "$(waiting)"
shop_kill
shop_start
cdn_start
poll_until 60 shows "Edited twice" || true
fact "the cache shows the second edit" yes "$(shows "Edited twice" && echo yes)"
poll_until 60 none_waits || true
fact "purges that wait" 0 "$(waiting)"

exit "$failed"
