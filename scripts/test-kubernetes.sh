#!/usr/bin/env bash
# Checks the manifests and the chart in kubernetes/ offline: kustomize and helm build them,
# and each object is valid, without a field that Kubernetes does not know, in the versions
# named here.
#   scripts/test-kubernetes.sh [VERSION...]        (default: 1.28 1.32 1.35)
#
# Needs kubectl, Python, and helm or Go, with which helm is built; fetches
# kubernetes-validate from PyPI into target/kubernetes.
# Whether pods start is for a cluster to say: this does not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=t/drills/lib/facts.sh
. t/drills/lib/facts.sh

versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(1.28 1.32 1.35)
command -v kubectl >/dev/null || fail "kubectl is missing; see https://kubernetes.io/docs/tasks/tools/"
work=$PWD/target/kubernetes
validate=$work/python/bin/kubernetes-validate
mkdir -p "$work"
if [ ! -x "$validate" ]; then
    step "Fetching kubernetes-validate"
    python3 -m venv "$work/python" && "$work/python/bin/pip" install --quiet kubernetes-validate ||
        fail "kubernetes-validate could not be fetched from PyPI; see above"
fi

helm=$(command -v helm || echo "$work/helm")
if [ ! -x "$helm" ]; then
    command -v go >/dev/null || fail "helm is missing, and Go to build it with; see https://helm.sh/docs/intro/install/"
    step "Building helm (some minutes, once)"
    GOBIN=$work go install helm.sh/helm/v3/cmd/helm@v3.18.4 >"$work/helm.log" 2>&1 || fail "helm could not be built: see $work/helm.log"
fi

# all_valid FILE: each of its objects is valid in each version.
all_valid() {
    local version objects
    objects=$(grep -c '^kind:' "$1")
    for version in "${versions[@]}"; do
        "$validate" --strict -k "$version" "$1" >"$work/said" 2>&1 || true
        fact "objects of $(basename "$1" .yaml) that are valid in Kubernetes $version" "$objects" "$(grep -c ' passed for ' "$work/said" || true)"
    done
}
# protected FILE: what the pods promise: no root, no privilege, nothing written but in
# volumes.
protected() {
    perl -0777 -ne '
        for (split /^---$/m) {
            next unless /^kind: (Deployment|StatefulSet)/m;
            my ($name) = /^  name: (\S+)/m;
            for my $need ("runAsNonRoot: true", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "enableServiceLinks: false", "readinessProbe:", "livenessProbe:", "automountServiceAccountToken: false", "podAntiAffinity:") {
                next if $name eq "redis" && $need =~ /liveness|podAnti/;
                print "$name lacks $need\n" if index($_, $need) < 0;
            }
            print "$name has a password in its environment\n" if /value: \S*(?:PASSWORD|:\/\/[^\s:]+:[^\s@]+@)/;
        }' "$1" >"$work/lacks"
    fact "pods of $(basename "$1" .yaml) that lack a protection" "" "$(cat "$work/lacks")"
}

kubectl kustomize kubernetes >"$work/all.yaml" || fail "kustomize does not build kubernetes/; see above"
all_valid "$work/all.yaml"
# A check that accepts everything would say the same.
sed 's/readOnlyRootFilesystem/readOnlyRootFilesytem/' "$work/all.yaml" >"$work/mistake.yaml"
"$validate" --strict -k "${versions[0]}" "$work/mistake.yaml" >"$work/said" 2>&1 && said=accepted || said=refused
fact "a misspelt field" refused "$said"

protected "$work/all.yaml"

# journal FILE: what the purchase role is, where its journal is, and what its scaler scales.
# What was accepted while Redis was away must not end with a pod.
journal() {
    "$work/python/bin/python" - "$1" <<'PYTHON'
import sys, yaml
objects = [it for it in yaml.safe_load_all(open(sys.argv[1])) if it]
for it in objects:
    spec = it.get("spec", {})
    pod = spec.get("template", {}).get("spec", {})
    if any("purchase" in box.get("args", []) for box in pod.get("containers", [])):
        name, own = it["metadata"]["name"], [of["metadata"]["name"] for of in spec.get("volumeClaimTemplates", [])]
        mounts = {at["mountPath"]: at["name"] for at in pod["containers"][0]["volumeMounts"]}
        journal = "a claim of its own" if mounts["/var/lib/seckill"] in own else "gone with the pod"
        scaled = [of["spec"]["scaleTargetRef"]["kind"] for of in objects if of["kind"] == "HorizontalPodAutoscaler" and of["spec"]["scaleTargetRef"]["name"] == name]
        names = [of for of in objects if of["kind"] == "Service" and of["metadata"]["name"] == spec.get("serviceName") and of["spec"]["clusterIP"] == "None"]
        print(f"{it['kind']}, {journal}, scaled as {'/'.join(scaled)}, {len(names)} service of names")
PYTHON
}
fact "the purchase role's journal" "StatefulSet, a claim of its own, scaled as StatefulSet, 1 service of names" "$(journal "$work/all.yaml")"

