#!/usr/bin/env bash
# Runs the tests: all of them, or the named ones of: rust nginx peer e2e drill;
# and of postgres, valgrind and newer, which only run when they are named.
#
# Each stage says in a line what it does, in another how long it took, and writes
# its output to target/test/STAGE.log; the end of that is shown when the stage
# fails. The other stages still run. At the end nothing may be left running, and
# no system service may have been started or enabled.
#
# Everything is built first, once, in the profile of `make run`. What mostly waits
# has what mostly computes beside it, and some drills run two at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/steps.sh
. scripts/lib/steps.sh
# shellcheck source=scripts/lib/cargo.sh
. scripts/lib/cargo.sh

# Which of the services that Debian's packages bring run or start at boot.
services() {
    local unit
    for unit in nginx redis-server mariadb postgresql; do
        find /etc/systemd/system -lname "*/$unit.service" 2>/dev/null || true
        [ ! -d /run/systemd/system ] || echo "$unit $(systemctl is-active "$unit" 2>/dev/null)"
    done
}

if [ -z "${SECKILL_TEST_CONTAINED:-}" ]; then
    SECKILL_SERVICES_BEFORE=$(services)
    export SECKILL_SERVICES_BEFORE SECKILL_TEST_CONTAINED=yes
    scripts/install.sh test
    enter_link
    exec perl scripts/lib/contain.pl "$BASH" scripts/test.sh "$@"
fi
trap leave_link EXIT

all=(rust nginx peer e2e drill)
stages=("${@:-${all[@]}}")
[ $# -gt 0 ] || stages=("${all[@]}")
log_folder=$PWD/target/test
mkdir -p "$log_folder"
passed=0 failed=0

# Adds to the totals what a stage counted.
count() { passed=$((passed + $1)) failed=$((failed + $2)); }
# The sum of the first number on each line of the input.
sum() { awk '{ total += $1 } END { print total + 0 }'; }

# stage NAME TITLE CURE COMMAND...: runs it with its output in a log; a failure
# shows the log's end and the cure. The status is the command's.
stage() {
    begin "$@"
    end "$1"
}
declare -A cures=() running=()
# Those whose output everybody waits for.
declare -A shown=([build]=yes [rust-build]=yes)
broken=()
: >"$log_folder/costs"

# cost NAME WALL: says and keeps what a stage took, in seconds; the processor time
# is that of this shell's ended children.
cost() {
    local cpu
    times >"$log_folder/times.$1" # a subshell would have children of its own
    cpu=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += 60 * t[1] + t[2] } } END { printf "%d", sum }' "$log_folder/times.$1")
    rm "$log_folder/times.$1"
    printf '%s %s %s\n' "$1" "$2" "$cpu" >>"$log_folder/costs"
}

# begin NAME TITLE CURE COMMAND...: the same beside what follows, until its end is
# waited for.
begin() {
    local name=$1
    step "$2"
    cures[$name]=$3
    shift 3
    set -m # a group of its own, to be ended as a whole
    {
        set +m
        trap : TERM # its end is the command's end
        local began=$SECONDS status=0
        if [ -n "${shown[$name]:-}" ]; then
            "$@" 2>&1 </dev/null | tee "$log_folder/$name.log" || status=$?
        else
            "$@" >"$log_folder/$name.log" 2>&1 </dev/null || status=$?
        fi
        printf '   %s: %s s\n' "$name" $((SECONDS - began))
        cost "$name" $((SECONDS - began))
        exit "$status"
    } &
    running[$name]=$!
    set +m
}
end() {
    local name=$1 status=0
    wait "${running[$name]}" || status=$?
    unset "running[$name]"
    if [ "$status" -ne 0 ]; then
        [ -n "${shown[$name]:-}" ] || failures_of "$log_folder/$name.log" >&2
        printf 'seckill: %s failed (%s); %s\n' "$name" "target/test/$name.log" "${cures[$name]}" >&2
        broken+=("$name")
    fi
    return "$status"
}

# Ctrl-C or a kill: whatever runs tidies up and ends.
interrupted() {
    local group
    for group in "${running[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
    wait
    exit "$1"
}
trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP

# The part of a log that tells why: the failed assertions if there are any, and
# the end.
failures_of() {
    # The innermost of nested tests first: those around it only say that one failed.
    grep -E -A12 '^ +not ok' "$1" | head -n 60 || true
    grep -E -A6 '^#   Failed test|panicked at|^not ok|^(error|FAIL)\b' "$1" | head -n 80 || true
    printf '   ...\n'
    tail -n 15 "$1"
}

# --- The stages ------------------------------------------------------------

