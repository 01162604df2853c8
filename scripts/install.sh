#!/usr/bin/env bash
# Installs what is missing: scripts/install.sh run | test
#
# `run` is what building and running needs, `test` adds what the tests need.
# A tool that is there already, from wherever, is left as it is, and when
# nothing is missing nothing is done. Debian's nginx, redis-server and
# mariadb-server start themselves when installed and at every boot; ours are
# private children of `seckill up` and of the tests, so that this is prevented,
# for packages that this run brings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

group=${1:-run}
case $group in run | test) ;; *) fail "unknown group \"$group\"; use: scripts/install.sh run|test" ;; esac

# --- What is missing -------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }
has_file() { compgen -G "$1" >/dev/null; }
has_libclang() { [ -n "${LIBCLANG_PATH:-}" ] || has_file '/usr/lib/llvm-*/lib/libclang*.so*' || has llvm-config; }
has_test_nginx() { perl -MTest::Nginx::Socket -e 1 >/dev/null 2>&1; }
has_cjk_font() { fc-list :lang=zh 2>/dev/null | grep -q .; }

missing=()
# need PACKAGE CHECK...: notes the package when the check fails.
need() {
    local package=$1
    shift
    "$@" || missing+=("$package")
}

need build-essential has cc
need nginx has nginx
need nginx-dev has_file /usr/share/nginx/src/conf_flags
need redis-server has redis-server
need libclang-dev has_libclang
if [ "$group" = test ]; then
    need redis-tools has redis-cli
    need libnginx-mod-http-lua has_file /usr/lib/nginx/modules/ngx_http_lua_module.so
    need perl has prove
    need curl has curl
    need sqlite3 has sqlite3
    need mariadb-server has mariadbd
    need wrk has wrk
    need valgrind has valgrind
    need default-jre-headless has java
    need maven has mvn
    need shellcheck has shellcheck
    need nodejs has node
    need npm has npm
    need chromium has chromium
    need fontconfig has fc-list
    need fonts-wqy-microhei has_cjk_font
    need faketime has_file '/usr/lib/*/faketime/libfaketime.so.1'
    need libtest-nginx-perl has_test_nginx
fi

has cargo || fail "cargo is missing; install Rust 1.88 or newer (Debian: the package rustup), then run this again"
[ ${#missing[@]} -gt 0 ] || exit 0

has apt-get || fail "missing: ${missing[*]} (Debian's names); install them with this system's own package manager, then run this again"
step "Installing what is missing: ${missing[*]}"

# --- As root ---------------------------------------------------------------

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    has sudo || fail "installing needs root; as root run: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
root() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" </dev/null; }

work=$(mktemp -d)
policy=/usr/sbin/policy-rc.d
own_policy=
cleanup() {
    [ -z "$own_policy" ] || root rm -f "$policy"
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Debian asks this file whether a package may start its service: 101 is "no".
# One that the owner of the machine wrote stays in force.
forbid_service_starts() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\n# Placed by scripts/install.sh for the time of one installation.\nexit 101\n' >"$work/policy"
    own_policy=yes
    root install -m 755 "$work/policy" "$policy"
}

# The services among the packages we name, as "package unit".
services=("nginx nginx.service" "redis-server redis-server.service" "mariadb-server mariadb.service")

# Takes back the start at boot, and a start now that an own policy-rc.d allowed.
keep_services_off() {
    local line package unit
    for line in "${services[@]}"; do
        read -r package unit <<<"$line"
        [[ " ${missing[*]} " == *" $package "* ]] || continue
        if [ -d /run/systemd/system ]; then
            root systemctl --quiet disable --now "$unit" >"$work/log" 2>&1 || true
        fi
        ! has deb-systemd-helper || root deb-systemd-helper disable "$unit" >>"$work/log" 2>&1 || true
        ! has update-rc.d || root update-rc.d "${unit%.service}" disable >>"$work/log" 2>&1 || true
        # Also its other names: a leftover alias still counts as enabled.
        root find /etc/systemd/system -lname "*/$unit" -delete
    done
}

apt() {
    root apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq "$@" >"$work/apt.log" 2>&1 || {
        tail -n 15 "$work/apt.log" >&2
        return 1
    }
}

# Test::Nginx is packaged in Debian's unstable only, for any architecture. That
# one package is fetched through a private list of sources, so that nothing else
# of unstable can ever come in; what it depends on comes from this system's own
# release. The mirror and its keys are those that this system uses already.
fetch_test_nginx() {
    local uri key=/usr/share/keyrings/debian-archive-keyring.gpg
    # shellcheck disable=SC2016 # apt fills in what looks like a variable
    uri=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
    [ -n "$uri" ] || fail "apt knows no Debian mirror to fetch libtest-nginx-perl from; install the Perl module Test::Nginx::Socket by hand"
    mkdir -p "$work/sid/lists/partial" "$work/sid/cache/archives/partial"
    printf 'deb [%s] %s sid main\n' "signed-by=$key" "$uri" >"$work/sid/sources.list"
    local private=(-qq -o "Dir::Etc::SourceList=$work/sid/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$work/sid/lists" -o "Dir::Cache=$work/sid/cache"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
        -o APT::Sandbox::User="$(id -un)")
    (
        cd "$work/sid"
        apt-get "${private[@]}" update && apt-get "${private[@]}" download libtest-nginx-perl
    ) >"$work/apt.log" 2>&1 </dev/null || {
        tail -n 15 "$work/apt.log" >&2
        fail "libtest-nginx-perl could not be fetched from Debian's unstable; see above, or install the Perl module Test::Nginx::Socket by hand"
    }
    # apt's own user reads the file.
    chmod 755 "$work" "$work/sid"
}

apt update || step "apt-get update failed (see above); going on with the lists that are here"
forbid_service_starts
wanted=()
for package in "${missing[@]}"; do
    if [ "$package" = libtest-nginx-perl ] && ! apt-cache show "$package" 2>/dev/null | grep -q .; then
        fetch_test_nginx
        wanted+=("$(echo "$work"/sid/libtest-nginx-perl_*.deb)")
    else
        wanted+=("$package")
    fi
done
apt install --yes --no-install-recommends "${wanted[@]}" ||
    fail "apt-get could not install ${missing[*]}; see above, and try: apt-get update && apt-get install ${missing[*]}"
keep_services_off
step "Installed: ${missing[*]}"
