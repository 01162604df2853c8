#!/bin/bash
# What scripts/test-packages.sh does inside a bare Debian: session.sh VERSION
# Prints a PASS or FAIL line for each fact.
set -uo pipefail
. /etc/host.sh
export DEBIAN_FRONTEND=noninteractive
version=$1
failed=0
log=/packages/apt.log
enabled=/etc/nginx/modules-enabled/50-mod-http-seckill.conf

fact() {
    if [ "$2" = "$3" ]; then
        printf 'PASS %s: %s\n' "$1" "$3"
    else
        failed=1
        printf 'FAIL %s: expected "%s", found "%s"\n' "$1" "$2" "$3"
    fi
}
apt() { apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >"$log" 2>&1; }
must() { "$@" || { tail -n 20 "$log"; fact "$*" 'done' failed; exit 1; }; }
configuration() { nginx -t >"$log" 2>&1 && echo fine || tail -n 2 "$log"; }
is_installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | tr -d ' '; }
poll_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}
running() {
    local name=$1 proc
    for proc in /proc/[0-9]*; do [ "$(cat "$proc/comm" 2>/dev/null)" != "$name" ] || echo "${proc#/proc/}"; done
}
# What an installation makes systemd start by itself.
enabled_units() { find /etc/systemd/system /etc/rc?.d -name '*seckill*' 2>/dev/null; }
get() {
    perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]", Timeout => 5) or exit 1;
        print $s "GET $ARGV[1] HTTP/1.0\r\nHost: localhost\r\n\r\n"; local $/; print scalar <$s>' "$1" "$2"
}

must apt update
# Debian's nginx and redis start themselves; that is theirs to do, and not tested here.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d

# --- The module ------------------------------------------------------------

if [ -e /packages/wrong/module.deb ]; then
    said="accepted"
    apt install /packages/wrong/module.deb || said=refused
    fact "module of another nginx, before there is one" refused "$said"
fi
must apt install --no-install-recommends nginx
if [ -e /packages/wrong/module.deb ]; then
    said=accepted
    # Not -qq, with which apt keeps its reason to itself.
    apt-get -q --yes install /packages/wrong/module.deb >"$log" 2>&1 || said="refused, $(grep -m 1 -o 'Depends: nginx-abi[^ ]*' "$log" || cat "$log")"
    fact "module of another nginx" "refused, Depends: $(dpkg-deb -f /packages/wrong/module.deb Depends | grep -o 'nginx-abi[^, ]*')" "$said"
    fact "after that refusal" "" "$(is_installed libnginx-mod-http-seckill)"
fi
printf '# mine\n' >>/etc/nginx/nginx.conf
mine=$(cksum </etc/nginx/nginx.conf)
must apt install --no-install-recommends /packages/old/module.deb
fact "module: enabled as Debian's are" /usr/share/nginx/modules-available/mod-http-seckill.conf "$(readlink $enabled)"
fact "module: nginx -t" fine "$(configuration)"
printf 'server { listen 127.0.0.1:8099; location = /now { seckill_time; } }\n' >/etc/nginx/conf.d/now.conf
fact "module: nginx -t with a directive of it" fine "$(configuration)"
must apt install --no-install-recommends "$(echo /packages/libnginx-mod-http-seckill_*.deb)"
fact "module upgraded: nginx -t" fine "$(configuration)"
nginx
fact "module: a response" '{"now_ms":' "$(get 8099 /now | grep -o '^{"now_ms":')"
nginx -s stop
poll_until 10 test ! -e /run/nginx.pid
rm /etc/nginx/conf.d/now.conf
rm $enabled
must apt install --reinstall --no-install-recommends "$(echo /packages/libnginx-mod-http-seckill_*.deb)"
fact "module: what the operator disabled stays so" no "$([ -L $enabled ] && echo yes || echo no)"
ln -s /usr/share/nginx/modules-available/mod-http-seckill.conf $enabled
must apt remove libnginx-mod-http-seckill
fact "module removed: nginx -t" fine "$(configuration)"
must apt install --no-install-recommends "$(echo /packages/libnginx-mod-http-seckill_*.deb)"
fact "module back: enabled again" yes "$([ -L $enabled ] && echo yes || echo no)"
must apt purge libnginx-mod-http-seckill
fact "module purged: what is left" "" "$(find / -xdev -path /packages -prune -o -path /proc -prune -o -name '*http*seckill*' -print)"
fact "module purged: nginx -t" fine "$(configuration)"
fact "nginx.conf is as the operator left it" "$mine" "$(cksum </etc/nginx/nginx.conf)"