# In the profile of scripts/build.sh, so that what is built already fits. The module
# has no test of this kind.
rust_tests=(-p seckill-core -p seckill-load -p seckill)
test_rust() {
    begin rocketmq "Fetching RocketMQ, unless it is here" "see whether mvn reaches its repository" scripts/rocketmq.sh install
    stage rust-build "Building the Rust tests" "see the compiler's message above" \
        cargo_shown rust-build "${rust_tests[@]}" || count 0 1
    end rocketmq || count 0 1
    stage rust "Rust tests" "repeat one with: cargo test --profile trial NAME" \
        cargo test --profile trial --locked "${rust_tests[@]}" --no-fail-fast || true
    local results=$log_folder/rust.log
    count "$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$results" | sum)" \
        "$(sed -n 's/^test result: .* passed; \([0-9]*\) failed; .*/\1/p' "$results" | sum)"
}

# Counts a TAP log; a suite that broke off without a failed assertion is one failure.
count_tap() {
    local good bad
    good=$(grep '^ok ' "$1" | grep -vc ' # skip' || true)
    bad=$(grep -c '^not ok ' "$1" || true)
    [ "$bad" -gt 0 ] || [ "$2" -eq 0 ] || bad=1
    count "$good" "$bad"
}

test_nginx() {
    local suites lifetimes=() status=0
    # shellcheck disable=SC2206 # several suites may be named
    suites=(${SUITES:-t/*.t})
    # The suites that exercise lifetimes say so in a comment; all of them take
    # half an hour: scripts/test.sh valgrind. They compute while the others wait.
    # The stage "valgrind" runs them too.
    [[ " ${stages[*]} " == *" valgrind "* ]] ||
        mapfile -t lifetimes < <(grep -l '^# Also runs under valgrind' "${suites[@]}")
    [ ${#lifetimes[@]} -eq 0 ] || begin_valgrind "${lifetimes[@]}"
    stage nginx "Test::Nginx suites: ${suites[*]}" "repeat one with: prove -v t/NAME.t" \
        prove -v "${suites[@]}" || status=$?
    count_tap "$log_folder/nginx.log" "$status"
    [ ${#lifetimes[@]} -eq 0 ] || end_valgrind
}

# begin_valgrind SUITE...: an invalid access or a leak fails the suite.
begin_valgrind() {
    begin valgrind "Under valgrind: $*" "repeat one with: TEST_NGINX_USE_VALGRIND=1 prove -v t/NAME.t" \
        env TEST_NGINX_SERVROOT="$PWD/target/t/under-valgrind" TEST_NGINX_USE_VALGRIND=1 TEST_NGINX_TIMEOUT=20 prove -v "$@"
}

end_valgrind() {
    local status=0
    end valgrind || status=$?
    count_tap "$log_folder/valgrind.log" "$status"
}

test_valgrind() {
    # shellcheck disable=SC2086 # several suites may be named
    begin_valgrind ${SUITES:-t/*.t}
    end_valgrind
}

# The suites whose claims the Lua edge shares, against it.
test_peer() {
    local suites=() suite status=0
    for suite in t/signature.t t/path-window.t t/gate.t t/time.t t/redis-away.t; do
        [ -n "${SUITES:-}" ] && [[ " $SUITES " != *" $suite "* ]] || suites+=("$suite")
    done
    [ ${#suites[@]} -gt 0 ] || return 0
    stage peer "The same claims against the Lua edge: ${suites[*]}" \
        "repeat one with: SECKILL_EDGE=lua prove -v t/NAME.t" \
        env SECKILL_EDGE=lua prove -v "${suites[@]}" || status=$?
    printf '   left out, since only the module claims them: %s\n' \
        "$(grep -c '^ok [0-9]* # skip .*only for the module' "$log_folder/peer.log" || true)"
    count_tap "$log_folder/peer.log" "$status"
}

# Not among the default ones: it builds another nginx, which takes minutes.
test_newer() {
    local status=0
    stage newer "The suites against a newer nginx" "repeat it with: make test-nginx-newer" \
        scripts/test-nginx-newer.sh || status=$?
    grep '^== Suites' "$log_folder/newer.log" | cut -d: -f1 | sed 's/^== /   /' || true
    count_tap "$log_folder/newer.log" "$status"
}

# Not among the default ones, whose Rust tests hold what is PostgreSQL's own: it runs most
# of them again.
test_postgres() {
    local status=0 log=$log_folder/postgres.log
    stage postgres "The store's suites, and a shop, on PostgreSQL" "repeat one with: scripts/test-postgres.sh NAME" \
        scripts/test-postgres.sh || status=$?
    count "$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$log" | sum)" \
        "$(sed -n 's/^test result: .* passed; \([0-9]*\) failed; .*/\1/p' "$log" | sum)"
    count_facts "$log" "$status"
}

test_e2e() {
    local status=0
    if [ ! -d t/e2e/node_modules ] || [ t/e2e/package-lock.json -nt t/e2e/node_modules ]; then
        stage npm "Fetching the browser tests' packages" "see whether npm reaches its registry" \
            npm ci --prefix t/e2e --no-audit --no-fund --ignore-scripts || { count 0 1; return; }
        touch t/e2e/node_modules
    fi
    stage e2e "Browser tests" "repeat them with: make test-e2e; pictures are in target/e2e/screenshots" \
        scripts/e2e.sh || status=$?
    local good bad
    good=$(sed -n 's/^[^0-9a-z]* *pass \([0-9]*\)$/\1/p' "$log_folder/e2e.log" | sum)
    bad=$(sed -n 's/^[^0-9a-z]* *fail \([0-9]*\)$/\1/p' "$log_folder/e2e.log" | sum)
    [ "$bad" -gt 0 ] || [ "$status" -eq 0 ] || bad=1
    count "$good" "$bad"
}

# count_facts LOG STATUS: a drill's PASS and FAIL lines.
count_facts() {
    local good bad
    grep -E '^(PASS|FAIL) ' "$1" | sed 's/^/   /' || true
    good=$(grep -c '^PASS ' "$1" || true)
    bad=$(grep -c '^FAIL ' "$1" || true)
    [ "$bad" -gt 0 ] || [ "$2" -eq 0 ] || bad=1
    count "$good" "$bad"
}

begin_drill() {
    local name=$1 title=$2
    shift 2
    begin "$name" "Drill: $title" "repeat it with: t/drills/$name.sh" env "$@" "t/drills/$name.sh"
}
end_drill() {
    local status=0
    end "$1" || status=$?
    count_facts "$log_folder/$1.log" "$status"
}

test_drill() {
    begin_drill race "5,000 buyers race for 100 items"
    end_drill race
    begin_drill edges "four edges, one Redis, and what goes wrong" PERMITS=4000 SECONDS_EACH=3
    end_drill edges
    begin_drill supervisor "each child of the supervisor is killed in a race"
    end_drill supervisor
    begin_drill bots "bots among people, found by the access log"
    end_drill bots
    begin_drill cdn "pages through a cache, edited and purged" VISITS=200
    end_drill cdn
    # Three schedules of faults, each on a system of its own.
    begin random "Drill: three random schedules of faults" "repeat one with: seckill drill random --seconds 5 --seed N" \
        env SECKILL_HOME="$PWD" "$(trial_program seckill)" drill random --seconds 5 --seeds 3
    end_drill random
    # These wait most of their time, each in a place and on ports of its own.
    begin_drill segments "stock on three Redis masters"
    begin_drill poison "purchases that the database refuses"
    end_drill segments
    end_drill poison
    begin_drill orders "a third paid, a third cancelled, a third unpaid, sold again"
    begin_drill pay "orders paid, cancelled, unpaid, on MariaDB" PAY_WITHIN=30
    end_drill orders
    end_drill pay
}

for name in "${stages[@]}"; do
    [[ " ${all[*]} postgres valgrind newer " == *" $name "* ]] || fail "unknown tests \"$name\"; there are: ${all[*]}, postgres, valgrind, newer"
done
[ $# -gt 0 ] || { stage docs "What the documents say, against the tree" "repeat it with: scripts/check-docs" scripts/check-docs && count 1 0 || count 0 1; }
if stage build "Building all that is tested" "see the compiler's message above" scripts/build.sh --quiet; then
    for name in "${stages[@]}"; do "test_$name"; done
else
    count 0 1
fi

if [ "$(services)" != "${SECKILL_SERVICES_BEFORE:-}" ]; then
    printf 'seckill: a system service was started or enabled by the tests; compare: %s\n' \
        "systemctl is-enabled nginx redis-server mariadb postgresql" >&2
    count 0 1
fi
cost all "$SECONDS"
printf 'minutes of time and of processor time:\n'
awk '{ printf "   %-12s %5.1f %5.1f\n", $1, $2 / 60, $3 / 60 }' "$log_folder/costs"
[ ${#broken[@]} -eq 0 ] || printf 'seckill: failed: %s\n' "${broken[*]}" >&2
printf 'total: %s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ ${#broken[@]} -eq 0 ] && [ "$passed" -gt 0 ]
