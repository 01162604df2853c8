#!/usr/bin/env bash
# Runs conf/sites on this machine's nginx: TLS, hot-link protection, limits for each
# visitor, weights and failing back ends of the mall, an origin that is closed to all but
# its list, and the command that keeps that list (scripts/origins.pl).
#
# Needs nginx, curl and openssl. Everything is in target/sites and on loopback addresses.
# Prints a PASS or FAIL line for each fact.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

for tool in nginx curl openssl; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with: apt-get install nginx curl openssl"
done
enter_link
work=$PWD/target/sites
rm -rf "$work"
mkdir -p "$work/temp" "$work/pages/shop" "$work/pages/product" "$work/pages/pictures" "$work/pages/assets" "$work/seckill-sites" "$work/ssl"
nginx_pid=
tidy() {
    [ -z "$nginx_pid" ] || { kill -TERM "$nginx_pid" 2>/dev/null || true; wait "$nginx_pid" 2>/dev/null || true; }
    leave_link
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mapfile -t ports < <(free_ports 4)
tls=${ports[0]} first=${ports[1]} second=${ports[2]} plain=${ports[3]}
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=seckill.example.com' -addext 'subjectAltName=DNS:*.example.com' \
    -keyout "$work/ssl/key" -out "$work/ssl/cert" 2>"$work/openssl.log"
printf '<p>page</p>' >"$work/pages/product/1-153.html"
head -c 4000000 /dev/zero >"$work/pages/pictures/large.png"
printf 'small' >"$work/pages/pictures/small.png"
cp conf/sites/tls.conf "$work/seckill-sites/"
printf '{"left":{}}' >"$work/pages/shop/left.json"
printf '{"assets":"x"}' >"$work/pages/shop/version.json"
printf 'export {};' >"$work/pages/assets/page.js"
printf 'a { color: red }' >"$work/pages/assets/page.css"
# With the CDN's X-Forwarded-For believed, as origin.conf says.
for file in origin origins; do
    sed "s|/etc/seckill/origins|$work/origins|; s/^# \(include .*\|real_ip.*\);/\1;/" "conf/sites/$file.conf" >"$work/seckill-sites/$file.conf"
done
echo '127.0.0.3 1;' >"$work/origins.conf"
echo 'set_real_ip_from 127.0.0.3;' >"$work/origins-realip.conf"
here() {
    sed -e "s|listen 443|listen 127.0.0.1:$tls|; s|ssl_certificate_key .*|ssl_certificate_key $work/ssl/key;|; s|ssl_certificate  .*|ssl_certificate $work/ssl/cert;|" \
        -e "s|/var/lib/seckill/pages|$work/pages|; s|/usr/share/seckill/html|$PWD/html|" \
        -e "s|server 10.0.1.1:8080|server 127.0.0.1:$first|; s|server 10.0.1.2:8080|server 127.0.0.1:$second|; /10.0.1.3/d" "$1"
}
cat >"$work/nginx.conf" <<CONF
daemon off;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
pid $work/pid;
error_log $work/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $work/temp/a; proxy_temp_path $work/temp/b; fastcgi_temp_path $work/temp/c;
    uwsgi_temp_path $work/temp/d; scgi_temp_path $work/temp/e;
    include seckill-sites/origins.conf;
    log_format back '\$server_port';
    server { listen 127.0.0.1:$first;  access_log $work/first back;  location / { return 200 first; } }
    server { listen 127.0.0.1:$second; access_log $work/second back; location / { return 200 second; } }
    server {
        listen 127.0.0.1:$plain;
        include seckill-sites/origin.conf;
        location / { root $work/pages; }
        location = /who { return 200 "\$remote_addr"; }
        location = /metrics { allow 127.0.0.2; deny all; return 204; }
    }
$(here conf/sites/mall.conf)
$(here conf/sites/product.conf)
}
CONF
start() {
    nginx -p "$work/" -c "$work/nginx.conf" -e "$work/error.log" 2>>"$work/said" &
    nginx_pid=$!
    poll_until 10 test -s "$work/pid" || fail "nginx does not start: see $work/said and $work/error.log"
}
start
get() { curl -sk -o "$work/answer" -w '%{http_code}' --resolve "$1:$tls:127.0.0.1" "https://$1:$tls$2" "${@:3}"; }
product=seckill-product.example.com

# --- Hot links and names ---------------------------------------------------

