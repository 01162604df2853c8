#!/usr/bin/env bash
# Shows that the packages install, upgrade, remove and purge as Debian's own do, and
# that what they install sells: in a bare Debian of each release.
#   scripts/test-packages.sh [RELEASE...]          (default: bookworm trixie)
#
# Needs root, debootstrap and a network for packages; builds the packages first. The
# bare releases are kept in target/bare. Prints a PASS or FAIL line for each fact
# (scripts/lib/packages/session.sh, which runs in there).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/bare.sh
. scripts/lib/bare.sh
place=$PWD/target/packages
# shellcheck source=scripts/lib/deb.sh
. scripts/lib/deb.sh

releases=("$@")
[ ${#releases[@]} -gt 0 ] || releases=(bookworm trixie)
bare_needed
# An archive of the sources, which is no clone, unpacked within one: before anything is
# built.
if is_clone; then
    archive=$PWD/target/archive
    rm -rf "$archive"
    git checkout-index --all --prefix="$archive/"
    listed() { (cd "$1" && source_files conf lua html examples docs README.md ARCHITECTURE.md | tr '\0' '\n' | sort); }
    said=$(diff <(listed .) <(listed "$archive")) || fail "an archive of the sources would be packaged with other files than this clone: $said"
    rm -rf "$archive"
fi
scripts/packages.sh

bare=$PWD/target/bare
version=${SECKILL_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1}

# An older package with other contents, for the upgrade: older DEB NEW_NAME
older() {
    local work
    work=$(mktemp -d)
    dpkg-deb -R "$1" "$work/root"
    sed -i 's/^Version: .*/Version: 0.0.9-1/' "$work/root/DEBIAN/control"
    # A default that the new package changed.
    [ ! -e "$work/root/etc/seckill/seckill.toml" ] || printf '\n# An older remark.\n' >>"$work/root/etc/seckill/seckill.toml"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$work/root" "$2" >/dev/null
    rm -rf "$work"
}

failed=0
for release in "${releases[@]}"; do
    bare_archive "$bare" "$release" ca-certificates
    root=$bare/$release-packages
    step "Debian $release"
    bare_unpack "$bare" "$release" "$root"
    number=$(release_number "$release")
    mkdir -p "$root/packages/old" "$root/packages/wrong"
    cp "$place/seckill_${version}_$architecture.deb" "$place/libnginx-mod-http-seckill_$version+deb${number}_$architecture.deb" "$root/packages/"
    older "$place/seckill_${version}_$architecture.deb" "$root/packages/old/seckill.deb"
    older "$place/libnginx-mod-http-seckill_$version+deb${number}_$architecture.deb" "$root/packages/old/module.deb"
    for other in "$place"/libnginx-mod-http-seckill_"$version"+deb*_"$architecture".deb; do
        [[ $other == *"+deb${number}_"* ]] || cp "$other" "$root/packages/wrong/module.deb"
    done
    cp scripts/lib/packages/session.sh "$root/packages/"
    bare_session "$root" bash /packages/session.sh "$version" </dev/null || failed=1
    rm -rf "$root"
done
[ "$failed" -eq 0 ] || fail "a package does not behave; the lines with FAIL say which fact"
step "The packages behave"
