#!/bin/sh
# Fills the environment into /etc/seckill/nginx.conf and runs nginx with it.
#
#   SECKILL_EDGE_REDIS      address of the main Redis            (redis:6379)
#   SECKILL_EDGE_SENTINEL   the addresses are Sentinels, and this is the master's name with
#                           them                                 (none)
#   SECKILL_EDGE_REDIS_PASSWORD_FILE   the password of Redis     (none)
#   SECKILL_EDGE_PURCHASE   addresses of the purchase roles      (purchase:7001)
#   SECKILL_EDGE_OPS        addresses of the ops roles           (ops:7002)
#   SECKILL_EDGE_RATE       the site's requests a second         (50000)
#   SECKILL_EDGE_ZONE       size of the shared memory            (64m)
#   SECKILL_EDGE_PROXIES    addresses of balancers in front, whose X-Forwarded-For
#                           is believed                          (none)
#   SECKILL_EDGE_METRICS    addresses that may read /metrics     (none)
#   SECKILL_EDGE_KEYS       the key ring                         (/run/secrets/seckill-keys)
#
# Or mount a whole configuration of your own, and name it as the argument.
set -eu

say() { printf 'edge: %s\n' "$*" >&2; }
if [ $# -gt 0 ]; then exec nginx -g 'daemon off;' -c "$1"; fi

keys=${SECKILL_EDGE_KEYS:-/run/secrets/seckill-keys}
[ -r "$keys" ] || {
    say "the key ring $keys cannot be read; mount the one of the back end there, readable by user $(id -u) and by nobody else"
    exit 2
}
work=${SECKILL_EDGE_WORK:-/tmp/edge}
mkdir -p "$work/temp" 2>/dev/null || {
    say "$work cannot be written; mount a tmpfs at ${work%/*}"
    exit 2
}

# Words that end up in nginx's configuration, where a ";" would end a directive.
plain() {
    case $2 in
        *[!A-Za-z0-9.:_/[:space:]-]*) say "$1 is \"$2\"; write addresses as HOST:PORT, separated by spaces"; exit 2 ;;
    esac
}
servers() {
    for address in $1; do printf '        server %s max_fails=3 fail_timeout=2s;\n' "$address"; done
}
lines() { for word in $2; do printf '%s %s;\n' "$1" "$word"; done; }

redis=${SECKILL_EDGE_REDIS:-redis:6379} purchase=${SECKILL_EDGE_PURCHASE:-purchase:7001} ops=${SECKILL_EDGE_OPS:-ops:7002}
rate=${SECKILL_EDGE_RATE:-50000} zone=${SECKILL_EDGE_ZONE:-64m}
sentinel=${SECKILL_EDGE_SENTINEL:-} password=${SECKILL_EDGE_REDIS_PASSWORD_FILE:-}
proxies=${SECKILL_EDGE_PROXIES:-} metrics=${SECKILL_EDGE_METRICS:-}
plain SECKILL_EDGE_REDIS "$redis"
plain SECKILL_EDGE_SENTINEL "$sentinel"
plain SECKILL_EDGE_REDIS_PASSWORD_FILE "$password"
plain SECKILL_EDGE_PURCHASE "$purchase"
plain SECKILL_EDGE_OPS "$ops"
plain SECKILL_EDGE_RATE "$rate"
plain SECKILL_EDGE_ZONE "$zone"
plain SECKILL_EDGE_PROXIES "$proxies"
plain SECKILL_EDGE_METRICS "$metrics"
plain SECKILL_EDGE_KEYS "$keys"

redis="$redis${sentinel:+ sentinel=$sentinel}${password:+ password_file=$password}"
servers "$purchase" >"$work/purchase.conf"
servers "$ops" >"$work/ops.conf"
{
    lines set_real_ip_from "$proxies"
    [ -z "$proxies" ] || printf 'real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n'
} >"$work/proxies.conf"
lines allow "$metrics" >"$work/metrics.conf"
sed -e "s|@WORK@|$work|g" -e "s|@REDIS@|$redis|" -e "s|@KEYS@|$keys|" -e "s|@RATE@|$rate|" -e "s|@ZONE@|$zone|" \
    /etc/seckill/nginx.conf >"$work/nginx.conf"

# A name may not resolve yet while the other containers start. Anything else that is
# wrong is said at once.
tries=0
until said=$(nginx -t -c "$work/nginx.conf" 2>&1); do
    tries=$((tries + 1))
    case $said in
        *'host not found'*) ;;
        *) printf '%s\n' "$said" >&2; exit 1 ;;
    esac
    [ "$tries" -ne 1 ] || printf '%s\n' "$said" | sed -n 's/.*\(host not found[^:]*\).*/edge: waiting for a name: \1/p' >&2
    [ "$tries" -lt 60 ] || { say "a name did not resolve within a minute; is the container of that name there?"; exit 1; }
    sleep 1
done
exec nginx -g 'daemon off;' -c "$work/nginx.conf"