fact "picture without Referer" 200 "$(get $product /pictures/small.png)"
fact "picture on our page" 200 "$(get $product /pictures/small.png -e https://seckill.example.com/product/1-153.html)"
fact "picture on somebody's page" 403 "$(get $product /pictures/small.png -e https://thief.example.net/)"
fact "picture on a page whose name begins as ours" 403 "$(get $product /pictures/small.png -e https://seckill.example.com.evil.net/)"
for from in https://www.google.com/ https://weibo.com/a https://example.com/ android-app://com.tencent.mm/; do
    fact "page to which $from links" 200 "$(get $product /product/1-153.html -e "$from")"
done
fact "picture on the page of the shop's domain" 200 "$(get $product /pictures/small.png -e https://example.com/)"
fact "an old name of a page" 301 "$(get $product /item/1/153)"
fact "what is no page" 404 "$(get $product /api/orders)"

# --- Everything that a page needs ------------------------------------------

header() { curl -sk -o "$work/answer" -D - --resolve "$product:$tls:127.0.0.1" "https://$product:$tls$1" | tr -d '\r' | sed -n "s/^$2: //Ip"; }
for path in /left.json /announcement.json /version.json /favicon.ico /icon-192.png /manifest.webmanifest; do
    fact "$path, which a page loads" 200 "$(get $product $path)"
done
fact "an announcement while there is none" '{"text":null,"until_ms":0}' "$(get $product /announcement.json >/dev/null; cat "$work/answer")"
for path in / /orders.html '/order.html?id=7'; do
    fact "$path, which a page links to" "https://seckill.example.com$path" "$(header "$path" Location)"
done
fact "type of a script" "application/javascript; charset=utf-8" "$(header /assets/page.js Content-Type)"
fact "type of a style sheet" "text/css; charset=utf-8" "$(header /assets/page.css Content-Type)"
fact "what a page may load" "$(sed -n "s| \$seckill_api_origins;| https://seckill.example.com;|; s/^ *default \"\(default-src.*\)\";/\1/p" conf/seckill/http.conf)" \
    "$(header /product/1-153.html Content-Security-Policy)"

# --- The budget of bytes (docs/names.md) -----------------------------------

compressed() { local file n=0; for file in "$@"; do n=$((n + $(gzip -9c "$file" | wc -c))); done; echo "$n"; }
within "bytes of a page, compressed" 1 8000 "$(compressed html/templates/product.html)"
# 2 MB at full speed, then 2 MB at 512 KB a second: four seconds, where loopback takes none.
began=$(date +%s%3N)
get $product /pictures/large.png >/dev/null
within "4 MB for one visitor: ms" 2500 60000 "$(($(date +%s%3N) - began))"

# --- TLS -------------------------------------------------------------------

protocol() { openssl s_client -connect "127.0.0.1:$tls" -servername $product "$@" </dev/null 2>/dev/null | sed -n 's/^ *Protocol *: *//p; s/^New, \(TLSv1[.0-9]*\),.*/\1/p; s/^Reused, .*/Reused/p' | sort -u | paste -sd ' '; }
fact "newest protocol" TLSv1.3 "$(protocol)"
fact "oldest protocol" TLSv1.2 "$(protocol -tls1_2 | grep -o 'TLSv1.2' | head -n 1)"
said=$(openssl s_client -connect "127.0.0.1:$tls" -servername $product -tls1_1 -cipher 'DEFAULT@SECLEVEL=0' </dev/null 2>&1 | grep -c 'Cipher is (NONE)' || true)
fact "TLS 1.1 is refused" 1 "$said"
openssl s_client -connect "127.0.0.1:$tls" -servername $product -tls1_2 -sess_out "$work/session" </dev/null >/dev/null 2>&1
fact "a session is resumed" Reused "$(protocol -tls1_2 -sess_in "$work/session" | grep -o Reused)"
fact "HTTP/2" 2 "$(curl -sk -o /dev/null -w '%{http_version}' --http2 --resolve "$product:$tls:127.0.0.1" "https://$product:$tls/pictures/small.png")"

# --- A visitor's share -----------------------------------------------------

codes=$(for _ in $(seq 120); do echo "url = \"https://$product:$tls/pictures/small.png\""; echo 'output = "/dev/null"'; done |
    curl -sk --resolve "$product:$tls:127.0.0.1" -w '%{http_code}\n' -K - | sort | uniq -c | awk '{ print $2 }' | paste -sd ' ')