# secrets FILE: the volumes with secrets that a process of another user could read: the
# program refuses such key rings and payment settings.
secrets() {
    "$work/python/bin/python" - "$1" <<'PYTHON'
import sys, yaml
for it in filter(None, yaml.safe_load_all(open(sys.argv[1]))):
    for volume in it.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
        if volume.get("secret", {"defaultMode": 0o440}).get("defaultMode", 0o644) & 0o007:
            print(it["metadata"]["name"], volume["name"])
PYTHON
}
fact "secrets that are open to others" "" "$(secrets "$work/all.yaml")"

# --- The chart ---------------------------------------------------------------

chart=kubernetes/helm/seckill
"$helm" lint --strict "$chart" --set secrets.existing=shop >"$work/said" 2>&1 && said=none || said=$(grep -m 1 -i error "$work/said")
fact "what helm lint has to say" none "$said"
# A helm that Go built believes in a Kubernetes of long ago.
render() { "$helm" template shop "$chart" --kube-version "${versions[0]}.0" "$@" 2>"$work/said"; }
render --set secrets.existing=shop >"$work/chart.yaml" || fail "helm does not build the chart: $(cat "$work/said")"
render --set secrets.keys=k1,secrets.redisUrl=redis://:p@r,secrets.databaseUrl=mysql://s:p@m/shop,secrets.redisPassword=p \
    --set 'edge.redis={s1:26379,s2:26379}' --set edge.sentinel=shop,spread=hard,edge.autoscaling.enabled=true,pages.storageClass=fast,purchase.journal.storageClass=ssd \
    --set settings.orders_per_second=800 --set-string settings.site_url=https://shop.example >"$work/chart-full.yaml" ||
    fail "helm does not build the chart with all values: $(cat "$work/said")"
for built in chart chart-full; do
    all_valid "$work/$built.yaml"
    protected "$work/$built.yaml"
    fact "secrets of $built that are open to others" "" "$(secrets "$work/$built.yaml")"
done
count() { grep -c "^kind: $1$" "$work/$2.yaml" || true; }
fact "budgets, one for each kind of pod" 5 "$(count PodDisruptionBudget chart)"
fact "scalers as shipped, and with the edges'" "1 2" "$(count HorizontalPodAutoscaler chart) $(count HorizontalPodAutoscaler chart-full)"
fact "replicas that a scaler would fight with" 4 "$(grep -c '^  replicas:' "$work/chart.yaml")"
fact "secrets made, if one is named and if not" "0 1" "$(count Secret chart) $(count Secret chart-full)"
fact "the purchase role's journal in the chart" "StatefulSet, a claim of its own, scaled as StatefulSet, 1 service of names" "$(journal "$work/chart.yaml")"
fact "the storage class of journals" 1 "$(grep -c 'storageClassName: ssd' "$work/chart-full.yaml")"
fact "settings as TOML" 'orders_per_second = 800;site_url = "https://shop.example"' "$(sed -n 's/^    \(orders_per_second.*\|site_url.*\)/\1/p' "$work/chart-full.yaml" | paste -sd ';')"
fact "pods apart, whatever it costs" 5 "$(grep -c 'requiredDuringScheduling' "$work/chart-full.yaml")"
# refused WHAT WORDS VALUE...: the chart is not built with these values, and says why.
refused() {
    local what=$1 words=$2
    shift 2
    render "$@" >/dev/null && fact "$what" "$words" built || fact "$what" "$words" "$(grep -o "$words" "$work/said" | head -n 1)"
}
refused "no secret" "secrets.keys is empty"
refused "no address of Redis" "secrets.redisUrl is empty" --set secrets.keys=k1
refused "a misspelt value" "replica" --set secrets.existing=shop,purchase.replica=3
long='a-name-that-is-longer-than-any-pod-can-bear-it'
"$helm" template "$long" "$chart" --kube-version "${versions[0]}.0" --set secrets.existing=shop >/dev/null 2>"$work/said" &&
    said=built || said=$(grep -m 1 -o 'choose a shorter one' "$work/said" || cat "$work/said")
