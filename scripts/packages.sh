#!/usr/bin/env bash
# Builds the Debian packages into target/packages:
#   seckill_VERSION_ARCH.deb                       the back end, conf/, lua/, html/
#   libnginx-mod-http-seckill_VERSION+debN_ARCH.deb   the module, one for each release
#
#   scripts/packages.sh [RELEASE...]               (default: bookworm trixie)
#
# A module fits one nginx: its version and its configure flags. Those of each
# release come from its own package nginx-dev, fetched from the mirror that apt uses
# here; nothing of it is installed. A second run builds only what changed.
# SECKILL_VERSION overrides the version. SECKILL_PROFILE=dev (or trial) builds sooner
# and slower programs, for a look at the packages, never to be shipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/module.sh
. scripts/lib/module.sh
place=$PWD/target/packages
# shellcheck source=scripts/lib/deb.sh
. scripts/lib/deb.sh

releases=("$@")
[ ${#releases[@]} -gt 0 ] || releases=(bookworm trixie)
for tool in dpkg-deb dpkg-shlibdeps apt-get; do
    command -v "$tool" >/dev/null || fail "$tool is missing; packages are built on Debian, with: apt-get install dpkg-dev"
done

architecture=$(dpkg --print-architecture)
version=${SECKILL_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1}
[[ $version =~ ^[0-9][A-Za-z0-9.+~-]*$ ]] || fail "\"$version\" is no version of a Debian package; it begins with a digit, such as 0.1.0-1"
profile=${SECKILL_PROFILE:-} built=${CARGO_TARGET_DIR:-$PWD/target}
programs=$built/release module_profile=${profile:-module}
[ -z "$profile" ] || programs=$built/${profile/#dev/debug}
module_built=$built/${module_profile/#dev/debug}
# The same sources give the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(source_time)}
export SOURCE_DATE_EPOCH
mkdir -p "$place"

# --- The module ------------------------------------------------------------

# What the module is made of: when it is unchanged, so is the module.
module_sources() {
    find core/src tls nginx-module lua/permits Cargo.toml Cargo.lock core/Cargo.toml scripts/lib/module.sh -type f -print0 |
        sort -z | xargs -0 cksum
    rustc --version
    echo "$module_profile"
}

# Fetches nginx-dev of a release and what nginx it is for: fetch_nginx RELEASE
fetch_nginx() {
    local to=$place/$1
    [ ! -s "$to/abi" ] || return 0
    step "Fetching the nginx of Debian $1"
    mkdir -p "$to"
    private_apt "$to/apt" "$1"
    (
        cd "$to"
        apt_of "$to/apt" update && apt_of "$to/apt" download nginx-dev
    ) >"$to/fetch.log" 2>&1 || fail "nginx-dev of $1 could not be fetched: see $to/fetch.log"
    rm -rf "$to/nginx-dev"
    dpkg-deb -x "$to"/nginx-dev_*.deb "$to/nginx-dev"
    # nginx-dev takes its configure script from where it is installed.
    apt_cache_of "$to/apt" show nginx | sed -n 's/^Version: /Version /p; s/^Provides:.*\(nginx-abi-[^, ]*\).*/\1/p' >"$to/about"
    sed -n 's/^Version //p' "$to/about" | head -n 1 >"$to/version"
    grep -m 1 '^nginx-abi-' "$to/about" >"$to/abi" || fail "the nginx of $1 names no nginx-abi; see $to/about"
}

# Builds the module for the nginx of a release: build_module RELEASE
build_module() {
    local to=$place/$1 stamp
    local source=$to/nginx-dev$debian_nginx
    fetch_nginx "$1"
    configure_nginx "$source" "$to/objs" "nginx $(cat "$to/version")"
    stamp=$(module_sources; cat "$to/abi")
    if [ "$(cat "$to/module.of" 2>/dev/null)" != "$stamp" ]; then
        step "Building the module for nginx $(cat "$to/version") of Debian $1"
        NGINX_SOURCE_DIR=$source NGINX_BUILD_DIR=$to/objs \
            cargo build --profile "$module_profile" --locked --quiet -p seckill-nginx-module ||
            fail "the module did not build; the compiler's message above says where"
        strip --strip-unneeded -o "$to/ngx_http_seckill_module.so" \
            "$module_built/libngx_http_seckill_module.so"
        printf '%s\n' "$stamp" >"$to/module.of"
    fi
}

# package_module RELEASE
package_module() {
    local to=$place/$1 root=$place/$1/root name number
    number=$(release_number "$1")
    name=libnginx-mod-http-seckill
    rm -rf "$root"
    install -D -m 644 "$to/ngx_http_seckill_module.so" "$root/usr/lib/nginx/modules/ngx_http_seckill_module.so"
    install -D -m 644 packaging/debian/module/mod-http-seckill.conf "$root/usr/share/nginx/modules-available/mod-http-seckill.conf"
    documents "$root" "$name"
    scripts_of "$root" packaging/debian/module
    control_of "$root" packaging/debian/module "$version+deb$number" \
        "$(shared_libraries "$root/usr/lib/nginx/modules/ngx_http_seckill_module.so")" "$(cat "$to/abi")" "Debian $number ($1)"
    deb "$root" "${name}_$version+deb${number}_$architecture.deb"
}

# --- The back end ----------------------------------------------------------

package_back_end() {
    local root=$place/seckill share
    share=$root/usr/share/seckill
    rm -rf "$root"
    mkdir -p "$root/usr/bin" "$share"
    strip --strip-unneeded -o "$root/usr/bin/seckill" "$programs/seckill"
    chmod 755 "$root/usr/bin/seckill"
    source_files conf lua html examples | xargs -0 cp --parents -t "$share"
    # As in the packages of nginx's own modules, and by full paths.
    sed -i -e 's|^load_module .*|include /etc/nginx/modules-enabled/*.conf;|' \
        -e 's|include seckill/|include /usr/share/seckill/conf/seckill/|' "$share/conf/nginx.conf" "$share"/conf/sites/*.conf
    ! grep -rn 'include seckill/' "$share/conf/nginx.conf" "$share/conf/sites" || fail "an include above is not where the package puts it"
    grep -q modules-enabled "$share/conf/nginx.conf" || fail "conf/nginx.conf has no load_module any more"
    find "$share" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    local from=packaging/debian/seckill
    install -D -m 644 "$from/seckill.toml" "$root/etc/seckill/seckill.toml"
    install -D -m 755 scripts/origins.pl "$root/usr/sbin/seckill-origins"
    install -D -m 644 "$from/seckill.logrotate" "$root/etc/logrotate.d/seckill"
    install -D -m 644 "$from/seckill.sysusers" "$root/usr/lib/sysusers.d/seckill.conf"
    install -D -m 644 -t "$root/usr/lib/systemd/system" "$from/seckill@.service" "$from/seckill.target"
    documents "$root" seckill
    source_files docs README.md ARCHITECTURE.md | xargs -0 cp --parents -t "$root/usr/share/doc/seckill"
    find "$root/usr/share/doc" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    scripts_of "$root" "$from"
    control_of "$root" "$from" "$version" "$(shared_libraries "$root/usr/bin/seckill")" "" ""
    deb "$root" "seckill_${version}_$architecture.deb"
}

for release in "${releases[@]}"; do
    build_module "$release"
    package_module "$release"
done
step "Building the back end"
if [ -z "$profile" ]; then
    build_release
else
    cargo build --profile "$profile" --locked --quiet -p seckill || fail "the back end did not build; the compiler's message above says where"
fi
package_back_end
step "Packages in target/packages:"
(cd "$place" && ls -l -- *_"$version"*.deb | awk '{ printf "   %8.1f MB  %s\n", $5 / 1e6, $9 }')
