#!/usr/bin/env bash
# Sees to it that all is there before anything is built: scripts/install.sh run | test
#
# `run` is what building and running needs, `test` adds what the tests need.
# Everything is checked by its use (scripts/lib/checks.sh), and what is missing or
# unsuitable is said in one list. What apt can bring is installed, and checked
# again. A tool that works, from wherever, is left as it is, and when nothing is
# missing nothing is done. Debian's nginx, redis-server, mariadb-server and postgresql
# start themselves when installed and at every boot; ours are private children of
# `seckill up` and of the tests, so that this is prevented, for packages that this
# run brings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

group=${1:-run}
case $group in run | test) ;; *) fail "unknown group \"$group\"; use: scripts/install.sh run|test" ;; esac

work=$(mktemp -d)
# shellcheck source=scripts/lib/checks.sh
. scripts/lib/checks.sh
policy=/usr/sbin/policy-rc.d
own_policy=
cleanup() {
    [ -z "$own_policy" ] || root rm -f "$policy"
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- What is missing -------------------------------------------------------

# need PACKAGES CHECK...: these packages of Debian cure it when the check fails;
# with none, the reason that the check prints says the cure.
need() {
    local packages=$1 reason
    shift
    reason=$("$@") && return 0
    if [ -n "$packages" ]; then
        problems+=("$reason (Debian: $packages)")
        # shellcheck disable=SC2206 # several packages may be named
        missing+=($packages)
    else
        problems+=("$reason")
        incurable=yes
    fi
}

look() {
    problems=() missing=() incurable=
    need "" rust_is_there
    need build-essential cc_works
    need "libclang-dev" libclang_works
    need nginx nginx_works
    if [ -z "${NGINX_SOURCE_DIR:-}${NGINX_BUILD_DIR:-}" ]; then need nginx-dev nginx_dev_fits; fi
    need redis-server recent redis-server --version 6.2
    need "" writable "$target" "make it yours, or name another folder with CARGO_TARGET_DIR"
    case $group in
        run)
            need "" disk_space "$target" 4 trial/seckill
            look_run
            ;;
        test)
            need "" disk_space "$target" 8 trial/deps
            look_test
            ;;
    esac
}

# What would otherwise fail only after the build.
look_run() {
    local data=${SECKILL_DATA:-data}
    need "" writable "$data" "choose another folder with SECKILL_DATA"
    need "" plain_data_path "$data"
    need "" short_data_path "$data"
    # A file of settings may name other ports.
    if [ -z "${SECKILL_CONFIG:-}" ] && [ ! -e seckill.toml ]; then
        need "" free_port SECKILL_PORT 8080
        need "" free_port SECKILL_CONSOLE_PORT 8081
    fi
}

look_test() {
    need redis-tools recent redis-cli --version 7.0
    need redis-server recent redis-server --version 7.0
    need libnginx-mod-http-lua nginx_loads_lua
    need perl runs prove --version
    need perl perl_loads Time::HiRes
    need libtest-nginx-perl perl_loads Test::Nginx::Socket
    need curl runs curl --version
    need openssl runs openssl version
    need procps runs pgrep --version
    need sqlite3 runs sqlite3 --version
    need mariadb-server runs mariadbd --version
    need mariadb-server there mariadb-install-db
    need mariadb-client runs mariadb --version
    need postgresql postgres_works
    need wrk wrk_works
    need "valgrind libc6-dbg" valgrind_works
    need default-jre-headless recent java --version 11
    need maven runs mvn --version
    need shellcheck runs shellcheck --version
    need nodejs recent node --version 18.19
    need npm runs npm --version
    need chromium chromium_works
    need "fontconfig fonts-wqy-microhei" chinese_font
    need faketime faketime_works
}

rust_is_there() {
    rust_works || { echo "; install Rust $(wanted_rust) or newer (Debian: the package rustup, then: rustup default stable; an older one: rustup update)"; return 1; }
}

# All problems, one a line.
list() {
    local problem
    for problem in "${problems[@]}"; do printf '   - %s\n' "${problem//$'\n'/}"; done
}

target=${CARGO_TARGET_DIR:-target}
look
[ ${#problems[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | awk 'NF && !seen[$0]++')

if [ -n "$incurable" ]; then
    printf 'seckill: before anything is built:\n' >&2
    list >&2
    [ ${#missing[@]} -eq 0 ] || printf 'seckill: what Debian has of it is installed once the rest is right\n' >&2
    exit 1
fi
step "Missing or unsuitable:"
list
has apt-get || fail "install that with this system's own package manager, then run this again"
step "Installing ${missing[*]}"

# --- As root ---------------------------------------------------------------

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    has sudo || fail "installing needs root; as root run: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
root() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" </dev/null; }

# Debian asks this file whether a package may start its service: 101 is "no".
# One that the owner of the machine wrote stays in force.
forbid_service_starts() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\n# Placed by scripts/install.sh for the time of one installation.\nexit 101\n' >"$work/policy"
    own_policy=yes
    root install -m 755 "$work/policy" "$policy"
}

# The services among the packages we name, as "package unit".
services=("nginx nginx.service" "redis-server redis-server.service" "mariadb-server mariadb.service"
    "postgresql postgresql.service")

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
        [ ! -d /etc/systemd/system ] || root find /etc/systemd/system -lname "*/$unit" -delete
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
installed=("${missing[@]}")

hash -r
look
if [ ${#problems[@]} -gt 0 ]; then
    printf 'seckill: still missing or unsuitable, with %s installed:\n' "${installed[*]}" >&2
    list >&2
    exit 1
fi
step "Installed: ${installed[*]}"
