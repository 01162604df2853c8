#!/usr/bin/env bash
# Builds the nginx module: target/nginx/ngx_http_seckill_module.so.
#
# A dynamic module fits one nginx: its version and its configure flags. Without
# further word that is Debian's, whose package nginx-dev ships the headers, the
# configure script and the flags. For another nginx set both
#   NGINX_SOURCE_DIR  its source tree
#   NGINX_BUILD_DIR   its objs directory, after configure
#
# With arguments, runs them in that environment instead of building, for example
#   scripts/module.sh cargo clippy -p seckill-nginx-module
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

debian_source=/usr/share/nginx/src
out=$PWD/target/nginx

# Writes the headers that nginx's configure makes into target/nginx/objs, again
# only when Debian's nginx changed.
configure_debian() {
    [ -f "$debian_source/conf_flags" ] ||
        fail "$debian_source/conf_flags is missing; install it with: scripts/install.sh run"
    local stamp
    stamp=$(nginx -V 2>&1 | cksum; cksum <"$debian_source/conf_flags")
    [ "$(cat "$out/objs/.made_for" 2>/dev/null)" != "$stamp" ] || return 0
    step "Configuring the headers of $(nginx -v 2>&1 | sed 's/.*: //') in target/nginx/objs"
    rm -rf "$out/objs"
    mkdir -p "$out"
    # configure reads its parts relative to its own folder and writes only into
    # the build directory.
    (
        cd "$debian_source"
        NGX_CONF_FLAGS=()
        # shellcheck source=/dev/null
        . ./conf_flags
        ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$out/objs"
    ) >"$out/configure.log" 2>&1 ||
        fail "nginx's configure failed: see target/nginx/configure.log; the usual cure is: scripts/install.sh run"
    [ -s "$out/objs/ngx_auto_config.h" ] ||
        fail "nginx's configure made no ngx_auto_config.h: see target/nginx/configure.log"
    printf '%s\n' "$stamp" >"$out/objs/.made_for"
}

if [ -z "${NGINX_SOURCE_DIR:-}" ] && [ -z "${NGINX_BUILD_DIR:-}" ]; then
    configure_debian
    export NGINX_SOURCE_DIR=$debian_source NGINX_BUILD_DIR=$out/objs
elif [ -z "${NGINX_SOURCE_DIR:-}" ] || [ -z "${NGINX_BUILD_DIR:-}" ]; then
    fail "set both NGINX_SOURCE_DIR and NGINX_BUILD_DIR, or neither for Debian's nginx"
fi

if [ $# -gt 0 ]; then
    exec "$@"
fi

step "Building the nginx module"
cargo build --profile module --locked -p seckill-nginx-module ||
    fail "the module did not build; the compiler's message above says where"
built=${CARGO_TARGET_DIR:-target}/module/libngx_http_seckill_module.so
module=$out/ngx_http_seckill_module.so
mkdir -p "$out"
# A new file under the old name: writing into the old one would change the code
# under the feet of an nginx that runs it.
if ! cmp -s "$built" "$module"; then
    cp "$built" "$module.new"
    mv "$module.new" "$module"
fi
