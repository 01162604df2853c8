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
#   SECKILL_EDGE_LOG_MB     how large the log of requests grows before it is renamed, in
#                           place of the one before; 0 for no such log           (512)
#
# Or mount a whole configuration of your own, and name it as the argument.
set -euf

say() { printf 'edge: %s\n' "$*" >&2; }
if [ $# -gt 0 ]; then exec nginx -g 'daemon off;' -c "$1"; fi

# on_one_line WORDS: a value may stand on several lines.
on_one_line() {
    # shellcheck disable=SC2086 # it is to be split
    set -- $1
    printf '%s' "$*"
}
redis=$(on_one_line "${SECKILL_EDGE_REDIS:-redis:6379}")
sentinel=$(on_one_line "${SECKILL_EDGE_SENTINEL:-}")
password=$(on_one_line "${SECKILL_EDGE_REDIS_PASSWORD_FILE:-}")
purchase=$(on_one_line "${SECKILL_EDGE_PURCHASE:-purchase:7001}")
ops=$(on_one_line "${SECKILL_EDGE_OPS:-ops:7002}")
rate=$(on_one_line "${SECKILL_EDGE_RATE:-50000}")
zone=$(on_one_line "${SECKILL_EDGE_ZONE:-64m}")
proxies=$(on_one_line "${SECKILL_EDGE_PROXIES:-}")
metrics=$(on_one_line "${SECKILL_EDGE_METRICS:-}")
keys=$(on_one_line "${SECKILL_EDGE_KEYS:-/run/secrets/seckill-keys}")
log_mb=$(on_one_line "${SECKILL_EDGE_LOG_MB:-512}")

# Each value has a form, since it ends up in nginx's configuration, where a ";" would end
# a directive.
# one NAME VALUE FORM CURE: it is a single word of this form, or nothing.
one() {
    [ -z "$2" ] || printf '%s\n' "$2" | grep -Eqx -e "$3" || { say "$1 is \"$2\"; $4"; exit 2; }
}
# each NAME WORDS FORM CURE: so is each of its words.
each() {
    for word in $2; do
        printf '%s\n' "$word" | grep -Eqx -e "$3" || { say "$1 has \"$word\"; $4"; exit 2; }
    done
}
file='[A-Za-z0-9._/-]+'
name='[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?'
server="($name|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}|unix:$file"
of_servers="write HOST:PORT or [IPV6]:PORT, several with spaces in between"
byte='(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])'
ipv4="$byte(\.$byte){3}(/(3[0-2]|[12]?[0-9]))?"
ipv6='[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:?(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?'
of_networks="write addresses or networks such as 10.0.0.0/24, several with spaces in between"
each SECKILL_EDGE_REDIS "$redis" "$server" "$of_servers"
each SECKILL_EDGE_PURCHASE "$purchase" "$server" "$of_servers"
each SECKILL_EDGE_OPS "$ops" "$server" "$of_servers"
one SECKILL_EDGE_SENTINEL "$sentinel" '[A-Za-z0-9._-]+' "write the name that the Sentinels have for the master"
one SECKILL_EDGE_REDIS_PASSWORD_FILE "$password" "$file" "write the path of a file: letters, digits, . _ - and /"
one SECKILL_EDGE_KEYS "$keys" "$file" "write the path of a file: letters, digits, . _ - and /"
one SECKILL_EDGE_RATE "$rate" '[1-9][0-9]{0,8}' "write a number of requests a second such as 50000"
one SECKILL_EDGE_ZONE "$zone" '[1-9][0-9]{0,8}[kKmMgG]?' "write a size such as 64m"
one SECKILL_EDGE_LOG_MB "$log_mb" '0|[1-9][0-9]{0,6}' "write a number of megabytes such as 512, or 0 for no log"
# A name too, but nothing that was meant as a number.
each SECKILL_EDGE_PROXIES "$proxies" "$ipv4|$ipv6|unix:|[A-Za-z_]$name|[0-9._-]*[A-Za-z_]$name" "$of_networks"
each SECKILL_EDGE_METRICS "$metrics" "$ipv4|$ipv6|unix:|all" "$of_networks; names are not looked up"

[ -r "$keys" ] || {
    say "the key ring $keys cannot be read; mount the one of the back end there, readable by user $(id -u) and by nobody else"
    exit 2
}
work=${SECKILL_EDGE_WORK:-/tmp/edge}
mkdir -p "$work/temp" 2>/dev/null || {
    say "$work cannot be written; mount a tmpfs at ${work%/*}"
    exit 2
}

servers() {
    for address in $1; do printf '        server %s max_fails=3 fail_timeout=2s;\n' "$address"; done
}
lines() { for word in $2; do printf '%s %s;\n' "$1" "$word"; done; }

redis="$redis${sentinel:+ sentinel=$sentinel}${password:+ password_file=$password}"
servers "$purchase" >"$work/purchase.conf"
servers "$ops" >"$work/ops.conf"
{
    lines set_real_ip_from "$proxies"
    [ -z "$proxies" ] || printf 'real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n'
} >"$work/proxies.conf"
lines allow "$metrics" >"$work/metrics.conf"
log=/var/log/nginx/seckill.json
logged=off
[ "$log_mb" = 0 ] || logged="$log seckill_json buffer=64k flush=1s"
# Also by IPv6, where this machine has it.
listen='/^ *listen /!b'
[ ! -e /proc/net/if_inet6 ] || listen='s|^\( *listen \)\([0-9].*\)|&\n\1[::]:\2|'
sed -e "s|@WORK@|$work|g" -e "s|@REDIS@|$redis|" -e "s|@KEYS@|$keys|" -e "s|@RATE@|$rate|" -e "s|@ZONE@|$zone|" \
    -e "s|@LOG@|$logged|" -e "$listen" /etc/seckill/nginx.conf >"$work/nginx.conf"

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

# Nobody else keeps the log from filling its volume. Whoever follows it reads the renamed
# file to its end.
rotate() {
    # $$ is nginx by then.
    while sleep 5 && kill -0 $$ 2>/dev/null; do
        [ "$(stat -c %s "$log" 2>/dev/null || echo 0)" -ge $((log_mb * 1000000)) ] || continue
        if mv "$log" "$log.1"; then kill -USR1 "$(cat "$work/nginx.pid")" || true; fi
    done
}
[ "$logged" = off ] || rotate &
exec nginx -g 'daemon off;' -c "$work/nginx.conf"