# --- The back end ----------------------------------------------------------

must apt install --no-install-recommends /packages/old/seckill.deb "$(echo /packages/libnginx-mod-http-seckill_*.deb)" redis-server systemd
rm /usr/sbin/policy-rc.d
fact "installed: services that would start by themselves" "" "$(enabled_units)"
fact "installed: owner and mode of the settings" "root:seckill 640" "$(stat -c '%U:%G %a' /etc/seckill/seckill.toml)"
fact "installed: owner and mode of the key ring" "root:seckill 640" "$(stat -c '%U:%G %a' /etc/seckill/keys)"
printf '\npay_within = 1234\n' >>/etc/seckill/seckill.toml
keys=$(cksum </etc/seckill/keys)
must apt install --no-install-recommends "$(echo /packages/seckill_*.deb)"
fact "upgraded: version" "$version" "$(dpkg-query -W -f '${Version}' seckill)"
fact "upgraded: services that would start by themselves" "" "$(enabled_units)"
fact "upgraded: processes" "" "$(running seckill)"
fact "upgraded: the operator's setting" yes "$(grep -q '^pay_within = 1234' /etc/seckill/seckill.toml && echo yes)"
fact "upgraded: the key ring" "$keys" "$(cksum </etc/seckill/keys)"
fact "upgraded: the settings are read without being named" "1234 /etc/seckill/seckill.toml" \
    "$(cd / && seckill config 2>&1 | awk '$1 == "pay_within" { sub(/:[0-9]*$/, "", $3); print $2, $3 }')"
fact "nginx -t with both" fine "$(configuration)"
said=$(systemd-analyze verify /usr/lib/systemd/system/seckill@.service 2>&1 | grep -i seckill)
fact "systemd reads the unit" "" "$said"
# %i is the escaped name, "relay\x2corders", and a file called so is not found: the path is a pattern.
fact "files that the unit looks up by an escaped name" "" "$(grep '^[^#].*%i' /usr/lib/systemd/system/seckill@.service)"
exposure=$(systemd-analyze security --offline=true --no-pager seckill@purchase.service 2>"$log" | grep -oE 'seckill@purchase.service: [0-9.]+' | grep -oE '[0-9.]+$')
fact "systemd-analyze security: exposure below 2 (${exposure:-none})" yes "$(awk -v e="${exposure:-10}" 'BEGIN { print e < 2 ? "yes" : "no" }')"
if command -v logrotate >/dev/null; then fact "logrotate reads its file" "" "$(logrotate -d /etc/logrotate.d/seckill 2>&1 | grep -i '^error')"; fi

# --- It sells --------------------------------------------------------------

