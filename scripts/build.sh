#!/usr/bin/env bash
# Builds what runs: the program `seckill` and the nginx module, optimised.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

step "Building the back end"
build_programs
scripts/module.sh
