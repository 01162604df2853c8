#!/usr/bin/env bash
# Builds what `make run` runs and `make test` tests, in the profile "trial": the
# programs `seckill` and `seckill-load` in target/trial, and the nginx module in
# target/nginx. All at once, so that what they share is compiled once.
#   scripts/build.sh [--quiet]   quietly: says nothing unless it takes long or fails
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/module.sh
. scripts/lib/module.sh
# shellcheck source=scripts/lib/cargo.sh
. scripts/lib/cargo.sh

choose_nginx
[ "${1:-}" = --quiet ] || step "Building the back end and the nginx module"
cargo_shown build "${trial_packages[@]}" ||
    fail "the build failed; the compiler's message above says where"
place_module trial