fact "120 requests at once from one visitor" "200 429" "$codes"
fact "the mall meanwhile" 200 "$(get mall.example.com /)"
# refusals STATUS PATH [OPTION...]: what 120 requests at once that are refused so say of caches.
refusals() {
    for _ in $(seq 120); do echo "url = \"https://$product:$tls$2\""; echo 'output = "/dev/null"'; done |
        curl -sk --resolve "$product:$tls:127.0.0.1" "${@:3}" -w '%{http_code} %header{cache-control}\n' -K - | sed -n "s/^$1 //p" | sort -u
}
for path in /product/1-153.html /pictures/small.png /assets/page.js /left.json /announcement.json /version.json; do
    fact "what caches may do with a 429 of $path" no-store "$(refusals 429 $path)"
done
allowed_again() { [ "$(get $product /pictures/small.png)" = 200 ]; }
poll_until 10 allowed_again || true
fact "what they may do with a refused hot link" no-store "$(refusals 403 /pictures/small.png -e https://thief.example.net/)"

# --- The mall's back ends --------------------------------------------------

: >"$work/first"; : >"$work/second"
for _ in $(seq 90); do get mall.example.com / >/dev/null; done
# Weights 2 and 1: sixty and thirty, one request at a time.
within "requests at the back end of weight 2, of 90" 55 65 "$(wc -l <"$work/first")"
sed "s|server { listen 127.0.0.1:$first;.*||" "$work/nginx.conf" >"$work/nginx.new" && mv "$work/nginx.new" "$work/nginx.conf"
kill -HUP "$nginx_pid"
gone() { ! curl -s -o /dev/null "http://127.0.0.1:$first/"; }
poll_until 10 gone || true
failures=0
for _ in $(seq 20); do [ "$(get mall.example.com /)" = 200 ] || failures=$((failures + 1)); done
fact "failed requests while one back end is away" 0 "$failures"

# --- The closed origin -----------------------------------------------------

from() { curl -s -o /dev/null -w '%{http_code}' --interface "$1" "http://127.0.0.1:$plain/pictures/small.png"; }
fact "origin, from an address on its list" 200 "$(from 127.0.0.3)"
fact "origin, from another" 403 "$(from 127.0.0.2)"
fact "what caches may do with that" no-store "$(curl -s -o /dev/null -w '%header{cache-control}' --interface 127.0.0.2 "http://127.0.0.1:$plain/pictures/small.png")"
fact "origin, from another that claims to be on the list" 403 \
    "$(curl -s -o /dev/null -w '%{http_code}' --interface 127.0.0.2 -H 'X-Forwarded-For: 127.0.0.3' "http://127.0.0.1:$plain/pictures/small.png")"
claims() { curl -s "${@:3}" --interface "$1" -H "X-Forwarded-For: $2" "http://127.0.0.1:$plain/who"; }
fact "a shopper behind the CDN" 203.0.113.7 "$(claims 127.0.0.3 203.0.113.7)"
fact "one who claims to be behind it: status" 403 "$(claims 127.0.0.2 127.0.0.3 -o /dev/null -w '%{http_code}')"
fact "a shopper behind it with the address of a stranger: status" 200 "$(claims 127.0.0.3 127.0.0.2 -o /dev/null -w '%{http_code}')"
fact "metrics, from an address on their own list" 204 "$(curl -s -o /dev/null -w '%{http_code}' --interface 127.0.0.2 "http://127.0.0.1:$plain/metrics")"
origins() { scripts/origins.pl --to "$work/origins.conf" --nginx "nginx -p $work/ -c $work/nginx.conf -e $work/error.log" "$@" >"$work/said" 2>&1; }
# Workers of before a reload may serve a moment longer.
is() { for _ in 1 2 3 4 5 6 7 8; do [ "$(from "$1")" = "$2" ] || return 1; done; }
printf '127.0.0.2\n127.0.0.4/31 # the CDN\n2001:db8::/32\n' | origins - --shrink && status=0 || status=$?
fact "a new list: exit status" 0 "$status"
poll_until 10 is 127.0.0.2 200 || true
fact "origin, from an address that is new on it" 200 "$(from 127.0.0.2)"
poll_until 10 is 127.0.0.3 403 || true
fact "origin, from one that left it" 403 "$(from 127.0.0.3)"
before=$(cksum <"$work/origins.conf")
for wrong in '127.0.0.300' '127.0.0.2/33' '10.1' '127.0.0.1/24' '0.0.0.0/0' '127.0.0.2; return 200' '2001:db8::1/32' 'cdn.example.com'; do
    printf '127.0.0.9\n%s\n' "$wrong" | origins - && status=0 || status=$?
    fact "a list with \"$wrong\"" "2, line 2, unchanged" "$status, $(grep -o 'line 2' "$work/said" | head -n 1), $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
