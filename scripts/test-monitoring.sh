#!/usr/bin/env bash
# Checks what watches a system against one that runs: the alert rules by promtool and
# by their tests, each metric that a rule or the Grafana board names by a real scrape,
# each query of the board by Prometheus itself, each alert by its section in
# docs/alerts.md; and that a Redis that is stopped fires the alert that its section
# promises, and no other.
#
#   scripts/test-monitoring.sh     SECKILL names another program than scripts/build.sh's
#
# Needs prometheus (apt-get install prometheus). Prints a PASS or FAIL line for each
# fact, and leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/shop.sh
. scripts/lib/shop.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

for tool in prometheus promtool curl; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with: apt-get install prometheus curl"
done
[ -n "${SECKILL:-}" ] || scripts/build.sh --quiet

work=$PWD/target/monitoring
rm -rf "$work"
mkdir -p "$work"
prometheus_pid=
tidy() {
    [ -z "$prometheus_pid" ] || { kill -TERM "$prometheus_pid"; wait "$prometheus_pid" || true; }
    [ -z "${redis_pid:-}" ] || kill -CONT "$redis_pid" 2>/dev/null || true
    shop_stop || true
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- By themselves ---------------------------------------------------------

rules=conf/prometheus/seckill.rules.yml
said=$(promtool check rules "$rules" 2>&1) && said=fine || said=${said##*$'\n'}
fact "promtool check rules" fine "$said"
said=$(promtool check config conf/prometheus/prometheus.yml 2>&1) && said=fine || said=${said##*$'\n'}
fact "promtool check config" fine "$said"
# Debian's Prometheus knows no Kubernetes: its pods are written down here.
pod() { printf '          - targets: ["%s"]\n            labels: { __meta_kubernetes_pod_annotation_prometheus_io_scrape: "true", __meta_kubernetes_pod_annotation_prometheus_io_port: "%s", __meta_kubernetes_pod_phase: %s, __meta_kubernetes_pod_label_%s }\n' "$@"; }
{
    sed "/kubernetes_sd_configs:/,\$d; s|seckill.rules.yml|$PWD/$rules|" conf/prometheus/kubernetes.yml
    echo '    static_configs:'
    pod 10.0.0.1:8080 9145 Running 'app: seckill-edge'
    pod 10.0.0.2:7002 7002 Running 'app_kubernetes_io_component: ops'
    pod '[fd00::3]:7001' 7001 Running 'app_kubernetes_io_component: purchase'
    pod 10.0.0.4:8080 9145 Pending 'app: seckill-edge'
    sed -n '/relabel_configs:/,$p' conf/prometheus/kubernetes.yml
} >"$work/kubernetes.yml"
said=$(promtool check service-discovery "$work/kubernetes.yml" seckill |
    perl -MJSON::PP -0ne 'print join ", ", sort map { my $of = $_->{labels}; %$of ? "$of->{job} $of->{__address__}" : () } @{decode_json($_)}')
fact "pods as they are scraped" "seckill-edge 10.0.0.1:9145, seckill-ops 10.0.0.2:7002, seckill-purchase [fd00::3]:7001" "$said"
said=$(promtool test rules conf/prometheus/seckill.rules.test.yml 2>&1) && said=fine || said=$(tail -n 3 <<<"$said")
fact "promtool test rules" fine "$said"
mapfile -t alerts < <(sed -n 's/^ *- alert: //p' "$rules")
without=()
for alert in "${alerts[@]}"; do
    grep -qx "### $alert" docs/alerts.md && grep -qx " *runbook: docs/alerts.md#${alert,,}" "$rules" || without+=("$alert")
    grep -q "alertname=\"$alert\"" conf/prometheus/seckill.rules.test.yml || without+=("$alert (test)")
done
fact "alerts without a section in docs/alerts.md or a test" "" "${without[*]-}"

# --- Beside a running system -----------------------------------------------

purchase=$(free_ports 1) ops=$(free_ports 1)
export SECKILL_PURCHASE_LISTEN=127.0.0.1:$purchase SECKILL_OPS_LISTEN=127.0.0.1:$ops
shop_place "$work/data"
shop_start --demo
port=$(free_ports 1)
sed -e "s|seckill.rules.yml|$PWD/$rules|" -e "s|10\.0\.0\.1:80\", \"10\.0\.0\.2:80|127.0.0.1:$SECKILL_PORT|" \
    -e "s|10\.0\.0\.11:7001\", \"10\.0\.0\.12:7001|127.0.0.1:$purchase|" -e "s|10\.0\.0\.11:7002|127.0.0.1:$ops\", \"localhost:$ops|" \
    -e '/job_name: seckill-workers/,$d' -e 's/_interval: 5s/_interval: 1s/' conf/prometheus/prometheus.yml >"$work/prometheus.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port" \
    --log.level=warn >"$work/prometheus.log" 2>&1 &
prometheus_pid=$!
query() { curl -fsSG "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1"; }
value() { query "$1" | perl -MJSON::PP -0ne 'print join " ", map { $_->{value}[1] } @{decode_json($_)->{data}{result}}'; }
# Each once, though both ops roles tell of it.
firing() { query 'ALERTS{alertstate="firing"}' | perl -MJSON::PP -0ne 'my %of; print join " ", sort grep { !$of{$_}++ } map { $_->{metric}{alertname} . ($_->{metric}{part} ? "($_->{metric}{part})" : "") } @{decode_json($_)->{data}{result}}'; }
# As where two ops roles run: one of two names.
all_up() { [ "$(value 'count(up == 1)' 2>/dev/null)" = 4 ]; }
poll_until 30 all_up || true
fact "targets that are up" 4 "$(value 'count(up == 1)')"

# Some buyers, so that every figure has moved.
load=$(dirname "$seckill")/seckill-load
[ -x "$load" ] || load="$seckill load"
until_open() { curl -fsS "$shop_url/api/rounds/1/products/154/state" | grep -q '"open"'; }
poll_until 90 until_open || true
$load race --base "$shop_url" --round 1 --product 154 --buyers 200 >"$work/race.json" 2>"$work/race.err" || true
# Here all roles are one process, which both addresses tell of.
ops=127.0.0.1:$ops
ordered() { [ "$(value 'max(seckill_orders_placed_total)') $(value "seckill_ordered_items{product='154',instance='$ops'}")" = "200 200" ]; }
poll_until 60 ordered || true
fact "orders placed, by the role itself" 200 "$(value 'max(seckill_orders_placed_total)')"
fact "items ordered, by the database" 200 "$(value "seckill_ordered_items{product='154',instance='$ops'}")"
fact "stock and amount of product 154" "20000 20000" "$(value "sum(seckill_stock_items{product='154',instance='$ops'})") $(value "seckill_stock_amount{product='154',instance='$ops'}")"

# queries: those of the board and of the rules, one a line.
perl -MJSON::PP -0ne 'print "$_\n" for map { map { $_->{expr} } @{$_->{targets}} } @{decode_json($_)->{panels}}' conf/grafana/seckill.json |
    sed 's/\$round/.*/g' >"$work/queries"
# What is the whole site's is counted once, though each ops role tells of it.
for metric in seckill_stock_items seckill_stock_amount seckill_permits_granted; do
    while IFS= read -r board; do
        once=${board//"{"/"{instance='$ops',"}
        fact "the board's figure beside that of one ops role ($metric)" "$(value "sum($once)")" "$(value "sum($board)")"
    done < <(grep "$metric" "$work/queries")
done
curl -fsS "http://127.0.0.1:$port/api/v1/rules" | perl -MJSON::PP -0ne 'print "$_->{query}\n" =~ s/\n(?=.)/ /gr for map { @{$_->{rules}} } @{decode_json($_)->{data}{groups}}' >>"$work/queries"
curl -fsS "http://127.0.0.1:$port/api/v1/label/__name__/values" | perl -MJSON::PP -0ne 'print "$_\n" for @{decode_json($_)->{data}}' >"$work/names"
# There only while something is wrong.
printf 'ALERTS\n' >>"$work/names"
unknown=() wrong=()
while IFS= read -r name; do grep -qx "$name" "$work/names" || unknown+=("$name"); done < <(grep -oE '\b(seckill|process)_[a-z_]+|\bALERTS\b|\bup\b' "$work/queries" | sort -u)
fact "metrics that a rule or the board names and nothing has" "" "${unknown[*]-}"
curl -fsS "http://127.0.0.1:$port/api/v1/label/route/values" | perl -MJSON::PP -0ne 'print "$_\n" for @{decode_json($_)->{data}}' >"$work/routes"
fact "routes that a rule or the board names and nothing has" "" \
    "$(sed -n 's/.*route="\([^"]*\)".*/\1/p' "$work/queries" | sort -u | grep -vxF -f "$work/routes" | paste -sd ' ')"
while IFS= read -r line; do query "$line" >"$work/answer" 2>/dev/null || wrong+=("$line"); done <"$work/queries"
fact "queries that Prometheus refuses ($(wc -l <"$work/queries") in all)" "" "${wrong[*]-}"
fact "alerts of a sound system" "" "$(firing)"

# --- Redis stops -----------------------------------------------------------

redis_pid=$(pgrep -P "$shop_pid" redis-server | head -n 1)
kill -STOP "$redis_pid"
fires() { [ -n "$(firing)" ]; }
poll_until 60 fires || true
fact "alerts while Redis is stopped" "SeckillPartAway(redis)" "$(firing)"
kill -CONT "$redis_pid"
calm() { [ -z "$(firing)" ]; }
poll_until 60 calm || true
fact "alerts when it is back" "" "$(firing)"
exit "$failed"
