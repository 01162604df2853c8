#!/usr/bin/env bash
# Builds a newer nginx than Debian's, the module for it in both ways that there
# are (cargo; nginx's own configure and make), and runs the suites against both.
#
# The source is the crate nginx-src's, which cargo fetches. Everything lies in
# target/nginx-newer and is made again only when it changed. SUITES=t/gate.t
# chooses suites; those that load Debian's Lua module are not for another nginx,
# and Test::Nginx is told to load ours alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

crate_version=1.28.5
out=$PWD/target/nginx-newer
source=$out/source
objs=$out/objs
# Its own, so that the two nginx do not make cargo build everything in turn.
export CARGO_TARGET_DIR=$out/cargo
# What is tested is whether it works, not how fast.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1

scripts/install.sh test
mkdir -p "$out"

# Puts the crate's source tree into $source; configure writes into its folder.
fetch_source() {
    [ "$(cat "$source/.version" 2>/dev/null)" != "$crate_version" ] || return 0
    step "Fetching nginx's source (crate nginx-src $crate_version)"
    local asking=$out/asking crate
    mkdir -p "$asking/src"
    : >"$asking/src/lib.rs"
    cat >"$asking/Cargo.toml" <<END
[package]
name = "asking"
edition = "2024"
[dependencies]
nginx-src = "=$crate_version"
[workspace]
END
    crate=$(cargo metadata --format-version 1 --manifest-path "$asking/Cargo.toml" 2>"$out/fetch.log" |
        grep -o '"[^"]*/nginx-src-[^"]*/Cargo.toml"' | head -n 1 | tr -d '"')
    [ -n "$crate" ] || fail "cargo could not fetch nginx-src $crate_version: see target/nginx-newer/fetch.log"
    rm -rf "$source" "$objs"
    cp -R "$(dirname "$crate")/nginx" "$source"
    chmod -R u+w "$source"
    printf '%s\n' "$crate_version" >"$source/.version"
}

# Configures with Debian's options and our module beside them. The stamp holds
# what the result depends on.
configure() {
    local stamp
    stamp=$(cat /usr/share/nginx/src/conf_flags nginx-module/config nginx-module/config.make | cksum)
    [ "$(cat "$objs/.made_for" 2>/dev/null)" != "$stamp" ] || return 0
    step "Configuring it as Debian does, with our module"
    rm -rf "$objs"
    (
        NGX_CONF_FLAGS=()
        # shellcheck source=/dev/null
        . /usr/share/nginx/src/conf_flags
        cd "$source"
        auto/configure "${NGX_CONF_FLAGS[@]}" --builddir="$objs" --add-dynamic-module="$OLDPWD/nginx-module"
    ) >"$out/configure.log" 2>&1 || fail "nginx's configure failed: see target/nginx-newer/configure.log"
    printf '%s\n' "$stamp" >"$objs/.made_for"
}

build() {
    step "Building nginx"
    make -C "$source" -f "$objs/Makefile" -j "$(nproc)" binary >"$out/make.log" 2>&1 ||
        fail "nginx did not build: see target/nginx-newer/make.log"
    step "Building the module by nginx's own make"
    make -C "$source" -f "$objs/Makefile" modules >"$out/modules.log" 2>&1 ||
        fail "the module did not build by make: see target/nginx-newer/modules.log"
    step "Building the module by cargo"
    NGINX_SOURCE_DIR=$source NGINX_BUILD_DIR=$objs scripts/module.sh \
        cargo build --profile module --locked -p seckill-nginx-module >"$out/cargo.log" 2>&1 ||
        fail "the module did not build by cargo: see target/nginx-newer/cargo.log"
}

# suites NAME MODULE SUITE...: runs them against the new nginx with that module.
suites() {
    local name=$1 module=$2
    shift 2
    step "Suites against $("$objs/nginx" -v 2>&1 | sed 's/.*: //'), the module built by $name: $*"
    SECKILL_MODULE=$module TEST_NGINX_BINARY=$objs/nginx TEST_NGINX_LOAD_MODULES=$module \
        prove -v "$@"
}

fetch_source
configure
build
# shellcheck disable=SC2206 # several suites may be named
chosen=(${SUITES:-$(grep -L '^# Needs Debian.s nginx' t/*.t)})
suites cargo "$CARGO_TARGET_DIR/module/libngx_http_seckill_module.so" "${chosen[@]}"
# The same code linked by nginx: a few suites show that it is.
suites make "$objs/ngx_http_seckill_module.so" ${SUITES:-t/time.t t/gate.t t/directives.t}
