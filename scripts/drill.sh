#!/usr/bin/env bash
# The long drills, one after another; each ends with PASS or FAIL lines.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh

if [ -z "${SECKILL_TEST_CONTAINED:-}" ]; then
    export SECKILL_TEST_CONTAINED=yes
    scripts/install.sh test
    enter_link
    exec perl scripts/lib/contain.pl "$BASH" scripts/drill.sh "$@"
fi
trap leave_link EXIT
scripts/build.sh
for drill in t/drills/*.sh; do
    step "Drill $(basename "$drill" .sh)"
    "$drill" || fail "the drill $drill failed; its lines above say in what"
done
export SECKILL_HOME=$PWD
seckill=$(trial_program seckill)
# SEED chooses other schedules than the day's, MINUTES their length.
step "Random schedules of faults"
"$seckill" drill random --seed "${SEED:-$(date +%Y%m%d)}" --minutes "${MINUTES:-5}" --seeds 3 ||
    fail "a schedule failed; the shortest one that does is above"
