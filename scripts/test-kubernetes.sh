#!/usr/bin/env bash
# Checks the manifests in kubernetes/ offline: kustomize builds them, and each object is
# valid, without a field that Kubernetes does not know, in the versions named here.
#   scripts/test-kubernetes.sh [VERSION...]        (default: 1.28 1.32 1.35)
#
# Needs kubectl and Python; fetches kubernetes-validate from PyPI into target/kubernetes.
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

kubectl kustomize kubernetes >"$work/all.yaml" || fail "kustomize does not build kubernetes/; see above"
objects=$(grep -c '^kind:' "$work/all.yaml")
for version in "${versions[@]}"; do
    "$validate" --strict -k "$version" "$work/all.yaml" >"$work/said" 2>&1 || true
    fact "objects that are valid in Kubernetes $version" "$objects" "$(grep -c ' passed for ' "$work/said" || true)"
done
# A check that accepts everything would say the same.
sed 's/readOnlyRootFilesystem/readOnlyRootFilesytem/' "$work/all.yaml" >"$work/mistake.yaml"
"$validate" --strict -k "${versions[0]}" "$work/mistake.yaml" >"$work/said" 2>&1 && said=accepted || said=refused
fact "a misspelt field" refused "$said"

# What the pods promise: no root, no privilege, nothing written but in volumes.
perl -0777 -ne '
    for (split /^---$/m) {
        next unless /^kind: (Deployment|StatefulSet)/m;
        my ($name) = /^  name: (\S+)/m;
        for my $need ("runAsNonRoot: true", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "enableServiceLinks: false", "readinessProbe:", "automountServiceAccountToken: false") {
            print "$name lacks $need\n" if index($_, $need) < 0;
        }
        print "$name has a password in its environment\n" if /value: \S*(?:PASSWORD|:\/\/[^\s:]+:[^\s@]+@)/;
    }' "$work/all.yaml" >"$work/lacks"
fact "pods that lack a protection" "" "$(cat "$work/lacks")"
exit "$failed"