done
printf '# nobody\n' | origins - && status=0 || status=$?
fact "an empty list" "2 unchanged" "$status $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
seq 1 9 | sed 's/^/192.0.2./' | origins - --shrink
before=$(cksum <"$work/origins.conf")
printf '192.0.2.1\n' | origins - && status=0 || status=$?
fact "a list that lost most of it" "2 unchanged" "$status $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
own=10.0.0.0/24,127.0.0.1,10.0.1.0/24,10.0.2.0/24
seq 1 3 | sed 's/^/192.0.2./' | origins - --shrink --always "$own"
before=$(cksum <"$work/origins.conf")
seq 1 3 | sed 's/^/192.0.2./' | origins - --always "$own" && status=0 || status=$?
fact "the same list beside networks of one's own" "0 unchanged" "$status $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
seq 1 2 | sed 's/^/192.0.2./' | origins - --always "$own" && status=0 || status=$?
fact "one that lost a third, beside them: exit status, networks" "0 6" "$status $(grep -c ' 1;$' "$work/origins.conf")"
seq 1 9 | sed 's/^/192.0.2./' | origins - --shrink --always "$own"
before=$(cksum <"$work/origins.conf")
seq 1 4 | sed 's/^/192.0.2./' | origins - --always "$own" && status=0 || status=$?
fact "one that lost most of it, beside them" "2 unchanged" "$status $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
seq 1 9 | sed 's/^/192.0.2./' | origins - --shrink
before=$(cksum <"$work/origins.conf")
{ seq 64 95 | sed 's/$/.0.0.0\/8/'; seq 1 9 | sed 's/^/192.0.2./'; } | origins - && status=0 || status=$?
fact "networks that are an eighth of all addresses together" "2 1/8 unchanged" "$status $(grep -o '1/8 ' "$work/said")$([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
{ seq 1 9 | sed 's/^/192.0.2./'; echo 64.0.0.0/8; seq 0 255 | sed 's/^/64./; s/$/.0.0\/16/'; } | origins - --no-reload && status=0 || status=$?
fact "a network and those within it, which count once" 0 "$status"
{ seq 1 9 | sed 's/^/192.0.2./'; } | origins - --shrink --no-reload
nginx_pid_file=$(cat "$work/pid")
mv "$work/pid" "$work/pid.away"
{ seq 1 9 | sed 's/^/192.0.2./'; echo 198.51.100.1; } | origins - && status=0 || status=$?
fact "an nginx that cannot be reloaded" "2 unchanged" "$status $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
echo "$nginx_pid_file" >"$work/pid"
for from in 1 21; do { seq 1 9 | sed 's/^/192.0.2./'; seq "$from" "$((from + 19))" | sed 's/^/203.0.113./'; } >"$work/list.$from"; done
for from in 1 21; do origins "$work/list.$from" --shrink --no-reload & done
jobs -p | grep -vx "$nginx_pid" | while read -r pid; do tail --pid="$pid" -f /dev/null; done
fact "two at the same time leave one of the lists, whole" 29 "$(grep -c ' 1;$' "$work/origins.conf")"
fact "networks whose X-Forwarded-For is believed" "$(sed -n 's/ 1;$//p' "$work/origins.conf" | sha1sum)" \
    "$(sed -n 's/^set_real_ip_from \(.*\);$/\1/p' "$work/origins-realip.conf" | sha1sum)"
seq 1 9 | sed 's/.*/allow 192.0.2.&;/' >"$work/origins.conf"
printf '192.0.2.1\n' | origins - --no-reload && status=0 || status=$?
fact "a list that lost most of one of before this release" 2 "$status"
{ seq 1 9 | sed 's/^/192.0.2./'; } | origins - --shrink --no-reload
before=$(cksum <"$work/origins.conf")
echo 'a mistake' >>"$work/nginx.conf"
printf '192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n192.0.2.5\n198.51.100.1\n' | origins - && status=0 || status=$?
fact "a good list and a broken nginx.conf" "2 unchanged" "$status $([ "$before" = "$(cksum <"$work/origins.conf")" ] && echo unchanged)"
exit "$failed"
