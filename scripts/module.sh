#!/usr/bin/env bash
# Builds the nginx module as packages and benchmarks want it, small and fast:
# target/nginx/ngx_http_seckill_module.so. (`make run` and `make test` put theirs,
# which is built sooner, to the same place.)
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
# shellcheck source=scripts/lib/module.sh
. scripts/lib/module.sh

choose_nginx
if [ $# -gt 0 ]; then
    exec "$@"
fi

step "Building the nginx module"
cargo build --profile module --locked -p seckill-nginx-module ||
    fail "the module did not build; the compiler's message above says where"
place_module module