fact "a release whose pods could not be named" "choose a shorter one" "$said"
refused "a secret among the settings" "redis_url" --set secrets.existing=shop,settings.redis_url=redis://r
refused "a scaler upside down" "min may not be above max" --set secrets.existing=shop,purchase.autoscaling.min=9,purchase.autoscaling.max=2
refused "an address that would end a directive" "edge" --set secrets.existing=shop --set 'edge.proxies={10.0.0.0/8;deny}'
refused "a password of Redis that is nowhere" "secrets.redisPassword is empty" --set secrets.keys=k1,secrets.redisUrl=redis://r,secrets.databaseUrl=mysql://s:p@m/shop,edge.redisPassword=true
# password VALUE...: whether an edge with these values reads a password of Redis.
password() { render "$@" | grep -q SECKILL_EDGE_REDIS_PASSWORD_FILE && echo yes || echo no; }
here=(--set "secrets.keys=k1,secrets.redisUrl=redis://r,secrets.databaseUrl=mysql://s:p@m/shop")
fact "password, none given" no "$(password "${here[@]}")"
fact "password, given here" yes "$(password "${here[@]}" --set secrets.redisPassword=p)"
fact "password, Sentinels and none given" no "$(password "${here[@]}" --set edge.sentinel=shop)"
fact "password, own secret" no "$(password --set secrets.existing=shop)"
fact "password, own secret that has one" yes "$(password --set secrets.existing=shop,edge.redisPassword=true)"
fact "password, own secret and Sentinels" yes "$(password --set secrets.existing=shop,edge.sentinel=shop)"
fact "password, own secret that has none, and Sentinels" no "$(password --set secrets.existing=shop,edge.sentinel=shop,edge.redisPassword=false)"

# What the secret has for the back ends, such as a payment provider's keys, is none of an
# edge's business.
entries() { sed -n 's/^ *- { key: \([a-z-]*\), path: \1 }$/\1/p' "$work/$1.yaml" | paste -sd ' '; }
fact "entries of the secret that an edge has, without and with a password" "keys, keys redis-password" "$(entries chart), $(entries chart-full)"

# --- The order of an upgrade ---------------------------------------------------

# The script of the edge's init container, with two purchase roles behind one name, in a
# network of its own. Each serves the version that stands in its file.
if [ "$(id -u)" -ne 0 ]; then
    step "Not root: that a new edge waits for the back ends was not tried"
    exit "$failed"
fi
order=$work/order
rm -rf "$order"
mkdir -p "$order/bin"
printf '#!/bin/sh\necho seckill 0.2.0\n' >"$order/bin/seckill"
chmod +x "$order/bin/seckill"
: >"$order/hosts"
cat >"$order/role.pl" <<'PERL'
use strict; use warnings; use IO::Socket::IP;
my ($address, $file) = @ARGV;
my $server = IO::Socket::IP->new(LocalHost => $address, LocalPort => 7001, Listen => 9, ReuseAddr => 1) or die "$address: $@";
while (my $client = $server->accept) {
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?\n/ }
    open my $in, '<', $file or die; chomp(my $version = <$in>);
    print $client "HTTP/1.0 200 OK\r\n\r\nseckill_build_info{version=\"$version\"} 1\n";
    close $client;
}
PERL
unshare --net --mount bash -s "$order" kubernetes/helm/seckill/back-ends-first.sh <<'NAMESPACE' >"$order/said" 2>&1 || true
set -euo pipefail
order=$1
mount --bind "$order/hosts" /etc/hosts
ip link set lo up
# A node that is dead: what is sent to its pod is lost.
ip link add dead type veth peer name node
ip address add 10.10.0.1/24 dev dead
ip link set dead up && ip link set node up
ip neighbour add 10.10.0.9 lladdr 02:00:00:00:00:09 dev dead nud permanent
echo '10.10.0.9 shop-purchase-each' >>"$order/hosts"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null' EXIT
: >"$order/waits"
PATH=$order/bin:$PATH bash -c "$(cat "$2")" shop-purchase-each >"$order/waits" 2>&1 & edge=$!
until_said() { for _ in $(seq 300); do grep -q "$1" "$order/waits" && return 0; sleep 0.1; done; return 1; }
until_said 'nobody responds behind shop-purchase-each; waiting' && kill -0 "$edge" && echo "waits for anybody"
# By IPv4, and by IPv6 where there is any.
addresses=(10.9.0.1 10.9.0.2)
[ ! -e /proc/net/if_inet6 ] || addresses[1]=fd00::2
for role in 0 1; do
    address=${addresses[role]}
    ip address add "$address" dev lo
    echo 0.1.0 >"$order/$role"
    perl "$order/role.pl" "$address" "$order/$role" & pids+=($!)
done
printf '%s shop-purchase-each\n' "${addresses[@]}" >>"$order/hosts"
until_said "not of version 0.2.0: ${addresses[*]}; waiting" && echo "waits for both"
echo 0.2.0 >"$order/0"
until_said "not of version 0.2.0: ${addresses[1]}; waiting" && kill -0 "$edge" && echo "waits for the other"
echo 0.2.0 >"$order/1"
wait "$edge" && echo "starts beside a dead node"
NAMESPACE
fact "a new edge" "waits for anybody, waits for both, waits for the other, starts beside a dead node" "$(paste -sd ',' "$order/said" | sed 's/,/, /g')"
exit "$failed"