cd /var/lib/seckill || exit 1
as_seckill() { runuser -u seckill -- "$@"; }
# The access log as every rotation leaves it, until nginx writes it further down.
access_log=$(sed -n 's/^#access_logs = \["\(.*\)"\]$/\1/p' /etc/seckill/seckill.toml)
fact "the access log that the settings name is rotated" "$access_log {" "$(grep '^/' /etc/logrotate.d/seckill)"
fact "the access log that the settings name is written" "$access_log" "$(awk '$1 == "access_log" { print $2; exit }' /usr/share/seckill/conf/nginx.conf)"
read -r mode owner group < <(awk '$1 == "create" { print $2, $3, $4 }' /etc/logrotate.d/seckill)
install -m "$mode" -o "$owner" -g "$group" /dev/null "$access_log"
may_read() { as_seckill test -r "$access_log" && echo yes || echo no; }
fact "the access log: is it read by the user seckill at first" no "$(may_read)"
# As the settings say.
read -ra as_told < <(sed -n 's/^# \(usermod .*\)/\1/p' /etc/seckill/seckill.toml)
must "${as_told[@]}"
fact "the access log: is it read after ${as_told[*]}" yes "$(may_read)"
redis-server --port 6379 --save "" --appendonly yes --dir /tmp --maxmemory-policy noeviction >/packages/redis.log 2>&1 &
redis_answers() { redis-cli ping >/dev/null 2>&1; }
poll_until 20 redis_answers
as_seckill seckill --set demo_login=on --set captcha=off --set site_rate=50000 serve --roles purchase,relay,orders,ops >/packages/serve.log 2>&1 &
serve=$!
sed -e 's/10\.0\.0\.11/127.0.0.1/' -e '/10\.0\.0\.12/d' /usr/share/seckill/conf/nginx.conf >/etc/nginx/nginx.conf
fact "nginx -t with the shipped configuration" fine "$(configuration)"
nginx
cat >/tmp/sale.toml <<'SALE'
[[round]]
id = "deb"
name = "Packages"
starts = "+10s"
ends = "+10m"
[[round.product]]
id = "1"
title = "A thing"
amount = 50
price_cents = 100
list_price_cents = 200
per_buyer = 1
SALE
is_up() { get 80 /api/rounds 2>/dev/null | grep -q ' 200 '; }
poll_until 60 is_up || tail -n 5 /packages/serve.log
# A busy machine may let Redis answer too late for the first try.
approved() { as_seckill seckill sale import /tmp/sale.toml --approve >"$log" 2>&1; }
poll_until 60 approved || tail -n 5 "$log"
# The edge reads the catalogue within a second.
is_known() { get 80 /api/rounds/deb/products/1/state 2>/dev/null | grep -q ' 200 '; }
poll_until 30 is_known || tail -n 5 /packages/serve.log
seckill load race --base http://127.0.0.1:80 --round deb --product 1 --buyers 300 --limit 120 >/tmp/race.json 2>"$log" || tail -n 5 "$log"
ordered() { [ "$(as_seckill seckill status --json 2>/dev/null | perl -0ne '/"orders": (\d+)/ and print $1')" = 50 ]; }
poll_until 60 ordered
fact "300 buyers for 50 items: orders" 50 "$(as_seckill seckill status --json 2>/dev/null | perl -0ne '/"orders": (\d+)/ and print $1')"
said=$(as_seckill seckill verify 2>&1 | grep -oE '^(PASS|FAIL)' | head -n 1)
fact "seckill verify" PASS "$said"
fact "who writes" seckill "$(stat -c %U /var/lib/seckill/seckill.db)"
nginx -s quit
# Its parent, runuser, passes on how it ended.
kill -TERM "$(running seckill)"
wait "$serve"
fact "the roles stop cleanly at SIGTERM" 0 $?
redis-cli shutdown nosave >/dev/null 2>&1

# --- Remove and purge ------------------------------------------------------

must apt remove seckill
fact "removed: the operator's setting" yes "$(grep -q '^pay_within = 1234' /etc/seckill/seckill.toml && echo yes)"
fact "removed: the key ring" "$keys" "$(cksum </etc/seckill/keys)"
fact "removed: orders" yes "$([ -s /var/lib/seckill/seckill.db ] && echo yes)"
must apt purge seckill
fact "purged: what is left in /etc" "" "$(find /etc -name '*seckill*' ! -path '*/modules-enabled/*' ! -name 'passwd*' -print)"
fact "purged: orders stay" yes "$([ -s /var/lib/seckill/seckill.db ] && echo yes)"
exit "$failed"
