#!/usr/bin/env bash
# Builds and runs the whole system on this box with the demo sale. Arguments are
# added to `seckill up --demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

scripts/install.sh run
scripts/build.sh
step "Starting the demo sale (Ctrl-C stops everything)"
# In place of this script, so that Ctrl-C and SIGTERM reach it and nothing is in
# between that could end earlier than it.
exec "$(trial_program seckill)" up --demo "$@"
