#!/usr/bin/env bash
# Back ends that join and leave while nginx serves, as conf/haproxy/back-ends.cfg follows
# them by a name: in a network of their own, with dnsmasq as the site's DNS server and
# nginx servers as purchase roles.
#   scripts/test-back-ends.sh
#
# Needs root, haproxy, nginx, dnsmasq, curl. Prints a PASS or FAIL line for each fact, and
# leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

[ "$(id -u)" -eq 0 ] || fail "run it as root: the addresses are made in a network namespace"
for tool in haproxy nginx dnsmasq curl unshare; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with: apt-get install haproxy nginx dnsmasq-base curl util-linux"
done
if [ -z "${SECKILL_IN_NAMESPACE:-}" ]; then
    SECKILL_IN_NAMESPACE=1 exec unshare --net "$0" "$@"
fi
ip link set lo up
ip address add 10.0.0.53/24 dev lo
work=$(mktemp -d)
chmod 755 "$work"
pids=()
tidy() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
launch() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    pids+=("$!")
}

# Purchase roles: each says which one it is.
servers=''
for role in 1 2 3; do
    ip address add "10.0.0.1$role/24" dev lo
    servers+="server { listen 10.0.0.1$role:7001; location / { add_header X-Seckill-Outcome used always; return 200 role-$role; } }
"
done
nginx_conf() {
    cat <<CONF
daemon off; user root; worker_processes 1; pid $work/$1.pid; error_log $work/$1.error warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $work/$1.a; proxy_temp_path $work/$1.b; fastcgi_temp_path $work/$1.c; uwsgi_temp_path $work/$1.d; scgi_temp_path $work/$1.e;
$2
}
CONF
}
nginx_conf roles "$servers" >"$work/roles.conf"
nginx_conf edge "upstream seckill_purchase { server unix:$work/purchase.sock; keepalive 256; }
    server { listen 127.0.0.1:8080; location / { proxy_pass http://seckill_purchase; proxy_http_version 1.1; proxy_set_header Connection ''; } }" >"$work/edge.conf"
sed -e "s|/run/haproxy/purchase.sock user www-data|$work/purchase.sock user root|" conf/haproxy/back-ends.cfg >"$work/back-ends.cfg"

# names ADDRESS...: what the name means from now on.
names() {
    for address in "$@"; do echo "$address purchase.internal"; done >"$work/hosts.new"
    mv "$work/hosts.new" "$work/hosts"
    [ ! -s "$work/dns.pid" ] || kill -HUP "$(cat "$work/dns.pid")"
}
names 10.0.0.11
launch dns dnsmasq --keep-in-foreground --no-resolv --no-hosts --addn-hosts="$work/hosts" --listen-address=10.0.0.53 --bind-interfaces \
    --pid-file="$work/dns.pid" --user=root
launch roles nginx -p "$work/" -c "$work/roles.conf"
launch haproxy haproxy -db -f "$work/back-ends.cfg"
launch edge nginx -p "$work/" -c "$work/edge.conf"

ask() { curl -s --max-time 20 "http://127.0.0.1:8080/buy/" "$@"; }
# all_of N...: twenty requests are served by these roles and no other.
all_of() {
    local seen
    seen=$(for _ in $(seq 20); do ask; echo; done | sort -u | tr '\n' ' ')
    [ "$seen" = "$(printf 'role-%s ' "$@")" ]
}
shown() { for _ in $(seq 20); do ask; echo; done | sort | uniq -c | tr -s ' \n' ' '; }
poll_until 30 all_of 1 || true
fact "one role behind the name" yes "$(all_of 1 && echo yes || shown)"
nginx_pid=$(cat "$work/edge.pid") workers=$(pgrep -P "$nginx_pid" | sort | tr '\n' ' ')

step "Requests all the time, while roles join and leave"
: >"$work/codes"
(while [ ! -e "$work/stop" ]; do curl -s -o /dev/null --max-time 20 -w '%{http_code}\n' "http://127.0.0.1:8080/buy/[1-20]" >>"$work/codes" || true; done) &
pids+=("$!")
names 10.0.0.11 10.0.0.12 10.0.0.13
poll_until 30 all_of 1 2 3 || true
fact "two join" yes "$(all_of 1 2 3 && echo yes || shown)"
names 10.0.0.12 10.0.0.13
poll_until 30 all_of 2 3 || true
fact "the first leaves" yes "$(all_of 2 3 && echo yes || shown)"
kill -STOP "$(cat "$work/dns.pid")"
poll_until 5 false || true
fact "the DNS server does not answer" yes "$(all_of 2 3 && echo yes || shown)"
kill -CONT "$(cat "$work/dns.pid")"
touch "$work/stop"
fact "requests that failed meanwhile" 0 "$(grep -cv '^200$' "$work/codes" || true)"
within "requests meanwhile" 100 100000000 "$(wc -l <"$work/codes")"
fact "nginx, its workers" "the same" "$([ "$nginx_pid $workers" = "$(cat "$work/edge.pid") $(pgrep -P "$nginx_pid" | sort | tr '\n' ' ')" ] && echo "the same" || echo others)"

step "No role is left"
kill -TERM "$(cat "$work/roles.pid")"
refused() { [ "$(ask -o "$work/answer" -D "$work/headers" -w '%{http_code}')" = 503 ]; }
poll_until 30 refused && said=503 || said=$(tail -n 1 "$work/answer")
fact "status" 503 "$said"
fact "what became of the permit" unused "$(tr -d '\r' <"$work/headers" | sed -n 's/^x-seckill-outcome: //Ip')"
fact "code" unavailable "$(grep -o '"code":"[a-z]*"' "$work/answer" | cut -d '"' -f 4)"
exit "$failed"
